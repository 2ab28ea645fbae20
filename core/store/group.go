package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"tandem/core"
)

const (
	groupTime  = 5 * time.Millisecond // after this the write connection is free for others
	groupSize  = 256
	queueLimit = 4096 // writers that may wait; more are refused at once
)

// grouper commits concurrent writes together on SQLite's one write connection.
type grouper struct {
	db    *DB
	queue chan *call
	quit  chan struct{}
	done  chan struct{}
	once  sync.Once
	stmts *statements
}

// call is one waiting Write.
type call struct {
	ctx   context.Context
	fn    func(context.Context, *Tx) error
	after []func()
	err   error
	done  chan struct{}
}

func newGrouper(db *DB) *grouper {
	g := &grouper{
		db: db, queue: make(chan *call, queueLimit),
		quit: make(chan struct{}), done: make(chan struct{}),
		stmts: &statements{ready: map[string]*sqlx.Stmt{}, wanted: map[string]bool{}},
	}
	go g.loop()
	return g
}

func (g *grouper) close() {
	g.once.Do(func() { close(g.quit) })
	<-g.done
}

func (g *grouper) write(ctx context.Context, fn func(context.Context, *Tx) error) error {
	c := &call{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-g.quit:
		return unavailable(errors.New("the database is being closed"))
	default:
	}
	select {
	case g.queue <- c:
	default:
		return unavailable(errors.New("too many writers wait"))
	}
	select {
	case <-c.done:
		return c.err
	case <-g.done: // closed while this call waited in the queue
		select {
		case <-c.done:
			return c.err
		default:
			return unavailable(errors.New("the database is being closed"))
		}
	}
}

func (g *grouper) loop() {
	defer close(g.done)
	for {
		select {
		case c := <-g.queue:
			g.commit(c)
		case <-g.quit:
			for {
				select {
				case c := <-g.queue:
					g.commit(c)
				default:
					return
				}
			}
		}
	}
}

// commit runs first and whoever waits behind it in one transaction, then tells
// them all. It runs on the hub's context, never on a request's.
func (g *grouper) commit(first *call) {
	ctx := context.Background()
	took := core.Stopwatch()
	g.stmts.prepare(ctx, g.db.writes)
	members := make([]*call, 0, 16)
	sqltx, err := g.db.writes.BeginTxx(ctx, nil)
	if err != nil {
		first.finish(unavailable(err))
		return
	}
	memo := map[string]any{}
	for c := first; c != nil; {
		members = append(members, c)
		if err = g.run(ctx, sqltx, memo, c); err != nil {
			break
		}
		c = nil
		if len(members) < groupSize && took() < groupTime {
			select {
			case c = <-g.queue:
			default:
			}
		}
	}
	if err == nil {
		err = sqltx.Commit()
	} else {
		_ = sqltx.Rollback()
	}
	if err != nil {
		err = unavailable(err)
	}
	for _, c := range members {
		if err == nil && c.err == nil {
			for _, f := range c.after {
				f()
			}
		}
		if c.err == nil {
			c.err = err
		}
		close(c.done)
	}
	if err == nil {
		g.db.opts.Grouped(len(members), took())
	}
}

// run runs one member under its own savepoint. The error it returns is about
// the whole group; the member's own outcome stands in the call.
func (g *grouper) run(ctx context.Context, sqltx *sqlx.Tx, memo map[string]any, c *call) error {
	if c.err = c.ctx.Err(); c.err != nil {
		return nil
	}
	tx := &Tx{db: g.db, tx: sqltx, stmts: g.stmts, memo: memo}
	if _, err := tx.exec(ctx, "SAVEPOINT member"); err != nil {
		return err
	}
	for range maxTries {
		tx.after = nil
		if c.err = tx.run(ctx, c.fn); c.err == nil {
			break
		}
		clear(memo) // it may hold what is now undone
		if _, err := tx.exec(ctx, "ROLLBACK TO member"); err != nil {
			return errors.Join(c.err, err)
		}
		if !errors.Is(c.err, ErrRetry) {
			break
		}
	}
	if errors.Is(c.err, ErrRetry) {
		c.err = unavailable(c.err)
	}
	c.after = tx.after
	_, err := tx.exec(ctx, "RELEASE member")
	return err
}

func (c *call) finish(err error) {
	c.err = err
	close(c.done)
}

// statements keeps prepared statements. A statement cannot be prepared while
// the group holds the one connection, so a new query runs unprepared once and
// is prepared before the next group.
type statements struct {
	ready  map[string]*sqlx.Stmt
	wanted map[string]bool
}

func (s *statements) in(tx *sqlx.Tx, query string) *sqlx.Stmt {
	if st, ok := s.ready[query]; ok {
		return tx.Stmtx(st)
	}
	s.wanted[query] = true
	return nil
}

func (s *statements) prepare(ctx context.Context, db *sqlx.DB) {
	for query := range s.wanted {
		// A query that cannot be prepared fails where it is used, with a reason.
		if st, err := db.PreparexContext(ctx, query); err == nil {
			s.ready[query] = st
		}
		delete(s.wanted, query)
	}
}
