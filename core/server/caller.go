package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

const (
	keyPrefix = "tdm_"
	keyBytes  = 32
)

// KeyFinder finds the caller of an API key by the key's hash, at a moment. The
// error is NotFound for a key that does not exist or is revoked. It is called
// from several goroutines at once.
type KeyFinder interface {
	CallerByKeyHash(ctx context.Context, hash [32]byte) (core.Caller, error)
}

// TokenVerifier finds the caller of a signed token. Errors are Unauthenticated
// for a token that proves nothing, Forbidden for one that proves a caller who
// may not call, Unavailable when it cannot be checked now. It is called from
// several goroutines at once.
type TokenVerifier interface {
	Verify(ctx context.Context, rawToken string) (core.Caller, error)
}

// Callers tells who stands behind a request.
type Callers struct {
	keys   KeyFinder
	tokens TokenVerifier
}

// NewCallers returns Callers over the stored keys and, unless tokens is nil,
// signed tokens.
func NewCallers(keys KeyFinder, tokens TokenVerifier) *Callers {
	return &Callers{keys: keys, tokens: tokens}
}

// NewKey returns a new API key of 256 random bits, and the hash that is all the
// hub keeps of it.
func NewKey() (key string, hash [32]byte) {
	var b [keyBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	key = keyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return key, HashKey(key)
}

// HashKey returns the hash under which a key is stored. The key has 256 random
// bits, so that a plain hash cannot be searched.
func HashKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// Authenticate returns the caller behind a request to an adapter, from the
// X-Api-Key or the Authorization: Bearer header. Errors are Unauthenticated for
// a missing or unknown credential and for two different ones, Forbidden for one
// that is for another adapter; whatever else goes wrong is an error too, never
// a caller.
func (a *Callers) Authenticate(r *http.Request, adapter string) (core.Caller, error) {
	credential, err := credentialOf(r.Header)
	if err != nil {
		return core.Caller{}, err
	}
	caller, err := a.find(r.Context(), credential)
	if err != nil {
		return core.Caller{}, err
	}
	if caller.Adapter != adapter {
		return core.Caller{}, core.Errorf(core.Forbidden, "The credential is for another platform.")
	}
	return caller, nil
}

// CallerTime bounds the time in which a caller is looked up where a call has
// none of its own: no call may hang before its time begins.
const CallerTime = 2 * time.Second

// Authenticate is callers.Authenticate for a request of c, within a limit, and
// notes who calls for the access log. The error is Unavailable when the limit was
// too short.
func Authenticate(c echo.Context, r *http.Request, callers interface {
	Authenticate(r *http.Request, adapter string) (core.Caller, error)
}, adapter string, limit time.Duration,
) (core.Caller, error) {
	ctx, cancel := context.WithTimeout(r.Context(), limit)
	defer cancel()
	who, err := callers.Authenticate(r.WithContext(ctx), adapter)
	if err != nil && ctx.Err() != nil {
		return core.Caller{}, core.Wrap(core.Unavailable, err, "the caller could not be looked up in time")
	}
	if err == nil {
		SetCaller(c, who)
	}
	return who, err
}

func (a *Callers) find(ctx context.Context, credential string) (core.Caller, error) {
	switch {
	case isKey(credential):
		caller, err := a.keys.CallerByKeyHash(ctx, HashKey(credential))
		if err != nil && core.KindOf(err) == core.NotFound {
			return core.Caller{}, core.Wrap(core.Unauthenticated, err, "The API key is unknown or revoked.")
		}
		return caller, err
	case a.tokens != nil && strings.Count(credential, ".") == 2:
		return a.tokens.Verify(ctx, credential)
	}
	return core.Caller{}, core.Errorf(core.Unauthenticated, "The credential is not of a form that is accepted here.")
}

// credentialOf returns the one credential of a request.
func credentialOf(h http.Header) (string, error) {
	var credential string
	add := func(c string) bool {
		same := credential == "" || credential == c
		credential = c
		return same && c != ""
	}
	for _, c := range h["X-Api-Key"] {
		// A token is a bearer's, never an API key.
		if !add(c) || !isKey(c) {
			return "", core.Errorf(core.Unauthenticated, "X-Api-Key: expected one API key.")
		}
	}
	for _, line := range h["Authorization"] {
		scheme, c, _ := strings.Cut(line, " ")
		if !strings.EqualFold(scheme, "Bearer") || !add(strings.TrimSpace(c)) {
			return "", core.Errorf(core.Unauthenticated, "Authorization: expected Bearer and one credential.")
		}
	}
	if credential == "" {
		return "", core.Errorf(core.Unauthenticated, "A credential is needed: X-Api-Key or Authorization: Bearer.")
	}
	return credential, nil
}

func isKey(text string) bool {
	if len(text) != len(keyPrefix)+base64.RawURLEncoding.EncodedLen(keyBytes) || !strings.HasPrefix(text, keyPrefix) {
		return false
	}
	var b [keyBytes]byte
	n, err := base64.RawURLEncoding.Decode(b[:], []byte(text[len(keyPrefix):]))
	return err == nil && n == keyBytes
}
