package authstore

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/outbound"
	"tandem/core/store"
)

var _ outbound.Authorizer = (*Store)(nil)

const codeHost = "CREDENTIAL_HOST"

// forcedEvery is how often a credential that the provider rejects although it is
// good is renewed, or looked at, again.
const forcedEvery = time.Minute

// renewWait is how long a call waits for a new token while the old one is not
// over yet.
const renewWait = 2 * time.Second

// Authorize sets the credential on a request. While the token is good it reads
// nothing but memory; else it renews it, together with all who wait for the
// same one, and a caller that goes away leaves the renewal to the others.
//
// Errors: Forbidden with code CREDENTIAL_HOST when the request goes elsewhere
// than the authorization is for; NeedsAuthorization with code
// AUTHORIZATION_REQUIRED, written for administrators; NotConfigured when the
// integration is gone or a secret cannot be opened; Unavailable when no token
// can be had now; and the context's.
func (s *Store) Authorize(ctx context.Context, c outbound.Credential, req *http.Request) (int64, error) {
	for range 3 { // others may change the authorization meanwhile
		p, err := s.usable(ctx, c)
		if err != nil {
			return 0, err
		}
		if err := p.e.fits(req); err != nil {
			return 0, err
		}
		if !p.g.Type.OAuth() {
			return p.e.stamp, p.sign(req)
		}
		now := s.o.Clock.Now().UnixMilli()
		if now >= p.e.good || p.e.bearer == nil {
			over := now >= p.e.ends || p.e.bearer == nil
			if err = s.renewedSoon(ctx, p.e, over); err == nil {
				continue
			}
			if over || ctx.Err() != nil || core.KindOf(err) == core.NeedsAuthorization {
				return 0, err
			}
		}
		req.Header.Set("Authorization", p.e.bearer.reveal())
		return p.e.stamp, nil
	}
	return 0, unavailable(nil, time.Second, "the authorization is being changed all the time")
}

// renewedSoon is renewed, with less patience while the token is not over.
func (s *Store) renewedSoon(ctx context.Context, e *entry, over bool) error {
	if !over {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, renewWait)
		defer cancel()
	}
	return s.renewed(ctx, e)
}

// Rejected takes a 401 to the credential with that stamp: a token that is still
// the current one is renewed once, and an API key, a password or the like is
// marked so that an administrator looks after it. Errors are those of Authorize.
func (s *Store) Rejected(ctx context.Context, c outbound.Credential, stamp int64) error {
	p, err := s.usable(ctx, c)
	if err != nil || p.e.stamp != stamp {
		return err
	}
	id, now := p.e.row.ID, s.o.Clock.Now()
	s.mu.Lock()
	last, known := s.forced[id]
	s.mu.Unlock()
	if known && now.Sub(last) < forcedEvery {
		return notForThis(p.e)
	}
	if !p.g.Type.OAuth() || p.g.Type == integration.AuthorizationCode && p.e.tokens.reveal()[refreshToken] == "" {
		err = s.rejectedForGood(ctx, p)
	} else {
		err = s.renewed(ctx, p.e)
	}
	if err == nil || errors.Is(err, errValid) {
		s.mu.Lock()
		s.forced[id] = now
		s.mu.Unlock()
	}
	return err
}

// errValid says that a credential was good lately although a call was answered 401.
var errValid = errors.New("renewed, or taken by the account address, within the last minute")

// notForThis is the error of a call that does not take what was good lately.
func notForThis(e *entry) error {
	err := core.Wrap(core.NeedsAuthorization, errValid, "integration %s does not take the authorization %q for this call, though it was good a moment ago", e.row.Integration, e.row.Name)
	err.Code = outbound.CodeAuthorizationRequired
	return err
}

// rejectedForGood marks a credential that cannot be renewed, unless the account
// address still takes it: then one endpoint alone does not.
func (s *Store) rejectedForGood(ctx context.Context, p party) error {
	name, value, err := "Authorization", p.e.bearer, error(nil)
	if !p.g.Type.OAuth() {
		if name, value, err = p.header(); err != nil {
			return err
		}
	}
	if p.g.Account.URL != "" {
		_, err := s.account(ctx, &p, name, value)
		if _, no := errors.AsType[*refusal](err); !no {
			if err == nil {
				return notForThis(p.e)
			}
			return err
		}
	}
	row, moved, err := s.mark(ctx, p.e.row, "the provider answered 401 to this credential")
	if err != nil || moved {
		return err // changed meanwhile: worth another try
	}
	return needsAgain(row)
}

// party is an authorization together with what the catalogue says of it.
type party struct {
	e *entry
	i *integration.Integration
	g *integration.Grant
}

// values returns all values of the form, secrets included.
func (p *party) values() map[string]string {
	return p.i.WithDefaults(p.g, p.e.secrets.with(p.e.shown.Values).reveal())
}

// party looks an authorization up in the catalogue; NotConfigured when its
// integration or grant is gone, or it cannot be opened.
func (s *Store) party(e *entry) (party, error) {
	if e.err != nil {
		return party{}, core.Wrap(core.NotConfigured, e.err, "the authorization %q of integration %s cannot be opened", e.row.Name, e.row.Integration)
	}
	i, ok := s.o.Integrations().Integration(e.row.Integration)
	if !ok {
		return party{}, core.Errorf(core.NotConfigured, "there is no integration %s", e.row.Integration)
	}
	g := i.Grant(e.row.Grant)
	if g == nil {
		return party{}, core.Errorf(core.NotConfigured, "integration %s has no grant %s", e.row.Integration, e.row.Grant)
	}
	return party{e, i, g}, nil
}

// Connection tells where the authorization of a call leads, from memory. Errors
// are those of Authorize.
func (s *Store) Connection(ctx context.Context, c outbound.Credential) (integration.Connection, error) {
	p, err := s.usable(ctx, c)
	if err != nil {
		return integration.Connection{}, err
	}
	return integration.Connection{Base: strings.TrimRight(p.e.row.Base, "/"), Settings: p.e.shown.Values}, nil
}

// usable returns the authorization of a call if it is authorized. Before it
// says no it looks whether another replica has changed something.
func (s *Store) usable(ctx context.Context, c outbound.Credential) (party, error) {
	snap, err := s.current(ctx)
	if err != nil {
		return party{}, err
	}
	e, err := snap.resolve(c)
	if err != nil {
		newer, ok, failed := s.followLate(ctx)
		if failed != nil {
			return party{}, failed
		}
		if ok {
			e, err = newer.resolve(c)
		}
	}
	if err != nil {
		return party{}, err
	}
	return s.party(e)
}

// resolve finds the authorization of a call: the one of that name, else the
// default of the node, else the default of the integration, and no other.
func (snap *snapshot) resolve(c outbound.Credential) (*entry, error) {
	var e *entry
	if c.Name != "" {
		if e = snap.byName[key{c.Tenant, c.Integration, integration.NameKey(c.Name)}]; e == nil {
			return nil, required("integration %s has no authorization %q in tenant %s", c.Integration, c.Name, c.Tenant)
		}
	} else {
		id, ok := snap.byNode[key{c.Tenant, c.Integration, c.Node}]
		if !ok {
			id = snap.byNode[key{c.Tenant, c.Integration, ""}]
		}
		if e = snap.byID[id]; e == nil || e.row.Tenant != c.Tenant || e.row.Integration != c.Integration {
			return nil, required("integration %s has no default authorization in tenant %s; make one the default", c.Integration, c.Tenant)
		}
	}
	switch e.shown.Status {
	case integration.Authorized:
		return e, nil
	case integration.Reauthorize:
		return nil, needsAgain(e.row)
	default:
		return nil, required("the authorization %q of integration %s is pending; authorize it", e.row.Name, e.row.Integration)
	}
}

func required(format string, args ...any) error {
	err := core.Errorf(core.NeedsAuthorization, format, args...)
	err.Code = outbound.CodeAuthorizationRequired
	return err
}

func needsAgain(row store.Authorization) error {
	return required("the authorization %q of integration %s must be authorized again: %s", row.Name, row.Integration, row.Reason)
}

// fits holds the credential back from every other place than its own.
func (e *entry) fits(req *http.Request) error {
	if !e.knows(req.URL) || req.Host != "" && !strings.EqualFold(req.Host, req.URL.Host) {
		err := core.Errorf(core.Forbidden, "the authorization %q of integration %s is for %s and goes nowhere else", e.row.Name, e.row.Integration, e.row.Base)
		err.Code = codeHost
		return err
	}
	return nil
}

// knows tells whether secrets may go to an address.
func (e *entry) knows(u *url.URL) bool {
	return slices.ContainsFunc(e.places, func(place *url.URL) bool { return sameOrigin(place, u) })
}

// address fills an address that a secret is about to be sent to. NotConfigured
// when the mapping files were changed to name another host since it was stored.
func (p *party) address(template string) (*url.URL, error) {
	u, err := integration.Address(template, p.values())
	if err == nil && !p.e.knows(u) {
		return nil, core.Errorf(core.NotConfigured,
			"the mapping files now send the secrets of %q to %s, for which they were not stored: update the authorization and enter them again", p.e.row.Name, u.Host)
	}
	return u, err
}

// sign sets the header of a grant without tokens.
func (p *party) sign(req *http.Request) error {
	name, value, err := p.header()
	if err != nil {
		return err
	}
	req.Header.Set(name, value.reveal())
	for _, text := range p.e.secrets.reveal() {
		outbound.Confide(req, text)
	}
	return nil
}

// header returns the header of a grant without tokens.
func (p *party) header() (name string, value secret, err error) {
	values := p.values()
	var text string
	switch p.g.Type {
	case integration.APIKey:
		name = p.g.Header
		text, err = integration.Render(p.g.Value, values)
	case integration.Basic:
		var user, password string
		if user, err = integration.Render(p.g.Username, values); err == nil {
			password, err = integration.Render(p.g.Password, values)
		}
		name, text = "Authorization", basic(user, password)
		if strings.ContainsAny(user+password, "\r\n") {
			text = "\n" // refused below: the encoding would hide it
		}
	default:
		text, err = integration.Render("Bearer {token}", values)
		name = "Authorization"
	}
	if err != nil {
		return "", nil, err
	}
	if !sendable(text) {
		return "", nil, core.Errorf(core.Invalid, "the credential holds characters that no header can carry")
	}
	return name, conceal(text), nil
}

// sendable tells whether a text can be the value of a header.
func sendable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// unavailable says that a provider gives no token now.
func unavailable(cause error, after time.Duration, format string, args ...any) error {
	err := core.Wrap(core.Unavailable, cause, format, args...)
	err.RetryAfter = after
	return err
}
