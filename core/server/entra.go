package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"tandem/core"
)

const (
	tokenSkew    = 60 * time.Second
	maxToken     = 16 << 10
	tenantMarker = "{tenantid}"
)

var tokenAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256}

// EntraOptions describe whose tokens are accepted, and for whom.
type EntraOptions struct {
	Issuer     string       // https; may hold {tenantid}, which stands for the token's own tid
	Audience   []string     // the token must be for one of these
	JWKSURL    string       // https; empty: from the discovery document of Issuer
	HTTPClient *http.Client // for the keys; calls are bounded to 5 s each
	Clock      core.Clock

	// Resolve returns the caller, its adapter included, for a user of an Entra
	// tenant. Its error goes to the caller as it is.
	Resolve func(tenantID, upn string) (core.Caller, error)
}

// Entra verifies delegated access tokens of Microsoft Entra ID. It asks the
// issuer for nothing before the first token, so that a dead issuer never stops
// the hub from starting.
type Entra struct {
	options  EntraOptions
	keys     *keySet
	verifier *oidc.IDTokenVerifier
}

// NewEntra checks the options and returns the verifier.
func NewEntra(o EntraOptions) (*Entra, error) {
	switch {
	case !strings.HasPrefix(o.Issuer, "https://"):
		return nil, errors.New("token issuer: want an https address")
	case o.JWKSURL != "" && !strings.HasPrefix(o.JWKSURL, "https://"):
		return nil, errors.New("token keys: want an https address")
	case len(o.Audience) == 0 || slices.Contains(o.Audience, ""):
		return nil, errors.New("token audience: want at least one, none empty")
	case o.HTTPClient == nil || o.Clock == nil || o.Resolve == nil:
		return nil, errors.New("token verifier: HTTPClient, Clock and Resolve are needed")
	}
	e := &Entra{options: o, keys: newKeySet(o)}
	algorithms := make([]string, len(tokenAlgorithms))
	for i, a := range tokenAlgorithms {
		algorithms[i] = string(a)
	}
	e.verifier = oidc.NewVerifier(o.Issuer, e.keys, &oidc.Config{
		SupportedSigningAlgs: algorithms,
		SkipIssuerCheck:      true, // checked below: the issuer may depend on the token's tenant
		SkipClientIDCheck:    true, // checked below: there may be several audiences
		Now:                  func() time.Time { return o.Clock.Now().Add(-tokenSkew) },
	})
	return e, nil
}

// claims are the claims that are looked at; exp is the library's.
type claims struct {
	TenantID  string   `json:"tid"`
	UPN       string   `json:"upn"`
	Preferred string   `json:"preferred_username"`
	Unique    string   `json:"unique_name"`
	Type      string   `json:"idtyp"`
	NotBefore *float64 `json:"nbf"`
}

func (c claims) user() string {
	for _, name := range []string{c.UPN, c.Preferred, c.Unique} {
		if name != "" {
			return name
		}
	}
	return ""
}

// Verify implements TokenVerifier.
func (e *Entra) Verify(ctx context.Context, rawToken string) (core.Caller, error) {
	if len(rawToken) > maxToken {
		return core.Caller{}, core.Errorf(core.Unauthenticated, "The token is too long.")
	}
	if err := e.keys.prepare(ctx, rawToken); err != nil {
		return core.Caller{}, err
	}
	token, err := e.verifier.Verify(ctx, rawToken)
	if err != nil {
		if _, expired := errors.AsType[*oidc.TokenExpiredError](err); expired {
			return core.Caller{}, core.Wrap(core.Unauthenticated, err, "The token has expired.")
		}
		return core.Caller{}, core.Wrap(core.Unauthenticated, err, "The token is not valid.")
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return core.Caller{}, core.Wrap(core.Unauthenticated, err, "The token is not valid.")
	}
	if c.NotBefore != nil && *c.NotBefore > float64(e.options.Clock.Now().Add(tokenSkew).Unix()) {
		return core.Caller{}, core.Errorf(core.Unauthenticated, "The token is not valid yet.")
	}
	if !harmless(c.TenantID) || token.Issuer != strings.ReplaceAll(e.options.Issuer, tenantMarker, c.TenantID) {
		return core.Caller{}, core.Errorf(core.Unauthenticated, "The token is from another issuer.")
	}
	if !slices.ContainsFunc(token.Audience, func(a string) bool { return slices.Contains(e.options.Audience, a) }) {
		return core.Caller{}, core.Errorf(core.Unauthenticated, "The token is for another application.")
	}
	if c.Type == "app" || c.user() == "" {
		return core.Caller{}, core.Errorf(core.Forbidden,
			"The token is an application's. Sign in as a user: the hub acts in a user's name.")
	}
	return e.options.Resolve(c.TenantID, c.user())
}
