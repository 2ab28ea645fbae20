package store

import (
	"context"
	"crypto/rand"
	"time"
)

// Authorization is a named grant for an integration. Times are milliseconds;
// nil where there is none. Secrets and Tokens are sealed.
type Authorization struct {
	ID          string
	Tenant      string
	Integration string
	Name        string
	Grant       string `db:"grant_id"`
	Status      string
	Reason      string
	SinceMs     int64 `db:"since_ms"`
	Account     string
	Base        string
	Origins     string // that secrets may go to, with spaces between
	Scopes      string // with spaces between
	Fields      string // JSON object
	Secrets     []byte
	Tokens      []byte
	TokenEndsMs *int64 `db:"token_ends_ms"`
	RenewMs     *int64 `db:"renew_ms"`
	EndsMs      *int64 `db:"ends_ms"`
	WarnedMs    *int64 `db:"warned_ms"`
	Version     int64
	CreatedMs   int64  `db:"created_ms"`
	CreatedBy   string `db:"created_by"`
	UpdatedMs   int64  `db:"updated_ms"` // grows with each edit, and only then
	UpdatedBy   string `db:"updated_by"`
}

// DefaultAuthorization says which authorization a node uses that names none.
type DefaultAuthorization struct {
	Tenant      string
	Integration string
	Node        string // empty: every node without a default of its own
	ID          string `db:"authorization_id"`
}

// SignIn is a sign-in at a provider that is under way. Verifier is sealed.
type SignIn struct {
	StateHash       []byte `db:"state_hash"`
	AuthorizationID string `db:"authorization_id"`
	EditedMs        int64  `db:"edited_ms"` // UpdatedMs of the authorization when it began
	Session         []byte
	Verifier        []byte
	CreatedMs       int64 `db:"created_ms"`
}

const authorizationColumns = `id, tenant, integration, name, grant_id, status, reason, since_ms, account, base, origins, scopes,
	fields, secrets, tokens, token_ends_ms, renew_ms, ends_ms, warned_ms, version, created_ms, created_by, updated_ms, updated_by`

// authorizationsStamp is the setting that gets another value with each change,
// so that replicas see by one small read whether there was any.
const authorizationsStamp = "authorizations"

// AuthorizationsStamp returns a text that differs from an earlier one if any
// authorization or default was changed since. Read it before what it stands for.
func (db *DB) AuthorizationsStamp(ctx context.Context) (string, error) {
	value, err := db.Setting(ctx, authorizationsStamp)
	if isNotFound(err) {
		return "", nil
	}
	return string(value), err
}

// Authorizations returns all authorizations of all tenants.
func (db *DB) Authorizations(ctx context.Context) ([]Authorization, error) {
	var all []Authorization
	err := db.list(ctx, &all, "SELECT "+authorizationColumns+" FROM authorizations")
	return all, err
}

// DefaultAuthorizations returns all defaults of all tenants.
func (db *DB) DefaultAuthorizations(ctx context.Context) ([]DefaultAuthorization, error) {
	var all []DefaultAuthorization
	err := db.list(ctx, &all, "SELECT tenant, integration, node, authorization_id FROM default_authorizations ORDER BY node")
	return all, err
}

// Authorization returns an authorization by its id; NotFound when there is none.
func (db *DB) Authorization(ctx context.Context, id string) (Authorization, error) {
	var a Authorization
	err := db.get(ctx, &a, "SELECT "+authorizationColumns+" FROM authorizations WHERE id = ?", id)
	return a, err
}

// LockAuthorization returns an authorization and keeps other writers from it
// until the transaction ends; NotFound when there is none.
func (tx *Tx) LockAuthorization(ctx context.Context, id string) (Authorization, error) {
	var a Authorization
	err := tx.get(ctx, &a, tx.lock("SELECT "+authorizationColumns+" FROM authorizations WHERE id = ?"), id)
	return a, err
}

// AuthorizationNames returns the names of a tenant's authorizations for an
// integration, by id.
func (tx *Tx) AuthorizationNames(ctx context.Context, tenant, integration string) (map[string]string, error) {
	var rows []struct{ ID, Name string }
	err := tx.list(ctx, &rows, "SELECT id, name FROM authorizations WHERE tenant = ? AND integration = ?", tenant, integration)
	names := make(map[string]string, len(rows))
	for _, r := range rows {
		names[r.ID] = r.Name
	}
	return names, err
}

// InsertAuthorization stores a new authorization. Its name must be free.
func (tx *Tx) InsertAuthorization(ctx context.Context, a Authorization) error {
	_, err := tx.exec(ctx, "INSERT INTO authorizations ("+authorizationColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		a.ID, a.Tenant, a.Integration, a.Name, a.Grant, a.Status, a.Reason, a.SinceMs, a.Account, a.Base, a.Origins, a.Scopes,
		a.Fields, a.Secrets, a.Tokens, a.TokenEndsMs, a.RenewMs, a.EndsMs, a.WarnedMs, a.Version, a.CreatedMs, a.CreatedBy, a.UpdatedMs, a.UpdatedBy)
	if err != nil {
		return err
	}
	return tx.stampAuthorizations(ctx)
}

// SaveAuthorization stores a as the next version after a.Version and ends the
// lease; false when the stored one is of another version, or gone. Its secrets
// stay as they are stored.
func (tx *Tx) SaveAuthorization(ctx context.Context, a Authorization) (bool, error) {
	n, err := tx.exec(ctx, `UPDATE authorizations SET name = ?, grant_id = ?, status = ?, reason = ?, since_ms = ?, account = ?, base = ?, origins = ?, scopes = ?,
		fields = ?, tokens = ?, token_ends_ms = ?, renew_ms = ?, ends_ms = ?, warned_ms = ?, updated_ms = ?, updated_by = ?,
		version = version + 1, lease_owner = '', lease_ms = 0 WHERE id = ? AND version = ?`,
		a.Name, a.Grant, a.Status, a.Reason, a.SinceMs, a.Account, a.Base, a.Origins, a.Scopes,
		a.Fields, a.Tokens, a.TokenEndsMs, a.RenewMs, a.EndsMs, a.WarnedMs, a.UpdatedMs, a.UpdatedBy, a.ID, a.Version)
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.stampAuthorizations(ctx)
}

// SetAuthorizationSecrets stores the sealed secrets of an authorization, as a
// part of the version that is saved with them.
func (tx *Tx) SetAuthorizationSecrets(ctx context.Context, id string, secrets []byte) error {
	_, err := tx.exec(ctx, "UPDATE authorizations SET secrets = ? WHERE id = ?", secrets, id)
	return err
}

// DeleteAuthorization deletes an authorization, what it is the default for and
// the sign-ins under way for it.
func (tx *Tx) DeleteAuthorization(ctx context.Context, id string) error {
	for _, query := range []string{
		"DELETE FROM authorizations WHERE id = ?",
		"DELETE FROM default_authorizations WHERE authorization_id = ?",
		"DELETE FROM sign_ins WHERE authorization_id = ?",
	} {
		if _, err := tx.exec(ctx, query, id); err != nil {
			return err
		}
	}
	return tx.stampAuthorizations(ctx)
}

// DefaultNodes returns the nodes that an authorization is the default of.
func (tx *Tx) DefaultNodes(ctx context.Context, id string) ([]string, error) {
	var nodes []string
	err := tx.list(ctx, &nodes, "SELECT node FROM default_authorizations WHERE authorization_id = ? ORDER BY node", id)
	return nodes, err
}

// SetDefaultAuthorization makes an authorization the default of a node in
// place of an earlier one.
func (tx *Tx) SetDefaultAuthorization(ctx context.Context, d DefaultAuthorization) error {
	_, err := tx.exec(ctx, `INSERT INTO default_authorizations (tenant, integration, node, authorization_id) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant, integration, node) DO UPDATE SET authorization_id = excluded.authorization_id`, d.Tenant, d.Integration, d.Node, d.ID)
	if err != nil {
		return err
	}
	return tx.stampAuthorizations(ctx)
}

// stampAuthorizations comes last in a transaction: it locks a row that all who
// change authorizations need.
func (tx *Tx) stampAuthorizations(ctx context.Context) error {
	_, err := tx.exec(ctx, "INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		authorizationsStamp, []byte(rand.Text()))
	return err
}

// LeaseAuthorization makes owner the only one who renews an authorization until
// the lease ends, if it still is of that version and nobody else does. It
// returns the row as it stands now; NotFound when it is gone.
func (tx *Tx) LeaseAuthorization(ctx context.Context, id string, version int64, owner string, lease time.Duration) (a Authorization, won bool, err error) {
	now, err := tx.now(ctx)
	if err != nil {
		return a, false, err
	}
	err = tx.get(ctx, &a, `UPDATE authorizations SET lease_owner = ?, lease_ms = ? WHERE id = ? AND version = ? AND lease_ms < ?
		RETURNING `+authorizationColumns, owner, now+lease.Milliseconds(), id, version, now)
	if !isNotFound(err) {
		return a, err == nil, err
	}
	err = tx.get(ctx, &a, "SELECT "+authorizationColumns+" FROM authorizations WHERE id = ?", id)
	return a, false, err
}

// KeepAuthorizationLease lets the lease of owner last that long from now.
func (tx *Tx) KeepAuthorizationLease(ctx context.Context, id, owner string, lease time.Duration) error {
	now, err := tx.now(ctx)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "UPDATE authorizations SET lease_ms = ? WHERE id = ? AND lease_owner = ?", now+lease.Milliseconds(), id, owner)
	return err
}

// ReleaseAuthorization gives back the lease of owner.
func (tx *Tx) ReleaseAuthorization(ctx context.Context, id, owner string) error {
	_, err := tx.exec(ctx, "UPDATE authorizations SET lease_owner = '', lease_ms = 0 WHERE id = ? AND lease_owner = ?", id, owner)
	return err
}

// WarnAuthorizations marks those that are authorized, end before the given time
// and were not marked yet, and returns them.
func (tx *Tx) WarnAuthorizations(ctx context.Context, before, now time.Time) ([]Authorization, error) {
	var found []Authorization
	err := tx.list(ctx, &found, `UPDATE authorizations SET warned_ms = ? WHERE status = 'authorized' AND ends_ms < ? AND warned_ms IS NULL
		RETURNING `+authorizationColumns, ms(now), ms(before))
	return found, err
}

// InsertSignIn stores a sign-in that begins and forgets those that began before
// the given time.
func (tx *Tx) InsertSignIn(ctx context.Context, s SignIn, before time.Time) error {
	if _, err := tx.exec(ctx, "DELETE FROM sign_ins WHERE created_ms < ?", ms(before)); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "INSERT INTO sign_ins (state_hash, authorization_id, edited_ms, session, verifier, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
		s.StateHash, s.AuthorizationID, s.EditedMs, s.Session, s.Verifier, s.CreatedMs)
	return err
}

// TakeSignIn returns a sign-in and forgets it; NotFound when there is none.
func (tx *Tx) TakeSignIn(ctx context.Context, stateHash []byte) (SignIn, error) {
	var s SignIn
	err := tx.get(ctx, &s, `DELETE FROM sign_ins WHERE state_hash = ?
		RETURNING state_hash, authorization_id, edited_ms, session, verifier, created_ms`, stateHash)
	return s, err
}
