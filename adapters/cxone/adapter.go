package cxone

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/execution"
	"tandem/core/operation"
	"tandem/core/server"
)

// Platform is the adapter that a credential must be for.
const Platform = core.PlatformCXone

// Callers tells who stands behind a request, from X-Api-Key or Authorization:
// Bearer.
type Callers interface {
	Authenticate(r *http.Request, adapter string) (core.Caller, error)
}

// Runner runs operations.
type Runner interface {
	Run(ctx context.Context, r operation.Request) (*operation.Result, error)
}

// Answers gives one answer to equal requests.
type Answers interface {
	// Do returns the answer of the first flow with the key in the last life;
	// flow is run, whatever becomes of ctx, for at most limit. Errors are
	// Timeout when ctx ended first, Uncertain when the first flow's end is
	// unknown, Unavailable when nothing was begun, and others of the store.
	Do(ctx context.Context, key [32]byte, life, limit time.Duration, flow execution.Flow) (answer execution.Answer, repeated bool, err error)
}

// Results keeps documents under opaque keys. The key of Put is empty when the
// document could not be kept before ctx ended. Get and KeepAlive return NotFound
// for a key that is not the tenant's, or not any more.
type Results interface {
	Put(ctx context.Context, tenant, key string, life time.Duration, value []byte) string
	Get(ctx context.Context, tenant, key string) ([]byte, error)
	KeepAlive(ctx context.Context, tenant, key string) error
}

// Recorder counts what ran, and keeps it for people. No method waits.
type Recorder interface {
	Count(platform, outcome string, d time.Duration)
	Wanted(tenant string, failed bool) bool // asked once before each Record
	Record(run execution.Run)
}

// Sealer seals values for one place.
type Sealer interface {
	Seal(place string, plain []byte) []byte
	Open(place string, sealed []byte) ([]byte, error)
}

// Options is what the adapter is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	Callers        Callers
	Directory      func() *directory.Directory // never nil
	Configurations func() *Configurations      // never nil
	Runner         Runner
	Engine         Engine
	Answers        Answers
	Results        Results
	Recorder       Recorder
	Sealer         Sealer
	Clock          core.Clock
	Failed         func(msg string, err error) // told of faults of the hub
}

// Adapter serves CXone.
type Adapter struct{ o Options }

// New returns an adapter.
func New(o Options) *Adapter { return &Adapter{o: o} }

// Mount adds the routes: the hub's own form of Workflow Execute, the token
// address, and NICE's routes in the two spellings in which they are called.
func (a *Adapter) Mount(e *echo.Echo) {
	e.POST("/cxone/oauth/token", a.token)
	e.POST("/cxone/v1/workflow-execute", a.workflowExecute)
	for _, api := range []string{"/InContactAPI", "/incontactapi"} {
		g := e.Group(api + "/services/:version/agent-integration")
		g.GET("/configuration", a.nice(a.listConfigurations))
		g.GET("/configuration/:configuration/workflow", a.nice(a.listWorkflows))
		g.POST("/configuration/:configuration/workflow/:workflow", a.niceExecute)
		g.GET("/configuration/:configuration/data-mappings", a.nice(a.listDataMappings))
		g.GET("/configuration/:configuration/dynamic-data-mappings", a.nice(a.listCardMappings))
		g.GET("/configuration/:configuration/entities", a.nice(a.listEntities))
		g.GET("/workflow-execution/interaction/:cacheKey", a.nice(a.cachedResult))
		g.POST("/workflow-execution/interaction/:cacheKey", a.nice(a.keepAlive))
	}
}

// caller authenticates a request.
func (a *Adapter) caller(c echo.Context) (core.Caller, error) {
	r, err := a.withKey(c.Request())
	if err != nil {
		return core.Caller{}, err
	}
	return a.identify(c, r)
}

// identify is caller for a request whose credential Callers understands.
func (a *Adapter) identify(c echo.Context, r *http.Request) (core.Caller, error) {
	who, err := server.Authenticate(c, r, a.o.Callers, Platform, server.CallerTime)
	if err != nil {
		return core.Caller{}, err
	}
	if _, _, err = a.o.Directory().Caller(who); err != nil {
		return core.Caller{}, err
	}
	return who, nil
}
