package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"tandem/core"
)

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
		clock.Advance(time.Second)
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
