package observe

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

const (
	redacted = "[redacted]"
	maxValue = 8 << 10
)

// names of values that are secrets wherever they stand in a text.
const names = `[\w.%-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|sig|signature|api[_-]?key|assertion|verifier|authorization|cookie|credential)`

// rules replace what is secret in a text, in this order.
var rules = []struct {
	find *regexp.Regexp
	put  string
}{
	// the header lines that hold credentials, to their end
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key)\\?"?:[^\r\n]*`), "$1: " + redacted},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[\w.~+/=-]{4,}`), "$1 " + redacted},
	{regexp.MustCompile(`\beyJ[\w-]+(?:\.[\w-]*)+`), redacted}, // a JWT, signed or encrypted
	{regexp.MustCompile(`\btdm_[\w-]+`), redacted},             // an API key of ours
	{regexp.MustCompile(`(?i)(\\*"` + names + `\\*"\s*:\s*\\*")(?:[^"\\]|\\[^"])*`), "${1}" + redacted},
	{regexp.MustCompile(`(?i)\b(` + names + `)(=|%3d)(?:"[^"]*"?|[^\s&"',;)\]}]+)`), "${1}${2}" + redacted},
	{regexp.MustCompile(`(?i)\b(code)(=|%3d)[\w.~%-]{10,}`), "${1}${2}" + redacted}, // of OAuth, not of an exit
	{regexp.MustCompile(`(/[^\s?"'<>]*)\?[^\s"'<>]+`), "${1}?" + redacted},          // a path's query
}

var address = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*://)([^\s"'<>]*)`)

// Redact returns text without what is a secret by its form: credentials in
// headers, signed tokens, API keys, named values such as sig=, and the query,
// fragment, user and password of addresses. Text over 8 KB is cut.
func Redact(text string) string {
	text = cut(text)
	if !strings.ContainsAny(text, "=?:@% ") && !strings.Contains(text, "tdm_") && !strings.Contains(text, "eyJ") {
		return text
	}
	if strings.Contains(text, "://") {
		text = address.ReplaceAllStringFunc(text, cleanAddress)
	}
	for _, r := range rules {
		text = r.find.ReplaceAllString(text, r.put)
	}
	return text
}

func cleanAddress(text string) string {
	scheme, rest, _ := strings.Cut(text, "://")
	end := strings.IndexAny(rest, "?#")
	query := ""
	if end >= 0 {
		rest, query = rest[:end], rest[end:end+1]+redacted
	}
	authority, path, slash := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 && !plainPort(authority) {
		// A password that was not escaped: it ends at the last @, wherever.
		if i := strings.LastIndexByte(text, '@'); i >= 0 {
			return scheme + "://" + redacted + cleanTail(text[i:])
		}
	}
	if at >= 0 {
		authority = redacted + authority[at:]
	}
	if slash {
		authority += "/" + path
	}
	return scheme + "://" + authority + query
}

func cleanTail(text string) string {
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		return text[:i+1] + redacted
	}
	return text
}

// plainPort tells whether what follows the last colon may be a port.
func plainPort(authority string) bool {
	i := strings.LastIndexByte(authority, ':')
	return i < 0 || strings.HasSuffix(authority, "]") || strings.Trim(authority[i+1:], "0123456789") == ""
}

func cut(text string) string {
	if len(text) <= maxValue {
		return text
	}
	end := maxValue
	for end > maxValue-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s... [%d bytes cut]", text[:end], len(text)-end)
}
