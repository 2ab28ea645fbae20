package observe

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHandlerConforms(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, _, err := NewLogger(&b, "")
	require.NoError(t, err)
	require.NoError(t, slogtest.TestHandler(log.Handler(), func() []map[string]any {
		var all []map[string]any
		for line := range bytes.Lines(b.Bytes()) {
			var m map[string]any
			require.NoError(t, json.Unmarshal(line, &m))
			all = append(all, m)
		}
		return all
	}))
}

func TestLevels(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, level, err := NewLogger(&b, "warn")
	require.NoError(t, err)
	log.Info("no")
	require.Empty(t, b.String())
	level.Set(slog.LevelDebug)
	log.Debug("yes")
	require.Contains(t, b.String(), "yes")
	_, _, err = NewLogger(&b, "loud")
	require.Error(t, err)
}

// secretValuer, secretStringer and secretStruct hide a marker in each way that
// slog looks for a value.
type secretValuer struct{ s string }

func (v secretValuer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("password", v.s), slog.String("text", "sig="+v.s))
}

type secretStringer struct{ s string }

func (v secretStringer) String() string { return "https://a/b?x=" + v.s }

type secretStruct struct {
	AccessToken string `json:"access_token"`
	Note        string
	Deep        []map[string]string
}

func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	var markers []string
	mark := func() string {
		m := fmt.Sprintf("CANARY%04dzQ7", len(markers))
		markers = append(markers, m)
		return m
	}
	jwt := func() string {
		enc := base64.RawURLEncoding.EncodeToString
		m := mark()
		return enc([]byte(`{"alg":"RS256"}`)) + "." + enc([]byte(`{"sub":"x"}`)) + "." + m
	}
	var b bytes.Buffer
	log, _, err := NewLogger(&b, "debug")
	require.NoError(t, err)
	for _, key := range []string{
		"token", "accessToken", "refresh_token", "client_secret", "Authorization", "password", "apiKey", "X-Api-Key",
		"master_key", "key", "Cookie", "set-cookie", "sig", "x_sig", "callbackUrl", "code_verifier", "assertion", "credentials",
	} {
		log.Info("m", key, mark())
		log.Info("m", slog.Group(key, "a", mark(), slog.Group("b", "c", mark())))
		log.WithGroup(key).With("a", mark()).Info("m", "b", 5, "c", mark())
		log.Info("m", key, []byte(mark()), slog.Any(key, map[string]string{"a": mark()}))
		log.Info("m", "map", map[string]any{key: mark(), "list": []any{map[string]string{key: mark()}}})
	}
	texts := []string{
		"post https://prod.logic.azure.com:443/workflows/1/triggers?api-version=1&sp=x&sig=" + mark(),
		"sig=" + mark() + "&x=1", "SIG=" + mark(), "sig%3D" + mark(),
		"key tdm_" + mark() + strings.Repeat("a", 30),
		"Authorization: Bearer " + mark(), "authorization: Custom " + mark() + " " + mark(), "got bearer  " + mark(), "Basic " + mark() + "==",
		"token " + jwt() + " refused", jwt(),
		"postgres://tandem:" + mark() + "@db:5432/tandem", "postgres://tandem:p/" + mark() + "@db:5432/tandem", "https://" + mark() + "@host/x",
		"https://host/p?" + mark(), "https://host/p#" + mark(), "GET /v1/x?code=" + mark(), "host=db password=" + mark() + " user=x",
		`password="` + mark() + ` ` + mark() + `"`,
		`oauth2: cannot fetch token: 400 Response: {"access_token":"` + mark() + `","refresh_token" : "` + mark() + `","x":1}`,
		fmt.Sprintf("%q", `{"client_secret":"`+mark()+`"}`),
		"client_secret=" + mark() + "&refresh_token=" + mark() + "&code=" + mark() + "&code_verifier=" + mark(),
		"Cookie: a=" + mark() + "; b=" + mark(), "X-Api-Key: " + mark(),
	}
	for _, text := range texts {
		log.Info(text)
		log.With("text", text).Info("m")
		log.Info("m", "err", fmt.Errorf("outer: %w", errors.New(text)))
		log.Info("m", "any", any(text), "list", []string{text}, "bytes", []byte(text))
		log.Info("m", slog.Group("g", "text", text))
	}
	address, err := url.Parse("https://u:" + mark() + "@host/p?q=" + mark())
	require.NoError(t, err)
	log.Info("m", "url", address, "error", &url.Error{Op: "Post", URL: "https://h/p?" + mark(), Err: errors.New("x")})
	log.Info("m", "v", secretValuer{mark()}, "s", secretStringer{mark()})
	log.Info("m", "struct", secretStruct{mark(), "sig=" + mark(), []map[string]string{{"password": mark()}}})
	log.Info("m", "header", http.Header{"Authorization": {"x " + mark()}, "X-Api-Key": {mark()}})
	log.Info("m", "func", struct{ F func() }{}, "nil", nil)
	require.Greater(t, len(markers), 150)
	for _, m := range markers {
		if strings.Contains(b.String(), m) { // require would print the whole log
			t.Error(m)
		}
	}
	require.Contains(t, b.String(), "https://prod.logic.azure.com:443/workflows/1/triggers?[redacted]")
	require.Contains(t, b.String(), "postgres://[redacted]@db:5432/tandem")
}

func TestRedactLeavesTheRest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "task created", "read 5 rows: ok", "exit code=3", "https://host:8080/a/b", "https://[::1]:80/x", "mail to admin@contoso.example",
		"why? because", "a token: expired", "11111111-2222-3333-4444-555555555555", "3 = 3 & 4", "unknown key: id 7",
	} {
		require.Equal(t, text, Redact(text))
	}
}

type bad struct{}

func (*bad) Error() string { panic("no") }

func TestValuesAreHarmless(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, _, err := NewLogger(&b, "")
	require.NoError(t, err)
	zone := time.FixedZone("x", 3600)
	log.Info("a\r\n{\"level\":\"ERROR\"}\x1b[31m", "text", "b\r\nc\x1b[0m", "at", time.Date(2026, 3, 1, 1, 0, 0, 0, zone),
		"long", strings.Repeat("é", 1<<20), "bad", (*bad)(nil), "any", map[string]string{"x": strings.Repeat("y", 1<<20)})
	require.Equal(t, 1, bytes.Count(b.Bytes(), []byte("\n")))
	require.NotContains(t, b.String(), "\x1b")
	require.NotContains(t, b.String(), "\r")
	require.Less(t, b.Len(), 40<<10)
	require.Contains(t, b.String(), `"at":"2026-03-01T00:00:00Z"`)
	require.Contains(t, b.String(), "bytes cut")
	require.Contains(t, b.String(), "!PANIC")
	require.True(t, json.Valid(b.Bytes()))
	var m map[string]any
	require.NoError(t, json.Unmarshal(b.Bytes(), &m))
	require.Regexp(t, `Z$`, m["time"])
	require.LessOrEqual(t, len(m["long"].(string)), maxValue+50)
}

func FuzzRedact(f *testing.F) {
	f.Add("https://u:p@h/x?sig=y", "zz")
	f.Fuzz(func(t *testing.T, text, secret string) {
		_ = Redact(text)
		secret = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
				return r
			}
			return -1
		}, secret)
		if len(secret) > 100 {
			return
		}
		secret = "CANARY" + secret
		if strings.Contains(strings.ToUpper(text), "CANARY") || len(text) > 4000 {
			return
		}
		require.NotContains(t, Redact(text+" sig="+secret+" "), secret)
		require.NotContains(t, Redact("tdm_"+secret+" "+text), secret)
	})
}

func BenchmarkLog(b *testing.B) {
	log, _, err := NewLogger(discard{}, "")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(context.Background(), slog.LevelInfo, "task created", slog.String("id", "018f"), slog.String("error", "post https://h/x?sig=1: refused"))
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
