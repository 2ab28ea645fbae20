package main_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/mappings"
)

// spy stands before the sandbox's vendors and keeps every secret that goes by.
type spy struct {
	*httptest.Server
	reject atomic.Bool // the next call with a token gets 401

	mu      sync.Mutex
	secrets map[string]string // name to value
}

func newSpy(t *testing.T, vendors *sandbox.Vendors) *spy {
	t.Helper()
	s := &spy{secrets: map[string]string{}}
	behind := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: vendors.Addr()})
		},
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			body = bytes.ReplaceAll(body, []byte(vendors.Addr()), []byte(s.Listener.Addr().String()))
			if to := r.Header.Get("Location"); to != "" { // its iss
				r.Header.Set("Location", strings.ReplaceAll(to, url.QueryEscape(vendors.Addr()), url.QueryEscape(s.Listener.Addr().String())))
			}
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			var answer map[string]any
			if json.Unmarshal(body, &answer) == nil {
				s.keep(answer, "access_token", "refresh_token")
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			return nil
		},
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if form, err := url.ParseQuery(string(body)); err == nil {
			for _, name := range []string{"client_secret", "code", "code_verifier", "refresh_token"} {
				s.keep(map[string]any{name: form.Get(name)}, name)
			}
		}
		var doc map[string]any
		if json.Unmarshal(body, &doc) == nil {
			s.keep(doc, "secret") // of a subscription
		}
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") && s.reject.Swap(false) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if strings.Contains(r.URL.Path, "/services/data/") { // a CRM that says in its refusals what it was sent
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `[{"message":%q,"errorCode":"MALFORMED_ID"}]`, "not accepted: "+r.Header.Get("Authorization"))
			return
		}
		if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Token token="); ok { // one that repeats the key alone, in JSON in JSON
			quoted := strings.NewReplacer("/", `\/`, "=", `\u003d`).Replace(key)
			if r.URL.Path == "/keyed/refuse" {
				w.WriteHeader(http.StatusUnprocessableEntity)
			}
			fmt.Fprintf(w, `{"name":%q,"error":"unknown key %s"}`, `{"key":"`+quoted+`"}`, quoted)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *spy) keep(from map[string]any, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if v, _ := from[name].(string); v != "" {
			for n := name; ; n += "'" { // every one that goes by
				if old, taken := s.secrets[n]; !taken || old == v {
					s.secrets[n] = v
					break
				}
			}
		}
	}
}

// integrations writes the samples' integrations as the vendors serve them, with
// at in the place of the vendors' own address, and lets the hub call them there.
func (r *rig) integrations(t *testing.T, vendors *sandbox.Vendors, at string) {
	t.Helper()
	files := vendors.Mappings(mappings.FS)
	require.NoError(t, fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		theirs := strings.HasPrefix(name, "directory/") || strings.HasPrefix(name, "workflows/") || name == "cxone/configurations.yaml"
		if err != nil || e.IsDir() || theirs {
			return err
		}
		data, err := fs.ReadFile(files, name)
		r.write(t, name, strings.ReplaceAll(string(data), vendors.Addr(), at))
		return err
	}))
	r.Env = append(r.Env, "TANDEM_ALLOW_HOSTS="+r.got.sink.Addr()+","+at)
}

// visitor is a browser without a window: it keeps cookies and what it was shown.
type visitor struct {
	t     *testing.T
	base  string
	jar   map[string]string
	shown *strings.Builder
}

func (v *visitor) ask(method, address string, form url.Values) *http.Response {
	v.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = v.base + address
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(v.t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if strings.HasPrefix(address, v.base) {
		for name, value := range v.jar {
			req.AddCookie(&http.Cookie{Name: name, Value: value, Quoted: false})
		}
	}
	client := &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	require.NoError(v.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	if strings.HasPrefix(address, v.base) {
		for _, c := range res.Cookies() {
			v.jar[c.Name] = c.Value
		}
		v.shown.Write(body)
		v.shown.WriteString(res.Header.Get("Location"))
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

func text(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

// TestSecretsAreNowhereInTheClear does all that the hub does with secrets, at
// the most talkative level, and then looks for them everywhere.
func TestSecretsAreNowhereInTheClear(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, database string) {
		vendors, err := sandbox.NewVendors(core.SystemClock{})
		require.NoError(t, err)
		t.Cleanup(vendors.Close)
		s := newSpy(t, vendors)
		secrets := map[string]string{
			"master key": testKey, "client secret": "canary-client-secret-7b1f", "admin password": "canary-admin-password-93c2",
			"other password": "canary-wrong-password-55aa", "callback signature": "canary-callback-sig-0c4e", "code of a stranger": "canary-code-of-a-stranger-1d",
			"api token": "canary-api-token-6e2b", "api key of a CRM": "canary/api/key/51e7==",
		}
		if database != "" {
			u, err := url.Parse(database)
			require.NoError(t, err)
			secrets["database password"] = "canary-database-password-28d0"
			u.User = url.UserPassword(u.User.Username(), secrets["database password"])
			database = u.String()
		}
		r := newRig(t, database, "TANDEM_LOG_LEVEL=debug", "TANDEM_MASTER_KEY="+testKey)
		r.webex(t, vendors, s.Listener.Addr().String())
		r.write(t, "cxone/configurations.yaml", canaryConfigurations)
		r.write(t, "keyed/integration.yaml", "title: Keyed\nbase: http://"+s.Listener.Addr().String()+"/keyed\nerror_texts: [error]\n"+keyedGrant)
		r.write(t, "keyed/find.yaml", proofOperation)
		r.write(t, "keyed/refuse.yaml", strings.Replace(proofOperation, "path: /find", "path: /refuse", 1))
		h := r.start(t)
		v := &visitor{t: t, base: h.URL, jar: map[string]string{}, shown: &strings.Builder{}}
		token, err := r.Run(t.Context(), "setup-token", "--tenant", tenant)
		require.NoError(t, err)
		secrets["setup token"] = strings.TrimSpace(token)

		settle(t, v, secrets)
		grantAll(t, v, s, secrets)
		key := usePowerAutomate(t, r, h, secrets)
		secrets["api key"] = key
		script := useCXone(t, r, h, v, secrets)
		useWebex(t, r, h, v, s, key, secrets)
		for name, value := range v.jar {
			if value != "" {
				secrets["cookie "+name] = value
			}
		}
		s.mu.Lock()
		for name, value := range s.secrets {
			secrets[name+" on the wire"] = value
		}
		s.mu.Unlock()
		for _, name := range []string{"code", "code_verifier", "access_token", "refresh_token", "client_secret", "access_token'", "secret", "secret'"} {
			require.Contains(t, secrets, name+" on the wire", "the test has seen it go by")
		}

		places := map[string]string{"the log": h.Log(), "the pages": v.shown.String(), "the script's answer": script}
		adminKey := r.key(t, "admin", admin)
		secrets["admin key"] = adminKey
		for _, path := range []string{"/metrics", "/readyz", "/admin/v1/triggers", "/admin/v1/dead-letters"} {
			places[path] = call(t, adminKey, http.MethodGet, h.Admin+path, "").body
		}
		require.NoError(t, h.Stop(15*time.Second))
		places["the log"] = h.Log()
		if database == "" {
			for _, file := range []string{r.file(), r.file() + "-wal"} {
				if data, err := os.ReadFile(file); err == nil {
					places[filepath.Base(file)] = string(data)
				}
			}
		} else {
			places["the dump"] = dump(t, database)
		}
		require.Greater(t, len(places["the log"]), 10_000, "the log talks")
		for place, content := range places {
			for name, secret := range secrets {
				for _, form := range []string{
					secret, url.QueryEscape(secret), html.EscapeString(secret), strings.NewReplacer("/", `\/`, "=", `\u003d`).Replace(secret), hex.EncodeToString([]byte(secret)),
					base64.StdEncoding.EncodeToString([]byte(secret)),
				} {
					if place == "the pages" && (name == "setup token" || strings.HasPrefix(name, "state")) {
						continue // in the form into which it was typed, and in the link to the provider
					}
					if strings.Contains(content, form) { // require would print all of it
						t.Errorf("%s stands in %s", name, place)
					}
				}
			}
		}
	})
}

// settle makes the first administrator, after some failures.
func settle(t *testing.T, v *visitor, secrets map[string]string) {
	t.Helper()
	setup := url.Values{
		"token": {secrets["setup token"]}, "upn": {"ada@proof.example"}, "name": {"Ada"},
		"password": {secrets["admin password"]}, "again": {"something else"},
	}
	require.Equal(t, http.StatusUnprocessableEntity, v.ask(http.MethodPost, "/console/setup", setup).StatusCode)
	setup.Set("again", secrets["admin password"])
	require.Equal(t, http.StatusSeeOther, v.ask(http.MethodPost, "/console/setup", setup).StatusCode)
	wrong := &visitor{t: t, base: v.base, jar: map[string]string{}, shown: v.shown}
	for _, upn := range []string{"ada@proof.example", "nobody@proof.example"} {
		res := wrong.ask(http.MethodPost, "/console/login", url.Values{"upn": {upn}, "password": {secrets["other password"]}})
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	}
}

// signInAtProvider goes the way of a sign-in for the authorization whose page is
// at one, and returns the address that leads back to the hub.
func (v *visitor) signInAtProvider(one string) *url.URL {
	v.t.Helper()
	away := refresh.FindStringSubmatch(text(v.t, v.ask(http.MethodPost, one+"/authorize", url.Values{"window": {"1"}})))
	require.NotNil(v.t, away)
	res := v.ask(http.MethodPost, html.UnescapeString(away[1]), url.Values{"email": {"ada@vendor.example"}, "password": {"sandbox"}, "action": {"sign-in"}})
	require.Equal(v.t, http.StatusSeeOther, res.StatusCode, text(v.t, res))
	back, err := res.Location()
	require.NoError(v.t, err)
	return back
}

var refresh = regexp.MustCompile(`http-equiv="refresh" content="0;url=([^"]+)"`)

// grantAll authorizes by a sign-in, with failures before and a renewal after,
// and stores a credential of another kind.
func grantAll(t *testing.T, v *visitor, s *spy, secrets map[string]string) {
	t.Helper()
	const salesforce = "/console/integrations/salesforce"
	form := url.Values{
		"grant": {"sign-in"}, "name": {""}, "v.domain": {"proof"}, "v.client_id": {"3MVG9sandboxclient"}, "v.client_secret": {secrets["client secret"]},
	}
	require.Equal(t, http.StatusUnprocessableEntity, v.ask(http.MethodPost, salesforce+"/authorizations", form).StatusCode)
	form.Set("name", "Production")
	res := v.ask(http.MethodPost, salesforce+"/authorizations", form)
	require.Equal(t, http.StatusSeeOther, res.StatusCode, text(t, res))
	one := strings.TrimPrefix(res.Header.Get("Location"), v.base)

	v.ask(http.MethodGet, "/oauth/callback/salesforce?code="+secrets["code of a stranger"]+"&state=unknown", nil)
	authorize := func() *http.Response {
		back := v.signInAtProvider(one)
		s.keep(map[string]any{"state": back.Query().Get("state")}, "state")
		shown := v.shown.Len()
		res := v.ask(http.MethodGet, back.String(), nil)
		require.Equal(t, http.StatusSeeOther, res.StatusCode, text(t, res))
		require.NotContains(t, v.shown.String()[shown:], back.Query().Get("code"))
		return v.ask(http.MethodGet, res.Header.Get("Location"), nil)
	}
	require.Contains(t, text(t, authorize()), "Authorized")
	require.Contains(t, text(t, authorize()), "Authorized") // again: the first tokens go
	s.reject.Store(true)
	require.Equal(t, http.StatusSeeOther, v.ask(http.MethodPost, one+"/check", url.Values{}).StatusCode)

	zendesk := url.Values{"grant": {"api-token"}, "name": {"Support"}, "v.subdomain": {"proof"}, "v.email": {"a@proof.example"}, "v.api_token": {secrets["api token"]}}
	res = v.ask(http.MethodPost, "/console/integrations/zendesk/authorizations", zendesk)
	require.Equal(t, http.StatusSeeOther, res.StatusCode, text(t, res))
	v.ask(http.MethodPost, strings.TrimPrefix(res.Header.Get("Location"), v.base)+"/authorize", url.Values{}) // refused: the sandbox knows one
	keyed := url.Values{"grant": {"key"}, "name": {"Keyed"}, "v.key": {secrets["api key of a CRM"]}}
	res = v.ask(http.MethodPost, "/console/integrations/keyed/authorizations", keyed)
	require.Equal(t, http.StatusSeeOther, res.StatusCode, text(t, res))
	v.ask(http.MethodPost, strings.TrimPrefix(res.Header.Get("Location"), v.base)+"/authorize", url.Values{})
	for _, path := range []string{"/console/integrations", salesforce, one, one + "/edit", one + "/remove", "/console/integrations/zendesk", "/console/breakers", "/console/people"} {
		require.Equal(t, http.StatusOK, v.ask(http.MethodGet, path, nil).StatusCode, path)
	}
}

// usePowerAutomate lets a flow be called at an address with a secret.
func usePowerAutomate(t *testing.T, r *rig, h *sandbox.Hub, secrets map[string]string) (key string) {
	t.Helper()
	key = r.key(t, "powerautomate", admin)
	subscribe(t, h, key, r.got.sink.Callback(0)+"?sig="+secrets["callback signature"], work)
	r.got.await(t, addTask(t, h, key, work), "Queued")
	secret, err := r.Run(t.Context(), "keys", "webhook", "--tenant", tenant)
	require.NoError(t, err)
	secrets["webhook secret"] = strings.TrimSpace(secret)
	return key
}

// dump returns every row of every table as text.
func dump(t *testing.T, database string) string {
	t.Helper()
	db, err := sql.Open("pgx", database)
	require.NoError(t, err)
	defer db.Close()
	texts := func(query string) (all []string) {
		rows, err := db.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var one string
			require.NoError(t, rows.Scan(&one))
			all = append(all, one)
		}
		require.NoError(t, rows.Err())
		return all
	}
	var out strings.Builder
	for _, table := range texts(`SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`) {
		for _, row := range texts(`SELECT t::text FROM "` + table + `" t`) {
			out.WriteString(row + "\n")
		}
	}
	require.NotEmpty(t, out.String())
	return out.String()
}

const canaryConfigurations = `tenant: proof
enabled: true
configurations:
  - id: ` + proofConfiguration + `
    name: Salesforce
    integration: salesforce
    authorization: Production
    status: active
    workflows:
      - {id: ` + proofFind + `, name: Search for ANI, action: search, operation: search-ani, status: active}
  - id: ` + keyedConfiguration + `
    name: Keyed
    integration: keyed
    authorization: Keyed
    status: active
    workflows:
      - {id: ` + proofCreate + `, name: Find, action: search, operation: find, status: active}
      - {id: ` + proofHang + `, name: Refuse, action: search, operation: refuse, status: active}
`

const keyedConfiguration = "5f0c2c1e-6a55-4f6b-9d0e-7f1d4a1b0c11"

const keyedGrant = `grants:
  - {id: key, type: api_key, title: Key, header: Authorization, value: "Token token={key}", fields: [{name: key, label: Key, secret: true, required: true}]}
`

// useCXone lets a script meet a CRM that repeats the credential which it was
// sent, looks at the pages that tell of it, and returns what the script got.
func useCXone(t *testing.T, r *rig, h *sandbox.Hub, v *visitor, secrets map[string]string) string {
	t.Helper()
	secrets["cxone key"] = r.key(t, "cxone", admin)
	body, err := json.Marshal(execution(proofFind, "4711", "6000", map[string]string{"phoneNumber": "+41445551234"}))
	require.NoError(t, err)
	got := call(t, secrets["cxone key"], http.MethodPost, h.URL+"/cxone/v1/workflow-execute", string(body))
	require.Contains(t, got.body, "not accepted: Bearer [redacted]")
	all := got.body
	for workflow, want := range map[string]string{proofCreate: "Success", proofHang: "unknown key [redacted]"} {
		asked := execution(workflow, "4711", "6000", map[string]string{"phoneNumber": "+41445551234"})
		asked["configurationId"] = keyedConfiguration
		body, err := json.Marshal(asked)
		require.NoError(t, err)
		got := call(t, secrets["cxone key"], http.MethodPost, h.URL+"/cxone/v1/workflow-execute", string(body))
		require.Contains(t, got.body, want)
		require.Contains(t, got.body, "[redacted]")
		all += got.body
	}
	for _, path := range []string{"/console/executions", "/console/mappings", "/console/playground"} {
		page := text(t, v.ask(http.MethodGet, path, nil))
		for _, one := range regexp.MustCompile(`/console/executions/[0-9a-f-]{36}`).FindAllString(page, -1) {
			require.Contains(t, text(t, v.ask(http.MethodGet, one, nil)), "[redacted]")
		}
	}
	return all
}
