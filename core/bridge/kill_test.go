package bridge_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
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
