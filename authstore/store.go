package authstore

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

// Options is what a Store is built with. All but the last three are needed.
type Options struct {
	DB     *store.DB
	Sealer *Sealer
	Clock  core.Clock
	Chance func() float64 // from 0 to 1

	// Integrations returns the catalogue that is in force.
	Integrations func() *integration.Catalogue

	// HTTP makes the token calls. It must guard addresses, follow no redirect
	// and bound the time of a call and the size of an answer.
	HTTP *http.Client

	// Redirect returns the address to which the provider of an integration
	// sends an administrator back, from configuration only; NotConfigured when
	// there is none.
	Redirect func(integration string) (string, error)

	// Changed is told after each change of a status, Ending by Warn of a grant
	// that ends soon. They must not call the Store; nil: nobody.
	Changed func(integration.Authorization)
	Ending  func(integration.Authorization)

	// Failing is told when renewals begin to fail in a way that may pass by
	// itself. It must not call the Store; nil: nobody.
	Failing func(integration.Authorization, error)
}

// How long things may take.
const (
	callTimeout  = 30 * time.Second // a token call
	sideTimeout  = 5 * time.Second  // what is done on the side and may fail
	lease        = 10 * time.Second // of a renewal, kept up while it goes on
	drain        = 10 * time.Second // for renewals under way when Run is told to end
	grantTimeout = 20 * time.Second // to store what a provider gave, while an administrator waits
	maxPause     = 2 * time.Second  // between tries to store it
)

// renewals is how many renewals ahead of time are under way at most.
const renewals = 16

// Store keeps authorizations and gives their credentials to calls. It may be
// used by several goroutines at once. Nothing in its memory is the truth: any
// number of Stores may work on one database.
type Store struct {
	o Options

	snap     atomic.Pointer[snapshot]
	reading  chan struct{} // full while the snapshot is replaced
	followed atomic.Int64  // when the database was last asked for changes, in ms

	mu      sync.Mutex
	flights map[string]*flight   // renewals under way, by id
	rests   map[string]rest      // providers that failed, by id
	forced  map[string]time.Time // when a token was last renewed after a 401, by id

	// Shorter in tests.
	callTimeout time.Duration
	lease       time.Duration
	poll        time.Duration
}

// New returns a Store. Nothing is read before it is first asked.
func New(o Options) *Store {
	if o.Changed == nil {
		o.Changed = func(integration.Authorization) {}
	}
	if o.Ending == nil {
		o.Ending = func(integration.Authorization) {}
	}
	if o.Failing == nil {
		o.Failing = func(integration.Authorization, error) {}
	}
	return &Store{
		o: o, reading: make(chan struct{}, 1), flights: map[string]*flight{}, rests: map[string]rest{}, forced: map[string]time.Time{},
		callTimeout: callTimeout, lease: lease, poll: 50 * time.Millisecond,
	}
}

// Run takes in the changes of other replicas about each second and renews
// tokens ahead of their end. It returns when ctx has ended and the renewals
// under way are done, ten seconds later at most.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		// What a database that is away cannot tell now, the next round asks again.
		if snap, err := s.follow(ctx); err == nil {
			s.renewDue(snap)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.wait()
			return
		}
	}
}

// wait is for the renewals under way: a provider that hands out each refresh
// token once has used up the old one already.
func (s *Store) wait() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.flights))
	s.mu.Unlock()
	late := time.NewTimer(drain)
	defer late.Stop()
	for _, f := range all {
		select {
		case <-f.done:
		case <-late.C:
			return
		}
	}
}

// renewDue starts the renewals whose time has come.
func (s *Store) renewDue(snap *snapshot) {
	now := s.o.Clock.Now().UnixMilli()
	for _, e := range snap.byID {
		if e.err != nil || e.shown.Status != integration.Authorized || e.row.RenewMs == nil || *e.row.RenewMs > now {
			continue
		}
		if s.underWay() >= renewals {
			return
		}
		_, _ = s.fly(e) // those who need the token hear why it failed
	}
}

// List returns the authorizations of a tenant by name, of one integration or,
// when that is empty, of all.
func (s *Store) List(ctx context.Context, tenant, id string) ([]integration.Authorization, error) {
	snap, err := s.follow(ctx)
	if err != nil {
		return nil, err
	}
	return snap.list(tenant, id), nil
}

// Get returns an authorization of the tenant; NotFound when there is none, or
// it is another tenant's.
func (s *Store) Get(ctx context.Context, tenant, id string) (integration.Authorization, error) {
	snap, err := s.follow(ctx)
	if err != nil {
		return integration.Authorization{}, err
	}
	e, err := snap.find(tenant, id)
	if err != nil {
		return integration.Authorization{}, err
	}
	return snap.authorization(e), nil
}

// Expiring returns the authorizations of all tenants, as far as they are in
// memory, whose grant ends within that time or has ended, the first to end first.
func (s *Store) Expiring(within time.Duration) []integration.Authorization {
	var all []integration.Authorization
	snap := s.snap.Load()
	if snap == nil {
		return nil
	}
	before := s.o.Clock.Now().Add(within)
	for _, e := range snap.byID {
		if e.shown.Status == integration.Authorized && !e.shown.Expires.IsZero() && !e.shown.Expires.After(before) {
			all = append(all, snap.authorization(e))
		}
	}
	slices.SortFunc(all, func(a, b integration.Authorization) int { return a.Expires.Compare(b.Expires) })
	return all
}

// Counts returns how many authorizations of all tenants there are, as far as
// they are in memory, by integration and status.
func (s *Store) Counts() map[string]map[integration.Status]int {
	counts := map[string]map[integration.Status]int{}
	snap := s.snap.Load()
	if snap == nil {
		return counts
	}
	for _, e := range snap.byID {
		if counts[e.row.Integration] == nil {
			counts[e.row.Integration] = map[integration.Status]int{}
		}
		counts[e.row.Integration][e.shown.Status]++
	}
	return counts
}

// Warn reports each grant that ends within 14 days through Ending, once for
// all replicas, until it was renewed beyond that. It is a duty.
func (s *Store) Warn(ctx context.Context) error {
	var found []store.Authorization
	now := s.o.Clock.Now()
	err := s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		found, err = tx.WarnAuthorizations(ctx, now.Add(integration.WarnBefore), now)
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range found {
		s.o.Ending(s.open(row).shown)
	}
	return nil
}

// changed takes in a row that was saved, tells of it and returns it as shown.
func (s *Store) changed(ctx context.Context, row store.Authorization, tell bool) integration.Authorization {
	s.put(row)
	shown := s.open(row).shown
	if snap, err := s.current(context.WithoutCancel(ctx)); err == nil {
		if e := snap.byID[row.ID]; e != nil && e.row.Version == row.Version {
			shown = snap.authorization(e)
		}
	}
	if tell {
		s.o.Changed(shown)
	}
	return shown
}
