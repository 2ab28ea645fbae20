package expression_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/expression"
)

func names() expression.Names {
	return expression.Names{
		Values: []string{"v", "w"}, Steps: map[string][]string{"find": {"records"}}, Answer: true, Loops: []string{"item"},
		Entities: expression.NewEntities([]expression.Entity{
			{Name: "Contact", Label: "Person", Keys: map[string]string{"set": "contacts"}, Fields: []expression.EntityField{
				{Name: "Phone", Label: "Phone", Type: "phone", Updatable: true},
				{Name: "MobilePhone", Label: "Mobile", Type: "phone"},
				{Name: "Email", Label: "E-mail", Type: "email"},
			}},
			{Name: "Case", Label: "Case"},
		}),
	}
}

func decode(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v map[string]any
	require.NoError(t, d.Decode(&v))
	return v
}

// env is the data that most tests look at; numbers are json.Number.
func env(t testing.TB) *expression.Env {
	t.Helper()
	return &expression.Env{
		Input: decode(t, `{"text": "Grüße, O'Neil", "n": 7, "big": 12345678901234567890, "half": 2.5, "yes": true, "empty": "",
			"list": [3, 1, 2], "words": ["b", "a", "b"], "object": {"b": 2, "a": "x", "c": null, "d": {"e": [1]}},
			"phone": "+41445551234", "evil": "' OR Name LIKE '%", "lines": "a\nb", "caret": "a^ORb", "fragment": null}`),
		Values:   map[string]any{"v": "value"},
		Steps:    map[string]any{"find": decode(t, `{"status": 200, "ok": true, "records": [{"Id": "1"}], "body": {"a": [{"b": 1}]}}`)},
		Body:     decode(t, `{"records": [{"Id": "003", "Name": "Jane", "Account": {"Name": "Acme"}}], "done": true}`),
		Status:   200,
		Headers:  map[string]any{"retry-after": "3"},
		Base:     "https://acme.example",
		Settings: map[string]string{"domain": "acme"},
		Context: map[string]any{"tenant": "t", "now": "2026-01-02T03:04:05.000Z", "card": map[string]any{
			"Contact": []any{map[string]any{"name": "Email", "label": "E-mail"}, map[string]any{"name": "Account.Name"}},
		}},
		Loops: map[string]any{"item": map[string]any{"x": 1}},
		Index: 4,
	}
}

// evaluate compiles and evaluates; the result comes back as JSON.
func evaluate(t testing.TB, source string, e *expression.Env) (string, error) {
	t.Helper()
	p, err := expression.Compile(source, names())
	require.NoError(t, err, source)
	v, err := p.Eval(e)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(v))
	return strings.TrimSpace(b.String()), nil
}

// gives runs a table of expressions and the JSON that they give.
func gives(t *testing.T, table [][2]string) {
	t.Helper()
	for _, c := range table {
		got, err := evaluate(t, c[0], env(t))
		require.NoError(t, err, c[0])
		require.Equal(t, c[1], got, c[0])
	}
}

// refuses runs a table of expressions and the errors in which they end.
func refuses(t *testing.T, kind core.Kind, table [][2]string) {
	t.Helper()
	for _, c := range table {
		_, err := evaluate(t, c[0], env(t))
		e, ok := errors.AsType[*core.Error](err)
		require.True(t, ok, "%s: %v", c[0], err)
		require.Equal(t, kind, e.Kind, "%s: %v", c[0], err)
		require.Contains(t, e.Message, c[1], c[0])
		if kind == core.Mapping {
			require.Equal(t, "MAPPING_ERROR", e.Code)
			require.NotContains(t, e.Message, "Neil", "no value may be told")
			require.NotContains(t, e.Message, "LIKE '", "no value may be told")
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`input.n`, `7`},
		{`input["text"]`, `"Grüße, O'Neil"`},
		{`input.absent`, `null`},
		{`input.absent?.x.y[0].z`, `null`},
		{`input.object.d.e[0]`, `1`},
		{`input.object.d?.e[9]`, `null`},
		{`input.list[-1]`, `2`},
		{`input.list[1:]`, `[1,2]`},
		{`input.text[:5]`, `"Grüße"`},
		{`input.text[-6:-1]`, `"O'Nei"`},
		{`input.absent[1:2]`, `null`},
		{`values.v + "/" + base`, `"value/https://acme.example"`},
		{`values.w`, `null`},
		{`steps.find.records[0].Id`, `"1"`},
		{`steps["find"].body.a[0]["b"]`, `1`},
		{`body.records[0].Account.Name`, `"Acme"`},
		{`[status, headers["retry-after"], settings.domain, settings.other]`, `[200,"3","acme",null]`},
		{`context.now`, `"2026-01-02T03:04:05.000Z"`},
		{`item.x + index`, `5`},
		{`{a: 1, "b c": [input.n], (input.words[0]): nil}`, `{"a":1,"b":null,"b c":[7]}`},
		{`input.yes ? "y" : "n"`, `"y"`},
		{`input.big`, `12345678901234567890`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`input.absent.x`, `expression:1:14: there is nothing that could have a member "x" (use ?. where that may be)`},
		{`1 +
  input.text.x`, `expression:2:14: a text has no member "x"`},
		{`input.list["a"]`, `a list has no member "a"`},
		{`input.list[input.text]`, `the place in a list must be a whole number, not a text`},
		{`input.object[input.n]`, `the name of a member must be a text, not a number`},
		{`input.n[0]`, `a number has no members`},
		{`input.n[1:]`, `a number cannot be cut`},
		{`input.list["x":]`, `the bounds of a part must be whole numbers`},
		{`{(input.list): 1}`, `a key must be a text, not a list`},
		{`input.text ? 1 : 2`, `a condition must be true or false, not a text`},
	})
}

func TestOperators(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`1 + 2 * 3 - 4 / 2`, `5`},
		{`7 % 4 + 2 ** 3`, `11`},
		{`-input.n + +input.half`, `-4.5`},
		{`9223372036854775807 + 1`, `9223372036854776000`},
		{`-9223372036854775807 - 9`, `-9223372036854776000`},
		{`4611686018427387904 * 2`, `9223372036854776000`},
		{`"a" + 1 + true`, `"a1true"`},
		{`input.n == 7 and 7.0 == input.n && input.n != "7"`, `true`},
		{`input.list == [3, 1, 2.0] and input.object != {a: 1} and {a: nil} == {a: input.absent}`, `true`},
		{`nil == input.absent and not (nil == "")`, `true`},
		{`"a" < "b" and 1 <= 1.5 and input.n >= 7 and 2 > 1`, `true`},
		{`input.yes or input.text`, `true`},
		{`"b" in input.words and not ("x" in input.words) and "a" in input.object and !(1 in input.object)`, `true`},
		{`"x" in nil`, `false`},
		{`1..3`, `[1,2,3]`},
		{`3..1`, `[]`},
		{`input.absent ?? input.empty ?? 1`, `""`},
		{`input.text contains "Neil" and input.text startsWith "Gr" and input.text endsWith "l" and !(nil contains "x")`, `true`},
		{`"+41" matches "^\\+[0-9]+$"`, `true`},
		{`nil matches "x"`, `false`},
		{`input.words | join("-") | upper()`, `"B-A-B"`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`1 + nil`, `+ cannot put a number and nothing together`},
		{`"a" + nil`, `+ cannot put a text and nothing together`},
		{`1 + true`, `+ cannot put a number and true or false together`},
		{`1 - "1"`, `- needs two numbers, not a number and a text`},
		{`1 / 0`, `gives no number`},
		{`1 % 0`, `% needs two whole numbers`},
		{`10.0 ** 999`, `gives no number`},
		{`1 < "a"`, `a number cannot be compared with a text`},
		{`-input.text`, `- needs a number, not a text`},
		{`"x" in input.text`, `in needs a list or an object, not a text`},
		{`1..input.text`, `.. needs two whole numbers`},
		{`input.n contains "7"`, `contains needs two texts`},
		{`input.n matches "7"`, `matches needs a text`},
		{`input.text and true`, `a condition must be true or false`},
	})
}

func TestLoops(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`all(input.list, # > 0)`, `true`},
		{`all(input.absent, # > 0)`, `true`},
		{`any(input.list, # > 2)`, `true`},
		{`none(input.list, # > 3)`, `true`},
		{`one(input.list, # > 2)`, `true`},
		{`one(input.list, # > 1)`, `false`},
		{`filter(input.list, # > 1)`, `[3,2]`},
		{`filter(input.absent, true)`, `[]`},
		{`map(input.list, ({n: # * 2, i: #index}))`, `[{"i":0,"n":6},{"i":1,"n":2},{"i":2,"n":4}]`},
		{`map(body.records, .Name)`, `["Jane"]`},
		{`find(input.list, # < 3)`, `1`},
		{`find(input.list, # < 0)`, `null`},
		{`findIndex(input.list, # < 3)`, `1`},
		{`findLast(input.list, # < 3)`, `2`},
		{`count(input.list, # > 1)`, `2`},
		{`count([true, false])`, `1`},
		{`sum(input.list) + sum(input.list, # * 10)`, `66`},
		{`sum([0.5, 1])`, `1.5`},
		{`groupBy(input.words, #)`, `{"a":["a"],"b":["b","b"]}`},
		{`sortBy(input.list, #)`, `[1,2,3]`},
		{`sortBy(input.list, -#)`, `[3,2,1]`},
		{`sortBy(input.words, #, "desc")`, `["b","b","a"]`},
		{`sortBy([{k: 2}, {}, {k: 1}], .k)`, `[{"k":1},{"k":2},{}]`},
		{`map(1..3, map(1..#, # * 2))`, `[[2],[2,4],[2,4,6]]`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`map(input.text, #)`, `map needs a list, not a text`},
		{`filter(input.list, #)`, `a condition must be true or false`},
		{`sum(input.words)`, `sum needs numbers, not a text`},
		{`groupBy([[1]], #)`, `groupBy needs texts to group by`},
		{`sortBy([1, "a"], #)`, `cannot be compared`},
	})
}

func TestErrorsOfTheExpressionItself(t *testing.T) {
	t.Parallel()
	refuses(t, core.Invalid, [][2]string{{`fail("invalid", "no " + "number")`, "no number"}, {`input.absent ?? fail("invalid", "x is missing")`, "x is missing"}})
	refuses(t, core.Conflict, [][2]string{{`true ? fail("conflict", "twice") : 1`, "twice"}})
	refuses(t, core.Mapping, [][2]string{{`fail("invalid", [1])`, "the message must be a text"}})
	gives(t, [][2]string{{`input.n ?? fail("invalid", "x")`, `7`}})
}

func TestNoData(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`input.x`, `values.v`, `steps.find?.ok`, `body?.x`, `headers.x`, `settings.x`, `context.now`, `item`, `context.card?.x`} {
		got, err := evaluate(t, source, nil)
		require.NoError(t, err, source)
		require.Equal(t, "null", got, source)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	p, err := expression.Compile(`map(input.list, ({n: #, s: soql("a = ?", input.text), p: phones(input.phone)}))`, names())
	require.NoError(t, err)
	e := env(t)
	want, err := p.Eval(e)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := p.Eval(e)
				if err != nil {
					t.Error(err)
				}
				if len(got.([]any)) != len(want.([]any)) {
					t.Error("another result")
				}
			}
		})
	}
	wg.Wait()
}

func TestOtherKindsOfGo(t *testing.T) {
	t.Parallel()
	e := &expression.Env{Input: map[string]any{
		"texts": []string{"a", "b"}, "objects": []map[string]any{{"x": int64(1)}, {"x": float32(1.5)}}, "m": map[string]string{"k": "v"},
		"none": map[string]any(nil), "list": []any(nil), "nan": math.NaN(), "func": func() {}, "struct": struct{ X int }{1}, "i32": int32(2),
	}}
	for _, c := range [][2]string{
		{`input.texts`, `["a","b"]`},
		{`[map(input.objects, .x), input.m, input.m.k, input.m.z, input.m["k"], len(input.m), input.i32 + 1]`, `[[1,1.5],{"k":"v"},"v",null,"v",1,3]`},
		{`[input.none ?? 1, input.none.x, input.list ?? 2, input.list[0], first(input.list)]`, `[1,null,2,null,null]`},
	} {
		got, err := evaluate(t, c[0], e)
		require.NoError(t, err, c[0])
		require.Equal(t, c[1], got)
	}
	for _, c := range [][2]string{
		{`input.nan`, "gives a number that cannot be written"},
		{`[input.func]`, "gives something that is no JSON value"},
		{`{a: input.struct}`, "gives something that is no JSON value"},
		{`input.struct.X`, `something else has no member "X"`},
		{`input.texts?.[0].y`, `a text has no member "y"`},
		{`input.x[0]`, "there is nothing to look into"},
	} {
		_, err := evaluate(t, c[0], e)
		require.ErrorContains(t, err, c[1], c[0])
	}
}
