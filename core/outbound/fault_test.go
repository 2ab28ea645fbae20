package outbound

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

func TestFaults(t *testing.T) {
	t.Parallel()
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	release := make(chan struct{})
	address := rawServer(t, func(conn net.Conn, line string) {
		switch {
		case strings.Contains(line, "/hang"):
			<-release
		case strings.Contains(line, "/drip"):
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
			<-release
		case strings.Contains(line, "/echo"):
			_, _ = io.WriteString(conn, line)
		case strings.Contains(line, "/short"):
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
		}
	})
	t.Cleanup(func() { close(release) })
	c := newClient(t, Options{AllowHosts: []string{address, closed.Addr().String(), "nowhere.invalid:80"}, Timeout: time.Second})
	for _, c2 := range []struct {
		url  string
		want core.Kind
	}{
		{"http://" + closed.Addr().String(), core.Unavailable},
		{"https://" + closed.Addr().String(), core.Unavailable},
		{"http://" + address + "/hang", core.Timeout},
		{"http://" + address + "/drip", core.Timeout},
		{"http://" + address + "/close", core.Uncertain},
		{"http://" + address + "/echo", core.Uncertain},
		{"http://" + address + "/short", core.Uncertain},
		{"https://" + address + "/tls", core.Unavailable},
		{"http://8.8.8.8", core.Forbidden},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := NewRequest(t.Context(), method, c2.url+"/secret?sig=secret", []byte("{}"))
			require.NoError(t, err)
			_, err = c.Do(req)
			require.Equal(t, c2.want, core.KindOf(err), "%s: %v", c2.url, err)
			require.NotContains(t, err.Error(), "secret")
			require.Contains(t, err.Error(), req.URL.Scheme+"://"+req.URL.Host)
			if c2.want == core.Timeout {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
		}
	}
}

func TestNameFault(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("no name server")
	}}})
	req := &http.Request{Method: http.MethodGet, Header: http.Header{}, URL: &url.URL{
		Scheme: "https", Host: "nowhere.example", Path: "/secret", User: url.UserPassword("u", "secret"),
	}}
	_, err := c.Do(req)
	require.Equal(t, core.Unavailable, core.KindOf(err))
	require.NotContains(t, err.Error(), "secret")
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	c, base := serve(t, Options{}, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := NewRequest(ctx, http.MethodGet, base+"/secret", nil)
	require.NoError(t, err)
	go func() {
		<-arrived
		cancel()
	}()
	_, err = c.Do(req)
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, err.Error(), "secret")
}

// TestDeadPooledConnection: a server that went away between two calls got
// nothing of the second, whatever the first one's connection seemed to accept.
func TestDeadPooledConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	c := newClient(t, Options{AllowHosts: []string{server.Listener.Addr().String()}})
	_, err := get(t, c, server.URL+"/")
	require.NoError(t, err)
	server.Close()
	_, err = get(t, c, server.URL+"/")
	require.Equal(t, core.Unavailable, core.KindOf(err), "%v", err)
}
