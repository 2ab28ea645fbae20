package store_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

// item returns an outbox item that is due at noon.
func item(kind, lane string) store.OutboxItem {
	return store.OutboxItem{
		Tenant: "contoso", Kind: kind, Lane: lane, TaskID: "t", Payload: []byte("{}"),
		DueMs: noon.UnixMilli(), CreatedMs: noon.UnixMilli(),
	}
}

// send inserts items, all in one transaction, and returns them.
func send(t *testing.T, db *store.DB, items ...store.OutboxItem) []store.OutboxItem {
	t.Helper()
	write(t, db, func(tx *store.Tx) error { return tx.InsertOutbox(t.Context(), items) })
	return items
}

// claim claims what is due.
func claim(t *testing.T, db *store.DB, now time.Time, owner string, lease time.Duration, kinds ...string) (items []store.OutboxItem) {
	t.Helper()
	write(t, db, func(tx *store.Tx) (err error) {
		items, err = tx.ClaimOutbox(t.Context(), kinds, now, owner, lease, 100)
		return err
	})
	slices.SortFunc(items, func(a, b store.OutboxItem) int { return int(a.DueMs - b.DueMs) })
	return items
}

func nextOutbox(t *testing.T, db *store.DB, kinds ...string) time.Time {
	t.Helper()
	next, err := db.NextOutbox(t.Context(), kinds)
	require.NoError(t, err)
	return next
}

func TestOutboxItemsOfALaneAreInTheOrderOfWriting(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		var want, got []string
		write(t, db, func(tx *store.Tx) error { // one transaction, and then others in the same millisecond
			items := make([]store.OutboxItem, 30)
			for i := range items {
				items[i] = item("k", "lane")
			}
			require.NoError(t, tx.InsertOutbox(t.Context(), items))
			want = nil
			for _, it := range items {
				want = append(want, it.ID)
			}
			return nil
		})
		for i := range 10 {
			it := item("k", "lane")
			it.CreatedMs -= int64(i) // a replica whose clock is behind
			want = append(want, send(t, db, it)[0].ID)
		}
		later := item("k", "lane")
		later.CreatedMs += 1000
		want = append(want, send(t, db, later)[0].ID)
		send(t, db, item("k", "other"))
		for range want {
			for _, it := range claim(t, db, noon, "me", time.Minute, "k") {
				if it.Lane == "lane" {
					got = append(got, it.ID)
					write(t, db, func(tx *store.Tx) error { return tx.DeleteOutbox(t.Context(), it.ID, "me") })
				}
			}
		}
		require.Equal(t, want, got)
	})
}

func TestClaimOutbox(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		require.Zero(t, nextOutbox(t, db, "k"))
		future, plain := item("k", ""), item("k", "")
		future.DueMs += 5000
		all := send(t, db, item("k", "a"), item("k", "a"), item("k", "b"), plain, plain, future, item("other", ""))
		require.Zero(t, nextOutbox(t, db))
		require.Zero(t, nextOutbox(t, db, "unknown"))
		require.Equal(t, noon, nextOutbox(t, db, "k", "unknown"))
		require.Empty(t, claim(t, db, noon, "me", time.Minute))
		require.Empty(t, claim(t, db, noon, "me", time.Minute, "unknown"))
		require.Empty(t, claim(t, db, noon.Add(-time.Millisecond), "me", time.Minute, "k"))

		mine := claim(t, db, noon, "me", time.Minute, "k")
		require.ElementsMatch(t, []store.OutboxItem{all[0], all[2], all[3], all[4]}, mine, "whole, and of a lane the first")
		require.Empty(t, claim(t, db, noon, "you", time.Minute, "k"))
		require.Equal(t, noon.Add(5*time.Second), nextOutbox(t, db, "k"))

		depth, err := db.OutboxDepth(t.Context())
		require.NoError(t, err)
		require.Equal(t, 7, depth)
	})
}

func TestALeaseOnAnOutboxItemEnds(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		id := send(t, db, item("k", "lane"))[0].ID
		require.Len(t, claim(t, db, noon, "dead", -time.Second, "k"), 1)
		require.Equal(t, noon, nextOutbox(t, db, "k"))
		require.Len(t, claim(t, db, noon, "me", time.Minute, "k"), 1, "its lease has ended")

		renewed := func(owner string) (held bool) {
			write(t, db, func(tx *store.Tx) (err error) {
				held, err = tx.RenewOutbox(ctx, id, owner, time.Minute)
				return err
			})
			return held
		}
		require.False(t, renewed("dead"))
		require.True(t, renewed("me"))
		for _, late := range []func(context.Context, *store.Tx) error{
			func(ctx context.Context, tx *store.Tx) error { return tx.DeleteOutbox(ctx, id, "dead") },
			func(ctx context.Context, tx *store.Tx) error { return tx.DelayOutbox(ctx, id, "dead", noon, nil) },
		} {
			require.Equal(t, core.Conflict, core.KindOf(db.Write(ctx, late)))
		}
		write(t, db, func(tx *store.Tx) error { return tx.ReleaseOutbox(ctx, id, "dead") })
		require.Empty(t, claim(t, db, noon, "you", time.Minute, "k"))
		write(t, db, func(tx *store.Tx) error { return tx.ReleaseOutbox(ctx, id, "me") })
		again := claim(t, db, noon, "you", time.Minute, "k")
		require.Len(t, again, 1)
		require.Equal(t, 2, again[0].Attempts, "it was begun twice")
		write(t, db, func(tx *store.Tx) error { return tx.FreeOutbox(ctx) })
		require.Len(t, claim(t, db, noon, "me", time.Minute, "k"), 1)
		write(t, db, func(tx *store.Tx) error { return tx.DeleteOutbox(ctx, id, "me") })
		require.Zero(t, nextOutbox(t, db, "k"))
	})
}

func TestADelayedOutboxItemHoldsBackItsLaneAlone(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		all := send(t, db, item("k", "a"), item("k", "a"), item("k", "b"))
		later := noon.Add(time.Hour)
		delay := func(payload []byte) {
			write(t, db, func(tx *store.Tx) error { return tx.DelayOutbox(ctx, all[0].ID, "me", later, payload) })
		}
		require.Len(t, claim(t, db, noon, "me", time.Minute, "k"), 2)
		delay(nil)
		behind := send(t, db, item("k", "a"))[0]
		require.Equal(t, later.UnixMilli(), behind.DueMs, "not looked at before")
		require.Equal(t, later, nextOutbox(t, db, "k"))
		write(t, db, func(tx *store.Tx) error { return tx.DeleteOutbox(ctx, all[2].ID, "me") })
		require.Empty(t, claim(t, db, noon.Add(time.Minute), "me", time.Minute, "k"))

		got := claim(t, db, later, "me", time.Minute, "k")
		want := all[0]
		want.DueMs, want.Attempts = later.UnixMilli(), 1
		require.Equal(t, []store.OutboxItem{want}, got)
		delay([]byte("new"))
		want.Attempts, want.Payload = 2, []byte("new")
		require.Equal(t, []store.OutboxItem{want}, claim(t, db, later, "me", time.Minute, "k"))
	})
}

func TestInsertOutboxBelongsToItsTransaction(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, tx.InsertOutbox(ctx, []store.OutboxItem{item("k", "")}))
			return fmt.Errorf("no task")
		})
		require.Error(t, err)
		require.Zero(t, nextOutbox(t, db, "k"))
		empty := item("k", "")
		empty.Payload = nil
		send(t, db, empty)
		require.Empty(t, claim(t, db, noon, "me", time.Minute, "k")[0].Payload)
	})
}
