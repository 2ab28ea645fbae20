package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// both runs a test on an empty database of each dialect.
func both(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) { test(t, open(t, url)) })
}

func sqliteURL(t *testing.T) string {
	t.Helper()
	return "sqlite:" + filepath.Join(t.TempDir(), "tandem.db")
}

func postgresURL(t *testing.T) string {
	t.Helper()
	return pgtest.Start(t)
}

// open opens and migrates a database, and closes it when the test ends.
func open(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Clock: coretest.NewClock(noon)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	return db
}

// newTask returns a row that can be inserted.
func newTask(id string) store.Task {
	return store.Task{
		ID: id, Tenant: "contoso", Modality: core.ExternalTask, Workflow: "hash",
		Cursor: []byte(`{"at":0}`), Events: 1, Data: []byte(`{}`),
	}
}

// put inserts tasks, each with its events.
func put(t *testing.T, db *store.DB, events int, tasks ...store.Task) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error {
		for _, task := range tasks {
			if err := tx.InsertTask(t.Context(), task); err != nil {
				return err
			}
			if err := tx.InsertEvents(t.Context(), task.ID, history(events)); err != nil {
				return err
			}
		}
		return nil
	})
}

func history(n int) []store.Event {
	var events []store.Event
	for seq := 1; seq <= n; seq++ {
		events = append(events, store.Event{Seq: seq, Name: core.Queued, At: noon, Data: []byte(`{"name":"Queued"}`)})
	}
	return events
}
