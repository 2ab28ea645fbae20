package store

import (
	"context"
	"strings"
	"time"
)

// QueuePosition returns the place in a service's queue of the task that has a
// name on a platform, or that id: 1 is the next to be answered, 0 says that it is
// not there.
func (db *DB) QueuePosition(ctx context.Context, tenant, queue, platform, name string) (n int, err error) {
	queue = strings.ToLower(queue)
	err = db.get(ctx, &n, `SELECT count(*) FROM tasks WHERE tenant = ? AND queue = ? AND (rank, id) <= (SELECT rank, id FROM tasks
		WHERE `+byName+` AND tenant = ? AND queue = ?)`, tenant, queue, tenant, platform, name, name, tenant, queue)
	return n, err
}

// QueueLength counts the tasks in a service's queue.
func (db *DB) QueueLength(ctx context.Context, tenant, queue string) (n int, err error) {
	err = db.get(ctx, &n, "SELECT count(*) FROM tasks WHERE tenant = ? AND queue = ?", tenant, strings.ToLower(queue))
	return n, err
}

// placedTask is a task's row with where it stands.
type placedTask struct {
	taskRow
	Queue *string
	Rank  *int64
	Agent *string
}

const selectPlaced = "SELECT id, tenant, modality, version, workflow, cursor, due_ms, events, failures, ended_ms, queue, rank, agent, data FROM tasks "

func (db *DB) placedTasks(ctx context.Context, where string, args ...any) ([]Task, error) {
	var found []placedTask
	err := db.list(ctx, &found, selectPlaced+where, args...)
	tasks := make([]Task, len(found))
	for i, f := range found {
		t := f.task()
		t.Queue, t.Rank, t.Agent = orZero(f.Queue), orZero(f.Rank), orZero(f.Agent)
		tasks[i] = t
	}
	return tasks, err
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// QueuedTasks returns up to limit tasks in the queues of the given services, the
// next to be answered first, as if they were one queue.
func (db *DB) QueuedTasks(ctx context.Context, tenant string, queues []string, limit int) ([]Task, error) {
	if len(queues) == 0 {
		return nil, nil
	}
	args := []any{tenant}
	for _, q := range queues {
		args = append(args, strings.ToLower(q))
	}
	return db.placedTasks(ctx, "WHERE tenant = ? AND queue IN ("+rows(len(queues), "?")+") ORDER BY rank, id LIMIT ?", append(args, limit)...)
}

// TasksOfAgent returns up to limit tasks that an agent works on, the oldest first.
func (db *DB) TasksOfAgent(ctx context.Context, tenant, agent string, limit int) ([]Task, error) {
	return db.placedTasks(ctx, "WHERE tenant = ? AND agent = ? ORDER BY id LIMIT ?", tenant, strings.ToLower(agent), limit)
}

// QueueTime is how long a task waited in a service's queue until it was answered.
type QueueTime struct {
	TaskID   string
	Seq      int // of the event that ended the wait
	Tenant   string
	Queue    string // UPN of the service
	LeftMs   int64
	WaitedMs int64
}

// InsertQueueTime keeps how long a task waited.
func (tx *Tx) InsertQueueTime(ctx context.Context, q QueueTime) error {
	_, err := tx.exec(ctx, "INSERT INTO queue_times (task_id, seq, tenant, queue, left_ms, waited_ms) VALUES (?, ?, ?, ?, ?, ?)",
		q.TaskID, q.Seq, q.Tenant, strings.ToLower(q.Queue), q.LeftMs, q.WaitedMs)
	return err
}

// QueueMinute sums up the waits that ended in one minute.
type QueueMinute struct {
	Ago     int     // whole minutes before now
	Count   float64 // of waits
	Sum     float64 // of their milliseconds
	Squares float64
}

// QueueMinutes sums up the waits for a service's queue that ended in the minutes
// up to now; those in which none did are left out.
func (db *DB) QueueMinutes(ctx context.Context, tenant, queue string, now time.Time, minutes int) ([]QueueMinute, error) {
	var list []QueueMinute
	err := db.list(ctx, &list, `SELECT (CAST(? AS BIGINT) - left_ms) / 60000 AS ago, count(*) AS count,
		sum(CAST(waited_ms AS DOUBLE PRECISION)) AS sum, sum(CAST(waited_ms AS DOUBLE PRECISION) * waited_ms) AS squares
		FROM queue_times WHERE tenant = ? AND queue = ? AND left_ms > ? AND left_ms <= ? GROUP BY 1 ORDER BY 1`,
		ms(now), tenant, strings.ToLower(queue), ms(now.Add(-time.Duration(minutes)*time.Minute)), ms(now))
	return list, err
}

// PruneQueueTimes deletes up to limit waits that ended before the given time and
// returns how many.
func (tx *Tx) PruneQueueTimes(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := tx.exec(ctx, `DELETE FROM queue_times WHERE (task_id, seq) IN
		(SELECT task_id, seq FROM queue_times WHERE left_ms < ? ORDER BY left_ms LIMIT ?)`, ms(before), limit)
	return int(n), err
}
