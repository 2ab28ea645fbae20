package authstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core/store/pgtest"
)

// TestAuthorizationsOutliveTheMasterKey exchanges the master key below what is
// authorized: calls and renewals go on, here and on a replica that never knew
// the older key.
func TestAuthorizationsOutliveTheMasterKey(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		p := newProvider(t, authserver.Options{Rotate: true, AccessLife: time.Hour})
		older, newer := randomKey(t), randomKey(t)
		sealer := newSealer(t, older)
		h := newHub(t, p, sealer, url)
		h.authorized(t, "sign-in", "Main")
		h.authorized(t, "key", "Key")

		require.NoError(t, sealer.Use(newer, older))
		done, err := sealer.Reseal(t.Context(), h.db)
		require.NoError(t, err)
		require.Equal(t, 3, done, "the values of both and the tokens of one")
		counts, err := Sealed(t.Context(), h.db)
		require.NoError(t, err)
		require.Equal(t, map[string]int{newer.ID(): done}, counts)
		require.NoError(t, sealer.Use(newer))

		fresh := newHub(t, p, newSealer(t, newer), url)
		renewed := p.TokenCalls()["ok"]
		for _, one := range []*hub{fresh, h} {
			p.clock.Advance(time.Hour)
			_, accepted, err := one.call(t, named("Main"))
			require.NoError(t, err)
			require.True(t, accepted)
			renewed++
			require.Equal(t, map[string]int{"ok": renewed}, p.TokenCalls())
			req := one.request(t)
			_, err = one.Authorize(t.Context(), named("Key"), req)
			require.NoError(t, err)
			require.Equal(t, "key="+canary, req.Header.Get("X-Api-Key"))
		}
		counts, err = Sealed(t.Context(), h.db)
		require.NoError(t, err)
		require.Equal(t, map[string]int{newer.ID(): done}, counts, "new tokens are under the new key")
	})
}
