package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/store"
)

// maxSteps bounds one run through a workflow. Loading refuses loops without a
// wait, so only a fault of ours could reach it.
const maxSteps = 1000

// run is a task while a command works on it: the row, the task in it, and what
// the command adds.
type run struct {
	row    store.Task
	task   core.Task
	cursor flow.Cursor
	flow   *flow.Workflow
	broken error // why flow is nil
	now    time.Time
	events []core.Event
	outbox []store.OutboxItem
	waited *time.Duration // in the queue, when an agent took it in this change

	queueing *RemoteWork // how a counterpart that is made in this change is queued; nil: as the service says
	grown    bool        // by what a caller gave, and so may have become too large
	failed   error       // to write down something to be done
}

// open reads a task for a command.
func (e *Engine) open(ctx context.Context, tx *store.Tx, id string) (*run, error) {
	row, err := tx.Task(ctx, id)
	if err != nil {
		return nil, err
	}
	return e.openRow(ctx, tx, row)
}

// openRow is open for a task that was read.
func (e *Engine) openRow(ctx context.Context, tx *store.Tx, row store.Task) (*run, error) {
	r, err := e.decode(row)
	if err != nil {
		return nil, err
	}
	// A task whose workflow cannot be read cannot go on, but it can be removed.
	if r.flow, r.broken = e.workflow(ctx, tx, row.Workflow); errors.Is(r.broken, store.ErrRetry) {
		return nil, r.broken
	}
	return r, nil
}

// decode makes a run of a stored task, as yet without its workflow.
func (e *Engine) decode(row store.Task) (*run, error) {
	r := &run{row: row, now: e.now()}
	if err := json.Unmarshal(row.Data, &r.task); err != nil {
		return nil, fmt.Errorf("task %s: %w", row.ID, err)
	}
	if err := json.Unmarshal(row.Cursor, &r.cursor); err != nil {
		return nil, fmt.Errorf("cursor of task %s: %w", row.ID, err)
	}
	return r, nil
}

// maxTask bounds the JSON of a task: every event that somebody subscribed to
// keeps a copy of it.
const maxTask = 256 << 10

// fits refuses a task that a caller has made too large. Whoever only says what
// became of it is never refused: one that is full must still be able to end.
func (r *run) fits() error {
	if !r.grown || len(r.row.Data) <= maxTask {
		return nil
	}
	return &core.Error{
		Kind: core.Invalid, Code: CodeTooLarge,
		Message: fmt.Sprintf("the task would have %d bytes with all its texts; at most %d are kept", len(r.row.Data), maxTask),
	}
}

// emit appends an event with the task as it is now.
func (r *run) emit(name core.EventName, p *core.NamedValue) {
	r.row.Events++
	r.events = append(r.events, core.Event{Seq: r.row.Events, Name: name, At: r.now, Task: r.task, Parameter: p})
}

// step runs the workflow until it waits or the task ends.
func (r *run) step(in flow.Input) error {
	if r.task.State == core.StateTerminated {
		return nil
	}
	if r.flow == nil {
		return r.broken
	}
	for range maxSteps {
		if r.task.State == core.StateTerminated {
			return nil
		}
		var effect flow.Effect
		r.cursor, effect = r.flow.Step(r.cursor, &r.task, in, r.now)
		r.apply(effect)
		if r.cursor.Waiting {
			return nil
		}
		in = flow.Continue
	}
	return fmt.Errorf("workflow %s of task %s made %d steps without waiting", r.flow.Name, r.task.ID, maxSteps)
}

// apply does to the task what a step asks for.
func (r *run) apply(f flow.Effect) {
	switch f.Action {
	case flow.Accept:
		if r.task.State == core.StateCreated {
			r.task.State = core.StateAccepted
			r.emit(core.SystemAccepted, nil)
		}
	case flow.Prioritize:
		r.task.Priority = f.Priority
	case flow.Save:
		r.task.SetParameter(f.Parameter.Name, f.Parameter.Value)
		p := f.Parameter
		r.emit(core.ParameterUpdated, &p)
	case flow.Enqueue:
		if r.task.State != core.StateConnected && !r.waits() {
			r.enqueue()
		}
	case flow.Run:
		r.failed = errors.Join(r.failed, r.later(KindOperation, "", 0, OperationWork{Run: *f.Run}))
	case flow.Pop:
		r.show(f.Pop)
	case flow.LeaveQueue:
		r.leaveQueue(core.StateAccepted)
	case flow.Disconnect:
		r.terminate()
	case flow.Wait, flow.Pass:
	}
}

func (r *run) leaveQueue(next core.State) {
	if r.waits() {
		r.task.State = next
		r.emit(core.QueueLeft, nil)
	}
}

// terminate ends the task, whatever it was doing.
func (r *run) terminate() {
	if r.task.State == core.StateTerminated {
		return
	}
	r.leaveQueue(core.StateAccepted)
	r.task.State, r.task.Terminated = core.StateTerminated, r.now
	r.cursor = flow.Cursor{At: -1}
	r.emit(core.Terminated, nil)
	if state := r.task.Remote.State; state == core.RemoteRequested || state == core.RemoteOpen {
		r.remotely(RemoteEnd, 0)
	}
	if r.flow == nil {
		return
	}
	for _, ending := range r.flow.Endings(&r.task) {
		work := OperationWork{Ending: true, Run: ending}
		if ending.Err != nil {
			work.Error = ending.Err.Error()
		}
		r.failed = errors.Join(r.failed, r.later(KindOperation, "", 0, work))
	}
}

// encode brings the row up to the task.
func (r *run) encode() (err error) {
	if r.row.Data, err = json.Marshal(&r.task); err != nil {
		return fmt.Errorf("task %s: %w", r.task.ID, err)
	}
	if r.row.Cursor, err = json.Marshal(r.cursor); err != nil {
		return fmt.Errorf("cursor of task %s: %w", r.task.ID, err)
	}
	r.row.Due = time.Time{}
	if r.cursor.Waiting {
		r.row.Due = r.cursor.Until
	}
	r.row.Ended = r.task.Terminated
	r.place()
	return r.failed
}

// save writes a task that existed before, with what the command added.
func (e *Engine) save(ctx context.Context, tx *store.Tx, r *run) error {
	wasOpen := r.row.Ended.IsZero()
	if err := r.encode(); err != nil {
		return err
	}
	if err := tx.UpdateTask(ctx, r.row); err != nil {
		return err
	}
	if wasOpen && !r.row.Ended.IsZero() {
		if _, err := tx.AddOpen(ctx, r.row, -1); err != nil {
			return err
		}
	}
	return e.publish(ctx, tx, r)
}

// publish writes the events with a delivery for each trigger that wants one,
// and the signals that follow the commit.
func (e *Engine) publish(ctx context.Context, tx *store.Tx, r *run) error {
	deliveries, wanted, err := match(ctx, tx, r)
	if err != nil {
		return err
	}
	rows := make([]store.Event, len(r.events))
	for i, ev := range r.events {
		if !wanted[i] {
			ev.Task = core.Task{}
		}
		data, err := json.Marshal(&ev)
		if err != nil {
			return fmt.Errorf("event %s of task %s: %w", ev.Name, r.task.ID, err)
		}
		rows[i] = store.Event{Seq: ev.Seq, Name: ev.Name, At: ev.At, Data: data}
	}
	if err := tx.InsertEvents(ctx, r.task.ID, rows); err != nil {
		return err
	}
	if err := tx.InsertDeliveries(ctx, deliveries); err != nil {
		return err
	}
	if len(r.outbox) > 0 {
		if err := tx.InsertOutbox(ctx, r.outbox); err != nil {
			return err
		}
	}
	if r.waited != nil {
		err := tx.InsertQueueTime(ctx, store.QueueTime{
			TaskID: r.task.ID, Seq: r.row.Events, Tenant: r.task.Tenant, Queue: strings.ToLower(r.task.Service.UPN),
			LeftMs: r.now.UnixMilli(), WaitedMs: r.waited.Milliseconds(),
		})
		if err != nil {
			return err
		}
	}
	tx.After(func() {
		e.wake(r.row.Due)
		e.tell(r.task.ID)
		if len(r.outbox) > 0 {
			e.outbox()
		}
		for _, ev := range r.events {
			e.observe(ev)
		}
		for i := range deliveries {
			if i == 0 || deliveries[i].TriggerID != deliveries[i-1].TriggerID {
				e.deliver(deliveries[i].TriggerID)
			}
		}
	})
	return nil
}

// match returns a delivery for each event and trigger that belong together, and
// which events have one.
func match(ctx context.Context, tx *store.Tx, r *run) (deliveries []store.Delivery, wanted []bool, err error) {
	wanted = make([]bool, len(r.events))
	if len(r.events) == 0 {
		return nil, wanted, nil
	}
	filters, err := tx.Filters(ctx, r.task.Tenant, r.task.Service.UPN)
	for i := range filters {
		f := &filters[i]
		if !core.Allows(f.Modalities, core.Modalities, r.task.Modality) || !core.Allows(f.Directions, core.Directions, r.task.Direction) {
			continue
		}
		for j := range r.events {
			if core.Allows(f.Events, core.EventNames, r.events[j].Name) {
				wanted[j] = true
				deliveries = append(deliveries, store.Delivery{
					TriggerID: f.ID, TaskID: r.task.ID, Seq: r.events[j].Seq, CreatedMs: r.now.UnixMilli(),
				})
			}
		}
	}
	return deliveries, wanted, err
}
