package webex

import (
	"context"
	"strings"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/engine"
)

// setVariables sets variables at Webex first, where they can be refused, then
// as parameters of the task.
func (a *Adapter) setVariables(ctx context.Context, k *call) (result, error) {
	t, err := a.settled(ctx, k)
	if err != nil {
		return result{}, err
	}
	values := make([]core.NamedValue, len(k.r.Variables))
	list := make([]any, len(k.r.Variables))
	for i, v := range k.r.Variables {
		values[i] = core.NamedValue{Name: v.Name, Value: v.Value}
		list[i] = map[string]any{
			"name": v.Name, "type": v.Type, "value": v.Value, "description": v.Description, "desktopLabel": v.DesktopLabel,
			"agentViewable": v.AgentViewable, "agentEditable": v.AgentEditable, "global": v.Global,
		}
	}
	if there(&t) {
		if _, err := a.remotely(ctx, k, &t, map[string]any{"variables": list}); err != nil {
			return result{}, err
		}
	}
	_, err = a.change(ctx, k, func(c *engine.Change) error { return c.SetParameters(values) })
	payload := encode(map[string]any{"id": k.r.TaskID, "data": map[string]any{"variables": list}})
	return result{outputs: map[string]any{"taskId": k.r.TaskID, "responsePayload": payload}}, err
}

// queue puts a task into a queue: a service of the hub, or a queue of Webex for a
// task that is there.
func (a *Adapter) queue(ctx context.Context, k *call) (result, error) {
	service, known := k.tenant.ServiceAt(k.r.QueueID)
	if known {
		if err := k.tenant.MayRunTasks(k.user, service); err != nil {
			return result{}, err
		}
		if to := service.Ref(); to.Target != Platform { // wherever the task is: it need not be read first
			return a.enqueue(ctx, k, to, nil)
		}
	}
	t, err := a.open(ctx, k)
	if err != nil {
		return result{}, err
	}
	r, to := k.r, t.Service
	if known {
		to = service.Ref()
	} else if to.Target != Platform {
		return result{}, core.InvalidField("queueId", "no service of the tenant has this UPN or address")
	}
	input := map[string]any{
		"conversationId": r.ConversationID, "mediaType": r.MediaType, "mediaChannel": r.MediaChannel, "priority": r.ContactPriority,
		"skillRequirements": r.SkillRequirements,
	}
	if input["queueId"] = r.QueueID; known {
		input["queueId"] = service.TargetSettings["queue"]
	}
	if !there(&t) {
		if to.Target == Platform {
			if err := a.authorized(ctx, k); err != nil {
				return result{}, err
			}
		}
		return a.enqueueThere(ctx, k, to, input)
	}
	if _, err := a.remotely(ctx, k, &t, input); err != nil {
		return result{}, err
	}
	if !a.o.Listening(k.who.Tenant) {
		return a.enqueue(ctx, k, to, nil)
	}
	t, err = a.await(ctx, k.who.Tenant, t.ID, func(t *core.Task) bool {
		return t.State == core.StateQueued || t.State == core.StateOffered || t.State == core.StateConnected
	})
	return queued(k, t), err
}

// enqueueThere puts a task that Webex does not have into one of its queues: the
// hub makes it there, and then queues it.
func (a *Adapter) enqueueThere(ctx context.Context, k *call, to core.ServiceRef, input map[string]any) (result, error) {
	done, err := a.enqueue(ctx, k, to, input)
	if err != nil {
		return done, err
	}
	t, err := a.task(ctx, k)
	if err == nil && making(&t) && t.Remote.Error != "" {
		err = a.hasten(ctx, &t)
	}
	if err == nil {
		_, err = a.await(ctx, k.who.Tenant, t.ID, func(t *core.Task) bool {
			return t.Remote.State == core.RemoteOpen || t.Remote.ID != "" && !a.o.Listening(k.who.Tenant)
		})
	}
	return done, err
}

// enqueue puts a task into a queue of the hub; with an input, one that Webex does not
// have yet into one of Webex as well, as the input says.
func (a *Adapter) enqueue(ctx context.Context, k *call, to core.ServiceRef, input map[string]any) (result, error) {
	priority := k.r.ContactPriority
	if priority == noPriority {
		priority = 0
	}
	t, err := a.change(ctx, k, func(c *engine.Change) error {
		if t := c.Task(); t.State == core.StateConnected && strings.EqualFold(t.Service.UPN, to.UPN) {
			return nil // it has been in this queue: a flow that tries again takes it from nobody
		}
		if input != nil && to.Target == Platform {
			if err := bridge.Queueing(c, k.node(nil, input)); err != nil {
				return err
			}
		}
		return c.Queue(to, priority)
	})
	return queued(k, t), err
}

func queued(k *call, t core.Task) result {
	outputs := map[string]any{"taskId": k.r.TaskID, "agentId": ""}
	if t.State == core.StateConnected {
		outputs["agentId"] = t.LastConnectedUser.ID
	}
	return result{outputs: outputs}
}

// routed says that an agent was joined to the conversation: the task is the
// agent's.
func (a *Adapter) routed(ctx context.Context, k *call) (result, error) { return a.give(ctx, k, false) }

// modified says that the conversation was passed on.
func (a *Adapter) modified(ctx context.Context, k *call) (result, error) { return a.give(ctx, k, true) }

func (a *Adapter) give(ctx context.Context, k *call, over bool) (result, error) {
	t, err := a.settled(ctx, k)
	if err != nil {
		return result{}, err
	}
	agent, err := k.agent(&t)
	if err != nil {
		return result{}, err
	}
	if err := a.notify(ctx, k, &t); err != nil {
		return result{}, err
	}
	_, err = a.change(ctx, k, func(c *engine.Change) error { return c.Connect(agent, over || there(c.Task())) })
	return result{}, err
}

// unrouted says that the agent could not be joined: the task waits again.
func (a *Adapter) unrouted(ctx context.Context, k *call) (result, error) {
	if _, err := a.notified(ctx, k); err != nil {
		return result{}, err
	}
	_, err := a.change(ctx, k, func(c *engine.Change) error {
		t := c.Task()
		if t.State == core.StateConnected && !k.means(t.LastConnectedUser) {
			return nil // somebody else has it meanwhile
		}
		return c.Requeue()
	})
	return result{}, err
}

// unmodified says that the conversation could not be passed on: nothing changes.
func (a *Adapter) unmodified(ctx context.Context, k *call) (result, error) {
	_, err := a.notified(ctx, k)
	return result{}, err
}

// pop shows the task's agent a page, on Webex's desktop and on the hub's.
func (a *Adapter) pop(ctx context.Context, k *call) (result, error) {
	t, err := a.settled(ctx, k)
	if err != nil {
		return result{}, err
	}
	agent, err := k.agent(&t)
	if err != nil {
		return result{}, err
	}
	if !there(&t) && t.State == core.StateConnected && t.LastConnectedUser != agent {
		return result{}, &core.Error{Kind: core.Conflict, Code: engine.CodeTaken, Message: "another agent works on the task"}
	}
	if there(&t) {
		query := make(map[string]any, len(k.r.QueryParameters))
		for _, p := range k.r.QueryParameters {
			query[p.Name] = p.Value
		}
		_, err := a.remotely(ctx, k, &t, map[string]any{
			"agentId": k.r.AgentID, "screenPopUrl": k.r.ScreenPopURL, "queryParameters": query, "target": string(k.r.Target),
		})
		if err != nil {
			return result{}, err
		}
	}
	name := agent.UPN
	if name == "" {
		name = agent.ID
	}
	_, err = a.change(ctx, k, func(c *engine.Change) error {
		return c.Show(core.Pop{URL: k.r.page(), Target: k.r.Target, Agent: name})
	})
	return result{}, err
}

// close ends a task. One that has ended is closed already.
func (a *Adapter) close(ctx context.Context, k *call) (result, error) {
	t, err := a.task(ctx, k)
	if err != nil || t.State == core.StateTerminated {
		return result{}, err
	}
	if !there(&t) {
		return result{}, a.end(ctx, k, false)
	}
	output, err := a.remotely(ctx, k, &t, map[string]any{
		"conversationId": k.r.ConversationID, "mediaType": k.r.MediaType, "mediaResourceId": k.r.ConversationID,
	})
	if err != nil {
		return result{}, err
	}
	if output["accepted"] == false || !a.o.Listening(k.who.Tenant) { // no event will tell
		return result{}, a.end(ctx, k, true)
	}
	_, err = a.await(ctx, k.who.Tenant, t.ID, func(t *core.Task) bool { return t.State == core.StateTerminated })
	return result{}, err
}

func (a *Adapter) end(ctx context.Context, k *call, byRemote bool) error {
	_, err := a.change(ctx, k, func(c *engine.Change) error { c.Terminate(byRemote); return nil })
	return err
}

// closed says that the conversation was closed.
func (a *Adapter) closed(ctx context.Context, k *call) (result, error) {
	t, err := a.task(ctx, k)
	if err != nil || t.State == core.StateTerminated {
		return result{}, err
	}
	if there(&t) {
		if err := a.notify(ctx, k, &t); err != nil {
			return result{}, err
		}
	}
	return result{}, a.end(ctx, k, there(&t))
}

// unclosed says that the conversation could not be closed: the task stays, and
// says why.
func (a *Adapter) unclosed(ctx context.Context, k *call) (result, error) {
	if _, err := a.notified(ctx, k); err != nil {
		return result{}, err
	}
	_, err := a.change(ctx, k, func(c *engine.Change) error {
		return c.SetParameters([]core.NamedValue{{Name: "closeReason", Value: k.r.Reason}, {Name: "closeReasonCode", Value: k.r.ReasonCode}})
	})
	return result{}, err
}
