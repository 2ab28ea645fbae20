package store

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"tandem/core"
)

// TriggerState is where a trigger stands.
type TriggerState string

// The states of a trigger.
const (
	TriggerActive    TriggerState = "active"
	TriggerSuspended TriggerState = "suspended" // its owner may not receive now
	TriggerEnded     TriggerState = "ended"
)

// Trigger is a flow's subscription to events. URL is sealed.
type Trigger struct {
	ID          string
	Tenant      string
	Owner       string // UPN
	Flow        string
	AddressHash []byte
	Host        string
	URL         []byte
	Services    []string // UPNs
	Events      core.Set
	Modalities  core.Set
	Directions  core.Set
	State       TriggerState
	Reason      string
	Misses      int
	Created     time.Time
	Ended       time.Time
}

type triggerRow struct {
	ID          string
	Tenant      string
	Owner       string
	Flow        string
	AddressHash []byte `db:"address_hash"`
	Host        string
	URL         []byte
	Services    []byte
	Events      core.Set
	Modalities  core.Set
	Directions  core.Set
	State       TriggerState
	Reason      string
	Misses      int
	CreatedMs   int64  `db:"created_ms"`
	EndedMs     *int64 `db:"ended_ms"`
}

const triggerColumns = `id, tenant, owner, flow, address_hash, host, url, services, events, modalities, directions,
	state, reason, misses, created_ms, ended_ms`

func (r *triggerRow) trigger() (Trigger, error) {
	t := Trigger{
		ID: r.ID, Tenant: r.Tenant, Owner: r.Owner, Flow: r.Flow, AddressHash: r.AddressHash, Host: r.Host, URL: r.URL,
		Events: r.Events, Modalities: r.Modalities, Directions: r.Directions,
		State: r.State, Reason: r.Reason, Misses: r.Misses, Created: FromMilli(r.CreatedMs),
	}
	if r.EndedMs != nil {
		t.Ended = FromMilli(*r.EndedMs)
	}
	err := json.Unmarshal(r.Services, &t.Services)
	return t, err
}

// InsertTrigger stores a new trigger and ends an earlier one of the same flow:
// what that one had not delivered yet goes to the new one.
func (tx *Tx) InsertTrigger(ctx context.Context, t Trigger) error {
	services, err := json.Marshal(t.Services)
	if err != nil {
		return err
	}
	if t.Flow != "" {
		if err := tx.replaceFlow(ctx, t); err != nil {
			return err
		}
	}
	_, err = tx.exec(ctx, `INSERT INTO triggers (`+triggerColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, NULL)`,
		t.ID, t.Tenant, t.Owner, t.Flow, t.AddressHash, t.Host, t.URL, string(services),
		int64(t.Events), int64(t.Modalities), int64(t.Directions), string(t.State), t.Reason, ms(t.Created))
	if err != nil {
		return err
	}
	for _, s := range t.Services {
		_, err := tx.exec(ctx, "INSERT INTO trigger_services (tenant, service, trigger_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			t.Tenant, strings.ToLower(s), t.ID)
		if err != nil {
			return err
		}
	}
	clear(tx.memo)
	return nil
}

func (tx *Tx) replaceFlow(ctx context.Context, t Trigger) error {
	var old []string
	err := tx.list(ctx, &old, tx.lock("SELECT id FROM triggers WHERE tenant = ? AND owner = ? AND flow = ? AND flow <> '' AND ended_ms IS NULL"), t.Tenant, t.Owner, t.Flow)
	if err != nil {
		return err
	}
	for _, id := range old {
		if err := tx.MoveDeliveries(ctx, id, t.ID, t.Created); err != nil {
			return err
		}
		if err := tx.EndTrigger(ctx, id, "the flow was saved again and has a newer trigger", t.Created); err != nil {
			return err
		}
	}
	return nil
}

// MoveDeliveries gives what waits for a trigger to another, due at once and as
// if never tried. What the other has already is not sent twice.
func (tx *Tx) MoveDeliveries(ctx context.Context, from, to string, due time.Time) error {
	_, err := tx.exec(ctx, `UPDATE deliveries SET trigger_id = ?, due_ms = ?, attempts = 0 WHERE trigger_id = ? AND NOT EXISTS
		(SELECT 1 FROM deliveries o WHERE o.trigger_id = ? AND o.task_id = deliveries.task_id AND o.seq = deliveries.seq)`, to, ms(due), from, to)
	if err != nil {
		return err
	}
	// A row left behind would wake its ended trigger for ever.
	_, err = tx.exec(ctx, "DELETE FROM deliveries WHERE trigger_id = ?", from)
	return err
}

// ReviveFlow gives a new trigger what became a dead letter when an earlier one of
// the same flow and owner ended (or up to a second before, when that was the
// reason), if that was after since: a flow that is saved
// may unsubscribe, or its old callback die, before it subscribes anew.
func (tx *Tx) ReviveFlow(ctx context.Context, t Trigger, since time.Time) error {
	var ended []struct {
		ID      string
		EndedMs int64 `db:"ended_ms"`
	}
	err := tx.list(ctx, &ended, tx.lock("SELECT id, ended_ms FROM triggers WHERE tenant = ? AND owner = ? AND flow = ? AND flow <> '' AND ended_ms > ?"),
		t.Tenant, t.Owner, t.Flow, ms(since))
	for _, old := range ended {
		if err != nil {
			break
		}
		var letters []DeadLetter
		err = tx.list(ctx, &letters, "SELECT "+deadLetterColumns+" FROM dead_letters WHERE tenant = ? AND trigger_id = ? AND died_ms >= ?",
			t.Tenant, old.ID, old.EndedMs-1000)
		for _, l := range letters {
			if err == nil {
				err = tx.Revive(ctx, l, t.ID, t.Created)
			}
		}
	}
	return err
}

// EndTrigger ends a trigger for good; nothing happens when it has ended.
func (tx *Tx) EndTrigger(ctx context.Context, id, reason string, at time.Time) error {
	if _, err := tx.exec(ctx, "DELETE FROM trigger_services WHERE trigger_id = ? AND tenant = (SELECT tenant FROM triggers WHERE id = ?)", id, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "UPDATE triggers SET state = 'ended', reason = ?, ended_ms = ?, url = ? WHERE id = ? AND ended_ms IS NULL", reason, ms(at), []byte{}, id)
	clear(tx.memo)
	return err
}

// SetTriggerState moves a trigger between active and suspended.
func (tx *Tx) SetTriggerState(ctx context.Context, id string, state TriggerState, reason string) error {
	_, err := tx.exec(ctx, "UPDATE triggers SET state = ?, reason = ? WHERE id = ? AND ended_ms IS NULL", string(state), reason, id)
	clear(tx.memo)
	return err
}

// TriggerState returns where a trigger stands and why, and locks it; NotFound when there is
// none.
func (tx *Tx) TriggerState(ctx context.Context, id string) (TriggerState, string, error) {
	var r struct {
		State  TriggerState
		Reason string
	}
	err := tx.get(ctx, &r, tx.lock("SELECT state, reason FROM triggers WHERE id = ?"), id)
	return r.State, r.Reason, err
}

// CountTriggers counts the triggers of a tenant that have not ended.
func (tx *Tx) CountTriggers(ctx context.Context, tenant string) (n int, err error) {
	err = tx.get(ctx, &n, "SELECT count(*) FROM triggers WHERE tenant = ? AND ended_ms IS NULL", tenant)
	return n, err
}

// AddTriggerMiss counts one more answer 404 in a row and returns how many there
// were; ClearTriggerMisses begins anew.
func (tx *Tx) AddTriggerMiss(ctx context.Context, id string) (int, error) {
	var misses int
	err := tx.get(ctx, &misses, "UPDATE triggers SET misses = misses + 1 WHERE id = ? RETURNING misses", id)
	return misses, err
}

// ClearTriggerMisses sets the count of AddTriggerMiss to zero.
func (tx *Tx) ClearTriggerMisses(ctx context.Context, id string) error {
	_, err := tx.exec(ctx, "UPDATE triggers SET misses = 0 WHERE id = ?", id)
	return err
}

// PruneTriggers deletes up to limit triggers that ended before the given time
// and have neither deliveries nor dead letters, and returns how many.
func (tx *Tx) PruneTriggers(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := tx.exec(ctx, `DELETE FROM triggers WHERE id IN (SELECT id FROM triggers t WHERE ended_ms < ?
		AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.trigger_id = t.id)
		AND t.id NOT IN (SELECT trigger_id FROM dead_letters) LIMIT ?)`, ms(before), limit)
	return int(n), err
}

// Trigger returns a trigger by its id; NotFound when there is none.
func (db *DB) Trigger(ctx context.Context, id string) (Trigger, error) {
	var r triggerRow
	if err := db.get(ctx, &r, "SELECT "+triggerColumns+" FROM triggers WHERE id = ?", id); err != nil {
		return Trigger{}, err
	}
	return r.trigger()
}

// TriggerByAddress returns a trigger by the hash of its address; NotFound when
// there is none.
func (db *DB) TriggerByAddress(ctx context.Context, hash []byte) (Trigger, error) {
	var r triggerRow
	if err := db.get(ctx, &r, "SELECT "+triggerColumns+" FROM triggers WHERE address_hash = ?", hash); err != nil {
		return Trigger{}, err
	}
	return r.trigger()
}

// Triggers returns the triggers of a tenant, the newest that have not ended
// first, then up to 2000 in all of the ended; of all tenants and
// without the ended ones when tenant is empty.
func (db *DB) Triggers(ctx context.Context, tenant string) ([]Trigger, error) {
	var found []triggerRow
	query, args := "SELECT "+triggerColumns+" FROM triggers WHERE tenant = ? ORDER BY ended_ms IS NULL DESC, id DESC LIMIT 2000", []any{tenant}
	if tenant == "" {
		query, args = "SELECT "+triggerColumns+" FROM triggers WHERE ended_ms IS NULL", nil
	}
	if err := db.list(ctx, &found, query, args...); err != nil {
		return nil, err
	}
	triggers := make([]Trigger, len(found))
	for i := range found {
		var err error
		if triggers[i], err = found[i].trigger(); err != nil {
			return nil, err
		}
	}
	return triggers, nil
}

// Filter is what the engine needs of an active trigger.
type Filter struct {
	ID         string
	Events     core.Set
	Modalities core.Set
	Directions core.Set
}

// Filters returns the active triggers of a service. The answer is shared by the
// transactions of one group: do not change it.
func (tx *Tx) Filters(ctx context.Context, tenant, service string) ([]Filter, error) {
	key := tenant + "\x00" + service
	if f, ok := tx.memo[key]; ok {
		return f.([]Filter), nil
	}
	var found []Filter
	err := tx.list(ctx, &found, `SELECT t.id, t.events, t.modalities, t.directions FROM trigger_services s
		JOIN triggers t ON t.id = s.trigger_id WHERE s.tenant = ? AND s.service = ? AND t.state = 'active'`, tenant, strings.ToLower(service))
	if err == nil && tx.memo != nil {
		tx.memo[key] = found
	}
	return found, err
}

// LeaseTrigger makes owner the only one who delivers to a trigger until the
// lease ends, or keeps it so, and tells whether it is.
func (tx *Tx) LeaseTrigger(ctx context.Context, id, owner string, lease time.Duration) (bool, error) {
	now, err := tx.now(ctx)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, `UPDATE triggers SET lease_owner = ?, lease_ms = ?
		WHERE id = ? AND (lease_owner = ? OR lease_ms < ?)`, owner, now+lease.Milliseconds(), id, owner, now)
	return n == 1, err
}

// ReleaseTrigger gives back a lease of owner.
func (tx *Tx) ReleaseTrigger(ctx context.Context, id, owner string) error {
	_, err := tx.exec(ctx, "UPDATE triggers SET lease_owner = '', lease_ms = 0 WHERE id = ? AND lease_owner = ?", id, owner)
	return err
}

// ReleaseTriggers gives back all leases of owner.
func (tx *Tx) ReleaseTriggers(ctx context.Context, owner string) error {
	_, err := tx.exec(ctx, "UPDATE triggers SET lease_owner = '', lease_ms = 0 WHERE lease_owner = ?", owner)
	return err
}
