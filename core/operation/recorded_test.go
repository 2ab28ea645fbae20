package operation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

const update = `title: Update
input: [{name: id, type: text, required: true}, {name: name, type: text}]
example: {id: "7"}
steps:
  - id: read
    request: {method: GET, path: "/people/{input.id}", query: {fields: [a, b]}}
  - id: write
    request: {method: PATCH, path: "/people/{input.id}", body: {name: "= input.name", was: "= steps.read.body.name"}, headers: {If-Match: "*"}}
output: {id: "= input.id", at: "= context.now", id2: "= context.id", base: "= base", tenant: "= context.tenant", card: "= context.card"}
`

// tests puts one test behind the words that all share.
func tests(rest string) string {
	return `tests:
  - name: one
    input: {id: "7", name: New}
    context: {card: {Contact: [{name: Phone}]}}
    exchanges:
` + rest
}

const (
	readIt  = "      - {request: {method: GET, path: /people/7, query: {fields: [a, b]}}, answer: {status: 200, body: {name: Old}}}\n"
	writeIt = "      - {request: {method: PATCH, path: /people/7, headers: {If-Match: \"*\"}, body: {name: New, was: Old}}, answer: {status: 204}}\n"
	gives   = `    result:
      id: "7"
      at: 2026-01-02T03:04:05.000Z
      id2: 00000000-0000-0000-0000-000000000000
      base: https://acme.acme.example/api
      tenant: example
      card: {Contact: [{name: Phone, label: Phone}]}
`
)

func TestRunTest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"passes", tests(readIt + writeIt + gives), nil},
		{"whole path", tests("      - {request: {method: GET, path: /api/people/7, query: {fields: [a, b]}}, answer: {status: 200, body: {name: Old}}}\n" + writeIt + gives), nil},
		{"other request", tests("      - {request: {method: HEAD, path: /people/8, query: {fields: a, x: y}, headers: {A: b}}, answer: {status: 200, body: {name: Old}}}\n" + writeIt + gives), []string{
			"exchange 1: method: want HEAD, got GET",
			"exchange 1: path: want /people/8, got /people/7",
			`exchange 1: query.fields: want "a", got ["a","b"]`,
			`exchange 1: query.x: want "y", got nothing`,
			`exchange 1: header A: want "b", got ""`,
		}},
		{"query not written down", tests("      - {request: {method: GET, path: /people/7}, answer: {status: 200, body: {name: Old}}}\n" + writeIt + gives), []string{
			`exchange 1: query.fields: want nothing, got ["a","b"]`,
		}},
		{"other body", tests(readIt + "      - {request: {method: PATCH, path: /people/7, body: {name: [New], was: Older, x: 1}}, answer: {status: 204}}\n" + gives), []string{
			`exchange 2: body.name: want ["New"], got "New"`,
			`exchange 2: body.was: want "Older", got "Old"`,
			`exchange 2: body.x: want 1, got nothing`,
		}},
		{"no body", tests(readIt + "      - {request: {method: PATCH, path: /people/7}, answer: {status: 204}}\n" + gives), []string{
			`exchange 2: body: want none, got {"name":"New","was":"Old"}`,
		}},
		{"call not recorded", tests(readIt + gives), []string{
			"exchange 2: PATCH /api/people/7: no such call is recorded",
			"the run failed: unavailable in step write: no further call is recorded",
		}},
		{"call not made", tests(readIt + writeIt + readIt + gives), []string{"exchange 3: GET /people/7: the call was not made"}},
		{"other result", tests(readIt + writeIt + "    result: [1, {a: b}]\n"), []string{
			`result: want [1,{"a":"b"}], got {"at":"2026-01-02T03:04:05.000Z","base":"https://acme.acme.example/api","card":{"Contact":[{"label":"Phone","name":"Phone"}]},"id":"7","id2":"00000000-0000-0000-0000-000000000000","tenant":"example"}`,
		}},
		{"refusal", tests("      - {request: {method: GET, path: /people/7, query: {fields: [a, b]}}, answer: {status: 422, body: {code: TWICE, message: Again}}}\n" +
			"    error: {kind: conflict, step: read, status: 422, message: \"422: Again\"}\n"), nil},
		{"other error", tests("      - {request: {method: GET, path: /people/7, query: {fields: [a, b]}}, answer: {status: 429, headers: {Retry-After: \"3\"}, text: busy}}\n" +
			"    error: {kind: conflict, code: A, step: write, status: 422, message: Again}\n"), []string{
			"error.kind: want conflict, got throttled",
			"error.code: want A, got UPSTREAM_THROTTLED",
			"error.step: want write, got read",
			"error.status: want 422, got 429",
			"error.message: want Again, got https://acme.acme.example answered 429",
			"the error was throttled UPSTREAM_THROTTLED in step read: https://acme.acme.example answered 429",
		}},
		{"timeout", tests(readIt + "      - {request: {method: PATCH, path: /people/7, body: {name: New, was: Old}}, fault: timeout}\n    error: {kind: timeout, step: write}\n"), nil},
		{"refused", tests("      - {request: {method: GET, path: /people/7, query: {fields: [a, b]}}, fault: refused}\n    error: {kind: unavailable}\n"), nil},
		{"HTML", tests("      - {request: {method: GET, path: /people/7, query: {fields: [a, b]}}, answer: {status: 200, text: \"<html>\"}}\n" +
			"    error: {kind: uncertain, code: UPSTREAM_BROKEN_ANSWER, status: 200}\n"), nil},
		{"error that does not come", tests(readIt + writeIt + "    error: {kind: timeout}\n"), []string{
			`want an error, got the result {"at":"2026-01-02T03:04:05.000Z","base":"https://acme.acme.example/api","card":{"Contact":[{"label":"Phone","name":"Phone"}]},"id":"7","id2":"00000000-0000-0000-0000-000000000000","tenant":"example"}`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			catalogue, _, findings := load(t, map[string]string{"update.yaml": update, "update_test.yaml": c.text})
			require.Empty(t, findings)
			op, _ := catalogue.Operation("acme", "update")
			all := catalogue.Tests(op)
			require.Len(t, all, 1)
			for range 2 { // a test can be run again
				result, differences, _ := catalogue.RunTest(t.Context(), op, all[0])
				require.NotNil(t, result)
				require.Equal(t, c.want, differences)
			}
		})
	}
}

func TestPlay(t *testing.T) {
	t.Parallel()
	catalogue, _, _ := load(t, map[string]string{"update.yaml": update, "update_test.yaml": tests(readIt + writeIt + gives)})
	op, _ := catalogue.Operation("acme", "update")
	test := catalogue.Tests(op)[0]
	require.Equal(t, 2, test.Line)
	result, differences, err := catalogue.Play(t.Context(), op, test, test.Input, false)
	require.NoError(t, err)
	require.Empty(t, differences)
	require.Equal(t, test.Result, result.Output)
	require.Equal(t, "GET https://acme.acme.example/api/people/7?fields=a&fields=b", result.Steps[0].Request.Line)
	require.JSONEq(t, `{"name":"New","was":"Old"}`, result.Steps[1].Request.Body)
	require.Equal(t, "200 OK", result.Steps[0].Answer.Line)
	require.JSONEq(t, `{"name":"Old"}`, result.Steps[0].Answer.Body)

	result, differences, err = catalogue.Play(t.Context(), op, test, map[string]any{"id": "8"}, false)
	require.NoError(t, err)
	require.NotNil(t, result.Output)
	require.Contains(t, differences, "exchange 1: path: want /people/7, got /people/8")

	_, differences, err = catalogue.Play(t.Context(), op, test, nil, false)
	require.Equal(t, core.Invalid, core.KindOf(err))
	require.Equal(t, []string{"exchange 1: GET /people/7: the call was not made"}, differences)
}

// TestPlayReckonsWithTheTimeOfTheTest: and not with the machine's.
func TestPlayReckonsWithTheTimeOfTheTest(t *testing.T) {
	t.Parallel()
	text := tests("      - {request: {method: GET, path: /people/7, query: {fields: [a, b]}}, " +
		"answer: {status: 429, headers: {Retry-After: \"Fri, 02 Jan 2026 03:04:12 GMT\"}, text: busy}}\n    error: {kind: throttled}\n")
	catalogue, _, findings := load(t, map[string]string{"update.yaml": update, "update_test.yaml": text})
	require.Empty(t, findings)
	op, _ := catalogue.Operation("acme", "update")
	test := catalogue.Tests(op)[0]
	_, _, err := catalogue.Play(t.Context(), op, test, test.Input, false)
	e, ok := errors.AsType[*core.Error](err)
	require.True(t, ok)
	require.Equal(t, 7*time.Second, e.RetryAfter)
}
