package expression

import (
	"regexp"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"

	"tandem/core"
	"tandem/core/mapping"
)

// fragment is a text that is ready to be part of a query: of a language, or a
// name or a moment, which fit into all of them.
type fragment struct {
	language string // empty: a name
	text     string
	compound bool // holds AND or OR outside of brackets, as far as its template tells
}

// String returns the text.
func (f fragment) String() string { return f.text }

// MarshalText writes the fragment as a text in JSON.
func (f fragment) MarshalText() ([]byte, error) { return []byte(f.text), nil }

// template compiles soql("... ? ...", x) and its like.
func (c *compiler) template(n ast.Node, lang string, args []ast.Node) eval {
	text, ok := args[0].(*ast.StringNode)
	if !ok {
		return c.fail(args[0], "the template of %s must stand here as it is, in quotes: put values in with ?", lang)
	}
	parts := strings.Split(text.Value, "?")
	compound, why := compoundOf(parts, lang)
	switch {
	case len(parts) != len(args):
		return c.fail(n, "the template has %d ?, but %d values follow", len(parts)-1, len(args)-1)
	case why != "":
		return c.fail(args[0], "%s", why)
	}
	values, offset := c.all(args[1:]), n.Location().From
	return func(r *run) (any, error) {
		compound := compound
		var b strings.Builder
		b.WriteString(parts[0])
		for i, code := range values {
			v, err := code(r)
			if err != nil {
				return nil, err
			}
			if f, ok := v.(fragment); ok && text.Value == "?" {
				compound = f.compound
			}
			s, err := r.literal(lang, v, parts[i], parts[i+1])
			if err == nil {
				err = r.fits(b.Len() + len(s))
			}
			if err != nil {
				return nil, at(args[i+1].Location().From, named(lang, err))
			}
			b.WriteString(s)
			b.WriteString(parts[i+1])
		}
		if err := r.fits(b.Len()); err != nil {
			return nil, at(offset, err)
		}
		return fragment{lang, b.String(), compound}, nil
	}
}

var (
	junctionWord = regexp.MustCompile(`(?i)\b(and|or)\b`)
	wholeQuery   = regexp.MustCompile(`(?i)^\s*(select|find)\b`)
)

// compoundOf tells whether a template, cut at its ?, is a condition with AND or
// OR outside of brackets and quotes. A ? in quotes is refused: the value's own
// quotes would end them.
func compoundOf(parts []string, lang string) (compound bool, why string) {
	quotes := languages[lang].quotes
	var outside strings.Builder
	depth, quote := 0, rune(0)
	for i, part := range parts {
		if i > 0 && quote != 0 {
			return false, "take the quotes away, ? brings its own"
		}
		escaped := false
		for _, r := range part {
			switch {
			case escaped:
				escaped = false
			case r == '\\' && lang != "odata":
				escaped = true
			case quote != 0:
				if r == quote {
					quote = 0
				}
			case strings.ContainsRune(quotes, r):
				quote = r
			case strings.ContainsRune("([{", r):
				depth++
			case strings.ContainsRune(")]}", r):
				depth--
			case depth == 0:
				outside.WriteRune(r)
				continue
			}
			outside.WriteByte(' ')
		}
		outside.WriteByte('?')
	}
	if quote != 0 {
		return false, "a quote in the template does not end"
	}
	return junctionWord.MatchString(outside.String()) && !wholeQuery.MatchString(parts[0]), ""
}

func last1(s string) string  { return s[max(len(s)-1, 0):] }
func first1(s string) string { return s[:min(len(s), 1)] }

// literal writes a value in a query language, in brackets where what stands
// before and after it has none.
func (r *run) literal(lang string, v any, before, after string) (string, error) {
	l := languages[lang]
	list, isList := asList(v)
	enclosed := strings.ContainsAny(last1(before), "([") && strings.ContainsAny(first1(after), ")]")
	if isNil(v) || !isList {
		before, after = strings.TrimSpace(before), strings.TrimSpace(after)
		f, _ := v.(fragment)
		s, err := r.single(lang, v)
		switch {
		case v == "" && lang == "odata" && last1(before) == "," && first1(after) == ")":
			return "", errEverything() // contains, startswith and endswith
		case f.compound && l.grouped && !enclosed && before+after != "":
			s = "(" + s + ")"
		}
		return s, err
	}
	text, err := r.literals(lang, list)
	if l.brackets && !enclosed {
		text = "(" + text + ")"
	}
	return text, err
}

// literals writes the entries of a list in a query language.
func (r *run) literals(lang string, list []any) (string, error) {
	if len(list) == 0 {
		return "", wrong("an empty list cannot be searched for")
	}
	parts, size := make([]string, len(list)), 0
	for i, item := range list {
		s, err := r.single(lang, item)
		if err != nil {
			return "", err
		}
		if _, isText := item.(string); isText && lang == "snow" && strings.Contains(s, ",") {
			return "", core.Errorf(core.Invalid, "a text with a comma cannot be part of a list that is searched for")
		}
		parts[i] = s
		if size += len(s); size > maxText {
			return "", r.fits(size)
		}
	}
	return strings.Join(parts, languages[lang].list), r.spend(len(list))
}

func (r *run) single(lang string, v any) (string, error) {
	switch x := v.(type) {
	case nil:
		return "", wrong("there is nothing to put in place of a ?")
	case fragment:
		if x.language == moment {
			if lang == "snow" {
				return strings.TrimSuffix(strings.Replace(x.text, "T", " ", 1), "Z"), nil
			}
			return x.text, nil
		}
		if x.language != "" && x.language != lang {
			return "", wrong("a part made by %s cannot stand in a query of %s", x.language, lang)
		}
		return x.text, nil
	case string:
		if err := r.fits(len(x)); err != nil {
			return "", err
		}
		return languages[lang].text(x)
	}
	s, ok := Text(v)
	if !ok {
		return "", wrong("%s cannot stand in a query", kindOf(v))
	}
	return s, nil
}

func every(r *run, args []any) (any, error) { return r.joinConditions(args[0], false) }

func either(r *run, args []any) (any, error) { return r.joinConditions(args[0], true) }

// joinConditions makes one condition of several of the same language; of none it
// gives nothing.
func (r *run) joinConditions(v any, or bool) (any, error) {
	list, ok := asList(v)
	if !ok {
		return nil, wrong("needs a list, not %s", kindOf(v))
	}
	var (
		lang  string
		parts []string
		size  int
	)
	for _, item := range list {
		if isNil(item) {
			continue
		}
		f, ok := item.(fragment)
		if !ok || f.language == "" || f.language == moment {
			return nil, wrong("needs conditions made by soql, odata and their like, not %s", kindOf(item))
		}
		if lang != "" && f.language != lang {
			return nil, wrong("conditions of %s and %s cannot be joined", lang, f.language)
		}
		lang = f.language
		if f.compound && languages[lang].grouped {
			f.text = "(" + f.text + ")"
		}
		if size += len(f.text) + 5; size > maxText {
			return nil, r.fits(size)
		}
		parts = append(parts, f.text)
	}
	switch len(parts) {
	case 0:
		return nil, r.spend(len(list))
	case 1:
		return fragment{language: lang, text: parts[0]}, nil
	}
	text, err := languages[lang].joined(lang, parts, or)
	if err == nil {
		err = r.fits(size)
	}
	return fragment{language: lang, text: text}, err
}

// datetime makes a time that can stand in a query; a day stays a day, since
// fields for days take nothing else.
func datetime(r *run, args []any) (any, error) {
	t, err := ReadTime(args[0])
	if err != nil || t.IsZero() {
		return nil, err
	}
	form := "2006-01-02T15:04:05Z"
	if s, ok := asText(args[0]); ok && len(strings.TrimSpace(s)) == len(time.DateOnly) {
		form = time.DateOnly
	}
	return fragment{language: moment, text: t.Format(form)}, r.spend(8)
}

var guidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// guid makes an id that can stand in a query of OData.
func guid(_ *run, args []any) (any, error) {
	s, ok := Text(args[0])
	if !ok {
		return nil, wrong("needs a GUID, not %s", kindOf(args[0]))
	}
	id := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "{"), "}"))
	if !guidForm.MatchString(id) {
		return nil, core.Errorf(core.Invalid, "%s is no GUID", mapping.Quote(s))
	}
	return fragment{language: "odata", text: id}, nil
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

func name(_ *run, args []any) (any, error) {
	s, ok := Text(args[0])
	if !ok {
		return nil, wrong("needs the name of a field or record type, not %s", kindOf(args[0]))
	}
	if !identifier.MatchString(s) {
		return nil, core.Errorf(core.Invalid, "%s is no name of a field or record type", mapping.Quote(s))
	}
	return fragment{text: s}, nil
}

// isSeparator tells whether a node is a text that may stand between names.
func isSeparator(n ast.Node) bool {
	text, ok := n.(*ast.StringNode)
	return ok && text.Value != "" && strings.Trim(text.Value, " ,.") == ""
}

func names(r *run, args []any) (any, error) {
	list, ok := asList(args[0])
	if !ok || len(list) == 0 {
		return nil, wrong("needs a list of names, not %s", kindOf(args[0]))
	}
	between := ", "
	if len(args) == 2 {
		between, _ = args[1].(string) // as compiled
	}
	for _, item := range list {
		if _, err := name(r, []any{item}); err != nil {
			return nil, err
		}
	}
	joined, err := r.joined(list, between)
	if err != nil {
		return nil, err
	}
	text, _ := joined.(string)
	return fragment{text: text}, nil
}
