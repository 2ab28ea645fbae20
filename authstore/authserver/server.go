package authserver

import (
	"crypto/rsa"
	"html/template"
	"maps"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"tandem/core"
)

// SandboxPassword is the one password that every account has.
const SandboxPassword = "sandbox"

// What a vendor is taken to do unless Options say otherwise.
const (
	defaultAccessLife  = 14 * 24 * time.Hour
	defaultRefreshLife = 90 * 24 * time.Hour
	codeLife           = time.Minute
)

// Options say how a Server behaves. The zero value is usable.
type Options struct {
	Clock core.Clock // nil: the machine's

	// Name is the vendor's, for the pages. Empty: "Sandbox".
	Name string

	// Issuer is sent as iss with every answer to the redirect address; nil or
	// an empty string: none. It is asked at each answer, since a server may
	// learn its own address late.
	Issuer func() string

	AccessLife  time.Duration // of access tokens; 0: 14 days
	RefreshLife time.Duration // of refresh tokens; 0: 90 days

	// Rotate gives a new refresh token with each refresh; using an old one
	// again ends the grant. Without it a refresh answers with no refresh token
	// and the first one stays in force.
	Rotate        bool
	OmitExpiresIn bool // token answers do not tell how long the access token lives

	Clients map[string]string         // client ids and their secrets; nil: every client is registered, with any secret or none
	Keys    map[string]*rsa.PublicKey // of the issuers of assertions; one without a key is believed

	// Extra returns what token answers hold beside the standard's members.
	// Called from several goroutines; it must not call the server.
	Extra func(account string) map[string]any
}

// Server is an authorization server. Its methods may be called from several
// goroutines.
type Server struct {
	opts  Options
	views *template.Template

	mu     sync.Mutex
	grants map[string]*grant
	order  []string // ids of grants, oldest first
	calls  map[string]int
	fail   int // token calls still to be refused
	status int // with which
	hold   *hold
}

// New returns a server without grants.
func New(opts Options) *Server {
	if opts.Clock == nil {
		opts.Clock = core.SystemClock{}
	}
	if opts.Name == "" {
		opts.Name = "Sandbox"
	}
	if opts.AccessLife == 0 {
		opts.AccessLife = defaultAccessLife
	}
	if opts.RefreshLife == 0 {
		opts.RefreshLife = defaultRefreshLife
	}
	views := template.Must(template.ParseFS(files, "pages.html"))
	return &Server{opts: opts, views: views, grants: map[string]*grant{}, calls: map[string]int{}}
}

// ServeHTTP answers at whatever path a vendor has for an endpoint: the last
// segment decides. Any other path is not found.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	switch dir, name := path.Split(r.URL.Path); name {
	case "authorize", "oauth_auth.do":
		s.authorize(w, r)
	case "access_token", "token", "tokens", "oauth_token.do":
		s.token(w, r)
	case "revoke", "oauth_revoke.do":
		s.revoke(w, r)
	case "new":
		if strings.HasSuffix(dir, "/oauth/authorizations/") {
			s.authorize(w, r)
			return
		}
		http.NotFound(w, r)
	case "sessions", "style.css":
		if strings.HasSuffix(dir, "/sandbox/") {
			s.pages(w, r, name)
			return
		}
		http.NotFound(w, r)
	default:
		http.NotFound(w, r)
	}
}

// RevokeAll ends every grant, as if the vendor had lost its trust in everyone.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.grants)
	s.order = nil
}

// Revoke ends the grants of an account.
func (s *Server) Revoke(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.grants, func(_ string, g *grant) bool { return g.account == account })
}

// FailTokens answers the next n token calls with the status. They change
// nothing.
func (s *Server) FailTokens(n, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.status = n, status
}

// HoldTokens makes token calls wait, before anything is done for them, until
// release is called, which may be done more than once. arrived gets a value for
// each call that begins to wait. Holding again first releases the calls that
// were held before.
func (s *Server) HoldTokens() (arrived <-chan struct{}, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &hold{arrived: make(chan struct{}, 64), released: make(chan struct{})}
	if s.hold != nil {
		s.hold.release()
	}
	s.hold = h
	return h.arrived, h.release
}

// TokenCalls counts the token calls that were answered so far by outcome: "ok",
// an error of OAuth such as "invalid_grant", or the status that FailTokens asked
// for. The caller owns the map.
func (s *Server) TokenCalls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Valid returns whose access token it is, and whether it may be used now.
func (s *Server) Valid(accessToken string) (account string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.find(accessToken)
	if g == nil || !g.opens(accessToken, s.opts.Clock.Now()) {
		return "", false
	}
	return g.account, true
}

// hold keeps token calls waiting.
type hold struct {
	arrived  chan struct{}
	released chan struct{}
	once     sync.Once
}

func (h *hold) release() { h.once.Do(func() { close(h.released) }) }

// wait returns when the calls are released or the caller has gone.
func (h *hold) wait(r *http.Request) {
	select {
	case h.arrived <- struct{}{}:
	default:
	}
	select {
	case <-h.released:
	case <-r.Context().Done():
	}
}
