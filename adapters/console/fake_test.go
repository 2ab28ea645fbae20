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
	"tandem/core/integration"
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
