package engine_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/store"
)

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	require.NoError(t, err)
	return data
}

// run starts the engine's clock. The returned function ends it.
func (h *hub) run(failed func(string, error)) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var group sync.WaitGroup
	group.Go(func() { h.Run(ctx, failed) })
	return func() {
		cancel()
		group.Wait()
	}
}

// ends returns a channel that gets the id of each task that ends.
func (h *hub) ends() <-chan string {
	ended := make(chan string, 10000)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observe = func(e core.Event) {
		if e.Name == core.Terminated {
			ended <- e.Task.ID
		}
	}
	return ended
}

func (h *hub) noFailure(id string, err error) { h.t.Errorf("%s: %v", id, err) }

func TestADelaySurvivesARestart(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep("  - {activity: Delay, for: 2h}\n  - {activity: Accept Conversation}\n")))
		h.restart()
		h.clock.Advance(2*time.Hour - time.Millisecond)
		require.NoError(t, h.Due(t.Context(), id))
		require.Len(t, h.names(id), 1, "not yet")
		h.clock.Advance(time.Millisecond)
		ended := h.ends()
		stop := h.run(h.noFailure)
		require.Equal(t, id, <-ended)
		stop()
		require.Equal(t, []string{"Created created", "System Accepted accepted", "Terminated terminated"}, h.names(id))
		require.Equal(t, h.clock.Now(), h.task(id).Terminated)
	})
}

func TestWaitForParameter(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		w := h.keep(`
  - {activity: Wait for Parameter, parameter: Site, timeout: 30s, next: known, on_timeout: unknown}
  - {id: unknown, activity: Save to Parameter, parameter: Site, value: unknown, next: queue}
  - {id: known, activity: Set Priority, priority: High}
  - {id: queue, activity: Queue Task, max_queue_time: 1m}
`)
		known, unknown := h.create(newTask(w)), h.create(newTask(w))
		set := func(name, value string) {
			require.NoError(t, h.Update(t.Context(), known, engine.Changes{Parameters: []core.NamedValue{{Name: name, Value: value}}}, nil, allow))
		}
		set("Other", "x")
		set("Site", "")
		require.Equal(t, core.StateCreated, h.task(known).State)
		set("Site", "north")
		require.Equal(t, core.StateQueued, h.task(known).State)
		require.Equal(t, core.PriorityHigh, h.task(known).Priority)
		require.Equal(t, []string{"Created created", "Queued queued"}, h.names(known))

		h.clock.Advance(30 * time.Second)
		for _, id := range []string{known, unknown} {
			require.NoError(t, h.Due(t.Context(), id))
		}
		require.Equal(t, core.PriorityNormal, h.task(unknown).Priority)
		require.Equal(t, []string{"Created created", "Parameter Updated created", "Queued queued"}, h.names(unknown))
		require.Len(t, h.names(known), 2, "its old timer is gone")

		h.clock.Advance(time.Minute)
		ended := h.ends()
		stop := h.run(h.noFailure)
		require.ElementsMatch(t, []string{known, unknown}, []string{<-ended, <-ended})
		stop()
		require.Equal(t, []string{"Created created", "Queued queued", "Queue Left accepted", "Terminated terminated"}, h.names(known))
	})
}

// The engine's own timer, and the signal of a new due time that is earlier.
func TestRunWaitsForTheNextDueTime(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		e := engine.New(engine.Options{DB: h.db, Clock: core.SystemClock{}, Observe: func(ev core.Event) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.observe(ev)
		}})
		h.Engine = e
		ended := h.ends()
		stop := h.run(h.noFailure)
		defer stop()
		h.create(newTask(h.keep("  - {activity: Delay, for: 1h}\n")))
		var ids []string
		for range 3 {
			ids = append(ids, h.create(newTask(h.keep("  - {activity: Delay, for: 30ms}\n  - {activity: Delay, for: 30ms}\n"))))
		}
		require.ElementsMatch(t, ids, []string{<-ended, <-ended, <-ended})
	})
}

// A machine that slept: its clock jumps, its timers do not.
func TestWakeAfterTheClockHasJumped(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		ended := h.ends()
		id := h.create(newTask(h.keep("  - {activity: Delay, for: 1h}\n")))
		stop := h.run(h.noFailure)
		defer stop()
		first := h.create(newTask(h.keep("  - {activity: Delay, for: 1ms}\n"))) // Run has looked once when this has ended
		h.clock.Advance(time.Millisecond)
		require.Equal(t, first, <-ended)
		h.clock.Advance(time.Hour)
		require.Equal(t, id, <-ended)
	})
}

func TestManyDueTasks(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep("  - {activity: Delay, for: 1m}\n"))
		var group sync.WaitGroup
		const tasks = 600
		for range tasks {
			group.Go(func() {
				if _, err := h.Create(t.Context(), n, idOf); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, tasks, h.openTasks())
		ended := h.ends()
		h.clock.Advance(time.Minute)
		// Two replicas at once: each task is stepped once.
		stop, stopOther := h.run(h.noFailure), h.run(h.noFailure)
		seen := map[string]bool{}
		for range tasks {
			id := <-ended
			require.False(t, seen[id])
			seen[id] = true
		}
		stop()
		stopOther()
		require.Empty(t, ended)
		require.Zero(t, h.openTasks())
	})
}

// More tasks than are read at a time cannot be stepped; the others go on.
func TestTasksThatCannotBeSteppedHoldUpNoOthers(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		const poisoned = 300
		n := newTask(h.keep("  - {activity: Delay, for: 1m}\n"))
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for range poisoned {
				id := core.NewID(noon)
				err := tx.InsertTask(ctx, store.Task{
					ID: id, Tenant: "contoso", Modality: core.ExternalTask, Workflow: "none",
					Cursor: marshal(t, flow.Cursor{Waiting: true, Until: noon}), Due: noon, Events: 1, Data: marshal(t, core.Task{ID: id, Tenant: "contoso"}),
				})
				if err != nil {
					return err
				}
			}
			return nil
		}))
		good := h.create(n)
		h.clock.Advance(time.Minute)
		var mu sync.Mutex
		failures := map[string]int{}
		failed := make(chan struct{}, 100*poisoned)
		ended := h.ends()
		stop := h.run(func(id string, err error) {
			mu.Lock()
			defer mu.Unlock()
			failures[id]++
			failed <- struct{}{}
			if err == nil {
				t.Error("no error")
			}
		})
		require.Equal(t, good, <-ended)
		for range poisoned {
			<-failed
		}
		mu.Lock()
		require.Len(t, failures, poisoned)
		for id, n := range failures {
			require.Equal(t, 1, n, id)
		}
		mu.Unlock()

		// It is tried again later, and goes on when the reason is gone.
		w := n.Workflow
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveWorkflow(ctx, "none", w.Name, w.Text)
		}))
		h.clock.Advance(5 * time.Second)
		for range poisoned {
			<-ended
		}
		stop()
	})
}

// A task that can never be stepped does not stay open for ever.
func TestATaskThatIsNeverSteppedEnds(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep("  - {activity: Delay, for: 1m}\n")))
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			row, err := tx.Task(ctx, id)
			if err != nil {
				return err
			}
			row.Cursor = []byte(`{"at":0,"waiting":true,"until":"not a time"}`)
			return tx.UpdateTask(ctx, row)
		}))
		require.Error(t, h.Due(t.Context(), id))

		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertTask(ctx, store.Task{
				ID: "lost", Tenant: "contoso", Modality: core.ExternalTask, Workflow: "none",
				Cursor: marshal(t, flow.Cursor{Waiting: true, Until: noon}), Due: noon, Data: marshal(t, core.Task{ID: "lost", Tenant: "contoso", Created: noon}),
			})
		}))
		failed := make(chan struct{}, 100)
		ended := h.ends()
		stop := h.run(func(id string, _ error) {
			if id == "lost" {
				failed <- struct{}{}
			}
		})
		defer stop()
		for range 10 {
			<-failed
			h.clock.Advance(time.Hour)
		}
		require.Equal(t, "lost", <-ended)
		require.Equal(t, core.StateTerminated, h.task("lost").State)
	})
}

func TestATaskWhoseWorkflowIsGoneCanBeRemoved(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertTask(ctx, store.Task{
				ID: "a", Tenant: "contoso", Modality: core.ExternalTask, Workflow: "none",
				Cursor: marshal(t, flow.Cursor{Waiting: true, Until: noon}), Due: noon, Data: marshal(t, core.Task{ID: "a", Tenant: "contoso"}),
			})
		}))
		require.ErrorContains(t, h.Due(t.Context(), "a"), "workflow none")
		err := h.Update(t.Context(), "a", engine.Changes{}, nil, allow)
		require.Equal(t, core.Internal, core.KindOf(err), "the task is there")
		require.NoError(t, h.Remove(t.Context(), "a", nil, allow))
		require.Equal(t, core.StateTerminated, h.task("a").State)
	})
}

// A replica that could not step a task left its count on one that another had
// ended meanwhile.
func TestAnEndedTaskIsNotPutOff(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertTask(ctx, store.Task{
				ID: "lost", Tenant: "contoso", Modality: core.ExternalTask, Workflow: "none",
				Cursor: marshal(t, flow.Cursor{Waiting: true, Until: noon}), Due: noon, Data: marshal(t, core.Task{ID: "lost", Tenant: "contoso"}),
			})
		}))
		first, once := make(chan struct{}), sync.Once{}
		stop := h.run(func(string, error) { once.Do(func() { close(first) }) })
		<-first
		require.NoError(t, h.Remove(t.Context(), "lost", nil, allow))
		stop()
		row, err := h.db.Task(t.Context(), "lost")
		require.NoError(t, err)
		require.Zero(t, row.Due)
		require.Zero(t, row.Failures)
		require.NoError(t, h.Due(t.Context(), "lost"))
	})
}
