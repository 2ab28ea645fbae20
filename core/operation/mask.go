package operation

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"tandem/core/expression"
)

const (
	masked     = "[redacted]"
	maxJSON    = 8 << 10  // bytes of a document for people
	maxBody    = 4 << 10  // of a request or answer
	maxMasked  = 50       // values that are looked for in texts
	maxLooked  = 64 << 10 // bytes of a text that are looked at
	maxNesting = 64
	minMasked  = 4 // characters of such a value
	phoneTail  = 7 // digits by which a telephone number is known however it is written
)

// secretWords are parts of the names of values that are secrets.
var secretWords = []string{
	"password", "passwd", "passphrase", "secret", "token", "authorization", "apikey", "credential", "privatekey", "cookie", "assertion",
}

// Mask hides what is nobody's business in what a run leaves behind: the values
// of the keys that the operation redacts and of keys that look like secrets, also
// where an object says of which field its value is ({name: Email, value: ...}),
// and the values of redacted inputs wherever they stand in a text. It may be
// used by several goroutines at once.
type Mask struct {
	keys   map[string]bool
	values []string // in lower case, longest first
	phones []string // last digits of telephone numbers
	count  int      // of what is behind both
}

// Mask returns the mask for runs with that input; nil masks by names alone.
func (o *Operation) Mask(input map[string]any) *Mask {
	m := &Mask{keys: o.program.secret}
	for _, in := range o.Inputs {
		if in.Redact {
			m.collect(input[in.Name], true)
		}
	}
	if len(o.Redact) > 0 {
		m.collect(input, false)
	}
	slices.SortFunc(m.values, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
	m.values = slices.Compact(m.values)
	return m
}

// secretKeys are the names whose values an operation redacts.
func secretKeys(o *Operation) map[string]bool {
	keys := map[string]bool{}
	for _, in := range o.Inputs {
		if in.Redact {
			keys[strings.ToLower(in.Name)] = true
		}
	}
	for _, key := range o.Redact {
		keys[strings.ToLower(key)] = true
	}
	return keys
}

func onlyDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, text)
}

// fold is strings.ToLower for ASCII: it keeps the length.
func fold(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r >= 'A' && r <= 'Z' }) < 0 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}

// secret tells whether the value of a key is hidden.
func (m *Mask) secret(key string) bool {
	key = strings.ToLower(key)
	if m.keys[key] {
		return true
	}
	plain := strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(key)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(plain, word) })
}

// Text hides the values of redacted inputs in a text. One over 64 KB is cut.
func (m *Mask) Text(s string) string {
	if len(m.values) == 0 || s == "" {
		return s
	}
	if len(s) <= maxLooked {
		return m.text(s)
	}
	s = m.text(s[:maxLooked])
	// The end may hold the beginning of a value.
	return strings.ToValidUTF8(s[:max(0, len(s)-max(len(m.values[0]), 64))], "") + "..."
}

func (m *Mask) text(s string) string {
	s = strings.ToValidUTF8(m.numbers(s), "\uFFFD") // fold keeps the length of valid text only
	low := fold(s)
	for _, value := range m.values {
		if !strings.Contains(low, value) {
			continue
		}
		var b strings.Builder
		for {
			i := strings.Index(low, value)
			if i < 0 {
				break
			}
			b.WriteString(s[:i])
			b.WriteString(masked)
			s, low = s[i+len(value):], low[i+len(value):]
		}
		b.WriteString(s)
		s = b.String()
		low = fold(s)
	}
	return s
}

// numbers hides telephone numbers however they are written: runs of digits and
// of the signs between them, wildcards and percent-encoding included.
func (m *Mask) numbers(s string) string {
	if len(m.phones) == 0 {
		return s
	}
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); {
		end, number, next := phoneAt(s, i)
		if slices.ContainsFunc(m.phones, func(tail string) bool { return strings.Contains(number, tail) }) {
			b.WriteString(s[done:i])
			b.WriteString(masked)
			done = end
		}
		i = next
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// between are the signs between the digits of a number.
const between = "+() ./-*%\\"

// encoded tells whether a percent-encoded sign that is between digits stands at
// i.
func encoded(s string, i int) bool {
	if s[i] != '%' || i+2 >= len(s) {
		return false
	}
	sign, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
	return err == nil && strings.IndexByte(between, byte(sign)) >= 0
}

// phoneAt looks for a run of digits and signs that begins at i: where it ends,
// its digits, and where to look next.
func phoneAt(s string, i int) (end int, number string, next int) {
	if c := s[i]; c != '+' && c != '(' && c != '%' && (c < '0' || c > '9') {
		return i, "", i + 1
	}
	var digits []byte
	end = i
	for i < len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits = append(digits, c)
			i++
			end = i
		case encoded(s, i):
			i += 3
		case strings.IndexByte(between, c) >= 0:
			i++
		default:
			return end, string(digits), i
		}
	}
	return end, string(digits), i
}

// value hides the value of a name.
func (m *Mask) value(name, value string) string {
	if m.secret(name) {
		return masked
	}
	return m.Text(value)
}

// headers are those of an exchange, without credentials.
func (m *Mask) headers(h http.Header) map[string]string {
	all := make(map[string]string, len(h))
	for name, values := range h {
		if name != "Authorization" && name != "Cookie" && name != "Set-Cookie" {
			all[name] = cut(m.value(name, strings.Join(values, ", ")), maxBody)
		}
	}
	return all
}

// JSON returns a decoded document as compact JSON with sorted keys, masked and
// cut to 8 KB.
func (m *Mask) JSON(doc any) string { return m.document(doc, maxJSON) }

func (m *Mask) document(doc any, most int) string {
	w := writer{mask: m, most: most}
	w.value(doc, 0)
	return cut(string(w.b), most)
}

// writer writes a masked document and stops when it is long enough.
type writer struct {
	mask *Mask
	b    []byte
	most int
}

func (w *writer) full() bool { return len(w.b) > w.most }

func (w *writer) value(v any, depth int) {
	if w.full() {
		return
	}
	if depth > maxNesting {
		w.b = append(w.b, `"..."`...)
		return
	}
	switch v := v.(type) {
	case nil:
		w.b = append(w.b, "null"...)
	case string:
		w.text(v)
	case bool:
		w.b = strconv.AppendBool(w.b, v)
	case map[string]any:
		w.b = append(w.b, '{')
		named := w.mask.named(v)
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if w.full() {
				return
			}
			w.text(key)
			w.b = append(w.b, ':')
			if w.mask.hidden(key, named) && v[key] != nil {
				w.b = append(w.b, `"`+masked+`"`...)
				continue
			}
			w.value(v[key], depth+1)
		}
		w.b = append(w.b, '}')
	case []any:
		w.b = append(w.b, '[')
		for i, inner := range v {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if w.full() {
				return
			}
			w.value(inner, depth+1)
		}
		w.b = append(w.b, ']')
	default:
		w.other(v)
	}
}

// other writes a number, or whatever else JSON knows.
func (w *writer) other(v any) {
	text, ok := expression.Text(v)
	if ok && w.mask.Text(text) != text {
		w.text(masked)
		return
	}
	plain, err := json.Marshal(v)
	if err != nil {
		plain = []byte("null")
	}
	w.b = append(w.b, plain...)
}

func (w *writer) text(s string) {
	quoted, _ := json.Marshal(w.mask.Text(s)) // a text can always be written
	w.b = append(w.b, quoted...)
}

// cut shortens a text to so many bytes and no half signs.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - 3
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
