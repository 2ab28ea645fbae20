package main_test

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/browser"
)

// pictures is where the browser's pictures go: the folder that
// TANDEM_SCREENSHOTS names, else the test's artifacts.
func pictures(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("TANDEM_SCREENSHOTS"); dir != "" {
		return dir
	}
	return t.ArtifactDir()
}

// demo is a running `tandem demo`, as its text invites people to it.
type demo struct {
	base    string // of the console
	setup   string // address with the setup token
	vendors string // address of the sandbox's vendors
	flow    string // key of adapter powerautomate
	connect string // key of adapter webex
}

func startDemo(t *testing.T) demo {
	t.Helper()
	binary, err := build()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), binary, "demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + t.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	var d demo
	setup := regexp.MustCompile(`(http://\S+)/console/setup\?token=\S+`)
	vendors := regexp.MustCompile(`at (http://127\.0\.0\.1:\d+)/ `)
	keys := regexp.MustCompile(`/(v1/ExternalTasks|webex/v1/nodes/\S+) -H 'X-Api-Key: (\S+)'`)
	for lines := bufio.NewScanner(out); d.connect == "" && lines.Scan(); {
		if m := setup.FindStringSubmatch(lines.Text()); m != nil {
			d.setup, d.base = m[0], m[1]
		}
		if m := vendors.FindStringSubmatch(lines.Text()); m != nil {
			d.vendors = m[1]
		}
		if m := keys.FindStringSubmatch(lines.Text()); m != nil && m[1] == "v1/ExternalTasks" {
			d.flow = m[2]
		} else if m != nil {
			d.connect = m[2]
		}
	}
	require.NotEmpty(t, d.setup)
	require.NotEmpty(t, d.vendors)
	require.NotEmpty(t, d.flow)
	go func() { // the demo goes on talking
		for buf := make([]byte, 4096); ; {
			if _, err := out.Read(buf); err != nil {
				return
			}
		}
	}()
	return d
}

const demoPassword = "correct horse battery"

// settle makes the first administrator.
func (d demo) settle(p *browser.Page) {
	p.Go(d.setup)
	p.Fill("#upn", "ada@contoso.example")
	p.Fill("#name", "Ada Admin")
	p.Fill("#password", demoPassword)
	p.Fill("#again", demoPassword)
	p.Follow("main button.primary")
	p.WaitText("h1", "Integrations")
}

// add adds an authorization of an integration with what its form asks for, and
// goes back to the page of the integration.
func (d demo) add(p *browser.Page, integration, grant, name string, values map[string]string) {
	p.Go(d.base + "/console/integrations/" + integration + "/authorizations/new?grant=" + grant)
	p.Fill("#name", name)
	for field, value := range values {
		p.Fill(`[name="v.`+field+`"]`, value)
	}
	p.Follow("main form button.primary")
	p.WaitText("main", "Authorization Pending")
	p.Go(d.base + "/console/integrations/" + integration)
}

// signIn goes the pop-up's way through the sandbox's sign-in page.
func signIn(t *testing.T, pop *browser.Page, shot string) {
	t.Helper()
	pop.Wait("#email")
	pop.Fill("#email", "integration@contoso.example")
	pop.Fill("#password", "sandbox")
	if shot != "" {
		pop.Screenshot(shot)
	}
	pop.Follow("#sign-in")
	pop.WaitText(".account", "integration@contoso.example")
	require.Empty(t, pop.Violations())
}

// post posts as a script of the page would, and returns the status at the end of
// all redirects.
func post(p *browser.Page, path string) int {
	return browser.Evaluate[int](p, `(() => {
		const x = new XMLHttpRequest(); x.open("POST", "`+path+`", false); x.send(); return x.status })()`)
}

const (
	salesforce = "/console/integrations/salesforce"
	authorize  = `button[id^="authorize-"]`
	row        = "tbody tr"
	flash      = `#main > .notice[role="status"]:not(#stale)` // what a step led to, said once
)

var salesforceValues = map[string]string{
	"domain": "contoso", "client_id": "3MVG9sandboxclient", "client_secret": "a secret of the sandbox",
}

// TestAnAuthorizationsLifeInTheBrowser is what an administrator does, from a
// fresh demo on. Its pictures are the README's.
func TestAnAuthorizationsLifeInTheBrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	d.settle(p)
	require.NotContains(t, p.URL(), "token")
	require.Contains(t, p.Text("main table"), "Pending Authorization")
	p.Screenshot("integrations")

	// Add and authorize through the pop-up.
	p.Go(d.base + salesforce)
	require.Contains(t, p.Text("main table"), "Authorization Pending")
	p.Follow("#add-sign-in")
	p.WaitText("h1", "Add Authorization")
	p.Screenshot("add-authorization")
	p.Fill(`[name="v.domain"]`, "not a domain!")
	require.Contains(t, browser.Evaluate[string](p, `document.querySelector('[name="v.domain"]').validity.patternMismatch+""`), "true")
	d.add(p, "salesforce", "sign-in", "Production", salesforceValues)
	p.WaitText(row, "Authorization Pending")
	pop := p.Popup(func() { p.Click(authorize) })
	signIn(t, pop, "sign-in")
	pop.Screenshot("authorized")
	legible(t, pop)
	pop.Follow(".default-form button") // the account was shown before
	pop.WaitText(".tag", "Default")
	pop.CloseWith("[data-close]")
	p.WaitText(row, "Authorized") // without a reload
	p.WaitText(row, "Default")
	require.Contains(t, p.Text(row), "integration@contoso.example")
	p.Screenshot("manage-integration")
	legible(t, p)

	// The provider takes it away; the hub notices with the next call.
	p.Follow("tbody .title")
	p.Follow("#check")
	p.WaitText(".notice.good", "works")
	v := p.Stranger()
	v.Go(d.vendors + "/salesforce/sandbox/sessions")
	v.Screenshot("sandbox-sessions")
	v.Follow("form button")
	p.Follow("#check")
	p.WaitText("main", "Re-authorization required")
	require.Contains(t, p.Text("main"), "invalid_grant")
	p.Go(d.base + salesforce)
	p.WaitText("#live .notice.bad", "Re-authorization required: Production")
	p.Screenshot("re-authorization-required")
	legible(t, p)
	p.Go(d.base + "/console/integrations")
	p.WaitText("main table", "Re-authorization required")

	// Authorize again: the default stays.
	p.Go(d.base + salesforce)
	pop = p.Popup(func() { p.Click(row + " " + authorize) })
	signIn(t, pop, "")
	pop.CloseWith("[data-close]")
	p.WaitText(row+" .pill.good", "Authorized")
	require.Contains(t, p.Text(row), "Default")

	// Edited, it is pending again. What the page said of that is over with the
	// next sign-in.
	p.Click(row + " summary")
	p.Screenshot("actions")
	p.Follow(row + ` a[href$="/edit"]`)
	require.Empty(t, p.Value(`[name="v.client_secret"]`), "a secret is never shown")
	p.Fill("#name", "Production org")
	p.Follow("main form button.primary")
	p.WaitText(flash, "Authorize it again")
	p.WaitText("#live", "Authorization Pending")
	pop = p.Popup(func() { p.Click(authorize) })
	signIn(t, pop, "")
	pop.CloseWith("[data-close]")
	p.WaitText("#live .pill.good", "Authorized")
	p.WaitGone(flash)
	p.Go(d.base + salesforce)
	p.WaitText(row, "Production org")
	p.WaitText(row, "Authorized")

	// The workflows of CXone go out with the default; what nothing uses may go.
	p.Click(row + " summary")
	p.Follow(row + ` a[href$="/remove"]`)
	p.WaitText("main", "is in use")
	require.Contains(t, p.Text("main"), "cxone/configurations.yaml")
	d.add(p, "salesforce", "sign-in", "Old org", salesforceValues)
	p.WaitText(row, "Old org")
	p.Click(row + " summary")
	p.Follow(row + ` a[href$="/remove"]`)
	p.WaitText("main", "Nothing uses it now")
	p.Follow(".button.danger.solid")
	p.WaitText(row, "Production org")
	require.Empty(t, p.Violations())
}

// TestRemoveIsRefusedWhileUsedInTheBrowser: the nodes of Webex Connect go out
// with the default.
func TestRemoveIsRefusedWhileUsedInTheBrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	d.settle(p)
	d.add(p, "webex-contact-center", "sign-in", "Contact Center", map[string]string{"client_id": "C0123456789abcdef", "client_secret": "secret of the app"})
	p.WaitText(row, "Authorization Pending")
	pop := p.Popup(func() { p.Click(authorize) })
	signIn(t, pop, "")
	pop.Follow(".default-form button")
	pop.WaitText(".tag", "Default")
	pop.CloseWith("[data-close]")
	p.WaitText(row, "Default")
	p.Screenshot("manage-webex")
	p.Click(row + " summary")
	p.Follow(row + ` a[href$="/remove"]`)
	p.WaitText("main", "is in use")
	require.Contains(t, p.Text("main"), "Create Task")
	require.Contains(t, p.Text("main"), "webex/nodes.yaml")
	p.Screenshot("remove-refused")

	// Whoever posts all the same is refused too.
	require.Equal(t, http.StatusConflict, post(p, strings.TrimPrefix(p.URL(), d.base)))
	p.Go(d.base + "/console/integrations/webex-contact-center")
	require.Contains(t, p.Text(row), "Authorized")
}

// TestStrangersInTheBrowser: who has no session, or not the one with which a
// sign-in began, gets nothing.
func TestStrangersInTheBrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	d.settle(p)
	d.add(p, "salesforce", "sign-in", "Production", salesforceValues)
	p.WaitText(row, "Authorization Pending")

	p.Go(d.base + "/oauth/callback/salesforce?code=stolen&state=invented")
	p.WaitText("main", "sign-in") // what happened and what to do
	p.Screenshot("wrong-state")
	require.Equal(t, http.StatusBadRequest, browser.Evaluate[int](p, `performance.getEntriesByType("navigation")[0].responseStatus`))

	// Somebody else's browser comes back with the answer of a sign-in begun here.
	p.Go(d.base + salesforce)
	pop := p.Popup(func() { p.Click(authorize) })
	pop.Wait("#email")
	s := p.Stranger()
	s.Go(pop.URL())
	s.Fill("#email", "mallory@contoso.example")
	s.Fill("#password", "sandbox")
	s.Follow("#sign-in")
	require.Contains(t, s.URL(), d.base)
	require.NotContains(t, s.URL(), "code=")
	require.NotContains(t, s.Text("main"), "Authorized")
	p.Go(d.base + salesforce)
	require.Contains(t, p.Text(row), "Authorization Pending")

	// The session ends while the page is open: it says so by itself, and the
	// next click leads to the sign-in and back.
	require.Equal(t, http.StatusOK, post(p, "/console/logout"))
	p.WaitText("main", "session has ended")
	p.Screenshot("session-ended")
	p.Go(d.base + salesforce)
	p.WaitText("h1", "Sign in")
	p.Fill("#upn", "ada@contoso.example")
	p.Fill("#password", demoPassword)
	p.Screenshot("login")
	p.Follow("main button.primary")
	p.WaitText("h1", "Manage Salesforce")
}

// TestPagesFitTelephonesAndBothSchemes looks at each page as small screens, dark
// rooms, weak eyes and people without a mouse see it.
func TestPagesFitTelephonesAndBothSchemes(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	p.Go(d.setup)
	legible(t, p)
	d.settle(p)
	d.add(p, "salesforce", "sign-in", "Production", salesforceValues)
	one := browser.Evaluate[string](p, `document.querySelector("tbody .title").getAttribute("href")`)
	for name, path := range map[string]string{
		"integrations": "/console/integrations", "manage": salesforce, "form": salesforce + "/authorizations/new?grant=jwt",
		"authorization": one, "edit": one + "/edit", "remove": one + "/remove", "add": "/console/integrations/zendesk",
		"mappings": "/console/mappings", "executions": "/console/executions", "playground": "/console/playground",
		"trial":    "/console/playground?integration=zendesk&operation=create-ticket",
		"breakers": "/console/breakers", "people": "/console/people", "person": "/console/people/new",
		"work": "/console/work", "tasks": "/console/tasks", "webex": "/console/webex",
	} {
		p.Width(375)
		p.Go(d.base + path)
		require.False(t, p.Overflows(), "%s at 375 px", path)
		p.Screenshot("phone-" + name)
		p.Width(1280)
		p.Dark(true)
		p.Go(d.base + path)
		p.Screenshot("dark-" + name)
		p.Dark(false)
		browser.Evaluate[bool](p, `document.querySelectorAll("details").forEach(e => e.open = true) ?? true`)
		legible(t, p)
	}
	p.Go(d.base + salesforce + "/authorizations/new?grant=sign-in")
	browser.Evaluate[bool](p, `document.querySelector("main form").noValidate = true`)
	p.Follow("main form button.primary")
	p.Wait("#problems")
	legible(t, p)
	require.Empty(t, p.Violations())

	s := p.Stranger()
	s.Go(d.base + "/console/login")
	s.Fill("#upn", "ada@contoso.example")
	s.Fill("#password", "wrong")
	s.Follow("main button.primary")
	s.WaitText("main", "password")
	legible(t, s)
}

// TestWorksWithoutScripts is an authorization's life in a browser that runs no
// scripts: forms and links do all of it.
func TestWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	p.Scripts(false)
	d.settle(p)
	p.Follow(".side form button") // out, and in again
	p.Go(d.base + salesforce)
	p.WaitText("h1", "Sign in")
	p.Fill("#upn", "ada@contoso.example")
	p.Fill("#password", demoPassword)
	p.Follow("main button.primary")
	p.WaitText("h1", "Manage Salesforce")

	d.add(p, "salesforce", "sign-in", "Production", salesforceValues)
	p.WaitText(row, "Authorization Pending")
	tab := p.Popup(func() { p.Click(authorize) })
	tab.Scripts(false)
	signIn(t, tab, "")
	tab.Follow(".default-form button")
	tab.WaitText(".tag", "Default")
	tab.Follow("[data-back]")
	tab.WaitText(row, "Authorized")
	p.Go(d.base + salesforce) // nothing follows by itself
	p.WaitText(row, "Authorized")
	p.WaitText(row, "Default")
	p.Screenshot("without-scripts")

	p.Click(row + " summary")
	p.Follow(row + ` a[href$="/edit"]`)
	p.Fill("#name", "Production org")
	p.Follow("main form button.primary")
	p.WaitText("main", "Authorize it again")
	p.Go(d.base + salesforce)
	p.WaitText(row, "Production org")
	d.add(p, "salesforce", "sign-in", "Old org", salesforceValues)
	p.WaitText(row, "Old org")
	p.Click(row + " summary")
	p.Follow(row + ` a[href$="/remove"]`)
	p.Follow(".button.danger.solid")
	p.WaitText(row, "Production org")
	require.NotContains(t, p.Text("main table"), "Old org")
	require.Empty(t, p.Violations())
}
