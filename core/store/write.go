package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jmoiron/sqlx"

	"tandem/core"
)

// Tx is one transaction of Write. It belongs to the function it was given to
// and must not leave it.
type Tx struct {
	db    *DB
	tx    *sqlx.Tx
	stmts *statements // SQLite only
	memo  map[string]any
	after []func()

	round   *round // SQLite only
	wrote   bool
	counted []func() // take back what was counted
}

// maxTries bounds how often a function that returns ErrRetry is run. It is above
// the number of connections, all of which a restart of PostgreSQL breaks.
const maxTries = poolSize + 6

// Write runs fn in a transaction. When Write returns nil, what fn wrote is on
// disk, and the functions given to Tx.After have been called. When fn returns
// an error nothing is written and Write returns that error.
//
// fn may be run more than once (ErrRetry), must not keep tx, and must not wait
// for anything but tx: it may hold up other writers. A caller whose ctx ends
// while its turn has not come gets the context's error and nothing is written;
// once fn has begun, the transaction is finished and the caller gets its
// outcome.
//
// Errors: what fn returns; Unavailable when the database cannot take the work;
// Uncertain when PostgreSQL was lost during the commit.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	err := db.write(ctx, fn)
	refused := err != nil && core.KindOf(err) == core.Unavailable
	if (refused || err == nil) && refused != db.refused.Load() {
		db.refused.Store(refused)
	}
	return err
}

// WriteInTime is Write for a caller who cannot stay longer than ctx: when that
// ends before the outcome is known the error is Timeout, and what has begun is
// finished all the same. So fn must share nothing with a caller who has gone.
func (db *DB) WriteInTime(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	done := make(chan error, 1)
	db.late.Go(func() { done <- db.Write(ctx, fn) })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return core.Wrap(core.Timeout, ctx.Err(), "the database did not answer in time; what was begun goes on")
	}
}

func (db *DB) write(ctx context.Context, fn func(context.Context, *Tx) error) error {
	if db.sqlite {
		return db.group.write(ctx, fn)
	}
	var err error
	for range maxTries {
		if err = db.writeOnce(ctx, fn); !errors.Is(err, ErrRetry) {
			return err
		}
	}
	return unavailable(err)
}

func (db *DB) writeOnce(ctx context.Context, fn func(context.Context, *Tx) error) error {
	conn, err := db.writes.Connx(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return unavailable(err)
	}
	defer conn.Close()
	ctx = context.WithoutCancel(ctx)
	sqltx, err := conn.BeginTxx(ctx, nil)
	if err != nil {
		if connectionLost(err) { // nothing has begun: another connection may do
			return errors.Join(ErrRetry, err)
		}
		return unavailable(err)
	}
	tx := &Tx{db: db, tx: sqltx}
	if err := tx.run(ctx, fn); err != nil {
		_ = sqltx.Rollback()
		return err
	}
	if err := sqltx.Commit(); err != nil {
		if _, said := errors.AsType[*pgconn.PgError](err); said {
			return wrap(err)
		}
		return core.Wrap(core.Uncertain, err, "the connection to the database broke before it said whether this was stored")
	}
	for _, f := range tx.after {
		f()
	}
	return nil
}

// run calls fn and turns a panic into an error, so that one bad task never
// takes its neighbours or the process with it.
func (tx *Tx) run(ctx context.Context, fn func(context.Context, *Tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx, tx)
}

// After calls f once the transaction is on disk. f must not block.
func (tx *Tx) After(f func()) { tx.after = append(tx.after, f) }

func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	var res sql.Result
	var err error
	tx.wrote = true
	if st := tx.prepared(query); st != nil {
		res, err = st.ExecContext(ctx, args...)
	} else {
		res, err = tx.tx.ExecContext(ctx, tx.db.bind(query), args...)
	}
	if err != nil {
		return 0, wrap(err)
	}
	n, err := res.RowsAffected()
	return n, wrap(err)
}

// get reads one row into dest; NotFound when there is none.
func (tx *Tx) get(ctx context.Context, dest any, query string, args ...any) error {
	tx.wrote = tx.wrote || writes(query)
	if st := tx.prepared(query); st != nil {
		return wrap(st.GetContext(ctx, dest, args...))
	}
	return wrap(tx.tx.GetContext(ctx, dest, tx.db.bind(query), args...))
}

func (tx *Tx) list(ctx context.Context, dest any, query string, args ...any) error {
	tx.wrote = tx.wrote || writes(query)
	if st := tx.prepared(query); st != nil {
		return wrap(st.SelectContext(ctx, dest, args...))
	}
	return wrap(tx.tx.SelectContext(ctx, dest, tx.db.bind(query), args...))
}

func (tx *Tx) prepared(query string) *sqlx.Stmt {
	if tx.stmts == nil {
		return nil
	}
	return tx.stmts.in(tx.tx, query)
}

// lock adds the row lock that PostgreSQL needs and SQLite does not know.
func (tx *Tx) lock(query string) string {
	if tx.db.sqlite {
		return query
	}
	return query + " FOR UPDATE"
}

// isNotFound tells whether err says that there is no such row.
func isNotFound(err error) bool { return err != nil && core.KindOf(err) == core.NotFound }
