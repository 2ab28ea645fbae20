package outbound

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"

	"tandem/core"
)

// CodeAddressRefused is the code of a Forbidden error of the guard.
const CodeAddressRefused = "ADDRESS_REFUSED"

// guard refuses addresses that are not public.
type guard struct {
	special *ssrf.Guardian
}

// newGuard builds the guard. The library denies IANA's special-purpose
// networks and everything outside 2000::/3; what it lacks is added here and in
// check.
func newGuard() guard {
	return guard{special: ssrf.New(
		ssrf.WithAnyPort(),
		// Azure's platform endpoint: a public address that answers, inside any
		// Azure machine, with its configuration.
		ssrf.WithDeniedV4Prefixes(netip.MustParsePrefix("168.63.129.16/32")),
	)}
}

// check returns a Forbidden error with CodeAddressRefused for an address that
// is not on the public internet.
func (g guard) check(addr netip.Addr) error {
	if !addr.IsValid() {
		return refused(nil)
	}
	if err := g.special.SafeAddr(addr); err != nil {
		return refused(err)
	}
	if isISATAP(addr) {
		return refused(nil)
	}
	return nil
}

// control is a net.Dialer's ControlContext: it sees the address that is about
// to be connected to, after name resolution.
func (g guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return refused(nil)
	}
	return g.check(target.Addr())
}

// isISATAP tells whether an IPv6 address of any prefix carries an IPv4 address
// in its interface identifier (RFC 5214).
func isISATAP(addr netip.Addr) bool {
	if !addr.Is6() {
		return false
	}
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// refused keeps the address in the cause: a caller must not learn from the
// message what a name resolves to inside.
func refused(cause error) error {
	return &core.Error{
		Kind:    core.Forbidden,
		Code:    CodeAddressRefused,
		Message: "the hub may not connect to this address",
		Err:     cause,
	}
}

// guarded is the transport behind the guard. It holds the rule that plain http
// is for allowed hosts only; the dialer below it holds the rule of addresses.
type guarded struct {
	next  *http.Transport
	allow map[string]bool
}

// RoundTrip makes one exchange, or refuses with Forbidden.
func (g *guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.allow[hostPort(req.URL.Scheme, req.URL.Hostname(), req.URL.Port())] {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &core.Error{
			Kind:    core.Forbidden,
			Code:    CodeAddressRefused,
			Message: "only https is allowed here",
		}
	}
	return g.next.RoundTrip(req)
}

// dialFunc is the shape of http.Transport.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialer chooses by the requested text alone, never by what it resolves to.
func dialer(open, closed *net.Dialer, allow map[string]bool) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if allow[strings.ToLower(address)] {
			return open.DialContext(ctx, network, address)
		}
		return closed.DialContext(ctx, network, address)
	}
}

// hostPort is the key under which allowed hosts are kept.
func hostPort(scheme, host, port string) string {
	switch {
	case port == "" && scheme == "http":
		port = "80"
	case port == "" && scheme == "https":
		port = "443"
	}
	return strings.ToLower(net.JoinHostPort(host, port))
}

// parseAllow turns the operator's host:port entries into a set.
func parseAllow(entries []string) (map[string]bool, error) {
	allow := make(map[string]bool, len(entries))
	for _, entry := range entries {
		host, port, err := net.SplitHostPort(entry)
		if err != nil {
			return nil, core.Errorf(core.Invalid, "allowed host %q: want host:port", entry)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return nil, core.Errorf(core.Invalid, "allowed host %q: want a port from 1 to 65535", entry)
		}
		if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
			host = addr.String()
		} else if !isHostName(host) {
			return nil, core.Errorf(core.Invalid, "allowed host %q: not a host name or address", entry)
		}
		allow[strings.ToLower(net.JoinHostPort(host, port))] = true
	}
	return allow, nil
}

// isHostName tells whether s is dot-separated labels of ASCII letters, digits,
// hyphens and underscores, without a trailing dot.
func isHostName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !isLetter(c) && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
