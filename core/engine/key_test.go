package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/store"
)

func TestIdempotencyKeys(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		const keys, callers = 100, 20
		n := newTask(h.keep(support))
		var group sync.WaitGroup
		answers := make([][callers]string, keys)
		for k := range keys {
			for c := range callers {
				keyed := n
				keyed.Key = &engine.Key{Name: fmt.Sprint("create/", k), BodyHash: [32]byte{byte(k)}}
				group.Go(func() {
					body, err := h.Create(t.Context(), keyed, func(task *core.Task) ([]byte, error) {
						return fmt.Appendf(nil, "%s for caller %d", task.ID, c), nil
					})
					if err != nil {
						t.Error(err)
					}
					answers[k][c] = string(body)
				})
			}
		}
		group.Wait()
		seen := map[string]bool{}
		for k := range keys {
			require.NotEmpty(t, answers[k][0])
			require.False(t, seen[answers[k][0]])
			seen[answers[k][0]] = true
			for c := range callers {
				require.Equal(t, answers[k][0], answers[k][c])
			}
		}
		require.Equal(t, keys, h.openTasks())

		// They hold over a restart, and for a day.
		h.restart()
		keyed := n
		keyed.Key = &engine.Key{Name: "create/7", BodyHash: [32]byte{7}}
		h.clock.Advance(24*time.Hour - time.Millisecond)
		require.Equal(t, answers[7][0], h.create(keyed))
		other := keyed
		other.Key = &engine.Key{Name: "create/7", BodyHash: [32]byte{8}}
		_, err := h.Create(t.Context(), other, idOf)
		var reused *core.Error
		require.ErrorAs(t, err, &reused)
		require.Equal(t, core.Conflict, reused.Kind)
		require.Equal(t, 422, reused.Status)
		elsewhere := other
		elsewhere.Task.Tenant = "fabrikam"
		require.NotEqual(t, answers[7][0], h.create(elsewhere), "another tenant's key is another key")
		h.clock.Advance(time.Millisecond)
		require.NotEqual(t, answers[7][0], h.create(other))
		require.Equal(t, keys+1, h.openTasks())
	})
}

func TestAFailureBurnsNoKey(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep(support))
		n.Key = &engine.Key{Name: "create/k", BodyHash: [32]byte{1}}
		bad := errors.New("cannot be answered")
		_, err := h.Create(t.Context(), n, func(*core.Task) ([]byte, error) { return nil, bad })
		require.ErrorIs(t, err, bad)
		require.Zero(t, h.openTasks())
		n.Key = &engine.Key{Name: "create/k", BodyHash: [32]byte{2}}
		h.create(n)
		require.Equal(t, 1, h.openTasks())
	})
}

func TestKeysOfCommands(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		id := h.create(newTask(h.keep(support)))
		key := &engine.Key{Name: "update/k", BodyHash: [32]byte{1}}
		update := func(value string, key *engine.Key) error {
			return h.Update(t.Context(), id, engine.Changes{Parameters: []core.NamedValue{{Name: "p", Value: value}}}, key, allow)
		}
		require.NoError(t, update("first", key))
		require.NoError(t, update("second", nil))
		require.NoError(t, update("first", key), "the answer is repeated, not the change")
		task := h.task(id)
		value, _ := task.Parameter("p")
		require.Equal(t, "second", value)
		require.Equal(t, core.Conflict, core.KindOf(update("third", &engine.Key{Name: "update/k", BodyHash: [32]byte{2}})))

		remove := &engine.Key{Name: "remove/k"}
		for range 2 {
			require.NoError(t, h.Remove(t.Context(), id, remove, allow))
		}
		require.NoError(t, update("first", key), "also when the task has ended meanwhile")
		require.Len(t, h.names(id), 6)
	})
}

func TestBusinessKeys(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep(support))
		n.BusinessKey, n.Window = "order 1", time.Hour
		var mu sync.Mutex
		ids := map[string]int{}
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				id, err := h.Create(t.Context(), n, idOf)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[string(id)]++
			})
		}
		group.Wait()
		require.Len(t, ids, 1)
		require.Equal(t, 1, h.openTasks())
		first := h.create(n)
		require.Equal(t, 21, ids[first]+1)

		other := n
		other.Task.Service.UPN = "field@contoso.example"
		require.NotEqual(t, first, h.create(other), "another service's key is another key")
		keyed := n
		keyed.Key = &engine.Key{Name: "create/k"}
		require.Equal(t, first, h.create(keyed))
		h.clock.Advance(time.Hour)
		second := h.create(n)
		require.NotEqual(t, first, second)
		require.Equal(t, first, h.create(keyed), "the idempotency key goes on holding")
		require.Equal(t, second, h.create(n))
	})
}

func TestABusinessKeyOfAPrunedTaskIsFree(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		n := newTask(h.keep(support))
		n.BusinessKey, n.Window = "order 1", 1000*time.Hour
		first := h.create(n)
		require.NoError(t, h.Remove(t.Context(), first, nil, allow))
		h.clock.Advance(time.Hour)
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			waiting, err := tx.Waiting(ctx, "all", 100)
			for _, w := range waiting {
				err = errors.Join(err, tx.DeleteDelivery(ctx, w.TriggerID, w.TaskID, w.Seq))
			}
			_, pruned := tx.PruneTasks(ctx, h.clock.Now(), 10)
			return errors.Join(err, pruned)
		}))
		second := h.create(n)
		require.NotEqual(t, first, second)
		require.Equal(t, second, h.create(n))
	})
}
