package engine_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/store"
)

// Each event has exactly one delivery for each trigger that wants it, and none
// for the others, whatever the filters and the life of the task.
func TestEveryEventHasOneDeliveryForEachTriggerThatWantsIt(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		w := h.keep(support)
		var triggers atomic.Int64
		rapid.Check(t, func(r *rapid.T) {
			type filter struct {
				id                            string
				events, modalities, direction core.Set
			}
			var all []filter
			for range rapid.IntRange(0, 3).Draw(r, "triggers") {
				set := func(n int, what string) core.Set { return core.Set(rapid.Uint32Range(0, 1<<n-1).Draw(r, what)) }
				f := filter{
					strconv.FormatInt(triggers.Add(1), 10), set(len(core.EventNames), "events"),
					set(len(core.Modalities), "modalities"), set(len(core.Directions), "directions"),
				}
				all = append(all, f)
				h.subscribe(f.id, f.events, f.modalities, f.direction)
			}
			n := newTask(w)
			n.Task.Modality = rapid.SampledFrom(core.Modalities).Draw(r, "modality")
			n.Task.Direction = rapid.SampledFrom(core.Directions).Draw(r, "direction")
			id := h.create(n)
			switch rapid.SampledFrom([]string{"queued", "removed", "timed out"}).Draw(r, "end") {
			case "removed":
				require.NoError(r, h.Remove(h.t.Context(), id, nil, allow))
			case "timed out":
				h.clock.Advance(10 * time.Minute)
				require.NoError(r, h.Due(h.t.Context(), id))
			}
			events, err := h.History(h.t.Context(), id)
			require.NoError(r, err)
			for _, f := range all {
				var want []string
				for _, e := range events {
					if core.Allows(f.events, core.EventNames, e.Name) && core.Allows(f.modalities, core.Modalities, n.Task.Modality) &&
						core.Allows(f.direction, core.Directions, n.Task.Direction) {
						want = append(want, fmt.Sprint(id, " ", e.Seq))
					}
				}
				require.Equal(r, want, h.outbox(f.id))
			}
			// The next draw begins without them.
			h.endTriggers()
		})
	})
}

// endTriggers ends all triggers.
func (h *hub) endTriggers() {
	h.t.Helper()
	live, err := h.db.Triggers(h.t.Context(), "")
	require.NoError(h.t, err)
	require.NoError(h.t, h.db.Write(h.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, trigger := range live {
			if err := tx.EndTrigger(ctx, trigger.ID, "over", noon); err != nil {
				return err
			}
		}
		return nil
	}))
}
