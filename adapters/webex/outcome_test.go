package webex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// run is a failed run of an operation.
func run(kind core.Kind, status int) error {
	return &operation.Error{Step: "call", Upstream: status, Err: core.Errorf(kind, "why")}
}

func coded(kind core.Kind, code string) error {
	return &core.Error{Kind: kind, Code: code, Message: "why"}
}

// each gives all methods a word, and some of them another.
func each(word string, others map[string]string) map[string]string {
	all := map[string]string{}
	for i := range methods {
		m := &methods[i]
		all[id0(m)] = word
		for id, other := range others {
			if id == id0(m) || id == m.Node {
				all[id0(m)] = other
			}
		}
	}
	return all
}

var ownFailure = map[string]string{
	"create-task": "Task failed", "set-variable": "Task Failed", "queue-task": "taskFailed", "piq-ewt": "Error",
	"routed-notification": "onTaskRoutedFailure", "modify-notification/accept": "onModifiedFailure",
	"modify-notification/reject": "onModifiedRejectFailure", "screen-pop": "onScreenPopFailure", "close-task": "Error",
	"resolve-conversation": "taskFailed",
}

func with(base map[string]string, id, word string) map[string]string {
	all := map[string]string{id: word}
	for k, v := range base {
		if k != id {
			all[k] = v
		}
	}
	return all
}

// TestFaults gives every fault to every method: all methods x all kinds, from the
// hub, from an operation that got no answer, and from what Webex answered.
func TestFaults(t *testing.T) {
	t.Parallel()
	refusal := map[string]string{
		"routed-notification": "onTaskRoutedFailure", "modify-notification/accept": "onModifiedFailure",
		"modify-notification/reject": "onModifiedRejectFailure",
	}
	internalWords := map[string]string{"create-task": "Error", "queue-task": "Error", "piq-ewt": "Error", "close-task": "Error", "resolve-conversation": "error"}
	busy := map[string]string{
		"set-variable": "serviceUnavailable", "piq-ewt": "serviceUnavailable", "screen-pop": "serviceUnavailable",
		"resolve-conversation": "serviceUnavailable",
	}
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   string
		want   map[string]string
	}{
		{"bad input", core.InvalidField("taskId", "is required"), 200, "VALIDATION_ERROR", each("onInvalidData", nil)},
		{"body too large", &core.Error{Kind: core.Invalid, Status: 413, Code: "BODY_TOO_LARGE"}, 200, "BODY_TOO_LARGE", each("onInvalidData", nil)},
		{"caller unknown", core.Errorf(core.Unauthenticated, "x"), 401, "UNAUTHENTICATED", each("onauthorizationfail", nil)},
		{"caller may not", core.Errorf(core.Forbidden, "x"), 403, "FORBIDDEN", each("onauthorizationfail", nil)},
		{"no authorization", core.Errorf(core.NeedsAuthorization, "x"), 200, "AUTHORIZATION_REQUIRED", each("onauthorizationfail", nil)},
		{"not configured", core.Errorf(core.NotConfigured, "x"), 200, "NOT_CONFIGURED", each("onauthorizationfail", nil)},
		{"deadline", core.Errorf(core.Timeout, "x"), 200, "TIMEOUT", each("onTimeout", nil)},
		{"deadline of a context", context.DeadlineExceeded, 200, "TIMEOUT", each("onTimeout", nil)},
		{"unknown task", core.Errorf(core.NotFound, "x"), 200, "NOT_FOUND", each("", with(ownFailure, "set-variable", "Not Found"))},
		{"ended task", core.Errorf(core.Conflict, "x"), 200, "CONFLICT", each("", ownFailure)},
		{"failed at Webex", coded(core.Conflict, codeTaskFailed), 200, codeTaskFailed, each("", ownFailure)},
		{"not appended", appendError{core.Errorf(core.Conflict, "x")}, 200, "CONFLICT", each("", with(ownFailure, "resolve-conversation", "appendFailed"))},
		{"fault of the hub", errors.New("secret"), 200, "INTERNAL_ERROR", each("onError", internalWords)},
		{"hub busy", core.Errorf(core.Unavailable, "x"), 503, "UNAVAILABLE", each("onError", busy)},
		{"too many tasks", coded(core.Throttled, codeFairUse), 200, codeFairUse, each("onError", map[string]string{"create-task": "Task failed", "resolve-conversation": "tooManyRequests"})},
		{"too many calls", core.Errorf(core.Throttled, "x"), 200, "THROTTLED", each("onError", map[string]string{"resolve-conversation": "tooManyRequests"})},
		{"uncertain", core.Errorf(core.Uncertain, "x"), 200, "UNCERTAIN", each("onError", nil)},
		{"too much", core.Errorf(core.ResultTooLarge, "x"), 200, "RESULT_TOO_LARGE", each("onError", nil)},
		{"mapping", core.Errorf(core.Mapping, "x"), 200, "MAPPING_ERROR", each("onError", nil)},

		{"mapping's limits", &operation.Error{Err: core.InvalidField("reason", "is too long")}, 200, "VALIDATION_ERROR", each("onInvalidData", nil)},
		{"mapping's expression", run(core.Mapping, 0), 200, "MAPPING_ERROR", each("onError", nil)},
		{"invalid on the way", run(core.Invalid, 0), 200, "VALIDATION_ERROR", each("onError", nil)},
		{"address refused", run(core.Forbidden, 0), 200, "FORBIDDEN", each("onError", nil)},
		{"refused connection", run(core.Unavailable, 0), 200, operation.CodeUnreachable, each("onError", nil)},
		{"breaker open", &operation.Error{Step: "call", Err: coded(core.Unavailable, outbound.CodeCircuitOpen)}, 200, outbound.CodeCircuitOpen, each("onError", nil)},
		{"no answer", run(core.Timeout, 0), 200, "TIMEOUT", each("onTimeout", nil)},
		{"no grant", run(core.NeedsAuthorization, 0), 200, "AUTHORIZATION_REQUIRED", each("onauthorizationfail", nil)},
		{"no authorization named", run(core.NotConfigured, 0), 200, "AUTHORIZATION_REQUIRED", each("onauthorizationfail", nil)},
		{"broken JSON", run(core.Uncertain, 200), 200, "UNCERTAIN", each("onError", nil)},
		{"too large", run(core.ResultTooLarge, 200), 200, "RESULT_TOO_LARGE", each("onError", nil)},
		{"fault in the run", run(core.Internal, 0), 200, "INTERNAL_ERROR", each("onError", internalWords)},
		{"redirect", run(core.Uncertain, 302), 200, "UNCERTAIN", each("onError", nil)},
		{"400", run(core.Invalid, 400), 200, operation.CodeRejected, each("onError", map[string]string{"set-variable": "Bad Request"})},
		{"401", run(core.NeedsAuthorization, 401), 200, "AUTHORIZATION_REQUIRED", each("onauthorizationfail", nil)},
		{"403", run(core.Forbidden, 403), 200, "FORBIDDEN", each("onauthorizationfail", map[string]string{"set-variable": "Invalid Token"})},
		{"404", run(core.NotFound, 404), 200, "NOT_FOUND", each("onError", with(refusal, "set-variable", "Not Found"))},
		{"409", run(core.Conflict, 409), 200, "CONFLICT", each("onError", refusal)},
		{"410", run(core.NotFound, 410), 200, "NOT_FOUND", each("onError", refusal)},
		{"412", run(core.Conflict, 412), 200, "CONFLICT", each("onError", refusal)},
		{"413", run(core.Invalid, 413), 200, operation.CodeRejected, each("onError", map[string]string{"set-variable": "Bad Request"})},
		{"422", run(core.Invalid, 422), 200, operation.CodeRejected, each("onError", with(refusal, "set-variable", "Bad Request"))},
		{"418", run(core.Invalid, 418), 200, operation.CodeRejected, each("onError", nil)},
		{"429", run(core.Throttled, 429), 200, "THROTTLED", each("onError", nil)},
		{"500", run(core.Uncertain, 500), 200, "UNCERTAIN", each("onError", nil)},
		{"503", run(core.Unavailable, 503), 200, "UNAVAILABLE", each("onError", nil)},
		{"a rule: conflict in a 200", run(core.Conflict, 200), 200, "CONFLICT", each("onError", refusal)},
		{"a rule: not found in a 200", run(core.NotFound, 200), 200, "NOT_FOUND", each("onError", with(refusal, "set-variable", "Not Found"))},
		{"a rule: 409 passes", run(core.Throttled, 409), 200, "THROTTLED", each("onError", nil)},
	} {
		for i := range methods {
			m := &methods[i]
			v := m.fault("", fmt.Errorf("wrapped: %w", c.err))
			at := c.name + " at " + id0(m)
			require.Equal(t, c.want[id0(m)], v.Outcome, at)
			require.Equal(t, c.status, v.Status, at)
			require.Equal(t, c.code, v.Failure.Code, at)
			require.Contains(t, said(m), v.Outcome, at)
			if e, ok := errors.AsType[*operation.Error](c.err); ok {
				require.Equal(t, e.Upstream, v.Failure.UpstreamStatus, at)
			}
			require.NotContains(t, v.Failure.Message, "secret")
		}
	}
}

// Every kind has a row above: one that is new falls through here.
func TestEveryKindHasAnOutcome(t *testing.T) {
	t.Parallel()
	for kind := range core.Table {
		for i := range methods {
			m := &methods[i]
			for _, err := range []error{core.Errorf(kind, "x"), run(kind, 0), run(kind, 404), run(kind, 500)} {
				for _, version := range append([]string{"", "9.9"}, m.Versions...) {
					v := m.fault(version, err)
					require.Contains(t, said(m), v.Outcome, "%s %s", kind, id0(m))
					require.NotEmpty(t, v.Failure.Code)
				}
			}
		}
	}
}

// The kinds' own outcomes are those of a method that has no words for faults.
func TestKindsAndCausesAgree(t *testing.T) {
	t.Parallel()
	m := &method{}
	for kind, meaning := range core.Table {
		require.Equal(t, meaning.WebexOutcome, m.fault("", core.Errorf(kind, "x")).Outcome, kind)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	m, _ := methodOf("create-task", "create")

	v := m.fault("", core.InvalidField("taskId", "is required"))
	text, err := json.Marshal(v.Failure)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"VALIDATION_ERROR","message":"taskId: is required","details":[{"field":"taskId","message":"is required"}],"retryable":false}`, string(text))

	v = m.fault("", &core.Error{Kind: core.Unavailable, RetryAfter: 7 * time.Second})
	require.Equal(t, 7*time.Second, v.RetryAfter)
	require.True(t, v.Failure.Retryable)
	v = m.fault("", core.Errorf(core.Unavailable, "x"))
	require.Equal(t, comeBack, v.RetryAfter)
	require.Equal(t, http.StatusServiceUnavailable, v.Status)

	v = m.fault("", &core.Error{Kind: core.Internal, Message: "the password is hunter2", Details: []core.Detail{{Field: "x", Message: "hunter2"}}})
	require.NotContains(t, v.Failure.Message, "hunter2")
	require.Empty(t, v.Failure.Details)

	v = m.fault("", core.Errorf(core.Invalid, "%s", strings.Repeat("é", maxMessage)))
	require.LessOrEqual(t, len(v.Failure.Message), maxMessage)

	for _, c := range []struct {
		kind  core.Kind
		wrote bool
		retry bool
	}{
		{core.Uncertain, false, true},
		{core.Uncertain, true, false},
		{core.Timeout, true, false},
		{core.Throttled, false, true},
		{core.Mapping, false, false},
	} {
		v := m.fault("", &operation.Error{Step: "a", Wrote: c.wrote, Err: core.Errorf(c.kind, "x")})
		require.Equal(t, c.retry, v.Failure.Retryable, "%s wrote %v", c.kind, c.wrote)
	}
}
