package console

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core/coretest"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/server"
	"tandem/core/store"
)

// files are the mapping files of the tests.
var files = map[string]string{
	"acme/integration.yaml": `title: Acme <b>Parcels</b>
description: Parcels & more
docs: https://docs.acme.example/api
base: https://{account}.acme.example/api
settings:
  - name: account
    label: Account
    help: What stands before .acme.example
    pattern: "[a-z0-9-]{1,40}"
    required: true
  - name: region
    label: Region
    required: true
    default: eu
    options: [{value: eu, label: Europe}, {value: us, label: America}]
grants:
  - id: sign-in
    type: authorization_code
    title: Sign in
    help: Sign in as the owner of the account.
    fields:
      - {name: client_id, label: Client ID, required: true}
      - {name: client_secret, label: Client secret, required: true, secret: true}
    authorize: https://login.acme.example/authorize
    token: https://login.acme.example/token
    scopes: [parcels.read, parcels.write]
  - id: key
    type: api_key
    title: Key
    fields: [{name: key, label: Key, required: true, secret: true, multiline: true}]
    header: X-Key
    value: "{key}"
`,
	"plain/integration.yaml": `title: Plain
description: Needs nothing
base: https://plain.example
no_authorization: true
`,
	"other/integration.yaml": `title: Other
description: Another
base: https://other.example
grants:
  - id: token
    type: bearer
    title: Token
    fields: [{name: token, label: Token, required: true, secret: true}]
`,
	"acme/find-parcel.yaml": `title: Find a parcel
description: Looks for parcels & more.
input:
  - {name: number, type: text, required: true, max: 40, redact: true, help: As on the label.}
  - {name: state, type: text, options: [open, closed], default: open}
strict: true
example: {number: "100"}
steps:
  - id: find
    request:
      method: GET
      path: /parcels/{input.number}
    extract:
      label: = body.label
output:
  label: = steps.find.label
`,
	"acme/find-parcel_test.yaml": `tests:
  - name: finds a parcel
    input: {number: "4711"}
    exchanges:
      - request: {method: GET, path: /parcels/4711}
        answer: {status: 200, body: {label: Books}}
    result: {label: Books}
  - name: another <b>parcel</b>
    input: {number: "4712"}
    exchanges:
      - request: {method: GET, path: /parcels/4712}
        answer: {status: 200, body: {label: Shoes}}
    result: {label: Shoes}
`,
	"acme/send-parcel.yaml": `title: Send a parcel
description: Sends one.
example: {}
steps:
  - id: send
    request:
      method: POST
      path: /parcels
      body: {label: Books}
output: {sent: true}
`,
	"plain/ask.yaml": `title: Ask
description: Asks.
example: {}
steps:
  - id: ask
    request:
      method: GET
      path: /ask
output: {asked: true}
`,
	"webex-contact-center/integration.yaml": `title: Webex Contact Center
description: Contact centre
base: https://api.wxcc.example
grants:
  - id: sign-in
    type: bearer
    title: Token
    fields: [{name: token, label: Token, required: true, secret: true}]
`,
	"webex/nodes.yaml": `nodes:
  - {node: send-parcel, title: Send Parcel, versions: ["1.2", "1.0"], integration: acme}
  - {node: find-parcel, title: Find Parcel, versions: ["1.0"], integration: acme, authorization: Special}
  - {node: set-variable, title: Set Variable, versions: ["1.7"], integration: webex-contact-center}
  - {node: find-parcel, id: find-parcel-old, title: Find Parcel, versions: ["0.9"], integration: acme}
`,
}

const (
	password = "correct horse battery"
	hostile  = `<script>alert("x")</script>`
)

// noon is when the tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

type sealer struct{ cipher.AEAD }

func (s sealer) Seal(ad string, plain []byte) []byte { return s.AEAD.Seal(nil, nil, plain, []byte(ad)) }

func (s sealer) Open(ad string, sealed []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, []byte(ad))
}

// rig is a hub with a console, three tenants' worth of people apart, and the
// authorizations of the fake.
type rig struct {
	*Console

	t         *testing.T
	fake      *fake
	clock     *coretest.Clock
	db        *store.DB
	handler   http.Handler
	base      string
	upstreams []outbound.Upstream
	mapped    MappingState
	runs      []execution.Run
	trials    []Trial // that were asked for
	came      Outcome // the answer to each
	desk      *fakeDesk
	webex     *fakeWebex
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, clock: coretest.NewClock(noon), desk: &fakeDesk{}, webex: &fakeWebex{}}
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	set, findings := mapping.Read(fsys)
	require.Empty(t, findings)
	catalogue, findings := integration.Load(set)
	require.Empty(t, findings)
	operations, findings := operation.Load(set, catalogue)
	require.Empty(t, findings)
	r.fake = &fake{
		catalogue: func() *integration.Catalogue { return catalogue },
		clock:     r.clock, secrets: map[string]map[string]string{},
	}
	var err error
	r.db, err = store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "tandem.db"), Clock: r.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.db.Close()) })
	require.NoError(t, r.db.Migrate(t.Context()))
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	who := identity.New(identity.Options{
		DB: r.db, Clock: r.clock, Sealer: sealer{aead}, Tenants: func() []string { return []string{"contoso", "fabrikam"} },
	})
	r.Console, err = New(Options{
		Identity: who, Integrations: r.fake.catalogue, Authorizations: r.fake,
		Upstreams:  func(string) []outbound.Upstream { return r.upstreams },
		Mappings:   func(string) MappingState { return r.mapped },
		Operations: func() *operation.Catalogue { return operations },
		Try: func(_ context.Context, trial Trial) Outcome {
			r.trials = append(r.trials, trial)
			if r.came.Result != nil { // a Runner lends its mask
				r.came.Result.Mask = trial.Operation.Mask(trial.Input)
			}
			return r.came
		},
		Executions:   r,
		Desk:         r.desk,
		FindTask:     r.desk.find,
		Webex:        r.webex,
		Check:        func(context.Context, integration.Authorization) error { return r.fake.checked },
		Tenant:       func(name string) string { return strings.ToUpper(name[:1]) + name[1:] + " Ltd" },
		BaseURL:      func() string { return r.base },
		SingleSignOn: "Sign in with Contoso", Clock: r.clock, Version: "1.2.3", Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	srv, err := server.New(server.Options{Logger: slog.New(slog.DiscardHandler), Clock: r.clock})
	require.NoError(t, err)
	r.Mount(srv.Echo())
	r.handler = srv.Echo()
	return r
}

// fill gives contoso authorizations in every status.
func (r *rig) fill() {
	add := func(id, of, grant, name string, status integration.Status, more func(*integration.Authorization)) {
		a := integration.Authorization{
			ID: id, Tenant: "contoso", Integration: of, Grant: grant, Name: name, Status: status, Since: noon.Add(-3 * time.Hour),
			Values: map[string]string{"account": "contoso", "region": "us", "client_id": "id-" + id}, Secrets: []string{"client_secret"},
			Created: noon.Add(-10 * day), CreatedBy: "ann@contoso.example", Updated: noon.Add(-9 * day), UpdatedBy: "bob@contoso.example", Version: 1,
		}
		if more != nil {
			more(&a)
		}
		r.fake.all = append(r.fake.all, a)
	}
	add("good", "acme", "sign-in", "Production", integration.Authorized, func(a *integration.Authorization) {
		a.DefaultFor, a.Account, a.Expires = []string{""}, "owner@contoso.example"+hostile, noon.Add(9*day-time.Hour)
		a.Scopes, a.Base, a.TokenExpires = []string{"parcels.read"}, "https://contoso.acme.example/api", noon.Add(time.Hour)
	})
	add("bad", "acme", "sign-in", "Old "+hostile, integration.Reauthorize, func(a *integration.Authorization) {
		a.Reason = "The provider said " + hostile
	})
	add("wait", "acme", "key", "Special", integration.Pending, nil)
	add("lost", "vanished", "x", "Left over", integration.Authorized, nil)
	r.fake.all = append(r.fake.all, integration.Authorization{
		ID: "theirs", Tenant: "fabrikam", Integration: "acme", Grant: "sign-in", Name: "Fabrikam's own", Status: integration.Authorized,
	})
	r.upstreams = []outbound.Upstream{
		{Names: []string{"acme"}, Host: "contoso.acme.example:443", State: outbound.Open, Failures: 7, Since: noon.Add(-20 * time.Second), NextProbe: noon.Add(10 * time.Second)},
		{Names: []string{"gone"}, Host: hostile, State: outbound.HalfOpen, Since: noon},
		{Names: []string{"other"}, Host: "other.example:443", State: outbound.Closed, InFlight: 3, Waiting: 2},
	}
	r.mapped = mappedState()
	r.runs = runs()
	r.desk.fill()
	r.webex.state = subscription()
}

// browser keeps cookies as a browser does.
type browser struct {
	rig     *rig
	host    string
	headers map[string]string
	jar     map[string]string
}

func (r *rig) browser() *browser {
	return &browser{rig: r, host: "localhost:8080", jar: map[string]string{}, headers: map[string]string{}}
}

// as returns the browser of somebody new with the role, signed in.
func (r *rig) as(role identity.Role) *browser {
	r.t.Helper()
	upn := string(role) + "@contoso.example"
	_, err := r.o.Identity.Add(r.t.Context(), "contoso", upn, "The "+role.Label(), role, password)
	require.NoError(r.t, err)
	b := r.browser()
	b.signIn(upn)
	return b
}

func (b *browser) signIn(upn string) {
	b.rig.t.Helper()
	got := b.post("/console/login", "upn", upn, "password", password)
	require.Equal(b.rig.t, http.StatusSeeOther, got.status, got.body)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (b *browser) do(method, target string, form url.Values) answer {
	b.rig.t.Helper()
	var body io.Reader
	if method != http.MethodGet {
		body = strings.NewReader(form.Encode())
	}
	req := httptest.NewRequestWithContext(b.rig.t.Context(), method, target, body)
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	req.Host = b.host
	for k, v := range b.headers {
		req.Header.Set(k, v)
	}
	for k, v := range b.jar {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	rec := httptest.NewRecorder()
	b.rig.handler.ServeHTTP(rec, req)
	for _, c := range rec.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c.Value
	}
	got := answer{rec.Code, rec.Header(), rec.Body.String()}
	if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		b.rig.check(got)
	}
	return got
}

func (b *browser) get(target string) answer {
	b.rig.t.Helper()
	return b.do(http.MethodGet, target, nil)
}

func (b *browser) post(target string, pairs ...string) answer {
	b.rig.t.Helper()
	form := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		form.Set(pairs[n], pairs[n+1])
	}
	return b.do(http.MethodPost, target, form)
}

var (
	inline     = regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<script(?:>|\s+[^>]*>[^<])`)
	unfinished = regexp.MustCompile(`ZgotmplZ|<no value>|%!`)
	ids        = regexp.MustCompile(`\sid="([^"]*)"`)
	refs       = regexp.MustCompile(`\s(?:for|aria-describedby|aria-labelledby)="([^"]*)"`)
	controls   = regexp.MustCompile(`<(?:a|button|input|select|summary|textarea)\s[^>]*>`)
	own        = regexp.MustCompile(`\s(?:href|action|src|hx-get)="(/[^"]*)"`)
)

// check holds what is true of every page.
func (r *rig) check(got answer) {
	r.t.Helper()
	require.Equal(r.t, policy, got.header.Get("Content-Security-Policy"))
	require.Equal(r.t, "no-referrer", got.header.Get("Referrer-Policy"))
	opener := "same-origin"
	if strings.Contains(got.body, "<h1>My work</h1>") || strings.Contains(got.body, `hx-get="`+r.prefix()+`/console/work"`) {
		opener = "same-origin-allow-popups" // the one page that opens one page after the other in one tab
	}
	require.Equal(r.t, opener, got.header.Get("Cross-Origin-Opener-Policy"))
	require.Equal(r.t, "no-store", got.header.Get("Cache-Control"))
	require.Equal(r.t, "nosniff", got.header.Get("X-Content-Type-Options"))
	require.NotEmpty(r.t, got.header.Get("Permissions-Policy"))
	require.NotRegexp(r.t, inline, got.body)
	require.NotRegexp(r.t, unfinished, got.body)
	require.NotContains(r.t, got.body, hostile)
	seen := map[string]bool{}
	for _, m := range ids.FindAllStringSubmatch(got.body, -1) {
		require.False(r.t, seen[m[1]], "id %q twice", m[1])
		seen[m[1]] = true
	}
	for _, m := range refs.FindAllStringSubmatch(got.body, -1) {
		for ref := range strings.FieldsSeq(m[1]) {
			require.True(r.t, seen[ref], "nothing has the id %q", ref)
		}
	}
	if _, region, ok := strings.Cut(got.body, `<div id="live" data-live`); ok { // the script keeps the focus by id
		region, _, _ = strings.Cut(region, "<footer>")
		for _, m := range controls.FindAllString(region, -1) {
			require.True(r.t, ids.MatchString(m) || strings.Contains(m, `type="hidden"`), m)
		}
	}
	for _, m := range own.FindAllStringSubmatch(got.body, -1) {
		require.True(r.t, strings.HasPrefix(m[1], r.prefix()+"/console"), m[1])
	}
}
