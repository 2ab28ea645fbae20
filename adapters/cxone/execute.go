package cxone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/server"
)

// How long a first answer stands for those that come again, and how long a
// workflow that writes may go on behind its caller's back.
const (
	answerLife = 5 * time.Minute
	runLimit   = 90 * time.Second
)

// comeBack is what a caller is told whom nobody told when.
const comeBack = time.Second

// workflowExecute is Workflow Execute in the hub's own form: every verdict is a
// branch in an answer with status 200, because CXone takes any other status for
// a fault of the network and calls again.
func (a *Adapter) workflowExecute(c echo.Context) error {
	r, err := a.execute(c, func(body document) *call {
		return &call{
			configurationID: body["configurationId"], workflowID: body["workflowId"], envelope: body,
			payload: func() (document, error) { return payloadOf(body) },
		}
	})
	if err != nil {
		return err
	}
	answer := r.envelope()
	c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(answer))) // no chunks: the plainest answer there is
	return c.JSONBlob(http.StatusOK, answer)
}

// execute is Workflow Execute of either form, which says what a body asks for.
func (a *Adapter) execute(c echo.Context, of func(body document) *call) (*reply, error) {
	j, err := a.newJob(c)
	if err != nil {
		return nil, patient(err)
	}
	if slices.Contains(c.ParamNames(), "version") && !versionForm.MatchString(c.Param("version")) {
		return nil, none()
	}
	data, err := server.ReadBody(c)
	if err != nil {
		return nil, err
	}
	r, err := a.answer(c.Request().Context(), j, func() (*call, error) {
		body, err := parse("body", data)
		if err != nil {
			return nil, err
		}
		return of(body), nil
	})
	if err != nil {
		return nil, patient(err)
	}
	return r, nil
}

// newJob authenticates a call.
func (a *Adapter) newJob(c echo.Context) (*job, error) {
	elapsed, began := core.Stopwatch(), a.o.Clock.Now()
	who, err := a.caller(c)
	if err != nil {
		return nil, err
	}
	return &job{who: who, id: server.OwnID(c, began), began: began, elapsed: elapsed}, nil
}

// patient makes sure that a caller who is sent away for now knows when to come
// back.
func patient(err error) error {
	if e, _ := server.Explain(err); e.Kind == core.Unavailable && e.RetryAfter == 0 {
		later := *e
		later.RetryAfter = comeBack
		return &later
	}
	return err
}

// answer judges a call, runs it and records it. The error is for a call that was
// not admitted, and will be answered in HTTP.
func (a *Adapter) answer(ctx context.Context, j *job, read func() (*call, error)) (*reply, error) {
	in, err := read()
	if err == nil {
		err = j.judge(a.o.Configurations(), in)
	}
	if err != nil {
		r := failed(err, j.id)
		a.record(j, j.id, r, ran{}, "")
		return &r, nil
	}
	left := max(j.timeout-j.elapsed(), time.Millisecond)
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	// What is done with a task may be done again, and must be: a script that sets a
	// parameter to and fro means each time.
	if j.workflow.task != "" || !j.workflow.operation.Writes {
		done := a.run(ctx, j, left, "")
		a.record(j, j.id, done.reply, done, "")
		return &done.reply, nil
	}
	return a.answerOnce(ctx, j)
}

// ran is what became of a run.
type ran struct {
	reply reply
	steps []operation.Step
	out   any
	mask  *operation.Mask // nil: nothing ran
	err   error
}

// mayRepeat tells whether the same run may be made again: it has changed nothing.
func (r *ran) mayRepeat() bool {
	failed, ok := errors.AsType[*operation.Error](r.err)
	return ok && !failed.Wrote
}

// run runs the operation and makes its result fit. A panic is an error of the hub
// that may have come after anything.
func (a *Adapter) run(ctx context.Context, j *job, timeout time.Duration, key string) (done ran) {
	w, cfg := j.workflow, j.configuration
	defer func() {
		if v := recover(); v != nil {
			err := fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			a.o.Failed("a workflow ended in a panic", err)
			done.err = &operation.Error{Wrote: w.operation.Writes, Err: err}
			done.reply = failed(done.err, j.id)
		}
	}()
	var result *operation.Result
	var err error
	if w.task != "" {
		result, err = a.onTask(ctx, j)
	} else {
		result, err = a.o.Runner.Run(ctx, operation.Request{
			Tenant: j.who.Tenant, Operation: w.operation, Authorization: cfg.authorization, Input: j.input,
			ContactID: j.contact, InteractionID: j.interaction, Card: j.card, ID: j.id, Key: key, Timeout: timeout,
		})
	}
	done.err = err
	if result != nil {
		done.steps, done.out, done.mask = result.Steps, result.Output, result.Mask
	}
	if err == nil {
		done.reply, err = a.succeeded(ctx, j, done.out)
	}
	if err != nil {
		if key == "" {
			timeout = j.timeout // in the words of the caller
		}
		done.err = inTime(err, timeout)
		done.reply = failedAfter(done.steps, done.err, j.id)
	}
	return done
}

// inTime says of a run that did not end in its time how much that was.
func inTime(err error, limit time.Duration) error {
	run, ok := errors.AsType[*operation.Error](err)
	e, known := errors.AsType[*core.Error](err)
	if !ok || !known || run.Upstream != 0 || e.Kind != core.Timeout || e.Code != operation.CodeTimeout {
		return err
	}
	late, fault := *run, *e
	fault.Message = fmt.Sprintf("the workflow did not end within %d ms", limit.Milliseconds())
	late.Err = &fault
	return &late
}

// Verdict tells what Workflow Execute would answer to what a run came to: the
// branch and, of a failure, the code.
func Verdict(result *operation.Result, err error, i *integration.Integration) (branch, code string) {
	r := reply{Branch: branchSuccess}
	if result == nil {
		result = &operation.Result{}
	}
	if err == nil {
		r.ResultSet, err = shape(result.Output, "", i)
	}
	if err == nil {
		err = r.fits()
	}
	if err != nil {
		r = failedAfter(result.Steps, err, "")
		return r.Branch, r.ErrorArgs.Code
	}
	return r.Branch, ""
}

// fits returns ResultTooLarge for an answer that CXone does not take.
func (r *reply) fits() error {
	if size := len(r.envelope()); size >= maxAnswer {
		return core.Errorf(core.ResultTooLarge, "the result has %d bytes; CXone takes less than %d", size, maxAnswer)
	}
	return nil
}

// succeeded makes the verdict of an output. The error is for one that has not the
// form of a result, or is larger than CXone takes: it is never cut.
func (a *Adapter) succeeded(ctx context.Context, j *job, out any) (reply, error) {
	set, err := shape(out, cmp.Or(j.contact, j.interaction), j.configuration.integration)
	if err != nil {
		return reply{}, err
	}
	r := reply{Branch: branchSuccess, Status: http.StatusOK, ResultSet: set}
	if r.fits() == nil && j.searches() && j.configuration.cache > 0 {
		r.CacheKey = a.o.Results.Put(ctx, j.who.Tenant, a.knownKey(ctx, j), j.configuration.cache, server.EncodeJSON(set))
		r.text = nil
	}
	return r, r.fits()
}

// knownKey returns the caller's cacheKey if the tenant has a result under it.
func (a *Adapter) knownKey(ctx context.Context, j *job) string {
	if j.cacheKey == "" {
		return ""
	}
	if _, err := a.o.Results.Get(ctx, j.who.Tenant, j.cacheKey); err != nil {
		return ""
	}
	return j.cacheKey
}

// record keeps what became of a job, redacted, for people. A call that did not
// come as far as an operation is kept without its input: nobody says what of it
// may be shown.
func (a *Adapter) record(j *job, id string, r reply, done ran, note string) {
	isFailure := r.Branch != branchSuccess
	a.o.Recorder.Count(Platform, r.Branch, j.elapsed())
	if !a.o.Recorder.Wanted(j.who.Tenant, isFailure) {
		return
	}
	run := execution.Run{
		ID: id, Tenant: j.who.Tenant, Platform: Platform, Title: "Workflow Execute", Outcome: r.Branch,
		Failed: isFailure, Contact: cmp.Or(j.contact, j.interaction), Caller: j.who.UPN,
		Began: j.began, Duration: j.elapsed(), Steps: done.steps,
	}
	message := ""
	if r.ErrorArgs != nil {
		run.Code, message = r.ErrorArgs.Code, r.ErrorArgs.Message
	}
	if j.configuration != nil {
		run.Integration, run.Title = j.configuration.integration.ID, j.configuration.name
	}
	if j.workflow != nil {
		run.Title = j.configuration.name + " / " + j.workflow.name
	}
	switch {
	case j.workflow == nil:
	case j.workflow.task != "":
		run.Integration = ""
		if j.input != nil {
			run.Input, run.Result = j.recorded(done.out)
		}
		message += causeOf(done.err)
	default:
		op := j.workflow.operation
		run.Operation = op.Name
		mask := done.mask
		if mask == nil {
			mask = op.Mask(j.input)
		}
		if j.input != nil {
			run.Input = mask.JSON(op.Known(j.input))
		}
		if done.out != nil {
			run.Result = mask.JSON(done.out)
		}
		message = mask.Message(done.err, message+causeOf(done.err))
	}
	run.Message = sentences(message, note)
	a.o.Recorder.Record(run)
}

// sentences puts texts behind each other.
func sentences(texts ...string) string {
	all := ""
	for _, text := range texts {
		if text = strings.TrimSpace(text); all != "" && text != "" {
			if !strings.HasSuffix(all, ".") {
				all += "."
			}
			all += " "
		}
		all += text
	}
	return all
}

// causeOf is what administrators may read of a fault of the hub, which its caller
// is not told.
func causeOf(err error) string {
	if err == nil || core.KindOf(err) != core.Internal {
		return ""
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return " (" + operation.Cut(line, maxMessage) + ")"
}
