package server

import (
	"net"
	"net/netip"
	"sync"
)

// maxPerAddress is how many connections one address may hold. Platforms call
// from a few addresses each with some hundred connections at most.
const maxPerAddress = 1024

// fairListener closes the connections of an address that holds too many, so
// that one caller cannot take all descriptors. For IPv6 an address is the 64
// bits that one subscriber has at least. Trusted proxies, who stand for many
// callers, are not counted.
type fairListener struct {
	net.Listener

	most    int
	proxies proxies

	mu   sync.Mutex
	held map[netip.Addr]int
}

func newFairListener(l net.Listener, most int, p proxies) *fairListener {
	return &fairListener{Listener: l, most: most, proxies: p, held: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // net/http looks at the type
		}
		a, ok := parseAddr(c.RemoteAddr().String())
		if !ok || l.proxies.trust(a) {
			return c, nil
		}
		a = network(a)
		if l.take(a) {
			return &fairConn{Conn: c, free: sync.OnceFunc(func() { l.free(a) })}, nil
		}
		_ = c.Close()
	}
}

// network is what is counted as one address.
func network(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	return netip.PrefixFrom(a, 64).Masked().Addr()
}

func (l *fairListener) take(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[a] >= l.most {
		return false
	}
	l.held[a]++
	return true
}

func (l *fairListener) free(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[a]--; l.held[a] <= 0 {
		delete(l.held, a)
	}
}

type fairConn struct {
	net.Conn

	free func()
}

// Close implements net.Conn.
func (c *fairConn) Close() error {
	c.free()
	return c.Conn.Close() //nolint:wrapcheck // a pass-through
}

// CloseWrite lets net/http end an answer whose request it did not read whole.
func (c *fairConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite() //nolint:wrapcheck // a pass-through
	}
	return nil
}
