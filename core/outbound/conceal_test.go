package outbound

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// spellings are the ways in which upstreams write what they were sent.
var spellings = map[string]func(string) string{
	"as it is":       func(s string) string { return s },
	"JSON":           quoted,
	"JSON in JSON":   func(s string) string { return quoted(quoted(s)) },
	"three deep":     func(s string) string { return quoted(quoted(quoted(s))) },
	"PHP":            php,
	"Gson":           gson,
	"PHP in Gson":    func(s string) string { return gson(php(s)) },
	"ASCII":          ascii,
	"ASCII in JSON":  func(s string) string { return quoted(ascii(s)) },
	"query":          url.QueryEscape,
	"query in query": func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"path in PHP":    func(s string) string { return php(url.PathEscape(s)) },
	"HTML":           html.EscapeString,
	"HTML in JSON":   func(s string) string { return quoted(html.EscapeString(s)) },
	"named HTML":     strings.NewReplacer("&", "&amp;", `"`, "&quot;", "/", "&sol;", "=", "&#x3d;").Replace,
}

func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text[1 : len(text)-1])
}

func php(s string) string { return strings.ReplaceAll(quoted(s), "/", `\/`) }

func gson(s string) string {
	return strings.NewReplacer("=", `\u003d`, "'", `\u0027`, "/", `\u002F`).Replace(quoted(s))
}

// ascii is JSON in which letters beyond ASCII are numbers, as Python writes it.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range quoted(s) {
		if r < 0x80 {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// answer is an answer of the CRM with headers.
func answer(body string) *Response {
	return &Response{Header: http.Header{"X-Echo": {"a", body}}, Body: []byte(body)}
}

func TestSecretsHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{
		`sk/live/51H+abc==`, `a"quoted"key`, `tom & jerry's <key>`, `back\slash\u0041`, `100%41%zz&amp;`, `schlüssel-😀-1`, `abcdefgh`, `pass phrase`,
	} {
		for name, write := range spellings {
			r := answer(`{"a": "key: ` + write(secret) + `\n", "b": "\\` + write(secret) + `\"", "c": 1}`)
			r.conceal(newSecrets([]string{secret, "another one"}))
			want := `{"a": "key: [redacted]\n", "b": "[redacted]\"", "c": 1}`
			require.Equal(t, want, string(r.Body), "%s: %s", name, secret)
			require.Equal(t, []string{"a", want}, r.Header["X-Echo"])
		}
	}
}

// TestAnswersWithoutSecretsStayAsTheyAre: also those with all kinds of escapes,
// and with texts as short as a poor secret is.
func TestAnswersWithoutSecretsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", `{"name": "Jos\u00e9 \"Pepe\" \ud83d", "url": "https:\/\/a.example\/%20?a=1&b=2", "rate": "100%", "html": "&lt;b&gt; &nope; &"}`,
		strings.Repeat(`\`, 100), "%", "%4", "&", `\u`, `\u12`, `abcde 12345`, "\xff\xfe%ff&#0;",
	} {
		r := answer(body)
		r.conceal(newSecrets([]string{"", "a", "abcde", "12345", "a secret", "Pepe\\"}))
		require.Equal(t, body, string(r.Body))
	}
	r := answer(strings.Repeat("x", maxMended) + "a secret")
	r.conceal(newSecrets([]string{"a secret"}))
	require.Equal(t, concealed, string(r.Body))
}

// TestConcealingKeepsDocumentsWhole: what was a document is one afterwards, and
// what is around a secret is what it was.
func TestConcealingKeepsDocumentsWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[a-c"/\\%&;=u0-9 é]{8,14}`).Draw(t, "secret")
		around := rapid.StringMatching(`[a-c"/\\%&;=u0-9 é]{0,8}`)
		before, after := around.Draw(t, "before"), around.Draw(t, "after")
		depth := rapid.IntRange(0, 3).Draw(t, "depth")
		text := before + " " + secret + " " + after
		for range depth {
			text = quoted(text)
		}
		document, err := json.Marshal(map[string]string{"text": text, "more": "yes"})
		require.NoError(t, err)
		r := answer(string(document))
		all := newSecrets([]string{secret})
		r.conceal(all)
		var got map[string]string
		require.NoError(t, json.Unmarshal(r.Body, &got), "%s", r.Body)
		require.Equal(t, "yes", got["more"])
		if len(all) > 0 {
			digits := strings.Trim(all[0], "0123456789") == ""
			require.NotEqual(t, digits, strings.Contains(got["text"], concealed))
			require.NotContains(t, got["text"], secret)
		}
	})
}

// A secret of digits may be found in a number.
func TestSecretsOfDigits(t *testing.T) {
	t.Parallel()
	r := answer(`{"id": 12345678, "text": "PIN 12345678!", "n": 1.512345678e9}`)
	r.conceal(newSecrets([]string{"12345678"}))
	require.JSONEq(t, `{"id": 99999999, "text": "PIN 99999999!", "n": 1.599999999e9}`, string(r.Body))
}

func BenchmarkConcealNothing(b *testing.B) {
	body := `{"items":[` + strings.Repeat(`{"id":1,"name":"Jos\u00e9 \"Pepe\"","url":"https:\/\/crm.example\/a%20b?c=1&d=2"},`, 30) + `{}]}`
	all := newSecrets([]string{"sk/live/51H+abc==", "Token token=sk/live/51H+abc=="})
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		answer(body).conceal(all)
	}
}
