package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/store"
)

// KeyLife is how long an answer is kept under its idempotency key.
const KeyLife = 24 * time.Hour

// Key makes a command idempotent: a second one with the same key gets the first
// answer, byte for byte.
type Key struct {
	Name     string // operation and the caller's key; unique in the tenant
	BodyHash [32]byte
}

// NewTask is a task to be created.
type NewTask struct {
	Task core.Task // what the caller knows; the engine fills ID, State and Created

	Workflow *flow.Workflow // must have been given to Keep
	MaxOpen  int            // open tasks of the tenant and modality; 0: no limit

	// BusinessKey, if set, makes the second task of the service with this key
	// within Window be the first one.
	BusinessKey string
	Window      time.Duration

	// Platform and Alias, if set, name the task as it is called there: the
	// second task of the tenant with this name is the first one.
	Platform, Alias string

	// Prepare, if set, is called before the workflow begins.
	Prepare func(c *Change) error

	// Made, if set, is called in the transaction that makes the task, and not for
	// one that returns the first. It may be run more than once.
	Made func(ctx context.Context, tx *store.Tx) error

	Key *Key // nil: none
}

// Create begins a task and runs its workflow up to the first wait. answer turns
// the task into what the caller is told; it is kept with Key. A repeated key
// gets the kept answer, a repeated business key the answer of the first task.
//
// Errors: Invalid with code TASK_TOO_LARGE; Throttled with code FAIR_USE_LIMIT when MaxOpen tasks are open;
// Conflict (status 422) when the key came with another body; what answer
// returns; Unavailable.
func (e *Engine) Create(ctx context.Context, n NewTask, answer func(*core.Task) ([]byte, error)) ([]byte, error) {
	r, err := e.begin(n)
	if err != nil {
		return nil, err
	}
	body, err := answer(&r.task)
	if err != nil {
		return nil, err
	}
	made := body
	err = e.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		body = made
		if n.Key != nil {
			if kept, err := e.kept(ctx, tx, n.Task.Tenant, n.Key); kept != nil || err != nil {
				body = kept
				return err
			}
		}
		first, err := e.first(ctx, tx, r, n)
		if err != nil {
			return err
		}
		if first != nil {
			if body, err = answer(first); err != nil {
				return err
			}
			return e.keep(ctx, tx, n.Task.Tenant, n.Key, body)
		}
		if err := e.insert(ctx, tx, r, n); err != nil {
			return err
		}
		return e.keep(ctx, tx, n.Task.Tenant, n.Key, body)
	})
	return body, err
}

// CreateIn begins a task in the caller's transaction and returns it, or the first
// one with its alias or business key. NewTask.Key is not looked at.
//
// Errors are those of Create.
func (e *Engine) CreateIn(ctx context.Context, tx *store.Tx, n NewTask) (core.Task, error) {
	r, err := e.begin(n)
	if err != nil {
		return core.Task{}, err
	}
	first, err := e.first(ctx, tx, r, n)
	if err != nil {
		return core.Task{}, err
	}
	if first != nil {
		return *first, nil
	}
	return r.task, e.insert(ctx, tx, r, n)
}

// begin makes a task and runs its workflow up to the first wait.
func (e *Engine) begin(n NewTask) (*run, error) {
	r := &run{task: n.Task, flow: n.Workflow, now: e.now(), grown: true}
	r.task.ID, r.task.Created, r.task.State = core.NewID(r.now), r.now, core.StateCreated
	if r.task.Priority == "" {
		r.task.Priority = core.PriorityNormal
	}
	r.row = store.Task{ID: r.task.ID, Tenant: r.task.Tenant, Modality: r.task.Modality, Workflow: n.Workflow.Hash}
	r.emit(core.Created, nil)
	if n.Prepare != nil {
		if err := n.Prepare(&Change{r: r}); err != nil {
			return nil, err
		}
	}
	if err := r.step(flow.Continue); err != nil {
		return nil, err
	}
	return r, errors.Join(r.encode(), r.fits())
}

// insert writes a new task within the tenant's limit.
func (e *Engine) insert(ctx context.Context, tx *store.Tx, r *run, n NewTask) error {
	if r.row.Ended.IsZero() {
		open, err := tx.AddOpen(ctx, r.row, 1)
		if err != nil {
			return err
		}
		if n.MaxOpen > 0 && open > n.MaxOpen {
			return &core.Error{
				Kind: core.Throttled, Code: "FAIR_USE_LIMIT", RetryAfter: 30 * time.Second,
				Message: fmt.Sprintf("the tenant may have at most %d open tasks of modality %s; end some of them first", n.MaxOpen, r.task.Modality),
			}
		}
	}
	if err := tx.InsertTask(ctx, r.row); err != nil {
		return err
	}
	if err := e.publish(ctx, tx, r); err != nil || n.Made == nil {
		return err
	}
	return n.Made(ctx, tx)
}

// first returns the task that holds the alias or the business key, nil when they
// are r's now.
func (e *Engine) first(ctx context.Context, tx *store.Tx, r *run, n NewTask) (*core.Task, error) {
	if n.Alias != "" {
		holder, err := tx.InsertAlias(ctx, r.task.Tenant, n.Platform, foldAlias(n.Alias), r.task.ID)
		if err != nil {
			return nil, err
		}
		if holder != r.task.ID {
			row, err := tx.Task(ctx, holder)
			if err != nil {
				return nil, err
			}
			var t core.Task
			err = json.Unmarshal(row.Data, &t)
			return &t, err
		}
	}
	if n.BusinessKey == "" {
		return nil, nil
	}
	holder, err := tx.ClaimBusinessKey(ctx, r.task.Tenant, r.task.Service.UPN, n.BusinessKey, r.task.ID, r.now, r.now.Add(-n.Window))
	if err != nil || holder == r.task.ID {
		return nil, err
	}
	row, err := tx.Task(ctx, holder)
	if err != nil {
		if core.KindOf(err) != core.NotFound {
			return nil, err
		}
		// Removed by the retention while its key still held: the key is free.
		_, err = tx.ClaimBusinessKey(ctx, r.task.Tenant, r.task.Service.UPN, n.BusinessKey, r.task.ID, r.now, r.now.Add(n.Window))
		return nil, err
	}
	var t core.Task
	err = json.Unmarshal(row.Data, &t)
	return &t, err
}

// kept returns the answer kept under a key, nil when there is none.
func (e *Engine) kept(ctx context.Context, tx *store.Tx, tenant string, k *Key) ([]byte, error) {
	old, err := tx.Replay(ctx, tenant, k.Name, e.now().Add(-KeyLife))
	switch {
	case err != nil && core.KindOf(err) == core.NotFound:
		return nil, nil
	case err != nil:
		return nil, err
	case string(old.BodyHash) != string(k.BodyHash[:]):
		return nil, &core.Error{
			Kind: core.Conflict, Code: "IDEMPOTENCY_KEY_REUSED", Status: 422,
			Message: "this Idempotency-Key came before with another request; use a new key",
		}
	}
	if old.Answer == nil {
		old.Answer = []byte{}
	}
	return old.Answer, nil
}

// keep stores an answer under a key, if there is one.
func (e *Engine) keep(ctx context.Context, tx *store.Tx, tenant string, k *Key, answer []byte) error {
	if k == nil {
		return nil
	}
	now := e.now()
	return tx.SaveReplay(ctx, store.Replay{Tenant: tenant, Key: k.Name, BodyHash: k.BodyHash[:], Answer: answer}, now, now.Add(-KeyLife))
}

// Allow decides whether a caller may touch a task. It is called inside the
// transaction and must not wait for anything.
type Allow func(*core.Task) error

// Changes is what a caller may change on a task in progress.
type Changes struct {
	Customer       func(*core.Customer)  // nil: unchanged
	Parameters     []core.NamedValue     // set by name
	PreferredUsers *[]core.PreferredUser // nil: unchanged; else the new list
}

// Update changes a task in progress and lets its workflow see new parameters.
// It raises no Parameter Updated event: that is for parameters set by workflow
// activities, and a flow that updates on that event would trigger itself.
//
// Errors: NotFound; what allow returns; Invalid with code TASK_TOO_LARGE;
// Conflict when the task has terminated
// or the key came with another body; Unavailable.
func (e *Engine) Update(ctx context.Context, id string, c Changes, key *Key, allow Allow) error {
	return e.command(ctx, id, key, allow, func(r *run) error {
		if r.task.State == core.StateTerminated {
			return core.Errorf(core.Conflict, "task %s has terminated and can no longer be updated", id)
		}
		r.grown = true
		if c.Customer != nil {
			c.Customer(&r.task.Customer)
		}
		r.task.Parameters = core.MergeNamed(r.task.Parameters, c.Parameters)
		if c.PreferredUsers != nil {
			r.task.PreferredUsers = *c.PreferredUsers
		}
		return r.step(flow.Updated)
	})
}

// Remove ends a task, whatever it is doing. Nothing happens when it has ended.
//
// Errors: NotFound; what allow returns; Conflict when the key came with another
// body; Unavailable.
func (e *Engine) Remove(ctx context.Context, id string, key *Key, allow Allow) error {
	return e.command(ctx, id, key, allow, func(r *run) error {
		r.terminate()
		return nil
	})
}

// command runs change on a task in one transaction.
func (e *Engine) command(ctx context.Context, id string, key *Key, allow Allow, change func(*run) error) error {
	return e.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, err := e.open(ctx, tx, id)
		if err != nil {
			if core.KindOf(err) == core.NotFound {
				return core.Errorf(core.NotFound, "there is no task with id %q", id)
			}
			return err
		}
		if err := allow(&r.task); err != nil {
			return err
		}
		if key != nil {
			if kept, err := e.kept(ctx, tx, r.task.Tenant, key); kept != nil || err != nil {
				return err
			}
		}
		ended := !r.row.Ended.IsZero()
		if err := change(r); err != nil {
			return err
		}
		if !ended {
			if err := errors.Join(e.save(ctx, tx, r), r.fits()); err != nil {
				return err
			}
		}
		return e.keep(ctx, tx, r.task.Tenant, key, []byte{})
	})
}
