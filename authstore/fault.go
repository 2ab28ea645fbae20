package authstore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"tandem/core"
	"tandem/core/integration"
)

// The bounds of what is taken over from a provider.
const (
	maxText    = 300 // characters
	maxAccount = 1 << 20
	maxRest    = time.Minute
)

// refusal is a provider's no: asking again does not help, a person must. Its
// text is for people and holds no secret.
type refusal struct{ text string }

// Error returns the text.
func (r *refusal) Error() string { return r.text }

// fault turns the error of a token call into a *refusal or an Unavailable
// error. The library's own error is not kept: it holds the whole answer.
func (p *party) fault(err error) error {
	said, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		if e, known := errors.AsType[*core.Error](err); known {
			return e // of a template or a key
		}
		return unavailable(nil, time.Second, "the token address of integration %s %s", p.i.ID, network(err))
	}
	status := said.Response.StatusCode
	code, description := said.ErrorCode, said.ErrorDescription
	if final(said) {
		return &refusal{p.said(code, description)}
	}
	after := time.Second
	if n, err := strconv.Atoi(said.Response.Header.Get("Retry-After")); err == nil && n > 0 {
		after = min(time.Duration(min(n, 3600))*time.Second, maxRest)
	}
	words := ""
	if code != "" {
		words = "; " + p.said(code, description)
	}
	return unavailable(nil, after, "the token address of integration %s answered %d%s", p.i.ID, status, words)
}

// finals are the error codes of OAuth, OpenID Connect and of vendors after which
// only a person can help.
var finals = []string{
	"invalid_grant", "invalid_client", "unauthorized_client", "access_denied", "invalid_token", "invalid_scope",
	"invalid_request", "unsupported_grant_type", "interaction_required", "login_required", "consent_required",
	"bad_verification_code", "inactive_user", "inactive_org", "invalid_client_id",
}

// final tells whether a token address has said no for good. Whatever else it
// answers may be a proxy's page or an outage, and must not end an authorization.
func final(said *oauth2.RetrieveError) bool {
	if said.Response.StatusCode >= http.StatusInternalServerError {
		return false
	}
	if slices.Contains(finals, said.ErrorCode) {
		return true
	}
	// ServiceNow tells so of a refresh token that has ended.
	if said.ErrorCode == "server_error" && said.ErrorDescription == "access_denied" {
		return true
	}
	var body struct{ Status string } // HubSpot's form
	return json.Unmarshal(said.Body, &body) == nil && strings.Contains(body.Status, "REFRESH_TOKEN")
}

// network says in a few words why there was no answer, without the address.
func network(err error) string {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "did not answer in time"
	}
	return "gave no answer of use"
}

// said is what a provider said, fit to be kept and shown: one line, not long,
// without control characters and without anything that is secret here.
func (p *party) said(code, description string) string {
	if code == "" {
		code = "no"
	}
	text := "the provider said " + strings.TrimSuffix(strings.TrimSpace(code+": "+description), ":")
	values := p.values()
	secrets := make([]string, 0, 8)
	for name := range p.e.secrets.reveal() {
		secrets = append(secrets, values[name])
	}
	for _, token := range p.e.tokens.reveal() {
		secrets = append(secrets, token)
	}
	secrets = append(secrets, strings.TrimPrefix(basic(values["client_id"], values["client_secret"]), "Basic "))
	return clean(redact(text, secrets), maxText)
}

// redact replaces secrets in a text, also as they look in addresses and in base64.
func redact(text string, secrets []string) string {
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	for _, value := range secrets {
		if len(value) < 4 { // it would tear the text apart
			continue
		}
		for _, form := range []string{value, url.QueryEscape(value), base64.StdEncoding.EncodeToString([]byte(value))} {
			text = strings.ReplaceAll(text, form, "[redacted]")
		}
	}
	return text
}

// clean makes one short line of a text.
func clean(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, text)
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > most {
		runes = append(runes[:most-1], '…')
	}
	return string(runes)
}

// account asks the provider whose credential it is. Errors: a *refusal when the
// provider does not take it, else Unavailable.
func (s *Store) account(ctx context.Context, p *party, name string, value secret) (string, error) {
	if p.g.Account.URL == "" {
		return "", nil
	}
	address, err := p.address(p.g.Account.URL)
	if err != nil {
		return "", err
	}
	bounded, cancel := context.WithTimeout(ctx, s.callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", core.Errorf(core.Mapping, "the account address of integration %s is none", p.i.ID)
	}
	req.Header.Set(name, value.reveal())
	req.Header.Set("Accept", "application/json")
	resp, err := s.o.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", unavailable(nil, time.Second, "the account address of integration %s %s", p.i.ID, network(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests || code >= 500:
		return "", unavailable(nil, time.Second, "the account address of integration %s answered %d", p.i.ID, code)
	case code < 200 || code > 299:
		return "", &refusal{"the provider answered " + strconv.Itoa(code) + " to this credential"}
	}
	if p.g.Account.Field == "" {
		return "", nil
	}
	var body any
	if json.NewDecoder(io.LimitReader(resp.Body, maxAccount)).Decode(&body) != nil {
		return "", nil // it took the credential, which is what counts
	}
	switch found := integration.Dig(body, p.g.Account.Field).(type) {
	case string:
		return clean(found, maxText), nil
	case float64:
		return strconv.FormatFloat(found, 'f', -1, 64), nil
	}
	return "", nil
}
