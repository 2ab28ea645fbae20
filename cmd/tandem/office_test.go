package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/core/engine"
	"tandem/core/integration"
	"tandem/mappings"
)

// office is a hub of the samples that serves in this process, with the sandbox's
// vendors for its platforms.
type office struct {
	*hub
	t       *testing.T
	vendors *sandbox.Vendors
	base    string
	key     string // of Webex Connect flows
	diary   *diary
	client  *http.Client
}

// diary is a log.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

const (
	officeField   = "field@contoso.example"
	officeSupport = "support@contoso.example"
	officeAgent   = "agent1@contoso.example"
)

var officeConnections = []integration.Draft{
	{Integration: webexIntegration, Grant: "token", Name: "Sandbox", Values: map[string]string{
		"token": "sandbox", "region": "us1", "org_id": sandbox.WebexOrg, "domain": "produs1",
	}},
	{Integration: "webex-engage", Grant: "client-credentials", Name: "Sandbox", Values: map[string]string{
		"site": "us-site-1", "client_id": "tenant-1", "client_secret": "sandbox",
	}},
	{Integration: "zendesk", Grant: "api-token", Name: "Sandbox", Values: map[string]string{
		"subdomain": "contoso", "email": "hub@contoso.example", "api_token": "sandbox",
	}},
}

// openOffice starts a hub that has authorized Webex and Zendesk, and hears of
// what happens there. hosts may be called besides.
func openOffice(t *testing.T, hosts ...string) *office {
	t.Helper()
	vendors, err := sandbox.NewVendors(core.SystemClock{})
	require.NoError(t, err)
	t.Cleanup(vendors.Close)
	dir := t.TempDir()
	p := &program{getenv: func(string) string { return "" }, given: &settings{}}
	listen, admins := "127.0.0.1:0", "127.0.0.1:0"
	p.given.Listen, p.given.AdminListen, p.given.DataDir = &listen, &admins, &dir
	c, err := p.load()
	require.NoError(t, err)
	c.AllowHosts = append(append(c.AllowHosts, vendors.Addr()), hosts...)
	c.shipped = vendors.Mappings(mappings.FS)
	o := &office{t: t, vendors: vendors, diary: &diary{}, client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	o.hub, err = newHub(t.Context(), c, slog.New(slog.NewJSONHandler(o.diary, nil)))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- o.serve(ctx, func() { close(ready) }) }()
	t.Cleanup(func() {
		o.client.CloseIdleConnections()
		stop()
		require.NoError(t, <-ended)
	})
	<-ready
	o.base = "http://" + o.callers.Addr().String()
	require.NoError(t, o.connect(t.Context(), officeConnections))
	o.check()
	o.key, err = demoKey(t.Context(), o.db, demoTenant, core.PlatformWebex, demoUser)
	require.NoError(t, err)
	return o
}

// signIn authorizes Webex with a token that can be renewed, which is the default
// from then on.
func (o *office) signIn() {
	o.t.Helper()
	ctx := o.t.Context()
	a, err := o.authorizations.Add(ctx, demoTenant, demoUser, integration.Draft{
		Integration: webexIntegration, Grant: "sign-in", Name: "Signed in", Values: map[string]string{
			"region": "us1", "org_id": sandbox.WebexOrg, "domain": "produs1", "client_id": "C0123456789abcdef", "client_secret": "a secret of the sandbox",
		},
	})
	require.NoError(o.t, err)
	to, err := o.authorizations.Begin(ctx, demoTenant, a.ID, "a session")
	require.NoError(o.t, err)
	form := url.Values{"email": {"ada@vendor.example"}, "password": {"sandbox"}, "action": {"sign-in"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	require.NoError(o.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	require.NoError(o.t, err)
	require.NoError(o.t, res.Body.Close())
	back, err := res.Location()
	require.NoError(o.t, err)
	_, err = o.authorizations.Finish(ctx, demoTenant, "a session", webexIntegration, back.Query())
	require.NoError(o.t, err)
	require.NoError(o.t, o.authorizations.MakeDefault(ctx, demoTenant, a.ID, ""))
}

// check makes sure of the subscription; somebody else may be at it.
func (o *office) check() {
	o.t.Helper()
	o.soon(func() bool {
		err := o.webex.Check(o.t.Context(), demoTenant)
		if core.KindOf(err) == core.Conflict && err != nil {
			return false
		}
		require.NoError(o.t, err)
		return true
	})
	require.True(o.t, o.listening(demoTenant))
}

// soon waits until something is so.
func (o *office) soon(good func() bool) {
	o.t.Helper()
	require.Eventually(o.t, good, 20*time.Second, 5*time.Millisecond)
}

// outcome is what a node answered.
type outcome struct {
	Outcome string
	Outputs map[string]any
	Error   *struct {
		Code           string
		Message        string
		Retryable      bool
		UpstreamStatus int
	}

	status int
	took   time.Duration
	text   string
}

// call calls a node as a flow of Webex Connect does.
func (o *office) call(node string, body map[string]any) outcome { return o.callAs(o.key, node, body) }

func (o *office) callAs(key, node string, body map[string]any) (out outcome) {
	o.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(o.t, err)
	began := time.Now()
	res := o.post("/webex/v1/nodes/"+node, string(text), http.Header{"Authorization": {"Bearer " + key}})
	out.took, out.status, out.text = time.Since(began), res.status, res.text
	require.NoError(o.t, json.Unmarshal([]byte(res.text), &out), res.text)
	return out
}

type reply struct {
	status int
	text   string
}

func (o *office) post(path, body string, header http.Header) reply {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodPost, o.base+path, strings.NewReader(body))
	require.NoError(o.t, err)
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	res, err := o.client.Do(req)
	require.NoError(o.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(o.t, err)
	return reply{res.StatusCode, string(text)}
}

// task is a task by its name at Webex or at the hub.
func (o *office) task(id string) core.Task {
	o.t.Helper()
	t, err := o.engine.Find(o.t.Context(), engine.Ref{Tenant: demoTenant, Platform: core.PlatformWebex, ID: id})
	require.NoError(o.t, err)
	return t
}

// becomes waits until a task is as it should be, and returns it.
func (o *office) becomes(id string, good func(t *core.Task) bool) core.Task {
	o.t.Helper()
	var last core.Task
	ok := func() bool { last = o.task(id); return good(&last) }
	for range 4000 {
		if ok() {
			return last
		}
		<-time.After(5 * time.Millisecond)
	}
	for _, d := range o.vendors.Webex().Deliveries() {
		if d.TaskID == last.Remote.ID {
			o.t.Logf("%+v", d)
		}
	}
	require.Fail(o.t, "the task did not become so", "%+v", last)
	return last
}

// there is the sandbox's side of a task.
func (o *office) there(id string) sandbox.WebexTask {
	o.t.Helper()
	remote := o.task(id).Remote.ID
	for _, t := range o.vendors.Webex().Tasks() {
		if t.ID == remote {
			return t
		}
	}
	require.Fail(o.t, "there is no such task at Webex", "%q", remote)
	return sandbox.WebexTask{}
}

// made calls Create Task for the field service, and returns the id it chose.
func (o *office) made() string {
	o.t.Helper()
	id := newTaskID()
	out := o.call("create-task/create", createBody(id))
	require.Equal(o.t, "created", out.Outcome, out.text)
	return id
}

// queued is made for a task that waits for an agent.
func (o *office) queued() string {
	o.t.Helper()
	id := o.made()
	o.becomes(id, func(t *core.Task) bool { return t.State == core.StateQueued && t.Remote.State == core.RemoteOpen })
	o.vendors.Webex().Deliveries()
	return id
}

// newTaskID is an id as flows choose them.
func newTaskID() string { return core.NewID(core.SystemClock{}.Now()) }

func createBody(id string) map[string]any {
	return map[string]any{
		"Task ID": id, "Conversation ID": "conv-" + id, "Destination": officeField, "Media Type": "Work Item", "Media Channel": "Work Item",
		"Customer ID": "C-1002", "Customer Name": "Jane Doe", "Origin": "+41445551234",
	}
}

// wrote counts the requests that had an effect at Webex, by the end of their path.
func (o *office) wrote(end string) (n int) {
	for _, e := range o.vendors.Ledger(webexIntegration) {
		if e.Applied && strings.HasSuffix(e.Path, end) {
			n++
		}
	}
	return n
}

// asked counts the requests with and without effect.
func (o *office) asked(end string) (n int) {
	for _, e := range o.vendors.Ledger(webexIntegration) {
		if strings.HasSuffix(e.Path, end) {
			n++
		}
	}
	return n
}

// open are the tasks at Webex that are not over.
func (o *office) open() (open []sandbox.WebexTask) {
	for _, t := range o.vendors.Webex().Tasks() {
		if t.State != "completed" && t.State != "abandoned" && t.State != "failed" {
			open = append(open, t)
		}
	}
	return open
}
