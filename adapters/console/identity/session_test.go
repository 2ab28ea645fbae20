package identity

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/store"
)

func TestCookie(t *testing.T) {
	t.Parallel()
	b := newRig(t).browser()
	require.Empty(t, b.page())
	require.Empty(t, b.last, "a visitor gets no session for a page")
	b.signIn(annUPN, password)
	require.Len(t, b.last, 1)
	c := b.last[0]
	require.Equal(t, "__Host-tandem", c.Name)
	require.True(t, c.Secure && c.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, c.SameSite)
	require.Equal(t, "/", c.Path)
	require.Empty(t, c.Domain)
	require.Zero(t, c.MaxAge)
	require.GreaterOrEqual(t, len(c.Value), 43, "256 bits")
	require.Equal(t, annUPN+" admin", b.page())
	require.Empty(t, b.last, "the cookie is not given twice")
}

func TestSessionFixation(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	b.jar[cookieName] = "planted"
	b.signIn(annUPN, password)
	require.NotEqual(t, "planted", b.jar[cookieName])

	b = r.browser()
	b.post("/console/flash?text=hello")
	planted := b.jar[cookieName]
	require.NotEmpty(t, planted)
	name := b.get("/console/name").Body.String()
	b.signIn(annUPN, password)
	first := b.jar[cookieName]
	require.NotEqual(t, planted, first)
	require.NotEqual(t, name, b.get("/console/name").Body.String())
	require.Equal(t, annUPN+" admin", b.page(), "nothing of the old session is left")
	b.signIn(annUPN, password)
	require.NotEqual(t, first, b.jar[cookieName])
	for _, old := range []string{planted, first} {
		other := r.browser()
		other.jar[cookieName] = old
		require.Empty(t, other.page())
	}
}

func TestSessionName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.Empty(t, r.browser().get("/console/name").Body.String())
	b, other := r.signedIn(t), r.signedIn(t)
	name := b.get("/console/name").Body.String()
	require.NotEmpty(t, name)
	require.NotContains(t, name, b.jar[cookieName])
	require.Equal(t, name, b.get("/console/name").Body.String())
	require.NotEqual(t, name, other.get("/console/name").Body.String())
}

func TestIdleAndAbsoluteEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	r.clock.Advance(sessionIdle - time.Second)
	require.NotEmpty(t, b.page())
	r.clock.Advance(sessionIdle - time.Second)
	require.NotEmpty(t, b.page(), "a page keeps the session alive")
	r.clock.Advance(sessionIdle)
	require.Empty(t, b.page())

	b = r.signedIn(t)
	for began := r.clock.Now(); r.clock.Now().Sub(began) < sessionLife-20*time.Minute; {
		r.clock.Advance(20 * time.Minute)
		require.NotEmpty(t, b.page())
	}
	r.clock.Advance(20 * time.Minute)
	require.Empty(t, b.page(), "twelve hours are the end of any session")
}

func TestLivePollsDoNotProlong(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	poller := *b
	poller.headers = map[string]string{LiveHeader: "1"}
	b.post("/console/flash?text=hello")
	for range 2 {
		r.clock.Advance(10 * time.Minute)
		require.Equal(t, annUPN+" admin", poller.page(), "and takes no message from the next page")
	}
	r.clock.Advance(10 * time.Minute)
	require.Empty(t, poller.page())
	require.Empty(t, b.page())

	b = r.signedIn(t)
	b.headers[LiveHeader] = "1"
	r.clock.Advance(20 * time.Minute)
	b.post("/console/flash?text=hello")
	r.clock.Advance(20 * time.Minute)
	delete(b.headers, LiveHeader)
	require.Equal(t, annUPN+" admin hello", b.page(), "what a person sends counts, whatever it says of itself")
}

func TestSignOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	stolen := r.browser()
	stolen.jar[cookieName] = b.jar[cookieName]
	require.NotEmpty(t, stolen.page())
	require.Equal(t, http.StatusSeeOther, b.post("/console/logout").Code)
	require.Empty(t, b.jar)
	require.Empty(t, b.page())
	require.Empty(t, stolen.page(), "the session is gone, not only the cookie")
	require.Equal(t, http.StatusSeeOther, b.post("/console/logout").Code)
}

func TestSignOutMeetsARequestUnderWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	s := r.sessions.Store.(*sessionStore) //nolint:forcetypeassert // the only one
	ctx := context.Background()
	loaded, err := r.sessions.Load(ctx, b.jar[cookieName])
	require.NoError(t, err)
	b.post("/console/logout")
	_, _, err = r.sessions.Commit(loaded)
	require.Error(t, err)
	_, found, err := s.FindCtx(ctx, b.jar[cookieName])
	require.NoError(t, err)
	require.False(t, found, "an ended session does not come back")
}

func TestCrossSite(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, tc := range []struct {
		name    string
		headers map[string]string
		refused bool
	}{
		{"own page", map[string]string{"Sec-Fetch-Site": "same-origin"}, false},
		{"own page of an old browser", map[string]string{"Origin": "http://localhost:8080"}, false},
		{"typed", map[string]string{"Sec-Fetch-Site": "none"}, false},
		{"other site", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		{"neighbour", map[string]string{"Sec-Fetch-Site": "same-site"}, true},
		{"other site, old browser", map[string]string{"Origin": "https://evil.example"}, true},
		{"no origin", map[string]string{"Origin": "null"}, true},
		{"script's header", map[string]string{"Sec-Fetch-Site": "cross-site", "X-Requested-With": "XMLHttpRequest"}, true},
		{"method override", map[string]string{"Sec-Fetch-Site": "cross-site", "X-Http-Method-Override": "GET"}, true},
	} {
		b := r.signedIn(t)
		b.headers = tc.headers
		code := b.post("/console/logout").Code
		if !tc.refused {
			require.Equal(t, http.StatusSeeOther, code, tc.name)
			continue
		}
		require.Equal(t, http.StatusForbidden, code, tc.name)
		require.NotEmpty(t, b.page(), "%s: nothing has happened, and links from elsewhere work", tc.name)
	}
}

func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for host, allowed := range map[string]bool{
		"localhost": true, "localhost:8080": true, "127.0.0.1:8080": true, "127.1.2.3": true, "[::1]:80": true, "[::1]": true,
		"hub.example": false, "192.0.2.1:8080": false, "localhost.example": false, "127.0.0.1.example": false, "": false,
	} {
		b := r.browser()
		b.host = host
		rec := b.get("/console")
		require.Equal(t, allowed, rec.Code == http.StatusOK, host)
		if !allowed {
			require.Equal(t, http.StatusForbidden, rec.Code)
			require.Contains(t, rec.Body.String(), "HTTPS_NEEDED")
			require.Equal(t, http.StatusForbidden, b.signIn(annUPN, password).Code)
		}
	}
	b := r.browser()
	b.host = "hub.example"
	require.Equal(t, http.StatusOK, b.get("https://hub.example/console").Code)
}

func TestRequire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	require.Equal(t, http.StatusUnauthorized, b.get("/console/any").Code)
	require.Equal(t, http.StatusUnauthorized, b.get("/console/people").Code)
	b = r.signedIn(t)
	require.Equal(t, http.StatusNoContent, b.get("/console/people").Code)

	_, err := r.Add(t.Context(), "contoso", "bob@contoso.example", "", Admin, password)
	require.NoError(t, err)
	require.NoError(t, r.Change(t.Context(), "contoso", r.ann.ID, "Ann", Viewer, ""))
	require.Equal(t, http.StatusForbidden, b.get("/console/people").Code, "the new role holds at once")
	require.Equal(t, http.StatusNoContent, b.get("/console/any").Code)

	require.NoError(t, r.Remove(t.Context(), "contoso", r.ann.ID))
	require.Equal(t, http.StatusUnauthorized, b.get("/console/any").Code)
}

func TestTenantThatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	r.tenants = []string{"fabrikam"}
	require.Empty(t, b.page())
	require.Equal(t, http.StatusUnauthorized, r.browser().signIn(annUPN, password).Code)
}

func TestFlash(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	b.get("/console/flash?text=hello")
	require.Empty(t, b.last, "a visitor's GET stores nothing")
	b.post("/console/flash?text=hello")
	require.Equal(t, "hello", b.page())
	require.Empty(t, b.page())
	b = r.signedIn(t)
	b.get("/console/flash?text=hello")
	require.Equal(t, annUPN+" admin hello", b.page())
	require.Equal(t, annUPN+" admin", b.page())
}

func TestReturnTo(t *testing.T) {
	t.Parallel()
	b := newRig(t).browser()
	for _, to := range []string{"/console", "/console/integrations/zendesk?a=b&c=d", "/console/x%20y"} {
		b.get("/console/leave?to=" + url.QueryEscape(to))
		require.Equal(t, to, b.get("/console/back").Body.String())
		require.Empty(t, b.get("/console/back").Body.String())
	}
	for _, to := range []string{
		"", "/", "/admin", "/consoles", "//evil.example/console", "https://evil.example/console", "/console/../admin", "/console/..",
		"/console//evil.example", "/console/\\evil.example", "/console\n", "/console#x", "javascript:/console", "/console/" + strings.Repeat("x", maxReturn),
	} {
		b.get("/console/leave?to=" + url.QueryEscape(to))
		require.Empty(t, b.get("/console/back").Body.String(), to)
		require.False(t, local(to), to)
	}
	b.jar[returnCookie] = "aHR0cHM6Ly9ldmlsLmV4YW1wbGU"
	require.Empty(t, b.get("/console/back").Body.String(), "what the browser brings is looked at as well")
}

func TestPrune(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	token, err := NewSetupToken(t.Context(), r.db, r.clock, "contoso")
	require.NoError(t, err)
	b := r.signedIn(t)
	require.NoError(t, r.Prune(t.Context()))
	require.NotEmpty(t, b.page())
	require.Equal(t, http.StatusOK, r.browser().post("/console/setup", "token", token, "upn", "new@contoso.example", "password", password).Code)
	r.clock.Advance(setupLife + time.Second)
	require.NoError(t, r.Prune(t.Context()))
	require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.PruneSessions(ctx, r.clock.Now().Add(24*time.Hour), 10)
		require.Zero(t, n)
		return err
	}))
}

func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	require.NoError(t, r.db.Close())
	require.GreaterOrEqual(t, b.get("/console/any").Code, 500, "nobody is let in by a fault")
}
