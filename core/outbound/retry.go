package outbound

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"tandem/core"
)

const (
	maxAttempts = 3
	backoffBase = 200 * time.Millisecond
	backoffCap  = 5 * time.Second

	throttledPause = time.Second // after a 429 that does not say when, and more

	maxRetryAfter = time.Minute // that a call waits for
	maxPassedOn   = time.Hour   // that a caller is told

	// The budget of retries of an upstream: a tenth of its calls, and a few
	// for the quiet hours.
	budgetPerCall = 0.1
	budgetBurst   = 10
)

// sessionKey finds the session in the context of its carrier.
type sessionKey struct{}

// newLoop makes the loop of attempts. It drives a carrier, an empty request
// that shows no more than the host, and learns everything else from the
// session: the loop's own idea of what to repeat, and for how long, is not ours,
// and its errors quote what it is given.
func newLoop() *retryablehttp.Client {
	return &retryablehttp.Client{
		// Without CloseIdleConnections: the loop calls it after every fault.
		HTTPClient: &http.Client{Transport: driver{}},
		RetryMax:   maxAttempts - 1,
		CheckRetry: func(ctx context.Context, _ *http.Response, err error) (bool, error) {
			s, ok := ctx.Value(sessionKey{}).(*session)
			return ok && err == nil && s.again(), nil
		},
		Backoff: func(_, _ time.Duration, _ int, turn *http.Response) time.Duration {
			return turn.Request.Context().Value(sessionKey{}).(*session).pause //nolint:forcetypeassert // the driver answered
		},
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// driver makes the attempts of the session that a carrier belongs to.
type driver struct{}

// RoundTrip makes one attempt. Its answer says nothing: the session keeps it.
func (driver) RoundTrip(carrier *http.Request) (*http.Response, error) {
	s, ok := carrier.Context().Value(sessionKey{}).(*session)
	if !ok {
		return nil, errors.New("outbound: no session")
	}
	s.keep(s.attempt())
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: carrier}, nil
}

// run makes the attempts and leaves the result in the session.
func (s *session) run() {
	from := s.call.Request.URL
	carrier := &http.Request{
		Method: http.MethodGet,
		URL:    &url.URL{Scheme: from.Scheme, Host: from.Host},
		Header: http.Header{},
	}
	ctx := context.WithValue(s.ctx, sessionKey{}, s)
	turn, err := s.client.loop.Do(&retryablehttp.Request{Request: carrier.WithContext(ctx)})
	if turn != nil {
		_ = turn.Body.Close()
	}
	switch {
	case s.attempts == 0: // cannot be: the loop makes one attempt at least
		s.result = outcome{err: errors.New("outbound: no attempt was made")}
	case err != nil && errors.Is(s.caller.Err(), context.Canceled): // during a pause
		s.result = outcome{err: s.interrupted(err)}
	}
}

// again decides whether to make another attempt, and leaves the pause before it
// in the session.
func (s *session) again() bool {
	if s.attempts >= maxAttempts || s.last.err == nil || s.last.final || s.ctx.Err() != nil {
		return false
	}
	e, ok := errors.AsType[*core.Error](s.last.err)
	if !ok || !s.repeatable(e) {
		return false
	}
	switch s.pause = e.RetryAfter; {
	case s.pause > 0:
	case e.Kind == core.Throttled: // limits that do not tell are mostly by the second
		s.pause = throttledPause + backoff(s.attempts, s.client.chance())
	default:
		s.pause = backoff(s.attempts, s.client.chance())
	}
	return s.pause <= maxRetryAfter && s.pause < s.remaining() &&
		s.up.refusal() == nil && s.up.withdraw()
}

// repeatable tells whether another attempt may help and does no harm.
func (s *session) repeatable(e *core.Error) bool {
	switch e.Kind {
	case core.Unavailable:
		return !s.last.sent || s.call.idempotent() // an answer may be of this kind by a rule
	case core.Throttled:
		// A limit of the day, which a rule knows by another status, is not over in a second.
		limited := s.last.response != nil && s.last.response.Status == http.StatusTooManyRequests
		return s.call.idempotent() && (e.RetryAfter > 0 || limited)
	case core.Uncertain:
		return s.call.idempotent() && e.Code != CodeRedirected
	case core.Timeout:
		return s.call.idempotent()
	default:
		return false
	}
}

// backoff is a random pause after the given number of attempts.
func backoff(attempts int, chance float64) time.Duration {
	return time.Duration(chance * float64(min(backoffBase<<(attempts-1), backoffCap)))
}

// retryAfter reads a Retry-After header: seconds or a date. It is 0 for one
// that says nothing, and never more than an hour.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	seconds, err := strconv.ParseUint(value, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return maxPassedOn
	case err == nil:
		return time.Duration(min(seconds, uint64(maxPassedOn/time.Second))) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxPassedOn)
}

// random returns a number from 0 to below 1.
func random() float64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return float64(binary.NativeEndian.Uint64(b[:])>>11) / (1 << 53)
}
