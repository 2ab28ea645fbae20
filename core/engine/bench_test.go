package engine_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/store"
)

const benchFlow = `
name: bench
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - activity: Queue Task
    max_queue_time: 1h
`

// BenchmarkCreate measures durable creates, with one trigger on Created.
func BenchmarkCreate(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			ctx := context.Background()
			db, err := store.Open(ctx, store.Options{URL: "sqlite:" + filepath.Join(b.TempDir(), "t.db"), Clock: core.SystemClock{}})
			require.NoError(b, err)
			b.Cleanup(func() { _ = db.Close() })
			require.NoError(b, db.Migrate(ctx))
			require.NoError(b, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertTrigger(ctx, store.Trigger{
					ID: core.NewID(core.SystemClock{}.Now()), Tenant: "contoso", AddressHash: []byte{1}, URL: []byte{1},
					Services: []string{"support@contoso.example"}, Events: core.SetOf(core.EventNames, core.Created),
					State: store.TriggerActive, Created: core.SystemClock{}.Now(),
				})
			}))
			w, findings := flow.Parse("bench.yaml", []byte(benchFlow))
			require.Empty(b, findings)
			e := engine.New(engine.Options{DB: db, Clock: core.SystemClock{}})
			require.NoError(b, e.Keep(ctx, map[string]*flow.Workflow{"bench": w}))
			task := core.Task{
				Tenant: "contoso", TenantID: "x", Modality: core.ExternalTask, Direction: core.Inbound,
				Service: core.ServiceRef{ID: "1", UPN: "support@contoso.example", Name: "Support"}, CustomerIdentifier: "4711",
			}
			b.SetParallelism(clients)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, err := e.Create(ctx, engine.NewTask{Task: task, Workflow: w, MaxOpen: 1 << 30}, func(t *core.Task) ([]byte, error) { return []byte(t.ID), nil })
					if err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
