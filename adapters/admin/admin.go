package admin

import (
	"context"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/server"
	"tandem/core/store"
)

// Triggers is what the API asks of the room of deliveries.
type Triggers interface {
	Replay(ctx context.Context, tenant, id string) error
	Discard(ctx context.Context, tenant, id string) error
}

// Reader is what the API reads.
type Reader interface {
	Triggers(ctx context.Context, tenant string) ([]store.Trigger, error)
	TriggerBacklog(ctx context.Context, triggerID string) (store.TriggerBacklog, error)
	DeadLetters(ctx context.Context, tenant, after string, limit int) ([]store.DeadLetter, error)
}

// Tasks is what the API asks of the engine.
type Tasks interface {
	Task(ctx context.Context, id string) (core.Task, error)
	History(ctx context.Context, id string) ([]core.Event, error)
}

// Options is what the adapter is lent.
type Options struct {
	Callers   *server.Callers
	Directory func() *directory.Directory
	Triggers  Triggers
	Reader    Reader
	Tasks     Tasks
}

// Adapter serves the admin API.
type Adapter struct{ o Options }

// New returns the adapter.
func New(o Options) *Adapter { return &Adapter{o} }

// Mount adds the routes.
func (a *Adapter) Mount(e *echo.Echo) {
	g := e.Group("/admin/v1", a.authenticate)
	g.GET("/triggers", a.triggers)
	g.GET("/dead-letters", a.deadLetters)
	g.POST("/dead-letters/replay", a.replayAll)
	g.POST("/dead-letters/:id/replay", a.replay)
	g.DELETE("/dead-letters/:id", a.discard)
	g.GET("/tasks/:id", a.task)
}

const tenantKey = "tandem.admin.tenant"

func (a *Adapter) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, err := a.o.Callers.Authenticate(c.Request(), "admin")
		if err != nil {
			return err
		}
		server.SetCaller(c, caller)
		tenant, ok := a.o.Directory().Tenant(caller.Tenant)
		if !ok {
			return core.Errorf(core.Forbidden, "tenant %q is no longer in the directory", caller.Tenant)
		}
		user, ok := tenant.User(caller.UPN)
		if !ok || !user.Has(directory.TenantAdmin) {
			return core.Errorf(core.Forbidden, "%s is not Tenant Admin of %s", caller.UPN, caller.Tenant)
		}
		c.Set(tenantKey, caller.Tenant)
		return next(c)
	}
}

// wellFormed is what ids of this API look like.
var wellFormed = regexp.MustCompile(`^[0-9A-Za-z.-]{0,200}$`)

// idOf returns the id in the path; what none looks like is not found.
func idOf(c echo.Context) (string, error) {
	if !wellFormed.MatchString(c.Param("id")) {
		return "", core.Errorf(core.NotFound, "not found")
	}
	return c.Param("id"), nil
}

// afterOf returns the id behind which a list goes on.
func afterOf(c echo.Context) (string, error) {
	if !wellFormed.MatchString(c.QueryParam("after")) {
		return "", core.InvalidField("after", "want an id of this list")
	}
	return c.QueryParam("after"), nil
}

func tenantOf(c echo.Context) string { return c.Get(tenantKey).(string) } //nolint:forcetypeassert // authenticate set it

// trigger is a trigger as the API shows it: all but its secrets.
type trigger struct {
	ID         string             `json:"id"`
	State      store.TriggerState `json:"state"`
	Reason     string             `json:"reason,omitempty"`
	Owner      string             `json:"owner"`
	Host       string             `json:"host"`
	Services   []string           `json:"services"`
	Events     []core.EventName   `json:"events"`
	Modalities []core.Modality    `json:"modalities"`
	Directions []core.Direction   `json:"directions"`
	Created    time.Time          `json:"created"`
	Ended      time.Time          `json:"ended,omitzero"`
	Waiting    int                `json:"waiting"` // events not delivered yet
	Failing    *failing           `json:"failing,omitempty"`
}

// failing tells of the event of a trigger that was tried most often.
type failing struct {
	Events   int       `json:"events"` // how many were tried in vain
	Attempts int       `json:"attempts"`
	Status   int       `json:"status,omitempty"`
	Reason   string    `json:"reason"`
	NextTry  time.Time `json:"nextTry"`
}

func (a *Adapter) triggers(c echo.Context) error {
	found, err := a.o.Reader.Triggers(c.Request().Context(), tenantOf(c))
	if err != nil {
		return err
	}
	list := make([]trigger, len(found))
	for i, t := range found {
		list[i] = trigger{
			ID: t.ID, State: t.State, Reason: t.Reason, Owner: t.Owner, Host: t.Host, Services: t.Services,
			Events: all(core.EventNames, t.Events), Modalities: all(core.Modalities, t.Modalities),
			Directions: all(core.Directions, t.Directions), Created: t.Created, Ended: t.Ended,
		}
		b, err := a.o.Reader.TriggerBacklog(c.Request().Context(), t.ID)
		if err != nil {
			return err
		}
		list[i].Waiting = b.Waiting
		if b.Failing > 0 {
			list[i].Failing = &failing{b.Failing, b.Attempts, b.Status, b.Error, store.FromMilli(b.DueMs)}
		}
	}
	return c.JSON(http.StatusOK, list)
}

// all returns the names that a filter lets through.
func all[T comparable](list []T, filter core.Set) []T {
	if filter == 0 {
		return list
	}
	return core.Names(list, filter)
}

// deadLetter is a dead letter as the API shows it.
type deadLetter struct {
	ID        string         `json:"id"`
	TriggerID string         `json:"triggerId"`
	TaskID    string         `json:"taskId"`
	Event     core.EventName `json:"event"`
	Attempts  int            `json:"attempts"`
	Status    int            `json:"status,omitempty"`
	Reason    string         `json:"reason"`
	Created   time.Time      `json:"created"`
	Died      time.Time      `json:"died"`
}

// maxPage is how many dead letters one answer shows, and one replay of all
// takes at a time.
const maxPage = 200

func (a *Adapter) deadLetters(c echo.Context) error {
	limit := maxPage
	if text := c.QueryParam("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return core.InvalidField("limit", "want a number from 1 to %d", maxPage)
		}
		limit = n
	}
	after, err := afterOf(c)
	if err != nil {
		return err
	}
	found, err := a.o.Reader.DeadLetters(c.Request().Context(), tenantOf(c), after, limit)
	if err != nil {
		return err
	}
	list := make([]deadLetter, len(found))
	for i, l := range found {
		list[i] = deadLetter{
			ID: l.ID, TriggerID: l.TriggerID, TaskID: l.TaskID, Event: l.Event, Attempts: l.Attempts, Status: l.Status,
			Reason: l.Error, Created: store.FromMilli(l.CreatedMs), Died: store.FromMilli(l.DiedMs),
		}
	}
	return c.JSON(http.StatusOK, list)
}

func (a *Adapter) replay(c echo.Context) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	if err := a.o.Triggers.Replay(c.Request().Context(), tenantOf(c), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusAccepted)
}

// replayAll sends up to a page of dead letters again, the oldest first, and
// tells how many and behind which id to go on.
func (a *Adapter) replayAll(c echo.Context) error {
	ctx := c.Request().Context()
	after, err := afterOf(c)
	if err != nil {
		return err
	}
	found, err := a.o.Reader.DeadLetters(ctx, tenantOf(c), after, maxPage)
	if err != nil {
		return err
	}
	answer := struct {
		Replayed int    `json:"replayed"`
		Refused  int    `json:"refused"` // their flows have no trigger any more
		Next     string `json:"next,omitempty"`
	}{}
	for _, l := range found {
		err := a.o.Triggers.Replay(ctx, tenantOf(c), l.ID)
		switch {
		case err == nil:
			answer.Replayed++
		case core.KindOf(err) == core.Conflict:
			answer.Refused++
		case core.KindOf(err) == core.NotFound: // somebody else was faster
		default:
			return err
		}
	}
	if len(found) == maxPage {
		answer.Next = found[maxPage-1].ID
	}
	return c.JSON(http.StatusOK, answer)
}

func (a *Adapter) discard(c echo.Context) error {
	id, err := idOf(c)
	if err != nil {
		return err
	}
	if err := a.o.Triggers.Discard(c.Request().Context(), tenantOf(c), id); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// task shows a task with its history, without what callers wrote into it.
func (a *Adapter) task(c echo.Context) error {
	ctx := c.Request().Context()
	id, err := idOf(c)
	if err != nil {
		return err
	}
	t, err := a.o.Tasks.Task(ctx, id)
	if err == nil && t.Tenant != tenantOf(c) {
		err = core.Errorf(core.NotFound, "not found")
	}
	if err != nil {
		return err
	}
	history, err := a.o.Tasks.History(ctx, t.ID)
	if err != nil {
		return err
	}
	type event struct {
		Seq  int            `json:"seq"`
		Name core.EventName `json:"name"`
		At   time.Time      `json:"at"`
	}
	answer := struct {
		ID         string        `json:"id"`
		Service    string        `json:"service"`
		Modality   core.Modality `json:"modality"`
		State      core.State    `json:"state"`
		Priority   core.Priority `json:"priority"`
		Created    time.Time     `json:"created"`
		Terminated time.Time     `json:"terminated,omitzero"`
		Events     []event       `json:"events"`
	}{t.ID, t.Service.UPN, t.Modality, t.State, t.Priority, t.Created, t.Terminated, make([]event, len(history))}
	for i, h := range history {
		answer.Events[i] = event{h.Seq, h.Name, h.At}
	}
	return c.JSON(http.StatusOK, answer)
}
