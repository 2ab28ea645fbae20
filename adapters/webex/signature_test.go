package webex

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// sign is what Webex does. The vectors below were made with openssl.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

const (
	sampleSecret    = "my-32-plus-character-long-secret"
	sampleBody      = `{"id":"e1"}`
	sampleSignature = "7b3537f110b4aa487f03d7144d07964e1763f0ad750d4e279c87c72dc573fd61"
)

func TestSignature(t *testing.T) {
	t.Parallel()
	const long = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, c := range map[string]struct {
		body    string
		headers []string
		secrets []string
		right   bool
	}{
		"right":                {sampleBody, []string{sampleSignature}, []string{sampleSecret}, true},
		"empty body":           {"", []string{"71bf5fbebbc7fefef1da0280c37efce1f9695fc8770cc233d1ff63f506275025"}, []string{sampleSecret}, true},
		"more than ASCII":      {`{"id":"e1","text":"ü ✓"}`, []string{"4956162d70db6a39959362a1038f60faa5c55f9eeae0669731b37a8d99fb3a8a"}, []string{long}, true},
		"the second secret":    {sampleBody, []string{sampleSignature}, []string{long, sampleSecret}, true},
		"the first of two":     {sampleBody, []string{sampleSignature}, []string{sampleSecret, long}, true},
		"another body":         {sampleBody + " ", []string{sampleSignature}, []string{sampleSecret}, false},
		"another secret":       {sampleBody, []string{sampleSignature}, []string{long}, false},
		"no header":            {sampleBody, nil, []string{sampleSecret}, false},
		"empty header":         {sampleBody, []string{""}, []string{sampleSecret}, false},
		"two headers":          {sampleBody, []string{sampleSignature, sampleSignature}, []string{sampleSecret}, false},
		"a list":               {sampleBody, []string{sampleSignature + "," + sampleSignature}, []string{sampleSecret}, false},
		"upper case":           {sampleBody, []string{strings.ToUpper(sampleSignature)}, []string{sampleSecret}, false},
		"too short":            {sampleBody, []string{sampleSignature[:62]}, []string{sampleSecret}, false},
		"too long":             {sampleBody, []string{sampleSignature + "00"}, []string{sampleSecret}, false},
		"no digits":            {sampleBody, []string{strings.Repeat("z", 64)}, []string{sampleSecret}, false},
		"with a scheme":        {sampleBody, []string{"sha256=" + sampleSignature[7:]}, []string{sampleSecret}, false},
		"no secret":            {sampleBody, []string{sampleSignature}, nil, false},
		"empty secret":         {sampleBody, []string{sign("", []byte(sampleBody))}, []string{""}, false},
		"empty beside another": {sampleBody, []string{sign("", []byte(sampleBody))}, []string{"", sampleSecret}, false},
	} {
		var secrets [][]byte
		for _, s := range c.secrets {
			secrets = append(secrets, []byte(s))
		}
		h := http.Header{}
		for _, v := range c.headers {
			h.Add(signatureHeader, v)
		}
		require.Equal(t, c.right, verify(h, []byte(c.body), secrets), name)
	}
}

func TestEventWindow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	text := func(ms int64) []string { return []string{strconv.FormatInt(ms, 10)} }
	for name, c := range map[string]struct {
		headers []string
		stamp   int64
		stamped bool
		right   bool
	}{
		"now":                    {text(at(0)), at(0), true, true},
		"early by the window":    {text(at(-300 * time.Second)), at(-300 * time.Second), true, true},
		"late by the window":     {text(at(300 * time.Second)), at(300 * time.Second), true, true},
		"too early":              {text(at(-300*time.Second - time.Millisecond)), at(-300*time.Second - time.Millisecond), true, false},
		"too late":               {text(at(300*time.Second + time.Millisecond)), at(300*time.Second + time.Millisecond), true, false},
		"before all time":        {text(math.MinInt64), math.MinInt64, true, false},
		"after all time":         {text(math.MaxInt64), math.MaxInt64, true, false},
		"version 1":              {nil, 0, false, true},
		"in the body only":       {nil, at(0), true, false},
		"in the header only":     {text(at(0)), 0, false, false},
		"header that differs":    {text(at(time.Millisecond)), at(0), true, false},
		"another spelling":       {[]string{"+" + text(at(0))[0]}, at(0), true, false},
		"twice":                  {append(text(at(0)), text(at(0))...), at(0), true, false},
		"zero, and none in body": {[]string{"0"}, 0, false, false},
	} {
		h := http.Header{}
		for _, v := range c.headers {
			h.Add(timestampHeader, v)
		}
		err := fresh(h, c.stamp, c.stamped, now)
		if c.right {
			require.NoError(t, err, name)
			continue
		}
		require.Equal(t, core.Unauthenticated, core.KindOf(err), name)
	}
}

// FuzzSignature: nothing but the right code is taken.
func FuzzSignature(f *testing.F) {
	f.Add([]byte(sampleBody), sampleSecret, sampleSignature, "")
	f.Add([]byte(sampleBody), "", sampleSignature, sampleSecret)
	f.Add([]byte{0xff, 0}, "a", strings.ToUpper(sampleSignature), "b")
	f.Fuzz(func(t *testing.T, body []byte, secret, given, old string) {
		h := http.Header{}
		h.Add(signatureHeader, given)
		want := secret != "" && given == sign(secret, body) || old != "" && given == sign(old, body)
		if verify(h, body, [][]byte{[]byte(secret), []byte(old)}) != want {
			t.Fatalf("%q", given)
		}
		if secret == "" {
			return
		}
		h.Set(signatureHeader, sign(secret, body))
		if !verify(h, body, [][]byte{[]byte(old), []byte(secret)}) {
			t.Fatal("the right code is refused")
		}
		h.Add(signatureHeader, given)
		if verify(h, body, [][]byte{[]byte(secret)}) {
			t.Fatal("two headers are taken")
		}
	})
}
