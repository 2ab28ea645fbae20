package webex

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/execution"
	"tandem/core/server"
)

// How long a call is waited for: Webex Connect gives an HTTP request ten
// seconds. One whose last word is posted may take longer.
const (
	nodeTime  = 8 * time.Second
	laterTime = time.Minute
)

// call is a call of a node on its way.
type call struct {
	m      *method
	r      *request
	who    core.Caller
	tenant *directory.Tenant
	user   *directory.User
	id     string // correlation id
}

// result is what a node has done.
type result struct {
	why     cause // of success
	outputs map[string]any
}

// action does what a method asks for.
type action func(ctx context.Context, k *call) (result, error)

// answer is what a node answers. The outcome is null while nothing is settled:
// then the last word is posted to the webhook.
type answer struct {
	Outcome       *string        `json:"outcome"`
	Outputs       map[string]any `json:"outputs"`
	Error         *failure       `json:"error,omitempty"`
	CorrelationID string         `json:"correlationId"`
}

// serve is the route of all nodes.
func (a *Adapter) serve(c echo.Context) error {
	began, took := a.o.Clock.Now(), core.Stopwatch()
	m, known := methodOf(c.Param("node"), c.Param("method"))
	k := &call{m: m, id: server.OwnID(c, began)}
	err := a.identify(c, k)
	if !known {
		k.m = &method{}
		if v := unknownMethod(); err == nil {
			return a.reply(c, v, k.id)
		}
		return a.reply(c, k.m.fault("", err), k.id)
	}
	var body []byte
	if err == nil {
		if body, err = server.ReadBody(c); err == nil {
			k.r, err = decode(m, body)
		}
	}
	if err == nil && m.Async && k.r.WebhookURL != "" {
		var first answer
		if first, err = a.later(c.Request().Context(), k, body); err == nil {
			return a.send(c, http.StatusOK, first)
		}
	}
	var done result
	if err == nil {
		ctx, cancel := context.WithTimeout(c.Request().Context(), a.limit)
		defer cancel()
		done, err = a.perform(ctx, k)
	}
	v := k.verdict(done, err)
	a.record(k, v, done, err, began, took())
	if err != nil {
		return a.reply(c, v, k.id)
	}
	return a.send(c, http.StatusOK, answer{Outcome: &v.Outcome, Outputs: done.outputs, CorrelationID: k.id})
}

// verdict is the word for what came of a call.
func (k *call) verdict(done result, err error) verdict {
	version := ""
	if k.r != nil {
		version = k.r.Version
	}
	if err != nil {
		return k.m.fault(version, err)
	}
	return verdict{Outcome: k.m.outcome(version, done.why), Status: http.StatusOK}
}

// perform does what a call asks for. A panic is a fault of the hub.
func (a *Adapter) perform(ctx context.Context, k *call) (done result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = core.Wrap(core.Internal, fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "a node failed")
		}
		if err == nil {
			return
		}
		if e, _ := server.Explain(err); e.Kind == core.Internal { // the answer hides it
			a.o.Failed("call "+k.id+" of a node failed", err)
		}
	}()
	if k.r.Authorization != "" { // whoever names one means it to be used
		if err := a.authorized(ctx, k); err != nil {
			return result{}, err
		}
	}
	done, err = a.actions[k.m.Node+"/"+k.m.Name](ctx, k)
	if err != nil && ctx.Err() != nil && core.KindOf(err) != core.Unavailable { // then nothing was begun
		err = core.Wrap(core.Timeout, err, "the node did not end in time; what was begun goes on")
	}
	if done.outputs == nil {
		done.outputs = map[string]any{}
	}
	return done, err
}

// identify finds out who calls.
func (a *Adapter) identify(c echo.Context, k *call) error {
	who, err := server.Authenticate(c, c.Request(), a.o.Callers, Platform, server.CallerTime)
	if err != nil {
		return err
	}
	return a.person(k, who)
}

// person looks a caller up in one snapshot of the directory.
func (a *Adapter) person(k *call, who core.Caller) (err error) {
	k.who = who
	k.tenant, k.user, err = a.o.Directory().Caller(who)
	return err
}

// reply answers a call that failed.
func (a *Adapter) reply(c echo.Context, v verdict, id string) error {
	h := c.Response().Header()
	if v.Status == http.StatusUnauthorized {
		h.Set(echo.HeaderWWWAuthenticate, "Bearer")
	}
	server.RetryAfter(h, &core.Error{RetryAfter: v.RetryAfter})
	return a.send(c, v.Status, answer{Outcome: &v.Outcome, Outputs: map[string]any{}, Error: &v.Failure, CorrelationID: id})
}

func (a *Adapter) send(c echo.Context, status int, body answer) error {
	text := server.EncodeJSON(body)
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(text)))
	return c.JSONBlob(status, text)
}

// record counts a call and keeps it for people. What came from customers stays
// out of it.
func (a *Adapter) record(k *call, v verdict, done result, err error, began time.Time, took time.Duration) {
	a.o.Recorder.Count(Platform, v.Outcome, took)
	if k.who.Tenant == "" || !a.o.Recorder.Wanted(k.who.Tenant, err != nil) {
		return
	}
	run := execution.Run{
		ID: k.id, Tenant: k.who.Tenant, Platform: Platform, Title: k.m.NodeTitle + " / " + k.m.Title,
		Outcome: v.Outcome, Failed: err != nil, Caller: k.who.UPN, Began: began, Duration: took,
	}
	if k.r != nil {
		run.Contact = k.r.TaskID
	}
	if err != nil {
		run.Code, run.Message = v.Failure.Code, v.Failure.Message
	} else if shown := shownOutputs(done.outputs); len(shown) > 0 {
		text, _ := json.Marshal(shown)
		run.Result = string(text)
	}
	a.o.Recorder.Record(run)
}

// shownOutputs are the outputs without the one that repeats values of variables.
func shownOutputs(outputs map[string]any) map[string]any {
	shown := maps.Clone(outputs)
	delete(shown, "responsePayload")
	return shown
}
