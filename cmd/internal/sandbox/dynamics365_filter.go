package sandbox

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// odata reads a $filter of OData: comparisons, contains, startswith, endswith,
// not, and, or, parentheses. What it makes of it tells whether a record fits.
type odata struct {
	kind   *dynamicsKind
	tokens []string
	err    error
}

type odataFits func(record map[string]any) bool

var (
	odataToken = regexp.MustCompile(`\s*('(?:[^']|'')*'|[A-Za-z0-9_.:+-]+|[(),])`)
	odataTime  = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?Z)?$`)
	odataGUID  = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

func dynamicsFilter(text string, kind *dynamicsKind) (odataFits, error) {
	o := &odata{kind: kind}
	for rest := strings.TrimSpace(text); rest != ""; {
		at := odataToken.FindStringSubmatchIndex(rest)
		if at == nil || at[0] != 0 {
			return nil, fmt.Errorf("Syntax error at position %d in '%s'.", len(text)-len(rest), text) //nolint:revive,staticcheck // the vendor's words
		}
		o.tokens = append(o.tokens, rest[at[2]:at[3]])
		rest = strings.TrimSpace(rest[at[1]:])
	}
	fits := o.either()
	if o.err == nil && len(o.tokens) > 0 {
		o.err = fmt.Errorf("Syntax error at '%s' in '%s'.", o.tokens[0], text) //nolint:revive,staticcheck // the vendor's words
	}
	return fits, o.err
}

// next takes the next token when it is one of words; any when there are none.
func (o *odata) next(words ...string) string {
	if len(o.tokens) == 0 {
		if len(words) == 0 {
			o.fail(errors.New("Expression expected.")) //nolint:revive,staticcheck // the vendor's words
		}
		return ""
	}
	for _, word := range words {
		if o.tokens[0] == word {
			o.tokens = o.tokens[1:]
			return word
		}
	}
	if len(words) > 0 {
		return ""
	}
	token := o.tokens[0]
	o.tokens = o.tokens[1:]
	return token
}

func (o *odata) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

func (o *odata) expect(word string) {
	if o.next(word) == "" {
		o.fail(fmt.Errorf("'%s' expected.", word)) //nolint:revive,staticcheck // the vendor's words
	}
}

func (o *odata) either() odataFits {
	left := o.both()
	for o.err == nil && o.next("or") != "" {
		a, b := left, o.both()
		left = func(r map[string]any) bool { return a(r) || b(r) }
	}
	return left
}

func (o *odata) both() odataFits {
	left := o.one()
	for o.err == nil && o.next("and") != "" {
		a, b := left, o.one()
		left = func(r map[string]any) bool { return a(r) && b(r) }
	}
	return left
}

func (o *odata) one() odataFits {
	if o.next("not") != "" {
		fits := o.one()
		return func(r map[string]any) bool { return !fits(r) }
	}
	if o.next("(") != "" {
		fits := o.either()
		o.expect(")")
		return fits
	}
	if call := o.next("contains", "startswith", "endswith"); call != "" {
		o.expect("(")
		column, _ := o.column()
		o.expect(",")
		want, _ := o.literal('t').(string)
		o.expect(")")
		compare := map[string]func(a, b string) bool{
			"contains": strings.Contains, "startswith": strings.HasPrefix, "endswith": strings.HasSuffix,
		}[call]
		return func(r map[string]any) bool {
			have, ok := r[column].(string)
			return ok && compare(strings.ToLower(have), strings.ToLower(want))
		}
	}
	column, form := o.column()
	operator := o.next("eq", "ne", "gt", "ge", "lt", "le")
	if operator == "" {
		o.fail(errors.New("An operator is expected.")) //nolint:revive,staticcheck // the vendor's words
	}
	want := o.literal(form)
	return func(r map[string]any) bool { return odataCompare(r[column], operator, want) }
}

func (o *odata) column() (string, byte) {
	name := o.next()
	form := o.kind.columns[name]
	if form == 0 {
		o.fail(fmt.Errorf("Could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.%s'.", name, o.kind.name)) //nolint:revive,staticcheck // the vendor's words
	}
	return name, form
}

// literal reads a value for a column of a form: an id or a time stands bare, a
// text in quotes, and neither is taken for the other.
func (o *odata) literal(form byte) any {
	token := o.next()
	var value any
	ok := true
	switch {
	case token == "null":
	case strings.HasPrefix(token, "'"):
		value, ok = strings.ReplaceAll(token[1:len(token)-1], "''", "'"), form == 't'
	case token == "true" || token == "false":
		value, ok = token == "true", form == 'b'
	case odataGUID.MatchString(token):
		value, ok = strings.ToLower(token), form == 'i'
	case odataTime.MatchString(token):
		value, ok = token, form == 'd'
	default:
		number, err := strconv.ParseFloat(token, 64)
		value, ok = number, err == nil && form == 'n'
	}
	if !ok {
		o.fail(errors.New("A binary operator with incompatible types was detected.")) //nolint:revive,staticcheck // the vendor's words
	}
	return value
}

// odataCompare compares as the database does: case does not count, and what is
// not there is equal to null only.
func odataCompare(have any, operator string, want any) bool {
	var order int
	switch have := have.(type) {
	case string:
		text, ok := want.(string)
		if !ok {
			return operator == "ne"
		}
		order = strings.Compare(strings.ToLower(have), strings.ToLower(text))
	case float64:
		number, ok := want.(float64)
		if !ok {
			return operator == "ne"
		}
		order = int(have - number)
		if order == 0 && have != number {
			order = map[bool]int{true: 1, false: -1}[have > number]
		}
	default:
		return (have == want) == (operator == "eq") && (operator == "eq" || operator == "ne")
	}
	switch operator {
	case "eq":
		return order == 0
	case "ne":
		return order != 0
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	default:
		return order <= 0
	}
}
