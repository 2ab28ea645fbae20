package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sfToken is a token of SOQL and SOSL: text literals, numbers, names with
// dots, times, operators and single signs.
var sfToken = regexp.MustCompile(`^\s*('(?:[^'\\\n]|\\.)*'|\d{4}-\d\d-\d\d(?:T[0-9:.]+Z)?|-?\d+(?:\.\d+)?|[A-Za-z_][\w.]*|!=|<>|<=|>=|[=<>(),])`)

// sfParser reads a query from left to right. Its first error stays.
type sfParser struct {
	org    *salesforce
	object string
	rest   string
	err    *sfError
}

// sfPick is a read query of one object.
type sfPick struct {
	object string
	names  []string
	where  func(map[string]any) bool
	order  string
	down   bool
	limit  int
}

func (p *sfParser) fail(code, format string, args ...any) {
	if p.err == nil {
		p.err = sfRefuse(code, format, args...)
	}
}

// peek returns the next token; empty at the end.
func (p *sfParser) peek() string {
	found := sfToken.FindStringSubmatch(p.rest)
	if found == nil {
		if strings.TrimSpace(p.rest) != "" {
			p.fail("MALFORMED_QUERY", "unexpected token: '%.20s'", strings.TrimSpace(p.rest))
		}
		return ""
	}
	return found[1]
}

func (p *sfParser) next() string {
	token := p.peek()
	if token != "" {
		p.rest = p.rest[strings.Index(p.rest, token)+len(token):]
	}
	return token
}

// take reads the words if they come next.
func (p *sfParser) take(words ...string) bool {
	before := p.rest
	for _, word := range words {
		if !strings.EqualFold(p.next(), word) {
			p.rest = before
			return false
		}
	}
	return true
}

func (p *sfParser) must(words ...string) {
	if before := strings.TrimSpace(p.rest); !p.take(words...) {
		p.fail("MALFORMED_QUERY", "unexpected token: '%.20s', expecting '%s'", before, strings.Join(words, " "))
	}
}

// list reads names with commas between.
func (p *sfParser) list() []string {
	names := []string{p.next()}
	for p.take(",") {
		names = append(names, p.next())
	}
	return names
}

// tail reads what may stand behind the fields: WHERE, ORDER BY, LIMIT.
func (p *sfParser) tail(q *sfPick) {
	q.where, q.limit = func(map[string]any) bool { return true }, 2000
	if p.take("WHERE") {
		q.where = p.either()
	}
	if p.take("ORDER", "BY") {
		q.order = p.next()
		p.column(q.order)
		if q.down = p.take("DESC"); !q.down {
			p.take("ASC")
		}
		if p.take("NULLS") && !p.take("LAST") {
			p.must("FIRST")
		}
	}
	if p.take("LIMIT") {
		n, err := strconv.Atoi(p.next())
		if err != nil {
			p.fail("MALFORMED_QUERY", "LIMIT needs a number")
		}
		q.limit = n
	}
}

func (p *sfParser) either() func(map[string]any) bool {
	left := p.every()
	for p.err == nil && p.take("OR") {
		l, r := left, p.every()
		left = func(m map[string]any) bool { return l(m) || r(m) }
	}
	return left
}

func (p *sfParser) every() func(map[string]any) bool {
	left := p.condition()
	for p.err == nil && p.take("AND") {
		l, r := left, p.condition()
		left = func(m map[string]any) bool { return l(m) && r(m) }
	}
	return left
}

// column returns the type of a field of the object.
func (p *sfParser) column(name string) byte {
	kind, _, known := sfObjects[p.object].field(sfColumn(name))
	if !known {
		p.fail("INVALID_FIELD", "No such column '%s' on entity '%s'.", name, p.object)
	}
	return kind
}

func (p *sfParser) condition() func(map[string]any) bool {
	switch {
	case p.take("("):
		inner := p.either()
		p.must(")")
		return inner
	case p.take("NOT"):
		inner := p.condition()
		return func(m map[string]any) bool { return !inner(m) }
	}
	name := p.next()
	kind := p.column(name)
	operator := strings.ToUpper(p.next())
	var values []any
	switch operator {
	case "IN":
		p.must("(")
		values = append(values, p.value(name, kind, false))
		for p.err == nil && p.take(",") {
			values = append(values, p.value(name, kind, false))
		}
		p.must(")")
	case "=", "!=", "<>", "<", ">", "<=", ">=", "LIKE":
		values = []any{p.value(name, kind, operator == "LIKE")}
	default:
		p.fail("MALFORMED_QUERY", "unexpected token: '%s'", operator)
	}
	return func(m map[string]any) bool {
		return slices.ContainsFunc(values, func(v any) bool { return sfCompare(m[name], operator, v) })
	}
}

// value reads a literal that fits a field's type: Salesforce takes no number in
// quotes, and no text without.
func (p *sfParser) value(name string, kind byte, like bool) any {
	token := p.next()
	quoted := strings.HasPrefix(token, "'")
	word := map[byte]string{'#': "double", '?': "boolean", '@': "dateTime"}[kind]
	switch {
	case strings.EqualFold(token, "null"):
		return nil
	case quoted && word != "":
		p.fail("INVALID_FIELD", "value of filter criterion for field '%s' must be of type %s and should not be enclosed in quotes", name, word)
	case quoted:
		text, ok := sfUnquote(token[1:len(token)-1], like)
		if !ok {
			p.fail("MALFORMED_QUERY", "Illegal character sequence in string literal")
		}
		if kind == '>' && text != "" && !sfID.MatchString(text) {
			p.fail("INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: %s", text)
		}
		return text
	case token == "" || word == "":
		p.fail("INVALID_FIELD", "value of filter criterion for field '%s' must be of type string and should be enclosed in quotes", name)
	case kind == '?':
		return strings.EqualFold(token, "true")
	case kind == '#':
		var n float64
		if json.Unmarshal([]byte(token), &n) != nil {
			p.fail("MALFORMED_QUERY", "unexpected token: '%s'", token)
		}
		return n
	}
	return strings.TrimSuffix(strings.TrimSuffix(token, "Z"), ".000")
}

// sfUnquote resolves the escapes of a text literal. In a LIKE pattern the
// escaped wildcards become signs of their own.
func sfUnquote(raw string, like bool) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' {
			i++
			at := strings.IndexByte(`\'"nrtbf`, raw[i])
			switch {
			case at >= 0:
				c = "\\'\"\n\r\t\b\f"[at]
			case like && (raw[i] == '%' || raw[i] == '_'):
				out.WriteRune(map[byte]rune{'%': '\ue000', '_': '\ue001'}[raw[i]])
				continue
			default:
				return "", false
			}
		}
		out.WriteByte(c)
	}
	return out.String(), true
}

func sfCompare(have any, operator string, want any) bool {
	text := func(v any) string {
		return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(fmt.Sprint(orEmpty(v)), "+0000"), ".000"))
	}
	a, b := text(have), text(want)
	order := strings.Compare(a, b)
	if n, ok := want.(float64); ok {
		m, _ := have.(float64)
		order = int(m*1000) - int(n*1000)
	}
	switch operator {
	case "=", "IN":
		return order == 0
	case "!=", "<>":
		return order != 0
	case "<":
		return have != nil && order < 0
	case ">":
		return have != nil && order > 0
	case "<=":
		return have != nil && order <= 0
	case ">=":
		return have != nil && order >= 0
	default:
		pattern := strings.NewReplacer("%", ".*", "_", ".", "\ue000", "%", "\ue001", "_").Replace(regexp.QuoteMeta(b))
		return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(a)
	}
}

// query answers a SOQL query.
func (s *salesforce) query(w http.ResponseWriter, text string) {
	p := &sfParser{org: s, rest: text}
	q := sfPick{}
	p.must("SELECT")
	q.names = p.list()
	p.must("FROM")
	q.object = p.next()
	if _, known := sfObjects[q.object]; p.err == nil && !known {
		p.fail("INVALID_TYPE", "sObject type '%s' is not supported.", q.object)
	}
	p.object = q.object
	p.tail(&q)
	if p.err == nil && p.peek() != "" {
		p.fail("MALFORMED_QUERY", "unexpected token: '%s'", p.peek())
	}
	rows := p.rows(&q, s.records[q.object])
	if p.err != nil {
		p.err.write(w)
		return
	}
	write(w, http.StatusOK, map[string]any{"totalSize": len(rows), "done": true, "records": rows})
}

// rows returns the records that fit, as they are answered.
func (p *sfParser) rows(q *sfPick, among []map[string]any) []any {
	rows := []any{}
	if p.err != nil {
		return rows
	}
	if len(among) == 0 { // the names are checked all the same
		_, p.err = p.org.project(q.object, map[string]any{"Id": ""}, q.names)
	}
	among = slices.Clone(among)
	if q.order != "" {
		slices.SortStableFunc(among, func(a, b map[string]any) int {
			order := strings.Compare(fmt.Sprint(a[q.order]), fmt.Sprint(b[q.order]))
			if q.down {
				return -order
			}
			return order
		})
	}
	for _, record := range among {
		row, refusal := p.org.project(q.object, record, q.names)
		if refusal != nil {
			p.err = refusal
			return rows
		}
		if q.where(record) && len(rows) < q.limit {
			rows = append(rows, row)
		}
	}
	return rows
}
