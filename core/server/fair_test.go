package server

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConnectionsPerAddress(t *testing.T) {
	t.Parallel()
	for _, trusted := range []proxies{nil, {netip.MustParsePrefix("127.0.0.0/8")}} {
		inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		l := newFairListener(inner, 2, trusted)
		t.Cleanup(func() { _ = l.Close() })
		accepted := make(chan net.Conn, 8)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					close(accepted)
					return
				}
				accepted <- c
			}
		}()
		dial := func(from string) net.Conn {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
			c, err := d.DialContext(t.Context(), "tcp", inner.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		dial("127.0.0.1")
		first := <-accepted
		dial("127.0.0.1")
		<-accepted
		third := dial("127.0.0.1")
		if trusted != nil {
			<-accepted
			continue
		}
		_, err = third.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "one too many is closed")
		dial("127.0.0.2")
		<-accepted // another address is not kept out
		require.NoError(t, first.Close())
		_ = first.Close() // counts once
		dial("127.0.0.1")
		<-accepted
		last := dial("127.0.0.1")
		_, err = last.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	}
}
