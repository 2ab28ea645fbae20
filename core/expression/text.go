package expression

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem/core"
	"tandem/core/mapping"
)

// texts returns a function whose arguments are all texts.
func texts(do func(r *run, s []string) (any, error)) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) {
		s, size := make([]string, len(args)), 0
		for i, v := range args {
			text, ok := Text(v)
			if !ok {
				return nil, wrong("needs a text, not %s", kindOf(v))
			}
			s[i], size = text, size+len(text)
		}
		if err := r.spend(size / 4); err != nil {
			return nil, err
		}
		return do(r, s)
	}
}

// runeIndex turns a place in bytes into one in characters.
func runeIndex(s string, at int) int {
	if at < 0 {
		return -1
	}
	return utf8.RuneCountInString(s[:at])
}

func stringOf(_ *run, args []any) (any, error) {
	if isNil(args[0]) {
		return "", nil
	}
	return textOf(nil, args)
}

func textOf(_ *run, args []any) (any, error) {
	if isNil(args[0]) {
		return nil, nil //nolint:nilnil // nothing stays nothing
	}
	s, ok := Text(args[0])
	if !ok {
		return nil, wrong("%s cannot be written as a text", kindOf(args[0]))
	}
	return s, nil
}

func plainText(_ *run, args []any) (any, error) {
	if isNil(args[0]) {
		return nil, nil //nolint:nilnil // nothing stays nothing
	}
	s, ok := Text(args[0])
	most, also := toWhole(args[1])
	if !ok || !also || most < 0 {
		return nil, wrong("needs a text and a number of characters, not %s and %s", kindOf(args[0]), kindOf(args[1]))
	}
	return shortened(s, most), nil
}

// shortened cuts a text to so many characters, the last of which shows it.
func shortened(s string, most int) string {
	if utf8.RuneCountInString(s) <= most || most == 0 {
		return cut(s, most)
	}
	return cut(s, most-1) + "…"
}

// cut returns the first characters of a text.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for i := range s {
		if most == 0 {
			return s[:i]
		}
		most--
	}
	return s
}

// maxCutset is how many different characters trim takes away: each costs a look
// at each.
const maxCutset = 64

func trim(r *run, args []any) (any, error) {
	return texts(func(_ *run, s []string) (any, error) {
		switch {
		case len(s) == 1:
			return strings.TrimSpace(s[0]), nil
		case utf8.RuneCountInString(s[1]) > maxCutset:
			return nil, wrong("takes %d characters away at most", maxCutset)
		}
		return strings.Trim(s[0], s[1]), nil
	})(r, args)
}

func split(r *run, args []any) (any, error) {
	most := -1
	if len(args) == 3 {
		n, ok := toWhole(args[2])
		if !ok {
			return nil, wrong("needs a number of parts, not %s", kindOf(args[2]))
		}
		most = n
	}
	return texts(func(r *run, s []string) (any, error) {
		if err := r.spend(4 * strings.Count(s[0], s[1])); err != nil {
			return nil, err
		}
		list, _ := asList(strings.SplitN(s[0], s[1], most))
		return slices.Clip(list), nil
	})(r, args[:2])
}

func join(r *run, args []any) (any, error) {
	list, ok := asList(args[0])
	if !ok {
		return nil, wrong("needs a list, not %s", kindOf(args[0]))
	}
	between := ""
	if len(args) == 2 {
		if between, ok = asText(args[1]); !ok {
			return nil, wrong("needs a text to put between, not %s", kindOf(args[1]))
		}
	}
	return r.joined(list, between)
}

// joined joins scalars with a text between them; nothing is left out.
func (r *run) joined(list []any, between string) (any, error) {
	parts, size := make([]string, 0, len(list)), 0
	for _, v := range list {
		if isNil(v) {
			continue
		}
		s, ok := Text(v)
		if !ok {
			return nil, wrong("%s cannot be part of a text", kindOf(v))
		}
		if size += len(s) + len(between); size-len(between) > maxText {
			return nil, r.fits(size)
		}
		parts = append(parts, s)
	}
	if err := r.spend(len(list) + size/4); err != nil {
		return nil, err
	}
	return strings.Join(parts, between), nil
}

func replace(r *run, s []string) (any, error) {
	if s[1] == "" {
		return nil, wrong("needs a text to look for")
	}
	if err := r.fits(len(s[0]) + strings.Count(s[0], s[1])*(len(s[2])-len(s[1]))); err != nil {
		return nil, err
	}
	return strings.ReplaceAll(s[0], s[1], s[2]), nil
}

func lines(r *run, args []any) (any, error) { return r.joined(args, "\n") }

func labelled(r *run, args []any) (any, error) {
	object, ok := asObject(args[0])
	if !ok {
		return nil, wrong("needs an object, not %s", kindOf(args[0]))
	}
	if err := r.spend(4 * len(object)); err != nil {
		return nil, err
	}
	var list []any
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if value, ok := Text(object[key]); ok && value != "" {
			if err := r.fits(len(key) + len(value)); err != nil {
				return nil, err
			}
			list = append(list, key+": "+value)
		}
	}
	return r.joined(list, "\n")
}

// lastSegment takes the last part of a path or address, or what stands in
// brackets behind it.
func lastSegment(r *run, args []any) (any, error) {
	if isNil(args[0]) {
		return nil, nil //nolint:nilnil // nothing stays nothing
	}
	return texts(func(_ *run, s []string) (any, error) {
		path, _, _ := strings.Cut(s[0], "#")
		path, _, _ = strings.Cut(path, "?")
		path = strings.TrimRight(path, "/")
		path = path[strings.LastIndexByte(path, '/')+1:]
		if inner, ok := strings.CutSuffix(path, ")"); ok {
			if i := strings.IndexByte(inner, '('); i >= 0 {
				path = inner[i+1:]
			}
		}
		return path, nil
	})(r, args)
}

// conditionSigns are the operators of a condition; longer ones come before those
// that they begin with.
var conditionSigns = []string{"!=", ">=", "<=", "=", ">", "<"}

var conditionWords = []string{"like", "contains", "startswith", "endswith", "in"}

// condition reads "<field> <operator> <value>".
func condition(r *run, args []any) (any, error) {
	text, ok := asText(args[0])
	if !ok {
		return nil, wrong("needs a text, not %s", kindOf(args[0]))
	}
	if err := r.fits(len(text)); err != nil {
		return nil, err
	}
	invalid := core.Errorf(core.Invalid, "%s is no condition: write <field> <operator> <value>, the operator one of %s %s",
		mapping.Quote(text), strings.Join(conditionSigns, " "), strings.Join(conditionWords, " "))
	text = strings.TrimSpace(text)
	end := strings.IndexAny(text, " \t=!<>")
	if end <= 0 {
		return nil, invalid
	}
	field, rest := text[:end], strings.TrimSpace(text[end:])
	operator := ""
	for _, sign := range conditionSigns {
		if strings.HasPrefix(rest, sign) {
			operator, rest = sign, rest[len(sign):]
			break
		}
	}
	if word, after, _ := strings.Cut(rest, " "); operator == "" && slices.Contains(conditionWords, strings.ToLower(word)) {
		operator, rest = strings.ToLower(word), after
	}
	value, ok := conditionValue(operator, strings.TrimSpace(rest))
	if operator == "" || !ok {
		return nil, invalid
	}
	return map[string]any{"field": field, "operator": operator, "value": value}, nil
}

// conditionValue takes the quotes away, and splits the list of in.
func conditionValue(operator, text string) (any, bool) {
	if operator != "in" {
		return unquoted(text)
	}
	if inner, ok := strings.CutPrefix(text, "("); ok {
		if text, ok = strings.CutSuffix(inner, ")"); !ok {
			return nil, false
		}
	}
	list := []any{}
	for _, part := range splitQuoted(text) {
		v, ok := unquoted(strings.TrimSpace(part))
		if !ok {
			return nil, false
		}
		list = append(list, v)
	}
	return list, true
}

// splitQuoted splits at commas outside of quotes.
func splitQuoted(text string) []string {
	var (
		parts []string
		quote rune
		from  int
	)
	for i, c := range text {
		switch {
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case c == quote:
			quote = 0
		case c == ',' && quote == 0:
			parts, from = append(parts, text[from:i]), i+1
		}
	}
	return append(parts, text[from:])
}

// unquoted takes quotes away; a quote that does not end is refused.
func unquoted(text string) (string, bool) {
	if text == "" {
		return "", false
	}
	if q := text[0]; q == '\'' || q == '"' {
		if len(text) < 2 || text[len(text)-1] != q {
			return "", false
		}
		text = text[1 : len(text)-1]
	}
	return text, true
}

// like returns a function that writes a text as a pattern of LIKE in SOQL, in
// which the text stands for itself.
func like(before, after string) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) {
		s, ok := Text(args[0])
		if !ok {
			return nil, wrong("needs a text, not %s", kindOf(args[0]))
		}
		if strings.TrimSpace(s) == "" {
			return nil, errEverything()
		}
		quoted, err := soqlText(s)
		if err != nil {
			return nil, err
		}
		inner := likeSigns.Replace(quoted[1 : len(quoted)-1])
		return fragment{language: "soql", text: "'" + before + inner + after + "'"}, r.fits(len(inner))
	}
}
