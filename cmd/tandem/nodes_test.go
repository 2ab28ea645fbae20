package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/core/coretest"
)

// nodeCase is a node's method, ready to be called for a task of the field service.
type nodeCase struct {
	node    string // and method
	path    string // end of the path at Webex
	success string
	body    func(o *office) map[string]any // makes what it needs
	effect  func(t *testing.T, o *office, id string)

	refused map[int]string // status of Webex -> outcome, where it is not the general one
	unknown string         // the hub knows no such task; empty: it needs none
}

func ofQueued(more map[string]any) func(o *office) map[string]any {
	return func(o *office) map[string]any { return withTask(o.queued(), more) }
}

func withTask(id string, more map[string]any) map[string]any {
	body := map[string]any{"taskId": id}
	for name, value := range more {
		body[name] = value
	}
	return body
}

// ofAgent is ofQueued for a task that an agent has.
func ofAgent(more map[string]any) func(o *office) map[string]any {
	return func(o *office) map[string]any {
		id := o.queued()
		require.NoError(o.t, o.vendors.Webex().Answer(o.there(id).ID, officeAgent))
		o.becomes(id, func(t *core.Task) bool { return t.State == core.StateConnected })
		return withTask(id, more)
	}
}

func connected(agent string) func(t *testing.T, o *office, id string) {
	return func(t *testing.T, o *office, id string) {
		t.Helper()
		task := o.task(id)
		require.Equal(t, core.StateConnected, task.State)
		require.Equal(t, agent, task.LastConnectedUser.UPN)
	}
}

func noticed(notice string, more func(t *testing.T, o *office, id string)) func(t *testing.T, o *office, id string) {
	return func(t *testing.T, o *office, id string) {
		t.Helper()
		require.Contains(t, o.there(id).Notices, notice)
		if more != nil {
			more(t, o, id)
		}
	}
}

func inState(state core.State) func(t *testing.T, o *office, id string) {
	return func(t *testing.T, o *office, id string) {
		t.Helper()
		require.Equal(t, state, o.task(id).State)
	}
}

// nodeCases are all methods that have an effect at Webex.
func nodeCases() []nodeCase {
	agent := map[string]any{"agentId": officeAgent, "mediaResourceId": "m-1", "mediaType": "workItem"}
	reject := map[string]any{"agentId": officeAgent, "mediaResourceId": "m-1", "mediaType": "workItem", "reason": "away", "reasonCode": "7"}
	routed := map[int]string{404: "onTaskRoutedFailure", 409: "onTaskRoutedFailure", 403: "onauthorizationfail"}
	variables := map[string]any{"variables": []any{map[string]any{"name": "vip", "type": "Boolean", "value": true}}}
	variablesRefused := map[int]string{400: "Bad Request", 404: "Not Found", 403: "Invalid Token"}
	hasVariable := func(t *testing.T, o *office, id string) {
		t.Helper()
		require.Equal(t, "true", o.there(id).Variables["vip"])
		task := o.task(id)
		value, _ := task.Parameter("vip")
		require.Equal(t, "true", value)
	}
	return []nodeCase{
		{"create-task/create", "/v2/tasks", "created", func(*office) map[string]any { return createBody(newTaskID()) }, func(t *testing.T, o *office, id string) {
			t.Helper()
			require.Equal(t, "queued", o.becomesThere(id, "queued").State)
			require.Equal(t, core.RemoteOpen, o.task(id).Remote.State)
			require.Equal(t, "APP-FIELD-1", o.there(id).Destination)
		}, nil, ""},
		{"set-variable/global", "", "Task Updated", ofQueued(variables), hasVariable, variablesRefused, "Not Found"},
		{"set-variable/flow", "", "Task Updated", ofQueued(variables), hasVariable, variablesRefused, "Not Found"},
		{
			"queue-task/queue", "/queue", "Queued", ofQueued(map[string]any{
				"queueId": officeField, "conversationId": "c", "mediaType": "workItem", "contactPriority": "3",
			}), noticed("queue", func(t *testing.T, o *office, id string) {
				t.Helper()
				require.Equal(t, "3", o.there(id).Priority)
				require.Equal(t, core.StateQueued, o.task(id).State)
			}), nil, "taskFailed",
		},
		{"routed-notification/accept", "/routed/accept", "onTaskRouted", ofQueued(agent), noticed("routed/accept", connected(officeAgent)), routed, "onTaskRoutedFailure"},
		{"routed-notification/reject", "/routed/reject", "onTaskRouted", ofAgent(reject), noticed("routed/reject", inState(core.StateQueued)), routed, "onTaskRoutedFailure"},
		{
			"modify-notification/accept", "/modified/accept", "onModifiedAcceptSuccess",
			ofAgent(map[string]any{"agentId": "agent2@contoso.example", "mediaResourceId": "m-1", "mediaType": "workItem"}),
			noticed("modified/accept", connected("agent2@contoso.example")),
			map[int]string{404: "onModifiedFailure", 409: "onModifiedFailure", 403: "onauthorizationfail"},
			"onModifiedFailure",
		},
		{
			"modify-notification/reject", "/modified/reject", "onModifiedRejectSuccess", ofAgent(reject), noticed("modified/reject", connected(officeAgent)),
			map[int]string{404: "onModifiedRejectFailure", 409: "onModifiedRejectFailure", 403: "onauthorizationfail"},
			"onModifiedRejectFailure",
		},
		{
			"screen-pop/pop", "/screenpop", "onScreenPopSuccess", ofAgent(map[string]any{
				"agentId": officeAgent, "screenPopUrl": "https://crm.example/case", "queryParameters": map[string]any{"id": "7"}, "target": "Existing Browser Tab",
			}), func(t *testing.T, o *office, id string) {
				t.Helper()
				require.Contains(t, o.vendors.Webex().Pops(officeAgent), sandbox.WebexPop{
					Agent: officeAgent, URL: "https://crm.example/case", Target: "sameBrowserTab", Parameters: map[string]any{"id": "7"},
				})
				pops := o.task(id).Pops
				require.NotEmpty(t, pops)
				require.Equal(t, "https://crm.example/case?id=7", pops[len(pops)-1].URL)
			}, map[int]string{403: "onauthorizationfail"}, "onScreenPopFailure",
		},
		{
			"close-task/close", "/end", "Success", ofAgent(map[string]any{"conversationId": "c", "mediaType": "workItem"}), func(t *testing.T, o *office, id string) {
				t.Helper()
				require.Equal(t, "completed", o.there(id).State)
				require.Equal(t, core.StateTerminated, o.task(id).State)
			}, map[int]string{404: ""}, "Error", // 404: it is over there; the hub waits to be told
		},
		{
			"close-task/accept", "/close/accept", "Success", ofAgent(map[string]any{"mediaResourceId": "m-1", "mediaType": "workItem"}),
			noticed("close/accept", inState(core.StateTerminated)), nil, "Error",
		},
		{"close-task/reject", "/close/reject", "Success", ofAgent(reject), noticed("close/reject", func(t *testing.T, o *office, id string) {
			t.Helper()
			task := o.task(id)
			why, _ := task.Parameter("closeReason")
			require.Equal(t, "away", why)
		}), nil, "Error"},
	}
}

// becomesThere waits for a state at Webex.
func (o *office) becomesThere(id, state string) (task sandbox.WebexTask) {
	o.t.Helper()
	o.soon(func() bool { task = o.there(id); return task.State == state })
	return task
}

func taskOf(body map[string]any) string {
	if id, ok := body["taskId"].(string); ok {
		return id
	}
	id, _ := body["Task ID"].(string)
	return id
}

func TestNodesReachWebex(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	for _, c := range nodeCases() {
		body := c.body(o)
		id := taskOf(body)
		before := o.wrote(c.path)
		out := o.call(c.node, body)
		require.Equal(t, c.success, out.Outcome, "%s: %s", c.node, out.text)
		c.effect(t, o, id)
		require.Equal(t, before+1, o.wrote(c.path), c.node)

		// The flow tries again: the same outcome, and nothing happens twice.
		again := o.call(c.node, body)
		require.Equal(t, c.success, again.Outcome, "%s again: %s", c.node, again.text)
		require.Equal(t, before+1, o.wrote(c.path), "%s again", c.node)
		if c.unknown != "" {
			body["taskId"] = newTaskID()
			require.Equal(t, c.unknown, o.call(c.node, body).Outcome, c.node)
		}
	}
	// Nobody's key, and another tenant's.
	body := withTask(o.queued(), map[string]any{"conversationId": "c", "mediaType": "workItem"})
	require.Equal(t, http.StatusUnauthorized, o.callAs("nobody", "close-task/close", body).status)
	stranger, err := demoKey(t.Context(), o.db, "fabrikam", core.PlatformWebex, "admin@fabrikam.example")
	require.NoError(t, err)
	require.Equal(t, "Error", o.callAs(stranger, "close-task/close", body).Outcome)
	require.NotEqual(t, core.StateTerminated, o.task(taskOf(body)).State)
}

// fault lets every request below a path meet a fault, until calm.
func (o *office) fault(path string, f sandbox.Fault) {
	f.Times, f.Path = 100, path
	if f.Header == nil {
		f.Header = map[string]string{}
	}
	f.Header["X-Fault"] = "1"
	o.vendors.Fault(webexIntegration, f)
}

// calm ends a fault: what is left of it meets requests that matter to nobody.
func (o *office) calm(path string) {
	o.t.Helper()
	for {
		req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, "http://"+o.vendors.Addr()+"/"+webexIntegration+path, nil)
		require.NoError(o.t, err)
		req.Header.Set("Authorization", "Bearer sandbox")
		res, err := o.client.Do(req)
		if err != nil {
			continue
		}
		require.NoError(o.t, res.Body.Close())
		if res.Header.Get("X-Fault") == "" {
			return
		}
	}
}

// at is where a method calls Webex for a task.
func (c *nodeCase) at(o *office, body map[string]any) string {
	switch c.path {
	case "/v2/tasks":
		return c.path
	case "/screenpop":
		return "/v1/integration/cntwct/produs1/organization/"
	case "", "/end":
		return "/v1/tasks/" + o.task(taskOf(body)).Remote.ID
	}
	return "/v1/integration/cntwct/produs1/tasks/" + o.task(taskOf(body)).Remote.ID
}

func TestNodesWhenWebexRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range nodeCases() {
		t.Run(c.node, func(t *testing.T) {
			t.Parallel()
			o := openOffice(t)
			for _, status := range []int{500, 400, -1, 403, 404, 503, 409, 422, 429} {
				if c.word(status) == "" {
					continue
				}
				body := c.body(o)
				at := c.at(o, body)
				o.fault(at, sandbox.Fault{Status: status, Header: map[string]string{"Retry-After": "60"}})
				out := o.call(c.node, body)
				o.calm(at)
				require.Equal(t, c.word(status), out.Outcome, "%d: %s", status, out.text)
				require.Equal(t, http.StatusOK, out.status)
				if out.Outcome != c.success {
					require.NotNil(t, out.Error, out.text)
					require.NotContains(t, []int{400, 403, 404, 409, 422}, boolStatus(out.Error.Retryable, status), out.text)
				}
			}
		})
	}
}

func boolStatus(retryable bool, status int) int {
	if retryable {
		return status
	}
	return 0
}

// word is the outcome when Webex answers with a status; negative: it does not.
func (c *nodeCase) word(status int) string {
	if word, ok := c.refused[status]; ok {
		return word
	}
	if status == http.StatusForbidden {
		return "onauthorizationfail"
	}
	if status == 422 {
		if word := c.refused[409]; word != "" {
			return word
		}
		if word := c.refused[400]; word != "" {
			return word
		}
	}
	return "onError"
}

// TestNodesInTime: a Webex that hangs costs the flow no more than the node's time.
// Like the other tests of how long things take it has this process for itself.
func TestNodesInTime(t *testing.T) {
	coretest.SoonBy(t, 8*time.Second+250*time.Millisecond, "the slowest node", func() time.Duration { return slowestNode(t) })
}

// slowestNode is how long the slowest of all nodes takes while Webex hangs.
func slowestNode(t *testing.T) time.Duration {
	t.Helper()
	o := openOffice(t)
	bodies := map[string]map[string]any{}
	for _, c := range nodeCases() {
		bodies[c.node] = c.body(o)
	}
	var calls sync.WaitGroup
	took := make(chan time.Duration, len(nodeCases()))
	for _, c := range nodeCases() {
		body := bodies[c.node]
		o.fault(c.at(o, body), sandbox.Fault{Status: http.StatusOK, Delay: 15 * time.Second})
		calls.Go(func() {
			out := o.call(c.node, body)
			if out.Outcome != "onTimeout" {
				t.Errorf("%s: %s", c.node, out.text)
			}
			took <- out.took
		})
	}
	calls.Wait()
	close(took)
	var slowest time.Duration
	for one := range took {
		slowest = max(slowest, one)
	}
	return slowest
}

func TestATokenThatWebexRefusesOnce(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.signIn()
	o.vendors.Fault(webexIntegration, sandbox.Fault{Status: http.StatusUnauthorized, Path: "/v2/tasks"})
	o.made() // it is renewed, and nobody notices
	require.Equal(t, 2, o.asked("/v2/tasks"))
	require.Len(t, o.open(), 1)
}

func TestNodesAndTheAuthorization(t *testing.T) {
	o := openOffice(t)
	o.signIn()
	bodies := map[string]map[string]any{}
	for _, c := range nodeCases() {
		bodies[c.node] = c.body(o)
	}
	o.vendors.Auth(webexIntegration).RevokeAll()
	for i, c := range nodeCases() {
		refused := func() time.Duration {
			out := o.call(c.node, bodies[c.node])
			require.Equal(t, "onauthorizationfail", out.Outcome, "%s: %s", c.node, out.text)
			require.Equal(t, "AUTHORIZATION_REQUIRED", out.Error.Code)
			require.Equal(t, http.StatusOK, out.status)
			return out.took
		}
		if i == 0 {
			refused() // finds out
		}
		before := len(o.vendors.Ledger(webexIntegration))
		coretest.SoonBy(t, 20*time.Millisecond, c.node, refused)
		require.Len(t, o.vendors.Ledger(webexIntegration), before, c.node)
	}
}

func TestNodesWhileWebexIsDown(t *testing.T) {
	o := openOffice(t)
	bodies := map[string]map[string]any{}
	for _, c := range nodeCases() {
		bodies[c.node] = c.body(o)
	}
	o.fault("/v1/ewt", sandbox.Fault{Status: http.StatusInternalServerError})
	require.Eventually(t, func() bool {
		out := o.call("piq-ewt/fetch", map[string]any{"queueId": officeField, "lookbackMinutes": 30})
		return out.Error.Code == "CIRCUIT_OPEN"
	}, 20*time.Second, time.Millisecond)
	for _, c := range nodeCases() {
		before := len(o.vendors.Ledger(webexIntegration))
		coretest.SoonBy(t, 20*time.Millisecond, c.node, func() time.Duration {
			out := o.call(c.node, bodies[c.node])
			require.Equal(t, "onError", out.Outcome, "%s: %s", c.node, out.text)
			require.Equal(t, "CIRCUIT_OPEN", out.Error.Code, out.text)
			require.True(t, out.Error.Retryable)
			return out.took
		})
		require.Len(t, o.vendors.Ledger(webexIntegration), before, "nothing is asked of it")
	}
}
