package expression_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/mapping"
)

// seeds are expressions that use all that there is.
var seeds = []string{
	`input.x?.y[0] ?? values.v + "a"`, `map(input.list, {{n: #index, v: # * 2}})`, `filter(body.records, .Name matches "^a")`,
	`soql("A = ? AND B IN ?", input.evil, phones(input.phone, "CH"))`, `either(map(phoneFields("Contact"), odata("? eq ?", #, input.text)))`,
	`sosl("FIND {?}", input.text)`, `snow("a=?", input.text)`, `zendesk("a:?", input.text)`, `card(body, "Contact", [["a", "b"]])`,
	`sortBy(input.list, -#, "desc")[1:-1]`, `uniq(flatten([input.list, [[1]], nil]))`, `time(input.text) ?? millis(input.n)`,
	`replace(string(input.n), "1", "aa") | upper() | len()`, `-1 ** 2 % 3 - 1 .. 5`, `not (input.yes and nil == {}) ? 1 : [2]`,
	`groupBy(input.list, #) == merge(omit(input.object, ["a"]), {(input.text): 1})`, `condition(input.text)`, `lastSegment(input.text)`,
	`match(input.text, "(.)")`, `fail("invalid", input.text)`, `labelled(strings(input.object))`, `containsLike(input.text)`,
	`let x = 1; x`, `reduce(input.list, #acc + #)`, `$env["input"]`, `input.x.String()`, `((((((`, "\"\\u{110000}\"", "`a`", "0x", "1e999", `#`,
}

// bounded holds for each evaluation: no panic, and either a result of JSON's
// kinds that is not too large, or an error with a kind.
func bounded(t require.TestingT, v any, err error) {
	if err != nil {
		e, ok := errors.AsType[*core.Error](err)
		require.True(t, ok, "%v", err)
		require.Contains(t, core.Table, e.Kind)
		return
	}
	text, err := json.Marshal(v)
	require.NoError(t, err)
	require.LessOrEqual(t, len(text), 3*256<<10)
	kinds(t, v)
}

func kinds(t require.TestingT, v any) {
	switch x := v.(type) {
	case nil, bool, string, float64, int, json.Number:
	case []any:
		for _, item := range x {
			kinds(t, item)
		}
	case map[string]any:
		for _, item := range x {
			kinds(t, item)
		}
	default:
		require.Fail(t, "no kind of JSON", "%T", v)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := expression.Compile(source, names())
		if err != nil {
			require.NotEmpty(t, err.Error())
			require.NotContains(t, err.Error(), "\n")
			require.GreaterOrEqual(t, expression.OffsetOf(err), 0)
			require.LessOrEqual(t, expression.OffsetOf(err), utf8.RuneCountInString(source))
			return
		}
		v, err := p.Eval(env(t))
		bounded(t, v, err)
	})
}

func FuzzEval(f *testing.F) {
	var programs []*expression.Program
	for _, s := range seeds {
		if p, err := expression.Compile(s, names()); err == nil {
			programs = append(programs, p)
		}
	}
	require.Greater(f, len(programs), 20)
	f.Add([]byte(`{"x": {"y": [1]}, "list": [1, 2], "text": "a'b", "n": 1, "object": {"a": 1}, "phone": "+41445551234"}`))
	f.Add([]byte(`{"list": [null, {"a": []}, "x"], "text": 1e400, "phone": [], "n": -1, "yes": true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		var input map[string]any
		if d.Decode(&input) != nil {
			return
		}
		for _, p := range programs {
			v, err := p.Eval(&expression.Env{Input: input, Body: input, Values: input, Context: input})
			bounded(t, v, err)
		}
	})
}

// FuzzPath holds for any value and any place in a path: the value stays within
// its segment.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"a", "..", ".", "../x", "a/b", "a?b#c", "%2e%2e", "%2F", "ä\x00\n", "\\..\\", "//evil.example", "", "\xff"} {
		for _, path := range []string{"/a/{input.x}/b", "/{input.x}", "/.{input.x}", "/{input.x}.", "/{input.x}{input.x}", "/a({input.x})"} {
			f.Add(path, s)
		}
	}
	f.Fuzz(func(t *testing.T, path, value string) {
		text := mapping.Text{Pos: mapping.Pos{Line: 1, Column: 1}, Value: path}
		p, findings := expression.CompilePath(mapping.File{Path: "f.yaml", Data: []byte(path)}, text, expression.Names{})
		if len(findings) > 0 {
			return
		}
		got, err := p.Eval(&expression.Env{Input: map[string]any{"x": value}})
		if err != nil {
			bounded(t, nil, err)
			return
		}
		plain, err := p.Eval(&expression.Env{Input: map[string]any{"x": "x"}})
		if err == nil {
			require.Equal(t, strings.Count(plain, "/"), strings.Count(got, "/"), "%q", got)
		}
		require.NotContains(t, got, "//")
		parsed, err := url.ParseRequestURI(got)
		require.NoError(t, err)
		require.Empty(t, parsed.RawQuery)
		require.Empty(t, parsed.Host)
		for _, segment := range strings.Split(got, "/") {
			require.NotContains(t, []string{".", ".."}, segment)
			_, err := url.PathUnescape(segment)
			require.NoError(t, err)
		}
		for _, c := range got {
			require.Less(t, c, rune(127))
			require.Greater(t, c, ' ')
		}
	})
}

// anyJSON makes values as encoding/json decodes them.
func anyJSON(depth int) *rapid.Generator[any] {
	leaves := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Float64().AsAny(), rapid.String().AsAny(),
		rapid.Map(rapid.Int(), func(i int) any { return json.Number(core.Errorf("", "%d", i).Message) }),
		rapid.SampledFrom([]any{"+41445551234", "' OR 1", "a^b", "2026-01-02", "%_\\", "\x00", ".."}),
	}
	if depth > 0 {
		inner := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(depth - 1) })
		leaves = append(leaves, rapid.SliceOfN(inner, 0, 4).AsAny(), rapid.MapOfN(rapid.SampledFrom([]string{"a", "Name", "x"}), inner, 0, 3).AsAny())
	}
	return rapid.OneOf(leaves...)
}

func TestAnyData(t *testing.T) {
	t.Parallel()
	var programs []*expression.Program
	for _, s := range seeds {
		if p, err := expression.Compile(s, names()); err == nil {
			programs = append(programs, p)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		input := map[string]any{}
		for _, key := range []string{"x", "list", "text", "n", "object", "phone", "yes", "evil"} {
			input[key] = anyJSON(3).Draw(t, key)
		}
		body := anyJSON(3).Draw(t, "body")
		for _, p := range programs {
			v, err := p.Eval(&expression.Env{Input: input, Body: body, Loops: map[string]any{"item": body}})
			bounded(t, v, err)
		}
	})
}

// A text from outside stays inside of its quotes, whatever it holds.
func TestLiteralsNeverEnd(t *testing.T) {
	t.Parallel()
	soql, err := expression.Compile(`soql("?", input.x)`, expression.Names{})
	require.NoError(t, err)
	odata, err := expression.Compile(`odata("?", input.x)`, expression.Names{})
	require.NoError(t, err)
	zendesk, err := expression.Compile(`zendesk("?", input.x)`, expression.Names{})
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.OneOf(rapid.String(), rapid.StringMatching(`[\\'"a\n%_?]{0,12}`)).Draw(t, "x")
		e := &expression.Env{Input: map[string]any{"x": x}}
		if v, err := soql.Eval(e); err == nil {
			inner := v.(string)
			require.Regexp(t, `^'(?s:[^'\\]|\\[\\'nrt])*'$`, inner)
		}
		v, err := odata.Eval(e)
		require.NoError(t, err)
		require.Regexp(t, `^'(?s:[^']|'')*'$`, v)
		v, err = zendesk.Eval(e)
		require.NoError(t, err)
		require.Regexp(t, `^"(?s:[^"\\]|\\[\\"])*"$`, v)
	})
}
