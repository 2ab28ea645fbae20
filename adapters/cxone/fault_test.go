package cxone

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// within is the payload of phone with a timeout.
func within(ms int) object {
	return object{"workflowInput": phone()["workflowInput"], "timeoutMilliSec": ms}
}

// bomb is n MB of zeros, packed.
func bomb(t *testing.T, n int) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	require.NoError(t, err)
	for range n {
		_, err := w.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return packed.Bytes()
}

// TestFaultsOfTheCRM goes through the real runner and the real outbound client,
// in both forms.
func TestFaultsOfTheCRM(t *testing.T) {
	t.Parallel()
	plain := func(status int, body string, headers ...string) func(*rig) {
		return func(r *rig) { r.answerWith(status, body, headers...) }
	}
	for _, c := range []struct {
		name     string
		crm      func(r *rig)
		workflow string
		branch   string
		code     string
		upstream int
		status   int // of NICE's form
	}{
		{"5xx after retries", plain(500, "{}"), findID, "InternalError", outbound.CodeUpstreamFailed, 500, 502},
		{"429", plain(429, "{}", "Retry-After", "3600"), findID, "InternalError", outbound.CodeUpstreamThrottled, 429, 503},
		{"404", plain(404, "{}"), findID, "InternalError", "NOT_FOUND", 404, 404},
		{"409", plain(409, "{}"), findID, "InternalError", "CONFLICT", 409, 409},
		{"422", plain(422, "{}"), findID, "InternalError", "UPSTREAM_REJECTED", 422, 422},
		{"403", plain(403, "{}"), findID, "InternalError", outbound.CodeUpstreamForbidden, 403, 502},
		{"408", plain(408, "{}"), findID, "InternalError", "TIMEOUT", 408, 504},
		{"401 twice", plain(401, "{}"), findID, "InternalError", outbound.CodeAuthorizationRequired, 401, 424},
		{"3xx", plain(302, "{}", "Location", "http://127.0.0.1:1/"), findID, "InternalError", outbound.CodeRedirected, 302, 502},
		{"broken JSON", plain(200, `{"records":[`), findID, "InternalError", "UPSTREAM_BROKEN_ANSWER", 200, 502},
		{"HTML", plain(200, "<html>", "Content-Type", "text/html"), findID, "InternalError", "UPSTREAM_BROKEN_ANSWER", 200, 502},
		{"wrong shape", plain(200, `{"records":[7]}`), findID, "InternalError", "MAPPING_ERROR", 0, 422},
		{"records no list", plain(200, `{"records":{}}`), findID, "InternalError", "MAPPING_ERROR", 0, 422},
		{"another host's record", plain(200, `{"records":[{"url":"https://evil.example/1"}]}`), findID, "InternalError", "MAPPING_ERROR", 0, 422},
		{"expression error", plain(200, `{"a":null}`), brokenID, "InternalError", "MAPPING_ERROR", -1, 422},
		{"large result", plain(200, `{"records":[{"display":"`+strings.Repeat("x", 40<<10)+`"}]}`), findID, "InternalError", "RESULT_TOO_LARGE", 0, 502},
		{"100 MB, packed", func(r *rig) {
			packed := bomb(t, 100)
			r.serve(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(packed)
			})
		}, findID, "InternalError", "RESULT_TOO_LARGE", 0, 502},
		{"reset", func(r *rig) {
			r.serve(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_ = conn.(*net.TCPConn).SetLinger(0)
					_ = conn.Close()
				}
			})
		}, findID, "InternalError", outbound.CodeUpstreamFailed, 0, 502},
		{"authorization missing", func(r *rig) {
			e := core.Errorf(core.NeedsAuthorization, "granted by nobody yet")
			e.Code = outbound.CodeAuthorizationRequired
			r.auth.err = e
		}, findID, "InternalError", outbound.CodeAuthorizationRequired, 0, 424},
		{"authorization that cannot be opened", func(r *rig) {
			r.auth.err = core.Errorf(core.NotConfigured, "the authorization cannot be opened")
		}, findID, "InternalError", outbound.CodeAuthorizationRequired, 0, 424},
		{"authorization that cannot be sent", func(r *rig) {
			r.auth.err = core.Errorf(core.Invalid, "the credential holds characters that no header can carry")
		}, findID, "InternalError", "INTERNAL_ERROR", 0, 502},
		{"authorization that may not", func(r *rig) {
			r.auth.err = core.Errorf(core.Forbidden, "no")
		}, findID, "InternalError", "FORBIDDEN", 0, 502},
		{"authorization that nobody knows", func(r *rig) {
			r.auth.err = core.Errorf(core.Unauthenticated, "who")
		}, findID, "InternalError", "UNAUTHENTICATED", 0, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c.crm(r)
			payload := within(60_000)
			s := r.execute(t, admin, body(t, c.workflow, payload))
			require.Equal(t, c.branch, s.Branch, s.ErrorArgs)
			require.Equal(t, c.code, s.ErrorArgs.Code, s.ErrorArgs.Message)
			if c.upstream >= 0 {
				require.Equal(t, c.upstream, s.ErrorArgs.UpstreamStatus)
			}
			data, err := json.Marshal(payload)
			require.NoError(t, err)
			rec := r.do(admin, http.MethodPost, addressOf(configID, c.workflow), string(data))
			require.Equal(t, c.status, rec.Code, rec.Body.String())
			require.Contains(t, rec.Body.String(), `"branch":"`+c.branch+`"`)
		})
	}
}

func TestOneRefusedCredentialIsRenewed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(func(w http.ResponseWriter, _ *http.Request) {
		if r.auth.renewed.Load() == 0 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte(`{}`))
	})
	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, findID, phone())).Branch)
}

func TestRefusedConnectionsAndOpenBreaker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.dead = true
	var s said
	for range 5 {
		s = r.execute(t, admin, body(t, findID, within(60_000)))
		require.Equal(t, branchInternalError, s.Branch)
		if s.ErrorArgs.Code == outbound.CodeCircuitOpen {
			break
		}
		require.Equal(t, operation.CodeUnreachable, s.ErrorArgs.Code)
		require.True(t, s.ErrorArgs.Retryable)
	}
	s = r.execute(t, admin, body(t, findID, phone()))
	require.Equal(t, outbound.CodeCircuitOpen, s.ErrorArgs.Code)
}

// TestDatabaseThatTakesNothing: nothing was admitted, so CXone may call again.
func TestDatabaseThatTakesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuse = &core.Error{Kind: core.Unavailable, Message: "the database is full", Err: context.Canceled}
	for _, address := range []string{"/cxone/v1/workflow-execute", addressOf(configID, createID)} {
		rec := r.do(admin, http.MethodPost, address, body(t, createID, subject("x"), "workflowInput", object{"subject": "x"}))
		require.Equal(t, http.StatusServiceUnavailable, rec.Code, rec.Body.String())
		require.Equal(t, "1", rec.Header().Get("Retry-After"))
		require.NotContains(t, rec.Body.String(), "branch")
	}
	r.refuse = core.Errorf(core.Uncertain, "the hub was ended while it worked on this request")
	s := r.execute(t, admin, body(t, createID, subject("x")))
	require.Equal(t, []any{branchInternalError, "UNCERTAIN", false}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})
	r.refuse = context.Canceled
	s = r.execute(t, admin, body(t, createID, subject("x")))
	require.Equal(t, []any{branchInternalError, "INTERNAL_ERROR", false}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})
}
