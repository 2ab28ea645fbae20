package authstore

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// TestResealWebex: the secrets of subscriptions and the calls whose answer is
// still to be posted outlive the key that they were sealed under.
func TestResealWebex(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		db := openStore(t, url)
		older, newer := NewKey(), NewKey()
		s := newSealer(t, older)
		const id, place, call = "0123456789abcdef", "webex/subscription/0123456789abcdef", "webex/call/contoso"
		sub := store.Subscription{ID: id, Tenant: "contoso", Status: "active", Secret: s.Seal(place, []byte("secret"))}
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertSubscription(ctx, sub); err != nil {
				return err
			}
			claimed, err := tx.ClaimSubscription(ctx, "contoso", 0)
			if err != nil {
				return err
			}
			claimed.OldSecret, claimed.OldUntilMs = s.Seal(place, []byte("old secret")), 1
			if err := tx.SaveSubscription(ctx, claimed, true); err != nil {
				return err
			}
			if err := tx.InsertSubscription(ctx, store.Subscription{
				ID: "fedcba9876543210", Tenant: "fabrikam", Secret: s.Seal("webex/subscription/fedcba9876543210", []byte("theirs")),
			}); err != nil {
				return err
			}
			return tx.InsertOutbox(ctx, []store.OutboxItem{
				{Tenant: "contoso", Kind: "node", Payload: s.Seal(call, []byte("a call"))},
				{Tenant: "contoso", Kind: "remote", TaskID: "t", Payload: []byte(`{"do":"end"}`)},
			})
		}))

		require.NoError(t, s.Use(newer, older))
		done, err := s.Reseal(t.Context(), db)
		require.NoError(t, err)
		require.Equal(t, 4, done)
		require.NoError(t, s.Use(newer))
		counts, err := Sealed(t.Context(), db)
		require.NoError(t, err)
		require.Len(t, counts, 1)

		open := func(want, place string, sealed []byte) {
			plain, err := s.Open(place, sealed)
			require.NoError(t, err)
			require.Equal(t, want, string(plain))
		}
		sub, err = db.SubscriptionOf(t.Context(), "contoso")
		require.NoError(t, err)
		open("secret", place, sub.Secret)
		open("old secret", place, sub.OldSecret)
		_, err = s.Open("webex/subscription/another", sub.Secret)
		require.Error(t, err, "of one subscription only")
		theirs, err := db.SubscriptionOf(t.Context(), "fabrikam")
		require.NoError(t, err)
		require.Nil(t, theirs.OldSecret)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			items, err := tx.ClaimOutbox(ctx, []string{"node", "remote"}, time.Unix(1, 0), "me", 0, 10)
			if err != nil {
				return err
			}
			require.Len(t, items, 2)
			for _, it := range items {
				if it.Kind == "node" {
					open("a call", call, it.Payload)
				} else {
					require.JSONEq(t, `{"do":"end"}`, string(it.Payload))
				}
			}
			return nil
		}))
	})
}
