package authserver

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	jwtBearer        = "urn:ietf:params:oauth:grant-type:jwt-bearer" //nolint:gosec // the name of a grant type
	maxAssertionLife = time.Hour
)

// fault is an answer of the token address that refuses.
type fault struct {
	status  int
	code    string
	message string
}

func refused(code, message string) *fault { return &fault{http.StatusBadRequest, code, message} }

// token is the token address.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	form, bad := parameters(r)
	s.mu.Lock()
	h := s.hold
	s.mu.Unlock()
	if h != nil {
		if h.wait(r); r.Context().Err() != nil {
			return
		}
	}
	if out, bad := s.outcome(r, form, bad); bad != nil {
		refuse(w, bad)
	} else {
		answer(w, http.StatusOK, out)
	}
}

// outcome decides a token call, and counts it.
func (s *Server) outcome(r *http.Request, form url.Values, bad *fault) (map[string]any, *fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		s.calls[strconv.Itoa(s.status)]++
		return nil, &fault{s.status, "temporarily_unavailable", "The sandbox was told to fail."}
	}
	var out map[string]any
	if bad == nil {
		out, bad = s.grantTokens(r, form)
	}
	if bad != nil {
		s.calls[bad.code]++
		return nil, bad
	}
	s.calls["ok"]++
	return out, nil
}

// grantTokens does what the call asks for. The caller holds the lock.
func (s *Server) grantTokens(r *http.Request, form url.Values) (map[string]any, *fault) {
	kind := form.Get("grant_type")
	if kind == jwtBearer {
		return s.byAssertion(form)
	}
	client, bad := s.client(r, form)
	if bad != nil {
		return nil, bad
	}
	switch kind {
	case "authorization_code":
		return s.byCode(client, form)
	case "refresh_token":
		return s.byRefresh(client, form)
	case "client_credentials":
		return s.byItself(client, client, form.Get("scope"), false), nil
	case "password":
		if form.Get("username") == "" || form.Get("password") != SandboxPassword {
			return nil, refused("invalid_grant", "The user name or the password is wrong.")
		}
		return s.byItself(client, form.Get("username"), form.Get("scope"), true), nil
	case "":
		return nil, refused("invalid_request", "grant_type is missing.")
	default:
		return nil, refused("unsupported_grant_type", "This grant_type is not supported.")
	}
}

// client authenticates the caller, by Basic or in the body, not both.
func (s *Server) client(r *http.Request, form url.Values) (string, *fault) {
	unknown := &fault{http.StatusUnauthorized, "invalid_client", "The client is not registered or its secret is wrong."}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if user, password, basic := r.BasicAuth(); basic {
		// RFC 6749 wants both form-encoded inside Basic.
		decodedID, err1 := url.QueryUnescape(user)
		decodedSecret, err2 := url.QueryUnescape(password)
		switch {
		case err1 != nil || err2 != nil:
			return "", unknown
		case secret != "" || id != "" && id != decodedID:
			return "", refused("invalid_request", "The client authenticated in two ways at once.")
		}
		id, secret = decodedID, decodedSecret
	}
	if id == "" {
		return "", unknown
	}
	if want, known := s.opts.Clients[id]; s.opts.Clients != nil && (!known || secret != want) {
		return "", unknown
	}
	return id, nil
}

// byCode exchanges a code. A code that fails once is spent; one that is used
// twice ends what it gave.
func (s *Server) byCode(client string, form url.Values) (map[string]any, *fault) {
	code := form.Get("code")
	if code == "" || form.Get("code_verifier") == "" {
		return nil, refused("invalid_request", "code and code_verifier are required.")
	}
	g := s.find(code)
	if g == nil || g.code != code {
		return nil, refused("invalid_grant", "The authorization code is not valid.")
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	why := ""
	switch {
	case g.codeUsed:
		why = "The authorization code was used before."
	case !s.opts.Clock.Now().Before(g.codeUntil):
		why = "The authorization code has expired."
	case g.client != client:
		why = "The authorization code is another client's."
	case g.redirect != form.Get("redirect_uri"):
		why = "redirect_uri is not the one of the authorization request."
	case g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]):
		why = "code_verifier does not match the code_challenge."
	}
	if why != "" {
		delete(s.grants, g.id)
		return nil, refused("invalid_grant", why)
	}
	g.codeUsed = true
	return s.tokens(g, s.renew(g), ""), nil
}

// byRefresh renews the access token, and with rotation the refresh token.
func (s *Server) byRefresh(client string, form url.Values) (map[string]any, *fault) {
	token := form.Get("refresh_token")
	if token == "" {
		return nil, refused("invalid_request", "refresh_token is missing.")
	}
	g := s.find(token)
	if g == nil || !strings.HasPrefix(token, g.id+refreshKind) || g.client != client || !s.opts.Clock.Now().Before(g.refreshUntil) {
		return nil, refused("invalid_grant", "The refresh token is expired, revoked or not this client's.")
	}
	if g.refresh != token {
		delete(s.grants, g.id)
		return nil, refused("invalid_grant", "The refresh token was used before; the authorization has been revoked.")
	}
	scope := form.Get("scope")
	for _, one := range strings.Fields(scope) {
		if !slices.Contains(strings.Fields(g.scope), one) {
			return nil, refused("invalid_scope", "A refresh cannot widen the scope.")
		}
	}
	next := ""
	if s.opts.Rotate {
		next = s.renew(g)
	}
	return s.tokens(g, next, scope), nil
}

// byItself answers a caller who needs nobody to sign in.
func (s *Server) byItself(client, account, scope string, refresh bool) map[string]any {
	g := &grant{client: client, account: account, scope: scope}
	s.add(g)
	if refresh {
		return s.tokens(g, s.renew(g), "")
	}
	return s.tokens(g, "", "")
}

// byAssertion answers the bearer of a signed JWT.
func (s *Server) byAssertion(form url.Values) (map[string]any, *fault) {
	wrong := func(why string) *fault { return refused("invalid_grant", "The assertion is not valid: "+why+".") }
	parts := strings.Split(form.Get("assertion"), ".")
	if len(parts) != 3 {
		return nil, wrong("it is not a JWT")
	}
	var header struct {
		Alg string `json:"alg"`
	}
	var claims struct {
		Iss string  `json:"iss"`
		Sub string  `json:"sub"`
		Aud any     `json:"aud"`
		Exp float64 `json:"exp"`
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || decodePart(parts[0], &header) != nil || decodePart(parts[1], &claims) != nil {
		return nil, wrong("it is not a JWT")
	}
	now, exp := s.opts.Clock.Now(), time.Unix(int64(min(max(claims.Exp, 0), 1e11)), 0)
	switch {
	case header.Alg != "RS256":
		return nil, wrong("it is not signed with RS256")
	case claims.Iss == "" || claims.Sub == "":
		return nil, wrong("iss and sub are required")
	case claims.Aud == nil || claims.Aud == "":
		return nil, wrong("aud is required")
	case !now.Before(exp):
		return nil, wrong("it has expired")
	case exp.After(now.Add(maxAssertionLife)):
		return nil, wrong("exp is more than an hour ahead")
	}
	if _, known := s.opts.Clients[claims.Iss]; s.opts.Clients != nil && !known {
		return nil, wrong("its issuer is no client")
	}
	if key := s.opts.Keys[claims.Iss]; key != nil {
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
			return nil, wrong("its signature does not match")
		}
	}
	return s.byItself(claims.Iss, claims.Sub, form.Get("scope"), false), nil
}

func decodePart(part string, out any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// tokens issues an access token and writes the answer; refresh is told unless it
// is empty, scope is the grant's unless it is narrower. The caller holds the
// lock.
func (s *Server) tokens(g *grant, refresh, scope string) map[string]any {
	out := map[string]any{"access_token": s.issue(g), "token_type": "Bearer"}
	if !s.opts.OmitExpiresIn {
		out["expires_in"] = int64(s.opts.AccessLife.Seconds())
	}
	if refresh != "" {
		out["refresh_token"] = refresh
		out["refresh_token_expires_in"] = int64(s.opts.RefreshLife.Seconds())
	}
	if scope == "" {
		scope = g.scope
	}
	if scope != "" {
		out["scope"] = scope
	}
	if s.opts.Extra != nil {
		maps.Copy(out, s.opts.Extra(g.account))
	}
	return out
}

// revoke is the revocation address. A token that is unknown, or another
// client's, is answered as one that was ended.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	form, bad := parameters(r)
	if bad == nil {
		bad = s.end(r, form)
	}
	if bad != nil {
		refuse(w, bad)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// end ends the grant of a token, whichever of its tokens that is.
func (s *Server) end(r *http.Request, form url.Values) *fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, bad := s.client(r, form)
	if bad != nil {
		return bad
	}
	token := form.Get("token")
	if token == "" {
		return refused("invalid_request", "token is missing.")
	}
	if g := s.find(token); g != nil && g.client == client {
		delete(s.grants, g.id)
	}
	return nil
}

// parameters reads a form that was posted. Parameters in the address do not
// count, since secrets have no place there.
func parameters(r *http.Request) (url.Values, *fault) {
	if r.Method != http.MethodPost {
		return nil, &fault{http.StatusMethodNotAllowed, "invalid_request", "Only POST is allowed."}
	}
	if err := r.ParseForm(); err != nil || len(r.PostForm) == 0 {
		return nil, refused("invalid_request", "The body is not a form.")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, refused("invalid_request", "A parameter is repeated: "+name+".")
		}
		if name != "assertion" && len(values[0]) > maxParam {
			return nil, refused("invalid_request", "A parameter is too long: "+name+".")
		}
	}
	return r.PostForm, nil
}

func refuse(w http.ResponseWriter, f *fault) {
	if f.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
	}
	answer(w, f.status, map[string]any{"error": f.code, "error_description": f.message})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
