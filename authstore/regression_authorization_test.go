package authstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store/pgtest"
)

// A renewal that ends after the authorization was removed does not bring it back.
func TestRemovedStaysRemoved(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "machine", "Main")
		row := h.row(t, a.ID)
		require.NoError(t, h.Remove(t.Context(), tenant, a.ID))
		row.Version++
		h.put(row)
		require.Empty(t, h.list(t))
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
	})
}

// An API that answers 401 to good tokens makes each replica renew once a minute,
// however they take turns.
func TestRejectedByTurns(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{})
	sealer, dbURL := newSealer(t, randomKey(t)), pgtest.Start(t)
	one, two := newHub(t, p, sealer, dbURL), newHub(t, p, sealer, dbURL)
	one.authorized(t, "sign-in", "Main")
	before := p.TokenCalls()["ok"]
	for range 10 {
		for _, h := range []*hub{one, two} {
			_, err := h.follow(t.Context())
			require.NoError(t, err)
			if stamp, _, err := h.call(t, named("Main")); err == nil {
				_ = h.Rejected(t.Context(), named("Main"), stamp)
			}
		}
	}
	require.LessOrEqual(t, p.TokenCalls()["ok"]-before, 2)
}

// A replica that takes over a master key opens what it could not open before.
func TestKeyThatArrivesLate(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{})
	older, newer, dbURL := randomKey(t), randomKey(t), pgtest.Start(t)
	first := newHub(t, p, newSealer(t, newer, older), dbURL)
	late := newSealer(t, older)
	second := newHub(t, p, late, dbURL)
	first.authorized(t, "key", "Main")
	_, err := second.Authorize(t.Context(), named("Main"), second.request(t))
	require.Equal(t, core.NotConfigured, core.KindOf(err))
	require.NoError(t, late.Use(newer, older))
	require.Len(t, second.list(t), 1)
	_, err = second.Authorize(t.Context(), named("Main"), second.request(t))
	require.NoError(t, err)
}

// Names are equal as the index of names has it.
func TestNamesThatFold(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		h.add(t, draft("key", "istanbul"))
		_, err := h.Add(t.Context(), tenant, admin, draft("key", "ISTANBUL"))
		require.Equal(t, core.Conflict, core.KindOf(err))
	})
}

// Authorized again, the tokens of before are given back.
func TestReplacedTokensAreRevoked(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		address, err := h.Begin(t.Context(), tenant, a.ID, "session")
		require.NoError(t, err)
		_, err = h.Finish(t.Context(), tenant, "session", "acme", h.signIn(t, address))
		require.NoError(t, err)
		require.Len(t, h.revocations(), 1)
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	})
}

// Who cancels a new sign-in does not hide why the authorization had ended.
func TestCancelledSignInKeepsTheReason(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.RevokeAll()
		h.clock.Advance(400 * 24 * time.Hour)
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		why := h.get(t, a.ID).Reason
		require.Contains(t, why, "invalid_grant")
		address, err := h.Begin(t.Context(), tenant, a.ID, "session")
		require.NoError(t, err)
		back := h.signIn(t, address)
		back.Del("code")
		back.Set("error", "access_denied")
		got, err := h.Finish(t.Context(), tenant, "session", "acme", back)
		require.Equal(t, core.Conflict, core.KindOf(err))
		require.Equal(t, a.ID, got.ID, "for the page that tells of it")
		require.Equal(t, integration.Reauthorize, h.get(t, a.ID).Status)
		require.Equal(t, why, h.get(t, a.ID).Reason)
	})
}
