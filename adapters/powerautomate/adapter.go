package powerautomate

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/flow"
	"tandem/core/server"
)

// Platform is the adapter that a credential must be for.
const Platform = "powerautomate"

// Callers tells who stands behind a request.
type Callers interface {
	Authenticate(r *http.Request, adapter string) (core.Caller, error)
}

// Options is what the adapter is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	Engine   Engine
	Triggers Triggers
	Callers  Callers

	// Directory returns the directory in force, never nil.
	Directory func() *directory.Directory

	// Workflow returns a workflow of the set in force, which the engine keeps;
	// nil if there is none of the name.
	Workflow func(name string) *flow.Workflow

	// BaseURL returns the address under which the caller reached the hub,
	// without a slash at the end.
	BaseURL func(echo.Context) string
}

// Adapter serves the connector's operations.
type Adapter struct{ o Options }

// New returns an adapter.
func New(o Options) *Adapter { return &Adapter{o: o} }

// Mount adds the connector's routes. Their casing is the connector's.
func (a *Adapter) Mount(e *echo.Echo) {
	e.POST("/v1/triggers/tasks", a.registerTaskWebHook)
	e.DELETE("/v1/triggers/tasks/:triggerId", a.deleteTaskEventsTrigger)

	e.PUT("/v1/tasks/:taskId", a.updateTask)
	e.POST("/v1/ExternalTasks", a.addExternalTask)
	e.DELETE("/v1/ExternalTasks/:externalTaskId", a.removeExternalTask)

	e.GET("/v1/tasks/service-contacts", a.list(taskServices))
	e.GET("/v1/tasks/events", a.list(taskEvents))
	e.GET("/v1/tasks/modalities", a.list(taskModalities))
	e.GET("/v1/tasks/directions", a.list(taskDirections))
	e.GET("/v1/tasks/users-for-preferred-routing", a.list(preferredUsers))
	e.GET("/v1/ExternalTasks/service-contacts", a.list(externalTaskServices))
	e.GET("/v1/ExternalTasks/distribution-priorities", a.list(distributionPriorities))
	e.GET("/v1/diagnostics/testconnection", a.testConnection)
}

// caller is who makes a request, in one snapshot of the directory.
type caller struct {
	tenant *directory.Tenant
	user   *directory.User
}

// caller authenticates a request.
func (a *Adapter) caller(c echo.Context) (caller, error) {
	who, err := server.Authenticate(c, c.Request(), a.o.Callers, Platform, server.CallerTime)
	if err != nil {
		return caller{}, err
	}
	tenant, user, err := a.o.Directory().Caller(who)
	return caller{tenant, user}, err
}
