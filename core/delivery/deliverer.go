package delivery

import (
	"context"
	"net/http"
	"sync"
	"time"

	"tandem/core"
	"tandem/core/outbound"
	"tandem/core/store"
)

// Sealer keeps secrets unreadable; place is what a sealed text is bound to.
type Sealer interface {
	Seal(place string, plain []byte) []byte
	Open(place string, sealed []byte) ([]byte, error)
}

// Sender makes one call and reads the answer.
type Sender interface {
	Do(req *http.Request) (*outbound.Response, error)
}

// Sign returns the webhook-signature of a body sent to a flow of the tenant.
type Sign func(tenant, id string, at time.Time, body []byte) (string, error)

// Options is what a Deliverer is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	DB     *store.DB
	Clock  core.Clock
	Sender Sender
	Hosts  *outbound.Hosts
	Sealer Sealer
	Sign   Sign

	// Render turns an event into the body that flows expect.
	Render func(core.Event) ([]byte, error)

	// May returns nil, or why a trigger's owner may not receive what it asks for.
	May func(store.Trigger) error

	// Chance returns a random number from 0 to 1.
	Chance func() float64

	// Observe is told of each attempt: how it ended and how long after the event.
	Observe func(outcome string, lag time.Duration)

	// Failed is told of what went wrong in the background.
	Failed func(msg string, err error)

	PerTrigger int           // calls at once to one trigger; 0: 32
	Total      int           // calls at once to all triggers; 0: 1024
	Expiry     time.Duration // how long an event is tried; 0: 24 h
	Look       time.Duration // between looks for what is due; 0: 1 s
}

const (
	leaseTime  = 15 * time.Second
	leaseRenew = 5 * time.Second
	leaseWait  = 250 * time.Millisecond // between looks at a lease that is another's
	slotWait   = 10 * time.Millisecond  // between looks for a free slot
	lastCalls  = 3 * time.Second        // what calls under way get when the hub stops
	batch      = 64
)

// Deliverer delivers events to triggers. All methods may be called from
// several goroutines.
type Deliverer struct {
	o     Options
	name  string        // of this replica's leases
	slots chan struct{} // one for each call that may be under way

	mu      sync.Mutex
	ctx     context.Context //nolint:containedctx // the life of Run, which workers share
	calls   context.Context //nolint:containedctx // the life of calls, a little longer
	workers map[string]*worker
	paces   map[string]pace // of triggers that are not sent to at full speed
	running sync.WaitGroup
}

// New returns a deliverer; nothing is sent before Run.
func New(o Options) *Deliverer {
	if o.PerTrigger == 0 {
		o.PerTrigger = 32
	}
	if o.Total == 0 {
		o.Total = 1024
	}
	if o.Expiry == 0 {
		o.Expiry = 24 * time.Hour
	}
	if o.Look == 0 {
		o.Look = time.Second
	}
	if o.Observe == nil {
		o.Observe = func(string, time.Duration) {}
	}
	if o.Failed == nil {
		o.Failed = func(string, error) {}
	}
	return &Deliverer{
		o: o, name: core.NewID(o.Clock.Now()),
		slots: make(chan struct{}, o.Total), workers: map[string]*worker{}, paces: map[string]pace{},
	}
}

// Run delivers until ctx ends, then waits for the calls under way and gives the
// leases back, so that another replica goes on at once.
func (d *Deliverer) Run(ctx context.Context) {
	calls, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	d.mu.Lock()
	d.ctx, d.calls = ctx, calls
	d.mu.Unlock()
	ticker := time.NewTicker(d.o.Look)
	defer ticker.Stop()
	for ctx.Err() == nil {
		d.WakeDue(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	d.mu.Lock()
	d.ctx = nil
	d.mu.Unlock()
	defer time.AfterFunc(lastCalls, stop).Stop()
	d.running.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := d.o.DB.Write(last, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseTriggers(ctx, d.name) })
	if err != nil {
		d.o.Failed("give back the leases of triggers", err)
	}
}

// Wake makes sure that a trigger's deliveries are looked at now. It never
// blocks; before Run and after its end it does nothing.
func (d *Deliverer) Wake(triggerID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil {
		return
	}
	if w, ok := d.workers[triggerID]; ok {
		select {
		case w.signal <- struct{}{}:
		default:
		}
		return
	}
	p, known := d.paces[triggerID]
	if d.o.Clock.Now().Before(p.until) {
		return // WakeDue finds it then
	}
	if !known {
		p.limit = d.o.PerTrigger
	}
	w := &worker{
		d: d, id: triggerID, signal: make(chan struct{}, 1), busy: map[string]bool{},
		arrived: make(chan attempt, d.o.PerTrigger), pace: p,
	}
	d.workers[triggerID] = w
	ctx, calls := d.ctx, d.calls
	d.running.Go(func() { w.run(ctx, calls) })
}

// WakeDue wakes every trigger that has something to send. Run does so again and
// again: for what is due later, and for what another replica left behind.
func (d *Deliverer) WakeDue(ctx context.Context) {
	ids, err := d.o.DB.TriggersDue(ctx, d.o.Clock.Now())
	if err != nil {
		if ctx.Err() == nil {
			d.o.Failed("look for due deliveries", err)
		}
		return
	}
	for _, id := range ids {
		d.Wake(id)
	}
}

// leave removes a worker unless it was woken meanwhile, and tells whether it
// may go.
func (d *Deliverer) leave(w *worker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	paused := d.o.Clock.Now().Before(w.pace.until)
	if len(w.signal) > 0 && d.ctx != nil && !paused {
		return false
	}
	delete(d.workers, w.id)
	if paused || w.pace.limit < d.o.PerTrigger || w.pace.failures > 0 {
		d.paces[w.id] = w.pace
	} else {
		delete(d.paces, w.id)
	}
	return true
}
