package webex

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/store/pgtest"
)

// engageRig is a nodeRig that Webex Engage can reach, which takes every message
// and says nothing more.
type engageRig struct {
	*nodeRig

	addresses chan string // that it was given
	mu        sync.Mutex
	refused   []AuditRecord
}

func newEngageRig(t testing.TB, url string) *engageRig {
	t.Helper()
	r := &engageRig{nodeRig: newNodeRig(t, url), addresses: make(chan string, 100)}
	r.base = reachable("https://hub.example/tandem/")
	r.o.Token = func(text string) (string, error) {
		sum := sha256.Sum256([]byte("the hub's secret" + text))
		return hex.EncodeToString(sum[:]), nil
	}
	r.o.Audit = func(_ context.Context, rec AuditRecord) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.refused = append(r.refused, rec)
	}
	r.does(func(string) {})
	return r
}

// does lets Webex Engage do something before it answers that it has a message.
func (r *engageRig) does(do func(address string)) {
	r.answerBy("resolve-conversation", func(_ context.Context, q operation.Request) (any, error) {
		address, _ := q.Input["webhookUrl"].(string)
		do(address)
		r.addresses <- address
		return map[string]any{"transId": q.Input["transId"]}, nil
	})
}

// tell posts to an address that was given.
func (r *engageRig) tell(address, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, strings.TrimPrefix(address, "https://hub.example/tandem"), strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return rec
}

// told is tell for a post that must be taken.
func (r *engageRig) told(t require.TestingT, address, body string) {
	rec := r.tell(address, body)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
}

func (r *engageRig) audited() (reasons []AuditRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reasons, r.refused = r.refused, nil
	return reasons
}

func thereBody(trans string) map[string]any { return bodyThere(resolvePath, trans) }

const saysCreated = `{"transId":"x","taskId":"w-1","conversationOperation":"created","more":{"a":1}}`

// TestEngagePostsTheOutcome: the call ends with what Webex Engage did, whether
// that comes before its answer or behind, and so does the same call again, here
// and at another replica.
func TestEngagePostsTheOutcome(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r, other := newEngageRig(t, url), newEngageRig(t, url)
		r.does(func(address string) { r.told(t, address, saysCreated) })
		s := r.ok(t, resolvePath, thereBody("t-1"))
		require.Equal(t, "created", s.Outcome, s.Text)
		require.Equal(t, map[string]any{"transId": "t-1", "taskId": "w-1", "conversationOperation": "created"}, s.Outputs)
		address := <-r.addresses
		require.True(t, strings.HasPrefix(address, "https://hub.example/tandem/webex/v1/resolved/contoso/"), address)
		task := r.of(t, "w-1")
		require.Equal(t, core.RemoteOpen, task.Remote.State)
		require.Equal(t, aRemote, task.Service.UPN)

		r.told(t, address, saysCreated)
		r.told(t, address, `{"taskId":"w-2","conversationOperation":"reopened"}`) // the first counts
		r.did()
		r.clock.Advance(time.Hour)
		for _, at := range []*engageRig{r, other} {
			again := at.ok(t, resolvePath, thereBody("t-1"))
			require.Equal(t, "created", again.Outcome)
			require.Equal(t, s.Outputs, again.Outputs)
			names, _ := at.did()
			require.Empty(t, names, "it is not asked again")
		}

		for trans, word := range map[string]string{"t-2": "appended", "t-3": "reopened"} {
			r.does(func(string) {})
			taken := make(chan int, 1)
			go func() {
				taken <- other.tell(<-r.addresses, `{"taskId":"w-`+word+`","conversationOperation":"`+word+`"}`).Code
			}()
			s = r.ok(t, resolvePath, thereBody(trans))
			require.Equal(t, word, s.Outcome, s.Text)
			require.Equal(t, "w-"+word, s.Outputs["taskId"])
			require.Equal(t, http.StatusOK, <-taken)
		}
		// Nobody knows whether it has the message; then it says so.
		r.answerBy("resolve-conversation", func(_ context.Context, q operation.Request) (any, error) {
			address, _ := q.Input["webhookUrl"].(string)
			r.told(t, address, `{"taskId":"w-4","conversationOperation":"appended"}`)
			return nil, upstream(core.Uncertain, 0, "")
		})
		require.Equal(t, "appended", r.ok(t, resolvePath, thereBody("t-4")).Outcome)
		for _, run := range append(r.recorded(), other.recorded()...) {
			require.NotContains(t, run.Input+run.Result+run.Message, "/resolved/", "who knows the address is believed")
		}
		require.Empty(t, r.audited())
		require.Empty(t, r.faults)
	})
}

// TestEngageNeverPosts: the call ends in time, and the same call again finds what
// came too late.
func TestEngageNeverPosts(t *testing.T) {
	t.Parallel()
	r := newEngageRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.limit = time.Second
	s := r.ok(t, resolvePath, thereBody("t-1"))
	require.Equal(t, "onTimeout", s.Outcome, s.Text)
	require.Equal(t, "TIMEOUT", s.Error.Code)
	address := <-r.addresses
	r.told(t, address, `{"transId":"t-1"}`) // not the last word
	r.told(t, address, `{"outcome":"accepted"}`)
	require.Equal(t, "onTimeout", r.ok(t, resolvePath, thereBody("t-1")).Outcome)
	require.Empty(t, r.addresses, "equal calls within a minute are one")
	r.told(t, address, saysCreated)
	require.Equal(t, "created", r.ok(t, resolvePath, thereBody("t-1")).Outcome)

	require.Equal(t, "onTimeout", r.ok(t, resolvePath, thereBody("t-2")).Outcome, "the word was for another")
	require.NotEqual(t, address, <-r.addresses)

	r.base = ""
	s = r.ok(t, resolvePath, thereBody("t-3"))
	require.Equal(t, "onauthorizationfail", s.Outcome)
	require.Equal(t, "NOT_CONFIGURED", s.Error.Code)
	require.Contains(t, s.Error.Message, "public-url")
	require.Empty(t, <-r.addresses)
	require.Equal(t, http.StatusNotFound, r.tell(address, saysCreated).Code)
	require.Empty(t, r.audited())
}

// TestEngagePostsAFailure: its word is the outcome, for a minute; then the same
// call tries anew.
func TestEngagePostsAFailure(t *testing.T) {
	t.Parallel()
	r := newEngageRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	for post, want := range map[string][2]string{
		`{"conversationOperation":"taskFailed","reason":"no such queue"}`: {"taskFailed", codeTaskFailed},
		`{"outcome":"appendFailed","reason":"X-SenderNumber is blocked"}`: {"appendFailed", "CONFLICT"},
		`{"outcome":"tooManyRequests"}`:                                   {"tooManyRequests", "THROTTLED"},
		`{"outcome":"onauthorizationfail"}`:                               {"onauthorizationfail", "AUTHORIZATION_REQUIRED"},
		`{"outcome":"serviceUnavailable","description":"later"}`:          {"onError", "UPSTREAM_UNREACHABLE"},
		`{"conversationOperation":"lost"}`:                                {"onError", operation.CodeBrokenAnswer},
	} {
		r.does(func(address string) { r.told(t, address, post) })
		trans := r.uuid()
		for range 2 {
			s := r.ok(t, resolvePath, thereBody(trans))
			require.Equal(t, want, [2]string{s.Outcome, s.Error.Code}, s.Text)
			if strings.Contains(post, "queue") {
				require.Contains(t, s.Error.Message, "no such queue")
			}
			require.NotContains(t, s.Error.Message, "SenderNumber")
		}
		require.Len(t, r.addresses, 1)
		address := <-r.addresses
		r.clock.Advance(failureLife)
		r.does(func(address string) { r.told(t, address, `{"taskId":"w-9","conversationOperation":"appended"}`) })
		require.Equal(t, "appended", r.ok(t, resolvePath, thereBody(trans)).Outcome)
		require.Equal(t, address, <-r.addresses)
		r.told(t, address, post)
		require.Equal(t, "appended", r.ok(t, resolvePath, thereBody(trans)).Outcome)
	}
}

// TestEngageWithAWebhook: the immediate answer is accepted, the last word is not.
func TestEngageWithAWebhook(t *testing.T) {
	t.Parallel()
	r := newEngageRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	stop := r.works(t)
	first := r.begun(t, resolvePath, thereBody("t-1"))
	address := <-r.addresses
	require.Empty(t, r.post.got, "nothing is posted before there is a last word")
	r.told(t, address, saysCreated)
	last := r.arrives(t).word(t, resolvePath, first)
	require.Equal(t, "created", last.Outcome)
	require.Equal(t, map[string]any{"transId": "t-1", "taskId": "w-1", "conversationOperation": "created"}, last.Outputs)
	r.idle(t)
	stop()

	// The word came while no hub was up to hear it but the one that stored it.
	first = r.begun(t, resolvePath, thereBody("t-2"))
	path := address[:strings.LastIndexByte(address, '/')]
	path = path[:strings.LastIndexByte(path, '/')]
	k := &call{r: &request{TransID: "t-2"}}
	second, err := r.postAddress("contoso", k.message(aRemote))
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(second, path))
	r.told(t, second, `{"taskId":"w-2","conversationOperation":"created"}`)
	r.did()
	r.works(t)
	require.Equal(t, "created", r.arrives(t).word(t, resolvePath, first).Outcome)
	names, _ := r.did()
	require.Empty(t, names)
}

// TestEngageForged: only the address that was given is an address.
func TestEngageForged(t *testing.T) {
	t.Parallel()
	r := newEngageRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.limit = time.Second
	require.Equal(t, "onTimeout", r.ok(t, resolvePath, thereBody("t-1")).Outcome)
	good := <-r.addresses
	parts := strings.Split(strings.TrimPrefix(good, "https://hub.example/tandem"+resolvedPath), "/")
	require.Len(t, parts, 3)
	k := &call{r: &request{TransID: "t-2"}}
	for name, forged := range map[string][]string{
		"another tenant":  {"fabrikam", parts[1], parts[2]},
		"no tenant":       {"nobody", parts[1], parts[2]},
		"another message": {parts[0], k.message(aRemote), parts[2]},
		"another service": {parts[0], (&call{r: &request{TransID: "t-1"}}).message(aLocal), parts[2]},
		"another token":   {parts[0], parts[1], parts[2][:len(parts[2])-1] + "x"},
		"half a token":    {parts[0], parts[1], parts[2][:8]},
	} {
		rec := r.tell(resolvedPath+strings.Join(forged, "/"), saysCreated)
		require.Equal(t, http.StatusNotFound, rec.Code, "%s: %s", name, rec.Body)
		require.Contains(t, rec.Body.String(), "There is no such address.")
		require.Equal(t, []AuditRecord{{Subscription: EngageSource, Reason: "nobody was given this address", Remote: "192.0.2.1"}}, r.audited(), name)
	}
	gone, err := r.o.Token(resolvedPath + "nobody/" + parts[1])
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, r.tell(resolvedPath+"nobody/"+parts[1]+"/"+gone, saysCreated).Code, "a tenant that is gone")
	r.audited()
	for _, body := range []string{"", "{", "[]", `"created"`, `{"conversationOperation":"created","taskId":"` + strings.Repeat("x", maxText+1) + `"}`, `{"conversationOperation":"created","taskId":"a\nb"}`} {
		require.Equal(t, http.StatusBadRequest, r.tell(good, body).Code, body)
		refused := r.audited()
		require.Len(t, refused, 1)
		require.Equal(t, "contoso", refused[0].Tenant)
	}
	events, err := r.db.RemoteEventsNow(t.Context(), "contoso", EngageSource, parts[1])
	require.NoError(t, err)
	require.Empty(t, events)
	require.Equal(t, http.StatusMethodNotAllowed, func() int {
		rec := httptest.NewRecorder()
		r.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, resolvedPath+strings.Join(parts, "/"), nil))
		return rec.Code
	}())
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://hub.example/": "https://hub.example", "https://hub.example:8443/x": "https://hub.example:8443/x", "http://127.0.0.1:8080": "http://127.0.0.1:8080",
		"": "", "http://hub.example": "", "hub.example": "", "http://10.0.0.1": "",
	} {
		require.Equal(t, want, reachable(base), base)
	}
}
