package store_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func newTrigger(id string) store.Trigger {
	return store.Trigger{
		ID: id, Tenant: "contoso", Owner: "owner@contoso.example", AddressHash: []byte("hash of " + id), Host: "flow.example",
		URL: []byte("sealed"), Services: []string{"Support@contoso.example"}, State: store.TriggerActive, Created: noon,
	}
}

func insertTrigger(t *testing.T, db *store.DB, triggers ...store.Trigger) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error {
		for _, trigger := range triggers {
			if err := tx.InsertTrigger(t.Context(), trigger); err != nil {
				return err
			}
		}
		return nil
	})
}

func filters(t *testing.T, db *store.DB, tenant, service string) (found []store.Filter) {
	t.Helper()
	write(t, db, func(tx *store.Tx) (err error) {
		found, err = tx.Filters(t.Context(), tenant, service)
		return err
	})
	return found
}

func TestTrigger(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		want := newTrigger("a")
		want.Flow, want.Services = "flow/manual", []string{"Support@contoso.example", "sales@contoso.example", "SUPPORT@contoso.example"}
		want.Events = core.SetOf(core.EventNames, core.Queued, core.Terminated)
		want.Modalities = core.SetOf(core.Modalities, core.ExternalTask)
		want.Directions = core.SetOf(core.Directions, core.Inbound)
		insertTrigger(t, db, want)

		got, err := db.Trigger(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = db.TriggerByAddress(ctx, want.AddressHash)
		require.NoError(t, err)
		require.Equal(t, want, got)
		_, err = db.Trigger(ctx, "b")
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = db.TriggerByAddress(ctx, []byte("other"))
		require.Equal(t, core.NotFound, core.KindOf(err))

		filter := []store.Filter{{ID: "a", Events: want.Events, Modalities: want.Modalities, Directions: want.Directions}}
		require.Equal(t, filter, filters(t, db, "contoso", "support@CONTOSO.example"), "once, whatever the case")
		require.Equal(t, filter, filters(t, db, "contoso", "sales@contoso.example"))
		require.Empty(t, filters(t, db, "fabrikam", "sales@contoso.example"), "another tenant's")
		require.Empty(t, filters(t, db, "contoso", "other@contoso.example"))
	})
}

func TestTriggerStates(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("a"), newTrigger("b"))
		set := func(state store.TriggerState, reason string) store.Trigger {
			write(t, db, func(tx *store.Tx) error {
				require.Len(t, must(tx.Filters(ctx, "contoso", "support@contoso.example"))(t), 2-boolInt(state == store.TriggerActive))
				return tx.SetTriggerState(ctx, "a", state, reason)
			})
			return must(db.Trigger(ctx, "a"))(t)
		}
		got := set(store.TriggerSuspended, "no role")
		require.Equal(t, store.TriggerSuspended, got.State)
		require.Equal(t, "no role", got.Reason)
		require.Len(t, filters(t, db, "contoso", "support@contoso.example"), 1)
		require.Equal(t, store.TriggerActive, set(store.TriggerActive, "").State)
		require.Len(t, filters(t, db, "contoso", "support@contoso.example"), 2)

		for i, reason := range []string{"first", "second"} {
			write(t, db, func(tx *store.Tx) error { return tx.EndTrigger(ctx, "a", reason, noon.Add(time.Duration(i)*time.Hour)) })
		}
		got = must(db.Trigger(ctx, "a"))(t)
		require.Equal(t, store.TriggerEnded, got.State)
		require.Equal(t, "first", got.Reason, "what has ended does not change")
		require.Equal(t, noon, got.Ended)
		require.Empty(t, got.URL, "the callback is a secret that nobody needs any more")
		write(t, db, func(tx *store.Tx) error { return tx.SetTriggerState(ctx, "a", store.TriggerActive, "") })
		require.Equal(t, store.TriggerEnded, must(db.Trigger(ctx, "a"))(t).State)
		require.Len(t, filters(t, db, "contoso", "support@contoso.example"), 1)

		require.Len(t, must(db.Triggers(ctx, "contoso"))(t), 2)
		require.Empty(t, must(db.Triggers(ctx, "fabrikam"))(t))
		live := must(db.Triggers(ctx, ""))(t)
		require.Len(t, live, 1)
		require.Equal(t, "b", live[0].ID)
	})
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestFiltersOfOneGroupSeeItsTriggers(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		write(t, db, func(tx *store.Tx) error {
			require.Empty(t, must(tx.Filters(ctx, "contoso", "support@contoso.example"))(t))
			require.NoError(t, tx.InsertTrigger(ctx, newTrigger("a")))
			require.Len(t, must(tx.Filters(ctx, "contoso", "support@contoso.example"))(t), 1)
			require.NoError(t, tx.SetTriggerState(ctx, "a", store.TriggerSuspended, ""))
			require.Empty(t, must(tx.Filters(ctx, "contoso", "support@contoso.example"))(t))
			return nil
		})
	})
}

func TestTriggerMisses(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("a"))
		for _, want := range []int{1, 2} {
			write(t, db, func(tx *store.Tx) error {
				require.Equal(t, want, must(tx.AddTriggerMiss(ctx, "a"))(t))
				return nil
			})
		}
		write(t, db, func(tx *store.Tx) error { return tx.ClearTriggerMisses(ctx, "a") })
		require.Zero(t, must(db.Trigger(ctx, "a"))(t).Misses)
	})
}

func TestNewerTriggerOfAFlowTakesItsDeliveries(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		older, other, newer := newTrigger("a"), newTrigger("b"), newTrigger("c")
		older.Flow, other.Flow, newer.Flow = "flow/x", "flow/x", "flow/x"
		other.Tenant, newer.Created = "fabrikam", noon.Add(time.Hour)
		insertTrigger(t, db, older, other)
		put(t, db, 3, newTask("task"))
		deliver(t, db, "a", "task", 1, 2)
		deliver(t, db, "b", "task", 3)
		late := must(db.DueDeliveries(ctx, "a", noon, 1))(t)[0]
		late.Attempts = 4
		write(t, db, func(tx *store.Tx) error { return tx.DelayDelivery(ctx, late, noon.Add(10*time.Hour)) })
		insertTrigger(t, db, newer)

		require.Equal(t, store.TriggerEnded, must(db.Trigger(ctx, "a"))(t).State)
		require.Equal(t, store.TriggerActive, must(db.Trigger(ctx, "b"))(t).State, "another tenant's flow")
		require.Empty(t, must(db.DueDeliveries(ctx, "a", noon.Add(24*time.Hour), 9))(t))
		due := must(db.DueDeliveries(ctx, "c", noon.Add(time.Hour), 9))(t)
		require.Len(t, due, 1)
		require.Equal(t, 1, due[0].Seq)
		require.Zero(t, due[0].Attempts)
		write(t, db, func(tx *store.Tx) error {
			require.Len(t, must(tx.Waiting(ctx, "c", 9))(t), 2)
			require.Equal(t, "c", must(tx.ActiveTrigger(ctx, "a"))(t))
			require.Equal(t, "c", must(tx.ActiveTrigger(ctx, "c"))(t))
			require.NoError(t, tx.EndTrigger(ctx, "c", "", noon))
			_, err := tx.ActiveTrigger(ctx, "a")
			require.Equal(t, core.NotFound, core.KindOf(err))
			return nil
		})
	})
}

func TestOneFlowHasOneTrigger(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		var group sync.WaitGroup
		for i := range 8 {
			trigger := newTrigger(fmt.Sprint("t", i))
			trigger.Flow = "flow/x"
			group.Go(func() {
				if err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertTrigger(ctx, trigger) }); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Len(t, must(db.Triggers(t.Context(), ""))(t), 1)
		require.Len(t, filters(t, db, "contoso", "support@contoso.example"), 1)
	})
}

func TestLeases(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("a"), newTrigger("b"))
		lease := func(id, owner string, d time.Duration) (mine bool) {
			write(t, db, func(tx *store.Tx) (err error) {
				mine, err = tx.LeaseTrigger(ctx, id, owner, d)
				return err
			})
			return mine
		}
		require.True(t, lease("a", "one", time.Hour))
		require.True(t, lease("a", "one", time.Hour), "kept")
		require.False(t, lease("a", "two", time.Hour))
		require.True(t, lease("b", "two", time.Hour))
		require.False(t, lease("none", "two", time.Hour))

		write(t, db, func(tx *store.Tx) error { return tx.ReleaseTrigger(ctx, "a", "two") })
		require.False(t, lease("a", "two", time.Hour), "nobody gives back another's")
		write(t, db, func(tx *store.Tx) error { return tx.ReleaseTrigger(ctx, "a", "one") })
		require.True(t, lease("a", "two", time.Hour))
		write(t, db, func(tx *store.Tx) error { return tx.ReleaseTriggers(ctx, "two") })
		require.True(t, lease("a", "one", time.Hour))
		require.True(t, lease("b", "one", -time.Second))
		require.True(t, lease("b", "two", time.Hour), "it had ended")
	})
}

func TestPruneTriggers(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("active"), newTrigger("old"), newTrigger("late"))
		write(t, db, func(tx *store.Tx) error { return tx.EndTrigger(ctx, "old", "over", noon.Add(-time.Hour)) })
		write(t, db, func(tx *store.Tx) error { return tx.EndTrigger(ctx, "late", "over", noon) })
		write(t, db, func(tx *store.Tx) error {
			require.Equal(t, 1, must(tx.PruneTriggers(ctx, noon, 10))(t))
			return nil
		})
		_, err := db.Trigger(ctx, "old")
		require.Equal(t, core.NotFound, core.KindOf(err))
		for _, id := range []string{"active", "late"} {
			_, err := db.Trigger(ctx, id)
			require.NoError(t, err)
		}
	})
}

func TestMoveDeliveries(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("old"), newTrigger("new"))
		put(t, db, 2, newTask("a"))
		deliver(t, db, "old", "a", 1)
		deliver(t, db, "old", "a", 2)
		deliver(t, db, "new", "a", 2)
		write(t, db, func(tx *store.Tx) error { return tx.MoveDeliveries(ctx, "old", "new", noon) })
		waiting, _, err := db.Backlog(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, waiting, "each event once")
		due, err := db.TriggersDue(ctx, noon.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, []string{"new"}, due)
	})
}
