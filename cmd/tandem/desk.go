package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"tandem/adapters/console"
	"tandem/core"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/store"
)

// deskTasks bounds the lists of an agent's desk.
const deskTasks = 100

// desk is where agents find their work.
type desk struct{ *hub }

// agent is a person as the directory knows them, with the services they serve;
// false when they serve none.
func (d desk) agent(tenant, upn string) (*directory.User, []string, bool) {
	t, ok := d.mapped.directory().Tenant(tenant)
	if !ok {
		return nil, nil, false
	}
	user, ok := t.User(upn)
	if !ok {
		return nil, nil, false
	}
	var queues []string
	for _, s := range t.Services() {
		if s.Target == directory.TargetLocal && s.HasMember(user.UPN) {
			queues = append(queues, strings.ToLower(s.UPN))
		}
	}
	return user, queues, true
}

// Work returns what waits for an agent, and what the agent has in hand. What
// another platform brings to people waits there, not here.
func (d desk) Work(ctx context.Context, tenant, upn string) (console.Work, error) {
	user, queues, ok := d.agent(tenant, upn)
	if !ok {
		return console.Work{}, nil
	}
	w := console.Work{Agent: user.Has(directory.Agent)}
	waiting, err := d.db.QueuedTasks(ctx, tenant, queues, deskTasks)
	if err != nil {
		return w, err
	}
	inHand, err := d.db.TasksOfAgent(ctx, tenant, strings.ToLower(user.UPN), deskTasks)
	if err != nil {
		return w, err
	}
	if w.Waiting, err = tasksOf(waiting); err != nil {
		return w, err
	}
	w.InHand, err = tasksOf(inHand)
	return w, err
}

func tasksOf(rows []store.Task) ([]core.Task, error) {
	tasks := make([]core.Task, len(rows))
	for i, row := range rows {
		if err := json.Unmarshal(row.Data, &tasks[i]); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

// Accept gives a waiting task to an agent of its service.
func (d desk) Accept(ctx context.Context, tenant, upn, id string) error {
	user, queues, ok := d.agent(tenant, upn)
	if !ok {
		return core.Errorf(core.Forbidden, "You are not in the directory of agents.")
	}
	return d.change(ctx, tenant, id, func(c *engine.Change) error {
		t := c.Task()
		if !slices.Contains(queues, strings.ToLower(t.Service.UPN)) {
			return core.Errorf(core.NotFound, "There is no such task.")
		}
		if t.State != core.StateQueued && t.State != core.StateOffered && t.LastConnectedUser.ID != user.ID {
			return core.Errorf(core.Conflict, "The task does not wait any more: somebody else has taken it, or it has ended.")
		}
		return c.Connect(user.Ref(), false)
	})
}

// Return puts a task that an agent has back into its queue.
func (d desk) Return(ctx context.Context, tenant, upn, id string) error {
	return d.mine(ctx, tenant, upn, id, func(c *engine.Change) error { return c.Requeue() })
}

// Close ends a task that an agent has.
func (d desk) Close(ctx context.Context, tenant, upn, id string) error {
	return d.mine(ctx, tenant, upn, id, func(c *engine.Change) error { c.Terminate(false); return nil })
}

func (d desk) mine(ctx context.Context, tenant, upn, id string, change func(c *engine.Change) error) error {
	return d.change(ctx, tenant, id, func(c *engine.Change) error {
		t := c.Task()
		if !strings.EqualFold(t.LastConnectedUser.UPN, upn) {
			return core.Errorf(core.NotFound, "There is no such task.")
		}
		if t.State != core.StateConnected {
			return core.Errorf(core.Conflict, "You do not have the task any more.")
		}
		return change(c)
	})
}

func (d desk) change(ctx context.Context, tenant, id string, change func(c *engine.Change) error) error {
	_, err := d.engine.Change(ctx, engine.Ref{Tenant: tenant, ID: id}, nil,
		func(_ context.Context, _ *store.Tx, c *engine.Change) error { return change(c) })
	return err
}

// Task returns a task with all that is known of it; for an agent only one that
// the agent has or had.
func (d desk) Task(ctx context.Context, tenant, upn, id string) (console.TaskView, error) {
	t, err := d.engine.Find(ctx, engine.Ref{Tenant: tenant, ID: id})
	if err != nil {
		return console.TaskView{}, err
	}
	if upn != "" && !strings.EqualFold(t.LastConnectedUser.UPN, upn) {
		return console.TaskView{}, core.Errorf(core.NotFound, "There is no such task.")
	}
	v := console.TaskView{Task: t}
	if v.History, err = d.engine.History(ctx, t.ID); err != nil {
		return v, err
	}
	v.Aliases, err = d.db.AliasesOf(ctx, t.ID)
	return v, err
}

// find finds a task by its id or by the name that it has on another platform.
func (h *hub) find(ctx context.Context, tenant, id string) (core.Task, error) {
	for _, platform := range []string{core.PlatformWebex, core.PlatformCXone} {
		t, err := h.engine.Find(ctx, engine.Ref{Tenant: tenant, Platform: platform, ID: id})
		if err == nil || core.KindOf(err) != core.NotFound {
			return t, err
		}
	}
	return core.Task{}, core.Errorf(core.NotFound, "There is no such task.")
}
