package flow

import (
	"fmt"
	"net/url"
	"time"

	"tandem/core"
	"tandem/core/expression"
)

// The bounds of what a workflow takes from an operation and shows.
const (
	maxSaved = 1024 // characters of a parameter
	maxURL   = 2048 // bytes of a page's address
)

// Grace is how long after its limit a run may still be reported; then the workflow
// goes on without it.
const Grace = time.Minute

// RunRequest asks for one run of an operation of an integration.
type RunRequest struct {
	Operation     string         `json:"operation"`               // <integration>/<operation>
	Authorization string         `json:"authorization,omitempty"` // name; empty: the default
	Input         map[string]any `json:"input,omitempty"`         // plain JSON; nobody changes it
	Turn          int            `json:"turn,omitempty"`          // for Answer; 0: nobody waits for it
	Timeout       time.Duration  `json:"timeout"`                 // of all of it
	Err           error          `json:"-"`                       // why it cannot be run: its input could not be made
}

// Answer is what came of the run that was asked for in a turn.
type Answer struct {
	Turn   int
	Failed bool
	Result any // the operation's output, decoded JSON
}

// call is a checked run of an operation.
type call struct {
	operation, authorization string
	timeout                  time.Duration
	input                    *expression.Tree    // gives an object
	when                     *expression.Program // nil: always; of an ending only
}

// save sets a parameter from the result of an operation.
type save struct {
	parameter string
	value     *expression.Tree
}

// page is what a Screen Pop shows.
type page struct {
	url    *expression.Tree
	target core.PopTarget
}

// Answer takes what came of an operation at the moment now: it returns the
// cursor with which to step on (Continue) and the parameters to set before, in
// the order of the file. ok is false when the cursor does not wait for this
// turn; then nothing is to be done. A result from which a parameter cannot be
// made counts as failed, and sets none.
func (w *Workflow) Answer(c Cursor, t *core.Task, a Answer, now time.Time) (next Cursor, set []core.NamedValue, ok bool) {
	if !c.Waiting || c.At < 0 || c.At >= len(w.Activities) || a.Turn != c.Turn || w.Activities[c.At].Kind != RunOperation {
		return c, nil, false
	}
	activity := &w.Activities[c.At]
	if a.Failed {
		return c.goTo(activity.Else), nil, true
	}
	set, err := activity.save(env(t, a.Result, now))
	if err != nil {
		return c.goTo(activity.Else), nil, true
	}
	return c.goTo(activity.Next), set, true
}

// Endings returns the operations to run because t has ended, evaluated. One
// whose condition or input fails has its Err set, of the kind of the expression's
// error.
func (w *Workflow) Endings(t *core.Task) []RunRequest {
	var list []RunRequest
	e := env(t, nil, t.Terminated)
	for _, c := range w.endings {
		if wanted, err := c.wanted(e); err != nil {
			list = append(list, c.request(nil, err))
		} else if wanted {
			list = append(list, c.request(c.evaluate(e)))
		}
	}
	return list
}

// env is what expressions see.
func env(t *core.Task, result any, now time.Time) *expression.Env {
	return &expression.Env{
		Input:   Document(t),
		Context: map[string]any{"tenant": t.Tenant, "now": stamp(now)},
		Loops:   map[string]any{resultName: result},
	}
}

// start asks for the run of a. What cannot even be asked for has failed.
func (a *Activity) start(c Cursor, t *core.Task, now time.Time) (Cursor, Effect) {
	request := a.call.request(a.call.evaluate(env(t, nil, now)))
	if request.Err != nil {
		return c.goTo(a.Else), Effect{Action: Pass}
	}
	c.Turn++
	request.Turn = c.Turn
	return c.wait(now.Add(a.Limit + Grace)), Effect{Action: Run, Run: &request}
}

func (c *call) request(input map[string]any, err error) RunRequest {
	return RunRequest{
		Operation: c.operation, Authorization: c.authorization, Input: input, Timeout: c.timeout, Err: err,
	}
}

func (c *call) evaluate(e *expression.Env) (map[string]any, error) {
	v, err := c.input.Eval(e)
	if err != nil {
		return nil, fmt.Errorf("input of %s: %w", c.operation, err)
	}
	input, ok := v.(map[string]any)
	if !ok && v != nil {
		return nil, core.Errorf(core.Mapping, "input of %s: must be an object", c.operation)
	}
	return input, nil
}

func (c *call) wanted(e *expression.Env) (bool, error) {
	if c.when == nil {
		return true, nil
	}
	v, err := c.when.Eval(e)
	if err != nil {
		return false, fmt.Errorf("when of %s: %w", c.operation, err)
	}
	wanted, ok := v.(bool)
	if !ok {
		return false, core.Errorf(core.Mapping, "when of %s: must give true or false", c.operation)
	}
	return wanted, nil
}

// save makes the parameters that a keeps of a result; nothing stays unset.
func (a *Activity) save(e *expression.Env) ([]core.NamedValue, error) {
	var set []core.NamedValue
	for _, s := range a.saves {
		v, err := s.value.Eval(e)
		if err != nil {
			return nil, err
		}
		if v == nil {
			continue
		}
		text, ok := expression.Text(v)
		if !ok {
			return nil, core.Errorf(core.Mapping, "parameter %s: must become a text", s.parameter)
		}
		set = append(set, core.NamedValue{Name: s.parameter, Value: cut(text)})
	}
	return set, nil
}

// cut keeps the first characters of a text.
func cut(text string) string {
	n := 0
	for i := range text {
		if n == maxSaved {
			return text[:i]
		}
		n++
	}
	return text
}

// pop shows the page of a, or nothing where its address is none.
func (a *Activity) pop(t *core.Task, now time.Time) Effect {
	v, err := a.page.url.Eval(env(t, nil, now))
	address, ok := expression.Text(v)
	if err != nil || !ok || !isPage(address) {
		return Effect{Action: Pass}
	}
	return Effect{Action: Pop, Pop: core.Pop{URL: address, Target: a.page.target, At: now}}
}

// isPage tells whether a browser may be sent to an address.
func isPage(address string) bool {
	u, err := url.Parse(address)
	return err == nil && len(address) <= maxURL && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil
}
