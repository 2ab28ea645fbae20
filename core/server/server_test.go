package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testClock is a clock that a test moves.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *testClock { return &testClock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
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

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{MaxBody: 100})
	cases := []struct {
		name, method, target string
		change               func(*http.Request)
		body                 string
		status               int
		code                 string
	}{
		{name: "fine", method: "POST", target: "/v1/tasks", body: "{}", status: 200},
		{name: "body at the limit", method: "POST", target: "/v1/tasks", body: strings.Repeat("x", 100), status: 200},
		{name: "body too large", method: "POST", target: "/v1/tasks", body: strings.Repeat("x", 101), status: 413, code: "BODY_TOO_LARGE"},
		{
			name: "chunked body too large", method: "POST", target: "/v1/tasks", body: strings.Repeat("x", 101), status: 413, code: "BODY_TOO_LARGE",
			change: func(r *http.Request) { r.ContentLength = -1 },
		},
		{
			name: "gzip", method: "POST", target: "/v1/tasks", body: "x", status: 415, code: "UNSUPPORTED_MEDIA_TYPE",
			change: func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		},
		{
			name: "identity", method: "POST", target: "/v1/tasks", body: "x", status: 200,
			change: func(r *http.Request) { r.Header.Set("Content-Encoding", "identity") },
		},
		{name: "long address", method: "GET", target: "/v1/tasks/" + strings.Repeat("x", 9000), status: 414, code: "URI_TOO_LONG"},
		{
			name: "many headers", method: "GET", target: "/v1/tasks/1", status: 431, code: "TOO_MANY_HEADERS",
			change: func(r *http.Request) {
				for i := range 101 {
					r.Header.Add("X-A", fmt.Sprint(i))
				}
			},
		},
		{name: "host", method: "GET", target: "/v1/tasks/1", status: 400, code: "INVALID", change: func(r *http.Request) { r.Host = "a b/c" }},
		{name: "TRACE", method: "TRACE", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{name: "CONNECT", method: "CONNECT", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{name: "OPTIONS", method: "OPTIONS", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{name: "unused method", method: "DELETE", target: "/v1/tasks", status: 405, code: "METHOD_NOT_ALLOWED"},
		{
			name: "no override", method: "POST", target: "/v1/tasks/1?_method=GET", status: 405, code: "METHOD_NOT_ALLOWED",
			change: func(r *http.Request) { r.Header.Set("X-HTTP-Method-Override", "GET") },
		},
		{name: "unknown route", method: "GET", target: "/v1/nothing", status: 404, code: "NOT_FOUND"},
		{name: "wildcard", method: "GET", target: "/console/a/b.css", status: 200},
		{name: "wildcard dots", method: "GET", target: "/console/../v1/tasks/1", status: 404, code: "NOT_FOUND"},
	}
	for _, path := range []string{
		"/v1/tasks%2f1", "/v1/tasks%2F1", "/v1%2ftasks/1", "/v1/tasks/a%2Fb", "/v1//tasks/1", "//v1/tasks/1", "/v1/../v1/tasks/1",
		"/v1/tasks/..", "/v1/tasks/%2e%2e", "/v1/./tasks/1", "/v1/tasks;a=1/1", "/v1/tasks/1;a", "/V1/tasks/1",
		"/v1/Tasks/1", "/v1/tasks/1/", "/v1/tasks/1/2", "/v1/%74asks/1", "/v1/tasks/a%00", "/v1/tasks/a%5cb", "/v1/tasks/a%0ab", "/v1/tasks/",
	} {
		cases = append(cases, struct {
			name, method, target string
			change               func(*http.Request)
			body                 string
			status               int
			code                 string
		}{name: path, method: "GET", target: path, status: 404, code: "NOT_FOUND"})
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tc.method, tc.target, strings.NewReader(tc.body))
			if tc.change != nil {
				tc.change(r)
			}
			rec := call(s, r)
			require.Equal(t, tc.status, rec.Code, rec.Body.String())
			require.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"))
			require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
			require.Len(t, rec.Header().Get("X-Request-Id"), 36)
			if tc.code != "" {
				require.Equal(t, tc.code, failureOf(t, rec).Error.Code)
			}
			if tc.status == 405 && tc.method == "OPTIONS" {
				require.Equal(t, "POST", rec.Header().Get("Allow"))
			}
		})
	}
}

func TestParametersAreUnescapedOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	for target, want := range map[string]string{
		"/v1/tasks/a%20b": "a b", "/v1/tasks/%c3%a9": "é", "/v1/tasks/%C3%A9": "é", "/v1/tasks/a%3Bb": "a;b",
		"/v1/tasks/100%25": "100%", "/v1/tasks/%2541%21": "%41!", "/v1/tasks/a..b": "a..b",
	} {
		rec := call(s, httptest.NewRequest("GET", target, nil))
		require.Equal(t, 200, rec.Code, target)
		require.Equal(t, want, rec.Body.String(), target)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	for _, tc := range []struct {
		header, value string
		kept          bool
	}{
		{"X-Request-Id", "abc.DEF_1-2", true},
		{"x-ms-client-request-id", "abc", true},
		{"X-Request-Id", strings.Repeat("a", 128), true},
		{"X-Request-Id", strings.Repeat("a", 129), false},
		{"X-Request-Id", "a b", false},
		{"X-Request-Id", "a\tb", false},
		{"X-Request-Id", "é", false},
		{"X-Request-Id", "", false},
	} {
		r := httptest.NewRequest("GET", "/v1/tasks/1", nil)
		r.Header.Set(tc.header, tc.value)
		got := call(s, r).Header().Get("X-Request-Id")
		require.Equal(t, tc.kept, got == tc.value, tc)
		require.NotEmpty(t, got)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tc := range []struct {
		name, remote, public string
		proxies              []netip.Prefix
		forwarded            []string
		proto                string
		want                 string
	}{
		{name: "direct", remote: "192.0.2.1:5", want: "http://hub.example:8080 192.0.2.1"},
		{name: "direct, spoofed", remote: "10.0.0.1:5", forwarded: []string{"1.1.1.1"}, proto: "https", want: "http://hub.example:8080 10.0.0.1"},
		{name: "stranger, spoofed", remote: "192.0.2.1:5", proxies: trusted, forwarded: []string{"1.1.1.1"}, proto: "https", want: "http://hub.example:8080 192.0.2.1"},
		{name: "proxy", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"8.8.8.8, 1.1.1.1"}, proto: "https", want: "https://hub.example:8080 1.1.1.1"},
		{name: "two proxies", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"8.8.8.8", "1.1.1.1 , 10.2.2.2"}, want: "http://hub.example:8080 1.1.1.1"},
		{name: "all proxies", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"10.3.3.3,10.2.2.2"}, want: "http://hub.example:8080 10.3.3.3"},
		{name: "garbage", remote: "10.0.0.1:5", proxies: trusted, forwarded: []string{"8.8.8.8, x, 10.2.2.2"}, want: "http://hub.example:8080 10.2.2.2"},
		{name: "no header", remote: "10.0.0.1:5", proxies: trusted, want: "http://hub.example:8080 10.0.0.1"},
		{name: "v6 with port", remote: "[fd00::1]:5", proxies: trusted, forwarded: []string{"[2001:db8::7]:99"}, want: "http://hub.example:8080 2001:db8::7"},
		{name: "mapped v4", remote: "[::ffff:10.0.0.1]:5", proxies: trusted, forwarded: []string{"1.1.1.1"}, want: "http://hub.example:8080 1.1.1.1"},
		{name: "public", remote: "10.0.0.1:5", public: "https://x.example/t/", proto: "http", want: "https://x.example/t 10.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, Options{PublicURL: tc.public, TrustedProxies: tc.proxies})
			r := httptest.NewRequest("GET", "http://hub.example:8080/v1/base", nil)
			r.RemoteAddr = tc.remote
			r.Header.Set("X-Real-IP", "9.9.9.9")
			r.Header.Set("X-Forwarded-Host", "evil.example")
			for _, f := range tc.forwarded {
				r.Header.Add("X-Forwarded-For", f)
			}
			if tc.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tc.proto)
			}
			require.Equal(t, tc.want, call(s, r).Body.String())
		})
	}
}

func TestValidHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"a": true, "a.example": true, "a:1": true, "1.2.3.4:80": true, "[::1]": true, "[::1]:80": true,
		"": false, "a:": false, "a:x": false, "a:123456": false, "a/b": false, "a@b": false, "::1": false,
		"[::1": false, "[::1]x": false, "a b": false, "a\r\nb": false, "[1.2.3.4]": false, "[fe80::1%25eth0]": false,
	} {
		require.Equal(t, want, validHost(host), host)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{PublicURL: "ftp://a"}, {PublicURL: "https://u:p@a"}, {PublicURL: "https://a?b"}, {PublicURL: "a"},
		{TLSCertFile: "x"}, {TLSKeyFile: "x"}, {TLSCertFile: "/nonexistent", TLSKeyFile: "/nonexistent"},
	} {
		_, err := New(o)
		require.Error(t, err, o)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	var b syncBuffer
	s := newServer(t, Options{Logger: logger(&b, slog.LevelInfo)})
	var err error
	s.Echo().GET("/fail/:secret", func(echo.Context) error { return err })
	get := func() *httptest.ResponseRecorder {
		return call(s, httptest.NewRequest("GET", "/fail/hush?sig=hush", nil))
	}
	for kind, meaning := range core.Table {
		err = fmt.Errorf("inside: %w", &core.Error{
			Kind: kind, Message: "for you", Details: []core.Detail{{Field: "a", Message: "b"}},
			RetryAfter: 1100 * time.Millisecond, Err: errors.New("SELECT hidden"),
		})
		rec := get()
		f := failureOf(t, rec)
		require.Equal(t, meaning.Status, rec.Code)
		require.Equal(t, strings.ToUpper(string(kind)), f.Error.Code)
		require.Equal(t, "2", rec.Header().Get("Retry-After"))
		require.NotContains(t, rec.Body.String(), "SELECT")
		if kind == core.Internal {
			require.Equal(t, "Internal error. Quote the request id to your administrator.", f.Error.Message)
			require.Empty(t, f.Error.Details)
		} else {
			require.Equal(t, "for you", f.Error.Message)
			require.Len(t, f.Error.Details, 1)
		}
		if kind == core.Unauthenticated {
			require.Equal(t, "Bearer", rec.Header().Get("WWW-Authenticate"))
		}
	}
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{&core.Error{Kind: core.Throttled, Code: "FAIR_USE_LIMIT", Message: "x"}, 429, "FAIR_USE_LIMIT"},
		{&core.Error{Kind: core.Invalid, Status: 422, Message: "x"}, 422, "INVALID"},
		{&core.Error{Kind: "made up", Message: "x"}, 500, "INTERNAL"},
		{&core.Error{Kind: core.Invalid, Status: 200, Message: "x"}, 500, "INTERNAL"},
		{echo.NewHTTPError(404, "/secret path"), 404, "NOT_FOUND"},
		{echo.NewHTTPError(418, "tea"), 418, "INVALID"},
		{echo.NewHTTPError(502, "hidden"), 500, "INTERNAL"},
		{echo.ErrUnauthorized, 401, "UNAUTHENTICATED"},
		{&http.MaxBytesError{Limit: 5}, 413, "BODY_TOO_LARGE"},
		{context.DeadlineExceeded, 504, "TIMEOUT"},
		{errors.New("pq: hidden"), 500, "INTERNAL"},
	} {
		err = tc.err
		rec := get()
		require.Equal(t, tc.status, rec.Code, tc.err)
		require.Equal(t, tc.code, failureOf(t, rec).Error.Code)
		require.NotContains(t, rec.Body.String(), "secret")
		require.NotContains(t, rec.Body.String(), "hidden")
	}
	require.NotContains(t, b.String(), "hush", "no raw path or query in the log")
	require.Contains(t, b.String(), `"route":"/fail/:secret"`)
	require.Equal(t, 1, strings.Count(b.String(), "pq: hidden"), "logged once")
	require.NotContains(t, b.String(), `"status":404`)
}

func TestGoneCallerIsNoFault(t *testing.T) {
	t.Parallel()
	var b syncBuffer
	s := newServer(t, Options{Logger: logger(&b, slog.LevelInfo)})
	ctx, cancel := context.WithCancel(context.Background())
	s.Echo().GET("/gone", func(c echo.Context) error {
		cancel()
		return c.Request().Context().Err()
	})
	call(s, httptest.NewRequest("GET", "/gone", nil).WithContext(ctx))
	require.Empty(t, b.String())
}

func TestHeadHasNoBody(t *testing.T) {
	t.Parallel()
	rec := call(newServer(t, Options{}), httptest.NewRequest("HEAD", "/v1/nothing", nil))
	require.Equal(t, 404, rec.Code)
	require.Empty(t, rec.Body.String())
}

func TestPanic(t *testing.T) {
	t.Parallel()
	var b syncBuffer
	s := newServer(t, Options{Logger: logger(&b, slog.LevelInfo)})
	rec := call(s, httptest.NewRequest("GET", "/panic", nil))
	require.Equal(t, 500, rec.Code)
	require.NotContains(t, rec.Body.String(), "boom")
	failureOf(t, rec)
	require.Contains(t, b.String(), "server_test.go")
	require.Contains(t, b.String(), `"level":"ERROR"`)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { call(s, httptest.NewRequest("GET", "/half", nil)) })
	require.Equal(t, 200, call(s, httptest.NewRequest("GET", "/v1/tasks/1", nil)).Code)
}

func TestObserveAndAccessLog(t *testing.T) {
	t.Parallel()
	var b syncBuffer
	var seen []string
	clock := newClock()
	s := newServer(t, Options{
		Logger: logger(&b, slog.LevelDebug), Clock: clock,
		Observe: func(route, method string, status int, d time.Duration) {
			seen = append(seen, fmt.Sprint(route, " ", method, " ", status, " ", d))
		},
	})
	s.Echo().GET("/slow", func(c echo.Context) error {
		clock.add(time.Second)
		SetCaller(c, core.Caller{Tenant: "contoso", UPN: "admin@contoso.example"})
		return c.NoContent(204)
	})
	for _, target := range []string{"/slow?sig=hush", "/v1/tasks/hush", "/hush"} {
		call(s, httptest.NewRequest("GET", target, nil))
	}
	call(s, httptest.NewRequest("BREW", "/hush", nil))
	require.Equal(t, []string{"/slow GET 204 1s", "/v1/tasks/:id GET 200 0s", "unmatched GET 404 0s", "unmatched OTHER 404 0s"}, seen)
	require.Contains(t, b.String(), `"caller":"admin@contoso.example"`)
	require.NotContains(t, b.String(), "hush")
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
	}, 5*time.Second, time.Millisecond, "no new connections")
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

func TestFraming(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, newServer(t, Options{MaxBody: 64}))
	const head = "POST /v1/tasks HTTP/1.1\r\nHost: a\r\n"
	const last = "GET /v1/tasks/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for name, raw := range map[string]string{
		"CL and TE":     head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TE and CL":     head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
		"two CL":        head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
		"same CL twice": head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
		"CL list":       head + "Content-Length: 2, 2\r\n\r\nab",
		"negative CL":   head + "Content-Length: -2\r\n\r\nab",
		"two TE":        head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"odd TE":        head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"TE in 1.0":     "POST /v1/tasks HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"bare LF":       "POST /v1/tasks HTTP/1.1\nHost: a\n\n",
		"bare LF field": "POST /v1/tasks HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
		"bare CR":       head + "X: a\rb\r\n\r\n",
		"obs-fold":      head + "X: a\r\n b\r\n\r\n",
		"chunk LF":      head + "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
		"chunk size":    head + "Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
		"name space":    head + "Content-Length : 2\r\n\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := exchange(t, addr, raw+last)
			require.Contains(t, got, "HTTP/1.1 400 ", name)
			require.NotContains(t, got, "last")
		})
	}
	t.Run("honest", func(t *testing.T) {
		t.Parallel()
		got := exchange(t, addr, head+"Content-Length: 2\r\n\r\nab"+
			head+"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\nA\r\n0123456789\r\n0\r\nT: v\r\n\r\n"+
			head+"\r\n"+last)
		require.Equal(t, 4, strings.Count(got, "HTTP/1.1 200 OK"), got)
		require.True(t, strings.HasSuffix(got, "last"))
	})
	t.Run("413 without reading", func(t *testing.T) {
		t.Parallel()
		for _, raw := range []string{
			head + "Content-Length: 65\r\n\r\n",
			head + "Transfer-Encoding: chunked\r\n\r\n50\r\n" + strings.Repeat("x", 80),
		} {
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = io.WriteString(c, raw)
			require.NoError(t, err)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			require.Equal(t, 413, res.StatusCode)
			require.True(t, res.Close)
			require.NoError(t, c.Close())
		}
	})
	t.Run("header bytes", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, exchange(t, addr, head+"X: "+strings.Repeat("x", 38<<10)+"\r\n\r\n"), " 431 ")
	})
	t.Run("OPTIONS *", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, exchange(t, addr, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), " 404 ")
	})
}

// FuzzFraming holds the byte-wise and the one-gulp reading against each other.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var whole, single framing
		want, got := whole.feed(data), true
		for i := range data {
			if got = single.feed(data[i : i+1]); !got {
				break
			}
		}
		require.Equal(t, want, got)
	})
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
