package authserver_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
)

func TestCode(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Extra: func(account string) map[string]any { return map[string]any{"instance_url": "https://" + account} }})
	status, out := s.token(exchange(s.code("a@b.example")))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "Bearer", out["token_type"])
	require.EqualValues(t, 14*24*3600, out["expires_in"])
	require.EqualValues(t, 90*24*3600, out["refresh_token_expires_in"])
	require.Equal(t, "read write", out["scope"])
	require.Equal(t, "https://a@b.example", out["instance_url"])
	account, ok := s.Valid(out["access_token"].(string))
	require.True(t, ok)
	require.Equal(t, "a@b.example", account)
	_, ok = s.Valid(out["refresh_token"].(string))
	require.False(t, ok, "a refresh token opens nothing")
	_, ok = s.Valid("")
	require.False(t, ok)

	s.clock.Advance(14 * 24 * time.Hour)
	_, ok = s.Valid(out["access_token"].(string))
	require.False(t, ok, "it has expired")
}

func TestCodeIsSpentByAnyFault(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{})
	for name, change := range map[string][]string{
		"verifier": {"code_verifier", verifier + "x"},
		"redirect": {"redirect_uri", callback + "&"},
		"client":   {"client_id", "other"},
	} {
		code := s.code("a@b.example")
		s.refused("invalid_grant", exchange(code, change...))
		s.refused("invalid_grant", exchange(code))
		require.NotEmpty(t, name)
	}
	code := s.code("a@b.example")
	s.clock.Advance(time.Minute)
	s.refused("invalid_grant", exchange(code))
	s.refused("invalid_grant", exchange("no-such-code"))
	s.refused("invalid_request", exchange(""))
	s.refused("invalid_request", exchange("x", "code_verifier", ""))
}

func TestCodeUsedTwiceEndsWhatItGave(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{})
	code := s.code("a@b.example")
	status, out := s.token(exchange(code))
	require.Equal(t, http.StatusOK, status)
	s.refused("invalid_grant", exchange(code))
	_, ok := s.Valid(out["access_token"].(string))
	require.False(t, ok)
	s.refused("invalid_grant", refresh(out["refresh_token"].(string)))
	require.Equal(t, map[string]int{"ok": 1, "invalid_grant": 2}, s.TokenCalls())
}

func TestRotation(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Rotate: true, AccessLife: time.Hour})
	access, first := s.granted("a@b.example")
	s.refused("invalid_grant", refresh(access))

	s.clock.Advance(60 * 24 * time.Hour)
	status, out := s.token(refresh(first))
	require.Equal(t, http.StatusOK, status)
	second := out["refresh_token"].(string)
	require.NotEqual(t, first, second)
	require.EqualValues(t, 3600, out["expires_in"])

	s.clock.Advance(60 * 24 * time.Hour)
	status, out = s.token(refresh(second))
	require.Equal(t, http.StatusOK, status, "each refresh token lives its own life")
	third := out["refresh_token"].(string)

	s.refused("invalid_grant", refresh(first))
	_, ok := s.Valid(out["access_token"].(string))
	require.False(t, ok, "an old refresh token ends the grant")
	s.refused("invalid_grant", refresh(third))
}

func TestNoRotation(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{OmitExpiresIn: true})
	_, first := s.granted("a@b.example")
	for range 20 { // more than a grant's access tokens
		status, out := s.token(refresh(first))
		require.Equal(t, http.StatusOK, status)
		require.NotContains(t, out, "refresh_token")
		require.NotContains(t, out, "expires_in")
		_, ok := s.Valid(out["access_token"].(string))
		require.True(t, ok)
	}
	narrow := refresh(first)
	narrow.Set("scope", "read")
	_, out := s.token(narrow)
	require.Equal(t, "read", out["scope"])
	narrow.Set("scope", "read admin")
	s.refused("invalid_scope", narrow)

	other := refresh(first)
	other.Set("client_id", "other")
	s.refused("invalid_grant", other)
	s.refused("invalid_request", refresh(""))
	s.clock.Advance(90 * 24 * time.Hour)
	s.refused("invalid_grant", refresh(first))
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Clients: map[string]string{"hub:1": "se cret%"}})
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}
	basic := func(id, secret string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
	}
	status, out := s.token(form, "Authorization", basic("hub:1", "se cret%"))
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, out, "refresh_token")
	account, ok := s.Valid(out["access_token"].(string))
	require.True(t, ok)
	require.Equal(t, "hub:1", account)

	s.refused("invalid_client", form)
	s.refused("invalid_client", form, "Authorization", basic("hub:1", "wrong"))
	s.refused("invalid_client", form, "Authorization", basic("other", ""))
	s.refused("invalid_client", form, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("%zz:%zz")))
	body := url.Values{"grant_type": {"client_credentials"}, "client_id": {"hub:1"}, "client_secret": {"se cret%"}}
	status, _ = s.token(body)
	require.Equal(t, http.StatusOK, status)
	s.refused("invalid_request", body, "Authorization", basic("hub:1", "se cret%"))
	body["client_id"] = []string{"hub:1", "hub:1"}
	s.refused("invalid_request", body)
}

func TestPasswordAndUnknownGrants(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{})
	form := url.Values{"grant_type": {"password"}, "client_id": {"hub"}, "username": {"key-id"}, "password": {"sandbox"}}
	status, out := s.token(form)
	require.Equal(t, http.StatusOK, status)
	require.NotEmpty(t, out["refresh_token"])
	account, _ := s.Valid(out["access_token"].(string))
	require.Equal(t, "key-id", account)
	form.Set("password", "wrong")
	s.refused("invalid_grant", form)
	s.refused("unsupported_grant_type", url.Values{"grant_type": {"implicit"}, "client_id": {"hub"}})
	s.refused("invalid_request", url.Values{"client_id": {"hub"}})
	s.refused("invalid_request", url.Values{"client_id": {strings.Repeat("x", 3000)}})
}

func TestAssertion(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s := start(t, authserver.Options{
		Clients: map[string]string{"hub": "secret", "free": ""}, Keys: map[string]*rsa.PublicKey{"hub": &key.PublicKey},
	})
	exp := s.clock.Now().Add(3 * time.Minute).Unix()
	claims := func(changes ...any) map[string]any {
		m := map[string]any{"iss": "hub", "sub": "a@b.example", "aud": "https://login.example", "exp": exp}
		for i := 0; i < len(changes); i += 2 {
			m[changes[i].(string)] = changes[i+1]
		}
		return m
	}
	sign := func(alg string, claims map[string]any) url.Values {
		head, err := json.Marshal(map[string]string{"alg": alg, "typ": "JWT"})
		require.NoError(t, err)
		body, err := json.Marshal(claims)
		require.NoError(t, err)
		input := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
		sum := sha256.Sum256([]byte(input))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		require.NoError(t, err)
		return url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
			"assertion":  {input + "." + base64.RawURLEncoding.EncodeToString(sig)},
		}
	}
	for _, good := range []map[string]any{claims(), claims("iss", "free"), claims("aud", []string{"a"})} {
		status, out := s.token(sign("RS256", good))
		require.Equal(t, http.StatusOK, status, out)
		require.NotContains(t, out, "refresh_token")
		account, _ := s.Valid(out["access_token"].(string))
		require.Equal(t, "a@b.example", account)
	}
	forged := sign("RS256", claims())
	forged.Set("assertion", forged.Get("assertion")[:200]+"AAAA")
	for name, form := range map[string]url.Values{
		"other algorithm": sign("none", claims()),
		"expired":         sign("RS256", claims("exp", s.clock.Now().Unix())),
		"too long":        sign("RS256", claims("exp", exp+7200)),
		"no end":          sign("RS256", claims("exp", nil)),
		"no audience":     sign("RS256", claims("aud", "")),
		"no subject":      sign("RS256", claims("sub", "")),
		"unknown issuer":  sign("RS256", claims("iss", "other")),
		"bad signature":   forged,
		"two parts":       {"grant_type": forged["grant_type"], "assertion": {"a.b"}},
		"no base64":       {"grant_type": forged["grant_type"], "assertion": {"!.!.!"}},
	} {
		status, out := s.token(form)
		require.Equal(t, http.StatusBadRequest, status, name)
		require.Equal(t, "invalid_grant", out["error"], name)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Clients: map[string]string{"hub": "secret", "other": "secret"}})
	end := func(token, client string) int {
		res, _ := s.do(http.MethodPost, "/revoke", url.Values{"token": {token}, "client_id": {client}, "client_secret": {"secret"}})
		return res.StatusCode
	}
	access, renewal := s.granted("a@b.example")
	require.Equal(t, http.StatusOK, end("unknown", "hub"))
	require.Equal(t, http.StatusOK, end(access, "other"))
	_, ok := s.Valid(access)
	require.True(t, ok, "another client's token stays")
	require.Equal(t, http.StatusUnauthorized, end(access, "nobody"))
	require.Equal(t, http.StatusBadRequest, end("", "hub"))
	require.Equal(t, http.StatusOK, end(renewal, "hub"))
	_, ok = s.Valid(access)
	require.False(t, ok)
	s.refused("invalid_grant", refresh(renewal))

	first, _ := s.granted("a@b.example")
	second, _ := s.granted("b@b.example")
	s.Revoke("a@b.example")
	_, ok = s.Valid(first)
	require.False(t, ok)
	_, ok = s.Valid(second)
	require.True(t, ok)
	s.RevokeAll()
	_, ok = s.Valid(second)
	require.False(t, ok)
}

func TestFailing(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Rotate: true})
	_, renewal := s.granted("a@b.example")
	s.FailTokens(2, http.StatusServiceUnavailable)
	for range 2 {
		status, out := s.token(refresh(renewal))
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.NotEmpty(t, out["error"])
	}
	status, _ := s.token(refresh(renewal))
	require.Equal(t, http.StatusOK, status, "a failed call has changed nothing")
	require.Equal(t, map[string]int{"ok": 2, "503": 2}, s.TokenCalls())
}

func TestHolding(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{Rotate: true})
	_, renewal := s.granted("a@b.example")
	arrived, release := s.HoldTokens()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			res, err := s.http.PostForm(s.url+"/token", refresh(renewal))
			if err == nil {
				_ = res.Body.Close()
			}
		})
	}
	for range 3 {
		<-arrived
	}
	require.Equal(t, map[string]int{"ok": 1}, s.TokenCalls(), "nothing is done for a call that waits")
	release()
	release()
	wg.Wait()
	require.Equal(t, map[string]int{"ok": 2, "invalid_grant": 2}, s.TokenCalls(), "one of three wins under rotation")
	status, _ := s.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {"hub"}})
	require.Equal(t, http.StatusOK, status, "later calls do not wait")
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, authserver.Options{})
	_, renewal := s.granted("a@b.example")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"hub"}}.Encode()
	post := func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/token", strings.NewReader(form))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		s.ServeHTTP(&discard{header: http.Header{}}, req)
	}
	for range 9_999 {
		post()
	}
	s.clock.Advance(15 * 24 * time.Hour)
	post()
	status, _ := s.token(refresh(renewal))
	require.Equal(t, http.StatusOK, status, "what is of no use goes first")
	for range 10_000 {
		post()
	}
	s.refused("invalid_grant", refresh(renewal))
}

// discard is a ResponseWriter that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
