package authstore

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/outbound"
	"tandem/core/store"
)

const (
	tenant   = "contoso"
	admin    = "admin@contoso.example"
	redirect = "https://hub.example/oauth/callback/acme"
	canary   = "canary-secret-value"
)

// acmeFile is an integration with a grant of each type. AT stands for the host.
const acmeFile = `
title: Acme
base: http://AT/api
settings:
  - {name: region, label: Region, pattern: "[a-z]+", default: eu}
grants:
  - id: sign-in
    type: authorization_code
    title: Sign in
    fields: [{name: client_id, label: Client ID, required: true}, {name: client_secret, label: Client secret, secret: true}]
    authorize: http://AT/acme/authorize
    token: http://AT/acme/access_token
    revoke: http://AT/acme/revoke
    issuer: http://AT/acme
    scopes: [read, "write:{region}"]
    parameters: {prompt: consent}
    account: {url: "http://AT/api/me", field: emails.0}
  - id: machine
    type: client_credentials
    title: Machine
    fields: [{name: client_id, label: Client ID, required: true}, {name: client_secret, label: Client secret, secret: true, required: true}]
    token: http://AT/acme/access_token
    in_header: true
    parameters: {audience: "{region}-api"}
  - id: robot
    type: password
    title: Access key
    fields: [{name: access, label: Access key, required: true}, {name: key, label: Secret key, secret: true, required: true}, {name: client_id, label: Client ID}]
    token: http://AT/acme/access_token
    username: "{access}"
    password: "{key}"
  - id: jwt
    type: jwt_bearer
    title: Key pair
    fields: [{name: client_id, label: Client ID, required: true}, {name: user, label: User, required: true}, {name: private_key, label: Private key, secret: true, multiline: true, required: true}]
    token: http://AT/acme/access_token
    audience: http://AT/acme
    subject: "{user}"
    token_base: instance.url
    token_hosts: ["AT"]
    token_life: 10m
  - id: key
    type: api_key
    title: API key
    fields: [{name: key, label: Key, secret: true, required: true}]
    header: X-Api-Key
    value: "key={key}"
    account: {url: "http://AT/api/me", field: emails.0}
  - id: basic
    type: basic
    title: Password
    fields: [{name: user, label: User, required: true}, {name: password, label: Password, secret: true, required: true}]
    username: "{user}/token"
    password: "{password}"
  - id: bearer
    type: bearer
    title: Token
    fields: [{name: token, label: Token, secret: true, required: true}]
`

const nodesFile = `
nodes:
  - {node: call-acme, title: Call Acme, versions: ["1.0"], integration: acme, authorization: Pinned}
  - {node: create-task, title: Create Task, versions: ["1.0"], integration: acme, authorization: Night}
  - {node: create-task, id: create-task-old, title: Create Task, versions: ["0.9"], integration: acme, authorization: Night}
`

// provider is an authorization server with an API, and the way to it.
type provider struct {
	*authserver.Server
	clock *coretest.Clock
	host  string
	live  atomic.Pointer[integration.Catalogue]

	mu      sync.Mutex
	asked   []*http.Request // of the API
	forms   []url.Values    // of the token address
	revoked []url.Values
	extra   map[string]any

	// between sees each answer before the Store does, and may panic.
	between atomic.Pointer[func(*http.Request, *http.Response)]
	trips   atomic.Int64
}

func newProvider(t testing.TB, o authserver.Options) *provider {
	t.Helper()
	p := &provider{clock: coretest.NewClock(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC))}
	o.Clock = p.clock
	o.Issuer = func() string { return "http://" + p.host + "/acme" }
	o.Extra = func(string) map[string]any {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.extra
	}
	p.Server = authserver.New(o)
	mux := http.NewServeMux()
	mux.HandleFunc("/acme/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.ParseForm() == nil {
			p.mu.Lock()
			switch {
			case strings.HasSuffix(r.URL.Path, "/access_token"):
				p.forms = append(p.forms, r.PostForm)
			case strings.HasSuffix(r.URL.Path, "/revoke"):
				p.revoked = append(p.revoked, r.PostForm)
			}
			p.mu.Unlock()
		}
		p.ServeHTTP(w, r)
	})
	mux.HandleFunc("/api/", p.api)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	p.host = server.Listener.Addr().String()
	p.extra = map[string]any{"instance": map[string]any{"url": "http://" + p.host}}
	p.enforce(t, acmeFile)
	return p
}

// enforce puts a mapping set in force.
func (p *provider) enforce(t testing.TB, text string) {
	t.Helper()
	text = strings.NewReplacer("//AT/", "//"+p.host+"/", `"AT"`, `"`+p.host+`"`).Replace(text)
	set, findings := mapping.Read(fstest.MapFS{
		"acme/integration.yaml":  {Data: []byte(text)},
		"other/integration.yaml": {Data: []byte(strings.Replace(text, "Acme", "Other", 1))},
		"webex/nodes.yaml":       {Data: []byte(nodesFile)},
	})
	require.Empty(t, findings)
	c, findings := integration.Load(set)
	require.Empty(t, findings)
	p.live.Store(c)
}

// api is what the credentials are for.
func (p *provider) api(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r)
	p.mu.Unlock()
	account, ok := p.Valid(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if r.Header.Get("X-Api-Key") == "key="+canary {
		account, ok = "key@acme.example", true
	}
	if !ok {
		http.Error(w, "no", http.StatusUnauthorized)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"emails": []string{account}})
}

// RoundTrip makes the Store's calls.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	p.trips.Add(1)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if f := p.between.Load(); f != nil && err == nil {
		(*f)(r, resp)
	}
	return resp, err
}

func (p *provider) revocations() []url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revoked
}

func (p *provider) lastForm() url.Values {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forms[len(p.forms)-1]
}

// hub is a replica.
type hub struct {
	*Store
	*provider
	db *store.DB

	mu      sync.Mutex
	changes []integration.Authorization
}

// newHub opens a replica on a database of its own.
func newHub(t testing.TB, p *provider, sealer *Sealer, dbURL string) *hub {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: dbURL, Clock: p.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	h := &hub{provider: p, db: db}
	h.Store = New(Options{
		DB: db, Sealer: sealer, Clock: p.clock, Chance: func() float64 { return 0 }, Integrations: p.live.Load,
		HTTP: &http.Client{Transport: p, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		Redirect: func(id string) (string, error) {
			if id != "acme" {
				return "", core.Errorf(core.NotConfigured, "no public address")
			}
			return redirect, nil
		},
		Changed: h.note, Ending: h.note,
	})
	h.poll = 2 * time.Millisecond
	t.Cleanup(h.wait)
	return h
}

func (h *hub) note(a integration.Authorization) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, a)
}

func (h *hub) statuses() []integration.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []integration.Status
	for _, a := range h.changes {
		all = append(all, a.Status)
	}
	return all
}

// draft is a good draft of a grant, with changes.
func draft(grant, name string, changes ...string) integration.Draft {
	d := integration.Draft{Integration: "acme", Grant: grant, Name: name, Values: map[string]string{}}
	switch grant {
	case "sign-in", "machine":
		d.Values["client_id"], d.Values["client_secret"] = "hub", canary
	case "robot":
		d.Values["access"], d.Values["key"], d.Values["client_id"] = "robot", "sandbox", "hub"
	case "key":
		d.Values["key"] = canary
	case "basic":
		d.Values["user"], d.Values["password"] = "me@acme.example", canary
	case "bearer":
		d.Values["token"] = canary
	}
	for i := 0; i < len(changes); i += 2 {
		d.Values[changes[i]] = changes[i+1]
	}
	return d
}

func (h *hub) add(t testing.TB, d integration.Draft) integration.Authorization {
	t.Helper()
	a, err := h.Add(t.Context(), tenant, admin, d)
	require.NoError(t, err)
	require.Equal(t, integration.Pending, a.Status)
	return a
}

// signIn goes to the provider's page and returns what comes back.
func (h *hub) signIn(t testing.TB, address string) url.Values {
	t.Helper()
	form := url.Values{"email": {"ann@acme.example"}, "password": {authserver.SandboxPassword}, "action": {"sign-in"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusSeeOther, resp.StatusCode)
	to, err := resp.Location()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(to.String(), redirect+"?"), to)
	return to.Query()
}

// authorized adds an authorization and brings it to Authorized.
func (h *hub) authorized(t testing.TB, grant, name string) integration.Authorization {
	t.Helper()
	a := h.add(t, draft(grant, name))
	var err error
	if grant == "sign-in" {
		var address string
		address, err = h.Begin(t.Context(), tenant, a.ID, "session")
		require.NoError(t, err)
		a, err = h.Finish(t.Context(), tenant, "session", "acme", h.signIn(t, address))
	} else {
		a, err = h.Grant(t.Context(), tenant, a.ID)
	}
	require.NoError(t, err)
	require.Equal(t, integration.Authorized, a.Status)
	return a
}

func named(name string) outbound.Credential {
	return outbound.Credential{Tenant: tenant, Integration: "acme", Name: name}
}

func (p *provider) request(t testing.TB) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.host+"/api/things", nil)
	require.NoError(t, err)
	return req
}

// call authorizes a call and tells whether the API takes it.
func (h *hub) call(t testing.TB, c outbound.Credential) (stamp int64, accepted bool, err error) {
	t.Helper()
	req := h.request(t)
	stamp, err = h.Authorize(t.Context(), c, req)
	if err != nil {
		require.Empty(t, req.Header, "nothing is sent along with an error")
		return 0, false, err
	}
	_, accepted = h.Valid(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer "))
	return stamp, accepted, nil
}

func (h *hub) get(t testing.TB, id string) integration.Authorization {
	t.Helper()
	a, err := h.Get(t.Context(), tenant, id)
	require.NoError(t, err)
	return a
}

// aKey is a private key in PEM.
var aKey = sync.OnceValue(func() string {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	data, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: data}))
})
