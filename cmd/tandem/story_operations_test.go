package main_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/browser"
)

// TestOperationsLifeInTheBrowser is what an integrator does, from a fresh demo
// on. Some of its pictures are the README's.
func TestOperationsLifeInTheBrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	d.settle(p)

	// The runs of the demo's script are there, and say why they failed.
	p.Go(d.base + "/console/executions")
	p.WaitText("main", "Zendesk / Create Ticket")
	for _, branch := range []string{"Success", "InternalError", "AUTHORIZATION_REQUIRED", "Timeout", "ValidationError", "InvalidWorkflow"} {
		require.Contains(t, p.Text("main"), branch)
	}
	require.NotContains(t, p.Text("main"), "NotConfigured", "that is another tenant's run")
	p.Screenshot("executions")
	legible(t, p)
	p.Fill("#title", "search for ani")
	p.Select("#show", "failed")
	p.Follow("form.filter button")
	p.WaitText("tbody", "Timeout")
	require.NotContains(t, p.Text("tbody"), "Create Ticket")
	p.Go(d.base + "/console/executions?title=Zendesk+/+Create+Ticket")
	p.Follow("tbody .title")
	p.WaitText("main", "Parcel has not arrived")
	p.Screenshot("execution")
	legible(t, p)

	// An operation runs against recorded answers, and for real.
	p.Go(d.base + "/console/playground?integration=hubspot&operation=search-ani")
	p.Follow("#run")
	p.WaitText("#outcome", "as recorded")
	p.Click("#mode-live")
	p.Fill("#input", `{"phoneNumber": "+41445551234"}`)
	p.Follow("#run")
	p.WaitText("#outcome", "Sofia")
	require.Contains(t, p.Text("#outcome"), "/crm/v3/objects/contacts/search answered 200")
	p.Screenshot("playground")
	legible(t, p)
	p.Fill("#input", "{\n  \"phoneNumber\": \n}")
	p.Follow("#run")
	p.WaitText("main", "Line 3")

	// What changes something asks first.
	p.Go(d.base + "/console/playground?integration=zendesk&operation=create-ticket")
	p.Click("#mode-live")
	p.Follow("#run")
	p.Wait("#confirm-error")
	p.Click("#confirm")
	p.Click("#mode-live")
	p.Follow("#run")
	p.WaitText("#outcome", "Ticket")

	p.Go(d.base + "/console/mappings")
	p.Screenshot("mappings")
	p.Click(`details[id="folder-directory/"] summary`)
	require.Contains(t, p.Text("main"), "contoso.yaml")
	require.NotContains(t, p.Text("main"), "fabrikam.yaml", "that is another tenant's")
	p.Click(`details[id="folder-salesforce/"] summary`)
	require.Contains(t, p.Text("main"), "search-ani.yaml")
	p.Screenshot("mappings-folder")
	legible(t, p)
	require.Empty(t, p.Violations())
}

// TestARefusedFileIsShownInTheBrowser: a page that is open shows it by itself.
func TestARefusedFileIsShownInTheBrowser(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	r := c.serving(t, "")
	h := r.start(t)
	out, err := r.Run(t.Context(), "setup-token", "--tenant", tenant)
	require.NoError(t, err)
	token := regexp.MustCompile(`\b[A-Za-z0-9_-]{32,}\b`).FindString(out)
	require.NotEmpty(t, token, out)
	p := browser.New(t, pictures(t))
	demo{base: h.URL, setup: h.URL + "/console/setup?token=" + token}.settle(p)
	p.Go(h.URL + "/console/mappings")
	p.Click(`details[id="folder-workflows/"] summary`)
	require.NotContains(t, p.Text("main"), "find.yaml")
	r.write(t, "crm/find.yaml", strings.Replace(proofOperation, "input.phoneNumber", "input.phoneNmber", 1))
	p.WaitText("main", "crm/find.yaml:7:")
	p.WaitText("main", `did you mean "phoneNumber"?`)
	require.Contains(t, p.Text("main"), "find.yaml\n", "its folder is unfolded")
	require.Contains(t, p.Text("main"), "slow.yaml", "what somebody unfolded stays so")
	p.Screenshot("mapping-refused")
	legible(t, p)
	r.write(t, "crm/find.yaml", proofOperation)
	p.WaitGone("#findings")
	require.Empty(t, p.Violations())
}
