package execution

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/store"
)

// How runs and results get to disk: in batches, behind the back of whoever made
// them, and never more than people could look at.
const (
	flushEvery = 200 * time.Millisecond
	flushTime  = 2 * time.Second
	batchSize  = 100
	queueSize  = 4096
	perSecond  = 100 // runs of each kind, succeeded and failed
	burst      = 500
)

// The bounds of what is kept.
const (
	keepRuns    = 100_000
	runLife     = 7 * 24 * time.Hour
	keepResults = 20_000
)

// Options is what a Recorder is lent.
type Options struct {
	DB     *store.DB
	Clock  core.Clock
	Failed func(msg string, err error) // told when a batch could not be written
}

// Recorder keeps runs, and the results that Results gives it. Its methods may be
// called from several goroutines.
type Recorder struct {
	o       Options
	queue   chan func(context.Context, *store.Tx) error
	limits  [2]*rate.Limiter // of runs that succeeded, and that failed
	dropped atomic.Int64
	writing sync.Mutex
}

// NewRecorder returns a recorder; it writes while Run runs.
func NewRecorder(o Options) *Recorder {
	return &Recorder{
		o: o, queue: make(chan func(context.Context, *store.Tx) error, queueSize),
		limits: [2]*rate.Limiter{rate.NewLimiter(perSecond, burst), rate.NewLimiter(perSecond, burst)},
	}
}

// detail is the JSON column of an execution.
type detail struct {
	Message string           `json:"message,omitempty"`
	Steps   []operation.Step `json:"steps,omitempty"`
	Input   string           `json:"input,omitempty"`
	Result  string           `json:"result,omitempty"`
}

// Wanted tells whether a run would be kept now: above a hundred a second of
// those that succeeded, and as many of those that failed, runs are counted as
// dropped. A caller may ask before it makes the Run that Record takes, once.
func (r *Recorder) Wanted(failed bool) bool {
	limit := r.limits[0]
	if failed {
		limit = r.limits[1]
	}
	if limit.AllowN(r.o.Clock.Now(), 1) {
		return true
	}
	r.dropped.Add(1)
	return false
}

// Record keeps a run. It never waits: a run that finds the queue full is
// dropped.
func (r *Recorder) Record(run Run) {
	r.enqueue(func(ctx context.Context, tx *store.Tx) error {
		text, err := json.Marshal(detail{run.Message, run.Steps, run.Input, run.Result})
		if err != nil {
			return err
		}
		return tx.InsertExecution(ctx, store.Execution{
			ID: run.ID, Tenant: run.Tenant, Platform: run.Platform, Title: run.Title, Integration: run.Integration,
			Operation: run.Operation, Outcome: run.Outcome, Failed: run.Failed, Code: run.Code, Contact: run.Contact,
			Caller: run.Caller, DurationUs: run.Duration.Microseconds(), BeganMs: run.Began.UnixMilli(), Detail: string(text),
		})
	})
}

func (r *Recorder) enqueue(write func(context.Context, *store.Tx) error) {
	select {
	case r.queue <- write:
	default:
		r.dropped.Add(1)
	}
}

// Dropped is how many runs and results were not kept so far.
func (r *Recorder) Dropped() int64 { return r.dropped.Load() }

// Run writes what is recorded until ctx ends, and then what is left.
func (r *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.flush(ctx)
		case <-ctx.Done():
			r.flush(ctx)
			return
		}
	}
}

// settle is flush for a caller who waits for it no longer than ctx.
func (r *Recorder) settle(ctx context.Context) {
	done := make(chan struct{})
	go func() { r.flush(ctx); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// flush writes all that waits, in batches so small that other writers hardly
// notice. When it returns, what was recorded before can be read.
func (r *Recorder) flush(ctx context.Context) {
	r.writing.Lock()
	defer r.writing.Unlock()
	// What was taken off the queue belongs to others than this caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	for {
		var batch []func(context.Context, *store.Tx) error
		for len(batch) < batchSize && len(r.queue) > 0 {
			batch = append(batch, <-r.queue)
		}
		if len(batch) == 0 {
			return
		}
		err := r.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			for _, write := range batch {
				if err := write(ctx, tx); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			r.dropped.Add(int64(len(batch)))
			r.o.Failed("executions and results were not written", err)
			return
		}
	}
}

// List returns runs, newest first. NotFound when Filter.Before is no run of the
// tenant any more.
func (r *Recorder) List(ctx context.Context, f Filter) ([]Run, error) {
	r.settle(ctx)
	rows, err := r.o.DB.Executions(ctx, f.Tenant, f.Before, f.Failed, strings.ToLower(f.Title), f.Limit)
	if err != nil {
		return nil, err
	}
	runs := make([]Run, len(rows))
	for i, row := range rows {
		if runs[i], err = fromRow(row); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// Get returns a run of the tenant; NotFound when there is none.
func (r *Recorder) Get(ctx context.Context, tenant, id string) (Run, error) {
	r.settle(ctx)
	row, err := r.o.DB.Execution(ctx, tenant, id)
	if err != nil {
		return Run{}, err
	}
	return fromRow(row)
}

func fromRow(row store.Execution) (Run, error) {
	var d detail
	err := json.Unmarshal([]byte(row.Detail), &d)
	return Run{
		ID: row.ID, Tenant: row.Tenant, Platform: row.Platform, Title: row.Title, Integration: row.Integration,
		Operation: row.Operation, Outcome: row.Outcome, Failed: row.Failed, Code: row.Code, Message: d.Message,
		Contact: row.Contact, Caller: row.Caller, Began: store.FromMilli(row.BeganMs),
		Duration: time.Duration(row.DurationUs) * time.Microsecond, Steps: d.Steps, Input: d.Input, Result: d.Result,
	}, err
}

// Prune deletes, up to limit of each, what has been kept long enough, and returns
// how many of the kind that has most.
func Prune(ctx context.Context, tx *store.Tx, now time.Time, limit int) (int, error) {
	runs, err := tx.PruneExecutions(ctx, now.Add(-runLife), keepRuns, limit)
	if err != nil {
		return 0, err
	}
	answers, err := tx.PruneFirstAnswers(ctx, now.Add(-lostLife), limit)
	if err != nil {
		return 0, err
	}
	results, err := tx.PruneCachedResults(ctx, now, keepResults, limit)
	return max(runs, answers, results), err
}
