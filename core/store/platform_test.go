package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func TestAliasBelongsToTheFirstTask(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for _, c := range []struct{ tenant, platform, alias, task, holder string }{
			{"contoso", "webex", "w1", "a", "a"},
			{"contoso", "webex", "w1", "a", "a"}, // the same again
			{"contoso", "webex", "w1", "b", "a"},
			{"contoso", "webex", "w0", "a", "a"},
			{"contoso", "cxone", "w1", "b", "b"}, // another platform
			{"fabrikam", "webex", "w1", "c", "c"},
		} {
			write(t, db, func(tx *store.Tx) error {
				holder, err := tx.InsertAlias(ctx, c.tenant, c.platform, c.alias, c.task)
				require.Equal(t, c.holder, holder, c)
				return err
			})
			write(t, db, func(tx *store.Tx) error {
				got, err := tx.TaskOfAlias(ctx, c.tenant, c.platform, c.alias)
				require.Equal(t, c.holder, got)
				return err
			})
		}
		for task, want := range map[string]map[string][]string{
			"a": {"webex": {"w0", "w1"}}, "b": {"cxone": {"w1"}}, "c": {"webex": {"w1"}}, "d": {},
		} {
			got, err := db.AliasesOf(ctx, task)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.TaskOfAlias(ctx, "fabrikam", "webex", "w0")
			require.Equal(t, core.NotFound, core.KindOf(err), "another tenant's name")
			return nil
		})
	})
}

func TestRemoteEventCountsOnce(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		event := func(key, remote string, at int64) store.RemoteEvent {
			return store.RemoteEvent{
				Tenant: "contoso", Platform: "webex", Key: []byte(key), RemoteID: remote, Kind: "connected",
				AtMs: at, Agent: "ann", Reason: "none", ReceivedMs: noon.UnixMilli() + at,
			}
		}
		late, early, foreign := event("k1", "r1", 20), event("k2", "r1", 10), event("k1", "r1", 1)
		foreign.Tenant = "fabrikam"
		for _, c := range []struct {
			e        store.RemoteEvent
			inserted bool
		}{{late, true}, {early, true}, {late, false}, {event("k1", "r2", 30), false}, {foreign, true}, {event("k3", "r2", 5), true}} {
			write(t, db, func(tx *store.Tx) error {
				inserted, err := tx.InsertRemoteEvent(ctx, c.e)
				require.Equal(t, c.inserted, inserted)
				return err
			})
		}
		events := func() (found []store.RemoteEvent) {
			write(t, db, func(tx *store.Tx) (err error) {
				found, err = tx.RemoteEvents(ctx, "contoso", "webex", "r1")
				return err
			})
			return found
		}
		require.Equal(t, []store.RemoteEvent{early, late}, events(), "in the order of the platform's clock")

		var n int
		write(t, db, func(tx *store.Tx) (err error) {
			n, err = tx.PruneRemoteEvents(ctx, noon.Add(15*time.Millisecond), 2)
			return err
		})
		require.Equal(t, 2, n)
		require.Len(t, events(), 2, "the oldest go first")
		write(t, db, func(tx *store.Tx) (err error) {
			n, err = tx.PruneRemoteEvents(ctx, noon.Add(15*time.Millisecond), 2)
			return err
		})
		require.Equal(t, 1, n)
		require.Equal(t, []store.RemoteEvent{late}, events())
	})
}

func TestQueue(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		queued := func(id, queue string, rank int64) store.Task {
			task := newTask(id)
			task.Queue, task.Rank, task.Version = queue, rank, 1
			return task
		}
		first, second, mail := queued("b", "support@contoso.example", -5), queued("a", "support@contoso.example", 7), queued("c", "mail@contoso.example", 1)
		foreign, busy, busy2 := queued("d", "support@contoso.example", -9), newTask("f"), newTask("e")
		foreign.Tenant = "fabrikam"
		busy.Agent, busy2.Agent, busy.Version, busy2.Version = "ann@contoso.example", "ann@contoso.example", 1, 1
		put(t, db, 0, first, second, mail, foreign, busy, busy2, newTask("g"))

		for id, want := range map[string]int{"b": 1, "a": 2, "c": 0, "d": 0, "f": 0, "nobody": 0} {
			at, err := db.QueuePosition(ctx, "contoso", "Support@contoso.example", "", id)
			require.NoError(t, err)
			require.Equal(t, want, at)
		}
		for queue, want := range map[string]int{"Support@contoso.example": 2, "mail@contoso.example": 1, "none": 0, "": 0} {
			n, err := db.QueueLength(ctx, "contoso", queue)
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		for _, c := range []struct {
			queues []string
			limit  int
			want   []store.Task
		}{
			{nil, 9, nil},
			{[]string{"Support@contoso.example", "MAIL@contoso.example"}, 9, []store.Task{first, mail, second}},
			{[]string{"Support@contoso.example", "MAIL@contoso.example"}, 2, []store.Task{first, mail}},
			{[]string{"mail@contoso.example"}, 9, []store.Task{mail}},
		} {
			got, err := db.QueuedTasks(ctx, "contoso", c.queues, c.limit)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		}
		got, err := db.TasksOfAgent(ctx, "contoso", "Ann@contoso.example", 9)
		require.NoError(t, err)
		require.Equal(t, []store.Task{busy2, busy}, got)
		got, err = db.TasksOfAgent(ctx, "fabrikam", "ann@contoso.example", 9)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func TestQueueTimes(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for i := range 5 { // four waits end 20 s apart, the last of them in another minute, and one at the moment
			at := noon.Add(time.Duration(i) * 20 * time.Second)
			write(t, db, func(tx *store.Tx) error {
				return tx.InsertQueueTime(ctx, store.QueueTime{
					TaskID: fmt.Sprint("t", i), Seq: 3, Tenant: "contoso", Queue: "Support@contoso.example", LeftMs: at.UnixMilli(), WaitedMs: int64(i) * 1e6,
				})
			})
		}
		now := noon.Add(80 * time.Second)
		minutes := func(tenant string, n int) []store.QueueMinute {
			got, err := db.QueueMinutes(ctx, tenant, "support@contoso.EXAMPLE", now, n)
			require.NoError(t, err)
			return got
		}
		last := store.QueueMinute{Ago: 0, Count: 3, Sum: 9e6, Squares: 29e12}
		require.Equal(t, []store.QueueMinute{last, {Ago: 1, Count: 2, Sum: 1e6, Squares: 1e12}}, minutes("contoso", 2))
		require.Equal(t, []store.QueueMinute{last}, minutes("contoso", 1))
		require.Empty(t, minutes("fabrikam", 2))

		for _, pruned := range []int{2, 1, 0} {
			write(t, db, func(tx *store.Tx) error {
				n, err := tx.PruneQueueTimes(ctx, noon.Add(50*time.Second), 2)
				require.Equal(t, pruned, n)
				return err
			})
		}
		require.Equal(t, []store.QueueMinute{{Ago: 0, Count: 2, Sum: 7e6, Squares: 25e12}}, minutes("contoso", 2))
	})
}
