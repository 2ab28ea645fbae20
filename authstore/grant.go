package authstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

// signInLife is how long an administrator has to sign in at a provider.
const signInLife = 10 * time.Minute

// Begin starts a sign-in at the provider and returns the address to send the
// administrator to. session is any text that names the administrator's session:
// the sign-in can be finished in that one alone. Errors: NotFound; Invalid when
// the grant has no sign-in; NotConfigured.
func (s *Store) Begin(ctx context.Context, tenant, id, session string) (string, error) {
	p, err := s.load(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if p.g.Type != integration.AuthorizationCode {
		return "", core.Errorf(core.Invalid, "the grant %q has no sign-in", p.g.Title)
	}
	redirect, err := s.o.Redirect(p.i.ID)
	if err != nil {
		return "", err
	}
	c, err := p.config(redirect)
	if err != nil {
		return "", err
	}
	values := p.values()
	address, err := p.address(p.g.Authorize)
	if err != nil {
		return "", err
	}
	c.Endpoint.AuthURL = address.String()
	var parameters []oauth2.AuthCodeOption
	for name, template := range p.g.Parameters {
		text, err := integration.Render(template, values)
		if err != nil {
			return "", err
		}
		parameters = append(parameters, oauth2.SetAuthURLParam(name, text))
	}
	state, verifier, now := rand.Text(), oauth2.GenerateVerifier(), s.o.Clock.Now()
	hash := digest(state)
	signIn := store.SignIn{
		StateHash: hash, AuthorizationID: id, EditedMs: p.e.row.UpdatedMs, Session: digest(session),
		Verifier: s.o.Sealer.Seal(verifierPlace(tenant, hash), []byte(verifier)), CreatedMs: now.UnixMilli(),
	}
	err = s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertSignIn(ctx, signIn, now.Add(-signInLife))
	})
	if err != nil {
		return "", err
	}
	return c.AuthCodeURL(state, append(parameters, oauth2.S256ChallengeOption(verifier))...), nil
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func verifierPlace(tenant string, stateHash []byte) string {
	return tenant + "/sign_ins:" + hex.EncodeToString(stateHash) + ":verifier"
}

// load reads an authorization of the tenant from the database.
func (s *Store) load(ctx context.Context, tenant, id string) (party, error) {
	row, err := s.o.DB.Authorization(ctx, id)
	if core.KindOf(err) == core.NotFound || err == nil && row.Tenant != tenant {
		return party{}, core.Errorf(core.NotFound, "there is no such authorization")
	}
	if err != nil {
		return party{}, err
	}
	return s.party(s.open(row))
}

// Finish takes the provider's answer to a sign-in, as it arrived at the redirect
// address of that integration. A state counts once, for ten minutes, in the
// session, tenant and integration it began in, and only as long as nobody edits
// the authorization. Errors: Invalid when the answer belongs to no sign-in that
// is under way; Conflict when the authorization was edited meanwhile, and, with
// what the provider said, when it refused; Unavailable, NotConfigured. When the
// provider was asked the authorization is returned too.
func (s *Store) Finish(ctx context.Context, tenant, session, integrationID string, answer url.Values) (integration.Authorization, error) {
	none := integration.Authorization{}
	p, verifier, err := s.takeSignIn(ctx, tenant, session, integrationID, answer)
	if err != nil {
		return none, err
	}
	if p.g.Issuer != "" {
		issuer, err := integration.Render(p.g.Issuer, p.values())
		if err != nil {
			return none, err
		}
		if len(answer["iss"]) != 1 || answer.Get("iss") != issuer {
			return s.failed(ctx, &p, &refusal{"the answer came from another provider than the one that was asked"})
		}
	}
	code := answer.Get("code")
	if answer.Has("error") {
		return s.failed(ctx, &p, &refusal{p.said(answer.Get("error"), answer.Get("error_description"))})
	}
	if len(answer["code"]) != 1 || code == "" {
		return none, core.Errorf(core.Invalid, "the provider's answer has no code")
	}
	redirect, err := s.o.Redirect(p.i.ID)
	if err != nil {
		return none, err
	}
	a, err := s.exchange(ctx, &p, redirect, code, verifier)
	if no, ok := errors.AsType[*refusal](err); ok {
		err = &refusal{redact(no.text, []string{code, verifier})}
	}
	if err != nil {
		return s.failed(ctx, &p, err)
	}
	return s.granted(ctx, &p, a)
}

// takeSignIn finds the sign-in that an answer belongs to, and ends it.
func (s *Store) takeSignIn(ctx context.Context, tenant, session, integrationID string, answer url.Values) (p party, verifier string, err error) {
	unknown := core.Errorf(core.Invalid, "this answer belongs to no sign-in that is under way here; begin again")
	if len(answer["state"]) != 1 {
		return p, "", unknown
	}
	hash := digest(answer.Get("state"))
	var signIn store.SignIn
	var row store.Authorization
	err = s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if signIn, err = tx.TakeSignIn(ctx, hash); err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(signIn.Session, digest(session)) != 1 {
			return unknown // and it stays: somebody else's browser cannot end it
		}
		row, err = tx.LockAuthorization(ctx, signIn.AuthorizationID)
		return err
	})
	switch age := s.o.Clock.Now().UnixMilli() - signIn.CreatedMs; {
	case core.KindOf(err) == core.NotFound:
		return p, "", unknown
	case err != nil:
		return p, "", err
	case row.Tenant != tenant || row.Integration != integrationID:
		return p, "", unknown
	case age > signInLife.Milliseconds():
		return p, "", core.Errorf(core.Invalid, "this sign-in took longer than ten minutes; begin again")
	case row.UpdatedMs != signIn.EditedMs:
		return p, "", edited()
	}
	plain, err := s.o.Sealer.Open(verifierPlace(tenant, hash), signIn.Verifier)
	if err != nil {
		return p, "", core.Wrap(core.NotConfigured, err, "the sign-in cannot be opened")
	}
	p, err = s.party(s.open(row))
	return p, string(plain), err
}

func edited() error {
	return core.Errorf(core.Conflict, "the authorization was edited or removed meanwhile; authorize it again")
}

// Grant authorizes without a sign-in: it fetches a token, or asks the provider
// whose an API key, a password or the like is. When that fails the reason is
// kept. Errors: NotFound; Invalid when the grant needs a sign-in; Conflict with
// what the provider said; Unavailable; NotConfigured.
func (s *Store) Grant(ctx context.Context, tenant, id string) (integration.Authorization, error) {
	p, err := s.load(ctx, tenant, id)
	if err != nil {
		return integration.Authorization{}, err
	}
	if p.g.Type == integration.AuthorizationCode {
		return integration.Authorization{}, core.Errorf(core.Invalid, "the grant %q needs a sign-in", p.g.Title)
	}
	var a *answer
	if p.g.Type.OAuth() {
		a, err = s.again(ctx, &p)
	} else if _, _, err = p.header(); err == nil {
		a = &answer{}
	}
	if err == nil {
		return s.granted(ctx, &p, a)
	}
	return s.failed(ctx, &p, err)
}

// granted stores what the provider gave, unless the authorization was edited.
func (s *Store) granted(ctx context.Context, p *party, a *answer) (integration.Authorization, error) {
	account, err := s.whose(ctx, p, a)
	if err != nil {
		return s.failed(ctx, p, err)
	}
	var row store.Authorization
	var replaced *entry
	// Not the caller's context: the token is in hand, and the provider may give
	// no other.
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), grantTimeout)
	defer cancel()
	err = s.insist(kept, func(ctx context.Context, tx *store.Tx) (err error) {
		row, err = tx.LockAuthorization(ctx, p.e.row.ID)
		if core.KindOf(err) == core.NotFound || err == nil && row.UpdatedMs != p.e.row.UpdatedMs {
			return edited()
		}
		if err != nil {
			return err
		}
		replaced = s.open(row)
		row.Status, row.Reason, row.SinceMs, row.Account = string(integration.Authorized), "", s.o.Clock.Now().UnixMilli(), account
		row.EndsMs, row.WarnedMs = nil, nil
		if p.g.Type.OAuth() {
			if err := s.accept(&row, &party{blank(p.e), p.i, p.g}, a); err != nil {
				return err
			}
		}
		_, err = tx.SaveAuthorization(ctx, row) // it is locked
		return err
	})
	if err != nil {
		if core.KindOf(err) != core.Uncertain { // it may be stored after all
			s.revoke(ctx, p, a.tokens)
		}
		return integration.Authorization{}, err
	}
	row.Version++
	s.forget(row.ID)
	shown := s.changed(ctx, row, true)
	// Some providers hand out the same refresh token again.
	if old := replaced.tokens.reveal()[refreshToken]; old == "" || old != a.tokens.reveal()[refreshToken] {
		s.revokeOld(ctx, replaced)
	}
	return shown, nil
}

// blank is an entry without its tokens: those of another grant are not kept.
func blank(e *entry) *entry {
	without := *e
	without.tokens = nil
	return &without
}

// whose asks for the account. A fresh token need not be able to tell, but for a
// key it is the only proof that it works.
func (s *Store) whose(ctx context.Context, p *party, a *answer) (string, error) {
	if !p.g.Type.OAuth() {
		name, value, err := p.header()
		if err != nil {
			return "", err
		}
		return s.account(ctx, p, name, value)
	}
	bearer := conceal("Bearer " + a.tokens.reveal()[accessToken])
	account, err := s.account(ctx, p, "Authorization", bearer)
	if err != nil {
		account = ""
	}
	return account, nil
}

// failed keeps why a pending authorization could not be granted, and returns it
// with the error for the administrator. One that works goes on working, and one
// that the provider has withdrawn keeps the reason for that.
func (s *Store) failed(ctx context.Context, p *party, cause error) (integration.Authorization, error) {
	shown, reason := p.e.shown, ""
	if no, ok := errors.AsType[*refusal](cause); ok {
		reason = no.text
		cause = core.Errorf(core.Conflict, "%s", no.text)
	} else if e, ok := errors.AsType[*core.Error](cause); ok {
		reason = e.Message
	} else {
		return shown, cause
	}
	var row store.Authorization
	kept := false
	err := s.o.DB.Write(context.WithoutCancel(ctx), func(ctx context.Context, tx *store.Tx) (err error) {
		row, err = tx.LockAuthorization(ctx, p.e.row.ID)
		kept = err == nil && row.UpdatedMs == p.e.row.UpdatedMs && row.Status == string(integration.Pending)
		if !kept {
			return err
		}
		row.Reason = reason
		_, err = tx.SaveAuthorization(ctx, row)
		return err
	})
	if err == nil && kept {
		row.Version++
		shown = s.changed(ctx, row, false)
	}
	return shown, cause
}
