package operation_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// good is an Authorizer whose credential is what the test servers want.
type good struct{}

func (good) Authorize(_ context.Context, _ outbound.Credential, req *http.Request) (int64, error) {
	req.Header.Set("Authorization", "Bearer sandbox")
	return 1, nil
}

func (good) Rejected(context.Context, outbound.Credential, int64) error {
	return &core.Error{Kind: core.NeedsAuthorization, Code: outbound.CodeAuthorizationRequired, Message: "sign in again"}
}

// TestFaults makes every fault of an upstream through the real client.
func TestFaults(t *testing.T) {
	t.Parallel()
	const file = `title: Fault
input: [{name: w, type: boolean}]
steps:
  - id: get
    when: = !(input.w ?? false)
    request: {method: GET, path: /x}
    extract: {name: "= body.name"}
  - id: post
    when: = input.w ?? false
    request: {method: POST, path: /x, body: {a: 1}}
output: {name: "= steps.get.name"}
`
	reply := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 30 {
		_, _ = z.Write(bytes.Repeat([]byte{' '}, 1<<20))
	}
	require.NoError(t, z.Close())
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		kind    core.Kind // of a GET
		code    string
		status  int // of the upstream
		wrote   bool
		message string
	}{
		{"hang", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else nobody sees that the caller has gone
			<-r.Context().Done()
		}, core.Timeout, operation.CodeTimeout, 0, true, "did not end within"},
		{"reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, core.Uncertain, "", 0, true, "did not give a whole answer"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		}, core.Uncertain, "", 0, true, "did not give a whole answer"},
		{"500", reply(500, `{"message": "Oops"}`), core.Uncertain, outbound.CodeUpstreamFailed, 500, true, "answered 500: Oops"},
		{"503", reply(503, `<html>`), core.Uncertain, outbound.CodeUpstreamFailed, 503, true, "answered 503"},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "70")
			w.WriteHeader(429)
		}, core.Throttled, outbound.CodeUpstreamThrottled, 429, false, "answered 429"},
		{"401", reply(401, ``), core.NeedsAuthorization, outbound.CodeAuthorizationRequired, 401, false, "sign in again"},
		{"403", reply(403, `{"message": "Not you"}`), core.Forbidden, outbound.CodeUpstreamForbidden, 403, false, "Not you"},
		{"302", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		}, core.Uncertain, outbound.CodeRedirected, 302, false, "answered 302"},
		{"broken", reply(200, `{"name": `), core.Uncertain, operation.CodeBrokenAnswer, 200, true, "something that is no JSON"},
		{"two documents", reply(200, `{} {}`), core.Uncertain, operation.CodeBrokenAnswer, 200, true, "something that is no JSON"},
		{"HTML", reply(200, `<html>`), core.Uncertain, operation.CodeBrokenAnswer, 200, true, "something that is no JSON"},
		{"not UTF-8", reply(200, "{\"name\": \"\xff\"}"), core.Uncertain, operation.CodeBrokenAnswer, 200, true, "something that is no JSON"},
		{"11 MB", reply(200, `{"name": "`+strings.Repeat("x", 11<<20)+`"}`), core.ResultTooLarge, "", 0, true, "more than 10 MiB"},
		{"bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, core.ResultTooLarge, "", 0, true, "more than 10 MiB"},
		{"wrong shape", reply(200, `[1, 2]`), core.Mapping, operation.CodeMapping, 200, false, "acme/one.yaml:7:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.handler)
			t.Cleanup(server.Close)
			client, err := outbound.New(outbound.Options{
				AllowHosts: []string{strings.TrimPrefix(server.URL, "http://")}, Authorizer: good{}, Chance: func() float64 { return 0 },
			})
			require.NoError(t, err)
			t.Cleanup(client.Close)
			op := one(t, file)
			r := runner(client, server.URL)
			timeout := time.Minute
			if c.name == "hang" {
				timeout = 2 * time.Second
			}
			for _, write := range []bool{false, true} {
				if write && c.name == "wrong shape" {
					continue // nothing is taken out of that answer
				}
				result, err := r.Run(t.Context(), operation.Request{
					Tenant: "t1", Operation: op, Input: map[string]any{"w": write}, Timeout: timeout, Detail: true,
				})
				kind(t, err, c.kind, c.code)
				require.ErrorContains(t, err, c.message)
				e := failure(t, err)
				require.Equal(t, c.status, e.Upstream)
				require.Equal(t, write && c.wrote, e.Wrote)
				require.Equal(t, map[bool]string{false: "get", true: "post"}[write], e.Step)
				require.Nil(t, result.Output)
				last := result.Steps[len(result.Steps)-1]
				require.Equal(t, operation.StepFailed, last.State)
				require.NotEmpty(t, last.Error)
				require.NotContains(t, fmt.Sprint(result.Steps), "Bearer")
			}
		})
	}
}

// TestRepeats looks at which calls the client may repeat.
func TestRepeats(t *testing.T) {
	t.Parallel()
	const file = `title: Repeat
steps:
  - id: post
    request: {method: POST, path: /x, body: {a: 1}}
output: = steps.post.body
`
	for _, c := range []struct {
		name, old, put string
		calls          int32
	}{
		{"plain", "", "", 1},
		{"reads", "path: /x,", "path: /x, reads: true,", 2},
		{"key", "\noutput", "\n    idempotency_key: Idempotency-Key\noutput", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			keys := make(chan string, 9)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				keys <- r.Header.Get("Idempotency-Key")
				if calls.Add(1) == 1 {
					w.WriteHeader(500)
					return
				}
				_, _ = w.Write([]byte(`{"ok": true}`))
			}))
			t.Cleanup(server.Close)
			client, err := outbound.New(outbound.Options{
				AllowHosts: []string{strings.TrimPrefix(server.URL, "http://")}, Authorizer: good{}, Chance: func() float64 { return 0 },
			})
			require.NoError(t, err)
			t.Cleanup(client.Close)
			op := one(t, strings.Replace(file, c.old, c.put, 1))
			_, err = runner(client, server.URL).Run(t.Context(), operation.Request{Tenant: "t1", Operation: op, ID: "a"})
			require.Equal(t, c.calls == 1, err != nil)
			require.Equal(t, c.calls, calls.Load())
			first := <-keys
			require.Equal(t, c.name == "key", first != "")
			if c.calls == 2 {
				require.Equal(t, first, <-keys)
			}
		})
	}
}
