package store_test

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, url, want string }{
		{"nothing", "", "must begin with sqlite: or postgres://"},
		{"other kind", "mysql://root:hunter2@localhost/x", "must begin with sqlite: or postgres://"},
		{"no file", "sqlite:", "sqlite:<path of a file>"},
		{"options", "sqlite:/tmp/x.db?_synchronous=0", "without ?"},
		{"escapes", "sqlite:/tmp/%41.db", "without ?"},
		{"memory", "sqlite::memory:", "sqlite:<path of a file>"},
		{"no folder", "sqlite:" + filepath.Join(t.TempDir(), "none", "x.db"), "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := store.Open(t.Context(), store.Options{URL: c.url})
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestPasswordIsInNoError(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"postgres://tandem:hunter2@127.0.0.1:1/tandem?connect_timeout=2",
		"postgres://tandem:hunter2@127.0.0.1:badport/tandem",
		"postgres://tandem:hunter2%zz@127.0.0.1:1/tandem",
		"postgres://tandem:hunter2@/tandem?host=/nowhere",
		"postgres://127.0.0.1:1/tandem?user=tandem&password=hunter2&sslmode=wrong",
		"postgres://127.0.0.1:1/tandem?user=tandem&password=hunter2%zz",
		"postgres://tandem:hunter2@127.0.0.1:1/tandem?sslmode=wrong",
		"postgres://tandem:hunter%322@127.0.0.1:1/tandem?sslmode=wrong",
		"postgres://tandem:hunter2 @127.0.0.1:1/tandem",
	} {
		_, err := store.Open(t.Context(), store.Options{URL: raw})
		require.Error(t, err, raw)
		require.NotContains(t, err.Error(), "hunter", raw)
	}
}

func TestSQLiteIsDurable(t *testing.T) {
	t.Parallel()
	db := open(t, sqliteURL(t))
	require.True(t, db.SQLite())
	require.NoError(t, db.Ping(t.Context()))
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		require.NoError(t, db.SQL().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

func TestPostgresMustBeDurable(t *testing.T) {
	t.Parallel()
	raw := postgresURL(t)
	db := open(t, raw)
	require.False(t, db.SQLite())
	require.NoError(t, db.Ping(t.Context()))
	u, err := url.Parse(raw)
	require.NoError(t, err)
	_, err = db.SQL().ExecContext(t.Context(), "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" SET synchronous_commit = off")
	require.NoError(t, err)

	_, err = store.Open(t.Context(), store.Options{URL: raw})
	require.Equal(t, core.NotConfigured, core.KindOf(err))
	require.ErrorContains(t, err, "synchronous_commit=off")
	unsafe, err := store.Open(t.Context(), store.Options{URL: raw, Unsafe: true})
	require.NoError(t, err)
	require.NoError(t, unsafe.Close())
}

func TestMigrate(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		put(t, db, 1, newTask("a"))
		require.NoError(t, db.Migrate(t.Context()))
		_, err := db.Task(t.Context(), "a")
		require.NoError(t, err, "nothing was made anew")

		_, err = db.SQL().ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
		require.NoError(t, err)
		err = db.Migrate(t.Context())
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		require.ErrorContains(t, err, "version 9999")
		require.ErrorContains(t, err, "newer binary")
	})
}

func TestReplicasMigrateAtOnce(t *testing.T) {
	t.Parallel()
	raw := postgresURL(t)
	var group sync.WaitGroup
	for range 3 {
		db, err := store.Open(t.Context(), store.Options{URL: raw})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		group.Go(func() {
			if err := db.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := db.Triggers(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestAFullDiskIsUnavailable(t *testing.T) {
	t.Parallel()
	db := open(t, sqliteURL(t))
	_, err := db.SQL().ExecContext(t.Context(), "PRAGMA max_page_count = 60")
	require.NoError(t, err)
	big := newTask("big")
	big.Data = make([]byte, 1<<20)
	err = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertTask(ctx, big) })
	require.Equal(t, core.Unavailable, core.KindOf(err), "%v", err)
	// Its neighbours go on.
	put(t, db, 1, newTask("small"))
	_, err = db.Task(t.Context(), "big")
	require.Equal(t, core.NotFound, core.KindOf(err))
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tandem.db")
	put(t, open(t, "sqlite:"+path), 1, newTask("a"))
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o027, "%s: %s", suffix, info.Mode())
	}
}

func TestReopen(t *testing.T) {
	t.Parallel()
	raw := sqliteURL(t)
	put(t, open(t, raw), 1, newTask("a"))
	again := open(t, raw)
	_, err := again.Task(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, raw, again.URL())
	require.IsType(t, &sql.DB{}, again.SQL())
}
