package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
)

func newSubscription(id, tenant string) store.Subscription {
	return store.Subscription{
		ID: id, Tenant: tenant, URL: "https://hub.example/webex/v1/events/" + id, Secret: []byte("sealed"),
		Status: "pending", CreatedMs: noon.UnixMilli(),
	}
}

func TestSubscriptions(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		_, err := db.SubscriptionOf(ctx, "contoso")
		require.Equal(t, core.NotFound, core.KindOf(err))
		ours, theirs := newSubscription("s2", "contoso"), newSubscription("s1", "fabrikam")
		theirs.OldSecret, theirs.OldUntilMs = []byte("older"), 7
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertSubscription(ctx, ours))
			require.NoError(t, tx.InsertSubscription(ctx, newSubscription("s3", "contoso")), "a second one is none")
			return tx.InsertSubscription(ctx, theirs)
		})
		require.Equal(t, []store.Subscription{ours, theirs}, must(db.Subscriptions(ctx))(t))
		require.Equal(t, theirs, must(db.SubscriptionOf(ctx, "fabrikam"))(t))

		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.TouchSubscription(ctx, "s2", noon))
			require.NoError(t, tx.TouchSubscription(ctx, "s2", noon.Add(9*time.Second)), "too early to note")
			return tx.SaveComparison(ctx, "s2", noon.Add(time.Minute), "3 open tasks compared, 1 ended")
		})
		ours.EventMs, ours.ComparedMs, ours.Compared = noon.UnixMilli(), noon.Add(time.Minute).UnixMilli(), "3 open tasks compared, 1 ended"
		require.Equal(t, ours, must(db.SubscriptionOf(ctx, "contoso"))(t))
		write(t, db, func(tx *store.Tx) error { return tx.TouchSubscription(ctx, "s2", noon.Add(10*time.Second)) })
		require.Equal(t, noon.Add(10*time.Second).UnixMilli(), must(db.SubscriptionOf(ctx, "contoso"))(t).EventMs)
	})
}

func TestSubscriptionClaims(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		claim := func(lease time.Duration) (s store.Subscription, err error) {
			err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
				s, err = tx.ClaimSubscription(ctx, "contoso", lease)
				return err
			})
			return s, err
		}
		save := func(s store.Subscription, done bool) error {
			return db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SaveSubscription(ctx, s, done) })
		}
		_, err := claim(time.Minute)
		require.Equal(t, core.NotFound, core.KindOf(err))
		write(t, db, func(tx *store.Tx) error { return tx.InsertSubscription(ctx, newSubscription("s1", "contoso")) })

		mine, err := claim(time.Minute)
		require.NoError(t, err)
		_, err = claim(time.Minute)
		require.Equal(t, core.Conflict, core.KindOf(err))
		mine.RemoteID, mine.Org, mine.OldSecret, mine.OldUntilMs, mine.Status = "r", "o", []byte("older"), 5, "active"
		require.NoError(t, save(mine, false))
		_, err = claim(time.Minute)
		require.Equal(t, core.Conflict, core.KindOf(err), "what is saved in between keeps the claim")
		mine.OldSecret = nil
		require.NoError(t, save(mine, true))
		require.Equal(t, core.Conflict, core.KindOf(save(mine, true)), "the claim was given back")
		stored := must(db.SubscriptionOf(ctx, "contoso"))(t)
		require.Less(t, stored.CheckedMs, mine.CheckedMs)
		mine.CheckedMs = stored.CheckedMs
		require.Equal(t, mine, stored)

		lost, err := claim(-time.Second)
		require.NoError(t, err)
		taken, err := claim(time.Minute)
		require.NoError(t, err, "a lease that has ended holds nobody up")
		require.Equal(t, core.Conflict, core.KindOf(save(lost, true)))
		require.NoError(t, save(taken, true))
	})
}
