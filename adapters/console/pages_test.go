package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
)

// pages are the addresses of all pages that a full hub shows an administrator.
func pages() []string {
	const one = "/console/integrations/acme/authorizations/"
	return []string{
		"/console/integrations", "/console/integrations/acme", "/console/integrations/other", "/console/integrations/vanished",
		one + "new", one + "new?grant=key", one + "good", one + "bad", one + "wait", one + "good/edit", one + "wait/edit",
		one + "good/remove", one + "bad/remove", one + "good/result", one + "bad/result", one + "good/result?window=1",
		"/console/integrations/vanished/authorizations/lost", "/console/integrations/vanished/authorizations/lost/remove",
		"/console/breakers", "/console/people", "/console/people/new",
		"/console/mappings", "/console/playground", trialOf("find-parcel"), trialOf("send-parcel"), "/console/playground?integration=plain&operation=ask",
		"/console/executions", "/console/executions?show=failed&title=find", "/console/executions/r3", "/console/executions/r1",
		"/console/work", "/console/tasks", "/console/tasks?id=nothing", "/console/tasks/t1", "/console/tasks/t2", "/console/tasks/t3", "/console/webex",
	}
}

func trialOf(operation string) string {
	return "/console/playground?integration=acme&operation=" + operation
}

// livePages are the addresses of those that follow the hub.
func livePages() []string {
	return []string{
		"/console/integrations", "/console/integrations/acme", "/console/integrations/other", "/console/integrations/acme/authorizations/good",
		"/console/integrations/acme/authorizations/bad", "/console/breakers",
		"/console/mappings", "/console/executions", "/console/executions?show=failed",
		"/console/work", "/console/tasks/t1", "/console/tasks/t2", "/console/webex",
	}
}

func TestEveryPageRenders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	for _, page := range []string{
		"/console/integrations", "/console/integrations/acme", "/console/breakers", "/console/mappings", "/console/playground", trialOf("find-parcel"), "/console/executions",
		"/console/work", "/console/tasks", "/console/webex",
	} {
		require.Equal(t, http.StatusOK, ann.get(page).status, "empty %s", page)
	}
	r.fill()
	for _, base := range []string{"", "http://localhost:8080/hub"} {
		r.base = base
		for _, page := range pages() {
			got := ann.get(page)
			require.Equal(t, http.StatusOK, got.status, "%s: %s", page, got.body)
			require.Contains(t, got.body, "· Tandem</title>")
			require.Equal(t, 1, strings.Count(got.body, "<h1"), page)
		}
	}
}

func TestListSaysHowIntegrationsFare(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	body := ann.get("/console/integrations").body
	require.Contains(t, body, "Pending Authorization")
	require.NotContains(t, body, "Plain", "it needs no authorization")
	r.fill()
	body = ann.get("/console/integrations").body
	for _, want := range []string{
		"Re-authorization required", "The provider said &lt;script&gt;", "3 hours ago", "Expires in 9 days", "vanished", "Acme &lt;b&gt;",
		`datetime="2026-03-04T09:00:00Z"`, "https://docs.acme.example/api",
	} {
		require.Contains(t, body, want)
	}
	r.fake.all = r.fake.all[:1]
	require.Contains(t, ann.get("/console/integrations").body, "Authorized (1)")
}

func TestManage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	body := ann.get("/console/integrations/acme").body
	require.Equal(t, 2, strings.Count(body, "Authorization Pending"), "a row for each way to authorize")
	require.Equal(t, 2, strings.Count(body, "?grant="))
	require.Contains(t, body, "https://{account}.acme.example/api")
	require.Contains(t, body, "No default yet")
	require.Contains(t, body, "Special: no such authorization")
	r.fill()
	body = ann.get("/console/integrations/acme").body
	for _, want := range []string{
		"Node Authorizations", "oauth2", "api key", "Default · all nodes", "owner@contoso.example", "Send Parcel", "1.2, 1.0",
		`target="tandem-authorize"`, "Make it as default", "View", "Update", "Remove", "Authorize again",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "Fabrikam")
	require.NotContains(t, body, "no such authorization")
}

func TestViewShowsNoSecret(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	r.fake.all[0].Values["client_secret"] = "s3cret-by-mistake"
	ann := r.as(identity.Admin)
	body := ann.get("/console/integrations/acme/authorizations/good").body
	for _, want := range []string{
		"id-good", "America", "Stored", "parcels.read", "https://contoso.acme.example/api", "13 March 2026", "ann@contoso.example",
		"bob@contoso.example", "Node Send Parcel", "webex/nodes.yaml:2", "Expires in 9 days",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "s3cret")
	require.NotContains(t, ann.get("/console/integrations/acme/authorizations/good/edit").body, "s3cret")
	require.Contains(t, ann.get("/console/integrations/acme/authorizations/wait").body, "Node Find Parcel", "its file names it")
	require.Contains(t, ann.get("/console/integrations/acme/authorizations/bad").body, "Nothing uses it now")
}

func TestAnotherTenantsAuthorizationIsNotFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	for key := range r.Access() {
		method, path, _ := strings.Cut(key, " ")
		if !strings.Contains(path, ":authorization") {
			continue
		}
		for _, id := range []string{"theirs", "nobodys"} {
			target := strings.NewReplacer(":integration", "acme", ":authorization", id).Replace(path)
			require.Equal(t, http.StatusNotFound, ann.do(method, target, url.Values{}).status, "%s %s", method, target)
		}
		target := strings.NewReplacer(":integration", "other", ":authorization", "good").Replace(path)
		require.Equal(t, http.StatusNotFound, ann.do(method, target, url.Values{}).status, "%s %s", method, target)
	}
	require.Equal(t, http.StatusNotFound, ann.get("/console/integrations/nothing").status)
}

func TestAccess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	browsers := map[identity.Role]*browser{}
	for _, role := range identity.Roles {
		browsers[role] = r.as(role)
	}
	fill := strings.NewReplacer(":integration", "acme", ":authorization", "nobodys", ":person", "nobody", ":execution", "nothing", ":task", "nothing", ":name", "console.css", "*", "nowhere")
	access := r.Access()
	require.Len(t, access, len(r.routes()))
	for key, allowed := range access {
		method, path, _ := strings.Cut(key, " ")
		if path == "/console/logout" {
			continue
		}
		for role, b := range browsers {
			status := b.do(method, fill.Replace(path), url.Values{}).status
			switch {
			case len(allowed) == 0:
			case slices.Contains(allowed, role):
				require.NotEqual(t, http.StatusForbidden, status, "%s as %s", key, role)
				require.NotEqual(t, http.StatusUnauthorized, status, "%s as %s", key, role)
			default:
				require.Equal(t, http.StatusForbidden, status, "%s as %s", key, role)
			}
		}
		if len(allowed) > 0 {
			got := r.browser().do(method, fill.Replace(path), url.Values{})
			switch {
			case method == http.MethodPost, strings.HasPrefix(path, "/oauth/"):
				require.Equal(t, http.StatusUnauthorized, got.status, key)
			default:
				require.Equal(t, http.StatusSeeOther, got.status, key)
				require.Equal(t, "/console/login", got.header.Get("Location"), key)
			}
		}
	}
	require.Equal(t, []identity.Role{identity.Admin}, access["POST /console/integrations/:integration/authorizations"])
}

func TestReadersSeeNoActions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	vic := r.as(identity.Viewer)
	for _, page := range []string{"/console/integrations", "/console/integrations/acme", "/console/integrations/acme/authorizations/good", "/console/breakers", "/console/mappings", "/console/executions", "/console/executions/r3", "/console/tasks", "/console/tasks/t1", "/console/webex"} {
		got := vic.get(page)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, 1, strings.Count(got.body, `method="post"`), "only the sign-out: %s", page)
		require.NotContains(t, got.body, "/console/people")
		require.NotContains(t, got.body, "/console/playground")
		require.NotContains(t, got.body, "/console/work")
	}
	got := vic.get("/console/people")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, "Your role (Viewer) may not do this.")
	require.Contains(t, got.body, "Request id")
	require.Contains(t, got.body, "Sign out", "the page still shows who reads it")
}

func TestHome(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.Equal(t, "/console/integrations", r.as(identity.Supervisor).get("/console").header.Get("Location"))
	b := r.as(identity.Agent)
	require.Equal(t, "/console/work", b.get("/console").header.Get("Location"))
	for _, other := range []string{"integrations", "tasks", "webex", "executions", "people"} {
		require.NotContains(t, b.get("/console/work").body, "/console/"+other)
	}
}

func TestLiveUpdates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	page := ann.get("/console/breakers").body
	require.Contains(t, page, `hx-get="/console/breakers"`)
	ann.headers[headerLive] = "1"
	part := ann.get("/console/breakers")
	require.Equal(t, http.StatusOK, part.status)
	require.True(t, strings.HasPrefix(part.body, `<div id="live"`), part.body)
	require.Contains(t, part.body, "in 10 seconds")

	_, rest, _ := strings.Cut(part.body, `"X-Tandem-Seen":"`)
	seen, _, _ := strings.Cut(rest, `"`)
	ann.headers[headerSeen] = seen
	require.Equal(t, http.StatusNoContent, ann.get("/console/breakers").status, "nothing has changed")
	r.upstreams[0].Failures++
	require.Equal(t, http.StatusOK, ann.get("/console/breakers").status)

	for page, want := range map[string]string{
		"/console/integrations/acme/authorizations/gone": "There is no such authorization.",
		"/console/integrations/nothing":                  "There is nothing here.",
	} {
		gone := ann.get(page)
		require.Equal(t, http.StatusNotFound, gone.status)
		require.True(t, strings.HasPrefix(gone.body, `<div id="live"`), "the script knows it by that: %s", gone.body)
		require.Contains(t, gone.body, want)
		require.NotContains(t, gone.body, "hx-get", "the page asks no more")
	}
	agent := r.as(identity.Agent)
	agent.headers[headerLive] = "1"
	gone := agent.get("/console/breakers")
	require.Equal(t, http.StatusForbidden, gone.status)
	require.True(t, strings.HasPrefix(gone.body, `<div id="live"`), gone.body)

	r.clock.Advance(time.Hour)
	ended := ann.get("/console/breakers")
	require.Equal(t, http.StatusUnauthorized, ended.status)
	require.True(t, strings.HasPrefix(ended.body, `<div id="live"`), ended.body)
	require.Contains(t, ended.body, `href="/console/login"`)
	require.NotContains(t, ended.body, "hx-get", "the page asks no more")
}

// What is polled is no alert: it would be read out with each update.
func TestLiveRegionsAlertNobody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	ann.headers[headerLive] = "1"
	for _, page := range livePages() {
		require.NotContains(t, ann.get(page).body, `role="alert"`, page)
	}
}

func TestBreakers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	require.Contains(t, ann.get("/console/breakers").body, "No calls yet")
	r.fill()
	body := ann.get("/console/breakers").body
	for _, want := range []string{"2 hosts are in trouble", ">contoso.acme.example<", "Half-open", "20 seconds ago", "in 10 seconds", "Other"} {
		require.Contains(t, body, want)
	}
	require.Equal(t, 1, strings.Count(body, "with the next call"), "half-open")
	r.upstreams[1].NextProbe, r.upstreams[2].NextProbe = noon.Add(-time.Hour), noon.Add(-time.Hour)
	r.clock.Advance(10 * time.Second)
	body = ann.get("/console/breakers").body
	require.Equal(t, 2, strings.Count(body, "with the next call"), "the time of the open one has come too")
	require.NotContains(t, body, "hour ago")
}

func TestFaultsArePages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	got := ann.get("/console/nowhere")
	require.Equal(t, http.StatusNotFound, got.status)
	require.Contains(t, got.body, "There is nothing here")

	r.fake.refusal = &core.Error{
		Kind: core.Unavailable, Message: "The provider cannot be reached.", RetryAfter: 1500 * time.Millisecond,
	}
	got = ann.post("/console/integrations/acme/authorizations/good/authorize")
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "2", got.header.Get("Retry-After"))
	require.Contains(t, got.body, "The provider cannot be reached.")

	r.fake.refusal = core.Errorf(core.NotConfigured, "The hub does not know its own address: set public-url to the one that browsers use.")
	got = ann.post("/console/integrations/acme/authorizations/good/authorize")
	require.Equal(t, http.StatusForbidden, got.status)
	for _, want := range []string{"This is not set up", "set public-url to the one", "tell whoever runs this hub", "Sign out"} {
		require.Contains(t, got.body, want)
	}

	r.fake.refusal = http.ErrBodyNotAllowed
	got = ann.post("/console/integrations/acme/authorizations/good/authorize")
	require.Equal(t, http.StatusInternalServerError, got.status)
	require.NotContains(t, got.body, "body not allowed")
	require.Contains(t, got.body, got.header.Get("X-Request-Id"))
}

func TestOtherNamesLeadToTheConfiguredOne(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	r.base = "https://hub.example:443/tandem"
	got := ann.get("/console/integrations?x=1")
	require.Equal(t, http.StatusSeeOther, got.status)
	require.Equal(t, "https://hub.example:443/tandem/console/integrations?moved=1&x=1", got.header.Get("Location"))
	require.Equal(t, http.StatusOK, ann.get("/console/integrations?x=1&moved=1").status, "never in circles")
	ann.host = "HUB.example"
	require.Equal(t, http.StatusForbidden, ann.get("/console/integrations").status, "the right name, but plain http")
	require.Equal(t, http.StatusOK, ann.get("/console/static/console.css").status)
}

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	for name, f := range r.files {
		got := b.get("/console/static/" + name + "?v=" + f.version)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "public, max-age=31536000, immutable", got.header.Get("Cache-Control"))
		require.Equal(t, f.media, got.header.Get("Content-Type"))
		require.NotEmpty(t, f.media)
		require.Empty(t, got.header.Get("Set-Cookie"))
		require.Equal(t, "no-store", b.get("/console/static/"+name+"?v=old").header.Get("Cache-Control"))
	}
	require.Equal(t, http.StatusNotFound, b.get("/console/static/doc.go").status)
}

// TestHTTPSStays: who came by https once is kept there, and nobody else is.
func TestHTTPSStays(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as(identity.Admin)
	b := r.browser()
	require.Empty(t, b.get("/console/login").header.Values("Strict-Transport-Security"))
	got := b.get("https://localhost:8080/console/login")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, []string{"max-age=31536000"}, got.header.Values("Strict-Transport-Security"))
}
