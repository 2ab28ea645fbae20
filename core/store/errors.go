package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"tandem/core"
)

// ErrRetry asks Write to run its function again in a fresh transaction: another
// writer was faster. Methods of Tx return it; functions pass it on.
var ErrRetry = errors.New("another writer was faster")

// retryAfter is how long callers are asked to stay away from a database that
// cannot take their work now.
const retryAfter = 2 * time.Second

// wrap turns a driver's error into one with a kind. Nothing to find is
// NotFound, a full or unreachable database Unavailable, a lost race ErrRetry.
func wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return core.Errorf(core.NotFound, "not found")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "40001", "40P01", "23505": // serialization failure, deadlock, lost a race for a key
			return errors.Join(ErrRetry, err)
		case "55P03": // waited for a lock too long
			return unavailable(err)
		}
		if len(e.Code) == 5 && (e.Code[:2] == "53" || e.Code[:2] == "57" || e.Code[:2] == "08") {
			return unavailable(err)
		}
		return err
	}
	if busyOrFull(err) || connectionLost(err) {
		return unavailable(err)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return unavailable(err)
	}
	return err
}

// connectionLost tells whether PostgreSQL went away: a server that was restarted
// leaves a pool of connections that each fail once.
func connectionLost(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return false // there is no connection to be had
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

func unavailable(err error) error {
	e := core.Wrap(core.Unavailable, err, "the database cannot take work now; nothing was stored")
	e.Code, e.RetryAfter = "DATABASE_UNAVAILABLE", retryAfter
	return e
}
