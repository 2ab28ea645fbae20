package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"tandem/core"
)

const (
	keyFetchEvery = 30 * time.Second // at most one attempt in this time, whatever tokens come
	keyFetchLimit = 5 * time.Second
	keyMaxAge     = 24 * time.Hour // then the issuer is asked again, so that a key it withdrew dies
	maxKeyBytes   = 1 << 20
	minRSABits    = 2048
)

// keySet is the issuer's keys, fetched when first needed. Tokens of known keys
// never wait for a fetch.
type keySet struct {
	issuer  string
	client  *http.Client
	clock   core.Clock
	current atomic.Pointer[keys]

	mu     sync.Mutex // one fetch at a time
	url    string     // of the keys; empty until discovered
	next   time.Time  // no fetch before
	failed error      // of the last fetch
}

type keys struct {
	byID    map[string]jose.JSONWebKey
	fetched time.Time
}

func newKeySet(o EntraOptions) *keySet {
	k := &keySet{issuer: o.Issuer, client: o.HTTPClient, clock: o.Clock, url: o.JWKSURL}
	k.current.Store(&keys{})
	return k
}

// prepare fetches keys if the token names one that is not known, or if those
// known are old. Errors are Unauthenticated for a token without a readable
// head, Unavailable when its key could not be fetched.
func (k *keySet) prepare(ctx context.Context, rawToken string) error {
	head, _, _ := strings.Cut(rawToken, ".")
	var h struct {
		KeyID string `json:"kid"`
	}
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	if err != nil || h.KeyID == "" {
		return core.Errorf(core.Unauthenticated, "The token is not valid.")
	}
	now := k.clock.Now()
	if set := k.current.Load(); set.byID[h.KeyID].Key != nil {
		if now.Sub(set.fetched) > keyMaxAge && k.mu.TryLock() {
			defer k.mu.Unlock()
			return k.refresh(ctx, h.KeyID, true)
		}
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.refresh(ctx, h.KeyID, false)
}

// refresh fetches the keys unless it is too early or, with stale unset, another
// caller has brought the key meanwhile. The lock is held.
func (k *keySet) refresh(ctx context.Context, id string, stale bool) error {
	now := k.clock.Now()
	if known := k.current.Load().byID[id].Key != nil; known && !stale {
		return nil
	}
	if !now.Before(k.next) {
		k.next = now.Add(keyFetchEvery)
		// On no caller's context: one who hangs up must not cost the others the keys.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keyFetchLimit)
		defer cancel()
		var set map[string]jose.JSONWebKey
		if set, k.failed = k.fetch(ctx); k.failed == nil {
			k.current.Store(&keys{byID: set, fetched: now})
		}
	}
	if k.failed != nil && k.current.Load().byID[id].Key == nil {
		e := core.Wrap(core.Unavailable, k.failed, "The token cannot be checked now: its issuer does not answer.")
		e.RetryAfter = max(k.next.Sub(now), time.Second)
		return e
	}
	return nil
}

func (k *keySet) fetch(ctx context.Context) (map[string]jose.JSONWebKey, error) {
	if k.url == "" {
		url, err := k.discover(ctx)
		if err != nil {
			return nil, err
		}
		k.url = url
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, k.url, &doc); err != nil {
		return nil, err
	}
	set := map[string]jose.JSONWebKey{}
	for _, raw := range doc.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil && usable(key) { // keys of other kinds may stand beside ours
			set[key.KeyID] = key
		}
	}
	if len(set) == 0 {
		return nil, errors.New("token keys: none usable")
	}
	return set, nil
}

func usable(key jose.JSONWebKey) bool {
	if key.KeyID == "" || key.Use != "" && key.Use != "sig" {
		return false
	}
	switch pub := key.Key.(type) {
	case *rsa.PublicKey:
		return pub.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return true
	}
	return false
}

// discover asks the issuer where its keys are. The document of all tenants
// names the issuer with the marker, that of one tenant with its own address.
func (k *keySet) discover(ctx context.Context) (string, error) {
	base := strings.ReplaceAll(k.issuer, tenantMarker, "common")
	var doc struct {
		Issuer string `json:"issuer"`
		URL    string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(base, "/")+"/.well-known/openid-configuration", &doc); err != nil {
		return "", err
	}
	if doc.Issuer != k.issuer && doc.Issuer != base {
		return "", errors.New("token issuer: its discovery document is another issuer's")
	}
	if !strings.HasPrefix(doc.URL, "https://") {
		return "", errors.New("token issuer: its keys are not at an https address")
	}
	return doc.URL, nil
}

func (k *keySet) get(ctx context.Context, url string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("token keys: %w", err)
	}
	res, err := k.client.Do(req)
	if err != nil {
		return fmt.Errorf("token keys: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read only: nothing is lost
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("token keys: status %d", res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxKeyBytes)).Decode(v); err != nil {
		return fmt.Errorf("token keys: %w", err)
	}
	return nil
}

// VerifySignature implements oidc.KeySet over the keys at hand.
func (k *keySet) VerifySignature(_ context.Context, rawToken string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(rawToken, tokenAlgorithms)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	key, ok := k.current.Load().byID[jws.Signatures[0].Header.KeyID]
	if !ok {
		return nil, errors.New("token: unknown key")
	}
	payload, err := jws.Verify(&key)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return payload, nil
}
