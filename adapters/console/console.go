package console

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// Records are the authorizations of a tenant. An authorization of another
// tenant is NotFound.
type Records interface {
	List(ctx context.Context, tenant, integration string) ([]integration.Authorization, error) // integration "": all
	Get(ctx context.Context, tenant, id string) (integration.Authorization, error)
	Add(ctx context.Context, tenant, by string, d integration.Draft) (integration.Authorization, error)
	Update(ctx context.Context, tenant, by, id string, d integration.Draft) (integration.Authorization, error)
	Remove(ctx context.Context, tenant, id string) error // Conflict with the uses as details
}

// Grants make authorizations usable.
type Grants interface {
	MakeDefault(ctx context.Context, tenant, id, node string) error // node "": all
	Begin(ctx context.Context, tenant, id, session string) (address string, err error)
	Finish(ctx context.Context, tenant, session, integration string, answer url.Values) (integration.Authorization, error)
	Grant(ctx context.Context, tenant, id string) (integration.Authorization, error)
}

// Authorizations is what the console asks of the room that keeps the secrets.
type Authorizations interface {
	Records
	Grants
}

// Options is what the console is lent, all of it needed but the texts. The
// functions may be called from several goroutines at once.
type Options struct {
	Identity       *identity.Identity
	Integrations   func() *integration.Catalogue
	Authorizations Authorizations
	Upstreams      func(tenant string) []outbound.Upstream
	Check          func(ctx context.Context, a integration.Authorization) error // makes a harmless call with it
	Mappings       func(tenant string) MappingState                             // without the files of other tenants
	Operations     func() *operation.Catalogue
	Try            func(ctx context.Context, t Trial) Outcome // runs it, and keeps a live run among the executions
	Executions     Executions
	Desk           Desk
	FindTask       func(ctx context.Context, tenant, id string) (core.Task, error) // by its id or its name on another platform; NotFound
	Webex          Webex
	Tenant         func(name string) (title string)
	BaseURL        func() string // configured public address without a slash at the end, "" if none; its path goes before every link
	SingleSignOn   string        // label of the button; "": none
	Clock          core.Clock
	Version        string
	Log            *slog.Logger // for who changed what, and for faults that the answer cannot tell
}

// Console serves the pages.
type Console struct {
	o     Options
	pages map[string]*template.Template
	files map[string]asset
}

// New returns the console. The error says that an option is missing, or which
// template does not parse.
func New(o Options) (*Console, error) {
	if o.Identity == nil || o.Integrations == nil || o.Authorizations == nil || o.Upstreams == nil || o.Check == nil ||
		o.Mappings == nil || o.Operations == nil || o.Try == nil || o.Executions == nil || o.Desk == nil || o.FindTask == nil || o.Webex == nil ||
		o.Tenant == nil || o.BaseURL == nil || o.Clock == nil || o.Log == nil {
		return nil, errors.New("console: all options but the texts are needed")
	}
	c := &Console{o: o}
	var err error
	if c.files, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.pages, err = c.parse(); err != nil {
		return nil, err
	}
	return c, nil
}

// route is one row of the table of routes.
type route struct {
	method, path string
	roles        []identity.Role // who may; empty: everybody, signed in or not
	handle       echo.HandlerFunc
}

// The groups of people in the table of routes.
func everybody() []identity.Role { return nil }

func people() []identity.Role { return identity.Roles }

func readers() []identity.Role {
	return []identity.Role{identity.Admin, identity.Integrator, identity.Supervisor, identity.Viewer}
}

// checkers may try what is there, which calls a provider and changes nothing.
func checkers() []identity.Role { return []identity.Role{identity.Admin, identity.Integrator} }

func admins() []identity.Role { return []identity.Role{identity.Admin} }

// SignOnPath is where the sign-on service sends people back to.
const SignOnPath = "/console/sso/callback"

// CallbackPath is where the provider of an integration sends administrators back
// to: a path of its own for each, so that no provider can pass for another.
func CallbackPath(integration string) string {
	return strings.Replace(pathCallback, ":integration", url.PathEscape(integration), 1)
}

// The paths of things.
const (
	pathCallback = "/oauth/callback/:integration"
	pathList     = "/console/integrations"
	pathOne      = pathList + "/:integration"
	pathAll      = pathOne + "/authorizations"
	pathAuth     = pathAll + "/:authorization"
	pathPeople   = "/console/people"
	pathPerson   = pathPeople + "/:person"
	pathWork     = "/console/work/:task"
	pathWebex    = "/console/webex"
)

// routes is the one table of what the console serves and to whom.
func (c *Console) routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/console/static/:name", everybody(), c.static},
		{get, "/console/login", everybody(), c.loginForm},
		{post, "/console/login", everybody(), c.login},
		{get, "/console/setup", everybody(), c.setupForm},
		{post, "/console/setup", everybody(), c.setup},
		{get, "/console/sso", everybody(), c.sso},
		{get, SignOnPath, everybody(), c.ssoCallback},
		{post, "/console/logout", people(), c.logout},
		{get, "/", everybody(), c.door},
		{get, "/console/", everybody(), c.door},
		{get, "/console", people(), c.home},
		{get, "/console/*", people(), c.unknown},

		{get, pathList, readers(), c.integrations},
		{get, pathOne, readers(), c.integration},
		{get, pathAuth, readers(), c.authorization},
		{get, pathAll + "/new", admins(), c.newAuthorization},
		{post, pathAll, admins(), c.addAuthorization},
		{get, pathAuth + "/edit", admins(), c.editAuthorization},
		{post, pathAuth, admins(), c.updateAuthorization},
		{get, pathAuth + "/remove", admins(), c.confirmRemove},
		{post, pathAuth + "/remove", admins(), c.removeAuthorization},
		{post, pathAuth + "/default", admins(), c.makeDefault},
		{post, pathAuth + "/authorize", admins(), c.authorize},
		{post, pathAuth + "/check", checkers(), c.check},
		{get, pathAuth + "/result", admins(), c.result},
		{get, pathCallback, admins(), c.callback},

		{get, "/console/mappings", readers(), c.mappings},
		{get, "/console/playground", checkers(), c.playground},
		{post, "/console/playground", checkers(), c.try},
		{get, "/console/executions", readers(), c.executions},
		{get, "/console/executions/:execution", readers(), c.execution},

		{get, "/console/breakers", readers(), c.breakers},

		{get, "/console/work", workers(), c.work},
		{post, pathWork + "/accept", workers(), c.acceptTask},
		{post, pathWork + "/return", workers(), c.returnTask},
		{post, pathWork + "/close", workers(), c.closeTask},
		{get, "/console/tasks", readers(), c.tasks},
		{get, "/console/tasks/:task", people(), c.task}, // an agent sees their own

		{get, pathWebex, readers(), c.webex},
		{post, pathWebex + "/check", admins(), c.checkWebex},
		{post, pathWebex + "/rotate", admins(), c.rotateWebex},
		{post, pathWebex + "/compare", admins(), c.compareWebex},

		{get, pathPeople, admins(), c.people},
		{post, pathPeople, admins(), c.addPerson},
		{get, pathPeople + "/new", admins(), c.newPerson},
		{get, pathPerson, admins(), c.editPerson},
		{post, pathPerson, admins(), c.changePerson},
		{get, pathPerson + "/remove", admins(), c.confirmPerson},
		{post, pathPerson + "/remove", admins(), c.removePerson},
	}
}

// Access tells for each route, written "METHOD /path/:template", which roles may
// use it; none means everybody, signed in or not.
func (c *Console) Access() map[string][]identity.Role {
	access := map[string][]identity.Role{}
	for _, r := range c.routes() {
		access[r.method+" "+r.path] = r.roles
	}
	return access
}

// Mount adds the routes.
func (c *Console) Mount(e *echo.Echo) {
	for _, r := range c.routes() {
		if r.path == "/console/static/:name" {
			e.Add(r.method, r.path, r.handle) // the same for everybody: no session, kept by browsers
			continue
		}
		e.Add(r.method, r.path, r.handle, c.frame, c.o.Identity.Middleware, c.guard(r.roles))
	}
}
