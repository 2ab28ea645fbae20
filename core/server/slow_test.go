package server

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

// TestListenerHasLimits asks the server that Serve runs for its own limits: one
// that is not set would be endless.
func TestListenerHasLimits(t *testing.T) {
	t.Parallel()
	s := newServer(t, Options{})
	got := make(chan *http.Server, 1)
	s.Echo().GET("/limits", func(c echo.Context) error {
		srv, _ := c.Request().Context().Value(http.ServerContextKey).(*http.Server)
		got <- srv
		return c.NoContent(http.StatusNoContent)
	})
	addr, _ := serve(t, s)
	require.Contains(t, exchange(t, addr, "GET /limits HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "204 No Content")
	srv := <-got
	require.NotNil(t, srv)
	require.Equal(t, 5*time.Second, srv.ReadHeaderTimeout)
	require.Equal(t, 30*time.Second, srv.ReadTimeout)
	require.Equal(t, 150*time.Second, srv.WriteTimeout)
	require.Equal(t, time.Minute, srv.IdleTimeout)
	require.Equal(t, 32<<10, srv.MaxHeaderBytes)
}

// TestSlowHeaderIsCut holds a connection open with half a header. What ends it is
// the limit of headers: that of whole requests is later than the test waits.
func TestSlowHeaderIsCut(t *testing.T) {
	t.Parallel()
	addr, _ := serve(t, newServer(t, Options{}))
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = c.Close() }()
	require.NoError(t, c.SetDeadline(time.Now().Add(readTimeout-5*time.Second)))
	_, err = io.WriteString(c, "GET /v1/base HTTP/1.1\r\nHost: a\r\nX-Slow: ")
	require.NoError(t, err)
	answer, err := io.ReadAll(c)
	require.NoError(t, err, "the server ends the connection")
	require.NotContains(t, string(answer), "200 OK")
}
