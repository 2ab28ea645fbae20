package expression_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/mapping"
)

func parse(t testing.TB, text string) mapping.File {
	t.Helper()
	f, findings := mapping.Parse("f.yaml", []byte(text))
	require.Empty(t, findings)
	return f
}

func tree(t testing.TB, text string, n expression.Names) *expression.Tree {
	t.Helper()
	f := parse(t, text)
	compiled, findings := expression.CompileTree(f, f.Root, n)
	require.Empty(t, findings)
	return compiled
}

func TestTree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ yaml, want string }{
		{
			"{a: 1, b: 1.5, c: true, d: text, e: null, f: ~, g: 2026-01-02, h: '= 1 + 1', i: ==x, j: '', k: 0x10}",
			`{"a":1,"b":1.5,"c":true,"d":"text","g":"2026-01-02","h":2,"i":"=x","j":"","k":16}`,
		},
		{"{a: = input.absent, b: [= nil, 1, null, = input.n], c: {d: = nil}}", `{"b":[1,7],"c":{}}`},
		{"= input.list", `[3,1,2]`},
		{"{v: =input.n, w: \"= input.text + \\\"!\\\"\"}", `{"v":7,"w":"Grüße, O'Neil!"}`},
		{"x: {for_each: = input.list, value: {n: = item, i: = index}}", `{"x":[{"i":0,"n":3},{"i":1,"n":1},{"i":2,"n":2}]}`},
		{"{for_each: = input.list, as: entry, most: 2, value: '= entry > 2 ? nil : entry'}", `[1]`},
		{"{for_each: = input.absent, value: 1}", `[]`},
		{"{for_each: = 1..3, as: a, value: {for_each: = 1..a, as: b, value: '= a * 10 + b'}}", `[[11],[21,22],[31,32,33]]`},
		{"{a: {when: = input.yes, value: 1}, b: {when: = !input.yes, value: = input.absent.x}}", `{"a":1}`},
		{"{for_each: = input.list, when: = false, value: 1}", `null`},
		{"{value: 1}", `{"value":1}`},
		{"{value: 1, when: = true, other: 2}", `{"other":2,"value":1,"when":true}`},
		{"{for_each: = 1..500, value: 1}", "[" + strings.Repeat("1,", 99) + "1]"},
		{"{q: '= soql(\"a = ?\", \"b\")', l: '= phoneFields(\"Contact\")'}", `{"l":["Phone","MobilePhone"],"q":"a = 'b'"}`},
		{"- |-\n  =\n    1 +\n    1\n- >-\n  = 2 +\n  2\n", `[2,4]`},
	} {
		v, err := tree(t, c.yaml, names()).Eval(env(t))
		require.NoError(t, err, c.yaml)
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(text), c.yaml)
	}
	nothing, findings := expression.CompileTree(mapping.File{}, nil, names())
	require.Empty(t, findings)
	v, err := nothing.Eval(nil)
	require.NoError(t, err)
	require.Nil(t, v)
}

func TestTreeKeepsFragmentsForValues(t *testing.T) {
	t.Parallel()
	where := tree(t, `{q: '= soql("a = ?", input.evil)', list: '= [name("Id")]'}`, names())
	kept, err := where.EvalValue(env(t))
	require.NoError(t, err)
	e := env(t)
	e.Values["v"] = kept
	got, err := evaluate(t, `soql("SELECT ? FROM X WHERE ?", values.v.list[0], values.v.q)`, e)
	require.NoError(t, err)
	require.JSONEq(t, `"SELECT Id FROM X WHERE a = '\\' OR Name LIKE \\'%'"`, got)
	text, err := json.Marshal(kept)
	require.NoError(t, err)
	require.JSONEq(t, `{"q":"a = '\\' OR Name LIKE \\'%'","list":["Id"]}`, string(text))
	plain, err := where.Eval(env(t))
	require.NoError(t, err)
	require.IsType(t, "", plain.(map[string]any)["q"])
}

func TestTreeErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ yaml, want string }{
		{"a:\n  - 1\n  - = input.absent.x\n", `f.yaml:3:20: there is nothing that could have a member "x" (use ?. where that may be)`},
		{"a:\n  for_each: = input.text\n  value: 1\n", `f.yaml:2:15: for_each needs a list, not a text`},
		{"a:\n  when: = input.n\n  value: 1\n", `f.yaml:2:11: a condition must be true or false, not a number`},
		{"a:\n  for_each: = 1..1000\n  most: 1000\n  value:\n    for_each: = 1..1000\n    as: b\n    value: = nil\n", `takes more than 10000 turns of loops`},
		{"a:\n  for_each: = 1..1000\n  most: 1000\n  value: = input.long\n", `gives more than 256 KB`},
		{"a: |\n  = 1 +\n    input.text -\n    1\n", `f.yaml:3:16: - needs two numbers, not a text and a number`},
		{"a: \"=\\n\\n 1 - \\\"\\u00e4\\\" \"\n", `f.yaml:1:13: - needs two numbers, not a number and a text`},
	} {
		e := env(t)
		e.Input["long"] = strings.Repeat("x", 1<<10)
		_, err := tree(t, c.yaml, names()).Eval(e)
		require.Error(t, err, c.yaml)
		require.Contains(t, err.Error(), c.want, c.yaml)
		require.Equal(t, core.Mapping, core.KindOf(err))
	}
	_, err := tree(t, `a: = fail("conflict", "twice")`, names()).Eval(env(t))
	require.EqualError(t, err, "twice")
	require.Equal(t, core.Conflict, core.KindOf(err))
}

func TestTreeFindings(t *testing.T) {
	t.Parallel()
	n := names()
	n.Inputs = []string{"phoneNumber"}
	for _, c := range []struct {
		yaml string
		want []string
	}{
		{"a: = input.phone\nb:\n  - '= input.fax'\n  - \"=  1 + inptu.x\"\n", []string{
			`f.yaml:1:12: unknown input "phone"`,
			`f.yaml:3:14: unknown input "fax"`,
			`f.yaml:4:13: unknown name "inptu" (did you mean "input"?)`,
		}},
		{"a: |-\n    = [1,\n       'é', input.x]\n", []string{`f.yaml:3:19: unknown input "x"`}},
		{"a: >\n  = 1 +\n  2 + item.x +\n\n  values.z\n", []string{`f.yaml:5:10: value "z" does not exist before here (did you mean "v"?)`}},
		{"a: = 1 +\n   2 + values.z\n", []string{`f.yaml:2:15: value "z" does not exist before here (did you mean "v"?)`}},
		{"a: '= ''it'' + values.z'\n", []string{`f.yaml:1:23: value "z" does not exist before here (did you mean "v"?)`}},
		{"a: \"= \\\"\\x41\\u00e9\\\" \\\n   + values.z\"\n", []string{`f.yaml:2:13: value "z" does not exist before here (did you mean "v"?)`}},
		{"a: =\n", []string{`f.yaml:1:5: an expression is missing`}},
		{"{for_each: [1], value: = item}\n", []string{`f.yaml:1:12: for_each must be an expression: = ...`}},
		{"{for_each: = 1..2, as: input, most: 1001, value: = other}\n", []string{
			`f.yaml:1:24: "input" has a meaning of its own: name the loop variable otherwise`,
			`f.yaml:1:37: most must be a whole number from 1 to 1000`,
			`f.yaml:1:52: unknown name "other"`,
		}},
		{"{when: yes, as: x, value: 1}\n", []string{
			`f.yaml:1:1: as and most belong to for_each`,
			`f.yaml:1:8: when must be an expression: = ...`,
		}},
		{"a: .inf\n", []string{`f.yaml:1:4: this number cannot be used: put it in quotes where a text is meant`}},
		{"a: {for_each: = 1..2, as: x, value: = x}\nb: = x\n", []string{`f.yaml:2:6: unknown name "x"`}},
	} {
		f := parse(t, c.yaml)
		_, findings := expression.CompileTree(f, f.Root, n)
		var got []string
		for _, finding := range findings {
			got = append(got, finding.String())
		}
		require.Equal(t, c.want, got, c.yaml)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	f := parse(t, "= 1 +\n 1")
	p, findings := expression.CompileText(f, f.Root, names())
	require.Empty(t, findings)
	v, err := p.Eval(nil)
	require.NoError(t, err)
	require.Equal(t, 2, v)
	for _, c := range [][2]string{
		{"1", "f.yaml:1:1: must be an expression: = ..."},
		{"==x", "f.yaml:1:1: must be an expression: = ..."},
		{"[= 1]", "f.yaml:1:1: must be an expression: = ..."},
		{"= 1 + x", `f.yaml:1:7: unknown name "x"`},
	} {
		f := parse(t, c[0])
		_, findings := expression.CompileText(f, f.Root, expression.Names{})
		require.Len(t, findings, 1, c[0])
		require.Equal(t, c[1], findings[0].String())
	}
	_, findings = expression.CompileText(f, nil, names())
	require.Len(t, findings, 1)
}

func TestPath(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"/", "/"},
		{"/a/b-c.d_e~1/$value", "/a/b-c.d_e~1/$value"},
		{"/services/v60.0/{input.n}/x", "/services/v60.0/7/x"},
		{"/api/contacts({ input.text })/", "/api/contacts(Gr%C3%BC%C3%9Fe%2C%20O%27Neil)/"},
		{`/{"../x?y#z%2e" + "{}"}`, "/..%2Fx%3Fy%23z%252e%7B%7D"},
		{`/{name("Contact")}/{entity("Contact").set}{item.x}`, "/Contact/contacts1"},
		{`/{"..."}/.{"x"}`, "/.../.x"},
		{`/{{a: "}"}.a}`, "/%7D"},
	} {
		text := mapping.Text{Pos: mapping.Pos{Line: 1, Column: 1}, Value: c[0]}
		p, findings := expression.CompilePath(mapping.File{Path: "f.yaml", Data: []byte(c[0])}, text, names())
		require.Empty(t, findings, c[0])
		got, err := p.Eval(env(t))
		require.NoError(t, err, c[0])
		require.Equal(t, c[1], got)
	}
	for _, c := range [][2]string{
		{`/a/{input.absent}`, "f.yaml:1:5: a part of a path must be a text or a number, not nothing"},
		{`/a/{input.empty}`, "f.yaml:1:5: a part of a path must not be empty"},
		{`/a/{"." + input.empty}`, `a part of a path must not be "." or ".."`},
		{`/a/{input.dots}`, `a part of a path must not be "." or ".."`},
		{`/a/x{input.dots}`, `a part of a path must not be "." or ".."`},
		{`/a/{input.long}`, "a part of a path is longer than 4 KB"},
		{`/a/{body.dots}`, `f.yaml:1:5: a part of a path must not be "." or ".."`},
		{`/a/{input.list}`, "f.yaml:1:5: a part of a path must be a text or a number, not a list"},
		{`/a/{input.list.x}`, `f.yaml:1:16: a list has no member "x"`},
		{`/a/{input.bad}`, "f.yaml:1:5: a part of a path is no text"},
	} {
		text := mapping.Text{Pos: mapping.Pos{Line: 1, Column: 1}, Value: c[0]}
		p, findings := expression.CompilePath(mapping.File{Path: "f.yaml", Data: []byte(c[0])}, text, names())
		require.Empty(t, findings, c[0])
		e := env(t)
		e.Input["bad"], e.Input["dots"], e.Input["long"] = "\xff", "..", strings.Repeat("x", 4097)
		e.Body = map[string]any{"dots": ".."}
		_, err := p.Eval(e)
		require.EqualError(t, err, c[1])
		want := core.Invalid // what the caller has given
		if strings.HasPrefix(c[1], "f.yaml") {
			want = core.Mapping
		}
		require.Equal(t, want, core.KindOf(err), c[0])
	}
}

func TestPathFindings(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"", "f.yaml:1:4: a path begins with /"},
		{"a/b", "f.yaml:1:4: a path begins with /"},
		{"https://x/", "f.yaml:1:4: a path begins with /"},
		{"/a//b", "f.yaml:1:7: an empty part between two /"},
		{"//evil.example/x", "f.yaml:1:5: an empty part between two /"},
		{"/a/../b", `f.yaml:1:7: a part of a path must not be ".."`},
		{"/a/.", `f.yaml:1:7: a part of a path must not be "."`},
		{"/a?x=1", `f.yaml:1:6: a path cannot hold "?"`},
		{"/a%2e", `f.yaml:1:6: a path cannot hold "%"`},
		{"/a b", `f.yaml:1:6: a path cannot hold " "`},
		{`/a\b`, `f.yaml:1:6: a path cannot hold "\\"`},
		{"/ä", `f.yaml:1:5: a path cannot hold "ä"`},
		{"/a}", `f.yaml:1:6: a path cannot hold "}"`},
		{"/a/{input.x", "f.yaml:1:7: { without }"},
		{"/a/{}", "f.yaml:1:8: an expression is missing"},
		{"/a/{ inptu.x }", `f.yaml:1:9: unknown name "inptu" (did you mean "input"?)`},
	} {
		text := mapping.Text{Pos: mapping.Pos{Line: 1, Column: 4}, Value: c[0]}
		_, findings := expression.CompilePath(mapping.File{Path: "f.yaml", Data: []byte("p: " + c[0])}, text, names())
		require.Len(t, findings, 1, c[0])
		require.Equal(t, c[1], findings[0].String(), c[0])
	}
}
