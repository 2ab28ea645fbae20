package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/mappings"
)

// keyring authorizes calls to the vendors under test, and knows where they are.
type keyring struct {
	town *town

	mu     sync.Mutex
	tokens map[string]string
}

// header is the Authorization header that a vendor takes.
func (k *keyring) header(id string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.tokens == nil {
		k.tokens = map[string]string{}
	}
	if k.tokens[id] == "" {
		k.tokens[id] = k.grant(id)
	}
	return k.tokens[id]
}

func (k *keyring) grant(id string) string {
	about, ok := k.town.catalogue.Integration(id)
	require.True(k.town.t, ok, id)
	var r http.Request
	for n := range about.Grants {
		switch g := &about.Grants[n]; g.Type {
		case integration.Bearer:
			return "Bearer sandbox"
		case integration.Basic:
			r.Header = http.Header{}
			r.SetBasicAuth("admin@"+id+".example/token", "sandbox")
			return r.Header.Get("Authorization")
		case integration.ClientCredentials:
			_, _, out := k.town.call(http.MethodPost, k.town.address(g.Token, about, g), url.Values{
				"grant_type": {"client_credentials"}, "client_id": {"hub"}, "client_secret": {"s"},
			}, nil)
			return "Bearer " + out.(map[string]any)["access_token"].(string)
		}
	}
	require.Fail(k.town.t, "no grant that needs no person", id)
	return ""
}

func (k *keyring) Authorize(_ context.Context, c outbound.Credential, req *http.Request) (int64, error) {
	req.Header.Set("Authorization", k.header(c.Integration))
	return 1, nil
}

func (k *keyring) Rejected(context.Context, outbound.Credential, int64) error {
	return core.Errorf(core.NeedsAuthorization, "the vendor refuses it")
}

func (k *keyring) Connection(_ context.Context, c outbound.Credential) (integration.Connection, error) {
	return integration.Connection{Base: k.base(c.Integration), Settings: map[string]string{"org_id": WebexOrg}}, nil
}

// base is the address of a vendor's API.
func (k *keyring) base(id string) string {
	about, ok := k.town.catalogue.Integration(id)
	require.True(k.town.t, ok, id)
	return strings.TrimSuffix(k.town.address(about.Base, about, &about.Grants[0]), "/")
}

// api calls a vendor's API with a JSON body, if there is one, and returns
// status, header and the decoded answer, if it is JSON.
func (w *town) api(k *keyring, id, method, path string, body any, header ...string) (int, http.Header, any) {
	w.t.Helper()
	var text string
	if body != nil {
		data, err := json.Marshal(body)
		require.NoError(w.t, err)
		text = string(data)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, k.base(id)+path, strings.NewReader(text))
	require.NoError(w.t, err)
	req.Header.Set("Authorization", k.header(id))
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if req.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			req.Header.Del(header[i])
		}
	}
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	var out any
	if len(data) > 0 {
		require.NoError(w.t, json.Unmarshal(data, &out), string(data))
	}
	return res.StatusCode, res.Header, out
}

func TestFaultsAndLedger(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	k := &keyring{town: w}
	const incidents = "/api/now/v2/table/incident"
	body := map[string]any{"short_description": "x"}

	w.Fault("servicenow", Fault{Status: 503, Header: map[string]string{"Retry-After": "7"}, Body: `{"error":"down"}`, Times: 2})
	w.Fault("servicenow", Fault{Status: 429, Path: "/api/now/v2/table/sys_user"})
	for range 2 {
		status, header, out := w.api(k, "servicenow", http.MethodPost, incidents, body)
		require.Equal(t, 503, status)
		require.Equal(t, "7", header.Get("Retry-After"))
		require.Equal(t, map[string]any{"error": "down"}, out)
	}
	status, _, _ := w.api(k, "servicenow", http.MethodPost, incidents, body)
	require.Equal(t, 201, status, "the other fault is for users only")
	status, _, _ = w.api(k, "servicenow", http.MethodGet, "/api/now/v2/table/sys_user", nil)
	require.Equal(t, 429, status)

	ledger := w.Ledger("servicenow")
	require.Len(t, ledger, 4)
	require.Equal(t, Entry{
		Time: w.clock.Now(), Method: http.MethodPost, Path: incidents, Applied: true,
		BodyHash: ledger[0].BodyHash,
	}, ledger[2])
	require.Len(t, ledger[0].BodyHash, 64)
	require.False(t, ledger[0].Applied)
	require.Empty(t, ledger[3].BodyHash)
	require.Nil(t, w.Ledger("other"), "no such vendor")
	w.Fault("other", Fault{Status: 500})
}

func TestLateAnswersAreOfWorkThatWasDone(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	k := &keyring{town: w}
	k.header("servicenow")
	w.Fault("servicenow", Fault{Delay: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.base("servicenow")+"/api/now/table/incident", strings.NewReader(`{}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", k.header("servicenow"))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	ended := make(chan error)
	go func() {
		_, err := w.http.Do(req)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(w.Ledger("servicenow")) == 1 }, 20*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.True(t, w.Ledger("servicenow")[0].Applied)

	w.Fault("servicenow", Fault{Status: -1})
	req = req.Clone(t.Context())
	req.Body = io.NopCloser(strings.NewReader(`{}`))
	_, err = w.http.Do(req)
	require.ErrorIs(t, err, io.EOF, "a connection that ends")
	require.False(t, w.Ledger("servicenow")[1].Applied)
}

// rig runs the shipped operations against the vendors under test.
type rig struct {
	*town
	keys       *keyring
	operations *operation.Catalogue
	runner     *operation.Runner
}

func newRig(t *testing.T) *rig {
	t.Helper()
	w := newTown(t)
	k := &keyring{town: w}
	set, findings := mapping.Read(w.Mappings(mappings.FS))
	require.Empty(t, findings)
	operations, _ := operation.Load(set, w.catalogue) // what is wrong with files is for the tests of mappings to find
	client, err := outbound.New(outbound.Options{AllowHosts: []string{w.Addr()}, Authorizer: k})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &rig{w, k, operations, operation.NewRunner(operation.Options{
		Upstream: client, Connections: k, Clock: w.clock,
	})}
}

// run runs an operation with the input, which is JSON.
func (r *rig) run(id, name, input string) (*operation.Result, error) {
	r.t.Helper()
	op, ok := r.operations.Operation(id, name)
	require.True(r.t, ok, "%s/%s", id, name)
	var in map[string]any
	require.NoError(r.t, json.Unmarshal([]byte(input), &in))
	return r.runner.Run(r.t.Context(), operation.Request{
		Tenant: "contoso", Operation: op, Input: in, ContactID: "4711", ID: "01890000-0000-7000-8000-000000000000", Timeout: 10 * time.Second,
	})
}

// records runs an operation that must succeed and returns the records that came
// of it, which have what every customer card needs.
func (r *rig) records(id, name, input string) []map[string]any {
	r.t.Helper()
	result, err := r.run(id, name, input)
	require.NoError(r.t, err, "%s/%s", id, name)
	output, ok := result.Output.(map[string]any)
	require.True(r.t, ok, "%v", result.Output)
	require.Equal(r.t, id, output["system"].(map[string]any)["type"])
	require.Equal(r.t, r.keys.base(id), output["system"].(map[string]any)["baseUrl"])
	require.NotNil(r.t, output["pinRecords"])
	list := []map[string]any{}
	for _, entry := range output["records"].([]any) {
		record := entry.(map[string]any)
		for _, key := range []string{"type", "label", "id", "url"} {
			require.NotEmpty(r.t, record[key], "%s of %v", key, record)
		}
		list = append(list, record)
	}
	return list
}

// What the sample makes of a contact must be written, and must not take the
// place of what a customer asked for: no case but those with notes begins here.
func TestSampleDataMappingsAreWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var sample struct {
		Configurations []struct {
			Integration  string
			DataMappings []struct {
				Entities []struct {
					Entity string
					Fields []struct{ Name string }
				}
			} `yaml:"data_mappings"`
		}
	}
	data, err := fs.ReadFile(mappings.FS, "cxone/configurations.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, &sample))
	begin := map[string][2]string{ // how such a record begins
		"Task":                    {"create-call", `{"entity":"Account","id":"001000000000001","subject":"asked"}`},
		"phonecall":               {"create-phone-call", `{"subject":"asked"}`},
		"incident":                {"create-incident", `{"short_description":"Late","description":"asked"}`},
		"sn_customerservice_case": {"create-case", `{"short_description":"Late","description":"asked"}`},
		"user":                    {"create-user", `{"name":"Ada","email":"ada@alpenblick.example"}`},
		"calls":                   {"create-call", `{"entity":"contacts","id":"102","subject":"asked"}`},
	}
	require.Len(t, sample.Configurations, 6)
	for _, c := range sample.Configurations {
		if c.Integration == "" { // the hub's own tasks
			continue
		}
		for _, e := range c.DataMappings[0].Entities {
			result, err := r.run(c.Integration, begin[e.Entity][0], begin[e.Entity][1])
			require.NoError(t, err, "%s %s", c.Integration, e.Entity)
			record := result.Output.(map[string]any)["records"].([]any)[0].(map[string]any)
			if e.Entity == "calls" { // the record is the contact's
				record = map[string]any{"id": r.portal().objects["calls"][0].id}
			}
			fields := map[string]any{}
			for _, f := range e.Fields {
				fields[f.Name] = "All well."
			}
			update, err := json.Marshal(map[string]any{"updates": []any{map[string]any{"entity": e.Entity, "entityId": record["id"], "fields": fields}}})
			require.NoError(t, err)
			_, err = r.run(c.Integration, "data-memorialization", string(update))
			require.NoError(t, err, "%s %s", c.Integration, e.Entity)
		}
	}
}
