package authstore

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

// client is an authorization at a token address.
func client(address string) *party {
	g := &integration.Grant{Type: integration.ClientCredentials, Token: address, Revoke: address, Scopes: []string{"a"}, TokenLife: time.Minute}
	e := &entry{
		row: store.Authorization{ID: "1", Tenant: tenant}, secrets: pack(map[string]string{"client_secret": canary}),
		tokens: pack(map[string]string{accessToken: "old-token", refreshToken: "old-refresh"}),
	}
	e.shown.Values = map[string]string{"client_id": "hub"}
	place, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	e.places = []*url.URL{place}
	return &party{e, &integration.Integration{ID: "acme", Base: "https://acme.example", Grants: []integration.Grant{*g}}, g}
}

func TestAnswersOfTheTokenAddress(t *testing.T) {
	t.Parallel()
	const refusedKind = core.Kind("refusal")
	for name, c := range map[string]struct {
		status int
		header string // Retry-After
		body   string
		kind   core.Kind // of the error; empty: none
		says   string
		after  time.Duration
	}{
		"good":                   {200, "", `{"access_token":"t","token_type":"bearer"}`, "", "", 0},
		"life as text":           {200, "", `{"access_token":"t","expires_in":"3600"}`, "", "", 0},
		"refused":                {400, "", `{"error":"invalid_grant","error_description":"gone"}`, refusedKind, "the provider said invalid_grant: gone", 0},
		"refused with 200":       {200, "", `{"error":"bad_verification_code"}`, refusedKind, "the provider said bad_verification_code", 0},
		"refused as a server":    {401, "", `{"error":"server_error","error_description":"access_denied"}`, refusedKind, "access_denied", 0},
		"no words":               {401, "", `no`, core.Unavailable, "answered 401", time.Second},
		"a proxy's page":         {400, "", `<html>`, core.Unavailable, "answered 400", time.Second},
		"slow down":              {400, "", `{"error":"slow_down"}`, core.Unavailable, "answered 400; the provider said slow_down", time.Second},
		"a fault of the server":  {400, "", `{"error":"server_error"}`, core.Unavailable, "answered 400; the provider said server_error", time.Second},
		"too much, as a no":      {403, "", `{"error":"rate_limit_exceeded"}`, core.Unavailable, "answered 403", time.Second},
		"refused by HubSpot":     {400, "", `{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid refresh token"}`, refusedKind, "the provider said no", 0},
		"refused with 403":       {403, "", `{"error":"access_denied"}`, refusedKind, "access_denied", 0},
		"secrets are taken out":  {400, "", `{"error":"invalid_client","error_description":"` + canary + ` old-token aHViOmNhbmFyeS1zZWNyZXQtdmFsdWU="}`, refusedKind, "the provider said invalid_client: [redacted] [redacted] [redacted]", 0},
		"a page in the way":      {404, "", `<html>` + canary, core.Unavailable, "answered 404", time.Second},
		"a wall":                 {403, "", `<html>`, core.Unavailable, "answered 403", time.Second},
		"a redirect":             {302, "", ``, core.Unavailable, "answered 302", time.Second},
		"down":                   {503, "", `{"error":"invalid_grant"}`, core.Unavailable, "answered 503", time.Second},
		"not now":                {400, "", `{"error":"temporarily_unavailable"}`, core.Unavailable, "answered 400", time.Second},
		"too much":               {429, "7", ``, core.Unavailable, "answered 429", 7 * time.Second},
		"too much for long":      {429, "99999999999999", ``, core.Unavailable, "answered 429", time.Minute},
		"too much, garbage":      {429, "-1", ``, core.Unavailable, "answered 429", time.Second},
		"no token":               {200, "", `{"token_type":"bearer"}`, core.Unavailable, "gave no answer of use", time.Second},
		"no JSON":                {200, "", `<html>` + canary, core.Unavailable, "gave no answer of use", time.Second},
		"token of several lines": {200, "", `{"access_token":"a\r\nX-Evil: 1"}`, refusedKind, "no header can carry", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Retry-After", c.header)
				w.Header().Set("Location", "https://evil.example")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			s := New(Options{HTTP: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}})
			p := client(server.URL + "/token")
			a, err := s.tokenCall(t.Context(), p, "", p.ask(time.Now()))
			require.Equal(t, 1, calls, "never sent twice")
			if c.kind == "" {
				require.NoError(t, err)
				require.Equal(t, "t", a.tokens.reveal()[accessToken])
				require.Contains(t, []time.Duration{time.Minute, time.Hour}, a.life)
				require.Equal(t, []string{"a"}, a.scopes)
				return
			}
			require.ErrorContains(t, err, c.says)
			for _, hidden := range []string{canary, "old-token", server.URL} {
				require.NotContains(t, fmt.Sprintf("%+v", err), hidden)
			}
			if _, refused := errors.AsType[*refusal](err); refused {
				require.Equal(t, refusedKind, c.kind)
				return
			}
			var e *core.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind)
			require.Equal(t, c.after, e.RetryAfter)
		})
	}
}

func TestNoAnswerOfTheTokenAddress(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	p := client(server.URL + "/token")
	_, err := New(Options{HTTP: &http.Client{}}).tokenCall(t.Context(), p, "", p.ask(time.Now()))
	require.Equal(t, core.Unavailable, core.KindOf(err))
	require.NotContains(t, err.Error(), server.URL)
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, inHeader := range []bool{true, false} {
		var got *http.Request
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			got = r
		}))
		p := client(server.URL + "/revoke")
		p.g.InHeader = inHeader
		s := New(Options{HTTP: &http.Client{}})
		s.revoke(t.Context(), p, p.e.tokens)
		server.Close()
		require.Equal(t, "old-refresh", got.PostForm.Get("token"))
		require.Equal(t, "refresh_token", got.PostForm.Get("token_type_hint"))
		user, password, ok := got.BasicAuth()
		require.Equal(t, inHeader, ok)
		if inHeader {
			require.Equal(t, []string{"hub", canary}, []string{user, password})
			require.False(t, got.PostForm.Has("client_secret"))
		} else {
			require.Equal(t, []string{"hub"}, got.PostForm["client_id"])
			require.Equal(t, []string{canary}, got.PostForm["client_secret"])
		}
	}
}

func TestHeaderOfKeysRefusesLineBreaks(t *testing.T) {
	t.Parallel()
	for _, g := range []integration.Grant{
		{Type: integration.APIKey, Header: "X-Api-Key", Value: "{client_secret}"},
		{Type: integration.Basic, Username: "{client_id}", Password: "{client_secret}"},
		{Type: integration.Bearer},
	} {
		for _, bad := range []string{"a\r\nX-Evil: 1", "a\n", "a\x00"} {
			p := client("https://acme.example/token")
			p.g = &g
			p.e.secrets = pack(map[string]string{"client_secret": bad, "token": bad})
			_, _, err := p.header()
			if g.Type == integration.Basic && bad == "a\x00" {
				require.NoError(t, err, "base64 carries it")
				continue
			}
			require.Equal(t, core.Invalid, core.KindOf(err), "%s %q", g.Type, bad)
			require.NotContains(t, err.Error(), "Evil")
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"  a\tb\r\n\x00\x1b[31mc\u202e ": "a b [31mc",
		"\xff\xfea":                      "a",
		strings.Repeat("ä", 20):          strings.Repeat("ä", 9) + "…",
	} {
		require.Equal(t, want, clean(in, 10))
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for in, want := range map[any]time.Duration{
		3600.0: time.Hour, "3600": time.Hour, int64(60): time.Minute, -1.0: 0, "x": 0, nil: 0, true: 0, 1e300: 10 * 366 * 24 * time.Hour,
	} {
		require.Equal(t, want, seconds(in), in)
	}
	require.Zero(t, seconds("NaN"))
}

// The library must not be left to try one way to authenticate after the other.
func TestFixedStyle(t *testing.T) {
	t.Parallel()
	p := client("https://acme.example/token")
	for inHeader, want := range map[bool]oauth2.AuthStyle{true: oauth2.AuthStyleInHeader, false: oauth2.AuthStyleInParams} {
		p.g.InHeader = inHeader
		c, err := p.config("")
		require.NoError(t, err)
		require.Equal(t, want, c.Endpoint.AuthStyle)
	}
}
