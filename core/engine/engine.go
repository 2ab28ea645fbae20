package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/store"
)

// Options is what an engine is lent.
type Options struct {
	DB    *store.DB
	Clock core.Clock

	// Deliver is told after a commit that a trigger has something to send.
	// It must not block. Nil: nobody listens.
	Deliver func(triggerID string)

	// Outbox is told after a commit that there is something to be done outside.
	// It must not block. Nil: nobody listens.
	Outbox func()

	// Observe is told after a commit what happened. It must not block.
	Observe func(core.Event)
}

// Engine runs tasks. All methods may be called from several goroutines.
type Engine struct {
	db      *store.DB
	clock   core.Clock
	deliver func(string)
	observe func(core.Event)
	due     chan time.Time // due times that may be earlier than the one waited for

	outbox func()

	mu      sync.Mutex
	flows   map[string]*flow.Workflow  // by hash; what is not here is in the database
	watched map[string][]chan struct{} // by task
}

// New returns an engine.
func New(o Options) *Engine {
	e := &Engine{
		db: o.DB, clock: o.Clock, deliver: o.Deliver, observe: o.Observe,
		outbox: o.Outbox, due: make(chan time.Time, 1), flows: map[string]*flow.Workflow{}, watched: map[string][]chan struct{}{},
	}
	if e.outbox == nil {
		e.outbox = func() {}
	}
	if e.deliver == nil {
		e.deliver = func(string) {}
	}
	if e.observe == nil {
		e.observe = func(core.Event) {}
	}
	return e
}

// now is the time in whole milliseconds: what is stored reads back equal.
func (e *Engine) now() time.Time { return e.clock.Now().Truncate(time.Millisecond) }

// maxFlows bounds the workflows kept in memory; the database has all of them.
const maxFlows = 1000

// Keep stores the texts of workflows, so that tasks can begin on them. It must
// have returned before a task is created on one of them.
func (e *Engine) Keep(ctx context.Context, flows map[string]*flow.Workflow) error {
	if e.knows(flows) {
		return nil
	}
	err := e.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, w := range flows {
			if err := tx.SaveWorkflow(ctx, w.Hash, w.Name, w.Text); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep workflows: %w", err)
	}
	for _, w := range flows {
		e.remember(w)
	}
	return nil
}

// knows tells whether all workflows are in memory, and so in the database.
func (e *Engine) knows(flows map[string]*flow.Workflow) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range flows {
		if e.flows[w.Hash] == nil {
			return false
		}
	}
	return true
}

func (e *Engine) remember(w *flow.Workflow) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.flows) >= maxFlows {
		clear(e.flows)
	}
	e.flows[w.Hash] = w
}

// workflow returns a workflow by its hash, from memory or from the database. It
// reads on the transaction's own connection: transactions that each waited for
// a second one would wait for one another.
func (e *Engine) workflow(ctx context.Context, tx *store.Tx, hash string) (*flow.Workflow, error) {
	e.mu.Lock()
	w := e.flows[hash]
	e.mu.Unlock()
	if w != nil {
		return w, nil
	}
	name, text, err := tx.Workflow(ctx, hash)
	if err != nil {
		if core.KindOf(err) == core.NotFound { // a fault of ours, and not a missing task
			return nil, core.Wrap(core.Internal, err, "workflow %.12s", hash)
		}
		return nil, fmt.Errorf("workflow %.12s: %w", hash, err)
	}
	w, findings := flow.Parse("workflows/"+name+".yaml", text)
	if len(findings) > 0 {
		return nil, core.Errorf(core.Mapping, "workflow %s as the task began with it: %s", name, findings[0])
	}
	e.remember(w)
	return w, nil
}

// Task returns a task; NotFound when there is none.
func (e *Engine) Task(ctx context.Context, id string) (core.Task, error) {
	row, err := e.db.Task(ctx, id)
	if err != nil {
		return core.Task{}, err
	}
	var t core.Task
	err = json.Unmarshal(row.Data, &t)
	return t, err
}

// History returns the events of a task, oldest first; none for an unknown task.
func (e *Engine) History(ctx context.Context, id string) ([]core.Event, error) {
	rows, err := e.db.Events(ctx, id)
	if err != nil {
		return nil, err
	}
	events := make([]core.Event, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Data, &events[i]); err != nil {
			return nil, fmt.Errorf("event %d of task %s: %w", r.Seq, id, err)
		}
		events[i].Seq = r.Seq
	}
	return events, nil
}
