package outbound

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/integration"
)

// TestBreakerAtADeadUpstream: 100 calls a second for two minutes at an upstream
// that answers 500, which then heals.
func TestBreakerAtADeadUpstream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var dead atomic.Bool
		dead.Store(true)
		var reached []time.Duration
		began := time.Now()
		var changes []State
		c := inMemory(t, Options{Changed: func(u Upstream) { changes = append(changes, u.State) }}, func(w http.ResponseWriter, _ *http.Request) {
			if dead.Load() {
				reached = append(reached, time.Since(began))
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		for range 120 * 100 {
			time.Sleep(10 * time.Millisecond) // the bubble's time
			at := time.Now()
			_, err := c.Call(t.Context(), newCall(t, http.MethodPost, crm, "{}"))
			if core.KindOf(err) == core.Unavailable {
				e := requireError(t, err, core.Unavailable, CodeCircuitOpen)
				require.Zero(t, e.Status)
				require.GreaterOrEqual(t, e.RetryAfter, time.Second)
				require.LessOrEqual(t, e.RetryAfter, 30*time.Second)
				require.Zero(t, time.Since(at))
			}
		}
		require.Len(t, reached, 8, "%v", reached) // 5, then a probe each 30 s
		for i := 5; i < len(reached); i++ {
			require.Greater(t, reached[i]-reached[i-1], 30*time.Second)
		}
		u := c.Upstreams("contoso")[0]
		require.Equal(t, Open, u.State)
		require.Equal(t, 8, u.Failures)
		require.Equal(t, u.Since.Add(30*time.Second), u.NextProbe)

		dead.Store(false)
		healed := time.Now()
		for c.Upstreams("contoso")[0].State != Closed {
			time.Sleep(10 * time.Millisecond)
			_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, "{}"))
		}
		require.LessOrEqual(t, time.Since(healed), 35*time.Second)
		require.Equal(t, []State{Open, HalfOpen, Open, HalfOpen, Open, HalfOpen, Open, HalfOpen, Closed}, changes)
	})
}

// TestHungProbe: a probe that hangs ends by its own deadline, lets no other
// through meanwhile, and the breaker recovers.
func TestHungProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mode atomic.Int64
		var reached atomic.Int64
		c := inMemory(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			reached.Add(1)
			switch mode.Load() {
			case 0:
				w.WriteHeader(http.StatusInternalServerError)
			case 1:
				<-r.Context().Done()
			}
		})
		for range 5 {
			_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		}
		require.Equal(t, Open, c.Upstreams("")[0].State)
		mode.Store(1)
		time.Sleep(31 * time.Second)
		reached.Store(0)
		began := time.Now()
		var calls sync.WaitGroup
		calls.Go(func() {
			_, err := c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
			requireError(t, err, core.Timeout, "")
			require.Equal(t, 10*time.Second, time.Since(began))
		})
		synctest.Wait()
		require.Equal(t, HalfOpen, c.Upstreams("")[0].State)
		for range 200 {
			_, err := c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
			requireError(t, err, core.Unavailable, CodeCircuitOpen)
		}
		require.Equal(t, int64(1), reached.Load())
		calls.Wait()
		require.Equal(t, Open, c.Upstreams("")[0].State)
		mode.Store(2)
		time.Sleep(31 * time.Second)
		_, err := c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		require.NoError(t, err)
		require.Equal(t, Closed, c.Upstreams("")[0].State)
	})
}

// TestCanceledProbeMakesRoomForAnother: a probe whose caller gave up says
// nothing, and the next call finds out instead.
func TestCanceledProbeMakesRoomForAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mode atomic.Int64
		c := inMemory(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			switch mode.Load() {
			case 0:
				w.WriteHeader(http.StatusBadGateway)
			case 1:
				<-r.Context().Done()
			}
		})
		for range 5 {
			_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		}
		time.Sleep(31 * time.Second)
		mode.Store(1)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := c.Call(ctx, newCall(t, http.MethodPost, crm, ""))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, HalfOpen, c.Upstreams("")[0].State)
		mode.Store(2)
		_, err = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		require.NoError(t, err)
		require.Equal(t, Closed, c.Upstreams("")[0].State)
	})
}

func TestWhatOpensTheBreaker(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		calls int
		do    func(i int, w http.ResponseWriter, r *http.Request)
		err   error // of the authorizer
		state State
	}{
		"4 failures":       {4, status(500), nil, Closed},
		"20 failures":      {20, status(500), nil, Open},
		"20 refusals":      {20, status(400), nil, Closed},
		"20 throttlings":   {20, status(429), nil, Closed},
		"20 redirects":     {20, status(302), nil, Closed},
		"20 wrong tokens":  {20, status(401), nil, Closed},
		"20 without token": {20, status(500), core.Errorf(core.Unavailable, "no token now"), Closed},
		"5 broken bodies": {5, func(_ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		}, nil, Open},
		"5 hanging": {5, func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, Open},
		"half of 20": {20, func(i int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500 - 300*(i%2))
		}, nil, Open},
		"half of 18": {18, func(i int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500 - 300*(i%2))
		}, nil, Closed},
		"a third of 60": {60, func(i int, w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200 + 300*(max(i%3, 1)-1))
		}, nil, Closed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var count atomic.Int64
				c := inMemory(t, Options{Authorizer: &fakeAuthorizer{err: row.err}}, func(w http.ResponseWriter, r *http.Request) {
					row.do(int(count.Add(1)), w, r)
				})
				for range row.calls {
					call := newCall(t, http.MethodPost, crm, "")
					if row.err != nil {
						call.Credential = credential
					}
					_, _ = c.Call(t.Context(), call)
				}
				require.Equal(t, row.state, c.Upstreams("")[0].State)
			})
		})
	}
}

// TestRulesAndTheBreaker: what a rule calls an answer keeps the breaker closed
// after a 5xx, but never opens it after another answer.
func TestRulesAndTheBreaker(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status int
		kind   core.Kind
		state  State
	}{
		{302, core.Unavailable, Closed},
		{400, core.Unavailable, Closed},
		{423, core.Unavailable, Closed},
		{400, core.Uncertain, Closed},
		{500, core.Conflict, Closed},
		{503, core.Throttled, Closed},
		{503, core.Unavailable, Open},
		{500, core.Uncertain, Open},
	} {
		t.Run(strconv.Itoa(row.status)+" "+string(row.kind), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := inMemory(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(row.status) })
				for range 20 {
					call := newCall(t, http.MethodPost, crm, "")
					call.Errors = []integration.ErrorRule{{Status: row.status, Kind: row.kind}}
					_, _ = c.Call(t.Context(), call)
				}
				require.Equal(t, row.state, c.Upstreams("")[0].State)
			})
		})
	}
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// TestCancellationsDoNotOpenTheBreaker, and neither does the address guard.
func TestCancellationsDoNotOpenTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		for range 7 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_, err := c.Call(ctx, newCall(t, http.MethodGet, crm, ""))
			require.ErrorIs(t, err, context.Canceled)
			_, err = c.Call(t.Context(), newCall(t, http.MethodGet, "http://refused.example", ""))
			requireRefused(t, err, "plain http")
		}
		for _, u := range c.Upstreams("") {
			require.Equal(t, Closed, u.State, u.Host)
			require.Zero(t, u.Failures)
		}
	})
}

// TestSlowFailuresCount: calls that hang as long as the window is wide count
// like any other.
func TestSlowFailuresCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/hang" {
				<-r.Context().Done()
			}
		})
		var calls sync.WaitGroup
		for range 12 {
			calls.Go(func() { _, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm+"/hang", "")) })
			calls.Go(func() {
				time.Sleep(29900 * time.Millisecond)
				_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
			})
		}
		calls.Wait()
		require.Equal(t, Open, c.Upstreams("")[0].State)
	})
}

// TestCallsFromBeforeAreNoWitnesses: what began before the breaker opened says
// nothing about the upstream that has healed since.
func TestCallsFromBeforeAreNoWitnesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				time.Sleep(50 * time.Second)
				w.WriteHeader(http.StatusInternalServerError)
			case "/down":
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		post := func(path string) {
			call := newCall(t, http.MethodPost, crm+path, "")
			call.Deadline = time.Minute
			_, _ = c.Call(t.Context(), call)
		}
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() { post("/slow") })
		}
		synctest.Wait()
		for range 5 {
			post("/down")
		}
		require.Equal(t, Open, c.Upstreams("")[0].State)
		time.Sleep(31 * time.Second)
		post("")
		require.Equal(t, Closed, c.Upstreams("")[0].State)
		calls.Wait()
		require.Zero(t, c.Upstreams("")[0].Failures)
		post("/down")
		require.Equal(t, Closed, c.Upstreams("")[0].State)
		require.Equal(t, 1, c.Upstreams("")[0].Failures)
	})
}

// TestFailuresFarApart: failures in a row open the breaker however slowly they
// come, and half of the calls only within the window.
func TestFailuresFarApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := 0
		c := inMemory(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			i++
			if r.Host == "other.example" || i%2 == 0 {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		for range 40 {
			time.Sleep(3 * time.Second)
			_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		}
		for range 5 {
			time.Sleep(time.Minute)
			_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, "http://other.example", ""))
		}
		all := c.Upstreams("")
		require.Equal(t, Closed, all[0].State)
		require.Equal(t, Open, all[1].State)
	})
}
