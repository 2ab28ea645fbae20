package outbound

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// answering is an upstream with an answer of a common size.
func answering(tb testing.TB) *httptest.Server {
	tb.Helper()
	body := `{"items":[` + strings.Repeat(`{"id":1},`, 100) + `{}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	tb.Cleanup(server.Close)
	return server
}

// measure reports the median beside the mean.
func measure(b *testing.B, f func()) {
	b.ReportAllocs()
	for range 100 {
		f()
	}
	var times []time.Duration
	for b.Loop() {
		began := time.Now()
		f()
		times = append(times, time.Since(began))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds()), "p50-ns")
}

// bare returns one call by a client of net/http, which is what one by Call is
// held against.
func bare(tb testing.TB) func() {
	server := answering(tb)
	client := server.Client()
	return func() {
		req, err := NewRequest(tb.Context(), http.MethodPost, server.URL, []byte("{}"))
		if err != nil {
			tb.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer token-0")
		res, err := client.Do(req)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err != nil {
			tb.Fatal(err)
		}
		_ = res.Body.Close()
	}
}

// whole returns one call by the whole chain with a token at hand.
func whole(tb testing.TB) func() {
	server := answering(tb)
	c, err := New(Options{
		AllowHosts: []string{server.Listener.Addr().String()}, Authorizer: &fakeAuthorizer{},
		Observe: func(Attempt) {}, Changed: func(Upstream) {},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return func() {
		call := newCall(tb, http.MethodPost, server.URL, "{}")
		call.Credential = credential
		call.Limits.RequestsPerMinute = 1 << 40
		if _, err := c.Call(tb.Context(), call); err != nil {
			tb.Fatal(err)
		}
	}
}

func BenchmarkBareClient(b *testing.B) { measure(b, bare(b)) }

func BenchmarkCall(b *testing.B) { measure(b, whole(b)) }

// TestCallAllocatesLittle is not parallel: allocations are counted for the whole
// process, the servers' included, which do the same for both.
func TestCallAllocatesLittle(t *testing.T) {
	const runs, most = 300, 40
	alone := testing.AllocsPerRun(runs, bare(t))
	chained := testing.AllocsPerRun(runs, whole(t))
	t.Logf("a call allocates %.0f times, a bare client %.0f", chained, alone)
	require.LessOrEqual(t, chained, alone+most, "allocations of a call, and those of a bare client plus %d", most)
}

// BenchmarkOpenBreaker is a call that is refused because the upstream is down.
func BenchmarkOpenBreaker(b *testing.B) {
	c, err := New(Options{AllowHosts: []string{"127.0.0.1:1"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	call := newCall(b, http.MethodPost, "http://127.0.0.1:1", "{}")
	for range tripInRow {
		_, _ = c.Call(b.Context(), call)
	}
	measure(b, func() {
		if _, err := c.Call(b.Context(), call); err == nil {
			b.Fatal("not refused")
		}
	})
}
