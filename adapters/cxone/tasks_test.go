package cxone

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/server"
	"tandem/core/store"
)

// errSlow lets the engine come to no end before its caller's time does.
var errSlow = errors.New("slow")

// fragile is an engine that may fail.
type fragile struct {
	Engine

	r *rig
}

func (f fragile) Find(ctx context.Context, ref engine.Ref) (core.Task, error) {
	if errors.Is(f.r.broken, errSlow) {
		<-ctx.Done()
		return core.Task{}, ctx.Err()
	}
	if f.r.broken != nil {
		return core.Task{}, f.r.broken
	}
	return f.Engine.Find(ctx, ref)
}

const (
	desk    = "desk@contoso.example"
	items   = "items@contoso.example"
	webexID = "9f0c6a0e-0000-4000-8000-000000000001"
)

const waiting = `name: task
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - {activity: Queue Task, max_queue_time: 1h}
  - activity: Disconnect Conversation
`

// keepTask makes a task that waits in the queue of a service.
func (r *rig) keepTask(t testing.TB, service string, change func(n *engine.NewTask)) core.Task {
	t.Helper()
	w, findings := flow.Parse("workflows/task.yaml", []byte(waiting))
	require.Empty(t, findings)
	require.NoError(t, r.engine.Keep(t.Context(), map[string]*flow.Workflow{w.Name: w}))
	tenant, _, _ := strings.Cut(service[strings.IndexByte(service, '@')+1:], ".")
	n := engine.NewTask{Workflow: w, Task: core.Task{
		Tenant: tenant, Service: core.ServiceRef{UPN: service}, Modality: core.ExternalTask, CustomerIdentifier: "C-1",
		Customer: core.Customer{FirstName: "Jane", LastName: "Doe"}, Parameters: []core.NamedValue{{Name: "Case", Value: "7"}},
	}}
	if change != nil {
		change(&n)
	}
	id, err := r.engine.Create(t.Context(), n, func(t *core.Task) ([]byte, error) { return []byte(t.ID), nil })
	require.NoError(t, err)
	return r.taskNow(t, tenant, string(id))
}

func (r *rig) taskNow(t testing.TB, tenant, id string) core.Task {
	t.Helper()
	task, err := r.engine.Find(t.Context(), engine.Ref{Tenant: tenant, ID: id})
	require.NoError(t, err)
	return task
}

// workItem makes a task that has a work item, whose contact is 4711.
func (r *rig) workItem(t testing.TB) core.Task {
	t.Helper()
	task := r.keepTask(t, items, func(n *engine.NewTask) { n.Platform, n.Alias = core.PlatformCXone, "4711" })
	_, err := r.engine.Change(t.Context(), engine.Ref{Tenant: "contoso", ID: task.ID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		c.SetRemote(core.Remote{Platform: core.PlatformCXone, ID: "4711", State: core.RemoteOpen})
		return nil
	})
	require.NoError(t, err)
	return r.taskNow(t, "contoso", task.ID)
}

// ends counts what is to be ended at a target.
func (r *rig) ends(t testing.TB) int {
	t.Helper()
	n, err := r.db.OutboxDepth(t.Context())
	require.NoError(t, err)
	return n
}

func aboutTask(t testing.TB, workflow string, input object, more ...any) string {
	t.Helper()
	return body(t, workflow, object{"workflowInput": input}, append([]any{"configurationId", tasksID}, more...)...)
}

// shownTask is the one record of an answer, with its fields by name.
func shownTask(t testing.TB, set map[string]any) (object, map[string]string) {
	t.Helper()
	entry := set["result"].([]any)[0].(object)
	require.Equal(t, object{"type": "tandem", "label": "Tandem", "icon": "", "baseUrl": ""}, entry["system"])
	require.Len(t, entry["records"], 1)
	record := entry["records"].([]any)[0].(object)
	fields := map[string]string{}
	for _, f := range record["fields"].([]any) {
		fields[f.(object)["name"].(string)] = f.(object)["value"].(string)
	}
	return record, fields
}

func TestGetTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := r.keepTask(t, desk, func(n *engine.NewTask) { n.Platform, n.Alias = core.PlatformWebex, webexID })
	item := r.workItem(t)
	for name, c := range map[string]struct{ id, b string }{
		"its id":      {task.ID, aboutTask(t, getID, object{"taskId": strings.ToUpper(task.ID)})},
		"at Webex":    {task.ID, aboutTask(t, getID, object{"taskId": webexID})},
		"at CXone":    {item.ID, aboutTask(t, getID, object{"taskId": 4711}, "contactId", nil)},
		"the contact": {item.ID, aboutTask(t, getID, nil)},
		"no input":    {item.ID, body(t, getID, object{}, "configurationId", tasksID)},
		"empty":       {item.ID, aboutTask(t, getID, object{"taskId": ""})},
	} {
		s := r.execute(t, admin, c.b)
		require.Equal(t, branchSuccess, s.Branch, "%s: %+v", name, s.ErrorArgs)
		require.NotEmpty(t, s.CacheKey)
		record, fields := shownTask(t, s.ResultSet)
		require.Equal(t, c.id, record["id"], name)
		require.Equal(t, []any{"Task", "Task", "", false}, []any{record["type"], record["label"], record["url"], record["screenPop"]})
		require.Equal(t, "queued", fields["state"])
		require.Equal(t, "7", fields["Case"])
	}
	record, fields := shownTask(t, r.execute(t, clerk, aboutTask(t, getID, object{"taskId": task.ID})).ResultSet)
	require.Equal(t, "Jane Doe, "+desk, record["display"])
	require.Equal(t, map[string]string{
		"state": "queued", "priority": "Normal", "service": desk, "queuedSince": "2026-01-02T03:04:05Z", "customerIdentifier": "C-1",
		"customerName": "Jane Doe", "agent": "", "Case": "7",
	}, fields)

	rec := r.do(admin, http.MethodPost, addressOf(tasksID, getID), `{"contactId":"4711"}`)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	require.Contains(t, rec.Body.String(), item.ID)
	rec = r.do(admin, http.MethodGet, "/InContactAPI/services/v27.0/agent-integration/configuration/"+tasksID+"/entities", "")
	require.JSONEq(t, `{"entities":[]}`, rec.Body.String())

	for _, run := range r.log.all() {
		require.NotContains(t, run.Input+run.Result, "Jane")
		require.NotContains(t, run.Input+run.Result, "C-1")
	}
	require.Contains(t, r.log.all()[0].Title, "Tasks / Get Task")
}

func TestUpdateTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := r.keepTask(t, desk, nil)
	update := func(parameters any) said {
		return r.execute(t, clerk, aboutTask(t, updateID, object{"taskId": task.ID, "parameters": parameters}))
	}
	// The same twice, and to and fro: each call counts.
	for _, value := range []any{"8", "8", 9, "8"} {
		s := update(object{"Case": value, "Urgent": true, "Empty": nil})
		require.Equal(t, branchSuccess, s.Branch, "%+v", s.ErrorArgs)
		_, fields := shownTask(t, s.ResultSet)
		require.Equal(t, fmt.Sprint(value), fields["Case"])
	}
	require.Equal(t, []core.NamedValue{{Name: "Case", Value: "8"}, {Name: "Empty"}, {Name: "Urgent", Value: "true"}}, r.taskNow(t, "contoso", task.ID).Parameters)

	many := func(from, n int, value string) object {
		all := object{}
		for i := range n {
			all[fmt.Sprintf("P%03d", from+i)] = value
		}
		return all
	}
	for name, c := range map[string]struct {
		parameters any
		want       string
	}{
		"none":            {object{}, "must be an object with 1 to 20 parameters"},
		"too many":        {many(0, 21, "x"), "must be an object with 1 to 20 parameters"},
		"no object":       {"Case=7", "must be an object"},
		"no text":         {object{"Case": []any{"7"}}, "every value must be a text"},
		"no name":         {object{"": "7"}, "a name must have 1 to 256 characters"},
		"a long name":     {object{strings.Repeat("é", 257): "7"}, "a name must have 1 to 256 characters"},
		"a long value":    {object{"Case": strings.Repeat("é", 4097)}, "a value must have 4096 characters or less"},
		"a control":       {object{"Case": "a\x07"}, "a value must have 4096 characters or less"},
		"a control there": {object{"Ca\nse": "a"}, "a name must have"},
	} {
		s := update(c.parameters)
		require.Equal(t, "ValidationError", s.Branch, name)
		require.Contains(t, s.ErrorArgs.Message, "workflowInput.parameters: "+c.want, name)
	}
	require.Equal(t, branchSuccess, update(object{strings.Repeat("é", 256): strings.Repeat("é", 4096)}).Branch)

	// A task with more than an answer holds is updated, and seen without them.
	for from := 0; from < 80; from += 20 {
		s := update(many(from, 20, strings.Repeat("x", 1000)))
		require.Equal(t, branchSuccess, s.Branch)
	}
	_, fields := shownTask(t, update(object{"Case": "10"}).ResultSet)
	require.NotContains(t, fields, "Case")
	require.Equal(t, "queued", fields["state"])
	s := r.execute(t, clerk, aboutTask(t, getID, object{"taskId": task.ID}))
	require.Equal(t, "RESULT_TOO_LARGE", s.ErrorArgs.Code)
	s = update(many(80, 20, "x"))
	require.Contains(t, s.ErrorArgs.Message, "more than 100 parameters")
	require.Len(t, r.taskNow(t, "contoso", task.ID).Parameters, 84, "nothing of it")
}

func TestQueueTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := r.keepTask(t, desk, nil)
	queue := func(input object, who, id string) said {
		input["taskId"] = task.ID
		return r.execute(t, who, aboutTask(t, id, input))
	}
	_, err := r.engine.Change(t.Context(), engine.Ref{Tenant: "contoso", ID: task.ID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		return c.Connect(core.UserRef{UPN: agent}, false)
	})
	require.NoError(t, err)
	for range 2 {
		s := queue(object{"priority": "3"}, clerk, queueID)
		require.Equal(t, branchSuccess, s.Branch, "%+v", s.ErrorArgs)
		now := r.taskNow(t, "contoso", task.ID)
		require.Equal(t, core.StateQueued, now.State)
		require.Equal(t, 3, now.ContactPriority)
	}
	s := queue(object{"service": strings.ToUpper(items)}, admin, raiseID)
	require.Equal(t, branchSuccess, s.Branch, "%+v", s.ErrorArgs)
	now := r.taskNow(t, "contoso", task.ID)
	require.Equal(t, items, now.Service.UPN)
	require.Equal(t, 1, now.ContactPriority)
	require.Equal(t, core.Remote{Platform: core.PlatformCXone, State: core.RemoteRequested}, now.Remote, "a work item is made")

	s = queue(object{"service": desk}, admin, queueID)
	require.Equal(t, []any{branchInternalError, "TASK_THERE"}, []any{s.Branch, s.ErrorArgs.Code}, "CXone has it")
	s = queue(object{"service": "nobody@contoso.example"}, admin, queueID)
	require.Equal(t, "workflowInput.service: is not a service of the tenant", s.ErrorArgs.Message)
	for _, priority := range []any{0, 10, -1, "10"} {
		s = queue(object{"priority": priority}, admin, queueID)
		require.Contains(t, s.ErrorArgs.Message, "workflowInput.priority: must be from 1", priority)
	}
	s = queue(object{"priority": "high"}, admin, queueID)
	require.Equal(t, "workflowInput.priority: must be a whole number", s.ErrorArgs.Message)
	s = queue(object{"service": desk}, clerk, queueID)
	require.Equal(t, []any{branchInternalError, "FORBIDDEN"}, []any{s.Branch, s.ErrorArgs.Code}, "it is not the clerk's any more")
	task = r.keepTask(t, desk, nil)
	s = queue(object{"service": items}, clerk, queueID)
	require.Equal(t, "FORBIDDEN", s.ErrorArgs.Code, "nor may the clerk put one there")
}

func TestConnectTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	task := r.keepTask(t, desk, nil)
	connect := func(id string, name any) said {
		return r.execute(t, admin, aboutTask(t, connectID, object{"taskId": id, "agent": name}))
	}
	for range 2 {
		s := connect(task.ID, strings.ToUpper(agent))
		require.Equal(t, branchSuccess, s.Branch, "%+v", s.ErrorArgs)
		_, fields := shownTask(t, s.ResultSet)
		require.Equal(t, []string{"connected", agent}, []string{fields["state"], fields["agent"]})
	}
	for _, name := range []string{clerk, "nobody@contoso.example"} {
		s := connect(task.ID, name)
		require.Equal(t, "workflowInput.agent: is not a member of "+desk, s.ErrorArgs.Message)
	}
	for _, name := range []any{nil, "", "a\x07"} {
		s := connect(task.ID, name)
		require.Equal(t, "workflowInput.agent: must be the UPN of the agent", s.ErrorArgs.Message)
	}
	_, err := r.engine.Change(t.Context(), engine.Ref{Tenant: "contoso", ID: task.ID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		return c.Connect(core.UserRef{UPN: clerk}, true)
	})
	require.NoError(t, err)
	s := connect(task.ID, agent)
	require.Equal(t, []any{branchInternalError, "TASK_TAKEN", false}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable})

	// CXone's own agents may be strangers here, and pass the work item on.
	item := r.workItem(t)
	for _, name := range []string{"somebody@nice.example", agent} {
		require.Equal(t, branchSuccess, connect("4711", name).Branch)
		user := r.taskNow(t, "contoso", item.ID).LastConnectedUser
		require.Contains(t, []string{user.ID, user.UPN}, name)
	}
}

func TestCloseTask(t *testing.T) {
	t.Parallel()
	for _, native := range []bool{false, true} {
		r := newRig(t)
		ask := func(input object, more ...any) {
			t.Helper()
			if native {
				rec := r.do(admin, http.MethodPost, addressOf(tasksID, closeID), string(server.EncodeJSON(object{"contactId": "4711", "workflowInput": input})))
				require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
				return
			}
			s := r.execute(t, admin, aboutTask(t, closeID, input, more...))
			require.Equal(t, branchSuccess, s.Branch, "%+v", s.ErrorArgs)
			_, fields := shownTask(t, s.ResultSet)
			require.Equal(t, "terminated", fields["state"])
		}
		item := r.workItem(t)
		for range 2 {
			ask(nil)
			now := r.taskNow(t, "contoso", item.ID)
			require.Equal(t, core.StateTerminated, now.State)
			require.Equal(t, core.RemoteEnded, now.Remote.State)
			require.Zero(t, r.ends(t), "the work item has said so itself")
		}
		task := r.keepTask(t, desk, nil)
		ask(object{"taskId": task.ID})
		require.Equal(t, core.StateTerminated, r.taskNow(t, "contoso", task.ID).State)
		require.Zero(t, r.ends(t))
	}
}

// TestCloseTaskOfAnotherContact ends the work item too, unless it says meanwhile
// that it has ended.
func TestCloseTaskOfAnotherContact(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	item := r.workItem(t)
	for range 2 {
		s := r.execute(t, admin, aboutTask(t, closeID, object{"taskId": item.ID}, "contactId", "4712"))
		require.Equal(t, branchSuccess, s.Branch, "%+v", s.ErrorArgs)
		require.Equal(t, core.RemoteOpen, r.taskNow(t, "contoso", item.ID).Remote.State)
		require.Equal(t, 1, r.ends(t))
	}
	require.Equal(t, branchSuccess, r.execute(t, admin, aboutTask(t, closeID, object{"taskId": item.ID})).Branch)
	require.Equal(t, core.RemoteEnded, r.taskNow(t, "contoso", item.ID).Remote.State)
}
