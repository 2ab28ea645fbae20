package main

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/server"
	"tandem/core/store"
	"tandem/mappings"
)

// openHub builds a hub in this process on the samples; nothing runs and the
// listeners only give it an address.
func openHub(t *testing.T) *hub {
	t.Helper()
	dir := t.TempDir()
	p := &program{getenv: func(string) string { return "" }, given: &settings{}}
	listen, admins := "127.0.0.1:0", "127.0.0.1:0"
	p.given.Listen, p.given.AdminListen, p.given.DataDir = &listen, &admins, &dir
	c, err := p.load()
	require.NoError(t, err)
	require.Equal(t, "sqlite:"+filepath.Join(dir, "tandem.db"), c.DatabaseURL)
	h, err := newHub(t.Context(), c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(h.close)
	return h
}

// visitor is who asks: with a key, or with a session's cookie.
type visitor struct{ key, cookie string }

func (v visitor) ask(t *testing.T, h *hub, handler http.Handler, method, path string, form url.Values) *httptest.ResponseRecorder {
	t.Helper()
	base, err := h.base()
	require.NoError(t, err)
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequestWithContext(t.Context(), method, base+path, body)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if v.key != "" {
		req.Header.Set("X-Api-Key", v.key)
	}
	if v.cookie != "" {
		req.Header.Set("Cookie", v.cookie)
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}

// signIn returns a visitor with a session of the account.
func signIn(t *testing.T, h *hub, upn, password string) visitor {
	t.Helper()
	rec := visitor{}.ask(t, h, h.public.Echo(), http.MethodPost, "/console/login", url.Values{"upn": {upn}, "password": {password}})
	require.Equal(t, http.StatusSeeOther, rec.Code, rec.Body.String())
	for _, c := range rec.Result().Cookies() {
		if c.Value != "" {
			return visitor{cookie: c.Name + "=" + c.Value}
		}
	}
	require.Fail(t, "no session")
	return visitor{}
}

const testPassword = "correct horse battery"

// routes that are not the console's, of each listener, by who may call them: the
// adapter of a key, "" for everybody, "address" for whoever knows an address that
// cannot be guessed, "body" for whoever has the key of a platform in the body.
var otherRoutes = map[string]map[string]string{
	"public": {
		"POST /v1/triggers/tasks":                       "powerautomate",
		"DELETE /v1/triggers/tasks/:triggerId":          "address",
		"PUT /v1/tasks/:taskId":                         "powerautomate",
		"POST /v1/ExternalTasks":                        "powerautomate",
		"DELETE /v1/ExternalTasks/:externalTaskId":      "powerautomate",
		"GET /v1/tasks/service-contacts":                "powerautomate",
		"GET /v1/tasks/events":                          "powerautomate",
		"GET /v1/tasks/modalities":                      "powerautomate",
		"GET /v1/tasks/directions":                      "powerautomate",
		"GET /v1/tasks/users-for-preferred-routing":     "powerautomate",
		"GET /v1/ExternalTasks/service-contacts":        "powerautomate",
		"GET /v1/ExternalTasks/distribution-priorities": "powerautomate",
		"GET /v1/diagnostics/testconnection":            "powerautomate",

		"POST /cxone/oauth/token":         "body", // the key is in it
		"POST /cxone/v1/workflow-execute": "cxone",

		"POST /webex/v1/nodes/:node/:method":  "webex",
		"POST /webex/v1/events/connect":       "webex",
		"POST /webex/v1/events/:subscription": "address", // and its signature

		"POST /webex/v1/resolved/:tenant/:message/:token": "address",
	},
	"admin": {
		"GET /admin/v1/triggers":                 "admin",
		"GET /admin/v1/dead-letters":             "admin",
		"POST /admin/v1/dead-letters/replay":     "admin",
		"POST /admin/v1/dead-letters/:id/replay": "admin",
		"DELETE /admin/v1/dead-letters/:id":      "admin",
		"GET /admin/v1/tasks/:id":                "admin",
		"GET /livez":                             "",
		"HEAD /livez":                            "",
		"GET /readyz":                            "",
		"HEAD /readyz":                           "",
		"GET /metrics":                           "",
		"HEAD /metrics":                          "",
	},
}

// callerOf tells who may call a route that is not the console's.
func callerOf(listener, name string) (adapter string, ok bool) {
	method, path, _ := strings.Cut(name, " ")
	for _, api := range []string{"/InContactAPI", "/incontactapi"} {
		if rest, found := strings.CutPrefix(path, api+"/services/:version/agent-integration/"); found && listener == "public" {
			return "cxone", slices.Contains([]string{
				"GET configuration", "GET configuration/:configuration/workflow", "POST configuration/:configuration/workflow/:workflow",
				"GET configuration/:configuration/data-mappings", "GET configuration/:configuration/dynamic-data-mappings",
				"GET configuration/:configuration/entities",
				"GET workflow-execution/interaction/:cacheKey", "POST workflow-execution/interaction/:cacheKey",
			}, method+" "+rest)
		}
	}
	adapter, ok = otherRoutes[listener][name]
	return adapter, ok
}

// TestWhoMayDoWhat asks for every route of both listeners as everybody. A route
// that is in no table of its listener fails it.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	w := newWorld(t, h)
	access := h.console.Access()
	asked := 0
	for listener, handler := range map[string]*server.Server{"public": h.public, "admin": h.private} {
		for _, r := range handler.Echo().Routes() {
			if strings.HasPrefix(r.Method, "echo_") {
				continue // what answers when no route does
			}
			name := r.Method + " " + r.Path
			roles, isConsole := access[name]
			isConsole = isConsole && listener == "public"
			adapter, isOther := callerOf(listener, name)
			require.NotEqual(t, isConsole, isOther, "%s %s must stand in exactly one table of who may call it on this listener", listener, name)
			for who, v := range w.visitors {
				rec := v.ask(t, h, handler.Echo(), r.Method, w.path(r.Path), w.form(r.Method))
				asked++
				if name == "POST /console/logout" && v.cookie != "" && rec.Code == http.StatusSeeOther {
					w.visitors[who] = signIn(t, h, w.names[who], testPassword)
				}
				if isConsole {
					w.judgeConsole(t, name, who, roles, rec)
				} else {
					judgeKey(t, name, who, adapter, rec)
				}
			}
		}
	}
	for name := range access {
		method, path, _ := strings.Cut(name, " ")
		require.True(t, slices.ContainsFunc(h.public.Echo().Routes(), func(r *echo.Route) bool { return r.Method == method && r.Path == path }), name)
	}
	task, err := h.engine.Task(t.Context(), w.task)
	require.NoError(t, err)
	require.Equal(t, core.StateQueued, task.State, "none of them serves it")
	t.Logf("%d questions", asked)
}

// world is one hub with things of contoso in it and people who ask for them.
type world struct {
	names         map[string]string // of who has a session
	visitors      map[string]visitor
	authorization string
	person        string
	execution     string
	configuration string
	workflow      string
	task          string
}

func newWorld(t *testing.T, h *hub) *world {
	t.Helper()
	ctx := t.Context()
	w := &world{names: map[string]string{}, visitors: map[string]visitor{"nobody": {}}}
	for _, role := range identity.Roles {
		upn := string(role) + "@contoso.example"
		_, err := h.identity.Add(ctx, "contoso", upn, string(role), role, testPassword)
		require.NoError(t, err)
		w.names[string(role)] = upn
		w.visitors[string(role)] = signIn(t, h, upn, testPassword)
	}
	_, err := h.identity.Add(ctx, "fabrikam", "admin@fabrikam.example", "Other", identity.Admin, testPassword)
	require.NoError(t, err)
	w.names["other tenant's admin"] = "admin@fabrikam.example"
	w.visitors["other tenant's admin"] = signIn(t, h, "admin@fabrikam.example", testPassword)
	ended, err := h.identity.Add(ctx, "contoso", "ended@contoso.example", "Ended", identity.Admin, testPassword)
	require.NoError(t, err)
	w.visitors["removed admin"] = signIn(t, h, ended.UPN, testPassword)
	require.NoError(t, h.identity.Remove(ctx, "contoso", ended.ID))
	out, err := h.identity.Add(ctx, "contoso", "out@contoso.example", "Out", identity.Admin, testPassword)
	require.NoError(t, err)
	w.person = out.ID
	w.visitors["signed-out admin"] = signIn(t, h, out.UPN, testPassword)
	rec := w.visitors["signed-out admin"].ask(t, h, h.public.Echo(), http.MethodPost, "/console/logout", url.Values{})
	require.Less(t, rec.Code, 400)

	for who, k := range map[string]store.APIKey{
		"key of powerautomate":                {Tenant: "contoso", Adapter: "powerautomate", UPN: "admin@contoso.example"},
		"key of cxone":                        {Tenant: "contoso", Adapter: "cxone", UPN: "admin@contoso.example"},
		"key of webex":                        {Tenant: "contoso", Adapter: "webex", UPN: "admin@contoso.example"},
		"revoked key of webex":                {Tenant: "contoso", Adapter: "webex", UPN: "admin@contoso.example"},
		"other tenant's key of webex":         {Tenant: "fabrikam", Adapter: "webex", UPN: "admin@fabrikam.example"},
		"key of admin":                        {Tenant: "contoso", Adapter: "admin", UPN: "admin@contoso.example"},
		"revoked key of powerautomate":        {Tenant: "contoso", Adapter: "powerautomate", UPN: "admin@contoso.example"},
		"revoked key of cxone":                {Tenant: "contoso", Adapter: "cxone", UPN: "admin@contoso.example"},
		"other tenant's key of cxone":         {Tenant: "fabrikam", Adapter: "cxone", UPN: "admin@fabrikam.example"},
		"revoked key of admin":                {Tenant: "contoso", Adapter: "admin", UPN: "admin@contoso.example"},
		"other tenant's key of powerautomate": {Tenant: "fabrikam", Adapter: "powerautomate", UPN: "admin@fabrikam.example"},
		"other tenant's key of admin":         {Tenant: "fabrikam", Adapter: "admin", UPN: "admin@fabrikam.example"},
	} {
		key, hash := server.NewKey()
		now := core.SystemClock{}.Now()
		k.Hash, k.ID, k.CreatedMs = hash[:], core.NewID(now), now.UnixMilli()
		require.NoError(t, h.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			if err := tx.InsertAPIKey(ctx, k); err != nil || !strings.HasPrefix(who, "revoked") {
				return err
			}
			return tx.RevokeAPIKey(ctx, k.ID, now)
		}))
		w.visitors[who] = visitor{key: key}
	}
	a, err := h.authorizations.Add(ctx, "contoso", "admin@contoso.example", integration.Draft{
		Integration: "zendesk", Grant: w.grant(t, h, "zendesk", integration.AuthorizationCode), Name: "Support",
		Values: map[string]string{"subdomain": "contoso", "client_id": "id", "client_secret": "secret"},
	})
	require.NoError(t, err)
	w.authorization = a.ID
	w.execution = core.NewID(core.SystemClock{}.Now())
	h.recorder.Record(execution.Run{ID: w.execution, Tenant: "contoso", Platform: "cxone", Title: "Zendesk / Search for ANI", Outcome: "Success"})
	w.configuration, w.workflow = configured(t)
	w.task = openTask(t, h)
	return w
}

// openTask adds a task of contoso's support and returns its id.
func openTask(t *testing.T, h *hub) (id string) {
	t.Helper()
	tenant, ok := h.mapped.directory().Tenant("contoso")
	require.True(t, ok)
	service, ok := tenant.Service("support@contoso.example")
	require.True(t, ok)
	_, err := h.engine.Create(t.Context(), engine.NewTask{
		Task: core.Task{
			Tenant: tenant.Name, TenantID: tenant.ID, Service: service.Ref(), Modality: core.ExternalTask, Direction: core.Inbound,
			Customer: core.Customer{DisplayName: "Jane Doe", Email: "jane@contoso.example"},
		},
		Workflow: h.mapped.workflow("external-task"),
	}, func(task *core.Task) ([]byte, error) { id = task.ID; return nil, nil })
	require.NoError(t, err)
	return id
}

// configured returns the ids of the first configuration of contoso, and of its
// first workflow.
func configured(t *testing.T) (configuration, workflow string) {
	t.Helper()
	text, err := fs.ReadFile(mappings.FS, "cxone/configurations.yaml")
	require.NoError(t, err)
	ids := regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`).FindAllString(string(text), 2)
	require.Len(t, ids, 2)
	return ids[0], ids[1]
}

// grant finds a grant of an integration by its type.
func (*world) grant(t *testing.T, h *hub, id string, kind integration.GrantType) string {
	t.Helper()
	i, ok := h.catalogue().Integration(id)
	require.True(t, ok)
	for _, g := range i.Grants {
		if g.Type == kind {
			return g.ID
		}
	}
	require.Fail(t, "no such grant")
	return ""
}

// path fills a template with things that exist in contoso.
func (w *world) path(template string) string {
	return strings.NewReplacer(
		":integration", "zendesk", ":authorization", w.authorization, ":person", w.person,
		":name", "console.css", ":taskId", "0190c2a0-0000-7000-8000-000000000000",
		":externalTaskId", "0190c2a0-0000-7000-8000-000000000000",
		":version", "v27.0", ":configuration", w.configuration, ":workflow", w.workflow, ":cacheKey", "unknown", ":execution", w.execution,
		":task", w.task, ":node", "close-task", ":method", "close", ":subscription", "unknown",
		":triggerId", "unknown", ":id", "unknown", "*", "unknown",
	).Replace(template)
}

// form is an empty form: enough to get past the door, and to change nothing.
func (*world) form(method string) url.Values {
	if method == http.MethodPost {
		return url.Values{}
	}
	return nil
}

func (w *world) judgeConsole(t *testing.T, name, who string, roles []identity.Role, rec *httptest.ResponseRecorder) {
	t.Helper()
	toLogin := rec.Code == http.StatusSeeOther && strings.HasSuffix(rec.Header().Get("Location"), "/console/login")
	role := identity.Role(who)
	if who == "other tenant's admin" {
		role = identity.Admin
	}
	switch {
	case len(roles) == 0:
		require.Less(t, rec.Code, 500, "%s as %s", name, who)
		require.False(t, strings.HasPrefix(name, "GET") && toLogin, "%s as %s", name, who)
	case !slices.Contains(identity.Roles, role):
		require.True(t, toLogin || rec.Code == http.StatusUnauthorized, "%s as %s: %d %s", name, who, rec.Code, rec.Header().Get("Location"))
	case !slices.Contains(roles, role):
		require.Equal(t, http.StatusForbidden, rec.Code, "%s as %s", name, who)
	case who == "other tenant's admin" && (strings.Contains(name, ":authorization") || strings.Contains(name, ":person") || strings.Contains(name, ":execution") || name == "GET /console/tasks/:task"):
		require.Equal(t, http.StatusNotFound, rec.Code, "%s as %s", name, who)
	default:
		require.False(t, toLogin, "%s as %s", name, who)
		require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, rec.Code, "%s as %s", name, who)
		require.Less(t, rec.Code, 500, "%s as %s: %s", name, who, rec.Body)
	}
	if strings.HasPrefix(who, "other tenant") {
		require.NotContains(t, rec.Body.String(), "contoso.example", "%s as %s", name, who)
	}
}

func judgeKey(t *testing.T, name, who, adapter string, rec *httptest.ResponseRecorder) {
	t.Helper()
	switch {
	case adapter == "webex" && rec.Code == http.StatusOK: // what is wrong with a call, the outcome says
		require.Contains(t, []string{"key of webex", "other tenant's key of webex"}, who, name)
		require.Contains(t, rec.Body.String(), `"outcome":"onInvalidData"`)
		require.NotContains(t, rec.Body.String(), "contoso", "%s as %s", name, who)
	case adapter == "body":
		require.Equal(t, http.StatusBadRequest, rec.Code, "%s as %s", name, who)
	case adapter == "" || adapter == "address":
		require.Less(t, rec.Code, 500, "%s as %s", name, who)
		require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, rec.Code, "%s as %s", name, who)
	case who == "key of "+adapter:
		require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, rec.Code, "%s as %s", name, who)
		require.Less(t, rec.Code, 500, "%s as %s", name, who)
	case who == "other tenant's key of "+adapter:
		if strings.Contains(name, ":") && !strings.Contains(rec.Body.String(), "NOT_CONFIGURED") {
			// What is not there cannot be deleted, which is no fault.
			require.Contains(t, []int{http.StatusNotFound, http.StatusBadRequest, http.StatusNoContent}, rec.Code, "%s as %s", name, who)
		}
		require.NotContains(t, rec.Body.String(), "contoso", "%s as %s", name, who)
	case strings.HasPrefix(who, "key of ") || strings.HasPrefix(who, "other tenant's key"):
		require.Equal(t, http.StatusForbidden, rec.Code, "%s as %s", name, who)
	default:
		require.Equal(t, http.StatusUnauthorized, rec.Code, "%s as %s", name, who)
	}
}
