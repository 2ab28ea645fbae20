package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/core/engine"
	"tandem/core/integration"
)

const backoffice = "backoffice@contoso.example" // its tasks are work items of CXone

var officeCXone = []integration.Draft{{
	Integration: "cxone", Grant: "access-key", Name: "Sandbox", Values: map[string]string{
		"area": "na1", "client_id": "hub", "client_secret": "sandbox", "access_key_id": "hub", "access_key_secret": "sandbox",
	},
}}

// backOffice is an office with a flow that is told of everything that happens to
// tasks of the back office, and with the scripts of CXone.
type backOffice struct {
	*office
	flow   *sandbox.Flow
	studio *sandbox.Studio

	mu     sync.Mutex
	events map[string][]string // by task
}

func openBackOffice(t *testing.T) *backOffice {
	t.Helper()
	b := &backOffice{events: map[string][]string{}}
	flow, err := sandbox.NewFlow(1, "", "", func(_ context.Context, ev sandbox.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events[ev.TaskID] = append(b.events[ev.TaskID], ev.Event)
	})
	require.NoError(t, err)
	t.Cleanup(flow.Close)
	b.flow, b.office = flow, openOffice(t, flow.Addr())
	require.NoError(t, b.connect(t.Context(), officeCXone))
	flow.Hub, b.studio = b.base, &sandbox.Studio{Hub: b.base}
	flow.Key, err = demoKey(t.Context(), b.db, demoTenant, "powerautomate", demoUser)
	require.NoError(t, err)
	b.studio.Key, err = demoKey(t.Context(), b.db, demoTenant, "cxone", demoUser)
	require.NoError(t, err)
	_, err = flow.Subscribe(t.Context(), backoffice)
	require.NoError(t, err)
	return b
}

// add adds a task as a flow does, and waits for its work item.
func (b *backOffice) add() (id string, item sandbox.WorkItem) {
	b.t.Helper()
	before := len(b.vendors.WorkItems())
	id, err := b.flow.AddExternalTask(b.t.Context(), backoffice, "C-1002")
	require.NoError(b.t, err)
	b.soon(func() bool { return b.find(id).Remote.State == core.RemoteOpen })
	items := b.vendors.WorkItems()
	require.Len(b.t, items, before+1)
	item = items[before]
	require.Equal(b.t, []string{id, "Back Office"}, []string{item.ID, item.PointOfContact})
	require.Equal(b.t, core.Remote{Platform: core.PlatformCXone, ID: item.ContactID, State: core.RemoteOpen}, b.find(id).Remote)
	return id, item
}

func (b *backOffice) find(id string) core.Task {
	b.t.Helper()
	t, err := b.engine.Find(b.t.Context(), engine.Ref{Tenant: demoTenant, ID: id})
	require.NoError(b.t, err)
	return t
}

// hears waits until the flow was told of an event.
func (b *backOffice) hears(id string, name core.EventName) {
	b.t.Helper()
	b.soon(func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Contains(b.events[id], string(name))
	})
}

// idle waits until nothing is left to be done outside.
func (b *backOffice) idle() {
	b.t.Helper()
	b.soon(func() bool {
		n, err := b.db.OutboxDepth(b.t.Context())
		return err == nil && n == 0
	})
}

// run lets the script of a contact run a workflow that is about its task.
func (b *backOffice) run(workflow, contact string, input map[string]any) {
	b.t.Helper()
	e, err := b.studio.Run(b.t.Context(), "Tasks", workflow, contact, input)
	require.NoError(b.t, err)
	require.Equal(b.t, "Success", e.Branch, "%+v", e.ErrorArgs)
}

// ended counts the calls that ended a work item.
func (b *backOffice) ended() int {
	n := 0
	for _, entry := range b.vendors.Ledger("cxone") {
		if strings.HasSuffix(entry.Path, "/end") {
			n++
		}
	}
	return n
}

// TestAWorkItemTellsItsTask: a flow adds a task, CXone brings it to an agent as a
// work item, and the flow is told of all that its script reports.
func TestAWorkItemTellsItsTask(t *testing.T) {
	t.Parallel()
	b := openBackOffice(t)
	id, item := b.add()
	b.hears(id, core.Queued)
	b.run("Update Task", item.ContactID, map[string]any{"parameters": map[string]any{"Step": "checked"}})
	b.run("Connect Task", item.ContactID, map[string]any{"agent": "agent1@contoso.example"})
	b.hears(id, core.ConnectedToUser)
	require.Equal(t, "agent1@contoso.example", b.find(id).LastConnectedUser.UPN)
	for range 2 {
		b.run("Close Task", item.ContactID, nil)
	}
	b.hears(id, core.Terminated)
	task := b.find(id)
	step, _ := task.Parameter("Step")
	require.Equal(t, []any{core.StateTerminated, core.RemoteEnded, "checked"}, []any{task.State, task.Remote.State, step})
	b.idle()
	require.Zero(t, b.ended(), "it has ended by itself")
	require.False(t, b.vendors.WorkItems()[0].Ended)
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Equal(t, []string{"Created", "System Accepted", "Queued", "Connected to User", "Terminated"}, b.events[id])
}

// TestATaskEndsItsWorkItem: a flow removes a task, whose work item nobody needs
// any more.
func TestATaskEndsItsWorkItem(t *testing.T) {
	t.Parallel()
	b := openBackOffice(t)
	id, item := b.add()
	require.NoError(t, b.flow.RemoveExternalTask(t.Context(), id))
	b.hears(id, core.Terminated)
	b.soon(func() bool { return b.vendors.WorkItems()[0].Ended })
	b.idle()
	require.Equal(t, core.RemoteEnded, b.find(id).Remote.State)
	b.run("Close Task", item.ContactID, nil) // its script comes to its end
	b.idle()
	require.Equal(t, 1, b.ended())
}
