package webex

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"time"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/server"
)

// method is one method of a node, as the vendor publishes it.
type method struct {
	Node, Name       string            // in the address
	NodeTitle, Title string            // the vendor's
	Versions         []string          // of the node, newest first
	Async            bool              // with a webhookUrl the last word is posted there
	Fields           []string          // in the order of the vendor's page; * marks those that must be given
	Aliases          map[string]string // folded key -> field, beside those of all methods
	Outputs          []string
	Words            map[cause]string
	Variants         []variant
}

// variant is what older versions of a node say otherwise. An empty word takes
// the method's own away.
type variant struct {
	Versions []string
	Words    map[cause]string
}

// methodOf finds a method by the names in the address.
func methodOf(node, name string) (*method, bool) {
	i := slices.IndexFunc(methods, func(m method) bool { return m.Node == node && m.Name == name })
	if i < 0 {
		return nil, false
	}
	return &methods[i], true
}

// Methods returns the ids of the methods that the hub serves, by the id of their
// node.
func Methods() map[string][]string {
	served := map[string][]string{}
	for _, m := range methods {
		served[m.Node] = append(served[m.Node], m.Name)
	}
	return served
}

// outcome returns the method's word for a cause in a version of the node; no
// version is the newest.
func (m *method) outcome(version string, why cause) string {
	for _, v := range m.Variants {
		if word, ok := v.Words[why]; ok && slices.Contains(v.Versions, version) {
			return cmp.Or(word, general(why))
		}
	}
	return cmp.Or(m.Words[why], general(why))
}

func general(why cause) string { return cmp.Or(generic[why], generic[causeUpstream]) }

// codeTaskFailed marks a Conflict that Webex caused after it had taken a call:
// it could not make or queue the task.
const codeTaskFailed = "TASK_FAILED"

// The codes of what only this adapter tells apart.
const (
	codeFairUse       = "FAIR_USE_LIMIT" // the engine's
	codeUnknownMethod = "UNKNOWN_METHOD"
)

// comeBack is when a caller whom nobody told should come back.
const comeBack = time.Second

// maxMessage bounds the message of an error, in bytes.
const maxMessage = 1000

// failure is the error of an answer.
type failure struct {
	Code           string        `json:"code"`
	Message        string        `json:"message"`
	Details        []core.Detail `json:"details,omitempty"`
	Retryable      bool          `json:"retryable"` // the same call may succeed later, and does nothing twice
	UpstreamStatus int           `json:"upstreamStatus,omitempty"`
}

// verdict is what a node answers when a call failed.
type verdict struct {
	Outcome    string
	Status     int           // of HTTP: 200, but for a caller who is refused and a hub that can take nothing
	RetryAfter time.Duration // 0: nobody knows
	Failure    failure
}

// appendError marks what befell a message on its way to an open task.
type appendError struct{ error }

func (e appendError) Unwrap() error { return e.error }

// unknownMethod is the verdict on an address that names no node or none of its
// methods.
func unknownMethod() verdict {
	return verdict{Outcome: generic[causeChoice], Status: http.StatusOK, Failure: failure{
		Code: codeUnknownMethod, Message: "There is no such node, or it has no such method.",
	}}
}

// fault is the verdict on an error: the word that the vendor has for it in this
// method and version.
func (m *method) fault(version string, err error) verdict {
	e, _ := server.Explain(err)
	meaning := core.Table[e.Kind]
	v := verdict{Status: http.StatusOK, RetryAfter: e.RetryAfter}
	v.Failure = failure{Code: e.Code, Message: operation.Cut(e.Message, maxMessage), Details: e.Details, Retryable: meaning.Retry}
	if e.Kind == core.Internal {
		v.Failure.Message, v.Failure.Details = "Internal error. Quote the correlation id to your administrator.", nil
	}
	var why cause
	if run, ok := errors.AsType[*operation.Error](err); ok {
		why = causeOfRun(run, e)
		v.Failure.Code = cmp.Or(e.Code, codeOfRun(run, e.Kind))
		v.Failure.UpstreamStatus = run.Upstream
		v.Failure.Retryable = run.Retryable()
	} else {
		why = causeOf(e)
		switch e.Kind {
		case core.Unauthenticated, core.Forbidden:
			v.Status = meaning.Status
		case core.Unavailable:
			v.Status, v.RetryAfter = meaning.Status, cmp.Or(e.RetryAfter, comeBack)
		}
	}
	if _, ok := errors.AsType[appendError](err); ok && m.Words[causeAppending] != "" && (why == causeUnknown || why == causeState) {
		why = causeAppending
	}
	v.Failure.Code = cmp.Or(v.Failure.Code, meaning.Code)
	v.Outcome = m.outcome(version, why)
	return v
}

// causeOf is the cause of an error of the hub itself.
func causeOf(e *core.Error) cause {
	switch e.Kind {
	case core.Invalid:
		return causeInvalid
	case core.Unauthenticated, core.Forbidden, core.NotConfigured, core.NeedsAuthorization:
		return causeUnauthorized
	case core.NotFound:
		return causeUnknown
	case core.Conflict:
		return causeState
	case core.Timeout:
		return causeTimeout
	case core.Unavailable:
		return causeUnavailable
	case core.Throttled:
		if e.Code == codeFairUse {
			return causeLimit
		}
		return causeThrottled
	case core.Internal:
		return causeInternal
	default:
		return causeUpstream
	}
}

// causeOfRun is the cause of an operation's failure. What Webex refuses is told
// apart by its status; a rule of a mapping file that calls a refusal passing, or
// a matter of authorization, knows better.
func causeOfRun(run *operation.Error, e *core.Error) cause {
	switch e.Kind {
	case core.NeedsAuthorization, core.NotConfigured:
		return causeUnauthorized
	case core.Timeout:
		return causeTimeout
	case core.Internal:
		return causeInternal
	case core.Throttled, core.Unavailable, core.Uncertain, core.ResultTooLarge, core.Mapping:
		return causeUpstream
	}
	switch run.Upstream {
	case 0:
		if e.Kind == core.Invalid && run.Step == "" && !run.Wrote {
			return causeInvalid // the mapping's own limits of its inputs
		}
		return causeUpstream
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		return causeRefusedForm
	case http.StatusUnprocessableEntity:
		return causeRefusedContent
	case http.StatusForbidden:
		return causeRefusedAccess
	case http.StatusNotFound:
		return causeRefusedUnknown
	case http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed:
		return causeRefusedState
	}
	switch e.Kind { // said by a rule, of another status
	case core.Forbidden, core.Unauthenticated:
		return causeRefusedAccess
	case core.NotFound:
		return causeRefusedUnknown
	case core.Conflict:
		return causeRefusedState
	default:
		return causeUpstream
	}
}

// codeOfRun is the code of an operation's failure that brings none.
func codeOfRun(run *operation.Error, kind core.Kind) string {
	switch {
	case kind == core.NotConfigured:
		return outbound.CodeAuthorizationRequired
	case run.Upstream != 0 && kind == core.Invalid:
		return operation.CodeRejected
	case run.Upstream == 0 && kind == core.Unavailable:
		return operation.CodeUnreachable
	default:
		return core.Table[kind].Code
	}
}
