package conversation_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/conversation"
	"tandem/core/coretest"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// rig is a room on a database, whose tasks are rows that hold the texts they
// were given.
type rig struct {
	*conversation.Room
	db    *store.DB
	clock *coretest.Clock
	made  atomic.Int64
	fail  error  // of the next change of a task, after it was written
	wrote func() // called after a change of a task was written, before it ends
}

// both runs a test on an empty database of each dialect.
func both(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) {
		r := &rig{clock: coretest.NewClock(noon), wrote: func() {}}
		db, err := store.Open(t.Context(), store.Options{URL: url, Clock: r.clock})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		require.NoError(t, db.Migrate(t.Context()))
		r.db, r.Room = db, conversation.New(db, r.clock, r)
		test(t, r)
	})
}

// CreateIn makes a task that holds its conversation and the text.
func (r *rig) CreateIn(ctx context.Context, tx *store.Tx, m conversation.Message, conversationID string) (string, error) {
	id := fmt.Sprint("task", r.made.Add(1))
	err := tx.InsertTask(ctx, store.Task{
		ID: id, Tenant: m.Tenant, Modality: core.ExternalTask, Workflow: conversationID, Cursor: []byte{}, Data: []byte(m.Text),
	})
	if err == nil {
		r.wrote()
		err = r.fail
	}
	return id, err
}

// AppendIn adds the text to a task.
func (r *rig) AppendIn(ctx context.Context, tx *store.Tx, taskID string, m conversation.Message) (bool, error) {
	task, err := tx.Task(ctx, taskID)
	if err != nil || !task.Ended.IsZero() {
		return false, err
	}
	task.Data = []byte(string(task.Data) + "|" + m.Text)
	if err := tx.UpdateTask(ctx, task); err != nil {
		return false, err
	}
	r.wrote()
	return true, r.fail
}

// awaitWaiting returns when a transaction waits for another's lock. On SQLite,
// where one runs after the other, there is nothing to wait for.
func (r *rig) awaitWaiting(t *testing.T) {
	t.Helper()
	waiting := r.db.SQLite()
	for !waiting {
		require.NoError(t, r.db.SQL().QueryRowContext(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
	}
}

// end ends a task.
func (r *rig) end(tb require.TestingT, taskID string) {
	require.NoError(tb, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		task, err := tx.Task(ctx, taskID)
		if err != nil {
			return err
		}
		task.Ended = noon
		return tx.UpdateTask(ctx, task)
	}))
}

// resolve resolves a message that must be taken.
func (r *rig) resolve(tb require.TestingT, m conversation.Message) conversation.Resolved {
	res, err := r.Resolve(context.Background(), m)
	require.NoError(tb, err)
	return res
}

// texts returns what a task was given.
func (r *rig) texts(tb require.TestingT, taskID string) []string {
	task, err := r.db.Task(context.Background(), taskID)
	require.NoError(tb, err)
	return strings.Split(string(task.Data), "|")
}

func chat(customer, app, thread string) conversation.Message {
	return conversation.Message{Tenant: "contoso", Channel: conversation.Chat, Customer: customer, Address: app, Thread: thread, Text: "hello"}
}

func email(customer, mailbox, subject, id, inReplyTo string) conversation.Message {
	return conversation.Message{
		Tenant: "contoso", Channel: conversation.Email, Customer: customer, Address: mailbox,
		Subject: subject, MessageID: id, InReplyTo: inReplyTo, Text: "hello",
	}
}

func social(customer, address string) conversation.Message {
	return conversation.Message{Tenant: "contoso", Channel: conversation.Social, Customer: customer, Address: address, Text: "hello"}
}
