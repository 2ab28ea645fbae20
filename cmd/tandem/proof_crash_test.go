package main_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

// outage is a hub that comes and goes: writers find the one that is up.
type outage struct {
	mu  sync.Mutex
	hub *sandbox.Hub
	up  chan struct{} // closed when a hub comes up
}

func (o *outage) set(h *sandbox.Hub) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hub = h
	close(o.up)
	o.up = make(chan struct{})
}

// next waits for a hub other than old.
func (o *outage) next(ctx context.Context, old *sandbox.Hub) *sandbox.Hub {
	for {
		o.mu.Lock()
		hub, up := o.hub, o.up
		o.mu.Unlock()
		if hub != nil && hub != old {
			return hub
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil
		}
	}
}

// belief is what a writer knows about a task that it was told exists.
type belief struct {
	removed bool            // acknowledged
	maybe   bool            // a removal was sent and its end is unknown
	value   string          // of the parameter, last acknowledged
	later   map[string]bool // values sent after that, of which nothing is known
}

// writer calls a hub that is killed again and again, and keeps what was
// acknowledged.
type writer struct {
	name   int
	key    string
	chance *rand.Rand
	tasks  map[string]*belief
	order  []string
	acks   *atomic.Int64
	wrong  error // an answer that no kill explains
}

func (w *writer) run(ctx context.Context, o *outage) {
	var hub *sandbox.Hub
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for w.wrong == nil {
		if hub = o.next(ctx, hub); hub == nil {
			return
		}
		conn, err := sandbox.Dial(ctx, strings.TrimPrefix(hub.URL, "http://"), w.key)
		if err != nil {
			continue // killed before
		}
		for n := 0; err == nil && w.wrong == nil && ctx.Err() == nil; n++ {
			err = w.act(conn, n)
			<-tick.C
		}
		conn.Close()
		if ctx.Err() != nil {
			return
		}
	}
}

// act makes one call. The error says that the hub has gone in the middle of it.
func (w *writer) act(c *sandbox.Conn, n int) error {
	if len(w.order) == 0 || w.chance.IntN(10) < 6 {
		status, body, err := c.Do(http.MethodPost, addPath, []byte(`{"serviceUpn":"`+work+`"}`))
		var task struct{ ID string }
		if w.good(status, body, err) && json.Unmarshal(body, &task) == nil {
			w.tasks[task.ID] = &belief{later: map[string]bool{}}
			w.order = append(w.order, task.ID)
		}
		return err
	}
	id := w.order[w.chance.IntN(len(w.order))]
	b := w.tasks[id]
	if b.removed || b.maybe {
		return nil
	}
	if w.chance.IntN(2) == 0 {
		b.maybe = true
		status, body, err := c.Do(http.MethodDelete, addPath+"/"+id, nil)
		b.removed = w.good(status, body, err)
		return err
	}
	value := fmt.Sprintf("%d-%d-%d", w.name, len(w.order), n)
	b.later[value] = true
	status, body, err := c.Do(http.MethodPut, "/v1/tasks/"+id, []byte(`{"customContextParameters":[{"name":"p","value":"`+value+`"}]}`))
	if w.good(status, body, err) {
		b.value, b.later = value, map[string]bool{}
	}
	return err
}

func (w *writer) good(status int, body []byte, err error) bool {
	if err == nil && status != http.StatusOK && status != http.StatusServiceUnavailable {
		w.wrong = fmt.Errorf("answer %d %s", status, body)
	}
	if err != nil || status != http.StatusOK {
		return false
	}
	w.acks.Add(1)
	return true
}

// crashVariable says how often the hub is killed, by who gives the test a machine
// of its own.
const crashVariable = "TANDEM_CRASH_CYCLES"

func crashCycles(t *testing.T) int {
	t.Helper()
	text := os.Getenv(crashVariable)
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, crashVariable)
	return n
}

// TestCrashLosesNothing kills the hub again and again under eight writers. What
// was acknowledged must be there, and every event must reach the flow. It takes
// the machine for itself.
func TestCrashLosesNothing(t *testing.T) {
	r := newRig(t, "")
	key := r.key(t, "powerautomate", admin)
	cycles := crashCycles(t)

	var acks atomic.Int64
	o := &outage{up: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	writers := make([]*writer, 8)
	for i := range writers {
		w := &writer{name: i, key: key, chance: rand.New(rand.NewPCG(uint64(i), 7)), tasks: map[string]*belief{}, acks: &acks}
		writers[i] = w
		running.Go(func() { w.run(ctx, o) })
	}
	var cold []time.Duration
	for i := range cycles {
		h := r.start(t)
		if i == 0 {
			subscribe(t, h, key, r.got.sink.Callback(1), work)
		} else {
			cold = append(cold, h.Cold)
		}
		o.set(h)
		<-time.After(time.Duration(20+rand.IntN(430)) * time.Millisecond) // the random moment
		h.Kill()
	}
	last := r.start(t)
	o.set(last)
	<-time.After(100 * time.Millisecond) // some more work, on a hub that stays
	stop()
	running.Wait()
	slices.Sort(cold)
	if len(cold) > 0 {
		t.Logf("%d kills, %d acknowledged calls (%d a cycle), ready again: p50 %s, p99 %s, max %s", cycles, acks.Load(), acks.Load()/int64(cycles),
			cold[len(cold)/2], cold[(len(cold)-1)*99/100], cold[len(cold)-1])
		if os.Getenv(crashVariable) != "" {
			require.Less(t, cold[(len(cold)-1)*99/100], time.Second)
			require.Less(t, cold[len(cold)-1], 3*time.Second)
		}
	}
	require.Positive(t, acks.Load())

	db := r.open(t)
	require.Eventually(t, func() bool { return count(t, db, "SELECT count(*) FROM deliveries") == 0 }, time.Minute, 20*time.Millisecond)
	require.NoError(t, last.Stop(15*time.Second))
	r.audit(t, db, writers)
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// audit compares the database and the inbox with what the writers know.
func (r *rig) audit(t *testing.T, db *sql.DB, writers []*writer) {
	t.Helper()
	var integrity string
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&integrity))
	require.Equal(t, "ok", integrity)
	require.Zero(t, count(t, db, "SELECT count(*) FROM dead_letters"), "the flow took everything")
	require.Zero(t, count(t, db, "SELECT count(*) FROM tasks WHERE ended_ms IS NULL AND due_ms IS NULL"), "stuck tasks")
	require.Zero(t, count(t, db, "SELECT count(*) FROM events WHERE task_id NOT IN (SELECT id FROM tasks)"), "events of no task")
	require.Equal(t, count(t, db, "SELECT count(*) FROM tasks WHERE ended_ms IS NULL"), count(t, db, "SELECT coalesce(sum(open), 0) FROM open_tasks"), "the count for fair use")

	tasks := map[string]core.Task{}
	rows, err := db.QueryContext(t.Context(), "SELECT data FROM tasks")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var data []byte
		var task core.Task
		require.NoError(t, rows.Scan(&data))
		require.NoError(t, json.Unmarshal(data, &task))
		tasks[task.ID] = task
	}
	require.NoError(t, rows.Err())

	known := 0
	for _, w := range writers {
		require.NoError(t, w.wrong)
		for id, b := range w.tasks {
			known++
			task, ok := tasks[id]
			if !ok {
				require.Fail(t, "an acknowledged task is lost", id)
			}
			if ended := task.State == core.StateTerminated; b.removed && !ended || ended && !b.maybe {
				require.Fail(t, "a task is not in the state that was acknowledged", "%s is %s: %+v", id, task.State, *b)
			}
			value := ""
			if len(task.Parameters) > 0 {
				value = task.Parameters[0].Value
			}
			if value != b.value && !b.later[value] {
				require.Fail(t, "an acknowledged update is lost", "%s has %q: %+v", id, value, *b)
			}
		}
	}
	// A kill between commit and answer leaves a task that nobody was told of,
	// at most one a writer and kill.
	t.Logf("%d tasks, %d of them acknowledged", len(tasks), known)
	r.auditEvents(t, db)
}

// auditEvents looks for events that never reached the flow.
func (r *rig) auditEvents(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT task_id, name FROM events")
	require.NoError(t, err)
	defer rows.Close()
	events, missing := 0, []string{}
	for rows.Next() {
		var task, name string
		require.NoError(t, rows.Scan(&task, &name))
		events++
		if !r.got.has(task, name) {
			missing = append(missing, task+" "+name)
		}
	}
	require.NoError(t, rows.Err())
	require.Empty(t, missing, "events that neither arrived nor wait")
	t.Logf("%d events, all received; %d callbacks", events, r.got.sink.Count())
}

// TestCrashInTheMiddleOfADelay kills the hub while a workflow waits: it goes on
// after the restart, and again in the queue.
func TestCrashInTheMiddleOfADelay(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	key := r.key(t, "powerautomate", admin)
	h := r.start(t)
	subscribe(t, h, key, r.got.sink.Callback(1), slow)
	id := addTask(t, h, key, slow)
	r.got.await(t, id, string(core.SystemAccepted))
	h.Kill()
	require.False(t, r.got.has(id, string(core.Queued)))

	h = r.start(t)
	r.got.await(t, id, string(core.Queued))
	h.Kill()

	h = r.start(t)
	r.got.await(t, id, string(core.Terminated))
	require.NoError(t, h.Stop(15*time.Second))
	want := map[string]bool{"Created": true, "System Accepted": true, "Queued": true, "Queue Left": true, "Terminated": true}
	require.Equal(t, want, r.got.events(id))
}
