package execution_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/execution"
	"tandem/core/operation"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) { test(t, open(t, url)) })
}

func open(t testing.TB, url string) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: url, Clock: core.SystemClock{}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Migrate(context.Background()))
	return db
}

func newRecorder(t *testing.T, db *store.DB) (*execution.Recorder, *coretest.Clock) {
	t.Helper()
	clock := coretest.NewClock(noon)
	return execution.NewRecorder(execution.Options{DB: db, Clock: clock, Failed: func(msg string, err error) {
		t.Errorf("%s: %v", msg, err)
	}}), clock
}

func newAnswers(t *testing.T, db *store.DB) *execution.FirstAnswers {
	t.Helper()
	return execution.NewFirstAnswers(db, coretest.NewClock(noon), func(msg string, err error) { t.Errorf("%s: %v", msg, err) })
}

func TestRuns(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		r, _ := newRecorder(t, db)
		run := func(tenant, id, title string, failed bool, after time.Duration) execution.Run {
			return execution.Run{
				ID: id, Tenant: tenant, Platform: "cxone", Title: title, Integration: "salesforce", Operation: "search-ani",
				Outcome: "Success", Failed: failed, Code: "", Contact: "4711", Caller: "admin@contoso.example",
				Began: noon.Add(after), Duration: 1234 * time.Microsecond, Message: "m",
				Steps: []operation.Step{{ID: "find", State: operation.StepOK, Status: 200, Duration: time.Millisecond}},
				Input: `{"a":1}`, Result: `{"b":2}`,
			}
		}
		first := run("contoso", "1", "Salesforce / Search for ANI", false, 0)
		second := run("contoso", "2", "Zendesk / 100% _new_ Ticket für alle", true, time.Second)
		r.Record(first)
		r.Record(second)
		r.Record(run("contoso", "1", "the same id again is left out", false, time.Minute))
		r.Record(run("fabrikam", "1", "another tenant's", false, 0))

		list := func(f execution.Filter) []execution.Run {
			t.Helper()
			f.Tenant, f.Limit = "contoso", 10
			runs, err := r.List(ctx, f)
			require.NoError(t, err)
			return runs
		}
		brief := func(r execution.Run) execution.Run {
			r.Message, r.Steps, r.Input, r.Result = "", nil, "", ""
			return r
		}
		require.Equal(t, []execution.Run{brief(second), brief(first)}, list(execution.Filter{}))
		require.Equal(t, []execution.Run{brief(first)}, list(execution.Filter{Before: "2"}))
		require.Equal(t, []execution.Run{brief(second)}, list(execution.Filter{Failed: true}))
		require.Equal(t, []execution.Run{brief(second)}, list(execution.Filter{Text: "100% _NEW_"}))
		require.Len(t, list(execution.Filter{Text: "für"}), 1)
		require.Len(t, list(execution.Filter{Text: "FÜR"}), 1)
		require.Empty(t, list(execution.Filter{Text: "100%new"}))
		require.Len(t, list(execution.Filter{Text: "71"}), 2, "of the contact")
		require.Empty(t, list(execution.Filter{Text: "a\x00"}))
		require.Empty(t, list(execution.Filter{Text: "a\xff"}))
		_, err := r.List(ctx, execution.Filter{Tenant: "contoso", Before: "2\x00", Limit: 1})
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = r.Get(ctx, "contoso", "2\x00")
		require.Equal(t, core.NotFound, core.KindOf(err))

		got, err := r.Get(ctx, "contoso", "2")
		require.NoError(t, err)
		require.Equal(t, second, got)
		_, err = r.Get(ctx, "fabrikam", "2")
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = r.List(ctx, execution.Filter{Tenant: "fabrikam", Before: "2", Limit: 1})
		require.Equal(t, core.NotFound, core.KindOf(err))
	})
}

func TestRunsAreBounded(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		r, clock := newRecorder(t, db)
		wanted := 0
		for range 1000 {
			if r.Wanted("contoso", false) {
				wanted++
			}
		}
		require.Equal(t, 500, wanted)
		require.EqualValues(t, 500, r.Dropped())
		require.True(t, r.Wanted("contoso", true), "runs that failed have their own measure")
		require.True(t, r.Wanted("fabrikam", false), "every tenant has its own measure")
		clock.Advance(time.Second)
		require.True(t, r.Wanted("contoso", false))

		for i := range 250 {
			r.Record(execution.Run{ID: fmt.Sprint(i), Tenant: "contoso", Began: noon.Add(time.Duration(i) * time.Second)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r.Run(ctx) // writes what is left
		prune := func(now time.Time) (n int) {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = execution.Prune(ctx, tx, now, 200)
				return err
			}))
			return n
		}
		week := 7 * 24 * time.Hour
		require.Zero(t, prune(noon.Add(week)))
		require.Equal(t, 200, prune(noon.Add(week+210*time.Second)))
		require.Equal(t, 10, prune(noon.Add(week+210*time.Second)))
		runs, err := r.List(t.Context(), execution.Filter{Tenant: "contoso", Limit: 1000})
		require.NoError(t, err)
		require.Len(t, runs, 40)
	})
}

func TestResults(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		r, clock := newRecorder(t, db)
		here := execution.NewResults(r)
		there := here
		if !db.SQLite() { // a replica
			there = execution.NewResults(execution.NewRecorder(execution.Options{DB: db, Clock: clock}))
		}
		key := here.Put(ctx, "contoso", "", time.Minute, []byte("one"))
		require.GreaterOrEqual(t, len(key), 32)
		require.NotEqual(t, key, here.Put(ctx, "contoso", "", time.Minute, []byte("one")))
		get := func(tenant string) (string, core.Kind) {
			t.Helper()
			value, err := there.Get(ctx, tenant, key)
			if err != nil {
				return "", core.KindOf(err)
			}
			return string(value), ""
		}
		value, kind := get("contoso")
		require.Equal(t, "one", value, kind)
		_, kind = get("fabrikam")
		require.Equal(t, core.NotFound, kind)

		require.Equal(t, key, here.Put(ctx, "contoso", key, time.Minute, []byte("two")))
		value, _ = get("contoso")
		require.Equal(t, "two", value)

		clock.Advance(59 * time.Second)
		require.NoError(t, there.KeepAlive(ctx, "contoso", key))
		require.Equal(t, core.NotFound, core.KindOf(there.KeepAlive(ctx, "fabrikam", key)))
		clock.Advance(59 * time.Second)
		value, _ = get("contoso")
		require.Equal(t, "two", value)
		clock.Advance(time.Second)
		_, kind = get("contoso")
		require.Equal(t, core.NotFound, kind)
		require.Equal(t, core.NotFound, core.KindOf(there.KeepAlive(ctx, "contoso", key)))
	})
}

func keyOf(text string) [32]byte { return sha256.Sum256([]byte(text)) }

func answer(text string, keep bool) execution.Flow {
	return func(context.Context) (execution.Answer, bool) { return execution.Answer(text), keep }
}

func TestFirstAnswers(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		a := newAnswers(t, db)
		do := func(key, text string, keep bool, life time.Duration) (string, bool) {
			t.Helper()
			got, repeated, err := a.Do(t.Context(), keyOf(key), life, time.Minute, answer(text, keep))
			require.NoError(t, err)
			return string(got), repeated
		}
		both := func(text string, repeated bool) func(string, bool) {
			return func(got string, again bool) {
				t.Helper()
				require.Equal(t, text, got)
				require.Equal(t, repeated, again)
			}
		}
		both("1", false)(do("a", "1", true, time.Minute))
		both("1", true)(do("a", "2", true, time.Minute))
		both("3", false)(do("b", "3", true, time.Minute))
		// what did nothing may be tried again
		both("4", false)(do("c", "4", false, time.Minute))
		both("5", false)(do("c", "5", true, time.Minute))
		both("5", true)(do("c", "6", true, time.Minute))
		// an answer lives as long as it was said when it was given
		both("7", false)(do("d", "7", true, time.Millisecond))
		require.Eventually(t, func() bool { got, _ := do("d", "8", true, time.Minute); return got == "8" }, 20*time.Second, 5*time.Millisecond)
	})
}

func TestManyEqualRequestsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		replicas := []*execution.FirstAnswers{
			newAnswers(t, db), newAnswers(t, db),
		}
		var ran atomic.Int64
		first := make(chan struct{})
		flow := func(context.Context) (execution.Answer, bool) {
			n := ran.Add(1)
			<-first
			return execution.Answer(fmt.Sprint(n)), true
		}
		var all sync.WaitGroup
		var repeats atomic.Int64
		for i := range 50 {
			all.Go(func() {
				got, repeated, err := replicas[i%2].Do(t.Context(), keyOf("a"), time.Minute, time.Minute, flow)
				if repeated {
					repeats.Add(1)
				}
				if err != nil || string(got) != "1" {
					t.Errorf("%s %v", got, err)
				}
			})
		}
		require.Eventually(t, func() bool { return ran.Load() == 1 }, 10*time.Second, time.Millisecond)
		close(first)
		all.Wait()
		require.EqualValues(t, 1, ran.Load())
		require.EqualValues(t, 49, repeats.Load())
	})
}

// TestFlowGoesOnAfterATimeout: whoever asked has gone, and who asks again gets
// what came of it.
func TestFlowGoesOnAfterATimeout(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		a := newAnswers(t, db)
		began, first := make(chan struct{}), make(chan struct{})
		flow := func(ctx context.Context) (execution.Answer, bool) {
			close(began)
			<-first
			return execution.Answer("made"), ctx.Err() == nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error)
		go func() {
			_, _, err := a.Do(ctx, keyOf("a"), time.Minute, time.Minute, flow)
			failed <- err
		}()
		<-began
		cancel()
		require.Equal(t, core.Timeout, core.KindOf(<-failed))
		over, cancel := context.WithCancel(t.Context())
		cancel()
		a.Wait(over) // does not wait for ever
		close(first)
		got, repeated, err := a.Do(t.Context(), keyOf("a"), time.Minute, time.Minute, answer("again", true))
		require.NoError(t, err)
		require.Equal(t, "made", string(got))
		require.True(t, repeated)
		a.Wait(t.Context())
	})
}

// TestNothingBeginsForThoseWhoLeft: a claim that another transaction holds up is
// given up with its last caller, and the key is free for who comes later.
func TestNothingBeginsForThoseWhoLeft(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		a, key := newAnswers(t, db), keyOf("a")
		held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.ClaimFirstAnswer(ctx, key[:], "who holds it up", time.Minute, time.Minute)
				close(held)
				<-release
				return errors.Join(err, errHeld)
			})
		}()
		<-held
		first, leaveFirst := context.WithCancel(t.Context())
		second, leaveSecond := context.WithCancel(t.Context())
		var ran atomic.Int64
		flow := func(context.Context) (execution.Answer, bool) {
			ran.Add(1)
			return execution.Answer("made"), true
		}
		errs := make(chan error, 2)
		for _, ctx := range []context.Context{first, second} {
			go func() {
				_, _, err := a.Do(ctx, key, time.Minute, time.Minute, flow)
				errs <- err
			}()
		}
		a.AwaitCallers(t, key, 2)
		leaveFirst()
		require.Equal(t, core.Unavailable, core.KindOf(<-errs), "another waits for the same")
		leaveSecond()
		require.Equal(t, core.Unavailable, core.KindOf(<-errs))
		close(release)
		require.ErrorIs(t, <-ended, errHeld)
		a.Wait(t.Context())
		require.Zero(t, ran.Load())

		got, repeated, err := a.Do(t.Context(), key, time.Minute, time.Minute, flow)
		require.NoError(t, err)
		require.Equal(t, "made", string(got))
		require.False(t, repeated)
		require.EqualValues(t, 1, ran.Load())
	})
}

var errHeld = errors.New("held up, and undone")

// TestProcessThatDies: nobody knows how far a killed process came.
func TestProcessThatDies(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		key := keyOf("a")
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ClaimFirstAnswer(ctx, key[:], "who dies", 50*time.Millisecond, time.Hour)
			return err
		}))
		a := newAnswers(t, db)
		for range 2 {
			_, _, err := a.Do(t.Context(), key, time.Hour, time.Minute, answer("again", true))
			require.Equal(t, core.Uncertain, core.KindOf(err))
		}
		// after the life of an answer the same request is another one
		got, repeated, err := a.Do(t.Context(), key, time.Nanosecond, time.Minute, answer("again", true))
		require.NoError(t, err)
		require.Equal(t, "again", string(got))
		require.False(t, repeated)
	})
}

func TestFlowThatPanics(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		a := execution.NewFirstAnswers(db, coretest.NewClock(noon), func(string, error) {})
		_, _, err := a.Do(t.Context(), keyOf("a"), time.Minute, time.Minute, func(context.Context) (execution.Answer, bool) { panic("at the disco") })
		require.Equal(t, core.Internal, core.KindOf(err))
		require.True(t, strings.HasPrefix(err.Error(), "panic: at the disco"))
		// the next one waits for the lease to end and learns that the end is unknown
		_, _, err = a.Do(t.Context(), keyOf("a"), time.Minute, time.Minute, answer("again", true))
		require.Equal(t, core.Uncertain, core.KindOf(err))
	})
}

// FuzzCursor asks for what stands behind anything, for any title and any id:
// there is an answer or there is nothing, never a fault of the database.
func FuzzCursor(f *testing.F) {
	r := execution.NewRecorder(execution.Options{DB: open(f, pgtest.Start(f)), Clock: coretest.NewClock(noon), Failed: func(msg string, err error) {
		f.Errorf("%s: %v", msg, err)
	}})
	for _, text := range []string{"", "1", "a\x00", "\xff", "\U0010ffff", "%_\\", "'; --"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, before, title string) {
		_, err := r.List(t.Context(), execution.Filter{Tenant: "contoso", Before: before, Text: title, Limit: 1})
		if err != nil {
			require.Equal(t, core.NotFound, core.KindOf(err), "%v", err)
		}
		_, err = r.Get(t.Context(), "contoso", before)
		require.Equal(t, core.NotFound, core.KindOf(err), "%v", err)
	})
}
