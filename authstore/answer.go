package authstore

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"tandem/core/integration"
	"tandem/core/store"
)

// answer is what a token call brought.
type answer struct {
	tokens bag // access, and refresh when the provider gave one

	life        time.Duration // of the access token; 0: not told
	refreshLife time.Duration // 0: not told
	scopes      []string      // granted, as far as told, else those asked for
	base        string        // empty: the integration's own
}

// read takes what is needed out of a token answer.
func (p *party) read(token *oauth2.Token, asked []string) (*answer, error) {
	a := &answer{scopes: asked, life: p.g.TokenLife, refreshLife: seconds(token.Extra("refresh_token_expires_in"))}
	if life := seconds(token.Extra("expires_in")); life > 0 {
		a.life = life
	}
	if !sendable(token.AccessToken) {
		return nil, &refusal{text: "the provider gave an access token that no header can carry"}
	}
	if scope, ok := token.Extra("scope").(string); ok && scope != "" {
		a.scopes = strings.Fields(strings.ReplaceAll(scope, ",", " "))
	}
	tokens := map[string]string{accessToken: token.AccessToken}
	// The library repeats the old refresh token when the answer has none.
	if refresh, ok := token.Extra("refresh_token").(string); ok && refresh != "" {
		tokens[refreshToken] = refresh
		if a.refreshLife == 0 {
			a.refreshLife = p.g.RefreshLife
		}
	}
	a.tokens = pack(tokens)
	if p.g.TokenBase == "" {
		return a, nil
	}
	text, ok := field(token.Extra, p.g.TokenBase)
	switch {
	case !ok && p.e.tokens != nil:
		return a, nil // it was told before
	case !ok:
		return nil, &refusal{text: "the provider's answer has no " + p.g.TokenBase}
	}
	var err error
	a.base, err = p.tokenBase(text)
	return a, err
}

// field reads a path with dots of a token answer.
func field(extra func(string) any, path string) (string, bool) {
	name, rest, nested := strings.Cut(path, ".")
	value := extra(name)
	if nested {
		value = integration.Dig(value, rest)
	}
	text, ok := value.(string)
	return text, ok && text != ""
}

// tokenBase judges the base address that a token answer names. It keeps the
// path of the integration's own base when it has none itself.
func (p *party) tokenBase(text string) (string, error) {
	wrong := &refusal{text: "the provider named a base address that the integration does not allow"}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return "", wrong
	}
	insecure := strings.HasPrefix(p.i.Base, "http://") // a sandbox on this machine
	if u.Scheme != "https" && (!insecure || u.Scheme != "http") {
		return "", wrong
	}
	for _, pattern := range p.g.TokenHosts {
		host := strings.ToLower(u.Host)
		suffix, wild := strings.CutPrefix(strings.ToLower(pattern), "*")
		if wild && len(host) > len(suffix) {
			host = host[len(host)-len(suffix):]
		}
		if host != suffix {
			continue
		}
		if strings.Trim(u.Path, "/") == "" {
			own, err := integration.Address(p.i.Base, p.values())
			if err != nil {
				return "", err
			}
			u.Path, u.RawPath = own.Path, own.RawPath
		}
		return strings.TrimSuffix(u.String(), "/"), nil
	}
	return "", wrong
}

// seconds reads a number of seconds as providers write it; 0 when there is none.
func seconds(value any) time.Duration {
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case int64:
		n = float64(v)
	case string:
		n, _ = strconv.ParseFloat(v, 64)
	}
	if !(n > 0) {
		return 0
	}
	return time.Duration(min(n, 10*366*24*3600) * float64(time.Second))
}

// accept writes an answer into a row that is about to be saved.
func (s *Store) accept(row *store.Authorization, p *party, a *answer) error {
	now := s.o.Clock.Now()
	tokens := a.tokens.reveal()
	if _, fresh := tokens[refreshToken]; !fresh && p.g.Type == integration.AuthorizationCode {
		if old := p.e.tokens.reveal()[refreshToken]; old != "" {
			tokens = map[string]string{accessToken: tokens[accessToken], refreshToken: old}
		}
	}
	if p.g.Type != integration.AuthorizationCode {
		tokens = map[string]string{accessToken: tokens[accessToken]} // it asks anew each time
		a.refreshLife = 0
	}
	sealed, err := s.seal(columnPlace(row.Tenant, row.ID, "tokens"), pack(tokens))
	if err != nil {
		return err
	}
	row.Tokens, row.Scopes = sealed, strings.Join(a.scopes, " ")
	if a.base != "" {
		row.Base = a.base
	}
	row.TokenEndsMs, row.RenewMs = nil, nil
	if a.life > 0 {
		row.TokenEndsMs = millis(now.Add(a.life))
		if tokens[refreshToken] != "" || p.g.Type != integration.AuthorizationCode {
			row.RenewMs = millis(now.Add(s.renewAfter(a.life)))
		}
	}
	if a.refreshLife > 0 {
		row.EndsMs = millis(now.Add(a.refreshLife))
	}
	if row.EndsMs == nil || *row.EndsMs > now.Add(integration.WarnBefore).UnixMilli() {
		row.WarnedMs = nil
	}
	return nil
}

// renewAfter is when in its life a token is renewed: at four fifths, but a
// minute before the end at the latest as far as the life allows that, and not
// all at the same moment.
func (s *Store) renewAfter(life time.Duration) time.Duration {
	after := life * 4 / 5
	if life >= 2*time.Minute {
		after = min(after, life-time.Minute)
	}
	return after - time.Duration(s.o.Chance()*float64(life)/20)
}

func millis(t time.Time) *int64 {
	ms := t.UnixMilli()
	return &ms
}
