package conversation

import (
	"context"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// Keep is how long a conversation without messages is kept, and what is known
// of a message at least as long as a caller may repeat its call.
const Keep = 90 * 24 * time.Hour

// trimEvery is after how many messages those of a conversation that never rests
// are looked through for old ones.
const trimEvery = 64

// Operation is what became of a message.
type Operation string

// The operations.
const (
	Created  Operation = "created"  // a new conversation with a new task
	Reopened Operation = "reopened" // a new task in a known conversation
	Appended Operation = "appended" // the open task of a known conversation got it
)

// Resolved is where a message went.
type Resolved struct {
	Operation      Operation
	TaskID         string // as Tasks named it
	ConversationID string
}

// Tasks makes the tasks of conversations and gives them messages, in the
// caller's transaction, which may be run more than once: they must do nothing
// outside it. The room does not look into task ids.
type Tasks interface {
	// CreateIn makes a task for a message and returns its id.
	CreateIn(ctx context.Context, tx *store.Tx, m Message, conversationID string) (taskID string, err error)
	// AppendIn gives a message to a task that CreateIn made, unless the task has
	// ended: then open is false. NotFound counts as ended.
	AppendIn(ctx context.Context, tx *store.Tx, taskID string, m Message) (open bool, err error)
}

// Room resolves conversations. It may be used from several goroutines.
type Room struct {
	db    *store.DB
	clock core.Clock
	tasks Tasks
}

// New returns a room whose conversations are in db and whose tasks are made by
// tasks.
func New(db *store.DB, clock core.Clock, tasks Tasks) *Room {
	return &Room{db: db, clock: clock, tasks: tasks}
}

// Resolve brings a message to the task of its conversation, and makes both
// where there is none. When it returns nil, everything is on disk; a repeated
// call with the same TransID, also a concurrent one, gets the first answer.
//
// Errors: Invalid when the message does not say whose it is; what Tasks return;
// those of store.DB.Write. After an error nothing is stored.
func (r *Room) Resolve(ctx context.Context, m Message) (Resolved, error) {
	if err := m.check(); err != nil {
		return Resolved{}, err
	}
	var res Resolved
	err := r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		res, err = r.resolveIn(ctx, tx, m)
		return err
	})
	if err != nil {
		return Resolved{}, err
	}
	return res, nil
}

func (r *Room) resolveIn(ctx context.Context, tx *store.Tx, m Message) (Resolved, error) {
	if m.TransID != "" {
		known, err := tx.ConversationMessage(ctx, m.Tenant, m.transKey())
		if err == nil {
			return Resolved{Operation(known.Operation), known.TaskID, known.ConversationID}, nil
		}
		if core.KindOf(err) != core.NotFound {
			return Resolved{}, err
		}
	}
	res, err := r.place(ctx, tx, m)
	if err != nil {
		return Resolved{}, err
	}
	return res, r.note(ctx, tx, m, res)
}

// place finds the conversation of a message, or makes it, and gives the message
// to its task.
func (r *Room) place(ctx context.Context, tx *store.Tx, m Message) (Resolved, error) {
	now := r.clock.Now()
	c, found, err := find(ctx, tx, m)
	if err != nil {
		return Resolved{}, err
	}
	if found {
		open, err := r.tasks.AppendIn(ctx, tx, c.TaskID, m)
		if err != nil && core.KindOf(err) != core.NotFound {
			return Resolved{}, err
		}
		if open && err == nil {
			return Resolved{Operation: Appended, TaskID: c.TaskID, ConversationID: c.ID}, r.count(ctx, tx, c, c.TaskID, now)
		}
	}
	operation := Reopened
	if found && m.Channel == Chat {
		if err := tx.RekeyConversation(ctx, c.ID, m.hash("ended", c.ID)); err != nil {
			return Resolved{}, err
		}
		found = false
	}
	if !found {
		operation = Created
		c = store.Conversation{
			ID: core.NewID(now), Tenant: m.Tenant, MatchKey: m.matchKey(), UpdatedMs: now.UnixMilli(),
		}
		// Before its task: whoever else begins this conversation now waits here.
		if err := tx.InsertConversation(ctx, c); err != nil {
			return Resolved{}, err
		}
	}
	taskID, err := r.tasks.CreateIn(ctx, tx, m, c.ID)
	if err != nil {
		return Resolved{}, err
	}
	return Resolved{Operation: operation, TaskID: taskID, ConversationID: c.ID}, r.count(ctx, tx, c, taskID, now)
}

// find returns the conversation of a message, locked.
func find(ctx context.Context, tx *store.Tx, m Message) (c store.Conversation, found bool, err error) {
	c, err = tx.ConversationByMessage(ctx, m.Tenant, m.replyKeys())
	if err != nil && core.KindOf(err) == core.NotFound {
		c, err = tx.ConversationByKey(ctx, m.Tenant, m.matchKey())
	}
	if err != nil && core.KindOf(err) == core.NotFound {
		return c, false, nil
	}
	return c, err == nil, err
}

// count counts a message of a conversation.
func (r *Room) count(ctx context.Context, tx *store.Tx, c store.Conversation, taskID string, now time.Time) error {
	if (c.Messages+1)%trimEvery == 0 {
		if err := tx.TrimConversation(ctx, c.ID, now.Add(-Keep)); err != nil {
			return err
		}
	}
	return tx.ContinueConversation(ctx, c.ID, taskID, now)
}

// note keeps the names of a message: of its transaction for a repeated call, of
// an e-mail for those that answer it.
func (r *Room) note(ctx context.Context, tx *store.Tx, m Message, res Resolved) error {
	row := store.ConversationMessage{
		Tenant: m.Tenant, ConversationID: res.ConversationID, TaskID: res.TaskID, CreatedMs: r.clock.Now().UnixMilli(),
	}
	if row.Key = m.mailKey(); row.Key != nil {
		// A mail that came to two mailboxes of a service belongs to the first conversation.
		if _, err := tx.InsertConversationMessage(ctx, row); err != nil {
			return err
		}
	}
	if m.TransID == "" {
		return nil
	}
	row.Key, row.Operation = m.transKey(), string(res.Operation)
	first, err := tx.InsertConversationMessage(ctx, row)
	if err == nil && !first { // the same call came twice at once
		return store.ErrRetry
	}
	return err
}
