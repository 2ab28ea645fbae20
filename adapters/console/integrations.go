package console

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/integration"
)

// The tones of a status.
const (
	toneGood = "good"
	toneWait = "wait"
	toneWarn = "warn"
	toneBad  = "bad"
)

// summary is an integration in the list.
type summary struct {
	ID, Title, Description, Docs string

	Tone, Status string
	Broken       *integration.Authorization // the first that must be authorized again
	BrokenMore   int
	Ending       *integration.Authorization // the one that ends first, if soon
	EndingIn     string
}

func (c *Console) integrations(ctx echo.Context) error {
	all, err := c.o.Authorizations.List(ctx.Request().Context(), person(ctx).Tenant, "")
	if err != nil {
		return err
	}
	now := c.o.Clock.Now()
	var rows []summary
	for _, i := range c.o.Integrations().Listed() {
		rows = append(rows, summarize(i, all, now))
	}
	for _, a := range all { // what is left of an integration whose file has gone
		if _, known := c.o.Integrations().Integration(a.Integration); known ||
			slices.ContainsFunc(rows, func(s summary) bool { return s.ID == a.Integration }) {
			continue
		}
		rows = append(rows, summarize(gone(a.Integration), all, now))
	}
	return c.render(ctx, http.StatusOK, "integrations", view{Title: "Integrations", Section: "integrations", Data: rows})
}

// gone stands for an integration that has authorizations and no file.
func gone(id string) *integration.Integration {
	return &integration.Integration{
		ID: id, Title: id,
		Description: "No mapping file describes this integration any more. Its authorizations can be viewed and removed.",
	}
}

func summarize(i *integration.Integration, all []integration.Authorization, now time.Time) summary {
	s := summary{ID: i.ID, Title: i.Title, Description: i.Description, Docs: i.Docs}
	authorized := 0
	for _, a := range all {
		if a.Integration != i.ID {
			continue
		}
		switch a.Status {
		case integration.Authorized:
			authorized++
			if a.EndsSoon(now) && (s.Ending == nil || a.Expires.Before(s.Ending.Expires)) {
				s.Ending, s.EndingIn = &a, expiresIn(a, now)
			}
		case integration.Reauthorize:
			if s.Broken == nil {
				s.Broken = &a
			} else {
				s.BrokenMore++
			}
		case integration.Pending:
		}
	}
	switch {
	case s.Broken != nil:
		s.Tone, s.Status = toneBad, integration.Reauthorize.Label()
	case authorized > 0:
		s.Tone, s.Status = toneGood, fmt.Sprintf("%s (%d)", integration.Authorized.Label(), authorized)
	default:
		s.Tone, s.Status = toneWait, "Pending Authorization"
	}
	return s
}

func expiresIn(a integration.Authorization, now time.Time) string {
	if d := daysLeft(a.Expires, now); d > 0 {
		return "Expires in " + count(d, "day", "days")
	}
	return "Expired"
}

// authorizationView is an authorization as the pages show it.
type authorizationView struct {
	integration.Authorization

	Of       *integration.Integration
	Way      *integration.Grant // nil: the grant is no longer described
	AuthType string
	GrantBy  string // title of the grant
	Tone     string
	Ending   string             // set when the grant ends soon
	Default  []string           // "all nodes", or titles
	Nodes    []integration.Node // to choose from
	Popup    bool               // authorizing it is a sign-in at the provider
	Admin    bool
	Checks   bool // the reader may try it
	Defaults bool // the reader may make it the default of something
}

func (c *Console) show(i *integration.Integration, a integration.Authorization, p *identity.Person) authorizationView {
	v := authorizationView{
		Authorization: a, Of: i, Way: i.Grant(a.Grant), GrantBy: a.Grant, AuthType: "–",
		Nodes: c.o.Integrations().Nodes(i.ID), Admin: p.Role == identity.Admin,
		Tone: map[integration.Status]string{
			integration.Authorized: toneGood, integration.Pending: toneWait, integration.Reauthorize: toneBad,
		}[a.Status],
	}
	if v.Way != nil {
		v.AuthType, v.GrantBy, v.Popup = authType(v.Way.Type), v.Way.Title, v.Way.Type == integration.AuthorizationCode
	}
	v.Checks = v.Way != nil && v.Way.Account.URL != "" && a.Status == integration.Authorized && slices.Contains(checkers(), p.Role)
	v.Defaults = v.Admin && a.Status == integration.Authorized && (len(v.Nodes) > 0 || len(a.DefaultFor) == 0)
	if now := c.o.Clock.Now(); a.EndsSoon(now) {
		v.Ending = expiresIn(a, now)
	}
	for _, node := range a.DefaultFor {
		title := nodeTitle(v.Nodes, node)
		if node == "" && len(v.Nodes) == 0 {
			title = "" // the tag says enough
		}
		v.Default = append(v.Default, title)
	}
	return v
}

func nodeTitle(nodes []integration.Node, id string) string {
	if id == "" {
		return "all nodes"
	}
	for _, n := range nodes {
		if n.ID == id {
			return n.Label
		}
	}
	return id
}

// authType is the word of the Auth Type column.
func authType(t integration.GrantType) string {
	switch {
	case t.OAuth():
		return "oauth2"
	case t == integration.APIKey:
		return "api key"
	default:
		return string(t)
	}
}

// nodeView is a node and the authorization that it goes out with.
type nodeView struct {
	integration.Node

	Uses  *authorizationView // nil: none
	Named bool               // its file names the authorization
}

// managePage is what the page of an integration shows.
type managePage struct {
	*integration.Integration

	Authorizations []authorizationView
	Ways           []wayView
	NodesUsing     []nodeView
	Broken, Ending []authorizationView
}

// wayView is a grant of an integration.
type wayView struct{ ID, AuthType, Title, Help string }

// find returns the integration of the path with its authorizations. One whose
// file has gone is found as long as it has any.
func (c *Console) find(ctx echo.Context) (*integration.Integration, []integration.Authorization, error) {
	id := ctx.Param("integration")
	list, err := c.o.Authorizations.List(ctx.Request().Context(), person(ctx).Tenant, id)
	if err != nil {
		return nil, nil, err
	}
	i, known := c.o.Integrations().Integration(id)
	switch {
	case known:
		return i, list, nil
	case len(list) > 0:
		return gone(id), list, nil
	}
	return nil, nil, core.Errorf(core.NotFound, "There is no such integration.")
}

func (c *Console) integration(ctx echo.Context) error {
	i, list, err := c.find(ctx)
	if err != nil {
		return err
	}
	page := managePage{Integration: i}
	for _, a := range list {
		v := c.show(i, a, person(ctx))
		page.Authorizations = append(page.Authorizations, v)
		if a.Status == integration.Reauthorize {
			page.Broken = append(page.Broken, v)
		}
		if v.Ending != "" {
			page.Ending = append(page.Ending, v)
		}
	}
	for _, g := range i.Grants {
		page.Ways = append(page.Ways, wayView{g.ID, authType(g.Type), g.Title, g.Help})
	}
	for _, n := range c.o.Integrations().Nodes(i.ID) {
		node := nodeView{Node: n, Named: n.Authorization != ""}
		if a := integration.Choose(list, n.ID, n.Authorization); a != nil {
			v := c.show(i, *a, person(ctx))
			node.Uses = &v
		}
		page.NodesUsing = append(page.NodesUsing, node)
	}
	return c.render(ctx, http.StatusOK, "integration", view{Title: i.Title, Section: "integrations", Data: page})
}

// one returns the authorization of the path.
func (c *Console) one(ctx echo.Context) (*integration.Integration, integration.Authorization, error) {
	a, err := c.o.Authorizations.Get(ctx.Request().Context(), person(ctx).Tenant, ctx.Param("authorization"))
	if err != nil {
		return nil, a, err
	}
	if a.Integration != ctx.Param("integration") {
		return nil, a, core.Errorf(core.NotFound, "There is no such authorization.")
	}
	i, known := c.o.Integrations().Integration(a.Integration)
	if !known {
		i = gone(a.Integration)
	}
	return i, a, nil
}

// uses lists what needs an authorization.
func (c *Console) uses(ctx echo.Context, a integration.Authorization) ([]integration.Use, error) {
	all, err := c.o.Authorizations.List(ctx.Request().Context(), a.Tenant, a.Integration)
	return c.o.Integrations().Uses(all, a.ID), err
}
