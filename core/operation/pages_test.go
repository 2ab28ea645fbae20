package operation_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

func TestPages(t *testing.T) {
	t.Parallel()
	const file = `title: Pages
steps:
  - id: all
    request: {method: GET, path: /list, query: {size: 2}}
    pages: {items: "= body.items", next: "= body.next", most: 3}
output: = steps.all.items
`
	run := func(t *testing.T, file string, next func(n int, r *http.Request) string) ([]string, *operation.Result, error) {
		t.Helper()
		var seen []string
		result, err := play(t, file, nil, func(call outbound.Call) (*outbound.Response, error) {
			data := ""
			if call.Request.Body != nil {
				body, err := io.ReadAll(call.Request.Body)
				require.NoError(t, err)
				if len(body) > 0 {
					data = " " + string(body)
				}
			}
			seen = append(seen, call.Request.URL.RequestURI()+data)
			n := len(seen)
			return answer(call, 200, `{"items": [`+strconv.Itoa(n)+`], "next": `+next(n, call.Request)+`}`)
		})
		return seen, result, err
	}
	text := func(s string) func(int, *http.Request) string {
		return func(n int, _ *http.Request) string {
			if n == 1 {
				return strconv.Quote(s)
			}
			return `""`
		}
	}
	for _, c := range []struct{ name, next, second string }{
		{"path", "/api/list?page=2&q=a%26b", "/api/list?page=2&q=a%26b"},
		{"address", "https://t1.acme.example/v2/list?x=1", "/v2/list?x=1"},
		{"case of the host", "https://T1.ACME.example/v2", "/v2"},
		{"other host", "https://evil.example/x", ""},
		{"other scheme", "http://t1.acme.example/x", ""},
		{"other port", "https://t1.acme.example:444/x", ""},
		{"user", "https://a@t1.acme.example/x", ""},
		{"two slashes", "//evil.example/x", ""},
		{"backslash", "/\\\\evil.example", ""},
		{"relative", "list?page=2", ""},
		{"fragment", "/x#y", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			seen, result, err := run(t, file, text(c.next))
			if c.second == "" {
				kind(t, err, core.Mapping, operation.CodeMapping)
				require.Equal(t, operation.StepFailed, result.Steps[0].State)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{"/api/list?size=2", c.second}, seen)
			require.Equal(t, []any{1, 2}, result.Output)
		})
	}
	t.Run("at most", func(t *testing.T) {
		t.Parallel()
		_, result, err := run(t, file, func(int, *http.Request) string { return `"/more"` })
		require.NoError(t, err)
		require.Equal(t, []any{1, 2, 3}, result.Output)
	})
	t.Run("query", func(t *testing.T) {
		t.Parallel()
		seen, _, err := run(t, strings.Replace(file, `next: "= body.next"`, `next: {after: "= body.next"}`, 1),
			func(n int, _ *http.Request) string {
				if n == 2 {
					return "null"
				}
				return "7"
			})
		require.NoError(t, err)
		require.Equal(t, []string{"/api/list?size=2", "/api/list?after=7&size=2"}, seen)
	})
	t.Run("body", func(t *testing.T) {
		t.Parallel()
		post := strings.Replace(file, "{method: GET, path: /list, query: {size: 2}}", "{method: POST, path: /list, reads: true, body: {size: 2}}", 1)
		seen, _, err := run(t, strings.Replace(post, `next: "= body.next"`, `next: {after: "= body.next"}`, 1),
			func(n int, _ *http.Request) string { return map[int]string{1: "7", 2: "null"}[n] })
		require.NoError(t, err)
		require.Equal(t, []string{`/api/list {"size":2}`, `/api/list {"after":7,"size":2}`}, seen)
	})
}

func TestRules(t *testing.T) {
	t.Parallel()
	const file = `title: Rules
steps:
  - id: make
    request: {method: POST, path: /x, body: {}}
    on:
      - {when: "= body.state == \"BUSY\"", fail: {kind: unavailable, code: BUSY, message: "= \"busy: \" + body.why"}}
      - {kind: conflict, then: continue}
      - {status: [404, 410], then: stop}
      - {status: 403, then: fail, fail: {kind: not_configured}}
    extract: {id: "= body?.id"}
  - id: next
    when: = steps.make.ok
    request: {method: GET, path: /y}
output: {ok: "= steps.make.ok", id: "= steps.make.id", next: "= steps.next.ran"}
`
	for _, c := range []struct {
		name    string
		status  int
		body    string
		want    string // of the output
		kind    core.Kind
		message string
		wrote   bool
	}{
		{"good", 201, `{"id": 1}`, `{"ok":true,"id":1,"next":true}`, "", "", false},
		{"good but not", 200, `{"state": "BUSY", "why": "lunch"}`, "", core.Unavailable, "busy: lunch", true},
		{"conflict by status", 409, `{"id": 2}`, `{"ok":false,"id":2,"next":false}`, "", "", false},
		{"conflict by rule of the integration", 422, `{"code": "TWICE"}`, `{"ok":false,"next":false}`, "", "", false},
		{"stop", 410, `{}`, `{"ok":false,"next":false}`, "", "", false},
		{"fail without words", 403, `{"message": " No\n entry "}`, "", core.NotConfigured, "answered 403: No entry", false},
		{"no rule", 400, `{"error": {"text": "Field\u0000 X"}}`, "", core.Invalid, "https://t1.acme.example answered 400: Field X", false},
		{"rule that cannot be evaluated", 500, `<html>`, "", core.Uncertain, "answered 500", true},
		{"long words", 400, `{"message": "` + strings.Repeat("ä", 400) + `"}`, "", core.Invalid, strings.Repeat("ä", 148) + "...", false},
		{"words that are none", 400, `{"message": 5}`, "", core.Invalid, "answered 400", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			result, err := play(t, file, nil, always(c.status, c.body))
			if c.kind == "" {
				require.NoError(t, err)
				got, err := json.Marshal(result.Output)
				require.NoError(t, err)
				require.JSONEq(t, c.want, string(got))
				return
			}
			e := failure(t, err)
			require.Equal(t, c.kind, core.KindOf(err))
			require.ErrorContains(t, err, c.message)
			require.Equal(t, "make", e.Step)
			require.Equal(t, c.status, e.Upstream)
			require.Equal(t, c.wrote, e.Wrote)
			require.Equal(t, []string{"make failed"}, states(result))
		})
	}
}

// TestAnswersThatAreNoJSON: a proxy's page in the place of an answer that nobody
// needs takes nothing away from what was done.
func TestAnswersThatAreNoJSON(t *testing.T) {
	t.Parallel()
	const file = `title: x
steps:
  - id: make
    request: {method: POST, path: /x, body: {}}
  - id: look
    request: {method: GET, path: /y}
    on:
      - {kind: [uncertain, unavailable], then: continue}
output: {ok: "= steps.look.ok", status: "= steps.look.status"}
`
	result, err := play(t, file, nil, func(call outbound.Call) (*outbound.Response, error) {
		if call.Request.Method == http.MethodPost {
			return answer(call, 201, `{}`)
		}
		return answer(call, 200, `<html>`)
	})
	require.NoError(t, err)
	require.Equal(t, map[string]any{"ok": false, "status": 200}, result.Output)
	require.Equal(t, []string{"make ok", "look continued"}, states(result))
}
