package integration

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"tandem/core/mapping"
)

// What a pattern may cost.
const (
	maxPattern     = 200  // characters
	maxPatternSize = 2000 // its repetitions written out
)

// fields makes the fields of a form; before are those that stand above them.
func (l *loader) fields(entries []fieldEntry, before []Field) []Field {
	var list []Field
	for _, e := range entries {
		l.count++
		if l.count > maxFields {
			l.add(e.Pos, "more than %d fields in one file", maxFields)
			return list
		}
		same := func(f Field) bool { return f.Name == e.Name.Value }
		switch {
		case e.Name.Value == "": // found by Decode
			continue
		case !fieldName.MatchString(e.Name.Value):
			l.add(e.Name.Pos, "%s is not the name of a field: it begins with a-z and is made of a-z, 0-9 and _",
				mapping.Quote(e.Name.Value))
			continue
		case slices.ContainsFunc(before, same) || slices.ContainsFunc(list, same):
			l.add(e.Name.Pos, "duplicate field %q", e.Name.Value)
			continue
		}
		list = append(list, l.field(e))
	}
	return list
}

func (l *loader) field(e fieldEntry) Field {
	f := Field{
		Name: e.Name.Value, Label: e.Label, Help: e.Help, Pattern: l.pattern(e.Pattern),
		Required: e.Required, Secret: e.Secret, Multiline: e.Multiline, Default: e.Default.Value,
	}
	e.Options = shorten(l, e.Options, maxEntries, "options", e.Pos)
	for _, o := range e.Options {
		if slices.ContainsFunc(f.Options, func(other Option) bool { return other.Value == o.Value.Value }) {
			l.add(o.Value.Pos, "duplicate option %s", mapping.Quote(o.Value.Value))
		}
		f.Options = append(f.Options, Option{o.Value.Value, o.Label})
	}
	for _, o := range e.Options {
		if why := f.check(o.Value.Value, false); why != "" && o.Value.Value != "" {
			l.add(o.Value.Pos, "the option %s of %q %s", mapping.Quote(o.Value.Value), f.Name, why)
		}
	}
	switch {
	case e.Default.Value == "":
	case e.Secret:
		l.add(e.Default.Pos, "a secret has no default: no secret stands in a file")
	default:
		if why := f.check(e.Default.Value, false); why != "" {
			l.add(e.Default.Pos, "the default %s of %q %s", mapping.Quote(e.Default.Value), f.Name, why)
		}
	}
	if e.Secret && len(e.Options) > 0 {
		l.add(e.Pos, "a secret has no options: no secret stands in a file")
	}
	return f
}

// pattern compiles a pattern so that it must match all of a value.
func (l *loader) pattern(text mapping.Text) *regexp.Regexp {
	if text.Value == "" {
		return nil
	}
	if len(text.Value) > maxPattern {
		l.add(text.Pos, "a pattern has at most %d characters", maxPattern)
		return nil
	}
	// Alone first: "a)|(b" would get out of the brackets below.
	tree, err := syntax.Parse(text.Value, syntax.Perl)
	if err != nil {
		l.add(text.Pos, "the pattern is not a regular expression: %s", mapping.Quote(err.Error()))
		return nil
	}
	if size(tree) > maxPatternSize {
		l.add(text.Pos, "the pattern repeats too much")
		return nil
	}
	compiled, err := regexp.Compile("^(?:" + text.Value + ")$")
	if err != nil {
		l.add(text.Pos, "the pattern is not a regular expression: %s", mapping.Quote(err.Error()))
		return nil
	}
	return compiled
}

// size estimates a pattern with its repetitions written out.
func size(tree *syntax.Regexp) int {
	n := 1
	if tree.Op == syntax.OpLiteral {
		n = len(tree.Rune)
	}
	for _, sub := range tree.Sub {
		n += size(sub)
	}
	if tree.Op == syntax.OpRepeat {
		n *= max(tree.Min, tree.Max, 1)
	}
	return min(n, 1<<20)
}

// addressSign tells whether a character may stand in a value that becomes part
// of an address: only those that mean nothing there.
func addressSign(r rune) bool {
	return r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-._~", r))
}

// fitsAddress tells whether every value that a field takes can be part of an
// address.
func (l *loader) fitsAddress(f Field) bool {
	if len(f.Options) > 0 {
		return !slices.ContainsFunc(f.Options, func(o Option) bool {
			return strings.ContainsFunc(o.Value, func(r rune) bool { return !addressSign(r) })
		})
	}
	if f.Pattern == nil {
		return false
	}
	pattern := f.Pattern.String()
	fits, known := l.fits[pattern]
	if !known {
		tree, err := syntax.Parse(pattern, syntax.Perl)
		fits = err == nil && onlyAddressSigns(tree)
		l.fits[pattern] = fits
	}
	return fits
}

// onlyAddressSigns looks at every character that a pattern can match anywhere,
// rather than at samples of what it matches.
func onlyAddressSigns(tree *syntax.Regexp) bool {
	switch tree.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpLiteral:
		for _, r := range tree.Rune {
			if !addressSign(r) {
				return false
			}
			for other := unicode.SimpleFold(r); tree.Flags&syntax.FoldCase != 0 && other != r; other = unicode.SimpleFold(other) {
				if !addressSign(other) {
					return false
				}
			}
		}
	case syntax.OpCharClass:
		for i := 0; i+1 < len(tree.Rune); i += 2 {
			for r := tree.Rune[i]; r <= tree.Rune[i+1]; r++ {
				if !addressSign(r) {
					return false
				}
			}
		}
	}
	return !slices.ContainsFunc(tree.Sub, func(sub *syntax.Regexp) bool { return !onlyAddressSigns(sub) })
}
