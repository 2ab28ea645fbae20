package store

import (
	"context"
	"strings"
	"time"

	"tandem/core"
)

// Task is a row of tasks. Data is the JSON of a core.Task; Due is when its
// workflow wants to be woken, Ended when it terminated (zero: not).
type Task struct {
	ID       string
	Tenant   string
	Modality core.Modality
	Version  int64
	Workflow string
	Cursor   []byte
	Due      time.Time
	Events   int
	Failures int // how often in a row its workflow could not be stepped
	Ended    time.Time
	Queue    string // its service in lower case, while it is queued or offered
	Rank     int64  // in that queue, the first has the least
	Agent    string // who works on it, in lower case, while it is connected
	Data     []byte
}

// Event is a row of events; Data is the JSON of a core.Event.
type Event struct {
	Seq  int
	Name core.EventName
	At   time.Time
	Data []byte
}

// taskRow is how a Task is scanned.
type taskRow struct {
	ID       string
	Tenant   string
	Modality core.Modality
	Version  int64
	Workflow string
	Cursor   []byte
	DueMs    *int64 `db:"due_ms"`
	Events   int
	Failures int
	EndedMs  *int64 `db:"ended_ms"`
	Data     []byte
}

func (r *taskRow) task() Task {
	t := Task{
		ID: r.ID, Tenant: r.Tenant, Modality: r.Modality, Version: r.Version,
		Workflow: r.Workflow, Cursor: r.Cursor, Events: r.Events, Failures: r.Failures, Data: r.Data,
	}
	if r.DueMs != nil {
		t.Due = FromMilli(*r.DueMs)
	}
	if r.EndedMs != nil {
		t.Ended = FromMilli(*r.EndedMs)
	}
	return t
}

const (
	selectTasks = "SELECT id, tenant, modality, version, workflow, cursor, due_ms, events, failures, ended_ms, data FROM tasks "
	selectTask  = selectTasks + "WHERE id = ?"
	selectNamed = selectTasks + "WHERE " + byName
	byName      = "id = COALESCE((SELECT task_id FROM aliases WHERE tenant = ? AND platform = ? AND alias = ?), ?)"
)

// Task returns a task; NotFound when there is none.
func (db *DB) Task(ctx context.Context, id string) (Task, error) {
	var r taskRow
	err := db.get(ctx, &r, selectTask, id)
	return r.task(), err
}

// Task returns a task and locks it; NotFound when there is none.
func (tx *Tx) Task(ctx context.Context, id string) (Task, error) {
	var r taskRow
	err := tx.get(ctx, &r, tx.lock(selectTask), id)
	return r.task(), err
}

// NamedTask is Task for the name that a task has on a platform in a tenant, else
// for its id, which may be that of any tenant's task.
func (db *DB) NamedTask(ctx context.Context, tenant, platform, name string) (Task, error) {
	var r taskRow
	err := db.get(ctx, &r, selectNamed, tenant, platform, name, name)
	return r.task(), err
}

// NamedTask is Task for the name that a task has on a platform in a tenant, else
// for its id, which may be that of any tenant's task.
func (tx *Tx) NamedTask(ctx context.Context, tenant, platform, name string) (Task, error) {
	var r taskRow
	err := tx.get(ctx, &r, tx.lock(selectNamed), tenant, platform, name, name)
	return r.task(), err
}

// InsertTask stores a new task. Conflict when the id is taken.
func (tx *Tx) InsertTask(ctx context.Context, t Task) error {
	queue, rank, agent := t.place()
	n, err := tx.exec(ctx, `INSERT INTO tasks (id, tenant, modality, version, workflow, cursor, due_ms, events, ended_ms, queue, rank, agent, data)
		VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		t.ID, t.Tenant, string(t.Modality), t.Workflow, t.Cursor, msOrNil(t.Due), t.Events, msOrNil(t.Ended), queue, rank, agent, t.Data)
	if err == nil && n == 0 {
		return core.Errorf(core.Conflict, "a task with this id exists")
	}
	return err
}

// UpdateTask stores a task over the version it was read at. ErrRetry when
// another writer was faster.
func (tx *Tx) UpdateTask(ctx context.Context, t Task) error {
	queue, rank, agent := t.place()
	n, err := tx.exec(ctx, `UPDATE tasks SET version = version + 1, cursor = ?, due_ms = ?, events = ?, failures = 0, ended_ms = ?,
		queue = ?, rank = ?, agent = ?, data = ? WHERE id = ? AND version = ?`,
		t.Cursor, msOrNil(t.Due), t.Events, msOrNil(t.Ended), queue, rank, agent, t.Data, t.ID, t.Version)
	if err == nil && n == 0 {
		return ErrRetry
	}
	return err
}

// place is what the columns queue, rank and agent hold, NULL where there is
// nothing to find.
func (t *Task) place() (queue, rank, agent any) {
	if t.Queue != "" {
		queue, rank = t.Queue, t.Rank
	}
	if t.Agent != "" {
		agent = t.Agent
	}
	return queue, rank, agent
}

// DelayTask records that a task could not be stepped and when it is tried again.
// ErrRetry when another writer was faster.
func (tx *Tx) DelayTask(ctx context.Context, t Task, due time.Time) error {
	n, err := tx.exec(ctx, "UPDATE tasks SET version = version + 1, failures = ?, due_ms = ? WHERE id = ? AND version = ?", t.Failures, ms(due), t.ID, t.Version)
	if err == nil && n == 0 {
		return ErrRetry
	}
	return err
}

// InsertEvents appends events to a task.
func (tx *Tx) InsertEvents(ctx context.Context, taskID string, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	args := make([]any, 0, 5*len(events))
	for _, e := range events {
		args = append(args, taskID, e.Seq, string(e.Name), ms(e.At), e.Data)
	}
	_, err := tx.exec(ctx, "INSERT INTO events (task_id, seq, name, at_ms, data) VALUES "+rows(len(events), "(?, ?, ?, ?, ?)"), args...)
	return err
}

// rows repeats the placeholder of one row n times.
func rows(n int, row string) string {
	return strings.TrimSuffix(strings.Repeat(row+", ", n), ", ")
}

// Events returns the history of a task, oldest first.
func (db *DB) Events(ctx context.Context, taskID string) ([]Event, error) {
	var found []struct {
		Seq  int
		Name core.EventName
		AtMs int64 `db:"at_ms"`
		Data []byte
	}
	err := db.list(ctx, &found, "SELECT seq, name, at_ms, data FROM events WHERE task_id = ? ORDER BY seq", taskID)
	events := make([]Event, len(found))
	for i, f := range found {
		events[i] = Event{Seq: f.Seq, Name: f.Name, At: FromMilli(f.AtMs), Data: f.Data}
	}
	return events, err
}

// DueTasks returns the ids of up to limit tasks whose time has come, the most
// overdue first.
func (db *DB) DueTasks(ctx context.Context, now time.Time, limit int) ([]string, error) {
	var ids []string
	err := db.list(ctx, &ids, "SELECT id FROM tasks WHERE due_ms <= ? ORDER BY due_ms LIMIT ?", ms(now), limit)
	return ids, err
}

// NextDue returns when the next task is due after the given time; the zero time
// when none is.
func (db *DB) NextDue(ctx context.Context, after time.Time) (time.Time, error) {
	var due *int64
	err := db.get(ctx, &due, "SELECT min(due_ms) FROM tasks WHERE due_ms > ?", ms(after))
	if err != nil || due == nil {
		return time.Time{}, err
	}
	return FromMilli(*due), nil
}

// SaveWorkflow keeps the text of a workflow under its hash.
func (tx *Tx) SaveWorkflow(ctx context.Context, hash, name string, text []byte) error {
	_, err := tx.exec(ctx, "INSERT INTO workflows (hash, name, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", hash, name, text)
	return err
}

// Workflow returns the text of a workflow by its hash; NotFound when there is none.
func (tx *Tx) Workflow(ctx context.Context, hash string) (name string, text []byte, err error) {
	var r struct {
		Name string
		Text []byte
	}
	err = tx.get(ctx, &r, "SELECT name, text FROM workflows WHERE hash = ?", hash)
	return r.Name, r.Text, err
}

// PruneTasks deletes up to limit tasks that ended before the given time, with
// their events and dead letters, and returns how many. A task that still has an
// event to deliver stays.
func (tx *Tx) PruneTasks(ctx context.Context, before time.Time, limit int) (int, error) {
	var ids []string
	// Deliveries are found by trigger and task: an index by task alone would cost
	// every event more than this costs now and then.
	err := tx.list(ctx, &ids, `SELECT id FROM tasks WHERE ended_ms < ? AND NOT EXISTS
		(SELECT 1 FROM triggers t JOIN deliveries d ON d.trigger_id = t.id AND d.task_id = tasks.id)
		ORDER BY ended_ms LIMIT ?`, ms(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	in := "(" + rows(len(ids), "?") + ")"
	for _, q := range []string{
		"DELETE FROM deliveries WHERE trigger_id IN (SELECT id FROM triggers) AND task_id IN ", // a dead letter replayed just now
		"DELETE FROM dead_letters WHERE task_id IN ", "DELETE FROM aliases WHERE task_id IN ", "DELETE FROM events WHERE task_id IN ", "DELETE FROM tasks WHERE id IN ",
	} {
		if _, err := tx.exec(ctx, q+in, args...); err != nil {
			return 0, err
		}
	}
	return len(ids), nil
}
