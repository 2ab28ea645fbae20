package bridge_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
)

// A call that comes again is carried out once; the same wish after another one is
// a new one, however soon.
func TestNodesThatComeAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		r.answer("create-ticket", ticket, nil)
		r.answer("create-task", map[string]any{"taskId": remoteID}, nil)
		task := r.task(ctx, field, core.ExternalTask)
		r.drain(ctx)
		r.names()
		call := func(node, method string, input map[string]any) {
			t.Helper()
			task = r.now(ctx, task.ID)
			_, err := r.Node(ctx, bridge.NodeCall{Tenant: "contoso", Node: node, Method: method, Task: &task, Input: input})
			require.NoError(t, err)
		}
		queue := func() { call("queue-task", "queue", map[string]any{"queueId": "q1"}) }
		reject := func() { call("routed-notification", "reject", map[string]any{"agentId": "a1"}) }
		for range 2 {
			queue()
			queue()
			reject()
			reject()
		}
		require.Equal(t, []string{"queue-task", "routed-reject", "queue-task", "routed-reject"}, r.names())
	})
}
