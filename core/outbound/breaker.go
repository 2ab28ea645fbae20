package outbound

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"

	"tandem/core"
)

const (
	openFor       = 30 * time.Second
	probeDeadline = 10 * time.Second
	fairTime      = 5 * time.Second // an upstream that had less of it has not failed by a timeout

	tripInRow  = 5
	tripCalls  = 20 // of which half have failed
	windowSize = 30 * time.Second
	windowPart = 3 * time.Second
)

// The verdicts of an attempt about the health of its upstream, beside nil: it
// answers. gobreaker wants errors.
var (
	errFailed    = errors.New("the upstream failed")
	errNoVerdict = errors.New("the attempt says nothing about the upstream")
)

// newBreaker makes the breaker of u. gobreaker keeps the states; whether to
// open is judged from u's own counts, because gobreaker's forget every failure
// that took as long as the window to happen: the hanging ones.
func newBreaker(u *upstream) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: 1,
		Timeout:     openFor,
		ReadyToTrip: func(gobreaker.Counts) bool {
			u.mu.Lock()
			defer u.mu.Unlock()
			return u.failures >= tripInRow || u.window.half(core.SystemClock{}.Now())
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNoVerdict) },
		OnStateChange: func(_ string, _, to gobreaker.State) {
			u.move(State(to.String()))
		},
	})
}

// move takes over a state of the breaker, which holds its lock.
func (u *upstream) move(to State) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state, u.since, u.nextProbe = to, u.clock.Now(), time.Time{}
	u.period++
	switch to {
	case Open:
		u.nextProbe = u.since.Add(openFor)
	case Closed:
		u.failures, u.window = 0, window{}
	}
	if u.changed != nil {
		u.changes = append(u.changes, u.viewLocked())
	}
}

// refusal is the error for a call while the breaker is open, else nil.
func (u *upstream) refusal() *core.Error {
	if u.breaker.State() != gobreaker.StateOpen {
		return nil
	}
	return u.refused()
}

func (u *upstream) refused() *core.Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	after := time.Second // half-open: the one call that finds out is on its way
	if u.state == Open {
		after = min(max(u.nextProbe.Sub(u.clock.Now()), time.Second), openFor)
	}
	return &core.Error{
		Kind: core.Unavailable, Code: CodeCircuitOpen, RetryAfter: after,
		Message: "calls are held back after repeated failures",
	}
}

// watch runs one attempt and counts its verdict. The error says that the
// attempt was not let through.
func (u *upstream) watch(attempt func(probe bool) error) *core.Error {
	_, err := u.breaker.Execute(func() (struct{}, error) {
		u.mu.Lock()
		probe, period := u.state == HalfOpen, u.period
		u.mu.Unlock()
		v := attempt(probe)
		u.count(v, period)
		return struct{}{}, v
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return u.refused()
	}
	return nil
}

// count takes the verdict of an attempt into the counts, unless the state has
// changed since it began: a late failure says nothing about an upstream that
// has healed meanwhile. gobreaker does the same.
func (u *upstream) count(v error, period int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if errors.Is(v, errNoVerdict) || period != u.period {
		return
	}
	bad := errors.Is(v, errFailed)
	if bad {
		u.failures++
	} else {
		u.failures = 0
	}
	u.window.add(core.SystemClock{}.Now(), bad) // the breaker goes by the machine's clock too
}

// window counts the verdicts of the last 30 s, by when they came.
type window struct {
	parts [windowSize / windowPart]struct {
		period     int64
		calls, bad int
	}
}

func (w *window) add(now time.Time, bad bool) {
	period := now.UnixNano() / int64(windowPart)
	part := &w.parts[period%int64(len(w.parts))]
	if part.period != period {
		part.period, part.calls, part.bad = period, 0, 0
	}
	part.calls++
	if bad {
		part.bad++
	}
}

// half tells whether at least half of enough calls have failed.
func (w *window) half(now time.Time) bool {
	newest := now.UnixNano() / int64(windowPart)
	calls, bad := 0, 0
	for _, part := range w.parts {
		if newest-part.period < int64(len(w.parts)) {
			calls += part.calls
			bad += part.bad
		}
	}
	return calls >= tripCalls && 2*bad >= calls
}
