package webex

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// SecretBox seals secrets for one place, and opens them.
type SecretBox interface {
	Seal(place string, plain []byte) []byte
	Open(place string, sealed []byte) ([]byte, error)
}

// subscriptionPlace is where the secrets of a subscription belong.
func subscriptionPlace(id string) string { return "webex/subscription/" + id }

// subscriptionPath is where the events of subscriptions arrive, before the id.
const subscriptionPath = "/webex/v1/events/"

// The times of the book.
const (
	bookEvery = 5 * time.Second        // what it says is at most this old
	bookPause = time.Second            // between two looks for what it does not say
	bookWait  = 300 * time.Millisecond // for the database
)

// known is a subscription with its secrets open.
type known struct {
	id, tenant, org string

	secret   []byte // nil: it could not be opened
	old      []byte // nil: none
	oldUntil time.Time
	touched  atomic.Int64 // ms of the last event that was noted
}

// secrets returns what may have signed an event that arrives now.
func (k *known) secrets(now time.Time) [][]byte {
	secrets := [][]byte{k.secret}
	if k.old != nil && now.Before(k.oldUntil) {
		secrets = append(secrets, k.old)
	}
	return secrets
}

// book knows the subscriptions of all tenants, from memory. Its methods may be
// called from several goroutines.
type book struct {
	db     *store.DB
	box    SecretBox
	clock  core.Clock
	failed func(msg string, err error)

	mu   sync.Mutex
	read time.Time // when it was last tried
	all  map[string]*known
	err  error // of that try
}

// find returns a subscription; NotFound when there is none, Unavailable when
// that cannot be said now. A caller that is not sure of what it got has it read
// anew, as far as there is time for that.
func (b *book) find(ctx context.Context, id string, sure bool) (*known, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := b.clock.Now().Sub(b.read)
	sure = sure && b.all[id] != nil
	if age >= bookEvery || !sure && age >= bookPause {
		b.fill(ctx)
	}
	if k := b.all[id]; k != nil {
		return k, nil
	}
	if b.err != nil {
		return nil, core.Wrap(core.Unavailable, b.err, "The subscriptions cannot be read now.")
	}
	return nil, core.Errorf(core.NotFound, "There is no such subscription.")
}

// fill reads the subscriptions. What was known stays known when that fails.
func (b *book) fill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookWait)
	defer cancel()
	b.read = b.clock.Now()
	var rows []store.Subscription
	if rows, b.err = b.db.Subscriptions(ctx); b.err != nil {
		return
	}
	all := make(map[string]*known, len(rows))
	for i := range rows {
		all[rows[i].ID] = b.open(&rows[i])
	}
	b.all = all
}

func (b *book) open(row *store.Subscription) *known {
	k := &known{id: row.ID, tenant: row.Tenant, org: row.Org, oldUntil: store.FromMilli(row.OldUntilMs)}
	k.touched.Store(row.EventMs)
	var err error
	if k.secret, err = b.box.Open(subscriptionPlace(row.ID), row.Secret); err != nil {
		b.failed("the secret of a Webex subscription does not open", err)
	}
	if len(row.OldSecret) > 0 {
		k.old, _ = b.box.Open(subscriptionPlace(row.ID), row.OldSecret) // one that does not open signs nothing
	}
	return k
}

// SubscriptionState is a tenant's subscription for people. It holds no secret.
type SubscriptionState struct {
	Org    string // empty: not known
	URL    string
	Status string // pending, active, inactive, failed
	Error  string // of the last check

	Checked, LastEvent, Compared time.Time // zero: never, or right now
	Comparison                   string    // what came of the last comparison
	OldSecretUntil               time.Time // zero: the secret is the first; when it has passed, the old one is not taken any more
	Created                      time.Time
}

// SecretSince is when its secret was made.
func (s SubscriptionState) SecretSince() time.Time {
	if s.OldSecretUntil.IsZero() {
		return s.Created
	}
	return s.OldSecretUntil.Add(-oldSecretLife)
}

// State returns how a tenant's subscription stands; false when there is none.
func (k *Keeper) State(ctx context.Context, tenant string) (SubscriptionState, bool) {
	s, err := k.o.DB.SubscriptionOf(ctx, tenant)
	if err != nil {
		if core.KindOf(err) != core.NotFound {
			k.o.Failed("the subscription of a tenant could not be read", err)
		}
		return SubscriptionState{}, false
	}
	state := SubscriptionState{
		Org: s.Org, URL: s.URL, Status: s.Status, Error: s.Error,
		LastEvent: timeOrNone(s.EventMs), Compared: timeOrNone(s.ComparedMs), Comparison: s.Compared,
		OldSecretUntil: timeOrNone(s.OldUntilMs), Created: timeOrNone(s.CreatedMs),
	}
	// One in the future is being checked. The database's clock may be a little ahead
	// of this one.
	if state.Checked = timeOrNone(s.CheckedMs); state.Checked.After(k.o.Clock.Now().Add(saveTime)) {
		state.Checked = time.Time{}
	}
	return state, true
}

func timeOrNone(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return store.FromMilli(ms)
}
