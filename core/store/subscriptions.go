package store

import (
	"context"
	"time"

	"tandem/core"
)

// Subscription is where another platform sends what happens there. A tenant has
// one. Secrets are sealed.
type Subscription struct {
	ID         string `db:"id"`
	Tenant     string `db:"tenant"`
	RemoteID   string `db:"remote_id"` // at the other platform; empty: not known
	Org        string `db:"org"`       // organization there; empty: not known
	URL        string `db:"url"`       // as it was last told to the other platform
	Secret     []byte `db:"secret"`
	OldSecret  []byte `db:"old_secret"` // nil: none
	OldUntilMs int64  `db:"old_until_ms"`
	Status     string `db:"status"`
	Error      string `db:"error"`
	CheckedMs  int64  `db:"checked_ms"` // ahead of now: somebody checks it until then at the longest
	EventMs    int64  `db:"event_ms"`   // of the last event, right to some seconds
	ComparedMs int64  `db:"compared_ms"`
	Compared   string `db:"compared"`
	CreatedMs  int64  `db:"created_ms"`
}

const subscriptionColumns = `id, tenant, remote_id, org, url, secret, old_secret, old_until_ms, status, error,
	checked_ms, event_ms, compared_ms, compared, created_ms`

// eventStep is how exactly the time of the last event is known.
const eventStep = 10 * time.Second

// InsertSubscription stores a new subscription. Nothing happens when its tenant
// has one.
func (tx *Tx) InsertSubscription(ctx context.Context, s Subscription) error {
	_, err := tx.exec(ctx, `INSERT INTO subscriptions (`+subscriptionColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant) DO NOTHING`,
		s.ID, s.Tenant, s.RemoteID, s.Org, s.URL, s.Secret, s.OldSecret, s.OldUntilMs, s.Status, s.Error,
		s.CheckedMs, s.EventMs, s.ComparedMs, s.Compared, s.CreatedMs)
	return err
}

// ClaimSubscription gives the caller a tenant's subscription alone, until
// SaveSubscription is done with it or the lease ends: the returned CheckedMs is
// the claim. Errors are NotFound when there is none, Conflict while somebody
// else has it.
func (tx *Tx) ClaimSubscription(ctx context.Context, tenant string, lease time.Duration) (Subscription, error) {
	var s Subscription
	now, err := tx.now(ctx)
	if err != nil {
		return s, err
	}
	err = tx.get(ctx, &s, tx.lock("SELECT "+subscriptionColumns+" FROM subscriptions WHERE tenant = ?"), tenant)
	if err != nil {
		return s, err
	}
	if s.CheckedMs > now {
		return s, core.Errorf(core.Conflict, "the subscription is being checked right now")
	}
	s.CheckedMs = now + lease.Milliseconds()
	_, err = tx.exec(ctx, "UPDATE subscriptions SET checked_ms = ? WHERE id = ?", s.CheckedMs, s.ID)
	return s, err
}

// SaveSubscription stores what the holder of a claim changed, all but the
// events and comparisons, and gives the claim back when done. The error is
// Conflict when the claim is not the caller's any more.
func (tx *Tx) SaveSubscription(ctx context.Context, s Subscription, done bool) error {
	checked := s.CheckedMs
	if done {
		var err error
		if checked, err = tx.now(ctx); err != nil {
			return err
		}
	}
	n, err := tx.exec(ctx, `UPDATE subscriptions SET remote_id = ?, org = ?, url = ?, secret = ?, old_secret = ?,
		old_until_ms = ?, status = ?, error = ?, checked_ms = ? WHERE id = ? AND checked_ms = ?`,
		s.RemoteID, s.Org, s.URL, s.Secret, s.OldSecret, s.OldUntilMs, s.Status, s.Error, checked, s.ID, s.CheckedMs)
	if err == nil && n == 0 {
		return core.Errorf(core.Conflict, "somebody else checks the subscription")
	}
	return err
}

// TouchSubscription notes the time of an event, once a step.
func (tx *Tx) TouchSubscription(ctx context.Context, id string, at time.Time) error {
	_, err := tx.exec(ctx, "UPDATE subscriptions SET event_ms = ? WHERE id = ? AND event_ms <= ?",
		ms(at), id, ms(at.Add(-eventStep)))
	return err
}

// SaveComparison notes that open tasks were compared, and what came of it.
func (tx *Tx) SaveComparison(ctx context.Context, id string, at time.Time, result string) error {
	_, err := tx.exec(ctx, "UPDATE subscriptions SET compared_ms = ?, compared = ? WHERE id = ?", ms(at), result, id)
	return err
}

// SubscriptionOf returns a tenant's subscription; NotFound when there is none.
func (db *DB) SubscriptionOf(ctx context.Context, tenant string) (Subscription, error) {
	var s Subscription
	err := db.get(ctx, &s, "SELECT "+subscriptionColumns+" FROM subscriptions WHERE tenant = ?", tenant)
	return s, err
}

// Subscriptions returns all subscriptions, by tenant.
func (db *DB) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var all []Subscription
	err := db.list(ctx, &all, "SELECT "+subscriptionColumns+" FROM subscriptions ORDER BY tenant")
	return all, err
}
