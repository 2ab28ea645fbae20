package outbound

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"tandem/core"
	"tandem/core/integration"
)

// maxRuleBody is the largest body that an ErrorRule's field is looked for in.
const maxRuleBody = 1 << 20

// Outcome is how an attempt ended, for metrics.
type Outcome string

// The outcomes. The last four sent nothing.
const (
	OutcomeOK           Outcome = "ok"           // 2xx
	OutcomeRejected     Outcome = "rejected"     // an answer that is the caller's affair
	OutcomeUnauthorized Outcome = "unauthorized" // the credential was refused
	OutcomeThrottled    Outcome = "throttled"    // by the upstream, or by its limit that the hub knows
	OutcomeRedirected   Outcome = "redirected"
	OutcomeFailed       Outcome = "failed"      // 5xx
	OutcomeBroken       Outcome = "broken"      // no whole answer
	OutcomeUnreachable  Outcome = "unreachable" // no connection
	OutcomeTimeout      Outcome = "timeout"
	OutcomeTooLarge     Outcome = "too_large"
	OutcomeCanceled     Outcome = "canceled"
	OutcomeBlocked      Outcome = "blocked" // by the address guard
	OutcomeCircuitOpen  Outcome = "circuit_open"
	OutcomeBusy         Outcome = "busy"
	OutcomeNoCredential Outcome = "no_credential" //nolint:gosec // a word, not a secret
)

// Attempt is one attempt of a call.
type Attempt struct {
	Name     string // of the integration
	Host     string // host:port
	Outcome  Outcome
	Duration time.Duration // of the exchange; 0 when nothing was sent
}

// judgeFault judges an exchange without an answer: its outcome and its verdict.
func judgeFault(err error) (Outcome, error) {
	if errors.Is(err, context.Canceled) {
		return OutcomeCanceled, errNoVerdict
	}
	switch core.KindOf(err) {
	case core.Forbidden:
		return OutcomeBlocked, errNoVerdict
	case core.Timeout:
		return OutcomeTimeout, errFailed
	case core.Unavailable:
		return OutcomeUnreachable, errFailed
	default:
		return OutcomeBroken, errFailed
	}
}

// judge gives an answer its error, or nil, and its verdict. A rule of the
// integration comes before the status; it can excuse a 5xx, but an answer below
// that shows that the upstream is up, whatever a rule calls it.
func (s *session) judge(r *Response) (*core.Error, error) {
	if r.Status >= 200 && r.Status < 300 {
		return nil, nil
	}
	kind, ruled := rule(s.call.Errors, r)
	if !ruled {
		kind = kindOf(r.Status)
	}
	var v error
	if r.Status >= 500 && (!ruled || core.Table[kind].TripsBreaker) {
		v = errFailed
	}
	e := &core.Error{Kind: kind, Message: target(s.call.Request) + " answered " + strconv.Itoa(r.Status)}
	switch kind {
	case core.Invalid:
		e.Status = http.StatusUnprocessableEntity
	case core.NeedsAuthorization:
		e.Code = CodeAuthorizationRequired
	case core.Forbidden:
		e.Code = CodeUpstreamForbidden
	case core.Throttled:
		e = throttled(e.Message, 0)
	case core.Uncertain:
		e.Code = CodeUpstreamFailed
		if !ruled && r.Status >= 300 && r.Status < 400 {
			e.Code = CodeRedirected
		}
	}
	if kind == core.Throttled || kind == core.Unavailable || r.Status == http.StatusServiceUnavailable {
		e.RetryAfter = retryAfter(r.Header.Get("Retry-After"), s.client.clock.Now())
	}
	return e, v
}

// Judge returns the error that Call would give beside an answer; nil for a 2xx.
// What a host answered once can be judged again so, without calling it; the clock
// reckons how long a moment in Retry-After is away.
func Judge(call Call, r *Response, clock core.Clock) error {
	s := &session{client: &Client{clock: clock}, call: &call}
	if problem, _ := s.judge(r); problem != nil {
		return problem
	}
	return nil
}

// kindOf is what a status that is no 2xx means without a rule.
func kindOf(status int) core.Kind {
	if status < 400 || status >= 500 {
		return core.Uncertain
	}
	switch status {
	case http.StatusUnauthorized:
		return core.NeedsAuthorization
	case http.StatusForbidden:
		return core.Forbidden
	case http.StatusNotFound, http.StatusGone:
		return core.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return core.Conflict
	case http.StatusRequestTimeout:
		return core.Timeout
	case http.StatusTooEarly, http.StatusTooManyRequests:
		return core.Throttled
	default:
		return core.Invalid
	}
}

// wordOf is the outcome of an answer.
func wordOf(status int, problem *core.Error) Outcome {
	if problem == nil {
		return OutcomeOK
	}
	switch problem.Kind {
	case core.NeedsAuthorization:
		return OutcomeUnauthorized
	case core.Throttled:
		return OutcomeThrottled
	case core.Uncertain, core.Unavailable, core.Timeout:
		if problem.Code == CodeRedirected {
			return OutcomeRedirected
		}
		if status == http.StatusRequestTimeout {
			return OutcomeTimeout
		}
		return OutcomeFailed
	default:
		return OutcomeRejected
	}
}

// throttled is the error for an upstream that takes no more for now.
func throttled(message string, after time.Duration) *core.Error {
	return &core.Error{
		Kind: core.Throttled, Code: CodeUpstreamThrottled, Status: http.StatusServiceUnavailable,
		RetryAfter: after, Message: message,
	}
}

// rule returns the kind of the first rule that fits the answer, which is no 2xx.
func rule(rules []integration.ErrorRule, r *Response) (core.Kind, bool) {
	var body any
	read := false
	for _, rule := range rules {
		if rule.Status != r.Status && rule.Status != 0 {
			continue
		}
		if rule.Field == "" {
			return rule.Kind, true
		}
		if !read {
			body, read = decode(r.Body), true
		}
		if text, ok := field(body, rule.Field); ok && text == rule.Equals {
			return rule.Kind, true
		}
	}
	return "", false
}

// decode reads a JSON body; nil when it is none.
func decode(body []byte) any {
	if len(body) > maxRuleBody {
		return nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// field is the text, number or truth value at a path in a body.
func field(body any, path string) (string, bool) {
	switch v := integration.Dig(body, path).(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}
