package outbound

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"tandem/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// serve starts a plain server and returns a client that may call it.
func serve(t *testing.T, o Options, handler http.HandlerFunc) (*Client, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o.AllowHosts = append(o.AllowHosts, server.Listener.Addr().String())
	return newClient(t, o), server.URL
}

func get(t *testing.T, c *Client, url string) (*Response, error) {
	t.Helper()
	req, err := NewRequest(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return c.Do(req)
}

// rawServer gives every connection to handle and closes it afterwards. The
// first line has been read then.
func rawServer(t *testing.T, handle func(conn net.Conn, line string)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = conn.Close() }()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				handle(conn, line)
				// Closing with unread bytes would reset the connection and may
				// take the answer with it.
				_ = conn.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // a TCP listener
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		all.Wait()
	})
	return listener.Addr().String()
}

func TestCanaryIsNeverConnected(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		canary, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
		if err != nil && host == "::1" {
			continue // a machine without IPv6 has nothing to protect here
		}
		require.NoError(t, err)
		defer func() { _ = canary.Close() }()
		_, port, err := net.SplitHostPort(canary.Addr().String())
		require.NoError(t, err)
		hosts := []string{host, "localhost", "LOCALHOST", "::ffff:127.0.0.1", "0.0.0.0", "::"}
		// Allowed on another port only: no use for the canary's.
		c := newClient(t, Options{AllowHosts: []string{"localhost:1", net.JoinHostPort(host, "1"), "elsewhere:" + port}})
		for _, name := range hosts {
			for _, scheme := range []string{"http://", "https://"} {
				_, err := get(t, c, scheme+net.JoinHostPort(name, port)+"/")
				requireRefused(t, err, name)
				resp, err := c.HTTPClient().Get(scheme + net.JoinHostPort(name, port) + "/")
				if err == nil {
					_ = resp.Body.Close()
				}
				requireRefused(t, err, name)
			}
		}
		// The first connection that the canary sees is our own.
		own, err := new(net.Dialer).DialContext(t.Context(), "tcp", canary.Addr().String())
		require.NoError(t, err)
		defer func() { _ = own.Close() }()
		seen, err := canary.Accept()
		require.NoError(t, err)
		defer func() { _ = seen.Close() }()
		require.Equal(t, own.LocalAddr().String(), seen.RemoteAddr().String())
	}
}

func TestAllowedByTextOnly(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().(*net.TCPAddr) //nolint:forcetypeassert // a TCP listener
	port := strconv.Itoa(address.Port)
	c := newClient(t, Options{AllowHosts: []string{"LocalHost:" + port}})
	_, err := get(t, c, "http://LOCALHOST:"+port+"/")
	require.NoError(t, err)
	_, err = get(t, c, "http://127.0.0.1:"+port+"/")
	requireRefused(t, err, "the address of an allowed name")
}

// resolver answers every question for an A record with one address.
func resolver(t *testing.T, answer netip.Addr, asked *atomic.Int64) *net.Resolver {
	t.Helper()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			asked.Add(1)
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
					Body:   &dnsmessage.AResource{A: answer.As4()},
				}}
			}
			if reply, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(reply, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func TestNameThatResolvesInside(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	for _, inside := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254"} {
		c := newClient(t, Options{Resolver: resolver(t, netip.MustParseAddr(inside), &asked)})
		_, err := get(t, c, "https://prod.logic.azure.com/secret?sig=secret")
		requireRefused(t, err, inside)
		require.NotContains(t, err.Error(), "secret")
		require.NotContains(t, err.(*core.Error).Message, inside) //nolint:errorlint // the type itself is asked
		require.Contains(t, err.Error(), "https://prod.logic.azure.com")
	}
	require.GreaterOrEqual(t, asked.Load(), int64(3))
}

func TestRequestLineIsExact(t *testing.T) {
	t.Parallel()
	lines := make(chan string, 1)
	address := rawServer(t, func(conn net.Conn, line string) {
		lines <- line
		_, _ = io.WriteString(conn, "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	})
	c := newClient(t, Options{AllowHosts: []string{address}})
	for _, target := range []string{
		"/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=AbC-_d%2Be%2fF%3D",
		"/triggers/a%2Fb%2fc%20d/versions/0858%7E~/run?sp=%2Ftriggers%2Frun%2C%2Ftriggers%2Fread&sig=x+y%20z;a=b",
		"//double/../dot/./a;b=c/!$&'()*+,=:@[]?",
		"/?&&=?/",
		"/",
	} {
		req, err := NewRequest(t.Context(), http.MethodPost, "http://"+address+target, []byte("{}"))
		require.NoError(t, err, target)
		resp, err := c.Do(req)
		require.NoError(t, err)
		require.Equal(t, 202, resp.Status)
		require.Equal(t, "POST "+target+" HTTP/1.1\r\n", <-lines)
	}
}

func TestRedirectIsAnAnswer(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	resp, err := get(t, c, base+"/a")
	require.NoError(t, err)
	require.Equal(t, 307, resp.Status)
	require.Equal(t, "/elsewhere", resp.Header.Get("Location"))

	plain, err := c.HTTPClient().Get(base + "/a")
	require.NoError(t, err)
	require.NoError(t, plain.Body.Close())
	require.Equal(t, 307, plain.StatusCode)
	require.Equal(t, int64(2), hits.Load())
}

func TestProxyFromEnvironmentIsIgnored(t *testing.T) {
	t.Parallel()
	require.Nil(t, newClient(t, Options{}).transport.next.Proxy)
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	packed := gzip.NewWriter(&bomb)
	_, err := io.CopyN(packed, zeros{}, 64<<20)
	require.NoError(t, err)
	require.NoError(t, packed.Close())
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bomb" {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
			return
		}
		n, _ := strconv.Atoi(r.URL.Path[1:])
		_, _ = w.Write(make([]byte, n))
	})
	for _, c2 := range []struct {
		path string
		want int
		cut  bool
	}{
		{"/0", 0, false},
		{"/65535", 65535, false},
		{"/65536", 65536, false},
		{"/65537", 65536, true},
		{"/5000000", 65536, true},
		{"/bomb", 65536, true},
	} {
		resp, err := get(t, c, base+c2.path)
		require.NoError(t, err, c2.path)
		require.Len(t, resp.Body, c2.want, c2.path)
		require.Equal(t, c2.cut, resp.Truncated, c2.path)
	}
	plain, err := c.HTTPClient().Get(base + "/bomb")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, plain.Body)
	require.NoError(t, plain.Body.Close())
	require.Error(t, err)
	require.Equal(t, int64(maxClientBody), n)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		w.Header().Set("X-Large", strings.Repeat("a", n))
	})
	_, err := get(t, c, base+"/60000")
	require.NoError(t, err)
	_, err = get(t, c, base+"/70000")
	require.Equal(t, core.Uncertain, core.KindOf(err))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok")
	}))
	server.Config.ErrorLog = quiet()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	allow := []string{server.Listener.Addr().String()}

	resp, err := get(t, newClient(t, Options{AllowHosts: allow, RootCAs: pool}), server.URL+"/")
	require.NoError(t, err)
	require.Equal(t, "ok", string(resp.Body))

	_, err = get(t, newClient(t, Options{AllowHosts: allow}), server.URL+"/secret?secret")
	require.Equal(t, core.Unavailable, core.KindOf(err))
	require.NotContains(t, err.Error(), "secret")
	require.Contains(t, err.Error(), "certificate")

	_, err = get(t, newClient(t, Options{RootCAs: pool}), server.URL+"/")
	requireRefused(t, err, "a good certificate opens no door")
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	const calls, rounds = 64, 5
	var opened atomic.Int64
	var mu sync.Mutex
	waiting, gate := 0, make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		// All calls of a round are in flight at once.
		mu.Lock()
		mine := gate
		if waiting++; waiting == calls {
			waiting, gate = 0, make(chan struct{})
			close(mine)
		}
		mu.Unlock()
		<-mine
		_, _ = io.WriteString(w, "done")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c := newClient(t, Options{AllowHosts: []string{server.Listener.Addr().String()}})
	for range rounds {
		errs := make(chan error, calls)
		for range calls {
			go func() {
				req, err := NewRequest(t.Context(), http.MethodPost, server.URL+"/", []byte("{}"))
				if err == nil {
					_, err = c.Do(req)
				}
				errs <- err
			}()
		}
		for range calls {
			require.NoError(t, <-errs)
		}
	}
	require.Equal(t, int64(calls), opened.Load())
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
