package console

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/core"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

// fake keeps authorizations in memory, as the room of the secrets would.
type fake struct {
	checked    error // the answer of Check
	mu         sync.Mutex
	catalogue  func() *integration.Catalogue
	clock      core.Clock
	all        []integration.Authorization
	secrets    map[string]map[string]string // by id
	refusal    error                        // of the next call that changes something
	finished   string                       // the authorization that Finish answers with
	sessions   []string                     // that Begin and Finish were given
	granted    []string
	uses       []core.Detail
	defaultsTo []string
}

func (f *fake) refuse() error {
	err := f.refusal
	f.refusal = nil
	return err
}

func (f *fake) find(tenant, id string) (*integration.Authorization, error) {
	for n := range f.all {
		if f.all[n].ID == id && f.all[n].Tenant == tenant {
			return &f.all[n], nil
		}
	}
	return nil, core.Errorf(core.NotFound, "There is no such authorization.")
}

func (f *fake) List(_ context.Context, tenant, of string) ([]integration.Authorization, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []integration.Authorization
	for _, a := range f.all {
		if a.Tenant == tenant && (of == "" || a.Integration == of) {
			list = append(list, a)
		}
	}
	return list, nil
}

func (f *fake) Get(_ context.Context, tenant, id string) (integration.Authorization, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(tenant, id)
	if err != nil {
		return integration.Authorization{}, err
	}
	return *a, nil
}

func (f *fake) Add(_ context.Context, tenant, by string, d integration.Draft) (integration.Authorization, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := integration.Authorization{
		ID: fmt.Sprintf("a%d", len(f.all)+1), Tenant: tenant, Integration: d.Integration, Grant: d.Grant,
		Status: integration.Pending, Since: f.clock.Now(), Created: f.clock.Now(), CreatedBy: by,
	}
	if err := f.fill(&a, by, d); err != nil {
		return integration.Authorization{}, err
	}
	f.all = append(f.all, a)
	return a, nil
}

func (f *fake) fill(a *integration.Authorization, by string, d integration.Draft) error {
	if err := f.refuse(); err != nil {
		return err
	}
	i, _ := f.catalogue().Integration(d.Integration)
	g := i.Grant(d.Grant)
	if err := i.Check(g, d.Values, a.Secrets); err != nil {
		return err
	}
	for _, other := range f.all {
		if other.ID != a.ID && other.Integration == d.Integration && strings.EqualFold(other.Name, d.Name) {
			return core.Errorf(core.Conflict, "There is already an authorization of this name.")
		}
	}
	a.Name, a.Updated, a.UpdatedBy, a.Values = d.Name, f.clock.Now(), by, map[string]string{}
	a.Status = integration.Pending
	for _, field := range i.Fields(g) {
		if value := d.Values[field.Name]; !field.Secret {
			a.Values[field.Name] = value
		} else if value != "" {
			if f.secrets[a.ID] == nil {
				f.secrets[a.ID] = map[string]string{}
			}
			f.secrets[a.ID][field.Name] = value
			if !slices.Contains(a.Secrets, field.Name) {
				a.Secrets = append(a.Secrets, field.Name)
			}
		}
	}
	return nil
}

func (f *fake) Update(_ context.Context, tenant, by, id string, d integration.Draft) (integration.Authorization, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(tenant, id)
	if err != nil {
		return integration.Authorization{}, err
	}
	if err := f.fill(a, by, d); err != nil {
		return integration.Authorization{}, err
	}
	return *a, nil
}

func (f *fake) Remove(_ context.Context, tenant, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(tenant, id); err != nil {
		return err
	}
	if f.uses != nil {
		e := core.Errorf(core.Conflict, "The authorization is in use.")
		e.Code, e.Details = "AUTHORIZATION_IN_USE", f.uses
		return e
	}
	f.all = slices.DeleteFunc(f.all, func(a integration.Authorization) bool { return a.ID == id })
	return nil
}

func (f *fake) MakeDefault(_ context.Context, tenant, id, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(tenant, id)
	if err != nil {
		return err
	}
	if a.Status != integration.Authorized {
		return core.Errorf(core.Conflict, "Only an authorized one can be the default.")
	}
	if node == "nothing" {
		return core.InvalidField("node", "there is no such node")
	}
	a.DefaultFor = append(a.DefaultFor, node)
	f.defaultsTo = append(f.defaultsTo, node)
	return nil
}

func (f *fake) Begin(_ context.Context, tenant, id, session string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(tenant, id); err != nil {
		return "", err
	}
	if err := f.refuse(); err != nil {
		return "", err
	}
	f.sessions = append(f.sessions, session)
	return "https://login.acme.example/authorize?client_id=c%20d&state=s&scope=a+b", nil
}

func (f *fake) Finish(_ context.Context, tenant, session, _ string, answer url.Values) (integration.Authorization, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sessions = append(f.sessions, session)
	a, err := f.find(tenant, f.finished)
	if err != nil || answer.Get("state") != "s" {
		return integration.Authorization{}, core.Errorf(core.Invalid, "This sign-in was not begun here, was used already, or took too long.")
	}
	if err := f.refuse(); err != nil {
		a.Reason = err.Error()
		return *a, err
	}
	a.Status, a.Since, a.Reason, a.Account = integration.Authorized, f.clock.Now(), "", "ann@acme.example"
	return *a, nil
}

func (f *fake) Grant(_ context.Context, tenant, id string) (integration.Authorization, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, err := f.find(tenant, id)
	if err != nil {
		return integration.Authorization{}, err
	}
	f.granted = append(f.granted, id)
	if err := f.refuse(); err != nil {
		a.Reason = err.Error()
		return *a, err
	}
	a.Status, a.Since, a.Reason = integration.Authorized, f.clock.Now(), ""
	return *a, nil
}

// day is what a day lasts for the tests.
const day = 24 * time.Hour

// hostileSteps are the steps of a run in every state, with markup wherever a
// vendor or a caller may have put some.
func hostileSteps() []operation.Step {
	return []operation.Step{
		{
			ID: "find", State: operation.StepOK, Call: "GET /parcels/" + hostile, Status: 200, Duration: 120 * time.Millisecond,
			Request: &operation.Exchange{Line: "GET https://acme.example/" + hostile, Headers: map[string]string{"X-B": hostile, "Accept": "application/json"}},
			Answer:  &operation.Exchange{Line: "200", Headers: map[string]string{"Content-Type": "application/json"}, Body: `{"label":"` + hostile + `"}`},
		},
		{ID: "look", State: operation.StepContinued, Call: "GET /x", Status: 404, Duration: 60 * time.Millisecond},
		{ID: "send", State: operation.StepFailed, Call: "POST /parcels", Status: 500, Duration: 1500 * time.Millisecond, Error: "the vendor says " + hostile},
		{ID: "then", State: operation.StepSkipped},
	}
}

// runs are newest first, as Executions gives them.
func runs() []execution.Run {
	return []execution.Run{
		{
			ID: "r3", Tenant: "contoso", Platform: "cxone", Title: "Acme / Find " + hostile, Integration: "acme", Operation: "find-parcel",
			Outcome: "InternalError", Failed: true, Code: "UPSTREAM_" + hostile, Message: "the vendor says " + hostile, Contact: "c-" + hostile,
			Caller: "ann@contoso.example" + hostile, Began: noon.Add(-time.Minute), Duration: 1680 * time.Millisecond,
			Steps: hostileSteps(), Input: `{"number":"[redacted]","note":"went-in ` + hostile + `"}`, Result: `{"label":"came-out ` + hostile,
		},
		{ID: "r2", Tenant: "fabrikam", Platform: "cxone", Title: "Theirs", Outcome: "Success", Began: noon.Add(-2 * time.Minute)},
		{
			ID: "r1", Tenant: "contoso", Platform: "webex", Title: "Send Parcel", Integration: "acme", Operation: "send-parcel",
			Outcome: "onSuccess", Began: noon.Add(-time.Hour), Duration: 300 * time.Microsecond, Input: "{}", Result: `{"sent":true}`,
		},
	}
}

// List stands for core/execution.
func (r *rig) List(_ context.Context, f execution.Filter) ([]execution.Run, error) {
	var list []execution.Run
	seen := f.Before == ""
	for _, run := range r.runs {
		switch {
		case !seen:
			seen = run.ID == f.Before
		case run.Tenant == f.Tenant && (run.Failed || !f.Failed) && len(list) < f.Limit &&
			strings.Contains(strings.ToLower(run.Title+"\n"+run.Contact), strings.ToLower(f.Text)):
			list = append(list, run)
		}
	}
	return list, nil
}

// Get stands for core/execution.
func (r *rig) Get(_ context.Context, tenant, id string) (execution.Run, error) {
	for _, run := range r.runs {
		if run.ID == id && run.Tenant == tenant {
			return run, nil
		}
	}
	return execution.Run{}, core.Errorf(core.NotFound, "There is no such execution.")
}

// mappedState has a file of every state, and a refusal.
func mappedState() MappingState {
	return MappingState{
		Hash: strings.Repeat("ab12", 16), Loaded: noon.Add(-2 * time.Hour), Folder: true,
		Files: []MappingFile{
			{Path: "acme/find-parcel.yaml", Kind: "operation", Size: 2048, Hash: "h1", State: FileChanged},
			{Path: "acme/integration.yaml", Kind: "integration", Size: 700, Hash: "h2", State: FileInForce},
			{Path: "acme/" + hostile + ".yaml", Kind: hostile, Size: 1, Hash: hostile, State: FileRefused},
			{Path: "directory.yaml", Kind: "directory", Size: 300, Hash: "h3", State: FileInForce},
		},
		Refused: &Refusal{
			At: noon.Add(-time.Minute), Hash: strings.Repeat("cd34", 16),
			Findings: []mapping.Finding{
				{File: "acme/find-parcel.yaml", Line: 7, Column: 3, Message: "unknown key \"inptu\" " + hostile},
				{File: "acme/" + hostile + ".yaml", Line: 1, Column: 1, Message: "no operation"},
			},
			Lines: []string{"  inptu: " + hostile},
		},
	}
}
