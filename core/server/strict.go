package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"tandem/core"
)

const (
	root        = "body" // the field of an error about the whole document
	maxDepth    = 64
	maxElements = 10_000
	maxField    = 200 // bytes of a field path in an answer: keys are the caller's
	manyKeys    = 48  // above this, an object's keys are looked up in a map
	openKeys    = 96  // room for the keys of all open objects; objects that find none left take a map
)

// UnmarshalStrict reads data, one JSON document in UTF-8, into v as
// encoding/json does, but refuses what two parsers may read differently: keys
// that are equal in an object or differ in case only, keys that are a field of
// v in another case, nesting over 64 and more than 10,000 elements. Unknown
// keys are ignored. Errors are Invalid, and their detail names the field and
// what was expected there; an *core.Error of a value's own UnmarshalJSON is
// returned as it is.
func UnmarshalStrict(data []byte, v any) error {
	if !utf8.Valid(data) {
		return core.InvalidField(root, "expected UTF-8")
	}
	s := scanner{data: data}
	if w := s.document(planOf(reflect.TypeOf(v))); w != nil {
		return w.fault(data)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return residual(err)
	}
	return nil
}

// residual words what the scan leaves to encoding/json: numbers out of range
// and the forms that types with their own UnmarshalJSON accept.
func residual(err error) error {
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
		return core.InvalidField(clip(e.Field), "expected another value, got %s", clip(e.Value))
	}
	return core.InvalidField(root, "a value has a form that is not accepted")
}

// wrong is what the scan found and where. The path grows while the scan leaves
// the values around it.
type wrong struct {
	path string
	text string
	at   int
}

func (w *wrong) in(element string) *wrong {
	switch {
	case w.path == "" || w.path[0] == '[':
		w.path = element + w.path
	default:
		w.path = element + "." + w.path
	}
	return w
}

func (w *wrong) fault(data []byte) error {
	at := min(w.at, len(data))
	line := 1 + bytes.Count(data[:at], []byte{'\n'})
	column := at - bytes.LastIndexByte(data[:at], '\n')
	field := w.path
	if field == "" {
		field = root
	}
	return core.InvalidField(clip(field), "%s (line %d, column %d, byte %d)", w.text, line, column, at)
}

func clip(text string) string {
	if len(text) <= maxField {
		return text
	}
	cut := maxField
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}

// scanner walks a document once, beside the plan of the value it is for.
type scanner struct {
	data     []byte
	pos      int
	depth    int
	elements int
	keys     [openKeys]uint64 // folded hashes of the keys of all open objects
	open     int              // how many
}

func (s *scanner) document(p *plan) *wrong {
	s.space()
	if s.at() == 'n' && p.want != wantAny {
		return s.mismatch(p)
	}
	if w := s.value(p); w != nil {
		return w
	}
	s.space()
	if s.pos < len(s.data) {
		return s.wrong("expected the end of the document")
	}
	return nil
}

func (s *scanner) wrong(text string) *wrong { return &wrong{text: text, at: s.pos} }

// at returns the byte at the scan's place, 0 at the end (a 0 in the document is
// no valid byte either).
func (s *scanner) at() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(p *plan) *wrong {
	switch c := s.at(); {
	case c == 'n':
		return s.word("null")
	case !p.want.accepts(c):
		return s.mismatch(p)
	case c == '{':
		return s.object(p)
	case c == '[':
		return s.array(p)
	case c == '"':
		start := s.pos
		if _, w := s.text(); w != nil {
			return w
		}
		if p.want == wantTime && new(time.Time).UnmarshalJSON(bytes.Clone(s.data[start:s.pos])) != nil {
			return &wrong{text: "expected a time as in RFC 3339", at: start}
		}
		return nil
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	default:
		return s.number(p)
	}
}

func (s *scanner) mismatch(p *plan) *wrong {
	got := "got something else"
	switch c := s.at(); {
	case s.pos >= len(s.data):
		got = "got the end of the document"
	case c == '{':
		got = "got an object"
	case c == '[':
		got = "got an array"
	case c == '"':
		got = "got a string"
	case c == 't' || c == 'f':
		got = "got a boolean"
	case c == 'n':
		got = "got null"
	case c == '-' || digit(c):
		got = "got a number"
	}
	return s.wrong("expected " + wantNames[p.want] + ", " + got)
}

func (s *scanner) word(word string) *wrong {
	if !bytes.HasPrefix(s.data[s.pos:], []byte(word)) {
		return s.wrong("expected " + word)
	}
	s.pos += len(word)
	return nil
}

// enter counts a container's nesting; its end is s.depth--.
func (s *scanner) enter() *wrong {
	if s.depth++; s.depth > maxDepth {
		return s.wrong(fmt.Sprintf("expected at most %d levels", maxDepth))
	}
	s.pos++
	s.space()
	return nil
}

func (s *scanner) element() *wrong {
	if s.elements++; s.elements > maxElements {
		return s.wrong(fmt.Sprintf("expected at most %d elements in the document", maxElements))
	}
	return nil
}

// more steps over what follows an element: true for a comma.
func (s *scanner) more(end byte) (bool, *wrong) {
	s.space()
	switch s.at() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.pos++
		return false, nil
	}
	return false, s.wrong("expected ',' or '" + string(end) + "'")
}

func (s *scanner) array(p *plan) *wrong {
	if w := s.enter(); w != nil {
		return w
	}
	if s.at() == ']' {
		s.pos++
		s.depth--
		return nil
	}
	for i, more := 0, true; more; i++ {
		w := s.element()
		if w == nil {
			w = s.value(p.items())
		}
		if w != nil {
			return w.in("[" + strconv.Itoa(i) + "]")
		}
		if more, w = s.more(']'); w != nil {
			return w
		}
	}
	s.depth--
	return nil
}

func (s *scanner) object(p *plan) *wrong {
	if w := s.enter(); w != nil {
		return w
	}
	if s.at() == '}' {
		s.pos++
		s.depth--
		return nil
	}
	base := s.open
	var many map[uint64]struct{}
	for more := true; more; {
		start := s.pos
		w := s.element()
		if w != nil {
			return w
		}
		child, w := s.key(p, base, &many)
		if w != nil {
			return w
		}
		end := s.pos
		if s.space(); s.at() != ':' {
			return s.wrong("expected ':'")
		}
		s.pos++
		s.space()
		if w := s.value(child); w != nil {
			return w.in(unquote(s.data[start:end]))
		}
		if more, w = s.more('}'); w != nil {
			return w
		}
	}
	s.open = base
	s.depth--
	return nil
}

// key reads a key, holds it against the object's other keys (those from base
// on, or in many) and the plan's fields, and returns the plan of its value.
func (s *scanner) key(p *plan, base int, many *map[uint64]struct{}) (*plan, *wrong) {
	start := s.pos
	if s.at() != '"' {
		return nil, s.wrong("expected a key in quotation marks")
	}
	plain, w := s.text()
	if w != nil {
		return nil, w
	}
	name := s.data[start+1 : s.pos-1]
	if !plain {
		name = []byte(unquote(s.data[start:s.pos]))
	}
	h := foldHash(name)
	if s.known(h, base, many) {
		return nil, (&wrong{text: "expected one key of this name, in one spelling", at: start}).in(string(name))
	}
	if p.fields == nil {
		return p.items(), nil
	}
	f, found := p.fields[h]
	switch {
	case !found:
		return anything, nil
	case f.name != string(name):
		return nil, (&wrong{text: "expected the spelling " + f.name, at: start}).in(string(name))
	}
	return f.plan, nil
}

// known tells whether the hash is one of the open object's, and adds it. Keys
// are compared by hash only: a collision refuses a document, never lets one in.
func (s *scanner) known(h uint64, base int, many *map[uint64]struct{}) bool {
	if *many != nil {
		_, found := (*many)[h]
		(*many)[h] = struct{}{}
		return found
	}
	own := s.keys[base:s.open]
	if slices.Contains(own, h) {
		return true
	}
	if len(own) < manyKeys && s.open < openKeys {
		s.keys[s.open] = h
		s.open++
		return false
	}
	*many = make(map[uint64]struct{}, 2*manyKeys)
	for _, k := range own {
		(*many)[k] = struct{}{}
	}
	(*many)[h] = struct{}{}
	return false
}
