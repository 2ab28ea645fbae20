package store

import (
	"context"
	"time"
)

// Replay is the kept answer of a call with an idempotency key.
type Replay struct {
	Tenant   string
	Key      string
	BodyHash []byte
	Answer   []byte
}

// Replay returns the kept answer under a key that is not older than the given
// time; NotFound when there is none.
func (tx *Tx) Replay(ctx context.Context, tenant, key string, since time.Time) (Replay, error) {
	r := Replay{Tenant: tenant, Key: key}
	var row struct {
		BodyHash []byte `db:"body_hash"`
		Answer   []byte
	}
	err := tx.get(ctx, &row, "SELECT body_hash, answer FROM replays WHERE tenant = ? AND key = ? AND created_ms > ?", tenant, key, ms(since))
	r.BodyHash, r.Answer = row.BodyHash, row.Answer
	return r, err
}

// SaveReplay keeps an answer. ErrRetry when another call with the same key was
// faster; a kept answer not newer than since gives way.
func (tx *Tx) SaveReplay(ctx context.Context, r Replay, at, since time.Time) error {
	n, err := tx.exec(ctx, `INSERT INTO replays (tenant, key, body_hash, answer, created_ms) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant, key) DO UPDATE SET body_hash = excluded.body_hash, answer = excluded.answer, created_ms = excluded.created_ms
		WHERE replays.created_ms <= ?`, r.Tenant, r.Key, r.BodyHash, r.Answer, ms(at), ms(since))
	if err == nil && n == 0 {
		return ErrRetry
	}
	return err
}

// ClaimBusinessKey makes taskID the task of a service's business key, unless
// another task took the key after since: then that task's id is returned.
func (tx *Tx) ClaimBusinessKey(ctx context.Context, tenant, service, key, taskID string, at, since time.Time) (string, error) {
	n, err := tx.exec(ctx, `INSERT INTO business_keys (tenant, service, key, task_id, created_ms) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant, service, key) DO UPDATE SET task_id = excluded.task_id, created_ms = excluded.created_ms
		WHERE business_keys.created_ms <= ?`, tenant, service, key, taskID, ms(at), ms(since))
	if err != nil || n == 1 {
		return taskID, err
	}
	var holder string
	err = tx.get(ctx, &holder, "SELECT task_id FROM business_keys WHERE tenant = ? AND service = ? AND key = ?", tenant, service, key)
	return holder, err
}

// PruneReplays deletes up to limit answers kept before the given time and
// returns how many.
func (tx *Tx) PruneReplays(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := tx.exec(ctx, "DELETE FROM replays WHERE (tenant, key) IN (SELECT tenant, key FROM replays WHERE created_ms < ? LIMIT ?)", ms(before), limit)
	return int(n), err
}

// PruneBusinessKeys deletes up to limit business keys taken before the given
// time and returns how many.
func (tx *Tx) PruneBusinessKeys(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := tx.exec(ctx, `DELETE FROM business_keys WHERE (tenant, service, key) IN
		(SELECT tenant, service, key FROM business_keys WHERE created_ms < ? LIMIT ?)`, ms(before), limit)
	return int(n), err
}

// Setting returns a stored setting; NotFound when it was never set.
func (db *DB) Setting(ctx context.Context, name string) ([]byte, error) {
	var value []byte
	err := db.get(ctx, &value, "SELECT value FROM settings WHERE name = ?", name)
	return value, err
}

// InitSetting stores a setting unless it is set, and returns the stored one.
func (tx *Tx) InitSetting(ctx context.Context, name string, value []byte) ([]byte, error) {
	if _, err := tx.exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", name, value); err != nil {
		return nil, err
	}
	var stored []byte
	err := tx.get(ctx, &stored, "SELECT value FROM settings WHERE name = ?", name)
	return stored, err
}
