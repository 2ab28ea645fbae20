package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// proxies are the peers whose forwarding headers are believed.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(x netip.Prefix) bool { return x.Contains(a) })
}

// peer returns the socket's address and whether it is a trusted proxy.
func (p proxies) peer(r *http.Request) (string, bool) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if len(p) == 0 {
		return host, false
	}
	a, ok := parseAddr(host)
	return host, ok && p.trust(a)
}

// client returns the right-most address that no trusted proxy vouches for
// itself. An entry that is no address ends the walk at the proxy that sent it.
func (p proxies) client(r *http.Request) string {
	last, trusted := p.peer(r)
	if !trusted {
		return last
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; {
			var entry string
			if cut := strings.LastIndexByte(rest, ','); cut >= 0 {
				rest, entry = rest[:cut], rest[cut+1:]
			} else {
				entry, more = rest, false
			}
			a, ok := parseAddr(strings.TrimSpace(entry))
			if !ok {
				return last
			}
			last = a.String()
			if !p.trust(a) {
				return last
			}
		}
	}
	return last
}

func (p proxies) scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if _, trusted := p.peer(r); trusted {
		if v := r.Header["X-Forwarded-Proto"]; len(v) > 0 {
			last := v[len(v)-1]
			if strings.EqualFold(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]), "https") {
				return "https"
			}
		}
	}
	return "http"
}

// parseAddr reads an address with or without a port.
func parseAddr(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		ap, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = ap.Addr()
	}
	return a.Unmap().WithZone(""), true
}

// ClientIP returns the caller's address: the socket's, or what a trusted proxy
// says. No other header can change it.
func ClientIP(c echo.Context) string { return c.RealIP() }

// BaseURL returns the address under which the caller reached the hub, without
// a slash at the end: the public URL if one is set, else the request's scheme
// and Host, which the front has already found well-formed.
func (s *Server) BaseURL(c echo.Context) string {
	if s.public != "" {
		return s.public
	}
	return c.Scheme() + "://" + c.Request().Host
}

// validHost tells whether text is host[:port] with a name, an IPv4 address, or
// an IPv6 address in brackets.
func validHost(text string) bool {
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
		if len(port) == 0 || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
			return false
		}
	}
	if strings.HasPrefix(host, "[") {
		a, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		return err == nil && a.Is6() && a.Zone() == "" && strings.HasSuffix(host, "]")
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for i := range len(host) {
		if b := host[i]; !isAlnum(b) && b != '.' && b != '-' && b != '_' {
			return false
		}
	}
	return true
}

func isAlnum(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
}
