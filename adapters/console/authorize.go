package console

import (
	"log/slog"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/server"
)

// leavePage is what the pop-up shows while it goes on to the provider.
type leavePage struct {
	authorizationView

	Address string // of the provider
	Host    string
	Scopes  []string // that are asked for
}

// resultPage is how an authorization ended.
type resultPage struct {
	authorizationView

	Window bool // it stands in the pop-up
}

// authorize begins the sign-in at the provider, or, where there is none, tries
// the stored credential.
func (c *Console) authorize(ctx echo.Context) error {
	i, a, err := c.one(ctx)
	if err != nil {
		return err
	}
	v := c.show(i, a, person(ctx))
	if !v.Popup {
		_, err := c.o.Authorizations.Grant(ctx.Request().Context(), a.Tenant, a.ID)
		e, _ := server.Explain(err)
		switch {
		case err == nil:
			c.did(ctx, "authorization granted", a)
		case e.Kind == core.NotFound || e.Kind == core.Internal:
			return err
		default:
			c.notGranted(ctx, a, e, err)
		}
		return c.see(ctx, c.link("integrations", i.ID, "authorizations", a.ID, "result"))
	}
	address, err := c.o.Authorizations.Begin(ctx.Request().Context(), a.Tenant, a.ID, c.o.Identity.Session(ctx))
	if err != nil {
		return err
	}
	to, err := url.Parse(address)
	if err != nil {
		return core.Wrap(core.Internal, err, "the provider's address")
	}
	// A page, not a redirect: browsers hold the answer to a form to the
	// form-action of the page it stood on, redirects included.
	return c.render(ctx, http.StatusOK, "leave", view{
		Title: "Continuing to " + to.Host, Small: true, Data: leavePage{v, address, to.Host, scopes(i, v.Way, a.Values)},
	})
}

// scopes returns what a grant asks for.
func scopes(i *integration.Integration, g *integration.Grant, values map[string]string) []string {
	values = i.WithDefaults(g, values)
	asked := make([]string, len(g.Scopes))
	for n, scope := range g.Scopes {
		asked[n] = scope
		if rendered, err := integration.Render(scope, values); err == nil {
			asked[n] = rendered
		}
	}
	return asked
}

// callback takes the provider's answer and sends the browser on at once, so that
// the code and the state do not stay in its history.
func (c *Console) callback(ctx echo.Context) error {
	p := person(ctx)
	a, err := c.o.Authorizations.Finish(ctx.Request().Context(), p.Tenant, c.o.Identity.Session(ctx),
		ctx.Param("integration"), ctx.QueryParams())
	if a.ID == "" {
		if err == nil {
			err = core.Errorf(core.Internal, "the answer belongs to no authorization")
		}
		return err
	}
	if err != nil {
		e, _ := server.Explain(err)
		if e.Kind == core.Internal {
			return err
		}
		c.notGranted(ctx, a, e, err)
	} else {
		c.did(ctx, "authorization granted", a)
	}
	return c.see(ctx, c.link("integrations", a.Integration, "authorizations", a.ID, "result")+popupQuery(true))
}

// check makes a harmless call with an authorization.
func (c *Console) check(ctx echo.Context) error {
	i, a, err := c.one(ctx)
	if err != nil {
		return err
	}
	err = c.o.Check(ctx.Request().Context(), a)
	return c.tell(ctx, err, "“"+a.Name+"” works: "+i.Title+" took it.", "integrations", i.ID, "authorizations", a.ID)
}

// tell leads to a page that says what came of what somebody did. A fault of the
// hub is returned.
func (c *Console) tell(ctx echo.Context, err error, done string, to ...string) error {
	e, _ := server.Explain(err)
	switch {
	case err == nil:
		c.o.Identity.Flash(ctx, flashDone, done)
	case e.Kind == core.Internal:
		return err
	default:
		c.o.Identity.Flash(ctx, flashFailed, sentence(e.Message))
	}
	return c.see(ctx, c.link(to...))
}

// did logs who has changed what.
func (c *Console) did(ctx echo.Context, what string, a integration.Authorization) {
	c.o.Log.LogAttrs(ctx.Request().Context(), slog.LevelInfo, what,
		slog.String("by", person(ctx).UPN), slog.String("tenant", a.Tenant),
		slog.String("integration", a.Integration), slog.String("name", a.Name))
}

// notGranted tells the next page why a try failed, and the log, which would not
// hear of it: the answer is a redirect.
func (c *Console) notGranted(ctx echo.Context, a integration.Authorization, e *core.Error, err error) {
	c.o.Identity.Flash(ctx, flashFailed, sentence(e.Message))
	c.o.Log.LogAttrs(ctx.Request().Context(), slog.LevelWarn, "authorization not granted",
		slog.String("requestId", server.RequestID(ctx)), slog.String("tenant", a.Tenant),
		slog.String("integration", a.Integration), slog.String("id", a.ID),
		slog.String("kind", string(e.Kind)), slog.String("error", err.Error()))
}

func (c *Console) result(ctx echo.Context) error {
	i, a, err := c.one(ctx)
	if err != nil {
		return err
	}
	title := "Not authorized"
	if a.Status == integration.Authorized {
		title = "Authorized"
	}
	return c.render(ctx, http.StatusOK, "result", view{
		Title: title, Section: "integrations", Small: true,
		Data: resultPage{c.show(i, a, person(ctx)), ctx.QueryParam("window") != ""},
	})
}
