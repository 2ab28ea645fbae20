package expression

import (
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"tandem/core"
	"tandem/core/mapping"
)

// function is one that gets its arguments evaluated. It must not keep or change
// them.
type function struct {
	least, most int // arguments; most < 0: any number
	do          func(r *run, args []any) (any, error)
}

// functions are all but the loops. Those with constant arguments have code of
// their own in call, and no do.
var functions = map[string]function{
	// texts
	"string":       {1, 1, stringOf},
	"text":         {1, 1, textOf},
	"plain":        {2, 2, plainText},
	"trim":         {1, 2, trim},
	"trimPrefix":   {2, 2, texts(func(_ *run, s []string) (any, error) { return strings.TrimPrefix(s[0], s[1]), nil })},
	"trimSuffix":   {2, 2, texts(func(_ *run, s []string) (any, error) { return strings.TrimSuffix(s[0], s[1]), nil })},
	"upper":        {1, 1, texts(func(r *run, s []string) (any, error) { return r.text(strings.ToUpper(s[0])) })},
	"lower":        {1, 1, texts(func(r *run, s []string) (any, error) { return r.text(strings.ToLower(s[0])) })},
	"hasPrefix":    {2, 2, func(r *run, a []any) (any, error) { return operators["startsWith"](r, a[0], a[1]) }},
	"hasSuffix":    {2, 2, func(r *run, a []any) (any, error) { return operators["endsWith"](r, a[0], a[1]) }},
	"indexOf":      {2, 2, texts(func(_ *run, s []string) (any, error) { return runeIndex(s[0], strings.Index(s[0], s[1])), nil })},
	"lastIndexOf":  {2, 2, texts(func(_ *run, s []string) (any, error) { return runeIndex(s[0], strings.LastIndex(s[0], s[1])), nil })},
	"split":        {2, 3, split},
	"join":         {1, 2, join},
	"replace":      {3, 3, texts(replace)},
	"lines":        {0, -1, lines},
	"labelled":     {1, 1, labelled},
	"lastSegment":  {1, 1, lastSegment},
	"match":        {2, 2, nil},
	"condition":    {1, 1, condition},
	"startsLike":   {1, 1, like("", "%")},
	"endsLike":     {1, 1, like("%", "")},
	"containsLike": {1, 1, like("%", "%")},

	// numbers and times
	"len":     {1, 1, length},
	"abs":     {1, 1, absolute},
	"ceil":    {1, 1, rounded("ceil")},
	"floor":   {1, 1, rounded("floor")},
	"round":   {1, 1, rounded("round")},
	"int":     {1, 1, mustNumber("int", true)},
	"float":   {1, 1, mustNumber("float", false)},
	"integer": {1, 1, mayNumber(true)},
	"number":  {1, 1, mayNumber(false)},
	"min":     {1, -1, extreme(-1)},
	"max":     {1, -1, extreme(1)},
	"time":    {1, 1, timeText},
	"millis":  {1, 1, timeMillis},
	"dateOf":  {1, 1, timeDate},

	// lists and objects
	"first":     {1, 1, first},
	"last":      {1, 1, last},
	"take":      {2, 2, take},
	"sort":      {1, 2, sortList},
	"uniq":      {1, 1, uniq},
	"concat":    {1, -1, concat},
	"flatten":   {1, 1, flatten},
	"reverse":   {1, 1, reverse},
	"keys":      {1, 1, keysOf},
	"toPairs":   {1, 1, toPairs},
	"fromPairs": {1, 1, fromPairs},
	"omit":      {2, 2, omit},
	"pick":      {2, 2, pick},
	"merge":     {2, 2, merge},
	"strings":   {1, 1, stringsOf},

	// telephone numbers
	"digits":   {1, 1, digits},
	"national": {1, 2, national},
	"e164":     {1, 2, e164},
	"phones":   {1, 2, phones},

	// query languages and names
	"soql":     {1, -1, nil},
	"sosl":     {1, -1, nil},
	"odata":    {1, -1, nil},
	"snow":     {1, -1, nil},
	"zendesk":  {1, -1, nil},
	"every":    {1, 1, every},
	"either":   {1, 1, either},
	"name":     {1, 1, name},
	"names":    {1, 2, names},
	"datetime": {1, 1, datetime},
	"guid":     {1, 1, guid},

	// record types
	"entity":      {1, 1, entityOf},
	"field":       {2, 2, fieldOf},
	"phoneFields": {1, 1, phoneFields},
	"fieldsOf":    {1, 1, fieldsOf},
	"card":        {3, 3, card},

	"fail": {2, 2, nil},
}

// call compiles the call of a function.
func (c *compiler) call(n ast.Node, name string, args []ast.Node) eval {
	if l, ok := loops[name]; ok {
		return c.compileLoop(n, name, l, args)
	}
	f, ok := functions[name]
	switch {
	case !ok:
		known := slices.Sorted(maps.Keys(functions))
		return c.fail(n, "unknown function %s%s", mapping.Quote(name), mapping.Suggest(name, slices.AppendSeq(known, maps.Keys(loops))))
	case len(args) < f.least || f.most >= 0 && len(args) > f.most:
		return c.fail(n, "%s takes %s, not %d", name, arity(f.least, f.most), len(args))
	}
	switch name {
	case "match":
		return c.match(n, args)
	case "fail":
		return c.failCall(args)
	case "soql", "sosl", "odata", "snow", "zendesk":
		return c.template(n, name, args)
	case "names":
		if len(args) == 2 && !isSeparator(args[1]) {
			return c.fail(args[1], "what stands between names must stand here as it is, made of comma, space or dot")
		}
	}
	parts, offset, do := c.all(args), n.Location().From, f.do
	return func(r *run) (any, error) {
		values := make([]any, len(parts))
		for i, part := range parts {
			v, err := part(r)
			if err != nil {
				return nil, err
			}
			values[i] = v
		}
		if err := r.spend(1); err != nil {
			return nil, at(offset, err)
		}
		v, err := do(r, values)
		if err != nil {
			return nil, at(offset, named(name, err))
		}
		return v, nil
	}
}

// named puts the function's name before what it cannot do.
func named(name string, err error) error {
	if p, ok := err.(*problem); ok && p.offset < 0 { //nolint:errorlint // never wrapped
		return &problem{p.offset, name + ": " + p.what}
	}
	return err
}

func arity(least, most int) string {
	words := []string{"no argument", "1 argument", "2 arguments", "3 arguments"}
	switch {
	case least == most:
		return words[least]
	case most < 0:
		return "at least " + words[least]
	}
	return strings.Fields(words[least])[0] + " or " + words[most]
}

// failCall compiles fail(kind, message), which ends the run.
func (c *compiler) failCall(args []ast.Node) eval {
	kind, ok := args[0].(*ast.StringNode)
	if !ok {
		return c.fail(args[0], "the kind of an error must stand here as it is, in quotes")
	}
	if _, ok := core.Table[core.Kind(kind.Value)]; !ok {
		return c.fail(args[0], "unknown kind of error %s%s", mapping.Quote(kind.Value), mapping.Suggest(kind.Value, core.Kinds()))
	}
	code, offset := c.compile(args[1]), args[1].Location().From
	return func(r *run) (any, error) {
		v, err := code(r)
		if err != nil {
			return nil, err
		}
		message, ok := Text(v)
		if !ok {
			return nil, at(offset, wrong("fail: the message must be a text, not %s", kindOf(v)))
		}
		return nil, core.Errorf(core.Kind(kind.Value), "%s", cut(message, 1000))
	}
}

// match compiles match(text, pattern).
func (c *compiler) match(n ast.Node, args []ast.Node) eval {
	code, p, offset := c.compile(args[0]), c.pattern(args[1]), n.Location().From
	if p != nil && p.re.NumSubexp() == 0 {
		return c.fail(args[1], "the pattern needs a group in brackets: it says what is taken")
	}
	return func(r *run) (any, error) {
		v, err := code(r)
		if err != nil || isNil(v) {
			return nil, err
		}
		s, ok := Text(v)
		if !ok {
			return nil, at(offset, wrong("match needs a text, not %s", kindOf(v)))
		}
		if err := r.matched(p, s); err != nil {
			return nil, at(offset, err)
		}
		found := p.re.FindStringSubmatch(s)
		if found == nil {
			return nil, nil //nolint:nilnil // nothing is a value
		}
		return found[1], nil
	}
}
