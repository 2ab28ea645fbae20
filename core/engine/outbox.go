package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tandem/core/flow"
	"tandem/core/store"
)

// Later leaves something to be done outside, once the change is on disk and the
// pause is over. Items of a lane are done one after the other; "" stands for no
// other.
func (c *Change) Later(kind, lane string, pause time.Duration, payload any) error {
	c.touched = true
	return c.r.later(kind, lane, pause, payload)
}

// Queueing says how the counterpart is queued that Queue, called after it, has
// made; else it is as the service says.
func (c *Change) Queueing(work RemoteWork) { c.r.queueing = &work }

// The kinds of what the engine itself leaves to be done.
const (
	KindRemote    = "remote"    // RemoteWork, at the service's target
	KindOperation = "operation" // OperationWork
)

// What is done with a task's counterpart.
const (
	RemoteCreate = "create"
	RemoteQueue  = "queue"
	RemoteEnd    = "end"
)

// RemoteWork is the payload of an item of KindRemote; its lane is the task, but
// for a second attempt of what somebody does without an item.
type RemoteWork struct {
	Do   string      `json:"do"`
	Next *RemoteWork `json:"next,omitempty"` // with RemoteCreate: what is done then

	// With RemoteEnd: the counterpart, if it is not the task's any more.
	Platform string `json:"platform,omitempty"`
	ID       string `json:"id,omitempty"`

	// What a node of Webex was asked for that does not stand in the task.
	Given         map[string]any `json:"given,omitempty"`
	Version       string         `json:"version,omitempty"`
	Authorization string         `json:"authorization,omitempty"`
}

// OperationWork is the payload of an item of KindOperation.
type OperationWork struct {
	Ending bool            `json:"ending,omitempty"` // after the task's end: nobody waits for the answer
	Run    flow.RunRequest `json:"run"`
	Error  string          `json:"error,omitempty"` // why it cannot be run
}

// later adds an item.
func (r *run) later(kind, lane string, pause time.Duration, payload any) error {
	text, err := json.Marshal(payload)
	if err != nil {
		return fmt.Errorf("outbox of task %s: %w", r.task.ID, err)
	}
	r.outbox = append(r.outbox, store.OutboxItem{
		Tenant: r.task.Tenant, Kind: kind, Lane: lane, TaskID: r.task.ID, Payload: text,
		DueMs: r.now.Add(pause).UnixMilli(), CreatedMs: r.now.UnixMilli(),
	})
	return nil
}

// remotely leaves something to be done with the task's counterpart.
func (r *run) remotely(do string, pause time.Duration) {
	work := RemoteWork{Do: do}
	if do == RemoteCreate {
		work.Next = cmp.Or(r.queueing, &RemoteWork{Do: RemoteQueue})
	}
	r.failed = errors.Join(r.failed, r.later(KindRemote, r.task.ID, pause, work))
}
