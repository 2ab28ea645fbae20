package console

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
)

// fakeDesk is the desk of contoso.
type fakeDesk struct {
	work    Work
	tasks   map[string]TaskView
	refusal error    // of every call that changes something
	asked   []string // who asked for what
}

func (d *fakeDesk) Work(_ context.Context, tenant, upn string) (Work, error) {
	d.asked = append(d.asked, "work "+tenant+" "+upn)
	return d.work, nil
}

func (d *fakeDesk) do(what, tenant, upn, task string) error {
	d.asked = append(d.asked, strings.Join([]string{what, tenant, upn, task}, " "))
	return d.refusal
}

func (d *fakeDesk) Accept(_ context.Context, tenant, upn, task string) error {
	return d.do("accept", tenant, upn, task)
}

func (d *fakeDesk) Return(_ context.Context, tenant, upn, task string) error {
	return d.do("return", tenant, upn, task)
}

func (d *fakeDesk) Close(_ context.Context, tenant, upn, task string) error {
	return d.do("close", tenant, upn, task)
}

func (d *fakeDesk) Task(_ context.Context, tenant, upn, task string) (TaskView, error) {
	v, ok := d.tasks[task]
	if !ok || v.Task.Tenant != tenant || upn != "" && v.Task.LastConnectedUser.UPN != upn {
		return TaskView{}, core.Errorf(core.NotFound, "There is no such task.")
	}
	return v, nil
}

func (d *fakeDesk) find(ctx context.Context, tenant, id string) (core.Task, error) {
	if id == "w-4711" {
		id = "t1"
	}
	v, err := d.Task(ctx, tenant, "", id)
	return v.Task, err
}

// fill gives the agent one task in hand and two that wait, with markup wherever
// a customer or a platform may have put some.
func (d *fakeDesk) fill() {
	inHand := core.Task{
		ID: "t1", Tenant: "contoso", State: core.StateConnected, Modality: core.Email, Priority: core.PriorityHigh,
		Created: noon.Add(-20 * time.Minute), Queued: noon.Add(-19 * time.Minute),
		Service: core.ServiceRef{ID: "s1", UPN: "support@contoso.example", DisplayName: "Support " + hostile, Target: core.PlatformWebex},
		Customer: core.Customer{
			FirstName: "Ben", LastName: "Brown " + hostile, Company: "Fabrikam", PrimaryTelNumber: "+4930901820", Email: "ben@fabrikam.example",
			PostCode: "10115", City: "Berlin", CustomFields: []core.NamedValue{{Name: hostile, Value: hostile}},
		},
		Mail:              core.Mail{Subject: "A broken " + hostile, PlainText: "It does not start.\nPlease help.", RichText: "<b>never shown</b>"},
		LastConnectedUser: core.UserRef{ID: "u1", UPN: "agent@contoso.example"},
		Parameters:        []core.NamedValue{{Name: "CaseId", Value: "35436"}, {Name: hostile, Value: hostile}, {Name: "Empty"}},
		Remote:            core.Remote{Platform: core.PlatformWebex, ID: "w-4711", State: core.RemoteOpen},
		Pops: []core.Pop{
			{URL: "ftp://files.example/x", Target: core.NewBrowserTab, At: noon.Add(-4 * time.Minute)},
			{URL: "https://crm.example/inside", Target: core.InsideDesktop, At: noon.Add(-3 * time.Minute)},
			{URL: "http://crm.example/again", Target: core.ExistingBrowserTab, Agent: "other@contoso.example" + hostile, At: noon.Add(-2 * time.Minute)},
			{URL: "https://contoso.crm.example/tickets/35436?q=" + hostile, Target: core.NewBrowserTab, At: noon.Add(-30 * time.Second)},
		},
	}
	waiting := core.Task{
		ID: "t2", Tenant: "contoso", State: core.StateQueued, Modality: core.InstantMessaging, Priority: core.PriorityVeryHigh, ContactPriority: 3,
		Created: noon.Add(-3 * time.Minute), Queued: noon.Add(-2 * time.Minute), Service: core.ServiceRef{UPN: "field@contoso.example"},
		Caller: core.Party{TelNumber: "+4915100000"}, InitialMessage: "Hello " + hostile,
		Remote: core.Remote{Platform: core.PlatformCXone, State: core.RemoteFailed, Error: "it said " + hostile},
	}
	ended := core.Task{
		ID: "t3", Tenant: "contoso", State: core.StateTerminated, Created: noon.Add(-time.Hour), Terminated: noon, Priority: "odd", Modality: "Odd",
		Service: core.ServiceRef{Name: "Plain", Target: "elsewhere"}, LastConnectedUser: core.UserRef{ID: "u9"},
	}
	d.work = Work{Agent: true, Waiting: []core.Task{waiting, ended}, InHand: []core.Task{inHand}}
	d.tasks = map[string]TaskView{
		"t1": {
			Task: inHand, Aliases: map[string][]string{core.PlatformWebex: {"w-4711", hostile}, core.PlatformCXone: nil},
			History: []core.Event{
				{Seq: 1, Name: core.Created, At: noon.Add(-20 * time.Minute)},
				{Seq: 2, Name: core.ParameterUpdated, At: noon.Add(-10 * time.Minute), Parameter: &core.NamedValue{Name: "CaseId", Value: hostile}},
				{Seq: 3, Name: core.ConnectedToUser, At: noon.Add(-time.Minute)},
			},
		},
		"t2": {Task: waiting}, "t3": {Task: ended},
		"theirs": {Task: core.Task{ID: "theirs", Tenant: "fabrikam"}},
	}
}

func TestWork(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.as(identity.Agent)
	body := b.get("/console/work").body
	require.Contains(t, body, "You are not an agent of Contoso Ltd")
	require.Contains(t, body, "agent@contoso.example")
	require.NotContains(t, body, "Nothing waits")
	r.desk.work.Agent = true
	body = b.get("/console/work").body
	for _, want := range []string{"You have no task in hand.", "Nothing waits"} {
		require.Contains(t, body, want)
	}

	r.fill()
	body = b.get("/console/work").body
	for _, want := range []string{
		"Ben Brown &lt;script&gt;", "Support &lt;script&gt;", "20 minutes ago", "+4930901820", "10115 Berlin", "35436", "A broken &lt;script&gt;", "It does not start.",
		"+4915100000", "field@contoso.example", "Very high", "contact priority 3", "2 minutes ago", "Unknown customer", "Hello &lt;script&gt;",
		`Accept<span class="sr"> task of &#43;4915100000`, `Close task<span class="sr"> of Ben`, `Back to the queue<span class="sr">: task of Ben`,
		`href="/console/tasks/t1"`, `action="/console/work/t2/accept"`, `hx-get="/console/work"`,
	} {
		require.Contains(t, strings.ReplaceAll(body, "&#43;4930901820", "+4930901820"), strings.ReplaceAll(want, "+4915100000", "&#43;4915100000"))
	}
	require.NotContains(t, body, "never shown")
	require.Contains(t, r.desk.asked, "work contoso agent@contoso.example")

	r.desk.work.Agent = false
	body = b.get("/console/work").body
	require.NotContains(t, body, "/accept", "who is no agent accepts nothing")
	require.Contains(t, body, "/close", "but may end what is in hand")
}

func TestWorkShowsSomeOfManyThatWait(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.desk.work.Agent = true
	for n := range waitingShown + 2 {
		r.desk.work.Waiting = append(r.desk.work.Waiting, core.Task{ID: fmt.Sprintf("w%02d", n), Tenant: "contoso"})
	}
	body := r.as(identity.Supervisor).get("/console/work").body
	require.Equal(t, waitingShown, strings.Count(body, "/accept"))
	require.Contains(t, body, "2 others wait behind these.")
}

// TestPops: the newest page comes first, and only web pages can be opened.
func TestPops(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	body := r.as(identity.Agent).get("/console/work").body
	_, body, _ = strings.Cut(body, `<ul class="pops">`)
	list, _, _ := strings.Cut(body, "</ul>")
	items := strings.Split(strings.TrimSuffix(list, "</li>\n"), "</li>")
	require.Len(t, items, 4)
	for n, wants := range [][]string{
		{`href="https://contoso.crm.example/tickets/35436?q=%3cscript%3ealert%28%22x%22%29%3c/script%3e"`, `target="_blank" rel="noopener noreferrer"`, ">new<", "primary", "Open contoso.crm.example"},
		{`href="http://crm.example/again"`, `target="tandem-pop" rel="opener"`, "for other@contoso.example&lt;script&gt;", "in the tab of the page before"},
		{`href="https://crm.example/inside"`, `target="_blank" rel="noopener noreferrer"`, "inside the desktop"},
		{"No web page", "cannot be opened"},
	} {
		for _, want := range wants {
			require.Contains(t, items[n], want)
		}
		require.Equal(t, n == 0, strings.Contains(items[n], ">new<"))
	}
	require.NotContains(t, list, "ftp:")

	for _, address := range []string{"", "javascript:alert(1)", "data:text/html,x", "//crm.example/x", "https:///x", "https:x", "/console/people", "http://[", "\x00https://x"} {
		got := pop(core.Pop{URL: address, Target: core.NewBrowserTab}, noon)
		require.Empty(t, got.URL, address)
		require.NotEmpty(t, got.Note, address)
	}
}

func TestActs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	b := r.as(identity.Agent)
	for act, said := range map[string]string{"accept": "The task is yours now", "return": "back in the queue", "close": "The task is closed."} {
		r.desk.refusal = nil
		got := b.post("/console/work/t2/" + act)
		require.Equal(t, []any{http.StatusSeeOther, "/console/work"}, []any{got.status, got.header.Get("Location")})
		require.Contains(t, r.desk.asked, act+" contoso agent@contoso.example t2")
		require.Contains(t, b.get("/console/work").body, said)

		r.desk.refusal = core.Errorf(core.Conflict, "somebody else was faster")
		require.Equal(t, http.StatusSeeOther, b.post("/console/work/t2/"+act).status)
		require.Contains(t, b.get("/console/work").body, "Somebody else was faster.")

		r.desk.refusal = http.ErrBodyNotAllowed
		require.Equal(t, http.StatusInternalServerError, b.post("/console/work/t2/"+act).status)
	}
}

func TestTaskPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	for _, role := range identity.Roles {
		b := r.as(role)
		got := b.get("/console/tasks/t1")
		require.Equal(t, http.StatusOK, got.status)
		for _, want := range []string{
			"Task of Ben Brown &lt;script&gt;", "In hand", "agent@contoso.example", "Webex Contact Center", "w-4711", "Open contoso.crm.example", "35436",
			"Parameter Updated", "CaseId = &lt;script&gt;", "4 March 2026, 11:59:00.000 UTC", `rel="noopener noreferrer"`,
		} {
			require.Contains(t, got.body, want)
		}
		require.Less(t, strings.Index(got.body, ">Created<"), strings.Index(got.body, "Parameter Updated"))
		require.NotContains(t, got.body, "tandem-pop")
		require.Equal(t, role == identity.Agent, strings.Contains(got.body, `<li><a href="/console/work">My work</a></li>`), "the way back")
		want := http.StatusOK
		if role == identity.Agent {
			want = http.StatusNotFound
		}
		require.Equal(t, want, b.get("/console/tasks/t2").status, "another agent's")
		require.Equal(t, http.StatusNotFound, b.get("/console/tasks/theirs").status)
	}
	vic := r.browser()
	vic.signIn("viewer@contoso.example")
	body := vic.get("/console/tasks/t2").body
	for _, want := range []string{"CXone could not take the task.", "It said &lt;script&gt;", "Not known yet", "Waits for an agent", "Nothing is noted yet"} {
		require.Contains(t, body, want)
	}
	trying := r.desk.tasks["t2"]
	trying.Task.Remote.State = core.RemoteRequested
	r.desk.tasks["t2"] = trying
	body = vic.get("/console/tasks/t2").body
	require.NotContains(t, body, "could not take the task")
	for _, want := range []string{"CXone has not taken the task yet.", "It said &lt;script&gt;", "The hub tries again", "Is being made"} {
		require.Contains(t, body, want)
	}
	body = vic.get("/console/tasks/t3").body
	for _, want := range []string{"Ended", "elsewhere", "Last agent", "u9", "is on another platform"} {
		require.Contains(t, body, want)
	}
	view := r.desk.tasks["t3"]
	for n := range historyLength + 1 {
		view.History = append(view.History, core.Event{Seq: n + 1, Name: core.ParameterUpdated, At: noon})
	}
	r.desk.tasks["t3"] = view
	body = vic.get("/console/tasks/t3").body
	require.Contains(t, body, "1 earlier event is not shown.")
	require.Equal(t, historyLength, strings.Count(body, "Parameter Updated"))
}

func TestFindTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	sue := r.as(identity.Supervisor)
	require.NotContains(t, sue.get("/console/tasks").body, "No task has this name")
	for asked, want := range map[string]string{"t1": "t1", "+w-4711+": "t1", "t3": "t3"} {
		got := sue.get("/console/tasks?id=" + asked)
		require.Equal(t, []any{http.StatusSeeOther, "/console/tasks/" + want}, []any{got.status, got.header.Get("Location")})
	}
	for _, asked := range []string{"theirs", "nothing", "%3Cscript%3E", strings.Repeat("x", maxTaskName+1)} {
		got := sue.get("/console/tasks?id=" + asked)
		require.Equal(t, http.StatusOK, got.status)
		require.Contains(t, got.body, "No task has this name", asked)
	}
	require.Equal(t, http.StatusForbidden, r.as(identity.Agent).get("/console/tasks?id=t1").status)
}

func TestStatesHaveWords(t *testing.T) {
	t.Parallel()
	for _, s := range []core.State{core.StateCreated, core.StateAccepted, core.StateQueued, core.StateOffered, core.StateConnected, core.StateTerminated, "odd"} {
		tone, label := state(s)
		require.NotEmpty(t, tone)
		require.Equal(t, s == "odd", label == string(s))
	}
	for _, s := range []core.RemoteState{core.RemoteRequested, core.RemoteOpen, core.RemoteFailed, core.RemoteEnded, "odd"} {
		tone, label := remoteState(s)
		require.NotEmpty(t, tone)
		require.Equal(t, s == "odd", label == string(s))
	}
	for _, m := range core.Modalities {
		require.NotEmpty(t, mediums[m])
	}
	for _, p := range core.Priorities {
		require.NotEmpty(t, priorities[p])
	}
}
