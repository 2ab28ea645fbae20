package bridge_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/operation"
	"tandem/core/store"
)

// killed does the work of a kind that is due, and dies before it has written down
// what came of it.
func (r *rig) killed(ctx context.Context, kind string) {
	var items []store.OutboxItem
	require.NoError(r.t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		items, err = tx.ClaimOutbox(ctx, []string{kind}, r.clock.Now(), "dead", -time.Second, 100)
		return err
	}))
	require.NotEmpty(r.t, items)
	for _, it := range items {
		r.Handlers()[kind](ctx, it)
	}
}

// A task that ends after the target was asked for it, by a hub that died before
// it knew the answer, does not stay open there.
func TestATaskThatEndsAfterAKill(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.work(ctx) // the ticket
		r.killed(ctx, engine.KindRemote)
		require.NoError(t, r.engine.Remove(ctx, task.ID, nil, func(*core.Task) error { return nil }))
		r.names()
		r.drain(ctx)
		require.Subset(t, r.names(), []string{"create-task", "close-task"}, "the first gives the same task again")
		require.Equal(t, core.RemoteEnded, r.now(ctx, task.ID).Remote.State)
	})
}

// A hub that stops leaves what it has begun to the next one: the workflow does not
// learn of a failure that was none.
func TestAHubThatStopsLeavesItsOperations(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		task := r.task(ctx, field, core.ExternalTask)
		var items []store.OutboxItem
		require.NoError(t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			items, err = tx.ClaimOutbox(ctx, []string{engine.KindOperation}, r.clock.Now(), "test", time.Minute, 1)
			return err
		}))
		stopping, stop := context.WithCancel(ctx)
		gate := make(chan struct{})
		r.mu.Lock()
		r.answers["create-ticket"] = func(operation.Request) (any, error) {
			stop()
			<-gate
			return ticket, nil
		}
		r.mu.Unlock()
		v := r.Handlers()[engine.KindOperation](stopping, items[0])
		close(gate)
		require.False(t, v.Done)
		require.NoError(t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseOutbox(ctx, items[0].ID, "test") }))
		r.drain(ctx)
		task = r.now(ctx, task.ID)
		id, _ := task.Parameter("CaseId")
		require.Equal(t, "7", id)
	})
}

// What a target did for a task that has ended meanwhile, and did wrong, is not
// asked for for ever.
func TestATargetThatAnswersWronglyForATaskThatHasEnded(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.mu.Lock()
		r.answers["create-task"] = func(operation.Request) (any, error) {
			return nil, r.engine.Remove(ctx, task.ID, nil, func(*core.Task) error { return nil })
		}
		r.mu.Unlock()
		r.drain(ctx)
		depth, err := r.db.OutboxDepth(ctx)
		require.NoError(t, err)
		require.Zero(t, depth)
		require.Equal(t, core.StateTerminated, r.now(ctx, task.ID).State)
	})
}

// A hub that was down for long does not begin what its workflows no longer wait
// for.
func TestOperationsThatComeTooLate(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.clock.Advance(time.Hour)
		r.drain(ctx)
		require.NotContains(t, r.names(), "create-ticket")
		require.Equal(t, core.StateQueued, r.now(ctx, task.ID).State, "the workflow goes on")
	})
}
