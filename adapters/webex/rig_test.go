package webex

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/coretest"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/outbox"
	"tandem/core/server"
	"tandem/core/store"
	"tandem/mappings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The people and services of the shipped directory.
const (
	anAdmin  = "admin@contoso.example"
	anOwner  = "owner@contoso.example" // of support alone
	aUnit    = "ouadmin@contoso.example"
	anAgent  = "agent1@contoso.example"
	another  = "agent2@contoso.example"
	stranger = "admin@fabrikam.example"

	aLocal   = "support@contoso.example"
	aRemote  = "field@contoso.example"
	itsQueue = "5f2f9b11-0f4c-4c3e-8f0b-5a0f7c1e94f1"
	theHook  = "https://hooks.contoso.example/in/secret-path?sig=secret-signature"
)

// hidingBox keeps what it seals from being read, and minds its place.
type hidingBox struct{}

func (hidingBox) Seal(place string, plain []byte) []byte {
	return veil(append([]byte(place+"|"), plain...))
}

func (hidingBox) Open(place string, sealed []byte) ([]byte, error) {
	plain, ok := bytes.CutPrefix(veil(sealed), []byte(place+"|"))
	if !ok {
		return nil, errors.New("damaged")
	}
	return plain, nil
}

func veil(b []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i] ^ 0x5a
	}
	return out
}

// signature is that of the rig's tenant.
func signature(tenant, id string, at time.Time, body []byte) (string, error) {
	return fmt.Sprintf("v1,%s/%s/%d/%x", tenant, id, at.Unix(), body), nil
}

// hooked is an engine in which something may go wrong.
type hooked struct {
	*engine.Engine

	r *nodeRig
}

func (h hooked) Find(ctx context.Context, ref engine.Ref) (core.Task, error) {
	if err := h.r.fault(); err != nil {
		return core.Task{}, err
	}
	return h.Engine.Find(ctx, ref)
}

func (h hooked) Create(ctx context.Context, n engine.NewTask, answer func(*core.Task) ([]byte, error)) ([]byte, error) {
	if err := h.r.fault(); err != nil {
		return nil, err
	}
	body, err := h.Engine.Create(ctx, n, answer)
	if err == nil { // a try that was thrown away, and in which another task was the first
		_, _ = answer(&core.Task{ID: "nobody's"})
	}
	return body, err
}

func (h hooked) CreateIn(ctx context.Context, tx *store.Tx, n engine.NewTask) (core.Task, error) {
	if err := h.r.fault(); err != nil {
		return core.Task{}, err
	}
	return h.Engine.CreateIn(ctx, tx, n)
}

func (h hooked) Change(ctx context.Context, ref engine.Ref, allow engine.Allow, change engine.Changing) (core.Task, error) {
	if err := h.r.fault(); err != nil {
		return core.Task{}, err
	}
	return h.Engine.Change(ctx, ref, allow, change)
}

// nodeRig is the adapter on the real server, engine, bridge and database, over
// the shipped mapping files; the outside is the test's.
type nodeRig struct {
	*Adapter

	clock   *coretest.Clock
	db      *store.DB
	engine  *engine.Engine
	bridge  *bridge.Bridge
	handler http.Handler
	post    *postbox
	worker  atomic.Pointer[outbox.Worker]

	authorized atomic.Bool // the default authorization
	listening  atomic.Bool
	made       atomic.Int64

	mu      sync.Mutex
	fail    func() error        // what befalls the engine
	asked   outbound.Credential // last
	answers map[string]func(ctx context.Context, r operation.Request) (any, error)
	ran     []operation.Request
	runs    []execution.Run
	faults  []string
}

func (r *nodeRig) fault() error {
	r.mu.Lock()
	fail := r.fail
	r.mu.Unlock()
	if fail == nil {
		return nil
	}
	return fail()
}

func (r *nodeRig) befall(fail func() error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

// loaded is what the adapter's neighbours made of the mapping files.
type loaded struct {
	directory    *directory.Directory
	integrations *integration.Catalogue
	operations   *operation.Catalogue
	flows        map[string]*flow.Workflow
}

// shipped are the mapping files as they are shipped, read once for all tests.
var shipped = sync.OnceValues(func() (loaded, error) { return load() })

// load reads the shipped mapping files with some texts of the directory, or of the
// nodes, replaced.
func load(change ...string) (l loaded, err error) {
	files := fstest.MapFS{}
	err = fs.WalkDir(mappings.FS, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(mappings.FS, path)
		if path == "directory/contoso.yaml" || path == "webex/nodes.yaml" {
			data = []byte(strings.NewReplacer(change...).Replace(string(data)))
		}
		files[path] = &fstest.MapFile{Data: data, Mode: 0o644}
		return err
	})
	if err != nil {
		return l, err
	}
	set, all := mapping.Read(files)
	var findings []mapping.Finding
	l.directory, findings = directory.Load(set)
	all = append(all, findings...)
	l.integrations, findings = integration.Load(set)
	all = append(all, findings...)
	l.operations, findings = operation.Load(set, l.integrations)
	all = append(all, findings...)
	if l.flows, findings = flow.Load(set); len(all)+len(findings) > 0 {
		return l, fmt.Errorf("%v %v", all, findings)
	}
	return l, nil
}

func newNodeRig(t testing.TB, url string, change ...string) *nodeRig {
	t.Helper()
	r := &nodeRig{
		clock: coretest.NewClock(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)), answers: map[string]func(context.Context, operation.Request) (any, error){},
		post: &postbox{got: make(chan posted, 100)},
	}
	r.authorized.Store(true)
	r.db = eventDB(t, url, r.clock)
	l, err := shipped()
	if len(change) > 0 {
		l, err = load(change...)
	}
	require.NoError(t, err)
	r.engine = engine.New(engine.Options{DB: r.db, Clock: r.clock, Outbox: r.wake})
	all := maps.Clone(l.flows)
	maps.Copy(all, Workflows())
	require.NoError(t, r.engine.Keep(context.Background(), all))
	answers := execution.NewFirstAnswers(r.db, r.clock, func(string, error) {})
	t.Cleanup(func() { answers.Wait(context.Background()) })
	catalogue, people := func() *integration.Catalogue { return l.integrations }, func() *directory.Directory { return l.directory }
	r.bridge = bridge.New(bridge.Options{
		DB: r.db, Engine: r.engine, Runner: r, Answers: answers, Recorder: r, Clock: r.clock, Failed: r.failed,
		Directory: people, Integrations: catalogue,
		Operations: func() *operation.Catalogue { return l.operations },
	})
	hosts, err := outbound.NewHosts([]string{"hooks.contoso.example"}, nil)
	require.NoError(t, err)
	r.Adapter = New(Options{
		DB: r.db, Callers: r, Directory: people, Integrations: catalogue,
		Workflow:  func(name string) *flow.Workflow { return l.flows[name] },
		Listening: func(string) bool { return r.listening.Load() }, Connections: r, Engine: hooked{r.engine, r}, Bridge: r.bridge,
		Recorder: r, Box: hidingBox{}, Hosts: hosts, Sender: r.post, Sign: signature, Clock: r.clock, Wake: r.wake, Failed: r.failed,
	})
	srv, err := server.New(server.Options{Clock: r.clock})
	require.NoError(t, err)
	r.Mount(srv.Echo())
	r.handler = srv.Echo()
	return r
}

func (r *nodeRig) wake() {
	if w := r.worker.Load(); w != nil {
		w.Wake()
	}
}

// works starts a worker of the outbox, and returns what ends it.
func (r *nodeRig) works(t testing.TB) (stop func()) {
	t.Helper()
	handlers := r.bridge.Handlers()
	maps.Copy(handlers, r.Handlers())
	w := outbox.New(outbox.Options{DB: r.db, Clock: r.clock, Handlers: handlers, Failed: r.failed, Look: 5 * time.Millisecond})
	r.worker.Store(w)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

func (r *nodeRig) failed(msg string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, msg+": "+err.Error())
}

// Authenticate takes the key for the name of the user.
func (r *nodeRig) Authenticate(req *http.Request, adapter string) (core.Caller, error) {
	upn := req.Header.Get("X-Api-Key")
	_, domain, ok := strings.Cut(upn, "@")
	if !ok || adapter != Platform {
		return core.Caller{}, core.Errorf(core.Unauthenticated, "The API key is unknown or revoked.")
	}
	tenant, _, _ := strings.Cut(domain, ".")
	return core.Caller{Tenant: tenant, UPN: upn, Adapter: adapter}, nil
}

// Connection knows the default authorization and one that is named Good.
func (r *nodeRig) Connection(_ context.Context, c outbound.Credential) (integration.Connection, error) {
	r.mu.Lock()
	r.asked = c
	r.mu.Unlock()
	if c.Name == "Good" || c.Name == "" && r.authorized.Load() {
		return integration.Connection{Base: "https://api.example"}, nil
	}
	return integration.Connection{}, &core.Error{Kind: core.NeedsAuthorization, Code: outbound.CodeAuthorizationRequired, Message: "no authorization"}
}

// Run answers for the outside.
func (r *nodeRig) Run(ctx context.Context, req operation.Request) (*operation.Result, error) {
	r.mu.Lock()
	r.ran = append(r.ran, req)
	answer := r.answers[req.Operation.Name]
	if answer == nil {
		answer = r.answers["*"]
	}
	r.mu.Unlock()
	result := &operation.Result{Mask: req.Operation.Mask(req.Input)}
	var err error
	if answer != nil {
		result.Output, err = answer(ctx, req)
	}
	return result, err
}

// answer sets what an operation gives; "*" is any without an own answer.
func (r *nodeRig) answer(name string, output any, err error) {
	r.answerBy(name, func(context.Context, operation.Request) (any, error) { return output, err })
}

func (r *nodeRig) answerBy(name string, do func(ctx context.Context, q operation.Request) (any, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[name] = do
}

// did returns the operations since it was last asked, and the input of the last.
func (r *nodeRig) did() (names []string, input map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.ran {
		names, input = append(names, q.Operation.Name), q.Input
	}
	r.ran = nil
	return names, input
}

// Count, Wanted and Record are a recorder.
func (r *nodeRig) Count(string, string, time.Duration) {}
func (r *nodeRig) Wanted(string, bool) bool            { return true }
func (r *nodeRig) Record(run execution.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, run)
}

// recorded returns the runs since it was last asked.
func (r *nodeRig) recorded() []execution.Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	runs := r.runs
	r.runs = nil
	return runs
}

// said1 is an answer of a node.
type said1 struct {
	Outcome       string
	Outputs       map[string]any
	Error         *failure
	CorrelationID string
	Text          string
}

// do calls a node with any body.
func (r *nodeRig) do(who, path string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/webex/v1/nodes/"+path, bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if who != "" {
		req.Header.Set("X-Api-Key", who)
	}
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return rec
}

// call calls a method; the answer must be of the one form, with the status and an
// outcome of the method's row.
func (r *nodeRig) call(t require.TestingT, who, path string, body map[string]any, status int) said1 {
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return saidIn(t, path, r.do(who, path, text), status)
}

func saidIn(t require.TestingT, path string, rec *httptest.ResponseRecorder, status int) said1 {
	text := rec.Body.String()
	require.Equal(t, status, rec.Code, text)
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	var s said1
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &s), text)
	s.Text = text
	require.NotNil(t, s.Outputs, text)
	require.NotEmpty(t, s.CorrelationID)
	node, name, _ := strings.Cut(path, "/")
	if m, ok := methodOf(node, name); ok && s.Outcome != "" {
		require.Contains(t, said(m), s.Outcome, text)
	}
	if s.Error != nil {
		require.NotEmpty(t, s.Error.Code)
	}
	return s
}

// ok calls a method for the admin.
func (r *nodeRig) ok(t require.TestingT, path string, body map[string]any) said1 {
	return r.call(t, anAdmin, path, body, http.StatusOK)
}

// uuid is one that nobody has.
func (r *nodeRig) uuid() string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", r.made.Add(1)) }

// of finds a task by the name that the flow gave it.
func (r *nodeRig) of(t require.TestingT, id string) core.Task {
	task, err := r.engine.Find(context.Background(), engine.Ref{Tenant: "contoso", Platform: Platform, ID: id})
	require.NoError(t, err)
	return task
}

// history are the events of a task.
func (r *nodeRig) history(t require.TestingT, id string) string {
	events, err := r.engine.History(context.Background(), r.of(t, id).ID)
	require.NoError(t, err)
	var names []string
	for _, ev := range events {
		names = append(names, string(ev.Name))
	}
	return strings.Join(names, ", ")
}
