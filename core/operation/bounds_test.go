package operation_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const fetch = `title: Fetch
steps:
  - id: get
    request: {method: GET, path: /x}
    on: [{status: 400, then: continue}]
output: = steps.get.body
`

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`"` + strings.Repeat("x", 2<<20) + `"`,
		"[" + strings.Repeat("{},", 150_000) + "{}]",
		"[" + strings.Repeat("1,", 200_000) + "1]",
	} {
		result, err := play(t, fetch, nil, always(200, body))
		kind(t, err, core.ResultTooLarge, "")
		require.Equal(t, "get", failure(t, err).Step)
		require.Less(t, len(result.Steps[0].Answer.Body), 5000)
		result, err = play(t, fetch, nil, always(400, body))
		require.NoError(t, err, "a refusal need not be read")
		require.Nil(t, result.Output)
	}
	quoted := `["` + strings.Repeat(`,[\"`, 120_000) + `"]`
	result, err := play(t, strings.Replace(fetch, "= steps.get.body", "= len(steps.get.body)", 1), nil, always(200, quoted))
	require.NoError(t, err, "what stands in texts does not count")
	require.Equal(t, 1, result.Output)
	result, err = play(t, "redact: [email]\n"+fetch, nil, always(400, `{"email": "jane@acme.example", broken`))
	require.NoError(t, err)
	require.Equal(t, "37 bytes of JSON that could not be read", result.Steps[0].Answer.Body)
}

// late answers when the time of the run is over, as if nothing had happened.
type late struct{}

func (late) Call(ctx context.Context, call outbound.Call) (*outbound.Response, error) {
	<-ctx.Done()
	return answer(call, 200, `{}`)
}

func TestALateSuccessIsATimeout(t *testing.T) {
	t.Parallel()
	op := one(t, strings.Replace(fetch, "method: GET", "method: POST", 1))
	result, err := runner(late{}, base).Run(t.Context(), operation.Request{Operation: op, Timeout: time.Second})
	kind(t, err, core.Timeout, operation.CodeTimeout)
	require.True(t, failure(t, err).Wrote)
	require.Equal(t, operation.StepFailed, result.Steps[0].State)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, file := range []string{"title: x\noutput: 1\n", "title: x\nvalues: [{name: a, value: 1}]\noutput: 1\n"} {
		_, err = runner(nil, base).Run(ended, operation.Request{Operation: one(t, file)})
		kind(t, err, core.Timeout, operation.CodeTimeout)
	}
}

func TestTheStepThatFailedIsKept(t *testing.T) {
	t.Parallel()
	list := make([]any, 100)
	many := func(id string) string {
		return "  - id: " + id + "\n    for_each: = input.l\n    most: 100\n    request: {method: GET, path: /" + id + "}\n"
	}
	for i := range list {
		list[i] = i
	}
	for _, last := range []string{
		"    request: {method: GET, path: /c}\n    extract: {z: = body.a.b.c}\n",
		"    request: {method: GET, path: '/c/{steps.a.body.x}'}\n",
		"    when: = steps.a.each[0].body.a.b.c\n    request: {method: GET, path: /c}\n",
	} {
		file := "title: x\ninput: [{name: l, type: list}]\nsteps:\n" + many("a") + many("b") + "  - id: c\n" + last + "output: 1\n"
		result, err := play(t, file, map[string]any{"l": list}, always(200, `{}`))
		kind(t, err, core.Mapping, operation.CodeMapping)
		require.Len(t, result.Steps, 200)
		require.Equal(t, "c", failure(t, err).Step)
		require.Equal(t, "c", result.Steps[199].ID)
		require.Equal(t, operation.StepFailed, result.Steps[199].State)
		require.Equal(t, "b", result.Steps[198].ID)
		require.Equal(t, operation.StepOK, result.Steps[198].State)
	}
}

func TestMalformedNextIsTheFilesFault(t *testing.T) {
	t.Parallel()
	const file = `title: x
steps:
  - id: all
    request: {method: GET, path: /x}
    pages: {items: = body.items, next: = body.next, most: 2}
output: = steps.all.more
`
	for _, next := range []string{`"/a%zz"`, `"/\u0001"`, `"https://%zz"`, `"/x?a=%zz"`, `{"q": "` + strings.Repeat("x", 20_000) + `"}`} {
		_, err := play(t, file, nil, always(200, `{"items": [1], "next": `+next+`}`))
		kind(t, err, core.Mapping, operation.CodeMapping)
	}
	for next, want := range map[string]bool{`null`: false, `""`: false, `"/y"`: true} {
		result, err := play(t, file, nil, always(200, `{"items": [1], "next": `+next+`}`))
		require.NoError(t, err)
		require.Equal(t, want, result.Output, "whether there is more is told")
	}
}

func TestTimesAreReadAlike(t *testing.T) {
	t.Parallel()
	const file = "title: x\ninput: [{name: a, type: time}, {name: b, type: text}]\noutput: {a: = input.a, b: = time(input.b)}\n"
	for _, text := range []string{
		"2026-01-31T12:30", "2026-01-01T10:00:00.000+0000", "2026-01-01T10:00:00+02:00", " 2026-01-31 12:30:00.5", "2026-01-31",
	} {
		result, err := play(t, file, map[string]any{"a": text, "b": text}, nil)
		require.NoError(t, err, text)
		both, _ := result.Output.(map[string]any)
		require.NotNil(t, both["a"])
		require.Equal(t, both["a"], both["b"], text)
	}
}

func TestFindingsOfBounds(t *testing.T) {
	t.Parallel()
	heavy := "(?:" + strings.Repeat("[ab]", 40) + "){200}"
	for name, c := range map[string]struct{ text, want string }{
		"headers that are one": {"title: x\nsteps:\n  - id: a\n    request: {method: GET, path: /x, headers: {X-A: a, x-a: b}}\noutput: 1\n", `duplicate header "x-a"`},
		"an octal number":      {"title: x\noutput: {phone: 0771234567}\n", "this number begins with + or 0: put it in quotes"},
		"a telephone number":   {"title: x\noutput: {phone: +41445551234}\n", "this number begins with + or 0: put it in quotes"},
		"one in the example":   {"title: x\ninput: [{name: a, type: text}]\nexample: {a: 0791234567}\noutput: 1\n", "this number begins with + or 0: put it in quotes"},
		"a number too large":   {"title: x\noutput: {id: 12345678901234567890}\n", "this number is too large to stay exact: put it in quotes"},
		"repeats of a pattern": {"title: x\ninput: [{name: a, type: text, pattern: \"(?:" + strings.Repeat("[ab]", 46) + "){1000}\"}]\noutput: 1\n", "the pattern repeats too much"},
		"repeats of the file":  {"title: x\noutput:\n" + strings.Repeat("- = \"a\" matches \""+heavy+"\"\n", 7), "the patterns of this file repeat too much"},
		"a long text with one": {"title: x\ninput: [{name: a, type: text, max: 100000, pattern: a}]\noutput: 1\n", "the pattern is too much work for a text of 100000 characters"},
		"a heavy one":          {"title: x\ninput: [{name: a, type: text, pattern: \"" + heavy + "\"}]\noutput: 1\n", "the pattern is too much work for a text of 4096 characters"},
		"a name of every step": {"title: x\nsteps:\n  - id: a\n    request: {method: GET, path: /x}\n    extract: {more: = body}\noutput: 1\n", `"more" is a name that every step has`},
		"a ? within quotes":    {"title: x\noutput: \"= soql(\\\"Name = '?'\\\", context.id)\"\n", "take the quotes away, ? brings its own"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, findings := load(t, map[string]string{"one.yaml": c.text})
			require.NotEmpty(t, findings)
			require.Contains(t, findings[0].Message, c.want)
		})
	}
	_, _, findings := load(t, map[string]string{"one.yaml": "title: x\noutput: 1\n", "one_test.yaml": "tests:\n  - name: a\n    result: {phone: 0771234567}\n"})
	require.Len(t, findings, 1)
	require.Contains(t, findings[0].Message, "this number begins with + or 0: put it in quotes")
}

func TestLiteral(t *testing.T) {
	t.Parallel()
	f, findings := mapping.Parse("x.yaml", []byte(`{a: "1", b: 0x10, c: 1.5, d: true, e: null, f: 2024-01-02, g: [-0.5, {h: x}], i: 1.0e3}`))
	require.Empty(t, findings)
	value, findings := operation.Literal(f, f.Root)
	require.Empty(t, findings)
	require.Equal(t, map[string]any{
		"a": "1", "b": 16, "c": 1.5, "d": true, "e": nil, "f": "2024-01-02",
		"g": []any{-0.5, map[string]any{"h": "x"}}, "i": 1000.0,
	}, value)
	value, findings = operation.Literal(f, nil)
	require.Empty(t, findings)
	require.Nil(t, value)
}

func TestLintOfAHopelessFileIsCheap(t *testing.T) {
	t.Parallel()
	coretest.Soon(t, 20*time.Second, "load", func() {
		_, _, findings := load(t, map[string]string{"one.yaml": "title: x\noutput:\n" + strings.Repeat("- = nothing\n", 20_000)})
		require.Len(t, findings, 100)
	})
}
