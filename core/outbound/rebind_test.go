package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"tandem/core"
)

// unassigned is an address of the public internet that nobody has: IANA keeps
// 2d00::/8 back. The guard lets it through.
const unassigned = "2d00::1"

// rebinding answers the first lookup of a name with a public address, and every
// later one with 127.0.0.1.
func rebinding(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	var done sync.WaitGroup
	done.Go(func() {
		asked := map[dnsmessage.Type]int{}
		for buf := make([]byte, 1500); ; {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			asked[q.Type]++                                                   // a lookup asks for both types once
			m.Response, m.RecursionAvailable, m.Additionals = true, true, nil // else no answer is asked for again
			header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			switch first := asked[q.Type] == 1; {
			case q.Type == dnsmessage.TypeAAAA && first:
				m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(unassigned).As16()}}}
			case q.Type == dnsmessage.TypeA && !first:
				m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}}}}
			}
			if reply, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(reply, from)
			}
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		done.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// TestNameThatMovesInside: what counts is the address that is connected to, not
// one that a name had before.
func TestNameThatMovesInside(t *testing.T) {
	t.Parallel()
	require.NoError(t, newGuard().check(netip.MustParseAddr(unassigned)))
	canary, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = canary.Close() }()
	_, port, err := net.SplitHostPort(canary.Addr().String())
	require.NoError(t, err)
	c := newClient(t, Options{})
	// The real guard; what it lets through is stopped here, for no test calls out.
	errPublic := errors.New("the guard let it through")
	c.transport.next.DialContext = dialer(nil, &net.Dialer{
		Resolver: rebinding(t),
		ControlContext: func(ctx context.Context, network, address string, conn syscall.RawConn) error {
			if err := newGuard().control(ctx, network, address, conn); err != nil {
				return err
			}
			return errPublic
		},
	}, nil)
	target := "https://" + net.JoinHostPort("moves.logic.azure.com", port) + "/"

	_, err = get(t, c, target)
	require.Equal(t, core.Unavailable, core.KindOf(err), "%v", err)
	for range 3 {
		_, err = get(t, c, target)
		requireRefused(t, err, "the name leads inside now")
	}
	resp, err := c.HTTPClient().Get(target)
	if err == nil {
		_ = resp.Body.Close()
	}
	requireRefused(t, err, "the name leads inside now")

	// The first connection that the canary sees is our own.
	own, err := new(net.Dialer).DialContext(t.Context(), "tcp", canary.Addr().String())
	require.NoError(t, err)
	defer func() { _ = own.Close() }()
	seen, err := canary.Accept()
	require.NoError(t, err)
	defer func() { _ = seen.Close() }()
	require.Equal(t, own.LocalAddr().String(), seen.RemoteAddr().String())
}
