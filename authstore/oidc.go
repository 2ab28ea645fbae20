package authstore

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"tandem/core"
)

const (
	oidcLimit = 10 * time.Second // for each question to the issuer
	oidcSkew  = 60 * time.Second
	oidcCause = 300
)

// OIDCOptions describe the sign-on service of the console. Everything is needed
// but the secret, which a public client has not.
type OIDCOptions struct {
	Issuer       string // https, exactly as its tokens say
	ClientID     string
	ClientSecret string
	Redirect     string // the full address of the console's callback, from the configuration only
	HTTP         *http.Client
	Clock        core.Clock
}

// OIDC signs people in through an OpenID Connect issuer, with the authorization
// code flow, PKCE and a nonce. It asks the issuer for nothing before the first
// Begin, so that a dead issuer never stops the hub from starting. Its methods
// may be called from several goroutines at once.
type OIDC struct {
	issuer string
	clock  core.Clock
	client *http.Client
	config func(*signOnProvider) *oauth2.Config // a closure, so that printing shows no secret
	flight singleflight.Group

	mu    sync.Mutex
	known *signOnProvider // nil: not discovered yet
}

// Format writes a fixed text for every verb.
func (*OIDC) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, "[sign-on]") }

// signOnProvider is what the issuer's discovery document says.
type signOnProvider struct {
	endpoint oauth2.Endpoint
	keys     oidc.KeySet
	mustName bool // answers name their issuer
}

// signOnPledge is what the browser's session keeps between Begin and Finish.
type signOnPledge struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
}

// NewOIDC checks the options. The error, NotConfigured, says which is wrong.
func NewOIDC(o OIDCOptions) (*OIDC, error) {
	switch redirect, err := url.Parse(o.Redirect); {
	case !strings.HasPrefix(o.Issuer, "https://"):
		return nil, core.Errorf(core.NotConfigured, "sign-on issuer: want an https address")
	case o.ClientID == "":
		return nil, core.Errorf(core.NotConfigured, "sign-on: the client id is missing")
	case err != nil || redirect.Fragment != "" || !signOnSafe(redirect):
		return nil, core.Errorf(core.NotConfigured, "sign-on redirect: want the full https address of the console's callback")
	case o.HTTP == nil || o.Clock == nil:
		return nil, errors.New("sign-on: HTTP and Clock are needed")
	}
	client := *o.HTTP
	// An issuer's endpoints are where it says; a redirect would carry the secret elsewhere.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = oidcLimit
	return &OIDC{issuer: o.Issuer, clock: o.Clock, client: &client, config: func(p *signOnProvider) *oauth2.Config {
		endpoint := p.endpoint
		if o.ClientSecret == "" {
			endpoint.AuthStyle = oauth2.AuthStyleInParams
		}
		return &oauth2.Config{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret, RedirectURL: o.Redirect,
			Endpoint: endpoint, Scopes: []string{oidc.ScopeOpenID, "profile", "email"},
		}
	}}, nil
}

// signOnSafe tells whether nobody between the browser and the hub can read what
// comes back at an address.
func signOnSafe(redirect *url.URL) bool {
	host := redirect.Hostname()
	if redirect.Scheme == "http" {
		return core.Loopback(host)
	}
	return redirect.Scheme == "https" && host != ""
}

// Begin returns the issuer's address to send a browser to, and the text to keep
// in its session until Finish. The error is Unavailable when the issuer cannot
// be asked, or is not what it should be.
func (o *OIDC) Begin(ctx context.Context) (address, secret string, err error) {
	p, err := o.discover(ctx)
	if err != nil {
		return "", "", err
	}
	kept := signOnPledge{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	text, err := json.Marshal(kept)
	if err != nil {
		return "", "", fmt.Errorf("sign-on: %w", err)
	}
	address = o.config(p).AuthCodeURL(kept.State, oidc.Nonce(kept.Nonce), oauth2.S256ChallengeOption(kept.Verifier))
	return address, string(text), nil
}

// Finish returns who came back from the issuer: the parameters of the callback
// are answer, secret is Begin's. Errors: Unauthenticated with a text for people,
// Unavailable when the issuer cannot be asked.
func (o *OIDC) Finish(ctx context.Context, secret string, answer url.Values) (issuer, subject, upn string, err error) {
	var kept signOnPledge
	if err := json.Unmarshal([]byte(secret), &kept); err != nil || kept.State == "" {
		return "", "", "", core.Errorf(core.Unauthenticated, "This sign-in was not begun in this browser. Begin again.")
	}
	p, err := o.discover(ctx)
	if err != nil {
		return "", "", "", err
	}
	code, err := o.code(p, kept, answer)
	if err != nil {
		return "", "", "", err
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, o.client), oidcLimit)
	defer cancel()
	tokens, err := o.config(p).Exchange(ctx, code, oauth2.VerifierOption(kept.Verifier))
	if err != nil {
		return "", "", "", signOnRefusal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	subject, upn, err = o.identify(ctx, p, raw, kept.Nonce)
	return o.issuer, subject, upn, err
}

// code returns the authorization code of an answer that belongs to what was kept.
func (o *OIDC) code(p *signOnProvider, kept signOnPledge, answer url.Values) (string, error) {
	for _, key := range []string{"state", "iss", "code", "error"} {
		if len(answer[key]) > 1 {
			return "", core.Errorf(core.Unauthenticated, "The answer of the sign-on service is not valid.")
		}
	}
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(kept.State)) != 1 {
		return "", core.Errorf(core.Unauthenticated, "This sign-in was not begun in this browser. Begin again.")
	}
	if answer.Has("iss") && answer.Get("iss") != o.issuer || p.mustName && !answer.Has("iss") {
		return "", core.Errorf(core.Unauthenticated, "The answer came from another sign-on service.")
	}
	switch fault := answer.Get("error"); {
	case fault == "access_denied":
		return "", core.Errorf(core.Unauthenticated, "The sign-in was cancelled at the sign-on service, or it may not let you in.")
	case fault == "temporarily_unavailable" || fault == "server_error":
		return "", core.Errorf(core.Unavailable, "The sign-on service cannot sign you in now. Try again later.")
	case fault != "":
		return "", core.Errorf(core.Unauthenticated, "The sign-on service refused the sign-in (%s).", signOnCode(fault))
	case answer.Get("code") == "":
		return "", core.Errorf(core.Unauthenticated, "The answer of the sign-on service is not valid.")
	}
	return answer.Get("code"), nil
}

// signOnClaims are the claims of an ID token that are looked at here.
type signOnClaims struct {
	UPN       string   `json:"upn"`
	Preferred string   `json:"preferred_username"`
	Email     string   `json:"email"`
	Verified  any      `json:"email_verified"` // some issuers write a string, which proves nothing
	Party     string   `json:"azp"`
	NotBefore *float64 `json:"nbf"`
}

// identify returns who an ID token is about, if it is good and answers the nonce.
func (o *OIDC) identify(ctx context.Context, p *signOnProvider, raw, nonce string) (subject, upn string, err error) {
	bad := func(err error) error {
		return core.Wrap(core.Unauthenticated, err, "The sign-on service's answer cannot be trusted.")
	}
	if raw == "" {
		return "", "", bad(errors.New("there is no id token"))
	}
	id := o.config(p).ClientID
	keys := &signOnKeys{KeySet: p.keys}
	now := o.clock.Now()
	token, err := oidc.NewVerifier(o.issuer, keys, &oidc.Config{
		ClientID:             id,
		SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256, oidc.PS256},
		Now:                  func() time.Time { return now.Add(-oidcSkew) },
	}).Verify(ctx, raw)
	if err != nil {
		if keys.unreachable != nil {
			return "", "", signOnUnreachable(keys.unreachable)
		}
		return "", "", bad(shortCause(err))
	}
	var c signOnClaims
	if err := token.Claims(&c); err != nil {
		return "", "", bad(shortCause(err))
	}
	switch {
	case token.Issuer != o.issuer:
		return "", "", bad(errors.New("another issuer's token"))
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return "", "", bad(errors.New("the token answers another sign-in"))
	case c.NotBefore != nil && *c.NotBefore > float64(now.Add(oidcSkew).Unix()):
		return "", "", bad(errors.New("the token is not valid yet"))
	case c.Party != "" && c.Party != id:
		return "", "", bad(errors.New("the token was issued to another application"))
	}
	if c.Verified != true {
		c.Email = ""
	}
	names := []string{c.UPN, c.Preferred, c.Email}
	named := slices.IndexFunc(names, func(s string) bool { return s != "" })
	if named < 0 || token.Subject == "" {
		return "", "", core.Errorf(core.Unauthenticated, "The sign-on service did not say who you are: it sends neither a user name nor a verified address.")
	}
	return token.Subject, names[named], nil
}

// signOnKeys notes why keys could not be fetched, which the verifier does not
// pass on.
type signOnKeys struct {
	oidc.KeySet

	unreachable error
}

func (k *signOnKeys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	if err != nil {
		k.unreachable = errors.Unwrap(err) // only a failed fetch has a cause
	}
	return payload, err
}

// discover returns the issuer's document, asked for once unless that failed.
func (o *OIDC) discover(ctx context.Context) (*signOnProvider, error) {
	o.mu.Lock()
	known := o.known
	o.mu.Unlock()
	if known != nil {
		return known, nil
	}
	asked := o.flight.DoChan("", func() (any, error) {
		// On no caller's context: one who hangs up must not cost the others the answer.
		ctx, cancel := context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), o.client), oidcLimit)
		defer cancel()
		p, err := o.ask(ctx)
		if err != nil {
			return nil, signOnUnreachable(err)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.known = p
		return p, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case done := <-asked:
		p, _ := done.Val.(*signOnProvider)
		return p, done.Err
	}
}

func (o *OIDC) ask(ctx context.Context) (*signOnProvider, error) {
	found, err := oidc.NewProvider(ctx, o.issuer)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Keys     string   `json:"jwks_uri"`
		MustName bool     `json:"authorization_response_iss_parameter_supported"`
		Methods  []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&doc); err != nil {
		return nil, fmt.Errorf("discovery document: %w", err)
	}
	p := &signOnProvider{endpoint: found.Endpoint(), mustName: doc.MustName}
	for _, address := range []string{p.endpoint.AuthURL, p.endpoint.TokenURL, doc.Keys} {
		if !strings.HasPrefix(address, "https://") {
			return nil, errors.New("discovery document: an endpoint is not at an https address")
		}
	}
	p.endpoint.AuthStyle = oauth2.AuthStyleInHeader // what the document means when it says nothing
	if len(doc.Methods) > 0 && !slices.Contains(doc.Methods, "client_secret_basic") {
		p.endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	p.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), o.client), doc.Keys)
	return p, nil
}

func signOnUnreachable(err error) error {
	return core.Wrap(core.Unavailable, shortCause(err), "The sign-on service does not answer as it should. Try again later.")
}

// signOnRefusal tells why a code brought no tokens. The answer's text is not
// passed on: it may quote the request, which holds the secret.
func signOnRefusal(err error) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return signOnUnreachable(err)
	}
	cause := fmt.Errorf("token endpoint: status %d (%s)", refused.Response.StatusCode, signOnCode(refused.ErrorCode))
	switch status := refused.Response.StatusCode; {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return signOnUnreachable(cause)
	case refused.ErrorCode == "invalid_client" || refused.ErrorCode == "unauthorized_client":
		return core.Wrap(core.Unauthenticated, cause, "The sign-on service does not accept the hub's own credentials. Tell your administrator.")
	}
	return core.Wrap(core.Unauthenticated, cause, "The sign-on service did not accept the sign-in. Begin again.")
}

// signOnCode returns an OAuth error code, if it is one that may be shown.
func signOnCode(code string) string {
	const longest = 40
	odd := func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }
	if code == "" || len(code) > longest || strings.ContainsFunc(code, odd) {
		return "no known reason"
	}
	return code
}

// shortCause shortens a library's error, which may quote a whole page.
func shortCause(err error) error {
	if text := err.Error(); len(text) > oidcCause {
		return errors.New(strings.ToValidUTF8(text[:oidcCause], "") + "...")
	}
	return err
}
