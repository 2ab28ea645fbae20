package outbound

import (
	"net/url"
	"strings"

	"tandem/core"
)

// maxURL is longer than any callback URL that a platform hands out.
const maxURL = 8 << 10

// hostRule is one pattern of an allow-list, in lower case.
type hostRule struct {
	name       string
	subdomains bool // the name's subdomains, not the name itself
}

// matches judges a host name in lower case.
func (r hostRule) matches(host string) bool {
	if r.subdomains {
		return strings.HasSuffix(host, "."+r.name)
	}
	return host == r.name
}

// Hosts is an allow-list of callback hosts. It does not change once built and
// may be used by several goroutines at once.
type Hosts struct {
	rules []hostRule
	allow map[string]bool
}

// NewHosts builds an allow-list. A pattern is a host name or "*." and a name of
// at least two labels, which stands for its subdomains only; such hosts are
// called over https on port 443. allow are exact host:port pairs that may be
// called over http too, as in Options.AllowHosts. The error is Invalid and
// names the malformed entry.
func NewHosts(patterns, allow []string) (*Hosts, error) {
	pairs, err := parseAllow(allow)
	if err != nil {
		return nil, err
	}
	h := &Hosts{allow: pairs}
	for _, pattern := range patterns {
		name, wild := strings.CutPrefix(strings.ToLower(pattern), "*.")
		last := name[strings.LastIndexByte(name, '.')+1:]
		if !isHostName(name) || last == name || !isLetter(last[0]) {
			return nil, core.Errorf(core.Invalid, "host pattern %q: want name.example or *.name.example", pattern)
		}
		h.rules = append(h.rules, hostRule{name: name, subdomains: wild})
	}
	return h, nil
}

// CheckURL judges the text of a callback URL. What it accepts NewRequest sends
// byte for byte. The error is Invalid and shows neither path nor query nor user
// information.
func (h *Hosts) CheckURL(raw string) (*url.URL, error) {
	u, err := parseExact(raw)
	if err != nil {
		return nil, err
	}
	host := strings.ToLower(u.Hostname())
	if h.allow[hostPort(u.Scheme, host, u.Port())] {
		return u, nil
	}
	if u.Scheme != "https" {
		return nil, refuse("only https is allowed")
	}
	if port := u.Port(); port != "" && port != "443" {
		return nil, refuse("only port 443 is allowed")
	}
	if isHostName(host) {
		for _, rule := range h.rules {
			if rule.matches(host) {
				return u, nil
			}
		}
	}
	return nil, refuse("its host is not on the list of allowed hosts")
}

// parseExact parses an absolute http or https URL, and refuses what two parsers
// could read in two ways or what net/http would write differently.
func parseExact(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, refuse("it is longer than 8 KB")
	}
	for _, c := range []byte(raw) {
		if c <= ' ' || c >= 0x7f || c == '\\' {
			return nil, refuse("it holds a character that must be percent-encoded")
		}
	}
	if strings.Contains(raw, "#") {
		return nil, refuse("a fragment is not allowed")
	}
	u, err := url.Parse(raw) // its error shows the URL and is left behind
	if err != nil || u.Opaque != "" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return nil, refuse("it is malformed")
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, refuse("only https is allowed")
	}
	if u.User != nil {
		return nil, refuse("user information is not allowed")
	}
	if u.RequestURI() != requestTarget(raw) {
		return nil, refuse("its path holds a character that must be percent-encoded")
	}
	return u, nil
}

// requestTarget cuts path and query out of the text of an absolute URL without
// a fragment.
func requestTarget(raw string) string {
	_, rest, _ := strings.Cut(raw, "://")
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/"
	case rest[i] == '?':
		return "/" + rest[i:]
	default:
		return rest[i:]
	}
}

func refuse(reason string) error {
	return core.Errorf(core.Invalid, "the URL is refused: %s", reason)
}
