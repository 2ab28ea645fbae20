package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

// statusCodes are the codes of the answers that HTTP knows and core does not.
var statusCodes = map[int]string{
	http.StatusMethodNotAllowed:            "METHOD_NOT_ALLOWED",
	http.StatusRequestTimeout:              "REQUEST_TIMEOUT",
	http.StatusRequestEntityTooLarge:       "BODY_TOO_LARGE",
	http.StatusRequestURITooLong:           "URI_TOO_LONG",
	http.StatusUnsupportedMediaType:        "UNSUPPORTED_MEDIA_TYPE",
	http.StatusRequestHeaderFieldsTooLarge: "TOO_MANY_HEADERS",
}

// statusKinds are the kinds of echo's own errors; any other status below 500 is
// Invalid, any above Internal.
var statusKinds = map[int]core.Kind{
	http.StatusUnauthorized:       core.Unauthenticated,
	http.StatusForbidden:          core.Forbidden,
	http.StatusNotFound:           core.NotFound,
	http.StatusConflict:           core.Conflict,
	http.StatusTooManyRequests:    core.Throttled,
	http.StatusServiceUnavailable: core.Unavailable,
}

// status returns an Invalid error that HTTP has a number for.
func status(code int, format string, args ...any) *core.Error {
	e := core.Errorf(core.Invalid, format, args...)
	e.Status, e.Code = code, statusCodes[code]
	return e
}

func tooLarge(limit int64) *core.Error {
	return status(http.StatusRequestEntityTooLarge, "The body is larger than %d bytes.", limit)
}

func internal() *core.Error { return &core.Error{Kind: core.Internal} }

// Explain returns what to answer for any error, and with which status, of 400 to
// 599. What has no kind is Internal, and its text is for the log only.
func Explain(err error) (*core.Error, int) { return explain(err) }

func explain(err error) (*core.Error, int) {
	e, ok := errors.AsType[*core.Error](err)
	if !ok {
		e = foreign(err)
	}
	code := e.Status
	if code == 0 {
		code = core.Table[e.Kind].Status
	}
	if code < 400 || code > 599 {
		return internal(), http.StatusInternalServerError
	}
	return e, code
}

// foreign gives a kind to an error that has none.
func foreign(err error) *core.Error {
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		return fromHTTP(he)
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big.Limit)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return core.Errorf(core.Timeout, "The deadline passed.")
	}
	return internal()
}

func fromHTTP(he *echo.HTTPError) *core.Error {
	kind, known := statusKinds[he.Code]
	if !known {
		if kind = core.Invalid; he.Code >= http.StatusInternalServerError {
			kind = core.Internal
		}
	}
	// The text is the standard one: echo's own may quote the request.
	e := core.Errorf(kind, "%s.", http.StatusText(he.Code))
	if kind != core.Internal && he.Code != core.Table[kind].Status {
		e.Status, e.Code = he.Code, statusCodes[he.Code]
	}
	return e
}

// fail answers an error and logs it if it is the hub's fault. A caller that has
// gone is no fault.
func (s *Server) fail(c echo.Context, err error) {
	e, code := explain(err)
	ctx := c.Request().Context()
	if code >= http.StatusInternalServerError && ctx.Err() == nil {
		level := slog.LevelWarn
		if e.Kind == core.Internal {
			level = slog.LevelError
		}
		s.log.LogAttrs(ctx, level, "request failed",
			slog.String("requestId", RequestID(c)), slog.String("route", route(c)),
			slog.String("method", method(c.Request().Method)), slog.Int("status", code),
			slog.String("kind", string(e.Kind)), slog.String("error", err.Error()))
	}
	if !c.Response().Committed {
		answer(c, e, code)
	}
}

// RetryAfter sets the header that says when to come back, if the error knows: in
// whole seconds, never too early.
func RetryAfter(h http.Header, e *core.Error) {
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
}

// errorBody is the one form of a failure's answer.
type errorBody struct {
	Error errorText `json:"error"`
}

type errorText struct {
	Code      string        `json:"code"`
	Message   string        `json:"message"`
	Details   []core.Detail `json:"details"`
	RequestID string        `json:"requestId,omitempty"`
}

func answer(c echo.Context, e *core.Error, code int) {
	text := errorText{Code: e.Code, Message: e.Message, Details: e.Details, RequestID: RequestID(c)}
	if e.Kind == core.Internal {
		text.Message, text.Details = "Internal error. Quote the request id to your administrator.", nil
	}
	if text.Code == "" {
		text.Code = strings.ToUpper(string(e.Kind))
	}
	if text.Details == nil {
		text.Details = []core.Detail{}
	}
	h := c.Response().Header()
	RetryAfter(h, e)
	switch code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // else net/http reads the body before it sends the answer
	case http.StatusMethodNotAllowed:
		if allow, _ := c.Get(echo.ContextKeyHeaderAllow).(string); allow != "" {
			h.Set("Allow", strings.TrimPrefix(allow, "OPTIONS, ")) // echo's list begins with its own OPTIONS
		}
	}
	data, err := json.Marshal(errorBody{text})
	if err != nil {
		data = nil // strings and lists of strings always encode
	}
	h.Set("Content-Type", "application/json")
	h.Del("Content-Length") // a handler may have set its own before it failed
	c.Response().WriteHeader(code)
	if c.Request().Method != http.MethodHead {
		_, _ = c.Response().Write(data) // the caller has gone: nobody to tell
	}
}
