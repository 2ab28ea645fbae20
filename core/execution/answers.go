package execution

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// A run that answers holds a short lease and renews it, so that a process that
// dies is noticed soon.
const (
	lease    = 6 * time.Second
	beat     = 2 * time.Second
	poll     = 100 * time.Millisecond
	lostLife = time.Hour // how long a run whose process died is remembered at least
)

// FirstAnswers lets one of several equal requests run, over replicas and
// restarts, and gives its answer to all. It may be used from several goroutines.
type FirstAnswers struct {
	db      *store.DB
	clock   core.Clock
	failed  func(msg string, err error)
	mu      sync.Mutex
	flights map[[32]byte]*flight
	all     sync.WaitGroup
}

// flight is a request that is being answered by this process.
type flight struct {
	done     chan struct{}
	cancel   context.CancelFunc
	waiting  int  // callers
	stands   bool // the claim does, this flight's or another's: the work goes on without callers
	off      bool // the last caller left before that: nothing may begin any more
	answer   Answer
	repeated bool
	err      error
}

// NewFirstAnswers returns a FirstAnswers over the database. failed is told what
// went wrong when no caller is: a flow that panicked or lost its claim while
// nobody waited any more, and an answer that could not be kept.
func NewFirstAnswers(db *store.DB, clock core.Clock, failed func(msg string, err error)) *FirstAnswers {
	return &FirstAnswers{db: db, clock: clock, failed: failed, flights: map[[32]byte]*flight{}}
}

// Do returns the answer to the request with the key: that of the request that
// came first in the last life, else that of flow, which then runs, whatever
// becomes of ctx, for at most limit. repeated tells that it is another's.
//
// Errors: Timeout when ctx ended before there was an answer, which does not stop
// a flow; Uncertain when the process that ran the flow died; Unavailable, also
// when ctx ended before the request was written down, and others of the store,
// and nothing ran or will, but for callers who still wait for the same; Internal
// when the flow panicked.
func (a *FirstAnswers) Do(ctx context.Context, key [32]byte, life, limit time.Duration, flow Flow) (Answer, bool, error) {
	a.mu.Lock()
	f := a.flights[key]
	joined := f != nil
	if !joined {
		run, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit+lease)
		f = &flight{done: make(chan struct{}), cancel: cancel}
		a.flights[key] = f
		a.all.Go(func() { a.fly(run, f, key, life, limit, flow) })
	}
	f.waiting++
	a.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		if err := a.leave(f, key, ctx.Err()); err != nil {
			return nil, false, err
		}
	}
	return f.answer, joined || f.repeated, f.err
}

// leave takes a caller off a flight, the last one together with the flight if
// nothing has begun. It returns nil when the flight has ended meanwhile.
func (a *FirstAnswers) leave(f *flight, key [32]byte, cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-f.done:
		return nil
	default:
	}
	if f.waiting--; f.stands {
		return core.Wrap(core.Timeout, cause, "the answer did not come in time; what was begun goes on")
	}
	if f.waiting > 0 {
		return core.Wrap(core.Unavailable, cause, "the request could not be written down in time; somebody else still waits for the same")
	}
	f.off = true
	f.cancel()
	if a.flights[key] == f {
		delete(a.flights, key) // who asks again is not to wait for what never comes
	}
	return core.Wrap(core.Unavailable, cause, "the request could not be written down in time; nothing was begun")
}

// stand notes that the claim of a flight stands, unless all callers have left.
func (a *FirstAnswers) stand(f *flight) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f.off {
		return context.Canceled
	}
	f.stands = true
	return nil
}

// Wait returns when no flow of this process runs any more, or ctx ends.
func (a *FirstAnswers) Wait(ctx context.Context) {
	idle := make(chan struct{})
	go func() { a.all.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

func (a *FirstAnswers) fly(ctx context.Context, f *flight, key [32]byte, life, limit time.Duration, flow Flow) {
	defer f.cancel()
	defer func() {
		a.mu.Lock()
		if a.flights[key] == f {
			delete(a.flights, key)
		}
		gone := f.waiting == 0 && !f.off
		close(f.done)
		a.mu.Unlock()
		if gone && f.err != nil {
			a.failed("a request whose caller has gone was not answered", f.err)
		}
	}()
	owner := core.NewID(a.clock.Now())
	first, err := a.claim(ctx, f, key, owner, life)
	switch {
	case err != nil:
		f.err = err
		return
	case first.Owner != owner:
		f.answer, f.repeated = first.Answer, true
		return
	}
	stop := a.keepLease(ctx, key, owner)
	var keep bool
	f.answer, keep, f.err = guarded(ctx, limit, flow)
	stop()
	if f.err != nil {
		return // nobody knows how far it came: the lease runs out
	}
	// The answer is given whether or not it can be kept: what was done is done.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	err = a.db.Write(last, func(ctx context.Context, tx *store.Tx) error {
		if keep {
			return tx.KeepFirstAnswer(ctx, key[:], owner, f.answer, life)
		}
		return tx.FreeFirstAnswer(ctx, key[:], owner)
	})
	if err != nil {
		a.failed("a first answer was not kept; the same request again is told that its end is unknown", err)
	}
}

// claim takes the key for the owner, or returns the answer of whoever has it,
// after that one is ready. Neither is when the flight is off: the last moment to
// call it off is before the commit, so that no claim is ever left behind.
func (a *FirstAnswers) claim(ctx context.Context, f *flight, key [32]byte, owner string, life time.Duration) (first store.FirstAnswer, err error) {
	for {
		err = a.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			if first, err = tx.ClaimFirstAnswer(ctx, key[:], owner, lease, life); err == nil {
				err = a.stand(f)
			}
			return err
		})
		switch {
		case err != nil, first.Owner == owner, first.Answer != nil:
			return first, err
		case first.Lost:
			return first, core.Errorf(core.Uncertain, "the hub was ended while it worked on this request; look at the vendor before you repeat it")
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return first, core.Wrap(core.Timeout, ctx.Err(), "the same request is being answered by another process")
		}
	}
}

// keepLease renews the lease until stop is called.
func (a *FirstAnswers) keepLease(ctx context.Context, key [32]byte, owner string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = a.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
					return tx.ExtendFirstAnswer(ctx, key[:], owner, lease)
				})
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// guarded runs a flow in its time.
func guarded(ctx context.Context, limit time.Duration, flow Flow) (answer Answer, keep bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = errors.New(fmt.Sprint("panic: ", v, "\n", string(debug.Stack())))
		}
	}()
	answer, keep = flow(ctx)
	return answer, keep, nil
}
