package operation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/outbound"
)

const (
	defaultTimeout = 30 * time.Second
	maxKept        = 200     // steps of a result
	maxAnswers     = 8 << 20 // bytes of all answers of a run
	maxItems       = 10_000  // of all pages of a step
)

// Runner runs operations. It may be used by several goroutines at once.
type Runner struct{ o Options }

// NewRunner makes a Runner of what it is lent.
func NewRunner(o Options) *Runner { return &Runner{o} }

// Run runs an operation: it checks the input, makes the calls of the steps, and
// evaluates the output. It takes as long as the request's timeout at most (30 s
// without one). The result is never nil and tells how far the run came.
//
// The error is an *Error. Its kind is Invalid with one Detail for each input
// that is wrong, or without any when an expression failed on the input before the
// first call, Timeout with CodeTimeout when the time is over or ctx ended,
// Mapping with CodeMapping when an expression failed otherwise, Uncertain with
// CodeBrokenAnswer for a good answer that is no JSON, ResultTooLarge when the
// answers together are over 8 MB, or a good one is over 2 MB, whatever the
// operation itself says, or that of outbound.Call, to whose message what the
// vendor says is added.
func (r *Runner) Run(ctx context.Context, req Request) (*Result, error) {
	timeout := req.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	x := &run{Runner: r, req: &req, op: req.Operation, result: &Result{}, timeout: timeout}
	step, err := x.all(ctx)
	if x.op != nil {
		x.result.Mask = x.mask()
	}
	if err == nil {
		return x.result, nil
	}
	failed := &Error{Step: step, Upstream: x.upstream, Wrote: x.wrote, Err: err}
	if x.told != "" && x.last.State == StepFailed {
		failed.shown = x.last.Error
	}
	return x.result, failed
}

// run is one run on its way. It belongs to the goroutine of Run.
type run struct {
	*Runner
	req        *Request
	op         *Operation
	credential *outbound.Credential
	env        expression.Env
	result     *Result
	timeout    time.Duration

	masking  *Mask
	last     Step   // that was reached, kept or not
	told     string // the message of the refusal at hand before it was cut; empty: it was not
	answers  int    // bytes of all answers so far
	upstream int    // status of the answer that ended the run
	asked    bool   // a call was made
	wrote    bool   // something may have been changed
}

// all runs everything; with an error it says in which step.
func (x *run) all(ctx context.Context) (string, error) {
	if x.op == nil {
		return "", core.Errorf(core.NotFound, "there is no such operation")
	}
	if err := x.begin(ctx); err != nil {
		return "", err
	}
	for _, v := range x.op.program.values {
		value, err := v.tree.EvalValue(&x.env)
		if err = x.late(ctx, err); err != nil {
			return "", x.own(err)
		}
		x.env.Values[v.name] = value
	}
	ended := false
	for i := range x.op.program.steps {
		s := &x.op.program.steps[i]
		if ended {
			x.skip(s)
			continue
		}
		v, err := x.step(ctx, s)
		if err != nil {
			return s.id, err
		}
		ended = v == stop
	}
	output, err := x.op.program.output.Eval(&x.env)
	if err = x.late(ctx, err); err != nil {
		return "", x.own(err)
	}
	x.result.Output = output
	return "", nil
}

// begin checks the input and finds out where the calls go.
func (x *run) begin(ctx context.Context) error {
	input, err := x.op.take(x.req.Input)
	if err != nil {
		return err
	}
	in := x.op.in
	if in == nil {
		return core.Errorf(core.NotFound, "there is no integration %q", x.op.Integration)
	}
	x.env = expression.Env{Input: input, Values: map[string]any{}, Steps: map[string]any{}, Context: x.context()}
	if in.NoAuthorization {
		settings := in.WithDefaults(&integration.Grant{}, nil)
		base, err := integration.Address(in.Base, settings)
		if err != nil {
			return err
		}
		x.env.Base, x.env.Settings = base.String(), settings
		return nil
	}
	x.credential = &outbound.Credential{
		Tenant: x.req.Tenant, Integration: in.ID, Node: x.req.Node, Name: x.req.Authorization,
	}
	c, err := x.o.Connections.Connection(ctx, *x.credential)
	if err != nil {
		return x.late(ctx, err)
	}
	x.env.Base, x.env.Settings = c.Base, c.Settings
	return nil
}

// context is what expressions see of the request.
func (x *run) context() map[string]any {
	card := make(map[string]any, len(x.req.Card))
	for entity, fields := range x.req.Card {
		list := make([]any, len(fields))
		for i, f := range fields {
			list[i] = map[string]any{"name": f.Name, "label": f.Label}
		}
		card[entity] = list
	}
	return map[string]any{
		"tenant": x.req.Tenant, "contactId": x.req.ContactID, "interactionId": x.req.InteractionID,
		"now": stamp(x.o.Clock.Now()), "id": x.req.ID, "card": card,
	}
}

// late returns err, or that the time is over when that is why.
func (x *run) late(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &core.Error{
			Kind: core.Timeout, Code: CodeTimeout, Err: err,
			Message: fmt.Sprintf("the operation did not end within %v", x.timeout),
		}
	case ctx.Err() != nil:
		return &core.Error{Kind: core.Timeout, Code: CodeTimeout, Err: err, Message: "nobody waits for the operation any more"}
	default:
		return err
	}
}

// step runs one step with all its turns.
func (x *run) step(ctx context.Context, s *step) (verdict, error) {
	if s.when != nil {
		does, err := truth(s.when, &x.env, "when")
		if err != nil {
			return fail, x.fault(s, err)
		}
		if !does {
			x.skip(s)
			return goOn, nil
		}
	}
	if s.forEach == nil {
		object, v, err := x.turn(ctx, s, 0)
		x.env.Steps[s.id] = object
		return v, err
	}
	list, err := x.entries(s)
	if err != nil {
		return fail, x.fault(s, err)
	}
	each := make([]any, 0, len(list))
	ok, end := true, goOn
	x.env.Loops = map[string]any{}
	for i, entry := range list {
		x.env.Loops[s.as], x.env.Index = entry, i
		object, v, err := x.turn(ctx, s, i)
		if err != nil {
			return fail, err
		}
		ok = ok && object["ok"] == true
		each = append(each, object)
		if v == stop {
			end = stop
			break
		}
	}
	x.env.Loops, x.env.Index = nil, 0
	x.env.Steps[s.id] = map[string]any{"ran": true, "ok": ok, "each": each}
	return end, nil
}

// entries is the list of a step's for_each.
func (x *run) entries(s *step) ([]any, error) {
	value, err := s.forEach.Eval(&x.env)
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	switch {
	case value != nil && !ok:
		return nil, faulty("for_each of step %q gives no list", s.id)
	case len(list) > s.most:
		return nil, core.Errorf(core.Invalid, "step %q takes %d entries at most, these are %d", s.id, s.most, len(list))
	}
	return list, nil
}

// skip notes a step that does not run.
func (x *run) skip(s *step) {
	x.env.Steps[s.id] = map[string]any{"ran": false, "ok": false}
	x.keep(Step{ID: s.id, State: StepSkipped})
}

// fault notes a step that failed before a call, and returns err.
func (x *run) fault(s *step, err error) error {
	err = x.own(err)
	x.keep(Step{ID: s.id, State: StepFailed, Error: x.mask().Text(err.Error())})
	return err
}

// own returns the error of an expression. Before the first call it is the caller's,
// who has given an input: the expression did well with the example, and has seen no
// answer. Once
// something is written it is never the caller's: who corrects the input and calls
// again would write it twice.
func (x *run) own(err error) error {
	e, ok := errors.AsType[*core.Error](err)
	switch {
	case ok && e.Kind == core.Mapping && !x.asked && len(x.env.Input) > 0:
		return &core.Error{Kind: core.Invalid, Message: "the input does not suit the operation: " + e.Message, Err: e.Err}
	case ok && e.Kind == core.Invalid && x.wrote:
		return &core.Error{Kind: core.Mapping, Code: CodeMapping, Message: e.Message, Err: err}
	default:
		return err
	}
}

// keep adds a step to the result, as long as it is not too long.
func (x *run) keep(s Step) {
	x.last = s
	switch {
	case len(x.result.Steps) < maxKept:
		x.result.Steps = append(x.result.Steps, s)
	case s.State == StepFailed: // it tells more than the one before
		x.result.Steps[maxKept-1] = s
	}
}

func (x *run) mask() *Mask {
	if x.masking == nil {
		if x.masking = (&Mask{open: true}); !x.req.Open {
			x.masking = x.op.Mask(x.req.Input)
		}
	}
	return x.masking
}

// truth evaluates a condition.
func truth(p *expression.Program, env *expression.Env, key string) (bool, error) {
	value, err := p.Eval(env)
	if err != nil {
		return false, err
	}
	b, ok := value.(bool)
	if !ok {
		return false, faulty("%s gives neither true nor false", key)
	}
	return b, nil
}

// faulty is the error of a mapping file that gives something of a wrong kind.
func faulty(format string, args ...any) error {
	return &core.Error{Kind: core.Mapping, Code: CodeMapping, Message: fmt.Sprintf(format, args...)}
}
