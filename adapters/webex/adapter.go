package webex

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/store"
)

// Platform is the adapter that a credential must be for.
const Platform = core.PlatformWebex

// Callers tells who stands behind a request, from X-Api-Key or Authorization:
// Bearer.
type Callers interface {
	Authenticate(r *http.Request, adapter string) (core.Caller, error)
}

// Engine runs the tasks.
type Engine interface {
	Create(ctx context.Context, n engine.NewTask, answer func(*core.Task) ([]byte, error)) ([]byte, error)
	Find(ctx context.Context, ref engine.Ref) (core.Task, error)
	Change(ctx context.Context, ref engine.Ref, allow engine.Allow, change engine.Changing) (core.Task, error)
	Watch(taskID string) (changed <-chan struct{}, stop func())

	TransactionEngine
}

// TransactionEngine runs tasks in the caller's transaction.
type TransactionEngine interface {
	CreateIn(ctx context.Context, tx *store.Tx, n engine.NewTask) (core.Task, error)
	ChangeIn(ctx context.Context, tx *store.Tx, ref engine.Ref, allow engine.Allow, change engine.Changing) (core.Task, error)
}

// Bridge carries out nodes at Webex.
type Bridge interface {
	Node(ctx context.Context, call bridge.NodeCall) (map[string]any, error)
	Create(ctx context.Context, call bridge.NodeCall) error
	Hasten(ctx context.Context, tx *store.Tx, taskID string) error
	FollowIn(ctx context.Context, tx *store.Tx, tenant, platform, remoteID string) (heard bool, err error)
}

// Recorder counts what ran, and keeps it for people. No method waits.
type Recorder interface {
	Count(platform, outcome string, d time.Duration)
	Wanted(tenant string, failed bool) bool // asked once before each Record
	Record(run execution.Run)
}

// Sender makes one call and reads the answer.
type Sender interface {
	Do(req *http.Request) (*outbound.Response, error)
}

// Options is what the adapter is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	DB           *store.DB
	Callers      Callers
	Directory    func() *directory.Directory      // never nil
	Integrations func() *integration.Catalogue    // never nil
	Workflow     func(name string) *flow.Workflow // nil when there is none
	Listening    func(tenant string) bool         // Webex tells the hub what happens there
	Connections  operation.Connections            // says whether a node has a valid authorization
	Engine       Engine
	Bridge       Bridge
	Recorder     Recorder
	Box          SecretBox
	Hosts        *outbound.Hosts // that webhooks may be at
	Sender       Sender
	Sign         func(tenant, id string, at time.Time, body []byte) (string, error)
	Clock        core.Clock
	Wake         func()                                   // told that the outbox has something new; must not block
	BaseURL      string                                   // where Webex Engage reaches the hub; empty: nowhere
	Token        func(text string) (string, error)        // the same for the same text; who has no secret of the hub cannot make it. For paths
	Audit        func(ctx context.Context, r AuditRecord) // told of refused posts
	Failed       func(msg string, err error)              // told of faults of the hub
}

// Adapter serves the nodes of Webex Connect.
type Adapter struct {
	o       Options
	actions map[string]action
	base    string        // where Webex Engage posts; empty: nowhere
	limit   time.Duration // of a call that is waited for
}

// New returns an adapter.
func New(o Options) *Adapter {
	a := &Adapter{o: o, base: reachable(o.BaseURL), limit: nodeTime}
	a.actions = map[string]action{
		"create-task/create":  a.create,
		"set-variable/global": a.setVariables, "set-variable/flow": a.setVariables,
		"queue-task/queue":           a.queue,
		"piq-ewt/fetch":              a.position,
		"routed-notification/accept": a.routed, "routed-notification/reject": a.unrouted,
		"modify-notification/accept": a.modified, "modify-notification/reject": a.unmodified,
		"screen-pop/pop":   a.pop,
		"close-task/close": a.close, "close-task/accept": a.closed, "close-task/reject": a.unclosed,
		"resolve-conversation/resolve": a.resolve,
	}
	return a
}

// Mount adds the routes of the nodes, and of what Webex Engage says later.
func (a *Adapter) Mount(e *echo.Echo) {
	e.POST("/webex/v1/nodes/:node/:method", a.serve)
	e.POST(resolvedPath+":tenant/:message/:token", a.resolved)
}
