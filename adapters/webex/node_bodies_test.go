package webex

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// bodyOf is a complete call of a method about a task.
func bodyOf(path, id string) map[string]any {
	all := map[string]map[string]any{
		"create-task/create": {
			"conversationId": "c-1", "destination": aLocal, "mediaType": "Chat", "mediaChannel": "Livechat", "customerId": "zoe@customer.example", "customerName": "Zoë",
		},
		"set-variable/global":        {"variables": []any{map[string]any{"name": "order", "value": "4711"}}},
		"set-variable/flow":          {"variables": []any{map[string]any{"name": "order", "value": "4711"}}},
		"queue-task/queue":           {"conversationId": "c-1", "mediaType": "Chat", "queueId": aLocal, "contactPriority": 3},
		"piq-ewt/fetch":              {"queueId": aLocal, "lookbackMinutes": 30},
		"routed-notification/accept": {"agentId": anAgent, "mediaResourceId": "m-1", "mediaType": "Chat"},
		"routed-notification/reject": {"agentId": anAgent, "mediaResourceId": "m-1", "mediaType": "Chat", "reason": "busy", "reasonCode": "7"},
		"modify-notification/accept": {"agentId": another, "mediaResourceId": "m-1", "mediaType": "Chat"},
		"modify-notification/reject": {"agentId": another, "mediaResourceId": "m-1", "mediaType": "Chat", "reason": "busy", "reasonCode": "7"},
		"screen-pop/pop":             {"agentId": anAgent, "screenPopUrl": "https://crm.example/case", "queryParameters": map[string]any{"id": "7"}},
		"close-task/close":           {"conversationId": "c-1", "mediaType": "Chat"},
		"close-task/accept":          {"mediaResourceId": "m-1", "mediaType": "Chat"},
		"close-task/reject":          {"agentId": anAgent, "mediaResourceId": "m-1", "mediaType": "Chat", "reason": "busy", "reasonCode": "7"},
		"resolve-conversation/resolve": {
			"transId": id, "mediaType": "Chat", "mediaChannel": "Livechat",
			"details": map[string]any{"messageDetails": changed(messageOf("web"), map[string]any{"appId": "APP-CHAT-1", "userId": "u-1", "threadId": id, "message": "Hello there"})},
		},
	}
	body := changed(all[path], nil)
	if path != "resolve-conversation/resolve" {
		body["taskId"] = id
	}
	return body
}

// there is bodyOf for the service whose target is Webex.
func bodyThere(path, id string) map[string]any {
	body := bodyOf(path, id)
	switch path {
	case "create-task/create":
		body["destination"], body["mediaType"], body["mediaChannel"] = aRemote, "Work Item", "Work Item"
	case "queue-task/queue", "piq-ewt/fetch":
		body["queueId"] = aRemote
	case "resolve-conversation/resolve":
		body["mediaType"], body["mediaChannel"] = "Social", "SMS"
		body["details"] = map[string]any{"messageDetails": changed(messageOf("sms"), map[string]any{"serviceNumber": "+12025550150"})}
	}
	return body
}

// paths are all methods.
func paths() (list []string) {
	for i := range methods {
		list = append(list, id0(&methods[i]))
	}
	return list
}

// local makes a task of a service of the hub, which its workflow queues.
func (r *nodeRig) local(t require.TestingT) string {
	id := r.uuid()
	require.Equal(t, "created", r.ok(t, "create-task/create", bodyOf("create-task/create", id)).Outcome)
	return id
}

// driven makes a task that no workflow moves.
func (r *nodeRig) driven(t require.TestingT) string {
	id := r.uuid()
	body := changed(bodyOf("create-task/create", id), map[string]any{
		"destination": "sales@contoso.example", "mediaType": "Telephony", "mediaChannel": "Telephony", "origin": "+12025550177",
	})
	require.Equal(t, "created", r.ok(t, "create-task/create", body).Outcome)
	return id
}

// remote makes a task at Webex.
func (r *nodeRig) remote(t require.TestingT) string {
	id := r.uuid()
	r.answers0()
	require.Equal(t, "created", r.ok(t, "create-task/create", bodyThere("create-task/create", id)).Outcome)
	r.did()
	return id
}

// answers0 lets Webex do everything.
func (r *nodeRig) answers0() {
	r.mu.Lock()
	clear(r.answers)
	r.mu.Unlock()
	r.answerBy("create-task", func(_ context.Context, q operation.Request) (any, error) {
		return map[string]any{"taskId": q.Input["taskId"]}, nil
	})
	r.answer("fetch-piq-ewt", map[string]any{"positionInQueue": 2, "estimatedWaitTime": 20349, "status": "ok"}, nil)
	r.answer("resolve-conversation", map[string]any{"conversationOperation": "appended", "taskId": "w-1"}, nil)
	r.answer("*", map[string]any{}, nil)
}

// happens tells the bridge of an event of Webex.
func (r *nodeRig) happens(t require.TestingT, id, kind, agent string) {
	require.NoError(t, r.happened(id, kind, agent))
}

// happened is happens for whoever is not the test itself.
func (r *nodeRig) happened(id, kind, agent string) error {
	_, err := r.bridge.Happened(context.Background(), "contoso", bridge.Event{
		Platform: Platform, RemoteID: id, Key: []byte(kind + id + agent), Kind: kind, At: r.clock.Now(), Agent: agent, Reason: "no such queue",
	})
	return err
}

// connect gives a task to an agent.
func (r *nodeRig) connect(t require.TestingT, id string) {
	require.Equal(t, "onTaskRouted", r.ok(t, "routed-notification/accept", bodyOf("routed-notification/accept", id)).Outcome)
	require.Equal(t, core.StateConnected, r.of(t, id).State)
	r.did()
}

// postbox is where webhooks are posted.
type postbox struct {
	mu     sync.Mutex
	status func(n int) (int, error) // of the n-th post, from 1; nil: 200
	n      int
	got    chan posted
}

type posted struct {
	url, id, signature, stamp string
	body                      string
}

func (p *postbox) Do(req *http.Request) (*outbound.Response, error) {
	p.mu.Lock()
	p.n++
	n, status := p.n, p.status
	p.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	code := http.StatusOK
	if status != nil {
		if code, err = status(n); err != nil {
			code = 0
		}
	}
	p.got <- posted{
		url: req.URL.String(), id: req.Header.Get("Webhook-Id"), signature: req.Header.Get("Webhook-Signature"),
		stamp: req.Header.Get("Webhook-Timestamp"), body: string(body),
	}
	if code == 0 {
		return nil, err
	}
	return &outbound.Response{Status: code, Header: http.Header{}}, nil
}

func (p *postbox) answers(status func(n int) (int, error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second
