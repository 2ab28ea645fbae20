package delivery

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// saveTime is how long the end of a trigger may lie back for a new one of the
// same flow to take over what could not be delivered: saving a flow, or turning
// it off and on, takes no longer.
const saveTime = 15 * time.Minute

// maxTriggers bounds the triggers of a tenant: every event writes a row for each
// that wants it, in a transaction that other tenants share.
const maxTriggers = 1000

// Subscription is what a flow asks for. An empty set means all.
type Subscription struct {
	Tenant     string
	Owner      string // UPN of the user in whose name the flow subscribes
	URL        string // the callback, kept and called byte for byte
	Services   []string
	Events     core.Set
	Modalities core.Set
	Directions core.Set
}

// callbackPath finds the workflow id, and the trigger's name if it is there, in
// the path of a callback of either host family.
var callbackPath = regexp.MustCompile(`(?i)/workflows/([^/?#]+)(?:/triggers/([^/?#]+))?`)

// flowOf names the flow behind a callback, without the version that changes
// with each save; empty when the path does not tell.
func flowOf(rawURL string) string {
	path, _, _ := strings.Cut(rawURL, "?")
	m := callbackPath.FindStringSubmatch(path)
	if m == nil {
		return ""
	}
	return strings.ToLower(m[1] + "/" + m[2])
}

// Subscribe makes a trigger and returns the unguessable last part of its
// address, which is kept nowhere. A trigger of the same flow made earlier ends,
// and what it had not delivered goes to the new one.
//
// Errors: Invalid when the callback is not one that the hub may call; Throttled
// with code TRIGGER_LIMIT when the tenant has too many triggers.
func (d *Deliverer) Subscribe(ctx context.Context, s Subscription) (string, error) {
	u, err := d.o.Hosts.CheckURL(s.URL)
	if err != nil {
		return "", &core.Error{
			Kind: core.Invalid, Code: "CALLBACK_REFUSED", Message: "config.url: " + err.Error(),
			Details: []core.Detail{{Field: "config.url", Message: err.Error()}}, Err: err,
		}
	}
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails: crypto/rand ends the process instead
	address := base64.RawURLEncoding.EncodeToString(secret[:])
	now := d.o.Clock.Now()
	t := store.Trigger{
		ID: core.NewID(now), Tenant: s.Tenant, Owner: s.Owner, Flow: flowOf(s.URL), AddressHash: addressHash(address),
		Host: u.Host, Services: s.Services, Events: s.Events, Modalities: s.Modalities, Directions: s.Directions,
		State: store.TriggerActive, Created: now,
	}
	t.URL = d.o.Sealer.Seal(urlPlace(t), []byte(s.URL))
	err = d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.InsertTrigger(ctx, t); err != nil {
			return err
		}
		n, err := tx.CountTriggers(ctx, t.Tenant) // after an earlier one of the flow has ended
		if err != nil {
			return err
		}
		if n > maxTriggers {
			return &core.Error{
				Kind: core.Throttled, Code: "TRIGGER_LIMIT", RetryAfter: time.Minute,
				Message: fmt.Sprintf("the tenant has %d triggers, and each event goes to all that want it; delete flows that are no longer used", n-1),
			}
		}
		tx.After(func() { d.Wake(t.ID) })
		return tx.ReviveFlow(ctx, t, now.Add(-saveTime))
	})
	return address, err
}

func addressHash(address string) []byte {
	sum := sha256.Sum256([]byte(address))
	return sum[:]
}

// urlPlace is where a sealed callback belongs; elsewhere it does not open.
func urlPlace(t store.Trigger) string { return t.Tenant + "/triggers:" + t.ID + ":url" }

// Unsubscribe ends the trigger with the address. Nothing happens when there is
// none, when it has ended, or when tenant is given and is not the trigger's.
func (d *Deliverer) Unsubscribe(ctx context.Context, address, tenant string) error {
	t, err := d.o.DB.TriggerByAddress(ctx, addressHash(address))
	if err != nil {
		if core.KindOf(err) == core.NotFound {
			return nil
		}
		return err
	}
	if tenant != "" && tenant != t.Tenant || t.State == store.TriggerEnded {
		return nil
	}
	if err := d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.EndTrigger(ctx, t.ID, "the flow unsubscribed", d.o.Clock.Now())
	}); err != nil {
		return err
	}
	return d.emptyOutbox(ctx, t)
}

// emptyOutbox gives what waits for a trigger that receives nothing any more to the
// newer one of its flow, if there is one by now, and else to the dead letters. It
// stops when the trigger has become active meanwhile.
func (d *Deliverer) emptyOutbox(ctx context.Context, t store.Trigger) error {
	for more := true; more; {
		err := d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			more = false
			state, reason, err := tx.TriggerState(ctx, t.ID)
			if err != nil || state == store.TriggerActive {
				return err
			}
			newer, err := tx.ActiveTrigger(ctx, t.ID)
			if err == nil {
				tx.After(func() { d.Wake(newer) })
				return tx.MoveDeliveries(ctx, t.ID, newer, d.o.Clock.Now())
			}
			if core.KindOf(err) != core.NotFound {
				return err
			}
			waiting, err := tx.Waiting(ctx, t.ID, 100)
			more = len(waiting) > 0
			for _, w := range waiting {
				if err != nil {
					return err
				}
				w.Error = reason
				err = tx.Bury(ctx, d.deadLetter(t, w, core.EventName(w.Event)))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *Deliverer) deadLetter(t store.Trigger, w store.Delivery, event core.EventName) store.DeadLetter {
	now := d.o.Clock.Now()
	return store.DeadLetter{
		// In this order the letters of one task are in the order of its events.
		ID: fmt.Sprintf("%s.%04d.%s", w.TaskID, w.Seq, t.ID), Tenant: t.Tenant, TriggerID: t.ID, TaskID: w.TaskID, Seq: w.Seq, Event: event,
		Attempts: w.Attempts, Status: w.Status, Error: w.Error, CreatedMs: w.CreatedMs, DiedMs: now.UnixMilli(),
	}
}

// Sweep suspends the triggers whose owner may no longer receive what they ask
// for, and takes up again those whose owner may. It is called when the
// directory has changed, and now and then.
func (d *Deliverer) Sweep(ctx context.Context) error {
	triggers, err := d.o.DB.Triggers(ctx, "")
	if err != nil {
		return err
	}
	for _, t := range triggers {
		reason, state := "", store.TriggerActive
		if err := d.o.May(t); err != nil {
			reason, state = err.Error(), store.TriggerSuspended
		}
		if state == t.State {
			continue
		}
		if err := d.setState(ctx, t, state, reason); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deliverer) setState(ctx context.Context, t store.Trigger, state store.TriggerState, reason string) error {
	err := d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SetTriggerState(ctx, t.ID, state, reason)
	})
	if err != nil || state == store.TriggerActive {
		return err
	}
	return d.emptyOutbox(ctx, t)
}

// Replay sends a dead letter again: to its trigger, or to the newer trigger of
// the same flow. Its webhook-id stays the same.
//
// Errors: NotFound; Conflict when the flow has no trigger any more.
func (d *Deliverer) Replay(ctx context.Context, tenant, id string) error {
	return d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		l, err := tx.DeadLetter(ctx, tenant, id)
		if err != nil {
			return err
		}
		active, err := tx.ActiveTrigger(ctx, l.TriggerID)
		if err != nil {
			if core.KindOf(err) == core.NotFound {
				return core.Errorf(core.Conflict, "the flow of dead letter %s has no trigger any more: save or turn on the flow, then replay", id)
			}
			return err
		}
		tx.After(func() { d.Wake(active) })
		return tx.Revive(ctx, l, active, d.o.Clock.Now())
	})
}

// Discard forgets a dead letter; nothing happens when there is none.
func (d *Deliverer) Discard(ctx context.Context, tenant, id string) error {
	return d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.DeleteDeadLetter(ctx, tenant, id)
	})
}
