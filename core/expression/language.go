package expression

import (
	"slices"
	"strings"
	"unicode"

	"tandem/core"
)

// language says how a query language writes a text, and a list of literals.
type language struct {
	text     func(s string) (string, error)
	list     string // between the entries of a list
	brackets bool   // around a list that has none yet
	and, or  string // between conditions; or may be empty: not available
	grouped  bool   // conditions joined are put in brackets
	quotes   string // signs around texts in a template
}

// moment is the language of times, which stand without quotes in all languages.
const moment = "time"

var languages = map[string]language{
	"soql":    {soqlText, ",", true, " AND ", " OR ", true, "'"},
	"sosl":    {soslText, " OR ", false, " AND ", " OR ", true, `"'`},
	"odata":   {odataText, ",", true, " and ", " or ", true, "'"},
	"snow":    {snowText, ",", false, "^", "^OR", false, ""},
	"zendesk": {zendeskText, " ", false, " ", "", false, `"`},
}

func soqlText(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t", r) }) {
		return "", core.Errorf(core.Invalid, "a text with control characters cannot be searched for")
	}
	return "'" + soqlSigns.Replace(s) + "'", nil
}

// errEverything refuses a text of which every text is a match.
func errEverything() error { return core.Errorf(core.Invalid, "an empty text would match everything") }

// What has a meaning within the quotes of a language, and in a pattern of LIKE.
//
//nolint:gochecknoglobals // tables
var (
	soqlSigns    = strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	zendeskSigns = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	likeSigns    = strings.NewReplacer("%", `\%`, "_", `\_`)
)

// soslText writes a phrase between the braces of FIND: its words belong
// together, none of them is an operator, and what has a meaning is escaped.
func soslText(s string) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", errEverything()
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case unicode.IsControl(r):
			r = ' '
		case strings.ContainsRune(`?&|!{}[]()^~*:\"'+-`, r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
	return b.String(), nil
}

func odataText(s string) (string, error) {
	return "'" + strings.ReplaceAll(s, "'", "''") + "'", nil
}

// snowText writes a value of an encoded query, which has no quotes: what would
// end the value, or be run as a script, is refused.
func snowText(s string) (string, error) {
	switch {
	case strings.TrimSpace(s) == "":
		return "", errEverything() // LIKE, CONTAINS and STARTSWITH
	case strings.Contains(s, "^") || strings.ContainsFunc(s, unicode.IsControl):
		return "", core.Errorf(core.Invalid, "a text with ^, a line break or a control character cannot be searched for")
	case strings.HasPrefix(strings.ToLower(strings.TrimSpace(s)), "javascript:"):
		return "", core.Errorf(core.Invalid, "a text that begins with javascript: cannot be searched for")
	}
	return s, nil
}

func zendeskText(s string) (string, error) {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return `"` + zendeskSigns.Replace(s) + `"`, nil
}

// Written returns the ways in which the query languages write a text, without the
// quotes around it.
func Written(text string) []string {
	var forms []string
	for _, l := range languages {
		if s, err := l.text(text); err == nil {
			s = strings.TrimSuffix(strings.TrimPrefix(s, first1(l.quotes)), first1(l.quotes))
			forms = append(forms, s, likeSigns.Replace(s))
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

func (l language) joined(name string, parts []string, or bool) (string, error) {
	between := l.and
	if or {
		between = l.or
	}
	if between == "" {
		return "", wrong("%s cannot join conditions with OR", name)
	}
	for _, part := range parts {
		if or && name == "snow" && strings.Contains(strings.ReplaceAll(part, l.or, ""), l.and) {
			return "", wrong("ServiceNow cannot join with OR what is joined with AND")
		}
	}
	text := strings.Join(parts, between)
	if l.grouped {
		text = "(" + text + ")"
	}
	return text, nil
}
