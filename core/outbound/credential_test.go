package outbound

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// fakeAuthorizer hands out tokens of a generation that Rejected raises.
type fakeAuthorizer struct {
	generation atomic.Int64
	rejected   atomic.Int64
	err        error
	rejectErr  error
}

func (f *fakeAuthorizer) Authorize(_ context.Context, _ Credential, req *http.Request) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	stamp := f.generation.Load()
	req.Header.Set("Authorization", "Bearer token-"+string(rune('0'+stamp)))
	return stamp, nil
}

func (f *fakeAuthorizer) Rejected(_ context.Context, _ Credential, stamp int64) error {
	f.rejected.Add(1)
	f.generation.CompareAndSwap(stamp, stamp+1)
	return f.rejectErr
}

var credential = &Credential{Tenant: "contoso", Integration: "crm"}

func TestCredentialIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name       string
		accepted   string
		authorizer *fakeAuthorizer
		kind       core.Kind
		sends      int64
		rejected   int64
	}{
		{name: "good", accepted: "token-0", sends: 1},
		{name: "renewed", accepted: "token-1", sends: 2, rejected: 1},
		{name: "refused again", accepted: "token-9", sends: 2, rejected: 1, kind: core.NeedsAuthorization},
		{
			name: "cannot be renewed", accepted: "token-1", sends: 1, rejected: 1, kind: core.Unavailable,
			authorizer: &fakeAuthorizer{rejectErr: core.Errorf(core.Unavailable, "not now")},
		},
		{
			name: "none", accepted: "token-0", kind: core.NeedsAuthorization,
			authorizer: &fakeAuthorizer{err: core.Errorf(core.NeedsAuthorization, "nobody has authorized it")},
		},
		{
			name: "cannot be had now", accepted: "token-0", kind: core.Unavailable,
			authorizer: &fakeAuthorizer{err: core.Errorf(core.Unavailable, "not now")},
		},
		{name: "late", kind: core.Timeout, authorizer: &fakeAuthorizer{err: context.DeadlineExceeded}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var sends atomic.Int64
			authorizer := row.authorizer
			if authorizer == nil {
				authorizer = &fakeAuthorizer{}
			}
			c, base := serve(t, Options{Authorizer: authorizer}, func(w http.ResponseWriter, r *http.Request) {
				sends.Add(1)
				body, err := io.ReadAll(r.Body)
				if err != nil || string(body) != `{"a":1}` {
					w.WriteHeader(http.StatusTeapot)
				} else if r.Header.Get("Authorization") != "Bearer "+row.accepted {
					w.WriteHeader(http.StatusUnauthorized)
				}
			})
			for range 6 {
				sends.Store(0)
				authorizer.rejected.Store(0)
				authorizer.generation.Store(0)
				call := newCall(t, http.MethodPost, base, `{"a":1}`)
				call.Credential = credential
				_, err := c.Call(t.Context(), call)
				if row.kind == "" {
					require.NoError(t, err)
				} else {
					require.Equal(t, row.kind, core.KindOf(err))
				}
				require.Equal(t, row.sends, sends.Load())
				require.Equal(t, row.rejected, authorizer.rejected.Load())
				require.Empty(t, call.Request.Header.Get("Authorization"))
			}
			require.Equal(t, Closed, c.Upstreams("")[0].State)
		})
	}
}

func TestCredentialFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(thief.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, base := serve(t, Options{Authorizer: &fakeAuthorizer{}, AllowHosts: []string{thief.Listener.Addr().String()}},
			func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, status) })
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			call := newCall(t, method, base, "{}")
			call.Credential = credential
			res, err := c.Call(t.Context(), call)
			requireError(t, err, core.Uncertain, CodeRedirected)
			require.Equal(t, status, res.Status)
		}
	}
	require.Zero(t, reached.Load())
}

// signer is an Authorizer that does what it is told.
type signer func(*http.Request)

func (f signer) Authorize(_ context.Context, _ Credential, req *http.Request) (int64, error) {
	f(req)
	return 1, nil
}

func (f signer) Rejected(context.Context, Credential, int64) error { return nil }

// TestAnswersThatRepeatTheCredential: nobody behind this room sees it.
func TestAnswersThatRepeatTheCredential(t *testing.T) {
	const secret = `s3cret/"value"+1`
	for name, sign := range map[string]signer{
		"bearer":   func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+secret) },
		"basic":    func(r *http.Request) { r.SetBasicAuth("hub", secret) },
		"api key":  func(r *http.Request) { r.Header.Set("X-Api-Key", secret) },
		"own word": func(r *http.Request) { r.Header.Set("Authorization", "Token "+secret) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := inMemory(t, Options{Authorizer: sign}, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Echo", "bad "+secret)
					w.WriteHeader(http.StatusBadRequest)
					quoted, _ := json.Marshal(secret)
					_, _ = w.Write([]byte(`{"message": "bad key", "key": ` + string(quoted) + `, "plain": "` + secret +
						`", "header": "` + r.Header.Get("Authorization") + `", "mine": "` + r.Header.Get("X-Mine") + `"}`))
				})
				call := newCall(t, http.MethodGet, crm, "")
				call.Credential = credential
				call.Request.Header.Set("X-Mine", "no secret of anybody")
				res, err := c.Call(t.Context(), call)
				require.Error(t, err)
				require.NotContains(t, string(res.Body), "s3cret")
				require.NotContains(t, string(res.Body), base64.StdEncoding.EncodeToString([]byte("hub:"+secret)))
				require.NotContains(t, res.Header.Get("X-Echo"), "s3cret")
				require.Contains(t, string(res.Body), `"message": "bad key"`)
				require.Contains(t, string(res.Body), "no secret of anybody")
			})
		})
	}
}

// TestAnswersThatRepeatWhatTheCredentialIsMadeOf: an upstream may repeat the key
// alone, as PHP, Gson or programs that put JSON in JSON write it, and also where
// it does what it was asked for.
func TestAnswersThatRepeatWhatTheCredentialIsMadeOf(t *testing.T) {
	const secret = `sk/live/"s3cret"+1==`
	inJSON := quoted(quoted(secret))
	for name, sign := range map[string]signer{
		"key alone": func(r *http.Request) {
			r.Header.Set("Authorization", "Token token="+secret)
			Confide(r, secret)
		},
		"key in quotes": func(r *http.Request) {
			r.Header.Set("Authorization", `Key k="`+url.QueryEscape(secret)+`"`)
			Confide(r, "user", secret)
		},
		"header": func(r *http.Request) { r.Header.Set("X-Api-Key", secret) },
		"basic":  func(r *http.Request) { r.SetBasicAuth("hub", secret) },
	} {
		for _, status := range []int{http.StatusOK, http.StatusUnprocessableEntity} {
			t.Run(name+" "+strconv.Itoa(status), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := inMemory(t, Options{Authorizer: sign}, func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Location", "/login?key="+url.QueryEscape(secret))
						w.WriteHeader(status)
						_, _ = io.WriteString(w, `{"php": "key `+php(secret)+`", "gson": "`+gson(secret)+`", "inner": "{\"key\": \"`+inJSON+`\"}", "user": "user"}`)
					})
					call := newCall(t, http.MethodGet, crm, "")
					call.Credential = credential
					res, _ := c.Call(t.Context(), call)
					require.JSONEq(t, `{"php": "key [redacted]", "gson": "[redacted]", "inner": "{\"key\": \"[redacted]\"}", "user": "user"}`, string(res.Body))
					require.Equal(t, "/login?key=[redacted]", res.Header.Get("Location"))
				})
			})
		}
	}
}
