package operation_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const anything = `title: Anything
input:
  - {name: text, type: text, redact: true}
  - {name: number, type: number}
  - {name: list, type: list, max: 5}
  - {name: object, type: object}
  - {name: time, type: time}
redact: [a]
values:
  - {name: phones, value: "= phones(input.text ?? \"\")"}
  - {name: query, value: "= soql(\"A = ?\", input.text ?? \"\")"}
steps:
  - id: one
    request: {method: GET, path: "/x/{input.text ?? \"x\"}", query: {q: "= values.query", p: "= values.phones", o: "= text(input.number)"}}
    pages: {items: "= body.a ?? []", next: "= body.b", most: 3}
    on:
      - {status: [404], then: continue}
      - {when: "= body.c == 1", fail: {kind: conflict, message: "= text(body.a)"}}
    extract: {a: "= body.a", c: "= body.c"}
  - id: each
    for_each: = input.list ?? []
    request: {method: POST, path: /y, body: {item: "= item", object: "= input.object", at: "= input.time"}}
output:
  a: = steps.one.a
  items: {value: {x: "= text(item)"}, for_each: "= steps.one.items ?? []"}
  each: = steps.each.each
`

// document draws a decoded JSON document.
func document(depth int) *rapid.Generator[any] {
	kinds := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64().AsAny(),
		rapid.Map(rapid.Int(), func(n int) any { return float64(n) }),
		rapid.SampledFrom([]any{"+41 44 555 12 34", "'; --", "..", "2026-01-01", "/next", "https://t1.acme.example/x", json.Number("1e400")}),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.SliceOfN(document(depth-1), 0, 6).AsAny(),
			rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "password"}), document(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(kinds...)
}

// TestAnyInputAndAnswer runs with documents of every shape: nothing panics, and
// every run ends in time with a result or an error that has a kind.
func TestAnyInputAndAnswer(t *testing.T) {
	t.Parallel()
	op := one(t, anything)
	rapid.Check(t, func(t *rapid.T) {
		input := rapid.MapOfN(rapid.SampledFrom([]string{"text", "number", "list", "object", "time", "other"}), document(3), 0, 6).Draw(t, "input")
		status := rapid.SampledFrom([]int{200, 200, 200, 201, 204, 302, 400, 404, 409, 429, 500}).Draw(t, "status")
		body, err := json.Marshal(document(4).Draw(t, "answer"))
		if err != nil || rapid.IntRange(0, 9).Draw(t, "broken") == 0 {
			body = []byte(rapid.String().Draw(t, "body"))
		}
		calls := 0
		up := answers(func(call outbound.Call) (*outbound.Response, error) {
			calls++
			return answer(call, status, string(body))
		})
		elapsed := core.Stopwatch()
		result, err := runner(up, base).Run(t.Context(), operation.Request{
			Tenant: "t1", Operation: op, Input: input, Detail: true, Timeout: 5 * time.Second,
		})
		require.NotNil(t, result)
		require.Less(t, elapsed(), 20*time.Second)
		require.LessOrEqual(t, calls, 3+5)
		if err != nil {
			var e *operation.Error
			require.ErrorAs(t, err, &e)
			require.ErrorAs(t, err, new(*core.Error))
			require.NotEqual(t, core.Internal, core.KindOf(err), err)
		}
		for _, s := range result.Steps {
			if s.Request != nil {
				require.LessOrEqual(t, len(s.Request.Body), 4<<10)
			}
		}
		_, err = json.Marshal(result.Output)
		require.NoError(t, err)
		mask := op.Mask(input)
		require.LessOrEqual(t, len(mask.JSON(input)), 8<<10)
		require.True(t, json.Valid([]byte(mask.JSON(result.Output))) || len(mask.JSON(result.Output)) > 8000)
	})
}

func FuzzInput(f *testing.F) {
	f.Add([]byte(`{"text": "+41 44 555 12 34", "number": "1e3", "list": [1, {"a": 2}], "object": {}, "time": 0}`), []byte(`{"a": [1], "b": "/x"}`))
	op := one(f, anything)
	f.Fuzz(func(t *testing.T, given, body []byte) {
		var input map[string]any
		if json.Unmarshal(given, &input) != nil {
			return
		}
		up := answers(func(call outbound.Call) (*outbound.Response, error) { return answer(call, 200, string(body)) })
		result, _ := runner(up, base).Run(t.Context(), operation.Request{Tenant: "t1", Operation: op, Input: input, Detail: true})
		_ = op.Mask(input).JSON(result.Output)
	})
}
