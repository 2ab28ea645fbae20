package main

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/powerautomate"
	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

// audience is a flow of Power Automate that keeps what it is told.
type audience struct {
	*sandbox.Flow

	mu   sync.Mutex
	told map[string][]string // by task
}

// openAudience opens an office with a flow that has subscribed to a service.
func openAudience(t *testing.T, service string) (*office, *audience) {
	t.Helper()
	f := &audience{told: map[string][]string{}}
	flow, err := sandbox.NewFlow(1, "", "", func(_ context.Context, ev sandbox.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.told[ev.TaskID] = append(f.told[ev.TaskID], ev.Event)
	})
	require.NoError(t, err)
	t.Cleanup(flow.Close)
	f.Flow = flow
	o := openOffice(t, flow.Addr())
	flow.Hub = o.base
	flow.Key, err = demoKey(t.Context(), o.db, demoTenant, powerautomate.Platform, demoUser)
	require.NoError(t, err)
	_, err = flow.Subscribe(t.Context(), service)
	require.NoError(t, err)
	return o, f
}

// heard waits until the flow was told of an event, and returns all so far.
func (f *audience) heard(o *office, task string, name core.EventName) (all []string) {
	o.t.Helper()
	o.soon(func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		all = slices.Clone(f.told[task])
		return slices.Contains(all, string(name))
	})
	return all
}

// ticket is a ticket in the sandbox's Zendesk.
func (o *office) ticket(id string) (t struct{ Status, Subject string }) {
	o.t.Helper()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.vendors.Addr()+"/zendesk/api/v2/tickets/"+id+".json", nil)
	require.NoError(o.t, err)
	req.SetBasicAuth("hub@contoso.example/token", "sandbox")
	res, err := o.client.Do(req)
	require.NoError(o.t, err)
	defer res.Body.Close()
	var answer struct {
		Ticket struct{ Status, Subject string }
	}
	require.NoError(o.t, json.NewDecoder(res.Body).Decode(&answer))
	return answer.Ticket
}

// TestOneTaskThroughAllPlatforms: a flow adds a task, which has a ticket, waits
// at Webex for an agent, and comes back.
func TestOneTaskThroughAllPlatforms(t *testing.T) {
	t.Parallel()
	o, flow := openAudience(t, officeField)
	wx := o.vendors.Webex()
	id, err := flow.AddExternalTask(t.Context(), officeField, "C-1003")
	require.NoError(t, err)
	task := o.becomes(id, func(t *core.Task) bool { return t.State == core.StateQueued && t.Remote.State == core.RemoteOpen })
	require.Len(t, wx.Tasks(), 1)
	o.soon(func() bool { return slices.Contains(o.there(id).Notices, "queue") })
	there := o.there(id)
	require.Equal(t, id, there.Variables["hubTaskId"])
	require.Equal(t, "APP-FIELD-1", there.Destination)
	require.Equal(t, sandbox.WebexQueue, there.Queue)
	ticket, _ := task.Parameter("CaseId")
	require.Equal(t, "Visit for C-1003", o.ticket(ticket).Subject)
	require.Equal(t, ticket, there.Variables["CaseId"])
	told := flow.heard(o, id, core.Queued)
	require.Equal(t, []string{"Created", "System Accepted", "Parameter Updated", "Parameter Updated", "Queued"}, told)

	require.NoError(t, wx.Answer(there.ID, officeAgent))
	require.NotContains(t, flow.heard(o, id, core.ConnectedToUser), "Terminated")
	require.Equal(t, officeAgent, o.task(id).LastConnectedUser.UPN)
	for _, name := range []string{id, there.ID, strings.ToUpper(there.ID)} { // by any of its names
		out := o.call("screen-pop/pop", map[string]any{"taskId": name, "agentId": officeAgent, "screenPopUrl": "https://crm.example/" + name})
		require.Equal(t, "onScreenPopSuccess", out.Outcome, out.text)
		pops := o.task(id).Pops
		require.Equal(t, "https://crm.example/"+name, pops[len(pops)-1].URL)
		pop := wx.Pops(officeAgent)
		require.Equal(t, "https://crm.example/"+name, pop[len(pop)-1].URL)
	}
	require.NoError(t, wx.End(there.ID, "Agent"))
	told = flow.heard(o, id, core.Terminated)
	require.Equal(t, "Terminated", told[len(told)-1])
	o.soon(func() bool { return o.ticket(ticket).Status == "pending" })
	require.Zero(t, o.asked("/end"))
	require.Len(t, wx.Tasks(), 1)
}

// TestATaskEndsEverywhere, whoever ends it.
func TestATaskEndsEverywhere(t *testing.T) {
	t.Parallel()
	o, flow := openAudience(t, officeField)
	ctx := t.Context()
	atWebex := func() string {
		id, err := flow.AddExternalTask(ctx, officeField, "C-1002")
		require.NoError(t, err)
		o.becomes(id, func(t *core.Task) bool { return t.State == core.StateQueued && t.Remote.State == core.RemoteOpen })
		return id
	}

	id := atWebex() // by Power Automate
	require.NoError(t, flow.RemoveExternalTask(ctx, id))
	o.becomesThere(id, "abandoned")
	flow.heard(o, id, core.Terminated)
	o.becomes(id, func(t *core.Task) bool { return t.Remote.State == core.RemoteEnded })

	// At once, while its counterpart is being made.
	id, err := flow.AddExternalTask(ctx, officeField, "C-1002")
	require.NoError(t, err)
	require.NoError(t, flow.RemoveExternalTask(ctx, id))
	flow.heard(o, id, core.Terminated)
	o.quiet()
	require.Empty(t, o.open())

	id = atWebex() // by a node
	out := o.call("close-task/close", map[string]any{"taskId": id, "conversationId": "c", "mediaType": "workItem"})
	require.Equal(t, "Success", out.Outcome, out.text)
	flow.heard(o, id, core.Terminated)
	require.Equal(t, "abandoned", o.there(id).State)

	chosen := newTaskID() // one of a node's, by Power Automate
	body := createBody(chosen)
	body["Destination"] = officeSupport
	out = o.call("create-task/create", body)
	require.Equal(t, "created", out.Outcome, out.text)
	id = o.task(chosen).ID
	o.becomes(id, func(t *core.Task) bool { return t.State == core.StateQueued })
	require.NoError(t, flow.RemoveExternalTask(ctx, id))
	require.Equal(t, core.StateTerminated, o.task(chosen).State)
	body = map[string]any{"taskId": chosen, "queueId": officeSupport, "conversationId": "c", "mediaType": "workItem"}
	require.Equal(t, "taskFailed", o.call("queue-task/queue", body).Outcome)
	o.quiet()
	require.Empty(t, o.open())
}

// quiet waits until nothing is left to be done.
func (o *office) quiet() {
	o.t.Helper()
	o.soon(func() bool {
		depth, err := o.db.OutboxDepth(o.t.Context())
		require.NoError(o.t, err)
		return depth == 0
	})
	o.vendors.Webex().Deliveries()
}

// TestWebexHealsLater: a task waits in the hub while Webex takes none, and gets
// there when it does.
func TestWebexHealsLater(t *testing.T) {
	t.Parallel()
	o, flow := openAudience(t, officeField)
	for _, status := range []int{503, -1} {
		o.vendors.Fault(webexIntegration, sandbox.Fault{Status: status, Times: 1, Path: "/v2/tasks"})
		id, err := flow.AddExternalTask(t.Context(), officeField, "C-1002")
		require.NoError(t, err)
		o.becomes(id, func(t *core.Task) bool { return t.Remote.Error != "" || t.Remote.State == core.RemoteOpen })
		o.becomes(id, func(t *core.Task) bool {
			return t.Remote.State == core.RemoteOpen && t.Remote.Error == "" && t.State == core.StateQueued
		})
		require.NotEmpty(t, o.there(id).ID)
	}
	// The work is done and the answer lost: there is one task all the same.
	o.vendors.Fault(webexIntegration, sandbox.Fault{Delay: time.Minute, Times: 1, Path: "/v2/tasks"})
	before := len(o.open())
	id, err := flow.AddExternalTask(t.Context(), officeField, "C-1002")
	require.NoError(t, err)
	task := o.becomes(id, func(t *core.Task) bool { return t.Remote.State == core.RemoteOpen })
	require.Len(t, o.open(), before+1)
	require.Equal(t, task.Remote.ID, o.there(id).ID)
}
