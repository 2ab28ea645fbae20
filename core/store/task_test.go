package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

// write runs fn in a transaction that must succeed.
func write(t *testing.T, db *store.DB, fn func(*store.Tx) error) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(_ context.Context, tx *store.Tx) error { return fn(tx) }))
}

func TestTask(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		task := newTask("a")
		task.Due = noon.Add(time.Minute)
		put(t, db, 1, task)

		task.Version = 1
		got, err := db.Task(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, task, got)

		_, err = db.Task(ctx, "b")
		require.Equal(t, core.NotFound, core.KindOf(err))

		write(t, db, func(tx *store.Tx) error {
			locked, err := tx.Task(ctx, "a")
			require.NoError(t, err)
			require.Equal(t, task, locked)
			_, err = tx.Task(ctx, "b")
			require.Equal(t, core.NotFound, core.KindOf(err))

			require.Equal(t, core.Conflict, core.KindOf(tx.InsertTask(ctx, task)))
			locked.Cursor, locked.Due, locked.Events = []byte(`{"at":1}`), time.Time{}, 4
			locked.Ended, locked.Data = noon.Add(time.Hour), []byte(`{"x":1}`)
			task = locked
			return tx.UpdateTask(ctx, locked)
		})
		task.Version = 2
		got, err = db.Task(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, task, got)
	})
}

func TestUpdateTaskOfAnOldVersionIsTriedAgain(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		put(t, db, 0, newTask("a"))
		tries := 0
		write(t, db, func(tx *store.Tx) error {
			tries++
			task, err := tx.Task(t.Context(), "a")
			require.NoError(t, err)
			if tries < 3 {
				task.Version = 0
			}
			return tx.UpdateTask(t.Context(), task)
		})
		require.Equal(t, 3, tries)

		// Somebody who never catches up is told to come back later.
		tries = 0
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tries++
			return tx.UpdateTask(ctx, store.Task{ID: "a", Cursor: []byte{}, Data: []byte{}})
		})
		require.Equal(t, core.Unavailable, core.KindOf(err))
		require.Equal(t, 30, tries)
	})
}

func TestEvents(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		put(t, db, 0, newTask("a"), newTask("b"))
		want := []store.Event{
			{Seq: 1, Name: core.Created, At: noon, Data: []byte(`{"n":1}`)},
			{Seq: 2, Name: core.Queued, At: noon.Add(time.Millisecond), Data: []byte(`{"n":2}`)},
			{Seq: 3, Name: core.Terminated, At: noon.Add(time.Hour), Data: []byte(`{"n":3}`)},
		}
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertEvents(ctx, "a", nil))
			require.NoError(t, tx.InsertEvents(ctx, "a", want[:2]))
			return tx.InsertEvents(ctx, "a", want[2:])
		})
		got, err := db.Events(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = db.Events(ctx, "b")
		require.NoError(t, err)
		require.Empty(t, got)
		// History is append-only: no place is taken twice.
		require.Error(t, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			return tx.InsertEvents(ctx, "a", want[:1])
		}))
	})
}

func TestAddOpen(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		add := func(task store.Task, delta int) (open int) {
			write(t, db, func(tx *store.Tx) (err error) {
				open, err = tx.AddOpen(t.Context(), task, delta)
				return err
			})
			return open
		}
		for i := range 20 {
			require.Equal(t, i+1, add(newTask(core.NewID(noon)), 1))
		}
		mail, other := newTask("1"), newTask("2")
		mail.Modality, other.Tenant = core.Email, "fabrikam"
		require.Equal(t, 1, add(mail, 1), "modalities are counted apart")
		require.Equal(t, 1, add(other, 1), "tenants are counted apart")
		require.Equal(t, 19, add(newTask(core.NewID(noon)), -1))
	})
}

func TestDueTasks(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		next, err := db.NextDue(t.Context(), noon)
		require.NoError(t, err)
		require.Zero(t, next)
		for i, id := range []string{"c", "a", "b", "never"} {
			task := newTask(id)
			if id != "never" {
				task.Due = noon.Add(time.Duration(i) * time.Second)
			}
			put(t, db, 0, task)
		}
		for _, c := range []struct {
			after time.Duration
			limit int
			want  []string
			next  time.Duration
		}{
			{-time.Millisecond, 9, nil, 0},
			{0, 9, []string{"c"}, time.Second},
			{time.Second, 9, []string{"c", "a"}, 2 * time.Second},
			{time.Hour, 2, []string{"c", "a"}, -1},
			{time.Hour, 9, []string{"c", "a", "b"}, -1},
		} {
			ids, err := db.DueTasks(t.Context(), noon.Add(c.after), c.limit)
			require.NoError(t, err)
			require.Equal(t, c.want, ids)
			next, err := db.NextDue(t.Context(), noon.Add(c.after))
			require.NoError(t, err)
			if c.next < 0 {
				require.Zero(t, next)
			} else {
				require.Equal(t, noon.Add(c.next), next)
			}
		}
	})
}

func TestPruneTasks(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		for i := range 5 {
			task := newTask(fmt.Sprint("ended", i))
			task.Ended = noon.Add(time.Duration(i) * time.Minute)
			put(t, db, 2, task)
		}
		put(t, db, 2, newTask("open"))
		insertTrigger(t, db, newTrigger("t"))
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertDeliveries(ctx, []store.Delivery{{TriggerID: "t", TaskID: "ended0", Seq: 2}}))
			return tx.Bury(ctx, letter("l", "t", "ended0", 2))
		})
		deliver(t, db, "t", "ended1", 1)

		prune := func(before time.Duration, limit int) (n int) {
			write(t, db, func(tx *store.Tx) (err error) {
				n, err = tx.PruneTasks(ctx, noon.Add(before), limit)
				return err
			})
			return n
		}
		require.Equal(t, 0, prune(0, 10), "what ended at that very moment stays")
		require.Equal(t, 1, prune(3*time.Minute, 1))
		require.Equal(t, 1, prune(3*time.Minute, 2), "one that still has an event to deliver stays")
		require.Equal(t, 0, prune(3*time.Minute, 2))
		for id, kept := range map[string]bool{"ended0": false, "ended1": true, "ended2": false, "ended3": true, "open": true} {
			_, err := db.Task(ctx, id)
			require.Equal(t, kept, err == nil, id)
			events, err := db.Events(ctx, id)
			require.NoError(t, err)
			require.Equal(t, kept, len(events) == 2, id)
		}
		waiting, letters, err := db.Backlog(ctx)
		require.NoError(t, err)
		require.Equal(t, 1, waiting)
		require.Zero(t, letters)
	})
}

func TestWorkflowText(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		write(t, db, func(tx *store.Tx) error {
			_, _, err := tx.Workflow(ctx, "h1")
			require.Equal(t, core.NotFound, core.KindOf(err))
			return nil
		})
		for range 2 {
			write(t, db, func(tx *store.Tx) error { return tx.SaveWorkflow(ctx, "h1", "support", []byte("a: 1\n")) })
		}
		write(t, db, func(tx *store.Tx) error {
			name, text, err := tx.Workflow(ctx, "h1")
			require.NoError(t, err)
			require.Equal(t, "support", name)
			require.Equal(t, "a: 1\n", string(text))
			return nil
		})
	})
}
