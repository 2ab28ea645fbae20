package powerautomate

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/delivery"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/mapping"
	"tandem/core/outbound"
	"tandem/core/server"
	"tandem/core/store"
	"tandem/mappings"
)

const (
	admin      = "admin@contoso.example"
	ouadmin    = "ouadmin@contoso.example"
	owner      = "owner@contoso.example"
	limited    = "limited@contoso.example"
	supervisor = "supervisor@contoso.example"
	agent1     = "agent1@contoso.example"
	stranger   = "admin@fabrikam.example"
	small      = "admin@tailspin.example"
	cxone      = "cxone key" // a key of admin, for another platform
	gone       = "gone key"  // a key of nobody in the directory
	wrong      = "wrong key" // a well-formed key that does not exist
	nobody     = ""          // no key
	supportUPN = "support@contoso.example"
	noID       = "0190a000-0000-7000-8000-000000000000"
)

// tailspin has what the sample tenants have not: a low limit, a service that
// makes tasks of one customer one, and one whose workflow is missing.
const tailspin = `
tenant: tailspin
limits:
  open_external_tasks: 2
users:
  - {upn: admin@tailspin.example, roles: [Tenant Admin]}
services:
  - upn: once@tailspin.example
    licence: Contact Center
    deduplicate_by: customerIdentifier
    workflows: {ExternalTask: external-task}
  - upn: broken@tailspin.example
    licence: Contact Center
    workflows: {ExternalTask: missing}
`

// called is one notification that a flow received.
type called struct {
	path   string
	header http.Header
	body   []byte
}

// rig is the adapter on the real server, engine, deliverer and database.
type rig struct {
	handler http.Handler
	engine  *engine.Engine
	db      *store.DB
	flows   map[string]*flow.Workflow
	keys    map[string]string
	hook    string // address of a flow that takes everything
	calls   chan called
	options Options // without BaseURL, which is the server's
}

type plainSealer struct{}

func (plainSealer) Seal(_ string, plain []byte) []byte           { return plain }
func (plainSealer) Open(_ string, sealed []byte) ([]byte, error) { return sealed, nil }

func sample(t testing.TB) *mapping.Set {
	t.Helper()
	files := fstest.MapFS{"directory/tailspin.yaml": {Data: []byte(tailspin), Mode: 0o644}}
	require.NoError(t, fs.WalkDir(mappings.FS, ".", func(path string, d fs.DirEntry, err error) error {
		folder, _, _ := strings.Cut(path, "/")
		if err != nil || d.IsDir() || folder != "directory" && folder != "workflows" {
			return err
		}
		data, err := mappings.FS.ReadFile(path)
		files[path] = &fstest.MapFile{Data: data, Mode: 0o644}
		return err
	}))
	set, findings := mapping.Read(files)
	require.Empty(t, findings)
	return set
}

func newRig(t testing.TB) *rig {
	t.Helper()
	ctx := context.Background()
	clock := core.SystemClock{}
	r := &rig{keys: map[string]string{}, calls: make(chan called, 1000)}

	db, err := store.Open(ctx, store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "tandem.db"), Clock: clock})
	require.NoError(t, err)
	r.db = db
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Migrate(ctx))

	set := sample(t)
	dir, findings := directory.Load(set)
	require.Empty(t, findings)
	flows, findings := flow.Load(set)
	require.Empty(t, findings)
	r.flows = flows

	flowSide := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.calls <- called{req.URL.Path, req.Header, body}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(flowSide.Close)
	r.hook = flowSide.URL
	pair := strings.TrimPrefix(flowSide.URL, "http://")
	client, err := outbound.New(outbound.Options{AllowHosts: []string{pair}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	hosts, err := outbound.NewHosts([]string{"*.flows.example"}, []string{pair})
	require.NoError(t, err)
	deliverer := delivery.New(delivery.Options{
		DB: db, Clock: clock, Sender: client, Hosts: hosts, Sealer: plainSealer{},
		Sign:   func(string, string, time.Time, []byte) (string, error) { return "v1,none", nil },
		Render: Render, May: func(store.Trigger) error { return nil }, Chance: func() float64 { return 0.5 },
	})
	r.engine = engine.New(engine.Options{DB: db, Clock: clock, Deliver: deliverer.Wake})
	require.NoError(t, r.engine.Keep(ctx, flows))

	run, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { deliverer.Run(run) })
	t.Cleanup(func() { stop(); running.Wait() })

	r.options = Options{
		Engine: r.engine, Triggers: deliverer, Callers: server.NewCallers(db, nil),
		Directory: func() *directory.Directory { return dir },
		Workflow:  func(name string) *flow.Workflow { return r.flows[name] },
	}
	r.handler = r.serve(t, "")
	for _, upn := range []string{admin, ouadmin, owner, limited, supervisor, agent1} {
		r.keys[upn] = r.key(t, "contoso", upn, Platform)
	}
	r.keys[stranger] = r.key(t, "fabrikam", stranger, Platform)
	r.keys[small] = r.key(t, "tailspin", small, Platform)
	r.keys[cxone] = r.key(t, "contoso", admin, "cxone")
	r.keys[gone] = r.key(t, "contoso", "gone@contoso.example", Platform)
	r.keys[wrong], _ = server.NewKey()
	return r
}

// serve returns the adapter on a server that is known as publicURL.
func (r *rig) serve(t testing.TB, publicURL string) http.Handler {
	t.Helper()
	srv, err := server.New(server.Options{Clock: core.SystemClock{}, PublicURL: publicURL})
	require.NoError(t, err)
	o := r.options
	o.BaseURL = srv.BaseURL
	New(o).Mount(srv.Echo())
	return srv.Echo()
}

func (r *rig) key(t testing.TB, tenant, upn, adapter string) string {
	t.Helper()
	key, hash := server.NewKey()
	require.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertAPIKey(ctx, store.APIKey{Hash: hash[:], ID: key[:12], Tenant: tenant, Adapter: adapter, UPN: upn})
	}))
	return key
}

// do makes a call; path may be a whole address, headers are name, value pairs.
func (r *rig) do(who, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key := r.keys[who]; key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return rec
}

// fault is what an error's answer says.
type fault struct {
	Error struct {
		Code, Message string
		Details       []core.Detail
	}
}

func faultOf(t testing.TB, rec *httptest.ResponseRecorder) fault {
	t.Helper()
	var f fault
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &f), rec.Body.String())
	return f
}

// fields returns the fields that an answer complains of.
func fields(t testing.TB, rec *httptest.ResponseRecorder) []string {
	t.Helper()
	var names []string
	for _, d := range faultOf(t, rec).Error.Details {
		names = append(names, d.Field)
	}
	return names
}

// add makes an external task and returns its id.
func (r *rig) add(t testing.TB, who, body string) string {
	t.Helper()
	rec := r.do(who, http.MethodPost, "/v1/ExternalTasks", body)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	var result struct{ ID string }
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &result))
	return result.ID
}

// subscribe makes a trigger on the rig's flow and returns its address.
func (r *rig) subscribe(t testing.TB, who, config string) string {
	t.Helper()
	rec := r.do(who, http.MethodPost, "/v1/triggers/tasks", `{"config":{"url":"`+r.hook+`",`+config+`}}`)
	require.Equal(t, http.StatusCreated, rec.Code, rec.Body.String())
	return strings.TrimPrefix(rec.Header().Get("Location"), "http://example.com")
}

// call waits for the next notification.
func (r *rig) call(t testing.TB) called {
	t.Helper()
	select {
	case c := <-r.calls:
		return c
	case <-time.After(20 * time.Second):
		require.Fail(t, "no notification came")
		return called{}
	}
}

// next returns the body of the next notification.
func (r *rig) next(t testing.TB) map[string]any {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal(r.call(t).body, &body))
	return body
}

func (r *rig) task(t testing.TB, id string) core.Task {
	t.Helper()
	task, err := r.engine.Task(context.Background(), id)
	require.NoError(t, err)
	return task
}
