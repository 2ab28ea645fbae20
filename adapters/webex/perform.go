package webex

import (
	"context"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/outbound"
	"tandem/core/store"
)

// look is how often a task is looked at that another replica may change.
const look = 250 * time.Millisecond

// may lets a caller touch the tasks of services that are the caller's.
func (k *call) may(t *core.Task) error {
	return k.tenant.MayRunTask(k.user, t)
}

func (k *call) ref() engine.Ref {
	return engine.Ref{Tenant: k.who.Tenant, Platform: Platform, ID: k.r.TaskID}
}

// task returns the task of a call. What is done with an open task of Webex needs
// the node's authorization, wherever the task is.
func (a *Adapter) task(ctx context.Context, k *call) (core.Task, error) {
	t, err := a.o.Engine.Find(ctx, k.ref())
	if err == nil {
		err = k.may(&t)
	}
	if err == nil && t.State != core.StateTerminated && t.Service.Target == Platform {
		err = a.authorized(ctx, k)
	}
	return t, err
}

// open is task for a task that has not ended.
func (a *Adapter) open(ctx context.Context, k *call) (core.Task, error) {
	t, err := a.task(ctx, k)
	if err == nil && t.State == core.StateTerminated {
		err = ended()
	}
	return t, err
}

// settled is open for what must reach Webex: it waits while the task is being made
// there.
func (a *Adapter) settled(ctx context.Context, k *call) (core.Task, error) {
	t, err := a.open(ctx, k)
	if err != nil || !making(&t) {
		return t, err
	}
	return a.await(ctx, k.who.Tenant, t.ID, func(t *core.Task) bool { return !making(t) })
}

// making tells whether Webex was asked for a task, and nobody knows yet by what
// name it has it.
func making(t *core.Task) bool {
	return t.Remote.Platform == Platform && t.Remote.State == core.RemoteRequested && t.Remote.ID == ""
}

// hasten has a task made now that Create Task could not make.
func (a *Adapter) hasten(ctx context.Context, t *core.Task) error {
	return a.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.After(a.o.Wake)
		return a.o.Bridge.Hasten(ctx, tx, t.ID)
	})
}

// change changes the task of a call.
func (a *Adapter) change(ctx context.Context, k *call, change func(c *engine.Change) error) (core.Task, error) {
	return a.o.Engine.Change(ctx, k.ref(), k.may, func(_ context.Context, _ *store.Tx, c *engine.Change) error { return change(c) })
}

// there tells whether a task has a counterpart at Webex that is not over.
func there(t *core.Task) bool {
	return t.Remote.Platform == Platform && t.Remote.ID != "" && t.Remote.State != core.RemoteEnded && t.Remote.State != core.RemoteFailed
}

// authorized returns nil when the node has a valid authorization in the version
// of the call. The answer comes from memory.
func (a *Adapter) authorized(ctx context.Context, k *call) error {
	node, ok := a.o.Integrations().Node(k.m.Node, k.r.Version)
	if !ok {
		return core.Errorf(core.NotConfigured, "webex/nodes.yaml does not name the node %s", k.m.Node)
	}
	_, err := a.o.Connections.Connection(ctx, outbound.Credential{
		Tenant: k.who.Tenant, Integration: node.Integration, Node: node.ID, Name: k.r.Authorization,
	})
	return err
}

// remotely carries a call out at Webex.
func (a *Adapter) remotely(ctx context.Context, k *call, t *core.Task, input map[string]any) (map[string]any, error) {
	if err := a.authorized(ctx, k); err != nil {
		return nil, err
	}
	return a.o.Bridge.Node(ctx, k.node(t, input))
}

func (k *call) node(t *core.Task, input map[string]any) bridge.NodeCall {
	return bridge.NodeCall{
		Tenant: k.who.Tenant, Node: k.m.Node, Method: k.m.Name, Version: k.r.Version, Authorization: k.r.Authorization,
		Task: t, Input: input,
	}
}

// notified carries a notification of an agent out at Webex, where the task is
// one of Webex.
func (a *Adapter) notified(ctx context.Context, k *call) (core.Task, error) {
	t, err := a.settled(ctx, k)
	if err == nil {
		err = a.notify(ctx, k, &t)
	}
	return t, err
}

// notify is notified for a task that was looked at already.
func (a *Adapter) notify(ctx context.Context, k *call, t *core.Task) error {
	if !there(t) {
		return notThere(t)
	}
	queue := k.r.QueueID
	if service, known := k.tenant.ServiceAt(queue); known { // Webex knows no services of the hub
		queue = service.TargetSettings["queue"]
	}
	_, err := a.remotely(ctx, k, t, map[string]any{
		"agentId": k.r.AgentID, "queueId": queue, "mediaResourceId": k.r.MediaResourceID, "mediaType": k.r.MediaType,
		"conversationId": k.r.ConversationID, "reason": k.r.Reason, "reasonCode": k.r.ReasonCode,
	})
	return err
}

// await waits until a task is as it should be.
func (a *Adapter) await(ctx context.Context, tenant, id string, good func(t *core.Task) bool) (core.Task, error) {
	changed, stop := a.o.Engine.Watch(id)
	defer stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		t, err := a.o.Engine.Find(ctx, engine.Ref{Tenant: tenant, ID: id})
		if err != nil {
			return t, err
		}
		if t.Remote.State == core.RemoteFailed {
			return t, taskFailed(&t)
		}
		if good(&t) {
			return t, nil
		}
		if t.State == core.StateTerminated {
			return t, ended()
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return t, core.Wrap(core.Timeout, ctx.Err(), "Webex has not said in time what became of the task")
		}
	}
}

// notThere is the error for a task of Webex that is not there; nil for others.
func notThere(t *core.Task) error {
	if t.Service.Target == Platform && t.State != core.StateTerminated {
		return core.Errorf(core.NotFound, "Webex does not have the task: queue it first")
	}
	return nil
}

func ended() error {
	return &core.Error{Kind: core.Conflict, Code: engine.CodeEnded, Message: "the task has terminated"}
}

// taskFailed is the error for a task that Webex did not take.
func taskFailed(t *core.Task) error {
	return &core.Error{Kind: core.Conflict, Code: codeTaskFailed, Message: "Webex did not take the task: " + t.Remote.Error}
}

// agent is the person whom a call means. One of the hub's own services must be
// one of its members; Webex knows its own.
func (k *call) agent(t *core.Task) (core.UserRef, error) {
	user, known := k.tenant.Person(k.r.AgentID)
	if there(t) {
		if known {
			return user.Ref(), nil
		}
		return core.UserRef{ID: k.r.AgentID}, nil
	}
	if err := notThere(t); err != nil {
		return core.UserRef{}, err
	}
	service, ok := k.tenant.Service(t.Service.UPN)
	if !known || !ok || !service.HasMember(user.UPN) {
		return core.UserRef{}, core.Errorf(core.NotFound, "the agent is not a member of %s", t.Service.UPN)
	}
	return user.Ref(), nil
}

// means tells whether a call names somebody, by whatever name.
func (k *call) means(who core.UserRef) bool {
	user, known := k.tenant.Person(k.r.AgentID)
	return known && user.Ref() == who || strings.EqualFold(who.ID, k.r.AgentID)
}

// service finds the service that a destination leads to.
func (k *call) service(field, destination string) (*directory.Service, error) {
	service, ok := k.tenant.ServiceAt(destination)
	if !ok {
		return nil, core.InvalidField(field, "no service of the tenant has this UPN or address")
	}
	return service, k.tenant.MayRunTasks(k.user, service)
}

// workflow returns the workflow for tasks of a modality; without one of the
// service the flow of Webex Connect says what happens.
func (a *Adapter) workflow(field string, service *directory.Service, modality core.Modality) (*flow.Workflow, error) {
	name, enabled := service.Workflows[modality]
	if !enabled {
		return nil, core.InvalidField(field, "%s takes nothing of the modality %s", service.UPN, modality)
	}
	if name == "" {
		return drivenFlow, nil
	}
	if w := a.o.Workflow(name); w != nil {
		return w, nil
	}
	return nil, core.Errorf(core.NotConfigured, "the workflow %q of %s is not loaded", name, service.UPN)
}

// driven is the workflow of tasks that a flow of Webex Connect drives: they wait
// for it, and end when it has forgotten them.
const driven = `name: webex-connect
title: Driven by a flow of Webex Connect
modality: InstantMessaging
activities:
  - activity: Accept Conversation
  - {activity: Delay, for: 72h}
  - activity: Disconnect Conversation
`

var drivenFlow = func() *flow.Workflow { //nolint:gochecknoglobals // a constant that has to be parsed
	w, _ := flow.Parse("workflows/webex-connect.yaml", []byte(driven))
	return w
}()

// Workflows are those that the adapter brings: the engine must keep them.
func Workflows() map[string]*flow.Workflow {
	return map[string]*flow.Workflow{drivenFlow.Name: drivenFlow}
}
