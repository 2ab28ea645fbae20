package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
)

//go:embed templates/*.html
var templateFiles embed.FS

// The header with which a page asks for what has changed on it, and the one
// that says what it shows already.
const (
	headerLive = identity.LiveHeader
	headerSeen = "X-Tandem-Seen"
)

const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// moved marks an address to which a browser was sent because it came under
// another name. It is sent on once only: a proxy that hides the name would
// otherwise send it in circles.
const moved = "moved"

// What the guard notes for the rest of a request: that its session is known, and
// who reads the page.
const (
	sessionKey = "tandem.console.session"
	personKey  = "tandem.console.person"
)

// view is what every template is given.
type view struct {
	Title   string
	Section string // of the navigation
	Small   bool   // a page without navigation: before sign-in, and in the pop-up
	Person  *identity.Person
	Tenant  string // title of the person's tenant
	Flash   *flash
	Version string
	Path    string        // of the request, for polling
	Query   string        // what belongs to it
	Live    template.HTML // the part that follows the hub
	Seen    string        // names its present state
	Data    any
}

// flash is a message left by the page before.
type flash struct{ Kind, Text string }

// The kinds of a flash.
const (
	flashDone   = "done"
	flashFailed = "failed"
)

// Admin tells whether the reader may change things.
func (v view) Admin() bool { return v.Person != nil && v.Person.Role == identity.Admin }

// Reader tells whether the reader may see the integrations.
func (v view) Reader() bool { return v.Person != nil && may(v.Person.Role, readers()) }

// Worker tells whether the reader may take tasks.
func (v view) Worker() bool { return v.Person != nil && may(v.Person.Role, workers()) }

// Checker tells whether the reader may try things.
func (v view) Checker() bool { return v.Person != nil && may(v.Person.Role, checkers()) }

func (c *Console) parse() (map[string]*template.Template, error) {
	shared, err := template.New("").Funcs(c.funcs()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html", "templates/icons.html")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, e := range entries {
		t, err := shared.Clone()
		if err == nil {
			_, err = t.ParseFS(templateFiles, path.Join("templates", e.Name()))
		}
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		pages[strings.TrimSuffix(e.Name(), ".html")] = t
	}
	return pages, nil
}

// frame stands around every page: headers, the one public address, and a page
// for what fails before the guard.
func (c *Console) frame(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ctx echo.Context) error {
		h := ctx.Response().Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", headerLive)
		if ctx.Scheme() == "https" {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if to := c.elsewhere(ctx.Request()); to != "" {
			return ctx.Redirect(http.StatusSeeOther, to)
		}
		if err := next(ctx); err != nil {
			return c.fail(ctx, err)
		}
		return nil
	}
}

// guard lets the roles pass, all of them if none is named. What fails inside is
// answered here, where the session can still be written.
func (c *Console) guard(roles []identity.Role) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		known := func(ctx echo.Context) error {
			if p, ok := c.o.Identity.Person(ctx); ok {
				ctx.Set(personKey, &p)
			}
			return next(ctx)
		}
		guarded := known
		if len(roles) > 0 {
			guarded = c.o.Identity.Require(roles...)(known)
		}
		return func(ctx echo.Context) error {
			ctx.Set(sessionKey, true)
			err := guarded(ctx)
			switch {
			case err == nil:
				return nil
			case len(roles) > 0 && core.KindOf(err) == core.Unauthenticated:
				return c.signInFirst(ctx, err)
			case ctx.Get(personKey) == nil: // refused by role: the page still shows who reads it
				if p, ok := c.o.Identity.Person(ctx); ok {
					ctx.Set(personKey, &p)
				}
			}
			return c.fail(ctx, err)
		}
	}
}

// signInFirst answers a request without a session. Only the reading of a page
// can be taken up again after the sign-in.
func (c *Console) signInFirst(ctx echo.Context, err error) error {
	r := ctx.Request()
	switch {
	case live(ctx):
		return c.piece(ctx, http.StatusUnauthorized, "ended", nil)
	case strings.HasPrefix(r.URL.Path, "/oauth/"):
		return c.fail(ctx, core.Wrap(core.Unauthenticated, err, "Your session has ended; sign in and authorize again."))
	case r.Method != http.MethodGet:
		return c.fail(ctx, core.Wrap(core.Unauthenticated, err, "Your session has ended; nothing was changed. Sign in and do it again."))
	}
	c.o.Identity.ReturnTo(ctx, r.URL.RequestURI())
	return ctx.Redirect(http.StatusSeeOther, c.link("login"))
}

// elsewhere returns the address to go to when the page was asked for under
// another name than the configured one: cookies and the state of a sign-in at a
// provider belong to one name.
func (c *Console) elsewhere(r *http.Request) string {
	base, err := url.Parse(c.o.BaseURL())
	if err != nil || base.Host == "" || r.Method != http.MethodGet || sameHost(base.Scheme, base.Host, r.Host) {
		return ""
	}
	q := r.URL.Query()
	if q.Has(moved) || r.Header.Get(headerLive) != "" {
		return ""
	}
	q.Set(moved, "1")
	return base.Scheme + "://" + base.Host + base.EscapedPath() + r.URL.EscapedPath() + "?" + q.Encode()
}

func sameHost(scheme, a, b string) bool {
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return strings.EqualFold(strings.TrimSuffix(a, port), strings.TrimSuffix(b, port))
}

func live(ctx echo.Context) bool { return ctx.Request().Header.Get(headerLive) != "" }

// person returns who reads the page; only routes with roles may call it.
func person(ctx echo.Context) *identity.Person {
	p, _ := ctx.Get(personKey).(*identity.Person)
	return p
}

// render answers with a page, or, when a page asks what has changed on it, with
// that part of it.
func (c *Console) render(ctx echo.Context, status int, page string, v view) error {
	t, ok := c.pages[page]
	if !ok {
		return fmt.Errorf("console: no page %q", page)
	}
	v.Version, v.Path = c.o.Version, c.prefix()+ctx.Request().URL.Path
	if v.Query != "" {
		v.Path += "?" + v.Query
	}
	if v.Person = person(ctx); v.Person != nil {
		v.Tenant = c.o.Tenant(v.Person.Tenant)
	}
	var b bytes.Buffer
	if t.Lookup("live") != nil {
		if err := t.ExecuteTemplate(&b, "live", v); err != nil {
			return fmt.Errorf("console: %w", err)
		}
		sum := sha256.Sum256(b.Bytes())
		v.Seen = hex.EncodeToString(sum[:8])
		v.Live = template.HTML(b.String()) //nolint:gosec // made by a template
		b.Reset()
	}
	name := "layout"
	switch {
	case live(ctx) && ctx.Request().Header.Get(headerSeen) == v.Seen:
		return ctx.NoContent(http.StatusNoContent)
	case live(ctx):
		name = "region"
	case ctx.Get(sessionKey) != nil:
		if kind, text := c.o.Identity.TakeFlash(ctx); text != "" {
			v.Flash = &flash{kind, text}
		}
	}
	if err := t.ExecuteTemplate(&b, name, v); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return ctx.HTMLBlob(status, b.Bytes())
}

// piece answers a page that follows the hub with the last thing to show there.
// The script knows it by how it begins.
func (c *Console) piece(ctx echo.Context, status int, name string, data any) error {
	var b bytes.Buffer
	if err := c.pages["error"].ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return ctx.HTMLBlob(status, b.Bytes())
}

// see sends the browser to a page of the console, so that a reload repeats
// nothing.
func (c *Console) see(ctx echo.Context, to string) error {
	return ctx.Redirect(http.StatusSeeOther, to)
}

// prefix is the path under which a proxy shows the hub.
func (c *Console) prefix() string {
	u, err := url.Parse(c.o.BaseURL())
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// link returns the address of a page of the console by the segments of its path.
func (c *Console) link(segments ...string) string {
	to := c.prefix() + "/console"
	for _, s := range segments {
		to += "/" + url.PathEscape(s)
	}
	return to
}

// form returns the fields of a posted form; what stands in the address is none
// of them.
func form(ctx echo.Context) (url.Values, error) {
	if media, _, _ := mime.ParseMediaType(ctx.Request().Header.Get("Content-Type")); media != "application/x-www-form-urlencoded" && ctx.Request().ContentLength != 0 {
		e := core.Errorf(core.Invalid, "A form is expected here.")
		e.Status = http.StatusUnsupportedMediaType
		return nil, e
	}
	if err := ctx.Request().ParseForm(); err != nil {
		if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, big
		}
		return nil, core.Wrap(core.Invalid, err, "The form could not be read.")
	}
	return ctx.Request().PostForm, nil //nolint:forbidigo // the field of a request, not a call
}
