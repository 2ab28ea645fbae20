package store

import "context"

// RemoteEventsNow is Tx.RemoteEvents for whoever waits for an event and writes
// nothing.
func (db *DB) RemoteEventsNow(ctx context.Context, tenant, platform, remoteID string) ([]RemoteEvent, error) {
	var events []RemoteEvent
	err := db.list(ctx, &events, "SELECT "+remoteEventColumns+` FROM remote_events
		WHERE tenant = ? AND platform = ? AND remote_id = ? ORDER BY at_ms, received_ms, key`, tenant, platform, remoteID)
	return events, err
}
