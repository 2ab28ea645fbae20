package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
)

// issuer is a token issuer as Entra is one: discovery, keys, tokens.
type issuer struct {
	*httptest.Server

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	broken  bool
	claimed string // the issuer that discovery names
	fetches atomic.Int32
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /common/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.claimed, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.broken {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		var set []any
		for _, k := range i.keys {
			set = append(set, k.Public())
		}
		set = append(set, map[string]string{"kty": "OKP", "crv": "X448", "kid": "odd"}, map[string]string{"kty": "oct", "k": "c2VjcmV0", "kid": "sym"})
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	})
	i.Server = httptest.NewTLSServer(mux)
	t.Cleanup(i.Close)
	i.claimed = i.template()
	return i
}

func (i *issuer) template() string { return i.URL + "/{tenantid}/v2.0" }

func (i *issuer) set(f func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	f()
}

// add makes a key of the issuer.
func (i *issuer) add(t *testing.T, id string, algorithm jose.SignatureAlgorithm) jose.JSONWebKey {
	t.Helper()
	key := newJWK(t, id, algorithm)
	i.set(func() { i.keys = append(i.keys, key) })
	return key
}

func newJWK(t *testing.T, id string, algorithm jose.SignatureAlgorithm) jose.JSONWebKey {
	t.Helper()
	var private any
	var err error
	if algorithm == jose.ES256 {
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	require.NoError(t, err)
	return jose.JSONWebKey{Key: private, KeyID: id, Use: "sig"}
}

func sign(t *testing.T, key any, algorithm jose.SignatureAlgorithm, id string, c map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(c)
	require.NoError(t, err)
	options := (&jose.SignerOptions{}).WithHeader("kid", id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	require.NoError(t, err)
	jws, err := signer.Sign(payload)
	require.NoError(t, err)
	raw, err := jws.CompactSerialize()
	require.NoError(t, err)
	return raw
}

const tenantID = "11111111-2222-3333-4444-555555555555"

// entraBench is an issuer with one key and a verifier for its tokens.
type entraBench struct {
	issuer *issuer
	clock  *coretest.Clock
	entra  *Entra
	key    jose.JSONWebKey
}

func newEntra(t *testing.T) *entraBench {
	t.Helper()
	b := &entraBench{issuer: newIssuer(t), clock: newClock()}
	b.key = b.issuer.add(t, "k1", jose.RS256)
	var err error
	b.entra, err = NewEntra(EntraOptions{
		Issuer: b.issuer.template(), Audience: []string{"api://hub", "hub"},
		HTTPClient: b.issuer.Client(), Clock: b.clock,
		Resolve: func(tid, upn string) (core.Caller, error) {
			if tid != tenantID {
				return core.Caller{}, core.Errorf(core.Forbidden, "unknown tenant")
			}
			return core.Caller{Tenant: "contoso", UPN: upn, Adapter: "powerautomate"}, nil
		},
	})
	require.NoError(t, err)
	return b
}

func (b *entraBench) claims(change map[string]any) map[string]any {
	now := b.clock.Now().Unix()
	c := map[string]any{
		"iss": strings.ReplaceAll(b.issuer.template(), tenantMarker, tenantID), "aud": "api://hub", "tid": tenantID,
		"upn": "admin@contoso.example", "exp": now + 600, "nbf": now - 10, "iat": now - 10,
	}
	for k, v := range change {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	return c
}

func (b *entraBench) token(t *testing.T, change map[string]any) string {
	t.Helper()
	return sign(t, b.key.Key, jose.RS256, b.key.KeyID, b.claims(change))
}

func TestEntraClaims(t *testing.T) {
	t.Parallel()
	b := newEntra(t)
	require.Zero(t, b.issuer.fetches.Load(), "nothing is fetched before the first token")
	now := b.clock.Now().Unix()
	for _, tc := range []struct {
		name   string
		change map[string]any
		upn    string    // accepted
		kind   core.Kind // refused
	}{
		{name: "upn", upn: "admin@contoso.example"},
		{name: "preferred", change: map[string]any{"upn": nil, "preferred_username": "p", "unique_name": "u"}, upn: "p"},
		{name: "unique", change: map[string]any{"upn": nil, "unique_name": "u"}, upn: "u"},
		{name: "audience list", change: map[string]any{"aud": []string{"x", "hub"}}, upn: "admin@contoso.example"},
		{name: "expired within the skew", change: map[string]any{"exp": now - 59}, upn: "admin@contoso.example"},
		{name: "early within the skew", change: map[string]any{"nbf": now + 59}, upn: "admin@contoso.example"},
		{name: "no nbf", change: map[string]any{"nbf": nil}, upn: "admin@contoso.example"},
		{name: "expired", change: map[string]any{"exp": now - 61}, kind: core.Unauthenticated},
		{name: "no exp", change: map[string]any{"exp": nil}, kind: core.Unauthenticated},
		{name: "not yet", change: map[string]any{"nbf": now + 62}, kind: core.Unauthenticated},
		{name: "audience", change: map[string]any{"aud": "api://other"}, kind: core.Unauthenticated},
		{name: "no audience", change: map[string]any{"aud": nil}, kind: core.Unauthenticated},
		{name: "issuer", change: map[string]any{"iss": "https://evil.example/v2.0"}, kind: core.Unauthenticated},
		{name: "issuer template", change: map[string]any{"iss": b.issuer.template()}, kind: core.Unauthenticated},
		{name: "issuer of another tenant", change: map[string]any{"tid": "other"}, kind: core.Unauthenticated},
		{name: "no tid", change: map[string]any{"tid": nil}, kind: core.Unauthenticated},
		{name: "tid that writes an address", change: map[string]any{"tid": "a/b", "iss": b.issuer.URL + "/a/b/v2.0"}, kind: core.Unauthenticated},
		{name: "unknown tenant", change: map[string]any{"tid": "x", "iss": b.issuer.URL + "/x/v2.0"}, kind: core.Forbidden},
		{name: "application", change: map[string]any{"upn": nil}, kind: core.Forbidden},
		{name: "application by type", change: map[string]any{"idtyp": "app"}, kind: core.Forbidden},
		{name: "odd claim", change: map[string]any{"upn": 5}, kind: core.Unauthenticated},
	} {
		caller, err := b.entra.Verify(context.Background(), b.token(t, tc.change))
		if tc.kind == "" {
			require.NoError(t, err, tc.name)
			require.Equal(t, core.Caller{Tenant: "contoso", UPN: tc.upn, Adapter: "powerautomate"}, caller)
			continue
		}
		require.Equal(t, tc.kind, core.KindOf(err), "%s: %v", tc.name, err)
		require.Empty(t, caller)
	}
	require.EqualValues(t, 1, b.issuer.fetches.Load())
}

func TestEntraSignatures(t *testing.T) {
	t.Parallel()
	b := newEntra(t)
	es, ps := b.issuer.add(t, "e1", jose.ES256), b.issuer.add(t, "p1", jose.PS256)
	for _, raw := range []string{
		b.token(t, nil),
		sign(t, es.Key, jose.ES256, "e1", b.claims(nil)),
		sign(t, ps.Key, jose.PS256, "p1", b.claims(nil)),
	} {
		_, err := b.entra.Verify(context.Background(), raw)
		require.NoError(t, err)
	}
	public, err := x509.MarshalPKIXPublicKey(b.key.Public().Key)
	require.NoError(t, err)
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	segment := base64.RawURLEncoding.EncodeToString
	good := strings.Split(b.token(t, nil), ".")
	forged, err := json.Marshal(b.claims(map[string]any{"upn": "root@contoso.example"}))
	require.NoError(t, err)
	none := segment([]byte(`{"alg":"none","kid":"k1"}`)) + "." + segment(forged) + "."
	for name, raw := range map[string]string{
		"none":            none,
		"none, signed":    none + good[2],
		"HS256 with PEM":  sign(t, pemKey, jose.HS256, "k1", b.claims(nil)),
		"HS256 with DER":  sign(t, public, jose.HS256, "k1", b.claims(nil)),
		"HS256 published": sign(t, []byte("secret-secret-secret-secret-1234"), jose.HS256, "sym", b.claims(nil)),
		"RS512":           sign(t, b.key.Key, jose.RS512, "k1", b.claims(nil)),
		"another's key":   sign(t, newJWK(t, "k1", jose.RS256).Key, jose.RS256, "k1", b.claims(nil)),
		"payload changed": good[0] + "." + segment(forged) + "." + good[2],
		"no signature":    good[0] + "." + good[1] + ".",
		"no kid":          segment([]byte(`{"alg":"RS256"}`)) + "." + good[1] + "." + good[2],
		"garbage":         "a.b.c",
		"too long":        b.token(t, map[string]any{"x": strings.Repeat("x", maxToken)}),
	} {
		_, err := b.entra.Verify(context.Background(), raw)
		require.Equal(t, core.Unauthenticated, core.KindOf(err), "%s: %v", name, err)
	}
	require.EqualValues(t, 1, b.issuer.fetches.Load(), "bad signatures of known keys fetch nothing")
}

func TestEntraKeyStormAndRotation(t *testing.T) {
	t.Parallel()
	b := newEntra(t)
	ctx := context.Background()
	_, err := b.entra.Verify(ctx, b.token(t, nil))
	require.NoError(t, err)
	storm := func() {
		var all sync.WaitGroup
		for i := range 20 {
			raw := sign(t, b.key.Key, jose.RS256, "unknown"+string(rune('a'+i)), b.claims(nil))
			all.Go(func() {
				if _, err := b.entra.Verify(ctx, raw); core.KindOf(err) != core.Unauthenticated {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	storm()
	require.EqualValues(t, 1, b.issuer.fetches.Load(), "too early for a second")
	b.clock.Advance(keyFetchEvery)
	storm()
	require.EqualValues(t, 2, b.issuer.fetches.Load())
	_, err = b.entra.Verify(ctx, b.token(t, nil))
	require.NoError(t, err, "known keys go on")

	old := b.token(t, map[string]any{"exp": b.clock.Now().Add(48 * time.Hour).Unix()})
	fresh := newJWK(t, "k2", jose.RS256)
	b.issuer.set(func() { b.issuer.keys = []jose.JSONWebKey{fresh} })
	rotated := sign(t, fresh.Key, jose.RS256, "k2", b.claims(nil))
	_, err = b.entra.Verify(ctx, rotated)
	require.Equal(t, core.Unauthenticated, core.KindOf(err), "still too early")
	b.clock.Advance(keyFetchEvery)
	_, err = b.entra.Verify(ctx, rotated)
	require.NoError(t, err)
	_, err = b.entra.Verify(ctx, old)
	require.Equal(t, core.Unauthenticated, core.KindOf(err), "the old key is gone")
}

func TestEntraForgetsWithdrawnKeys(t *testing.T) {
	t.Parallel()
	b := newEntra(t)
	long := b.token(t, map[string]any{"exp": b.clock.Now().Add(48 * time.Hour).Unix()})
	_, err := b.entra.Verify(context.Background(), long)
	require.NoError(t, err)
	b.issuer.set(func() { b.issuer.broken = true })
	b.clock.Advance(keyMaxAge + time.Second)
	_, err = b.entra.Verify(context.Background(), long)
	require.NoError(t, err, "an issuer that is down takes no key away")
	fresh := newJWK(t, "k2", jose.RS256)
	b.issuer.set(func() { b.issuer.broken, b.issuer.keys = false, []jose.JSONWebKey{fresh} })
	b.clock.Advance(keyFetchEvery)
	_, err = b.entra.Verify(context.Background(), long)
	require.Equal(t, core.Unauthenticated, core.KindOf(err))
}

func TestEntraDeadIssuer(t *testing.T) {
	t.Parallel()
	b := newEntra(t)
	b.issuer.set(func() { b.issuer.broken = true })
	for range 5 {
		_, err := b.entra.Verify(context.Background(), b.token(t, nil))
		require.Equal(t, core.Unavailable, core.KindOf(err))
		var e *core.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, keyFetchEvery, e.RetryAfter)
	}
	require.EqualValues(t, 1, b.issuer.fetches.Load())
	b.issuer.set(func() { b.issuer.broken = false })
	b.clock.Advance(keyFetchEvery)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.entra.Verify(gone, b.token(t, nil))
	require.NoError(t, err, "a caller who hangs up does not cost the others the keys")
}

func TestEntraForeignDiscovery(t *testing.T) {
	t.Parallel()
	b := newEntra(t)
	b.issuer.set(func() { b.issuer.claimed = "https://evil.example" })
	_, err := b.entra.Verify(context.Background(), b.token(t, nil))
	require.Equal(t, core.Unavailable, core.KindOf(err))
	require.Zero(t, b.issuer.fetches.Load())
}

func TestEntraOptions(t *testing.T) {
	t.Parallel()
	good := newEntra(t).entra.options
	for _, change := range []func(*EntraOptions){
		func(o *EntraOptions) { o.Issuer = "http://a" },
		func(o *EntraOptions) { o.JWKSURL = "http://a" },
		func(o *EntraOptions) { o.Audience = nil },
		func(o *EntraOptions) { o.Audience = []string{""} },
		func(o *EntraOptions) { o.HTTPClient = nil },
		func(o *EntraOptions) { o.Clock = nil },
		func(o *EntraOptions) { o.Resolve = nil },
	} {
		bad := good
		change(&bad)
		_, err := NewEntra(bad)
		require.Error(t, err)
	}
}
