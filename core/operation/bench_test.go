package operation_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/operation"
	"tandem/core/outbound"
)

// BenchmarkRun is what a search costs in this room: one call, an answer of 2 KB,
// eight fields of it in a record.
func BenchmarkRun(b *testing.B) {
	op := one(b, `title: Search
input: [{name: phone, type: text, required: true, redact: true}]
example: {phone: "1"}
steps:
  - id: find
    request: {method: GET, path: /people, query: {q: "= input.phone"}}
    extract: {person: "= body.people[0]"}
output:
  records:
    - type: contact
      id: = steps.find.person.id
      fields:
        - {name: a, value: "= steps.find.person.f1"}
        - {name: b, value: "= steps.find.person.f2"}
        - {name: c, value: "= steps.find.person.f3"}
        - {name: d, value: "= steps.find.person.f4"}
        - {name: e, value: "= steps.find.person.f5"}
        - {name: f, value: "= steps.find.person.f6"}
        - {name: g, value: "= steps.find.person.f7"}
`)
	var fields strings.Builder
	for i := range 40 {
		fields.WriteString(`"f` + string(rune('0'+i%10)) + strings.Repeat("x", i/10) + `": "` + strings.Repeat("v", 35) + `",`)
	}
	body := []byte(`{"people": [{` + fields.String() + `"id": 7}]}`)
	require.Greater(b, len(body), 1800)
	response := &outbound.Response{Status: 200, Header: map[string][]string{"Content-Type": {"application/json"}, "Date": {"x"}}, Body: body}
	up := answers(func(outbound.Call) (*outbound.Response, error) { return response, nil })
	r := runner(up, base)
	input := map[string]any{"phone": "+41445551234"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Run(context.Background(), operation.Request{Tenant: "t1", Operation: op, Input: input}); err != nil {
			b.Fatal(err)
		}
	}
}
