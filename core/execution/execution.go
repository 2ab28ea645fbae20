package execution

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem/core"
	"tandem/core/operation"
)

// Run is one run of an operation, redacted: it is for people.
type Run struct {
	ID          string // correlation id, a core.NewID
	Tenant      string
	Platform    string // cxone, webex, console
	Title       string // in the platform's words, for example "Salesforce / Search for ANI"
	Integration string // id; empty when it did not come that far
	Operation   string
	Outcome     string // branch or outcome
	Failed      bool
	Code        string // of the error
	Message     string
	Contact     string
	Caller      string // UPN
	Began       time.Time
	Duration    time.Duration
	Steps       []operation.Step
	Input       string // JSON, redacted, cut for people
	Result      string
}

// Outcome is the word for how a run ended where its platform has none: "ok", or
// the kind of its error.
func Outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(core.KindOf(err))
}

// Of returns the run that a request came to, as people may see it: of the input
// only what the operation knows, and all of it masked. It has no Platform, Title
// and Caller.
func Of(r operation.Request, result *operation.Result, err error, began time.Time, took time.Duration) Run {
	op := r.Operation
	run := Run{
		ID: r.ID, Tenant: r.Tenant, Integration: op.Integration, Operation: op.Name, Contact: r.ContactID,
		Outcome: Outcome(err), Failed: err != nil, Began: began, Duration: took,
		Steps: result.Steps, Input: result.Mask.JSON(op.Known(r.Input)),
	}
	if err == nil {
		run.Result = result.Mask.JSON(result.Output)
		return run
	}
	run.Code = core.Table[core.KindOf(err)].Code
	if e, ok := errors.AsType[*core.Error](err); ok {
		run.Code, run.Message = cmp.Or(e.Code, run.Code), result.Mask.Message(err, e.Message)
	}
	return run
}

// Filter says which runs are asked for.
type Filter struct {
	Tenant string
	Failed bool   // only those that failed
	Text   string // part of the title or the contact, case does not count; empty: any
	Before string // id of the last one that was seen; empty: from the newest
	Limit  int
}

// Answer is what FirstAnswers keeps: whatever its user can encode.
type Answer = json.RawMessage

// Flow is what FirstAnswers runs. keep false frees the key: nothing was done,
// and the same request may be tried again.
type Flow func(ctx context.Context) (answer Answer, keep bool)
