package console

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/server"
)

// loginPage is the form of the sign-in.
type loginPage struct {
	UPN          string
	Message      string // why the last try failed
	SingleSignOn string
	SignedOut    bool
}

func (c *Console) loginForm(ctx echo.Context) error {
	if person(ctx) != nil {
		return c.see(ctx, c.link())
	}
	first, err := c.o.Identity.FirstRun(ctx.Request().Context())
	if err != nil {
		return err
	}
	if first {
		return c.see(ctx, c.link("setup"))
	}
	return c.drawLogin(ctx, http.StatusOK, loginPage{SignedOut: ctx.QueryParam("out") != ""})
}

func (c *Console) drawLogin(ctx echo.Context, status int, p loginPage) error {
	p.SingleSignOn = c.o.SingleSignOn
	title := "Sign in"
	if p.Message != "" {
		title = "Error: Sign in"
	}
	return c.render(ctx, status, "login", view{Title: title, Small: true, Data: p})
}

func (c *Console) login(ctx echo.Context) error {
	posted, err := form(ctx)
	if err != nil {
		return err
	}
	who, err := c.o.Identity.SignIn(ctx, posted.Get("upn"), posted.Get("password"))
	c.tried(ctx, "signed in", "sign-in refused", who, err)
	if err != nil {
		return c.notSignedIn(ctx, posted.Get("upn"), err)
	}
	return c.goOn(ctx)
}

// tried logs how somebody's try to get in ended. A name that is nobody's is not
// logged: people type passwords there.
func (c *Console) tried(ctx echo.Context, good, bad string, who identity.Person, err error) {
	attributes := []slog.Attr{
		slog.String("person", who.UPN), slog.String("tenant", who.Tenant), slog.String("role", string(who.Role)),
		slog.String("client", server.ClientIP(ctx)), slog.String("requestId", server.RequestID(ctx)),
	}
	level, message := slog.LevelInfo, good
	if err != nil {
		e, _ := server.Explain(err)
		level, message = slog.LevelWarn, bad
		attributes = append(attributes, slog.String("kind", string(e.Kind)), slog.String("why", e.Message))
	}
	c.o.Log.LogAttrs(ctx.Request().Context(), level, message, attributes...)
}

// goOn sends who has signed in to the page they came for.
func (c *Console) goOn(ctx echo.Context) error {
	if to := c.o.Identity.TakeReturn(ctx); to != "" {
		return c.see(ctx, c.prefix()+to)
	}
	return c.see(ctx, c.link())
}

// notSignedIn shows the form again; a fault of the hub is also returned.
func (c *Console) notSignedIn(ctx echo.Context, upn string, err error) error {
	e, status := server.Explain(err)
	if e.Kind == core.Internal {
		return err
	}
	server.RetryAfter(ctx.Response().Header(), e)
	if broken := c.drawLogin(ctx, status, loginPage{UPN: upn, Message: e.Message}); broken != nil {
		return errors.Join(err, broken)
	}
	return err
}

func (c *Console) sso(ctx echo.Context) error {
	if !chosen(ctx.Request().Header) {
		return c.see(ctx, c.link("login"))
	}
	address, err := c.o.Identity.BeginSingleSignOn(ctx)
	if err != nil {
		return c.notSignedIn(ctx, "", err)
	}
	return c.see(ctx, address)
}

// chosen tells whether somebody went to an address themselves, as far as browsers
// tell: no other site led them there, and no page took it for a picture.
func chosen(h http.Header) bool {
	switch h.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return false
	}
	dest := h.Get("Sec-Fetch-Dest")
	return dest == "" || dest == "document"
}

func (c *Console) ssoCallback(ctx echo.Context) error {
	who, err := c.o.Identity.FinishSingleSignOn(ctx, ctx.QueryParams())
	c.tried(ctx, "signed in by single sign-on", "single sign-on refused", who, err)
	if err != nil {
		return c.notSignedIn(ctx, "", err)
	}
	return c.goOn(ctx)
}

func (c *Console) logout(ctx echo.Context) error {
	who := *person(ctx)
	if err := c.o.Identity.SignOut(ctx); err != nil {
		return err
	}
	c.tried(ctx, "signed out", "", who, nil)
	return c.see(ctx, c.link("login")+"?out=1")
}

func (c *Console) setupForm(ctx echo.Context) error {
	return c.drawSetup(ctx, http.StatusOK, setupPage{Token: ctx.QueryParam("token")})
}

func (c *Console) drawSetup(ctx echo.Context, status int, p setupPage) error {
	title := "Set up Tandem"
	if p.Message != "" {
		title = "Error: " + title
	}
	return c.render(ctx, status, "setup", view{Title: title, Small: true, Data: p})
}

func (c *Console) setup(ctx echo.Context) error {
	posted, err := form(ctx)
	if err != nil {
		return err
	}
	p := setupPage{Token: posted.Get("token"), UPN: posted.Get("upn"), Name: posted.Get("name")}
	if posted.Get("password") != posted.Get("again") {
		p.Message, p.Notes = correct, map[string]string{"again": twice}
		return c.drawSetup(ctx, http.StatusUnprocessableEntity, p)
	}
	who, err := c.o.Identity.Setup(ctx, p.Token, p.UPN, p.Name, posted.Get("password"))
	c.tried(ctx, "administrator set up", "setup refused", who, err)
	if err == nil {
		c.o.Identity.Flash(ctx, flashDone, "Welcome, "+who.Name+". Connect your first integration here.")
		return c.goOn(ctx)
	}
	e, status := server.Explain(err)
	if e.Kind == core.Internal {
		return err
	}
	p.Message, p.Notes = e.Message, map[string]string{}
	if e.Kind == core.Unauthenticated {
		p.Notes["token"] = e.Message
	}
	status = p.note(e, status)
	server.RetryAfter(ctx.Response().Header(), e)
	if broken := c.drawSetup(ctx, status, p); broken != nil {
		return errors.Join(err, broken)
	}
	return err
}

func (p *setupPage) note(e *core.Error, status int) int {
	if e.Kind == core.Invalid && len(e.Details) > 0 {
		p.Message, p.Notes = correct, notes(e)
		return http.StatusUnprocessableEntity
	}
	return status
}

// door leads from the addresses that people type to the console's.
func (c *Console) door(ctx echo.Context) error { return c.see(ctx, c.link()) }

// home leads to the first page that a role may see.
func (c *Console) home(ctx echo.Context) error {
	if may(person(ctx).Role, readers()) {
		return c.see(ctx, c.link("integrations"))
	}
	return c.see(ctx, c.link("work"))
}
