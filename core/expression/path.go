package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"tandem/core"
	"tandem/core/mapping"
)

// Path is a path below an address, with expressions in braces. It is immutable
// and may be evaluated by several goroutines at once.
type Path struct {
	Answer   bool      // it looks at an answer
	segments [][]piece // between the slashes
	entities *Entities
	place    func(offset int) string
}

// piece is a part of a segment.
type piece struct {
	text   string // as it is
	code   eval   // nil: text
	answer bool   // code looks at an answer
	at     int    // of the expression, in the whole text
}

// CompilePath compiles a path such as /sobjects/{input.entity}/{values.id} and
// returns what is wrong with it.
func CompilePath(f mapping.File, text mapping.Text, n Names) (*Path, []mapping.Finding) {
	s := source{f, text.Pos, text.Value, 0}
	p := pathCompiler{source: s, names: n}
	path := &Path{segments: p.segments(), entities: n.Entities, place: s.place}
	for _, segment := range path.segments {
		for _, piece := range segment {
			path.Answer = path.Answer || piece.answer
		}
	}
	mapping.Sort(p.findings)
	return path, p.findings
}

// Eval returns the path, percent-encoded: what an expression gives is always a
// part of one segment. It gives no empty segment, and none that is "." or "..".
// Errors are those of Program.Eval.
func (p *Path) Eval(e *Env) (string, error) {
	r := newRun(e, p.entities)
	v, err := guarded(r, func(r *run) (any, error) {
		var b strings.Builder
		for _, segment := range p.segments {
			b.WriteByte('/')
			if err := p.segment(r, segment, &b); err != nil {
				return nil, err
			}
		}
		return b.String(), nil
	})
	if err != nil {
		return "", mappingError(err, p.place)
	}
	text, _ := v.(string)
	return text, nil
}

func (p *Path) segment(r *run, segment []piece, b *strings.Builder) error {
	from := b.Len()
	for _, piece := range segment {
		if piece.code == nil {
			b.WriteString(piece.text)
			continue
		}
		v, err := piece.code(r)
		if err != nil {
			if q, ok := err.(*problem); ok { //nolint:errorlint // never wrapped
				return &problem{piece.at + max(q.offset, 0), q.what}
			}
			return err
		}
		s, ok := Text(v)
		switch {
		case !ok:
			return &problem{piece.at, "a part of a path must be a text or a number, not " + kindOf(v)}
		case s == "":
			return &problem{piece.at, "a part of a path must not be empty"}
		case s == "." || s == "..":
			return piece.refuse(`a part of a path must not be "." or ".."`)
		case len(s) > maxText/64:
			return piece.refuse("a part of a path is longer than 4 KB")
		case !utf8.ValidString(s):
			return &problem{piece.at, "a part of a path is no text"}
		}
		escape(b, s)
	}
	if whole := b.String()[from:]; whole == "." || whole == ".." {
		return &problem{segment[0].at, `a part of a path must not be "." or ".."`}
	}
	return nil
}

// refuse is the error for what an expression has given: Invalid, unless it comes
// from an answer.
func (p piece) refuse(what string) error {
	if p.answer {
		return &problem{p.at, what}
	}
	return core.Errorf(core.Invalid, "%s", what)
}

// escape percent-encodes all that could have a meaning in an address.
func escape(b *strings.Builder, s string) {
	for i := range len(s) {
		if c := s[i]; isUnreserved(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

type pathCompiler struct {
	source   source
	names    Names
	findings []mapping.Finding
}

func (p *pathCompiler) add(offset int, format string, args ...any) {
	p.findings = append(p.findings, p.source.file.AtPos(p.source.at(offset), format, args...))
}

// segments cuts the text at its slashes and braces. Offsets count characters.
func (p *pathCompiler) segments() [][]piece {
	text := []rune(p.source.text)
	if len(text) == 0 || text[0] != '/' {
		p.add(0, "a path begins with /")
		return nil
	}
	var (
		segments [][]piece
		segment  []piece
		literal  []rune
		start    int
	)
	flush := func() {
		if len(literal) > 0 {
			segment = append(segment, piece{text: string(literal), at: start})
		}
		literal = nil
	}
	for i := 1; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == '/':
			flush()
			p.checkSegment(segment, i, len(text))
			segments, segment = append(segments, segment), nil
		case text[i] == '{':
			flush()
			end := closing(text, i)
			if end < 0 {
				p.add(i, "{ without }")
				return segments
			}
			segment = append(segment, p.expression(text, i+1, end))
			i = end
		default:
			if !isUnreserved(byte(min(text[i], 127))) && !strings.ContainsRune("!$&'()*+,;=:@", text[i]) || text[i] > 126 {
				p.add(i, "a path cannot hold %s", mapping.Quote(string(text[i])))
			}
			if len(literal) == 0 {
				start = i
			}
			literal = append(literal, text[i])
		}
	}
	return segments
}

func (p *pathCompiler) checkSegment(segment []piece, end, length int) {
	switch {
	case len(segment) == 0 && end < length:
		p.add(end, "an empty part between two /")
	case len(segment) == 1 && (segment[0].text == "." || segment[0].text == ".."):
		p.add(segment[0].at, "a part of a path must not be %q", segment[0].text)
	}
}

// expression compiles what stands between braces.
func (p *pathCompiler) expression(text []rune, from, end int) piece {
	for from < end && text[from] == ' ' {
		from++
	}
	code, answer, err := compile(strings.TrimSpace(string(text[from:end])), p.names)
	if err != nil {
		s := p.source
		s.skip = from
		p.findings = append(p.findings, finding(s, err))
		code = constant(nil)
	}
	return piece{code: code, answer: answer, at: from}
}

// closing finds the brace that closes the one at open; braces in quotes do not
// count.
func closing(text []rune, open int) int {
	depth, quote := 0, rune(0)
	for i := open; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == '\\' && quote != '`':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"' || c == '`':
			quote = c
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}
