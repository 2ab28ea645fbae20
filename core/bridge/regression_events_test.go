package bridge_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/operation"
	"tandem/core/store"
)

// An event that comes while the answer is written down, which tells whose it is,
// is not lost: neither one that names the hub's task nor one that does not.
func TestEventsRaceTheAnswer(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		for i := range 60 {
			id := fmt.Sprintf("9f0c6a0e-0000-4000-9100-%012d", i)
			r.answer("create-task", map[string]any{"taskId": id}, nil)
			task := r.task(ctx, field, core.ExternalTask)
			r.work(ctx) // the ticket
			ev := bridge.Event{Platform: core.PlatformWebex, RemoteID: id, Key: []byte(id), Kind: bridge.Ended, At: noon}
			if i%2 == 0 {
				ev.Origin = task.ID
			}
			var told sync.WaitGroup
			told.Go(func() {
				if _, err := r.Happened(ctx, "contoso", ev); err != nil {
					t.Error(err)
				}
			})
			r.work(ctx)
			told.Wait()
			r.drain(ctx)
			require.Equal(t, core.StateTerminated, r.now(ctx, task.ID).State, i)
		}
	})
}

// connected makes a task that agent1 has taken at Webex, an hour after noon.
func (r *rig) connected(ctx context.Context) core.Task {
	r.answer("create-ticket", ticket, nil)
	r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
	task := r.task(ctx, field, core.ExternalTask)
	r.drain(ctx)
	r.happened(ctx, remoteID, bridge.Connected, time.Hour, "c", "agent1@contoso.example")
	return r.now(ctx, task.ID)
}

// What an event does not change stays as people have it.
func TestEventsChangeOnlyWhatTheySay(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		task := r.connected(ctx)
		_, err := r.engine.Change(ctx, engine.Ref{Tenant: "contoso", ID: task.ID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
			return c.Connect(core.UserRef{ID: "agent2"}, true)
		})
		require.NoError(t, err)
		_, err = r.Happened(ctx, "contoso", bridge.Event{
			Platform: core.PlatformWebex, RemoteID: remoteID, Key: []byte("m"), Kind: bridge.Modified, At: noon.Add(2 * time.Hour),
			Variables: []core.NamedValue{{Name: "vip", Value: "yes"}},
		})
		require.NoError(t, err)
		r.happened(ctx, remoteID, bridge.Parked, time.Minute, "old", "")
		task = r.now(ctx, task.ID)
		require.Equal(t, core.UserRef{ID: "agent2"}, task.LastConnectedUser)
		require.Equal(t, core.StateConnected, task.State)
		vip, _ := task.Parameter("vip")
		require.Equal(t, "yes", vip)

		// Nor does one without a time count more than those that have one, but for an end.
		undated := bridge.Event{Platform: core.PlatformWebex, RemoteID: remoteID, Key: []byte("u"), Kind: bridge.Parked}
		r.clock.Advance(24 * time.Hour)
		_, err = r.Happened(ctx, "contoso", undated)
		require.NoError(t, err)
		require.Equal(t, core.StateConnected, r.now(ctx, task.ID).State)
		undated.Key, undated.Kind = []byte("e"), bridge.Ended
		_, err = r.Happened(ctx, "contoso", undated)
		require.NoError(t, err)
		require.Equal(t, core.StateTerminated, r.now(ctx, task.ID).State)
	})
}

// A target whose queue refuses a task does not keep it open.
func TestATaskThatTheQueueRefusesEndsThere(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		r.answer("queue-task", nil, &operation.Error{Upstream: 404, Wrote: true, Err: core.Errorf(core.NotFound, "no")})
		task := r.task(ctx, field, core.ExternalTask)
		for range 3 { // it is asked again until the target might have said something
			r.drain(ctx)
			r.clock.Advance(10 * time.Second)
		}
		require.Contains(t, r.names(), "close-task")
		r.happened(ctx, remoteID, bridge.Parked, 1, "p", "") // its own flow was on the way
		r.happened(ctx, remoteID, bridge.Connected, 2, "c", "agent1@contoso.example")
		r.drain(ctx)
		require.NotContains(t, r.names(), "close-task", "once")
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateTerminated, task.State)
		require.Equal(t, core.Remote{Platform: "webex", ID: remoteID, State: core.RemoteFailed, Error: "no", GivenUp: remoteID}, task.Remote)
	})
}

// A task that ends while its counterpart is made ends there as well.
func TestATaskThatEndsWhileItIsMade(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.work(ctx) // the ticket
		r.mu.Lock()
		r.answers["create-task"] = func(operation.Request) (any, error) {
			return map[string]any{"taskId": remoteID}, r.engine.Remove(ctx, task.ID, nil, func(*core.Task) error { return nil })
		}
		r.mu.Unlock()
		r.names()
		r.drain(ctx)
		require.Contains(t, r.names(), "close-task")
		require.Equal(t, core.RemoteEnded, r.now(ctx, task.ID).Remote.State)
	})
}

// What nobody knows the end of is told to people, and not done again.
func TestOperationsThatNobodyFinished(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/tandem.db") // whose leases end by the test's clock
	ctx := t.Context()
	task := r.connected(ctx)
	r.happened(ctx, remoteID, bridge.Ended, 2*time.Hour, "e", "")
	var items []store.OutboxItem
	require.NoError(t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		items, err = tx.ClaimOutbox(ctx, []string{engine.KindOperation}, r.clock.Now(), "dead", -time.Second, 1)
		return err
	}))
	begun, gate := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(gate) })
	r.mu.Lock()
	r.answers["data-memorialization"] = func(operation.Request) (any, error) { close(begun); <-gate; return map[string]any{}, nil }
	r.mu.Unlock()
	dying, die := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() { r.Handlers()[engine.KindOperation](dying, items[0]) })
	<-begun
	die()
	worker.Wait()
	r.names()
	r.mu.Lock()
	r.runs = nil
	r.mu.Unlock()
	r.starts(t)
	r.clock.Advance(time.Minute)
	r.drain(ctx)
	require.Empty(t, r.names())
	require.Len(t, r.runs, 1)
	require.Equal(t, "UNCERTAIN", r.runs[0].Code)
	require.Equal(t, task.ID, r.runs[0].Contact)
	require.True(t, r.runs[0].Failed)
}

// One work item is made for a task, even if nobody knows whether there is one.
func TestWorkItemsAreMadeOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		for _, kind := range []core.Kind{core.Uncertain, core.Timeout} {
			task := r.task(ctx, "backoffice@contoso.example", core.ExternalTask)
			r.answer("create-work-item", nil, &operation.Error{Wrote: true, Err: core.Errorf(kind, "no answer")})
			r.drain(ctx)
			r.clock.Advance(time.Hour)
			r.drain(ctx)
			made := slices.DeleteFunc(r.names(), func(name string) bool { return name != "create-work-item" })
			require.Len(t, made, 1)
			task = r.now(ctx, task.ID)
			require.Equal(t, core.RemoteFailed, task.Remote.State)
			require.Equal(t, "no answer", task.Remote.Error)
		}
	})
}

// A task in a queue of the hub is given to nobody who could not find it there.
func TestEventsOfStrangersWithALocalTask(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		task := r.task(ctx, "support@contoso.example", core.InstantMessaging)
		require.NoError(t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.InsertAlias(ctx, "contoso", core.PlatformWebex, remoteID, task.ID)
			return err
		}))
		before := r.now(ctx, task.ID)
		ev := bridge.Event{Platform: core.PlatformWebex, RemoteID: remoteID, Key: []byte("1"), Kind: bridge.Connected, At: noon, Agent: "somebody"}
		_, err := r.Happened(ctx, "contoso", ev)
		require.NoError(t, err, "whoever speaks of all is not told")
		ev.Key, ev.At, ev.Allow = []byte("2"), noon.Add(time.Second), func(*core.Task) error { return nil }
		_, err = r.Happened(ctx, "contoso", ev)
		require.Equal(t, core.NotFound, core.KindOf(err))
		require.Equal(t, before, r.now(ctx, task.ID))
		ev.Agent = "agent1@contoso.example"
		_, err = r.Happened(ctx, "contoso", ev)
		require.NoError(t, err, "nothing was kept of the one before")
		require.Equal(t, core.StateConnected, r.now(ctx, task.ID).State)
	})
}

// asked makes a task that Create Task of Webex is about to make there.
func (r *rig) asked(ctx context.Context) (task core.Task) {
	service, _ := r.tenant.Service(field)
	_, err := r.engine.Create(ctx, engine.NewTask{
		Workflow: r.flows["external-task"],
		Task:     core.Task{Tenant: "contoso", TenantID: r.tenant.ID, Modality: core.ExternalTask, Direction: core.Inbound, Service: service.Ref()},
		Prepare: func(c *engine.Change) error {
			return bridge.Creating(c, bridge.NodeCall{Node: "create-task", Method: "create", Input: map[string]any{"taskId": "x"}})
		},
	}, func(made *core.Task) ([]byte, error) { task = *made; return nil, nil })
	require.NoError(r.t, err)
	return task
}

// patient lets a task outlive a refusal.
func (r *rig) patient(ctx context.Context) {
	w, findings := flow.Parse("workflows/patient.yaml", []byte("name: patient\nmodality: ExternalTask\nactivities:\n"+
		"  - activity: Accept Conversation\n  - {activity: Delay, for: 72h}\n  - activity: Disconnect Conversation\n"))
	require.Empty(r.t, findings)
	require.NoError(r.t, r.engine.Keep(ctx, map[string]*flow.Workflow{"patient": w}))
	r.flows["external-task"] = w
}

// queue queues a task for a service, as a node of Webex does.
func (r *rig) queue(ctx context.Context, id, upn string) {
	service, _ := r.tenant.Service(upn)
	_, err := r.engine.Change(ctx, engine.Ref{Tenant: "contoso", ID: id}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		if err := bridge.Queueing(c, bridge.NodeCall{}); err != nil {
			return err
		}
		return c.Queue(service.Ref(), 0)
	})
	require.NoError(r.t, err)
}

// A task that ends while nobody knows whether the target has it is asked for once
// more, and ended there.
func TestATaskThatEndsWhileNobodyKnows(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		task := r.asked(ctx)
		r.answer("create-task", nil, &operation.Error{Wrote: true, Err: core.Errorf(core.Uncertain, "lost")})
		require.Error(t, r.Create(ctx, bridge.NodeCall{Tenant: "contoso", Node: "create-task", Method: "create", Task: &task, Input: map[string]any{"taskId": "x"}}))
		require.NoError(t, r.engine.Remove(ctx, task.ID, nil, func(*core.Task) error { return nil }))
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		r.names()
		r.clock.Advance(time.Minute)
		r.drain(ctx)
		require.Subset(t, r.names(), []string{"create-task", "close-task"})
		require.Equal(t, core.RemoteEnded, r.now(ctx, task.ID).Remote.State)
	})
}

// A second try that is refused does not end what the first has made.
func TestASecondTryEndsNothing(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.work(ctx) // the ticket
		r.answer("create-task", nil, &operation.Error{Wrote: true, Err: core.Errorf(core.Uncertain, "lost")})
		r.work(ctx)
		r.clock.Advance(time.Minute)
		r.mu.Lock()
		r.answers["create-task"] = func(operation.Request) (any, error) {
			_, err := r.Happened(ctx, "contoso", bridge.Event{
				Platform: core.PlatformWebex, RemoteID: remoteID, Key: []byte("1"), Kind: bridge.Made, At: noon, Origin: task.ID,
			})
			return nil, cmp.Or(err, error(&operation.Error{Upstream: 409, Wrote: true, Err: core.Errorf(core.Conflict, "open already")}))
		}
		r.mu.Unlock()
		r.names()
		r.drain(ctx)
		names := r.names()
		require.NotContains(t, names, "close-task")
		require.Contains(t, names, "queue-task")
		task = r.now(ctx, task.ID)
		require.Equal(t, core.Remote{Platform: "webex", ID: remoteID, State: core.RemoteOpen}, task.Remote)
		require.Equal(t, core.StateQueued, task.State)
	})
}

// What was refused is ended there, and not its successor.
func TestTheEndOfARefusedTaskSparesItsSuccessor(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		second := "9f0c6a0e-0000-4000-8000-000000000002"
		r.patient(ctx)
		task := r.asked(ctx)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		r.answer("queue-task", nil, &operation.Error{Upstream: 404, Wrote: true, Err: core.Errorf(core.NotFound, "no such queue")})
		ended := make(chan any, 10)
		r.mu.Lock()
		r.answers["close-task"] = func(q operation.Request) (any, error) {
			ended <- q.Input["taskId"]
			r.answer("create-task", map[string]any{"taskId": second}, nil)
			r.answer("queue-task", map[string]any{}, nil)
			r.queue(ctx, task.ID, field) // its flow was told, and asks again
			r.happened(ctx, remoteID, bridge.Ended, time.Hour, "e", "")
			return nil, nil
		}
		r.mu.Unlock()
		r.queue(ctx, task.ID, field)
		for range 60 {
			r.clock.Advance(time.Second)
			r.drain(ctx)
		}
		require.Equal(t, any(remoteID), <-ended)
		require.Empty(t, ended, "once")
		require.Equal(t, second, r.now(ctx, task.ID).Remote.ID)
		require.NotEqual(t, core.RemoteEnded, r.now(ctx, task.ID).Remote.State)
	})
}

// What was refused is ended where it is, wherever the task is queued meanwhile.
func TestTheEndOfARefusedTaskStaysWithItsPlatform(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.patient(ctx)
		for i, upn := range []string{"support@contoso.example", "backoffice@contoso.example"} {
			id := fmt.Sprintf("9f0c6a0e-0000-4000-8003-%012d", i)
			r.answer("create-task", map[string]any{"taskId": id}, nil)
			r.answer("queue-task", nil, &operation.Error{Upstream: 404, Wrote: true, Err: core.Errorf(core.NotFound, "no such queue")})
			r.answer("close-task", nil, &operation.Error{Upstream: 503, Err: core.Errorf(core.Unavailable, "busy")})
			r.answer("create-work-item", map[string]any{"taskId": "4711"}, nil)
			task := r.asked(ctx)
			r.queue(ctx, task.ID, field)
			for range 60 { // until it is refused, and its end was tried in vain
				r.clock.Advance(time.Second)
				r.work(ctx)
			}
			require.Equal(t, core.RemoteFailed, r.now(ctx, task.ID).Remote.State)
			r.queue(ctx, task.ID, upn)
			r.answer("close-task", map[string]any{}, nil)
			r.names()
			r.clock.Advance(time.Hour)
			r.drain(ctx)
			names := r.names()
			require.Contains(t, names, "close-task", upn)
			require.NotContains(t, names, "end-work-item", upn)
		}
	})
}

// What has ended there is not made again.
func TestWhatHasEndedIsNotMadeAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		task := r.asked(ctx)
		_, err := r.engine.Change(ctx, engine.Ref{Tenant: "contoso", ID: task.ID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
			c.Terminate(true)
			return nil
		})
		require.NoError(t, err)
		r.clock.Advance(time.Hour)
		r.drain(ctx)
		require.NotContains(t, r.names(), "create-task")
	})
}

// An end that brings more variables than fit is an end.
func TestAnEndIsNeverTooLarge(t *testing.T) {
	r := newRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	ctx := t.Context()
	task := r.connected(ctx)
	for i, size := range []int{256<<10 - 1000, 256<<10 - 3000, 300 << 10} {
		task = r.now(ctx, task.ID)
		_, err := r.Happened(ctx, "contoso", bridge.Event{
			Platform: core.PlatformWebex, RemoteID: remoteID, Key: []byte{byte(i)}, Kind: []string{bridge.Parked, bridge.Connected, bridge.Ended}[i],
			At: noon.Add(time.Duration(3+i) * time.Hour), Variables: []core.NamedValue{{Name: "pad", Value: strings.Repeat("x", size)}},
		})
		require.NoError(t, err)
	}
	require.Equal(t, core.StateTerminated, r.now(ctx, task.ID).State)
}
