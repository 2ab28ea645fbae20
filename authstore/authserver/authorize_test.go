package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
)

func TestSignInPage(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Name: "Acme <CRM>"})
	res, body := s.do(http.MethodGet, ask("login_hint", "a@b.example"), nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, want := range []string{
		"Sign in to Acme &lt;CRM&gt;", "hub", "hub.example", "<code>read</code>", "<code>write</code>",
		`value="a@b.example"`, `href="sandbox/sessions"`, `href="sandbox/style.css"`,
	} {
		require.Contains(t, body, want)
	}
	res, body = s.do(http.MethodGet, "/sandbox/style.css", nil)
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, res.Header.Get("Content-Type"), "text/css")
	require.Contains(t, body, "focus-visible")
}

func TestEveryVendorsSpelling(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{})
	_, query, _ := strings.Cut(ask(), "?")
	for _, path := range []string{"/authorize", "/oauth2/authorize", "/oauth/authorizations/new", "/oauth_auth.do", "/oauth2/v2.0/authorize"} {
		res, _ := s.do(http.MethodGet, path+"?"+query, nil)
		require.Equal(t, http.StatusOK, res.StatusCode, path)
	}
	for _, path := range []string{"/access_token", "/token", "/oauth2/token", "/oauth/tokens", "/oauth_token.do", "/oauth/v1/token", "/revoke", "/oauth2/revoke"} {
		res, _ := s.do(http.MethodPost, path, url.Values{"a": {"b"}})
		require.Equal(t, http.StatusUnauthorized, res.StatusCode, path)
		res, _ = s.do(http.MethodGet, path, nil)
		require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, path)
	}
	for _, path := range []string{"/", "/new", "/sessions", "/style.css", "/tokens.json"} {
		res, _ := s.do(http.MethodGet, path, nil)
		require.Equal(t, http.StatusNotFound, res.StatusCode, path)
	}
	res, _ := s.do(http.MethodDelete, "/authorize?"+query, nil)
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
}

func TestSigningInAndNot(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Issuer: func() string { return iss }})

	got := s.back(ask(), url.Values{"email": {"a@b.example"}, "password": {"sandbox"}})
	require.NotEmpty(t, got.Get("code"))
	require.Equal(t, "s1", got.Get("state"))
	require.Equal(t, iss, got.Get("iss"))

	got = s.back(ask(), url.Values{"action": {"cancel"}})
	require.Equal(t, "access_denied", got.Get("error"))
	require.Equal(t, "s1", got.Get("state"))
	require.Equal(t, iss, got.Get("iss"))
	require.Empty(t, got.Get("code"))

	for _, form := range []url.Values{
		{"email": {"a@b.example"}, "password": {"Sandbox"}},
		{"email": {"nobody"}, "password": {"sandbox"}},
		{},
	} {
		res, body := s.do(http.MethodPost, ask(), form)
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Contains(t, body, `role="alert"`)
		require.Contains(t, body, "password is wrong")
	}
	res, _ := s.do(http.MethodPost, ask(), url.Values{"email": {"a@b.example"}, "password": {"sandbox"}}, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
}

func TestBadAuthorizationRequests(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Clients: map[string]string{"hub": "secret"}})
	for name, path := range map[string]string{
		"no client":           ask("client_id", ""),
		"unknown client":      ask("client_id", "other"),
		"no redirect":         ask("redirect_uri", ""),
		"script redirect":     ask("redirect_uri", "javascript:alert(1)"),
		"relative redirect":   ask("redirect_uri", "/callback"),
		"fragment":            ask("redirect_uri", "https://hub.example/#x"),
		"user in redirect":    ask("redirect_uri", "https://a@hub.example/"),
		"repeated":            ask() + "&client_id=hub",
		"too long a redirect": ask("redirect_uri", "https://hub.example/"+strings.Repeat("x", 2048)),
	} {
		res, body := s.do(http.MethodGet, path, nil)
		require.Equal(t, http.StatusBadRequest, res.StatusCode, name)
		require.Empty(t, res.Header.Get("Location"), name)
		require.Contains(t, body, "have not been sent back", name)
	}
	for want, paths := range map[string][]string{
		"unsupported_response_type": {ask("response_type", "token")},
		"invalid_request": {
			ask("response_type", ""), ask("code_challenge", ""), ask("code_challenge_method", ""),
			ask("code_challenge_method", "plain"), ask("code_challenge", "short"), ask("code_challenge", strings.Repeat("!", 43)),
		},
	} {
		for _, path := range paths {
			res, _ := s.do(http.MethodGet, path, nil)
			require.Equal(t, http.StatusSeeOther, res.StatusCode, path)
			to, err := res.Location()
			require.NoError(t, err)
			require.Equal(t, want, to.Query().Get("error"), path)
			require.Equal(t, "s1", to.Query().Get("state"))
			require.NotContains(t, to.Query(), "iss", "none is configured")
		}
	}
}

func TestSessionsPage(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Name: "Acme"})
	_, body := s.do(http.MethodGet, "/sandbox/sessions", nil)
	require.Contains(t, body, "Nobody has access")

	s.code("unused@b.example")
	access, renewal := s.granted("a@b.example")
	kept, _ := s.granted("kept@b.example")
	_, body = s.do(http.MethodGet, "/sandbox/sessions", nil)
	for _, want := range []string{"a@b.example", "kept@b.example", "<td>Acme</td>", "<td>hub</td>", "read write", "2026-03-01 09:00:00 UTC", "Revoke"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "unused@b.example")

	_, after, _ := strings.Cut(body[strings.Index(body, ">a@b.example<"):], `name="id" value="`)
	id, _, _ := strings.Cut(after, `"`)
	res, _ := s.do(http.MethodPost, "/sandbox/sessions", url.Values{"id": {id}}, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	res, _ = s.do(http.MethodPost, "/sandbox/sessions", url.Values{"id": {id}})
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	to, err := res.Location()
	require.NoError(t, err)
	require.Equal(t, "/acme/v1/sandbox/sessions", to.Path)

	_, ok := s.Valid(access)
	require.False(t, ok)
	s.refused("invalid_grant", refresh(renewal))
	_, ok = s.Valid(kept)
	require.True(t, ok)

	s.clock.Advance(91 * 24 * time.Hour)
	_, body = s.do(http.MethodGet, "/sandbox/sessions", nil)
	require.Contains(t, body, "Nobody has access", "what has expired is not shown")
	res, _ = s.do(http.MethodPut, "/sandbox/sessions", nil)
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
}
