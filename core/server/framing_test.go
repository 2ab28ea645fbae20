package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
	t.Run("an answer without reading what is too large", func(t *testing.T) {
		t.Parallel()
		require.Contains(t, exchange(t, addr, "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n"), " 404 ")
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
