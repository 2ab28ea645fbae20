package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/coretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClock() *coretest.Clock {
	return coretest.NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
}

// syncBuffer is a log's end that several goroutines may write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func logger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

func newServer(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Clock == nil {
		o.Clock = newClock()
	}
	s, err := New(o)
	require.NoError(t, err)
	e := s.Echo()
	e.POST("/v1/tasks", func(c echo.Context) error {
		if _, err := ReadBody(c); err != nil {
			return err
		}
		return c.NoContent(http.StatusOK)
	})
	e.GET("/v1/tasks/:id", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("id")) })
	e.GET("/v1/base", func(c echo.Context) error { return c.String(http.StatusOK, s.BaseURL(c)+" "+ClientIP(c)) })
	e.GET("/console/*", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("*")) })
	e.GET("/panic", func(echo.Context) error { panic("boom") })
	e.GET("/half", func(c echo.Context) error {
		_ = c.String(http.StatusOK, "half")
		panic("boom")
	})
	return s
}

func call(s *Server, r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	s.Echo().ServeHTTP(rec, r)
	return rec
}

type failure struct {
	Error struct {
		Code, Message, RequestID string
		Details                  []core.Detail
	}
}

func failureOf(t *testing.T, rec *httptest.ResponseRecorder) failure {
	t.Helper()
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	var f failure
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &f), rec.Body.String())
	require.Equal(t, rec.Header().Get("X-Request-Id"), f.Error.RequestID)
	return f
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{PublicURL: "ftp://a"},
		{PublicURL: "https://u:p@a"},
		{PublicURL: "https://a?b"},
		{PublicURL: "a"},
		{TLSCertFile: "x"},
		{TLSKeyFile: "x"},
		{TLSCertFile: "/nonexistent", TLSKeyFile: "/nonexistent"},
	} {
		_, err := New(o)
		require.Error(t, err, o)
	}
}

// serve runs a server on a loopback port until the test ends.
func serve(t *testing.T, s *Server) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

func TestServeEndsCleanly(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	entered, leave := make(chan struct{}), make(chan struct{})
	s.Echo().GET("/wait", func(c echo.Context) error {
		close(entered)
		<-leave
		return c.String(200, "done")
	})
	addr, stop := serve(t, s)
	answered := make(chan string, 1)
	go func() {
		answered <- exchange(t, addr, "GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, 20*time.Second, time.Millisecond, "no new connections")
	close(leave)
	require.Contains(t, <-answered, "done")
	require.NoError(t, <-stopped)
}

func TestServeCutsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	s.grace = 20 * time.Millisecond
	entered := make(chan struct{})
	s.Echo().GET("/wait", func(c echo.Context) error {
		close(entered)
		<-c.Request().Context().Done()
		return nil
	})
	addr, stop := serve(t, s)
	go func() { exchange(t, addr, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") }()
	<-entered
	require.ErrorIs(t, stop(), context.DeadlineExceeded)
}

// exchange sends raw bytes and returns all that comes back.
func exchange(t *testing.T, addr, raw string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(c, raw)
	data, _ := io.ReadAll(bufio.NewReader(c))
	return string(data)
}

func BenchmarkEmptyPost(b *testing.B) {
	s, err := New(Options{Observe: func(string, string, int, time.Duration) {}, Logger: logger(io.Discard, slog.LevelInfo)})
	require.NoError(b, err)
	s.Echo().POST("/v1/tasks", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	r := httptest.NewRequest("POST", "/v1/tasks", nil)
	r.Header.Set("X-Api-Key", "tdm_x")
	r.Header.Set("User-Agent", "azure-logic-apps/1.0")
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		s.Echo().ServeHTTP(w, r)
	}
}

// BenchmarkEmptyPostBare is echo alone, to tell the front's own cost.
func BenchmarkEmptyPostBare(b *testing.B) {
	e := echo.New()
	e.POST("/v1/tasks", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	r := httptest.NewRequest("POST", "/v1/tasks", nil)
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		e.ServeHTTP(w, r)
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
