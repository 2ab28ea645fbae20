package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/store"
)

// Ref names a task: by its own id when Platform is empty, else by the name that
// it has there, or again by its own id.
type Ref struct {
	Tenant   string
	Platform string
	ID       string
}

// Find returns a task of the tenant; NotFound when there is none.
func (e *Engine) Find(ctx context.Context, ref Ref) (core.Task, error) {
	row, err := e.db.NamedTask(ctx, ref.Tenant, ref.Platform, foldAlias(ref.ID))
	if err := ref.missing(row, err); err != nil {
		return core.Task{}, err
	}
	var t core.Task
	err = json.Unmarshal(row.Data, &t)
	return t, err
}

// missing returns the error of reading a task; one that is another tenant's is
// as good as none.
func (ref Ref) missing(row store.Task, err error) error {
	if err == nil && row.Tenant != ref.Tenant || err != nil && core.KindOf(err) == core.NotFound {
		return unknown(ref.ID)
	}
	return err
}

func unknown(id string) error {
	return core.Errorf(core.NotFound, "there is no task with id %q", id)
}

// foldAlias makes names of other platforms comparable: UUIDs in any case.
func foldAlias(id string) string { return strings.ToLower(id) }

// openRef reads the task that ref names for a command.
func (e *Engine) openRef(ctx context.Context, tx *store.Tx, ref Ref) (*run, error) {
	row, err := tx.NamedTask(ctx, ref.Tenant, ref.Platform, foldAlias(ref.ID))
	if err := ref.missing(row, err); err != nil {
		return nil, err
	}
	return e.openRow(ctx, tx, row)
}

// Changing is what Change runs inside its transaction. It may be run more than
// once, and must not wait for anything but tx.
type Changing func(ctx context.Context, tx *store.Tx, c *Change) error

// Change changes a task in one transaction and returns it as it is then. When ctx
// ends before that, a change that has begun goes on: change and allow must share
// nothing with a caller who has gone.
//
// Errors: NotFound, for another tenant's task too; what allow and change return;
// Invalid with code TASK_TOO_LARGE; Timeout when ctx ended first; Unavailable.
func (e *Engine) Change(ctx context.Context, ref Ref, allow Allow, change Changing) (core.Task, error) {
	var t core.Task
	err := e.db.WriteInTime(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		t, err = e.ChangeIn(ctx, tx, ref, allow, change)
		return err
	})
	if err != nil {
		return core.Task{}, err // t may still be written
	}
	return t, nil
}

// ChangeIn is Change in the caller's transaction.
func (e *Engine) ChangeIn(ctx context.Context, tx *store.Tx, ref Ref, allow Allow, change Changing) (core.Task, error) {
	r, err := e.openRef(ctx, tx, ref)
	if err != nil {
		return core.Task{}, err
	}
	if allow != nil {
		if err := allow(&r.task); err != nil {
			return core.Task{}, err
		}
	}
	c := &Change{r: r}
	if err := change(ctx, tx, c); err != nil || !c.touched {
		return r.task, err
	}
	return r.task, errors.Join(e.save(ctx, tx, r), r.fits())
}

// Change is a task in the hands of a command. Queue, Offer, Connect, Requeue,
// SetParameters and Show return Conflict when it has ended. Refuse and Answer do nothing
// then, and Terminate notes at most that the target has ended it too; SetRemote,
// Turn and Later do what they always do.
type Change struct {
	r       *run
	touched bool
}

// Task is the task as it is now, to be read.
func (c *Change) Task() *core.Task { return &c.r.task }

// open says that the task is changed, or that it cannot be.
func (c *Change) open() error {
	if c.r.task.State == core.StateTerminated {
		return &core.Error{Kind: core.Conflict, Code: CodeEnded, Message: fmt.Sprintf("task %s has terminated", c.r.task.ID)}
	}
	c.touched = true
	return nil
}

// CodeTooLarge is the code of the Invalid error for a task with too many texts.
const CodeTooLarge = "TASK_TOO_LARGE"

// Codes of the Conflicts of a Change.
const (
	CodeEnded = "TASK_ENDED" // the task has terminated
	CodeTaken = "TASK_TAKEN" // somebody else works on it
	CodeThere = "TASK_THERE" // another platform has it
)

// Queue puts the task into the queue of a service, whose task it is from then
// on; in the queue where it is already it keeps its place. priority is 1 to 9, or
// 0 for none. A target that could not take the task is asked anew. Conflict with CodeThere when the task is on another platform than
// the service's target.
func (c *Change) Queue(to core.ServiceRef, priority int) error {
	if err := c.open(); err != nil {
		return err
	}
	r := c.r
	if remote := r.task.Remote; (remote.State == core.RemoteRequested || remote.State == core.RemoteOpen) && remote.Platform != to.Target {
		return &core.Error{Kind: core.Conflict, Code: CodeThere, Message: "the task is at " + remote.Platform + ", and cannot wait in another queue"}
	}
	again := r.task.Remote.State == core.RemoteFailed
	if again {
		r.task.Remote = core.Remote{GivenUp: r.task.Remote.GivenUp}
	}
	if r.waits() {
		if strings.EqualFold(to.UPN, r.task.Service.UPN) && !again {
			return nil
		}
		r.leaveQueue(core.StateAccepted)
	}
	r.task.Service, r.task.ContactPriority = to, priority
	r.enqueue()
	return r.step(flow.Returned)
}

// Offer says that an agent is asked to take the task.
func (c *Change) Offer() error {
	if err := c.open(); err != nil {
		return err
	}
	if c.r.task.State == core.StateQueued {
		c.r.task.State = core.StateOffered
	}
	return nil
}

// Connect gives the task to somebody. Conflict with CodeTaken when somebody else
// has it, unless over says that it is passed on.
func (c *Change) Connect(user core.UserRef, over bool) error {
	r := c.r
	if r.task.State == core.StateConnected {
		switch {
		case r.task.LastConnectedUser == user:
			return nil
		case !over:
			return &core.Error{Kind: core.Conflict, Code: CodeTaken, Message: "somebody else has taken the task"}
		}
	}
	if err := c.open(); err != nil {
		return err
	}
	if r.waits() {
		waited := r.now.Sub(r.task.Queued)
		r.waited = &waited
	}
	r.task.State, r.task.LastConnectedUser = core.StateConnected, user
	r.emit(core.ConnectedToUser, nil)
	return r.step(flow.Connected)
}

// Requeue puts the task back into its queue: the agent who was asked, or had it,
// does not take it. One who was only asked costs it no time.
func (c *Change) Requeue() error {
	if err := c.open(); err != nil {
		return err
	}
	switch c.r.task.State {
	case core.StateQueued:
		return nil
	case core.StateOffered:
		c.r.task.State = core.StateQueued
		return nil
	default:
		c.r.enqueue()
		return c.r.step(flow.Returned)
	}
}

// Refuse says that the target did not take the task: its workflow goes on as if
// its time in the queue were over. Nothing happens when the task has ended.
func (c *Change) Refuse(why string) error {
	if c.r.task.State == core.StateTerminated {
		return nil
	}
	c.touched = true
	c.r.task.Remote.State, c.r.task.Remote.Error = core.RemoteFailed, why
	return c.r.step(flow.Refused)
}

// SetParameters sets context parameters by name.
func (c *Change) SetParameters(values []core.NamedValue) error {
	if err := c.open(); err != nil {
		return err
	}
	c.r.grown = true
	c.r.task.Parameters = core.MergeNamed(c.r.task.Parameters, values)
	return c.r.step(flow.Updated)
}

// maxPops bounds the pages of a task; the newest are kept.
const maxPops = 10

// Show shows the task's agent a page. One that was shown before is the newest
// again.
func (c *Change) Show(p core.Pop) error {
	if err := c.open(); err != nil {
		return err
	}
	c.r.grown = true
	c.r.show(p)
	return nil
}

// SetRemote says where the task's counterpart stands.
func (c *Change) SetRemote(remote core.Remote) {
	c.r.task.Remote, c.touched = remote, true
}

// Turn counts what nodes ask of the task's counterpart, by a hash of it: the same
// as the last time is no new turn.
func (c *Change) Turn(call []byte) int {
	if t := &c.r.task; !bytes.Equal(t.Call, call) {
		t.Call, t.Turn, c.touched = call, t.Turn+1, true
	}
	return c.r.task.Turn
}

// Terminate ends the task; nothing happens when it has ended. byRemote: the
// target has ended it already and need not be told.
func (c *Change) Terminate(byRemote bool) {
	c.touched = true
	if byRemote {
		c.r.task.Remote.State = core.RemoteEnded
	}
	c.r.terminate()
}

// Answer hands the result of an operation to the workflow that waits for it; one
// that comes too late does nothing.
func (c *Change) Answer(a flow.Answer) error {
	r := c.r
	if r.task.State == core.StateTerminated || r.flow == nil {
		return nil
	}
	cursor, save, ok := r.flow.Answer(r.cursor, &r.task, a, r.now)
	if !ok {
		return nil
	}
	c.touched = true
	for _, p := range save {
		r.task.SetParameter(p.Name, p.Value)
		r.emit(core.ParameterUpdated, &p)
	}
	r.cursor = cursor
	return r.step(flow.Continue)
}

// spare is what a task may still grow by when it is moved in the same change.
const spare = 8 << 10

// Fits tells whether the task has room for these parameters.
func (c *Change) Fits(values []core.NamedValue) bool {
	t := c.r.task
	t.Parameters = core.MergeNamed(t.Parameters, values)
	text, err := json.Marshal(&t)
	return err == nil && len(text) <= maxTask-spare
}
