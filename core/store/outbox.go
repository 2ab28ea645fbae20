package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tandem/core"
)

// OutboxItem is something to be done outside, written together with what made
// it necessary. Items of one lane that is not empty are done one after the other
// in the order in which they were written; those of no lane in any order.
type OutboxItem struct {
	ID        string // set by InsertOutbox
	Tenant    string
	Kind      string // who knows how to do it
	Lane      string
	TaskID    string `db:"task_id"` // "" if it is about none
	Payload   []byte
	DueMs     int64 `db:"due_ms"`
	Attempts  int   // how often it was begun before
	CreatedMs int64 `db:"created_ms"`
}

const outboxColumns = "id, tenant, kind, lane, task_id, payload, due_ms, attempts, created_ms"

// InsertOutbox stores items and sets their ids. An item comes behind all of its
// lane, whatever a clock says, and is due no sooner than these; for that, who
// writes to a lane holds a lock that others who write to it need as well, such as
// the one on its task.
func (tx *Tx) InsertOutbox(ctx context.Context, items []OutboxItem) error {
	for i := range items {
		it := &items[i]
		if err := tx.placeInLane(ctx, it); err != nil {
			return err
		}
		_, err := tx.exec(ctx, "INSERT INTO outbox ("+outboxColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			it.ID, it.Tenant, it.Kind, it.Lane, it.TaskID, notNil(it.Payload), it.DueMs, it.Attempts, it.CreatedMs)
		if err != nil {
			return err
		}
	}
	return nil
}

// placeInLane gives an item an id that sorts behind its lane. Two ids of one
// millisecond, or of two replicas' clocks, sort by chance: such an item gets its
// predecessor's id, counted up.
func (tx *Tx) placeInLane(ctx context.Context, it *OutboxItem) error {
	it.ID = core.NewID(FromMilli(it.CreatedMs)) + ".000000"
	if it.Lane == "" {
		return nil
	}
	var last struct {
		ID    string
		DueMs int64 `db:"due_ms"`
	}
	err := tx.get(ctx, &last, "SELECT id, due_ms FROM outbox WHERE lane = ? ORDER BY id DESC LIMIT 1", it.Lane)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	it.DueMs = max(it.DueMs, last.DueMs)
	if it.ID <= last.ID {
		stem, count, _ := strings.Cut(last.ID, ".")
		n, err := strconv.Atoi(count)
		if err != nil {
			return fmt.Errorf("read the id of an outbox item: %w", err)
		}
		it.ID = fmt.Sprintf("%s.%06d", stem, n+1)
	}
	return nil
}

// notNil stores nothing as nothing, not as NULL.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// claimable is the condition under which an item can be done now by somebody who
// knows its kind: nobody has a lease on it and it is the first of its lane.
func claimable(kinds int, now string) string {
	return "o.kind IN (" + rows(kinds, "?") + ") AND o.lease_ms < " + now +
		" AND (o.lane = '' OR NOT EXISTS (SELECT 1 FROM outbox p WHERE p.lane = o.lane AND p.id < o.id))"
}

// OutboxShare is what there is of a kind for a tenant.
type OutboxShare struct{ Tenant, Kind string }

// ClaimOutbox gives owner a lease on up to limit items of the given kinds that
// are due and are nobody else's, and returns them; the shares in but are left
// alone. Of a lane only the first item is ever claimed. Several replicas may claim
// at once: none gets another's items or waits for it. One whose worker died, or
// stopped in the middle, counts as begun before.
func (tx *Tx) ClaimOutbox(ctx context.Context, kinds []string, now time.Time, owner string, lease time.Duration, limit int, but ...OutboxShare) ([]OutboxItem, error) {
	if len(kinds) == 0 {
		return nil, nil
	}
	leases, err := tx.now(ctx)
	if err != nil {
		return nil, err
	}
	args := make([]any, 0, len(kinds)+5)
	for _, k := range kinds {
		args = append(args, k)
	}
	args = append(args, leases, ms(now))
	for _, share := range but {
		args = append(args, share.Tenant, share.Kind)
	}
	args = append(args, limit, owner, leases+lease.Milliseconds())
	skip := ""
	if !tx.db.sqlite {
		skip = " FOR UPDATE OF o SKIP LOCKED"
	}
	var items []OutboxItem
	err = tx.list(ctx, &items, `WITH due AS MATERIALIZED (SELECT o.id FROM outbox o WHERE `+claimable(len(kinds), "?")+`
		AND o.due_ms <= ?`+strings.Repeat(" AND NOT (o.tenant = ? AND o.kind = ?)", len(but))+` ORDER BY o.due_ms, o.id LIMIT ?`+skip+`)
		UPDATE outbox SET lease = ?, lease_ms = ?, attempts = attempts + CASE WHEN lease = '' THEN 0 ELSE 1 END
		WHERE id IN (SELECT id FROM due) RETURNING `+outboxColumns, args...)
	return items, err
}

// HastenOutbox makes the items of a lane that nobody is doing due at once.
func (tx *Tx) HastenOutbox(ctx context.Context, lane string, now time.Time) error {
	_, err := tx.exec(ctx, "UPDATE outbox SET due_ms = ? WHERE lane = ? AND lease_ms = 0 AND due_ms > ?", ms(now), lane, ms(now))
	return err
}

// DropOutbox forgets the items of a lane that nobody is doing.
func (tx *Tx) DropOutbox(ctx context.Context, lane string) error {
	_, err := tx.exec(ctx, "DELETE FROM outbox WHERE lane = ? AND lease_ms = 0", lane)
	return err
}

// CountOutbox counts the items of a kind and tenant, up to most.
func (tx *Tx) CountOutbox(ctx context.Context, tenant, kind string, most int) (n int, err error) {
	err = tx.get(ctx, &n, "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE tenant = ? AND kind = ? LIMIT ?) AS found", tenant, kind, most)
	return n, err
}

// DeleteOutbox forgets an item that is done. Conflict when owner no longer has
// it: somebody else does it, or has done it.
func (tx *Tx) DeleteOutbox(ctx context.Context, id, owner string) error {
	n, err := tx.exec(ctx, "DELETE FROM outbox WHERE id = ? AND lease = ?", id, owner)
	return lostLease(n, err)
}

// DelayOutbox counts an attempt, says when the next is due and gives the lease
// back; a payload that is not nil takes the old one's place. The lane waits behind
// the item, and is not looked at before. Conflict when owner no longer has it.
func (tx *Tx) DelayOutbox(ctx context.Context, id, owner string, due time.Time, payload []byte) error {
	query, args := "", []any{ms(due)}
	if payload != nil {
		query, args = ", payload = ?", append(args, payload)
	}
	var lane string
	err := tx.get(ctx, &lane, "UPDATE outbox SET lease = '', lease_ms = 0, attempts = attempts + 1, due_ms = ?"+query+
		" WHERE id = ? AND lease = ? RETURNING lane", append(args, id, owner)...)
	if isNotFound(err) {
		return lostLease(0, nil)
	}
	if err == nil && lane != "" {
		_, err = tx.exec(ctx, "UPDATE outbox SET due_ms = ? WHERE lane = ? AND id > ? AND due_ms < ?", ms(due), lane, id, ms(due))
	}
	return err
}

// begun stands for the lease of an item that somebody has begun and given back.
const begun = "-"

// ReleaseOutbox gives back the lease of owner on an item that it has begun;
// nothing happens when owner does not have it.
func (tx *Tx) ReleaseOutbox(ctx context.Context, id, owner string) error {
	_, err := tx.exec(ctx, "UPDATE outbox SET lease = ?, lease_ms = 0 WHERE id = ? AND lease = ?", begun, id, owner)
	return err
}

// FreeOutbox gives back all leases, whoever has them: for SQLite, where a process
// that starts knows that no other is left.
func (tx *Tx) FreeOutbox(ctx context.Context) error {
	_, err := tx.exec(ctx, "UPDATE outbox SET lease = ?, lease_ms = 0 WHERE lease_ms > 0", begun)
	return err
}

// RenewOutbox prolongs the lease of owner on an item and tells whether it was
// still owner's.
func (tx *Tx) RenewOutbox(ctx context.Context, id, owner string, lease time.Duration) (held bool, err error) {
	now, err := tx.now(ctx)
	if err != nil {
		return false, err
	}
	n, err := tx.exec(ctx, "UPDATE outbox SET lease_ms = ? WHERE id = ? AND lease = ?", now+lease.Milliseconds(), id, owner)
	return n == 1, err
}

func lostLease(n int64, err error) error {
	if err == nil && n == 0 {
		return core.Errorf(core.Conflict, "the lease on this item has ended")
	}
	return err
}

// NextOutbox returns when the next item of the given kinds can be done that
// nobody does now: a time that has passed if it waits to be claimed, the zero time
// when there is none.
func (db *DB) NextOutbox(ctx context.Context, kinds []string) (time.Time, error) {
	if len(kinds) == 0 {
		return time.Time{}, nil
	}
	args := make([]any, 0, len(kinds)+1)
	for _, k := range kinds {
		args = append(args, k)
	}
	now := serverNow
	if db.sqlite {
		now, args = "?", append(args, db.opts.Clock.Now().UnixMilli())
	}
	var due int64
	err := db.get(ctx, &due, "SELECT o.due_ms FROM outbox o WHERE "+claimable(len(kinds), now)+" ORDER BY o.due_ms LIMIT 1", args...)
	if isNotFound(err) {
		return time.Time{}, nil
	}
	return FromMilli(due), err
}

// serverNow is the time that leases are compared with on PostgreSQL.
const serverNow = "(extract(epoch FROM clock_timestamp())*1000)::bigint"

// OutboxDepth counts the items that are not done.
func (db *DB) OutboxDepth(ctx context.Context) (n int, err error) {
	err = db.get(ctx, &n, "SELECT count(*) FROM outbox")
	return n, err
}
