package console

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/server"
)

// faultPage is what the page of an error shows.
type faultPage struct {
	Heading   string
	Message   string
	Advice    string
	Details   []core.Detail
	RequestID string
	SignIn    bool // a link to the sign-in is the way on
	Callback  bool // the address holds what must not stay in it
}

// headings are what happened, and advice what to do, by kind; a kind without is
// the hub's fault.
var (
	headings = map[core.Kind]string{
		core.Invalid:            "That did not work",
		core.Unauthenticated:    "Please sign in",
		core.Forbidden:          "You may not do this",
		core.NotConfigured:      "This is not set up",
		core.NeedsAuthorization: "An authorization is missing",
		core.NotFound:           "There is nothing here",
		core.Conflict:           "This is not possible now",
		core.Throttled:          "Too many requests",
		core.Unavailable:        "This is not available now",
		core.Timeout:            "This took too long",
		core.Uncertain:          "The other side did not answer as expected",
	}
	advice = map[core.Kind]string{
		core.Invalid:       "Go back and try again from the page you came from.",
		core.Forbidden:     "If you need it, ask an administrator of your organization for another role.",
		core.NotConfigured: "If it should be, tell whoever runs this hub.",
		core.NotFound:      "It may have been removed meanwhile, or the address is mistyped.",
		core.Throttled:     "Wait a moment, then try again.",
		core.Unavailable:   "Nothing was changed. Try again in a moment.",
		core.Timeout:       "Try again in a moment.",
		core.Uncertain:     "Look whether it took effect before you try again.",
	}
)

// particular is what happened and what to do for errors whose kind says too
// little, by code.
var particular = map[string]struct{ heading, advice string }{
	identity.CodeHTTPSNeeded: {
		"The console needs https",
		"Open it under its https address. If that is what you did, the hub does not know the proxy in front of it: whoever runs it names that in trusted-proxies.",
	},
	identity.CodeCrossSite: {"This did not come from the console", "Open the console and do it there."},
}

// fail answers an error with a page, and returns it for the server, which logs
// what is the hub's fault.
func (c *Console) fail(ctx echo.Context, err error) error {
	if ctx.Response().Committed {
		return err
	}
	e, status := server.Explain(err)
	server.RetryAfter(ctx.Response().Header(), e)
	p := faultPage{
		Heading: headings[e.Kind], Message: sentence(e.Message), Advice: advice[e.Kind], Details: e.Details,
		RequestID: server.RequestID(ctx), SignIn: e.Kind == core.Unauthenticated,
		Callback: ctx.Path() == pathCallback,
	}
	if known, ok := particular[e.Code]; ok {
		p.Heading, p.Advice = known.heading, known.advice
	}
	if p.Heading == "" {
		p.Heading = "Something went wrong"
		p.Advice = "Try again in a moment. If it happens again, give the request id to whoever runs this hub."
	}
	if e.Kind == core.Internal {
		p.Message, p.Details = "The fault is the hub's, not yours. It has been noted.", nil
	}
	v := view{Title: p.Heading, Data: p, Small: person(ctx) == nil || p.Callback}
	if live(ctx) {
		if broken := c.stop(ctx, status, p); broken != nil {
			return errors.Join(err, broken)
		}
	} else if broken := c.render(ctx, status, "error", v); broken != nil {
		return errors.Join(err, broken)
	}
	return err
}

// stop answers a page that follows the hub. What is gone, or may not be seen any
// more, takes the place of what it showed; other faults pass, and it asks again.
func (c *Console) stop(ctx echo.Context, status int, p faultPage) error {
	if status != http.StatusNotFound && status != http.StatusForbidden {
		return ctx.NoContent(status)
	}
	return c.piece(ctx, status, "gone", p)
}

func (c *Console) unknown(echo.Context) error {
	return core.Errorf(core.NotFound, "There is no such page in the console.")
}
