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
				i := 0
				c := inMemory(t, Options{Authorizer: &fakeAuthorizer{err: row.err}}, func(w http.ResponseWriter, r *http.Request) {
					i++
					row.do(i, w, r)
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

// TestBulkhead: one upstream hangs with 500 callers; another one is as quick as
// ever.
func TestBulkhead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var inFlight, most atomic.Int64
		c := inMemory(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
			if r.Host == "other.example" {
				return
			}
			n := inFlight.Add(1)
			most.Store(max(most.Load(), n))
			<-r.Context().Done()
			inFlight.Add(-1)
		})
		began := time.Now()
		var calls sync.WaitGroup
		var atOnce, later, timeouts, refused atomic.Int64
		for range 500 {
			calls.Go(func() {
				_, err := c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
				e := &core.Error{}
				require.ErrorAs(t, err, &e)
				switch {
				case e.Code == CodeUpstreamBusy:
					require.Equal(t, http.StatusServiceUnavailable, e.Status)
					require.Equal(t, time.Second, e.RetryAfter)
					if time.Since(began) == 0 {
						atOnce.Add(1)
					} else {
						later.Add(1)
					}
				case e.Code == CodeCircuitOpen:
					refused.Add(1)
				default:
					require.Equal(t, core.Timeout, e.Kind)
					timeouts.Add(1)
				}
				require.LessOrEqual(t, time.Since(began), 30*time.Second)
			})
		}
		synctest.Wait()
		u := c.Upstreams("")[0]
		require.Equal(t, 32, u.InFlight)
		require.Equal(t, 128, u.Waiting)
		for range 100 {
			at := time.Now()
			_, err := c.Call(t.Context(), newCall(t, http.MethodGet, "http://other.example", ""))
			require.NoError(t, err)
			require.Zero(t, time.Since(at))
		}
		require.Equal(t, int64(32), most.Load())
		calls.Wait()
		require.Equal(t, int64(500-32-128), atOnce.Load())
		require.GreaterOrEqual(t, timeouts.Load(), int64(32)) // a turn may come in the last moment
		require.Equal(t, int64(32+128), timeouts.Load()+later.Load()+refused.Load())
		u = c.Upstreams("")[0]
		require.Zero(t, u.InFlight+u.Waiting)
	})
}

func TestBulkheadLetsTheNextOneIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var inFlight atomic.Int64
		c := inMemory(t, Options{}, func(http.ResponseWriter, *http.Request) {
			require.LessOrEqual(t, inFlight.Add(1), int64(2))
			time.Sleep(time.Second)
			inFlight.Add(-1)
		})
		began := time.Now()
		var calls sync.WaitGroup
		for i := range 8 {
			synctest.Wait() // the two that give up must wait
			calls.Go(func() {
				call := newCall(t, http.MethodPost, crm, "")
				call.Limits = integration.Limits{Concurrency: 2}
				_, err := c.Call(t.Context(), call)
				require.NoError(t, err)
			})
			if i == 3 || i == 5 {
				synctest.Wait()
				calls.Go(func() {
					ctx, cancel := context.WithCancel(t.Context())
					time.AfterFunc(500*time.Millisecond, cancel)
					call := newCall(t, http.MethodPost, crm, "")
					call.Limits = integration.Limits{Concurrency: 2}
					_, err := c.Call(ctx, call)
					require.ErrorIs(t, err, context.Canceled)
				})
			}
		}
		calls.Wait()
		require.Equal(t, 4*time.Second, time.Since(began))
		require.Zero(t, c.Upstreams("")[0].InFlight)
	})
}

// TestWaitersAreNoWitnesses: calls that spent their time in the queue do not
// make a slow upstream a dead one.
func TestWaitersAreNoWitnesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(http.ResponseWriter, *http.Request) { time.Sleep(9500 * time.Millisecond) })
		for range 6 {
			var calls sync.WaitGroup
			for range 2 {
				calls.Go(func() {
					call := newCall(t, http.MethodPost, crm, "")
					call.Limits.Concurrency = 1
					call.Deadline = 10 * time.Second
					_, _ = c.Call(t.Context(), call)
				})
			}
			calls.Wait()
		}
		require.Equal(t, Closed, c.Upstreams("")[0].State)
		require.Zero(t, c.Upstreams("")[0].Failures)
	})
}

func TestUpstreamsAreATenantsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		for _, row := range [][3]string{
			{"contoso", "salesforce", crm}, {"contoso", "dynamics", "http://CRM.example:80"}, {"contoso", "", "http://other.example"},
			{"fabrikam", "salesforce", crm},
		} {
			for range 3 {
				call := newCall(t, http.MethodPost, row[2], "")
				call.Tenant, call.Name = row[0], row[1]
				_, _ = c.Call(t.Context(), call)
			}
		}
		all := c.Upstreams("")
		require.Len(t, all, 3)
		require.Equal(t, "other.example:80", all[0].Host)
		require.Equal(t, []string{"dynamics", "salesforce"}, all[1].Names)
		require.Equal(t, Open, all[1].State)
		require.Equal(t, "fabrikam", all[2].Tenant)
		require.Equal(t, Closed, all[2].State)
		require.Equal(t, all[2:], c.Upstreams("fabrikam"))
		require.Empty(t, c.Upstreams("nobody"))
	})
}

func TestUpstreamsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, nil)
		for i := range 5 {
			call := newCall(t, http.MethodPost, crm, "")
			call.Tenant = "open"
			call.Deadline = time.Duration(i+1) * time.Minute
			_, _ = c.Call(t.Context(), call)
		}
		for i := range 2 * maxUpstreams {
			call := newCall(t, http.MethodPost, "https://127.0.0.1", "")
			call.Tenant = strconv.Itoa(i)
			call.Deadline = time.Millisecond
			c.upstreams.get(&call)
		}
		require.Len(t, c.Upstreams(""), maxUpstreams)
		require.Len(t, c.Upstreams("open"), 1, "what is known to be down is remembered longer")
		require.Empty(t, c.Upstreams("0"))
		require.Len(t, c.Upstreams(strconv.Itoa(2*maxUpstreams-1)), 1)
	})
}
