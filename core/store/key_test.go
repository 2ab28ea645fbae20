package store_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func TestAPIKeys(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		hash := sha256.Sum256([]byte("key"))
		key := store.APIKey{Hash: hash[:], ID: "k1", Tenant: "contoso", Adapter: "cxone", UPN: "admin@contoso.example", CreatedMs: 7}
		other := key
		other.Hash, other.ID, other.Tenant = []byte("other"), "k2", "fabrikam"
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertAPIKey(ctx, key))
			return tx.InsertAPIKey(ctx, other)
		})
		require.Equal(t, []store.APIKey{other, key}, must(db.APIKeys(ctx, ""))(t))
		require.Equal(t, []store.APIKey{key}, must(db.APIKeys(ctx, "contoso"))(t))
		require.Equal(t, core.Caller{Tenant: "contoso", UPN: "admin@contoso.example", Adapter: "cxone"}, must(db.CallerByKeyHash(ctx, hash))(t))
		used := must(db.APIKeys(ctx, "contoso"))(t)[0].UsedMs
		require.Equal(t, noon.UnixMilli(), *used)
		require.Nil(t, must(db.APIKeys(ctx, "fabrikam"))(t)[0].UsedMs)
		_, err := db.CallerByKeyHash(ctx, sha256.Sum256(nil))
		require.Equal(t, core.NotFound, core.KindOf(err))

		write(t, db, func(tx *store.Tx) error { return tx.RevokeAPIKey(ctx, "k1", noon) })
		_, err = db.CallerByKeyHash(ctx, hash)
		require.Equal(t, core.NotFound, core.KindOf(err))
		require.Equal(t, noon.UnixMilli(), *must(db.APIKeys(ctx, "contoso"))(t)[0].RevokedMs)
		for _, id := range []string{"k1", "unknown"} {
			err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.RevokeAPIKey(ctx, id, noon) })
			require.Equal(t, core.NotFound, core.KindOf(err))
		}
	})
}

func TestReplays(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		first := store.Replay{Tenant: "contoso", Key: "k", BodyHash: []byte("body"), Answer: []byte("answer")}
		second := store.Replay{Tenant: "contoso", Key: "k", BodyHash: []byte("other"), Answer: []byte("new")}
		day := 24 * time.Hour
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.Replay(ctx, "contoso", "k", noon.Add(-day))
			require.Equal(t, core.NotFound, core.KindOf(err))
			require.NoError(t, tx.SaveReplay(ctx, first, noon, noon.Add(-day)))
			require.Equal(t, first, must(tx.Replay(ctx, "contoso", "k", noon.Add(-time.Millisecond)))(t))
			_, err = tx.Replay(ctx, "fabrikam", "k", noon.Add(-day))
			require.Equal(t, core.NotFound, core.KindOf(err), "another tenant's key is another key")

			require.ErrorIs(t, tx.SaveReplay(ctx, second, noon.Add(time.Hour), noon.Add(time.Hour-day)), store.ErrRetry)
			_, err = tx.Replay(ctx, "contoso", "k", noon)
			require.Equal(t, core.NotFound, core.KindOf(err), "too old")
			require.NoError(t, tx.SaveReplay(ctx, second, noon.Add(day), noon))
			require.Equal(t, second, must(tx.Replay(ctx, "contoso", "k", noon))(t))

			require.Zero(t, must(tx.PruneReplays(ctx, noon.Add(day), 10))(t))
			require.Equal(t, second, must(tx.Replay(ctx, "contoso", "k", noon))(t))
			require.Equal(t, 1, must(tx.PruneReplays(ctx, noon.Add(day+time.Millisecond), 10))(t))
			_, err = tx.Replay(ctx, "contoso", "k", noon)
			require.Equal(t, core.NotFound, core.KindOf(err))
			return nil
		})
	})
}

func TestBusinessKeys(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error {
			claim := func(service, key, task string, after, window time.Duration) string {
				at := noon.Add(after)
				return must(tx.ClaimBusinessKey(t.Context(), "contoso", service, key, task, at, at.Add(-window)))(t)
			}
			require.Equal(t, "a", claim("s", "k", "a", 0, time.Hour))
			require.Equal(t, "a", claim("s", "k", "b", time.Hour-1*time.Millisecond, time.Hour))
			require.Equal(t, "c", claim("s", "k", "c", time.Hour, time.Hour), "the window has passed")
			require.Equal(t, "c", claim("s", "k", "d", time.Hour+time.Minute, time.Hour), "and begins anew")
			require.Equal(t, "e", claim("other", "k", "e", 0, time.Hour))
			require.Equal(t, "f", claim("s", "other", "f", 0, time.Hour))

			require.Equal(t, 1, must(tx.PruneBusinessKeys(t.Context(), noon.Add(time.Minute), 1))(t))
			require.Equal(t, 1, must(tx.PruneBusinessKeys(t.Context(), noon.Add(time.Minute), 10))(t))
			require.Equal(t, "g", claim("other", "k", "g", 0, time.Hour))
			require.Equal(t, "c", claim("s", "k", "h", time.Hour, time.Hour))
			return nil
		})
	})
}

func TestSettings(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		_, err := db.Setting(ctx, "secret")
		require.Equal(t, core.NotFound, core.KindOf(err))
		for _, value := range []string{"first", "second"} {
			write(t, db, func(tx *store.Tx) error {
				require.Equal(t, "first", string(must(tx.InitSetting(ctx, "secret", []byte(value)))(t)))
				return nil
			})
		}
		require.Equal(t, "first", string(must(db.Setting(ctx, "secret"))(t)))
	})
}
