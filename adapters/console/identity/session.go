package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/store"
)

const (
	cookieName   = "__Host-tandem"
	returnCookie = "__Host-tandem-return"
	returnLife   = 10 * 60 // seconds
	maxReturn    = 1024

	// LiveHeader marks, with the value 1, a GET that the page makes by itself to
	// stay up to date: it keeps nobody signed in.
	LiveHeader = "X-Tandem-Live"

	visitKey = "tandem.console.visit"
)

// What a session holds, all of it text.
const (
	keyAccount   = "account"
	keyFlashKind = "flash.kind"
	keyFlashText = "flash.text"
	keySignOn    = "signon"
	keySignOnMs  = "signon.ms"
)

// visit is one request's view of its session.
type visit struct {
	ctx     context.Context //nolint:containedctx // scs keeps the session's data in it
	account store.Account   // signed in; zero: nobody
	live    bool
	safe    bool // the request changes nothing
	fresh   bool // the token is not stored yet
	dirty   bool
	err     error // of saving
}

// Codes of Middleware's errors.
const (
	CodeHTTPSNeeded = "HTTPS_NEEDED"
	CodeCrossSite   = "CROSS_SITE"
)

// Middleware finds the session of a request and the person behind it, and keeps
// what the handler did to it. Errors, before the handler is called: Forbidden for
// an unsafe request from another site (CodeCrossSite), and for plain http to
// anything but the machine itself (CodeHTTPSNeeded); Unavailable when the session cannot be
// looked up.
func (i *Identity) Middleware(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if c.Scheme() != "https" && !onThisMachine(c.Request().Host) {
			e := core.Errorf(core.Forbidden, "The console is served over https only, for passwords pass through it.")
			e.Code = CodeHTTPSNeeded
			return e
		}
		if err := i.cross.Check(c.Request()); err != nil {
			e := core.Wrap(core.Forbidden, err, "The request came from another site.")
			e.Code = CodeCrossSite
			return e
		}
		v, err := i.load(c)
		if err != nil {
			return err
		}
		c.Set(visitKey, v)
		c.Response().Before(func() { i.save(c, v) }) // the last moment for a cookie
		err = next(c)
		if !c.Response().Committed {
			i.save(c, v)
		}
		if v.err != nil {
			err = errors.Join(err, v.err)
		}
		return err
	}
}

// onThisMachine tells whether a Host header names the machine itself, which
// browsers take for as safe as https.
func onThisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return core.Loopback(name)
}

func (i *Identity) load(c echo.Context) (*visit, error) {
	r := c.Request()
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	v := &visit{live: safe && r.Header.Get(LiveHeader) == "1", safe: safe}
	var token string
	if cookie, err := r.Cookie(cookieName); err == nil {
		token = cookie.Value
	}
	var err error
	if v.ctx, err = i.sessions.Load(r.Context(), token); err != nil {
		return nil, err
	}
	if i.sessions.Token(v.ctx) == "" {
		i.renew(v)
	}
	id := i.sessions.GetString(v.ctx, keyAccount)
	if id == "" {
		return v, nil
	}
	account, err := i.o.DB.Account(r.Context(), id)
	switch {
	case err == nil && i.knows(account.Tenant):
		v.account = account
	case err == nil || core.KindOf(err) == core.NotFound:
		err = i.sessions.Destroy(v.ctx) // nobody is behind it any more
		i.renew(v)
	}
	return v, err
}

// renew makes v the visit of somebody unknown, of whom nothing is stored.
func (i *Identity) renew(v *visit) {
	v.account, v.fresh, v.dirty = store.Account{}, true, false
	i.sessions.SetDeadline(v.ctx, i.o.Clock.Now().Add(sessionIdle))
}

// save stores a session that was changed, or that a person used, and gives its
// token to the browser if that is new.
func (i *Identity) save(c echo.Context, v *visit) {
	if v.live || !v.dirty && v.account.ID == "" {
		return
	}
	if err := i.commit(c, v); err != nil && core.KindOf(err) != core.NotFound { // NotFound: signed out meanwhile
		v.err = err
	}
}

func (i *Identity) commit(c echo.Context, v *visit) error {
	ctx := context.WithValue(v.ctx, savingKey{}, saving{account: v.account, fresh: v.fresh})
	token, _, err := i.sessions.Commit(ctx)
	if err != nil {
		return err
	}
	if v.fresh {
		setCookie(c, cookieName, token, 0)
	}
	v.fresh, v.dirty = false, false
	return nil
}

// setCookie sets a cookie that ends with the browser's session, or after maxAge
// seconds, or now if that is negative.
func setCookie(c echo.Context, name, value string, maxAge int) {
	c.SetCookie(&http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func visitOf(c echo.Context) *visit {
	v, ok := c.Get(visitKey).(*visit)
	if !ok {
		panic("console: the route is outside of identity's Middleware") //nolint:forbidigo // a fault of the wiring
	}
	return v
}

func (i *Identity) put(v *visit, key, value string) {
	i.sessions.Put(v.ctx, key, value)
	v.dirty = true
}

func (i *Identity) pop(v *visit, key string) string {
	if !i.sessions.Exists(v.ctx, key) {
		return ""
	}
	v.dirty = true
	return i.sessions.PopString(v.ctx, key)
}

// Person returns the person who is signed in.
func (i *Identity) Person(c echo.Context) (Person, bool) {
	v := visitOf(c)
	return person(v.account), v.account.ID != ""
}

// Require lets the given roles through, any signed-in person if there is none.
// Errors: Unauthenticated when nobody is signed in, Forbidden for another role.
func (i *Identity) Require(roles ...Role) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			p, ok := i.Person(c)
			if !ok {
				return core.Errorf(core.Unauthenticated, "Sign in first.")
			}
			if len(roles) > 0 && !slices.Contains(roles, p.Role) {
				return core.Errorf(core.Forbidden, "Your role (%s) may not do this.", p.Role.Label())
			}
			return next(c)
		}
	}
}

// Session returns a text that names the session and opens nothing; empty when
// there is none. Signing in makes another one.
func (i *Identity) Session(c echo.Context) string {
	v := visitOf(c)
	if v.fresh {
		return ""
	}
	hash := sha256.Sum256([]byte("name of " + i.sessions.Token(v.ctx)))
	return base64.RawURLEncoding.EncodeToString(hash[:])
}

// Flash keeps one message for the next page. A visitor without a session gets
// none for it on a GET: nobody can fill the database by asking for pages.
func (i *Identity) Flash(c echo.Context, kind, text string) {
	v := visitOf(c)
	if v.live || v.fresh && v.safe {
		return
	}
	i.put(v, keyFlashKind, kind)
	i.put(v, keyFlashText, text)
}

// TakeFlash returns the message that was kept, once; empty when there is none.
func (i *Identity) TakeFlash(c echo.Context) (kind, text string) {
	v := visitOf(c)
	if v.live {
		return "", ""
	}
	return i.pop(v, keyFlashKind), i.pop(v, keyFlashText)
}

// ReturnTo remembers a page of the console to come back to after signing in,
// for ten minutes and in the browser; a path elsewhere is ignored.
func (i *Identity) ReturnTo(c echo.Context, to string) {
	if local(to) {
		setCookie(c, returnCookie, base64.RawURLEncoding.EncodeToString([]byte(to)), returnLife)
	}
}

// TakeReturn returns the page to come back to, once; empty when there is none.
func (i *Identity) TakeReturn(c echo.Context) string {
	cookie, err := c.Cookie(returnCookie)
	if err != nil {
		return ""
	}
	setCookie(c, returnCookie, "", -1)
	to, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || !local(string(to)) {
		return ""
	}
	return string(to)
}

// local tells whether a path, with its query, stays in the console.
func local(to string) bool {
	u, err := url.Parse(to)
	if err != nil || len(to) > maxReturn || u.Scheme != "" || u.Host != "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return strings.HasPrefix(to, "/console") && !strings.Contains(to, "\\") && path.Clean(u.Path) == u.Path &&
		(u.Path == "/console" || strings.HasPrefix(u.Path, "/console/"))
}
