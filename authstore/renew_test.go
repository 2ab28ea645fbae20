package authstore

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/outbound"
	"tandem/core/store"
)

func TestRefusedRenewal(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.Server.RevokeAll()
		h.clock.Advance(time.Hour)
		before := h.trips.Load()
		for range 3 {
			_, _, err := h.call(t, named("Main"))
			require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
			require.ErrorContains(t, err, "the provider said invalid_grant")
		}
		require.Equal(t, before+1, h.trips.Load(), "one token call")
		a = h.get(t, a.ID)
		require.Equal(t, integration.Reauthorize, a.Status)
		require.Equal(t, h.clock.Now(), a.Since)
		require.Nil(t, h.tokens(t, a.ID))
		require.Equal(t, []integration.Status{integration.Pending, integration.Authorized, integration.Reauthorize}, h.statuses())

		address, err := h.Begin(t.Context(), tenant, a.ID, "session")
		require.NoError(t, err)
		a, err = h.Finish(t.Context(), tenant, "session", "acme", h.signIn(t, address))
		require.NoError(t, err)
		require.Empty(t, a.Reason)
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	})
}

// Refused on one replica while another has stored a better token: nobody is
// asked to authorize again.
func TestRefusedButRenewedElsewhere(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		address, err := h.Begin(t.Context(), tenant, a.ID, "session")
		require.NoError(t, err)
		answer := h.signIn(t, address)
		stamp, _, err := h.call(t, named("Main"))
		require.NoError(t, err)
		refuse := func(r *http.Request, resp *http.Response) {
			h.between.Store(nil)
			if _, err := h.Finish(context.WithoutCancel(r.Context()), tenant, "session", "acme", answer); err != nil {
				t.Error(err)
			}
			resp.StatusCode, resp.Body = http.StatusBadRequest, io.NopCloser(strings.NewReader(`{"error":"invalid_grant"}`))
		}
		h.between.Store(&refuse)
		require.NoError(t, h.Rejected(t.Context(), named("Main"), stamp))
		require.Equal(t, integration.Authorized, h.get(t, a.ID).Status)
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	})
}

// The hub dies between the provider's answer and its own commit, so that the one
// good refresh token is lost.
func TestCrashBeforeTheTokenIsStored(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.clock.Advance(time.Hour)
		crash := func(*http.Request, *http.Response) { h.between.Store(nil); panic(canary) }
		h.between.Store(&crash)
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.Internal, core.KindOf(err))
		require.NotContains(t, err.Error(), canary)
		before := h.trips.Load()
		_, _, err = h.call(t, named("Main"))
		require.Equal(t, core.Unavailable, core.KindOf(err), "the provider is left in peace for a moment")
		h.clock.Advance(2 * time.Second)
		for range 5 {
			_, _, err = h.call(t, named("Main"))
			require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		}
		require.Equal(t, before+1, h.trips.Load(), "no loop")
		require.Equal(t, integration.Reauthorize, h.get(t, a.ID).Status)
	})
}

// A new token that cannot be stored is not used.
func TestDatabaseGoesAwayDuringARenewal(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.callTimeout = 2 * time.Second
		h.clock.Advance(time.Hour)
		away := func(*http.Request, *http.Response) {
			h.between.Store(nil)
			if err := h.db.Close(); err != nil {
				t.Error(err)
			}
		}
		h.between.Store(&away)
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.Unavailable, core.KindOf(err))

		h.clock.Advance(time.Minute)
		back := newHub(t, h.provider, h.o.Sealer, h.db.URL())
		require.NoError(t, back.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			row, err := tx.LockAuthorization(ctx, a.ID)
			if err == nil {
				_, err = tx.SaveAuthorization(ctx, row) // ends the lease of the one that went away
			}
			return err
		}))
		_, _, err = back.call(t, named("Main"))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		require.Equal(t, map[string]int{"ok": 2, "invalid_grant": 1}, h.TokenCalls())
	})
}

func TestProviderThatFails(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.clock.Advance(time.Hour)
		before := h.trips.Load()
		h.FailTokens(1000, http.StatusBadGateway)
		var waits []time.Duration
		for range 8 {
			_, _, err := h.call(t, named("Main"))
			require.Equal(t, core.Unavailable, core.KindOf(err))
			_, _, err = h.call(t, named("Main"))
			var e *core.Error
			require.ErrorAs(t, err, &e)
			waits = append(waits, e.RetryAfter)
			h.clock.Advance(e.RetryAfter)
		}
		require.Equal(t, before+8, h.trips.Load(), "the second call of each pair finds the provider at rest")
		require.Equal(t, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 60e9, 60e9}, waits)
		require.Equal(t, integration.Authorized, h.get(t, a.ID).Status)
		h.FailTokens(0, 0)
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	})
}

// A token that is about to end goes on being used while it cannot be renewed.
func TestOldTokenWhileTheProviderFails(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		h.authorized(t, "sign-in", "Main")
		h.clock.Advance(time.Hour - 20*time.Second)
		h.FailTokens(1000, http.StatusTooManyRequests)
		for range 3 {
			_, accepted, err := h.call(t, named("Main"))
			require.NoError(t, err)
			require.True(t, accepted)
		}
		require.Equal(t, 1, h.TokenCalls()["429"])
		h.clock.Advance(20 * time.Second)
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.Unavailable, core.KindOf(err))
	})
}

func TestCallerGoesAway(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		h.authorized(t, "sign-in", "Main")
		h.clock.Advance(time.Hour)
		arrived, release := h.HoldTokens()
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := make(chan error, 1), make(chan error, 1)
		one, two := h.request(t), h.request(t)
		go func() {
			_, err := h.Authorize(ctx, named("Main"), one)
			gone <- err
		}()
		<-arrived
		go func() {
			_, err := h.Authorize(t.Context(), named("Main"), two)
			stays <- err
		}()
		cancel()
		require.ErrorIs(t, <-gone, context.Canceled)
		release()
		require.NoError(t, <-stays)
		require.Equal(t, map[string]int{"ok": 2}, h.TokenCalls())
	})
}

func TestRenewalThatHangs(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.clock.Advance(time.Hour)
		h.callTimeout = time.Second
		_, release := h.HoldTokens()
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.Unavailable, core.KindOf(err))
		require.ErrorContains(t, err, "did not answer in time")
		require.NotContains(t, err.Error(), h.host)
		h.wait()
		h.callTimeout = callTimeout
		release()
		h.clock.Advance(time.Second)
		h.authorizedAgain(t, a) // the held call may have used the refresh token up
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	})
}

func (h *hub) authorizedAgain(t testing.TB, a integration.Authorization) {
	t.Helper()
	address, err := h.Begin(t.Context(), tenant, a.ID, "session")
	require.NoError(t, err)
	_, err = h.Finish(t.Context(), tenant, "session", "acme", h.signIn(t, address))
	require.NoError(t, err)
}

func TestRejectedToken(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		h.authorized(t, "sign-in", "Main")
		stamp, _, err := h.call(t, named("Main"))
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := h.Rejected(ctx, named("Main"), stamp); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Equal(t, map[string]int{"ok": 2}, h.TokenCalls(), "renewed once")
		newer, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
		require.NotEqual(t, stamp, newer)

		err = h.Rejected(ctx, named("Main"), newer)
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err), "a provider that rejects all tokens is not asked for one a call")
		require.Equal(t, map[string]int{"ok": 2}, h.TokenCalls())
		h.clock.Advance(time.Minute)
		require.NoError(t, h.Rejected(ctx, named("Main"), newer))
		require.Equal(t, map[string]int{"ok": 3}, h.TokenCalls())

		h.Server.RevokeAll()
		newer, _, err = h.call(t, named("Main"))
		require.NoError(t, err)
		h.clock.Advance(time.Minute)
		require.Equal(t, core.NeedsAuthorization, core.KindOf(h.Rejected(ctx, named("Main"), newer)))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(h.Rejected(ctx, named("Main"), newer)))
	})
}

// What the provider hands out while an administrator edits is of no use.
func TestEditDuringARenewal(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		a := h.authorized(t, "sign-in", "Main")
		h.clock.Advance(time.Hour)
		arrived, release := h.HoldTokens()
		done, req := make(chan error, 1), h.request(t)
		go func() {
			_, err := h.Authorize(ctx, named("Main"), req)
			done <- err
		}()
		<-arrived
		h.enforce(t, strings.Replace(acmeFile, "    revoke: http://AT/acme/revoke\n", "", 1)) // else the held call is refused
		_, err := h.Update(ctx, tenant, admin, a.ID, draft("sign-in", "Main"))
		require.NoError(t, err)
		h.enforce(t, acmeFile)
		release()
		require.Equal(t, core.NeedsAuthorization, core.KindOf(<-done))
		require.Len(t, h.revocations(), 1, "what nobody will use is given back")
		require.Equal(t, integration.Pending, h.get(t, a.ID).Status)
		require.Nil(t, h.tokens(t, a.ID))
	})
}

func TestNoRefreshToken(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		without := func(r *http.Request, resp *http.Response) {
			if strings.HasSuffix(r.URL.Path, "/access_token") {
				data, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				resp.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(data), `"refresh_token"`, `"x"`)))
			}
		}
		h.between.Store(&without)
		a := h.authorized(t, "sign-in", "Main")
		_, _, err := h.call(t, named("Main"))
		require.NoError(t, err)
		h.clock.Advance(time.Hour)
		calls := h.TokenCalls()
		_, _, err = h.call(t, named("Main"))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		require.Contains(t, h.get(t, a.ID).Reason, "no refresh token")
		require.Equal(t, calls, h.TokenCalls())
	})
}

// Providers that do not rotate answer without a refresh token: the first stays.
func TestKeptRefreshTokenAndEndlessAccess(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{OmitExpiresIn: true})
	h := newHub(t, p, newSealer(t, randomKey(t)), "sqlite:"+t.TempDir()+"/t.db")
	a := h.authorized(t, "sign-in", "Main")
	require.Zero(t, a.TokenExpires)
	first := h.tokens(t, a.ID)
	p.clock.Advance(10 * 24 * time.Hour)
	stamp, _, err := h.call(t, named("Main"))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"ok": 1}, p.TokenCalls(), "only a 401 renews it")
	require.NoError(t, h.Rejected(t.Context(), named("Main"), stamp))
	next := h.tokens(t, a.ID)
	require.Equal(t, first[refreshToken], next[refreshToken])
	require.NotEqual(t, first[accessToken], next[accessToken])
	require.Equal(t, a.Expires, h.get(t, a.ID).Expires)
}

func TestRunRenewsAhead(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		h.authorized(t, "machine", "Beside")
		h.authorized(t, "key", "Key")
		h.clock.Advance(48*time.Minute - time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		h.renewDue(must(h.follow(ctx)))
		h.wait()
		require.Equal(t, map[string]int{"ok": 2}, h.TokenCalls(), "too early")
		h.clock.Advance(time.Millisecond)
		go func() { h.Run(ctx); close(ended) }()
		require.Eventually(t, func() bool { return h.TokenCalls()["ok"] == 4 }, 20*time.Second, 5*time.Millisecond)
		cancel()
		<-ended
		require.Equal(t, h.clock.Now().Add(time.Hour), h.get(t, a.ID).TokenExpires)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestRenewAfter(t *testing.T) {
	t.Parallel()
	chance := 0.0
	s := New(Options{Chance: func() float64 { return chance }})
	for life, want := range map[time.Duration]time.Duration{
		14 * 24 * time.Hour: 14 * 24 * time.Hour * 4 / 5,
		time.Hour:           48 * time.Minute,
		4 * time.Minute:     3 * time.Minute,
		2 * time.Minute:     time.Minute,
		time.Minute:         48 * time.Second,
		10 * time.Second:    8 * time.Second,
	} {
		require.Equal(t, want, s.renewAfter(life))
	}
	chance = 1
	require.Equal(t, 45*time.Minute, s.renewAfter(time.Hour))
}

func BenchmarkAuthorize(b *testing.B) {
	p := newProvider(b, authserver.Options{})
	h := newHub(b, p, newSealer(b, randomKey(b)), "sqlite:"+b.TempDir()+"/t.db")
	a := h.authorized(b, "sign-in", "Main")
	require.NoError(b, h.MakeDefault(b.Context(), tenant, a.ID, ""))
	req, c := h.request(b), outbound.Credential{Tenant: tenant, Integration: "acme", Node: "create-task"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Authorize(b.Context(), c, req); err != nil {
			b.Fatal(err)
		}
	}
}
