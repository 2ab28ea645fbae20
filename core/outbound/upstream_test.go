package outbound

import (
	"context"
	"errors"
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
				call := newCall(t, http.MethodPost, crm, "")
				call.Reads = true
				_, err := c.Call(t.Context(), call)
				e := &core.Error{}
				require.ErrorAs(t, err, &e)
				switch e.Code {
				case CodeUpstreamBusy:
					require.Equal(t, http.StatusServiceUnavailable, e.Status)
					require.Equal(t, time.Second, e.RetryAfter)
					if time.Since(began) == 0 {
						atOnce.Add(1)
					} else {
						later.Add(1)
					}
				case CodeCircuitOpen:
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
		var inFlight, most atomic.Int64
		c := inMemory(t, Options{}, func(http.ResponseWriter, *http.Request) {
			n := inFlight.Add(1)
			most.Store(max(most.Load(), n))
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
		require.Equal(t, int64(2), most.Load())
		require.Zero(t, c.Upstreams("")[0].InFlight)
	})
}

// TestWritesLeaveRoomForReads: an upstream hangs on creating, and more creations
// than it takes wait; it is still searched, and creates when its turn comes.
func TestWritesLeaveRoomForReads(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/create" {
				time.Sleep(80 * time.Second)
			}
			time.Sleep(time.Second)
		})
		var calls sync.WaitGroup
		var made, refused atomic.Int64
		for range 200 {
			calls.Go(func() {
				call := newCall(t, http.MethodPost, crm+"/create", "")
				call.Repeatable = true // it has a key
				call.Deadline = 90 * time.Second
				_, err := c.Call(t.Context(), call)
				if e := new(core.Error); errors.As(err, &e) && e.Code == CodeUpstreamBusy {
					refused.Add(1)
				} else if err == nil {
					made.Add(1)
				}
			})
		}
		synctest.Wait()
		u := c.Upstreams("")[0]
		require.Equal(t, 24, u.InFlight)
		require.Equal(t, 96, u.Waiting)
		require.Equal(t, int64(200-24-96), refused.Load())
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			began := time.Now()
			var reads sync.WaitGroup
			for range 24 {
				reads.Go(func() {
					call := newCall(t, method, crm+"/search", "")
					call.Reads = true
					_, err := c.Call(t.Context(), call)
					require.NoError(t, err)
				})
			}
			reads.Wait()
			require.Equal(t, 3*time.Second, time.Since(began))
		}
		calls.Wait()
		require.Equal(t, int64(24), made.Load())
		u = c.Upstreams("")[0]
		require.Zero(t, u.InFlight+u.Waiting)
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

// TestImpatientCallersAreNoWitnesses: a deadline that no upstream could meet
// closes the door for nobody, and one that is fair does.
func TestImpatientCallersAreNoWitnesses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(http.ResponseWriter, *http.Request) { time.Sleep(5300 * time.Millisecond) })
		within := func(deadline time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			_, err := c.Call(ctx, newCall(t, http.MethodPost, crm, ""))
			return err
		}
		for _, deadline := range []time.Duration{100 * time.Millisecond, 4999 * time.Millisecond} {
			for range 20 {
				requireError(t, within(deadline), core.Timeout, "")
			}
		}
		require.Zero(t, c.Upstreams("")[0].Failures)
		require.NoError(t, within(30*time.Second))
		for range 5 {
			requireError(t, within(5*time.Second), core.Timeout, "")
		}
		require.Equal(t, Open, c.Upstreams("")[0].State)
	})
}

// TestOpenIsNotForEver: without calls nobody finds out whether an upstream is
// well, but it is no longer said that calls are refused.
func TestOpenIsNotForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var changes []State
		c := inMemory(t, Options{Changed: func(u Upstream) { changes = append(changes, u.State) }}, status500)
		for range 5 {
			_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		}
		probe := c.Upstreams("")[0].NextProbe
		require.True(t, probe.Equal(time.Now().Add(30*time.Second)))
		time.Sleep(30 * time.Second)
		require.Equal(t, Open, c.Upstreams("")[0].State)
		time.Sleep(time.Nanosecond)
		u := c.Upstreams("")[0]
		require.Equal(t, HalfOpen, u.State)
		require.Equal(t, probe, u.Since)
		require.Zero(t, u.NextProbe)
		require.Equal(t, 5, u.Failures)
		_, _ = c.Call(t.Context(), newCall(t, http.MethodPost, crm, ""))
		require.Equal(t, Open, c.Upstreams("")[0].State)
		require.Equal(t, []State{Open, HalfOpen, Open}, changes)
	})
}

func status500(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

func TestUpstreamsAreATenantsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, status500)
		for _, row := range [][3]string{
			{"contoso", "salesforce", crm},
			{"contoso", "dynamics", "http://CRM.example:80"},
			{"contoso", "", "http://other.example"},
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
