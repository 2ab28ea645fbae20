package store

import (
	"context"
	"strings"
	"time"
)

// Execution is a run of an operation, for people.
type Execution struct {
	ID          string `db:"id"` // unique in its tenant
	Tenant      string `db:"tenant"`
	Platform    string `db:"platform"`
	Title       string `db:"title"`
	Integration string `db:"integration"`
	Operation   string `db:"operation"`
	Outcome     string `db:"outcome"`
	Failed      bool   `db:"failed"`
	Code        string `db:"code"`
	Contact     string `db:"contact"`
	Caller      string `db:"caller"`
	DurationUs  int64  `db:"duration_us"`
	BeganMs     int64  `db:"began_ms"`
	Detail      string `db:"detail"` // JSON
}

const executionColumns = `id, tenant, platform, title, integration, operation, outcome, failed <> 0 AS failed, code, contact, caller, duration_us, began_ms`

// InsertExecution keeps a run; a second one with the same id is left out.
func (tx *Tx) InsertExecution(ctx context.Context, e Execution) error {
	failed := 0
	if e.Failed {
		failed = 1
	}
	_, err := tx.exec(ctx, `INSERT INTO executions (id, tenant, platform, title, integration, operation, outcome, failed, code, contact, caller, search, duration_us, began_ms, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO NOTHING`,
		e.ID, e.Tenant, e.Platform, e.Title, e.Integration, e.Operation, e.Outcome, failed, e.Code, e.Contact, e.Caller,
		strings.ToLower(e.Title+"\n"+e.Contact), e.DurationUs, e.BeganMs, e.Detail)
	return err
}

// Executions returns up to limit runs of a tenant, newest first: those that
// began before the one with the id before, if it is given, that failed, if only
// these are asked for, and whose title or contact holds the text, in upper or
// lower case; all without their detail.
func (db *DB) Executions(ctx context.Context, tenant, before string, failed bool, text string, limit int) ([]Execution, error) {
	var list []Execution
	query := "SELECT " + executionColumns + ", '' AS detail FROM executions WHERE tenant = ?"
	args := []any{tenant}
	if before != "" {
		e, err := db.Execution(ctx, tenant, before)
		if err != nil {
			return nil, err
		}
		query += " AND (began_ms < ? OR began_ms = ? AND id < ?)"
		args = append(args, e.BeganMs, e.BeganMs, e.ID)
	}
	if failed {
		query += " AND failed = 1"
	}
	if text != "" {
		query += " AND search LIKE ? ESCAPE '!'"
		args = append(args, "%"+escapeLike(strings.ToLower(text))+"%")
	}
	err := db.list(ctx, &list, query+" ORDER BY began_ms DESC, id DESC LIMIT ?", append(args, limit)...)
	return list, err
}

// Execution returns one run of a tenant; NotFound when there is none.
func (db *DB) Execution(ctx context.Context, tenant, id string) (Execution, error) {
	var e Execution
	err := db.get(ctx, &e, "SELECT "+executionColumns+", detail FROM executions WHERE tenant = ? AND id = ?", tenant, id)
	return e, err
}

// PruneExecutions deletes up to limit runs that began before the given time, or
// that are not among the newest keep of their tenant, and returns how many.
func (tx *Tx) PruneExecutions(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	n, err := tx.exec(ctx, `DELETE FROM executions WHERE (tenant, id) IN (SELECT e.tenant, e.id FROM executions e
		JOIN (SELECT tenant, `+sinceOf("executions", "began_ms")+` FROM executions t GROUP BY tenant) c ON c.tenant = e.tenant
		WHERE e.began_ms < CASE WHEN c.since > ? THEN c.since ELSE ? END LIMIT ?)`, keep, ms(before), ms(before), limit)
	return int(n), err
}

// sinceOf is the column since: when the oldest of the newest rows of a tenant was
// made that may stay; null when all may.
func sinceOf(table, made string) string {
	return "(SELECT " + made + " FROM " + table + " n WHERE n.tenant = t.tenant ORDER BY " + made + " DESC LIMIT 1 OFFSET ? - 1) AS since"
}

// FirstAnswer is the answer to a request that may come again.
type FirstAnswer struct {
	Owner  string
	Answer []byte // nil: the owner still works on it
	Lost   bool   // the owner has gone, and nobody knows how far it came
}

// ClaimFirstAnswer makes owner the one who answers the request with a key, with
// a lease, unless somebody has the key already: then it returns that one. An
// owner whose lease ended without an answer is Lost for as long as its answer
// would have lived.
func (tx *Tx) ClaimFirstAnswer(ctx context.Context, key []byte, owner string, lease, life time.Duration) (FirstAnswer, error) {
	now, err := tx.now(ctx)
	if err != nil {
		return FirstAnswer{}, err
	}
	n, err := tx.exec(ctx, `INSERT INTO first_answers (key, owner, ends_ms) VALUES (?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, answer = NULL, ends_ms = excluded.ends_ms
		WHERE first_answers.ends_ms <= ? AND (first_answers.answer IS NOT NULL OR first_answers.ends_ms <= ?)`,
		key, owner, now+lease.Milliseconds(), now, now-life.Milliseconds())
	if err != nil || n == 1 {
		return FirstAnswer{Owner: owner}, err
	}
	var row struct {
		Owner  string
		Answer []byte
		EndsMs int64 `db:"ends_ms"`
	}
	err = tx.get(ctx, &row, "SELECT owner, answer, ends_ms FROM first_answers WHERE key = ?", key)
	if isNotFound(err) { // given up meanwhile
		err = ErrRetry
	}
	return FirstAnswer{row.Owner, row.Answer, row.Answer == nil && row.EndsMs <= now}, err
}

// ExtendFirstAnswer renews the lease of an owner that still works.
func (tx *Tx) ExtendFirstAnswer(ctx context.Context, key []byte, owner string, lease time.Duration) error {
	now, err := tx.now(ctx)
	if err == nil {
		_, err = tx.exec(ctx, "UPDATE first_answers SET ends_ms = ? WHERE key = ? AND owner = ? AND answer IS NULL", now+lease.Milliseconds(), key, owner)
	}
	return err
}

// KeepFirstAnswer stores the owner's answer for its life.
func (tx *Tx) KeepFirstAnswer(ctx context.Context, key []byte, owner string, answer []byte, life time.Duration) error {
	now, err := tx.now(ctx)
	if err == nil {
		_, err = tx.exec(ctx, "UPDATE first_answers SET answer = ?, ends_ms = ? WHERE key = ? AND owner = ?", answer, now+life.Milliseconds(), key, owner)
	}
	return err
}

// FreeFirstAnswer gives up a key: the same request may run again.
func (tx *Tx) FreeFirstAnswer(ctx context.Context, key []byte, owner string) error {
	_, err := tx.exec(ctx, "DELETE FROM first_answers WHERE key = ? AND owner = ? AND answer IS NULL", key, owner)
	return err
}

// PruneFirstAnswers deletes up to limit answers whose life has ended, and runs
// without one whose lease ended that long ago, and returns how many.
func (tx *Tx) PruneFirstAnswers(ctx context.Context, lost time.Duration, limit int) (int, error) {
	now, err := tx.now(ctx)
	if err != nil {
		return 0, err
	}
	n, err := tx.exec(ctx, `DELETE FROM first_answers WHERE key IN (
		SELECT key FROM first_answers WHERE ends_ms < ? AND (answer IS NOT NULL OR ends_ms < ?) LIMIT ?)`, now, now-lost.Milliseconds(), limit)
	return int(n), err
}

// CachedResult is a result that somebody comes for later.
type CachedResult struct {
	Key    []byte `db:"key"` // SHA-256
	Tenant string `db:"tenant"`
	MadeMs int64  `db:"made_ms"`
	LifeMs int64  `db:"life_ms"`
	EndsMs int64  `db:"ends_ms"`
	Value  []byte `db:"value"`
}

// SaveCachedResult keeps a result; an older one under the key of the same tenant
// gives way.
func (tx *Tx) SaveCachedResult(ctx context.Context, r CachedResult) error {
	_, err := tx.exec(ctx, `INSERT INTO cached_results (key, tenant, made_ms, life_ms, ends_ms, value) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET made_ms = excluded.made_ms, life_ms = excluded.life_ms, ends_ms = excluded.ends_ms, value = excluded.value
		WHERE cached_results.tenant = excluded.tenant`, r.Key, r.Tenant, r.MadeMs, r.LifeMs, r.EndsMs, r.Value)
	return err
}

// CachedResult returns a tenant's result that has not ended by now; NotFound
// when there is none.
func (db *DB) CachedResult(ctx context.Context, tenant string, key []byte, now time.Time) (CachedResult, error) {
	var r CachedResult
	err := db.get(ctx, &r, "SELECT key, tenant, made_ms, life_ms, ends_ms, value FROM cached_results WHERE key = ? AND tenant = ? AND ends_ms > ?", key, tenant, ms(now))
	return r, err
}

// ExtendCachedResult moves the end of a tenant's result by its life, and tells
// whether there was one that has not ended.
func (tx *Tx) ExtendCachedResult(ctx context.Context, tenant string, key []byte, now time.Time) (bool, error) {
	n, err := tx.exec(ctx, "UPDATE cached_results SET ends_ms = ? + life_ms WHERE key = ? AND tenant = ? AND ends_ms > ?", ms(now), key, tenant, ms(now))
	return n == 1, err
}

// PruneCachedResults deletes up to limit results that ended before the given
// time, or that are not among the keep of their tenant that were made last, and
// returns how many.
func (tx *Tx) PruneCachedResults(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	ended, err := tx.exec(ctx, "DELETE FROM cached_results WHERE key IN (SELECT key FROM cached_results WHERE ends_ms < ? LIMIT ?)", ms(before), limit)
	if err != nil {
		return 0, err
	}
	more, err := tx.exec(ctx, `DELETE FROM cached_results WHERE key IN (SELECT e.key FROM cached_results e
		JOIN (SELECT tenant, `+sinceOf("cached_results", "made_ms")+` FROM cached_results t GROUP BY tenant) c ON c.tenant = e.tenant
		WHERE e.made_ms < c.since LIMIT ?)`, keep, limit-int(ended))
	return int(ended + more), err
}

// escapeLike makes a text one that LIKE takes literally, with ! as the escape
// character.
func escapeLike(text string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text)
}
