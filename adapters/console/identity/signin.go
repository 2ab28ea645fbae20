package identity

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/store"
)

// signOnLife is how long somebody may take at the sign-on service.
const signOnLife = 10 * time.Minute

func wrong() error {
	return core.Errorf(core.Unauthenticated, "The name or the password is wrong.")
}

// SignIn signs a person in with a password, in a new session. Errors:
// Unauthenticated, the same for an unknown name, with the person if the name is
// one's; Throttled after five failures a
// minute with one name from one address, twenty from one address, or a hundred
// from the /48 of an IPv6 address.
func (i *Identity) SignIn(c echo.Context, upn, password string) (Person, error) {
	ctx := c.Request().Context()
	upn, _ = normalUPN(upn) // one that is none is unknown
	succeeded, err := i.attempts.begin(i.o.Clock.Now(), c.RealIP(), upn)
	if err != nil {
		return Person{}, err
	}
	account, err := i.o.DB.AccountByUPN(ctx, upn)
	if err != nil && core.KindOf(err) != core.NotFound {
		return Person{}, err
	}
	stored := account.Password
	if stored == "" {
		stored = i.hasher.dummy // an unknown name costs the same time
	}
	same, err := i.hasher.verify(ctx, stored, password)
	if err != nil {
		return Person{}, err
	}
	if !same || account.Password == "" || !i.knows(account.Tenant) {
		return person(account), wrong()
	}
	succeeded()
	return i.enter(c, account)
}

// enter begins a new session of the account, so that a session that somebody
// planted before is worth nothing.
func (i *Identity) enter(c echo.Context, account store.Account) (Person, error) {
	v := visitOf(c)
	if err := i.sessions.Clear(v.ctx); err != nil {
		return Person{}, err
	}
	if err := i.sessions.RenewToken(v.ctx); err != nil {
		return Person{}, err
	}
	i.sessions.SetDeadline(v.ctx, i.o.Clock.Now().Add(sessionLife))
	v.account, v.fresh = account, true
	i.put(v, keyAccount, account.ID)
	if err := i.commit(c, v); err != nil {
		_ = i.sessions.Clear(v.ctx) // never fails; what is left must not name the account
		i.renew(v)
		if core.KindOf(err) == core.NotFound {
			return Person{}, wrong() // changed or removed while signing in
		}
		return Person{}, err
	}
	return person(account), nil
}

// SignOut ends the session, here and in the browser.
func (i *Identity) SignOut(c echo.Context) error {
	v := visitOf(c)
	if !v.fresh {
		if err := i.sessions.Destroy(v.ctx); err != nil {
			return err
		}
	}
	i.renew(v)
	setCookie(c, cookieName, "", -1)
	return nil
}

// BeginSingleSignOn returns the address of the sign-on service to send the
// browser to. Errors: NotConfigured when there is none, Unavailable when it
// cannot be reached, Throttled after sixty a minute from one address that did not
// end in a sign-in.
func (i *Identity) BeginSingleSignOn(c echo.Context) (address string, err error) {
	if i.o.SingleSignOn == nil {
		return "", core.Errorf(core.NotConfigured, "Single sign-on is not set up.")
	}
	now := i.o.Clock.Now()
	if err := i.attempts.beginSignOn(now, c.RealIP()); err != nil {
		return "", err
	}
	address, secret, err := i.o.SingleSignOn.Begin(c.Request().Context())
	if err != nil {
		return "", err
	}
	v := visitOf(c)
	i.put(v, keySignOn, secret)
	i.put(v, keySignOnMs, strconv.FormatInt(now.UnixMilli(), 10))
	return address, i.commit(c, v)
}

// FinishSingleSignOn signs in who came back from the sign-on service, in a new
// session. There must be an account with single sign-on for the name; the first
// sign-in binds it to the identity, and no other may use it later. Errors:
// Unauthenticated, Forbidden when there is no such account, Unavailable.
func (i *Identity) FinishSingleSignOn(c echo.Context, answer url.Values) (Person, error) {
	v := visitOf(c)
	secret := i.pop(v, keySignOn)
	began, _ := strconv.ParseInt(i.pop(v, keySignOnMs), 10, 64)
	if i.o.SingleSignOn == nil || secret == "" || i.o.Clock.Now().Sub(store.FromMilli(began)) > signOnLife {
		return Person{}, core.Errorf(core.Unauthenticated, "This sign-in was not begun in this browser, or it took too long. Begin again.")
	}
	if err := i.commit(c, v); err != nil { // one answer for one beginning, whatever comes of it
		return Person{}, err
	}
	ctx := c.Request().Context()
	issuer, subject, name, err := i.o.SingleSignOn.Finish(ctx, secret, answer)
	if err != nil {
		return Person{}, err
	}
	upn, err := normalUPN(name)
	if err != nil || issuer == "" || subject == "" {
		return Person{}, core.Errorf(core.Unauthenticated, "The sign-on service did not say who you are.")
	}
	account, err := i.bind(ctx, upn, issuer, subject)
	if err != nil {
		return Person{}, err
	}
	who, err := i.enter(c, account)
	if err == nil {
		i.attempts.endSignOn(c.RealIP())
	}
	return who, err
}

// bind returns the account of an identity and makes it that identity's for good.
func (i *Identity) bind(ctx context.Context, upn, issuer, subject string) (store.Account, error) {
	found, err := i.o.DB.AccountByUPN(ctx, upn)
	if err != nil && core.KindOf(err) != core.NotFound {
		return store.Account{}, err
	}
	if err != nil || found.Password != "" || !i.knows(found.Tenant) {
		return store.Account{}, core.Errorf(core.Forbidden,
			"There is no account with single sign-on for %s. Ask an administrator to add one.", upn)
	}
	var account store.Account
	err = i.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if account, err = tx.LockAccount(ctx, found.ID); err != nil {
			return err
		}
		if account.Password == "" && account.Issuer == "" {
			account.Issuer, account.Subject = issuer, subject
			return tx.UpdateAccount(ctx, account)
		}
		if account.Password != "" || account.Issuer != issuer || account.Subject != subject {
			return core.Errorf(core.Forbidden,
				"The account %s belongs to another identity of the same name. Ask an administrator to remove it and add it again.", upn)
		}
		return nil
	})
	return account, err
}

// normalUPN returns a user name as it is stored. The error is Invalid.
func normalUPN(upn string) (string, error) {
	const longest = 254
	valid := utf8.ValidString(upn) // lower case would be
	upn = strings.ToLower(strings.TrimSpace(upn))
	before, after, _ := strings.Cut(upn, "@")
	switch {
	case before == "" || after == "" || strings.Contains(after, "@") || strings.ContainsFunc(upn, unicode.IsSpace):
		return "", core.InvalidField("upn", "write it like name@example.com")
	case len(upn) > longest:
		return "", core.InvalidField("upn", "is longer than %d bytes", longest)
	case !valid || strings.ContainsFunc(upn, unprintable):
		return "", core.InvalidField("upn", "holds characters that cannot be seen")
	}
	return upn, nil
}

// unprintable tells whether a character cannot be seen, or turns the text around.
func unprintable(r rune) bool { return !unicode.IsPrint(r) }
