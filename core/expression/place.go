package expression

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
)

// source is a text of a file: an expression, with where it stands.
type source struct {
	file mapping.File
	pos  mapping.Pos // of the scalar
	text string      // its value
	skip int         // characters of the value before the expression
}

func sourceOf(f mapping.File, node *yaml.Node) source {
	return source{f, mapping.Pos{Line: node.Line, Column: node.Column}, node.Value, 0}
}

// at returns the place of a character of the expression.
func (s source) at(offset int) mapping.Pos {
	return locate(s.file.Data, s.pos, s.text, s.skip+offset)
}

// place returns the same for messages.
func (s source) place(offset int) string {
	pos := s.at(offset)
	return fmt.Sprintf("%s:%d:%d", s.file.Path, max(pos.Line, 1), max(pos.Column, 1))
}

// locate finds the place of the n-th character of a scalar's value in the text
// of its file. YAML changes nothing but the white space of a scalar (it folds
// lines and takes indentation away) and what is escaped in quotes; so value and
// text are walked together, past the white space. Where they part, the place is
// that of the scalar.
func locate(data []byte, pos mapping.Pos, value string, n int) mapping.Pos {
	w := walker{text: data, pos: mapping.Pos{Line: 1, Column: 1}}
	for w.pos.Line < pos.Line {
		end := bytes.IndexByte(w.text, '\n')
		if end < 0 {
			return pos
		}
		w.text, w.pos.Line = w.text[end+1:], w.pos.Line+1
	}
	for w.pos.Column < pos.Column {
		if !w.next() {
			return pos
		}
	}
	switch quote := w.current(); quote {
	case '\'', '"':
		w.quote = quote
		w.next()
	case '|', '>':
		for w.current() != '\n' && w.next() {
		}
	}
	// Trailing white space has no place of its own: it counts as being behind
	// the last sign.
	i := -1
	for _, r := range strings.TrimRightFunc(value, unicode.IsSpace) {
		if i++; unicode.IsSpace(r) {
			if i == n {
				return w.pos
			}
			continue
		}
		w.blanks()
		from := w.pos
		if got, ok := w.sign(); !ok || got != r {
			return pos
		}
		if i == n {
			return from
		}
	}
	return w.pos
}

// walker reads the text of a file sign by sign.
type walker struct {
	text  []byte // what has not been read
	pos   mapping.Pos
	quote rune // of the scalar; 0: none
}

func (w *walker) current() rune {
	if len(w.text) == 0 {
		return 0
	}
	r, _ := utf8.DecodeRune(w.text)
	return r
}

func (w *walker) next() bool {
	r, size := utf8.DecodeRune(w.text)
	if size == 0 {
		return false
	}
	w.pos.Column++
	if r == '\n' {
		w.pos = mapping.Pos{Line: w.pos.Line + 1, Column: 1}
	}
	w.text = w.text[size:]
	return true
}

// blanks goes past white space, also where it is escaped.
func (w *walker) blanks() {
	for len(w.text) > 0 {
		if w.quote == '"' && w.current() == '\\' {
			saved := *w
			if r, ok := w.sign(); ok && unicode.IsSpace(r) {
				continue
			}
			*w = saved
			return
		}
		if !unicode.IsSpace(w.current()) && w.current() != '\uFEFF' {
			return
		}
		w.next()
	}
}

// sign reads one sign of the value.
func (w *walker) sign() (rune, bool) {
	r := w.current()
	if !w.next() {
		return 0, false
	}
	switch {
	case w.quote == '\'' && r == '\'':
		if w.current() != '\'' {
			return 0, false
		}
		w.next()
	case w.quote == '"' && r == '"':
		return 0, false
	case w.quote == '"' && r == '\\':
		return w.escaped()
	}
	return r, true
}

// escaped reads what stands behind a backslash in double quotes.
func (w *walker) escaped() (rune, bool) {
	r := w.current()
	if !w.next() {
		return 0, false
	}
	if size := map[rune]int{'x': 2, 'u': 4, 'U': 8}[r]; size > 0 {
		if size > len(w.text) {
			return 0, false
		}
		code, err := strconv.ParseUint(string(w.text[:size]), 16, 32)
		for range size {
			w.next()
		}
		return rune(code), err == nil
	}
	if plain, ok := map[rune]rune{
		'0': 0, 'a': '\a', 'b': '\b', 't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
		'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
	}[r]; ok {
		return plain, true
	}
	return r, true
}
