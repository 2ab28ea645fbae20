package store

import (
	"context"
	"time"

	"tandem/core"
)

// Account is a person who may sign in to the console. Password is a hash, or
// empty for one who signs in elsewhere; Issuer and Subject then name the
// identity that signed in first.
type Account struct {
	ID        string `db:"id"`
	Tenant    string `db:"tenant"`
	UPN       string `db:"upn"` // lower case, of one account only
	Name      string `db:"name"`
	Role      string `db:"role"`
	Password  string `db:"password"`
	Issuer    string `db:"issuer"`
	Subject   string `db:"subject"`
	CreatedMs int64  `db:"created_ms"`
}

// Session is somebody's stay in the console. Token is hashed, Data is sealed,
// Account is empty before sign-in.
type Session struct {
	Token   string `db:"token"`
	Account string `db:"account_id"`
	Data    []byte `db:"data"`
	EndsMs  int64  `db:"ends_ms"`
}

const accountColumns = "id, tenant, upn, name, role, password, issuer, subject, created_ms"

// Account returns an account by its id; NotFound when there is none.
func (db *DB) Account(ctx context.Context, id string) (Account, error) {
	var a Account
	err := db.get(ctx, &a, "SELECT "+accountColumns+" FROM accounts WHERE id = ?", id)
	return a, err
}

// AccountByUPN returns the account of a name in lower case; NotFound when there
// is none.
func (db *DB) AccountByUPN(ctx context.Context, upn string) (Account, error) {
	var a Account
	err := db.get(ctx, &a, "SELECT "+accountColumns+" FROM accounts WHERE upn = ?", upn)
	return a, err
}

// Accounts returns the accounts of a tenant in the order of their names.
func (db *DB) Accounts(ctx context.Context, tenant string) ([]Account, error) {
	var found []Account
	err := db.list(ctx, &found, "SELECT "+accountColumns+" FROM accounts WHERE tenant = ? ORDER BY upn", tenant)
	return found, err
}

// HasAccounts tells whether any tenant has an account.
func (db *DB) HasAccounts(ctx context.Context) (bool, error) {
	var n int
	err := db.get(ctx, &n, "SELECT count(*) FROM (SELECT 1 FROM accounts LIMIT 1) a")
	return n > 0, err
}

// InsertAccount stores a new account; Conflict when its UPN is taken.
func (tx *Tx) InsertAccount(ctx context.Context, a Account) error {
	n, err := tx.exec(ctx, "INSERT INTO accounts ("+accountColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (upn) DO NOTHING",
		a.ID, a.Tenant, a.UPN, a.Name, a.Role, a.Password, a.Issuer, a.Subject, a.CreatedMs)
	if err == nil && n == 0 {
		return core.Errorf(core.Conflict, "There is an account named %s already.", a.UPN)
	}
	return err
}

// LockAccount returns an account and keeps others from changing it until the
// transaction ends; NotFound when there is none.
func (tx *Tx) LockAccount(ctx context.Context, id string) (Account, error) {
	var a Account
	err := tx.get(ctx, &a, tx.lock("SELECT "+accountColumns+" FROM accounts WHERE id = ?"), id)
	return a, err
}

// LockRole returns the ids of a tenant's accounts of one role and keeps others
// from changing them until the transaction ends.
func (tx *Tx) LockRole(ctx context.Context, tenant, role string) ([]string, error) {
	var ids []string
	err := tx.list(ctx, &ids, tx.lock("SELECT id FROM accounts WHERE tenant = ? AND role = ? ORDER BY id"), tenant, role)
	return ids, err
}

// UpdateAccount stores what may change of an account: name, role, password and
// the identity it is bound to.
func (tx *Tx) UpdateAccount(ctx context.Context, a Account) error {
	_, err := tx.exec(ctx, "UPDATE accounts SET name = ?, role = ?, password = ?, issuer = ?, subject = ? WHERE id = ?",
		a.Name, a.Role, a.Password, a.Issuer, a.Subject, a.ID)
	return err
}

// DeleteAccount forgets an account and ends its sessions.
func (tx *Tx) DeleteAccount(ctx context.Context, id string) error {
	if err := tx.EndSessions(ctx, id); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "DELETE FROM accounts WHERE id = ?", id)
	return err
}

// Session returns a session that has not ended; NotFound when there is none.
func (db *DB) Session(ctx context.Context, token string, now time.Time) (Session, error) {
	var s Session
	err := db.get(ctx, &s, "SELECT token, account_id, data, ends_ms FROM sessions WHERE token = ? AND ends_ms > ?", token, ms(now))
	return s, err
}

// InsertSession stores a new session.
func (tx *Tx) InsertSession(ctx context.Context, s Session) error {
	_, err := tx.exec(ctx, "INSERT INTO sessions (token, account_id, data, ends_ms) VALUES (?, ?, ?, ?)",
		s.Token, s.Account, s.Data, s.EndsMs)
	return err
}

// UpdateSession stores the data and the end of a session; NotFound when it was
// ended meanwhile: an ended session never comes back.
func (tx *Tx) UpdateSession(ctx context.Context, s Session) error {
	n, err := tx.exec(ctx, "UPDATE sessions SET data = ?, ends_ms = ? WHERE token = ?", s.Data, s.EndsMs, s.Token)
	if err == nil && n == 0 {
		return core.Errorf(core.NotFound, "the session has ended")
	}
	return err
}

// DeleteSession ends a session; nothing happens when it has ended.
func (tx *Tx) DeleteSession(ctx context.Context, token string) error {
	_, err := tx.exec(ctx, "DELETE FROM sessions WHERE token = ?", token)
	return err
}

// EndSessions ends all sessions of an account.
func (tx *Tx) EndSessions(ctx context.Context, account string) error {
	_, err := tx.exec(ctx, "DELETE FROM sessions WHERE account_id = ?", account)
	return err
}

// PruneSessions deletes up to limit sessions that ended by the given time, and
// returns how many.
func (tx *Tx) PruneSessions(ctx context.Context, now time.Time, limit int) (int, error) {
	n, err := tx.exec(ctx, "DELETE FROM sessions WHERE token IN (SELECT token FROM sessions WHERE ends_ms <= ? LIMIT ?)", ms(now), limit)
	return int(n), err
}

// InsertSetupToken stores the hash of a tenant's setup token; earlier ones of
// the tenant end.
func (tx *Tx) InsertSetupToken(ctx context.Context, hash [32]byte, tenant string, at time.Time) error {
	if _, err := tx.exec(ctx, "DELETE FROM setup_tokens WHERE tenant = ?", tenant); err != nil {
		return err
	}
	_, err := tx.exec(ctx, "INSERT INTO setup_tokens (hash, tenant, created_ms) VALUES (?, ?, ?)", hash[:], tenant, ms(at))
	return err
}

// SetupToken returns the tenant of a setup token made after since; NotFound when
// there is none.
func (db *DB) SetupToken(ctx context.Context, hash [32]byte, since time.Time) (tenant string, err error) {
	err = db.get(ctx, &tenant, "SELECT tenant FROM setup_tokens WHERE hash = ? AND created_ms > ?", hash[:], ms(since))
	return tenant, err
}

// UseSetupToken ends a setup token; NotFound when it was used before.
func (tx *Tx) UseSetupToken(ctx context.Context, hash [32]byte) error {
	n, err := tx.exec(ctx, "DELETE FROM setup_tokens WHERE hash = ?", hash[:])
	if err == nil && n == 0 {
		return core.Errorf(core.NotFound, "the setup token was used")
	}
	return err
}

// PruneSetupTokens deletes the setup tokens made before the given time.
func (tx *Tx) PruneSetupTokens(ctx context.Context, before time.Time) error {
	_, err := tx.exec(ctx, "DELETE FROM setup_tokens WHERE created_ms < ?", ms(before))
	return err
}
