package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/operation"
	"tandem/core/outbox"
	"tandem/core/store"
)

// callTime bounds one try of what is done with a counterpart.
const callTime = 30 * time.Second

// Handlers are what the outbox worker needs.
func (b *Bridge) Handlers() map[string]outbox.Handler {
	return map[string]outbox.Handler{engine.KindRemote: b.remote, engine.KindOperation: b.operation}
}

// place is where the operation for a piece of work is found.
type place struct{ integration, node, operation string }

// places are the operations of the targets. Those of Webex are nodes: their
// operations stand in webex/nodes.yaml.
var places = map[string]map[string]place{
	core.PlatformWebex: {
		engine.RemoteCreate: {node: "create-task/create"},
		engine.RemoteQueue:  {node: "queue-task/queue"},
		engine.RemoteEnd:    {node: "close-task/close"},
	},
	core.PlatformCXone: {
		engine.RemoteCreate: {integration: "cxone", operation: "create-work-item"},
		engine.RemoteEnd:    {integration: "cxone", operation: "end-work-item"},
	},
}

// find returns the operation for a piece of work, and the entry of the node that
// it belongs to, in that version; nil when the mapping files name none.
func (b *Bridge) find(platform, do, version string) (*operation.Operation, string) {
	p, ok := places[platform][do]
	if !ok {
		return nil, ""
	}
	entry := ""
	if node, method, isNode := strings.Cut(p.node, "/"); isNode {
		n, _ := b.o.Integrations().Node(node, version)
		m, _ := n.Method(method)
		entry, p.integration, p.operation = n.ID, n.Integration, m.Operation
	}
	op, _ := b.o.Operations().Operation(p.integration, p.operation)
	return op, entry
}

// remote does a piece of work with a task's counterpart.
func (b *Bridge) remote(ctx context.Context, it store.OutboxItem) outbox.Verdict {
	var work engine.RemoteWork
	if err := json.Unmarshal(it.Payload, &work); err != nil {
		return b.lost(it, err)
	}
	t, err := b.o.Engine.Find(ctx, engine.Ref{Tenant: it.Tenant, ID: it.TaskID})
	if err != nil {
		return b.again(it, err, nil)
	}
	if work.Do == engine.RemoteCreate && t.Remote.State == core.RemoteFailed {
		if t, err = b.asksAgain(ctx, &t); err != nil {
			return b.again(it, err, nil)
		}
	}
	switch {
	case pointless(&t, &work, it):
		return done(b.change(it.Tenant, it.TaskID, func(_ context.Context, _ *store.Tx, c *engine.Change) error { return b.queueThere(c, &work) }))
	case t.Remote.ID == "" && work.Do == engine.RemoteQueue: // whoever makes it is not ready
		return b.waits(it)
	}
	platform := cmp.Or(work.Platform, t.Remote.Platform)
	op, node := b.find(platform, work.Do, work.Version)
	if op == nil {
		return b.over(it, &work, core.Errorf(core.NotConfigured, "the mapping files name no operation to %s a task at the target %s", work.Do, platform))
	}
	output, err := b.do(ctx, it, &work, job{t.Service.UPN + " / " + op.Title, platform, operation.Request{
		Tenant: t.Tenant, Operation: op, Node: node, Authorization: work.Authorization, Input: b.input(&t, work.Given), ContactID: t.ID, Key: it.ID, Timeout: callTime,
	}})
	switch {
	case err == nil:
		return done(b.did(&t, work, output))
	case work.Do == engine.RemoteEnd && core.KindOf(err) == core.NotFound:
		return done(b.did(&t, work, nil)) // it is over
	case work.Do == engine.RemoteQueue && core.KindOf(err) == core.Conflict:
		return done(nil) // it is past the queue; events say where
	case early(&t, &work, it): // the target may yet say that it has another task
	case lasting(err, work.Do != engine.RemoteCreate || platform == core.PlatformWebex):
		return b.over(it, &work, err)
	}
	return b.again(it, err, func() outbox.Verdict { return b.over(it, &work, err) })
}

// do runs the operation for a piece of work. Webex refuses a second task for the
// same, and tells which is the first; to be ended or queued twice is nothing to a
// task. What else makes a counterpart is run once, even if its worker dies.
func (b *Bridge) do(ctx context.Context, it store.OutboxItem, work *engine.RemoteWork, j job) (any, error) {
	if work.ID != "" {
		j.request.Input["taskId"] = work.ID
	}
	if work.Do == engine.RemoteCreate && j.platform != core.PlatformWebex {
		return b.once(ctx, "outbox/"+it.ID, answerLife, callTime+time.Second, j, nil)
	}
	result, err := b.run(ctx, j)
	return result.Output, err
}

// queueThere has a counterpart that was made put into the target's queue, if that
// was asked for.
func (b *Bridge) queueThere(c *engine.Change, work *engine.RemoteWork) error {
	t := c.Task()
	if work.Next == nil || t.Remote.ID == "" || t.Remote.State == core.RemoteFailed || t.State == core.StateTerminated {
		return nil
	}
	if s := b.service(t); work.Next.Given["queueId"] == nil && (s == nil || s.TargetSettings["queue"] == "") {
		return nil // the target has its own ways
	}
	return c.Later(engine.KindRemote, t.ID, 0, *work.Next)
}

// made takes away what would make a counterpart again, and lets go on what waits
// for it.
func (b *Bridge) made(ctx context.Context, tx *store.Tx, taskID string) error {
	if err := tx.DropOutbox(ctx, makeLane(taskID)); err != nil {
		return err
	}
	return tx.HastenOutbox(ctx, taskID, b.o.Clock.Now())
}

// waits is the verdict for what has to wait for the counterpart.
func (b *Bridge) waits(it store.OutboxItem) outbox.Verdict {
	wait, more := outbox.Backoff(it.Attempts)
	return outbox.Verdict{Done: !more, Wait: wait, Then: b.change(it.Tenant, it.TaskID, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
		if c.Task().Remote.ID == "" {
			return nil
		}
		return tx.HastenOutbox(ctx, it.Lane, b.o.Clock.Now()) // it was made since it was looked at
	})}
}

// unheard is how often the queue may refuse a task of which the target has said
// nothing yet.
const unheard = 2

// early tells whether the queue has refused such a task.
func early(t *core.Task, work *engine.RemoteWork, it store.OutboxItem) bool {
	return work.Do == engine.RemoteQueue && t.Remote.State == core.RemoteRequested && it.Attempts < unheard
}

// pointless tells whether a piece of work need not be done any more.
func pointless(t *core.Task, work *engine.RemoteWork, it store.OutboxItem) bool {
	made := t.Remote.ID != ""
	switch work.Do {
	case engine.RemoteCreate: // a task that ended before the first try is nothing to the target
		first := it.Attempts == 0 && it.Lane == t.ID
		return made || t.Remote.State == core.RemoteFailed || t.Remote.State == core.RemoteEnded || t.State == core.StateTerminated && first
	case engine.RemoteQueue: // or it has been in the queue, and left it
		return t.State != core.StateQueued || !made && t.Remote.State != core.RemoteRequested
	default:
		return work.ID == "" && (!made || t.Remote.State == core.RemoteEnded)
	}
}

// asksAgain forgets a counterpart that was refused, if its task waits in the
// queue again.
func (b *Bridge) asksAgain(ctx context.Context, t *core.Task) (again core.Task, err error) {
	err = b.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		again, err = b.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: t.Tenant, ID: t.ID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
			if t := c.Task(); t.State == core.StateQueued && t.Remote.State == core.RemoteFailed {
				c.SetRemote(core.Remote{Platform: t.Remote.Platform, State: core.RemoteRequested, GivenUp: t.Remote.GivenUp})
			}
			return nil
		})
		return err
	})
	return again, err
}

// did writes down what was done with a counterpart.
func (b *Bridge) did(before *core.Task, work engine.RemoteWork, output any) func(context.Context, *store.Tx) error {
	fields, _ := output.(map[string]any)
	id, _ := fields["taskId"].(string)
	id = strings.ToLower(id)
	platform := before.Remote.Platform
	change := b.change(before.Tenant, before.ID, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
		remote := c.Task().Remote
		switch work.Do {
		case engine.RemoteEnd:
			if work.ID == "" { // else it was given up
				remote.State = core.RemoteEnded
				c.SetRemote(remote)
			}
			return nil
		case engine.RemoteCreate:
		default:
			return nil
		}
		if id == "" {
			return c.Refuse("the operation that creates tasks at the target gave no taskId")
		}
		holder, err := tx.InsertAlias(ctx, before.Tenant, platform, id, before.ID)
		if err != nil {
			return err
		}
		if holder != before.ID {
			return c.Refuse("the target answered with the task of somebody else")
		}
		remote.ID = id
		if platform == core.PlatformCXone { // it says nothing more
			remote.State = core.RemoteOpen
		}
		if remote.State != core.RemoteFailed { // an event may have been faster, and says why
			remote.Error = ""
		}
		c.SetRemote(remote)
		if err := b.made(ctx, tx, before.ID); err != nil {
			return err
		}
		if err := endsThere(c); err != nil {
			return err
		}
		if err := b.queueThere(c, &work); err != nil {
			return err
		}
		return b.follow(ctx, tx, c, platform, id)
	})
	return func(ctx context.Context, tx *store.Tx) error {
		if id != "" {
			if err := tx.LockName(ctx, before.Tenant, platform, id); err != nil {
				return err
			}
		}
		return change(ctx, tx)
	}
}

// change is a change of a task that may be gone meanwhile.
func (b *Bridge) change(tenant, id string, change engine.Changing) func(context.Context, *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error {
		_, err := b.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: tenant, ID: id}, nil, change)
		if core.KindOf(err) == core.NotFound {
			return nil
		}
		return err
	}
}

// over gives a piece of work up: a task that the target does not take leaves the
// queue.
func (b *Bridge) over(it store.OutboxItem, work *engine.RemoteWork, why error) outbox.Verdict {
	if work.Do != engine.RemoteCreate && work.Do != engine.RemoteQueue {
		return done(nil) // the task itself is as it should be; the run tells people
	}
	message := messageOf(why)
	return done(b.change(it.Tenant, it.TaskID, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
		t := c.Task()
		events, err := tx.RemoteEvents(ctx, t.Tenant, t.Remote.Platform, t.Remote.ID)
		if err != nil || t.State == core.StateTerminated || rank[standing(events).Kind] >= rank[Parked] {
			return err // somebody else has put it into the queue there
		}
		if t.Remote.ID != "" && work.Do == engine.RemoteCreate { // another try has made it
			return b.queueThere(c, work)
		}
		if remote := t.Remote; remote.ID != "" { // it is there, and would wait for nobody
			remote.GivenUp = remote.ID
			c.SetRemote(remote)
			if err := c.Later(engine.KindRemote, t.ID, 0, engine.RemoteWork{Do: engine.RemoteEnd, Platform: remote.Platform, ID: remote.ID}); err != nil {
				return err
			}
		}
		return c.Refuse(message)
	}))
}

func done(then func(context.Context, *store.Tx) error) outbox.Verdict {
	return outbox.Verdict{Done: true, Then: then}
}

// again lets an item be tried later, or ends it with over when it was tried often
// enough. The reason stands in the task meanwhile.
func (b *Bridge) again(it store.OutboxItem, why error, over func() outbox.Verdict) outbox.Verdict {
	wait, more := outbox.Backoff(it.Attempts)
	if !more || core.KindOf(why) == core.NotFound && over == nil {
		if over == nil {
			return done(nil) // the task is gone
		}
		return over()
	}
	if e, ok := errors.AsType[*core.Error](why); ok && e.RetryAfter > wait {
		wait = min(e.RetryAfter, time.Hour)
	}
	return outbox.Verdict{Wait: wait, Then: b.change(it.Tenant, it.TaskID, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		if remote := c.Task().Remote; it.Kind == engine.KindRemote && remote.ID == "" && remote.State == core.RemoteRequested {
			remote.Error = messageOf(why)
			c.SetRemote(remote)
		}
		return nil
	})}
}

// lost ends an item that cannot be read.
func (b *Bridge) lost(it store.OutboxItem, err error) outbox.Verdict {
	b.o.Failed("an item of the outbox cannot be read", fmt.Errorf("%s: %w", it.ID, err))
	return done(nil)
}

// lasting tells whether an error stays when the work is tried again. An
// authorization may be granted any moment; what may have been done is not done
// again, unless it can be done twice.
func lasting(err error, twice bool) bool {
	switch kind := core.KindOf(err); kind {
	case core.NeedsAuthorization:
		return false
	case core.Uncertain:
		return !twice && (wrote(err) || !isRun(err))
	default:
		return !core.Table[kind].Retry || !twice && wrote(err)
	}
}

// operation runs an operation of a workflow.
func (b *Bridge) operation(ctx context.Context, it store.OutboxItem) outbox.Verdict {
	var work engine.OperationWork
	if err := json.Unmarshal(it.Payload, &work); err != nil {
		return b.lost(it, err)
	}
	if late := b.o.Clock.Now().Sub(store.FromMilli(it.CreatedMs)) > work.Run.Timeout+flow.Grace; late && !work.Ending {
		why := core.Errorf(core.Timeout, "the workflow has gone on without the operation")
		return b.answered(it, &work, nil, why)
	}
	output, err := b.workflowRun(ctx, it, &work)
	if err != nil && ctx.Err() != nil { // the hub stops: whoever comes next learns what became of it
		return outbox.Verdict{}
	}
	if err != nil && core.KindOf(err) == core.Uncertain && !isRun(err) { // its worker died, and nobody knows what it had done
		b.unsettled(it, &work, err)
	}
	if work.Ending {
		if err == nil || lasting(err, false) {
			return done(nil)
		}
		return b.again(it, err, func() outbox.Verdict { return done(nil) })
	}
	if core.KindOf(err) == core.Unavailable && !isRun(err) { // the hub itself: nothing has begun
		return b.again(it, err, func() outbox.Verdict { return b.answered(it, &work, nil, err) })
	}
	return b.answered(it, &work, output, err)
}

func isRun(err error) bool {
	_, ok := errors.AsType[*operation.Error](err)
	return ok
}

func (b *Bridge) answered(it store.OutboxItem, work *engine.OperationWork, output any, err error) outbox.Verdict {
	return done(b.change(it.Tenant, it.TaskID, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		return c.Answer(flow.Answer{Turn: work.Run.Turn, Failed: err != nil, Result: output})
	}))
}
