package engine_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// hub is an engine on a database, both of which can be opened again.
type hub struct {
	t     *testing.T
	url   string
	clock *coretest.Clock
	db    *store.DB
	*engine.Engine

	mu      sync.Mutex
	events  []core.Event // observed
	woken   []string     // triggers
	observe func(core.Event)
}

// both runs a test on an empty database of each dialect.
func both(t *testing.T, test func(t *testing.T, h *hub)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) {
		h := &hub{t: t, url: url, clock: coretest.NewClock(noon)}
		h.open()
		h.subscribe("all", 0, 0, 0) // an event that nobody wants keeps no task
		test(t, h)
	})
}

func (h *hub) open() {
	h.t.Helper()
	db, err := store.Open(h.t.Context(), store.Options{URL: h.url, Clock: h.clock})
	require.NoError(h.t, err)
	h.t.Cleanup(func() { require.NoError(h.t, db.Close()) })
	require.NoError(h.t, db.Migrate(h.t.Context()))
	h.db = db
	h.Engine = engine.New(engine.Options{
		DB: db, Clock: h.clock,
		Deliver: func(id string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.woken = append(h.woken, id)
		},
		Observe: func(e core.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.events = append(h.events, e)
			if h.observe != nil {
				h.observe(e)
			}
		},
	})
}

// restart is a kill and a new start.
func (h *hub) restart() {
	h.t.Helper()
	require.NoError(h.t, h.db.Close())
	h.open()
}

// keep parses a workflow of these activities and keeps it.
func (h *hub) keep(activities string) *flow.Workflow {
	h.t.Helper()
	w, findings := flow.Parse("workflows/w.yaml", []byte("name: w\nmodality: ExternalTask\nactivities:\n"+activities))
	require.Empty(h.t, findings)
	require.NoError(h.t, h.Keep(h.t.Context(), map[string]*flow.Workflow{"w": w}))
	return w
}

func newTask(w *flow.Workflow) engine.NewTask {
	return engine.NewTask{Workflow: w, Task: core.Task{
		Tenant: "contoso", TenantID: "tenant", Modality: core.ExternalTask, Direction: core.Inbound,
		Service: core.ServiceRef{ID: "1", UPN: "support@contoso.example"}, CustomerIdentifier: "4711",
	}}
}

func idOf(t *core.Task) ([]byte, error) { return []byte(t.ID), nil }

// create makes a task and returns its id.
func (h *hub) create(n engine.NewTask) string {
	h.t.Helper()
	id, err := h.Create(h.t.Context(), n, idOf)
	require.NoError(h.t, err)
	return string(id)
}

func (h *hub) task(id string) core.Task {
	h.t.Helper()
	task, err := h.Task(h.t.Context(), id)
	require.NoError(h.t, err)
	return task
}

// names returns the history of a task as "event state", and checks its places.
func (h *hub) names(id string) []string {
	h.t.Helper()
	events, err := h.History(h.t.Context(), id)
	require.NoError(h.t, err)
	var names []string
	for i, e := range events {
		require.Equal(h.t, i+1, e.Seq)
		require.Equal(h.t, id, e.Task.ID)
		names = append(names, fmt.Sprint(e.Name, " ", e.Task.State))
	}
	return names
}

// subscribe makes a trigger; zero sets mean all.
func (h *hub) subscribe(id string, events, modalities, directions core.Set) {
	h.t.Helper()
	require.NoError(h.t, h.db.Write(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertTrigger(ctx, store.Trigger{
			ID: id, Tenant: "contoso", AddressHash: []byte(id), URL: []byte("sealed"), Services: []string{"support@contoso.example"},
			Events: events, Modalities: modalities, Directions: directions, State: store.TriggerActive, Created: noon,
		})
	}))
}

// outbox returns the deliveries of a trigger as "task seq".
func (h *hub) outbox(trigger string) []string {
	h.t.Helper()
	var names []string
	require.NoError(h.t, h.db.Write(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		names = nil
		waiting, err := tx.Waiting(ctx, trigger, 10000)
		for _, w := range waiting {
			names = append(names, fmt.Sprint(w.TaskID, " ", w.Seq))
		}
		return err
	}))
	return names
}

func allow(*core.Task) error { return nil }

// openTasks says how many open tasks the tenant has.
func (h *hub) openTasks() (open int) {
	h.t.Helper()
	require.NoError(h.t, h.db.Write(h.t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		open, err = tx.AddOpen(ctx, store.Task{ID: "0", Tenant: "contoso", Modality: core.ExternalTask}, 0)
		return err
	}))
	return open
}
