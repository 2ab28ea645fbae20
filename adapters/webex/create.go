package webex

import (
	"context"
	"errors"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/engine"
	"tandem/core/store"
)

// create makes a task under the id that the flow has chosen. The same id again
// is the same task.
func (a *Adapter) create(ctx context.Context, k *call) (result, error) {
	r := k.r
	service, err := k.service("destination", r.Destination)
	if err != nil {
		return result{}, err
	}
	workflow, err := a.workflow("mediaType", service, r.Modality)
	if err != nil {
		return result{}, err
	}
	n := engine.NewTask{Task: k.newTask(service.Ref()), Workflow: workflow, Platform: Platform, Alias: r.TaskID}
	if r.Modality == core.ExternalTask {
		n.MaxOpen = k.tenant.MaxExternalTasks
	}
	webex := n.Task.Service.Target == Platform
	if webex {
		if err := a.authorized(ctx, k); err != nil {
			return result{}, err
		}
		n.Prepare = func(c *engine.Change) error {
			return bridge.Creating(c, k.node(nil, k.asked()))
		}
	}
	made, err := a.make(ctx, n)
	if err != nil {
		return result{}, err
	}
	if err := k.may(&made); err != nil { // the id may be that of somebody else's task
		return result{}, err
	}
	if err := k.same(&made); err != nil {
		return result{}, err
	}
	done := result{outputs: map[string]any{"taskId": r.TaskID, "conversationId": r.ConversationID}}
	switch {
	case made.Remote.State == core.RemoteFailed:
		return result{}, taskFailed(&made)
	case !webex || made.State == core.StateTerminated:
		return done, nil
	}
	if made.Remote.ID == "" {
		if err := a.o.Bridge.Create(ctx, k.node(&made, k.asked())); err != nil {
			return result{}, errors.Join(err, a.unmade(ctx, k, err))
		}
		if made, err = a.task(ctx, k); err != nil {
			return result{}, err
		}
	}
	if a.o.Listening(k.who.Tenant) {
		made, err = a.await(ctx, k.who.Tenant, made.ID, func(t *core.Task) bool { return t.Remote.State != core.RemoteRequested })
	}
	if made.Remote.State == core.RemoteFailed { // the flow is told that there is no task
		return result{}, errors.Join(taskFailed(&made), a.end(ctx, k, false))
	}
	return done, err
}

// make makes a task, or returns the first one with its alias. A new one takes what
// was said of it before it was made.
func (a *Adapter) make(ctx context.Context, n engine.NewTask) (core.Task, error) {
	heard := false
	n.Made = func(ctx context.Context, tx *store.Tx) (err error) {
		heard, err = a.o.Bridge.FollowIn(ctx, tx, n.Task.Tenant, Platform, n.Alias)
		return err
	}
	tried := map[string]core.Task{} // a try may be thrown away
	id, err := a.o.Engine.Create(ctx, n, func(t *core.Task) ([]byte, error) { tried[t.ID] = *t; return []byte(t.ID), nil })
	if err != nil || !heard {
		return tried[string(id)], err
	}
	return a.o.Engine.Find(ctx, engine.Ref{Tenant: n.Task.Tenant, ID: string(id)})
}

// unmade writes down why Webex did not make a task; whether it has nobody knows
// yet when the time of the call was over.
func (a *Adapter) unmade(ctx context.Context, k *call, why error) error {
	if e, ok := errors.AsType[*core.Error](why); ok && ctx.Err() == nil {
		_, err := a.change(ctx, k, func(c *engine.Change) error {
			if remote := c.Task().Remote; making(c.Task()) {
				remote.Error = e.Message
				c.SetRemote(remote)
			}
			return nil
		})
		return err
	}
	return nil
}

// asked is what Create Task says to Webex beside what the task says.
func (k *call) asked() map[string]any {
	return map[string]any{"taskId": k.r.TaskID, "mediaType": k.r.MediaType}
}

// same tells whether a task that has the id of a call is the one that it asks for.
func (k *call) same(t *core.Task) error {
	for name, value := range map[string]string{"conversationId": k.r.ConversationID, "destination": k.r.Destination} {
		if was, ok := t.Parameter(name); ok && was != value {
			return &core.Error{Kind: core.Conflict, Code: codeTaskExists, Message: "there is another task with this id: its " + name + " differs"}
		}
	}
	return nil
}

const codeTaskExists = "TASK_EXISTS"

// newTask is the task that Create Task asks for.
func (k *call) newTask(service core.ServiceRef) core.Task {
	r := k.r
	t := core.Task{
		Tenant: k.tenant.Name, TenantID: k.tenant.ID, Service: service, Modality: r.Modality, Direction: r.Direction,
		CustomerIdentifier: r.CustomerID, Customer: core.Customer{DisplayName: r.CustomerName}, Mail: core.Mail{Subject: r.Subject},
	}
	if t.Direction == "" {
		t.Direction = core.Inbound
	}
	switch r.MediaType {
	case "email":
		t.Customer.Email = r.Origin
	case "telephony":
		t.Caller.TelNumber = r.Origin
	}
	attachments := ""
	if r.HasAttachments {
		attachments = "true"
	}
	for _, p := range []core.NamedValue{
		{Name: "conversationId", Value: r.ConversationID},
		{Name: "mediaChannel", Value: r.MediaChannel},
		{Name: "destination", Value: r.Destination},
		{Name: "origin", Value: r.Origin},
		{Name: "sourceNumber", Value: r.SourceNumber},
		{Name: "chatType", Value: r.ChatType},
		{Name: "to", Value: r.To},
		{Name: "cc", Value: r.CC},
		{Name: "hasAttachments", Value: attachments},
	} {
		if p.Value != "" {
			t.Parameters = append(t.Parameters, p)
		}
	}
	return t
}
