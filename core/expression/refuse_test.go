package expression_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/expression"
)

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	n := names()
	n.Inputs = []string{"phoneNumber", "email"}
	bare := expression.Names{}
	for _, c := range []struct {
		source  string
		names   expression.Names
		offset  int
		message string
	}{
		{`1 + input.phonenumber`, n, 10, `unknown input "phonenumber" (did you mean "phoneNumber"?)`},
		{`input["x"]`, n, 6, `unknown input "x"`},
		{`values.x1`, n, 7, `value "x1" does not exist before here`},
		{`steps.fnd.ok`, n, 6, `step "fnd" does not exist before here (did you mean "find"?)`},
		{`"ü" + steps.find.recrods`, n, 17, `step "find" extracts nothing called "recrods" (did you mean "records"?)`},
		{`context.tenent`, n, 8, `context holds nothing called "tenent" (did you mean "tenant"?)`},
		{`headers["Retry-After"]`, n, 8, `headers are named in lower case: "retry-after"`},
		{`inptu.x`, n, 0, `unknown name "inptu" (did you mean "input"?)`},
		{`body.x`, bare, 0, `body exists only where an answer is looked at: use steps.<id>.body`},
		{`index`, bare, 0, `index exists only in a loop`},
		{`item`, bare, 0, `unknown name "item"`},
		{`phones`, bare, 0, `phones is a function: write phones(...)`},
		{`#`, bare, 0, `unexpected token Operator("#")`},
		{`$env`, bare, 0, `unknown name "$env"`},
		{`$env["input"]`, bare, 0, `unknown name "$env"`},
		{`let x = 1; x`, bare, 4, `let is refused: make a named value under values`},
		{`1; 2`, bare, 0, `one expression only: take the semicolon away`},
		{`if true { 1 } else { 2 }`, bare, 3, `unexpected token Identifier("true")`},
		{`reduce([1], #)`, bare, 0, `unknown function "reduce"`},
		{`map([1], #acc)`, bare, 9, `unknown name "#acc"`},
		{`repeat("a", 3)`, bare, 0, `unknown function "repeat"`},
		{`phone("x")`, bare, 0, `unknown function "phone" (did you mean "phones"?)`},
		{`now()`, bare, 0, `unknown function "now" (did you mean "snow"?)`},
		{`toJSON(1)`, bare, 0, `unknown function "toJSON"`},
		{`input.x()`, bare, 6, `only the functions of mapping files can be called`},
		{`input.x.y()`, bare, 8, `only the functions of mapping files can be called`},
		{`"".Foo()`, bare, 3, `only the functions of mapping files can be called`},
		{`(1 > 2 ? trim : upper)("x")`, bare, 22, `unexpected token Bracket("(")`},
		{`b"x"`, bare, 0, `this is refused in expressions`},
		{`len()`, bare, 0, `len takes 1 argument, not 0`},
		{`join([1], "", 3)`, bare, 0, `join takes 1 or 2 arguments, not 3`},
		{`concat()`, bare, 0, `concat takes at least 1 argument, not 0`},
		{`filter([1])`, bare, 10, `expected at least 2 arguments`},
		{`sortBy([1], #, "up")`, bare, 15, `the order must be "asc" or "desc"`},
		{`"a" matches input.x`, bare, 18, `a pattern must stand here as it is, in quotes`},
		{`"a" matches "("`, bare, 12, `this pattern cannot be read: "missing closing ): ` + "`(`\""},
		{`"a" matches "` + strings.Repeat("a", 201) + `"`, bare, 12, `a pattern has at most 200 characters`},
		{`match("a", "a")`, bare, 11, `the pattern needs a group in brackets: it says what is taken`},
		{`match("a", input.x)`, bare, 17, `a pattern must stand here as it is, in quotes`},
		{`soql(input.x)`, bare, 11, `the template of soql must stand here as it is, in quotes: put values in with ?`},
		{`soql("a" + "b")`, bare, 9, `the template of soql must stand here as it is, in quotes: put values in with ?`},
		{`soql("? ?", 1)`, bare, 0, `the template has 2 ?, but 1 values follow`},
		{`fail("invalit", "x")`, bare, 5, `unknown kind of error "invalit" (did you mean "invalid"?)`},
		{`fail(input.x, "x")`, bare, 11, `the kind of an error must stand here as it is, in quotes`},
		{`map([1], {n: #})`, bare, 11, `unexpected token Operator(":") (an object that map and its like give stands in brackets: ({...}))`},
		{``, bare, 0, `an expression is missing`},
		{`1 +`, bare, 2, `unexpected token EOF`},
		{"'a", bare, 2, `literal not terminated`},
		{strings.Repeat(" ", 2001), bare, 0, `longer than 2000 characters: make named values of its parts`},
		{"[" + strings.Repeat("1,", 600) + "]", bare, 1002, `more than 500 parts: make named values of some`},
	} {
		_, err := expression.Compile(c.source, c.names)
		require.EqualError(t, err, c.message, c.source)
		require.Equal(t, c.offset, expression.OffsetOf(err), c.source)
	}
}

func TestHostile(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 250<<10)
	e := env(t)
	e.Input["long"] = long
	e.Input["many"] = make([]any, 9_000)
	deep := any("x")
	for range 100 {
		deep = []any{deep}
	}
	e.Input["deep"] = deep
	for _, c := range [][2]string{
		{`map(0..9999, map(0..9999, 1))`, `takes more than 10000 turns of loops`},
		{`map(input.many, any(input.many, # == 1))`, `takes more than 10000 turns of loops`},
		{`0..10000`, `.. gives more than 10000 numbers`},
		{`-9000000000000000..9000000000000000`, `.. gives more than 10000 numbers`},
		{`input.long + input.long`, `gives more than 256 KB`},
		{`join([input.long, input.long], "")`, `gives more than 256 KB`},
		{`lines(input.long, input.long)`, `gives more than 256 KB`},
		{`replace(input.long, "x", "yyyyyyy")`, `gives more than 256 KB`},
		{`[input.long, input.long]`, `gives more than 256 KB`},
		{`soql("? ?", input.long, input.long)`, `gives more than 256 KB`},
		{`soql("?", [input.long, input.long])`, `gives more than 256 KB`},
		{`map(1..1000, input.long + "y")`, `is too much work`},
		{`map(1..10000, input.long matches "^(x+x+)+y$")`, `a pattern takes texts of 64 KB at most`},
		{`map(1..1000, uniq(input.list) == uniq(1..1000))`, `is too much work`},
		{`map(1..9000, phones("+4144" + (1000000 + #)))`, `is too much work`},
		{`map(1..200, split(input.long, ""))`, `is too much work`},
		{`map(1..9999, max(input.many))`, `is too much work`},
		{strings.Repeat("map([", 60) + "1" + strings.Repeat("], [#,#])", 60), `gives`},
		{"flatten(" + strings.Repeat("map([", 25) + "1" + strings.Repeat("], [#,#])", 25) + ")", `is too much work`},
		{strings.Repeat("map([", 25) + "1" + strings.Repeat("], [#,#])", 25) + " == " + strings.Repeat("map([", 25) + "1" + strings.Repeat("], [#,#])", 25), `is too much work`},
		{`input.deep`, `gives something nested deeper than 64 levels`},
		{`flatten(input.deep)`, `lists nested deeper than 64 levels`},
		{`input.deep == [input.deep][0]`, `compares values nested deeper than 64 levels`},
	} {
		p, err := expression.Compile(c[0], names())
		require.NoError(t, err, c[0])
		coretest.Soon(t, 20*time.Second, c[0], func() { _, err = p.Eval(e) })
		require.Error(t, err, c[0])
		require.Equal(t, core.Mapping, core.KindOf(err), c[0])
		if !strings.Contains(err.Error(), "takes longer than 50ms") {
			require.Contains(t, err.Error(), c[1], c[0])
		}
	}
	v, err := evaluate(t, `count(0..9998, # >= 0)`, e)
	require.NoError(t, err)
	require.Equal(t, "9999", v)
}
