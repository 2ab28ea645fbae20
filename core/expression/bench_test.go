package expression_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/expression"
)

// BenchmarkTree takes 8 fields out of a decoded document of 2 KB.
func BenchmarkTree(b *testing.B) {
	var fields []string
	for i := range 40 {
		fields = append(fields, fmt.Sprintf(`"Field%d__c": "some value of the field %d"`, i, i))
	}
	document := `{"records": [{"Id": "003", "Name": "Jane Doe", "Amount": 12.5, "Open": true, "Phone": "+41445551234",
		"Account": {"Name": "Acme", "Owner": {"Alias": "jd"}}, ` + strings.Join(fields, ", ") + `}]}`
	var body any
	require.NoError(b, json.Unmarshal([]byte(document), &body))
	t := tree(b, `
id: = body.records[0].Id
name: = body.records[0].Name
amount: = body.records[0].Amount * 100
open: = body.records[0].Open ?? false
phone: = body.records[0].Phone
account: = body.records[0].Account?.Name
owner: = body.records[0].Account?.Owner?.Alias
url: = base + "/lightning/r/Contact/" + body.records[0].Id + "/view"
`, names())
	e := &expression.Env{Body: body, Base: "https://acme.example"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.Eval(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecords makes a search's result of 10 records of 8 fields.
func BenchmarkRecords(b *testing.B) {
	records := make([]any, 10)
	for i := range records {
		records[i] = map[string]any{"Id": fmt.Sprint(i), "Name": "Jane", "a": "1", "b": "2", "c": "3", "d": "4", "e": "5", "f": "6"}
	}
	t := tree(b, `
for_each: = body
as: r
value:
  id: = r.Id
  url: = "/lightning/r/Contact/" + r.Id + "/view"
  display: = r.Name ?? ""
  fields: = card(r, "Case", [["a","A"],["b","B"],["c","C"],["d","D"],["e","E"],["f","F"]])
`, names())
	e := &expression.Env{Body: records}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.Eval(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPhones(b *testing.B) {
	p, err := expression.Compile(`phones(input.x)`, expression.Names{})
	require.NoError(b, err)
	e := &expression.Env{Input: map[string]any{"x": "+41445551234"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(e); err != nil {
			b.Fatal(err)
		}
	}
}
