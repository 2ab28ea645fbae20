package webex

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/server"
	"tandem/core/store"
)

// Happened takes in what Webex says of its tasks, and returns when that is on
// disk. Errors are Unavailable and others of the store.
type Happened interface {
	Happened(ctx context.Context, tenant string, ev bridge.Event) (bridge.Receipt, error)
}

// AuditRecord is an event that had no effect because of what it was or who sent
// it. It holds nothing of the body and no signature.
type AuditRecord struct {
	Tenant       string // empty: nobody knows
	Subscription string // as it was named; FlowSource for the flows of Webex Connect
	Reason       string
	Remote       string // address of the sender
}

// FlowSource stands for the subscription where a flow sends an event.
const FlowSource = "connect"

// EventsOptions is what Events is lent. All of it may be called from several
// goroutines at once.
type EventsOptions struct {
	DB        *store.DB
	Box       SecretBox
	Clock     core.Clock
	Happened  Happened
	Directory func() *directory.Directory // never nil
	Audit     func(ctx context.Context, r AuditRecord)
	Failed    func(msg string, err error) // told of faults of the hub
	Callers   Callers                     // of the events of flows
}

// The limits of taking events in. Webex calls a receiver that takes seconds
// dead.
const (
	eventLimit  = 800 * time.Millisecond
	eventsOnce  = 512 // on their way into the database
	eventsRetry = 2 * time.Second
	touchTime   = 5 * time.Second
	touchEvery  = 10 * time.Second
)

// Events takes in what happens at Webex: events of the hub's subscriptions,
// which are signed, and those that flows of Webex Connect pass on with a key.
type Events struct {
	o     EventsOptions
	book  *book
	slots chan struct{}
	limit time.Duration // for an answer
}

// NewEvents returns an Events.
func NewEvents(o EventsOptions) *Events {
	return &Events{
		o: o, slots: make(chan struct{}, eventsOnce), limit: eventLimit,
		book: &book{db: o.DB, box: o.Box, clock: o.Clock, failed: o.Failed},
	}
}

// Mount adds the routes.
func (e *Events) Mount(router *echo.Echo) {
	router.POST(subscriptionPath+FlowSource, e.flow)
	router.POST(subscriptionPath+":subscription", e.subscription)
}

// arrival is one event on its way in.
type arrival struct {
	c      echo.Context
	source string // of the event: a subscription's id, or FlowSource and the tenant
	body   []byte
	record AuditRecord
}

// refuse audits an event and returns the error it is refused with.
func (e *Events) refuse(a *arrival, reason string, err error) error {
	a.record.Reason = reason
	e.o.Audit(a.c.Request().Context(), a.record)
	return err
}

func (e *Events) subscription(c echo.Context) error {
	a := &arrival{c: c, source: c.Param("subscription")}
	a.record = AuditRecord{Subscription: a.source[:min(len(a.source), maxEventName)], Remote: server.ClientIP(c)}
	var err error
	if a.body, err = server.ReadBody(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), e.limit)
	defer cancel()
	from, err := e.sender(ctx, a)
	if err != nil {
		return err
	}
	env, err := e.envelope(a)
	if err != nil {
		return err
	}
	if err := fresh(c.Request().Header, env.stamp, env.stamped, e.o.Clock.Now()); err != nil {
		return e.refuse(a, "stale, or its times differ", err)
	}
	if from.org != "" && !strings.EqualFold(from.org, env.org) {
		return e.refuse(a, "unknown organization", core.Errorf(core.NotFound, "The event is of an organization that is not known here."))
	}
	ev, err := env.happened()
	if err != nil {
		// It is from Webex, which would stop sending if it were refused.
		e.refuse(a, "not understood: "+err.Error(), nil) //nolint:errcheck // nil
		ev = bridge.Event{}
	}
	return e.accept(ctx, a, &env, ev, func() { e.touch(from) })
}

// sender returns the subscription that an event is signed for. Errors are
// NotFound, Unauthenticated, Unavailable.
func (e *Events) sender(ctx context.Context, a *arrival) (*known, error) {
	header := a.c.Request().Header
	from, err := e.book.find(ctx, a.source, true)
	if err == nil && !verify(header, a.body, from.secrets(e.o.Clock.Now())) {
		from, err = e.book.find(ctx, a.source, false) // the secret may be new
		if err == nil && !verify(header, a.body, from.secrets(e.o.Clock.Now())) {
			a.record.Tenant = from.tenant
			reason := "wrong signature"
			switch {
			case from.secret == nil:
				reason = "no secret"
			case len(header.Values(signatureHeader)) != 1:
				reason = "not one signature"
			}
			return nil, e.refuse(a, reason, core.Errorf(core.Unauthenticated, "%s: expected the signature of the body.", signatureHeader))
		}
	}
	if err == nil {
		if _, ok := e.o.Directory().Tenant(from.tenant); !ok {
			err = core.Errorf(core.NotFound, "There is no such subscription.")
		}
	}
	if err != nil {
		if core.KindOf(err) == core.NotFound {
			err = e.refuse(a, "unknown subscription", err)
		}
		return nil, err
	}
	a.record.Tenant = from.tenant
	return from, nil
}

func (e *Events) flow(c echo.Context) error {
	a := &arrival{c: c, record: AuditRecord{Subscription: FlowSource, Remote: server.ClientIP(c)}}
	var err error
	if a.body, err = server.ReadBody(c); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), e.limit)
	defer cancel()
	caller, allow, err := e.caller(ctx, c)
	if err != nil {
		switch core.KindOf(err) {
		case core.Unauthenticated, core.Forbidden:
			return e.refuse(a, "no credential for it: "+err.Error(), err)
		default:
			return err
		}
	}
	a.source, a.record.Tenant = FlowSource+"/"+caller.Tenant, caller.Tenant
	env, err := e.envelope(a)
	if err != nil {
		return err
	}
	ev, err := env.flowHappened()
	if err != nil {
		return e.refuse(a, "not understood: "+err.Error(), err)
	}
	ev.Allow = allow
	return e.accept(ctx, a, &env, ev, func() {})
}

// caller authenticates a flow, and says of which tasks it may speak.
func (e *Events) caller(ctx context.Context, c echo.Context) (who core.Caller, allow engine.Allow, err error) {
	who, err = server.Authenticate(c, c.Request().WithContext(ctx), e.o.Callers, core.PlatformWebex, e.limit)
	if err != nil {
		return core.Caller{}, nil, err
	}
	tenant, user, err := e.o.Directory().Caller(who)
	if err != nil {
		return core.Caller{}, nil, err
	}
	if len(tenant.TaskServices(user)) < len(tenant.Services()) {
		allow = func(t *core.Task) error { return tenant.MayRunTask(user, t) }
	}
	return who, allow, nil
}

// envelope opens the body of an event whose sender is known.
func (e *Events) envelope(a *arrival) (envelope, error) {
	var doc map[string]any
	err := server.DecodeJSON(a.c, &doc)
	if err == nil {
		var env envelope
		if env, err = openEnvelope(doc); err == nil {
			return env, nil
		}
	}
	return envelope{}, e.refuse(a, "not readable", err)
}

// accept hands an event on, answers 200 once it is on disk, and calls after; in
// any case it answers in time. An event that changes nothing has no more to
// wait for. The error is Unavailable when the sender is to send it again.
func (e *Events) accept(ctx context.Context, a *arrival, env *envelope, ev bridge.Event, after func()) error {
	select {
	case e.slots <- struct{}{}:
	default:
		return tryAgain(core.Errorf(core.Unavailable, "too many events at once"))
	}
	now := e.o.Clock.Now()
	if ev.At.After(now.Add(eventWindow)) {
		ev.At = now // of a clock that is wrong
	}
	ev.Key = eventKey(a.source, env.id, a.body)
	type outcome struct {
		receipt bridge.Receipt
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-e.slots }()
		var out outcome
		if ev.Kind != "" {
			out.receipt, out.err = e.handOn(ctx, a.record.Tenant, ev)
		}
		done <- out
		if out.err == nil {
			after()
		}
	}()
	select {
	case out := <-done:
		if out.err != nil && ev.Allow != nil && (core.KindOf(out.err) == core.Forbidden || core.KindOf(out.err) == core.NotFound) {
			return e.refuse(a, "a task that the caller may not change", out.err)
		}
		if out.err != nil {
			return tryAgain(out.err)
		}
		if out.receipt.Duplicate {
			e.refuse(a, "came before", nil) //nolint:errcheck // nil
		}
	case <-ctx.Done():
		return tryAgain(ctx.Err()) // it may be stored yet, and then counts once
	}
	return a.c.JSONBlob(http.StatusOK, []byte("{}"))
}

// handOn is Happened; a panic there must not end the hub.
func (e *Events) handOn(ctx context.Context, tenant string, ev bridge.Event) (r bridge.Receipt, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic while an event was taken in: %v", v)
		}
	}()
	return e.o.Happened.Happened(ctx, tenant, ev)
}

// tryAgain is Unavailable for whatever may be gone when the event comes again:
// it counts once.
func tryAgain(err error) error {
	kind := core.KindOf(err)
	if kind != core.Unavailable && kind != core.Uncertain && kind != core.Timeout && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return err
	}
	again := core.Wrap(core.Unavailable, err, "The event cannot be stored now. Send it again.")
	again.RetryAfter = eventsRetry
	return again
}

// touch notes that a subscription is alive. Nobody waits for that, and nobody
// misses it.
func (e *Events) touch(k *known) {
	now, last := e.o.Clock.Now(), k.touched.Load()
	if now.Sub(store.FromMilli(last)) < touchEvery || !k.touched.CompareAndSwap(last, now.UnixMilli()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), touchTime)
	defer cancel()
	_ = e.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.TouchSubscription(ctx, k.id, now) })
}
