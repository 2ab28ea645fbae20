package outbox

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// Worker does the items of an outbox. Several, also in several replicas, may
// work on one database at once.
type Worker struct {
	o      Options
	name   string // of its leases, to which each claim adds its number
	claims int    // so far; Run's own
	kinds  []string
	signal chan struct{}
	grace  time.Duration // what handlers get when the hub stops

	mu      sync.Mutex
	running map[string]*run
	runs    sync.WaitGroup
}

// run is an item under way.
type run struct {
	tenant string
	kind   string
	cancel context.CancelFunc
	lease  string    // under which it was claimed
	until  time.Time // the lease has ended by then, unless it was renewed
}

// New returns a worker; nothing is done before Run.
func New(o Options) *Worker {
	if o.AtOnce == 0 {
		o.AtOnce = 128
	}
	if o.Look == 0 {
		o.Look = time.Second
	}
	if o.Failed == nil {
		o.Failed = func(string, error) {}
	}
	return &Worker{
		o: o, name: core.NewID(o.Clock.Now()), kinds: slices.Sorted(maps.Keys(o.Handlers)),
		signal: make(chan struct{}, 1), grace: lastRuns, running: map[string]*run{},
	}
}

// Wake tells the worker that an item was written. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// Run does items until ctx ends. Those under way then have three seconds; what is
// not done by then is another replica's at once, or this one's after its start.
// Run returns when no handler is left. It is called once.
func (w *Worker) Run(ctx context.Context) {
	runs, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var renewing sync.WaitGroup
	renewing.Go(func() { w.renew(runs) })
	if w.o.DB.SQLite() { // one process serves, and what an earlier one left need not wait
		if err := w.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.FreeOutbox(ctx) }); err != nil {
			w.o.Failed("take over what an earlier process had not done", err)
		}
	}
	w.loop(ctx, runs)
	last := time.AfterFunc(w.grace, stop)
	w.runs.Wait()
	last.Stop()
	stop()
	renewing.Wait()
}

// loop claims items whenever some may be due.
func (w *Worker) loop(ctx, runs context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.signal:
		case <-timer.C:
		}
		wait, err := w.claim(ctx, runs)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			failures = 0
		default:
			w.o.Failed("look for what is to be done outside", err)
			failures = min(failures+1, 4)
			wait = w.o.Look << failures
		}
		timer.Reset(wait)
	}
}

// room returns the kinds of which more may be under way, how many of each of them,
// and whose are not among them: what waits for a slow platform holds up its own kind
// alone, and of that a part stays free for the other tenants.
func (w *Worker) room() (kinds []string, free int, but []store.OutboxShare) {
	w.mu.Lock()
	defer w.mu.Unlock()
	busy, shares := make(map[string]int, len(w.kinds)), make(map[store.OutboxShare]int)
	for _, r := range w.running {
		busy[r.kind]++
		shares[store.OutboxShare{Tenant: r.tenant, Kind: r.kind}]++
	}
	others := w.o.AtOnce / 4
	free = w.o.AtOnce
	for _, kind := range w.kinds {
		if left := w.o.AtOnce - busy[kind]; left > 0 {
			kinds, free = append(kinds, kind), min(free, left, max(left-others, others/2, 1))
		}
	}
	for share, n := range shares {
		if n >= w.o.AtOnce-others {
			but = append(but, share)
		}
	}
	return kinds, free, but
}

// claim begins what is due, as far as there is room, and returns when to look
// again. It writes nothing when nothing is due.
func (w *Worker) claim(ctx, runs context.Context) (wait time.Duration, err error) {
	kinds, free, but := w.room()
	if len(kinds) == 0 { // the end of a run wakes
		return w.o.Look, nil
	}
	next, err := w.o.DB.NextOutbox(ctx, kinds)
	if err != nil || next.IsZero() {
		return w.o.Look, err
	}
	now := w.o.Clock.Now()
	if next.After(now) {
		return min(next.Sub(now), w.o.Look), nil
	}
	w.claims++
	lease := w.name + "." + strconv.Itoa(w.claims)
	var items []store.OutboxItem
	err = w.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		items, err = tx.ClaimOutbox(ctx, kinds, now, lease, leaseTime, free, but...)
		return err
	})
	if err != nil || len(items) == 0 { // another replica was faster
		return w.o.Look, err
	}
	for _, it := range items {
		w.start(runs, it, lease)
	}
	return 0, nil
}

// start does an item in a goroutine of its own. A run of the same item that is
// still here has lost its lease to this one, or has just settled.
func (w *Worker) start(runs context.Context, it store.OutboxItem, lease string) {
	ctx, cancel := context.WithCancel(runs)
	r := &run{tenant: it.Tenant, kind: it.Kind, cancel: cancel, lease: lease, until: w.o.Clock.Now().Add(leaseTime)}
	w.mu.Lock()
	if old := w.running[it.ID]; old != nil {
		old.cancel()
	}
	w.running[it.ID] = r
	w.mu.Unlock()
	w.runs.Go(func() {
		defer cancel()
		w.settle(ctx, it, lease, w.do(ctx, it))
		w.mu.Lock()
		if w.running[it.ID] == r {
			delete(w.running, it.ID)
		}
		w.mu.Unlock()
		w.Wake() // for the next in its lane
	})
}
