package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
)

const webexService = "field@proof.example" // its tasks wait at Webex

// webex lets a rig's hub have a service whose target is the sandbox's Webex, at
// the address at.
func (r *rig) webex(t *testing.T, vendors *sandbox.Vendors, at string) {
	t.Helper()
	r.integrations(t, vendors, at)
	r.write(t, "directory/proof.yaml", proofDirectory+`  - upn: `+webexService+`
    licence: Contact Center
    target: webex
    target_settings: {entryPoint: APP-1, queue: `+sandbox.WebexQueue+`}
    workflows: {ExternalTask: work}
`)
	r.write(t, "cxone/configurations.yaml", "tenant: proof\nenabled: false\nconfigurations: []\n")
}

// authorizeWebex does what an administrator does, who has a session.
func authorizeWebex(t *testing.T, v *visitor, token string) {
	t.Helper()
	res := v.ask(http.MethodPost, "/console/integrations/webex-contact-center/authorizations", url.Values{
		"grant": {"token"}, "name": {"Production"}, "v.token": {token}, "v.region": {"us1"}, "v.org_id": {sandbox.WebexOrg}, "v.domain": {"produs1"},
	})
	require.Equal(t, http.StatusSeeOther, res.StatusCode, text(t, res))
	one := strings.TrimPrefix(res.Header.Get("Location"), v.base)
	for _, step := range []string{"/authorize", "/default"} {
		res = v.ask(http.MethodPost, one+step, url.Values{"node": {""}})
		require.Less(t, res.StatusCode, 400, text(t, res))
	}
	require.Contains(t, text(t, v.ask(http.MethodGet, one, nil)), "Authorized")
	require.Eventually(t, func() bool { // the hub may be at it by itself
		v.ask(http.MethodPost, "/console/webex/check", url.Values{})
		return strings.Contains(text(t, v.ask(http.MethodGet, "/console/webex", nil)), "the subscription is as it should be")
	}, 20*time.Second, 20*time.Millisecond)
}

// useWebex lets a hub and Webex agree on secrets, and nodes of a flow be answered
// at addresses that hold one, one of which takes nothing.
func useWebex(t *testing.T, r *rig, h *sandbox.Hub, v *visitor, s *spy, key string, secrets map[string]string) {
	t.Helper()
	authorizeWebex(t, v, "sandbox")
	v.ask(http.MethodPost, "/console/webex/rotate", url.Values{})
	secrets["webex key"], secrets["token of a webhook"] = r.key(t, "webex", admin), "canary-webhook-token-71d0"
	id := addTask(t, h, key, webexService)
	before := r.got.sink.Count()
	for _, address := range []string{r.got.sink.Callback(7) + "&token=", "http://" + s.Listener.Addr().String() + "/nobody?token="} {
		body, err := json.Marshal(map[string]any{
			"taskId": id, "variables": []any{map[string]any{"name": "vip", "value": "yes"}}, "webhookUrl": address + secrets["token of a webhook"],
		})
		require.NoError(t, err)
		got := call(t, secrets["webex key"], http.MethodPost, h.URL+"/webex/v1/nodes/set-variable/flow", string(body))
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Contains(t, got.body, `"outcome":null`)
	}
	require.Eventually(t, func() bool { return r.got.sink.Count() > before }, 20*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool {
		return strings.Contains(text(t, v.ask(http.MethodGet, "/console/executions", nil)), "undelivered")
	}, 20*time.Second, 20*time.Millisecond)
	page := text(t, v.ask(http.MethodGet, "/console/executions", nil))
	for _, one := range regexp.MustCompile(`/console/executions/[0-9a-f-]{36}`).FindAllString(page, -1) {
		require.Equal(t, http.StatusOK, v.ask(http.MethodGet, one, nil).StatusCode)
	}
	for _, path := range []string{"/console/webex", "/console/tasks", "/console/tasks/" + id} {
		require.Equal(t, http.StatusOK, v.ask(http.MethodGet, path, nil).StatusCode, path)
	}
}

// visit makes the first administrator of a hub.
func (r *rig) visit(t *testing.T, h *sandbox.Hub) *visitor {
	t.Helper()
	v := &visitor{t: t, base: h.URL, jar: map[string]string{}, shown: &strings.Builder{}}
	token, err := r.Run(t.Context(), "setup-token", "--tenant", tenant)
	require.NoError(t, err)
	settle(t, v, map[string]string{"setup token": strings.TrimSpace(token), "admin password": "correct horse battery", "other password": "wrong"})
	return v
}

// taskOnDisk reads a task beside the hub.
func (r *rig) taskOnDisk(t *testing.T, id string) (task core.Task) {
	t.Helper()
	var data []byte
	require.NoError(t, r.open(t).QueryRowContext(t.Context(), "SELECT data FROM tasks WHERE id = ?", id).Scan(&data))
	require.NoError(t, json.Unmarshal(data, &task))
	return task
}

// TestAKillWhileWebexMakesATask: the hub dies between its call and the answer.
// There is one task at Webex in the end, and it is the hub's task's.
func TestAKillWhileWebexMakesATask(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"and an event got through": false, "and all events were lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vendors, err := sandbox.NewVendors(core.SystemClock{})
			require.NoError(t, err)
			t.Cleanup(vendors.Close)
			wx := vendors.Webex()
			r := newRig(t, "")
			r.webex(t, vendors, vendors.Addr())
			key := r.key(t, "powerautomate", admin)
			h := r.start(t)
			authorizeWebex(t, r.visit(t, h), "sandbox")

			wx.Switch(sandbox.WebexSwitches{EventsOff: lost})
			vendors.Fault("webex-contact-center", sandbox.Fault{Delay: 20 * time.Second, Path: "/v2/tasks"})
			id := addTask(t, h, key, webexService)
			require.Eventually(t, func() bool { return len(wx.Tasks()) == 1 }, 20*time.Second, time.Millisecond)
			if !lost {
				wx.Deliveries()
			}
			h.Kill()
			require.Equal(t, core.StateQueued, r.taskOnDisk(t, id).State)

			wx.Switch(sandbox.WebexSwitches{})
			h = r.start(t, "--listen", strings.TrimPrefix(h.URL, "http://"))
			var task core.Task
			require.Eventually(t, func() bool {
				task = r.taskOnDisk(t, id)
				return task.Remote.State == core.RemoteOpen && task.Remote.Error == ""
			}, 30*time.Second, 20*time.Millisecond)
			require.Equal(t, core.StateQueued, task.State)
			open := 0
			for _, there := range wx.Tasks() {
				if there.State != "failed" {
					open++
					require.Equal(t, task.Remote.ID, there.ID)
					require.Equal(t, id, there.Variables["hubTaskId"])
				}
			}
			require.Equal(t, 1, open)
			require.NoError(t, wx.End(task.Remote.ID, "Agent"))
			require.Eventually(t, func() bool { return r.taskOnDisk(t, id).State == core.StateTerminated }, 20*time.Second, 20*time.Millisecond)
			require.NoError(t, h.Stop(15*time.Second))
		})
	}
}
