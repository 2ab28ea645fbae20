package operation

import (
	"context"
	"errors"
	"time"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/outbound"
)

// Operation is one thing that an integration can do, as its file describes it.
// It never changes; a changed file is another Operation.
type Operation struct {
	Integration string // id
	Name        string // of the file, without .yaml
	Title       string
	Description string
	File        string // slash path in the mappings folder
	Inputs      []Input
	Strict      bool // inputs that are not declared are refused
	Redact      []string
	Example     map[string]any
	Writes      bool // it may change something at the vendor

	in      *integration.Integration // of the set that it was loaded with
	program *program
}

// Input is a declared input of an operation.
type Input struct {
	Name       string
	Type       string // text, number, integer, boolean, time, object, list
	Required   bool
	Max        int    // characters of a text, entries of a list
	Of         string // of a list's entries: text, object; empty: anything
	Options    []string
	Default    any
	Redact     bool
	MayBeEmpty bool // of a text: "" is a value, not none
	Help       string

	pattern *expression.Pattern // of all of a text; nil: anything
}

// Upstream makes calls; *outbound.Client is one.
type Upstream interface {
	Call(ctx context.Context, call outbound.Call) (*outbound.Response, error)
}

// Connections tells where the authorization leads that a credential names. It
// answers from memory. Errors are those of outbound.Authorizer.
type Connections interface {
	Connection(ctx context.Context, c outbound.Credential) (integration.Connection, error)
}

// Field is a field of a record that is shown under a label.
type Field struct {
	Name  string `json:"name"`
	Label string `json:"label"`
}

// Request asks for one run.
type Request struct {
	Tenant        string
	Operation     *Operation
	Authorization string // name; empty: the default of the node, or of all
	Node          string
	Input         map[string]any // decoded JSON; numbers are float64 or json.Number
	ContactID     string
	InteractionID string
	Card          map[string][]Field // the dynamic data mapping: entity -> fields
	ID            string             // correlation id
	Key           string             // the same for the same request made again: seed of idempotency keys; empty: ID
	Timeout       time.Duration      // of all of it
	Detail        bool               // keep requests and answers, redacted, in the steps
	Open          bool               // redact nothing in the steps
}

// Result is what a run came to. Nobody changes its documents: parts of them may
// be shared.
type Result struct {
	Output any    // decoded JSON; nil with an error
	Steps  []Step // those that were reached, in order
	Mask   *Mask  // hides what the run was given and what it learned; nil: there was no operation
}

// Step is what became of one step, or of one turn of it.
type Step struct {
	ID       string        `json:"id"`
	State    string        `json:"state"`          // ok, skipped, continued, failed
	Call     string        `json:"call,omitempty"` // method and path, redacted
	Status   int           `json:"status,omitempty"`
	Duration time.Duration `json:"duration"`
	Error    string        `json:"error,omitempty"`

	Request *Exchange `json:"request,omitempty"` // with Detail
	Answer  *Exchange `json:"answer,omitempty"`
}

// Exchange is one side of a call, redacted and cut for people.
type Exchange struct {
	Line    string            `json:"line"` // method and address, or the status
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
}

// The states of a step.
const (
	StepOK        = "ok"
	StepSkipped   = "skipped"   // its condition was false, or a step before ended the run
	StepContinued = "continued" // a rule said to go on although the answer was no 2xx
	StepFailed    = "failed"
)

// Codes of errors of runs, beside those of outbound.
const (
	CodeMapping      = expression.CodeMapping   // an expression failed on this input or answer
	CodeBrokenAnswer = "UPSTREAM_BROKEN_ANSWER" // a 2xx that is not JSON
	CodeTimeout      = "TIMEOUT"                // the run's own time is over
)

// Codes that platforms give to failures of runs that bring none.
const (
	CodeUnreachable = "UPSTREAM_UNREACHABLE" // Unavailable: nobody answered
	CodeRejected    = "UPSTREAM_REJECTED"    // Invalid: the upstream did not take what it was sent
)

// Error is a failed run: which step, and what the upstream said. Its kind is
// that of Err.
type Error struct {
	Step     string // empty: before the first or behind the last
	Upstream int    // status of the upstream's answer; 0: there was none
	Wrote    bool   // a step that writes had been sent: the run must not be repeated without a key
	Err      error

	shown string // the message, redacted before it was cut; empty: nothing was cut
}

// Error returns the text of the cause.
func (e *Error) Error() string { return e.Err.Error() }

// Retryable tells whether the same run again may succeed, and does nothing twice.
// What only read has done nothing, however it ended; an upstream that has moved
// stays where it is.
func (e *Error) Retryable() bool {
	kind := core.KindOf(e.Err)
	if cause, ok := errors.AsType[*core.Error](e.Err); ok && cause.Code == outbound.CodeRedirected {
		return false
	}
	return !e.Wrote && (core.Table[kind].Retry || kind == core.Uncertain)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Options is what a Runner is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	Upstream    Upstream
	Connections Connections
	Clock       core.Clock
}
