package integration

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/mapping"
)

const maxLife = 10 * 366 * 24 * time.Hour // of a token

// keysOf names the keys that each type of grant knows beside id, type, title,
// help, fields and account; those in must are mandatory.
var keysOf = map[GrantType]struct{ must, may []string }{
	AuthorizationCode: {
		[]string{"authorize", "token"},
		[]string{"revoke", "issuer", "scopes", "in_header", "parameters", "token_base", "token_hosts", "token_life", "refresh_life"},
	},
	ClientCredentials: {
		[]string{"token"},
		[]string{"revoke", "scopes", "in_header", "parameters", "token_base", "token_hosts", "token_life"},
	},
	Password: {
		[]string{"token", "username", "password"},
		[]string{"revoke", "scopes", "in_header", "parameters", "token_base", "token_hosts", "token_life", "refresh_life"},
	},
	JWTBearer: {
		[]string{"token", "audience", "subject"},
		[]string{"revoke", "scopes", "parameters", "token_base", "token_hosts", "token_life"},
	},
	APIKey: {[]string{"header", "value"}, nil},
	Basic:  {[]string{"username", "password"}, nil},
	Bearer: {nil, nil},
}

// fieldsOf names the fields that each type of grant reads by name.
var fieldsOf = map[GrantType]struct{ must, secrets []string }{
	AuthorizationCode: {[]string{"client_id"}, []string{"client_secret"}},
	ClientCredentials: {[]string{"client_id", "client_secret"}, []string{"client_secret"}},
	Password:          {nil, []string{"client_secret"}},
	JWTBearer:         {[]string{"client_id", "private_key"}, []string{"private_key"}},
	Bearer:            {[]string{"token"}, []string{"token"}},
}

// base judges the template of an integration's base address.
func (l *loader) base(base mapping.Text, settings []Field) {
	l.address(base, "base", settings)
	if strings.Contains(base.Value, "?") {
		l.add(base.Pos, "base must not have a query")
	}
	if strings.HasSuffix(base.Value, "/") {
		l.add(base.Pos, "base must not end with a slash")
	}
}

// grant makes a grant of an integration whose settings are there already.
func (l *loader) grant(i *Integration, e grantEntry) Grant {
	g := Grant{
		ID: e.ID.Value, Type: GrantType(e.Type.Value), Title: e.Title, Help: e.Help, Fields: l.fields(e.Fields, i.Settings),
		Authorize: e.Authorize.Value, Token: e.Token.Value, Revoke: e.Revoke.Value, Issuer: e.Issuer.Value,
		InHeader: e.InHeader.Value, Audience: e.Audience.Value, Subject: e.Subject.Value,
		TokenBase: e.TokenBase.Value, TokenLife: e.TokenLife.Value, RefreshLife: e.RefreshLife.Value,
		Header: e.Header.Value, Value: e.Value.Value, Username: e.Username.Value, Password: e.Password.Value,
		Account: Account{URL: e.Account.URL.Value, Field: e.Account.Field.Value},
	}
	if !idForm.MatchString(g.ID) && g.ID != "" {
		l.add(e.ID.Pos, "%s is not the id of a grant: it is made of a-z, 0-9 and -", mapping.Quote(g.ID))
	}
	if _, known := keysOf[g.Type]; known {
		l.keys(g.Type, e)
	} else if g.Type != "" {
		l.unknown(e.Type, "grant type", grantTypes())
	}
	form := i.Fields(&g)
	l.namedFields(&g, e, form)
	for _, a := range []struct {
		text mapping.Text
		key  string
	}{
		{e.Authorize, "authorize"},
		{e.Token, "token"},
		{e.Revoke, "revoke"},
		{e.Issuer, "issuer"},
		{e.Account.URL, "account.url"},
	} {
		l.address(a.text, a.key, form)
	}
	g.Scopes = l.scopes(shorten(l, e.Scopes, maxEntries, "scopes", e.Pos), form)
	g.Parameters = l.parameters(e, form)
	l.tokens(e, &g)
	l.template(e.Audience, "audience", form, false)
	l.template(e.Subject, "subject", form, false)
	l.credential(e, &g, form)
	l.path(e.Account.Field, "account.field")
	if e.Account.Field.Given() && e.Account.URL.Value == "" {
		l.add(e.Account.Field.Pos, "account.field needs account.url")
	}
	return g
}

func grantTypes() []string {
	var names []string
	for t := range keysOf {
		names = append(names, string(t))
	}
	slices.Sort(names)
	return names
}

// keys refuses what a grant of that type does not know, and misses what it needs.
func (l *loader) keys(t GrantType, e grantEntry) {
	pos := map[string]mapping.Pos{
		"authorize": e.Authorize.Pos, "token": e.Token.Pos, "revoke": e.Revoke.Pos, "issuer": e.Issuer.Pos,
		"in_header": e.InHeader.Pos, "audience": e.Audience.Pos, "subject": e.Subject.Pos,
		"token_base": e.TokenBase.Pos, "token_life": e.TokenLife.Pos, "refresh_life": e.RefreshLife.Pos,
		"header": e.Header.Pos, "value": e.Value.Pos, "username": e.Username.Pos, "password": e.Password.Pos,
	}
	if len(e.Scopes) > 0 {
		pos["scopes"] = e.Scopes[0].Pos
	}
	if len(e.TokenHosts) > 0 {
		pos["token_hosts"] = e.TokenHosts[0].Pos
	}
	for name := range e.Parameters {
		pos["parameters"] = name.Pos
	}
	of := keysOf[t]
	for key, at := range pos {
		if at.Given() && !slices.Contains(of.must, key) && !slices.Contains(of.may, key) {
			l.add(at, "a grant of type %s has no %q", t, key)
		}
	}
	for _, key := range of.must {
		if !pos[key].Given() {
			l.add(e.Pos, "a grant of type %s needs %q", t, key)
		}
	}
}

// namedFields judges the fields that a grant of its type reads by their names.
func (l *loader) namedFields(g *Grant, e grantEntry, form []Field) {
	of := fieldsOf[g.Type]
	for _, name := range of.must {
		if f := find(form, name); f == nil || !f.Required {
			l.add(e.Pos, "a grant of type %s needs the field %q, with required: true", g.Type, name)
		}
	}
	for _, name := range of.secrets {
		if f := find(form, name); f != nil && !f.Secret {
			l.add(e.Pos, "the field %q must have secret: true", name)
		}
	}
	if f := find(form, "client_id"); f != nil && f.Secret {
		l.add(e.Pos, "the field \"client_id\" is no secret")
	}
	if f := find(form, "private_key"); f != nil && g.Type == JWTBearer && !f.Multiline {
		l.add(e.Pos, "the field \"private_key\" must have multiline: true")
	}
	if g.InHeader && (find(form, "client_id") == nil || find(form, "client_secret") == nil) {
		l.add(e.InHeader.Pos, "in_header needs the fields \"client_id\" and \"client_secret\"")
	}
}

func find(form []Field, name string) *Field {
	for n := range form {
		if form[n].Name == name {
			return &form[n]
		}
	}
	return nil
}

// template judges a template and returns the fields in it that exist.
func (l *loader) template(text mapping.Text, key string, form []Field, secrets bool) (used []Field, ok bool) {
	if len(text.Value) > maxTemplate {
		l.add(text.Pos, "%s: it has more than %d characters", key, maxTemplate)
		return nil, false
	}
	parts, ok := split(text.Value)
	if !ok {
		l.add(text.Pos, "%s: braces hold the name of a field, as in {region}", key)
		return nil, false
	}
	for _, p := range parts {
		if !p.field {
			continue
		}
		f := find(form, p.text)
		switch {
		case f == nil:
			if len(l.findings) < maxFindings {
				l.add(text.Pos, "%s: there is no field %q%s", key, p.text, mapping.Suggest(p.text, names(form)))
			}
			ok = false
			continue
		case !f.Required && f.Default == "":
			l.add(text.Pos, "%s: the field %q must be required, or have a default", key, p.text)
		case f.Secret && !secrets:
			l.add(text.Pos, "%s: the secret %q cannot stand here", key, p.text)
		}
		used = append(used, *f)
	}
	return used, ok
}

func names(form []Field) []string {
	list := make([]string, len(form))
	for n, f := range form {
		list[n] = f.Name
	}
	return list
}

// address judges the template of an address; an empty one has been found.
func (l *loader) address(text mapping.Text, key string, form []Field) {
	if text.Value == "" {
		return
	}
	used, ok := l.template(text, key, form, false)
	for _, f := range used {
		if !l.fitsAddress(f) {
			ok = false
			l.add(text.Pos, "%s: the field %q becomes part of an address: it needs a pattern (or options) "+
				"of letters, digits and - . _ ~ only", key, f.Name)
		}
	}
	if !ok {
		return
	}
	if _, _, _, why := cut(text.Value); why != "" {
		l.add(text.Pos, "%s: %s", key, why)
		return
	}
	sample := make(map[string]string, len(used))
	for _, f := range used {
		sample[f.Name] = "x"
	}
	if _, err := Address(text.Value, sample); err != nil {
		l.add(text.Pos, "%s: %s is not an address", key, mapping.Quote(text.Value))
	}
}

func (l *loader) scopes(texts []mapping.Text, form []Field) []string {
	var list []string
	for _, s := range texts {
		l.template(s, "scopes", form, false)
		switch {
		case s.Value == "" || strings.ContainsAny(s.Value, " \t\r\n\"\\"):
			l.add(s.Pos, "scopes: each entry is one scope, without white space and quotes")
		case slices.Contains(list, s.Value):
			l.add(s.Pos, "duplicate scope %s", mapping.Quote(s.Value))
		}
		list = append(list, s.Value)
	}
	return list
}

// reserved are the parameters that the hub sets by itself.
var reserved = []string{
	"assertion", "client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_challenge",
	"code_challenge_method", "code_verifier", "grant_type", "password", "redirect_uri", "refresh_token",
	"request", "request_uri", "response_mode", "response_type", "scope", "state", "username",
}

func (l *loader) parameters(e grantEntry, form []Field) map[string]string {
	if len(e.Parameters) == 0 {
		return nil
	}
	// Those of a sign-in travel in an address that browsers remember.
	secrets := GrantType(e.Type.Value) != AuthorizationCode
	all := make(map[string]string, len(e.Parameters))
	for name, value := range e.Parameters {
		if name.Value == "" || slices.Contains(reserved, strings.ToLower(name.Value)) {
			l.add(name.Pos, "parameters: %s is set by the hub", mapping.Quote(name.Value))
		}
		l.template(value, "parameters", form, secrets)
		all[name.Value] = value.Value
	}
	return all
}

var tokenHostForm = regexp.MustCompile(`^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*$`)

// tokens judges what a grant says about the token answer.
func (l *loader) tokens(e grantEntry, g *Grant) {
	if e.TokenBase.Given() != (len(e.TokenHosts) > 0) {
		l.add(e.Pos, "token_base and token_hosts belong together")
	}
	l.path(e.TokenBase, "token_base")
	for _, h := range e.TokenHosts {
		name, _, _ := strings.Cut(h.Value, ":")
		if !tokenHostForm.MatchString(h.Value) && !core.Loopback(name) {
			l.add(h.Pos, "token_hosts: %s is not a host such as api.vendor.com or *.vendor.com", mapping.Quote(h.Value))
		}
		g.TokenHosts = append(g.TokenHosts, h.Value)
	}
	for _, life := range []mapping.Located[time.Duration]{e.TokenLife, e.RefreshLife} {
		if life.Given() && (life.Value < time.Second || life.Value > maxLife) {
			l.add(life.Pos, "the life of a token is at least 1s and at most ten years")
		}
	}
}

// forbiddenHeaders belong to HTTP itself, or mean something else than a key.
var forbiddenHeaders = []string{
	"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "date",
	"expect", "forwarded", "from", "host", "keep-alive", "origin", "range", "referer", "te", "trailer",
	"transfer-encoding", "upgrade", "user-agent", "via",
}

var headerForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,63}$`)

// credential judges the templates that hold a secret.
func (l *loader) credential(e grantEntry, g *Grant, form []Field) {
	if h := e.Header; h.Value != "" {
		lower := strings.ToLower(h.Value)
		if !headerForm.MatchString(h.Value) || slices.Contains(forbiddenHeaders, lower) ||
			strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, "sec-") || strings.HasPrefix(lower, "x-forwarded-") {
			l.add(h.Pos, "header: %s cannot carry a key; take for example X-Api-Key or Authorization", mapping.Quote(h.Value))
		}
	}
	l.template(e.Username, "username", form, true)
	for _, t := range []struct {
		text mapping.Text
		key  string
	}{{e.Value, "value"}, {e.Password, "password"}} {
		used, ok := l.template(t.text, t.key, form, true)
		if ok && t.text.Value != "" && !slices.ContainsFunc(used, func(f Field) bool { return f.Secret }) {
			l.add(t.text.Pos, "%s: it must hold a field with secret: true; no secret stands in a file", t.key)
		}
		if strings.ContainsAny(t.text.Value, "\r\n") {
			l.add(t.text.Pos, "%s: it must be one line", t.key)
		}
	}
}
