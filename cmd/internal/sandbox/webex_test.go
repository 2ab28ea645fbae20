package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWebexTask(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	id := d.create("T1")
	d.Deliveries()
	require.Len(t, d.hub.heard, 2)
	h := d.hub.heard[1]
	require.Equal(t, "application/json", h.header.Get("Content-Type"))
	mac := hmac.New(sha256.New, []byte(wxSecret))
	mac.Write(h.raw)
	require.Equal(t, []string{hex.EncodeToString(mac.Sum(nil))}, h.header.Values("X-WebexCC-Signature"))
	require.Equal(t, "task:1.0.0", h.header.Get("X-WebexCC-Webhook-Version"))
	require.Equal(t, fmt.Sprintf("%.0f", h.event["comciscotimestamp"]), h.header.Get("X-WebExCC-Timestamp"))
	require.Equal(t, "/com/cisco/wxcc/"+d.sub, h.event["source"])
	require.Equal(t, WebexOrg, h.event["comciscoorgid"])
	require.Equal(t, "1.0", h.event["specversion"])
	require.Equal(t, "application/json", h.event["datacontenttype"])
	require.Equal(t, id, dig(h.event, "data", "taskId"))
	require.Equal(t, WebexQueue, dig(h.event, "data", "queueId"))
	require.NotEqual(t, d.hub.heard[0].event["id"], h.event["id"])
	require.Equal(t, []string{"task:new", "task:parked"}, d.events())

	status, _ := d.do(http.MethodPatch, "/v1/tasks/"+id, map[string]any{"attributes": map[string]any{"CaseId": "35436", "n": 3}})
	require.Equal(t, http.StatusAccepted, status)
	status, out := d.do(http.MethodPost, "/v2/tasks/"+id+"/messages", map[string]any{"mediaType": "workItem", "channelParams": map[string]any{
		"type": "work-item-form", "message": map[string]any{"aliasId": WebexOrg, "workItemData": map[string]any{"a": "b"}},
	}})
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, WebexOrg, dig(out, "data", "id"))
	require.Equal(t, []string{"task-message:appended"}, d.events())
	require.Equal(t, map[string]string{"hubTaskId": "T1", "CaseId": "35436", "n": "3"}, d.Tasks()[0].Variables)

	require.NoError(t, d.Offer(id, "ada@contoso.example"))
	status, _ = d.do(http.MethodPost, "/v1/tasks/"+id+"/accept", nil)
	require.Equal(t, http.StatusAccepted, status)
	require.Equal(t, "assigned", d.Tasks()[0].State)
	for range 2 {
		status, _ = d.do(http.MethodPost, "/v1/tasks/"+id+"/end", nil)
		require.Equal(t, http.StatusAccepted, status)
	}
	d.Deliveries()
	last := d.hub.heard[2].event
	require.Equal(t, "Agent", dig(last, "data", "terminatingParty"))
	require.Equal(t, "ada@contoso.example", dig(last, "data", "agentId"))
	require.Equal(t, []string{"task:connect", "task:connected", "task:ended"}, d.events())
	require.Error(t, d.Answer(id, "ada@contoso.example"))
	require.Equal(t, "completed", d.Tasks()[0].State)
}

func TestWebexTaskFails(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	first := d.create("T1")
	d.create("T1")
	d.Deliveries()
	failed := d.hub.heard[2].event
	require.Equal(t, "CONVERSATION_ALREADY_OPEN", dig(failed, "data", "reason"))
	require.Contains(t, dig(failed, "data", "errorMessage"), first)
	d.Switch(WebexSwitches{FailNext: "ENTRY_POINT_NOT_FOUND"})
	third := d.create("T3")
	d.create("T4")
	d.Deliveries()
	require.Equal(t, "ENTRY_POINT_NOT_FOUND", dig(d.hub.heard[3].event, "data", "reason"))
	require.Equal(t, []string{"task:new", "task:parked", "task:failed", "task:failed", "task:new", "task:parked"}, d.events())
	require.Error(t, d.Park(third))

	status, out := d.do(http.MethodPost, "/v2/tasks/"+third+"/messages", map[string]any{"channelParams": map[string]any{"message": map[string]any{}}})
	require.Equal(t, http.StatusAccepted, status)
	require.NotEmpty(t, dig(out, "data", "id"))
	require.Equal(t, []string{"task-message:append-failed"}, d.events())

	status, out = d.do(http.MethodGet, "/v1/tasks?from=0", nil)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, out["data"], 2)
	status, out = d.do(http.MethodGet, "/v1/tasks?from=0&channelTypes=telephony", nil)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, out["data"])
}

func TestWebexRefusals(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	item := func(path string, value any) map[string]any {
		body := wxItem("T1")
		names := strings.Split(path, ".")
		at := body
		for _, name := range names[:len(names)-1] {
			at = at[name].(map[string]any)
		}
		at[names[len(names)-1]] = value
		return body
	}
	many := map[string]any{}
	for i := range 31 {
		many[fmt.Sprint(i)] = "x"
	}
	sub := func(name string, value any) map[string]any {
		body := map[string]any{"name": "Tandem", "destinationUrl": "https://hub.example.com/e", "eventTypes": []string{"task:new"}, "resourceVersion": "task:1.0.0"}
		body[name] = value
		return body
	}
	id := d.create("T0")
	for i, c := range []struct {
		method, path string
		body         any
		status       int
		says         string
	}{
		{"POST", "/v2/tasks", item("channelType", "fax"), 400, "channelType"},
		{"POST", "/v2/tasks", item("origin.id", ""), 400, "origin.id"},
		{"POST", "/v2/tasks", item("destination.type", "x"), 400, "businessAddress"},
		{"POST", "/v2/tasks", item("channelParams", nil), 400, "channelParams.message"},
		{"POST", "/v2/tasks", item("channelParams.type", "text"), 400, "work-item-form"},
		{"POST", "/v2/tasks", item("channelParams.message", map[string]any{}), 400, "workItemData"},
		{"POST", "/v2/tasks", item("channelType", "customMessaging"), 400, "text"},
		{"POST", "/v2/tasks", item("globalVariables", many), 400, "30"},
		{"POST", "/v2/tasks", item("globalVariables.hubTaskId", strings.Repeat("é", 513)), 400, "1024"},
		{"POST", "/v2/tasks", item("flowSettings", many), 400, "15"},
		{"POST", "/v2/tasks", item("globalVariables.hubTaskId", 3), 400, "documented form"},
		{"PATCH", "/v1/tasks/" + id, map[string]any{"attributes": many}, 400, ""},
		{"PATCH", "/v1/tasks/" + id, map[string]any{}, 400, ""},
		{"PATCH", "/v1/tasks/none", map[string]any{"attributes": map[string]any{"a": "b"}}, 404, ""},
		{"POST", "/v1/tasks/" + id + "/reject", map[string]any{}, 400, ""},
		{"POST", "/v1/tasks/none/end", nil, 404, ""},
		{"POST", "/v1/tasks/" + id + "/dance", nil, 404, "no such resource"},
		{"POST", "/v2/tasks/" + id + "/messages", nil, 400, "channelParams"},
		{"GET", "/v1/tasks", nil, 400, "from"},
		{"GET", "/v1/tasks?from=1&pageSize=1001", nil, 400, "pageSize"},
		{"GET", "/v1/ewt?queueId=x&lookbackMinutes=4", nil, 400, "lookbackMinutes"},
		{"GET", "/organization/other/v2/cad-variable", nil, 403, "organization"},
		{"POST", "/v2/subscriptions", sub("name", "abc"), 400, "name"},
		{"POST", "/v2/subscriptions", sub("secret", strings.Repeat("x", 31)), 400, "secret"},
		{"POST", "/v2/subscriptions", sub("eventTypes", []string{}), 400, "eventTypes"},
		{"POST", "/v2/subscriptions", sub("eventTypes", []string{"task:sung"}), 400, "task:sung"},
		{"POST", "/v2/subscriptions", sub("resourceVersion", nil), 400, "resourceVersion"},
		{"POST", "/v2/subscriptions", sub("resourceVersion", "task:9"), 400, "resourceVersion"},
		{"POST", "/v1/subscriptions", sub("description", ""), 400, "resourceVersion"},
		{"POST", "/v2/subscriptions", sub("destinationUrl", "http://hub.example.com/e"), 400, "https"},
		{"POST", "/v2/subscriptions", sub("destinationUrl", "https://hub.example.com:8443/e"), 400, "https"},
		{"POST", "/v2/subscriptions", sub("destinationUrl", "https://hub.example.com/e?a=b"), 400, "https"},
		{"POST", "/v2/subscriptions", sub("destinationUrl", "https://hub.example.com"), 400, "https"},
		{"GET", "/v1/subscriptions/" + d.sub, nil, 404, "not found"},
		{"PATCH", "/v2/subscriptions/" + d.sub, map[string]any{"status": "active"}, 400, "resourceVersion"},
		{"PATCH", "/v2/subscriptions/" + d.sub, map[string]any{"status": "asleep", "resourceVersion": "task:1.0.0"}, 400, "status"},
	} {
		status, out := d.do(c.method, c.path, c.body)
		require.Equal(t, c.status, status, "%d %v", i, out)
		require.Contains(t, fmt.Sprint(out), c.says, i)
		switch key := dig(out, "error", "key"); {
		case strings.Contains(c.path, "subscriptions"):
			require.InDelta(t, c.status, key, 0)
		case c.says != "" && c.says != "no such resource":
			require.Equal(t, fmt.Sprint(c.status), key)
		}
	}
	for header, want := range map[string]int{"": 400, "Bearer other": 401} {
		status, _, out := d.town.api(d.keys, wxID, http.MethodGet, "/v2/subscriptions", nil, "Authorization", header)
		require.Equal(t, want, status)
		require.InDelta(t, want, dig(out, "error", "key"), 0)
	}
}

func TestWebexRateLimit(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	d.Switch(WebexSwitches{RatePerMinute: 3})
	d.create("T1")
	d.town.clock.Advance(20 * time.Second)
	d.create("T2")
	status, header, out := d.town.api(d.keys, wxID, http.MethodPost, "/v2/tasks", wxItem("T3"))
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "41", header.Get("Retry-After"))
	require.Equal(t, "429", dig(out, "error", "key"))
	require.Len(t, d.Tasks(), 2)
	ledger := d.town.Ledger(wxID)
	require.False(t, ledger[len(ledger)-1].Applied)
	d.town.clock.Advance(41 * time.Second)
	d.create("T3")
	d.Switch(WebexSwitches{})
	for range wxRate - 2 {
		d.create("T4")
	}
	status, _, _ = d.town.api(d.keys, wxID, http.MethodPost, "/v2/tasks", wxItem("T3"))
	require.Equal(t, http.StatusTooManyRequests, status)
}

func TestWebexEventsGoWrong(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	d.Switch(WebexSwitches{Duplicated: true})
	d.create("T1")
	d.Deliveries()
	require.Equal(t, d.hub.heard[0].raw, d.hub.heard[1].raw)
	require.Equal(t, []string{"task:new", "task:new", "task:parked", "task:parked"}, d.events())
	d.Switch(WebexSwitches{Shuffled: true})
	d.create("T2")
	require.Equal(t, []string{"task:parked", "task:new"}, d.events())
	d.Switch(WebexSwitches{EventsOff: true})
	id := d.create("T3")
	require.Empty(t, d.events())
	d.Switch(WebexSwitches{Held: true})
	require.NoError(t, d.Offer(id, "ada"))
	require.NoError(t, d.Answer(id, "ada"))
	require.NoError(t, d.End(id, "Customer"))
	require.Empty(t, d.events())
	d.Switch(WebexSwitches{Shuffled: true})
	require.Equal(t, []string{"task:ended", "task:connected", "task:connect"}, d.events())
	d.Switch(WebexSwitches{NoFlow: true})
	d.create("T4")
	require.Equal(t, []string{"task:new"}, d.events())
	require.Equal(t, "created", d.Tasks()[3].State)
}

func TestWebexRONA(t *testing.T) {
	t.Parallel()
	d := newOffice(t)
	id := d.create("T1")
	d.events()
	for i, before := range []int{0, 1} {
		if before == 1 {
			require.NoError(t, d.Offer(id, "ada"))
		}
		require.NoError(t, d.RONA(id))
		d.Deliveries()
		ended := d.hub.heard[2].event
		require.Equal(t, "System", dig(ended, "data", "terminatingParty"))
		require.Equal(t, "RONA Timer Expired", dig(ended, "data", "reason"))
		require.Equal(t, []string{"task:connect", "task:parked", "task:ended"}, d.events(), i)
		require.Equal(t, "queued", d.Tasks()[0].State)
	}
	require.NoError(t, d.Park(id))
	require.NoError(t, d.End(id, "Customer"))
	require.Equal(t, []string{"task:parked", "task:ended"}, d.events())
	require.Equal(t, "abandoned", d.Tasks()[0].State)
}
