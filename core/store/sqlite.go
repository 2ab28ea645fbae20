package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jmoiron/sqlx"
	sqlite3 "github.com/mattn/go-sqlite3"

	"tandem/core"
)

// Each write ends in one fsync (synchronous=FULL): an acknowledged task
// survives a power cut. The driver's own default would not.
const sqliteOptions = "?_journal_mode=WAL&_synchronous=FULL&_txlock=immediate&_busy_timeout=5000&_foreign_keys=1"

// walPages lets the log grow to 32 MB before it is folded into the database:
// at full load the default of 4 MB would do so several times a second.
const walPages = 8000

func (db *DB) openSQLite(ctx context.Context, path string) error {
	path = strings.TrimPrefix(path, "//")
	if path == "" || path[0] == ':' || strings.ContainsAny(path, "?#%") {
		return core.Errorf(core.NotConfigured, "database URL must be sqlite:<path of a file>, without ?, # and %%")
	}
	// Made here, because SQLite would let everybody read it; its log inherits the mode.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if db.writes, err = sqlx.Open("sqlite3", "file:"+path+sqliteOptions); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	db.writes.SetMaxOpenConns(1)
	db.writes.SetMaxIdleConns(1)
	var mode string
	if err := db.writes.GetContext(ctx, &mode, "PRAGMA journal_mode"); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	var synchronous int
	if err := db.writes.GetContext(ctx, &synchronous, "PRAGMA synchronous"); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if (mode != "wal" || synchronous < 2) && !db.opts.Unsafe {
		return core.Errorf(core.NotConfigured, "%s does not allow write-ahead logging with full durability (journal %s, synchronous %d)", path, mode, synchronous)
	}
	if _, err := db.writes.ExecContext(ctx, fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", walPages)); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	if db.reads, err = sqlx.Open("sqlite3", "file:"+path+"?mode=ro&_busy_timeout=5000&_query_only=1"); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	db.reads.SetMaxOpenConns(4)
	db.reads.SetMaxIdleConns(4)
	db.group = newGrouper(db)
	return nil
}

func busyOrFull(err error) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case sqlite3.ErrFull, sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrIoErr, sqlite3.ErrReadonly, sqlite3.ErrCantOpen:
		return true
	}
	return false
}
