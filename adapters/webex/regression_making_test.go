package webex

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/engine"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/store/pgtest"
)

// slow lets Webex make tasks only when the gate is opened.
func (r *nodeRig) slow() (open func()) {
	gate := make(chan struct{})
	r.answerBy("create-task", func(_ context.Context, q operation.Request) (any, error) {
		<-gate
		return map[string]any{"taskId": q.Input["taskId"]}, nil
	})
	return func() { close(gate) }
}

// didThere is did without what the workflow does.
func (r *nodeRig) didThere() []string {
	names, _ := r.did()
	return slices.DeleteFunc(names, func(name string) bool { return name == "create-ticket" })
}

// What is asked while Webex makes a task reaches Webex, or is not said to be done.
func TestTasksThatAreBeingMade(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		r.answers0()
		open := r.slow()
		r.limit = 2 * time.Second
		id, doomed := r.uuid(), r.uuid()
		late := func(path string, ids ...string) {
			var calls sync.WaitGroup
			for _, id := range ids {
				calls.Go(func() {
					if body := r.do(anAdmin, path, jsonOf(bodyThere(path, id))).Body.String(); !strings.Contains(body, `"onTimeout"`) {
						t.Errorf("%s: %s", path, body)
					}
				})
			}
			calls.Wait()
		}
		late("create-task/create", id, doomed)
		var calls sync.WaitGroup
		for _, path := range []string{"set-variable/flow", "routed-notification/accept", "routed-notification/reject", "screen-pop/pop"} {
			calls.Go(func() { late(path, id) })
		}
		calls.Wait()
		r.limit = patience
		task := r.of(t, id)
		_, has := task.Parameter("order")
		require.False(t, has)
		require.Equal(t, "Success", r.ok(t, "close-task/close", bodyThere("close-task/close", doomed)).Outcome)
		require.Equal(t, core.StateTerminated, r.of(t, doomed).State)
		r.did()

		r.works(t)
		open()
		require.Equal(t, "Task Updated", r.ok(t, "set-variable/flow", bodyThere("set-variable/flow", id)).Outcome)
		r.idle(t)
		require.ElementsMatch(t, []string{"set-variables", "close-task"}, r.didThere())
		require.Equal(t, core.RemoteEnded, r.of(t, doomed).Remote.State)
	})
}

// A task that Webex could not make when it was asked is made when it is queued.
func TestQueueTaskMakesWhatCreateTaskCouldNot(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		r.answers0()
		r.answer("create-task", nil, upstream(core.Unavailable, 503, outbound.CodeUpstreamBusy))
		id := r.uuid()
		require.Equal(t, "onError", r.ok(t, "create-task/create", bodyThere("create-task/create", id)).Outcome)
		r.answers0()
		r.did()
		asked := make(chan operation.Request, 1)
		r.answerBy("queue-task", func(_ context.Context, q operation.Request) (any, error) { asked <- q; return map[string]any{}, nil })
		r.works(t)
		require.Equal(t, "Queued", r.ok(t, "queue-task/queue", changed(bodyThere("queue-task/queue", id), map[string]any{
			"queueId": "11111111-2222-3333-4444-555555555555", "skillRequirements": `{"requirements":[]}`, "authorization": "Good",
		})).Outcome)
		require.Eventually(t, func() bool {
			r.clock.Advance(time.Second) // what waited for the task waits no longer
			n, err := r.db.OutboxDepth(context.Background())
			return err == nil && n == 0
		}, patience, 5*time.Millisecond)
		require.Equal(t, []string{"create-task", "queue-task"}, r.didThere())
		require.NotEmpty(t, r.of(t, id).Remote.ID)
		q := <-asked
		require.Equal(t, "11111111-2222-3333-4444-555555555555", q.Input["queueId"], "as the flow has said")
		require.Contains(t, q.Input["skillRequirements"], "requirements")
		require.Equal(t, "Good", q.Authorization)
	})
}

// One that nobody queues is made all the same, after a while: a hub that died may
// have left it so.
func TestTasksThatNobodyMade(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	r.answer("create-task", nil, upstream(core.Unavailable, 503, outbound.CodeUpstreamBusy))
	id := r.uuid()
	body := changed(bodyThere("create-task/create", id), map[string]any{"authorization": "Good"})
	require.Equal(t, "onError", r.ok(t, "create-task/create", body).Outcome)
	r.answers0()
	asked := make(chan operation.Request, 1)
	r.answerBy("create-task", func(_ context.Context, q operation.Request) (any, error) {
		asked <- q
		return map[string]any{"taskId": q.Input["taskId"]}, nil
	})
	r.clock.Advance(time.Minute)
	r.works(t)
	r.idle(t)
	require.NotEmpty(t, r.of(t, id).Remote.ID)
	require.Equal(t, "Good", (<-asked).Authorization)
}

// A task of the hub that a flow queues at Webex is queued there as the flow says.
func TestQueueTaskOfATaskThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	asked := make(chan operation.Request, 10)
	r.answerBy("queue-task", func(_ context.Context, q operation.Request) (any, error) { asked <- q; return map[string]any{}, nil })
	r.works(t)
	id := r.driven(t)
	require.Equal(t, "Queued", r.ok(t, "queue-task/queue", changed(bodyThere("queue-task/queue", id), map[string]any{
		"skillRequirements": `{"requirements":[]}`, "authorization": "Good",
	})).Outcome)
	r.idle(t)
	q := <-asked
	require.Empty(t, asked, "once")
	require.Equal(t, []any{itsQueue, "Good"}, []any{q.Input["queueId"], q.Authorization})
	require.Contains(t, q.Input["skillRequirements"], "requirements")
}

// A task of Webex that is not there yet needs the authorization as well, and what
// only Webex could do is not said to be done.
func TestTasksThatAreNotThereYet(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	tenant, ok := r.o.Directory().Tenant("contoso")
	require.True(t, ok)
	at, ok := tenant.Service(aRemote)
	require.True(t, ok)
	var id string
	_, err := r.engine.Create(t.Context(), engine.NewTask{Workflow: drivenFlow, Task: core.Task{
		Tenant: "contoso", TenantID: tenant.ID, Modality: core.ExternalTask, Direction: core.Inbound, Service: at.Ref(),
	}}, func(made *core.Task) ([]byte, error) { id = made.ID; return nil, nil })
	require.NoError(t, err)
	about := []string{
		"set-variable/flow", "routed-notification/accept", "routed-notification/reject", "modify-notification/accept",
		"modify-notification/reject", "screen-pop/pop", "close-task/reject", "close-task/accept", "close-task/close",
	}
	r.authorized.Store(false)
	for _, path := range about {
		require.Equal(t, "onauthorizationfail", r.ok(t, path, bodyThere(path, id)).Outcome, path)
	}
	r.authorized.Store(true)
	for _, path := range about {
		s := r.ok(t, path, bodyThere(path, id))
		switch path {
		case "set-variable/flow", "close-task/accept", "close-task/close":
			require.Nil(t, s.Error, path)
		default:
			require.Equal(t, "NOT_FOUND", s.Error.Code, path)
			require.Contains(t, s.Error.Message, "queue it first")
		}
	}
	names, _ := r.did()
	require.Empty(t, names)
	require.Equal(t, core.StateTerminated, r.of(t, id).State)
}

// The id of a task is that of one task.
func TestTheSameIDForAnotherTask(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	for name, value := range map[string]string{"conversationId": "other", "destination": "APP-CHAT-1"} {
		s := r.ok(t, "create-task/create", changed(bodyOf("create-task/create", id), map[string]any{name: value}))
		require.Equal(t, []any{"Task failed", codeTaskExists}, []any{s.Outcome, s.Error.Code}, name)
	}
	require.Equal(t, "created", r.ok(t, "create-task/create", bodyOf("create-task/create", id)).Outcome)
}

// Events that were faster than Create Task count.
func TestEventsBeforeCreateTask(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	for _, body := range []func(path, id string) map[string]any{bodyOf, bodyThere} {
		taken, ended, strange := r.uuid(), r.uuid(), r.uuid()
		r.happens(t, taken, bridge.Connected, anAgent)
		r.happens(t, ended, bridge.Ended, "")
		r.happens(t, strange, bridge.Connected, "somebody")
		for _, id := range []string{taken, ended, strange} {
			require.Equal(t, "created", r.ok(t, "create-task/create", body("create-task/create", id)).Outcome)
		}
		require.Equal(t, anAgent, r.of(t, taken).LastConnectedUser.UPN)
		require.Equal(t, core.StateTerminated, r.of(t, ended).State)
		if task := r.of(t, strange); task.Service.Target == "" {
			require.Equal(t, core.StateQueued, task.State, "nobody would find it with a stranger")
		} else {
			require.Equal(t, core.StateConnected, task.State)
		}
	}
}

// What was said before changes nothing when a call is repeated, or a message comes:
// people and flows have done more since.
func TestOldEventsStayOld(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	says := func(id, kind, agent string) {
		_, err := r.bridge.Happened(context.Background(), "contoso", bridge.Event{
			Platform: Platform, RemoteID: id, Key: []byte(id + kind), Kind: kind, At: r.clock.Now(), Agent: agent,
			Variables: []core.NamedValue{{Name: "order", Value: "old"}},
		})
		require.NoError(t, err)
	}
	id := r.local(t)
	says(id, bridge.Connected, anAgent)
	r.ok(t, "modify-notification/accept", bodyOf("modify-notification/accept", id))
	r.ok(t, "set-variable/flow", bodyOf("set-variable/flow", id))
	want := r.of(t, id)
	require.Equal(t, another, want.LastConnectedUser.UPN)
	require.Equal(t, "created", r.ok(t, "create-task/create", bodyOf("create-task/create", id)).Outcome)
	require.Equal(t, want, r.of(t, id))

	require.Equal(t, "appended", r.ok(t, resolvePath, bodyThere(resolvePath, "t-1")).Outcome, "to one that the hub did not know")
	says("w-1", bridge.Parked, "")
	r.ok(t, "set-variable/flow", bodyThere("set-variable/flow", "w-1"))
	r.ok(t, "routed-notification/accept", bodyThere("routed-notification/accept", "w-1"))
	state := func() []any {
		task := r.of(t, "w-1")
		order, _ := task.Parameter("order")
		return []any{task.State, task.LastConnectedUser.UPN, order}
	}
	require.Equal(t, []any{core.StateConnected, anAgent, "4711"}, state())
	require.Equal(t, "appended", r.ok(t, resolvePath, bodyThere(resolvePath, "t-2")).Outcome)
	require.Equal(t, []any{core.StateConnected, anAgent, "4711"}, state())
}

// Whoever does not work on a task sees no page of it.
func TestScreenPopForAnotherAgent(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	r.connect(t, id)
	s := r.call(t, anAdmin, "screen-pop/pop", changed(bodyOf("screen-pop/pop", id), map[string]any{"agentId": another}), http.StatusOK)
	require.Equal(t, []any{"onScreenPopFailure", "TASK_TAKEN"}, []any{s.Outcome, s.Error.Code})
	require.Empty(t, r.of(t, id).Pops)
}
