package server

import (
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// from is a connection from an address that the machine need not have.
type from struct {
	net.Conn

	addr string
}

func (f from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addr)) }

// arrivals is a listener to which connections come when the test says so.
type arrivals struct {
	net.Listener

	next chan net.Conn
}

func (a arrivals) Accept() (net.Conn, error) {
	c, ok := <-a.next
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func TestConnectionsPerNetwork(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second, third string
		taken                bool
	}{
		{"[2001:db8::1]:1", "[2001:db8::ffff:2]:2", "[2001:db8::3]:3", false},
		{"[2001:db8::1]:1", "[2001:db8::ffff:2]:2", "[2001:db8:0:1::1]:3", true},
		{"192.0.2.1:1", "192.0.2.2:2", "192.0.2.3:3", true},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", "192.0.2.1:3", false},
	} {
		inner := arrivals{next: make(chan net.Conn, 3)}
		l := newFairListener(inner, 2, nil)
		for _, addr := range []string{c.first, c.second, c.third} {
			ours, theirs := net.Pipe()
			t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
			inner.next <- from{ours, addr}
		}
		close(inner.next)
		for range 2 {
			_, err := l.Accept()
			require.NoError(t, err)
		}
		_, err := l.Accept()
		require.Equal(t, c.taken, err == nil, c.third)
	}
}

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
