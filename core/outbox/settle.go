package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"time"

	"tandem/core"
	"tandem/core/store"
)

var (
	errLost   = errors.New("somebody else does the item")
	errFailed = errors.New("it was tried for a day; what comes after it in its lane goes on")
)

func (w *Worker) do(ctx context.Context, it store.OutboxItem) (v Verdict) {
	defer func() {
		if p := recover(); p != nil { // one poisonous item must not take the hub with it
			w.o.Failed("do an item of the outbox of kind "+it.Kind, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
			v = Verdict{}
		}
	}()
	return w.o.Handlers[it.Kind](ctx, it)
}

// settle writes a verdict down, again and again while the database does not take
// it. What was done must not be done again only because the hub stops: the first
// try is made even then.
func (w *Worker) settle(ctx context.Context, it store.OutboxItem, lease string, v Verdict) {
	interrupted := ctx.Err() != nil && !v.Done
	unsure := false
	if !interrupted {
		v = w.bounded(it, v)
	}
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := w.o.DB.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) error {
			if interrupted {
				return tx.ReleaseOutbox(ctx, it.ID, lease)
			}
			return w.record(ctx, tx, it, lease, v)
		})
		if err == nil || errors.Is(err, errLost) && unsure { // it was stored when the connection broke
			return
		}
		kind := core.KindOf(err)
		again := kind == core.Unavailable || kind == core.Uncertain
		if !again || pause == firstPause { // said once
			w.o.Failed("write down what came of an item of the outbox of kind "+it.Kind, err)
		}
		switch {
		case errors.Is(err, errLost):
			return
		case again:
			unsure = unsure || kind == core.Uncertain
			if !sleep(ctx, pause) {
				return // the lease ends soon, and then it is done again
			}
		case v.Then != nil:
			v = w.bounded(it, Verdict{}) // what was to be written with it cannot be
		default:
			return
		}
	}
}

// bounded ends what has failed, in a way that its handler did not foresee, for a
// day: it would stand in the way of its lane for ever.
func (w *Worker) bounded(it store.OutboxItem, v Verdict) Verdict {
	if _, more := Backoff(it.Attempts); more || v.Done || v.Wait > 0 || v.Payload != nil {
		return v
	}
	w.o.Failed("give up an item of the outbox of kind "+it.Kind, errFailed)
	return Verdict{Done: true, Then: v.Then}
}

// record writes a verdict.
func (w *Worker) record(ctx context.Context, tx *store.Tx, it store.OutboxItem, lease string, v Verdict) error {
	var err error
	if v.Done {
		err = tx.DeleteOutbox(ctx, it.ID, lease)
	} else {
		wait := v.Wait
		if wait <= 0 && v.Payload == nil {
			wait, _ = Backoff(it.Attempts)
		}
		err = tx.DelayOutbox(ctx, it.ID, lease, w.o.Clock.Now().Add(wait), v.Payload)
	}
	if err != nil && core.KindOf(err) == core.Conflict {
		return errors.Join(errLost, err)
	}
	if err != nil || v.Then == nil {
		return err
	}
	return v.Then(ctx, tx)
}

// renew keeps the leases of what is under way until ctx ends.
func (w *Worker) renew(ctx context.Context) {
	ticker := time.NewTicker(leaseRenew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.renewLeases(ctx)
		}
	}
}

// renewLeases prolongs the lease of each run and ends those that have lost it:
// another replica may do their items now, or the next of their lanes.
func (w *Worker) renewLeases(ctx context.Context) {
	w.mu.Lock()
	running := maps.Clone(w.running)
	w.mu.Unlock()
	if len(running) == 0 {
		return
	}
	now := w.o.Clock.Now()
	held := map[string]bool{}
	err := w.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		for id, r := range running {
			if held[id], err = tx.RenewOutbox(ctx, id, r.lease, leaseTime); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		w.o.Failed("keep items of the outbox", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, r := range running {
		switch {
		case err == nil && held[id]:
			r.until = now.Add(leaseTime)
		case err == nil, now.After(r.until):
			r.cancel()
		}
	}
}

// sleep waits and tells whether ctx did not end meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
