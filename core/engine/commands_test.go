package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/store"
)

const support = `
  - activity: Accept Conversation
  - {activity: Save to Parameter, parameter: Origin, from: customerIdentifier}
  - {activity: Set Priority, priority: High}
  - {activity: Queue Task, max_queue_time: 10m}
`

func TestCreate(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		w := h.keep(support)
		var answered core.Task
		id, err := h.Create(t.Context(), newTask(w), func(task *core.Task) ([]byte, error) {
			answered = *task
			return []byte(task.ID), nil
		})
		require.NoError(t, err)
		task := h.task(string(id))
		require.Equal(t, answered, task)
		require.Equal(t, core.StateQueued, task.State)
		require.Equal(t, core.PriorityHigh, task.Priority)
		require.Equal(t, noon, task.Created)
		require.Equal(t, noon, task.Queued)
		require.Equal(t, []string{"Created created", "System Accepted accepted", "Parameter Updated accepted", "Queued queued"}, h.names(task.ID))

		events, err := h.History(t.Context(), task.ID)
		require.NoError(t, err)
		require.Equal(t, core.PriorityNormal, events[0].Task.Priority, "an event keeps the task as it was")
		require.Empty(t, events[0].Task.Parameters)
		require.Equal(t, &core.NamedValue{Name: "Origin", Value: "4711"}, events[2].Parameter)
		require.Equal(t, core.PriorityNormal, events[2].Task.Priority)
		require.Equal(t, []core.NamedValue{{Name: "Origin", Value: "4711"}}, events[3].Task.Parameters)
		require.Equal(t, events, h.events, "observed after the commit, in order")
		require.Equal(t, []string{"all"}, h.woken)
		require.Equal(t, []string{task.ID + " 1", task.ID + " 2", task.ID + " 3", task.ID + " 4"}, h.outbox("all"))
	})
}

func TestCreateOfATaskThatEndsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep("  - {activity: Disconnect Conversation}\n"))
		n.MaxOpen = 1
		for range 3 {
			id := h.create(n)
			require.Equal(t, []string{"Created created", "Terminated terminated"}, h.names(id))
			require.Equal(t, noon, h.task(id).Terminated)
		}
		require.Zero(t, h.openTasks())
	})
}

func TestUnknownTask(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		_, err := h.Task(t.Context(), "none")
		require.Equal(t, core.NotFound, core.KindOf(err))
		events, err := h.History(t.Context(), "none")
		require.NoError(t, err)
		require.Empty(t, events)
		err = h.Update(t.Context(), "none", engine.Changes{}, nil, allow)
		require.Equal(t, core.NotFound, core.KindOf(err))
		require.ErrorContains(t, err, `"none"`)
		require.Equal(t, core.NotFound, core.KindOf(h.Remove(t.Context(), "none", nil, allow)))
		require.NoError(t, h.Due(t.Context(), "none"))
	})
}

func TestUpdate(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep(support)))
		before := h.outbox("all")
		users := []core.PreferredUser{{UPN: "agent1@contoso.example", Priority: 1}}
		update := func(c engine.Changes) core.Task {
			require.NoError(t, h.Update(t.Context(), id, c, nil, allow))
			return h.task(id)
		}
		task := update(engine.Changes{
			Customer:       func(c *core.Customer) { c.City = "Bern" },
			Parameters:     []core.NamedValue{{Name: "Origin", Value: "new"}, {Name: "B", Value: "b"}},
			PreferredUsers: &users,
		})
		require.Equal(t, "Bern", task.Customer.City)
		require.Equal(t, []core.NamedValue{{Name: "Origin", Value: "new"}, {Name: "B", Value: "b"}}, task.Parameters)
		require.Equal(t, users, task.PreferredUsers)
		require.Equal(t, task, update(engine.Changes{}), "nothing given, nothing changed")
		require.Empty(t, update(engine.Changes{PreferredUsers: &[]core.PreferredUser{}}).PreferredUsers)
		require.Equal(t, before, h.outbox("all"), "an update by a flow raises no event")
		require.Len(t, h.names(id), 4)

		require.NoError(t, h.Remove(t.Context(), id, nil, allow))
		err := h.Update(t.Context(), id, engine.Changes{}, nil, allow)
		require.Equal(t, core.Conflict, core.KindOf(err))
	})
}

func TestAllowDecidesInsideTheTransaction(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep(support)))
		no := errors.New("no")
		deny := func(task *core.Task) error {
			require.Equal(t, id, task.ID)
			task.CustomerIdentifier = "changed"
			return no
		}
		key := &engine.Key{Name: "update/k"}
		require.ErrorIs(t, h.Update(t.Context(), id, engine.Changes{Parameters: []core.NamedValue{{Name: "x"}}}, key, deny), no)
		require.ErrorIs(t, h.Remove(t.Context(), id, key, deny), no)
		require.Equal(t, "4711", h.task(id).CustomerIdentifier)
		require.Len(t, h.names(id), 4)
		require.NoError(t, h.Remove(t.Context(), id, &engine.Key{Name: "update/k", BodyHash: [32]byte{1}}, allow), "a refusal burns no key")
	})
}

func TestRemoveFromEachState(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		for _, c := range []struct {
			activities string
			want       []string
		}{
			{"  - {activity: Delay, for: 1h}\n", []string{"Created created"}},
			{"  - {activity: Accept Conversation}\n  - {activity: Delay, for: 1h}\n", []string{"Created created", "System Accepted accepted"}},
			{"  - {activity: Queue Task, max_queue_time: 1h}\n", []string{"Created created", "Queued queued", "Queue Left accepted"}},
		} {
			id := h.create(newTask(h.keep(c.activities)))
			h.clock.Advance(time.Second)
			for range 2 {
				require.NoError(t, h.Remove(t.Context(), id, nil, allow))
			}
			require.Equal(t, append(c.want, "Terminated terminated"), h.names(id))
			task := h.task(id)
			require.Equal(t, core.StateTerminated, task.State)
			require.Equal(t, h.clock.Now(), task.Terminated)
			require.Zero(t, h.openTasks())
		}
		ids, err := h.db.DueTasks(t.Context(), noon.Add(1000*time.Hour), 9)
		require.NoError(t, err)
		require.Empty(t, ids, "nothing wakes what has ended")
	})
}

// States that no command of this package reaches are met all the same.
func TestRemoveWhileAnAgentHasIt(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		for state, left := range map[core.State]bool{core.StateOffered: true, core.StateConnected: false} {
			id := h.create(newTask(h.keep("  - {activity: Queue Task, max_queue_time: 1h}\n")))
			h.setState(id, state)
			require.NoError(t, h.Remove(t.Context(), id, nil, allow))
			want := []string{"Created created", "Queued queued"}
			if left {
				want = append(want, "Queue Left accepted")
			}
			require.Equal(t, append(want, "Terminated terminated"), h.names(id), state)
		}
	})
}

func TestFairUseLimit(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep(support))
		n.MaxOpen = 3
		n.Key = &engine.Key{Name: "create/k"}
		var ids []string
		for range 3 {
			n.Key = nil
			ids = append(ids, h.create(n))
		}
		refused := func() {
			n.Key = &engine.Key{Name: "create/k"}
			_, err := h.Create(t.Context(), n, idOf)
			var limit *core.Error
			require.ErrorAs(t, err, &limit)
			require.Equal(t, core.Throttled, limit.Kind)
			require.Equal(t, "FAIR_USE_LIMIT", limit.Code)
			require.Positive(t, limit.RetryAfter)
			require.Equal(t, 3, h.openTasks(), "a refusal counts nothing")
		}
		refused()
		refused()
		other := n
		other.Task.Tenant = "fabrikam"
		h.create(other)
		require.NoError(t, h.Remove(t.Context(), ids[0], nil, allow))
		h.create(n) // the key of the refusals is not burnt
		n.Key = nil
		_, err := h.Create(t.Context(), n, idOf)
		require.Equal(t, core.Throttled, core.KindOf(err))
		h.clock.Advance(10 * time.Minute) // the queue's time passes: two end
		for _, id := range ids[1:] {
			require.NoError(t, h.Due(t.Context(), id))
		}
		require.Equal(t, 1, h.openTasks())
		h.create(n)
	})
}

func TestATaskKeepsItsWorkflow(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep("  - {activity: Delay, for: 1h}\n  - {activity: Set Priority, priority: Low}\n")))
		h.keep("  - {activity: Delay, for: 1h}\n  - {activity: Set Priority, priority: High}\n")
		h.restart()
		h.clock.Advance(time.Hour)
		require.NoError(t, h.Due(t.Context(), id))
		require.Equal(t, core.PriorityLow, h.task(id).Priority)
	})
}

// setState puts a task into a state behind the engine's back.
func (h *hub) setState(id string, state core.State) {
	h.t.Helper()
	task := h.task(id)
	task.State = state
	h.setRow(id, func(row *store.Task) { row.Data = marshal(h.t, task) })
}

func (h *hub) setRow(id string, change func(*store.Task)) {
	h.t.Helper()
	require.NoError(h.t, h.db.Write(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.Task(ctx, id)
		if err != nil {
			return err
		}
		change(&row)
		return tx.UpdateTask(ctx, row)
	}))
}
