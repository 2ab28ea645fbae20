package authstore

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"tandem/core"
	"tandem/core/integration"
)

// jwtGrant is the grant type of RFC 7523.
const jwtGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// assertionLife is how long an assertion is valid; some providers refuse more
// than three minutes.
const assertionLife = 2 * time.Minute

// config is how an OAuth client of the grant's is known to the provider. The
// style is fixed: a library that tries both sends a refresh token twice.
func (p *party) config(redirect string) (*oauth2.Config, error) {
	values := p.values()
	token, err := p.address(p.g.Token)
	if err != nil {
		return nil, err
	}
	scopes := make([]string, len(p.g.Scopes))
	for n, template := range p.g.Scopes {
		if scopes[n], err = integration.Render(template, values); err != nil {
			return nil, err
		}
	}
	return &oauth2.Config{
		ClientID: values["client_id"], ClientSecret: values["client_secret"], RedirectURL: redirect, Scopes: scopes,
		Endpoint: oauth2.Endpoint{TokenURL: token.String(), AuthStyle: p.style()},
	}, nil
}

func (p *party) style() oauth2.AuthStyle {
	if p.g.InHeader {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// tokenCall makes one call of the token address. Errors: a *refusal when the
// provider says no, Unavailable when it gives no answer of use, and those of
// templates that cannot be filled.
func (s *Store) tokenCall(ctx context.Context, p *party, redirect string,
	call func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error),
) (*answer, error) {
	c, err := p.config(redirect)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	token, err := call(context.WithValue(bounded, oauth2.HTTPClient, s.o.HTTP), c)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, p.fault(err)
	}
	return p.read(token, c.Scopes)
}

// exchange turns the code of a sign-in into tokens.
func (s *Store) exchange(ctx context.Context, p *party, redirect, code, verifier string) (*answer, error) {
	return s.tokenCall(ctx, p, redirect, func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		return c.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	})
}

// again gets the next token of a grant that was authorized, or the first one of
// a grant without a sign-in. A *refusal when that needs a person.
func (s *Store) again(ctx context.Context, p *party) (*answer, error) {
	if p.g.Type != integration.AuthorizationCode {
		return s.tokenCall(ctx, p, "", p.ask(s.o.Clock.Now()))
	}
	old := p.e.tokens.reveal()[refreshToken]
	if old == "" {
		return nil, &refusal{text: "the provider gave no refresh token, and the access token has ended"}
	}
	return s.tokenCall(ctx, p, "", func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		return c.TokenSource(ctx, &oauth2.Token{RefreshToken: old}).Token()
	})
}

// ask is the token call of a grant without a sign-in.
func (p *party) ask(now time.Time) func(context.Context, *oauth2.Config) (*oauth2.Token, error) {
	return func(ctx context.Context, c *oauth2.Config) (*oauth2.Token, error) {
		values, form := p.values(), url.Values{}
		for name, template := range p.g.Parameters {
			text, err := integration.Render(template, values)
			if err != nil {
				return nil, err
			}
			form.Set(name, text)
		}
		id, clientSecret := c.ClientID, c.ClientSecret
		switch p.g.Type {
		case integration.Password:
			user, err := integration.Render(p.g.Username, values)
			if err != nil {
				return nil, err
			}
			password, err := integration.Render(p.g.Password, values)
			if err != nil {
				return nil, err
			}
			form.Set("grant_type", "password")
			form.Set("username", user)
			form.Set("password", password)
		case integration.JWTBearer:
			assertion, err := p.assertion(c, values, now)
			if err != nil {
				return nil, err
			}
			form.Set("grant_type", jwtGrant)
			form.Set("assertion", assertion)
			id, clientSecret = "", "" // the signature says who asks
		default:
			form.Del("grant_type")
		}
		cc := clientcredentials.Config{
			ClientID: id, ClientSecret: clientSecret, TokenURL: c.Endpoint.TokenURL, Scopes: c.Scopes,
			EndpointParams: form, AuthStyle: c.Endpoint.AuthStyle,
		}
		return cc.Token(ctx)
	}
}

// assertion is a JWT of RFC 7523 under RS256.
func (p *party) assertion(c *oauth2.Config, values map[string]string, now time.Time) (string, error) {
	private, err := parseKey(values["private_key"])
	if err != nil {
		return "", err
	}
	audience, err := integration.Render(p.g.Audience, values)
	if err != nil {
		return "", err
	}
	subject, err := integration.Render(p.g.Subject, values)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": c.ClientID, "sub": subject, "aud": audience, "jti": rand.Text(),
		"iat": now.Add(-10 * time.Second).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
	if err != nil {
		return "", core.InvalidField("private_key", "the key cannot sign")
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// parseKey reads an RSA key in PEM. The error is Invalid and shows nothing of it.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, core.InvalidField("private_key", "this is no key in PEM form: it begins with -----BEGIN PRIVATE KEY-----")
	}
	if private, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return private, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*rsa.PrivateKey)
	switch {
	case err != nil && strings.Contains(block.Type, "ENCRYPTED"):
		return nil, core.InvalidField("private_key", "the key has a passphrase; take it off first")
	case err != nil || !ok:
		return nil, core.InvalidField("private_key", "this is no RSA private key")
	}
	return private, nil
}

// revoke tells the provider that tokens are no longer wanted (RFC 7009), when
// it can be told. Nothing hangs on it: the tokens are gone here already, or will be.
func (s *Store) revoke(ctx context.Context, p *party, tokens bag) {
	token, hint := tokens.reveal()[refreshToken], "refresh_token"
	if token == "" {
		token, hint = tokens.reveal()[accessToken], "access_token"
	}
	if token == "" || p.g.Revoke == "" {
		return
	}
	values := p.values()
	address, err := p.address(p.g.Revoke)
	if err != nil {
		return
	}
	form := url.Values{"token": {token}, "token_type_hint": {hint}}
	if p.g.Type != integration.JWTBearer && !p.g.InHeader {
		form.Set("client_id", values["client_id"])
		if values["client_secret"] != "" {
			form.Set("client_secret", values["client_secret"])
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sideTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.g.InHeader {
		req.Header.Set("Authorization", basic(url.QueryEscape(values["client_id"]), url.QueryEscape(values["client_secret"])))
	}
	if resp, err := s.o.HTTP.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
