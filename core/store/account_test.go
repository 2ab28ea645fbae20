package store_test

import (
	"context"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func newAccount(id, tenant, role string) store.Account {
	return store.Account{
		ID: id, Tenant: tenant, UPN: id + "@" + tenant + ".example", Name: "Name of " + id, Role: role,
		Password: "hash", CreatedMs: noon.UnixMilli(),
	}
}

func TestAccounts(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		require.False(t, must(db.HasAccounts(ctx))(t))
		bob, ann, eve := newAccount("bob", "contoso", "admin"), newAccount("ann", "contoso", "viewer"), newAccount("eve", "fabrikam", "admin")
		write(t, db, func(tx *store.Tx) error {
			for _, a := range []store.Account{bob, ann, eve} {
				require.NoError(t, tx.InsertAccount(ctx, a))
			}
			return nil
		})
		require.True(t, must(db.HasAccounts(ctx))(t))
		require.Equal(t, []store.Account{ann, bob}, must(db.Accounts(ctx, "contoso"))(t))
		require.Equal(t, bob, must(db.AccountByUPN(ctx, "bob@contoso.example"))(t))
		require.Equal(t, eve, must(db.Account(ctx, "eve"))(t))

		twin := newAccount("other", "fabrikam", "admin")
		twin.UPN = bob.UPN
		err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertAccount(ctx, twin) })
		require.Equal(t, core.Conflict, core.KindOf(err), "a UPN is one tenant's")

		ann.Name, ann.Role, ann.Password, ann.Issuer, ann.Subject = "Anna", "admin", "", "https://issuer.example", "sub"
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.UpdateAccount(ctx, ann))
			require.Equal(t, ann, must(tx.LockAccount(ctx, "ann"))(t))
			require.Equal(t, []string{"ann", "bob"}, must(tx.LockRole(ctx, "contoso", "admin"))(t))
			require.NoError(t, tx.InsertSession(ctx, store.Session{Token: "t", Account: "ann", Data: []byte("x"), EndsMs: noon.UnixMilli() + 1}))
			return tx.DeleteAccount(ctx, "ann")
		})
		_, err = db.Account(ctx, "ann")
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = db.AccountByUPN(ctx, ann.UPN)
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = db.Session(ctx, "t", noon)
		require.Equal(t, core.NotFound, core.KindOf(err), "a session ends with its account")
	})
}

func TestLockRoleLetsOneOfTwoWait(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertAccount(ctx, newAccount("ann", "contoso", "admin")))
			return tx.InsertAccount(ctx, newAccount("bob", "contoso", "admin"))
		})
		var all sync.WaitGroup
		for _, id := range []string{"ann", "bob"} {
			all.Go(func() {
				err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
					admins, err := tx.LockRole(ctx, "contoso", "admin")
					if err != nil || len(admins) < 2 {
						return err
					}
					return tx.DeleteAccount(ctx, id)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Len(t, must(db.Accounts(ctx, "contoso"))(t), 1)
	})
}

func TestSessions(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		end := noon.Add(time.Hour)
		first := store.Session{Token: "a", Account: "ann", Data: []byte("one"), EndsMs: end.UnixMilli()}
		other := store.Session{Token: "b", Account: "bob", Data: []byte("two"), EndsMs: end.Add(time.Hour).UnixMilli()}
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertSession(ctx, first))
			return tx.InsertSession(ctx, other)
		})
		require.Equal(t, first, must(db.Session(ctx, "a", end.Add(-time.Millisecond)))(t))
		_, err := db.Session(ctx, "a", end)
		require.Equal(t, core.NotFound, core.KindOf(err), "it has ended")

		first.Data, first.EndsMs = []byte("new"), end.Add(time.Minute).UnixMilli()
		write(t, db, func(tx *store.Tx) error { return tx.UpdateSession(ctx, first) })
		require.Equal(t, first, must(db.Session(ctx, "a", end))(t))

		write(t, db, func(tx *store.Tx) error {
			require.Zero(t, must(tx.PruneSessions(ctx, end, 10))(t))
			require.Equal(t, 1, must(tx.PruneSessions(ctx, end.Add(time.Minute), 10))(t))
			return tx.EndSessions(ctx, "nobody")
		})
		require.Equal(t, other, must(db.Session(ctx, "b", end))(t))
		write(t, db, func(tx *store.Tx) error { return tx.DeleteSession(ctx, "b") })
		err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UpdateSession(ctx, other) })
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = db.Session(ctx, "b", noon)
		require.Equal(t, core.NotFound, core.KindOf(err), "an ended session does not come back")
	})
}

func TestSetupTokens(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		first, second, other := sha256.Sum256([]byte("1")), sha256.Sum256([]byte("2")), sha256.Sum256([]byte("3"))
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertSetupToken(ctx, other, "fabrikam", noon))
			require.NoError(t, tx.InsertSetupToken(ctx, first, "contoso", noon))
			return tx.InsertSetupToken(ctx, second, "contoso", noon)
		})
		before := noon.Add(-time.Millisecond)
		_, err := db.SetupToken(ctx, first, before)
		require.Equal(t, core.NotFound, core.KindOf(err), "a newer one takes its place")
		require.Equal(t, "contoso", must(db.SetupToken(ctx, second, before))(t))
		_, err = db.SetupToken(ctx, second, noon)
		require.Equal(t, core.NotFound, core.KindOf(err), "too old")

		write(t, db, func(tx *store.Tx) error { return tx.UseSetupToken(ctx, second) })
		err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.UseSetupToken(ctx, second) })
		require.Equal(t, core.NotFound, core.KindOf(err))

		write(t, db, func(tx *store.Tx) error { return tx.PruneSetupTokens(ctx, noon) })
		require.Equal(t, "fabrikam", must(db.SetupToken(ctx, other, before))(t))
		write(t, db, func(tx *store.Tx) error { return tx.PruneSetupTokens(ctx, noon.Add(time.Millisecond)) })
		_, err = db.SetupToken(ctx, other, before)
		require.Equal(t, core.NotFound, core.KindOf(err))
	})
}
