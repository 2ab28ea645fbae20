package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core/outbound"
)

// upstreamView is a host that the tenant's calls went to.
type upstreamView struct {
	outbound.Upstream

	Name        string
	Address     string // the host, with its port unless that is https's own
	Tone, Label string
	Due         bool // the next call is the probe
}

// breakersPage is what the page of the breakers shows.
type breakersPage struct {
	Upstreams []upstreamView
	Troubled  int
}

func (c *Console) breakers(ctx echo.Context) error {
	var page breakersPage
	now := c.o.Clock.Now()
	for _, u := range c.o.Upstreams(person(ctx).Tenant) {
		v := upstreamView{
			Upstream: u, Name: c.titles(u.Names), Address: strings.TrimSuffix(u.Host, ":443"),
			Tone: toneGood, Label: "Closed",
		}
		switch u.State {
		case outbound.Open:
			v.Tone, v.Label, v.Due = toneBad, "Open", !u.NextProbe.After(now)
		case outbound.HalfOpen:
			v.Tone, v.Label, v.Due = toneWarn, "Half-open", true
		case outbound.Closed:
			v.NextProbe = time.Time{}
		}
		if u.State != outbound.Closed {
			page.Troubled++
		}
		page.Upstreams = append(page.Upstreams, v)
	}
	return c.render(ctx, http.StatusOK, "breakers", view{Title: "Circuit breakers", Section: "breakers", Data: page})
}

// titles names integrations for people.
func (c *Console) titles(ids []string) string {
	names := make([]string, len(ids))
	for n, id := range ids {
		names[n] = id
		if i, ok := c.o.Integrations().Integration(id); ok {
			names[n] = i.Title
		}
	}
	return strings.Join(names, ", ")
}
