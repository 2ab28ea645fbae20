package observe

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(h *Health, m *Metrics, method, target string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	Handler(h, m).ServeHTTP(rec, httptest.NewRequest(method, target, nil))
	return rec
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	m.HTTPRequest("/v1/tasks/:id", "GET", 204, 3*time.Millisecond)
	m.HTTPRequest("unmatched", "OTHER", 999, time.Millisecond)
	m.TaskCreated("Audio")
	m.TaskTerminated("Audio")
	m.TaskEvent("Created")
	m.Delivery("dead")
	m.Delivery("https://evil.example")
	m.DeliveryLag(time.Second)
	m.GroupCommit(7, time.Millisecond)
	m.BuildInfo("1.2.3", "abc")
	require.NoError(t, m.QueueDepth("deliveries", func() float64 { return 42 }))
	require.NoError(t, m.QueueDepth("timers", func() float64 { return 1 }))
	require.Error(t, m.QueueDepth("timers", func() float64 { return 1 }))
	m.OutboundAttempt("zendesk", "ok", time.Second)
	m.AuthorizationChanged("zendesk", "authorized")
	states := func() []Figure { return []Figure{{[]string{"zendesk", "open"}, 1}, {[]string{"zendesk", "closed"}, 0}} }
	require.NoError(t, m.Gauges("tandem_breakers", "Breakers.", []string{"integration", "state"}, states))
	require.Error(t, m.Gauges("tandem_breakers", "Breakers.", []string{"integration", "state"}, states))
	rec := get(&Health{}, m, "GET", "/metrics")
	require.Equal(t, 200, rec.Code)
	for _, line := range []string{
		`tandem_http_request_duration_seconds_count{method="GET",route="/v1/tasks/:id",status="2xx"} 1`,
		`tandem_http_request_duration_seconds_count{method="OTHER",route="unmatched",status="other"} 1`,
		`tandem_tasks_created_total{modality="Audio"} 1`, `tandem_tasks_terminated_total{modality="Audio"} 1`,
		`tandem_task_events_total{event="Created"} 1`,
		`tandem_deliveries_total{outcome="dead"} 1`, `tandem_deliveries_total{outcome="other"} 1`, `tandem_deliveries_total{outcome="delivered"} 0`,
		`tandem_delivery_lag_seconds_count 1`, `tandem_commit_group_size_sum 7`, `tandem_commit_group_seconds_count 1`,
		`tandem_queue_depth{queue="deliveries"} 42`, `tandem_build_info{`, `tandem_breakers{integration="zendesk",state="open"} 1`,
		`tandem_outbound_duration_seconds_count{integration="zendesk",outcome="ok"} 1`,
		`tandem_authorization_changes_total{integration="zendesk",status="authorized"} 1`, `process_open_fds`, `go_goroutines`,
	} {
		require.Contains(t, rec.Body.String(), line)
	}
}

func TestHandler(t *testing.T) {
	t.Parallel()
	h, m := &Health{}, NewMetrics()
	for _, tc := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/livez", 200},
		{"HEAD", "/livez", 200},
		{"GET", "/readyz", 200},
		{"HEAD", "/readyz", 200},
		{"HEAD", "/metrics", 200},
		{"POST", "/livez", 405},
		{"DELETE", "/metrics", 405},
		{"GET", "/", 404},
		{"GET", "/debug/pprof/", 404},
		{"GET", "/livez/", 404},
		{"GET", "/%6civez", 404},
	} {
		rec := get(h, m, tc.method, tc.target)
		require.Equal(t, tc.status, rec.Code, tc)
		require.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"))
	}
}

func reportOf(t *testing.T, rec *httptest.ResponseRecorder) report {
	t.Helper()
	var r report
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &r))
	return r
}

func TestReady(t *testing.T) {
	t.Parallel()
	h, m := &Health{}, NewMetrics()
	require.JSONEq(t, `{"status":"ready","checks":[]}`, get(h, m, "GET", "/readyz").Body.String())
	var fault error
	h.Add("database", func(context.Context) error { return fault })
	h.Add("jobs", func(context.Context) error { return nil })
	require.JSONEq(t, `{"status":"ready","checks":[{"name":"database","ok":true},{"name":"jobs","ok":true}]}`, get(h, m, "GET", "/readyz").Body.String())
	fault = errors.New("dial postgres://u:hush@db/x: refused")
	rec := get(h, m, "GET", "/readyz")
	require.Equal(t, 503, rec.Code)
	require.Equal(t, report{"not ready", []result{{"database", false, "dial postgres://[redacted]@db/x: refused"}, {"jobs", true, ""}}}, reportOf(t, rec))
	fault = nil
	require.Equal(t, 200, get(h, m, "GET", "/readyz").Code)
	h.SetDraining()
	rec = get(h, m, "GET", "/readyz")
	require.Equal(t, 503, rec.Code)
	require.Equal(t, "not ready", reportOf(t, rec).Status)
	require.Equal(t, 200, get(h, m, "GET", "/livez").Code)
}

func TestReadyWithAPanic(t *testing.T) {
	t.Parallel()
	h := &Health{}
	h.Add("broken", func(context.Context) error { panic("boom") })
	require.Equal(t, 503, get(h, NewMetrics(), "GET", "/readyz").Code)
}

func TestReadyIsBounded(t *testing.T) {
	t.Parallel()
	h, m := &Health{}, NewMetrics()
	release, begun := make(chan struct{}), make(chan struct{}, 100)
	h.Add("deaf", func(context.Context) error {
		begun <- struct{}{}
		<-release
		return nil
	})
	h.Add("fine", func(context.Context) error { return nil })
	began := time.Now()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			rec := get(h, m, "GET", "/readyz")
			if rec.Code != 503 || !strings.Contains(rec.Body.String(), `{"name":"deaf","ok":false,"message":"no answer in time"},{"name":"fine","ok":true}`) {
				t.Error(rec.Code, rec.Body.String())
			}
		})
	}
	all.Wait()
	require.Less(t, time.Since(began), healthTimeout+10*time.Second)
	require.Len(t, begun, 1, "a check that hangs is not started again")
	close(release)
	require.Eventually(t, func() bool { return get(h, m, "GET", "/readyz").Code == 200 }, 20*time.Second, time.Millisecond)
}

func TestNoteKeepsNobodyFromBeingReady(t *testing.T) {
	t.Parallel()
	h := &Health{}
	h.Add("database", func(context.Context) error { return nil })
	h.Note("breakers", func() string { return "open: zendesk" })
	rec := get(h, NewMetrics(), "GET", "/readyz")
	require.Equal(t, 200, rec.Code)
	require.JSONEq(t, `{"status":"ready","checks":[{"name":"database","ok":true},{"name":"breakers","ok":true,"message":"open: zendesk"}]}`, rec.Body.String())
}
