package cxone

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/server"
)

// The branches of Workflow Execute that the hub names. Default is the script's
// own.
const (
	branchSuccess         = "Success"
	branchInternalError   = "InternalError"
	branchInvalidWorkflow = "InvalidWorkflow"
	branchTimeout         = "Timeout"
)

// maxAnswer is the first size, in bytes, that CXone does not take.
const maxAnswer = 32 << 10

// maxMessage bounds the message of an error, in bytes.
const maxMessage = 1000

// reply is the verdict on a job: what a first answer is kept as, and what both
// surfaces render.
type reply struct {
	Branch    string     `json:"branch"`
	Status    int        `json:"status"` // of the surface that says it in HTTP
	ResultSet *resultSet `json:"resultSet"`
	ErrorArgs *errorArgs `json:"errorArgs"`
	CacheKey  string     `json:"cacheKey"`

	text []byte // the envelope, once it was made
}

// errorArgs is what a script is told of a failure. All keys are always there.
type errorArgs struct {
	Code           string `json:"code"`
	Message        string `json:"message"`
	Step           string `json:"step"`           // empty: none in particular
	UpstreamStatus int    `json:"upstreamStatus"` // 0: the CRM did not answer, or was not asked
	Retryable      bool   `json:"retryable"`      // the same call may succeed later, and does nothing twice
	CorrelationID  string `json:"correlationId"`
}

// envelope is the answer of Workflow Execute. A failure has a null resultSet, and
// success null errorArgs; cacheKey is "" when there is none.
type envelope struct {
	Branch    string     `json:"branch"`
	ResultSet *resultSet `json:"resultSet"`
	ErrorArgs *errorArgs `json:"errorArgs"`
	CacheKey  string     `json:"cacheKey"`
}

func (r *reply) envelope() []byte {
	if r.text == nil {
		r.text = server.EncodeJSON(envelope{r.Branch, r.ResultSet, r.ErrorArgs, r.CacheKey})
	}
	return r.text
}

// niceResult and niceError are the answers of NICE's own route.
type niceResult struct {
	*resultSet

	CacheKey string `json:"cacheKey"`
}

type niceError struct {
	Error            string     `json:"error"`
	ErrorDescription string     `json:"errorDescription"`
	Branch           string     `json:"branch,omitempty"`
	ErrorArgs        *errorArgs `json:"errorArgs,omitempty"`
}

func (r *reply) nice() []byte {
	if r.ErrorArgs == nil {
		return server.EncodeJSON(niceResult{r.ResultSet, r.CacheKey})
	}
	return server.EncodeJSON(niceError{r.ErrorArgs.Code, r.ErrorArgs.Message, r.Branch, r.ErrorArgs})
}

// failed makes the verdict of an error. What an upstream's answer caused is an
// InternalError, whatever its kind: a record that the CRM refuses is no fault in
// the form of the call.
func failed(err error, id string) reply { return failedAfter(nil, err, id) }

// failedAfter is failed for a run with steps.
func failedAfter(steps []operation.Step, err error, id string) reply {
	e, ok := errors.AsType[*core.Error](err)
	if !ok {
		e = &core.Error{Kind: core.Internal}
	}
	meaning := core.Table[e.Kind]
	args := &errorArgs{Code: e.Code, Message: messageOf(e), Retryable: meaning.Retry, CorrelationID: id}
	branch, status := meaning.CXoneBranch, e.Status
	if status == 0 {
		status = meaning.Status
	}
	if run, ok := errors.AsType[*operation.Error](err); ok {
		args.Step, args.UpstreamStatus = run.Step, run.Upstream
		args.Retryable = run.Retryable()
		branch, args.Code, status = fault(run, steps, e, branch, status)
	} else if e.Code == codeInvalidWorkflow {
		branch = branchInvalidWorkflow
	}
	if branch == "" {
		branch = branchInternalError
	}
	if args.Code == "" {
		args.Code = core.Table[e.Kind].Code
	}
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	return reply{Branch: branch, Status: status, ErrorArgs: args}
}

// fault says of a run what its error does not say by itself: what lies with the
// caller is ValidationError, and anything that an administrator or the CRM must
// put right is not. A status of NICE's form that the CRM caused never looks as if
// the caller were refused.
func fault(run *operation.Error, steps []operation.Step, e *core.Error, branch string, status int) (string, string, int) {
	code := e.Code
	called := len(steps) > 0 && steps[len(steps)-1].Call != "" // by what makes calls, not by an expression
	switch {
	case run.Upstream != 0:
		branch = branchInternalError
		if code == "" && e.Kind == core.Invalid {
			code = operation.CodeRejected
		}
	case e.Kind == core.Unavailable && run.Step != "":
		code = cmp.Or(code, operation.CodeUnreachable)
	case e.Kind == core.Uncertain && !run.Wrote:
		code = cmp.Or(code, outbound.CodeUpstreamFailed)
	case e.Kind == core.Invalid && (run.Wrote || run.Step != "" && called):
		branch, status = branchInternalError, http.StatusBadGateway
		code = cmp.Or(code, core.Table[core.Internal].Code)
	case e.Kind == core.NotConfigured:
		branch = branchInternalError
		code = cmp.Or(code, outbound.CodeAuthorizationRequired)
	}
	if code == outbound.CodeAuthorizationRequired {
		status = http.StatusFailedDependency
	} else if status == http.StatusUnauthorized || status == http.StatusForbidden {
		status = http.StatusBadGateway
	}
	return branch, code, status
}

// messageOf is what a caller may read of an error, with all that is wrong with
// its fields.
func messageOf(e *core.Error) string {
	if e.Kind == core.Internal {
		return "Internal error. Quote the correlation id to your administrator."
	}
	message := e.Message
	if len(e.Details) > 0 {
		var parts []string
		for _, d := range e.Details {
			parts = append(parts, d.Field+": "+d.Message)
		}
		message = strings.Join(parts, "; ")
	}
	return operation.Cut(message, maxMessage)
}
