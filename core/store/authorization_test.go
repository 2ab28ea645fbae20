package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func milli(v int64) *int64 { return &v }

func newAuthorization(id, name string) store.Authorization {
	return store.Authorization{
		ID: id, Tenant: "contoso", Integration: "acme", Name: name, Grant: "key", Status: "pending", SinceMs: 1,
		Base: "https://acme.example", Fields: `{"a":"b"}`, Secrets: []byte("sealed"), Version: 1,
		CreatedMs: 2, CreatedBy: "admin", UpdatedMs: 3, UpdatedBy: "admin",
	}
}

func TestAuthorizations(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		stamps := map[string]bool{must(db.AuthorizationsStamp(ctx))(t): true}
		changed := func() {
			t.Helper()
			stamp := must(db.AuthorizationsStamp(ctx))(t)
			require.False(t, stamps[stamp], "each change gives another stamp")
			stamps[stamp] = true
		}
		a := newAuthorization("1", "Main")
		write(t, db, func(tx *store.Tx) error { return tx.InsertAuthorization(ctx, a) })
		changed()
		require.Equal(t, a, must(db.Authorization(ctx, "1"))(t))
		require.Equal(t, []store.Authorization{a}, must(db.Authorizations(ctx))(t))
		_, err := db.Authorization(ctx, "2")
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = tx(t, db, func(tx *store.Tx) (store.Authorization, error) { return tx.LockAuthorization(ctx, "2") })
		require.Equal(t, core.NotFound, core.KindOf(err))

		next := a
		next.Name, next.Grant, next.Status, next.Reason, next.SinceMs, next.Account = "Other", "oauth", "authorized", "r", 4, "ann"
		next.Base, next.Scopes, next.Fields, next.Tokens = "https://b.example", "read write", "{}", []byte("tokens")
		next.TokenEndsMs, next.RenewMs, next.EndsMs, next.WarnedMs = milli(5), milli(6), milli(7), milli(8)
		next.UpdatedMs, next.UpdatedBy, next.Secrets = 9, "eve", []byte("others")
		write(t, db, func(tx *store.Tx) error {
			require.True(t, must(tx.SaveAuthorization(ctx, next))(t))
			require.False(t, must(tx.SaveAuthorization(ctx, next))(t), "it is of another version now")
			return nil
		})
		changed()
		next.Version, next.Secrets = 2, a.Secrets
		require.Equal(t, next, must(db.Authorization(ctx, "1"))(t))
		write(t, db, func(tx *store.Tx) error {
			require.Equal(t, next, must(tx.LockAuthorization(ctx, "1"))(t))
			require.Equal(t, map[string]string{"1": "Other"}, must(tx.AuthorizationNames(ctx, "contoso", "acme"))(t))
			require.Empty(t, must(tx.AuthorizationNames(ctx, "fabrikam", "acme"))(t))
			return tx.SetAuthorizationSecrets(ctx, "1", []byte("others"))
		})
		require.Equal(t, []byte("others"), must(db.Authorization(ctx, "1"))(t).Secrets)

		write(t, db, func(tx *store.Tx) error {
			for _, d := range []store.DefaultAuthorization{
				{Tenant: "contoso", Integration: "acme", Node: "n", ID: "9"},
				{Tenant: "contoso", Integration: "acme", Node: "n", ID: "1"},
				{Tenant: "contoso", Integration: "acme", ID: "9"},
			} {
				require.NoError(t, tx.SetDefaultAuthorization(ctx, d))
			}
			return nil
		})
		changed()
		require.Equal(t, []store.DefaultAuthorization{
			{Tenant: "contoso", Integration: "acme", ID: "9"},
			{Tenant: "contoso", Integration: "acme", Node: "n", ID: "1"},
		}, must(db.DefaultAuthorizations(ctx))(t))
		write(t, db, func(tx *store.Tx) error { return tx.DeleteAuthorization(ctx, "1") })
		changed()
		require.Empty(t, must(db.Authorizations(ctx))(t))
		require.Len(t, must(db.DefaultAuthorizations(ctx))(t), 1)
	})
}

// tx runs a function in a transaction and returns what it returned.
func tx[T any](t *testing.T, db *store.DB, fn func(tx *store.Tx) (T, error)) (v T, err error) {
	t.Helper()
	err = db.Write(t.Context(), func(_ context.Context, tx *store.Tx) (err error) {
		v, err = fn(tx)
		return err
	})
	return v, err
}

func TestLeaseAuthorization(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		write(t, db, func(tx *store.Tx) error { return tx.InsertAuthorization(ctx, newAuthorization("1", "Main")) })
		lease := func(version int64, owner string, long time.Duration) (store.Authorization, bool) {
			t.Helper()
			var won bool
			a, err := tx(t, db, func(tx *store.Tx) (a store.Authorization, err error) {
				a, won, err = tx.LeaseAuthorization(ctx, "1", version, owner, long)
				return a, err
			})
			require.NoError(t, err)
			return a, won
		}
		a, won := lease(1, "one", time.Minute)
		require.True(t, won)
		require.Equal(t, newAuthorization("1", "Main"), a)
		_, won = lease(1, "two", time.Minute)
		require.False(t, won)
		write(t, db, func(tx *store.Tx) error { return tx.ReleaseAuthorization(ctx, "1", "two") })
		_, won = lease(1, "two", time.Minute)
		require.False(t, won, "another's lease is not given back")
		write(t, db, func(tx *store.Tx) error { return tx.ReleaseAuthorization(ctx, "1", "one") })
		_, won = lease(1, "two", -time.Minute)
		require.True(t, won)
		_, won = lease(1, "three", -time.Minute)
		require.True(t, won, "the lease of two has ended")
		write(t, db, func(tx *store.Tx) error { return tx.KeepAuthorizationLease(ctx, "1", "two", time.Minute) })
		_, won = lease(1, "two", -time.Minute)
		require.True(t, won, "who lost it keeps nothing")
		write(t, db, func(tx *store.Tx) error { return tx.KeepAuthorizationLease(ctx, "1", "two", time.Minute) })
		_, won = lease(1, "three", time.Minute)
		require.False(t, won)

		write(t, db, func(tx *store.Tx) error {
			require.True(t, must(tx.SaveAuthorization(ctx, a))(t))
			return nil
		})
		a, won = lease(1, "four", time.Minute)
		require.False(t, won, "of another version")
		require.EqualValues(t, 2, a.Version)
		_, won = lease(2, "four", time.Minute)
		require.True(t, won, "saving ended the lease")
		_, err := tx(t, db, func(tx *store.Tx) (bool, error) {
			_, won, err := tx.LeaseAuthorization(ctx, "2", 1, "five", time.Minute)
			return won, err
		})
		require.Equal(t, core.NotFound, core.KindOf(err))
	})
}

func TestWarnAuthorizations(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		ends := func(id, status string, at time.Time) store.Authorization {
			a := newAuthorization(id, id)
			a.Status, a.EndsMs = status, milli(at.UnixMilli())
			return a
		}
		write(t, db, func(tx *store.Tx) error {
			for _, a := range []store.Authorization{
				newAuthorization("none", "none"), ends("soon", "authorized", noon.Add(time.Hour)),
				ends("late", "authorized", noon.Add(48*time.Hour)), ends("pending", "pending", noon.Add(time.Hour)),
			} {
				require.NoError(t, tx.InsertAuthorization(ctx, a))
			}
			return nil
		})
		for n, want := range []int{1, 0} {
			found, err := tx(t, db, func(tx *store.Tx) ([]store.Authorization, error) {
				return tx.WarnAuthorizations(ctx, noon.Add(24*time.Hour), noon)
			})
			require.NoError(t, err)
			require.Len(t, found, want, n)
			if want == 1 {
				require.Equal(t, "soon", found[0].ID)
				require.Equal(t, noon.UnixMilli(), *found[0].WarnedMs)
			}
		}
	})
}

func TestSignIns(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		s := store.SignIn{StateHash: []byte("h"), AuthorizationID: "1", EditedMs: 7, Session: []byte("s"), Verifier: []byte("v"), CreatedMs: noon.UnixMilli()}
		old := s
		old.StateHash, old.CreatedMs = []byte("old"), noon.Add(-time.Hour).UnixMilli()
		take := func(hash string) (store.SignIn, error) {
			return tx(t, db, func(tx *store.Tx) (store.SignIn, error) { return tx.TakeSignIn(ctx, []byte(hash)) })
		}
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertSignIn(ctx, old, noon.Add(-2*time.Hour)))
			return tx.InsertSignIn(ctx, s, noon.Add(-time.Minute))
		})
		_, err := take("old")
		require.Equal(t, core.NotFound, core.KindOf(err), "forgotten by the next")
		require.Equal(t, s, must(take("h"))(t))
		_, err = take("h")
		require.Equal(t, core.NotFound, core.KindOf(err), "once")

		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertSignIn(ctx, s, noon))
			return tx.DeleteAuthorization(ctx, "1")
		})
		_, err = take("h")
		require.Equal(t, core.NotFound, core.KindOf(err))
	})
}
