package outbound

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// answering is an upstream with an answer of a common size.
func answering(b *testing.B) *httptest.Server {
	body := `{"items":[` + strings.Repeat(`{"id":1},`, 100) + `{}]}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	b.Cleanup(server.Close)
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

// BenchmarkBareClient is what BenchmarkCall is held against.
func BenchmarkBareClient(b *testing.B) {
	server := answering(b)
	client := server.Client()
	measure(b, func() {
		req, err := NewRequest(b.Context(), http.MethodPost, server.URL, []byte("{}"))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer token-0")
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
	})
}

// BenchmarkCall is the whole chain with a token at hand.
func BenchmarkCall(b *testing.B) {
	server := answering(b)
	c, err := New(Options{
		AllowHosts: []string{server.Listener.Addr().String()}, Authorizer: &fakeAuthorizer{},
		Observe: func(Attempt) {}, Changed: func(Upstream) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	measure(b, func() {
		call := newCall(b, http.MethodPost, server.URL, "{}")
		call.Credential = credential
		call.Limits.RequestsPerMinute = 1 << 40
		if _, err := c.Call(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	})
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
