package main

import (
	"tandem/core"
	"tandem/core/server"
)

// entra returns the verifier of Entra ID tokens, nil when none is configured.
func (h *hub) entra() (server.TokenVerifier, error) {
	c := h.config
	if c.EntraIssuer == "" {
		return nil, nil //nolint:nilnil // nil is "keys only"
	}
	return server.NewEntra(server.EntraOptions{
		Issuer: c.EntraIssuer, Audience: c.EntraAudience, JWKSURL: c.EntraJWKSURL,
		HTTPClient: h.outbound.HTTPClient(), Clock: h.clock,
		Resolve: func(tid, upn string) (core.Caller, error) {
			tenant, ok := h.mapped.directory().TenantByEntraID(tid)
			if !ok {
				return core.Caller{}, core.Errorf(core.Forbidden, "no tenant of the directory has the Entra ID %s", tid)
			}
			user, ok := tenant.User(upn)
			if !ok {
				return core.Caller{}, core.Errorf(core.Forbidden, "%s is not in the directory", upn)
			}
			return core.Caller{Tenant: tenant.Name, UPN: user.UPN, Adapter: "powerautomate"}, nil
		},
	})
}
