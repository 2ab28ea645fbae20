package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/operation"
	"tandem/core/store"
)

// answerLife is how long the answer of a workflow's operation is kept for a
// worker that comes after one that died.
const answerLife = 24 * time.Hour

// job is one run of an operation for a task.
type job struct {
	title, platform string
	request         operation.Request
}

// run runs an operation and keeps the run for people.
func (b *Bridge) run(ctx context.Context, j job) (*operation.Result, error) {
	now := b.o.Clock.Now()
	took := core.Stopwatch()
	j.request.ID = core.NewID(now)
	result, err := b.o.Runner.Run(ctx, j.request)
	duration := took()
	b.o.Recorder.Count(j.platform, execution.Outcome(err), duration)
	if b.o.Recorder.Wanted(j.request.Tenant, err != nil) {
		run := execution.Of(j.request, result, err, now, duration)
		run.Platform, run.Title = j.platform, j.title
		b.o.Recorder.Record(run)
	}
	return result, shown(result.Mask, err)
}

// shown returns the error of a run with the message that people may see: it comes
// to stand in tasks, kept answers and other runs, which know no masks.
func shown(mask *operation.Mask, err error) error {
	run, isRun := errors.AsType[*operation.Error](err)
	e, ok := errors.AsType[*core.Error](err)
	if !isRun || !ok || mask == nil {
		return err
	}
	masked := *e
	masked.Message = mask.Message(err, e.Message)
	return &operation.Error{Step: run.Step, Upstream: run.Upstream, Wrote: run.Wrote, Err: &masked}
}

// unsettled keeps for people that nobody knows what became of a workflow's
// operation.
func (b *Bridge) unsettled(it store.OutboxItem, work *engine.OperationWork, err error) {
	if !b.o.Recorder.Wanted(it.Tenant, true) {
		return
	}
	now := b.o.Clock.Now()
	in, name, _ := strings.Cut(work.Run.Operation, "/")
	b.o.Recorder.Record(execution.Run{
		ID: core.NewID(now), Tenant: it.Tenant, Platform: "workflow", Title: "Workflow / " + work.Run.Operation, Integration: in, Operation: name,
		Outcome: string(core.Uncertain), Failed: true, Contact: it.TaskID, Began: now,
		Code: core.Table[core.Uncertain].Code, Message: messageOf(err),
	})
}

// workflowRun runs the operation that a workflow asks for. One that changes
// something runs once, even if its worker dies: whoever comes after it gets its
// answer, or Uncertain.
func (b *Bridge) workflowRun(ctx context.Context, it store.OutboxItem, work *engine.OperationWork) (any, error) {
	r := &work.Run
	if work.Error != "" {
		return nil, core.Errorf(core.Mapping, "%s", work.Error)
	}
	in, name, _ := strings.Cut(r.Operation, "/")
	op, ok := b.o.Operations().Operation(in, name)
	if !ok {
		return nil, core.Errorf(core.NotConfigured, "there is no operation %q", r.Operation)
	}
	j := job{"Workflow / " + op.Title, "workflow", operation.Request{
		Tenant: it.Tenant, Operation: op, Authorization: r.Authorization, Input: r.Input, ContactID: it.TaskID, Key: it.ID, Timeout: r.Timeout,
	}}
	if !op.Writes {
		result, err := b.run(ctx, j)
		return result.Output, err
	}
	return b.once(ctx, "outbox/"+it.ID, answerLife, r.Timeout+time.Second, j, nil)
}

// once runs what may change something once for all who ask with the same key
// within life; it goes on, for at most limit, when its caller is gone. then, if
// given, is told of the output before anybody has it.
func (b *Bridge) once(ctx context.Context, key string, life, limit time.Duration, j job, then func(context.Context, any) error) (any, error) {
	var own error
	answer, repeated, err := b.o.Answers.Do(ctx, sha256.Sum256([]byte(key)), life, limit, func(ctx context.Context) (execution.Answer, bool) {
		result, err := b.run(ctx, j)
		if err == nil && then != nil {
			err = then(ctx, result.Output)
		}
		k := kept{Output: result.Output}
		if own = err; err != nil {
			k = keptFault(err)
		}
		text, err := json.Marshal(k)
		if err != nil {
			own = fmt.Errorf("result of %s: %w", j.title, err)
		}
		return text, own == nil || !isRun(own) || wrote(own)
	})
	if err != nil {
		return nil, err
	}
	if !repeated && own != nil {
		return nil, own
	}
	var k kept
	if err := json.Unmarshal(answer, &k); err != nil {
		return nil, fmt.Errorf("kept answer of %s: %w", j.title, err)
	}
	return k.Output, k.fault()
}

// kept is a first answer.
type kept struct {
	Output   any       `json:"output,omitempty"`
	Kind     core.Kind `json:"kind,omitempty"` // of the failure; empty: there was none
	Code     string    `json:"code,omitempty"`
	Message  string    `json:"message,omitempty"`
	Step     string    `json:"step,omitempty"`
	Upstream int       `json:"upstream,omitempty"`
	Wrote    bool      `json:"wrote,omitempty"`
	Run      bool      `json:"run,omitempty"` // the operation failed, not the hub
}

func keptFault(err error) kept {
	k := kept{Kind: core.KindOf(err), Message: messageOf(err)}
	if e, ok := errors.AsType[*core.Error](err); ok {
		k.Code = e.Code
	}
	if run, ok := errors.AsType[*operation.Error](err); ok {
		k.Run, k.Step, k.Upstream, k.Wrote = true, run.Step, run.Upstream, run.Wrote
	}
	return k
}

func (k *kept) fault() error {
	if k.Kind == "" {
		return nil
	}
	err := &core.Error{Kind: k.Kind, Code: k.Code, Message: k.Message}
	if k.Run {
		return &operation.Error{Step: k.Step, Upstream: k.Upstream, Wrote: k.Wrote, Err: err}
	}
	return err
}

func wrote(err error) bool {
	run, ok := errors.AsType[*operation.Error](err)
	return ok && run.Wrote
}

func messageOf(err error) string {
	if e, ok := errors.AsType[*core.Error](err); ok {
		return operation.Cut(e.Message, 1000)
	}
	return "the operation failed inside the hub"
}
