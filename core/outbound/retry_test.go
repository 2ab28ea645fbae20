package outbound

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/integration"
)

func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	keyed := func(call *Call) { call.Repeatable = true }
	for name, row := range map[string]struct {
		method   string
		change   func(*Call)
		status   int
		after    string
		attempts int
	}{
		"GET 500":                    {http.MethodGet, nil, 500, "", 3},
		"HEAD 502":                   {http.MethodHead, nil, 502, "", 3},
		"PUT 503":                    {http.MethodPut, nil, 503, "", 3},
		"DELETE 504":                 {http.MethodDelete, nil, 504, "", 3},
		"OPTIONS 500":                {http.MethodOptions, nil, 500, "", 3},
		"POST 500":                   {http.MethodPost, nil, 500, "", 1},
		"POST with key 500":          {http.MethodPost, keyed, 500, "", 3},
		"PATCH 500":                  {http.MethodPatch, nil, 500, "", 1},
		"PATCH with key 500":         {http.MethodPatch, keyed, 500, "", 3},
		"GET 408":                    {http.MethodGet, nil, 408, "", 3},
		"POST 408":                   {http.MethodPost, nil, 408, "", 1},
		"GET 429":                    {http.MethodGet, nil, 429, "", 3},
		"POST 429":                   {http.MethodPost, nil, 429, "", 1},
		"GET 429 with Retry-After":   {http.MethodGet, nil, 429, "2", 3},
		"POST 429 with Retry-After":  {http.MethodPost, nil, 429, "2", 1},
		"GET 429 with a long one":    {http.MethodGet, nil, 429, "61", 1},
		"GET 429 past the deadline":  {http.MethodGet, nil, 429, "50", 2},
		"GET 503 past the deadline":  {http.MethodGet, nil, 503, "50", 2},
		"GET 307":                    {http.MethodGet, nil, 307, "", 1},
		"GET 404":                    {http.MethodGet, nil, 404, "", 1},
		"GET 401 without credential": {http.MethodGet, nil, 401, "", 1},
		"GET 200":                    {http.MethodGet, nil, 200, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var bodies []string
				c := inMemory(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					bodies = append(bodies, string(body))
					w.Header().Set("Retry-After", row.after)
					w.WriteHeader(row.status)
				})
				call := newCall(t, row.method, crm, "body")
				call.Deadline = 90 * time.Second
				if row.change != nil {
					row.change(&call)
				}
				began := time.Now()
				res, err := c.Call(t.Context(), call)
				require.Equal(t, row.status, res.Status)
				require.Equal(t, row.status != 200, err != nil)
				require.Len(t, bodies, row.attempts)
				for _, body := range bodies {
					require.Equal(t, "body", body)
				}
				switch {
				case row.after == "" && row.status == 429 && row.attempts > 1:
					require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
					require.Less(t, time.Since(began), 2600*time.Millisecond)
				case row.after == "":
					require.Less(t, time.Since(began), 600*time.Millisecond)
				default:
					require.Equal(t, time.Duration(row.attempts-1)*retryAfter(row.after, began), time.Since(began))
				}
			})
		})
	}
}

// TestPostIsRepeatedOnlyWhenNothingWasSent: a POST without a key comes again
// after a connection that failed, never after one that took the request.
func TestPostIsRepeatedOnlyWhenNothingWasSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var handled atomic.Int64
		c := inMemory(t, Options{}, func(http.ResponseWriter, *http.Request) {
			handled.Add(1)
			panic(http.ErrAbortHandler) // the connection breaks without an answer
		})
		_, err := c.Call(t.Context(), newCall(t, http.MethodPost, crm, "body"))
		requireError(t, err, core.Uncertain, "")
		require.Equal(t, int64(1), handled.Load())

		network := c.transport.next.DialContext
		var dials atomic.Int64
		c.transport.next.DialContext = func(ctx context.Context, n, address string) (net.Conn, error) {
			if dials.Add(1) <= 2 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
			}
			return network(ctx, n, address)
		}
		_, err = c.Call(t.Context(), newCall(t, http.MethodPost, crm, "body"))
		requireError(t, err, core.Uncertain, "")
		require.Equal(t, int64(3), dials.Load())
		require.Equal(t, int64(2), handled.Load())
	})
}

// TestAnswersThatRulesCallUnavailable: whatever a rule calls it, the request was
// written and answered.
func TestAnswersThatRulesCallUnavailable(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		method   string
		keyed    bool
		attempts int
	}{
		"GET":           {http.MethodGet, false, 3},
		"POST":          {http.MethodPost, false, 1},
		"POST with key": {http.MethodPost, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				attempts := 0
				c := inMemory(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
					attempts++
					w.WriteHeader(http.StatusServiceUnavailable)
				})
				call := newCall(t, row.method, crm, "")
				call.Repeatable = row.keyed
				call.Errors = []integration.ErrorRule{{Status: http.StatusServiceUnavailable, Kind: core.Unavailable}}
				_, err := c.Call(t.Context(), call)
				requireError(t, err, core.Unavailable, "")
				require.Equal(t, row.attempts, attempts)
			})
		})
	}
}

// TestUncertaintyIsNotForgotten: when the first attempt may have reached the
// upstream and the later ones did not, the error must not say that nothing was
// done.
func TestUncertaintyIsNotForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusInternalServerError)
		})
		network := c.transport.next.DialContext
		var dials atomic.Int64
		c.transport.next.DialContext = func(ctx context.Context, n, address string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
			}
			return network(ctx, n, address)
		}
		call := newCall(t, http.MethodPost, crm, "")
		call.Repeatable = true
		res, err := c.Call(t.Context(), call)
		requireError(t, err, core.Uncertain, CodeUpstreamFailed)
		require.Equal(t, http.StatusInternalServerError, res.Status)
		require.Equal(t, int64(3), dials.Load())
	})
}

// TestRetriesHaveABudget: in an outage that the breaker does not see as one,
// an upstream gets a tenth more calls than it is offered, and a few.
func TestRetriesHaveABudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		c := inMemory(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Well") == "" {
				n++
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		const offered = 1000
		for range offered {
			_, err := c.Call(t.Context(), newCall(t, http.MethodGet, crm, ""))
			requireError(t, err, core.Uncertain, CodeUpstreamFailed)
			c.upstreams.list("")[0].count(nil, 0) // keeps the breaker closed
			c.upstreams.list("")[0].window = window{}
		}
		require.LessOrEqual(t, n, offered+offered/10+budgetBurst)
		require.GreaterOrEqual(t, n, offered+offered/10-1)
	})
}

// TestPausesAreUniform: chi-square of 1,000 pauses over 20 equal parts.
func TestPausesAreUniform(t *testing.T) {
	t.Parallel()
	for attempts, most := range map[int]time.Duration{1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 6: 5 * time.Second} {
		const parts, draws = 20, 1000
		var counts [parts]int
		for range draws {
			pause := backoff(attempts, random())
			require.GreaterOrEqual(t, pause, time.Duration(0))
			require.Less(t, pause, most)
			counts[int(pause*parts/most)]++
		}
		chi := 0.0
		for _, n := range counts {
			chi += math.Pow(float64(n)-draws/parts, 2) / (draws / parts)
		}
		require.Less(t, chi, 60.0, "19 degrees of freedom: one in a few million is higher")
	}
}

// TestCallerGivesUpDuringAPause ends the call at once.
func TestCallerGivesUpDuringAPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := inMemory(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		began := time.Now()
		_, err := c.Call(ctx, newCall(t, http.MethodGet, crm, ""))
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 3*time.Second, time.Since(began))
	})
}

// TestRetryAfterNeverHoldsACallUp: whatever the header says, the call ends
// within its deadline, with a figure from 0 to one hour for its caller.
func TestRetryAfterNeverHoldsACallUp(t *testing.T) {
	t.Parallel()
	for value, row := range map[string]struct {
		took, told time.Duration
		attempts   int
	}{
		"5":                             {10 * time.Second, 5 * time.Second, 3},
		"999999":                        {0, time.Hour, 1},
		"9999999999":                    {0, time.Hour, 1},
		"99999999999999999999":          {0, time.Hour, 1},
		"-1":                            {2 * time.Second, 0, 3},
		"soon":                          {2 * time.Second, 0, 3},
		"1.5":                           {2 * time.Second, 0, 3},
		"":                              {2 * time.Second, 0, 3},
		"date":                          {8 * time.Second, 0, 3},
		"Sat, 01 Jan 2000 00:00:00 GMT": {2 * time.Second, 0, 3},
		"Fri, 31 Dec 9999 23:59:59 GMT": {0, time.Hour, 1},
	} {
		t.Run(value, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				value := value
				if value == "date" {
					value = time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat)
				}
				attempts := 0
				c := inMemory(t, Options{Chance: func() float64 { return 0 }}, func(w http.ResponseWriter, _ *http.Request) {
					attempts++
					w.Header().Set("Retry-After", value)
					w.WriteHeader(http.StatusTooManyRequests)
				})
				began := time.Now()
				_, err := c.Call(t.Context(), newCall(t, http.MethodGet, crm, ""))
				e := requireError(t, err, core.Throttled, CodeUpstreamThrottled)
				require.Equal(t, row.told, e.RetryAfter)
				require.Equal(t, row.took, time.Since(began))
				require.Equal(t, row.attempts, attempts)
			})
		})
	}
}

// TestRequestsPerMinute: calls wait for their turn, or are told at once when
// that would take longer than their deadline.
func TestRequestsPerMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		c := inMemory(t, Options{}, func(http.ResponseWriter, *http.Request) { n++ })
		began := time.Now()
		for time.Since(began) < time.Minute {
			call := newCall(t, http.MethodPost, crm, "")
			call.Limits.RequestsPerMinute = 60
			_, err := c.Call(t.Context(), call)
			require.NoError(t, err)
		}
		require.LessOrEqual(t, n, 61)
		require.GreaterOrEqual(t, n, 58)
		call := newCall(t, http.MethodPost, crm, "")
		call.Limits.RequestsPerMinute = 60
		call.Deadline = 500 * time.Millisecond
		at := time.Now()
		_, err := c.Call(t.Context(), call)
		e := requireError(t, err, core.Throttled, CodeUpstreamThrottled)
		require.Equal(t, http.StatusServiceUnavailable, e.Status)
		require.InDelta(t, 1.1, e.RetryAfter.Seconds(), 0.1)
		require.Zero(t, time.Since(at))
		call.Deadline = 2 * time.Second
		_, err = c.Call(t.Context(), call)
		require.NoError(t, err, "what was refused used up nothing")
	})
}

// FuzzRetryAfter holds what a caller relies on, whatever the upstream writes.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{"5", "-1", "999999", "9999999999", "1e9", "", " 5", "Wed, 21 Oct 2015 07:28:00 GMT", strings.Repeat("9", 400)} {
		f.Add(value, int64(1445412480))
	}
	f.Fuzz(func(t *testing.T, value string, now int64) {
		d := retryAfter(value, time.Unix(now, 0))
		require.GreaterOrEqual(t, d, time.Duration(0))
		require.LessOrEqual(t, d, time.Hour)
	})
}
