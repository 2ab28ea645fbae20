package integration

import (
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"tandem/core"
	"tandem/core/mapping"
)

// part is a piece of a template: fixed text, or the name of a field.
type part struct {
	text  string
	field bool
}

var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// split cuts a template into its parts; ok is false when a brace stands alone
// or the text between two is no name of a field.
func split(template string) (parts []part, ok bool) {
	for template != "" {
		text, rest, found := strings.Cut(template, "{")
		if strings.Contains(text, "}") {
			return nil, false
		}
		if text != "" {
			parts = append(parts, part{text, false})
		}
		if !found {
			return parts, true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !fieldName.MatchString(name) {
			return nil, false
		}
		parts = append(parts, part{name, true})
		template = after
	}
	return parts, true
}

// Render fills a template with the values of its fields. The error is
// NotConfigured when a field has no value, and Mapping when the template is
// malformed, which a loaded one never is; it never shows a value.
func Render(template string, values map[string]string) (string, error) {
	return fill(template, values, nil)
}

// fill is Render for values that must have a form, if form is not nil.
func fill(template string, values map[string]string, form *regexp.Regexp) (string, error) {
	parts, ok := split(template)
	if !ok {
		return "", core.Errorf(core.Mapping, "%s is no template", mapping.Quote(template))
	}
	var b strings.Builder
	for _, p := range parts {
		value := values[p.text]
		switch {
		case !p.field:
			value = p.text
		case value == "":
			return "", core.Errorf(core.NotConfigured, "the field %s has no value", p.text)
		case form != nil && !form.MatchString(value):
			return "", core.InvalidField(p.text, "this value cannot be part of an address")
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// The forms of what stands in an address. A value in a host name is labels of
// its own, one in a path is one segment or a piece of it.
var (
	labelsForm = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$`)
	pieceForm  = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)
	hostForm   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
	// What follows the last field of a host name: whoever fills in the field
	// cannot choose whose host it is.
	suffixForm = regexp.MustCompile(`^(\.[a-z0-9-]+){2,}(:[0-9]+)?$`)
)

// Address fills the template of an address. The result is https, or http on the
// machine itself when the template says so; it has no user information and no
// fragment. Whatever the values are, its host ends as the template's does, its
// path has as many segments, and port and query are the template's own. Errors
// are those of Render, and Invalid with the field whose value does not fit.
func Address(template string, values map[string]string) (*url.URL, error) {
	host, path, query, why := cut(template)
	if why != "" {
		return nil, core.Errorf(core.Mapping, "the address %s: %s", mapping.Quote(template), why)
	}
	scheme, _, _ := strings.Cut(template, "://")
	host, err := fill(host, values, labelsForm)
	if err != nil {
		return nil, err
	}
	if path, err = fill(path, values, pieceForm); err != nil {
		return nil, err
	}
	host = strings.ToLower(host)
	u, err := url.Parse(scheme + "://" + host + path + query)
	if err != nil || u.Host != host || u.User != nil || u.Fragment != "" || !goodHost(u) || dotted(path) {
		return nil, core.Errorf(core.Invalid, "the values do not make an address of %s", mapping.Quote(template))
	}
	return u, nil
}

// cut takes the template of an address apart, or says why it is none.
func cut(template string) (host, path, query, why string) {
	scheme, rest, ok := strings.Cut(template, "://")
	if !ok || scheme != "https" && scheme != "http" {
		return "", "", "", "it must begin with https://"
	}
	if strings.ContainsAny(rest, "#@\\ \t\r\n") {
		return "", "", "", "user information, fragments, backslashes and white space are refused"
	}
	host = rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i:]
	}
	switch i := strings.LastIndexByte(host, '}'); {
	case strings.ContainsAny(query, "{}"):
		why = "no field can stand in its query"
	case i >= 0 && !suffixForm.MatchString(host[i+1:]):
		why = "behind the last field of its host name at least two fixed labels must follow, such as .vendor.com"
	case scheme == "http" && !core.Loopback(hostname(host)):
		why = "it must begin with https://"
	}
	return host, path, query, why
}

func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }

// goodHost tells whether the host is a name, or the machine itself.
func goodHost(u *url.URL) bool {
	name := u.Hostname()
	if core.Loopback(name) {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err != nil && len(name) <= 253 && hostForm.MatchString(name) && strings.Contains(name, ".") &&
		!strings.HasSuffix(u.Host, ":")
}

// dotted tells whether a path has a segment that leads elsewhere.
func dotted(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if s := strings.ReplaceAll(strings.ToLower(segment), "%2e", "."); s == "." || s == ".." {
			return true
		}
	}
	return false
}
