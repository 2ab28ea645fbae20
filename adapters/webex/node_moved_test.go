package webex

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
)

// A task of the hub that is queued at Webex is queued when Webex has it, and a
// flow that is told that Webex did not take it may try again.
func TestQueuedAtWebexFromTheHub(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	defer r.works(t)()
	id := r.driven(t)
	body := changed(bodyOf("queue-task/queue", id), map[string]any{"queueId": "field@contoso.example"})
	r.answer("create-task", nil, &operation.Error{Upstream: 422, Wrote: true, Err: core.Errorf(core.Invalid, "no entry point")})
	for range 2 {
		s := r.ok(t, "queue-task/queue", body)
		require.Equal(t, "TASK_FAILED", s.Error.Code, s.Text)
	}
	there := r.uuid()
	r.answer("create-task", map[string]any{"taskId": there}, nil)
	s := r.ok(t, "queue-task/queue", body)
	require.Nil(t, s.Error, s.Text)
	require.Equal(t, core.Remote{Platform: "webex", ID: there, State: core.RemoteRequested}, r.of(t, id).Remote)
	require.Equal(t, core.StateQueued, r.of(t, id).State)
}
