package expression

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	"tandem/core/mapping"
)

// The bounds of regular expressions.
const (
	maxPattern  = 200      // characters
	maxSize     = 10_000   // instructions of one
	maxPatterns = 50_000   // of all of a file
	maxMatched  = 64 << 10 // bytes of a text that one looks at
	patternWork = 4        // instructions a byte for one unit of a run's work
)

// Patterns counts what the regular expressions of a file cost. The zero value
// has counted nothing. It is for one goroutine.
type Patterns struct{ size int }

// Pattern is a regular expression of a bounded size. It is immutable.
type Pattern struct {
	re   *regexp.Regexp
	Size int // instructions: what each character of a text may cost
}

// Matches tells whether a text fits.
func (p *Pattern) Matches(text string) bool { return p.re.MatchString(text) }

// Compile compiles a regular expression, which must match all of a text with
// whole, or says what is wrong with it. Without a receiver it counts nothing.
func (c *Patterns) Compile(text string, whole bool) (*Pattern, string) {
	if utf8.RuneCountInString(text) > maxPattern {
		return nil, fmt.Sprintf("a pattern has at most %d characters", maxPattern)
	}
	// Alone first: "a)|(b" would get out of the brackets below.
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, "this pattern cannot be read: " + mapping.Quote(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	size := instructions(parsed)
	if size > maxSize {
		return nil, "the pattern repeats too much: take smaller numbers in {}"
	}
	if c != nil {
		if c.size += size; c.size > maxPatterns {
			return nil, "the patterns of this file repeat too much: take smaller numbers in {}"
		}
	}
	if whole {
		text = "^(?:" + text + ")$"
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, "this pattern cannot be read: " + mapping.Quote(err.Error())
	}
	return &Pattern{re, size}, ""
}

// instructions is about how many a regular expression is compiled to.
func instructions(re *syntax.Regexp) int {
	size := 0
	for _, sub := range re.Sub {
		size = min(size+instructions(sub), maxSize+1)
	}
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpConcat:
		return size
	case syntax.OpRepeat:
		return max(re.Min, re.Max, 1) * (size + 1)
	case syntax.OpCapture:
		return size + 2
	}
	return size + max(len(re.Sub), 1)
}

// matched pays for a pattern's look at a text.
func (r *run) matched(p *Pattern, s string) error {
	if len(s) > maxMatched {
		return wrong("a pattern takes texts of %d KB at most", maxMatched>>10)
	}
	return r.spend(1 + len(s)*p.Size/patternWork)
}
