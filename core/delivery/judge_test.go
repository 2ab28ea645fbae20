package delivery

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/outbound"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		body   string
		want   verdict
	}{
		{200, "", verdict{outcome: delivered}},
		{202, "{}", verdict{outcome: delivered}},
		{299, "", verdict{outcome: delivered}},
		{301, "", verdict{outcome: dead, reason: "the flow answered 301"}},
		{304, "", verdict{outcome: dead, reason: "the flow answered 304"}},
		{400, "", verdict{outcome: dead, reason: "the flow answered 400"}},
		{400, `{"error":{"code":"TriggerInputSchemaMismatch"}}`, verdict{outcome: dead, reason: "the flow answered 400"}},
		{400, `{"error":{"code":"WorkflowTriggerIsNotEnabled"}}`, verdict{outcome: ended, reason: "the flow was turned off or deleted (WorkflowTriggerIsNotEnabled)"}},
		{404, `{"error":{"code":"WorkflowNotFound"}}`, verdict{outcome: ended, reason: "the flow was deleted (WorkflowNotFound)"}},
		{404, `{"error":{"code":"WorkflowTriggerVersionNotFound"}}`, verdict{outcome: ended, reason: "the flow was saved again (WorkflowTriggerVersionNotFound)"}},
		{404, "<html>", verdict{outcome: dead, reason: "the flow answered 404", missed: true}},
		{404, `{"error":"WorkflowNotFound"}`, verdict{outcome: dead, reason: "the flow answered 404", missed: true}},
		{410, "", verdict{outcome: ended, reason: "the flow answered 410 (gone)"}},
		{401, "", verdict{outcome: dead, reason: "the flow answered 401"}},
		{403, `{"error":{"code":"WorkflowNotFound"}}`, verdict{outcome: dead, reason: "the flow answered 403"}},
		{413, "", verdict{outcome: dead, reason: "the flow answered 413"}},
		{408, "", verdict{outcome: retry, reason: "the flow answered 408"}},
		{429, "", verdict{outcome: retry, reason: "the flow answered 429"}},
		{500, "", verdict{outcome: retry, reason: "the flow answered 500"}},
		{503, "", verdict{outcome: retry, reason: "the flow answered 503"}},
		{599, "", verdict{outcome: retry, reason: "the flow answered 599"}},
	} {
		got := judge(&outbound.Response{Status: c.status, Header: http.Header{}, Body: []byte(c.body)}, nil, now)
		require.Equal(t, c.want, got, "%d %s", c.status, c.body)
	}
	for _, kind := range []core.Kind{core.Unavailable, core.Timeout, core.Uncertain} {
		require.Equal(t, verdict{outcome: retry, reason: "why"}, judge(nil, core.Errorf(kind, "why"), now))
	}
	require.Equal(t, retry, judge(nil, errors.New("why"), now).outcome)
	require.Equal(t, verdict{outcome: dead, reason: "why"}, judge(nil, core.Errorf(core.Forbidden, "why"), now), "the guard refused the address")
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                              0,
		"5":                             5 * time.Second,
		" 5 ":                           5 * time.Second,
		"0":                             0,
		"3600":                          time.Hour,
		"999999":                        time.Hour,
		"9999999999":                    time.Hour,
		"99999999999999999999999999":    time.Hour,
		"-1":                            0,
		"-9999999999":                   0,
		"1.5":                           0,
		"soon":                          0,
		"Wed, 04 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Wed, 04 Mar 2026 11:00:00 GMT": 0,
		"Thu, 04 Mar 2027 12:00:00 GMT": time.Hour,
	} {
		require.Equal(t, want, retryAfter(header, now), header)
	}
}

func TestNextTry(t *testing.T) {
	t.Parallel()
	want := []time.Duration{
		5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
		10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
	for i, w := range want {
		for chance, wait := range map[float64]time.Duration{0: w, 1: w + w/10} {
			got, more := nextTry(i+1, verdict{}, chance)
			require.True(t, more)
			require.Equal(t, wait, got)
		}
	}
	_, more := nextTry(len(want)+1, verdict{}, 0)
	require.False(t, more)
	got, _ := nextTry(1, verdict{wait: time.Minute}, 1)
	require.Equal(t, time.Minute, got, "what the flow asks for")
	got, _ = nextTry(2, verdict{wait: time.Minute}, 0)
	require.Equal(t, 5*time.Minute, got, "but never less than the schedule")
}

func TestFlowOf(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://h/workflows/ABC/triggers/manual/paths/invoke?sig=s":                  "abc/manual",
		"https://h/workflows/abc/triggers/manual/versions/08584/run?sig=s":            "abc/manual",
		"https://h/powerautomate/automations/direct/workflows/abc/triggers/m/paths/x": "abc/m",
		"https://h/Workflows/abc":                    "abc/",
		"https://h/hook?x=/workflows/abc/triggers/m": "",
		"https://h/hook":                             "",
	} {
		require.Equal(t, want, flowOf(raw), raw)
	}
}
