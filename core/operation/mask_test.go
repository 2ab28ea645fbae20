package operation_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"tandem/core/outbound"
)

const private = `title: Private
input:
  - {name: phone, type: text, redact: true}
  - {name: note, type: text, redact: true}
  - {name: people, type: list, redact: true}
  - {name: fields, type: object}
  - {name: name, type: text}
redact: [Email, notetext]
steps:
  - id: find
    request:
      method: POST
      path: /find/{input.phone ?? "x"}
      query: {q: "= input.phone", email: a@b.example, name: "= input.name"}
      headers: {X-Api-Key: "secret-key", X-Note: "= input.note"}
      body: {note: "= input.note", deep: [{EMAIL: x, text: "= \"call \" + (input.phone ?? \"\")"}], access_token: t, n: 1}
output: = steps.find.body
`

func TestMask(t *testing.T) {
	t.Parallel()
	op := one(t, private)
	m := op.Mask(map[string]any{
		"phone": "+41 44 555 12 34", "note": `He said "ho" & left`, "name": "Ann",
		"people": []any{map[string]any{"x": "Fritz", "n": float64(987654)}, "abc"},
		"fields": map[string]any{"email": "a@b.example", "Name": "Visible"},
	})
	for _, c := range []struct{ in, want string }{
		{"nothing here 1234567", "nothing here 1234567"},
		{"call +41 44 555 12 34 now", "call [redacted] now"},
		{"+41445551234", "[redacted]"},
		{"0041445551234.", "[redacted]."},
		{"(044) 555-12-34", "[redacted]"},
		{"q=%2B41+44+555+12+34&x=1", "q=[redacted]&x=1"},
		{"q=%2B41%2044%20555%2012%2034&x=1", "q=[redacted]&x=1"},
		{`FIND {\+41 44 555 12 34} IN PHONE FIELDS`, `FIND {\[redacted]} IN PHONE FIELDS`},
		{"LIKE '%044%555%12%34%'", "LIKE '[redacted]%'"},
		{"id 5551234", "id [redacted]"},
		{"2026-01-02T03:04:05 415 555 0100", "2026-01-02T03:04:05 415 555 0100"},
		{`he SAID "ho" & left.`, `[redacted].`},
		{`He said \"ho\" \u0026 left`, `[redacted]`},
		{"He+said+%22ho%22+%26+left", "[redacted]"},
		{"He%20said%20%22ho%22%20&%20left", "[redacted]"},
		{"/x/He%20said%20%22ho%22%20%26%20left/y", "/x/[redacted]/y"},
		{"Mr fritz, 987654, abc", "Mr [redacted], [redacted], abc"},
		{"a@b.example Visible Ann", "[redacted] Visible Ann"},
		{"\xff\xfeFritz", "\uFFFD[redacted]"},
	} {
		require.Equal(t, c.want, m.Text(c.in), c.in)
	}
	require.JSONEq(t, `{
		"phone": "[redacted]", "PHONE": "[redacted]", "list": [{"email": "[redacted]", "NoteText": "[redacted]", "a": 1.5, "b": null, "c": true}],
		"accessToken": "[redacted]", "api_key": "[redacted]", "Client-Secret": "[redacted]", "password": "[redacted]",
		"text": "from [redacted]", "n": "[redacted]", "empty": null, "email": null, "[redacted]": 1
	}`, m.JSON(map[string]any{
		"phone": "x", "PHONE": "x",
		"list":        []any{map[string]any{"email": "x", "NoteText": map[string]any{"a": 1}, "a": 1.5, "b": nil, "c": true}},
		"accessToken": "x", "api_key": 1, "Client-Secret": "x", "password": []any{"x"},
		"text": "from 0445551234", "n": 41445551234, "empty": nil, "email": nil, "Fritz": 1,
	}))
	require.JSONEq(t, `{"a":1,"b":[]}`, m.JSON(map[string]any{"b": []any{}, "a": 1}))

	long := m.JSON([]any{strings.Repeat("ä", 5000), strings.Repeat("b", 10)})
	require.Len(t, long, 8<<10-1)
	require.True(t, strings.HasSuffix(long, "..."))
	require.True(t, utf8.ValidString(long))

	// What is cut off in the middle of a value shows nothing of it.
	end := strings.Repeat("-", 64<<10-5) + "Fritz"
	require.NotContains(t, m.Text(end+" and more"), "Fri")
	require.NotContains(t, m.Text("x"+end+" and more"), "Fri")
	deep := any("x")
	for range 100 {
		deep = []any{deep}
	}
	require.True(t, json.Valid([]byte(m.JSON(deep))))

	none := op.Mask(nil)
	require.Equal(t, "+41 44 555 12 34", none.Text("+41 44 555 12 34"))
	require.JSONEq(t, `{"Email":"[redacted]"}`, none.JSON(map[string]any{"Email": "x"}))
}

// TestStepsAreMasked looks for private values in all that a run leaves behind.
func TestStepsAreMasked(t *testing.T) {
	t.Parallel()
	input := map[string]any{"phone": "+41445551234", "note": "Very private", "name": "Ann"}
	for _, c := range []struct {
		status int
		body   string
	}{
		{200, `{"Email": "secret@x.example", "message": "for +41 44 555 12 34 Very Private", "session_token": "s3cr3t"}`},
		{400, `{"message": "no 0445551234: Very private"}`},
		{200, `<html>044 555 12 34 very private s3cr3t`},
	} {
		result, err := play(t, private, input, func(call outbound.Call) (*outbound.Response, error) {
			require.Contains(t, call.Request.URL.String(), "41445551234", "the call itself is not masked")
			r, err := answer(call, c.status, c.body)
			r.Header = http.Header{"Set-Cookie": {"s3cr3t"}, "X-Session-Token": {"s3cr3t"}, "X-Echo": {"+41445551234"}, "X-Plain": {"plain"}}
			return r, err
		})
		require.Equal(t, err != nil, c.status != 200 || strings.HasPrefix(c.body, "<"))
		s := result.Steps[0]
		require.Equal(t, "POST /api/find/[redacted]", s.Call)
		require.Equal(t, "POST https://t1.acme.example/api/find/[redacted]?email=[redacted]&name=Ann&q=[redacted]", s.Request.Line)
		require.Equal(t, "plain", s.Answer.Headers["X-Plain"])
		require.Equal(t, "[redacted]", s.Request.Headers["X-Api-Key"])
		require.NotContains(t, s.Answer.Headers, "Set-Cookie")
		all := s.Call + s.Error + s.Request.Line + s.Request.Body + s.Answer.Line + s.Answer.Body
		for _, h := range []map[string]string{s.Request.Headers, s.Answer.Headers} {
			for name, value := range h {
				all += name + value
			}
		}
		for _, secret := range []string{"5551234", "555 12 34", "rivate", "secret@", "secret-key", "\"t\""} {
			require.NotContains(t, all, secret)
		}
		if strings.HasPrefix(c.body, "{") {
			require.NotContains(t, all, "s3cr3t")
		}
	}
}
