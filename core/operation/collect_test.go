package operation_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const searching = `title: Search
input:
  - {name: search, type: list, of: object, redact: true}
  - {name: fields, type: object}
redact: [Email, phone]
output: = input
`

// TestValuesAreMaskedByTheFieldBesideThem looks at documents that name a field
// in one place and its value in another.
func TestValuesAreMaskedByTheFieldBesideThem(t *testing.T) {
	t.Parallel()
	op := one(t, searching)
	m := op.Mask(map[string]any{"fields": map[string]any{"list": []any{map[string]any{"field": "EMAIL", "value": "jane@acme.example"}}}})
	require.JSONEq(t, `{
		"records": [{"display": "[redacted]", "fields": [
			{"name": "Email", "label": "E-mail", "value": "[redacted]"},
			{"name": "Account.Phone", "label": "Phone", "value": "[redacted]"},
			{"name": "Status", "label": "Status", "value": "Open"}]}],
		"filters": [{"propertyName": "phone", "operator": "IN", "values": "[redacted]"}, {"column": "email", "Value": "[redacted]"}],
		"settings": [{"name": "api_token", "value": "[redacted]"}, {"name": "Email", "value": null}]
	}`, m.JSON(map[string]any{
		"records": []any{map[string]any{"display": "jane@acme.example", "fields": []any{
			map[string]any{"name": "Email", "label": "E-mail", "value": "joe@acme.example"},
			map[string]any{"name": "Account.Phone", "label": "Phone", "value": "0445551234"},
			map[string]any{"name": "Status", "label": "Status", "value": "Open"},
		}}},
		"filters": []any{
			map[string]any{"propertyName": "phone", "operator": "IN", "values": []any{"0445551234"}},
			map[string]any{"column": "email", "Value": "joe@acme.example"},
		},
		"settings": []any{map[string]any{"name": "api_token", "value": "s3cr3t"}, map[string]any{"name": "Email", "value": nil}},
	}))
}

func TestOnlyValuesOfConditionsAreMasked(t *testing.T) {
	t.Parallel()
	op := one(t, searching)
	search := []any{
		map[string]any{"entity": "Contact", "field": "LastName", "operator": "contains", "value": "Nov_k's", "join": "or"},
		map[string]any{"entity": "Contact", "filter": "Phone = '+41 44 555 12 34'"},
		map[string]any{"entity": "Contact", "filter": "City in ('Basel', \"Zermatt\")"},
		map[string]any{"entity": "Contact", "filter": "startswith", "field": "Street", "values": []any{"Bahnhof"}},
		map[string]any{"entity": "Contact", "filter": "email is jane@acme.example"},
		map[string]any{"deep": []any{map[string]any{"name": "Fritz"}}},
	}
	m := op.Mask(map[string]any{"search": search})
	require.JSONEq(t, `{"search":"[redacted]"}`, m.JSON(map[string]any{"search": search}))
	for in, want := range map[string]string{
		"Contact LastName Phone City in startswith contains Street": "Contact LastName Phone City in startswith contains Street",
		`LastName LIKE '%Nov\_k\'s%' OR LastName eq 'nov_k''s'`:     `LastName LIKE '%[redacted]%' OR LastName eq '[redacted]'`,
		`"email is jane@acme.example" is no condition`:              `"[redacted]" is no condition`,
		"Phone = '044 555 12 34'":                                   "Phone = '[redacted]'",
		"City IN ('Basel','Zermatt') Bahnhof Fritz":                 "City IN ('[redacted]','[redacted]') [redacted] [redacted]",
	} {
		require.Equal(t, want, m.Text(in))
	}
}

// TestCallerIsNotToldToCorrectWhatIsWritten holds that no run ends with Invalid
// on account of an expression once something is written: whoever corrects the
// input and calls again would write twice.
func TestCallerIsNotToldToCorrectWhatIsWritten(t *testing.T) {
	t.Parallel()
	const file = `title: Note
input: [{name: entity, type: text, required: true}]
example: {entity: a}
steps:
  - id: make
    request: {method: POST, path: /notes, body: {a: 1}}
    extract: {one: 1}
  - id: look
    request: {method: GET, path: /look}
output: {type: 2}
`
	for name, put := range map[string][2]string{
		"output":  {"{type: 2}", `{type: "= name(input.entity)"}`},
		"extract": {"{one: 1}", `{one: "= name(input.entity)"}`},
		"when":    {"- id: look", `- id: look` + "\n    when: = name(input.entity) == nil"},
		"path":    {"path: /look", `path: "/look/{name(input.entity)}"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(file, put[0], put[1], 1)
			_, err := play(t, text, map[string]any{"entity": "a b"}, always(200, `{}`))
			kind(t, err, core.Mapping, operation.CodeMapping)
			require.ErrorContains(t, err, `"a b"`)
			require.True(t, failure(t, err).Wrote)

			_, err = play(t, strings.Replace(text, "method: POST, path: /notes, body: {a: 1}", "method: GET, path: /notes", 1),
				map[string]any{"entity": "a b"}, always(200, `{}`))
			kind(t, err, core.Invalid, "")
		})
	}
	// What the vendor refuses is the caller's, and is known to be half done.
	_, err := play(t, file, map[string]any{"entity": "a"}, func(call outbound.Call) (*outbound.Response, error) {
		if call.Request.Method == "GET" {
			return answer(call, 422, `{}`)
		}
		return answer(call, 200, `{}`)
	})
	kind(t, err, core.Invalid, "")
	require.True(t, failure(t, err).Wrote)
}
