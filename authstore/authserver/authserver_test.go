package authserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core/coretest"
)

const (
	callback = "https://hub.example/oauth/callback/acme?x=1"
	verifier = "a-verifier-that-is-long-enough-for-the-standard-0123456789"
	iss      = "https://acme.example"
)

// site is an authorization server under test, mounted under a vendor's prefix.
type site struct {
	*authserver.Server
	t     *testing.T
	clock *coretest.Clock
	url   string
	http  *http.Client
}

func start(t *testing.T, opts authserver.Options) *site {
	t.Helper()
	clock := coretest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	opts.Clock = clock
	s := authserver.New(opts)
	ts := httptest.NewServer(s)
	t.Cleanup(ts.Close)
	client := ts.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &site{Server: s, t: t, clock: clock, url: ts.URL + "/acme/v1", http: client}
}

// ask is a good authorization request with changes; an empty value removes a
// parameter.
func ask(changes ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {"hub"}, "redirect_uri": {callback}, "state": {"s1"}, "scope": {"read write"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		q.Set(changes[i], changes[i+1])
		if changes[i+1] == "" {
			q.Del(changes[i])
		}
	}
	return "/authorize?" + q.Encode()
}

func (s *site) do(method, path string, form url.Values, headers ...string) (*http.Response, string) {
	s.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	require.NoError(s.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.http.Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res, string(data)
}

// back signs in and returns what the redirect address gets.
func (s *site) back(path string, form url.Values) url.Values {
	s.t.Helper()
	res, body := s.do(http.MethodPost, path, form)
	require.Equal(s.t, http.StatusSeeOther, res.StatusCode, body)
	to, err := res.Location()
	require.NoError(s.t, err)
	require.Equal(s.t, "hub.example", to.Host)
	require.Equal(s.t, "1", to.Query().Get("x"), "the query of the redirect address is kept")
	return to.Query()
}

func (s *site) code(account string) string {
	s.t.Helper()
	got := s.back(ask(), url.Values{"email": {account}, "password": {"sandbox"}, "action": {"sign-in"}})
	require.Empty(s.t, got["error"])
	return got.Get("code")
}

// token calls the token address and returns the status and the answer.
func (s *site) token(form url.Values, headers ...string) (int, map[string]any) {
	s.t.Helper()
	res, body := s.do(http.MethodPost, "/access_token", form, headers...)
	require.Equal(s.t, "no-store", res.Header.Get("Cache-Control"))
	var out map[string]any
	require.NoError(s.t, json.Unmarshal([]byte(body), &out), body)
	if res.StatusCode == http.StatusUnauthorized {
		require.NotEmpty(s.t, res.Header.Get("WWW-Authenticate"))
	}
	return res.StatusCode, out
}

func exchange(code string, changes ...string) url.Values {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
		"code_verifier": {verifier}, "client_id": {"hub"}, "client_secret": {"secret"},
	}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return form
}

func refresh(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"hub"}, "client_secret": {"secret"}}
}

// granted goes the whole way and returns the answer of the token address.
func (s *site) granted(account string) (access, refresh string) {
	s.t.Helper()
	status, out := s.token(exchange(s.code(account)))
	require.Equal(s.t, http.StatusOK, status, out)
	return out["access_token"].(string), out["refresh_token"].(string)
}

func (s *site) refused(want string, form url.Values, headers ...string) {
	s.t.Helper()
	status, out := s.token(form, headers...)
	require.Equal(s.t, want, out["error"], out)
	require.NotEmpty(s.t, out["error_description"])
	if want == "invalid_client" {
		require.Equal(s.t, http.StatusUnauthorized, status)
	} else {
		require.Equal(s.t, http.StatusBadRequest, status)
	}
}
