package expression_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/expression"
	"tandem/core/mapping"
)

// whyNot is what is wrong with an expression; "" for nothing.
func whyNot(source string, n expression.Names) string {
	if _, err := expression.Compile(source, n); err != nil {
		return err.Error()
	}
	return ""
}

func TestTemplatesAreOfOnePiece(t *testing.T) {
	t.Parallel()
	const quoted = "take the quotes away, ? brings its own"
	for source, want := range map[string]string{
		`soql("Name = '?'", input.text)`:                             quoted,
		`soql("Name LIKE '%?%'", input.text)`:                        quoted,
		`soql("A = 'it\\'s ?'", input.text)`:                         quoted,
		`odata("name eq '?'", input.text)`:                           quoted,
		`odata("a eq '\\' and b eq '?'", input.text)`:                quoted,
		`sosl("FIND {\"?\"}", input.text)`:                           quoted,
		`sosl("FIND {x} RETURNING C(Id WHERE N='?')", "a")`:          quoted,
		`zendesk("name:\"?\"", input.text)`:                          quoted,
		`soql("Name = 'x", input.text)`:                              "the template has 0 ?, but 1 values follow",
		`soql("Name = 'x")`:                                          "a quote in the template does not end",
		`soql("A = 'x' AND B = ?", input.text)`:                      "",
		`soql("A = 'it\\'s' AND B = ?", input.text)`:                 "",
		`odata("a eq 'it''s' and b eq ?", input.text)`:               "",
		`zendesk("name:\"Jane \\\"J\\\" Doe\" phone:?", "1")`:        "",
		`snow("short_descriptionLIKEit's ?", "x")`:                   "",
		`names(["a"], input.text)`:                                   "what stands between names must stand here as it is, made of comma, space or dot",
		`names(["a"], " FROM User WHERE ")`:                          "what stands between names must stand here as it is, made of comma, space or dot",
		`names(["a"], "")`:                                           "what stands between names must stand here as it is, made of comma, space or dot",
		`names(["a", "b"], ", ")`:                                    "",
		`"a" matches "(?:[ab]{100}){1000}"`:                          `this pattern cannot be read: "invalid repeat count: ` + "`{1000}`\"",
		`"a" matches "(?:` + strings.Repeat("[ab]", 46) + `){1000}"`: "the pattern repeats too much: take smaller numbers in {}",
	} {
		require.Equal(t, want, whyNot(source, expression.Names{}), source)
	}
}

func TestCompoundPartsGetBrackets(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`soql("A = 1 AND ?", soql("B = 2 OR C = 3"))`, `"A = 1 AND (B = 2 OR C = 3)"`},
		{`soql("A = 1 AND ?", soql("?", soql("B = 2 OR C = 3")))`, `"A = 1 AND (B = 2 OR C = 3)"`},
		{`odata("a eq 1 and ?", odata("b eq 2 or c eq 3"))`, `"a eq 1 and (b eq 2 or c eq 3)"`},
		{`every([soql("?", soql("A = 1 OR B = 2")), soql("C = 3")])`, `"((A = 1 OR B = 2) AND C = 3)"`},
		{`either([odata("?", odata("a eq 1 and b eq 2"))])`, `"(a eq 1 and b eq 2)"`},
		{`soql("A = 1 AND ?", soql("B = 'x or y'"))`, `"A = 1 AND B = 'x or y'"`},
		{`soql("A = 1 AND ?", either([soql("B = 2"), soql("C = 3")]))`, `"A = 1 AND (B = 2 OR C = 3)"`},
		{`soql("A = 1 AND (?)", soql("B = 2 OR C = 3"))`, `"A = 1 AND (B = 2 OR C = 3)"`},
		{`soql("? LIMIT 1", soql("SELECT Id FROM Case WHERE A = 1 AND B = 2"))`, `"SELECT Id FROM Case WHERE A = 1 AND B = 2 LIMIT 1"`},
		{`sosl("FIND {?} RETURNING ?", "x", sosl("Case(Id WHERE A = 1 AND B = 2)"))`, `"FIND {\"x\"} RETURNING Case(Id WHERE A = 1 AND B = 2)"`},
		{`snow("a=1^?", snow("b=2^ORc=3"))`, `"a=1^b=2^ORc=3"`},
	})
}

func TestEmptyTextsMatchNotEverything(t *testing.T) {
	t.Parallel()
	const why = "an empty text would match everything"
	refuses(t, core.Invalid, [][2]string{
		{`containsLike("")`, why},
		{`startsLike(" ")`, why},
		{`endsLike(input.empty)`, why},
		{`snow("nameLIKE?", input.empty)`, why},
		{`snow("nameIN?", ["a", ""])`, why},
		{`snow("???", name("a"), snow("STARTSWITH"), "")`, why},
		{`sosl("FIND {?}", " ")`, why},
		{`sosl("FIND {?}", ["a", ""])`, why},
		{`odata("contains(name,?)", "")`, why},
		{`odata("contains(tolower(?), ? )", name("a"), "")`, why},
		{`odata("?(?,?)", name("startswith"), name("a"), input.empty)`, why},
	})
	gives(t, [][2]string{
		{`odata("a eq ?", "")`, `"a eq ''"`},
		{`soql("A = ?", "")`, `"A = ''"`},
		{`sosl("FIND {?}", "cats AND dogs")`, `"FIND {\"cats AND dogs\"}"`},
		{`sosl("FIND {?}", ["a*", "OR"])`, `"FIND {\"a\\*\" OR \"OR\"}"`},
	})
}

func TestWorkIsPaidFor(t *testing.T) {
	t.Parallel()
	e := env(t)
	e.Input["long"], e.Input["longer"] = strings.Repeat("a", 64<<10), strings.Repeat("a", 64<<10+1)
	e.Input["huge"] = strings.Repeat("a", 300<<10)
	for source, want := range map[string]string{
		`input.longer matches "b"`:                     "a pattern takes texts of 64 KB at most",
		`match(input.longer, "(b)")`:                   "match: a pattern takes texts of 64 KB at most",
		`input.long matches "(.{0,30}a){30}b"`:         "is too much work",
		`match(input.long, "((?:.{0,30}a){30})b")`:     "is too much work",
		`trim("a", "` + strings.Repeat("b", 65) + `")`: "trim: takes 64 characters away at most",
		`input.huge[0:1]`:                              "gives more than 256 KB",
	} {
		_, err := evaluate(t, source, e)
		require.ErrorContains(t, err, strings.TrimPrefix(want, "match: "), source)
		require.Equal(t, core.Mapping, core.KindOf(err), source)
	}
	got, err := evaluate(t, `input.long matches "^a+$" and trim("xax", "xyz") == "a"`, e)
	require.NoError(t, err)
	require.Equal(t, "true", got)
}

func TestPatternsOfAFileShareABudget(t *testing.T) {
	t.Parallel()
	n := expression.Names{Patterns: &expression.Patterns{}}
	source := `"a" matches "(?:` + strings.Repeat("[ab]", 9) + `){900}"`
	for range 5 {
		require.Empty(t, whyNot(source, n))
	}
	require.Equal(t, "the patterns of this file repeat too much: take smaller numbers in {}", whyNot(source, n))
}

func TestNumbersThatWouldChangeAreFindings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0771234567":                     "this number begins with + or 0: put it in quotes",
		"0791234567":                     "this number begins with + or 0: put it in quotes",
		"+41445551234":                   "this number begins with + or 0: put it in quotes",
		"-00.5":                          "this number begins with + or 0: put it in quotes",
		"12345678901234567890":           "this number is too large to stay exact: put it in quotes",
		"123456789012345678901234567890": "this number is too large to stay exact: put it in quotes",
		".inf":                           "this number cannot be used: put it in quotes where a text is meant",
		"0":                              "", "0.5": "", "-7": "", "1e3": "", `"0771234567"`: "", "9223372036854775807": "",
	} {
		f := parse(t, "a: ["+text+"]\n")
		_, findings := expression.CompileTree(f, f.Root, expression.Names{})
		if want == "" {
			require.Empty(t, findings, text)
			continue
		}
		require.Len(t, findings, 1, text)
		require.Equal(t, "f.yaml:1:5: "+want, findings[0].String())
	}
}

func TestManyFindingsAreCheap(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "- = nothing%d\n", i)
	}
	f := parse(t, b.String())
	var findings []mapping.Finding
	coretest.Soon(t, 20*time.Second, "compile", func() {
		_, findings = expression.CompileTree(f, f.Root, expression.Names{})
	})
	require.Len(t, findings, 100)
	require.Equal(t, mapping.Pos{Line: 100, Column: 5}, mapping.Pos{Line: findings[99].Line, Column: findings[99].Column})
}
