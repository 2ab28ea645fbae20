package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

// deliver writes deliveries that are due at noon.
func deliver(t *testing.T, db *store.DB, trigger, task string, seqs ...int) {
	t.Helper()
	var ds []store.Delivery
	for _, seq := range seqs {
		ds = append(ds, store.Delivery{TriggerID: trigger, TaskID: task, Seq: seq, CreatedMs: noon.UnixMilli()})
	}
	write(t, db, func(tx *store.Tx) error { return tx.InsertDeliveries(t.Context(), ds) })
}

func letter(id, trigger, task string, seq int) store.DeadLetter {
	return store.DeadLetter{
		ID: id, Tenant: "contoso", TriggerID: trigger, TaskID: task, Seq: seq, Event: core.Queued,
		Attempts: 3, Status: 500, Error: "why", CreatedMs: noon.UnixMilli(), DiedMs: noon.Add(time.Hour).UnixMilli(),
	}
}

// due names the deliveries of trigger t that may be sent.
func due(t *testing.T, db *store.DB, after time.Duration, limit int) []string {
	t.Helper()
	var names []string
	for _, d := range must(db.DueDeliveries(t.Context(), "t", noon.Add(after), limit))(t) {
		require.JSONEq(t, `{"name":"Queued"}`, string(d.Event))
		names = append(names, fmt.Sprint(d.TaskID, d.Seq))
	}
	return names
}

func TestOnlyTheFirstEventOfATaskIsDue(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("t"), newTrigger("u"))
		put(t, db, 3, newTask("a"), newTask("b"), newTask("c"))
		require.Empty(t, must(db.TriggersDue(ctx, noon))(t))
		deliver(t, db, "t", "b", 1, 2, 3)
		deliver(t, db, "t", "a", 2, 3)
		deliver(t, db, "t", "c", 1)
		deliver(t, db, "u", "a", 1)

		require.Empty(t, due(t, db, -time.Millisecond, 9))
		require.Empty(t, must(db.TriggersDue(ctx, noon.Add(-time.Millisecond)))(t))
		require.Equal(t, []string{"a2", "b1", "c1"}, due(t, db, 0, 9))
		require.Equal(t, []string{"a2", "b1"}, due(t, db, 0, 2))
		require.ElementsMatch(t, []string{"t", "u"}, must(db.TriggersDue(ctx, noon))(t))

		// b's first fails: its later ones wait behind it, the other tasks do not.
		head := must(db.DueDeliveries(ctx, "t", noon, 9))(t)[1]
		head.Attempts, head.Status, head.Error = 1, 503, "down"
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.DelayDelivery(ctx, head, noon.Add(time.Minute)))
			return tx.DeleteDelivery(ctx, "t", "a", 2)
		})
		require.Equal(t, []string{"a3", "c1"}, due(t, db, 0, 9))
		require.Equal(t, []string{"a3", "c1", "b1"}, due(t, db, time.Minute, 9), "the longest due first")
		again := must(db.DueDeliveries(ctx, "t", noon.Add(time.Minute), 9))(t)[2]
		require.Equal(t, head, again)
		require.Equal(t, noon, again.Created())
	})
}

func TestDeadLetters(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		insertTrigger(t, db, newTrigger("t"))
		put(t, db, 3, newTask("a"))
		deliver(t, db, "t", "a", 1, 2, 3)
		write(t, db, func(tx *store.Tx) error {
			waiting := must(tx.Waiting(ctx, "t", 9))(t)
			require.Len(t, waiting, 3)
			require.Equal(t, "Queued", string(waiting[0].Event))
			require.NoError(t, tx.Bury(ctx, letter("l1", "t", "a", 1)))
			return tx.Bury(ctx, letter("l2", "t", "a", 2))
		})
		require.Equal(t, []string{"a3"}, due(t, db, 0, 9))
		require.Equal(t, []store.DeadLetter{letter("l1", "t", "a", 1)}, must(db.DeadLetters(ctx, "contoso", "", 1))(t))
		require.Equal(t, []store.DeadLetter{letter("l2", "t", "a", 2)}, must(db.DeadLetters(ctx, "contoso", "l1", 9))(t))
		require.Empty(t, must(db.DeadLetters(ctx, "fabrikam", "", 9))(t))

		write(t, db, func(tx *store.Tx) error {
			_, err := tx.DeadLetter(ctx, "fabrikam", "l1")
			require.Equal(t, core.NotFound, core.KindOf(err))
			l := must(tx.DeadLetter(ctx, "contoso", "l1"))(t)
			require.NoError(t, tx.DeleteDeadLetter(ctx, "fabrikam", "l2"))
			return tx.Revive(ctx, l, "t", noon.Add(time.Hour))
		})
		require.Equal(t, []string{"a1"}, due(t, db, time.Hour, 9), "a revived event goes first again")
		waiting, letters, err := db.Backlog(ctx)
		require.NoError(t, err)
		require.Equal(t, [2]int{2, 1}, [2]int{waiting, letters})
		write(t, db, func(tx *store.Tx) error { return tx.DeleteDeadLetter(ctx, "contoso", "l2") })
		require.Empty(t, must(db.DeadLetters(ctx, "contoso", "", 9))(t))
	})
}

func TestBuryLeavesAloneWhatIsNoLongerWaiting(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		older, newer := newTrigger("t"), newTrigger("u")
		older.Flow, newer.Flow = "flow/x", "flow/x"
		insertTrigger(t, db, older)
		put(t, db, 1, newTask("a"))
		deliver(t, db, "t", "a", 1)
		insertTrigger(t, db, newer) // while a call of the older one was under way
		write(t, db, func(tx *store.Tx) error { return tx.Bury(ctx, letter("l1", "t", "a", 1)) })
		require.Empty(t, must(db.DeadLetters(ctx, "contoso", "", 9))(t))
		require.Len(t, must(db.DueDeliveries(ctx, "u", noon, 9))(t), 1)
	})
}

func TestManyDeliveriesAtOnce(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		put(t, db, 250, newTask("a"))
		var seqs []int
		for seq := 1; seq <= 250; seq++ {
			seqs = append(seqs, seq)
		}
		deliver(t, db, "t", "a", seqs...)
		waiting, _, err := db.Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, 250, waiting)
		require.Equal(t, []string{"a1"}, due(t, db, 0, 1000))
	})
}
