package authstore

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func openStore(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: url, Clock: core.SystemClock{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	return db
}

// TestResealUnderLoad exchanges the master key while triggers are made, and
// stops in the middle once.
func TestResealUnderLoad(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		db := openStore(t, url)
		older, newer := NewKey(), NewKey()
		s := newSealer(t, older)
		place := func(id string) string { return "contoso/triggers:" + id + ":url" }
		add := func(id string) {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertTrigger(ctx, store.Trigger{
					ID: id, Tenant: "contoso", Owner: "a@contoso.example", AddressHash: []byte(id), URL: s.Seal(place(id), []byte("https://"+id)),
					Services: []string{}, State: store.TriggerActive, Created: time.Unix(0, 0),
				})
			}))
		}
		read := func(id string) {
			got, err := db.Trigger(t.Context(), id)
			require.NoError(t, err)
			plain, err := s.Open(place(id), got.URL)
			require.NoError(t, err)
			require.Equal(t, "https://"+id, string(plain))
		}
		var ids []string
		for i := range 3*resealStep + 7 {
			ids = append(ids, fmt.Sprintf("trigger-%03d", i))
			add(ids[i])
		}
		for name, value := range map[string][]byte{
			"webhook-secret/contoso": s.Seal("contoso/settings:webhook-secret:value", []byte("whsec")),
			"master-key-check":       s.Check(),
			"probe":                  []byte("not sealed at all"),
		} {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InitSetting(ctx, name, value)
				return err
			}))
		}

		require.NoError(t, s.Use(newer, older))
		stopped, stop := context.WithCancel(t.Context())
		var load sync.WaitGroup
		load.Go(func() {
			for i := range 40 {
				id := fmt.Sprintf("during-%03d", i)
				add(id)
				read(id)
				read(ids[i])
				if i == 20 {
					stop()
				}
			}
		})
		_, _ = s.Reseal(stopped, db) // ended somewhere in the middle, or before
		load.Wait()
		_, err := s.Reseal(t.Context(), db)
		require.NoError(t, err)
		counts, err := Sealed(t.Context(), db)
		require.NoError(t, err)
		require.Equal(t, map[string]int{newer.ID(): len(ids) + 40 + 2}, counts)

		require.NoError(t, s.Use(newer))
		for _, id := range ids {
			read(id)
		}
		check, err := db.Setting(t.Context(), "master-key-check")
		require.NoError(t, err)
		require.NoError(t, s.Verify(check))
		n, err := s.Reseal(t.Context(), db)
		require.NoError(t, err)
		require.Zero(t, n)

		lost := newSealer(t, NewKey())
		_, err = lost.Reseal(t.Context(), db)
		require.ErrorIs(t, err, ErrUnknownKey)
		read(ids[0])
	})
}
