package main_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/browser"
)

const deskAgent = "agent1@contoso.example"

// newAgent makes an account of an agent of the directory, and returns the
// agent's own browser, signed in.
func (d demo) newAgent(p *browser.Page) *browser.Page {
	p.Go(d.base + "/console/people/new")
	p.Fill("#upn", deskAgent)
	p.Fill("#name", "Ann Agent")
	p.Fill("#password", demoPassword)
	p.Fill("#again", demoPassword)
	p.Click(`input[name="role"][value="agent"]`)
	p.Follow("main form button.primary")
	p.WaitText("main table", deskAgent)
	a := p.Stranger()
	a.Go(d.base + "/console/login")
	a.Fill("#upn", deskAgent)
	a.Fill("#password", demoPassword)
	a.Follow("main button.primary")
	a.Go(d.base + "/console/work")
	a.WaitText("h1", "My work")
	return a
}

// task adds a task of the support, as the demo's flow does, and returns its id.
func (d demo) task(t *testing.T, customer string) string {
	t.Helper()
	a := call(t, d.flow, http.MethodPost, d.base+addPath, `{"serviceUpn":"support@contoso.example","customerIdentifier":"`+customer+`"}`)
	require.Equal(t, http.StatusOK, a.status, a.body)
	var task struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(a.body), &task))
	return task.ID
}

// node calls a node as a flow of Webex Connect does, and returns its outcome.
func (d demo) node(t *testing.T, method string, fields map[string]any) string {
	t.Helper()
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	a := call(t, d.connect, http.MethodPost, d.base+"/webex/v1/nodes/"+method, string(body))
	require.Equal(t, http.StatusOK, a.status, a.body)
	var answer struct{ Outcome string }
	require.NoError(t, json.Unmarshal([]byte(a.body), &answer))
	return answer.Outcome
}

// legible holds what is true of every page in both schemes: no text is faint, and
// no control is out of the Tab key's way.
func legible(t *testing.T, p *browser.Page) {
	t.Helper()
	at := p.URL()
	for _, dark := range []bool{true, false} { // it ends as it began
		p.Dark(dark)
		require.Empty(t, p.Faint(), "dark: %t, %s", dark, at)
	}
	require.Empty(t, p.Unreachable(), at)
}

// fits holds what is true of a page on every screen, and takes its pictures.
func fits(t *testing.T, p *browser.Page, url, name string) {
	t.Helper()
	p.Width(375)
	p.Go(url)
	require.False(t, p.Overflows(), "%s at 375 px", name)
	p.Screenshot("phone-" + name)
	p.Width(1280)
	p.Dark(true)
	p.Go(url)
	p.Screenshot("dark-" + name)
	p.Dark(false)
	p.Go(url)
	p.Screenshot(name)
	legible(t, p)
}

// TestAnAgentsDayInTheBrowser: a task waits, is taken, gets a page from a flow of
// Webex Connect, and is closed.
func TestAnAgentsDayInTheBrowser(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	p := browser.New(t, pictures(t))
	d.settle(p)
	a := d.newAgent(p)
	id, other := d.task(t, "C-1003"), d.task(t, "C-1004")

	a.WaitText("main", "Accept") // the page follows the hub by itself
	a.Wait("#accept-" + id)
	a.Follow("#accept-" + id)
	a.WaitText("#in-hand", "1")
	require.Equal(t, "onScreenPopSuccess", d.node(t, "screen-pop/pop", map[string]any{
		"taskId": id, "agentId": deskAgent, "screenPopUrl": "https://crm.contoso.example/customers/C-1003",
		"queryParameters": map[string]string{"task": id}, "target": "New Browser Tab",
	}))
	a.WaitText("main", "Open crm.contoso.example")
	require.Equal(t, "https://crm.contoso.example/customers/C-1003?task="+id,
		browser.Evaluate[string](a, `document.querySelector(".pops a").href`))
	fits(t, a, d.base+"/console/work", "desk-task-in-hand")
	fits(t, a, d.base+"/console/tasks/"+id, "desk-task")
	a.Go(d.base + "/console/tasks/" + other) // nobody's yet
	require.NotContains(t, a.Text("main"), "Task of")
	a.Go(d.base + "/console/tasks")
	require.NotContains(t, a.Text("main"), "Contoso Support", "lists are for those who look after others")

	// Somebody who looks after tasks finds it by its id.
	fits(t, p, d.base+"/console/tasks/"+id, "task")
	require.Contains(t, p.Text("main"), deskAgent)
	fits(t, p, d.base+"/console/webex", "webex-subscribed")
	require.Contains(t, p.Text("main"), "Demo")

	a.Go(d.base + "/console/work")
	a.Follow("#return-" + id)
	a.Wait("#accept-" + id)
	require.Equal(t, "onTaskRouted", d.node(t, "routed-notification/accept", map[string]any{
		"taskId": id, "agentId": deskAgent, "mediaResourceId": "m", "mediaType": "workItem",
	}))
	a.Wait("#close-" + id)
	a.Follow("#close-" + id)
	a.WaitGone("#close-" + id)
	require.Equal(t, "onScreenPopFailure", d.node(t, "screen-pop/pop", map[string]any{
		"taskId": id, "agentId": deskAgent, "screenPopUrl": "https://crm.contoso.example/",
	}))
	require.Empty(t, a.Violations())
	require.Empty(t, p.Violations())
}
