package store

import (
	"context"
	"time"

	"tandem/core"
)

// Delivery is one event on its way to one trigger. Event is the JSON of a
// core.Event.
type Delivery struct {
	TriggerID string `db:"trigger_id"`
	TaskID    string `db:"task_id"`
	Seq       int
	CreatedMs int64 `db:"created_ms"`
	Attempts  int
	Status    int
	Error     string
	Event     []byte
}

// Created is when the event was written.
func (d *Delivery) Created() time.Time { return FromMilli(d.CreatedMs) }

// InsertDeliveries stores deliveries that are due at once.
func (tx *Tx) InsertDeliveries(ctx context.Context, ds []Delivery) error {
	for len(ds) > 0 {
		part := ds[:min(len(ds), 100)]
		ds = ds[len(part):]
		args := make([]any, 0, 5*len(part))
		for _, d := range part {
			args = append(args, d.TriggerID, d.TaskID, d.Seq, d.CreatedMs, d.CreatedMs)
		}
		_, err := tx.exec(ctx, "INSERT INTO deliveries (trigger_id, task_id, seq, due_ms, created_ms) VALUES "+rows(len(part), "(?, ?, ?, ?, ?)"), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// DueDeliveries returns up to limit deliveries of a trigger whose time has
// come, the longest due first. Only the earliest undelivered event of a task is
// ever due: later ones wait behind it.
func (db *DB) DueDeliveries(ctx context.Context, triggerID string, now time.Time, limit int) ([]Delivery, error) {
	var ds []Delivery
	err := db.list(ctx, &ds, `SELECT d.trigger_id, d.task_id, d.seq, d.created_ms, d.attempts, d.status, d.error, e.data AS event
		FROM deliveries d JOIN events e ON e.task_id = d.task_id AND e.seq = d.seq
		WHERE d.trigger_id = ? AND d.due_ms <= ?
		AND NOT EXISTS (SELECT 1 FROM deliveries p WHERE p.trigger_id = d.trigger_id AND p.task_id = d.task_id AND p.seq < d.seq)
		ORDER BY d.due_ms, d.task_id LIMIT ?`, triggerID, ms(now), limit)
	return ds, err
}

// TriggersDue returns the triggers that have something to send now.
func (db *DB) TriggersDue(ctx context.Context, now time.Time) ([]string, error) {
	var ids []string
	err := db.list(ctx, &ids, `SELECT id FROM triggers t WHERE EXISTS
		(SELECT 1 FROM deliveries d WHERE d.trigger_id = t.id AND d.due_ms <= ?
		AND NOT EXISTS (SELECT 1 FROM deliveries p WHERE p.trigger_id = d.trigger_id AND p.task_id = d.task_id AND p.seq < d.seq))`, ms(now))
	return ids, err
}

const deleteDelivery = "DELETE FROM deliveries WHERE trigger_id = ? AND task_id = ? AND seq = ?"

// DeleteDelivery forgets a delivery that has arrived.
func (tx *Tx) DeleteDelivery(ctx context.Context, triggerID, taskID string, seq int) error {
	_, err := tx.exec(ctx, deleteDelivery, triggerID, taskID, seq)
	return err
}

// DelayDelivery records a failed attempt and when the next is due. The task's
// later events wait behind it, and are not looked at before.
func (tx *Tx) DelayDelivery(ctx context.Context, d Delivery, due time.Time) error {
	n, err := tx.exec(ctx, "UPDATE deliveries SET attempts = ?, status = ?, error = ?, due_ms = ? WHERE trigger_id = ? AND task_id = ? AND seq = ?",
		d.Attempts, d.Status, d.Error, ms(due), d.TriggerID, d.TaskID, d.Seq)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec(ctx, "UPDATE deliveries SET due_ms = ? WHERE trigger_id = ? AND task_id = ? AND seq > ?", ms(due), d.TriggerID, d.TaskID, d.Seq)
	return err
}

// DeadLetter is a delivery that was given up.
type DeadLetter struct {
	ID        string         `db:"id"`
	Tenant    string         `db:"tenant"`
	TriggerID string         `db:"trigger_id"`
	TaskID    string         `db:"task_id"`
	Seq       int            `db:"seq"`
	Event     core.EventName `db:"event"`
	Attempts  int            `db:"attempts"`
	Status    int            `db:"status"`
	Error     string         `db:"error"`
	CreatedMs int64          `db:"created_ms"`
	DiedMs    int64          `db:"died_ms"`
}

const deadLetterColumns = "id, tenant, trigger_id, task_id, seq, event, attempts, status, error, created_ms, died_ms"

// Bury moves a delivery to the dead letters. Nothing happens when it no longer
// waits: it has arrived, or is a newer trigger's now.
func (tx *Tx) Bury(ctx context.Context, l DeadLetter) error {
	n, err := tx.exec(ctx, deleteDelivery, l.TriggerID, l.TaskID, l.Seq)
	if err != nil || n == 0 {
		return err
	}
	_, err = tx.exec(ctx, "INSERT INTO dead_letters ("+deadLetterColumns+") VALUES ("+rows(11, "?")+") ON CONFLICT DO NOTHING",
		l.ID, l.Tenant, l.TriggerID, l.TaskID, l.Seq, string(l.Event), l.Attempts, l.Status, l.Error, l.CreatedMs, l.DiedMs)
	return err
}

// Waiting returns up to limit deliveries of a trigger, whether due or not,
// without their events.
func (tx *Tx) Waiting(ctx context.Context, triggerID string, limit int) ([]Delivery, error) {
	var ds []Delivery
	err := tx.list(ctx, &ds, `SELECT d.trigger_id, d.task_id, d.seq, d.created_ms, d.attempts, d.status, d.error, e.name AS event
		FROM deliveries d JOIN events e ON e.task_id = d.task_id AND e.seq = d.seq
		WHERE d.trigger_id = ? ORDER BY d.task_id, d.seq LIMIT ?`, triggerID, limit)
	return ds, err
}

// DeadLetters returns up to limit dead letters of a tenant behind the given id
// (empty: from the first), oldest first.
func (db *DB) DeadLetters(ctx context.Context, tenant, after string, limit int) ([]DeadLetter, error) {
	var ls []DeadLetter
	err := db.list(ctx, &ls, "SELECT "+deadLetterColumns+" FROM dead_letters WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?", tenant, after, limit)
	return ls, err
}

// DeadLetter returns one dead letter of a tenant; NotFound when there is none.
func (tx *Tx) DeadLetter(ctx context.Context, tenant, id string) (DeadLetter, error) {
	var l DeadLetter
	err := tx.get(ctx, &l, tx.lock("SELECT "+deadLetterColumns+" FROM dead_letters WHERE tenant = ? AND id = ?"), tenant, id)
	return l, err
}

// Revive makes a delivery of a dead letter again, to the given trigger.
func (tx *Tx) Revive(ctx context.Context, l DeadLetter, triggerID string, due time.Time) error {
	if err := tx.DeleteDeadLetter(ctx, l.Tenant, l.ID); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "INSERT INTO deliveries (trigger_id, task_id, seq, due_ms, created_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		triggerID, l.TaskID, l.Seq, ms(due), ms(due))
	return err
}

// DeleteDeadLetter discards a dead letter.
func (tx *Tx) DeleteDeadLetter(ctx context.Context, tenant, id string) error {
	_, err := tx.exec(ctx, "DELETE FROM dead_letters WHERE tenant = ? AND id = ?", tenant, id)
	return err
}

// ActiveTrigger returns the trigger that now stands for the given one: itself,
// or the newer one of the same flow; NotFound when all have ended.
func (tx *Tx) ActiveTrigger(ctx context.Context, id string) (string, error) {
	var active string
	err := tx.get(ctx, &active, `SELECT n.id FROM triggers o JOIN triggers n ON n.tenant = o.tenant
		AND (n.id = o.id OR (o.flow <> '' AND n.flow = o.flow AND n.owner = o.owner)) WHERE o.id = ? AND n.state = 'active'`, id)
	return active, err
}

// TriggerBacklog is what waits for a trigger.
type TriggerBacklog struct {
	Waiting  int
	Failing  int    // of these, events that were tried already
	Attempts int    // the most attempts at one of them
	Status   int    // HTTP status of the last attempt at that one; 0: no answer
	Error    string // and why it failed
	DueMs    int64  `db:"due_ms"` // and when it is tried again
}

// TriggerBacklog returns what waits for a trigger and the event that was tried
// most often.
func (db *DB) TriggerBacklog(ctx context.Context, triggerID string) (TriggerBacklog, error) {
	var b TriggerBacklog
	err := db.get(ctx, &b, "SELECT attempts, status, error, due_ms FROM deliveries WHERE trigger_id = ? AND attempts > 0 ORDER BY attempts DESC LIMIT 1", triggerID)
	if err != nil && !isNotFound(err) {
		return b, err
	}
	err = db.get(ctx, &b.Waiting, "SELECT count(*) FROM deliveries WHERE trigger_id = ?", triggerID)
	if err == nil {
		err = db.get(ctx, &b.Failing, "SELECT count(*) FROM deliveries WHERE trigger_id = ? AND attempts > 0", triggerID)
	}
	return b, err
}

// Backlog counts what waits: deliveries not yet made, and dead letters.
func (db *DB) Backlog(ctx context.Context) (deliveries, deadLetters int, err error) {
	if err = db.get(ctx, &deliveries, "SELECT count(*) FROM deliveries"); err != nil {
		return 0, 0, err
	}
	err = db.get(ctx, &deadLetters, "SELECT count(*) FROM dead_letters")
	return deliveries, deadLetters, err
}
