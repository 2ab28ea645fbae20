package authstore

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
)

const (
	signOnSecret   = "canary-client-secret"
	signOnRedirect = "https://hub.example/tandem/console/sso/callback"
)

// signOnIssuer is an OpenID Connect issuer whose token endpoint says what the
// test wants.
type signOnIssuer struct {
	*httptest.Server

	key   *rsa.PrivateKey
	clock *coretest.Clock

	mu      sync.Mutex
	asked   map[string]int  // requests by path
	broken  map[string]bool // by path
	extra   map[string]any  // of the discovery document
	claims  map[string]any  // changes to the id token; nil takes one away
	refuse  string          // body of a refusal by the token endpoint
	status  int             // with refuse
	nonce   string          // of the last sign-in
	form    url.Values      // of the last exchange
	basic   [2]string       // of the last exchange
	sign    *rsa.PrivateKey // nil: key
	noToken bool
}

func newSignOnIssuer(t *testing.T) *signOnIssuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	i := &signOnIssuer{
		key: key, clock: coretest.NewClock(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)),
		asked: map[string]int{}, broken: map[string]bool{},
	}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *signOnIssuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked[r.URL.Path]++
	if i.broken[r.URL.Path] {
		http.Error(w, strings.Repeat("down ", 200), http.StatusBadGateway)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		doc := map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
		}
		for k, v := range i.extra {
			doc[k] = v
		}
		answer = doc
	case "/keys":
		answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "k1", Use: "sig"}}}
	case "/token":
		_ = r.ParseForm()
		i.form = r.PostForm
		i.basic[0], i.basic[1], _ = r.BasicAuth()
		if i.refuse != "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(i.status)
			_, _ = fmt.Fprint(w, i.refuse)
			return
		}
		tokens := map[string]any{"access_token": "a", "token_type": "Bearer"}
		if !i.noToken {
			tokens["id_token"] = i.token()
		}
		answer = tokens
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (i *signOnIssuer) token() string {
	now := i.clock.Now().Unix()
	claims := map[string]any{
		"iss": i.URL, "aud": "hub", "sub": "sub-1", "nonce": i.nonce, "iat": now, "exp": now + 300, "upn": "ann@contoso.example",
	}
	for k, v := range i.claims {
		if v == nil {
			delete(claims, k)
			continue
		}
		claims[k] = v
	}
	key := i.key
	if i.sign != nil {
		key = i.sign
	}
	payload, _ := json.Marshal(claims) //nolint:errchkjson // a test's own
	signer, _ := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "k1"))
	jws, _ := signer.Sign(payload)
	raw, _ := jws.CompactSerialize()
	return raw
}

func (i *signOnIssuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

func (i *signOnIssuer) options() OIDCOptions {
	return OIDCOptions{
		Issuer: i.URL, ClientID: "hub", ClientSecret: signOnSecret, Redirect: signOnRedirect, HTTP: i.Client(), Clock: i.clock,
	}
}

// begin begins a sign-in as a browser would.
func (i *signOnIssuer) begin(t *testing.T, o *OIDC) (secret string, answer url.Values) {
	t.Helper()
	address, secret, err := o.Begin(t.Context())
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	i.set(func() { i.nonce = q.Get("nonce") })
	return secret, url.Values{"state": {q.Get("state")}, "code": {"the-code"}}
}

func mustOIDC(t *testing.T, o OIDCOptions) *OIDC {
	t.Helper()
	made, err := NewOIDC(o)
	require.NoError(t, err)
	return made
}

func TestOIDC(t *testing.T) {
	t.Parallel()
	i := newSignOnIssuer(t)
	o := mustOIDC(t, i.options())
	require.Empty(t, i.asked, "nothing is asked before the first sign-in")
	address, secret, err := o.Begin(t.Context())
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	q := u.Query()
	require.Equal(t, i.URL+"/authorize", "https://"+u.Host+u.Path)
	require.Equal(t, "code", q.Get("response_type"))
	require.Equal(t, signOnRedirect, q.Get("redirect_uri"))
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	require.Contains(t, strings.Fields(q.Get("scope")), "openid")
	require.GreaterOrEqual(t, len(q.Get("state")), 26, "128 bits in base 32")
	require.GreaterOrEqual(t, len(q.Get("nonce")), 26)
	require.NotContains(t, address, signOnSecret)

	i.set(func() { i.nonce = q.Get("nonce") })
	issuer, subject, upn, err := o.Finish(t.Context(), secret, url.Values{"state": {q.Get("state")}, "code": {"the-code"}, "iss": {i.URL}})
	require.NoError(t, err)
	require.Equal(t, []string{i.URL, "sub-1", "ann@contoso.example"}, []string{issuer, subject, upn})
	challenge := sha256.Sum256([]byte(i.form.Get("code_verifier")))
	require.Equal(t, q.Get("code_challenge"), base64.RawURLEncoding.EncodeToString(challenge[:]))
	require.Equal(t, "the-code", i.form.Get("code"))
	require.Equal(t, signOnRedirect, i.form.Get("redirect_uri"))
	require.Equal(t, [2]string{"hub", signOnSecret}, i.basic)

	again, _, err := o.Begin(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, address, again)
	require.Equal(t, 1, i.asked["/.well-known/openid-configuration"], "the document is kept")
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", o, o, o), signOnSecret)
}

func TestOIDCClientAuthentication(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		methods []string
		secret  string
		body    string // the secret in the form
	}{
		{[]string{"client_secret_post"}, signOnSecret, signOnSecret},
		{[]string{"client_secret_post", "client_secret_basic"}, signOnSecret, ""},
		{nil, "", ""},
	} {
		i := newSignOnIssuer(t)
		i.extra = map[string]any{"token_endpoint_auth_methods_supported": tc.methods}
		options := i.options()
		options.ClientSecret = tc.secret
		o := mustOIDC(t, options)
		secret, answer := i.begin(t, o)
		_, _, _, err := o.Finish(t.Context(), secret, answer)
		require.NoError(t, err)
		require.Equal(t, tc.body, i.form.Get("client_secret"))
		require.Equal(t, tc.secret != "" && tc.body == "", i.basic[1] != "")
		require.Equal(t, 1, i.asked["/token"])
	}
}

func TestOIDCClaims(t *testing.T) {
	t.Parallel()
	i := newSignOnIssuer(t)
	o := mustOIDC(t, i.options())
	now := i.clock.Now().Unix()
	for _, tc := range []struct {
		name   string
		claims map[string]any
		upn    string // "" = refused
	}{
		{"upn first", map[string]any{"preferred_username": "p@x", "email": "e@x", "email_verified": true}, "ann@contoso.example"},
		{"preferred", map[string]any{"upn": nil, "preferred_username": "p@x", "email": "e@x", "email_verified": true}, "p@x"},
		{"verified address", map[string]any{"upn": nil, "email": "e@x", "email_verified": true}, "e@x"},
		{"address", map[string]any{"upn": nil, "email": "e@x"}, ""},
		{"address not verified", map[string]any{"upn": nil, "email": "e@x", "email_verified": false}, ""},
		{"address verified in words", map[string]any{"upn": nil, "email": "e@x", "email_verified": "true"}, ""},
		{"no name", map[string]any{"upn": nil}, ""},
		{"no subject", map[string]any{"sub": nil}, ""},
		{"audiences", map[string]any{"aud": []string{"other", "hub"}}, "ann@contoso.example"},
		{"own party", map[string]any{"azp": "hub"}, "ann@contoso.example"},
		{"another party", map[string]any{"aud": []string{"other", "hub"}, "azp": "other"}, ""},
		{"audience", map[string]any{"aud": "other"}, ""},
		{"issuer", map[string]any{"iss": "https://evil.example"}, ""},
		{"issuer with a slash", map[string]any{"iss": i.URL + "/"}, ""},
		{"nonce", map[string]any{"nonce": "another"}, ""},
		{"no nonce", map[string]any{"nonce": nil}, ""},
		{"expired within the skew", map[string]any{"exp": now - 59}, "ann@contoso.example"},
		{"expired", map[string]any{"exp": now - 61}, ""},
		{"no end", map[string]any{"exp": nil}, ""},
		{"early within the skew", map[string]any{"nbf": now + 59}, "ann@contoso.example"},
		{"early", map[string]any{"nbf": now + 61}, ""},
		{"odd claim", map[string]any{"upn": 5}, ""},
	} {
		i.set(func() { i.claims = tc.claims })
		secret, answer := i.begin(t, o)
		_, _, upn, err := o.Finish(t.Context(), secret, answer)
		require.Equal(t, tc.upn, upn, "%s: %v", tc.name, err)
		if tc.upn == "" {
			require.Equal(t, core.Unauthenticated, core.KindOf(err), "%s: %v", tc.name, err)
		}
	}
	require.Equal(t, 1, i.asked["/keys"])

	another, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, change := range []func(){
		func() { i.claims, i.sign = nil, another },
		func() { i.sign, i.noToken = nil, true },
	} {
		i.set(change)
		secret, answer := i.begin(t, o)
		_, _, _, err = o.Finish(t.Context(), secret, answer)
		require.Equal(t, core.Unauthenticated, core.KindOf(err))
	}
}

func TestOIDCAnswers(t *testing.T) {
	t.Parallel()
	i := newSignOnIssuer(t)
	o := mustOIDC(t, i.options())
	for name, change := range map[string]func(a url.Values){
		"no state":      func(a url.Values) { a.Del("state") },
		"another state": func(a url.Values) { a.Set("state", "x") },
		"two states":    func(a url.Values) { a.Add("state", "x") },
		"no code":       func(a url.Values) { a.Del("code") },
		"two codes":     func(a url.Values) { a.Add("code", "x") },
		"issuer":        func(a url.Values) { a.Set("iss", "https://evil.example") },
		"empty issuer":  func(a url.Values) { a.Set("iss", "") },
		"denied":        func(a url.Values) { a.Set("error", "access_denied") },
		"other error":   func(a url.Values) { a.Set("error", "<script>canary</script>") },
	} {
		secret, answer := i.begin(t, o)
		change(answer)
		_, _, _, err := o.Finish(t.Context(), secret, answer)
		require.Equal(t, core.Unauthenticated, core.KindOf(err), name)
		require.NotContains(t, err.Error(), "canary")
	}
	secret, answer := i.begin(t, o)
	for _, wrong := range []string{"", "{}", "x"} {
		_, _, _, err := o.Finish(t.Context(), wrong, answer)
		require.Equal(t, core.Unauthenticated, core.KindOf(err))
		_, _, _, err = o.Finish(t.Context(), wrong, url.Values{"state": {""}, "code": {"c"}})
		require.Equal(t, core.Unauthenticated, core.KindOf(err))
	}
	answer.Set("error", "temporarily_unavailable")
	_, _, _, err := o.Finish(t.Context(), secret, answer)
	require.Equal(t, core.Unavailable, core.KindOf(err))
	require.Zero(t, i.asked["/token"], "no code was sent anywhere")
}

func TestOIDCIssuerThatPromisesToNameItself(t *testing.T) {
	t.Parallel()
	i := newSignOnIssuer(t)
	i.extra = map[string]any{"authorization_response_iss_parameter_supported": true}
	o := mustOIDC(t, i.options())
	secret, answer := i.begin(t, o)
	_, _, _, err := o.Finish(t.Context(), secret, answer)
	require.Equal(t, core.Unauthenticated, core.KindOf(err))
	answer.Set("iss", i.URL)
	_, _, _, err = o.Finish(t.Context(), secret, answer)
	require.NoError(t, err)
}

func TestOIDCRefusals(t *testing.T) {
	t.Parallel()
	i := newSignOnIssuer(t)
	o := mustOIDC(t, i.options())
	for _, tc := range []struct {
		status int
		body   string
		kind   core.Kind
	}{
		{400, `{"error":"invalid_grant","error_description":"` + signOnSecret + `"}`, core.Unauthenticated},
		{401, `{"error":"invalid_client"}`, core.Unauthenticated},
		{400, "wrong secret " + signOnSecret, core.Unauthenticated},
		{429, `{}`, core.Unavailable},
		{500, signOnSecret, core.Unavailable},
		{307, "", core.Unauthenticated},
		{200, "<html>" + signOnSecret, core.Unavailable},
	} {
		i.set(func() { i.status, i.refuse = tc.status, tc.body+" " })
		secret, answer := i.begin(t, o)
		_, _, _, err := o.Finish(t.Context(), secret, answer)
		require.Equal(t, tc.kind, core.KindOf(err), "%d: %v", tc.status, err)
		require.NotContains(t, err.Error(), signOnSecret)
		require.NotContains(t, err.Error(), "the-code")
	}
}

func TestOIDCDeadIssuer(t *testing.T) {
	t.Parallel()
	i := newSignOnIssuer(t)
	o := mustOIDC(t, i.options())
	const discovery = "/.well-known/openid-configuration"
	i.set(func() { i.broken[discovery], i.broken["/keys"] = true, true })
	for range 2 {
		_, _, err := o.Begin(t.Context())
		require.Equal(t, core.Unavailable, core.KindOf(err))
		require.Less(t, len(err.Error()), 500, "the issuer's page is not repeated")
	}
	require.Equal(t, 2, i.asked[discovery], "each sign-in tries again")
	i.set(func() { i.broken[discovery] = false })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, _ = o.Begin(gone) //nolint:dogsled // who has gone learns nothing
	secret, answer := i.begin(t, o)
	_, _, _, err := o.Finish(t.Context(), secret, answer)
	require.Equal(t, core.Unavailable, core.KindOf(err), "the keys cannot be had")
	i.set(func() { i.broken["/keys"] = false })
	_, _, _, err = o.Finish(t.Context(), secret, answer)
	require.NoError(t, err)
}

func TestOIDCStrangeDiscovery(t *testing.T) {
	t.Parallel()
	for _, extra := range []map[string]any{
		{"issuer": "https://evil.example"},
		{"token_endpoint": "http://plain.example/token"},
		{"authorization_endpoint": ""},
		{"jwks_uri": "file:///keys"},
	} {
		i := newSignOnIssuer(t)
		i.extra = extra
		_, _, err := mustOIDC(t, i.options()).Begin(t.Context())
		require.Equal(t, core.Unavailable, core.KindOf(err), "%v", extra)
	}
	i := newSignOnIssuer(t)
	options := i.options()
	options.Issuer += "/"
	_, _, err := mustOIDC(t, options).Begin(t.Context())
	require.Equal(t, core.Unavailable, core.KindOf(err), "the issuer must match exactly")
}

func TestOIDCOptions(t *testing.T) {
	t.Parallel()
	good := newSignOnIssuer(t).options()
	for _, change := range []func(*OIDCOptions){
		func(o *OIDCOptions) { o.Issuer = "http://a" },
		func(o *OIDCOptions) { o.ClientID = "" },
		func(o *OIDCOptions) { o.Redirect = "" },
		func(o *OIDCOptions) { o.Redirect = "/console/sso/callback" },
		func(o *OIDCOptions) { o.Redirect = "http://hub.example/console/sso/callback" },
		func(o *OIDCOptions) { o.HTTP = nil },
		func(o *OIDCOptions) { o.Clock = nil },
	} {
		bad := good
		change(&bad)
		_, err := NewOIDC(bad)
		require.Error(t, err)
	}
	good.Redirect = "http://127.0.0.1:8080/console/sso/callback"
	mustOIDC(t, good)
}
