package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"

	"tandem/core"
)

// Options says which database to open and how.
type Options struct {
	URL   string     // sqlite:<path> or postgres://...
	Clock core.Clock // for leases on SQLite; PostgreSQL's own clock rules there

	// Unsafe opens a database that may lose acknowledged work in a power cut.
	Unsafe bool

	// Grouped is told about each group of writes that was committed together.
	Grouped func(size int, took time.Duration)
}

// DB is an open database. All methods may be called from several goroutines.
type DB struct {
	opts   Options
	sqlite bool
	writes *sqlx.DB // SQLite: exactly one connection
	reads  *sqlx.DB
	group  *grouper // SQLite only

	refused atomic.Bool    // the last write could not be taken
	late    sync.WaitGroup // writes whose callers may have gone
	used    sync.Map       // hash of an API key -> when its use was last noted, in ms

	mu       sync.RWMutex
	rebound  map[string]string
	prepared sync.Map // SQLite: query -> *sqlx.Stmt of the read pool
}

// Open opens the database. It fails with NotConfigured when the URL is of no
// known kind and when the database would lose acknowledged work in a power cut
// (unless Options.Unsafe).
func Open(ctx context.Context, opts Options) (*DB, error) {
	db := &DB{opts: opts, rebound: map[string]string{}}
	if opts.Grouped == nil {
		db.opts.Grouped = func(int, time.Duration) {}
	}
	scheme, rest, _ := strings.Cut(opts.URL, ":")
	var err error
	switch scheme {
	case "sqlite":
		db.sqlite = true
		err = db.openSQLite(ctx, rest)
	case "postgres", "postgresql":
		err = db.openPostgres(ctx)
	default:
		return nil, core.Errorf(core.NotConfigured, "database URL must begin with sqlite: or postgres://")
	}
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	return db, nil
}

// poolSize is the number of connections to PostgreSQL.
const poolSize = 24

// lockTimeout is how long a statement on PostgreSQL waits for somebody's lock.
const lockTimeout = "10s"

func (db *DB) openPostgres(ctx context.Context) error {
	config, err := pgx.ParseConfig(db.opts.URL)
	if err != nil {
		// The driver's text would repeat the URL with its password.
		return core.Errorf(core.NotConfigured, "database URL cannot be read as a PostgreSQL address")
	}
	config.RuntimeParams["lock_timeout"] = lockTimeout // no writer waits for ever for another
	pool := sqlx.NewDb(stdlib.OpenDB(*config), "pgx")
	pool.SetMaxOpenConns(poolSize)
	pool.SetMaxIdleConns(poolSize)
	db.writes, db.reads = pool, pool
	for _, setting := range []string{"fsync", "synchronous_commit"} {
		var value string
		if err := pool.GetContext(ctx, &value, "SHOW "+setting); err != nil {
			return fmt.Errorf("connect to PostgreSQL at %s: %w", hostOf(db.opts.URL), scrub(err, db.opts.URL))
		}
		if value == "off" && !db.opts.Unsafe {
			return core.Errorf(core.NotConfigured,
				"PostgreSQL runs with %s=off and would lose acknowledged tasks in a power cut; turn it on, or start with --unsafe-durability", setting)
		}
	}
	return nil
}

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "the given address"
	}
	return u.Host
}

// scrub removes the database password from a driver's error text.
func scrub(err error, raw string) error {
	u, perr := url.Parse(raw)
	if perr != nil || u.User == nil {
		return err
	}
	if p, ok := u.User.Password(); ok && p != "" && strings.Contains(err.Error(), p) {
		return errors.New(strings.ReplaceAll(err.Error(), p, "[redacted]"))
	}
	return err
}

// closeTime bounds how long Close waits for writes whose callers have gone.
const closeTime = 2 * time.Second

// Close waits for the group that is being written, and a little for what else
// goes on, and closes the database.
func (db *DB) Close() error {
	idle := make(chan struct{})
	go func() { db.late.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-time.After(closeTime):
	}
	if db.group != nil {
		db.group.close()
	}
	var errs []error
	if db.reads != nil && db.reads != db.writes {
		errs = append(errs, db.reads.Close())
	}
	if db.writes != nil {
		errs = append(errs, db.writes.Close())
	}
	return errors.Join(errs...)
}

// Ping tells whether the database answers, and, after a write that failed, also
// whether it takes writes again.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.reads.GetContext(ctx, &one, "SELECT 1"); err != nil || !db.refused.Load() {
		return wrap(err)
	}
	return db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.exec(ctx, "INSERT INTO settings (name, value) VALUES ('probe', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
			[]byte(rand.Text()))
		return err
	})
}

// SQLite tells which of the two databases this is.
func (db *DB) SQLite() bool { return db.sqlite }

// URL returns the address the database was opened with; it may hold a password.
func (db *DB) URL() string { return db.opts.URL }

// SQL returns the write pool, for core/jobs alone. On SQLite it has one
// connection: whoever holds it must not ask for it again.
func (db *DB) SQL() *sql.DB { return db.writes.DB }

// bind turns the ? of a query into the dialect's placeholders.
func (db *DB) bind(query string) string {
	if db.sqlite {
		return query
	}
	db.mu.RLock()
	bound, ok := db.rebound[query]
	db.mu.RUnlock()
	if !ok {
		bound = sqlx.Rebind(sqlx.DOLLAR, query)
		db.mu.Lock()
		db.rebound[query] = bound
		db.mu.Unlock()
	}
	return bound
}

// get reads one row into dest; NotFound when there is none.
func (db *DB) get(ctx context.Context, dest any, query string, args ...any) error {
	if st := db.read(ctx, query); st != nil {
		return wrap(st.GetContext(ctx, dest, args...))
	}
	return db.again(func() error { return db.reads.GetContext(ctx, dest, db.bind(query), args...) })
}

// list reads all rows into dest.
func (db *DB) list(ctx context.Context, dest any, query string, args ...any) error {
	if st := db.read(ctx, query); st != nil {
		return wrap(st.SelectContext(ctx, dest, args...))
	}
	return db.again(func() error { return db.reads.SelectContext(ctx, dest, db.bind(query), args...) })
}

// again reads, once more for each connection that turns out to be lost.
func (db *DB) again(read func() error) error {
	var err error
	for range maxTries {
		if err = read(); err == nil || !connectionLost(err) {
			break
		}
	}
	return wrap(err)
}

// read returns a query prepared for reading on SQLite, where each call would
// parse it anew; nil on PostgreSQL, whose driver does so itself, and for what
// cannot be prepared, which then fails where it is used.
func (db *DB) read(ctx context.Context, query string) *sqlx.Stmt {
	if !db.sqlite {
		return nil
	}
	if st, ok := db.prepared.Load(query); ok {
		return st.(*sqlx.Stmt) //nolint:forcetypeassert // nothing else is stored
	}
	st, err := db.reads.PreparexContext(context.WithoutCancel(ctx), query)
	if err != nil {
		return nil
	}
	if first, loaded := db.prepared.LoadOrStore(query, st); loaded {
		_ = st.Close()
		return first.(*sqlx.Stmt) //nolint:forcetypeassert // nothing else is stored
	}
	return st
}

// now returns the time that leases are compared with, in milliseconds: on
// PostgreSQL the server's, so that replicas with wrong clocks agree.
func (tx *Tx) now(ctx context.Context) (int64, error) {
	if tx.db.sqlite {
		return tx.db.opts.Clock.Now().UnixMilli(), nil
	}
	var ms int64
	err := tx.get(ctx, &ms, "SELECT (extract(epoch FROM clock_timestamp())*1000)::bigint")
	return ms, err
}

func ms(t time.Time) int64 { return t.UnixMilli() }

// msOrNil stores the zero time as NULL.
func msOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// FromMilli turns a stored time back into a time.Time in UTC.
func FromMilli(v int64) time.Time { return time.UnixMilli(v).UTC() }
