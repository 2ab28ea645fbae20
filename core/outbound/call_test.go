package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/integration"
)

func newCall(t testing.TB, method, url, body string) Call {
	t.Helper()
	req, err := NewRequest(t.Context(), method, url, []byte(body))
	require.NoError(t, err)
	return Call{Tenant: "contoso", Name: "crm", Request: req}
}

func requireError(t *testing.T, err error, kind core.Kind, code string) *core.Error {
	t.Helper()
	var e *core.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, kind, e.Kind, "%v", err)
	require.Equal(t, code, e.Code, "%v", err)
	require.GreaterOrEqual(t, e.RetryAfter, time.Duration(0))
	return e
}

func TestStatusesHaveKinds(t *testing.T) {
	t.Parallel()
	status := make(chan int, 1)
	var word atomic.Value
	c, base := serve(t, Options{Observe: func(a Attempt) { word.Store(a.Outcome) }}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "%zz")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(<-status)
		_, _ = io.WriteString(w, r.Method+" secret of the upstream")
	})
	for _, row := range []struct {
		status int
		kind   core.Kind
		code   string
		http   int
		after  time.Duration
		word   Outcome
	}{
		{200, "", "", 0, 0, OutcomeOK},
		{202, "", "", 0, 0, OutcomeOK},
		{301, core.Uncertain, CodeRedirected, 0, 0, OutcomeRedirected},
		{307, core.Uncertain, CodeRedirected, 0, 0, OutcomeRedirected},
		{400, core.Invalid, "", 422, 0, OutcomeRejected},
		{401, core.NeedsAuthorization, CodeAuthorizationRequired, 0, 0, OutcomeUnauthorized},
		{403, core.Forbidden, CodeUpstreamForbidden, 0, 0, OutcomeRejected},
		{404, core.NotFound, "", 0, 0, OutcomeRejected},
		{408, core.Timeout, "", 0, 0, OutcomeTimeout},
		{409, core.Conflict, "", 0, 0, OutcomeRejected},
		{410, core.NotFound, "", 0, 0, OutcomeRejected},
		{412, core.Conflict, "", 0, 0, OutcomeRejected},
		{415, core.Invalid, "", 422, 0, OutcomeRejected},
		{422, core.Invalid, "", 422, 0, OutcomeRejected},
		{425, core.Throttled, CodeUpstreamThrottled, 503, 7 * time.Second, OutcomeThrottled},
		{429, core.Throttled, CodeUpstreamThrottled, 503, 7 * time.Second, OutcomeThrottled},
		{500, core.Uncertain, CodeUpstreamFailed, 0, 0, OutcomeFailed},
		{503, core.Uncertain, CodeUpstreamFailed, 0, 7 * time.Second, OutcomeFailed},
		{599, core.Uncertain, CodeUpstreamFailed, 0, 0, OutcomeFailed},
	} {
		status <- row.status
		res, err := c.Call(t.Context(), newCall(t, http.MethodPost, base+"/secret?sig=secret", "{}"))
		require.NotNil(t, res, row.status)
		require.Equal(t, row.status, res.Status)
		require.Equal(t, "POST secret of the upstream", string(res.Body))
		require.Equal(t, row.word, word.Load(), row.status)
		if row.kind == "" {
			require.NoError(t, err)
			continue
		}
		e := requireError(t, err, row.kind, row.code)
		require.Equal(t, row.http, e.Status, row.status)
		require.Equal(t, row.after, e.RetryAfter, row.status)
		require.Contains(t, err.Error(), base)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestRulesOfTheIntegrationComeFirst(t *testing.T) {
	t.Parallel()
	type answer struct {
		status int
		body   string
	}
	var want atomic.Value
	c, base := serve(t, Options{Chance: func() float64 { return 0 }}, func(w http.ResponseWriter, _ *http.Request) {
		a := want.Load().(answer) //nolint:forcetypeassert // nothing else is stored
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	})
	rules := []integration.ErrorRule{
		{Status: 403, Field: "0.errorCode", Equals: "REQUEST_LIMIT_EXCEEDED", Kind: core.Throttled},
		{Field: "error.code", Equals: "429", Kind: core.Throttled},
		{Field: "error.known", Equals: "true", Kind: core.Conflict},
		{Status: 418, Kind: core.Unavailable},
	}
	for _, row := range []struct {
		status int
		body   string
		kind   core.Kind
		code   string
	}{
		{403, `[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, core.Throttled, CodeUpstreamThrottled},
		{403, `[{"errorCode":"OTHER"}]`, core.Forbidden, CodeUpstreamForbidden},
		{403, `[]`, core.Forbidden, CodeUpstreamForbidden},
		{403, `{"0":{"errorCode":"REQUEST_LIMIT_EXCEEDED"}}`, core.Throttled, CodeUpstreamThrottled},
		{403, `<html>`, core.Forbidden, CodeUpstreamForbidden},
		{403, ``, core.Forbidden, CodeUpstreamForbidden},
		{400, `{"error":{"code":429}}`, core.Throttled, CodeUpstreamThrottled},
		{400, `{"error":"code"}`, core.Invalid, ""},
		{500, `{"error":{"known":true}}`, core.Conflict, ""},
		{200, `{"error":{"known":true}}`, "", ""},
		{202, `{"error":{"code":429}}`, "", ""},
		{418, ``, core.Unavailable, ""},
		{400, `{"error":{"code":429}}` + strings.Repeat(" ", maxRuleBody), core.Invalid, ""},
	} {
		want.Store(answer{row.status, row.body})
		call := newCall(t, http.MethodPost, base, "")
		call.Errors = rules
		res, err := c.Call(t.Context(), call)
		require.Equal(t, row.status, res.Status)
		if row.kind == "" {
			require.NoError(t, err)
			continue
		}
		requireError(t, err, row.kind, row.code)
	}
}

func TestRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	c := newClient(t, Options{AllowHosts: []string{"crm.example:80"}})
	with := func(change func(*Call)) error {
		call := newCall(t, http.MethodPost, crm, "{}")
		change(&call)
		_, err := c.Call(t.Context(), call)
		return err
	}
	requireError(t, with(func(call *Call) {
		call.Credential = credential
		call.Request.Header["Authorization"] = []string{""}
	}), core.Invalid, "")
	requireError(t, with(func(call *Call) { call.Request.Header.Set("X-Name", "a\r\nX: secret") }), core.Invalid, "")
	for _, name := range []string{"authorization", "AUTHORIZATION", "accept-encoding", "content-length", "transfer-Encoding", "X Name", ""} {
		requireError(t, with(func(call *Call) { call.Request.Header[name] = []string{"x"} }), core.Invalid, "")
	}
	requireError(t, with(func(call *Call) { call.Credential = credential }), core.NotConfigured, "")
	require.Error(t, with(func(call *Call) { call.Request = nil }))
	require.Error(t, with(func(call *Call) { call.Request.GetBody = nil }))
	require.Error(t, with(func(call *Call) { call.Credential = &Credential{Tenant: "fabrikam"} }))
	require.Empty(t, c.Upstreams(""))
}

func TestAnswerThatIsTooLarge(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err := z.Write(make([]byte, maxClientBody+1))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	c, base := serve(t, Options{}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		case "/long":
			_, _ = w.Write(make([]byte, maxClientBody+1))
		case "/full":
			_, _ = w.Write(make([]byte, maxClientBody))
		}
	})
	for range 3 {
		for _, path := range []string{"/bomb", "/long"} {
			call := newCall(t, http.MethodGet, base+path, "")
			call.Request.Header.Set("Accept-Encoding", "gzip") // would leave the bomb packed
			res, err := c.Call(t.Context(), call)
			require.Nil(t, res)
			requireError(t, err, core.ResultTooLarge, "")
		}
	}
	require.Equal(t, Closed, c.Upstreams("")[0].State)
	res, err := c.Call(t.Context(), newCall(t, http.MethodGet, base+"/full", ""))
	require.NoError(t, err)
	require.Len(t, res.Body, maxClientBody)
	require.False(t, res.Truncated)
}

func TestCallOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	allow := []string{server.Listener.Addr().String()}
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	_, err := newClient(t, Options{AllowHosts: allow, RootCAs: roots}).Call(t.Context(), newCall(t, http.MethodGet, server.URL, ""))
	require.NoError(t, err)

	stranger := newClient(t, Options{AllowHosts: allow, Chance: func() float64 { return 0 }})
	_, err = stranger.Call(t.Context(), newCall(t, http.MethodGet, server.URL, ""))
	require.Equal(t, http.StatusBadGateway, requireError(t, err, core.Unavailable, "").Status)
	_, err = stranger.Call(t.Context(), newCall(t, http.MethodGet, "https://127.0.0.1:1", ""))
	requireRefused(t, err, "guard")
}

// TestDeadlineHoldsForAllOfACall: an upstream that hangs, stalls after the
// headers, drips its answer or never reads holds a call up to its deadline and
// no longer, and leaves nothing behind.
func TestDeadlineHoldsForAllOfACall(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"stalls after the headers": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"drips": func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-tick.C:
				case <-r.Context().Done():
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := inMemory(t, Options{}, handle)
				for i := range 100 {
					call := newCall(t, http.MethodGet, crm, "")
					call.Tenant = "tenant" + string(rune('A'+i)) // each with a breaker of its own
					call.Deadline = 2 * time.Second
					began := time.Now()
					_, err := c.Call(t.Context(), call)
					requireError(t, err, core.Timeout, "")
					require.Equal(t, 2*time.Second, time.Since(began))
				}
			})
		})
	}
	t.Run("never reads", func(t *testing.T) {
		t.Parallel()
		release := make(chan struct{})
		address := rawServer(t, func(net.Conn, string) { <-release })
		t.Cleanup(func() { close(release) })
		call := newCall(t, http.MethodPost, "http://"+address, strings.Repeat("x", 64<<20))
		call.Deadline = 300 * time.Millisecond
		coretest.Soon(t, 550*time.Millisecond, "a server that never reads", func() {
			_, err := newClient(t, Options{AllowHosts: []string{address}}).Call(t.Context(), call)
			requireError(t, err, core.Timeout, "")
		})
	})
	t.Run("deadline of the caller", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c := inMemory(t, Options{}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := c.Call(ctx, newCall(t, http.MethodGet, crm, ""))
			requireError(t, err, core.Timeout, "")
		})
	})
}

func TestObserveTellsOfEveryAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var all []Attempt
		c := inMemory(t, Options{Observe: func(a Attempt) { all = append(all, a) }, Chance: func() float64 { return 0.5 }},
			func(w http.ResponseWriter, _ *http.Request) {
				time.Sleep(time.Second) // the bubble's time
				w.WriteHeader(http.StatusInternalServerError)
			})
		for range 2 {
			_, err := c.Call(t.Context(), newCall(t, http.MethodGet, crm+"/secret", ""))
			requireError(t, err, core.Uncertain, CodeUpstreamFailed)
		}
		_, err := c.Call(t.Context(), newCall(t, http.MethodGet, crm, ""))
		requireError(t, err, core.Unavailable, CodeCircuitOpen)
		require.Len(t, all, 6)
		for _, a := range all[:5] {
			require.Equal(t, Attempt{Name: "crm", Host: "crm.example:80", Outcome: OutcomeFailed, Duration: time.Second}, a)
		}
		require.Equal(t, Attempt{Name: "crm", Host: "crm.example:80", Outcome: OutcomeCircuitOpen}, all[5])
	})
}
