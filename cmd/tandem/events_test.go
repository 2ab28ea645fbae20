package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

// TestEventsInAnyOrder: whatever the net does to events, the task stands in the
// end where Webex has it.
func TestEventsInAnyOrder(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	wx := o.vendors.Webex()
	for name, s := range map[string]sandbox.WebexSwitches{
		"as they come":              {},
		"twice":                     {Duplicated: true},
		"shuffled":                  {Shuffled: true},
		"late":                      {Held: true},
		"late, shuffled, and twice": {Held: true, Shuffled: true, Duplicated: true},
	} {
		id := o.queued()
		there := o.there(id).ID
		stands := func(state core.State, agent string) {
			t.Helper()
			wx.Switch(sandbox.WebexSwitches{Shuffled: s.Shuffled, Duplicated: s.Duplicated}) // what was held goes out
			wx.Deliveries()
			task := o.becomes(id, func(t *core.Task) bool { return t.State == state })
			if agent != "" {
				require.Equal(t, agent, task.LastConnectedUser.UPN, name)
			}
			wx.Switch(s)
		}
		wx.Switch(s)
		require.NoError(t, wx.Offer(there, officeAgent))
		require.NoError(t, wx.Answer(there, officeAgent))
		require.NoError(t, wx.Park(there))
		stands(core.StateQueued, "")
		require.NoError(t, wx.RONA(there)) // an end that is none
		stands(core.StateQueued, "")
		require.NoError(t, wx.Offer(there, "agent2@contoso.example"))
		stands(core.StateOffered, "")
		require.NoError(t, wx.RONA(there))
		require.NoError(t, wx.Answer(there, "agent2@contoso.example"))
		stands(core.StateConnected, "agent2@contoso.example")
		require.NoError(t, wx.Park(there))
		require.NoError(t, wx.Answer(there, officeAgent))
		require.NoError(t, wx.End(there, "Customer"))
		wx.Switch(sandbox.WebexSwitches{Shuffled: s.Shuffled, Duplicated: s.Duplicated})
		task := o.becomes(id, func(t *core.Task) bool { return t.State == core.StateTerminated })
		require.Equal(t, core.RemoteEnded, task.Remote.State, name)
		wx.Switch(sandbox.WebexSwitches{})
	}
	for _, d := range wx.Deliveries() {
		require.Equal(t, http.StatusOK, d.Status, "%+v", d)
	}
	require.Zero(t, o.asked("/end"), "what ended there is not ended again")
}

// TestLostEventsAreMadeUpFor compares the hub's open tasks with Webex.
func TestLostEventsAreMadeUpFor(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	wx := o.vendors.Webex()
	id := o.queued()
	wx.Switch(sandbox.WebexSwitches{EventsOff: true})
	require.NoError(t, wx.Answer(o.there(id).ID, officeAgent))
	require.NoError(t, wx.End(o.there(id).ID, "Customer"))
	wx.Deliveries()
	require.Equal(t, core.StateQueued, o.task(id).State)
	require.NoError(t, o.webex.CompareOne(t.Context(), demoTenant))
	task := o.task(id)
	require.Equal(t, core.StateTerminated, task.State)
	require.Equal(t, core.RemoteEnded, task.Remote.State)
	state, _ := o.webex.State(t.Context(), demoTenant)
	require.Contains(t, state.Comparison, "1 of them ended")
	require.NoError(t, o.webex.CompareOne(t.Context(), demoTenant))
	state, _ = o.webex.State(t.Context(), demoTenant)
	require.Equal(t, "no open tasks", state.Comparison)
}

// letter is an event on its way to the hub.
type letter struct {
	subscription, secret, org, id, task string
	at                                  time.Time
}

// secret is what Webex signs with.
func (o *office) secret() (id, secret string) {
	o.t.Helper()
	s, err := o.db.SubscriptionOf(o.t.Context(), demoTenant)
	require.NoError(o.t, err)
	plain, err := o.sealer.Open("webex/subscription/"+s.ID, s.Secret)
	require.NoError(o.t, err)
	return s.ID, string(plain)
}

// send sends an event that a task has ended.
func (o *office) send(l letter) int {
	o.t.Helper()
	stamp := l.at.UnixMilli()
	body, err := json.Marshal(map[string]any{
		"id": l.id, "specversion": "1.0", "type": "task:ended", "source": "/com/cisco/wxcc/1", "comciscoorgid": l.org, "comciscotimestamp": stamp,
		"datacontenttype": "application/json", "data": map[string]any{"taskId": l.task, "createdTime": stamp, "terminatingParty": "Customer"},
	})
	require.NoError(o.t, err)
	mac := hmac.New(sha256.New, []byte(l.secret))
	mac.Write(body)
	return o.post("/webex/v1/events/"+l.subscription, string(body), http.Header{
		"X-Webexcc-Signature": {hex.EncodeToString(mac.Sum(nil))}, "X-Webexcc-Timestamp": {strconv.FormatInt(stamp, 10)},
		"X-Webexcc-Webhook-Version": {"task:1.0.0"},
	}).status
}

func TestStrangersEventsHaveNoEffect(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	subscription, secret := o.secret()
	id := o.queued()
	good := letter{subscription, secret, sandbox.WebexOrg, "event-1", o.there(id).ID, time.Now()}
	for name, c := range map[string]struct {
		change func(l *letter)
		status int
		reason string
	}{
		"wrong secret":         {func(l *letter) { l.secret = "guessed" }, http.StatusUnauthorized, "wrong signature"},
		"old":                  {func(l *letter) { l.at = l.at.Add(-time.Hour) }, http.StatusUnauthorized, "stale"},
		"unknown organization": {func(l *letter) { l.org = "11111111-1111-4111-8111-111111111111" }, http.StatusNotFound, "unknown organization"},
		"unknown subscription": {func(l *letter) { l.subscription = "00000000000000000000000000000000" }, http.StatusNotFound, "unknown subscription"},
	} {
		l := good
		c.change(&l)
		require.Equal(t, c.status, o.send(l), name)
		require.Contains(t, o.diary.String(), `"reason":"`+c.reason, name)
		require.Equal(t, core.StateQueued, o.task(id).State, name)
	}
	require.Equal(t, http.StatusOK, o.send(good))
	require.Equal(t, core.StateTerminated, o.task(id).State)
	require.NotContains(t, o.diary.String(), "came before")
	events, err := o.engine.History(t.Context(), o.task(id).ID)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, o.send(good), "a replay")
	require.Contains(t, o.diary.String(), `"reason":"came before"`)
	after, err := o.engine.History(t.Context(), o.task(id).ID)
	require.NoError(t, err)
	require.Len(t, after, len(events))
	require.NotContains(t, o.diary.String(), secret)
}

// TestEventsOfFlowsAreForTheirServices: a key speaks only of tasks of services that
// are its user's, as it does at the nodes.
func TestEventsOfFlowsAreForTheirServices(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	id := o.queued()
	there := o.there(id).ID
	owner, err := demoKey(t.Context(), o.db, demoTenant, core.PlatformWebex, "owner@contoso.example") // of support alone
	require.NoError(t, err)
	tell := func(key, event, task string) int {
		body := `{"type":"` + event + `","data":{"id":"` + task + `","owner":"` + officeAgent + `","variables":[{"name":"planted","value":"x"}]}}`
		return o.post("/webex/v1/events/connect", body, http.Header{"X-Api-Key": {key}}).status
	}
	chosen, unknown := newTaskID(), newTaskID()
	support := createBody(chosen)
	support["Destination"], support["Media Type"], support["Media Channel"] = officeSupport, "Chat", "Livechat"
	for _, event := range []string{"Task Routed", "Task Modified", "Task Closed"} {
		require.Equal(t, http.StatusForbidden, tell(owner, event, there), event)
		require.Equal(t, http.StatusForbidden, tell(owner, event, id), event)
		require.Equal(t, http.StatusNotFound, tell(owner, event, chosen), "nothing is laid in wait")
		require.Equal(t, http.StatusNotFound, tell(owner, event, unknown), "nor for whoever comes")
	}
	task := o.task(id)
	require.Equal(t, core.StateQueued, task.State)
	_, planted := task.Parameter("planted")
	require.False(t, planted)
	require.Contains(t, o.diary.String(), `"reason":"a task that the caller may not change"`)

	require.Equal(t, "created", o.callAs(owner, "create-task/create", support).Outcome)
	require.Equal(t, http.StatusOK, tell(owner, "Task Routed", chosen), "its own")
	require.Equal(t, core.StateConnected, o.task(chosen).State)
	require.Equal(t, http.StatusOK, tell(o.key, "Task Closed", there))
	require.Equal(t, core.StateTerminated, o.task(id).State)
	require.Equal(t, http.StatusOK, tell(o.key, "Task Closed", unknown), "an administrator's may come first")
}

// TestVariablesDoNotKeepATask: what a task has no room for does not keep an end
// from it.
func TestVariablesDoNotKeepATask(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	id := o.queued()
	there := o.there(id).ID
	var variables []any
	for i := range 100 {
		variables = append(variables, map[string]any{"name": "v" + strconv.Itoa(i), "value": strings.Repeat("x", 4000)})
	}
	tell := func(event string) int {
		body, err := json.Marshal(map[string]any{"type": event, "data": map[string]any{"id": there, "variables": variables}})
		require.NoError(t, err)
		return o.post("/webex/v1/events/connect", string(body), http.Header{"X-Api-Key": {o.key}}).status
	}
	require.Equal(t, http.StatusBadRequest, tell("Task Modified"), "the flow is told")
	require.Equal(t, http.StatusOK, tell("Task Closed"))
	require.Equal(t, core.StateTerminated, o.task(id).State)
}

// subscriptionThere is the only subscription at Webex.
func (o *office) subscriptionThere() (s struct{ ID, Status, DestinationURL string }) {
	o.t.Helper()
	var list struct {
		Data []struct{ ID, Status, DestinationURL string }
	}
	o.ask(http.MethodGet, "/v2/subscriptions", nil, &list)
	require.Len(o.t, list.Data, 1)
	return list.Data[0]
}

// ask calls Webex as an administrator does.
func (o *office) ask(method, path string, body, into any) {
	o.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(o.t, err)
	req, err := http.NewRequestWithContext(o.t.Context(), method, "http://"+o.vendors.Addr()+"/"+webexIntegration+path, bytes.NewReader(text))
	require.NoError(o.t, err)
	req.Header.Set("Authorization", "Bearer sandbox")
	res, err := o.client.Do(req)
	require.NoError(o.t, err)
	defer res.Body.Close()
	require.Less(o.t, res.StatusCode, 300)
	require.NoError(o.t, json.NewDecoder(res.Body).Decode(into))
}

// TestASubscriptionThatWebexGaveUp: the hub finds out and asks for events again.
func TestASubscriptionThatWebexGaveUp(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	wx := o.vendors.Webex()
	id := o.queued()
	there := o.there(id).ID
	was := o.subscriptionThere()
	var changed any
	o.ask(http.MethodPatch, "/v2/subscriptions/"+was.ID, map[string]any{
		"destinationUrl": o.base + "/webex/v1/events/elsewhere", "resourceVersion": "task:1.0.0",
	}, &changed)
	for range 5 {
		require.NoError(t, wx.Answer(there, officeAgent))
		require.NoError(t, wx.Park(there))
	}
	wx.Deliveries()
	require.Equal(t, "inactive", o.subscriptionThere().Status)
	o.check()
	require.Equal(t, was, o.subscriptionThere())
	require.NoError(t, wx.Answer(there, officeAgent))
	o.becomes(id, func(t *core.Task) bool { return t.State == core.StateConnected })

	// Somebody has deleted it.
	o.ask(http.MethodPatch, "/v2/subscriptions/"+was.ID, map[string]any{"name": "Somebody's own", "resourceVersion": "task:1.0.0"}, &changed)
	o.check()
	require.Equal(t, was.ID, o.subscriptionThere().ID, "ours by its id")
}

func TestASecretIsReplacedWhileEventsFlow(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	wx := o.vendors.Webex()
	first, second := o.queued(), o.queued()
	subscription, old := o.secret()
	require.NoError(t, o.webex.Rotate(t.Context(), demoTenant))
	_, fresh := o.secret()
	require.NotEqual(t, old, fresh)
	require.True(t, o.listening(demoTenant))
	for i, secret := range []string{old, fresh} { // what was on its way is believed
		id := []string{first, second}[i]
		l := letter{subscription, secret, sandbox.WebexOrg, "e-" + id, o.there(id).ID, time.Now()}
		o.soon(func() bool { return o.send(l) == http.StatusOK }) // a secret is new to the door for a second at most
		require.Equal(t, core.StateTerminated, o.task(id).State)
	}
	third := o.queued()
	require.NoError(t, wx.Answer(o.there(third).ID, officeAgent))
	o.becomes(third, func(t *core.Task) bool { return t.State == core.StateConnected })
	for _, d := range wx.Deliveries() {
		require.Equal(t, http.StatusOK, d.Status, "%+v", d)
	}
}
