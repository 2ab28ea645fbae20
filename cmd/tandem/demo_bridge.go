package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/core/integration"
)

const (
	fieldService  = "field@contoso.example"
	fieldCustomer = "C-1003"
	fieldAgent    = "agent1@contoso.example"
)

// demoWebex connects the demo to the sandbox's Webex Contact Center.
var demoWebex = []integration.Draft{{
	Integration: webexIntegration, Grant: "token", Name: "Demo",
	Values: map[string]string{"region": "us1", "org_id": sandbox.WebexOrg, "token": "sandbox"},
}}

// cross plays one task through all platforms: a flow of Power Automate makes it,
// Zendesk gets a ticket, Webex brings it to an agent, and everybody learns of
// everything.
func (s *story) cross(ctx context.Context, h *hub, vendors *sandbox.Vendors, flow *sandbox.Flow, connect *sandbox.Connect) error {
	fmt.Fprint(s.out, "\nOne task through all platforms: Power Automate, Zendesk, Webex Contact Center, and back:\n\n")
	if err := h.connect(ctx, demoWebex); err != nil {
		return err
	}
	if err := eventually(ctx, "the hub has not subscribed to events of Webex", func() bool {
		return h.webex.Check(ctx, demoTenant) == nil // unless it does so by itself at the moment
	}); err != nil {
		return err
	}
	s.tell("hub", "authorized at Webex Contact Center and subscribed to its events")
	events := make(chan sandbox.Event, 64)
	flow.On = func(_ context.Context, ev sandbox.Event) {
		s.tell("flow", "triggered by %q for task %s", ev.Event, ev.TaskID)
		select {
		case events <- ev:
		default: // the story is over: the task is somebody's own
		}
	}
	if _, err := flow.Subscribe(ctx, fieldService); err != nil {
		return err
	}
	id, err := flow.AddExternalTask(ctx, fieldService, fieldCustomer)
	if err != nil {
		return err
	}
	s.tell("flow", "added an external task for %s, whose target is a queue of Webex", fieldService)
	if err := s.until(ctx, events, core.Queued); err != nil {
		return err
	}
	remote, err := s.routed(ctx, vendors.Webex(), id)
	if err != nil {
		return err
	}
	if err := s.until(ctx, events, core.ConnectedToUser); err != nil {
		return err
	}
	if err := s.node(ctx, connect, "screen-pop/pop", "onScreenPopSuccess", map[string]any{
		"taskId": remote, "agentId": fieldAgent, "screenPopUrl": "https://crm.contoso.example/customers/" + fieldCustomer,
		"queryParameters": map[string]string{"task": id}, "target": "New Browser Tab",
	}); err != nil {
		return err
	}
	if err := vendors.Webex().End(remote, "Agent"); err != nil {
		return err
	}
	s.tell("webex", "%s closed the task on the desktop", fieldAgent)
	if err := s.until(ctx, events, core.Terminated); err != nil {
		return err
	}
	return s.memorialized(ctx, h, id)
}

// routed waits until the hub has put a task into its queue at Webex, where the
// flow of the entry point may have put it before, and brings it to an agent.
func (s *story) routed(ctx context.Context, webex *sandbox.Webex, id string) (remote string, err error) {
	err = eventually(ctx, "the task did not get into the queue at Webex", func() bool {
		for _, t := range webex.Tasks() {
			if t.Variables["hubTaskId"] == id && slices.Contains(t.Notices, "queue") {
				remote = t.ID
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", err
	}
	s.tell("webex", "has the task in its queue, as %s", remote)
	if err := errors.Join(webex.Offer(remote, fieldAgent), webex.Answer(remote, fieldAgent)); err != nil {
		return "", err
	}
	s.tell("webex", "routed it to %s, who took it", fieldAgent)
	return remote, nil
}

// node calls a node as a flow of Webex Connect does.
func (s *story) node(ctx context.Context, connect *sandbox.Connect, method, want string, fields map[string]any) error {
	a, err := connect.Node(ctx, method, fields)
	if err != nil {
		return err
	}
	if a.Said() != want {
		return fmt.Errorf("%s ended in %q, not %q: %+v", method, a.Said(), want, a.Error)
	}
	s.tell("connect", "%s: %s", method, want)
	return nil
}

// memorialized waits until the ticket of a task has what became of it.
func (s *story) memorialized(ctx context.Context, h *hub, id string) error {
	t, err := h.engine.Task(ctx, id)
	if err != nil {
		return err
	}
	ticket, _ := t.Parameter("CaseId")
	err = eventually(ctx, "the ticket was not updated", func() bool {
		depth, err := h.db.OutboxDepth(ctx)
		return err == nil && depth == 0
	})
	if err == nil {
		s.tell("hub", "Zendesk ticket %s was made for the task, shown to the agent, and has what became of it", ticket)
	}
	return err
}

// eventually waits until something is so.
func eventually(ctx context.Context, otherwise string, so func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New(otherwise)
		}
	}
	return nil
}
