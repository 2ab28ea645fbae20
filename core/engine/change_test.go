package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/store"
)

const queueTenMinutes = "  - activity: Accept Conversation\n  - {activity: Queue Task, max_queue_time: 10m}\n  - activity: Disconnect Conversation\n"

var (
	ann = core.UserRef{ID: "a1", UPN: "Agent1@contoso.example"}
	ben = core.UserRef{ID: "a2", UPN: "agent2@contoso.example"}
)

func (h *hub) change(id string, change func(c *engine.Change) error) (core.Task, error) {
	return h.Change(h.t.Context(), engine.Ref{Tenant: "contoso", ID: id}, nil,
		func(_ context.Context, _ *store.Tx, c *engine.Change) error { return change(c) })
}

// items returns what is to be done outside for a task, as "kind payload".
func (h *hub) items() []string {
	h.t.Helper()
	var list []string
	require.NoError(h.t, h.db.Write(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		list = nil
		claimed, err := tx.ClaimOutbox(ctx, []string{"remote", "operation"}, h.clock.Now(), "test", time.Minute, 100)
		for _, it := range claimed {
			list = append(list, it.Kind+" "+string(it.Payload))
		}
		return err
	}))
	return list
}

func TestAgentsTakeAndReturnTasks(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep(queueTenMinutes)))
		h.clock.Advance(90 * time.Second)
		task, err := h.change(id, func(c *engine.Change) error { return c.Offer() })
		require.NoError(t, err)
		require.Equal(t, core.StateOffered, task.State)
		queued, err := h.db.QueuedTasks(t.Context(), "contoso", []string{"support@contoso.example"}, 10)
		require.NoError(t, err)
		require.Len(t, queued, 1)

		task, err = h.change(id, func(c *engine.Change) error { return c.Connect(ann, false) })
		require.NoError(t, err)
		require.Equal(t, core.StateConnected, task.State)
		_, err = h.change(id, func(c *engine.Change) error { return c.Connect(ann, false) })
		require.NoError(t, err, "again is nothing")
		_, err = h.change(id, func(c *engine.Change) error { return c.Connect(ben, false) })
		require.Equal(t, core.Conflict, core.KindOf(err))
		mine, err := h.db.TasksOfAgent(t.Context(), "contoso", "agent1@contoso.example", 10)
		require.NoError(t, err)
		require.Len(t, mine, 1)
		waits, err := h.db.QueueMinutes(t.Context(), "contoso", "support@contoso.example", h.clock.Now(), 5)
		require.NoError(t, err)
		require.Len(t, waits, 1)
		require.InDelta(t, 90_000, waits[0].Sum, 0)

		// Somebody at work is not cut off by the time in the queue.
		h.clock.Advance(time.Hour)
		require.NoError(t, h.Due(t.Context(), id))
		require.Equal(t, core.StateConnected, h.task(id).State)
		_, err = h.change(id, func(c *engine.Change) error { return c.Connect(ben, true) })
		require.NoError(t, err, "passed on")
		_, err = h.change(id, func(c *engine.Change) error { return c.Requeue() })
		require.NoError(t, err)
		h.clock.Advance(9 * time.Minute)
		require.NoError(t, h.Due(t.Context(), id))
		require.Equal(t, core.StateQueued, h.task(id).State, "its time in the queue begins anew")
		h.clock.Advance(2 * time.Minute)
		require.NoError(t, h.Due(t.Context(), id))
		require.Equal(t, []string{
			"Created created", "System Accepted accepted", "Queued queued", "Connected to User connected",
			"Connected to User connected", "Queued queued", "Queue Left accepted", "Terminated terminated",
		}, h.names(id))
		_, err = h.change(id, func(c *engine.Change) error { return c.Connect(ann, false) })
		require.Equal(t, core.Conflict, core.KindOf(err))
	})
}

func TestOneOfManyAgentsGetsATask(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep(queueTenMinutes)))
		got := make(chan error)
		for _, user := range []core.UserRef{ann, ben} {
			go func() {
				_, err := h.change(id, func(c *engine.Change) error { return c.Connect(user, false) })
				got <- err
			}()
		}
		one, other := <-got, <-got
		require.NotEqual(t, one == nil, other == nil, "%v, %v", one, other)
	})
}

func TestQueuesKeepTheirOrder(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		w := h.keep("  - activity: Accept Conversation\n  - {activity: Delay, for: 1h}\n  - activity: Disconnect Conversation\n")
		here, there := core.ServiceRef{ID: "1", UPN: "Support@contoso.example"}, core.ServiceRef{ID: "2", UPN: "sales@contoso.example"}
		var ids []string
		for _, priority := range []int{0, 0, 9, 1} {
			id := h.create(newTask(w))
			_, err := h.change(id, func(c *engine.Change) error { return c.Queue(here, priority) })
			require.NoError(t, err)
			ids = append(ids, id)
			h.clock.Advance(time.Second)
		}
		order := func(queue string) (list []string) {
			rows, err := h.db.QueuedTasks(t.Context(), "contoso", []string{queue}, 10)
			require.NoError(t, err)
			for _, r := range rows {
				list = append(list, r.ID)
				position, err := h.db.QueuePosition(t.Context(), "contoso", queue, "", r.ID)
				require.NoError(t, err)
				require.Equal(t, len(list), position)
			}
			return list
		}
		require.Equal(t, []string{ids[3], ids[2], ids[0], ids[1]}, order("support@contoso.example"))
		_, err := h.change(ids[0], func(c *engine.Change) error { return c.Queue(here, 1) })
		require.NoError(t, err, "queued there already: it keeps its place")
		require.Equal(t, []string{ids[3], ids[2], ids[0], ids[1]}, order("support@contoso.example"))
		_, err = h.change(ids[0], func(c *engine.Change) error { return c.Queue(there, 0) })
		require.NoError(t, err)
		require.Equal(t, []string{ids[0]}, order("sales@contoso.example"))
		events, err := h.History(t.Context(), ids[0])
		require.NoError(t, err)
		var names []core.EventName
		for _, e := range events {
			names = append(names, e.Name)
		}
		require.Equal(t, []core.EventName{core.Created, core.SystemAccepted, core.Queued, core.QueueLeft, core.Queued}, names)
	})
}

func TestTargetsAreTold(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep(queueTenMinutes))
		n.Task.Service.Target = core.PlatformWebex
		n.Platform, n.Alias = core.PlatformWebex, "9F0C6A0E-0000-4000-8000-000000000001"
		id := h.create(n)
		require.Equal(t, id, h.create(n), "one name, one task")
		task, err := h.Find(t.Context(), engine.Ref{Tenant: "contoso", Platform: core.PlatformWebex, ID: strings.ToLower(n.Alias)})
		require.NoError(t, err)
		require.Equal(t, id, task.ID)
		require.Equal(t, core.Remote{Platform: core.PlatformWebex, State: core.RemoteRequested}, task.Remote)
		_, err = h.Find(t.Context(), engine.Ref{Tenant: "fabrikam", Platform: core.PlatformWebex, ID: n.Alias})
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = h.Find(t.Context(), engine.Ref{Tenant: "fabrikam", ID: id})
		require.Equal(t, core.NotFound, core.KindOf(err))

		_, err = h.change(id, func(c *engine.Change) error { return c.Queue(core.ServiceRef{UPN: "sales@contoso.example"}, 0) })
		require.Equal(t, core.Conflict, core.KindOf(err), "it cannot be in two places")
		require.NoError(t, h.Remove(t.Context(), id, nil, func(*core.Task) error { return nil }))
		require.Equal(t, []string{`remote {"do":"create","next":{"do":"queue"}}`}, h.items(), "a lane gives one item at a time")

		other := newTask(n.Workflow)
		other.Task.Service.Target = core.PlatformWebex
		id = h.create(other)
		task, err = h.change(id, func(c *engine.Change) error { return c.Refuse("no such entry point") })
		require.NoError(t, err)
		require.Equal(t, core.Remote{Platform: core.PlatformWebex, State: core.RemoteFailed, Error: "no such entry point"}, task.Remote)
		require.Equal(t, core.StateTerminated, task.State, "as if its time in the queue were over")
	})
}

// A workflow that queues again what its target has refused asks again, and not
// without end.
func TestRefusedTargetsAreAskedAgain(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep("  - activity: Accept Conversation\n  - {id: queue, activity: Queue Task, max_queue_time: 10m, on_timeout: queue}\n"))
		n.Task.Service.Target = core.PlatformWebex
		id := h.create(n)
		take := func() (n int) {
			require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				items, err := tx.ClaimOutbox(ctx, []string{engine.KindRemote}, h.clock.Now(), "test", time.Minute, 10)
				for n = range items {
					err = errors.Join(err, tx.DeleteOutbox(ctx, items[n].ID, "test"))
				}
				n = len(items)
				return err
			}))
			return n
		}
		require.Equal(t, 1, take())
		task, err := h.change(id, func(c *engine.Change) error { return c.Refuse("closed") })
		require.NoError(t, err)
		require.Equal(t, core.Remote{Platform: core.PlatformWebex, State: core.RemoteFailed, Error: "closed"}, task.Remote)
		require.Equal(t, core.StateQueued, task.State)
		h.clock.Advance(29 * time.Second)
		require.Zero(t, take())
		h.clock.Advance(time.Second)
		require.Equal(t, 1, take())
	})
}

func TestWorkflowsRunOperations(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		w, findings := flow.Parse("workflows/w.yaml", []byte(`name: w
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - activity: Run Operation
    operation: zendesk/create-ticket
    input: {subject: = input.customerIdentifier}
    save: {CaseId: = result.id}
  - activity: Screen Pop
    url: = "https://crm.example/" + input.parameters.CaseId
  - {activity: Queue Task, max_queue_time: 10m}
when_ended:
  - operation: zendesk/data-memorialization
    input: {id: = input.parameters.CaseId}
`))
		require.Empty(t, findings)
		require.NoError(t, h.Keep(t.Context(), map[string]*flow.Workflow{"w": w}))
		id := h.create(newTask(w))
		items := h.items()
		require.Len(t, items, 1)
		var work engine.OperationWork
		require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(items[0], "operation ")), &work))
		require.Equal(t, map[string]any{"subject": "4711"}, work.Run.Input)

		late := flow.Answer{Turn: work.Run.Turn + 1, Result: map[string]any{"id": "7"}}
		_, err := h.change(id, func(c *engine.Change) error { return c.Answer(late) })
		require.NoError(t, err)
		require.Equal(t, core.StateAccepted, h.task(id).State, "the answer of another run is nobody's")
		late.Turn--
		task, err := h.change(id, func(c *engine.Change) error { return c.Answer(late) })
		require.NoError(t, err)
		require.Equal(t, core.StateQueued, task.State)
		value, _ := task.Parameter("CaseId")
		require.Equal(t, "7", value)
		require.Len(t, task.Pops, 1)
		require.Equal(t, "https://crm.example/7", task.Pops[0].URL)

		require.NoError(t, h.Remove(t.Context(), id, nil, func(*core.Task) error { return nil }))
		items = h.items()
		require.Len(t, items, 1)
		require.Contains(t, items[0], `"ending":true`)
		require.Contains(t, items[0], `"id":"7"`)
	})
}

func TestWatch(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep(queueTenMinutes)))
		changed, stop := h.Watch(id)
		_, err := h.change(id, func(c *engine.Change) error { return c.Offer() })
		require.NoError(t, err)
		<-changed
		stop()
		_, err = h.change(id, func(c *engine.Change) error { return c.Requeue() })
		require.NoError(t, err)
		require.Empty(t, changed)
	})
}
