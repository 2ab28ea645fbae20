package console

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/integration"
)

// fakeWebex keeps contoso's subscription.
type fakeWebex struct {
	state   WebexSubscription
	refusal error
	asked   []string
}

func (w *fakeWebex) State(_ context.Context, tenant string) (WebexSubscription, error) {
	w.asked = append(w.asked, "state "+tenant)
	return w.state, nil
}

func (w *fakeWebex) Check(_ context.Context, tenant string) error {
	w.asked = append(w.asked, "check "+tenant)
	return w.refusal
}

func (w *fakeWebex) Rotate(_ context.Context, tenant string) error {
	w.asked = append(w.asked, "rotate "+tenant)
	return w.refusal
}

func (w *fakeWebex) Compare(_ context.Context, tenant string) error {
	w.asked = append(w.asked, "compare "+tenant)
	return w.refusal
}

// subscription is one that works, with markup wherever Webex may have put some.
func subscription() WebexSubscription {
	return WebexSubscription{
		Set: true, Address: "https://hub.example/webex/v1/events/0190c2a0", Status: "active", Org: "org-" + hostile,
		Checked: noon.Add(-30 * time.Second), LastEvent: noon.Add(-5 * time.Minute), Compared: noon.Add(-8 * time.Minute),
		ComparedText: "7 open tasks compared, 1 ended " + hostile, SecretSince: noon.Add(-40 * day),
	}
}

// connect gives contoso an authorization for Webex.
func (r *rig) connect(status integration.Status) {
	r.fake.all = append(r.fake.all, integration.Authorization{
		ID: "wx", Tenant: "contoso", Integration: webexIntegration, Grant: "sign-in", Name: "Webex " + hostile, Status: status, DefaultFor: []string{""},
	})
}

func TestWebex(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.base = "http://localhost:8080"
	ann, vic := r.as(identity.Admin), r.as(identity.Viewer)
	body := ann.get("/console/webex").body
	for _, want := range []string{"Not connected", "make that authorization the default", "http://localhost:8080/webex/v1/events/connect", "X-Api-Key", "Set Variable", "1.7"} {
		require.Contains(t, body, want)
	}
	require.Contains(t, body, `href="/console/integrations/webex-contact-center"`)
	require.NotContains(t, body, `id="check"`, "there is nothing to check with")

	r.connect(integration.Authorized)
	body = ann.get("/console/webex").body
	require.Contains(t, body, "Being set up")
	require.Contains(t, body, `id="check"`)
	require.NotContains(t, body, `id="rotate"`)

	r.fill()
	body = ann.get("/console/webex").body
	for _, want := range []string{
		">Active<", "https://hub.example/webex/v1/events/0190c2a0", "org-&lt;script&gt;", "30 seconds ago", "5 minutes ago", "7 open tasks compared, 1 ended &lt;script&gt;",
		"23 January 2026", `id="check"`, `id="compare"`, `id="rotate"`, "another 24 hours", "Webex &lt;script&gt;", "Send Parcel", "1.2, 1.0", "Acme &lt;b&gt;",
	} {
		require.Contains(t, body, want)
	}
	require.Less(t, strings.Index(body, "Send Parcel"), strings.Index(body, "Set Variable"), "in the order of the file")
	body = vic.get("/console/webex").body
	for _, button := range []string{`id="check"`, `id="compare"`, `id="rotate"`} {
		require.NotContains(t, body, button)
	}
	require.NotContains(t, body, "rotate-help")
	require.Contains(t, body, ">Active<")
}

// TestWebexSaysWhatToDo in every state.
func TestWebexSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		base   string
		ready  bool
		change func(*WebexSubscription)
		label  string
		tone   string
	}{
		"works":             {"https://hub.example", true, func(*WebexSubscription) {}, "Active", toneGood},
		"not yet":           {"https://hub.example", true, func(s *WebexSubscription) { *s = WebexSubscription{} }, "Being set up", toneWait},
		"pending":           {"https://hub.example", true, func(s *WebexSubscription) { s.Status = "pending" }, "Being set up", toneWait},
		"check failed":      {"https://hub.example", true, func(s *WebexSubscription) { s.Error = "it timed out" }, "Active, but the last check failed", toneWarn},
		"inactive":          {"https://hub.example", true, func(s *WebexSubscription) { s.Status = "inactive" }, "Switched off by Webex", toneWarn},
		"failed":            {"https://hub.example", true, func(s *WebexSubscription) { s.Status, s.Error = "failed", "refused" }, "Not working", toneBad},
		"never connected":   {"https://hub.example", false, func(s *WebexSubscription) { *s = WebexSubscription{} }, "Not connected", toneWait},
		"authorization out": {"https://hub.example", false, func(*WebexSubscription) {}, "Not connected", toneBad},
		"no https":          {"http://hub.example", true, func(*WebexSubscription) {}, "Cannot be set up", toneBad},
		"no address":        {"", true, func(*WebexSubscription) {}, "Cannot be set up", toneBad},
		"this machine":      {"http://127.0.0.1:8080", true, func(*WebexSubscription) {}, "Active", toneGood},
	} {
		p := webexPage{WebexSubscription: subscription(), Ready: c.ready}
		c.change(&p.WebexSubscription)
		p.judge(c.base)
		require.Equal(t, []string{c.label, c.tone}, []string{p.Label, p.Tone}, name)
		require.Equal(t, c.tone != toneGood, p.Advice != "", name)
	}
}

func TestWebexSecretOverlaps(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	r.connect(integration.Authorized)
	r.webex.state.OldUntil = noon.Add(time.Hour)
	ann := r.as(identity.Admin)
	require.Contains(t, ann.get("/console/webex").body, "the one before it is taken until")
	r.webex.state.OldUntil = noon
	require.NotContains(t, ann.get("/console/webex").body, "the one before it is taken until")
	require.Contains(t, ann.get("/console/webex").body, "its public-url is not set")
}

func TestWebexButtons(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	r.connect(integration.Authorized)
	ann := r.as(identity.Admin)
	for act, said := range map[string]string{"check": "the subscription is as it should be", "rotate": "taken for another 24 hours", "compare": "Open tasks were compared"} {
		r.webex.refusal = nil
		got := ann.post("/console/webex/" + act)
		require.Equal(t, []any{http.StatusSeeOther, "/console/webex"}, []any{got.status, got.header.Get("Location")})
		require.Contains(t, r.webex.asked, act+" contoso")
		require.Contains(t, ann.get("/console/webex").body, said)

		r.webex.refusal = core.Errorf(core.Unavailable, "Webex cannot be reached")
		require.Equal(t, http.StatusSeeOther, ann.post("/console/webex/"+act).status)
		require.Contains(t, ann.get("/console/webex").body, "Webex cannot be reached.")

		r.webex.refusal = http.ErrBodyNotAllowed
		require.Equal(t, http.StatusInternalServerError, ann.post("/console/webex/"+act).status)
	}
	require.Equal(t, http.StatusForbidden, r.as(identity.Integrator).post("/console/webex/rotate").status)
}
