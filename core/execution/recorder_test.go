package execution_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/execution"
	"tandem/core/store"
)

// TestOneThatCannotBeWritten: PostgreSQL takes no NUL in a text; what was
// recorded beside it must not go with it.
func TestOneThatCannotBeWritten(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		var told int
		r := execution.NewRecorder(execution.Options{DB: db, Clock: coretest.NewClock(noon), Failed: func(string, error) { told++ }})
		r.Record(execution.Run{ID: "1", Tenant: "fabrikam", Began: noon})
		r.Record(execution.Run{ID: "2", Tenant: "contoso", Contact: "47\x0011", Began: noon})
		r.Record(execution.Run{ID: "3", Tenant: "fabrikam", Began: noon})
		runs, err := r.List(t.Context(), execution.Filter{Tenant: "fabrikam", Limit: 5})
		require.NoError(t, err)
		require.Len(t, runs, 2)
		require.EqualValues(t, told, r.Dropped())
		if !db.SQLite() {
			require.EqualValues(t, 1, r.Dropped())
		}
	})
}

func pruneAll(t *testing.T, db *store.DB, now time.Time) {
	t.Helper()
	for n := 1; n > 0; {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			n, err = execution.Prune(ctx, tx, now, 1000)
			return err
		}))
	}
}

func count(t *testing.T, db *store.DB, of string) (n int) {
	t.Helper()
	require.NoError(t, db.SQL().QueryRowContext(t.Context(), "SELECT count(*) FROM "+of).Scan(&n))
	return n
}

// TestATenantTakesNoRoomFromOthers: the bounds are each tenant's own, and the
// newest stay, however long the others would have lived.
func TestATenantTakesNoRoomFromOthers(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		row := func(i int, tenant string, life int64) store.CachedResult {
			at := noon.Add(time.Duration(i) * time.Millisecond).UnixMilli()
			return store.CachedResult{Key: fmt.Appendf(nil, "%s%d", tenant, i), Tenant: tenant, MadeMs: at, LifeMs: life, EndsMs: at + life, Value: []byte("{}")}
		}
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			err := tx.SaveCachedResult(ctx, row(0, "fabrikam", 600_000))
			for i := range 5_010 {
				life := int64(24 * 3_600_000)
				if i > 5_000 {
					life = 1_800_000
				}
				err = errors.Join(err, tx.SaveCachedResult(ctx, row(i, "contoso", life)))
			}
			for i := range 20_010 {
				err = errors.Join(err, tx.InsertExecution(ctx, store.Execution{ID: fmt.Sprint(i), Tenant: "contoso", BeganMs: row(i, "", 0).MadeMs}))
			}
			return errors.Join(err, tx.InsertExecution(ctx, store.Execution{ID: "1", Tenant: "fabrikam", BeganMs: noon.UnixMilli()}))
		}))
		pruneAll(t, db, noon)
		require.Equal(t, 5_000, count(t, db, "cached_results WHERE tenant = 'contoso'"))
		require.Zero(t, count(t, db, fmt.Sprintf("cached_results WHERE tenant = 'contoso' AND made_ms < %d", row(10, "", 0).MadeMs)))
		require.Equal(t, 1, count(t, db, "cached_results WHERE tenant = 'fabrikam'"))
		require.Equal(t, 20_000, count(t, db, "executions WHERE tenant = 'contoso'"))
		require.Equal(t, 1, count(t, db, "executions WHERE tenant = 'fabrikam'"))
		pruneAll(t, db, noon.Add(time.Hour))
		require.Zero(t, count(t, db, "cached_results WHERE tenant = 'fabrikam'"))
	})
}

func TestOldAnswersGo(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		a := newAnswers(t, db)
		_, _, err := a.Do(t.Context(), keyOf("a"), time.Millisecond, time.Minute, answer("{}", true))
		require.NoError(t, err)
		key := keyOf("lost")
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.ClaimFirstAnswer(ctx, key[:], "who dies", time.Millisecond, time.Hour)
			return err
		}))
		left := func(lost time.Duration, where string) func() bool { // by the database's clock
			return func() bool {
				require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.PruneFirstAnswers(ctx, lost, 100)
					return err
				}))
				return count(t, db, "first_answers"+where) == 0
			}
		}
		require.Eventually(t, left(time.Hour, " WHERE answer IS NOT NULL"), 20*time.Second, 2*time.Millisecond)
		require.Equal(t, 1, count(t, db, "first_answers"), "what nobody knows the end of")
		require.Eventually(t, left(time.Millisecond, ""), 20*time.Second, 2*time.Millisecond)
	})
}

// TestFaultsThatNoCallerSees are told to the operator.
func TestFaultsThatNoCallerSees(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		told := make(chan error, 1)
		a := execution.NewFirstAnswers(db, coretest.NewClock(noon), func(_ string, err error) { told <- err })
		// do makes a call whose caller leaves while the flow is at work.
		do := func(key string, flow execution.Flow) {
			ctx, leave := context.WithCancel(t.Context())
			left := make(chan struct{})
			_, _, err := a.Do(ctx, keyOf(key), time.Minute, time.Minute, func(ctx context.Context) (execution.Answer, bool) {
				leave()
				<-left
				return flow(ctx)
			})
			close(left)
			require.Equal(t, core.Timeout, core.KindOf(err))
		}
		do("a", func(context.Context) (execution.Answer, bool) { panic("late") })
		require.ErrorContains(t, <-told, "panic: late")
		do("b", func(ctx context.Context) (execution.Answer, bool) {
			_, err := db.SQL().ExecContext(ctx, "ALTER TABLE first_answers RENAME TO gone")
			return execution.Answer("{}"), err == nil
		})
		require.ErrorContains(t, <-told, "first_answers", "the answer was not kept")
		_, _, err := a.Do(t.Context(), keyOf("c"), time.Minute, time.Minute, answer("{}", true))
		require.ErrorContains(t, err, "first_answers", "nothing was begun, and its caller knows")
		a.Wait(t.Context())
	})
}
