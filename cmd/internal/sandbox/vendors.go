package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"go.yaml.in/yaml/v3"

	"tandem/authstore/authserver"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/mappings"
)

// Vendors stands in for the clouds of every shipped integration, on one
// loopback address: below /<integration>/ are the vendor's sign-in, its token
// address and the address that tells whose credential it got. Whatever is a
// password, a key or a token handed out by hand is "sandbox". Its methods may be
// called from several goroutines.
type Vendors struct {
	listener net.Listener
	server   *http.Server
	sites    map[string]*site
	webex    *Webex
}

// site is one vendor.
type site struct {
	about *integration.Integration
	auth  *authserver.Server
	own   []string // paths of the authorization server

	counter *counter // nil: the vendor has no CRM here
}

// NewVendors starts the vendors on a free loopback port.
func NewVendors(clock core.Clock) (*Vendors, error) {
	set, findings := mapping.Read(mappings.FS)
	catalogue, more := integration.Load(set)
	if findings = append(findings, more...); len(findings) > 0 {
		return nil, fmt.Errorf("the shipped mappings are wrong: %s", findings[0])
	}
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	v := &Vendors{listener: l, sites: map[string]*site{}, webex: newWebex(clock)}
	for _, about := range catalogue.All() {
		v.sites[about.ID] = newSite(about, v.prefix(about.ID), clock, v.webex)
	}
	v.server = &http.Server{Handler: v, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = v.server.Serve(l) }()
	return v, nil
}

// newSite makes a vendor as its mapping file describes it; prefix is its address.
func newSite(about *integration.Integration, prefix string, clock core.Clock, webex *Webex) *site {
	opts := authserver.Options{
		Clock: clock, Name: about.Title, Issuer: func() string { return prefix }, AccessLife: time.Hour,
	}
	switch about.ID {
	case "webex-contact-center":
		opts.AccessLife, opts.RefreshLife, opts.Rotate = 14*24*time.Hour, 90*24*time.Hour, true
	case "salesforce":
		opts.OmitExpiresIn = true
	}
	s := &site{about: about}
	var extra any
	for _, g := range about.Grants {
		for _, address := range []string{g.Authorize, g.Token, g.Revoke} {
			s.own = append(s.own, pathOf(address))
		}
		if g.TokenBase != "" {
			extra = put(extra, strings.Split(g.TokenBase, "."), prefix)
		}
	}
	if fields, ok := extra.(map[string]any); ok {
		opts.Extra = func(string) map[string]any { return fields }
	}
	s.auth = authserver.New(opts)
	if c := newCRM(about.ID, prefix, clock, webex); c != nil {
		s.counter = &counter{crm: c, clock: clock}
	}
	return s
}

// Addr is the host and port of all vendors, which the hub must be allowed to
// call.
func (v *Vendors) Addr() string { return v.listener.Addr().String() }

// Sessions is the address of the page on which people end their grants at a
// vendor.
func (v *Vendors) Sessions(id string) string { return v.prefix(id) + "/sandbox/sessions" }

// Auth is the authorization server of a vendor; nil when there is no such
// vendor.
func (v *Vendors) Auth(id string) *authserver.Server {
	if s := v.sites[id]; s != nil {
		return s.auth
	}
	return nil
}

// Close ends the vendors.
func (v *Vendors) Close() {
	_ = v.server.Close()
	v.webex.close()
}

func (v *Vendors) prefix(id string) string { return "http://" + v.Addr() + "/" + id }

// ServeHTTP serves all vendors, and at / a page that names them.
func (v *Vendors) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	s := v.sites[id]
	switch {
	case s != nil:
		s.serve(w, r, "/"+rest)
	case r.URL.Path == "/":
		v.index(w)
	default:
		http.NotFound(w, r)
	}
}

// indexPage is the page at /: the vendors, each with its page of sessions.
const indexPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Vendors (sandbox)</title>
{{range $id, $title := .}}<link rel="stylesheet" href="{{$id}}/sandbox/style.css">{{break}}{{end}}
</head>
<body>
<main>
<p class="tag">Sandbox</p>
<h1>Who has access, by vendor</h1>
<ul>{{range $id, $title := .}}<li><a href="{{$id}}/sandbox/sessions">{{$title}}</a></li>{{end}}</ul>
</main>
</body>
</html>
`

func (v *Vendors) index(w http.ResponseWriter) {
	titles := map[string]string{}
	for id, s := range v.sites {
		titles[id] = s.about.Title
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = template.Must(template.New("").Parse(indexPage)).Execute(w, titles)
}

// serve answers a request to one vendor; at is the path there.
func (s *site) serve(w http.ResponseWriter, r *http.Request, at string) {
	same := func(template string) bool { return matches(template, at) }
	if strings.Contains(at, "/sandbox/") || slices.ContainsFunc(s.own, same) {
		s.auth.ServeHTTP(w, r)
		return
	}
	if id, page := strings.CutPrefix(at, "/agent/tickets/"); page && s.about.ID == "zendesk" {
		s.counter.crm.(*zendesk).page(w, id)
		return
	}
	account, ok := s.who(r)
	switch {
	case !ok && s.about.ID == "webex-contact-center" && wxAPI(at):
		wxUnauthorized(w, r, at)
		return
	case !ok:
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		write(w, http.StatusUnauthorized, s.unauthorized())
		return
	}
	var answer any
	for _, g := range s.about.Grants {
		if g.Account.Field != "" && same(pathOf(g.Account.URL)) {
			answer = put(answer, strings.Split(g.Account.Field, "."), account)
		}
	}
	switch {
	case answer == nil && s.counter != nil && s.counter.serve(w, r, at):
	case answer == nil:
		write(w, http.StatusNotFound, json.RawMessage(`{"error":"not_found","message":"The sandbox has no such resource."}`))
	case r.Method != http.MethodGet:
		write(w, http.StatusMethodNotAllowed, json.RawMessage(`{"error":"method_not_allowed"}`))
	default:
		write(w, http.StatusOK, answer)
	}
}

// who tells whose credential the request carries.
func (s *site) who(r *http.Request) (account string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bearer := strings.EqualFold(scheme, "Bearer")
	if bearer {
		if account, ok = s.auth.Valid(token); ok {
			return account, true
		}
	}
	user, password, basic := r.BasicAuth()
	for _, g := range s.about.Grants {
		switch g.Type {
		case integration.Bearer:
			ok = bearer && token == authserver.SandboxPassword
		case integration.Basic:
			if ok = basic && user != "" && password == authserver.SandboxPassword; ok {
				return strings.TrimSuffix(user, "/token"), true
			}
		case integration.APIKey:
			values := map[string]string{}
			for _, f := range s.about.Fields(&g) {
				values[f.Name] = authserver.SandboxPassword
			}
			want, err := integration.Render(g.Value, values)
			ok = err == nil && r.Header.Get(g.Header) == want
		}
		if ok {
			return "sandbox@" + s.about.ID + ".example", true
		}
	}
	return "", false
}

// unauthorized is how each vendor refuses a credential.
func (s *site) unauthorized() json.RawMessage {
	switch s.about.ID {
	case "webex-contact-center":
		return json.RawMessage(`{"message":"The request requires a valid access token set in the Authorization request header.",` +
			`"errors":[{"description":"The request requires a valid access token set in the Authorization request header."}],"trackingId":"SANDBOX_0"}`)
	case "salesforce":
		return json.RawMessage(`[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`)
	case "zendesk":
		return json.RawMessage(`{"error":"invalid_token","error_description":"The access token provided is expired, revoked, malformed or invalid for other reasons."}`)
	case "dynamics365":
		return json.RawMessage(`{"error":{"code":"0x80048306","message":"The access token is not valid."}}`)
	case "servicenow":
		return json.RawMessage(`{"error":{"message":"User is not authenticated","detail":"Required to provide Auth information"},"status":"failure"}`)
	case "hubspot":
		return json.RawMessage(`{"status":"error","message":"The OAuth token used to make this call is expired or revoked.",` +
			`"correlationId":"00000000-0000-0000-0000-000000000000","category":"EXPIRED_AUTHENTICATION"}`)
	default:
		return json.RawMessage(`{"error":"invalid_token","error_description":"The access token is expired or revoked."}`)
	}
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// put sets a value in a JSON document at a path of names and positions, and
// returns the document.
func put(doc any, at []string, value any) any {
	if len(at) == 0 {
		return value
	}
	if n, err := strconv.Atoi(at[0]); err == nil && n >= 0 && n < 100 {
		list, _ := doc.([]any)
		for len(list) <= n {
			list = append(list, nil)
		}
		list[n] = put(list[n], at[1:], value)
		return list
	}
	fields, ok := doc.(map[string]any)
	if !ok {
		fields = map[string]any{}
	}
	fields[at[0]] = put(fields[at[0]], at[1:], value)
	return fields
}

// pathOf returns the path of an address, which may be a template; empty when
// there is no address.
func pathOf(address string) string {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	_, at, _ := strings.Cut(rest, "/")
	return "/" + at
}

// matches tells whether a path fits a template, in which a field stands for a
// segment or a part of one.
func matches(template, at string) bool {
	want, got := strings.Split(template, "/"), strings.Split(at, "/")
	return template != "" && len(want) == len(got) && slices.EqualFunc(want, got, func(a, b string) bool {
		before, _, field := strings.Cut(a, "{")
		after := a[strings.LastIndexByte(a, '}')+1:]
		return a == b || field && len(b) > len(before)+len(after) && strings.HasPrefix(b, before) && strings.HasSuffix(b, after)
	})
}

// Mappings returns the mapping files of fsys with the addresses of the vendors'
// clouds turned to this sandbox.
func (v *Vendors) Mappings(fsys fs.FS) fs.FS { return &turned{fsys, v} }

// turned is a file system whose integration.yaml files are rewritten when they
// are opened.
type turned struct {
	fs.FS
	vendors *Vendors
}

// Open opens a file.
func (t *turned) Open(name string) (fs.File, error) {
	id, base := path.Split(name)
	id = strings.TrimSuffix(id, "/")
	if base != "integration.yaml" || t.vendors.sites[id] == nil {
		return t.FS.Open(name)
	}
	data, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return nil, err
	}
	return fstest.MapFS{name: {Data: t.vendors.turn(id, data), Mode: 0o444}}.Open(name)
}

// turn rewrites the addresses of a file. What is no good file stays as it is:
// whoever loads it finds that out.
func (v *Vendors) turn(id string, data []byte) []byte {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) != 1 {
		return data
	}
	root := doc.Content[0]
	v.turnAddress(id, entry(root, "base"))
	if grants := entry(root, "grants"); grants != nil {
		for _, g := range grants.Content {
			for _, address := range []*yaml.Node{
				entry(g, "authorize"), entry(g, "token"), entry(g, "revoke"), entry(entry(g, "account"), "url"),
			} {
				v.turnAddress(id, address)
			}
			if entry(g, "authorize") != nil && entry(g, "issuer") == nil {
				g.Content = append(g.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "issuer"}, &yaml.Node{Kind: yaml.ScalarNode})
			}
			if issuer := entry(g, "issuer"); issuer != nil {
				issuer.SetString(v.prefix(id)) // what the sandbox sends as iss, whatever the path was
			}
			if hosts := entry(g, "token_hosts"); hosts != nil {
				hosts.Content = []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: v.Addr()}}
			}
		}
	}
	var out bytes.Buffer
	if err := yaml.NewEncoder(&out).Encode(&doc); err != nil {
		return data
	}
	return out.Bytes()
}

func (v *Vendors) turnAddress(id string, address *yaml.Node) {
	if address == nil || !strings.Contains(address.Value, "://") {
		return
	}
	to := v.prefix(id)
	if at := pathOf(address.Value); at != "/" {
		to += at
	}
	if _, query, found := strings.Cut(address.Value, "?"); found {
		to += "?" + query
	}
	address.SetString(to)
}

// entry returns the value of a key of a YAML mapping; nil when there is none.
func entry(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
