package operation

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem/core/expression"
)

const (
	masked     = "[redacted]"
	maxJSON    = 8 << 10  // bytes of a document for people
	maxBody    = 4 << 10  // of a request or answer
	maxMasked  = 200      // values that are looked for in texts; with more of them all texts are hidden
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
// used by several goroutines at once when its run has ended.
type Mask struct {
	keys   map[string]bool
	values []string // folded, longest first
	phones []string // last digits of telephone numbers
	count  int      // of what is behind both
	open   bool     // hides nothing: for what was recorded
}

// everything tells whether there is more to hide than is looked for.
func (m *Mask) everything() bool { return m.count > maxMasked }

// Mask returns the mask for runs with that input; nil masks by names alone.
func (o *Operation) Mask(input map[string]any) *Mask {
	m := &Mask{keys: o.program.secret}
	for _, in := range o.Inputs {
		if in.Redact {
			m.collect(input[in.Name], true)
		}
	}
	m.collect(input, false)
	m.sort()
	return m
}

// learn hides what stands under redacted keys of an answer in what comes after
// it: later addresses are made of it.
func (m *Mask) learn(answer any) {
	m.collect(answer, false)
	m.sort()
}

func (m *Mask) sort() {
	slices.SortFunc(m.values, func(a, b string) int { return cmp.Or(len(b)-len(a), cmp.Compare(a, b)) })
}

// Message returns a message of the error of a run for people. What the upstream
// said was hidden before it was cut: half a value is not known any more.
func (m *Mask) Message(err error, message string) string {
	if e, ok := errors.AsType[*Error](err); ok && e.shown != "" {
		return e.shown
	}
	return m.Text(message)
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

// fold makes letters of either case the same, as long as that keeps the length.
func fold(text string) string {
	return strings.Map(func(r rune) rune {
		if low := unicode.ToLower(unicode.ToUpper(r)); utf8.RuneLen(low) == utf8.RuneLen(r) {
			return low
		}
		return r
	}, text)
}

// wordSigns takes away what stands between the words of a name.
//
//nolint:gochecknoglobals // a table
var wordSigns = strings.NewReplacer("_", "", "-", "", " ", "", ".", "")

// secret tells whether the value of a key is hidden.
func (m *Mask) secret(key string) bool {
	if m.open {
		return false
	}
	key = strings.ToLower(key)
	if m.keys[key] {
		return true
	}
	plain := wordSigns.Replace(key)
	return slices.ContainsFunc(secretWords, func(word string) bool { return strings.Contains(plain, word) })
}

// Text hides the values of redacted inputs in a text. One over 64 KB is cut.
func (m *Mask) Text(s string) string {
	switch {
	case len(m.values) == 0 || s == "":
		return s
	case m.everything():
		return masked
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

// between are the signs between the digits of a number: also spaces that do not
// break, and the hyphens and dashes of typesetters.
const between = "+() ./-*%\\_,\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013"

// signAt is how many bytes a sign takes that is between digits and stands at i,
// percent-encoded or not; 0: there is none.
func signAt(s string, i int) int {
	for size := 3; size <= 9 && s[i] == '%' && i+size <= len(s); size += 3 {
		if sign, err := url.PathUnescape(s[i : i+size]); err == nil && utf8.RuneCountInString(sign) == 1 && strings.Contains(between, sign) {
			return size
		}
	}
	if sign, size := utf8.DecodeRuneInString(s[i:]); strings.ContainsRune(between, sign) {
		return size
	}
	return 0
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
		if c := s[i]; c >= '0' && c <= '9' {
			digits = append(digits, c)
			i++
			end = i
			continue
		}
		size := signAt(s, i)
		if size == 0 {
			return end, string(digits), i
		}
		i += size
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
			all[name] = Cut(m.value(name, strings.Join(values, ", ")), maxBody)
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
	return Cut(string(w.b), most)
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
			w.key(key)
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

// key writes a name, which stays even where all texts are hidden.
func (w *writer) key(s string) {
	quoted, _ := json.Marshal(w.mask.text(s)) // a text can always be written
	w.b = append(w.b, quoted...)
}

func (w *writer) text(s string) {
	quoted, _ := json.Marshal(w.mask.Text(s)) // a text can always be written
	w.b = append(w.b, quoted...)
}

// Cut shortens a text to so many bytes, which end in ..., and no half signs.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	end := most - 3
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}
