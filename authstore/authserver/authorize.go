package authserver

import (
	"embed"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

//go:embed pages.html style.css
var files embed.FS

const maxSessions = 200 // on the page

// request is an authorization request whose client and redirect address are
// right, so that errors may be told to the client.
type request struct {
	query    url.Values
	redirect *url.URL
}

// authorize is the authorize address: the sign-in page and its form.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	req, why := s.request(r.URL.Query())
	if why != "" {
		s.show(w, http.StatusBadRequest, "refused", map[string]any{"Why": why})
		return
	}
	if code, message := req.check(); code != "" {
		s.goBack(w, r, req, url.Values{"error": {code}, "error_description": {message}})
		return
	}
	if r.Method == http.MethodGet {
		s.signIn(w, req, r.URL.Query().Get("login_hint"), "")
		return
	}
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		http.Error(w, "This form belongs to another site.", http.StatusForbidden)
		return
	}
	email := r.PostFormValue("email")
	switch {
	case r.PostFormValue("action") == "cancel":
		s.goBack(w, r, req, url.Values{"error": {"access_denied"}, "error_description": {"The user did not allow it."}})
	case !strings.Contains(email, "@") || len(email) > 200 || r.PostFormValue("password") != SandboxPassword:
		s.signIn(w, req, email, "The e-mail address or the password is wrong.")
	default:
		s.goBack(w, r, req, url.Values{"code": {s.newCode(req, email)}})
	}
}

// request reads what must be right before anything may go to the redirect
// address; why is for the person in front of the page.
func (s *Server) request(query url.Values) (req *request, why string) {
	for name, values := range query {
		if len(values) > 1 {
			return nil, "A parameter is repeated: " + name + "."
		}
		if len(values[0]) > maxParam {
			return nil, "A parameter is too long: " + name + "."
		}
	}
	client := query.Get("client_id")
	if _, known := s.opts.Clients[client]; client == "" || s.opts.Clients != nil && !known {
		return nil, "The application that sent you here is not registered (client_id)."
	}
	redirect, err := url.Parse(query.Get("redirect_uri"))
	if err != nil || redirect.Scheme != "https" && redirect.Scheme != "http" || redirect.Host == "" || redirect.Fragment != "" || redirect.User != nil {
		return nil, "The application that sent you here gave no usable address to return to (redirect_uri)."
	}
	return &request{query: query, redirect: redirect}, ""
}

// check returns the error of OAuth that the client is told, if any.
func (q *request) check() (code, message string) {
	challenge := q.query.Get("code_challenge")
	switch {
	case q.query.Get("response_type") == "":
		return "invalid_request", "response_type is missing."
	case q.query.Get("response_type") != "code":
		return "unsupported_response_type", "Only response_type=code is supported."
	case q.query.Get("code_challenge_method") != "S256":
		return "invalid_request", "code_challenge with code_challenge_method=S256 is required."
	case len(challenge) != 43 || strings.Trim(challenge, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "":
		return "invalid_request", "code_challenge is not a SHA-256 in base64url."
	default:
		return "", ""
	}
}

// newCode makes a grant of the account and returns its code.
func (s *Server) newCode(req *request, account string) string {
	g := &grant{
		account: account, client: req.query.Get("client_id"), scope: strings.Join(strings.Fields(req.query.Get("scope")), " "),
		redirect: req.query.Get("redirect_uri"), challenge: req.query.Get("code_challenge"),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(g)
	g.code, g.codeUntil = g.newToken(codeKind), g.since.Add(codeLife)
	return g.code
}

// goBack sends the person back to the client with an answer.
func (s *Server) goBack(w http.ResponseWriter, r *http.Request, req *request, answer url.Values) {
	if state := req.query.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if s.opts.Issuer != nil {
		if iss := s.opts.Issuer(); iss != "" {
			answer.Set("iss", iss)
		}
	}
	to := *req.redirect
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += answer.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther) //nolint:gosec // that is what an authorization server does
}

func (s *Server) signIn(w http.ResponseWriter, req *request, email, problem string) {
	s.show(w, http.StatusOK, "signin", map[string]any{
		"Client": req.query.Get("client_id"), "Scopes": strings.Fields(req.query.Get("scope")),
		"Return": req.redirect.Host, "Email": email, "Problem": problem, "Password": SandboxPassword,
	})
}

// pages serves the page of sessions, where a person ends grants at the
// provider, and the style sheet.
func (s *Server) pages(w http.ResponseWriter, r *http.Request, name string) {
	switch {
	case name == "style.css" && r.Method == http.MethodGet:
		http.ServeFileFS(w, r, files, "style.css")
	case name == "sessions" && r.Method == http.MethodGet:
		s.show(w, http.StatusOK, "sessions", map[string]any{"Sessions": s.sessions()})
	case name == "sessions" && r.Method == http.MethodPost:
		if err := new(http.CrossOriginProtection).Check(r); err != nil {
			http.Error(w, "This form belongs to another site.", http.StatusForbidden)
			return
		}
		id := r.PostFormValue("id")
		s.mu.Lock()
		delete(s.grants, id)
		s.mu.Unlock()
		w.Header().Set("Location", "sessions")
		w.WriteHeader(http.StatusSeeOther)
	default:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	}
}

// session is a row of the page of sessions.
type session struct{ ID, Account, Client, Scope, Since string }

// sessions returns the live grants, newest first.
func (s *Server) sessions() []session {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock.Now()
	var rows []session
	for _, id := range slices.Backward(s.order) {
		if g := s.grants[id]; g != nil && g.live(now) && len(rows) < maxSessions {
			rows = append(rows, session{g.id, g.account, g.client, g.scope, g.since.UTC().Format("2006-01-02 15:04:05 UTC")})
		}
	}
	return rows
}

// show writes a page. No script, and styles only from here.
func (s *Server) show(w http.ResponseWriter, status int, view string, data map[string]any) {
	data["Vendor"] = s.opts.Name
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_ = s.views.ExecuteTemplate(w, view, data)
}
