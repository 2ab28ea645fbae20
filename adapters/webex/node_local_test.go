package webex

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/store/pgtest"
)

// localCase is a call about a task of the hub's own service, and what comes of it.
type localCase struct {
	path    string
	task    func(r *nodeRig, t require.TestingT) string
	outcome string
	outputs string // with TASK for the name of the task
	state   core.State
	agent   string
	events  string
	more    func(t *testing.T, task core.Task)
}

const (
	queuedEvents    = "Created, System Accepted, Queued"
	connectedEvents = queuedEvents + ", Connected to User"
)

func atAgent(r *nodeRig, t require.TestingT) string {
	id := r.local(t)
	r.connect(t, id)
	return id
}

func localCases() []localCase {
	hasOrder := func(t *testing.T, task core.Task) {
		value, _ := task.Parameter("order")
		require.Equal(t, "4711", value)
	}
	set := func(global string) string {
		return `{"taskId":"TASK","responsePayload":"{\"data\":{\"variables\":[{\"agentEditable\":false,\"agentViewable\":false,\"description\":\"\",\"desktopLabel\":\"\",\"global\":` +
			global + `,\"name\":\"order\",\"type\":\"String\",\"value\":\"4711\"}]},\"id\":\"TASK\"}"}`
	}
	return []localCase{
		{"create-task/create", (*nodeRig).uuidOf, "created", `{"taskId":"TASK","conversationId":"c-1"}`, core.StateQueued, "", queuedEvents, func(t *testing.T, task core.Task) {
			require.Equal(t, aLocal, task.Service.UPN)
			require.Equal(t, core.InstantMessaging, task.Modality)
			require.Equal(t, "zoe@customer.example", task.CustomerIdentifier)
			require.Equal(t, "Zoë", task.Customer.DisplayName)
			channel, _ := task.Parameter("mediaChannel")
			require.Equal(t, "web", channel)
			require.Empty(t, task.Remote)
		}},
		{"set-variable/global", (*nodeRig).local, "Task Updated", set("true"), core.StateQueued, "", queuedEvents, hasOrder},
		{"set-variable/flow", (*nodeRig).local, "Task Updated", set("false"), core.StateQueued, "", queuedEvents, hasOrder},
		{"queue-task/queue", (*nodeRig).driven, "Queued", `{"taskId":"TASK","agentId":""}`, core.StateQueued, "", queuedEvents, func(t *testing.T, task core.Task) {
			require.Equal(t, aLocal, task.Service.UPN)
			require.Equal(t, 3, task.ContactPriority)
		}},
		{"queue-task/queue", (*nodeRig).local, "Queued", `{"taskId":"TASK","agentId":""}`, core.StateQueued, "", queuedEvents, nil},
		{"piq-ewt/fetch", (*nodeRig).local, "InsufficientData", "", core.StateQueued, "", queuedEvents, nil},
		{"routed-notification/accept", (*nodeRig).local, "onTaskRouted", `{}`, core.StateConnected, anAgent, connectedEvents, nil},
		{"routed-notification/reject", (*nodeRig).local, "onTaskRouted", `{}`, core.StateQueued, "", queuedEvents, nil},
		{"routed-notification/reject", atAgent, "onTaskRouted", `{}`, core.StateQueued, anAgent, connectedEvents + ", Queued", nil},
		{"modify-notification/accept", atAgent, "onModifiedAcceptSuccess", `{}`, core.StateConnected, another, connectedEvents + ", Connected to User", nil},
		{"modify-notification/reject", atAgent, "onModifiedRejectSuccess", `{}`, core.StateConnected, anAgent, connectedEvents, nil},
		{"screen-pop/pop", atAgent, "onScreenPopSuccess", `{}`, core.StateConnected, anAgent, connectedEvents, func(t *testing.T, task core.Task) {
			require.Len(t, task.Pops, 1)
			require.Equal(t, "https://crm.example/case?id=7", task.Pops[0].URL)
			require.Equal(t, core.InsideDesktop, task.Pops[0].Target)
			require.Equal(t, anAgent, task.Pops[0].Agent)
		}},
		{"close-task/close", (*nodeRig).local, "Success", `{}`, core.StateTerminated, "", queuedEvents + ", Queue Left, Terminated", nil},
		{"close-task/close", atAgent, "Success", `{}`, core.StateTerminated, anAgent, connectedEvents + ", Terminated", nil},
		{"close-task/accept", atAgent, "Success", `{}`, core.StateTerminated, anAgent, connectedEvents + ", Terminated", nil},
		{"close-task/reject", atAgent, "Success", `{}`, core.StateConnected, anAgent, connectedEvents, func(t *testing.T, task core.Task) {
			reason, _ := task.Parameter("closeReason")
			code, _ := task.Parameter("closeReasonCode")
			require.Equal(t, "busy 7", reason+" "+code)
		}},
	}
}

func (r *nodeRig) uuidOf(require.TestingT) string { return r.uuid() }

// TestNodesOnLocalTasks calls each method twice: the outcome is the same and the
// task is changed once.
func TestNodesOnLocalTasks(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		for _, c := range localCases() {
			id := c.task(r, t)
			r.recorded()
			var before core.Task
			for turn := range 2 {
				r.clock.Advance(time.Second)
				s := r.ok(t, c.path, bodyOf(c.path, id))
				require.Equal(t, c.outcome, s.Outcome, s.Text)
				require.Nil(t, s.Error, s.Text)
				if c.outputs != "" {
					got, err := json.Marshal(s.Outputs)
					require.NoError(t, err)
					require.JSONEq(t, replaceTask(c.outputs, id), string(got))
				}
				task := r.of(t, id)
				require.Equal(t, c.state, task.State, c.path)
				require.Equal(t, c.agent, task.LastConnectedUser.UPN, c.path)
				require.Equal(t, c.events, r.history(t, id), "%s, turn %d", c.path, turn)
				if c.more != nil {
					c.more(t, task)
				}
				if turn == 1 {
					require.Len(t, task.Pops, len(before.Pops))
					for i := range task.Pops {
						task.Pops[i].At = before.Pops[i].At
					}
					require.Equal(t, before, task, "%s changes the task once", c.path)
				}
				before = task
			}
			runs := r.recorded()
			require.Len(t, runs, 2)
			require.Equal(t, c.outcome, runs[1].Outcome)
			require.Equal(t, anAdmin, runs[1].Caller)
			require.False(t, runs[1].Failed)
			require.NotContains(t, runs[1].Result, "4711", "what flows say of customers stays out of the page of executions")
		}
		names, _ := r.did()
		require.Empty(t, names, "nothing of it is done outside")
		require.Empty(t, r.faults)
	})
}

func replaceTask(text, id string) string {
	var out []byte
	for i := 0; i < len(text); i++ {
		if i+4 <= len(text) && text[i:i+4] == "TASK" {
			out, i = append(out, id...), i+3
			continue
		}
		out = append(out, text[i])
	}
	return string(out)
}

// Each method does what it does for the owner of the service as for the admin,
// and for a task under the hub's own id.
func TestNodesOfAnOwner(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	for _, c := range localCases() {
		id := c.task(r, t)
		name := id
		if c.path == "create-task/create" {
			name = r.uuid()
		} else {
			name = r.of(t, name).ID
			require.NotEqual(t, id, name)
		}
		who := anOwner
		if r.ownedByNobody(t, id, c.path) {
			who = anAdmin // sales
		}
		require.Equal(t, c.outcome, r.call(t, who, c.path, bodyOf(c.path, name), http.StatusOK).Outcome, c.path)
	}
}

func (r *nodeRig) ownedByNobody(t require.TestingT, id, path string) bool {
	return path != "create-task/create" && r.of(t, id).Service.UPN == "sales@contoso.example"
}

// TestOutcomesOfLocalTasks are the faults that a task of the hub's own can meet.
func TestOutcomesOfLocalTasks(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	unknown := with(ownFailure, "set-variable", "Not Found")
	delete(unknown, "create-task")
	delete(unknown, "resolve-conversation")
	ended := with(ownFailure, "close-task/reject", "Error")
	delete(ended, "close-task") // what has ended is closed
	delete(ended, "create-task")
	delete(ended, "resolve-conversation")
	delete(ended, "piq-ewt")
	for name, c := range map[string]struct {
		task    func(path string) string
		outcome map[string]string
		code    string
	}{
		"unknown task": {func(string) string { return r.uuid() }, unknown, "NOT_FOUND"},
		"another tenant's task": {func(string) string {
			id := r.uuid()
			body := changed(bodyOf("create-task/create", id), map[string]any{"destination": "desk@fabrikam.example", "mediaType": "Work Item", "mediaChannel": "Work Item"})
			require.Equal(t, "created", r.call(t, stranger, "create-task/create", body, http.StatusOK).Outcome)
			return id
		}, unknown, "NOT_FOUND"},
		"ended task": {func(string) string {
			id := r.local(t)
			require.Equal(t, "Success", r.ok(t, "close-task/close", bodyOf("close-task/close", id)).Outcome)
			return id
		}, ended, "TASK_ENDED"},
	} {
		for path, word := range each("", c.outcome) {
			if word == "" {
				continue
			}
			id := c.task(path)
			s := r.ok(t, path, bodyOf(path, id))
			require.Equal(t, word, s.Outcome, "%s: %s %s", name, path, s.Text)
			require.Equal(t, c.code, s.Error.Code, "%s: %s", name, path)
			require.Empty(t, s.Outputs)
			require.False(t, s.Error.Retryable)
		}
	}

	id, mine := r.driven(t), r.uuid()
	for path, body := range map[string]map[string]any{
		"screen-pop/pop":             nil,
		"routed-notification/accept": nil,
		"modify-notification/accept": nil,
	} {
		s := r.ok(t, path, changed(bodyOf(path, id), body))
		require.Equal(t, each("", ownFailure)[path], s.Outcome, "the agent is no member")
		s = r.ok(t, path, changed(bodyOf(path, id), map[string]any{"agentId": "nobody"}))
		require.Equal(t, each("", ownFailure)[path], s.Outcome)
	}
	for _, c := range []struct {
		path    string
		change  map[string]any
		outcome string
		field   string
	}{
		{"create-task/create", map[string]any{"destination": "nowhere"}, "onInvalidData", "destination"},
		{"create-task/create", map[string]any{"destination": "desk@fabrikam.example"}, "onInvalidData", "destination"},
		{"create-task/create", map[string]any{"destination": "sales@contoso.example"}, "onInvalidData", "mediaType"},
		{"create-task/create", map[string]any{"mediaType": "Fax"}, "onInvalidData", "mediaType"},
		{"create-task/create", map[string]any{"taskId": "1"}, "onInvalidData", "taskId"},
		{"create-task/create", map[string]any{"version": "9.9"}, "onInvalidData", "version"},
		{"queue-task/queue", map[string]any{"queueId": "nowhere@contoso.example"}, "onInvalidData", "queueId"},
		{"queue-task/queue", map[string]any{"queueId": itsQueue}, "onInvalidData", "queueId"},
		{"queue-task/queue", map[string]any{"webhookUrl": "http://hooks.contoso.example/"}, "onInvalidData", "webhookUrl"},
		{"queue-task/queue", map[string]any{"webhookUrl": "https://elsewhere.example/"}, "onInvalidData", "webhookUrl"},
		{"set-variable/flow", map[string]any{"variables": many(31)}, "onInvalidData", "variables"},
		{"set-variable/flow", map[string]any{"variables": many(30)}, "Task Updated", ""},
		{"piq-ewt/fetch", map[string]any{"lookbackMinutes": 4}, "onInvalidData", "lookbackMinutes"},
		{"piq-ewt/fetch", map[string]any{"lookbackMinutes": 241}, "onInvalidData", "lookbackMinutes"},
		{"piq-ewt/fetch", map[string]any{"lookbackMinutes": 240, "taskId": nil}, "InsufficientData", ""},
		{"piq-ewt/fetch", map[string]any{"queueId": "nowhere@contoso.example"}, "onInvalidData", "queueId"},
		{"screen-pop/pop", map[string]any{"screenPopUrl": "javascript:alert(1)"}, "onInvalidData", "screenPopUrl"},
		{"resolve-conversation/resolve", map[string]any{"details": map[string]any{}}, "onInvalidData", "details"},
	} {
		name := id
		if c.path == "create-task/create" {
			name = mine
		}
		s := r.ok(t, c.path, changed(bodyOf(c.path, name), c.change))
		require.Equal(t, c.outcome, s.Outcome, "%s %v: %s", c.path, c.change, s.Text)
		if c.field != "" {
			require.Equal(t, c.field, s.Error.Details[0].Field, s.Text)
		}
	}
	_, err := r.engine.Find(context.Background(), engine.Ref{Tenant: "contoso", Platform: Platform, ID: mine})
	require.Equal(t, core.NotFound, core.KindOf(err), "nothing was made")
}

func many(n int) (list []any) {
	for i := range n {
		list = append(list, map[string]any{"name": "v_" + string(rune('a'+i%26)) + string(rune('a'+i/26)), "value": "1"})
	}
	return list
}

// An older version of a node is answered in its own spelling.
func TestWordsOfVersions(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := atAgent(r, t)
	for version, words := range map[string][2]string{
		"v1.3": {"onScreenPopSuccess", "onScreenPopFailure"}, "1.2": {"onScreenPopSuccess", "onScreenPopFailure"},
		"1.1": {"onScreenpopSuccess", "onScreenpopFailure"}, "1.0": {"onScreenpopSuccess", "onScreenpopFailure"},
	} {
		body := changed(bodyOf("screen-pop/pop", id), map[string]any{"version": version})
		require.Equal(t, words[0], r.ok(t, "screen-pop/pop", body).Outcome, version)
		require.Equal(t, words[1], r.ok(t, "screen-pop/pop", changed(body, map[string]any{"taskId": r.uuid()})).Outcome, version)
	}
	require.Len(t, r.of(t, id).Pops, 1)
}

// A task belongs to one agent at a time.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := atAgent(r, t)
	s := r.ok(t, "routed-notification/accept", changed(bodyOf("routed-notification/accept", id), map[string]any{"agentId": another}))
	require.Equal(t, "onTaskRoutedFailure", s.Outcome)
	require.Equal(t, "TASK_TAKEN", s.Error.Code)
	require.Equal(t, anAgent, r.of(t, id).LastConnectedUser.UPN)
	require.Equal(t, "onTaskRouted", r.ok(t, "routed-notification/reject", changed(bodyOf("routed-notification/reject", id), map[string]any{"agentId": another})).Outcome)
	require.Equal(t, core.StateConnected, r.of(t, id).State, "it is not that agent's to give back")
	require.Equal(t, connectedEvents, r.history(t, id))
	require.Equal(t, "onTaskRouted", r.ok(t, "routed-notification/reject", changed(bodyOf("routed-notification/reject", id), map[string]any{"agentId": strings.ToUpper(anAgent)})).Outcome)
	require.Equal(t, core.StateQueued, r.of(t, id).State, "it was the agent's, in whatever spelling")
}

// A flow that tries Queue Task again, because its answer was lost, does not take
// the task from the agent who has it meanwhile, and learns who that is.
func TestQueuedAgain(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := atAgent(r, t)
	before := r.of(t, id)
	s := r.ok(t, "queue-task/queue", bodyOf("queue-task/queue", id))
	require.Equal(t, []any{"Queued", before.LastConnectedUser.ID}, []any{s.Outcome, s.Outputs["agentId"]})
	require.Equal(t, before, r.of(t, id))
	s = r.ok(t, "queue-task/queue", changed(bodyOf("queue-task/queue", id), map[string]any{"queueId": "sales@contoso.example"}))
	require.Equal(t, []any{"Queued", ""}, []any{s.Outcome, s.Outputs["agentId"]})
	require.Equal(t, core.StateQueued, r.of(t, id).State, "another queue is another matter")
}

// A tenant may have so many open external tasks.
func TestTaskLimit(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db", "open_external_tasks: 100000", "open_external_tasks: 2")
	item := map[string]any{"mediaType": "Work Item", "mediaChannel": "Work Item"}
	first := r.uuid()
	require.Equal(t, "created", r.ok(t, "create-task/create", changed(bodyOf("create-task/create", first), item)).Outcome)
	require.Equal(t, "created", r.ok(t, "create-task/create", changed(bodyOf("create-task/create", r.uuid()), item)).Outcome)
	third := r.uuid()
	s := r.ok(t, "create-task/create", changed(bodyOf("create-task/create", third), item))
	require.Equal(t, "Task failed", s.Outcome)
	require.Equal(t, codeFairUse, s.Error.Code)
	require.True(t, s.Error.Retryable)
	require.Equal(t, "created", r.ok(t, "create-task/create", changed(bodyOf("create-task/create", first), item)).Outcome, "it is there already")
	require.Equal(t, "Success", r.ok(t, "close-task/close", bodyOf("close-task/close", first)).Outcome)
	require.Equal(t, "created", r.ok(t, "create-task/create", changed(bodyOf("create-task/create", third), item)).Outcome)
}

// A fault of the hub, a panic included, is one of the method's words.
func TestFaultsOfTheHub(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id, done := r.local(t), r.local(t)
	require.Equal(t, "Success", r.ok(t, "close-task/close", bodyOf("close-task/close", done)).Outcome)
	internal := each("onError", map[string]string{"create-task": "Error", "queue-task": "Error", "piq-ewt": "Error", "close-task": "Error", "resolve-conversation": "error"})
	busy := each("onError", map[string]string{
		"set-variable": "serviceUnavailable", "piq-ewt": "serviceUnavailable", "screen-pop": "serviceUnavailable", "resolve-conversation": "serviceUnavailable",
	})
	for _, path := range paths() {
		name := id
		switch path {
		case "create-task/create", "resolve-conversation/resolve":
			name = r.uuid()
		case "piq-ewt/fetch": // the place of a task that is not in the queue
			name = done
		}
		r.befall(func() error { panic("bug with a secret") })
		s := r.ok(t, path, bodyOf(path, name))
		require.Equal(t, internal[path], s.Outcome, path)
		require.NotContains(t, s.Text, "secret")
		require.Contains(t, s.Error.Message, "correlation id")

		r.befall(func() error {
			return &core.Error{Kind: core.Unavailable, Code: "DATABASE_UNAVAILABLE", Message: "the database cannot take work now", RetryAfter: 2 * time.Second}
		})
		rec := r.do(anAdmin, path, jsonOf(bodyOf(path, name)))
		require.Equal(t, "2", rec.Header().Get("Retry-After"), path)
		s = saidIn(t, path, rec, http.StatusServiceUnavailable)
		require.Equal(t, busy[path], s.Outcome, path)
		require.True(t, s.Error.Retryable)
	}
	require.Len(t, r.faults, len(methods), "whoever runs the hub is told, of a panic in a transaction too")
	r.befall(nil)
	require.Equal(t, queuedEvents, r.history(t, id))
	require.Empty(t, r.ran)
}

func jsonOf(v any) []byte {
	text, _ := json.Marshal(v)
	return text
}

// Whoever may not call is told so by the status, and by the word.
func TestWhoMayCallNodes(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	mine, theirs := r.local(t), r.remote(t)
	for _, path := range paths() {
		rec := r.do("", path, jsonOf(bodyOf(path, mine)))
		require.Equal(t, "Bearer", rec.Header().Get("WWW-Authenticate"))
		require.Equal(t, "onauthorizationfail", saidIn(t, path, rec, http.StatusUnauthorized).Outcome)
		require.Equal(t, "onauthorizationfail", r.call(t, "wrong", path, bodyOf(path, mine), http.StatusUnauthorized).Outcome)
		for _, who := range []string{anAgent, "gone@contoso.example", "x@nowhere.example"} {
			require.Equal(t, "onauthorizationfail", r.call(t, who, path, bodyOf(path, mine), http.StatusForbidden).Outcome, "%s %s", who, path)
		}
		// Right to connect, not for the tasks of this service.
		name := theirs
		if path == "create-task/create" {
			name = r.uuid()
		}
		require.Equal(t, "onauthorizationfail", r.call(t, anOwner, path, bodyThere(path, name), http.StatusForbidden).Outcome, path)
		require.Equal(t, "onauthorizationfail", r.call(t, aUnit, path, bodyOf(path, mine), http.StatusForbidden).Outcome, path)
	}
	// An id that somebody else's task has is not told apart from the right.
	require.Equal(t, "onauthorizationfail", r.call(t, anOwner, "create-task/create", bodyOf("create-task/create", theirs), http.StatusForbidden).Outcome)
	names, _ := r.did()
	require.Empty(t, names)
	require.Equal(t, queuedEvents, r.history(t, mine))

	for _, path := range []string{"nothing/create", "create-task/delete", "create-task/Create", "x/y"} {
		s := r.ok(t, path, map[string]any{})
		require.Equal(t, "onInvalidChoice", s.Outcome, path)
		require.Equal(t, codeUnknownMethod, s.Error.Code)
		require.Equal(t, "onauthorizationfail", r.call(t, "", path, map[string]any{}, http.StatusUnauthorized).Outcome)
	}
}

// An authorization that a call names must be valid, whatever the call is about.
func TestNamedAuthorization(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	for _, path := range paths() {
		name := id
		if path == "create-task/create" || path == "resolve-conversation/resolve" {
			name = r.uuid()
		}
		for _, hook := range []any{nil, theHook} {
			s := r.ok(t, path, changed(bodyOf(path, name), map[string]any{"authorization": "Bad", "webhookUrl": hook}))
			require.Equal(t, "onauthorizationfail", s.Outcome, path)
			require.Equal(t, "AUTHORIZATION_REQUIRED", s.Error.Code)
		}
	}
	require.Equal(t, queuedEvents, r.history(t, id))
	require.Equal(t, "Task Updated", r.ok(t, "set-variable/flow", changed(bodyOf("set-variable/flow", id), map[string]any{"authorization": "Good"})).Outcome)
	s := r.ok(t, "queue-task/queue", changed(bodyOf("queue-task/queue", id), map[string]any{"authorization": "Bad", "version": "1.2"}))
	require.Equal(t, "onauthorizatonfail", s.Outcome, "as that version spells it")
}
