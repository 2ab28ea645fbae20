package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem/adapters/console"
	"tandem/adapters/cxone"
	"tandem/core"
	"tandem/core/execution"
	"tandem/core/observe"
	"tandem/core/operation"
)

// executions keeps runs and counts them.
type executions struct {
	*execution.Recorder

	metrics *observe.Metrics
}

// Count counts a run; outcome is one of the platform's words.
func (e executions) Count(platform, outcome string, d time.Duration) {
	e.metrics.Executed(platform, outcome, d)
}

// runner runs operations until the hub ends.
type runner struct {
	*operation.Runner

	ending context.Context //nolint:containedctx // of the hub, not of a call
	end    context.CancelFunc
}

func newRunner(r *operation.Runner) *runner {
	ending, end := context.WithCancel(context.Background()) //nolint:gosec // called when the hub ends
	return &runner{r, ending, end}
}

// Run runs an operation. One that is still at work when the hub ends is told to
// be called again, unless it may have changed something.
func (r *runner) Run(ctx context.Context, req operation.Request) (*operation.Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ending, cancel)()
	result, err := r.Runner.Run(ctx, req)
	var e *operation.Error
	if r.ending.Err() != nil && core.KindOf(err) == core.Timeout && errors.As(err, &e) {
		stopped := *e
		stopped.Err = &core.Error{Kind: core.Unavailable, Code: "UNAVAILABLE", Message: "the hub is being stopped", RetryAfter: time.Second}
		if e.Wrote {
			stopped.Err = core.Errorf(core.Uncertain, "the hub was stopped while it worked on this request; look at the vendor before you repeat it")
		}
		err = &stopped
	}
	return result, err
}

// tryTime bounds a run in the playground.
const tryTime = 30 * time.Second

// try runs an operation for somebody in the console. A live run is kept among
// the executions.
func (h *hub) try(ctx context.Context, t console.Trial) console.Outcome {
	if t.Test != "" {
		return h.tryRecorded(ctx, t)
	}
	began, took := h.clock.Now(), core.Stopwatch()
	request := operation.Request{
		Tenant: t.Tenant, Operation: t.Operation, Authorization: t.Authorization, Input: t.Input, ID: core.NewID(began), Timeout: tryTime, Detail: true,
	}
	result, err := h.runner.Run(ctx, request)
	run := execution.Of(request, result, err, began, took())
	run.Platform, run.Title, run.Caller = "console", "Playground / "+t.Operation.Title, t.By
	h.metrics.Executed(run.Platform, run.Outcome, run.Duration)
	h.recorder.Record(run)
	return h.outcome(t, result, nil, err)
}

// same tells whether two inputs are one document.
func same(a, b map[string]any) bool {
	one, err := json.Marshal(a)
	other, failed := json.Marshal(b)
	return err == nil && failed == nil && bytes.Equal(one, other)
}

// outcome is what a trial came to, and to CXone.
func (h *hub) outcome(t console.Trial, result *operation.Result, differences []string, err error) console.Outcome {
	o := console.Outcome{Result: result, Err: err, Differences: differences}
	if i, ok := h.catalogue().Integration(t.Operation.Integration); ok {
		o.Branch, o.BranchCode = cxone.Verdict(result, err, i)
	}
	return o
}

// tryRecorded runs an operation against the recorded answers of one of its tests.
func (h *hub) tryRecorded(ctx context.Context, t console.Trial) console.Outcome {
	catalogue := h.mapped.operations()
	for _, test := range catalogue.Tests(t.Operation) {
		if test.Name == t.Test {
			if same(t.Input, test.Input) {
				result, differences, err := catalogue.RunTest(ctx, t.Operation, test)
				return h.outcome(t, result, differences, err)
			}
			result, differences, err := catalogue.Play(ctx, t.Operation, test, t.Input, false)
			return h.outcome(t, result, differences, err)
		}
	}
	return console.Outcome{Result: &operation.Result{}, Err: core.Errorf(core.NotFound, "the operation has no test %q any more", t.Test)}
}
