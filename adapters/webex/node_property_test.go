package webex

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/store/pgtest"
)

// model is what a local task should be after some calls.
type model struct {
	state core.State
	agent string
}

// after says what becomes of the task in a call about an agent, and whether the
// call succeeds.
func (m model) after(path, agent string) (model, bool) {
	connected := m.state == core.StateConnected
	switch path {
	case "create-task/create", "piq-ewt/fetch":
		return m, true
	case "close-task/close", "close-task/accept":
		m.state = core.StateTerminated
		return m, true
	}
	if m.state == core.StateTerminated {
		return m, false
	}
	switch path {
	case "queue-task/queue":
		if !connected { // it is the queue of the task, which the agent has taken it from
			m.state = core.StateQueued
		}
	case "routed-notification/accept":
		if connected && m.agent != agent {
			return m, false
		}
		m.state, m.agent = core.StateConnected, agent
	case "modify-notification/accept":
		m.state, m.agent = core.StateConnected, agent
	case "screen-pop/pop":
		return m, !connected || m.agent == agent
	case "routed-notification/reject":
		if m.agent == agent {
			m.state = core.StateQueued
		}
	}
	return m, true
}

// TestAnySequence makes any calls about one task, in any order.
func TestAnySequence(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	agents := []string{anAgent, another, "agent3@contoso.example"}
	all := slices.DeleteFunc(paths(), func(path string) bool { return path == resolvePath })
	rapid.Check(t, func(t *rapid.T) {
		id := r.local(t)
		want := model{state: core.StateQueued}
		for range rapid.IntRange(1, 15).Draw(t, "calls") {
			path, agent := rapid.SampledFrom(all).Draw(t, "path"), rapid.SampledFrom(agents).Draw(t, "agent")
			body := bodyOf(path, id)
			if _, has := body["agentId"]; has {
				body["agentId"] = agent
			}
			var good bool
			want, good = want.after(path, agent)
			s := r.ok(t, path, body)
			require.Equal(t, good, s.Error == nil, "%s %s: %s", path, agent, s.Text)
			task := r.of(t, id)
			require.Equal(t, want.state, task.State, path)
			require.Equal(t, want.agent, task.LastConnectedUser.UPN)
			holders := 0
			for _, agent := range agents {
				tasks, err := r.db.TasksOfAgent(context.Background(), "contoso", agent, 1000)
				require.NoError(t, err)
				for _, row := range tasks {
					if row.ID == task.ID {
						holders++
					}
				}
			}
			require.Equal(t, want.state == core.StateConnected, holders == 1)
			require.LessOrEqual(t, holders, 1)
		}
		names := strings.Split(r.history(t, id), ", ")
		for i := 1; i < len(names); i++ {
			require.False(t, names[i] == "Queued" && names[i-1] == "Queued", "queued twice: %v", names)
		}
		require.NotContains(t, names[:len(names)-1], "Terminated")
	})
	require.Empty(t, r.faults)
}

// Of several agents who take a task at once one gets it.
func TestAgentsAtOnce(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		for range 5 {
			id := r.local(t)
			var mu sync.Mutex
			won := map[string]int{}
			var calls sync.WaitGroup
			for range 3 {
				for _, agent := range []string{anAgent, another, "agent3@contoso.example"} {
					calls.Go(func() {
						path := "routed-notification/accept"
						s := saidIn(t, path, r.do(anAdmin, path, jsonOf(changed(bodyOf(path, id), map[string]any{"agentId": agent}))), http.StatusOK)
						if s.Outcome == "onTaskRouted" {
							mu.Lock()
							won[agent]++
							mu.Unlock()
						}
					})
				}
			}
			calls.Wait()
			require.Len(t, won, 1)
			require.Equal(t, map[string]int{r.of(t, id).LastConnectedUser.UPN: 3}, won)
			require.Equal(t, connectedEvents, r.history(t, id))
		}
	})
}

// Equal calls at the same moment change a task once, at Webex and here.
func TestEqualCallsAtOnce(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		for _, c := range remoteCases() {
			if c.path == "piq-ewt/fetch" {
				continue // it only reads
			}
			id := c.task(r, t)
			r.answers0()
			r.did()
			var calls sync.WaitGroup
			for range 6 {
				calls.Go(func() {
					s := saidIn(t, c.path, r.do(anAdmin, c.path, jsonOf(bodyThere(c.path, id))), http.StatusOK)
					require.Equal(t, c.outcome, s.Outcome, s.Text)
				})
			}
			calls.Wait()
			names, _ := r.did()
			require.Equal(t, []string{c.operation}, names, c.path)
		}
	})
}

// FuzzNodes sends any body to any method: what is wrong with it is the caller's,
// never a fault of the hub, and the outcome is one of the method's.
func FuzzNodes(f *testing.F) {
	r := newNodeRig(f, "sqlite:"+f.TempDir()+"/tandem.db")
	r.answers0()
	local, remote := r.local(f), r.remote(f)
	all := paths()
	for i, path := range all {
		f.Add(uint8(i), jsonOf(bodyOf(path, local)))
		f.Add(uint8(i), jsonOf(bodyThere(path, remote)))
		f.Add(uint8(i), jsonOf(hooks(bodyOf(path, remote))))
	}
	for _, body := range []string{"", "null", "[]", "{", `"x"`, "\xff", `{"a":1,"A":2}`, `{"taskId":{}}`} {
		f.Add(uint8(0), []byte(body))
	}
	f.Fuzz(func(t *testing.T, i uint8, body []byte) {
		path := all[int(i)%len(all)]
		s := saidIn(t, path, r.do(anAdmin, path, body), http.StatusOK)
		if s.Outcome == "" && !strings.Contains(s.Text, `"outcome":null`) {
			t.Fatal(s.Text)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.faults) > 0 {
			t.Fatal(r.faults)
		}
		r.runs, r.ran = nil, nil
	})
}

// The bodies of the tests are complete: each field that must be there is needed.
func TestNodesNeedTheirFields(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	for i := range methods {
		m := &methods[i]
		path := id0(m)
		for _, field := range m.Fields {
			name, required := strings.CutSuffix(field, "*")
			if !required {
				continue
			}
			s := r.ok(t, path, changed(bodyOf(path, id), map[string]any{name: nil}))
			require.Equal(t, "onInvalidData", s.Outcome, "%s without %s", path, name)
			require.Equal(t, name, s.Error.Details[0].Field)
		}
		long := map[string]any{}
		maps.Copy(long, bodyOf(path, id))
		long["authorization"] = strings.Repeat("x", maxAuthName+1)
		require.Equal(t, "onInvalidData", r.ok(t, path, long).Outcome)
		for _, body := range []string{"", "null", "[]", "{", `{"taskId":"a","taskId":"b"}`} {
			s := saidIn(t, path, r.do(anAdmin, path, []byte(body)), http.StatusOK)
			require.Equal(t, "onInvalidData", s.Outcome, body)
		}
		req := httptest.NewRequest(http.MethodPost, "/webex/v1/nodes/"+path, io.MultiReader(bytes.NewReader(make([]byte, 2<<20)))) // of no declared length
		req.Header.Set("X-Api-Key", anAdmin)
		rec := httptest.NewRecorder()
		r.handler.ServeHTTP(rec, req)
		s := saidIn(t, path, rec, http.StatusOK)
		require.Equal(t, "onInvalidData", s.Outcome)
		require.Equal(t, "BODY_TOO_LARGE", s.Error.Code)
	}
	require.Equal(t, queuedEvents, r.history(t, id))
}
