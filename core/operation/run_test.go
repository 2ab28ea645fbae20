package operation_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const lookup = `title: Look up
input: [{name: q, type: text}]
steps:
  - id: find
    request: {method: GET, path: /people, query: {q: "= input.q", tag: [a, "= nil", 2, true]}}
    extract: {people: "= body.people"}
output: {people: "= steps.find.people", at: "= context.now", who: "= context.contactId", base: "= base", account: "= settings.account"}
`

func TestRun(t *testing.T) {
	t.Parallel()
	var seen *http.Request
	result, err := play(t, lookup, map[string]any{"q": "a b&c"}, func(call outbound.Call) (*outbound.Response, error) {
		seen = call.Request
		require.Equal(t, "t1", call.Tenant)
		require.Equal(t, "acme", call.Name)
		require.Equal(t, &outbound.Credential{Tenant: "t1", Integration: "acme"}, call.Credential)
		require.Equal(t, 4, call.Limits.Concurrency)
		require.Len(t, call.Errors, 1)
		require.False(t, call.Repeatable)
		require.InDelta(t, 30*time.Second, call.Deadline, float64(5*time.Second))
		return answer(call, 200, `{"people": [{"id": 12345678901234567890, "n": 1.5, "i": 7}]}`)
	})
	require.NoError(t, err)
	require.Equal(t, "https://t1.acme.example/api/people?q=a+b%26c&tag=a&tag=2&tag=true", seen.URL.String())
	require.Equal(t, "application/json", seen.Header.Get("Accept"))
	require.Equal(t, map[string]any{
		"people": []any{map[string]any{"id": "12345678901234567890", "n": 1.5, "i": 7}},
		"at":     "2026-05-06T07:08:09.010Z", "who": "4711", "base": base, "account": "t1",
	}, result.Output)
	require.Len(t, result.Steps, 1)
	require.Equal(t, operation.StepOK, result.Steps[0].State)
	require.Equal(t, "GET /api/people", result.Steps[0].Call)
	require.Equal(t, 200, result.Steps[0].Status)
}

func TestInput(t *testing.T) {
	t.Parallel()
	const file = `title: Input
input:
  - {name: text, type: text, max: 5, default: none}
  - {name: form, type: text, pattern: "[0-9]+"}
  - {name: pick, type: text, options: [a, b]}
  - {name: num, type: number}
  - {name: whole, type: integer}
  - {name: yes, type: boolean}
  - {name: at, type: time}
  - {name: obj, type: object}
  - {name: list, type: list, max: 2}
  - {name: objects, type: list, of: object}
  - {name: words, type: list, of: text}
  - {name: must, type: text, required: true}
example: {must: x}
strict: true
output: = input
`
	for _, c := range []struct{ name, given, want, wrong string }{
		{"defaults", `{}`, `{"must":"m","text":"none"}`, ""},
		{"empty texts are none", `{"text":"","num":"","list":""}`, `{"must":"m","text":"none"}`, ""},
		{"numbers as text", `{"text":12,"num":"1.5","whole":"42"}`, `{"must":"m","text":"12","num":1.5,"whole":42}`, ""},
		{"truth as text", `{"yes":"TRUE","text":true}`, `{"must":"m","text":"true","yes":true}`, ""},
		{"whole float", `{"num":4.0,"whole":4.0}`, `{"must":"m","text":"none","num":4,"whole":4}`, ""},
		{"times", `{"at":"2026-01-02T04:04:05+01:00"}`, `{"must":"m","text":"none","at":"2026-01-02T03:04:05.000Z"}`, ""},
		{"time as a number", `{"at":1767323045000}`, `{"must":"m","text":"none","at":"2026-01-02T03:04:05.000Z"}`, ""},
		{"nested", `{"obj":{"a":[1,2.5]},"list":[{"b":1}]}`, `{"must":"m","text":"none","obj":{"a":[1,2.5]},"list":[{"b":1}]}`, ""},
		{"too long", `{"text":"äöüäöü"}`, "", "text: must have 5 characters or less"},
		{"not too long", `{"text":"äöüäö"}`, `{"must":"m","text":"äöüäö"}`, ""},
		{"form", `{"form":"1a"}`, "", "form: does not have the right form"},
		{"pick", `{"pick":"c"}`, "", "pick: must be one of a, b"},
		{"number", `{"num":"1e999"}`, "", "num: must be a number"},
		{"number of words", `{"num":"NaN"}`, "", "num: must be a number"},
		{"hex", `{"num":"0x10"}`, "", "num: must be a number"},
		{"whole", `{"whole":1.5}`, "", "whole: must be a whole number"},
		{"yes", `{"yes":"yes"}`, "", "yes: must be true or false"},
		{"at", `{"at":"soon"}`, "", "at: must be a time"},
		{"obj", `{"obj":[]}`, "", "obj: must be an object"},
		{"list", `{"list":[1,2,3]}`, "", "list: must have 2 entries or less"},
		{"text", `{"text":{}}`, "", "text: must be a text"},
		{"no list", `{"list":{}}`, "", "list: must be a list"},
		{"one object is a list", `{"objects":{"a":1}}`, `{"must":"m","text":"none","objects":[{"a":1}]}`, ""},
		{"objects", `{"objects":[{},"a"]}`, "", "objects: entry 2 must be an object"},
		{"words", `{"words":["a",1]}`, "", "words: entry 2 must be a text"},
		{"unknown", `{"nun":1}`, "", `nun: there is no such input (did you mean "num"?)`},
		{"all at once", `{"num":"x","whole":"y","yes":"z","at":"a"}`, "", "and 1 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, useNumber := range []bool{false, true} {
				d := json.NewDecoder(strings.NewReader(c.given))
				if useNumber {
					d.UseNumber()
				}
				given := map[string]any{}
				require.NoError(t, d.Decode(&given))
				given["must"] = "m"
				result, err := play(t, file, given, nil)
				if c.wrong == "" {
					require.NoError(t, err)
					got, err := json.Marshal(result.Output)
					require.NoError(t, err)
					require.JSONEq(t, c.want, string(got))
					continue
				}
				kind(t, err, core.Invalid, "")
				require.ErrorContains(t, err, c.wrong)
				require.Empty(t, failure(t, err).Step)
			}
		})
	}
	_, err := play(t, file, nil, nil)
	var e *core.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []core.Detail{{Field: "must", Message: "is required"}}, e.Details)
}

func TestRequest(t *testing.T) {
	t.Parallel()
	const file = `title: Request
input: [{name: id, type: text}, {name: key, type: text}]
steps:
  - id: put
    request:
      method: POST
      path: /x/{input.id}
      headers: {prefer: "= input.key", accept: text/plain}
      body: {a: "= input.id", none: "= nil", n: 1}
    idempotency_key: idempotency-key
output: = steps.put.body
`
	var seen *http.Request
	var body string
	up := func(call outbound.Call) (*outbound.Response, error) {
		seen = call.Request
		data, err := io.ReadAll(call.Request.Body)
		require.NoError(t, err)
		body = string(data)
		require.True(t, call.Repeatable)
		return answer(call, 201, ``)
	}
	input := map[string]any{"id": "a/../b?c#d%", "key": "k"}
	result, err := play(t, file, input, up)
	require.NoError(t, err)
	require.Nil(t, result.Output)
	require.Equal(t, "/api/x/a%2F..%2Fb%3Fc%23d%25", seen.URL.EscapedPath())
	require.JSONEq(t, `{"a":"a/../b?c#d%","n":1}`, body)
	require.Equal(t, "application/json", seen.Header.Get("Content-Type"))
	require.Equal(t, "text/plain", seen.Header.Get("Accept"))
	require.Equal(t, "k", seen.Header.Get("Prefer"))
	first := seen.Header.Get("Idempotency-Key")
	require.Len(t, first, 43)

	_, err = play(t, file, input, up)
	require.NoError(t, err)
	require.Equal(t, first, seen.Header.Get("Idempotency-Key"), "the same request has the same key")

	_, err = play(t, file, map[string]any{"id": "a", "key": "a\r\nX: y"}, up)
	kind(t, err, core.Invalid, "")
	for _, id := range []any{nil, ".", "..", strings.Repeat("ä", 3000)} {
		_, err = play(t, file, map[string]any{"id": id}, up)
		if id == nil {
			kind(t, err, core.Mapping, operation.CodeMapping)
		} else {
			kind(t, err, core.Invalid, "") // the caller's
		}
		require.Equal(t, "put", failure(t, err).Step)
		require.False(t, failure(t, err).Wrote)
	}
}

func TestForEach(t *testing.T) {
	t.Parallel()
	const file = `title: Each
input: [{name: ids, type: list}, {name: on, type: boolean, default: true}]
steps:
  - id: each
    when: = input.on
    for_each: = input.ids
    as: entry
    most: 3
    request: {method: PUT, path: "/x/{entry}", body: {n: "= index"}}
    on: [{status: 404, then: continue}, {status: 410, then: stop}]
    extract: {name: "= body?.name"}
  - id: last
    request: {method: GET, path: /last}
output:
  ran: = steps.each.ran
  ok: = steps.each.ok
  each: {value: {name: "= item.name", ok: "= item.ok", status: "= item.status"}, for_each: "= steps.each.each ?? []"}
  last: = steps.last.ran
`
	up := func(call outbound.Call) (*outbound.Response, error) {
		switch call.Request.URL.Path {
		case "/api/x/none":
			return answer(call, 404, `{}`)
		case "/api/x/gone":
			return answer(call, 410, `{}`)
		}
		return answer(call, 200, `{"name": "N"}`)
	}
	row := func(name any, ok bool, status int) any {
		m := map[string]any{"ok": ok, "status": status}
		if name != nil {
			m["name"] = name
		}
		return m
	}
	result, err := play(t, file, map[string]any{"ids": []any{"a", "none"}}, up)
	require.NoError(t, err)
	require.Equal(t, map[string]any{
		"ran": true, "ok": false, "last": true, "each": []any{row("N", true, 200), row(nil, false, 404)},
	}, result.Output)
	require.Equal(t, []string{"each ok", "each continued", "last ok"}, states(result))

	result, err = play(t, file, map[string]any{"ids": []any{"gone", "a"}}, up)
	require.NoError(t, err)
	require.Equal(t, []string{"each ok", "last skipped"}, states(result))

	result, err = play(t, file, map[string]any{"ids": []any{"a"}, "on": false}, up)
	require.NoError(t, err)
	require.Equal(t, []string{"each skipped", "last ok"}, states(result))

	result, err = play(t, file, nil, up)
	require.NoError(t, err)
	require.Equal(t, []string{"last ok"}, states(result))

	_, err = play(t, file, map[string]any{"ids": []any{"a", "b", "c", "d"}}, up)
	kind(t, err, core.Invalid, "")
	require.ErrorContains(t, err, `step "each" takes 3 entries at most, these are 4`)
}

func states(r *operation.Result) []string {
	var all []string
	for _, s := range r.Steps {
		all = append(all, s.ID+" "+s.State)
	}
	return all
}

func TestNoAuthorization(t *testing.T) {
	t.Parallel()
	c, _, findings := load(t, map[string]string{
		"free/integration.yaml": "title: Free\nbase: https://{where}.free.example\nno_authorization: true\n" +
			"settings: [{name: where, label: Where, default: eu, options: [{value: eu, label: Europe}]}]\n",
		"free/one.yaml": lookup,
	})
	require.Empty(t, findings)
	op, _ := c.Operation("free", "one")
	up := answers(func(call outbound.Call) (*outbound.Response, error) {
		require.Nil(t, call.Credential)
		require.Equal(t, "eu.free.example", call.Request.URL.Host)
		return answer(call, 200, `{}`)
	})
	_, err := runner(up, "").Run(t.Context(), operation.Request{Operation: op, Tenant: "t1"})
	require.NoError(t, err)
}

type lost struct{ err error }

func (l lost) Connection(context.Context, outbound.Credential) (integration.Connection, error) {
	return integration.Connection{}, l.err
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	op := one(t, lookup)
	want := core.Errorf(core.NeedsAuthorization, "sign in first")
	r := operation.NewRunner(operation.Options{Connections: lost{want}, Clock: core.SystemClock{}})
	result, err := r.Run(t.Context(), operation.Request{Operation: op})
	require.NotNil(t, result)
	require.ErrorIs(t, err, want)
	require.Empty(t, failure(t, err).Step)

	result, err = r.Run(t.Context(), operation.Request{})
	require.NotNil(t, result)
	require.Equal(t, core.NotFound, core.KindOf(err))
}

func TestTimeIsOver(t *testing.T) {
	t.Parallel()
	op := one(t, strings.Replace(lookup, "method: GET", "method: POST", 1))
	hang := hanging{}
	result, err := runner(hang, base).Run(t.Context(), operation.Request{Operation: op, Timeout: time.Second})
	kind(t, err, core.Timeout, operation.CodeTimeout)
	require.ErrorContains(t, err, "did not end within 1s")
	require.True(t, failure(t, err).Wrote)
	require.Equal(t, []string{"find failed"}, states(result))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = runner(hang, base).Run(ctx, operation.Request{Operation: op})
	kind(t, err, core.Timeout, operation.CodeTimeout)
	require.False(t, failure(t, err).Wrote)
}

type hanging struct{}

func (hanging) Call(ctx context.Context, _ outbound.Call) (*outbound.Response, error) {
	<-ctx.Done()
	return nil, core.Wrap(core.Timeout, ctx.Err(), "no answer")
}

func TestAnswersTogetherAreBounded(t *testing.T) {
	t.Parallel()
	const file = `title: Much
steps:
  - id: all
    request: {method: GET, path: /list}
    pages: {items: "= []", next: /more, most: 50}
output: 1
`
	n := 0
	body := `{"x": "` + strings.Repeat("x", 2<<20-20) + `"}`
	_, err := play(t, file, nil, func(call outbound.Call) (*outbound.Response, error) {
		n++
		return answer(call, 200, body)
	})
	kind(t, err, core.ResultTooLarge, "")
	require.Equal(t, 5, n)
}

func TestErrorOfTheOutput(t *testing.T) {
	t.Parallel()
	_, err := play(t, "title: O\ninput: [{name: a, type: object}]\noutput: = input.a.b.c + 1\n", map[string]any{"a": map[string]any{"b": map[string]any{}}}, nil)
	kind(t, err, core.Invalid, "")
	require.ErrorContains(t, err, "the input does not suit the operation: acme/one.yaml:3:")
	require.Empty(t, failure(t, err).Step)
}
