package server

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// text steps over a string; plain: it is ASCII without escapes.
func (s *scanner) text() (plain bool, w *wrong) {
	plain = true
	for i := s.pos + 1; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.pos = i + 1
			return plain, nil
		case c == '\\':
			plain = false
			n := escape(s.data[i+1:])
			if n == 0 {
				s.pos = i
				return false, s.wrong("expected a valid escape")
			}
			i += n
		case c < 0x20:
			s.pos = i
			return false, s.wrong("expected control characters as escapes")
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	s.pos = len(s.data)
	return false, s.wrong("expected the end of the string")
}

// escape returns the length of the escape that follows a backslash; 0: none.
func escape(rest []byte) int {
	if len(rest) == 0 {
		return 0
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(rest) < 5 {
			return 0
		}
		for _, c := range rest[1:5] {
			if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

func (s *scanner) number(p *plan) *wrong {
	start, whole := s.pos, true
	if s.at() == '-' {
		s.pos++
	}
	switch {
	case s.at() == '0':
		s.pos++
	case s.digits() == 0:
		s.pos = start
		return s.wrong("expected a value")
	}
	if s.at() == '.' {
		whole = false
		s.pos++
		if s.digits() == 0 {
			return s.wrong("expected a digit")
		}
	}
	if c := s.at(); c == 'e' || c == 'E' {
		whole = false
		s.pos++
		if c := s.at(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return s.wrong("expected a digit")
		}
	}
	if !whole && p.want == wantInteger {
		return &wrong{text: "expected a whole number", at: start}
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for digit(s.at()) {
		s.pos++
	}
	return s.pos - start
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// unquote returns the text of a valid JSON string. It copies the token, as does
// the reading of times: the compiler then keeps the scanner on the stack.
func unquote(token []byte) string {
	var text string
	if json.Unmarshal(bytes.Clone(token), &text) != nil {
		return "?" // not reached: the scan has found the token valid
	}
	return text
}
