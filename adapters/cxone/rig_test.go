package cxone

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/server"
	"tandem/core/store"
)

func setOf(t testing.TB, texts map[string]string, crm string) *mapping.Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range texts {
		fsys[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, "CRM_ADDRESS", crm)), Mode: 0o644}
	}
	set, findings := mapping.Read(fsys)
	require.Empty(t, findings)
	return set
}

// loadAll loads what the adapter's files speak of.
func loadAll(t testing.TB, set *mapping.Set) (*directory.Directory, *integration.Catalogue, *operation.Catalogue, []string) {
	t.Helper()
	dir, findings := directory.Load(set)
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	operations, findings := operation.Load(set, integrations)
	require.Empty(t, findings)
	var tenants []string
	for _, tenant := range dir.Tenants() {
		tenants = append(tenants, tenant.Name)
	}
	return dir, integrations, operations, tenants
}

// authorizer hands out one credential; renewed counts the refusals it was told.
type authorizer struct {
	err     error
	renewed atomic.Int64
}

func (a *authorizer) Authorize(_ context.Context, _ outbound.Credential, req *http.Request) (int64, error) {
	req.Header.Set("Authorization", "Bearer good")
	return a.renewed.Load(), a.err
}

func (a *authorizer) Rejected(context.Context, outbound.Credential, int64) error {
	a.renewed.Add(1)
	return nil
}

// connections lead all to the fake CRM.
type connections struct {
	r    *rig
	base string
}

func (c connections) Connection(context.Context, outbound.Credential) (integration.Connection, error) {
	if c.r.dead {
		c.base = "http://127.0.0.1:1"
	}
	return integration.Connection{Base: c.base, Settings: map[string]string{}}, nil
}

// sealer is a box that shows whether it was opened in the wrong place.
type sealer struct{}

func (sealer) Seal(place string, plain []byte) []byte {
	sealed := append([]byte(place+"|"), plain...)
	var sum byte
	for i := range sealed {
		sealed[i] ^= 0x5a
		sum += sealed[i]
	}
	return append(sealed, sum)
}

func (sealer) Open(place string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, errors.New("damaged")
	}
	open := make([]byte, len(sealed)-1)
	var sum byte
	for i := range open {
		sum += sealed[i]
		open[i] = sealed[i] ^ 0x5a
	}
	rest, ok := strings.CutPrefix(string(open), place+"|")
	if !ok || sum != sealed[len(open)] {
		return nil, errors.New("damaged")
	}
	return []byte(rest), nil
}

// log keeps the runs that were recorded.
type log struct {
	mu   sync.Mutex
	runs []execution.Run
}

func (l *log) Wanted(string, bool) bool { return true }

func (l *log) Count(string, string, time.Duration) {}

func (l *log) Record(run execution.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, run)
}

func (l *log) all() []execution.Run {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]execution.Run(nil), l.runs...)
}

// runFunc is a runner of a test.
type runFunc func(ctx context.Context, r operation.Request) (*operation.Result, error)

func (f runFunc) Run(ctx context.Context, r operation.Request) (*operation.Result, error) {
	return f(ctx, r)
}

// rig is the adapter on the real server, database and runner.
type rig struct {
	handler http.Handler
	db      *store.DB
	clock   *coretest.Clock
	keys    map[string]string
	auth    *authorizer
	log     *log
	answers *execution.FirstAnswers
	runner  runFunc // nil: the real one
	engine  *engine.Engine
	broken  error         // what the engine says of every task
	refuse  error         // what the store says to a run that writes
	begun   chan struct{} // closed when a flow has begun: no call that writes ends before; nil: as calls say
	dead    bool          // nobody listens where the CRM was

	mu     sync.Mutex
	crm    http.HandlerFunc
	faults []string // that the operator was told
}

func (r *rig) failed(msg string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, msg+": "+err.Error())
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigOn(t, "sqlite:"+filepath.Join(t.TempDir(), "tandem.db"))
}

func newRigOn(t testing.TB, url string) *rig {
	t.Helper()
	ctx := context.Background()
	r := &rig{
		clock: coretest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		keys:  map[string]string{}, auth: &authorizer{}, log: &log{},
	}
	db, err := store.Open(ctx, store.Options{URL: url, Clock: r.clock})
	require.NoError(t, err)
	r.db = db
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Migrate(ctx))

	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		serve := r.crm
		r.mu.Unlock()
		serve(w, req)
	}))
	t.Cleanup(crm.Close)
	r.answerWith(200, `{"id":"c1","records":[]}`)
	client, err := outbound.New(outbound.Options{
		AllowHosts: []string{strings.TrimPrefix(crm.URL, "http://"), "127.0.0.1:1"}, Authorizer: r.auth,
		Chance: func() float64 { return 0 },
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)

	set := setOf(t, files(), crm.URL)
	dir, integrations, operations, tenants := loadAll(t, set)
	all, findings := Load(set, integrations, operations, tenants)
	require.Empty(t, findings)

	real := operation.NewRunner(operation.Options{
		Upstream: client, Connections: connections{r, crm.URL}, Clock: r.clock,
	})
	r.answers = execution.NewFirstAnswers(db, r.clock, r.failed)
	t.Cleanup(func() { r.answers.Wait(context.Background()) })
	recorder := execution.NewRecorder(execution.Options{DB: db, Clock: r.clock, Failed: func(string, error) {}})

	r.engine = engine.New(engine.Options{DB: db, Clock: r.clock})

	srv, err := server.New(server.Options{Clock: r.clock})
	require.NoError(t, err)
	New(Options{
		Callers: server.NewCallers(db, nil), Directory: func() *directory.Directory { return dir },
		Configurations: func() *Configurations { return all },
		Runner: runFunc(func(ctx context.Context, req operation.Request) (*operation.Result, error) {
			if r.runner != nil {
				return r.runner(ctx, req)
			}
			return real.Run(ctx, req)
		}),
		Engine: fragile{r.engine, r}, Answers: refusing{r.answers, r}, Results: execution.NewResults(recorder), Recorder: r.log, Sealer: sealer{}, Clock: r.clock,
		Failed: r.failed,
	}).Mount(srv.Echo())
	r.handler = srv.Echo()

	for _, upn := range []string{admin, agent, clerk, stranger, off, none1} {
		r.keys[upn] = r.key(t, upn, Platform)
	}
	r.keys[other] = r.key(t, admin, "powerautomate")
	r.keys[gone] = r.key(t, "gone@contoso.example", Platform)
	r.keys[wrong], _ = server.NewKey()
	return r
}

func (r *rig) key(t testing.TB, upn, adapter string) string {
	t.Helper()
	_, domain, _ := strings.Cut(upn, "@")
	tenant, _, _ := strings.Cut(domain, ".")
	key, hash := server.NewKey()
	require.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertAPIKey(ctx, store.APIKey{Hash: hash[:], ID: key[:12], Tenant: tenant, Adapter: adapter, UPN: upn})
	}))
	return key
}

// serve exchanges the CRM.
func (r *rig) serve(f http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crm = f
}

// answerWith makes the CRM answer everything alike.
func (r *rig) answerWith(status int, body string, headers ...string) {
	r.serve(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// do makes a call; headers are name, value pairs.
func (r *rig) do(who, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key := r.keys[who]; key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return rec
}

// said is an answer of Workflow Execute.
type said struct {
	Branch    string
	ResultSet map[string]any
	ErrorArgs *errorArgs
	CacheKey  string
}

// execute calls the hub's own form; the status must be 200.
func (r *rig) execute(t testing.TB, who, body string) said {
	t.Helper()
	return saidIn(t, r.do(who, http.MethodPost, "/cxone/v1/workflow-execute", body))
}

func saidIn(t testing.TB, rec *httptest.ResponseRecorder) said {
	t.Helper()
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	var s said
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &s), rec.Body.String())
	require.Equal(t, s.Branch == branchSuccess, s.ErrorArgs == nil)
	require.Equal(t, s.Branch == branchSuccess, s.ResultSet != nil)
	return s
}

// body makes a request of the hub's own form.
func body(t testing.TB, workflow string, payload any, more ...any) string {
	t.Helper()
	m := map[string]any{"configurationId": configID, "workflowId": workflow, "workflowPayload": payload, "contactId": "4711"}
	for i := 0; i < len(more); i += 2 {
		if m[more[i].(string)] = more[i+1]; more[i+1] == nil {
			delete(m, more[i].(string))
		}
	}
	data, err := json.Marshal(m)
	require.NoError(t, err)
	return string(data)
}

type object = map[string]any

// phone is the payload that NICE's snippet makes.
func phone() object { return object{"workflowInput": object{"phoneNumber": "+41445551234"}} }

func subject(text string) object { return object{"workflowInput": object{"subject": text}} }

// addressOf is the address of a workflow in NICE's own form.
func addressOf(configuration, workflow string) string {
	return "/InContactAPI/services/v27.0/agent-integration/configuration/" + configuration + "/workflow/" + workflow
}

func (l *log) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = nil
}
