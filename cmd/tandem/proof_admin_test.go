package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shownTrigger is a trigger in the admin API.
type shownTrigger struct{ ID, State, Reason, Owner, Host string }

// TestOwnerLosesRights takes the owner of a trigger the role away: nothing is
// delivered any more, and the admin sees why.
func TestOwnerLosesRights(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, url string) {
		r := newRig(t, url)
		key, adminKey := r.key(t, "powerautomate", owner), r.key(t, "admin", admin)
		other := r.key(t, "powerautomate", admin)
		h := r.start(t)
		subscribe(t, h, key, r.got.sink.Callback(1), work)
		r.got.await(t, addTask(t, h, other, work), "Queued")

		r.write(t, "directory/proof.yaml", strings.Replace(proofDirectory, "    owners: [owner@proof.example]\n", "", 1))
		var shown []shownTrigger
		require.Eventually(t, func() bool {
			shown = get[[]shownTrigger](t, adminKey, h.Admin+"/admin/v1/triggers")
			return shown[0].State == "suspended"
		}, 20*time.Second, 50*time.Millisecond)
		require.Len(t, shown, 1)
		require.Equal(t, owner, shown[0].Owner)
		require.NotEmpty(t, shown[0].Reason)
		before := r.got.sink.Count()
		id := addTask(t, h, other, work)
		a := call(t, key, http.MethodPost, h.URL+addPath, `{"serviceUpn":"`+work+`"}`)
		require.Equal(t, http.StatusForbidden, a.status, a.body)
		require.NoError(t, h.Stop(15*time.Second))
		require.Empty(t, r.got.events(id))
		require.Equal(t, before, r.got.sink.Count())
	})
}

// shownLetter is a dead letter in the admin API.
type shownLetter struct {
	ID, TriggerID, TaskID, Event, Reason string
	Status                               int
}

// TestDeadLetters lets a flow refuse what it gets, and sends it again.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, url string) {
		var status atomic.Int64
		status.Store(http.StatusUnprocessableEntity)
		in := &inbox{seen: map[string]map[string]bool{}, news: make(chan struct{})}
		flow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			code := int(status.Load())
			if body, err := io.ReadAll(req.Body); err == nil && code == http.StatusAccepted {
				in.take(body)
			}
			w.WriteHeader(code)
		}))
		t.Cleanup(flow.Close)
		r := newRig(t, url)
		r.Env = append(r.Env, "TANDEM_ALLOW_HOSTS="+host(flow))
		key, adminKey := r.key(t, "powerautomate", admin), r.key(t, "admin", admin)
		h := r.start(t)
		subscribe(t, h, key, flow.URL+"/workflows/00000000000000000000000000000001/triggers/manual/run?sig=s", work)
		id := addTask(t, h, key, work)

		var letters []shownLetter
		list := func() []shownLetter {
			return get[[]shownLetter](t, adminKey, h.Admin+"/admin/v1/dead-letters")
		}
		require.Eventually(t, func() bool { letters = list(); return len(letters) == 3 }, 20*time.Second, 50*time.Millisecond)
		ids := map[string]string{} // by event
		for _, l := range letters {
			require.Equal(t, id, l.TaskID)
			require.Equal(t, http.StatusUnprocessableEntity, l.Status)
			ids[l.Event] = l.ID
		}
		require.Equal(t, http.StatusForbidden, call(t, key, http.MethodGet, h.Admin+"/admin/v1/dead-letters", "").status)

		status.Store(http.StatusAccepted)
		a := call(t, adminKey, http.MethodPost, h.Admin+"/admin/v1/dead-letters/"+ids["Created"]+"/replay", "")
		require.Equal(t, http.StatusAccepted, a.status, a.body)
		in.await(t, id, "Created")
		a = call(t, adminKey, http.MethodDelete, h.Admin+"/admin/v1/dead-letters/"+ids["System Accepted"], "")
		require.Equal(t, http.StatusNoContent, a.status, a.body)
		a = call(t, adminKey, http.MethodPost, h.Admin+"/admin/v1/dead-letters/replay", "")
		require.JSONEq(t, `{"replayed":1,"refused":0}`, a.body)
		in.await(t, id, "Queued")
		require.Empty(t, list())
		require.Equal(t, map[string]bool{"Created": true, "Queued": true}, in.events(id))
	})
}

// TestSecretsStayInside looks for secrets where somebody could read them.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	const canary = "canary-kHq7Zp2nVx"
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(refusing.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close() // connections are refused
	r := newRig(t, "", "TANDEM_LOG_LEVEL=debug")
	r.Env = append(r.Env, "TANDEM_ALLOW_HOSTS="+strings.Join([]string{r.got.sink.Addr(), host(refusing), host(gone)}, ","))
	key, adminKey := r.key(t, "powerautomate", admin), r.key(t, "admin", admin)
	h := r.start(t)
	for i, at := range []string{r.got.sink.Addr(), host(refusing), host(gone)} {
		subscribe(t, h, key, "http://"+at+"/workflows/0000000000000000000000000000000"+string(rune('1'+i))+
			"/triggers/manual/run?sp=%2Ftriggers&sig="+canary, work)
	}
	id := addTask(t, h, key, work)
	r.got.await(t, id, "Queued")
	// The ways in which a caller's secret could get into an error.
	for _, url := range []string{"/nowhere?key=", addPath + "/" + id + "?sig=", "/v1/ExternalTasks?api_key="} {
		call(t, key+"x", http.MethodPost, h.URL+url+canary, `{"broken":"`+canary)
	}
	call(t, key, http.MethodPost, h.URL+"/v1/triggers/tasks", `{"config":{"url":"https://elsewhere.example/?sig=`+canary+`","services":["`+work+`"]}}`)
	out, err := r.Run(t.Context(), "keys", "webhook", "--tenant", tenant)
	require.NoError(t, err)

	db := r.open(t)
	require.Eventually(t, func() bool {
		return count(t, db, "SELECT count(DISTINCT trigger_id) FROM deliveries WHERE attempts > 0") == 2
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, db.Close())
	seen := map[string]string{
		"metrics":      call(t, "", http.MethodGet, h.Admin+"/metrics", "").body,
		"triggers":     call(t, adminKey, http.MethodGet, h.Admin+"/admin/v1/triggers", "").body,
		"dead letters": call(t, adminKey, http.MethodGet, h.Admin+"/admin/v1/dead-letters", "").body,
		"task":         call(t, adminKey, http.MethodGet, h.Admin+"/admin/v1/tasks/"+id, "").body,
	}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(r.file() + suffix)
		require.NoError(t, err)
		seen["database"+suffix] = string(data)
	}
	require.NoError(t, h.Stop(15*time.Second))
	seen["log"] = h.Log()
	master, err := os.ReadFile(filepath.Join(r.data(), "master.key"))
	require.NoError(t, err)
	secrets := map[string]string{
		"callback": canary, "key": key, "admin key": adminKey,
		"master key": strings.TrimSpace(string(master)), "webhook secret": strings.TrimSpace(out),
	}
	for place, text := range seen {
		require.NotEmpty(t, text, place)
		for name, secret := range secrets {
			if strings.Contains(text, secret) { // require.NotContains would print it all
				require.Fail(t, "a secret can be read", "%s in %s", name, place)
			}
		}
	}
}

func host(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
