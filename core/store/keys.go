package store

import (
	"context"
	"time"

	"tandem/core"
)

// APIKey is a caller's key; only its hash is stored.
type APIKey struct {
	Hash      []byte `db:"hash"`
	ID        string `db:"id"`
	Tenant    string `db:"tenant"`
	Adapter   string `db:"adapter"`
	UPN       string `db:"upn"`
	CreatedMs int64  `db:"created_ms"`
	RevokedMs *int64 `db:"revoked_ms"`
	UsedMs    *int64 `db:"used_ms"` // the last use, right to the hour
}

// useStep is how exactly the last use of a key is known.
const useStep = time.Hour

// InsertAPIKey stores a new key.
func (tx *Tx) InsertAPIKey(ctx context.Context, k APIKey) error {
	_, err := tx.exec(ctx, "INSERT INTO api_keys (hash, id, tenant, adapter, upn, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
		k.Hash, k.ID, k.Tenant, k.Adapter, k.UPN, k.CreatedMs)
	return err
}

// RevokeAPIKey ends a key; NotFound when there is none or it has ended.
func (tx *Tx) RevokeAPIKey(ctx context.Context, id string, at time.Time) error {
	n, err := tx.exec(ctx, "UPDATE api_keys SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL", ms(at), id)
	if err == nil && n == 0 {
		return core.Errorf(core.NotFound, "there is no valid key with id %s", id)
	}
	return err
}

// APIKeys returns all keys, of one tenant when tenant is given, newest first.
func (db *DB) APIKeys(ctx context.Context, tenant string) ([]APIKey, error) {
	var keys []APIKey
	err := db.list(ctx, &keys, `SELECT hash, id, tenant, adapter, upn, created_ms, revoked_ms, used_ms FROM api_keys
		WHERE tenant = ? OR ? = '' ORDER BY id DESC`, tenant, tenant)
	return keys, err
}

// CallerByKeyHash returns who a key belongs to, and notes that it is used;
// NotFound when there is no such key or it was revoked.
func (db *DB) CallerByKeyHash(ctx context.Context, hash [32]byte) (core.Caller, error) {
	var c core.Caller
	err := db.get(ctx, &c, "SELECT tenant, upn, adapter FROM api_keys WHERE hash = ? AND revoked_ms IS NULL", hash[:])
	if err == nil {
		db.noteUse(ctx, hash)
	}
	return c, err
}

// noteUse notes the use of a key, once a step. A database that takes no writes
// is no reason to refuse the call.
func (db *DB) noteUse(ctx context.Context, hash [32]byte) {
	now := db.opts.Clock.Now().UnixMilli()
	if last, ok := db.used.Load(hash); ok && now-last.(int64) < useStep.Milliseconds() { //nolint:forcetypeassert // nothing else is stored
		return
	}
	db.used.Store(hash, now)
	_ = db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, "UPDATE api_keys SET used_ms = ? WHERE hash = ?", now, hash[:])
		return err
	})
}
