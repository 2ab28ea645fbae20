package store

import (
	"context"
	"strings"

	"github.com/jmoiron/sqlx"

	"tandem/core"
)

// openKey is what open tasks are counted by.
type openKey struct {
	tenant   string
	modality core.Modality
}

// openCount is the count of open tasks while a group is written: it is read and
// stored once, however many members change it.
type openCount struct {
	n       int
	changed bool
}

// AddOpen counts an open task up or down and returns how many of its tenant and
// modality are open now. On PostgreSQL the count is spread over rows, so that
// concurrent transactions do not wait for one another; each sees what the
// others have committed.
func (tx *Tx) AddOpen(ctx context.Context, t Task, delta int) (int, error) {
	if tx.round == nil {
		return tx.addOpenRow(ctx, t, delta)
	}
	key := openKey{t.Tenant, t.Modality}
	c := tx.round.open[key]
	if c == nil {
		c = &openCount{}
		err := tx.get(ctx, &c.n, "SELECT open FROM open_tasks WHERE tenant = ? AND modality = ? AND shard = ''", t.Tenant, string(t.Modality))
		if err != nil && !isNotFound(err) {
			return 0, err
		}
		tx.round.open[key] = c
	}
	c.n += delta
	c.changed = true
	tx.counted = append(tx.counted, func() { c.n -= delta })
	return c.n, nil
}

// uncount takes back what a member that failed has counted.
func (tx *Tx) uncount() {
	for _, undo := range tx.counted {
		undo()
	}
}

// flush stores the counts that the members of the group have changed.
func (r *round) flush(ctx context.Context, sqltx *sqlx.Tx) error {
	tx := &Tx{db: r.db, tx: sqltx, stmts: r.stmts}
	for key, c := range r.open {
		if !c.changed {
			continue
		}
		_, err := tx.exec(ctx, `INSERT INTO open_tasks (tenant, modality, shard, open) VALUES (?, ?, '', ?)
			ON CONFLICT (tenant, modality, shard) DO UPDATE SET open = excluded.open`, key.tenant, string(key.modality), c.n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) addOpenRow(ctx context.Context, t Task, delta int) (int, error) {
	_, err := tx.exec(ctx, `INSERT INTO open_tasks (tenant, modality, shard, open) VALUES (?, ?, ?, ?)
		ON CONFLICT (tenant, modality, shard) DO UPDATE SET open = open_tasks.open + excluded.open`,
		t.Tenant, string(t.Modality), t.ID[len(t.ID)-1:], delta)
	if err != nil {
		return 0, err
	}
	var open int
	err = tx.get(ctx, &open, "SELECT CAST(sum(open) AS BIGINT) FROM open_tasks WHERE tenant = ? AND modality = ?", t.Tenant, string(t.Modality))
	return open, err
}

// writes tells whether a query may change something.
func writes(query string) bool { return !strings.HasPrefix(query, "SELECT") }
