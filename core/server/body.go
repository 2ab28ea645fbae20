package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

// readBody is a request's body once it was read whole.
type readBody struct {
	bytes.Reader

	data []byte
}

// Close does nothing: the body is in memory.
func (*readBody) Close() error { return nil }

// overlong is a body that says itself that it is above the limit: the route that
// wants it answers so in its own form.
type overlong struct{ limit int64 }

func (b overlong) Read([]byte) (int, error) { return 0, &http.MaxBytesError{Limit: b.limit} }

// Close does nothing: the connection is cut, and nobody reads what still comes.
func (overlong) Close() error { return nil }

// ReadBody returns the request's body as it was sent; it may be called more
// than once. The bytes are the request's own, must not be changed, and may be
// kept. Errors are Invalid, with status 413 above the limit and 408 for a
// caller that is too slow.
func ReadBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	switch b := r.Body.(type) {
	case nil:
		return nil, nil
	case *readBody:
		return b.data, nil
	case overlong:
		return nil, tooLarge(b.limit)
	}
	data, err := readAll(r)
	if err != nil {
		return nil, unreadable(err)
	}
	b := &readBody{data: data}
	b.Reset(data)
	r.Body = b
	return data, nil
}

func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(r.Body) // bounded by the front
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	data := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, data)
	return data, err
}

func unreadable(err error) error {
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		e := status(http.StatusRequestTimeout, "The body did not arrive in time.")
		e.Err = err
		return e
	}
	return core.Wrap(core.Invalid, err, "The body could not be read.")
}

// DecodeJSON reads the body as one JSON document into v, as UnmarshalStrict
// does. Errors are Invalid, with status 415 for another media type; an empty
// body is one.
func DecodeJSON(c echo.Context, v any) error {
	found, err := DecodeOptionalJSON(c, v)
	if err == nil && !found {
		return core.InvalidField(root, "expected a JSON document, got nothing")
	}
	return err
}

// DecodeOptionalJSON is DecodeJSON for a body that may be missing: it returns
// false then, and leaves v alone.
func DecodeOptionalJSON(c echo.Context, v any) (bool, error) {
	data, err := ReadBody(c)
	if err != nil {
		return false, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return false, nil
	}
	if !isJSON(c.Request().Header) {
		return false, status(http.StatusUnsupportedMediaType, "Content-Type: expected application/json.")
	}
	return true, UnmarshalStrict(data, v)
}

// EncodeJSON writes JSON as short as it gets: letters that only HTML minds stay as
// they are. v must be something that can be encoded, else it is null.
func EncodeJSON(v any) []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null")
	}
	return bytes.TrimRight(text.Bytes(), "\n")
}

func isJSON(h http.Header) bool {
	values := h["Content-Type"]
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	switch values[0] {
	case "application/json", "application/json; charset=utf-8":
		return true
	}
	media, params, err := mime.ParseMediaType(values[0])
	if err != nil {
		return false
	}
	if charset, given := params["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}
