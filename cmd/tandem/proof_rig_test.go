package main_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
)

// The tests in proof_*_test.go run the hub as its operator does: the built
// binary, in a process of its own, told by flags and environment only.

// One build serves all tests.
var (
	buildDir string
	build    = sync.OnceValues(func() (string, error) { return sandbox.Build(context.Background(), buildDir) })
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tandem-proof-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const (
	tenant  = "proof"
	admin   = "admin@proof.example"
	owner   = "owner@proof.example"
	work    = "work@proof.example" // its tasks wait in the queue
	slow    = "slow@proof.example" // its tasks wait two seconds, then queue
	addPath = "/v1/ExternalTasks"
)

const proofDirectory = `tenant: proof
limits:
  open_external_tasks: 10000000
users:
  - {upn: admin@proof.example, roles: [Tenant Admin]}
  - {upn: owner@proof.example, roles: [Service Owner]}
services:
  - upn: work@proof.example
    licence: Contact Center
    owners: [owner@proof.example]
    workflows: {ExternalTask: work}
  - upn: slow@proof.example
    licence: Contact Center
    workflows: {ExternalTask: slow}
`

func proofFiles() map[string]string {
	return map[string]string{
		"directory/proof.yaml": proofDirectory,
		"workflows/work.yaml": `name: work
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - activity: Queue Task
    max_queue_time: 24h
  - activity: Disconnect Conversation
`,
		"workflows/slow.yaml": `name: slow
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - activity: Delay
    for: 2s
  - activity: Queue Task
    max_queue_time: 2s
    on_timeout: end
  - id: end
    activity: Disconnect Conversation
`,
	}
}

// rig is what a hub is run with: the binary, a data folder, mapping files and a
// flow that takes all callbacks.
type rig struct {
	sandbox.Setup
	dir string // holds data and mappings
	got *inbox
}

// newRig prepares a hub on SQLite, or on the PostgreSQL database at url.
func newRig(t *testing.T, url string, env ...string) *rig {
	t.Helper()
	binary, err := build()
	require.NoError(t, err)
	r := &rig{dir: t.TempDir(), got: newInbox(t)}
	for name, text := range proofFiles() {
		r.write(t, name, text)
	}
	r.Binary = binary
	r.Env = append([]string{
		"TANDEM_DATA_DIR=" + r.data(), "TANDEM_MAPPINGS_DIR=" + filepath.Join(r.dir, "mappings"),
		"TANDEM_ALLOW_HOSTS=" + r.got.sink.Addr(),
	}, env...)
	if url != "" {
		r.Env = append(r.Env, "TANDEM_DATABASE_URL="+url, "TANDEM_MASTER_KEY="+testKey)
	}
	return r
}

const testKey = "7072707270727072707270727072707270727072707270727072707270727072"

func (r *rig) data() string { return filepath.Join(r.dir, "data") }

func (r *rig) file() string { return filepath.Join(r.data(), "tandem.db") }

// write puts a mapping file in place at once, as an editor does.
func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(r.dir, "mappings", name)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func (r *rig) start(t *testing.T, args ...string) *sandbox.Hub {
	t.Helper()
	h, err := r.Start(t.Context(), nil, args...)
	require.NoError(t, err)
	t.Cleanup(h.Kill)
	return h
}

func (r *rig) key(t *testing.T, adapter, user string) string {
	t.Helper()
	key, err := r.Key(t.Context(), tenant, adapter, user)
	require.NoError(t, err)
	return key
}

// open opens the SQLite file of a hub beside it.
func (r *rig) open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+r.file()+"?_busy_timeout=10000&_query_only=1")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// answer is what a call came to.
type answer struct {
	status int
	body   string
	header http.Header
}

// call makes one call; body is JSON text or empty.
func call(t *testing.T, key, method, url, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	res, err := (&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, string(text), res.Header}
}

// get decodes what an address answers.
func get[T any](t *testing.T, key, url string) T {
	t.Helper()
	a := call(t, key, http.MethodGet, url, "")
	require.Equal(t, http.StatusOK, a.status, a.body)
	var v T
	require.NoError(t, json.Unmarshal([]byte(a.body), &v))
	return v
}

// addTask adds a task and returns its id.
func addTask(t *testing.T, h *sandbox.Hub, key, service string) string {
	t.Helper()
	a := call(t, key, http.MethodPost, h.URL+addPath, `{"serviceUpn":"`+service+`"}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	var task struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(a.body), &task))
	return task.ID
}

// subscribe subscribes a flow to all events of services.
func subscribe(t *testing.T, h *sandbox.Hub, key, callback string, services ...string) {
	t.Helper()
	config := map[string]any{"url": callback, "services": services, "taskEvents": []string{}}
	body, err := json.Marshal(map[string]any{"config": config})
	require.NoError(t, err)
	a := call(t, key, http.MethodPost, h.URL+"/v1/triggers/tasks", string(body))
	require.Equal(t, http.StatusCreated, a.status, a.body)
}

// inbox keeps which events of which tasks arrived.
type inbox struct {
	sink *sandbox.Sink

	mu   sync.Mutex
	seen map[string]map[string]bool // task id, event
	news chan struct{}              // closed and replaced with each event
}

func newInbox(t *testing.T) *inbox {
	t.Helper()
	in := &inbox{seen: map[string]map[string]bool{}, news: make(chan struct{})}
	sink, err := sandbox.NewSink(t.Context(), in.take)
	require.NoError(t, err)
	in.sink = sink
	t.Cleanup(sink.Close)
	return in
}

func (in *inbox) take(body []byte) {
	var ev sandbox.Event
	if json.Unmarshal(body, &ev) != nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.seen[ev.TaskID] == nil {
		in.seen[ev.TaskID] = map[string]bool{}
	}
	in.seen[ev.TaskID][ev.Event] = true
	close(in.news)
	in.news = make(chan struct{})
}

// has tells whether an event of a task has arrived.
func (in *inbox) has(task, event string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.seen[task][event]
}

// events are the events of a task that have arrived.
func (in *inbox) events(task string) map[string]bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return maps.Clone(in.seen[task])
}

// await waits until an event of a task has arrived.
func (in *inbox) await(t *testing.T, task, event string) {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		in.mu.Lock()
		seen, news := in.seen[task][event], in.news
		in.mu.Unlock()
		if seen {
			return
		}
		select {
		case <-news:
		case <-limit:
			require.Fail(t, "an event did not arrive", "%s of %s; there are %v", event, task, in.events(task))
		}
	}
}
