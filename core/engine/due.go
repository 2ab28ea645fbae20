package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/store"
)

// dueBatch is how many due tasks are read at a time.
const dueBatch = 256

// wake tells Run of a due time.
func (e *Engine) wake(due time.Time) {
	if due.IsZero() {
		return
	}
	for {
		select {
		case e.due <- due:
			return
		case other := <-e.due: // keep the earlier of the two
			if other.Before(due) {
				due = other
			}
		}
	}
}

// look is how often Run looks for due tasks even if it knows of none: another
// replica may have left them, or the clock been set.
const look = time.Second

// Run wakes the workflows whose time has come, until ctx ends. Several replicas
// may run it: a task is stepped by whoever comes first. failed is told of each
// task that could not be stepped, from several goroutines. Such a task is tried
// again later and later, and ended after ten tries.
func (e *Engine) Run(ctx context.Context, failed func(taskID string, err error)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-e.due:
			if !next.IsZero() && !due.Before(next) && e.now().Before(next) {
				continue
			}
		case <-timer.C:
		}
		next = e.fire(ctx, failed)
		wait := look
		if !next.IsZero() {
			wait = min(max(next.Sub(e.now()), 0), look)
		}
		timer.Reset(wait)
	}
}

// fire steps all due tasks and returns when the next is due; the zero time when
// none is. Tasks that cannot be stepped hold up no others.
func (e *Engine) fire(ctx context.Context, failed func(string, error)) time.Time {
	var mu sync.Mutex
	bad := map[string]bool{} // could be neither stepped nor put off
	now := e.now()
	for ctx.Err() == nil {
		now = e.now()
		ids, err := e.db.DueTasks(ctx, now, dueBatch+len(bad))
		if err != nil {
			if ctx.Err() == nil { // the end of the hub is no failure
				failed("", err)
			}
			return now.Add(look)
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return bad[id] })
		if len(ids) == 0 {
			break
		}
		// Side by side, so that they share commits.
		var group errgroup.Group
		group.SetLimit(32)
		for _, id := range ids {
			group.Go(func() error {
				if !e.try(ctx, id, failed) {
					mu.Lock()
					bad[id] = true
					mu.Unlock()
				}
				return nil
			})
		}
		_ = group.Wait()
	}
	next, err := e.db.NextDue(ctx, now) // what came due since then is in the past, and fires at once
	if err != nil || len(bad) > 0 {
		return now.Add(look)
	}
	return next
}

// try steps a task, or puts it off when it cannot be stepped, and tells whether
// either was possible.
func (e *Engine) try(ctx context.Context, id string, failed func(string, error)) bool {
	err := e.Due(ctx, id)
	if err == nil || ctx.Err() != nil {
		return true
	}
	off := core.KindOf(err) != core.Unavailable && e.putOff(ctx, id) == nil
	failed(id, err)
	return off
}

const (
	firstRetry  = 5 * time.Second // doubled with each failure
	lastRetry   = time.Hour
	maxFailures = 10
)

// putOff delays a task that could not be stepped; one that has failed too often
// is ended, so that it neither counts as open for ever nor waits in silence.
func (e *Engine) putOff(ctx context.Context, id string) error {
	return e.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.Task(ctx, id)
		if err != nil {
			return err
		}
		if !row.Ended.IsZero() || row.Due.IsZero() || e.now().Before(row.Due) {
			return nil // somebody else has dealt with it
		}
		if row.Failures++; row.Failures < maxFailures {
			return tx.DelayTask(ctx, row, e.now().Add(min(firstRetry<<(row.Failures-1), lastRetry)))
		}
		r, err := e.decode(row)
		if err != nil {
			return tx.DelayTask(ctx, row, e.now().Add(lastRetry))
		}
		r.terminate()
		return e.save(ctx, tx, r)
	})
}

// Due steps one task whose wait is over; nothing happens when it is not.
func (e *Engine) Due(ctx context.Context, id string) error {
	err := e.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := e.open(ctx, tx, id)
		if err != nil {
			return err
		}
		if r.row.Due.IsZero() || r.now.Before(r.row.Due) {
			return nil
		}
		if err := r.step(flow.Due); err != nil {
			return err
		}
		return e.save(ctx, tx, r)
	})
	if err != nil && core.KindOf(err) == core.NotFound {
		return nil // removed by the retention meanwhile
	}
	if err != nil {
		return fmt.Errorf("task %s: %w", id, err)
	}
	return nil
}
