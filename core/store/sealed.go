package store

import "context"

// SealedColumn is a column that holds sealed values.
type SealedColumn struct{ table, row, column, place, where string }

// Name returns table and column.
func (c SealedColumn) Name() string { return c.table + "." + c.column }

// sealedColumns lists every column with secrets. Place is how its room names the
// place of a value when it seals it. The second to ninth byte of a sealed value
// are the id of its key.
var sealedColumns = []SealedColumn{
	{"triggers", "id", "url", "tenant || '/triggers:' || id || ':url'", "ended_ms IS NULL"},
	{"authorizations", "id", "secrets", "tenant || '/authorizations:' || id || ':secrets'", "secrets IS NOT NULL"},
	{"authorizations", "id", "tokens", "tenant || '/authorizations:' || id || ':tokens'", "tokens IS NOT NULL"},
	{"subscriptions", "id", "secret", "'webex/subscription/' || id", "id <> ''"},
	{"subscriptions", "id", "old_secret", "'webex/subscription/' || id", "old_secret IS NOT NULL"},
	{"outbox", "id", "payload", "'webex/call/' || tenant", "kind = 'node'"},
	{"settings", "name", "value", "substr(name, 16) || '/settings:webhook-secret:value'", "name LIKE 'webhook-secret/%'"},
	{"settings", "name", "value", "'authstore:check'", "name = 'master-key-check'"},
}

// SealedColumns lists every column with secrets that last. Sign-ins under way
// and sessions are sealed too, and are over after hours.
func SealedColumns() []SealedColumn { return sealedColumns }

// SealedValue is one sealed value and where it belongs.
type SealedValue struct {
	Row    string `db:"row_id"`
	Place  string `db:"place"`
	Sealed []byte `db:"sealed"`
}

// SealedOtherwise returns up to limit values of rows behind after that are
// sealed under another key than the one with the id, by row.
func (db *DB) SealedOtherwise(ctx context.Context, c SealedColumn, id []byte, after string, limit int) ([]SealedValue, error) {
	var values []SealedValue
	err := db.list(ctx, &values, "SELECT "+c.row+" AS row_id, "+c.place+" AS place, "+c.column+" AS sealed FROM "+c.table+
		" WHERE "+c.where+" AND substr("+c.column+", 2, 8) <> ? AND "+c.row+" > ? ORDER BY "+c.row+" LIMIT ?", id, after, limit)
	return values, err
}

// SealingKeys counts a column's values by the id of their key.
func (db *DB) SealingKeys(ctx context.Context, c SealedColumn) (map[string]int, error) {
	var rows []struct {
		ID []byte
		N  int
	}
	err := db.list(ctx, &rows, "SELECT substr("+c.column+", 2, 8) AS id, count(*) AS n FROM "+c.table+" WHERE "+c.where+" GROUP BY 1")
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[string(r.ID)] = r.N
	}
	return counts, err
}

// Reseal puts fresh in the place of a value and returns false when that has
// changed meanwhile.
func (tx *Tx) Reseal(ctx context.Context, c SealedColumn, v SealedValue, fresh []byte) (bool, error) {
	n, err := tx.exec(ctx, "UPDATE "+c.table+" SET "+c.column+" = ? WHERE "+c.row+" = ? AND "+c.column+" = ?", fresh, v.Row, v.Sealed)
	return n == 1, err
}
