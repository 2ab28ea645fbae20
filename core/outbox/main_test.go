package outbox_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core/coretest"
	"tandem/core/outbox"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// rig is a database and what works on it.
type rig struct {
	t     *testing.T
	url   string
	db    *store.DB
	clock *coretest.Clock

	mu     sync.Mutex
	failed []string
	groups int // of writes
}

// both runs a test on an empty database of each kind. What fails in the
// background must be expected.
func both(t *testing.T, test func(r *rig)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) {
		r := &rig{t: t, url: url, clock: coretest.NewClock(noon)}
		r.db = r.open()
		require.NoError(t, r.db.Migrate(t.Context()))
		test(r)
		require.Empty(t, r.complaints())
	})
}

func (r *rig) open() *store.DB {
	r.t.Helper()
	db, err := store.Open(r.t.Context(), store.Options{URL: r.url, Clock: r.clock, Grouped: func(int, time.Duration) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.groups++
	}})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, db.Close()) })
	return db
}

// worker returns a worker that looks often and is not running.
func (r *rig) worker(db *store.DB, handlers map[string]outbox.Handler) *outbox.Worker {
	return outbox.New(outbox.Options{DB: db, Clock: r.clock, Handlers: handlers, Failed: r.complain, Look: 2 * time.Millisecond, AtOnce: 16})
}

func (r *rig) complain(msg string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, msg+": "+err.Error())
}

// complaints returns what failed in the background, and forgets it.
func (r *rig) complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := r.failed
	r.failed = nil
	return failed
}

// written counts the groups of writes.
func (r *rig) written() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.groups
}

// run runs a worker until stop is called or the test ends.
func (r *rig) run(w *outbox.Worker) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	r.t.Cleanup(stop)
	return stop
}

// send writes items of one transaction, due at once unless they say when.
func (r *rig) send(items ...store.OutboxItem) {
	r.t.Helper()
	for i := range items {
		now := r.clock.Now().UnixMilli()
		items[i].Tenant, items[i].CreatedMs, items[i].DueMs = "contoso", now, max(items[i].DueMs, now)
	}
	r.write(func(ctx context.Context, tx *store.Tx) error { return tx.InsertOutbox(ctx, items) })
}

func (r *rig) write(fn func(context.Context, *store.Tx) error) {
	r.t.Helper()
	require.NoError(r.t, r.db.Write(r.t.Context(), fn))
}

// die claims what is due and does nothing with it, as a replica does that dies
// so long ago that its lease has ended, or, on SQLite, just now.
func (r *rig) die() []store.OutboxItem {
	r.t.Helper()
	lease := -time.Second
	if r.db.SQLite() {
		lease = time.Minute
	}
	var items []store.OutboxItem
	r.write(func(ctx context.Context, tx *store.Tx) (err error) {
		items, err = tx.ClaimOutbox(ctx, []string{"k"}, r.clock.Now(), "dead", lease, 1000)
		return err
	})
	return items
}

// empty waits until everything is done.
func (r *rig) empty() {
	r.t.Helper()
	r.depth(0)
}

func (r *rig) depth(want int) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		n, err := r.db.OutboxDepth(r.t.Context())
		return err == nil && n == want
	}, 20*time.Second, time.Millisecond)
}

// waiting waits until an item can be claimed at the given time and none before.
func (r *rig) waiting(at time.Time) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		next, err := r.db.NextOutbox(r.t.Context(), []string{"k"})
		return err == nil && next.Equal(at)
	}, 20*time.Second, time.Millisecond)
}

// record is a handler that does everything at once and notes it.
type record struct {
	mu    sync.Mutex
	items []store.OutboxItem
}

func (n *record) handle(_ context.Context, it store.OutboxItem) outbox.Verdict {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.items = append(n.items, it)
	return outbox.Verdict{Done: true}
}

// all returns what was done, in that order.
func (n *record) all() []store.OutboxItem {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.items
}

func (n *record) payloads(lane string) (texts []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, it := range n.items {
		if it.Lane == lane {
			texts = append(texts, string(it.Payload))
		}
	}
	return texts
}
