package webex

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/coretest"
	"tandem/core/engine"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/store/pgtest"
)

func atAgentThere(r *nodeRig, t require.TestingT) string {
	id := r.remote(t)
	r.connect(t, id)
	return id
}

// remoteCase is a call about a task of Webex.
type remoteCase struct {
	path      string
	task      func(r *nodeRig, t require.TestingT) string
	outcome   string
	operation string
	input     map[string]any // part of what the operation is given
	state     core.State
}

func remoteCases() []remoteCase {
	return []remoteCase{
		{"create-task/create", (*nodeRig).uuidOf, "created", "create-task", map[string]any{"mediaType": "workItem", "service": aRemote, "customerId": "zoe@customer.example"}, core.StateAccepted},
		{"set-variable/global", (*nodeRig).remote, "Task Updated", "set-variables", nil, core.StateAccepted},
		{"set-variable/flow", (*nodeRig).remote, "Task Updated", "set-variables", nil, core.StateAccepted},
		{"queue-task/queue", (*nodeRig).remote, "Queued", "queue-task", map[string]any{"queueId": itsQueue, "priority": 3}, core.StateQueued},
		{"piq-ewt/fetch", (*nodeRig).remote, "Success", "fetch-piq-ewt", map[string]any{"queueId": itsQueue, "lookbackMinutes": 30}, core.StateAccepted},
		{"routed-notification/accept", (*nodeRig).remote, "onTaskRouted", "routed-accept", map[string]any{"agentId": anAgent, "mediaResourceId": "m-1", "mediaType": "chat"}, core.StateConnected},
		{"routed-notification/reject", atAgentThere, "onTaskRouted", "routed-reject", map[string]any{"reason": "busy", "reasonCode": "7"}, core.StateQueued},
		{"modify-notification/accept", atAgentThere, "onModifiedAcceptSuccess", "modified-accept", map[string]any{"agentId": another}, core.StateConnected},
		{"modify-notification/reject", atAgentThere, "onModifiedRejectSuccess", "modified-reject", map[string]any{"reason": "busy"}, core.StateConnected},
		{"screen-pop/pop", atAgentThere, "onScreenPopSuccess", "screen-pop", map[string]any{
			"screenPopUrl": "https://crm.example/case", "target": "insideDesktop", "queryParameters": map[string]any{"id": "7"},
		}, core.StateConnected},
		{"close-task/close", atAgentThere, "Success", "close-task", map[string]any{"conversationId": "c-1"}, core.StateTerminated},
		{"close-task/accept", atAgentThere, "Success", "close-accept", map[string]any{"mediaResourceId": "m-1"}, core.StateTerminated},
		{"close-task/reject", atAgentThere, "Success", "close-reject", map[string]any{"reasonCode": "7"}, core.StateConnected},
		{"resolve-conversation/resolve", (*nodeRig).uuidOf, "appended", "resolve-conversation", map[string]any{"mediaChannel": "sms"}, ""},
	}
}

// TestNodesAtWebex carries each method out twice: once at Webex, once in the hub.
func TestNodesAtWebex(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		for _, c := range remoteCases() {
			id := c.task(r, t)
			r.answers0()
			var before core.Task
			for turn := range 2 {
				s := r.ok(t, c.path, bodyThere(c.path, id))
				require.Equal(t, c.outcome, s.Outcome, s.Text)
				names, input := r.did()
				if turn == 0 || c.path == "piq-ewt/fetch" {
					require.Equal(t, []string{c.operation}, names, c.path)
					for name, value := range c.input {
						require.Equal(t, value, input[name], "%s %s", c.path, name)
					}
				} else {
					require.Empty(t, names, "%s is carried out once", c.path)
				}
				if c.state == "" {
					require.Equal(t, map[string]any{"conversationOperation": "appended", "taskId": "w-1", "transId": id}, s.Outputs)
					continue
				}
				if turn == 0 && c.path != "piq-ewt/fetch" {
					require.Equal(t, id, input["taskId"], c.path)
				}
				task := r.of(t, id)
				require.Equal(t, c.state, task.State, c.path)
				require.Equal(t, id, task.Remote.ID)
				if turn == 1 {
					require.Equal(t, before, task, c.path)
				}
				before = task
			}
		}
		require.Empty(t, r.faults)
		require.Equal(t, "Success", r.ok(t, "piq-ewt/fetch", changed(bodyThere("piq-ewt/fetch", ""), map[string]any{"taskId": nil, "queueId": "some-queue"})).Outcome)
		_, input := r.did()
		require.Equal(t, map[string]any{"queueId": "some-queue", "lookbackMinutes": 30}, input)
		r.answer("fetch-piq-ewt", map[string]any{"estimatedWaitTime": -1, "status": "INSUFFICIENT_DATA"}, nil)
		require.Equal(t, "InsufficientData", r.ok(t, "piq-ewt/fetch", changed(bodyThere("piq-ewt/fetch", ""), map[string]any{"taskId": nil})).Outcome)
	})
}

// Webex is given its own queue, whichever name of it a flow has.
func TestQueuesOfNotifications(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	for name, want := range map[string]any{aRemote: itsQueue, "another-queue": "another-queue", "": nil} {
		id := r.remote(t)
		require.Equal(t, "onTaskRouted", r.ok(t, "routed-notification/accept", changed(bodyThere("routed-notification/accept", id), map[string]any{"queueId": name})).Outcome)
		_, input := r.did()
		require.Equal(t, want, input["queueId"], name)
	}
}

// The task that Webex Engage makes for a message is the hub's too: what comes
// after it in a flow, and what Webex has said of it meanwhile, is about it.
func TestTaskOfEngage(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		r.answers0()
		id := "0FAE4F52-3A53-4F6E-9D3C-0D9B7D8F2C11"
		r.answer("resolve-conversation", map[string]any{"taskId": id, "conversationOperation": "created"}, nil)
		r.happens(t, id, bridge.Parked, "")
		body := bodyThere("resolve-conversation/resolve", "t-1")
		for range 2 {
			s := r.ok(t, "resolve-conversation/resolve", body)
			require.Equal(t, []any{"created", id}, []any{s.Outcome, s.Outputs["taskId"]})
		}
		task := r.of(t, id)
		require.Equal(t, []any{aRemote, core.StateQueued}, []any{task.Service.UPN, task.State}, "it waited before the hub knew it")
		require.Equal(t, core.Remote{Platform: Platform, ID: strings.ToLower(id), State: core.RemoteOpen}, task.Remote)
		require.Equal(t, []string{"x-senderNumber", "x-message"}, []string{task.CustomerIdentifier, task.InitialMessage})
		r.did()
		require.Equal(t, "Task Updated", r.ok(t, "set-variable/flow", bodyThere("set-variable/flow", id)).Outcome)
		require.Equal(t, "Queued", r.ok(t, "queue-task/queue", bodyThere("queue-task/queue", id)).Outcome)
		names, input := r.did()
		require.Equal(t, []string{"set-variables", "queue-task"}, names)
		require.Equal(t, strings.ToLower(id), input["taskId"])
		r.happens(t, id, bridge.Connected, anAgent)
		require.Equal(t, anAgent, r.of(t, id).LastConnectedUser.UPN)
		require.Equal(t, "Success", r.ok(t, "close-task/close", bodyThere("close-task/close", id)).Outcome)
		require.Equal(t, core.StateTerminated, r.of(t, id).State)

		r.answer("resolve-conversation", map[string]any{"taskId": r.uuid(), "conversationOperation": "reopened"}, nil)
		s := r.ok(t, "resolve-conversation/resolve", bodyThere("resolve-conversation/resolve", "t-2"))
		require.Equal(t, "reopened", s.Outcome)
		require.Equal(t, core.RemoteOpen, r.of(t, s.Outputs["taskId"].(string)).Remote.State)
	})
}

func upstream(kind core.Kind, status int, code string) error {
	return &operation.Error{Step: "call", Upstream: status, Err: &core.Error{Kind: kind, Code: code, Message: "why"}}
}

// TestFaultsOfWebex gives each method every fault of the other side.
func TestFaultsOfWebex(t *testing.T) {
	t.Parallel()
	refusal := map[string]string{
		"routed-notification": "onTaskRoutedFailure", "modify-notification/accept": "onModifiedFailure",
		"modify-notification/reject": "onModifiedRejectFailure",
	}
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	for _, f := range []struct {
		name   string
		err    error
		want   map[string]string
		code   string
		status int
	}{
		{"timeout", upstream(core.Timeout, 0, ""), each("onTimeout", nil), "TIMEOUT", 0},
		{"refused connection", upstream(core.Unavailable, 0, ""), each("onError", nil), operation.CodeUnreachable, 0},
		{"500", upstream(core.Uncertain, 500, outbound.CodeUpstreamFailed), each("onError", nil), outbound.CodeUpstreamFailed, 500},
		{"503", upstream(core.Unavailable, 503, outbound.CodeUpstreamBusy), each("onError", nil), outbound.CodeUpstreamBusy, 503},
		{"breaker open", upstream(core.Unavailable, 0, outbound.CodeCircuitOpen), each("onError", nil), outbound.CodeCircuitOpen, 0},
		{"429", upstream(core.Throttled, 429, outbound.CodeUpstreamThrottled), each("onError", nil), outbound.CodeUpstreamThrottled, 429},
		{"401 twice", upstream(core.NeedsAuthorization, 401, outbound.CodeAuthorizationRequired), each("onauthorizationfail", nil), outbound.CodeAuthorizationRequired, 401},
		{"403", upstream(core.Forbidden, 403, outbound.CodeUpstreamForbidden), each("onauthorizationfail", map[string]string{"set-variable": "Invalid Token"}), outbound.CodeUpstreamForbidden, 403},
		{"404", upstream(core.NotFound, 404, ""), each("onError", with(refusal, "set-variable", "Not Found")), "NOT_FOUND", 404},
		{"409", upstream(core.Conflict, 409, ""), each("onError", refusal), "CONFLICT", 409},
		{"422", upstream(core.Invalid, 422, ""), each("onError", with(refusal, "set-variable", "Bad Request")), operation.CodeRejected, 422},
		{"400", upstream(core.Invalid, 400, ""), each("onError", map[string]string{"set-variable": "Bad Request"}), operation.CodeRejected, 400},
		{"broken JSON", upstream(core.Uncertain, 200, operation.CodeBrokenAnswer), each("onError", nil), operation.CodeBrokenAnswer, 200},
		{"too much", upstream(core.ResultTooLarge, 200, ""), each("onError", nil), "RESULT_TOO_LARGE", 200},
		{"redirect", upstream(core.Uncertain, 302, outbound.CodeRedirected), each("onError", nil), outbound.CodeRedirected, 302},
		{"mapping", upstream(core.Mapping, 0, ""), each("onError", nil), "MAPPING_ERROR", 0},
	} {
		for _, c := range remoteCases() {
			id := c.task(r, t)
			var before core.Task
			if c.path != "create-task/create" && c.state != "" {
				before = r.of(t, id)
			}
			r.answer(c.operation, nil, f.err)
			r.recorded()
			s := r.ok(t, c.path, bodyThere(c.path, id))
			at := f.name + " at " + c.path
			require.Equal(t, f.want[c.path], s.Outcome, "%s %s", at, s.Text)
			require.Equal(t, f.code, s.Error.Code, at)
			require.Equal(t, f.status, s.Error.UpstreamStatus, at)
			require.Empty(t, s.Outputs)
			runs := r.recorded()
			require.Len(t, runs, 2, "the run, and the node")
			require.True(t, runs[0].Failed && runs[1].Failed, at)
			if before.ID != "" {
				after := r.of(t, id)
				after.Turn, after.Call = before.Turn, before.Call // that it was asked for
				require.Equal(t, before, after, "%s changes nothing in the hub", at)
			}
			r.answers0()
			s = r.ok(t, c.path, bodyThere(c.path, id))
			require.Equal(t, c.outcome, s.Outcome, "%s, then well: %s", at, s.Text)
		}
	}
	require.Empty(t, r.faults)
}

// What may have been done is not done again: the same call gets the same answer
// for a minute.
func TestUncertainIsNotRepeated(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.remote(t)
	r.answer("screen-pop", nil, &operation.Error{Step: "call", Upstream: 500, Wrote: true, Err: &core.Error{Kind: core.Uncertain, Message: "why"}})
	s := r.ok(t, "screen-pop/pop", bodyThere("screen-pop/pop", id))
	require.False(t, s.Error.Retryable)
	again := r.ok(t, "screen-pop/pop", bodyThere("screen-pop/pop", id))
	require.Equal(t, s.Outcome, again.Outcome)
	require.Equal(t, s.Error, again.Error)
	names, _ := r.did()
	require.Len(t, names, 1)
}

// Without a valid authorization a node for Webex says so at once, and does
// nothing.
func TestNoAuthorization(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id, moved := r.remote(t), r.local(t)
	r.connect(t, id)
	r.authorized.Store(false)
	for _, path := range paths() {
		name := id
		if path == "create-task/create" {
			name = r.uuid()
		}
		body := bodyThere(path, name)
		for range 10 {
			coretest.Soon(t, 20*time.Millisecond, path, func() {
				s := r.ok(t, path, body)
				require.Equal(t, "onauthorizationfail", s.Outcome, path)
				require.Equal(t, "AUTHORIZATION_REQUIRED", s.Error.Code)
			})
		}
		if path == "create-task/create" {
			_, err := r.engine.Find(context.Background(), engine.Ref{Tenant: "contoso", Platform: Platform, ID: name})
			require.Equal(t, core.NotFound, core.KindOf(err), "nothing was made")
		}
	}
	// A local task that is to go there.
	s := r.ok(t, "queue-task/queue", bodyThere("queue-task/queue", moved))
	require.Equal(t, "onauthorizationfail", s.Outcome)
	require.Equal(t, queuedEvents, r.history(t, moved))
	names, _ := r.did()
	require.Empty(t, names)
	require.Equal(t, core.StateConnected, r.of(t, id).State)

	// One that is named is used, and lets the call through.
	require.Equal(t, "Success", r.ok(t, "close-task/close", changed(bodyThere("close-task/close", id), map[string]any{"authorization": "Good"})).Outcome)
	require.Equal(t, "Good", r.ran[0].Authorization)
	require.Equal(t, "close-task", r.ran[0].Node)
}

// A Webex that hangs costs a call its limit, and what was begun goes on.
func TestHangingWebex(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	const limit = 150 * time.Millisecond
	type turn struct{ path, id, operation string }
	var turns []turn
	for _, c := range remoteCases() {
		turns = append(turns, turn{c.path, c.task(r, t), c.operation})
	}
	r.limit = limit
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for _, c := range turns {
		r.answerBy(c.operation, func(ctx context.Context, _ operation.Request) (any, error) {
			select {
			case <-release:
				return nil, errors.New("late")
			case <-ctx.Done():
				return nil, &operation.Error{Step: "call", Err: core.Wrap(core.Timeout, ctx.Err(), "the time is over")}
			}
		})
		coretest.Soon(t, limit+250*time.Millisecond, c.path, func() {
			s := r.ok(t, c.path, bodyThere(c.path, c.id))
			require.Equal(t, "onTimeout", s.Outcome, "%s %s", c.path, s.Text)
			require.Equal(t, "TIMEOUT", s.Error.Code)
		})
	}
}

// TestListening waits for what Webex says became of a call.
func TestListening(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	r.listening.Store(true)
	then := func(name, kind, agent string) {
		r.answerBy(name, func(_ context.Context, q operation.Request) (any, error) {
			id, _ := q.Input["taskId"].(string)
			go func() { // as an event comes: while the call waits
				if err := r.happened(id, kind, agent); err != nil {
					t.Error(err)
				}
			}()
			return map[string]any{"taskId": id}, nil
		})
	}
	then("create-task", bridge.Made, "")
	then("queue-task", bridge.Parked, "")
	then("close-task", bridge.Ended, "")
	id := r.uuid()
	require.Equal(t, "created", r.ok(t, "create-task/create", bodyThere("create-task/create", id)).Outcome)
	require.Equal(t, core.RemoteOpen, r.of(t, id).Remote.State)
	require.Equal(t, "Queued", r.ok(t, "queue-task/queue", bodyThere("queue-task/queue", id)).Outcome)
	require.Equal(t, core.StateQueued, r.of(t, id).State)
	r.happens(t, id, bridge.Connected, anAgent)
	s := r.ok(t, "queue-task/queue", bodyThere("queue-task/queue", id))
	require.Equal(t, "Queued", s.Outcome)
	require.Equal(t, r.of(t, id).LastConnectedUser.ID, s.Outputs["agentId"])
	require.Equal(t, "Success", r.ok(t, "close-task/close", bodyThere("close-task/close", id)).Outcome)
	require.Equal(t, core.StateTerminated, r.of(t, id).State)
	require.Equal(t, core.RemoteEnded, r.of(t, id).Remote.State)
	require.Equal(t, "Success", r.ok(t, "close-task/close", bodyThere("close-task/close", id)).Outcome)

	// What Webex cannot make, after it took the call.
	then("create-task", bridge.Failed, "")
	failed := r.uuid()
	for range 2 {
		s = r.ok(t, "create-task/create", bodyThere("create-task/create", failed))
		require.Equal(t, "Task failed", s.Outcome, s.Text)
		require.Equal(t, codeTaskFailed, s.Error.Code)
		require.Contains(t, s.Error.Message, "no such queue")
	}
	r.answerBy("create-task", func(_ context.Context, q operation.Request) (any, error) {
		id, _ := q.Input["taskId"].(string)
		r.happens(t, id, bridge.Failed, "") // before the answer to the call
		return map[string]any{"taskId": id}, nil
	})
	s = r.ok(t, "create-task/create", bodyThere("create-task/create", r.uuid()))
	require.Contains(t, s.Error.Message, "no such queue")
	then("create-task", bridge.Made, "")
	then("queue-task", bridge.Failed, "")
	failed = r.uuid()
	require.Equal(t, "created", r.ok(t, "create-task/create", bodyThere("create-task/create", failed)).Outcome)
	s = r.ok(t, "queue-task/queue", bodyThere("queue-task/queue", failed))
	require.Equal(t, "taskFailed", s.Outcome)
	require.Equal(t, codeTaskFailed, s.Error.Code)

	// And what it never says.
	for _, path := range []string{"create-task/create", "queue-task/queue", "close-task/close"} {
		id := r.uuid()
		r.listening.Store(false)
		if path != "create-task/create" {
			id = r.remote(t)
		}
		r.answers0()
		r.listening.Store(true)
		limit := r.limit
		r.limit = 100 * time.Millisecond
		coretest.Soon(t, 350*time.Millisecond, path, func() {
			s := r.ok(t, path, bodyThere(path, id))
			require.Equal(t, "onTimeout", s.Outcome, path)
		})
		r.limit = limit
	}
	require.Empty(t, r.faults)
}

// An operation that does not say what it did has not done it.
func TestNodesWithoutAnswer(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	id := r.uuid()
	require.Equal(t, "onauthorizationfail", r.call(t, anOwner, "create-task/create", bodyThere("create-task/create", id), http.StatusForbidden).Outcome)
	r.answer("resolve-conversation", map[string]any{"conversationOperation": "lost"}, nil)
	s := r.ok(t, "resolve-conversation/resolve", bodyThere("resolve-conversation/resolve", r.uuid()))
	require.Equal(t, "onError", s.Outcome)
	require.Equal(t, operation.CodeBrokenAnswer, s.Error.Code)
	r.answer("resolve-conversation", map[string]any{}, nil)
	require.Equal(t, "onauthorizationfail", r.ok(t, "resolve-conversation/resolve", bodyThere("resolve-conversation/resolve", r.uuid())).Outcome, "nowhere to post the rest")
	r.answer("create-task", map[string]any{}, nil)
	for range 2 {
		s = r.ok(t, "create-task/create", bodyThere("create-task/create", id))
		require.Equal(t, "Task failed", s.Outcome, s.Text)
		require.Equal(t, codeTaskFailed, s.Error.Code)
		require.Equal(t, core.StateTerminated, r.of(t, id).State)
	}
}
