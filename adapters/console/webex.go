package console

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/integration"
)

// WebexSubscription is what the hub knows of the subscription by which Webex
// Contact Center tells a tenant's events. It holds no secret. A zero time means
// never.
type WebexSubscription struct {
	Set          bool   // there is one; the rest is empty without
	Address      string // where the events are sent
	Status       string // pending, active, inactive, failed
	Error        string // of the last check, for people; empty: it went well
	Org          string // the organization there; empty: not known yet
	Checked      time.Time
	LastEvent    time.Time
	Compared     time.Time // when open tasks were last compared
	ComparedText string    // what came of it
	SecretSince  time.Time
	OldUntil     time.Time // the secret before it is still taken until then
}

// Webex keeps the subscriptions at Webex Contact Center. Check, Rotate and
// Compare fail with what people can be told.
type Webex interface {
	State(ctx context.Context, tenant string) (WebexSubscription, error)
	Check(ctx context.Context, tenant string) error
	Rotate(ctx context.Context, tenant string) error // a new secret; the old one is taken for another 24 hours
	Compare(ctx context.Context, tenant string) error
}

// What of the mapping files the page is about, and where flows send their
// events.
const (
	webexIntegration = "webex-contact-center"
	webexTitle       = "Webex Contact Center"
	connectPath      = "/webex/v1/events/connect"
)

// webexPage is what the page of Webex shows.
type webexPage struct {
	WebexSubscription

	Tone, Label string
	Advice      string // what the status asks people to do; empty: nothing
	Ready       bool   // there is an authorization to go out with
	Integration string // id, when the mapping files describe it
	OldTaken    bool   // the old secret still is
	Connect     string // address for flows of Webex Connect
	Unplaced    bool   // the hub does not know its own address, which stands before that
	Nodes       []webexNode
}

// webexNode is a node and the authorization that it goes out with.
type webexNode struct {
	nodeView

	Title       string // of the node
	Integration string // its title
	Of          string // its id
}

func (c *Console) webex(ctx echo.Context) error {
	tenant := person(ctx).Tenant
	s, err := c.o.Webex.State(ctx.Request().Context(), tenant)
	if err != nil {
		return err
	}
	all, err := c.o.Authorizations.List(ctx.Request().Context(), tenant, "")
	if err != nil {
		return err
	}
	base := strings.TrimRight(c.o.BaseURL(), "/")
	page := webexPage{
		WebexSubscription: s, Connect: base + connectPath, Unplaced: base == "",
		OldTaken: s.OldUntil.After(c.o.Clock.Now()), Nodes: c.webexNodes(ctx, all),
	}
	if i, ok := c.o.Integrations().Integration(webexIntegration); ok {
		page.Integration = i.ID
	}
	goesOut := integration.Choose(of(all, webexIntegration), "", "")
	page.Ready = goesOut != nil && goesOut.Status == integration.Authorized
	page.judge(base)
	return c.render(ctx, http.StatusOK, "webex", view{Title: "Webex", Section: "webex", Data: page})
}

// judge says how the subscription fares and what to do.
func (p *webexPage) judge(base string) {
	switch {
	case !p.Ready:
		p.Tone, p.Label = toneWait, "Not connected"
		p.Advice = "Authorize " + webexTitle + " and make that authorization the default: the hub does the rest by itself."
		if p.Set {
			p.Tone, p.Advice = toneBad, "The authorization it needs is missing or has ended. "+p.Advice
		}
	case !reachable(base):
		p.Tone, p.Label = toneBad, "Cannot be set up"
		p.Advice = "Webex sends events to https addresses only. Tell whoever runs this hub: its public-url must be the https address under which Webex reaches it."
	case !p.Set, p.Status == "pending":
		p.Tone, p.Label = toneWait, "Being set up"
		p.Advice = "The hub subscribes to the events within a minute."
	case p.Status == "active" && p.Error == "":
		p.Tone, p.Label = toneGood, "Active"
	case p.Status == "active":
		p.Tone, p.Label = toneWarn, "Active, but the last check failed"
		p.Advice = "Events still come. The hub checks again each minute; if it goes on, look at the authorization."
	case p.Status == "inactive":
		p.Tone, p.Label = toneWarn, "Switched off by Webex"
		p.Advice = "Webex does that when it cannot reach the address below. The hub switches it on again within a minute. If it goes off again, see that the address can be reached from the internet."
	default:
		p.Tone, p.Label = toneBad, "Not working"
		p.Advice = "The hub tries again each minute. Look at the authorization, and whether it may manage subscriptions; then check again."
	}
}

// reachable tells whether Webex can be given the address: it is https, or stays
// on this machine.
func reachable(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	return u.Scheme == "https" && u.Host != "" || u.Scheme == "http" && core.Loopback(u.Hostname())
}

// of returns the authorizations of an integration.
func of(all []integration.Authorization, id string) []integration.Authorization {
	return slices.DeleteFunc(slices.Clone(all), func(a integration.Authorization) bool { return a.Integration != id })
}

// webexNodes lists the nodes in the order of their file.
func (c *Console) webexNodes(ctx echo.Context, all []integration.Authorization) []webexNode {
	var nodes []webexNode
	for _, i := range c.o.Integrations().All() {
		list := of(all, i.ID)
		for _, n := range c.o.Integrations().Nodes(i.ID) {
			v := webexNode{nodeView: nodeView{Node: n, Named: n.Authorization != ""}, Title: n.Title, Integration: i.Title, Of: i.ID}
			if a := integration.Choose(list, n.ID, n.Authorization); a != nil {
				shown := c.show(i, *a, person(ctx))
				v.Uses = &shown
			}
			nodes = append(nodes, v)
		}
	}
	slices.SortStableFunc(nodes, func(a, b webexNode) int { return cmp.Compare(a.Line, b.Line) })
	return nodes
}

func (c *Console) checkWebex(ctx echo.Context) error {
	return c.keep(ctx, Webex.Check, "webex subscription checked", "Checked: the subscription is as it should be.")
}

func (c *Console) rotateWebex(ctx echo.Context) error {
	return c.keep(ctx, Webex.Rotate, "webex secret renewed", "Webex signs with a new secret from now on. What it still signs with the old one is taken for another 24 hours.")
}

func (c *Console) compareWebex(ctx echo.Context) error {
	return c.keep(ctx, Webex.Compare, "webex tasks compared", "Open tasks were compared with those at Webex.")
}

// keep does something to the subscription and leads back to its page.
func (c *Console) keep(ctx echo.Context, do func(w Webex, ctx context.Context, tenant string) error, what, done string) error {
	p := person(ctx)
	err := do(c.o.Webex, ctx.Request().Context(), p.Tenant)
	if err == nil {
		c.o.Log.LogAttrs(ctx.Request().Context(), slog.LevelInfo, what, slog.String("by", p.UPN), slog.String("tenant", p.Tenant))
	}
	return c.tell(ctx, err, done, "webex")
}
