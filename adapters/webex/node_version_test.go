package webex

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/outbound"
)

// The version of a call says which entry of the node counts: its operation and
// its authorization. Without one, or with one that stands in none, it is the
// first.
func TestAnAuthorizationForAVersion(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db",
		`    versions: ["2.5", "2.4", "1.1", "1.0"]
    integration: webex-contact-center
`, `    versions: ["2.5", "2.4"]
    integration: webex-contact-center
`, `  - node: resolve-conversation
`, `  - node: close-task
    id: close-task-1
    title: Close Task
    versions: ["1.0"]
    integration: webex-contact-center
    methods:
      - {method: close, title: Close Task on WxCC, operation: close-accept}

  - node: resolve-conversation
`)
	r.answers0()
	for version, want := range map[string][2]string{
		"": {"close-task", "close-task"}, "v2.4": {"close-task", "close-task"}, "1.0": {"close-task-1", "close-accept"}, "1.1": {"close-task", "close-task"},
	} {
		id := r.remote(t)
		body := bodyThere("close-task/close", id)
		body["version"] = version
		r.did()
		require.Equal(t, "Success", r.ok(t, "close-task/close", body).Outcome)
		r.mu.Lock()
		require.Equal(t, outbound.Credential{Tenant: "contoso", Integration: "webex-contact-center", Node: want[0]}, r.asked, version)
		require.Len(t, r.ran, 1)
		require.Equal(t, want, [2]string{r.ran[0].Node, r.ran[0].Operation.Name}, version)
		r.mu.Unlock()
	}
}

// What the guide says of older versions of Queue Task: their word counts once the
// body is read.
func TestRefusalsOfOldVersions(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	body := bodyThere("queue-task/queue", r.remote(t))
	body["version"] = "1.2"
	for who, want := range map[string]struct {
		outcome string
		status  int
	}{
		"wrong": {"onauthorizationfail", http.StatusUnauthorized},
		anAgent: {"onauthorizationfail", http.StatusForbidden}, // may call no node
		anOwner: {"onauthorizatonfail", http.StatusForbidden},  // but not of this service
	} {
		require.Equal(t, want.outcome, r.call(t, who, "queue-task/queue", body, want.status).Outcome, who)
	}
	r.authorized.Store(false)
	require.Equal(t, "onauthorizatonfail", r.ok(t, "queue-task/queue", body).Outcome)
}

// A body above the limit is answered as any other that is wrong, whether it says
// its length or not.
func TestABodyThatIsTooLarge(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	text := jsonOf(changed(bodyThere("resolve-conversation/resolve", r.uuid()), map[string]any{"subject": strings.Repeat("x", 1<<20)}))
	for _, body := range []io.Reader{bytes.NewReader(text), struct{ io.Reader }{bytes.NewReader(text)}} {
		for who, want := range map[string]int{anAdmin: http.StatusOK, "wrong": http.StatusUnauthorized} {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webex/v1/nodes/resolve-conversation/resolve", body)
			req.Header.Set("X-Api-Key", who)
			rec := httptest.NewRecorder()
			r.handler.ServeHTTP(rec, req)
			s := saidIn(t, "resolve-conversation/resolve", rec, want)
			if want != http.StatusOK {
				require.Equal(t, "onauthorizationfail", s.Outcome)
				continue
			}
			require.Equal(t, "onInvalidData", s.Outcome)
			require.Equal(t, "BODY_TOO_LARGE", s.Error.Code)
			require.False(t, s.Error.Retryable)
		}
	}
}
