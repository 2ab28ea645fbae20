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

func newConversation(id, tenant, key string, updated time.Time) store.Conversation {
	return store.Conversation{
		ID: id, Tenant: tenant, MatchKey: []byte(key), TaskID: "task of " + id, Messages: 1, UpdatedMs: updated.UnixMilli(),
	}
}

func newMessage(tenant, key, conversation string, at time.Time) store.ConversationMessage {
	return store.ConversationMessage{
		Tenant: tenant, Key: []byte(key), ConversationID: conversation, Operation: "created", TaskID: "t", CreatedMs: at.UnixMilli(),
	}
}

func TestConversations(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		a, b := newConversation("a", "contoso", "k", noon), newConversation("b", "fabrikam", "k", noon)
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertConversation(ctx, a))
			require.NoError(t, tx.InsertConversation(ctx, b))
			require.Equal(t, a, must(tx.ConversationByKey(ctx, "contoso", []byte("k")))(t))
			require.Equal(t, b, must(tx.ConversationByKey(ctx, "fabrikam", []byte("k")))(t))
			_, err := tx.ConversationByKey(ctx, "contoso", []byte("other"))
			require.Equal(t, core.NotFound, core.KindOf(err))
			return tx.ContinueConversation(ctx, "a", "another", noon.Add(time.Minute))
		})
		a.TaskID, a.Messages, a.UpdatedMs = "another", 2, noon.Add(time.Minute).UnixMilli()
		write(t, db, func(tx *store.Tx) error {
			require.Equal(t, a, must(tx.ConversationByKey(ctx, "contoso", []byte("k")))(t))
			require.ErrorIs(t, tx.InsertConversation(ctx, newConversation("c", "contoso", "k", noon)), store.ErrRetry)
			require.NoError(t, tx.RekeyConversation(ctx, "a", []byte("ended")))
			return tx.InsertConversation(ctx, newConversation("c", "contoso", "k", noon))
		})
		a.MatchKey = []byte("ended")
		write(t, db, func(tx *store.Tx) error {
			require.Equal(t, a, must(tx.ConversationByKey(ctx, "contoso", []byte("ended")))(t))
			require.Equal(t, "c", must(tx.ConversationByKey(ctx, "contoso", []byte("k")))(t).ID)
			require.Equal(t, b, must(tx.ConversationByKey(ctx, "fabrikam", []byte("k")))(t))
			return nil
		})
	})
}

func TestConversationMessages(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		first := newMessage("contoso", "1", "a", noon)
		write(t, db, func(tx *store.Tx) error {
			require.NoError(t, tx.InsertConversation(ctx, newConversation("a", "contoso", "a", noon)))
			require.NoError(t, tx.InsertConversation(ctx, newConversation("b", "contoso", "b", noon.Add(time.Second))))
			require.NoError(t, tx.InsertConversation(ctx, newConversation("f", "fabrikam", "f", noon)))
			require.True(t, must(tx.InsertConversationMessage(ctx, first))(t))
			require.False(t, must(tx.InsertConversationMessage(ctx, newMessage("contoso", "1", "b", noon)))(t))
			require.True(t, must(tx.InsertConversationMessage(ctx, newMessage("contoso", "2", "b", noon)))(t))
			require.True(t, must(tx.InsertConversationMessage(ctx, newMessage("fabrikam", "1", "f", noon)))(t))
			return nil
		})
		write(t, db, func(tx *store.Tx) error {
			require.Equal(t, first, must(tx.ConversationMessage(ctx, "contoso", []byte("1")))(t))
			_, err := tx.ConversationMessage(ctx, "fabrikam", []byte("2"))
			require.Equal(t, core.NotFound, core.KindOf(err))
			for _, c := range []struct {
				tenant string
				keys   []string
				want   string
			}{
				{"contoso", []string{"1"}, "a"},
				{"contoso", []string{"x", "1"}, "a"},
				{"contoso", []string{"1", "2"}, "b"}, // the latest
				{"fabrikam", []string{"1", "2"}, "f"},
				{"fabrikam", []string{"2"}, ""},
				{"contoso", []string{"x"}, ""},
				{"contoso", nil, ""},
			} {
				var keys [][]byte
				for _, key := range c.keys {
					keys = append(keys, []byte(key))
				}
				found, err := tx.ConversationByMessage(ctx, c.tenant, keys)
				require.Equal(t, c.want, found.ID, "%v", c)
				require.Equal(t, c.want == "", err != nil && core.KindOf(err) == core.NotFound, "%v: %v", c, err)
			}
			return nil
		})
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.InsertConversationMessage(ctx, newMessage("contoso", "3", "a", noon.Add(time.Minute)))
			require.NoError(t, err)
			return tx.TrimConversation(ctx, "a", noon.Add(time.Millisecond))
		})
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.ConversationMessage(ctx, "contoso", []byte("1"))
			require.Equal(t, core.NotFound, core.KindOf(err))
			must(tx.ConversationMessage(ctx, "contoso", []byte("2")))(t)
			must(tx.ConversationMessage(ctx, "contoso", []byte("3")))(t)
			return nil
		})
	})
}

func TestPruneConversations(t *testing.T) {
	both(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error {
			for i := range 5 {
				id := fmt.Sprint(i)
				require.NoError(t, tx.InsertConversation(t.Context(), newConversation(id, "contoso", id, noon.Add(time.Duration(i)*time.Hour))))
				must(tx.InsertConversationMessage(t.Context(), newMessage("contoso", id, id, noon)))(t)
			}
			return nil
		})
		prune := func(before time.Duration, limit int) (n int) {
			t.Helper()
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
				n, err = tx.PruneConversations(ctx, noon.Add(before), limit)
				return err
			}))
			return n
		}
		require.Zero(t, prune(0, 10))
		require.Equal(t, 2, prune(3*time.Hour, 2), "the oldest first")
		require.Equal(t, 1, prune(3*time.Hour, 2))
		require.Zero(t, prune(3*time.Hour, 2))
		write(t, db, func(tx *store.Tx) error {
			for i := range 5 {
				key := []byte(fmt.Sprint(i))
				_, noMessage := tx.ConversationMessage(t.Context(), "contoso", key)
				_, noConversation := tx.ConversationByKey(t.Context(), "contoso", key)
				require.Equal(t, i < 3, noMessage != nil)
				require.Equal(t, i < 3, noConversation != nil)
			}
			return nil
		})
	})
}
