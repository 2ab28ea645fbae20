package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core/store/pgtest"
)

// The ids of the proof's configuration and of its workflows.
const (
	proofConfiguration = "5f0c2c1e-6a55-4f6b-9d0e-7f1d4a1b0c01"
	proofFind          = "5f0c2c1e-6a55-4f6b-9d0e-7f1d4a1b0c02"
	proofCreate        = "5f0c2c1e-6a55-4f6b-9d0e-7f1d4a1b0c03"
	proofHang          = "5f0c2c1e-6a55-4f6b-9d0e-7f1d4a1b0c04"
)

const proofOperation = `title: Find
input:
  - {name: phoneNumber, type: text, required: true, redact: true}
example: {phoneNumber: "+41445551234"}
steps:
  - id: find
    request: {method: GET, path: /find, query: {phone: = input.phoneNumber}}
output:
  system: {type: crm, label: CRM, baseUrl: = base}
  records:
    - {type: contact, label: Contact, id: "1", url: /1, display: = steps.find.body.name}
`

const proofCreation = `title: Create
input:
  - {name: subject, type: text, required: true}
example: {subject: Help}
steps:
  - id: create
    request: {method: POST, path: /create, body: {subject: = input.subject}}
output:
  system: {type: crm, label: CRM, baseUrl: = base}
  records:
    - {type: case, label: Case, id: = text(steps.create.body.id), url: /case, display: = input.subject}
`

// crm is a CRM of its own, with a door that can be held shut.
type crm struct {
	*httptest.Server

	created atomic.Int64
	arrived chan struct{}                 // one for each creation that began
	gate    atomic.Pointer[chan struct{}] // creations wait until it is closed
}

// shut holds creations up; the door that it returns lets them through.
func (c *crm) shut() (open func()) {
	gate := make(chan struct{})
	c.gate.Store(&gate)
	return sync.OnceFunc(func() { close(gate) })
}

func newCRM(t *testing.T) *crm {
	t.Helper()
	c := &crm{arrived: make(chan struct{}, 1000)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /find", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"name":%q}`, "Caller "+r.FormValue("phone"))
	})
	mux.HandleFunc("GET /hang", func(_ http.ResponseWriter, r *http.Request) {
		c.arrived <- struct{}{}
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /refuse", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"message":%q}`, "no such number: "+r.FormValue("phone"))
	})
	mux.HandleFunc("POST /create", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the caller is gone
		id, gate := c.created.Add(1), *c.gate.Load()
		c.arrived <- struct{}{}
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, `{"id":%d}`, id)
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(func() { c.CloseClientConnections(); c.Close() })
	return c
}

// serving prepares a hub with workflows at the CRM.
func (c *crm) serving(t *testing.T, url string) *rig {
	t.Helper()
	r := newRig(t, url)
	r.Env = append(r.Env, "TANDEM_ALLOW_HOSTS="+r.got.sink.Addr()+","+c.Listener.Addr().String())
	r.write(t, "crm/integration.yaml", "title: CRM\nbase: "+c.URL+"\nno_authorization: true\n")
	r.write(t, "crm/find.yaml", proofOperation)
	r.write(t, "crm/create.yaml", proofCreation)
	r.write(t, "crm/hang.yaml", strings.Replace(proofOperation, "path: /find", "path: /hang", 1))
	r.write(t, "cxone/configurations.yaml", `tenant: proof
enabled: true
configurations:
  - id: `+proofConfiguration+`
    name: CRM
    integration: crm
    status: active
    workflows:
      - {id: `+proofFind+`, name: Find, action: search, operation: find, status: active}
      - {id: `+proofHang+`, name: Hang, action: search, operation: hang, status: active}
      - {id: `+proofCreate+`, name: Create, action: create, operation: create, status: active}
`)
	return r
}

func execution(workflow, contact, timeout string, input map[string]string) map[string]any {
	return map[string]any{
		"configurationId": proofConfiguration, "workflowId": workflow, "contactId": contact,
		"workflowPayload": map[string]any{"workflowInput": input, "timeoutMilliSec": timeout},
	}
}

// TestBrokenEditsUnderLoad edits a mapping file a thousand times while scripts
// call: half of the edits are broken, and no call notices.
func TestBrokenEditsUnderLoad(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	r := c.serving(t, "")
	key := r.key(t, "cxone", admin)
	h := r.start(t)
	var all sync.WaitGroup
	var calls atomic.Int64
	stop := make(chan struct{})
	failures := make(chan string, 8)
	for range 4 {
		all.Go(func() {
			studio := &sandbox.Studio{Hub: h.URL, Key: key}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				e, err := studio.Execute(t.Context(), execution(proofFind, "4711", "6000", map[string]string{"phoneNumber": fmt.Sprint(n)}))
				calls.Add(1)
				if err != nil || e.Branch != "Success" || e.Tries != 1 || !strings.Contains(e.First(), fmt.Sprintf(" Caller %d", n)) {
					failures <- fmt.Sprintf("%+v %v", e, err)
					return
				}
			}
		})
	}
	label := func(n int) string {
		return strings.Replace(proofOperation, "label: Contact", fmt.Sprintf("label: Edit%d", n), 1)
	}
	served := func(n int) bool {
		e, err := (&sandbox.Studio{Hub: h.URL, Key: key}).Execute(t.Context(), execution(proofFind, "1", "6000", map[string]string{"phoneNumber": "1"}))
		return err == nil && strings.HasPrefix(e.First(), fmt.Sprintf("Edit%d ", n))
	}
	broken := func(n int) string {
		misspelt := strings.Replace(proofOperation, "input.phoneNumber", fmt.Sprintf("input.phoneNumber%d", n), 1)
		return []string{"", "title: [", proofOperation + "oops: 1\n", misspelt, "\x00"}[n%5]
	}
	var slowest time.Duration
	for n := range 20 {
		for edit := range 48 { // as fast as a few calls come between them
			r.write(t, "crm/find.yaml", []string{label(1000 + edit), broken(edit)}[edit%2])
			for seen := calls.Load(); calls.Load() < seen+3 && len(failures) == 0; {
				runtime.Gosched()
			}
		}
		began := time.Now()
		r.write(t, "crm/find.yaml", label(n))
		require.Eventually(t, func() bool { return served(n) }, 20*time.Second, 10*time.Millisecond)
		slowest = max(slowest, time.Since(began))
		r.write(t, "crm/find.yaml", broken(n))
		if n%5 == 3 {
			require.Eventually(t, func() bool {
				return strings.Contains(h.Log(), "crm/find.yaml:7:") && strings.Contains(h.Log(), fmt.Sprintf("phoneNumber%d", n)) &&
					strings.Contains(call(t, "", http.MethodGet, h.Admin+"/metrics", "").body, "tandem_mapping_findings 1")
			}, 20*time.Second, 10*time.Millisecond)
			require.True(t, served(n), "the last good set goes on")
		}
	}
	close(stop)
	all.Wait()
	select {
	case failure := <-failures:
		require.Fail(t, "a call failed", failure)
	default:
	}
	require.Less(t, slowest, 10*time.Second, "a second, on a machine that does nothing else")
	t.Logf("%d calls; an edit is in force after %s at most", calls.Load(), slowest)
	require.Greater(t, calls.Load(), int64(100))
}

// TestResendsCreateOnce: what a script sends again after its timeout, and again
// after the hub was killed, is created once.
func TestResendsCreateOnce(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	r := c.serving(t, "")
	key := r.key(t, "cxone", admin)
	h := r.start(t)
	create := func(contact, timeout string) sandbox.Execution {
		t.Helper()
		began := time.Now()
		e, err := (&sandbox.Studio{Hub: h.URL, Key: key}).Execute(t.Context(), execution(proofCreate, contact, timeout, map[string]string{"subject": "Help"}))
		require.NoError(t, err)
		require.Equal(t, 1, e.Tries)
		if e.Branch == "Timeout" {
			require.Less(t, time.Since(began), 10*time.Second)
		}
		return e
	}
	open := c.shut()
	require.Equal(t, "Timeout", create("1", "300").Branch)
	<-c.arrived
	require.Equal(t, "Timeout", create("1", "200").Branch, "the first is still at work")
	open()
	first := create("1", "5000")
	require.Equal(t, "Success", first.Branch)
	second := create("1", "5000")
	require.JSONEq(t, string(first.ResultSet), string(second.ResultSet))
	require.EqualValues(t, 1, c.created.Load())
	require.Equal(t, "Success", create("2", "5000").Branch, "another contact is another request")
	<-c.arrived
	require.EqualValues(t, 2, c.created.Load())

	c.shut()
	require.Equal(t, "Timeout", create("3", "200").Branch)
	<-c.arrived
	h.Kill()
	h = r.start(t)
	again := create("3", "9000")
	require.Equal(t, "InternalError", again.Branch)
	require.Equal(t, "UNCERTAIN", again.ErrorArgs.Code, "nobody knows whether it was created")
	require.False(t, again.ErrorArgs.Retryable)
	require.EqualValues(t, 3, c.created.Load(), "and it is not created again")
	require.NoError(t, h.Stop(15*time.Second))
}

// TestReplicasAnswerOnce sends the same request to two replicas at once.
func TestReplicasAnswerOnce(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	r := c.serving(t, pgtest.Start(t))
	key := r.key(t, "cxone", admin)
	hubs := []*sandbox.Hub{r.start(t), r.start(t)}
	open := c.shut()
	results := make(chan string, 20)
	for n := range 20 {
		go func() {
			e, err := (&sandbox.Studio{Hub: hubs[n%2].URL, Key: key}).Execute(t.Context(), execution(proofCreate, "1", "9000", map[string]string{"subject": "Help"}))
			text, _ := json.Marshal(e.ResultSet)
			results <- fmt.Sprint(e.Branch, string(text), err)
		}()
	}
	<-c.arrived
	open()
	first := <-results
	require.True(t, strings.HasPrefix(first, "Success"), first)
	for range 19 {
		require.Equal(t, first, <-results)
	}
	require.EqualValues(t, 1, c.created.Load())

	// what one replica found the other hands out
	find := sandbox.Studio{Hub: hubs[0].URL, Key: key}
	e, err := find.Execute(t.Context(), execution(proofFind, "1", "6000", map[string]string{"phoneNumber": "7"}))
	require.NoError(t, err)
	require.NotEmpty(t, e.CacheKey)
	path := "/InContactAPI/services/v30.0/agent-integration/workflow-execution/interaction/" + e.CacheKey
	require.Eventually(t, func() bool {
		a := call(t, key, http.MethodGet, hubs[1].URL+path, "")
		return a.status == http.StatusOK && strings.Contains(a.body, "Caller 7")
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, http.StatusOK, call(t, key, http.MethodPost, hubs[1].URL+path, `{"keepAlive":true}`).status)
}

// TestRedactedInputsStayOut: what a mapping file redacts is neither in the
// database nor in the log, also when the CRM repeats it in a refusal.
func TestRedactedInputsStayOut(t *testing.T) {
	t.Parallel()
	const canary = "+4144777000199"
	c := newCRM(t)
	r := c.serving(t, "")
	r.Env = append(r.Env, "TANDEM_LOG_LEVEL=debug")
	r.write(t, "crm/integration.yaml", "title: CRM\nbase: "+c.URL+"\nno_authorization: true\nerror_texts: [message]\n")
	r.write(t, "crm/find.yaml", strings.Replace(proofOperation, "path: /find", "path: /refuse", 1))
	key := r.key(t, "cxone", admin)
	h := r.start(t)
	studio := &sandbox.Studio{Hub: h.URL, Key: key}
	e, err := studio.Execute(t.Context(), execution(proofFind, "1", "6000", map[string]string{"phoneNumber": canary}))
	require.NoError(t, err)
	require.Equal(t, "InternalError", e.Branch)
	require.Contains(t, e.ErrorArgs.Message, canary, "the script may know what it sent")
	for _, body := range []string{`{"workflowPayload": "` + canary, `{"configurationId":"` + proofConfiguration + `","workflowId":"` + proofFind + `","workflowPayload":{"workflowInput":{"phoneNumber":["` + canary + `"]}}}`} {
		require.Contains(t, call(t, key, http.MethodPost, h.URL+"/cxone/v1/workflow-execute", body).body, "ValidationError")
	}
	token := call(t, "", http.MethodPost, h.URL+"/cxone/oauth/token", "")
	require.Equal(t, http.StatusBadRequest, token.status)
	require.NoError(t, h.Stop(15*time.Second))
	files, err := filepath.Glob(filepath.Join(r.data(), "*"))
	require.NoError(t, err)
	texts := map[string]string{"log": h.Log()}
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		texts[name] = string(text)
	}
	require.Contains(t, texts[r.file()], "CRM / Find", "the runs are on disk")
	for name, text := range texts {
		require.NotContains(t, text, canary, name)
		require.NotContains(t, text, strings.TrimPrefix(canary, "+"), name)
		require.NotContains(t, text, key, name)
	}
}

// TestStopWhileOperationsRun: nobody waits for a CRM that hangs, and everybody
// gets an answer.
func TestStopWhileOperationsRun(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	r := c.serving(t, "")
	key := r.key(t, "cxone", admin)
	h := r.start(t)
	c.shut()
	answers := make(chan sandbox.Execution, 2)
	for _, workflow := range []string{proofHang, proofCreate} {
		go func() {
			e, err := (&sandbox.Studio{Hub: h.URL, Key: key}).Execute(t.Context(),
				execution(workflow, "1", "60000", map[string]string{"subject": "Help", "phoneNumber": "1"}))
			if err != nil {
				t.Error(err)
			}
			answers <- e
		}()
	}
	<-c.arrived
	<-c.arrived
	require.NoError(t, h.Stop(15*time.Second))
	for range 2 {
		e := <-answers
		require.Equal(t, "InternalError", e.Branch)
		require.Contains(t, []string{"UNAVAILABLE", "UNCERTAIN"}, e.ErrorArgs.Code)
		require.Equal(t, e.ErrorArgs.Code == "UNAVAILABLE", e.ErrorArgs.Retryable)
	}
	require.NotContains(t, h.Log(), `"level":"ERROR"`)
}
