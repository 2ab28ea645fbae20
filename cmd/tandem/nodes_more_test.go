package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

func TestPositionInAQueueOfWebex(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	body := map[string]any{"queueId": officeField, "lookbackMinutes": 30}
	out := o.call("piq-ewt/fetch", body)
	require.Equal(t, "InsufficientData", out.Outcome, out.text)
	o.vendors.Webex().Switch(sandbox.WebexSwitches{EWT: 90000})
	out = o.call("piq-ewt/fetch", body)
	require.Equal(t, "Success", out.Outcome, out.text)
	require.InDelta(t, 90000, out.Outputs["estimatedWaitTime"], 0)
	body["queueId"] = sandbox.WebexQueue
	require.Equal(t, "Success", o.call("piq-ewt/fetch", body).Outcome)
	for _, status := range []int{500, 404, 429} {
		o.fault("/v1/ewt", sandbox.Fault{Status: status, Header: map[string]string{"Retry-After": "60"}})
		out := o.call("piq-ewt/fetch", body)
		require.Equal(t, "onError", out.Outcome, out.text)
		require.Equal(t, status != 404, out.Error.Retryable, out.text)
		o.calm("/v1/ewt")
	}
}

// TestATaskThatWebexCouldNotMake: what an event tells decides the outcome.
func TestATaskThatWebexCouldNotMake(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.vendors.Webex().Switch(sandbox.WebexSwitches{FailNext: "ENTRY_POINT_NOT_FOUND"})
	id := newTaskID()
	out := o.call("create-task/create", createBody(id))
	require.Equal(t, "Task failed", out.Outcome, out.text)
	require.Equal(t, "TASK_FAILED", out.Error.Code)
	require.Contains(t, out.Error.Message, "ENTRY_POINT_NOT_FOUND")
	task := o.becomes(id, func(t *core.Task) bool { return t.State == core.StateTerminated })
	require.Equal(t, core.RemoteFailed, task.Remote.State)
	require.Empty(t, o.open())
	again := o.call("create-task/create", createBody(id))
	require.Equal(t, "Task failed", again.Outcome, again.text)
	require.Contains(t, again.Error.Message, "ENTRY_POINT_NOT_FOUND")
}

// TestConversationsOfWebexEngage: the target's own conversations are found there.
func TestConversationsOfWebexEngage(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	resolve := func(trans, text string) outcome {
		t.Helper()
		return o.call("resolve-conversation/resolve", map[string]any{
			"transId": trans, "mediaType": "chat", "mediaChannel": "web", "details": map[string]any{"messageDetails": map[string]any{
				"appId": officeField, "threadId": "th-1", "userId": "u-1", "message": text, "customerName": "Jane Doe", "threadTitle": "Hello",
				"timestamp": "1767323045000", "tid": trans, "domain": "web", "threadStatus": "open", "attachmentCount": "0", "attachment": "[]", "customerEmail": "jane@contoso.example",
			}},
		})
	}
	first := resolve("t-1", "Hello")
	require.Equal(t, "created", first.Outcome, first.text)
	task := first.Outputs["taskId"]
	o.vendors.Fault("webex-engage", sandbox.Fault{Status: http.StatusUnauthorized}) // once: nobody notices
	next := resolve("t-2", "Are you there?")
	require.Equal(t, "appended", next.Outcome, next.text)
	require.Equal(t, task, next.Outputs["taskId"])
	require.Equal(t, "appended", resolve("t-2", "Are you there?").Outcome, "the flow tries again")
	require.Equal(t, []string{"Hello", "Are you there?"}, o.vendors.Webex().Tasks()[0].Messages)
	require.NoError(t, o.vendors.Webex().End(o.vendors.Webex().Tasks()[0].ID, "Agent"))
	last := resolve("t-3", "Hello again")
	require.Equal(t, "created", last.Outcome, "a chat that is over is not opened again: %s", last.text)
	require.NotEqual(t, task, last.Outputs["taskId"])
}
