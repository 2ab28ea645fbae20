package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"tandem/adapters/console"
	"tandem/adapters/console/identity"
	"tandem/authstore"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/observe"
	"tandem/core/outbound"
)

// tokenTime is above what token addresses take; nobody's request waits for it.
const tokenTime = 30 * time.Second

// connections builds the rooms through which the hub reaches other systems.
func (h *hub) connections() error {
	tokens, err := outbound.New(outbound.Options{AllowHosts: h.config.AllowHosts, Timeout: tokenTime})
	if err != nil {
		return err
	}
	h.tokens = tokens
	h.authorizations = authstore.New(authstore.Options{
		DB: h.db, Sealer: h.sealer, Clock: h.clock, Chance: rand.Float64, HTTP: tokens.HTTPClient(),
		Integrations: h.catalogue, Redirect: h.redirect, Changed: h.authorizationChanged, Ending: h.authorizationEnds, Failing: h.renewalsFail,
	})
	h.outbound, err = outbound.New(outbound.Options{
		AllowHosts: h.config.AllowHosts, Authorizer: h.authorizations, Clock: h.clock, Chance: rand.Float64,
		Observe: func(a outbound.Attempt) { h.metrics.OutboundAttempt(a.Name, string(a.Outcome), a.Duration) },
		Changed: h.breakerChanged,
	})
	return err
}

func (h *hub) catalogue() *integration.Catalogue { return h.mapped.integrations() }

// base is the one address of the hub, from its configuration alone: no request
// can change where a provider sends its answer.
func (h *hub) base() (string, error) {
	if h.config.PublicURL != "" {
		return strings.TrimRight(h.config.PublicURL, "/"), nil
	}
	host, _, err := net.SplitHostPort(h.config.Listen)
	if err != nil {
		return "", err
	}
	address, err := netip.ParseAddr(host)
	if host == "" || err == nil && address.IsUnspecified() {
		return "", core.Errorf(core.NotConfigured, "The hub does not know its own address: set public-url to the one that browsers use.")
	}
	_, port, err := net.SplitHostPort(h.callers.Addr().String())
	if err != nil {
		return "", err
	}
	scheme := "http"
	if h.config.TLSCertFile != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

func (h *hub) redirect(id string) (string, error) {
	base, err := h.base()
	return base + console.CallbackPath(id), err
}

func (h *hub) authorizationChanged(a integration.Authorization) {
	h.metrics.AuthorizationChanged(a.Integration, string(a.Status))
	log := h.log.With("tenant", a.Tenant, "integration", a.Integration, "name", a.Name)
	if a.Status == integration.Reauthorize {
		log.Warn("authorization is refused by its provider and must be granted again", "reason", a.Reason, "since", a.Since)
		return
	}
	log.Info("authorization changed", "status", string(a.Status))
	h.webexChanged(a)
}

func (h *hub) authorizationEnds(a integration.Authorization) {
	h.log.Warn("authorization ends soon and must be granted again before", "tenant", a.Tenant, "integration", a.Integration, "name", a.Name, "ends", a.Expires)
}

func (h *hub) renewalsFail(a integration.Authorization, err error) {
	h.log.Warn("token cannot be renewed now, it is tried again", "tenant", a.Tenant, "integration", a.Integration, "name", a.Name, "error", err)
}

func (h *hub) breakerChanged(u outbound.Upstream) {
	h.log.Warn("circuit breaker changed", "state", string(u.State), "integrations", u.Names, "host", u.Host, "tenant", u.Tenant, "failures", u.Failures)
}

// tenants are the names of all tenants.
func (h *hub) tenants() []string {
	var names []string
	for _, t := range h.mapped.directory().Tenants() {
		names = append(names, t.Name)
	}
	return names
}

// people builds the console and mounts it.
func (h *hub) people() error {
	o := identity.Options{DB: h.db, Clock: h.clock, Sealer: h.sealer, Tenants: h.tenants, Foreign: h.foreign}
	label := ""
	if h.config.OIDCIssuer != "" {
		signOn, err := h.signOn()
		if err != nil {
			return err
		}
		o.SingleSignOn, label = signOn, "Sign in with single sign-on"
	}
	h.identity = identity.New(o)
	var err error
	h.console, err = console.New(console.Options{
		Identity: h.identity, Integrations: h.catalogue, Authorizations: h.authorizations, Upstreams: h.outbound.Upstreams,
		Tenant: func(name string) string {
			if t, ok := h.mapped.directory().Tenant(name); ok {
				return t.Title
			}
			return name
		},
		BaseURL:  func() string { base, _ := h.base(); return base }, // without one the console is wherever it was called
		Mappings: h.mappingState, Operations: h.mapped.operations, Try: h.try, Executions: h.recorder,
		Desk: desk{h}, FindTask: h.find, Webex: webexPage{h},
		Check: h.check, SingleSignOn: label, Clock: h.clock, Version: version, Log: h.log,
	})
	if err != nil {
		return err
	}
	h.console.Mount(h.public.Echo())
	return nil
}

// foreign tells whether a user name's domain is that of people of other tenants
// and of none of this one's.
func (h *hub) foreign(tenant, upn string) bool {
	_, domain, _ := strings.Cut(upn, "@")
	foreign := false
	for _, t := range h.mapped.directory().Tenants() {
		for _, u := range t.Users() {
			if _, d, _ := strings.Cut(u.UPN, "@"); strings.EqualFold(d, domain) {
				if t.Name == tenant {
					return false
				}
				foreign = true
			}
		}
	}
	return foreign
}

func (h *hub) signOn() (*authstore.OIDC, error) {
	base, err := h.base()
	if err != nil {
		return nil, err
	}
	return authstore.NewOIDC(authstore.OIDCOptions{
		Issuer: h.config.OIDCIssuer, ClientID: h.config.OIDCClientID, ClientSecret: h.config.oidcSecret,
		Redirect: base + console.SignOnPath, HTTP: h.tokens.HTTPClient(), Clock: h.clock,
	})
}

// check makes one harmless call with an authorization, through everything that
// a real call goes through.
func (h *hub) check(ctx context.Context, a integration.Authorization) error {
	i, ok := h.catalogue().Integration(a.Integration)
	if !ok {
		return core.Errorf(core.NotConfigured, "there is no integration %s any more", a.Integration)
	}
	grant := i.Grant(a.Grant)
	if grant == nil || grant.Account.URL == "" {
		return core.Errorf(core.NotConfigured, "%s offers no address to check an authorization at", i.Title)
	}
	address, err := integration.Address(grant.Account.URL, i.WithDefaults(grant, a.Values))
	if err != nil {
		return err
	}
	req, err := outbound.NewRequest(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	_, err = h.outbound.Call(ctx, outbound.Call{
		Tenant: a.Tenant, Name: i.ID, Request: req, Deadline: 15 * time.Second, Limits: i.Limits, Errors: i.Errors,
		Credential: &outbound.Credential{Tenant: a.Tenant, Integration: a.Integration, Name: a.Name},
	})
	return err
}

// connectionFigures shows authorizations and breakers, read at each scrape.
func (h *hub) connectionFigures() error {
	for _, gauge := range []struct {
		name, help string
		labels     []string
		read       func() []observe.Figure
	}{
		{"tandem_authorizations", "Authorizations, by integration and status; the same on every replica.", []string{"integration", "status"}, h.authorizationFigures},
		{"tandem_authorizations_ending", "Authorizations that end within 14 days unless granted again, by integration; the same on every replica.", []string{"integration"}, h.endingFigures},
		{"tandem_breakers", "Circuit breakers, by integration and state.", []string{"integration", "state"}, h.breakerFigures},
	} {
		if err := h.metrics.Gauges(gauge.name, gauge.help, gauge.labels, gauge.read); err != nil {
			return err
		}
	}
	h.health.Note("breakers", func() string { return tally(h.breakerFigures(), "all closed", string(outbound.Closed)) })
	h.health.Note("authorizations", func() string {
		return tally(h.authorizationFigures(), "none needs attention", string(integration.Authorized), string(integration.Pending))
	})
	return nil
}

func (h *hub) authorizationFigures() []observe.Figure {
	var all []observe.Figure
	for id, counts := range h.authorizations.Counts() {
		for status, n := range counts {
			all = append(all, observe.Figure{Labels: []string{id, string(status)}, Value: float64(n)})
		}
	}
	return all
}

func (h *hub) endingFigures() []observe.Figure {
	counts := map[string]int{}
	for _, a := range h.authorizations.Expiring(integration.WarnBefore) {
		counts[a.Integration]++
	}
	all := make([]observe.Figure, 0, len(counts))
	for id, n := range counts {
		all = append(all, observe.Figure{Labels: []string{id}, Value: float64(n)})
	}
	return all
}

func (h *hub) breakerFigures() []observe.Figure {
	counts := map[[2]string]int{}
	for _, u := range h.outbound.Upstreams("") {
		for _, name := range u.Names {
			counts[[2]string{name, string(u.State)}]++
		}
	}
	all := make([]observe.Figure, 0, len(counts))
	for key, n := range counts {
		all = append(all, observe.Figure{Labels: []string{key[0], key[1]}, Value: float64(n)})
	}
	return all
}

// tally tells what is in another state than the good ones, without naming
// anybody's tenant or host.
func tally(figures []observe.Figure, none string, good ...string) string {
	var words []string
	for _, f := range figures {
		if !slices.Contains(good, f.Labels[1]) && f.Value > 0 {
			words = append(words, fmt.Sprintf("%s: %.0f %s", f.Labels[0], f.Value, f.Labels[1]))
		}
	}
	if len(words) == 0 {
		return none
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
