package sandbox

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// result runs an operation that must succeed and returns its output.
func (r *rig) result(id, name, input string) map[string]any {
	r.t.Helper()
	result, err := r.run(id, name, input)
	require.NoError(r.t, err, "%s/%s", id, name)
	output, _ := result.Output.(map[string]any)
	return output
}

func TestWebexOperations(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	w := r.Webex()
	w.Switch(WebexSwitches{NoFlow: true, EWT: 20349.12})
	out := r.result(wxID, "create-task", `{"taskId":"6f1f3a52-3a53-4f6e-9d3c-0d9b7d8f2c11","hubTaskId":"01JD","subject":"Late",
		"customerName":"Milan","variables":[{"name":"vip","value":"true"}],"settings":{"entryPoint":"APP-FIELD-1"}}`)
	require.Equal(t, WebexOrg, out["orgId"])
	id := w.Tasks()[0].ID
	require.Equal(t, id, out["taskId"])
	require.Equal(t, "APP-FIELD-1", w.Tasks()[0].Destination)
	require.Equal(t, "true", w.Tasks()[0].Variables["vip"])
	chat := r.result(wxID, "create-task", `{"taskId":"6f1f3a52-3a53-4f6e-9d3c-0d9b7d8f2c12","hubTaskId":"01JE","mediaType":"chat",
		"origin":"milan","text":"Where is it?","settings":{"entryPoint":"APP-CHAT-1"}}`)["taskId"].(string)
	r.result(wxID, "append-message", `{"taskId":"`+chat+`","text":"Hello?"}`)
	require.Equal(t, []string{"Where is it?", "Hello?"}, w.Tasks()[1].Messages)

	of := `{"taskId":"` + id + `","queueId":"` + WebexQueue + `","agentId":"ada","mediaType":"workItem","priority":2`
	for _, name := range []string{"queue-task", "routed-accept", "routed-reject", "modified-accept", "modified-reject", "close-accept", "close-reject"} {
		r.result(wxID, name, of+"}")
	}
	task := w.Tasks()[0]
	require.Equal(t, "queued", task.State)
	require.Equal(t, "2", task.Priority)
	require.Equal(t, []string{
		"queue", "routed/accept", "routed/reject", "modified/accept", "modified/reject", "close/accept", "close/reject",
	}, task.Notices)
	require.NoError(t, w.Answer(id, "ada"))
	_, err := r.run(wxID, "queue-task", of+"}")
	require.Equal(t, core.Conflict, core.KindOf(err), "an agent has it")
	r.result(wxID, "screen-pop", of+`,"screenPopUrl":"https://crm.example/1","queryParameters":{"a":"b"},"target":"newBrowserTab"}`)
	require.Equal(t, []WebexPop{{"ada", "https://crm.example/1", "newBrowserTab", map[string]any{"a": "b"}}}, w.Pops("ada"))
	require.Empty(t, w.Pops("ben"))
	require.Len(t, w.Pops(""), 1)

	r.result(wxID, "set-variables", `{"taskId":"`+id+`","variables":[{"name":"CaseId","value":"7"}]}`)
	require.Equal(t, "7", w.Tasks()[0].Variables["CaseId"])
	require.InDelta(t, 20349, r.result(wxID, "fetch-piq-ewt", of+"}")["estimatedWaitTime"], 0)
	w.Switch(WebexSwitches{})
	require.InDelta(t, -1, r.result(wxID, "fetch-piq-ewt", of+"}")["estimatedWaitTime"], 0)
	listed := r.result(wxID, "list-tasks", `{"from":1}`)["tasks"].([]any)
	require.Equal(t, "ada", dig(listed[0], "owner"))
	require.Equal(t, "assigned", dig(listed[0], "status"))
	require.Len(t, listed, 2)
	require.Len(t, r.result(wxID, "list-queues", `{"orgId":"`+WebexOrg+`"}`)["queues"], len(wxQueues))
	require.Len(t, r.result(wxID, "list-variables", `{"orgId":"`+WebexOrg+`"}`)["variables"], len(wxVariables))

	r.result(wxID, "close-task", of+"}")
	r.result(wxID, "close-task", of+"}")
	require.Equal(t, "completed", w.Tasks()[0].State)
	_, err = r.run(wxID, "routed-accept", of+"}")
	require.Equal(t, core.NotFound, core.KindOf(err))
}

func TestWebexSubscriptionOperations(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	out := r.result(wxID, "create-subscription", `{"name":"Tandem","destinationUrl":"http://127.0.0.1:1/e","eventTypes":["task:new"],
		"secret":"`+wxSecret+`","resourceVersion":"task:1.0.0"}`)
	id := out["id"].(string)
	require.Equal(t, WebexOrg, out["orgId"])
	for range wxFailures {
		r.result(wxID, "create-task", `{"taskId":"x","hubTaskId":"y","settings":{"entryPoint":"A"}}`)
		for _, task := range r.Webex().Tasks() {
			_ = r.Webex().End(task.ID, "Customer") // those that are open
		}
	}
	r.Webex().Deliveries()
	listed := r.result(wxID, "list-subscriptions", `{}`)
	require.Equal(t, WebexOrg, listed["orgId"])
	require.Equal(t, "inactive", dig(listed["subscriptions"].([]any)[0], "status"))
	out = r.result(wxID, "update-subscription", `{"id":"`+id+`","resourceVersion":"task:1.0.0","status":"active"}`)
	require.Equal(t, "active", out["status"])
}

func TestEngage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	resolve := func(media, details string) map[string]any {
		t.Helper()
		return r.result("webex-engage", "resolve-conversation", `{"transId":"t1","mediaType":"`+media+`","mediaChannel":"web",
			"encoded":{"details":`+strconv.Quote(`{"messageDetails":`+details+`}`)+`}}`)
	}
	const chat = `{"appId":"APP-1","userId":"u1","threadId":"th1","message":"Hello"}`
	first := resolve("chat", chat)
	require.Equal(t, "created", first["conversationOperation"])
	require.Equal(t, "t1", first["transId"])
	again := resolve("chat", chat)
	require.Equal(t, "appended", again["conversationOperation"])
	require.Equal(t, first["taskId"], again["taskId"])
	require.Equal(t, "created", resolve("chat", `{"appId":"APP-1","userId":"u2","threadId":"th2","message":"Hello"}`)["conversationOperation"])
	require.Equal(t, []string{"Hello", "Hello"}, r.Webex().Tasks()[0].Messages)
	require.NoError(t, r.Webex().End(first["taskId"].(string), "Customer"))
	require.Equal(t, "created", resolve("chat", chat)["conversationOperation"], "chats are not opened again")

	const mail = `{"businessEmailId":"a@contoso.example","customerEmailId":"m@x.example","message":"Hello","subject":`
	first = resolve("email", mail+`"Late"}`)
	require.NoError(t, r.Webex().End(first["taskId"].(string), "Agent"))
	again = resolve("email", mail+`"Re: Late"}`)
	require.Equal(t, "reopened", again["conversationOperation"])
	require.NotEqual(t, first["taskId"], again["taskId"])

	k := &keyring{town: r.town}
	status, _, _ := r.api(k, "webex-engage", http.MethodPost, "/integration/cnteng/produs1/conversations/resolve", map[string]any{})
	require.Equal(t, http.StatusBadRequest, status)
}
