package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

const (
	headerRequestID = "X-Request-Id"
	maxRequestID    = 128
	maxURL          = 8 << 10
	maxHeaders      = 100
	callerKey       = "tandem.caller"
)

// Shared header values: net/http only reads them, and Header.Set and Add put a
// new slice in their place.
var (
	nosniff = []string{"nosniff"}
	noStore = []string{"no-store"}
)

// front is the only middleware, because each costs an allocation a request: it
// stands around every route, the unknown ones too.
func (s *Server) front(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := s.clock.Now()
		h := c.Response().Header()
		h[headerRequestID] = []string{requestID(c.Request().Header, began)}
		h["X-Content-Type-Options"] = nosniff
		h["Cache-Control"] = noStore
		abort := s.handle(c, next)
		s.finish(c, s.clock.Now().Sub(began))
		if abort {
			panic(http.ErrAbortHandler) //nolint:forbidigo // net/http takes it for "cut the connection"
		}
		return nil
	}
}

// handle runs the route and answers its error. It returns true when the
// connection must be cut because half an answer is out.
func (s *Server) handle(c echo.Context, next echo.HandlerFunc) (abort bool) {
	defer func() {
		if v := recover(); v != nil {
			abort = s.recovered(c, v)
		}
	}()
	err := s.refuse(c)
	if err == nil {
		err = next(c)
	}
	if err != nil {
		s.fail(c, err)
	}
	return false
}

func (s *Server) recovered(c echo.Context, v any) (abort bool) {
	if v == http.ErrAbortHandler { //nolint:errorlint,err113 // a panic value, never wrapped
		return true
	}
	s.log.LogAttrs(context.WithoutCancel(c.Request().Context()), slog.LevelError, "panic in a request",
		slog.String("requestId", RequestID(c)), slog.String("route", route(c)),
		slog.String("method", method(c.Request().Method)),
		slog.String("panic", fmt.Sprint(v)), slog.String("stack", string(debug.Stack())))
	if c.Response().Committed {
		return true
	}
	answer(c, internal(), http.StatusInternalServerError)
	return false
}

// refuse returns the error for a request that no handler should see.
func (s *Server) refuse(c echo.Context) error {
	r := c.Request()
	switch {
	case r.Method == http.MethodTrace || r.Method == http.MethodConnect,
		r.Method == http.MethodOptions && c.Get(echo.ContextKeyHeaderAllow) != nil:
		return echo.ErrMethodNotAllowed
	case len(r.RequestURI) > maxURL:
		return status(http.StatusRequestURITooLong, "The address is longer than %d bytes.", maxURL)
	case tooManyHeaders(r.Header):
		return status(http.StatusRequestHeaderFieldsTooLarge, "More than %d header fields.", maxHeaders)
	case s.public == "" && !validHost(r.Host):
		return core.InvalidField("Host", "expected host[:port]")
	case !onePath(c, r.URL):
		return echo.ErrNotFound
	case encoded(r.Header["Content-Encoding"]):
		return status(http.StatusUnsupportedMediaType, "Encoded bodies are not accepted.")
	case r.ContentLength > s.maxBody:
		r.Body = overlong{s.maxBody}
		c.Response().Header().Set("Connection", "close") // else net/http may read it before it sends the answer
	case r.ContentLength < 0:
		r.Body = http.MaxBytesReader(c.Response().Writer, r.Body, s.maxBody)
	}
	return nil
}

func tooManyHeaders(h http.Header) bool {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n > maxHeaders
}

func encoded(values []string) bool {
	for _, v := range values {
		if v != "" && !strings.EqualFold(v, "identity") {
			return true
		}
	}
	return false
}

// onePath tells whether the path is written in its only spelling, and undoes
// the escapes in the route's parameters where the router left them.
func onePath(c echo.Context, u *url.URL) bool {
	raw := u.RawPath
	if raw == "" {
		raw = u.Path
	} else if hasFold(raw, "%2f") {
		return false
	}
	if strings.Contains(raw, "//") || strings.IndexByte(raw, ';') >= 0 || strings.IndexByte(u.Path, '\\') >= 0 {
		return false
	}
	if strings.Contains(u.Path, "/.") {
		for seg := range strings.SplitSeq(u.Path, "/") {
			if seg == "." || seg == ".." {
				return false
			}
		}
	}
	for i := range len(u.Path) {
		if u.Path[i] < 0x20 || u.Path[i] == 0x7f {
			return false
		}
	}
	// The router takes the rest of a path, slashes and all, for a parameter at
	// the end of a template.
	template := c.Path()
	if template != "" && !strings.HasSuffix(template, "*") && strings.Count(template, "/") != strings.Count(raw, "/") {
		return false
	}
	return u.RawPath == "" || unescapeParams(c)
}

func hasFold(s, lower string) bool {
	return strings.Contains(strings.ToLower(s), lower)
}

func unescapeParams(c echo.Context) bool {
	values := make([]string, len(c.ParamNames()))
	for i, v := range c.ParamValues()[:len(values)] {
		plain, err := url.PathUnescape(v)
		if err != nil {
			return false
		}
		values[i] = plain
	}
	c.SetParamValues(values...)
	return true
}

// finish tells the metrics and, at debug level only, the log.
func (s *Server) finish(c echo.Context, d time.Duration) {
	r := c.Request()
	if s.observe != nil {
		s.observe(route(c), method(r.Method), c.Response().Status, d)
	}
	if !s.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	caller, _ := c.Get(callerKey).(core.Caller)
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "request",
		slog.String("route", route(c)), slog.String("method", method(r.Method)),
		slog.Int("status", c.Response().Status), slog.Duration("duration", d),
		slog.String("requestId", RequestID(c)), slog.String("client", ClientIP(c)),
		slog.String("tenant", caller.Tenant), slog.String("caller", caller.UPN))
}

// SetCaller notes who calls, for the access log.
func SetCaller(c echo.Context, caller core.Caller) { c.Set(callerKey, caller) }

// RequestID returns the id under which the request is logged and answered.
func RequestID(c echo.Context) string {
	if v := c.Response().Header()[headerRequestID]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// OwnID is RequestID, but never one that the caller chose: that may come twice,
// and runs need one of their own.
func OwnID(c echo.Context, now time.Time) string {
	id := RequestID(c)
	for _, name := range callersIDs {
		if id == "" || id == c.Request().Header.Get(name) {
			return core.NewID(now)
		}
	}
	return id
}

// callersIDs are the headers by which callers name their requests.
var callersIDs = [...]string{headerRequestID, "X-Ms-Client-Request-Id"}

// requestID takes the caller's id if it is harmless, else makes one.
func requestID(h http.Header, now time.Time) string {
	for _, name := range callersIDs {
		if v := h[name]; len(v) > 0 && harmless(v[0]) {
			return v[0]
		}
	}
	return core.NewID(now)
}

func harmless(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if b := id[i]; !isAlnum(b) && b != '.' && b != '_' && b != '-' {
			return false
		}
	}
	return true
}

// route returns the template of the request's route: paths hold secrets, and
// any number of them.
func route(c echo.Context) string {
	if p := c.Path(); p != "" {
		return p
	}
	return "unmatched"
}

func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodConnect:
		return m
	}
	return "OTHER"
}
