package outbound

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"

	"tandem/core"
)

const (
	maxUpstreams = 1024
	queueFactor  = 4 // this many times the calls in flight may wait
)

// errBusy says that the queue of an upstream is full.
var errBusy = errors.New("the queue is full")

// State is what a breaker thinks of its upstream.
type State string

// The states of a breaker.
const (
	Closed   State = "closed"    // well, as far as is known
	Open     State = "open"      // down: calls are refused
	HalfOpen State = "half-open" // one call, or the next, finds out
)

// Upstream is a host as one tenant's calls see it. One that is down stays Open
// for 30 s and is then HalfOpen until a call has found out more, however long
// nobody calls.
type Upstream struct {
	Tenant    string
	Names     []string // of the integrations that call it, sorted
	Host      string   // host:port
	State     State
	Failures  int       // in a row
	Since     time.Time // of the state
	NextProbe time.Time // with Open: calls are refused until then
	InFlight  int
	Waiting   int
}

// Upstreams lists what a tenant's calls went to, or with "" everybody's, sorted
// by name, host and tenant. Those not called for long may have been forgotten.
func (c *Client) Upstreams(tenant string) []Upstream {
	var list []Upstream
	for _, u := range c.upstreams.list(tenant) {
		list = append(list, u.view())
	}
	slices.SortFunc(list, func(a, b Upstream) int {
		return cmp.Or(slices.Compare(a.Names, b.Names), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Tenant, b.Tenant))
	})
	return list
}

type upstreamKey struct{ tenant, host string }

// registry knows the upstreams.
type registry struct {
	clock   core.Clock
	changed func(Upstream)

	mu   sync.Mutex
	all  map[upstreamKey]*upstream
	turn uint64 // counts the calls, to know which upstream was used last
}

func newRegistry(clock core.Clock, changed func(Upstream)) *registry {
	return &registry{clock: clock, changed: changed, all: map[upstreamKey]*upstream{}}
}

// get returns the upstream of a call.
func (r *registry) get(call *Call) *upstream {
	at := call.Request.URL
	key := upstreamKey{call.Tenant, hostPort(at.Scheme, at.Hostname(), at.Port())}
	r.mu.Lock()
	u := r.all[key]
	if u == nil {
		if len(r.all) >= maxUpstreams {
			r.evict()
		}
		u = newUpstream(key, r.clock, r.changed)
		r.all[key] = u
	}
	r.turn++
	u.used = r.turn
	r.mu.Unlock()
	u.call(call.Name)
	return u
}

// evict forgets the upstream whose memory is worth least: one that is idle and
// well, else idle, else any; among equals the one not used for longest. A call
// that is still with a forgotten one ends as it would have.
func (r *registry) evict() {
	var worst *upstream
	var rank int
	for _, u := range r.all {
		v := u.worth()
		if worst == nil || v < rank || v == rank && u.used < worst.used {
			worst, rank = u, v
		}
	}
	delete(r.all, worst.key)
}

func (r *registry) list(tenant string) []*upstream {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []*upstream
	for key, u := range r.all {
		if tenant == "" || key.tenant == tenant {
			list = append(list, u)
		}
	}
	return list
}

// upstream is all that calls to one host share. Its breaker calls back under a
// lock of its own: take mu below it, never above.
type upstream struct {
	key     upstreamKey
	host    string
	clock   core.Clock
	changed func(Upstream)
	breaker *gobreaker.CircuitBreaker[struct{}]
	used    uint64 // guarded by the registry

	mu       sync.Mutex
	names    []string
	budget   float64
	limiter  *rate.Limiter
	perMin   int
	limit    int // calls in flight
	inFlight int
	writing  int // of them
	queue    []waiter

	state     State
	period    int // counts the changes of the state
	since     time.Time
	nextProbe time.Time
	failures  int
	window    window
	changes   []Upstream // not yet announced
}

func newUpstream(key upstreamKey, clock core.Clock, changed func(Upstream)) *upstream {
	u := &upstream{
		key: key, host: key.host, clock: clock, changed: changed,
		budget: budgetBurst, state: Closed, since: clock.Now(),
	}
	u.breaker = newBreaker(u)
	return u
}

// call notes a call: its name, and its share of the budget of retries.
func (u *upstream) call(name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.budget = min(u.budget+budgetPerCall, budgetBurst)
	if i, found := slices.BinarySearch(u.names, name); !found {
		u.names = slices.Insert(u.names, i, name)
	}
}

// withdraw takes one retry out of the budget, if there is one.
func (u *upstream) withdraw() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.budget < 1 {
		return false
	}
	u.budget--
	return true
}

// waiter is a call that waits for its turn.
type waiter struct {
	turn   chan struct{} // closed when it has come
	writes bool
}

// share is how many calls of a kind there may be where there may be so many of
// all: those that write leave room for those that read, because they go on when
// nobody waits for them any more, and an upstream may hang on writing only.
func share(all int, writes bool) int {
	if writes {
		return all - all/4
	}
	return all
}

// enter waits for the right to be in flight; leave gives it back. Errors:
// errBusy at once when too many wait already, and the context's.
func (u *upstream) enter(ctx context.Context, limit int, writes bool) error {
	u.mu.Lock()
	u.limit = limit
	if u.room(writes) && u.next() < 0 {
		u.take(writes)
		u.mu.Unlock()
		return nil
	}
	waiting := 0
	for _, w := range u.queue {
		if w.writes || !writes {
			waiting++
		}
	}
	if waiting >= queueFactor*share(limit, writes) {
		u.mu.Unlock()
		return errBusy
	}
	turn := make(chan struct{})
	u.queue = append(u.queue, waiter{turn, writes})
	u.mu.Unlock()
	select {
	case <-turn:
		if ctx.Err() == nil {
			return nil
		}
	case <-ctx.Done():
	}
	u.mu.Lock()
	i := slices.IndexFunc(u.queue, func(w waiter) bool { return w.turn == turn })
	if i >= 0 {
		u.queue = slices.Delete(u.queue, i, i+1)
	}
	u.mu.Unlock()
	if i < 0 { // the turn came at the last moment: it is the next one's
		u.leave(writes)
	}
	return ctx.Err()
}

// room tells whether one more call may be in flight.
func (u *upstream) room(writes bool) bool {
	return u.inFlight < u.limit && (!writes || u.writing < share(u.limit, true))
}

// next is the place in the queue of the first call that may go; -1: none may.
func (u *upstream) next() int {
	return slices.IndexFunc(u.queue, func(w waiter) bool { return u.room(w.writes) })
}

func (u *upstream) take(writes bool) {
	u.inFlight++
	if writes {
		u.writing++
	}
}

func (u *upstream) leave(writes bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.inFlight--
	if writes {
		u.writing--
	}
	for i := u.next(); i >= 0; i = u.next() {
		u.take(u.queue[i].writes)
		close(u.queue[i].turn)
		u.queue = slices.Delete(u.queue, i, i+1)
	}
}

// reserve takes one request of the minute's. The caller sends it after wait, or
// calls undo.
func (u *upstream) reserve(perMinute int) (wait time.Duration, undo func()) {
	if perMinute <= 0 {
		return 0, nil
	}
	u.mu.Lock()
	if u.perMin != perMinute {
		// A burst and a steady flow that together are a minute's worth.
		burst := max(1, perMinute/10)
		flow := rate.Limit(max(perMinute-burst, 1)) / 60
		if u.limiter == nil {
			u.limiter = rate.NewLimiter(flow, burst)
		}
		u.limiter.SetLimit(flow)
		u.limiter.SetBurst(burst)
		u.perMin = perMinute
	}
	limiter := u.limiter
	u.mu.Unlock()
	r := limiter.Reserve()
	return r.Delay(), r.Cancel
}

// worth ranks upstreams for eviction: 0 goes first.
func (u *upstream) worth() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.inFlight+len(u.queue) > 0:
		return 2
	case u.state != Closed:
		return 1
	default:
		return 0
	}
}

func (u *upstream) view() Upstream {
	u.mu.Lock()
	defer u.mu.Unlock()
	v := u.viewLocked()
	// gobreaker moves on only when somebody calls.
	if v.State == Open && u.clock.Now().After(v.NextProbe) {
		v.State, v.Since, v.NextProbe = HalfOpen, v.NextProbe, time.Time{}
	}
	return v
}

func (u *upstream) viewLocked() Upstream {
	return Upstream{
		Tenant: u.key.tenant, Names: slices.Clone(u.names), Host: u.host,
		State: u.state, Failures: u.failures, Since: u.since, NextProbe: u.nextProbe,
		InFlight: u.inFlight, Waiting: len(u.queue),
	}
}

// announce tells of the changes of state that calls have brought about. It is
// called without any lock.
func (u *upstream) announce() {
	u.mu.Lock()
	changes := u.changes
	u.changes = nil
	u.mu.Unlock()
	for _, change := range changes {
		u.changed(change)
	}
}
