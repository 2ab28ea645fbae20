package store

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
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
	taken atomic.Bool // by the group, which runs it, or by its caller, who has left
	begun bool        // the group has it
	after []func()
	tries int
	err   error
	done  chan struct{}
}

// begin tells whether fn may run: not for a caller who is gone.
func (c *call) begin() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if !c.begun && !c.taken.CompareAndSwap(false, true) {
		return context.Canceled
	}
	c.begun = true
	return nil
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
	case <-ctx.Done():
		if c.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-c.done // its turn has come
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
	if first.taken.Load() { // its caller has left
		close(first.done)
		return
	}
	r := &round{db: g.db, stmts: g.stmts, queue: g.queue, took: core.Stopwatch(), members: []*call{first}}
	ctx := context.Background()
	again, err := true, error(nil)
	for again && err == nil {
		g.stmts.prepare(ctx, g.db.writes)
		again, err = r.try(ctx)
	}
	if err != nil {
		err = unavailable(err)
	}
	if r.shut {
		g.refuse(err)
	}
	for _, c := range append(r.members, r.failed...) {
		if c.err == nil {
			c.err = err
		}
		if c.err == nil {
			for _, f := range c.after {
				f()
			}
		}
		close(c.done)
	}
	if err == nil {
		g.db.opts.Grouped(len(r.members)+len(r.failed), r.took())
	}
}

// refuse tells those who wait that the database takes nothing: one after another
// each would wait for it as long again.
func (g *grouper) refuse(err error) {
	for range len(g.queue) {
		c := <-g.queue
		c.err = err
		close(c.done)
	}
}

// round is one group of writes on its way to disk.
type round struct {
	db      *DB
	stmts   *statements
	queue   <-chan *call
	took    func() time.Duration
	members []*call // in the transaction
	failed  []*call // told to leave it
	shut    bool    // the database begins no transaction
	memo    map[string]any
	open    map[openKey]*openCount
}

// try runs the members, takes in who else is waiting, and commits. When one
// fails that has already written, the transaction is thrown away and again is
// true: the others, who may be run twice, go on without it. That is rare, and
// spares every member a savepoint.
func (r *round) try(ctx context.Context) (again bool, err error) {
	sqltx, err := r.db.writes.BeginTxx(ctx, nil)
	if r.shut = err != nil; r.shut {
		return false, err
	}
	defer func() {
		if again || err != nil {
			_ = sqltx.Rollback()
		}
	}()
	r.memo, r.open = map[string]any{}, map[openKey]*openCount{}
	for i := 0; i < len(r.members); i++ {
		c := r.members[i]
		tx := &Tx{db: r.db, tx: sqltx, stmts: r.stmts, memo: r.memo, round: r}
		if c.err = c.begin(); c.err == nil {
			c.err = tx.run(ctx, c.fn)
		}
		c.after = tx.after
		if errors.Is(c.err, ErrRetry) {
			if c.tries++; c.tries < maxTries {
				return true, nil
			}
			c.err = unavailable(c.err)
		}
		if c.err != nil && tx.wrote {
			r.members, r.failed = slices.Delete(r.members, i, i+1), append(r.failed, c)
			return true, nil
		}
		if c.err != nil {
			tx.uncount()
		}
		if i == len(r.members)-1 {
			r.takeIn()
		}
	}
	if err := r.flush(ctx, sqltx); err != nil {
		return false, err
	}
	return false, sqltx.Commit()
}

// takeIn adds the next waiting call, unless the group is full or old.
func (r *round) takeIn() {
	if len(r.members)+len(r.failed) >= groupSize || r.took() > groupTime {
		return
	}
	select {
	case c := <-r.queue:
		r.members = append(r.members, c)
	default:
	}
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
