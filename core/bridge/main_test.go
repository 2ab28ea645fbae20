package bridge_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/coretest"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbox"
	"tandem/core/store"
	"tandem/core/store/pgtest"
	"tandem/mappings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// rig is a bridge over the shipped mapping files, whose operations are answered
// by the test.
type rig struct {
	t      require.TestingT
	clock  *coretest.Clock
	db     *store.DB
	engine *engine.Engine
	flows  map[string]*flow.Workflow
	tenant *directory.Tenant
	*bridge.Bridge
	options bridge.Options

	mu      sync.Mutex
	answers map[string]func(r operation.Request) (any, error) // by operation
	ran     []operation.Request
	runs    []execution.Run
	faults  []string
}

func both(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) { test(t, newRig(t, url)) })
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{t: t, clock: coretest.NewClock(noon), answers: map[string]func(operation.Request) (any, error){}}
	db, err := store.Open(t.Context(), store.Options{URL: url, Clock: r.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	d, findings := directory.Load(set)
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	operations, findings := operation.Load(set, integrations)
	require.Empty(t, findings)
	r.flows, findings = flow.Load(set)
	require.Empty(t, findings)
	r.db, r.engine = db, engine.New(engine.Options{DB: db, Clock: r.clock})
	require.NoError(t, r.engine.Keep(t.Context(), r.flows))
	r.tenant, _ = d.Tenant("contoso")
	r.options = bridge.Options{
		DB: db, Engine: r.engine, Runner: r, Recorder: r, Clock: r.clock,
		Directory:    func() *directory.Directory { return d },
		Integrations: func() *integration.Catalogue { return integrations },
		Operations:   func() *operation.Catalogue { return operations },
		Failed:       func(msg string, err error) { r.faults = append(r.faults, fmt.Sprint(msg, ": ", err)) },
	}
	r.starts(t)
	return r
}

// starts starts a hub over the same database, whatever another has left there.
func (r *rig) starts(t *testing.T) {
	t.Helper()
	answers := execution.NewFirstAnswers(r.db, r.clock, func(string, error) {})
	t.Cleanup(func() { answers.Wait(context.Background()) })
	r.options.Answers = answers
	r.Bridge = bridge.New(r.options)
}

// Run answers for the outside.
func (r *rig) Run(_ context.Context, req operation.Request) (*operation.Result, error) {
	r.mu.Lock()
	r.ran = append(r.ran, req)
	answer := r.answers[req.Operation.Name]
	r.mu.Unlock()
	result := &operation.Result{Mask: req.Operation.Mask(req.Input)}
	if answer == nil {
		return result, nil
	}
	var err error
	result.Output, err = answer(req)
	return result, err
}

func (r *rig) answer(name string, output any, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[name] = func(operation.Request) (any, error) { return output, err }
}

// names are the operations that ran, and forgets them.
func (r *rig) names() (list []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range r.ran {
		list = append(list, req.Operation.Name)
	}
	r.ran = nil
	return list
}

// Count, Wanted and Record are a recorder.
func (r *rig) Count(string, string, time.Duration) {}
func (r *rig) Wanted(string, bool) bool            { return true }
func (r *rig) Record(run execution.Run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, run)
}

// task makes a task of a service.
func (r *rig) task(ctx context.Context, upn string, modality core.Modality) core.Task {
	service, ok := r.tenant.Service(upn)
	require.True(r.t, ok)
	workflow := r.flows[service.Workflows[modality]]
	require.NotNil(r.t, workflow)
	var t core.Task
	_, err := r.engine.Create(ctx, engine.NewTask{Workflow: workflow, Task: core.Task{
		Tenant: "contoso", TenantID: r.tenant.ID, Modality: modality, Direction: core.Inbound, Service: service.Ref(), CustomerIdentifier: "4711",
	}}, func(made *core.Task) ([]byte, error) { t = *made; return nil, nil })
	require.NoError(r.t, err)
	return t
}

func (r *rig) now(ctx context.Context, id string) core.Task {
	t, err := r.engine.Task(ctx, id)
	require.NoError(r.t, err)
	return t
}

// work does what is due in the outbox, once, and returns how many items that were.
func (r *rig) work(ctx context.Context) int {
	handlers := r.Handlers()
	var items []store.OutboxItem
	require.NoError(r.t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		items, err = tx.ClaimOutbox(ctx, []string{engine.KindRemote, engine.KindOperation}, r.clock.Now(), "test", time.Minute, 100)
		return err
	}))
	for _, it := range items {
		v := handlers[it.Kind](ctx, it)
		require.NoError(r.t, r.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			err := error(nil)
			if wait := v.Wait; v.Done {
				err = tx.DeleteOutbox(ctx, it.ID, "test")
			} else {
				if wait == 0 {
					wait, _ = outbox.Backoff(it.Attempts)
				}
				err = tx.DelayOutbox(ctx, it.ID, "test", r.clock.Now().Add(wait), v.Payload)
			}
			if err != nil || v.Then == nil {
				return err
			}
			return v.Then(ctx, tx)
		}))
	}
	return len(items)
}

// drain does all that is due, and what follows from it.
func (r *rig) drain(ctx context.Context) {
	for r.work(ctx) > 0 {
	}
}

// happened tells the bridge of an event of Webex.
func (r *rig) happened(ctx context.Context, remoteID, kind string, at time.Duration, key string, agent string) bridge.Receipt {
	receipt, err := r.Happened(ctx, "contoso", bridge.Event{
		Platform: core.PlatformWebex, RemoteID: remoteID, Key: []byte(key), Kind: kind, At: noon.Add(at), Agent: agent,
	})
	require.NoError(r.t, err)
	return receipt
}
