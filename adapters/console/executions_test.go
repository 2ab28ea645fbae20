package console

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core/execution"
)

func TestExecutions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	vic := r.as(identity.Viewer)
	require.Contains(t, vic.get("/console/executions").body, "Nothing ran yet")
	r.fill()
	body := vic.get("/console/executions").body
	for _, want := range []string{
		"Acme / Find &lt;script&gt;", "CXone · acme/find-parcel", "InternalError", "UPSTREAM_&lt;script&gt;", "1.7 s", "c-&lt;script&gt;", ">r3<",
		"1 minute ago", "Send Parcel", "under 1 ms", "onSuccess", `href="/console/executions/r3"`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "Theirs")
	require.NotContains(t, body, "Older")

	body = vic.get("/console/executions?show=failed").body
	require.Contains(t, body, "r3")
	require.NotContains(t, body, "Send Parcel")
	require.Contains(t, body, `hx-get="/console/executions?show=failed"`, "what follows the hub keeps the filter")
	body = vic.get("/console/executions?title=sEND").body
	require.Contains(t, body, "Send Parcel")
	require.NotContains(t, body, "r3")
	require.Contains(t, vic.get("/console/executions?title=C-%3C").body, "c-&lt;script&gt;")
	got := vic.get("/console/executions?title=+r3+")
	require.Equal(t, []any{http.StatusSeeOther, "/console/executions/r3"}, []any{got.status, got.header.Get("Location")})
	require.Contains(t, vic.get("/console/executions?title=r2").body, "Nothing fits", "another tenant's")
	require.Contains(t, vic.get("/console/executions?title=%3Cscript%3E%26x").body, "Nothing fits")
	require.Contains(t, vic.get("/console/executions?before=r1").body, "No older executions")
}

func TestExecutionsPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sue := r.as(identity.Supervisor)
	for n := range runsShown + 10 {
		r.runs = append(r.runs, execution.Run{ID: fmt.Sprintf("run%02d", n), Tenant: "contoso", Title: "A & B", Outcome: "Success", Began: noon.Add(time.Duration(-n) * time.Second)})
	}
	body := sue.get("/console/executions?title=a+%26").body
	require.Equal(t, runsShown, strings.Count(body, `id="run-run`))
	older := "/console/executions?before=run49&amp;title=a&#43;%26"
	require.Contains(t, body, `href="`+older+`"`)
	require.NotContains(t, body, "Newest")
	body = sue.get("/console/executions?before=run49&title=a+%26").body
	require.Equal(t, 10, strings.Count(body, `id="run-run`))
	require.Contains(t, body, `hx-get="`+older+`"`)
	require.Contains(t, body, `href="/console/executions?title=a&#43;%26"`)
	require.NotContains(t, body, "Older")
}

func TestExecution(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	for _, role := range identity.Roles {
		b := r.as(role)
		got := b.get("/console/executions/r3")
		if role == identity.Agent {
			require.Equal(t, http.StatusForbidden, got.status)
			continue
		}
		require.Equal(t, http.StatusOK, got.status)
		for _, want := range []string{
			"InternalError", "The vendor says &lt;script&gt;", "Correlation id", "ann@contoso.example&lt;script&gt;", "4 March 2026, 11:59:00.000 UTC",
			"/parcels/&lt;script&gt;", "Continued", "Skipped", "Failed", `<rect x="71" width="35"`, "1.5 s",
		} {
			require.Contains(t, got.body, want)
		}
		contents := []string{"went-in", "came-out", "application/json", `<h3>Answer`, "[redacted]"}
		for _, c := range contents {
			if role == identity.Admin || role == identity.Integrator {
				require.Contains(t, got.body, c)
			} else {
				require.NotContains(t, got.body, c, role)
			}
		}
		require.Equal(t, role != identity.Admin && role != identity.Integrator, strings.Contains(got.body, "administrators and integrators only"))
		require.Equal(t, http.StatusNotFound, b.get("/console/executions/r2").status, "another tenant's")
	}
}

func TestPretty(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                             "",
		"plain {text}":                 "plain {text}",
		`{}`:                           `{}`,
		`{"a":[],"b":{"c":1,"d":"x"}}`: "{\n  \"a\": [],\n  \"b\": {\n    \"c\": 1,\n    \"d\": \"x\"\n  }\n}",
		`["a,b{\"]:",true]`:            "[\n  \"a,b{\\\"]:\",\n  true\n]",
		`{"a":"cut off...`:             "{\n  \"a\": \"cut off...",
		`]`:                            `]`,
		`{"a" : 1 }`:                   "{\n  \"a\": 1\n}",
		`[}`:                           "[\n  \n}",
		`{"a\`:                         "{\n  \"a\\",
	} {
		require.Equal(t, want, pretty(in), in)
	}
	require.Less(t, len(pretty(strings.Repeat("[", 8192))), 400_000, "depth is bounded")
}
