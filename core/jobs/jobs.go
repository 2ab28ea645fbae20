package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"tandem/core/store"
)

// Duty is something that must be done now and then by one of the replicas.
type Duty struct {
	Name  string
	Every time.Duration
	Do    func(context.Context) error // may be called again before it has returned elsewhere
}

// dutyArgs is the one kind of job there is: which duty to do.
type dutyArgs struct {
	Duty string `json:"duty" river:"unique"`
}

// Kind names the jobs in River's tables.
func (dutyArgs) Kind() string { return "duty" }

type worker struct {
	river.WorkerDefaults[dutyArgs]
	duties map[string]Duty
}

// Work does the duty of a job. A duty that another version of the hub knows is
// left for it.
func (w *worker) Work(ctx context.Context, job *river.Job[dutyArgs]) error {
	d, ok := w.duties[job.Args.Duty]
	if !ok {
		return river.JobSnooze(time.Minute)
	}
	return d.Do(ctx)
}

// Engine runs duties.
type Engine struct {
	start func(context.Context) error
	stop  func(context.Context) error
	close func()
}

// Migrate brings the engine's own tables up to this binary's version.
func Migrate(ctx context.Context, db *store.DB) error {
	var err error
	if db.SQLite() {
		var m *rivermigrate.Migrator[rowTx]
		if m, err = rivermigrate.New(riversqlite.New(db.SQL()), &rivermigrate.Config{Logger: quiet()}); err == nil {
			_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		}
	} else {
		var pool *pgxpool.Pool
		if pool, err = openPool(ctx, db); err != nil {
			return err
		}
		defer pool.Close()
		var m *rivermigrate.Migrator[pgTx]
		if m, err = rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet()}); err == nil {
			_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		}
	}
	if err != nil {
		return fmt.Errorf("migrate the job tables: %w", err)
	}
	return nil
}

// New prepares an engine for the duties on a migrated database. On SQLite it
// shares the one write connection. Start must be called before anything runs.
func New(ctx context.Context, db *store.DB, duties []Duty, log *slog.Logger) (*Engine, error) {
	config := newConfig(duties, log)
	if db.SQLite() {
		config.FetchPollInterval = 500 * time.Millisecond // nobody notifies on SQLite; a duty is never urgent
		c, err := river.NewClient(riversqlite.New(db.SQL()), config)
		if err != nil {
			return nil, fmt.Errorf("job engine: %w", err)
		}
		return &Engine{c.Start, c.StopAndCancel, func() {}}, nil
	}
	pool, err := openPool(ctx, db)
	if err != nil {
		return nil, err
	}
	c, err := river.NewClient(riverpgxv5.New(pool), config)
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("job engine: %w", err)
	}
	return &Engine{c.Start, c.StopAndCancel, pool.Close}, nil
}

func newConfig(duties []Duty, log *slog.Logger) *river.Config {
	w := &worker{duties: map[string]Duty{}}
	periodic := make([]*river.PeriodicJob, 0, len(duties))
	for _, d := range duties {
		w.duties[d.Name] = d
		periodic = append(periodic, river.NewPeriodicJob(river.PeriodicInterval(d.Every),
			func() (river.JobArgs, *river.InsertOpts) {
				// Once a turn, whoever leads, and whatever a killed replica left running.
				return dutyArgs{d.Name}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByPeriod: d.Every}}
			},
			&river.PeriodicJobOpts{ID: strings.ReplaceAll(d.Name, " ", "-"), RunOnStart: true}))
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	return &river.Config{
		Logger:       slog.New(calm{log.Handler()}),
		Workers:      workers,
		PeriodicJobs: periodic,
		Queues:       map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}},
		// One try a turn: the next turn comes anyway.
		MaxAttempts:                 1,
		JobTimeout:                  30 * time.Second,
		RescueStuckJobsAfter:        time.Minute,
		CompletedJobRetentionPeriod: time.Minute,
		DiscardedJobRetentionPeriod: time.Hour,
		CancelledJobRetentionPeriod: time.Minute,
	}
}

// Start runs the duties until Stop.
func (e *Engine) Start(ctx context.Context) error { return e.start(ctx) }

// Stop ends the duties that run and returns when they have; it may be called
// once, and before Start.
func (e *Engine) Stop(ctx context.Context) error {
	err := e.stop(ctx)
	closed := make(chan struct{})
	go func() { e.close(); close(closed) }() // it waits for connections that a lost PostgreSQL never gives back
	select {
	case <-closed:
	case <-ctx.Done():
	}
	return err
}
