package bridge_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/operation"
	"tandem/core/store"
)

const (
	field    = "field@contoso.example"
	remoteID = "9f0c6a0e-0000-4000-8000-000000000001"
)

// ticket is what the workflow of the service field is told.
var ticket = map[string]any{"system": map[string]any{"baseUrl": "https://acme.zendesk.com"}, "records": []any{map[string]any{"id": "7", "url": "/agent/tickets/7"}}}

func TestATaskGoesToItsTargetAndBack(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": "9F0C6A0E-0000-4000-8000-000000000001"}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		require.Equal(t, core.StateAccepted, task.State)
		r.drain(ctx)
		require.Equal(t, []string{"create-ticket", "create-task", "queue-task"}, r.names())
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateQueued, task.State)
		require.Equal(t, core.Remote{Platform: "webex", ID: remoteID, State: core.RemoteRequested}, task.Remote)
		require.NotEmpty(t, task.Pops)

		require.Equal(t, bridge.Receipt{Known: true}, r.happened(ctx, remoteID, bridge.Made, 1, "1", ""))
		require.Equal(t, bridge.Receipt{Known: true, Duplicate: true}, r.happened(ctx, remoteID, bridge.Made, 1, "1", ""))
		require.Equal(t, core.RemoteOpen, r.now(ctx, task.ID).Remote.State)
		r.happened(ctx, remoteID, bridge.Offered, 2, "2", "")
		require.Equal(t, core.StateOffered, r.now(ctx, task.ID).State)
		r.happened(ctx, remoteID, bridge.Connected, 3, "3", "agent1@contoso.example")
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateConnected, task.State)
		require.Equal(t, "agent1@contoso.example", task.LastConnectedUser.UPN)
		r.happened(ctx, remoteID, bridge.Ended, 4, "4", "")
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateTerminated, task.State)
		require.Equal(t, core.RemoteEnded, task.Remote.State)
		r.drain(ctx)
		require.Equal(t, []string{"data-memorialization"}, r.names(), "the case learns of it, and Webex need not be told")
	})
}

func TestEventsBeforeTheAnswer(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		require.Equal(t, bridge.Receipt{}, r.happened(ctx, remoteID, bridge.Connected, 2, "2", "somebody"))
		require.Equal(t, bridge.Receipt{}, r.happened(ctx, remoteID, bridge.Made, 1, "1", ""))
		r.drain(ctx)
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateConnected, task.State)
		require.Equal(t, core.UserRef{ID: "somebody"}, task.LastConnectedUser)
	})
}

func TestATaskThatEndsHereEndsThere(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.drain(ctx)
		r.names()
		allowed := func(*core.Task) error { return nil }
		require.NoError(t, r.engine.Remove(ctx, task.ID, nil, allowed))
		r.answer("close-task", nil, &operation.Error{Upstream: 503, Err: core.Errorf(core.Uncertain, "busy")})
		r.drain(ctx)
		require.Contains(t, r.names(), "close-task")
		r.answer("close-task", nil, nil)
		r.clock.Advance(time.Minute)
		r.drain(ctx)
		require.Equal(t, []string{"close-task"}, r.names())
		require.Equal(t, core.RemoteEnded, r.now(ctx, task.ID).Remote.State)

		// One that ends before anything was asked of the target asks nothing.
		task = r.task(ctx, field, core.ExternalTask)
		r.work(ctx) // the ticket
		require.NoError(t, r.engine.Remove(ctx, task.ID, nil, allowed))
		r.names()
		r.drain(ctx)
		require.NotContains(t, r.names(), "create-task")
	})
}

func TestTargetsThatDoNotTakeATask(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", nil, &operation.Error{Upstream: 422, Wrote: true, Err: core.Errorf(core.Invalid, "no subject")})
		r.answer("create-task", nil, &operation.Error{Err: core.Errorf(core.NeedsAuthorization, "grant it")})
		task := r.task(ctx, field, core.ExternalTask)
		r.drain(ctx)
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateQueued, task.State, "the workflow goes on without a ticket, and somebody may authorize")
		require.Equal(t, "grant it", task.Remote.Error)
		r.clock.Advance(time.Minute)
		r.answer("create-task", nil, &operation.Error{Upstream: 422, Wrote: true, Err: core.Errorf(core.Invalid, "no entry point")})
		r.drain(ctx)
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateTerminated, task.State)
		require.Equal(t, core.Remote{Platform: "webex", State: core.RemoteFailed, Error: "no entry point"}, task.Remote)

		// What Webex says later has the same end.
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task = r.task(ctx, field, core.ExternalTask)
		r.drain(ctx)
		_, err := r.Happened(ctx, "contoso", bridge.Event{
			Platform: "webex", RemoteID: remoteID, Key: []byte("f"), Kind: bridge.Failed, At: noon, Reason: "ENTRY_POINT_NOT_FOUND",
		})
		require.NoError(t, err)
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateTerminated, task.State)
		require.Equal(t, "ENTRY_POINT_NOT_FOUND", task.Remote.Error)
	})
}

// The hub dies between the call that makes the counterpart and writing down its
// answer; Webex tells whose task it has.
func TestATaskWhoseAnswerWasLost(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		event := func(task core.Task, kind, key string) bridge.Receipt {
			receipt, err := r.Happened(ctx, "contoso", bridge.Event{
				Platform: core.PlatformWebex, RemoteID: "9f0c6a0e-0000-4000-8002-" + task.ID[24:], Key: []byte(key), Kind: kind, At: noon, Origin: task.ID,
			})
			require.NoError(t, err)
			return receipt
		}
		task := r.task(ctx, field, core.ExternalTask)
		r.work(ctx) // the ticket
		require.Equal(t, bridge.Receipt{Known: true}, event(task, bridge.Parked, "1"))
		r.names()
		r.drain(ctx)
		require.NotContains(t, r.names(), "create-task", "it is there")
		require.Equal(t, core.RemoteOpen, r.now(ctx, task.ID).Remote.State)

		// One that has ended here meanwhile is ended there.
		task = r.task(ctx, field, core.ExternalTask)
		r.work(ctx)
		require.NoError(t, r.engine.Remove(ctx, task.ID, nil, func(*core.Task) error { return nil }))
		r.drain(ctx)
		r.names()
		event(task, bridge.Parked, "2")
		r.drain(ctx)
		require.Equal(t, []string{"close-task"}, r.names())
		event(task, bridge.Ended, "3")

		// What is not the hub's is nobody's.
		stranger := core.Task{ID: core.NewID(noon)}
		require.Equal(t, bridge.Receipt{}, event(stranger, bridge.Parked, "4"))
	})
}

// Webex's own flow may queue the task, and an agent take it, before the hub asks
// for the queue.
func TestATaskThatIsPastTheQueue(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		for _, c := range []struct {
			refusal core.Kind
			told    bool // an event came before the refusal
			state   core.State
		}{
			{core.Conflict, false, core.StateQueued},
			{core.NotFound, true, core.StateQueued},
			{core.NotFound, false, core.StateTerminated},
		} {
			id := fmt.Sprintf("9f0c6a0e-0000-4000-8001-%012d", len(r.runs))
			r.answer("create-task", map[string]any{"taskId": id}, nil)
			r.answer("queue-task", nil, &operation.Error{Upstream: 409, Wrote: true, Err: core.Errorf(c.refusal, "no")})
			task := r.task(ctx, field, core.ExternalTask)
			if c.told {
				r.happened(ctx, id, bridge.Parked, 1, id, "")
			}
			for range 3 {
				r.drain(ctx)
				r.clock.Advance(10 * time.Second)
			}
			require.Equal(t, c.state, r.now(ctx, task.ID).State, c)
		}
	})
}

// A workflow that queues a task again asks the target again.
func TestATaskThatIsQueuedAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		w, findings := flow.Parse("workflows/stubborn.yaml", []byte("name: stubborn\nmodality: ExternalTask\nactivities:\n"+
			"  - activity: Accept Conversation\n  - {id: queue, activity: Queue Task, max_queue_time: 1h, on_timeout: queue}\n"))
		require.Empty(t, findings)
		r.flows["field-service"] = w
		require.NoError(t, r.engine.Keep(ctx, r.flows))
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.drain(ctx)
		_, err := r.Happened(ctx, "contoso", bridge.Event{Platform: "webex", RemoteID: remoteID, Key: []byte("f"), Kind: bridge.Failed, At: noon, Reason: "closed"})
		require.NoError(t, err)
		require.Equal(t, core.RemoteFailed, r.now(ctx, task.ID).Remote.State)
		r.names()
		second := "9f0c6a0e-0000-4000-8000-000000000009"
		r.answer("create-task", map[string]any{"taskId": second}, nil)
		r.clock.Advance(time.Minute)
		r.drain(ctx)
		require.Equal(t, []string{"create-task", "queue-task"}, r.names())
		require.Equal(t, core.Remote{Platform: "webex", ID: second, State: core.RemoteRequested}, r.now(ctx, task.ID).Remote)
		r.happened(ctx, remoteID, bridge.Ended, 5, "old", "")
		require.Equal(t, core.StateQueued, r.now(ctx, task.ID).State, "what becomes of the first is nobody's business")
		r.happened(ctx, second, bridge.Ended, 6, "new", "")
		require.Equal(t, core.StateTerminated, r.now(ctx, task.ID).State)
	})
}

func TestATaskThatWasMadeTwice(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		first := "9f0c6a0e-0000-4000-8000-000000000002"
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.happened(ctx, first, bridge.Parked, 1, "p", "") // of the call whose answer nobody wrote down
		r.drain(ctx)
		_, err := r.Happened(ctx, "contoso", bridge.Event{
			Platform: "webex", RemoteID: remoteID, Key: []byte("f"), Kind: bridge.Failed, At: noon, Reason: "CONVERSATION_ALREADY_OPEN: open task " + first,
		})
		require.NoError(t, err)
		task = r.now(ctx, task.ID)
		require.Equal(t, core.Remote{Platform: "webex", ID: first, State: core.RemoteOpen}, task.Remote)
		require.Equal(t, core.StateQueued, task.State)
		r.happened(ctx, first, bridge.Ended, 2, "e", "")
		require.Equal(t, core.StateTerminated, r.now(ctx, task.ID).State)
	})
}

func TestOperationsOfAWorkflowRunOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		task := r.task(ctx, field, core.ExternalTask)
		// A worker runs it and dies before it can write down that it did.
		var items []store.OutboxItem
		require.NoError(t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			items, err = tx.ClaimOutbox(ctx, []string{engine.KindOperation}, r.clock.Now(), "dead", time.Millisecond, 1)
			return err
		}))
		r.Handlers()[engine.KindOperation](ctx, items[0])
		r.clock.Advance(time.Minute)
		require.Equal(t, []string{"create-ticket"}, r.names())
		r.answer("create-ticket", map[string]any{"records": []any{map[string]any{"id": "8"}}}, nil)
		r.work(ctx)
		require.Empty(t, r.names(), "whoever comes after it takes its answer")
		task = r.now(ctx, task.ID)
		id, _ := task.Parameter("CaseId")
		require.Equal(t, "7", id)
	})
}

// kinds of a legal history of a task at Webex: made, then waiting, asked and at
// work in turns, then ended.
func historyOf(rt *rapid.T) []bridge.Event {
	next := map[string][]string{
		"": {bridge.Made}, bridge.Made: {bridge.Parked}, bridge.Parked: {bridge.Offered, bridge.Ended},
		bridge.Offered: {bridge.Connected, bridge.Parked, bridge.Ended}, bridge.Connected: {bridge.Parked, bridge.Connected, bridge.Ended},
	}
	var list []bridge.Event
	kind := ""
	for i := range rapid.IntRange(1, 12).Draw(rt, "length") {
		if len(next[kind]) == 0 {
			break
		}
		kind = rapid.SampledFrom(next[kind]).Draw(rt, "kind")
		agent := ""
		if kind == bridge.Connected {
			agent = rapid.SampledFrom([]string{"agent1@contoso.example", "agent2@contoso.example"}).Draw(rt, "agent")
		}
		list = append(list, bridge.Event{
			Platform: core.PlatformWebex, Kind: kind, At: noon.Add(time.Duration(i) * time.Second), Agent: agent, Key: []byte(strconv.Itoa(i)),
			Variables: variablesOf(rt, 0),
		})
		if values := variablesOf(rt, 1); kind != bridge.Ended && len(values) > 0 {
			list = append(list, bridge.Event{
				Platform: core.PlatformWebex, Kind: bridge.Modified, At: noon.Add(time.Duration(i) * time.Second), Key: []byte("m" + strconv.Itoa(i)), Variables: values,
			})
		}
	}
	return list
}

func variablesOf(rt *rapid.T, least int) (list []core.NamedValue) {
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"v", "w"}), least, 2, rapid.ID).Draw(rt, "variables") {
		list = append(list, core.NamedValue{Name: name, Value: rapid.StringMatching(`[a-z]{1,3}`).Draw(rt, "value")})
	}
	return list
}

func TestAnyOrderEndsInOneState(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	ctx := t.Context()
	r.answer("create-ticket", ticket, nil)
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		r.t = rt
		history := historyOf(rt)
		play := func(events []bridge.Event, link int) core.Task {
			number++
			id := fmt.Sprintf("9f0c6a0e-0000-4000-9000-%012d", number)
			r.answer("create-task", map[string]any{"taskId": id}, nil)
			task := r.task(ctx, field, core.ExternalTask)
			for i, ev := range events {
				if i == link {
					r.drain(ctx)
				}
				ev.RemoteID, ev.Key = id, append([]byte(id), ev.Key...)
				_, err := r.Happened(ctx, "contoso", ev)
				require.NoError(rt, err)
			}
			r.drain(ctx)
			return r.now(ctx, task.ID)
		}
		want := play(history, 0)
		shuffled := rapid.Permutation(append(history, rapid.SliceOfN(rapid.SampledFrom(history), 0, 5).Draw(rt, "again")...)).Draw(rt, "order")
		got := play(shuffled, rapid.IntRange(0, len(shuffled)).Draw(rt, "when the answer comes"))
		require.Equal(rt, want.State, got.State)
		require.Equal(rt, want.Remote.State, got.Remote.State)
		if want.State == core.StateConnected {
			require.Equal(rt, want.LastConnectedUser, got.LastConnectedUser)
		}
		for _, name := range []string{"v", "w"} {
			value, _ := want.Parameter(name)
			if is, _ := got.Parameter(name); want.State != core.StateTerminated { // an end may be told before
				require.Equal(rt, value, is, name)
			}
		}
	})
}
