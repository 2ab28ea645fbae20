package bridge_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/engine"
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
		r.drain(ctx)
		require.Contains(t, r.names(), "close-task")
		r.happened(ctx, remoteID, bridge.Parked, 1, "p", "") // its own flow was on the way
		r.happened(ctx, remoteID, bridge.Connected, 2, "c", "agent1@contoso.example")
		r.drain(ctx)
		require.NotContains(t, r.names(), "close-task", "once")
		task = r.now(ctx, task.ID)
		require.Equal(t, core.StateTerminated, task.State)
		require.Equal(t, core.Remote{Platform: "webex", ID: remoteID, State: core.RemoteFailed, Error: "no"}, task.Remote)
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
