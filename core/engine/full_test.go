package engine_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
)

// fill gives a task as much as it takes.
func (h *hub) fill(id string) {
	h.t.Helper()
	value := ""
	for size := 1 << 18; size > 0; size /= 2 {
		more := value + strings.Repeat("v", size)
		_, err := h.change(id, func(c *engine.Change) error { return c.SetParameters([]core.NamedValue{{Name: "n", Value: more}}) })
		if err == nil {
			value = more
			continue
		}
		require.Equal(h.t, core.Invalid, core.KindOf(err))
	}
}

// A task that callers have filled to the brim takes no more, and goes its way all
// the same.
func TestATaskThatIsFullGoesOnAndEnds(t *testing.T) {
	both(t, func(t *testing.T, h *hub) {
		w := h.keep(queueTenMinutes)
		for name, end := range map[string]func(id string) error{
			"removed": func(id string) error { return h.Remove(t.Context(), id, nil, allow) },
			"over there": func(id string) error {
				_, err := h.change(id, func(c *engine.Change) error { c.Terminate(true); return nil })
				return err
			},
		} {
			id := h.create(newTask(w))
			h.fill(id)
			for _, change := range []func(c *engine.Change) error{
				func(c *engine.Change) error { return c.Connect(ann, false) },
				func(c *engine.Change) error { return c.Requeue() },
				func(c *engine.Change) error {
					c.SetRemote(core.Remote{Platform: core.PlatformWebex, State: core.RemoteOpen, ID: strings.Repeat("1", 36)})
					return nil
				},
			} {
				_, err := h.change(id, change)
				require.NoError(t, err, name)
			}
			more := engine.Changes{Parameters: []core.NamedValue{{Name: "more", Value: "m"}}}
			require.Equal(t, core.Invalid, core.KindOf(h.Update(t.Context(), id, more, nil, allow)))
			require.NoError(t, end(id), name)
			require.Equal(t, core.StateTerminated, h.task(id).State)
		}
	})
}
