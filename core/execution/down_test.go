package execution

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// TestDatabaseThatIsDown: what is recorded waits for it, nobody gets a key that
// leads nowhere at another replica, and the operator is told once.
func TestDatabaseThatIsDown(t *testing.T) {
	pgtest.Both(t, databaseThatIsDown)
}

func databaseThatIsDown(t *testing.T, url string) {
	ctx := t.Context()
	db, err := store.Open(ctx, store.Options{URL: url, Clock: core.SystemClock{}})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Migrate(ctx))
	told, down := 0, true
	r := NewRecorder(Options{DB: db, Clock: coretest.NewClock(time.Unix(1, 0)), Failed: func(string, error) { told++ }})
	r.Record(Run{ID: "1", Tenant: "contoso"})
	r.enqueue(entry{write: func(context.Context, *store.Tx) error {
		if down {
			return core.Errorf(core.Unavailable, "down")
		}
		return nil
	}})
	require.Equal(t, db.SQLite(), NewResults(r).Put(ctx, "contoso", "", time.Minute, []byte("{}")) != "")
	for range 3 {
		r.flush(ctx)
	}
	list := func() int {
		runs, err := r.List(ctx, Filter{Tenant: "contoso", Limit: 5})
		require.NoError(t, err)
		return len(runs)
	}
	require.Zero(t, list())
	require.Equal(t, 1, told)
	down = false
	require.Equal(t, 1, list())
	require.Zero(t, r.Dropped())
	require.NotEmpty(t, NewResults(r).Put(ctx, "contoso", "", time.Minute, []byte("{}")))

	r.writing <- struct{}{} // somebody writes, and does not end
	soon, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	require.Equal(t, db.SQLite(), NewResults(r).Put(soon, "contoso", "", time.Minute, []byte("{}")) != "")
	<-r.writing
}

func TestLimitsAreBounded(t *testing.T) {
	t.Parallel()
	r := NewRecorder(Options{Clock: coretest.NewClock(time.Unix(1, 0))})
	for n := range 2 * maxTenants {
		require.True(t, r.Wanted(string(rune('A'+n)), true) || n >= maxTenants+burst)
	}
	require.Len(t, r.limits, maxTenants+1)
}
