package execution

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/store"
)

// How runs and results get to disk: in batches, runs behind the back of whoever
// made them, and never more than people could look at.
const (
	flushEvery = 200 * time.Millisecond
	flushTime  = 2 * time.Second
	batchSize  = 100
	queueSize  = 4096
	perSecond  = 100 // runs of each kind, succeeded and failed, of a tenant
	burst      = 500
	maxTenants = 1000 // with a measure of their own; all others share one
)

// The bounds of what is kept, of each tenant.
const (
	keepRuns    = 20_000
	runLife     = 7 * 24 * time.Hour
	keepResults = 5_000
)

// Options is what a Recorder is lent.
type Options struct {
	DB     *store.DB
	Clock  core.Clock
	Failed func(msg string, err error) // told when something could not be written
}

// Recorder keeps runs, and the results that Results gives it. Its methods may be
// called from several goroutines.
type Recorder struct {
	o       Options
	queue   chan entry
	dropped atomic.Int64

	mu     sync.Mutex
	limits map[string]*[2]*rate.Limiter // tenant -> of runs that succeeded, and that failed

	writing chan struct{} // holds one thing while somebody writes; guards what is below
	kept    []entry       // taken off the queue when the database could take nothing
	down    bool          // it could not the last time
}

// entry is one thing to write, more than once if need be.
type entry struct {
	write func(context.Context, *store.Tx) error
	done  chan<- error // is told what became of the first try; nil: nobody waits
}

// end tells whoever waits, once.
func (e *entry) end(err error) {
	if e.done != nil {
		e.done <- err
		e.done = nil
	}
}

// NewRecorder returns a recorder; it writes while Run runs.
func NewRecorder(o Options) *Recorder {
	return &Recorder{o: o, queue: make(chan entry, queueSize), limits: map[string]*[2]*rate.Limiter{}, writing: make(chan struct{}, 1)}
}

// detail is the JSON column of an execution.
type detail struct {
	Message string           `json:"message,omitempty"`
	Steps   []operation.Step `json:"steps,omitempty"`
	Input   string           `json:"input,omitempty"`
	Result  string           `json:"result,omitempty"`
}

// Wanted tells whether a run of the tenant would be kept now: above a hundred a
// second of those that succeeded, and as many of those that failed, runs are
// counted as dropped. A caller may ask before it makes the Run that Record takes,
// once.
func (r *Recorder) Wanted(tenant string, failed bool) bool {
	limit := 0
	if failed {
		limit = 1
	}
	if r.limitsOf(tenant)[limit].AllowN(r.o.Clock.Now(), 1) {
		return true
	}
	r.dropped.Add(1)
	return false
}

func (r *Recorder) limitsOf(tenant string) *[2]*rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	limits := r.limits[tenant]
	if limits == nil && len(r.limits) >= maxTenants {
		tenant = "" // nobody's name: what those share who came late
		limits = r.limits[tenant]
	}
	if limits == nil {
		limits = &[2]*rate.Limiter{rate.NewLimiter(perSecond, burst), rate.NewLimiter(perSecond, burst)}
		r.limits[tenant] = limits
	}
	return limits
}

// Record keeps a run. It never waits: a run that finds the queue full is
// dropped.
func (r *Recorder) Record(run Run) {
	r.enqueue(entry{write: func(ctx context.Context, tx *store.Tx) error {
		text, err := json.Marshal(detail{run.Message, run.Steps, run.Input, run.Result})
		if err != nil {
			return err
		}
		return tx.InsertExecution(ctx, store.Execution{
			ID: run.ID, Tenant: run.Tenant, Platform: run.Platform, Title: run.Title, Integration: run.Integration,
			Operation: run.Operation, Outcome: run.Outcome, Failed: run.Failed, Code: run.Code, Contact: run.Contact,
			Caller: run.Caller, DurationUs: run.Duration.Microseconds(), BeganMs: run.Began.UnixMilli(), Detail: string(text),
		})
	}})
}

// enqueue tells whether there was room.
func (r *Recorder) enqueue(e entry) bool {
	select {
	case r.queue <- e:
		return true
	default:
		r.dropped.Add(1)
		return false
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
			r.flush(context.WithoutCancel(ctx))
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
// notice. When it returns before ctx ends, what was recorded before can be read,
// unless the database can take nothing.
func (r *Recorder) flush(ctx context.Context) {
	select {
	case r.writing <- struct{}{}:
	case <-ctx.Done():
		return // whoever writes now, or the next tick, takes it along
	}
	defer func() { <-r.writing }()
	// What is taken off the queue belongs to others than this caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	for {
		batch := r.kept
		for r.kept = nil; len(batch) < batchSize && len(r.queue) > 0; {
			batch = append(batch, <-r.queue)
		}
		if len(batch) == 0 {
			return
		}
		err := r.write(ctx, batch)
		if err != nil && !later(err) {
			batch, err = r.oneByOne(ctx, batch)
		}
		if err != nil {
			r.keep(batch, err)
			return
		}
		r.down = false
	}
}

// oneByOne writes what can be written of a batch in which something cannot, ever;
// with an error it returns what is left for later.
func (r *Recorder) oneByOne(ctx context.Context, batch []entry) ([]entry, error) {
	for ; len(batch) > 0; batch = batch[1:] {
		err := r.write(ctx, batch[:1])
		if err != nil && later(err) {
			return batch, err
		}
		if err != nil {
			r.dropped.Add(1)
			r.o.Failed("an execution or a result cannot be written", err)
			batch[0].end(err)
		}
	}
	return nil, nil
}

// write writes entries together and tells those who wait for them.
func (r *Recorder) write(ctx context.Context, batch []entry) error {
	err := r.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, e := range batch {
			if err := e.write(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range batch {
		if err == nil {
			batch[i].end(nil)
		}
	}
	return err
}

// keep keeps a batch for the next time, and says once that the database is down.
func (r *Recorder) keep(batch []entry, err error) {
	for i := range batch {
		batch[i].end(err)
	}
	if r.kept = batch; !r.down {
		r.o.Failed("executions and results wait for the database", err)
	}
	r.down = true
}

// later tells whether a write that failed may succeed the next time. All that is
// written may be written twice.
func later(err error) bool {
	kind := core.KindOf(err)
	return kind == core.Unavailable || kind == core.Uncertain ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// List returns runs, newest first, without message, steps, input and result.
// NotFound when Filter.Before is no run of the
// tenant any more.
func (r *Recorder) List(ctx context.Context, f Filter) ([]Run, error) {
	if !storable(f.Before) {
		return nil, core.Errorf(core.NotFound, "not found")
	}
	if !storable(f.Text) {
		return nil, nil
	}
	r.settle(ctx)
	rows, err := r.o.DB.Executions(ctx, f.Tenant, f.Before, f.Failed, f.Text, f.Limit)
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
	if !storable(id) {
		return Run{}, core.Errorf(core.NotFound, "not found")
	}
	r.settle(ctx)
	row, err := r.o.DB.Execution(ctx, tenant, id)
	if err != nil {
		return Run{}, err
	}
	return fromRow(row)
}

// storable tells whether a text can stand in the database at all: not every
// database takes everything, and nobody asks for the rest.
func storable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func fromRow(row store.Execution) (Run, error) {
	var d detail
	var err error
	if row.Detail != "" {
		err = json.Unmarshal([]byte(row.Detail), &d)
	}
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
	answers, err := tx.PruneFirstAnswers(ctx, lostLife, limit)
	if err != nil {
		return 0, err
	}
	results, err := tx.PruneCachedResults(ctx, now, keepResults, limit)
	return max(runs, answers, results), err
}
