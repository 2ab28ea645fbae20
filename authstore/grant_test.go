package authstore

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

func TestBegin(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.add(t, draft("sign-in", "Main"))
		seen := map[string]bool{}
		for range 3 {
			address, err := h.Begin(t.Context(), tenant, a.ID, "session")
			require.NoError(t, err)
			u, err := url.Parse(address)
			require.NoError(t, err)
			q := u.Query()
			require.Equal(t, "http://"+h.host+"/acme/authorize", strings.TrimSuffix(address, "?"+u.RawQuery))
			require.Equal(t, "S256", q.Get("code_challenge_method"))
			require.Equal(t, redirect, q.Get("redirect_uri"))
			require.Equal(t, "read write:eu", q.Get("scope"))
			require.Equal(t, "consent", q.Get("prompt"))
			require.GreaterOrEqual(t, len(q.Get("state")), 26, "128 bits and more in base32")
			for _, once := range []string{q.Get("state"), q.Get("code_challenge")} {
				require.False(t, seen[once])
				seen[once] = true
			}
		}
		key := h.add(t, draft("key", "Key"))
		_, err := h.Begin(t.Context(), tenant, key.ID, "session")
		require.Equal(t, core.Invalid, core.KindOf(err))
		_, err = h.Grant(t.Context(), tenant, a.ID)
		require.Equal(t, core.Invalid, core.KindOf(err))
		d := draft("sign-in", "Other")
		d.Integration = "other"
		other := h.add(t, d)
		_, err = h.Begin(t.Context(), tenant, other.ID, "session")
		require.Equal(t, core.NotConfigured, core.KindOf(err), "no redirect address")
	})
}

func TestFinishRefuses(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		a := h.add(t, draft("sign-in", "Main"))
		begin := func() url.Values {
			t.Helper()
			address, err := h.Begin(ctx, tenant, a.ID, "session")
			require.NoError(t, err)
			return h.signIn(t, address)
		}
		refused := func(kind core.Kind, session, id string, answer url.Values) error {
			t.Helper()
			_, err := h.Finish(ctx, tenant, session, id, answer)
			require.Equal(t, kind, core.KindOf(err), err)
			require.Equal(t, integration.Pending, h.get(t, a.ID).Status)
			require.Nil(t, h.tokens(t, a.ID), "nothing is stored")
			return err
		}
		refused(core.Invalid, "session", "acme", url.Values{})
		refused(core.Invalid, "session", "acme", url.Values{"code": {"c"}})
		refused(core.Invalid, "session", "acme", url.Values{"code": {"c"}, "state": {"unknown"}})

		answer := begin()
		refused(core.Invalid, "another session", "acme", answer)
		double := url.Values{"code": answer["code"], "state": {answer.Get("state"), "x"}}
		refused(core.Invalid, "session", "acme", double)
		_, err := h.Finish(ctx, tenant, "session", "acme", answer)
		require.NoError(t, err, "somebody else's try does not end the sign-in")
		_, err = h.Finish(ctx, tenant, "session", "acme", answer)
		require.Equal(t, core.Invalid, core.KindOf(err), "a state counts once")
		require.Equal(t, integration.Authorized, h.get(t, a.ID).Status)
		_, err = h.Update(ctx, tenant, admin, a.ID, draft("sign-in", "Main"))
		require.NoError(t, err)

		answer = begin()
		refused(core.Invalid, "session", "other", answer)
		refused(core.Invalid, "session", "acme", answer)

		answer = begin()
		h.clock.Advance(10*time.Minute + time.Millisecond)
		refused(core.Invalid, "session", "acme", answer)

		answer = begin()
		h.add(t, draft("key", "Beside")) // another one's edit does not matter
		_, err = h.Update(ctx, tenant, admin, a.ID, draft("sign-in", "Main"))
		require.NoError(t, err)
		refused(core.Conflict, "session", "acme", answer)

		for _, iss := range [][]string{{"http://evil.example"}, nil, {"http://" + h.host + "/acme", "x"}} {
			answer = begin()
			answer["iss"] = iss
			calls := len(h.forms)
			refused(core.Conflict, "session", "acme", answer)
			require.Len(t, h.forms, calls, "the code is sent nowhere")
		}

		answer = begin()
		answer.Del("code")
		answer.Set("error", "access_denied")
		answer.Set("error_description", "<b>no</b>\r\nway "+canary+strings.Repeat("x", 500))
		err = refused(core.Conflict, "session", "acme", answer)
		require.ErrorContains(t, err, "the provider said access_denied: <b>no</b> way [redacted]")
		require.Equal(t, err.Error(), h.get(t, a.ID).Reason)
		require.LessOrEqual(t, len([]rune(err.Error())), 300)

		answer = begin()
		answer.Set("code", "another-code")
		err = refused(core.Conflict, "session", "acme", answer)
		require.ErrorContains(t, err, "invalid_grant")
		require.NotContains(t, err.Error(), "another-code")

		answer = begin()
		h.FailTokens(1, http.StatusBadGateway)
		refused(core.Unavailable, "session", "acme", answer)

		answer = begin()
		require.NoError(t, h.Remove(ctx, tenant, a.ID))
		_, err = h.Finish(ctx, tenant, "session", "acme", answer)
		require.Equal(t, core.Invalid, core.KindOf(err))
	})
}

// An edit while the code is being exchanged wins.
func TestEditDuringTheExchange(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		a := h.add(t, draft("sign-in", "Main"))
		address, err := h.Begin(ctx, tenant, a.ID, "session")
		require.NoError(t, err)
		answer := h.signIn(t, address)
		arrived, release := h.HoldTokens()
		failed := make(chan error)
		go func() {
			_, err := h.Finish(ctx, tenant, "session", "acme", answer)
			failed <- err
		}()
		<-arrived
		_, err = h.Update(ctx, tenant, admin, a.ID, draft("sign-in", "Main"))
		require.NoError(t, err)
		release()
		require.Equal(t, core.Conflict, core.KindOf(<-failed))
		require.Equal(t, integration.Pending, h.get(t, a.ID).Status)
		require.Nil(t, h.tokens(t, a.ID))
		require.Len(t, h.revocations(), 1, "what nobody will use is given back")
	})
}

// A renewal while somebody signs in anew does not spoil the sign-in.
func TestRenewalDuringASignIn(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "Main")
		address, err := h.Begin(t.Context(), tenant, a.ID, "session")
		require.NoError(t, err)
		answer := h.signIn(t, address)
		stamp, _, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.NoError(t, h.Rejected(t.Context(), named("Main"), stamp))
		_, err = h.Finish(t.Context(), tenant, "session", "acme", answer)
		require.NoError(t, err)
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	})
}

func TestGrantsWithoutASignIn(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		h.authorized(t, "machine", "machine")
		form := h.lastForm()
		require.Equal(t, "client_credentials", form.Get("grant_type"))
		require.Equal(t, "eu-api", form.Get("audience"))
		require.Empty(t, form.Get("client_secret"), "in the header")

		h.authorized(t, "robot", "robot")
		require.Equal(t, "sandbox", h.lastForm().Get("password"))
		require.Equal(t, "hub", h.lastForm().Get("client_id"))
		for _, name := range []string{"machine", "robot"} {
			_, accepted, err := h.call(t, named(name))
			require.NoError(t, err)
			require.True(t, accepted)
			h.clock.Advance(2 * time.Hour)
			_, accepted, err = h.call(t, named(name))
			require.NoError(t, err)
			require.True(t, accepted, "asks again")
			require.NotContains(t, h.tokens(t, h.named(t, name).ID), refreshToken)
		}

		bad := h.add(t, draft("robot", "bad", "key", "wrong-canary"))
		_, err := h.Grant(ctx, tenant, bad.ID)
		require.Equal(t, core.Conflict, core.KindOf(err))
		require.NotContains(t, err.Error(), "wrong-canary")
		bad = h.get(t, bad.ID)
		require.Equal(t, integration.Pending, bad.Status)
		require.Equal(t, err.Error(), bad.Reason)
		h.FailTokens(1, http.StatusServiceUnavailable)
		_, err = h.Grant(ctx, tenant, bad.ID)
		require.Equal(t, core.Unavailable, core.KindOf(err))
		require.Contains(t, h.get(t, bad.ID).Reason, "503")
		_, err = h.Update(ctx, tenant, admin, bad.ID, draft("robot", "bad"))
		require.NoError(t, err)
		good, err := h.Grant(ctx, tenant, bad.ID)
		require.NoError(t, err)
		require.Empty(t, good.Reason)
	})
}

func TestKeyPairAndBaseOfTheToken(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{OmitExpiresIn: true})
	h := newHub(t, p, newSealer(t, randomKey(t)), "sqlite:"+t.TempDir()+"/t.db")
	d := draft("jwt", "Main", "client_id", "hub", "user", "ann@acme.example", "private_key", aKey())
	a := h.add(t, d)
	a, err := h.Grant(t.Context(), tenant, a.ID)
	require.NoError(t, err)
	require.Equal(t, jwtGrant, p.lastForm().Get("grant_type"))
	require.Equal(t, "http://"+p.host+"/api", a.Base, "the path is the integration's when the answer names none")
	require.Equal(t, p.clock.Now().Add(10*time.Minute), a.TokenExpires, "as the file says")
	_, accepted, err := h.call(t, named("Main"))
	require.NoError(t, err)
	require.True(t, accepted)

	say := func(base any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.extra = map[string]any{"instance": map[string]any{"url": base}}
	}
	for _, base := range []string{
		"http://evil.example", "http://" + p.host + ".evil.example", "http://u@" + p.host, "http://" + p.host + "?x=1",
		"ftp://" + p.host, "//" + p.host, "evil",
	} {
		say(base)
		_, err := h.Grant(t.Context(), tenant, a.ID)
		require.Equal(t, core.Conflict, core.KindOf(err), base)
	}
	fresh := h.add(t, integration.Draft{Integration: "acme", Grant: "jwt", Name: "Fresh", Values: d.Values})
	for _, base := range []any{"", 7, nil} {
		say(base)
		_, err := h.Grant(t.Context(), tenant, fresh.ID)
		require.Equal(t, core.Conflict, core.KindOf(err), base)
		_, err = h.Grant(t.Context(), tenant, a.ID)
		require.NoError(t, err, "it was told before")
	}
	require.Equal(t, a.Base, h.get(t, a.ID).Base)
	require.Equal(t, integration.Authorized, h.get(t, a.ID).Status, "what works goes on working")
}

func TestKeysAndPasswords(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		key := h.authorized(t, "key", "key")
		require.Equal(t, "key@acme.example", key.Account)
		h.authorized(t, "basic", "basic")
		h.authorized(t, "bearer", "bearer")
		for name, want := range map[string][2]string{
			"key":    {"X-Api-Key", "key=" + canary},
			"basic":  {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("me@acme.example/token:"+canary))},
			"bearer": {"Authorization", "Bearer " + canary},
		} {
			req := h.request(t)
			_, err := h.Authorize(ctx, named(name), req)
			require.NoError(t, err)
			require.Equal(t, http.Header{want[0]: {want[1]}}, req.Header)
		}
		bad := h.add(t, draft("key", "bad", "key", "wrong-canary"))
		_, err := h.Grant(ctx, tenant, bad.ID)
		require.Equal(t, core.Conflict, core.KindOf(err))
		require.Equal(t, "the provider answered 401 to this credential", h.get(t, bad.ID).Reason)

		_, err = h.Update(ctx, tenant, admin, key.ID, integration.Draft{Name: "key"})
		require.NoError(t, err)
		_, _, err = h.call(t, named("key"))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err), "until it is proved again")
	})
}

func TestRejectedKey(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		valid := h.authorized(t, "key", "Valid")
		stamp, err := h.Authorize(ctx, named("Valid"), h.request(t))
		require.NoError(t, err)
		err = h.Rejected(ctx, named("Valid"), stamp)
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		require.ErrorContains(t, err, "though it was good a moment ago")
		require.Equal(t, integration.Authorized, h.get(t, valid.ID).Status, "one endpoint alone does not take it")

		a := h.authorized(t, "bearer", "Main")
		req := h.request(t)
		stamp, err = h.Authorize(ctx, named("Main"), req)
		require.NoError(t, err)
		require.NoError(t, h.Rejected(ctx, named("Main"), stamp+1), "another credential than the current one")
		require.Equal(t, integration.Authorized, h.get(t, a.ID).Status)
		err = h.Rejected(ctx, named("Main"), stamp)
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		require.ErrorContains(t, err, "the provider answered 401")
		require.Equal(t, integration.Reauthorize, h.get(t, a.ID).Status)
		require.Equal(t, integration.Reauthorize, h.statuses()[len(h.statuses())-1])
		_, err = h.Grant(ctx, tenant, a.ID)
		require.NoError(t, err)
		_, err = h.Authorize(ctx, named("Main"), req)
		require.NoError(t, err)
	})
}

// A key that was changed on another replica is not blamed for the old one's 401.
func TestRejectedKeyThatWasChanged(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "bearer", "Main")
		other := newHub(t, h.provider, h.o.Sealer, h.db.URL())
		stamp, err := other.Authorize(t.Context(), named("Main"), h.request(t))
		require.NoError(t, err)
		_, err = h.Update(t.Context(), tenant, admin, a.ID, integration.Draft{Name: "Main", Values: map[string]string{"token": "new-" + canary}})
		require.NoError(t, err)
		_, err = h.Grant(t.Context(), tenant, a.ID)
		require.NoError(t, err)
		require.NoError(t, other.Rejected(t.Context(), named("Main"), stamp))
		req := h.request(t)
		_, err = other.Authorize(t.Context(), named("Main"), req)
		require.NoError(t, err)
		require.Equal(t, "Bearer new-"+canary, req.Header.Get("Authorization"))
	})
}

func TestCredentialGoesToItsHostOnly(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{AccessLife: time.Hour})
	h := newHub(t, p, newSealer(t, randomKey(t)), "sqlite:"+t.TempDir()+"/t.db")
	h.authorized(t, "machine", "Main")
	p.clock.Advance(2 * time.Hour) // a token would have to be fetched
	calls := p.trips.Load()
	host, port, _ := strings.Cut(p.host, ":")
	for _, address := range []string{
		"https://" + p.host + "/api/x", "http://" + host + "/api", "http://evil.example:" + port + "/api", "http://" + p.host + "0/api",
		"http://" + host + ".evil.example:" + port + "/", "http://localhost:" + port + "/api",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		require.NoError(t, err)
		_, err = h.Authorize(t.Context(), named("Main"), req)
		require.Equal(t, core.Forbidden, core.KindOf(err), address)
		var e *core.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "CREDENTIAL_HOST", e.Code)
		require.Empty(t, req.Header)
	}
	req := p.request(t)
	req.Host = "evil.example"
	_, err := h.Authorize(t.Context(), named("Main"), req)
	require.Equal(t, core.Forbidden, core.KindOf(err))
	require.Equal(t, calls, p.trips.Load(), "before any token work")
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	base := func(text string) *entry {
		u, err := url.Parse(text)
		require.NoError(t, err)
		return &entry{places: []*url.URL{u}, row: store.Authorization{Base: text}}
	}
	for _, c := range []struct {
		base, to string
		ok       bool
	}{
		{"https://api.acme.example/v1", "https://API.acme.example:443/v2", true},
		{"http://api.acme.example", "http://api.acme.example:80/", true},
		{"https://api.acme.example:8443", "https://api.acme.example:8443/x", true},
		{"https://api.acme.example", "https://api.acme.example:444", false},
		{"https://api.acme.example", "http://api.acme.example:443", false},
		{"https://api.acme.example", "https://api.acme.example.evil.example", false},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.to, nil)
		require.NoError(t, err)
		require.Equal(t, c.ok, base(c.base).fits(req) == nil, c.to)
	}
}
