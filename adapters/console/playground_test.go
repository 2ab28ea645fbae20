package console

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/operation"
)

// run posts the form of an operation of acme.
func (b *browser) run(name, mode string, pairs ...string) answer {
	b.rig.t.Helper()
	return b.post("/console/playground", append([]string{"integration", "acme", "operation", name, "mode", mode}, pairs...)...)
}

func TestPlaygroundLists(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ian := r.as(identity.Integrator)
	body := ian.get("/console/playground").body
	for _, want := range []string{
		"Acme &lt;b&gt;Parcels", "Plain", "Find a parcel", "Looks for parcels &amp; more.", "2 tests", "Changes data",
		`href="/console/playground?integration=acme&amp;operation=find-parcel"`,
	} {
		require.Contains(t, body, want)
	}
	for _, page := range []string{trialOf("nothing"), "/console/playground?integration=acme", "/console/playground?operation=find-parcel"} {
		require.Equal(t, http.StatusNotFound, ian.get(page).status, page)
	}
	require.Equal(t, http.StatusForbidden, r.as(identity.Supervisor).get("/console/playground").status)
	require.Equal(t, http.StatusForbidden, r.as(identity.Viewer).run("find-parcel", modeRecorded).status)
}

func TestTrialForm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ian := r.as(identity.Integrator)
	body := ian.get(trialOf("find-parcel")).body
	for _, want := range []string{
		"&#34;number&#34;: &#34;4711&#34;", "text · at most 40 characters", "As on the label.", "Required", "Masked", "one of open, closed · default open",
		"Other inputs are refused.", "another &lt;b&gt;parcel", "No authorization of Acme", `id="mode-recorded" name="mode" value="recorded" checked`,
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, `id="authorization"`)
	require.Contains(t, ian.get(trialOf("find-parcel")+"&test=another+%3Cb%3Eparcel%3C/b%3E").body, "&#34;4712&#34;")
	r.fill()
	body = ian.get(trialOf("find-parcel")).body
	require.Contains(t, body, `<option value="Production" selected>Production (owner@contoso.example`)
	for _, other := range []string{"Old ", "Special", "Fabrikam", `id="confirm"`} {
		require.NotContains(t, body, other)
	}
	body = ian.get(trialOf("send-parcel")).body
	require.Contains(t, body, "This changes data at Acme")
	require.NotContains(t, body, `id="mode-recorded"`, "it has no tests")
	require.Contains(t, body, `value="live" checked`)
	body = ian.get("/console/playground?integration=plain&operation=ask").body
	require.NotContains(t, body, "No authorization of")
	require.Contains(t, body, "it has no inputs")
}

func TestTrialFills(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ian := r.as(identity.Integrator)
	got := ian.run("find-parcel", modeLive, "fill", "test", "test", "another <b>parcel</b>", "input", "{broken")
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, "&#34;4712&#34;")
	require.Contains(t, got.body, `value="recorded" checked`)
	got = ian.run("find-parcel", modeRecorded, "fill", "example", "test", "another <b>parcel</b>", "input", "{broken")
	require.Contains(t, got.body, "&#34;100&#34;")
	require.Contains(t, got.body, "<option selected>another")
	require.Empty(t, r.trials)
}

func TestTrialRefusesTheForm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ian := r.as(identity.Integrator)
	const test = "finds a parcel"
	for name, tt := range map[string]struct {
		got  func() answer
		want []string
	}{
		"broken": {
			func() answer {
				return ian.run("find-parcel", modeRecorded, "test", test, "input", "{\r\n  \"a\": \"é\",\r\n  \"é\" 1 <b>}")
			},
			[]string{"Line 3, column 7:", "&lt;b&gt;}</textarea>", `id="input-error"`, `aria-invalid="true"`, "Error: Find a parcel"},
		},
		"ends early":  {func() answer { return ian.run("find-parcel", modeRecorded, "test", test, "input", "{\n") }, []string{"Line 2, column 1: Unexpected end"}},
		"no object":   {func() answer { return ian.run("find-parcel", modeRecorded, "test", test, "input", `["x"]`) }, []string{"begins with {"}},
		"null":        {func() answer { return ian.run("find-parcel", modeRecorded, "test", test, "input", `null`) }, []string{"begins with {"}},
		"empty":       {func() answer { return ian.run("find-parcel", modeRecorded, "test", test, "input", " ") }, []string{"for example {}"}},
		"more behind": {func() answer { return ian.run("find-parcel", modeRecorded, "test", test, "input", "{} x") }, []string{"Line 1, column 4:"}},
		"large": {func() answer {
			return ian.run("find-parcel", modeRecorded, "test", test, "input", strings.Repeat(" ", maxInput)+"{}")
		}, []string{"larger than 256 KB"}},
		"unknown test":  {func() answer { return ian.run("find-parcel", modeRecorded, "test", hostile, "input", "{}") }, []string{"Choose one of the recorded tests."}},
		"no mode":       {func() answer { return ian.run("find-parcel", hostile, "input", "{}") }, []string{"Choose where the answers come from."}},
		"no authorized": {func() answer { return ian.run("find-parcel", modeLive, "input", "{}") }, []string{"No authorization of Acme"}},
	} {
		got := tt.got()
		require.Equal(t, http.StatusUnprocessableEntity, got.status, name)
		for _, want := range tt.want {
			require.Contains(t, got.body, want, name)
		}
	}
	r.fill()
	for _, other := range []string{"Special", "Fabrikam's own", hostile} {
		got := ian.run("find-parcel", modeLive, "authorization", other, "input", "{}")
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
		require.Contains(t, got.body, "Choose one of the authorizations that work.", other)
	}
	require.Equal(t, http.StatusNotFound, ian.run("nothing", modeLive).status)
	require.Empty(t, r.trials)
}

func TestLiveRunThatWritesIsConfirmed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ian := r.as(identity.Integrator)
	got := ian.run("send-parcel", modeLive, "authorization", "Production", "input", "{}")
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Contains(t, got.body, `id="confirm-error"`)
	require.Empty(t, r.trials)
	r.came = Outcome{Result: &operation.Result{Output: map[string]any{"sent": true}}}
	got = ian.run("send-parcel", modeLive, "authorization", "Production", "input", `{"n": 12345678901234567890}`, "confirm", "yes")
	require.Equal(t, http.StatusOK, got.status)
	require.Contains(t, got.body, "It worked")
	require.Contains(t, got.body, "&#34;sent&#34;: true")
	require.NotContains(t, got.body, `value="yes" checked`, "the next run asks again")
	require.Len(t, r.trials, 1)
	trial := r.trials[0]
	require.Equal(t, "contoso", trial.Tenant)
	require.Equal(t, "integrator@contoso.example", trial.By)
	require.Equal(t, "Production", trial.Authorization)
	require.Empty(t, trial.Test)
	require.Equal(t, "send-parcel", trial.Operation.Name)
	require.EqualValues(t, "12345678901234567890", trial.Input["n"])
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ian := r.as(identity.Integrator)
	recorded := func() answer {
		return ian.run("find-parcel", modeRecorded, "test", "finds a parcel", "authorization", "Production", "input", `{"number":"4711"}`)
	}
	r.came = Outcome{Result: &operation.Result{Output: map[string]any{"label": hostile}, Steps: hostileSteps()}, Branch: "Success"}
	got := recorded()
	require.Equal(t, http.StatusOK, got.status)
	for _, want := range []string{
		"It worked", "The calls are as recorded in “finds a parcel”", `id="outcome"`, "X-B: &lt;script&gt;", "Content-Type: application/json",
		"label", "120 ms", "The vendor says &lt;script&gt;", "Success",
	} {
		require.Contains(t, got.body, want)
	}
	require.Equal(t, "finds a parcel", r.trials[0].Test)
	require.Empty(t, r.trials[0].Authorization)

	r.came = Outcome{
		Branch: "InternalError", BranchCode: "UPSTREAM_5XX",
		Result: &operation.Result{Steps: hostileSteps()}, Differences: []string{"exchange 2: " + hostile},
		Err: &operation.Error{Step: "send", Upstream: 500, Wrote: true, Err: &core.Error{
			Kind: core.Uncertain, Code: "UPSTREAM_5XX", Message: "It answered 500: " + hostile, Details: []core.Detail{{Field: hostile, Message: hostile}},
		}},
	}
	body := recorded().body
	for _, want := range []string{
		"It is not known whether it took effect", "It answered 500: &lt;script&gt;", "UPSTREAM_5XX", ">send<", ">500<", "uncertain", "InternalError",
		"Not as recorded", "exchange 2: &lt;script&gt;", "had been sent",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, `id="output"`)

	r.came = Outcome{Result: &operation.Result{Output: map[string]any{"seen": "parcel 4711"}}}
	require.Contains(t, recorded().body, "&#34;seen&#34;: &#34;parcel [redacted]&#34;", "as the file wants it")

	r.came = Outcome{Result: &operation.Result{Output: map[string]any{}}, Branch: "InternalError", BranchCode: "RESULT_TOO_LARGE"}
	require.Contains(t, recorded().body, "would take the branch InternalError with this output")

	r.came = Outcome{Err: errors.New("secret cause")}
	body = recorded().body
	require.Contains(t, body, "Something went wrong")
	require.NotContains(t, body, "secret cause")

	got = ian.post("/console/playground", "integration", "plain", "operation", "ask", "mode", modeLive, "authorization", "Production", "input", "{}")
	require.Equal(t, http.StatusOK, got.status)
	require.Empty(t, r.trials[len(r.trials)-1].Authorization, "it needs none")
}
