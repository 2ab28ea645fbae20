package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tandem/core"
)

// session is one call on its way. It belongs to the goroutine of the call.
type session struct {
	client *Client
	call   *Call
	caller context.Context //nolint:containedctx // a session is one call and ends with it
	ctx    context.Context //nolint:containedctx // the caller's with the deadline
	up     *upstream

	attempts int
	renewed  bool    // the credential was refused once
	last     outcome // of the last attempt
	result   outcome // what the caller gets
	pause    time.Duration
}

// outcome is how an attempt ended.
type outcome struct {
	response *Response
	err      error
	sent     bool // the other side may have seen the request
	final    bool // trying again is useless or forbidden
}

// keep takes the outcome of an attempt. When an earlier one may have reached
// the other side, one that did not must not hide it: its kind would say that
// nothing was done.
func (s *session) keep(o outcome) {
	s.last = o
	if o.sent || !s.result.sent || errors.Is(o.err, context.Canceled) {
		s.result = o
	}
}

// attempt authorizes the request and sends it; when the credential is refused,
// once more with a renewed one. A refused request was not processed, so this is
// harmless for every method.
func (s *session) attempt() outcome {
	s.attempts++
	for {
		o, stamp := s.once()
		if s.call.Credential == nil || s.renewed || o.response == nil || core.KindOf(o.err) != core.NeedsAuthorization {
			return o
		}
		s.renewed = true
		if err := s.client.authorizer.Rejected(s.ctx, *s.call.Credential, stamp); err != nil {
			return outcome{response: o.response, err: s.unauthorized(err), sent: true, final: true}
		}
	}
}

// once sends the request once. The stamp is the credential's.
func (s *session) once() (outcome, int64) {
	if refusal := s.up.refusal(); refusal != nil {
		s.report(OutcomeCircuitOpen, 0)
		return outcome{err: s.named(refusal), final: true}, 0
	}
	if err := s.pace(); err != nil {
		return outcome{err: err, final: true}, 0
	}
	req, err := s.request()
	if err != nil {
		return outcome{err: err, final: true}, 0
	}
	var stamp int64
	var hide secrets
	if s.call.Credential != nil {
		var told []string
		req = req.WithContext(context.WithValue(s.ctx, confidence{}, &told))
		if stamp, err = s.client.authorizer.Authorize(s.ctx, *s.call.Credential, req); err != nil {
			s.report(OutcomeNoCredential, 0)
			return outcome{err: s.unauthorized(err), final: true}, 0
		}
		hide = newSecrets(append(told, added(s.call.Request.Header, req.Header)...))
	}
	o := s.send(req)
	if o.response != nil && len(hide) > 0 {
		o.response.conceal(hide)
	}
	return o, stamp
}

// request is a fresh copy of the call's request.
func (s *session) request() (*http.Request, error) {
	req := s.call.Request.WithContext(s.ctx)
	req.Header = req.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	// The transport decompresses only what it asked for itself, and the cap
	// must count decompressed bytes.
	req.Header.Del("Accept-Encoding")
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("outbound: body of the request: %w", err)
		}
		req.Body = body
	}
	return req, nil
}

// send makes one exchange under the watch of the breaker.
func (s *session) send(req *http.Request) outcome {
	var o outcome
	var word Outcome
	elapsed := core.Stopwatch()
	refusal := s.up.watch(func(probe bool) error {
		req := req
		if probe {
			ctx, cancel := context.WithTimeout(req.Context(), probeDeadline)
			defer cancel()
			req = req.WithContext(ctx)
		}
		given := s.remaining()
		var v error
		o, word, v = s.exchange(req)
		if word == OutcomeTimeout && given < fairTime {
			// A hurried caller, or one that had spent its time elsewhere: no
			// word about the upstream, whose breaker others share.
			v = errNoVerdict
		}
		return v
	})
	if refusal != nil {
		s.report(OutcomeCircuitOpen, 0)
		return outcome{err: s.named(refusal), final: true}
	}
	s.report(word, elapsed())
	return o
}

// exchange makes one exchange and judges it; the error is the verdict.
func (s *session) exchange(req *http.Request) (outcome, Outcome, error) {
	response, sent, err := s.client.exchange(s.caller, req, maxClientBody)
	if err != nil {
		word, v := judgeFault(err)
		return outcome{err: err, sent: sent}, word, v
	}
	if response.Truncated {
		return outcome{err: core.Errorf(core.ResultTooLarge, "%s answered with more than 10 MiB", target(req)), sent: true, final: true},
			OutcomeTooLarge, nil
	}
	problem, v := s.judge(response)
	if problem != nil {
		err = problem
	}
	return outcome{response: response, err: err, sent: true}, wordOf(response.Status, problem), v
}

// pace waits for the upstream's limit of requests per minute.
func (s *session) pace() error {
	wait, undo := s.up.reserve(s.call.Limits.RequestsPerMinute)
	if wait == 0 {
		return nil
	}
	if wait >= s.remaining() {
		undo()
		s.report(OutcomeThrottled, 0)
		return throttled(target(s.call.Request)+": its limit of requests per minute is used up", wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		undo()
		return s.interrupted(s.ctx.Err())
	}
}

// remaining is what is left of the deadline.
func (s *session) remaining() time.Duration {
	deadline, _ := s.ctx.Deadline()
	return deadline.Sub(core.SystemClock{}.Now()) // contexts end by the machine's clock
}

// unauthorized leaves an Authorizer's error as it is, but gives the context's a
// kind.
func (s *session) unauthorized(err error) error {
	if _, ok := errors.AsType[*core.Error](err); !ok && errors.Is(err, context.DeadlineExceeded) {
		return core.Wrap(core.Timeout, err, "%s: no credential was ready in time", target(s.call.Request))
	}
	return err
}

func (s *session) report(word Outcome, d time.Duration) {
	if s.client.observe != nil {
		s.client.observe(Attempt{Name: s.call.Name, Host: s.up.host, Outcome: word, Duration: d})
	}
}
