package store

import (
	"context"
	"time"
)

// RemoteEvent is what another platform said of one of its tasks. Of two with the
// same key only one is kept.
type RemoteEvent struct {
	Tenant     string
	Platform   string
	Key        []byte
	RemoteID   string `db:"remote_id"` // of the task, there
	Kind       string
	AtMs       int64  `db:"at_ms"` // on the platform's clock; 0 if it did not tell
	Agent      string // "" if none
	Reason     string // "" if none
	Variables  string // JSON; "" if none
	ReceivedMs int64  `db:"received_ms"`
}

const remoteEventColumns = "tenant, platform, key, remote_id, kind, at_ms, agent, reason, variables, received_ms"

// InsertRemoteEvent keeps an event and tells whether it is new.
func (tx *Tx) InsertRemoteEvent(ctx context.Context, e RemoteEvent) (inserted bool, err error) {
	n, err := tx.exec(ctx, "INSERT INTO remote_events ("+remoteEventColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		e.Tenant, e.Platform, e.Key, e.RemoteID, e.Kind, e.AtMs, e.Agent, e.Reason, e.Variables, e.ReceivedMs)
	return n == 1, err
}

const selectRemoteEvents = "SELECT " + remoteEventColumns + ` FROM remote_events
	WHERE tenant = ? AND platform = ? AND remote_id = ? ORDER BY at_ms, received_ms, key`

// RemoteEvents returns what a platform said of a task, in the order of its clock.
func (tx *Tx) RemoteEvents(ctx context.Context, tenant, platform, remoteID string) ([]RemoteEvent, error) {
	var events []RemoteEvent
	err := tx.list(ctx, &events, selectRemoteEvents, tenant, platform, remoteID)
	return events, err
}

// RemoteEventsNow is Tx.RemoteEvents for whoever writes nothing.
func (db *DB) RemoteEventsNow(ctx context.Context, tenant, platform, remoteID string) ([]RemoteEvent, error) {
	var events []RemoteEvent
	err := db.list(ctx, &events, selectRemoteEvents, tenant, platform, remoteID)
	return events, err
}

// PruneRemoteEvents deletes up to limit events that came before the given time
// and returns how many.
func (tx *Tx) PruneRemoteEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := tx.exec(ctx, `DELETE FROM remote_events WHERE (tenant, platform, key) IN
		(SELECT tenant, platform, key FROM remote_events WHERE received_ms < ? ORDER BY received_ms LIMIT ?)`, ms(before), limit)
	return int(n), err
}
