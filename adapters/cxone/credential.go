package cxone

import (
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/server"
)

// A token is an API key and the time of its end, sealed: nothing is stored, and
// a key that is revoked takes its tokens with it.
const (
	tokenPrefix = "tdt_"
	tokenPlace  = "cxone:token"
	tokenLife   = time.Hour
	timeSize    = 8
)

// The errors of RFC 6749, section 5.2.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	unsupportedGrantType = "unsupported_grant_type"
)

// withKey returns the request with the credential in a form that Callers
// understand: the password of Basic, and the key in a token, become a bearer's.
func (a *Adapter) withKey(r *http.Request) (*http.Request, error) {
	lines := r.Header["Authorization"]
	if len(lines) != 1 {
		return r, nil // none, or too many for Callers too
	}
	scheme, value, _ := strings.Cut(lines[0], " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(scheme, "Basic"):
		_, key, ok := r.BasicAuth()
		if !ok || key == "" {
			return nil, core.Errorf(core.Unauthenticated, "Authorization: Basic needs the API key as the password.")
		}
		return bearer(r, key), nil
	case strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(value, tokenPrefix):
		key, err := a.openToken(value)
		if err != nil {
			return nil, err
		}
		return bearer(r, key), nil
	}
	return r, nil
}

// bearer returns a copy of the request with another credential.
func bearer(r *http.Request, key string) *http.Request {
	fresh := r.WithContext(r.Context())
	fresh.Header = r.Header.Clone()
	fresh.Header.Set("Authorization", "Bearer "+key)
	return fresh
}

func (a *Adapter) newToken(key string) string {
	ends := a.o.Clock.Now().Add(tokenLife).UnixMilli()
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(ends)), key...)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(a.o.Sealer.Seal(tokenPlace, plain))
}

func (a *Adapter) openToken(token string) (key string, err error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(token, tokenPrefix))
	if err == nil {
		var plain []byte
		plain, err = a.o.Sealer.Open(tokenPlace, sealed)
		if err == nil && len(plain) > timeSize {
			if ends := int64(binary.BigEndian.Uint64(plain)); a.o.Clock.Now().UnixMilli() >= ends {
				return "", core.Errorf(core.Unauthenticated, "The token has expired.")
			}
			return string(plain[timeSize:]), nil
		}
	}
	return "", core.Errorf(core.Unauthenticated, "The token is not one of this hub.")
}

// token answers OAuth 2.0's client credentials grant: the client's secret is an
// API key, its id is any name.
func (a *Adapter) token(c echo.Context) error {
	c.Response().Header().Set("Pragma", "no-cache") // no-store is on every answer
	id, secret, problem := clientOf(c)
	if problem != "" {
		return tokenError(c, http.StatusBadRequest, problem)
	}
	if id == "" || secret == "" || strings.HasPrefix(secret, tokenPrefix) {
		return tokenError(c, http.StatusUnauthorized, invalidClient)
	}
	fresh := bearer(c.Request(), secret)
	fresh.Header.Del("X-Api-Key")
	if _, err := a.identify(c, fresh); err != nil {
		switch core.KindOf(err) {
		case core.Unauthenticated, core.Forbidden:
			return tokenError(c, http.StatusUnauthorized, invalidClient)
		}
		return patient(err)
	}
	return c.JSON(http.StatusOK, struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}{a.newToken(secret), "Bearer", int(tokenLife / time.Second)})
}

// clientOf reads the client's id and secret, from the form or from Basic; problem
// is an error of the RFC.
func clientOf(c echo.Context) (id, secret, problem string) {
	body, err := server.ReadBody(c)
	if err != nil {
		return "", "", invalidRequest
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", "", invalidRequest
	}
	for _, values := range form {
		if len(values) > 1 {
			return "", "", invalidRequest
		}
	}
	id, secret = form.Get("client_id"), form.Get("client_secret")
	if name, password, ok := c.Request().BasicAuth(); ok {
		if secret != "" {
			return "", "", invalidRequest
		}
		id, secret = unescaped(name), unescaped(password)
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		return id, secret, ""
	case "":
		return "", "", invalidRequest
	default:
		return "", "", unsupportedGrantType
	}
}

// unescaped undoes the encoding that the RFC wants inside of Basic, and that not
// every client applies.
func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func tokenError(c echo.Context, status int, code string) error {
	if status == http.StatusUnauthorized {
		c.Response().Header().Set("WWW-Authenticate", `Basic realm="tandem"`)
	}
	return c.JSON(status, struct {
		Error string `json:"error"`
	}{code})
}
