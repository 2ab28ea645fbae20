package main

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/integration"
)

var away = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`)

// authorizing returns where the page of Authorize sends an administrator.
func authorizing(t *testing.T, h *hub, v visitor, id string, change func(*http.Request)) *url.URL {
	t.Helper()
	base, err := h.base()
	require.NoError(t, err)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, base+"/console/integrations/zendesk/authorizations/"+id+"/authorize", strings.NewReader(""))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Cookie", v.cookie)
	change(req)
	rec := httptest.NewRecorder()
	h.public.Echo().ServeHTTP(rec, req)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	found := away.FindStringSubmatch(rec.Body.String())
	require.NotNil(t, found, rec.Body.String())
	u, err := url.Parse(html.UnescapeString(found[1]))
	require.NoError(t, err)
	return u
}

// TestNothingInARequestChangesTheRedirectAddress: a provider must never be told
// to send its answer to another host.
func TestNothingInARequestChangesTheRedirectAddress(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	w := newWorld(t, h)
	base, err := h.base()
	require.NoError(t, err)
	for name, change := range map[string]func(*http.Request){
		"nothing": func(*http.Request) {},
		"forwarded": func(r *http.Request) {
			for _, header := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X_Forwarded_Host", "Forwarded", "X-Original-Host"} {
				r.Header.Set(header, "host=evil.example")
			}
			r.Header.Set("X-Forwarded-Proto", "https")
		},
		"host": func(r *http.Request) { r.Host = "localhost:1" },
	} {
		u := authorizing(t, h, w.visitors["admin"], w.authorization, change)
		require.Equal(t, base+"/oauth/callback/zendesk", u.Query().Get("redirect_uri"), name)
		require.Equal(t, "contoso.zendesk.com", u.Host)
		require.Equal(t, "S256", u.Query().Get("code_challenge_method"))
		require.GreaterOrEqual(t, len(u.Query().Get("state")), 26) // 128 bit and more in base32
	}
}

// TestASignInBelongsToItsSessionAndTenant: nobody else can finish it.
func TestASignInBelongsToItsSessionAndTenant(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	w := newWorld(t, h)
	u := authorizing(t, h, w.visitors["admin"], w.authorization, func(*http.Request) {})
	answer := "/oauth/callback/zendesk?" + url.Values{"code": {"any"}, "state": {u.Query().Get("state")}}.Encode()
	for who, v := range map[string]visitor{
		"nobody": {}, "an integrator": w.visitors["integrator"], "another tenant's admin": w.visitors["other tenant's admin"],
		"another session of the same person": signIn(t, h, "admin@contoso.example", testPassword),
	} {
		rec := v.ask(t, h, h.public.Echo(), http.MethodGet, answer, nil)
		require.NotEqual(t, http.StatusOK, rec.Code, who)
		require.NotContains(t, rec.Header().Get("Location"), "/result", who)
		require.NotContains(t, rec.Body.String()+rec.Header().Get("Location"), u.Query().Get("state"), who)
	}
	a, err := h.authorizations.Get(t.Context(), "contoso", w.authorization)
	require.NoError(t, err)
	require.Equal(t, integration.Pending, a.Status)
	require.Empty(t, a.Reason)
}

// TestWithoutAnAddressOfItsOwn: the hub says what is missing instead of taking
// the address from a request.
func TestWithoutAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	w := newWorld(t, h)
	h.config.Listen = "0.0.0.0:8080"
	_, err := h.base()
	require.Equal(t, core.NotConfigured, core.KindOf(err))
	_, err = h.authorizations.Begin(t.Context(), "contoso", w.authorization, "session")
	require.ErrorContains(t, err, "public-url")
	h.config.PublicURL = "https://hub.example/tandem/"
	address, err := h.redirect("zendesk")
	require.NoError(t, err)
	require.Equal(t, "https://hub.example/tandem/oauth/callback/zendesk", address)
}

// TestARoleHoldsAtOnce: whoever loses a role or the account loses it in every
// session.
func TestARoleHoldsAtOnce(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	w := newWorld(t, h)
	p, err := h.identity.Add(t.Context(), "contoso", "changing@contoso.example", "Changing", identity.Admin, testPassword)
	require.NoError(t, err)
	v := signIn(t, h, p.UPN, testPassword)
	open := func() int {
		return v.ask(t, h, h.public.Echo(), http.MethodGet, "/console/people", nil).Code
	}
	require.Equal(t, http.StatusOK, open())
	require.NoError(t, h.identity.Change(t.Context(), "contoso", p.ID, "Changing", identity.Viewer, ""))
	require.Equal(t, http.StatusForbidden, open())
	require.Equal(t, http.StatusForbidden, v.ask(t, h, h.public.Echo(), http.MethodPost, w.path("/console/integrations/:integration/authorizations/:authorization/authorize"), url.Values{}).Code)
	require.NoError(t, h.identity.Remove(t.Context(), "contoso", p.ID))
	require.Equal(t, http.StatusSeeOther, open())
}

// TestNamesOfAnotherTenant: an administrator cannot take the names of people
// whose domain another tenant's directory has.
func TestNamesOfAnotherTenant(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	_, err := h.identity.Add(t.Context(), "fabrikam", "newboss@contoso.example", "Mallory", identity.Admin, testPassword)
	require.Equal(t, core.Conflict, core.KindOf(err))
	require.NotContains(t, err.Error(), "contoso")
	for tenant, upn := range map[string]string{"fabrikam": "new@fabrikam.example", "contoso": "operator@partner.example"} {
		_, err := h.identity.Add(t.Context(), tenant, upn, "", identity.Viewer, testPassword)
		require.NoError(t, err)
	}
}

// TestPeopleTypeShortAddresses: they are led to the console.
func TestPeopleTypeShortAddresses(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	for _, path := range []string{"/", "/console/"} {
		rec := visitor{}.ask(t, h, h.public.Echo(), http.MethodGet, path, nil)
		require.Equal(t, http.StatusSeeOther, rec.Code)
		require.Equal(t, "/console", rec.Header().Get("Location"))
	}
}
