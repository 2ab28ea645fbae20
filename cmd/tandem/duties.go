package main

import (
	"context"
	"time"

	"tandem/core/conversation"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/jobs"
	"tandem/core/store"
)

// duties are what one of the replicas must do now and then.
func (h *hub) duties() []jobs.Duty {
	return []jobs.Duty{
		{Name: "check trigger owners", Every: 30 * time.Second, Do: h.deliverer.Sweep},
		{Name: "prune", Every: 10 * time.Minute, Do: h.prune},
		{Name: "reseal", Every: 30 * time.Second, Do: h.reseal},
		{Name: "warn of authorizations that end", Every: time.Minute, Do: h.authorizations.Warn},
		{Name: "keep subscriptions at Webex", Every: time.Minute, Do: func(ctx context.Context) error { return h.webex.Keep(ctx) }},
		{Name: "compare open tasks with Webex", Every: 10 * time.Minute, Do: func(ctx context.Context) error { return h.webex.Compare(ctx) }},
	}
}

// prune deletes what has been kept long enough, in small steps, so that nobody
// waits for it.
func (h *hub) prune(ctx context.Context) error {
	const step = 200
	now := h.clock.Now()
	kept := now.Add(-h.config.retention)
	if err := h.identity.Prune(ctx); err != nil {
		return err
	}
	for _, delete := range []func(context.Context, *store.Tx) (int, error){
		func(ctx context.Context, tx *store.Tx) (int, error) { return tx.PruneTasks(ctx, kept, step) },
		func(ctx context.Context, tx *store.Tx) (int, error) { return execution.Prune(ctx, tx, now, step) },
		func(ctx context.Context, tx *store.Tx) (int, error) { return tx.PruneTriggers(ctx, kept, step) },
		func(ctx context.Context, tx *store.Tx) (int, error) {
			return tx.PruneReplays(ctx, now.Add(-engine.KeyLife), step)
		},
		func(ctx context.Context, tx *store.Tx) (int, error) {
			return tx.PruneBusinessKeys(ctx, now.Add(-directory.MaxDeduplicateWindow), step)
		},
		func(ctx context.Context, tx *store.Tx) (int, error) { return tx.PruneRemoteEvents(ctx, kept, step) },
		func(ctx context.Context, tx *store.Tx) (int, error) {
			return tx.PruneQueueTimes(ctx, now.Add(-24*time.Hour), step)
		},
		func(ctx context.Context, tx *store.Tx) (int, error) {
			return tx.PruneConversations(ctx, now.Add(-conversation.Keep), step)
		},
	} {
		for more := true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := h.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
				n, err := delete(ctx, tx)
				more = n == step
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
