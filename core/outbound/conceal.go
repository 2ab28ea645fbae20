package outbound

import (
	"bytes"
	"cmp"
	"html"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	concealed = "[redacted]"

	// minSecret is the length from which on a text is looked for as a secret:
	// shorter ones are found where they are none.
	minSecret = 8

	// signs begin what stands for another letter: the escapes of JSON and of
	// programs, percent-encoding and HTML's entities.
	signs = `\%&+`

	maxDepth  = 6       // escapes of escapes that are undone
	maxMended = 2 << 20 // bytes of a text from which secrets are cut out; of a larger one nothing stays
	maxEntity = 12      // bytes of an entity
)

// secrets are texts that nobody behind this room may see, as plain makes them,
// longest first.
type secrets []string

func newSecrets(texts []string) secrets {
	var all secrets
	for _, text := range texts {
		text = plain(strings.TrimSpace(text))
		if len(text) >= minSecret && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// in tells whether one of them stands in a text that plain has made.
func (all secrets) in(text string) bool {
	return slices.ContainsFunc(all, func(one string) bool { return strings.Contains(text, one) })
}

// inBody is in for a body as it came. One without escapes, as most are, is not
// copied for it.
func (all secrets) inBody(body []byte) bool {
	if bytes.ContainsAny(body, signs) {
		return all.in(plain(string(body)))
	}
	return slices.ContainsFunc(all, func(one string) bool { return bytes.Contains(body, []byte(one)) })
}

// conceal takes secrets out of an answer that repeats them, as refusals of
// credentials do, however the answer writes them.
func (r *Response) conceal(all secrets) {
	if all.inBody(r.Body) {
		r.Body = []byte(all.cut(string(r.Body)))
	}
	for _, values := range r.Header {
		for i, value := range values {
			if all.in(plain(value)) {
				values[i] = all.cut(value)
			}
		}
	}
}

// cut replaces them in a text, each from its first escape to its last: what is
// around it stays as it was. One of digits becomes nines, since it may be found in
// a number: a document stays one.
func (all secrets) cut(text string) string {
	if len(text) > maxMended {
		return concealed
	}
	bare, places := text, []int32(nil)
	for range maxDepth {
		next, at := undo(bare, true)
		if next == bare {
			break
		}
		for i := range at {
			if places != nil {
				at[i] = places[at[i]]
			}
		}
		bare, places = next, at
	}
	place := func(i int) int {
		if places == nil {
			return i
		}
		return int(places[i])
	}
	hidden := make([]byte, len(text)) // what stands there instead: 0 the letter itself, 9, or the word
	for _, one := range all {
		for i := 0; ; i += len(one) {
			found := strings.Index(bare[i:], one)
			if found < 0 {
				break
			}
			i += found
			sign := byte('x')
			if strings.Trim(one, "0123456789") == "" {
				sign = '9'
			}
			for k := place(i); k < place(i+len(one)); k++ {
				hidden[k] = sign
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		switch {
		case hidden[i] == 0:
			b.WriteByte(text[i])
		case hidden[i] == '9':
			b.WriteByte('9')
		case i == 0 || hidden[i-1] != 'x':
			b.WriteString(concealed)
		}
	}
	return b.String()
}

// plain undoes all escapes of a text, also those of escapes, and leaves its
// backslashes out. It makes what means the same the same, and is for comparing
// only.
func plain(text string) string {
	for range maxDepth {
		next, _ := undo(text, false)
		if next == text {
			break
		}
		text = next
	}
	return text
}

// undo undoes the outermost escapes of a text. With places it also says where
// in the text each byte of the result began, and where the last one ended:
// backslashes belong to what stands behind them.
func undo(text string, places bool) (string, []int32) {
	if !strings.ContainsAny(text, signs) {
		return text, nil
	}
	b := make([]byte, 0, len(text))
	var at []int32
	begin := 0
	for i := 0; i < len(text); {
		var letters string
		var size int
		literal := false
		switch text[i] {
		case '\\':
			letters, size = escape(text[i:])
		case '%':
			letters, size = percent(text[i:])
		case '&':
			letters, size = entity(text[i:])
		case '+':
			letters, size = " ", 1
		default:
			if size = strings.IndexAny(text[i:], signs); size < 0 {
				size = len(text) - i
			}
			letters, literal = text[i:i+size], true
		}
		for k := 0; places && k < len(letters); k++ {
			if literal && k > 0 {
				begin = i + k
			}
			at = append(at, int32(begin))
		}
		b = append(b, letters...)
		i += size
		if letters != "" {
			begin = i
		}
	}
	if places {
		at = append(at, int32(begin))
	}
	return string(b), at
}

// escape reads the backslashes that a text begins with, and the letter that
// they stand for when it is written as a number.
func escape(s string) (letter string, size int) {
	size = backslashes(s)
	r, ok := codeUnit(s[size:])
	if !ok {
		return "", size
	}
	size += 5
	if behind := backslashes(s[size:]); utf16.IsSurrogate(r) && behind > 0 {
		low, _ := codeUnit(s[size+behind:])
		if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
			return string(both), size + behind + 5
		}
	}
	return string(r), size
}

func backslashes(s string) int { return len(s) - len(strings.TrimLeft(s, `\`)) }

// codeUnit reads u and four digits.
func codeUnit(s string) (rune, bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	n, ok := hexadecimal(s[1:5])
	return rune(n), ok
}

// percent reads the byte that a text begins with in percent-encoding, or the
// sign itself.
func percent(s string) (letter string, size int) {
	if len(s) >= 3 {
		if n, ok := hexadecimal(s[1:3]); ok {
			return string([]byte{byte(n)}), 3
		}
	}
	return s[:1], 1
}

// entity reads the letter that a text begins with as HTML writes it, or the sign
// itself.
func entity(s string) (letter string, size int) {
	end := strings.IndexByte(s[:min(len(s), maxEntity)], ';') + 1
	if end > 2 {
		if text := html.UnescapeString(s[:end]); !strings.HasSuffix(text, ";") {
			return text, end
		}
	}
	return s[:1], 1
}

// hexadecimal reads digits.
func hexadecimal(s string) (int, bool) {
	n := 0
	for _, c := range []byte(s) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int(c)
	}
	return n, true
}
