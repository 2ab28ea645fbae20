package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/jobs"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) {
	// database/sql keeps opening connections for a moment after it was closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// both runs a test on a migrated database of either kind.
func both(t *testing.T, test func(t *testing.T, db *store.DB)) {
	pgtest.Both(t, func(t *testing.T, url string) {
		db, err := store.Open(t.Context(), store.Options{URL: url, Clock: core.SystemClock{}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		require.NoError(t, db.Migrate(t.Context()))
		require.NoError(t, jobs.Migrate(t.Context(), db))
		require.NoError(t, jobs.Migrate(t.Context(), db), "a second time changes nothing")
		test(t, db)
	})
}

// patience bounds a wait for the engine, whose leader must be elected first.
const patience = 30 * time.Second

func start(t *testing.T, db *store.DB, log *slog.Logger, duties ...jobs.Duty) (stop func()) {
	t.Helper()
	e, err := jobs.New(t.Context(), db, duties, log)
	require.NoError(t, err)
	require.NoError(t, e.Start(context.Background()))
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, e.Stop(ctx))
	})
}

func await(t *testing.T, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(patience):
		require.FailNow(t, "the duty was not done")
	}
}

func duty(name string, done chan struct{}) jobs.Duty {
	return jobs.Duty{Name: name, Every: time.Second, Do: func(context.Context) error {
		select {
		case done <- struct{}{}:
		default:
		}
		return nil
	}}
}

func TestDutiesAreDoneAgainAndAgain(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		first, second := make(chan struct{}), make(chan struct{})
		failing := jobs.Duty{Name: "fail", Every: time.Second, Do: func(context.Context) error { return errors.New("no") }}
		stop := start(t, db, slog.New(slog.DiscardHandler), duty("first", first), duty("second", second), failing)
		defer stop()
		for range 3 {
			await(t, first)
			await(t, second)
		}
	})
}

func TestAnotherReplicaGoesOn(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		one, two := make(chan struct{}), make(chan struct{})
		stopOne := start(t, db, slog.New(slog.DiscardHandler), duty("work", one))
		await(t, one)
		stopOne()
		stopTwo := start(t, db, slog.New(slog.DiscardHandler), duty("work", two))
		defer stopTwo()
		await(t, two)
	})
}

func TestAStopIsNoError(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		var log safeBuffer
		began := make(chan struct{})
		stop := start(t, db, slog.New(slog.NewJSONHandler(&log, nil)), jobs.Duty{
			Name: "wait", Every: time.Second, Do: func(ctx context.Context) error {
				close(began)
				<-ctx.Done()
				return ctx.Err()
			},
		})
		await(t, began)
		stop()
		require.NotContains(t, log.String(), "context canceled")
		require.NotContains(t, log.String(), `"INFO"`)
	})
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
