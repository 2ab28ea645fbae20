package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"

	"tandem/core"
	"tandem/core/integration"
)

// Codes of the errors of Call, beside CodeAddressRefused.
const (
	CodeRedirected            = "REDIRECTED"
	CodeAuthorizationRequired = "AUTHORIZATION_REQUIRED"
	CodeUpstreamForbidden     = "UPSTREAM_FORBIDDEN"
	CodeUpstreamThrottled     = "UPSTREAM_THROTTLED"
	CodeUpstreamFailed        = "UPSTREAM_FAILED"
	CodeUpstreamBusy          = "UPSTREAM_BUSY"
	CodeCircuitOpen           = "CIRCUIT_OPEN"
)

// callDeadline is for calls that do not say.
const callDeadline = 30 * time.Second

// Call is one call to an upstream: the host and port of the request, as the
// tenant sees it.
type Call struct {
	Tenant string
	Name   string // of the integration, for metrics and people
	// Request is from NewRequest. It is not changed; its own context is not
	// looked at.
	Request *http.Request
	// Deadline is for all of it: waiting, attempts, bodies. 0: 30 s.
	Deadline time.Duration
	// Repeatable says that a POST or PATCH carries a key that the upstream
	// honours. GET, HEAD, PUT, DELETE and OPTIONS may always be repeated.
	Repeatable bool
	Reads      bool               // a POST changes nothing, for example a search; it may be repeated
	Credential *Credential        // nil: none
	Limits     integration.Limits // count per tenant, host and replica
	Errors     []integration.ErrorRule
}

// idempotent tells whether doing the call twice is doing it once.
func (call *Call) idempotent() bool {
	switch call.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return true
	default:
		return call.Repeatable || call.Reads
	}
}

// writes tells whether the call may change something.
func (call *Call) writes() bool {
	switch call.Request.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	default:
		return !call.Reads
	}
}

// Call makes a call with all that protects both sides: it waits for its turn at
// the upstream, is repeated where that is harmless and may help, carries the
// credential, and is refused at once while the upstream is known to be down. It
// takes as long as the deadline at most. Calls that write take three quarters of
// the places at an upstream at most.
//
// A whole answer of the upstream is a Response whatever its status, without the
// credential where it repeats that. One that is
// no 2xx gives an error beside it, of the kind that an ErrorRule says, else
//   - Uncertain with CodeRedirected (3xx, never followed) or CodeUpstreamFailed
//     (5xx), Timeout (408), Throttled with CodeUpstreamThrottled (425, 429),
//   - NeedsAuthorization with CodeAuthorizationRequired (401, also after one
//     renewal of the credential), Forbidden with CodeUpstreamForbidden (403),
//   - NotFound (404, 410), Conflict (409, 412), Invalid (any other 4xx).
//
// Errors without a Response are those of Do and
//   - Unavailable with CodeCircuitOpen: the upstream is down,
//   - Throttled with CodeUpstreamBusy: too many calls are in flight, or with
//     CodeUpstreamThrottled: Limits.RequestsPerMinute are used up,
//   - ResultTooLarge: more than 10 MiB, decompressed,
//   - NotConfigured: a credential is asked for and there is no Authorizer,
//   - Invalid: the request carries a header that cannot be sent or whose name
//     is not in its canonical form, or an Authorization header beside a
//     credential,
//   - whatever the Authorizer returned; what it says to a 401 comes beside that
//     answer.
//
// None shows more of the URL than scheme and host, and nothing of the answer
// but its status. RetryAfter is at most one hour.
func (c *Client) Call(ctx context.Context, call Call) (*Response, error) {
	if err := c.check(&call); err != nil {
		return nil, err
	}
	caller := ctx
	ctx, cancel := context.WithTimeout(ctx, orDefault(call.Deadline, callDeadline))
	defer cancel()

	s := &session{client: c, call: &call, caller: caller, ctx: ctx, up: c.upstreams.get(&call)}
	defer s.up.announce()
	if err := s.up.refusal(); err != nil {
		s.report(OutcomeCircuitOpen, 0)
		return nil, s.named(err)
	}
	writes := call.writes()
	if err := s.up.enter(ctx, concurrency(call.Limits), writes); err != nil {
		return nil, s.interrupted(err)
	}
	defer s.up.leave(writes)
	s.run()
	return s.result.response, s.result.err
}

// check refuses what must not be sent, or could not be sent twice.
func (c *Client) check(call *Call) error {
	req := call.Request
	if req == nil || req.URL == nil || req.URL.User != nil || req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return errors.New("outbound: the request of a call must be from NewRequest")
	}
	for name, values := range req.Header {
		// Another spelling would pass by all that looks for a header, here and
		// in net/http, and go out beside the one that was meant.
		valid := httpguts.ValidHeaderFieldName(name) && name == http.CanonicalHeaderKey(name)
		for _, value := range values {
			valid = valid && httpguts.ValidHeaderFieldValue(value)
		}
		if !valid {
			return core.Errorf(core.Invalid, "the header %q cannot be sent", name)
		}
	}
	if call.Credential == nil {
		return nil
	}
	if call.Credential.Tenant != call.Tenant {
		return errors.New("outbound: the credential of a call must be of the same tenant")
	}
	if len(req.Header.Values("Authorization")) > 0 {
		return core.Errorf(core.Invalid, "the header Authorization belongs to the credential")
	}
	if c.authorizer == nil {
		return core.Errorf(core.NotConfigured, "this hub has no authorizations")
	}
	return nil
}

// concurrency is how many calls may be in flight.
func concurrency(l integration.Limits) int {
	if l.Concurrency > 0 && l.Concurrency < integration.MaxConcurrency {
		return l.Concurrency
	}
	return integration.MaxConcurrency
}

// interrupted says why a call ended while it waited; err is errBusy or the
// context's.
func (s *session) interrupted(err error) error {
	if s.caller.Err() != nil && errors.Is(s.caller.Err(), context.Canceled) {
		s.report(OutcomeCanceled, 0)
		return fmt.Errorf("%s: %w", target(s.call.Request), context.Canceled)
	}
	s.report(OutcomeBusy, 0)
	return &core.Error{
		Kind: core.Throttled, Code: CodeUpstreamBusy, Status: http.StatusServiceUnavailable, RetryAfter: time.Second,
		Message: target(s.call.Request) + " has too many calls in flight", Err: err,
	}
}

// named puts the target in front of an error of this package.
func (s *session) named(err *core.Error) error {
	err.Message = target(s.call.Request) + ": " + err.Message
	return err
}
