package operation_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/operation"
	"tandem/core/outbound"
)

// left is all that people see of the steps of a run.
func left(t testing.TB, steps []operation.Step) string {
	t.Helper()
	all, err := json.Marshal(steps)
	require.NoError(t, err)
	return string(all)
}

// TestQueriesAreMasked looks for private values as the query languages write
// them, in requests and in what the vendor says about them.
func TestQueriesAreMasked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ query, who, never string }{
		{`soql("A = ?", input.who)`, "Conan O'Brien", "Brien"},
		{`soql("A LIKE ?", containsLike(input.who))`, "jane_doe's 100% mail", "mail"},
		{`soql("A = ?", input.who)`, `back\slash "quoted"`, "slash"},
		{`odata("a eq ?", input.who)`, "Conan O'Brien", "Brien"},
		{`sosl("FIND {?}", input.who)`, "anna-maria.novak+crm@acme.example", "novak"},
		{`zendesk("name:?", input.who)`, `Jane "JJ" Doe`, "Doe"},
		{`snow("name=?", input.who)`, "Conan O'Brien", "Brien"},
		{`soql("A = ?", upper(input.who))`, "Jürg Müller", "LLER"},
		{`lower(input.who)`, "JÜRG MÜLLER", "ller"},
		{`upper(input.who)`, "Ærøskøbing ſtraße", "TRA"},
	} {
		file := "title: x\ninput: [{name: who, type: text, redact: true}]\nsteps:\n  - id: a\n    request: {method: GET, path: /x, query: {q: '= " +
			strings.ReplaceAll(c.query, "'", "''") + "'}}\noutput: 1\n"
		result, err := play(t, file, map[string]any{"who": c.who}, func(call outbound.Call) (*outbound.Response, error) {
			said, err := json.Marshal(map[string]any{"message": "cannot read: " + call.Request.URL.Query().Get("q")})
			require.NoError(t, err)
			require.Contains(t, string(said), c.never)
			return answer(call, 400, string(said))
		})
		require.ErrorContains(t, err, c.never, "the caller may see what it has given")
		require.NotContains(t, left(t, result.Steps), c.never, c.query)
	}
}

func TestWhatIsCutShowsNoBeginning(t *testing.T) {
	t.Parallel()
	const file = "title: x\ninput: [{name: who, type: text, redact: true}]\nsteps:\n  - id: a\n    request: {method: GET, path: /x}\n%soutput: 1\n"
	for rule, length := range map[string]int{"": 290, "    on: [{status: 400, fail: {kind: invalid, message: = body.message}}]\n": 990} {
		said := strings.Repeat("x", length) + "alexandra.habsburg@acme.example"
		result, err := play(t, fmt.Sprintf(file, rule), map[string]any{"who": "alexandra.habsburg@acme.example"}, always(400, `{"message": "`+said+`"}`))
		require.ErrorContains(t, err, "xxx", "the caller's message stays")
		require.NotContains(t, left(t, result.Steps), "ale")
		require.Contains(t, result.Steps[0].Error, "xxx")
	}
}

func TestMoreValuesThanAreLookedFor(t *testing.T) {
	t.Parallel()
	const file = "title: x\ninput: [{name: who, type: list, redact: true, max: 1000}]\nsteps:\n  - id: a\n    request: {method: GET, path: '/x/{input.who[250]}', query: {q: = input.who}}\noutput: 1\n"
	var who []any
	for i := range 251 {
		who = append(who, fmt.Sprintf("person%03d@acme.example", i))
	}
	result, err := play(t, file, map[string]any{"who": who}, always(200, `{"note": "about person250@acme.example", "n": 7}`))
	require.NoError(t, err)
	require.NotContains(t, left(t, result.Steps), "person2")
	require.JSONEq(t, `{"note": "[redacted]", "n": "[redacted]"}`, result.Steps[0].Answer.Body)
}

func TestAnswersAreMaskedInLaterAddresses(t *testing.T) {
	t.Parallel()
	const file = `title: x
redact: [email]
steps:
  - id: a
    request: {method: GET, path: /x}
  - id: b
    request:
      method: GET
      path: /users/{steps.a.body.people[0].email}
      query: {q: "= steps.a.body.people[0].email"}
output: 1
`
	result, err := play(t, file, nil, always(200, `{"people": [{"email": "alexandra@acme.example"}]}`))
	require.NoError(t, err)
	require.NotContains(t, left(t, result.Steps), "alexandra")
	require.Equal(t, "GET /api/users/[redacted]", result.Steps[1].Call)
}

func TestNumbersHoweverTheyAreSet(t *testing.T) {
	t.Parallel()
	m := one(t, private).Mask(map[string]any{"phone": "+41791234567"})
	for _, number := range []string{
		"+41 79 123 45 67", "079\u00a0123\u00a045\u00a067", "079\u2011123\u201145\u201167", "079_123_45_67", "079,1234567",
		"%2B41%C2%A079%C2%A0123%C2%A045%C2%A067", "079\u2013123\u202f45\u202f67",
	} {
		require.Equal(t, "call [redacted].", m.Text("call "+number+"."), number)
	}
}
