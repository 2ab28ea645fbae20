package sandbox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/mappings"
)

const verifier = "a-verifier-that-is-long-enough-for-the-standard-0123456789"

// town is the vendors under test, with the mappings that lead to them.
type town struct {
	*Vendors
	t         *testing.T
	clock     *coretest.Clock
	catalogue *integration.Catalogue
	http      *http.Client
}

func newTown(t *testing.T) *town {
	t.Helper()
	clock := coretest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	v, err := NewVendors(clock)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	set, findings := mapping.Read(v.Mappings(mappings.FS))
	require.Empty(t, findings)
	catalogue, findings := integration.Load(set)
	require.Empty(t, findings)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &town{v, t, clock, catalogue, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// address fills a template of the catalogue.
func (w *town) address(template string, i *integration.Integration, g *integration.Grant) string {
	w.t.Helper()
	values := map[string]string{}
	for _, f := range i.Fields(g) {
		if values[f.Name] = "x1"; len(f.Options) > 0 {
			values[f.Name] = f.Options[0].Value
		}
	}
	u, err := integration.Address(template, values)
	require.NoError(w.t, err, template)
	require.Equal(w.t, w.Addr(), u.Host)
	require.True(w.t, strings.HasPrefix(u.Path, "/"+i.ID), u.Path)
	return u.String()
}

// call makes a request and returns status, header and the JSON answer, if it is
// one.
func (w *town) call(method, address string, form url.Values, authorize func(*http.Request)) (int, http.Header, any) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(w.t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if authorize != nil {
		authorize(req)
	}
	res, err := w.http.Do(req)
	require.NoError(w.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(w.t, err)
	var out any
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		require.NoError(w.t, json.Unmarshal(body, &out), string(body))
	}
	return res.StatusCode, res.Header, out
}

func bearer(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// account asks whose credential it is; empty: the vendor refuses it.
func (w *town) account(i *integration.Integration, g *integration.Grant, authorize func(*http.Request)) string {
	w.t.Helper()
	status, _, out := w.call(http.MethodGet, w.address(g.Account.URL, i, g), nil, authorize)
	if status == http.StatusUnauthorized {
		require.NotNil(w.t, out, "vendors say why")
		return ""
	}
	require.Equal(w.t, http.StatusOK, status, i.ID)
	for _, name := range strings.Split(g.Account.Field, ".") {
		if list, ok := out.([]any); ok {
			require.Equal(w.t, "0", name)
			out = list[0]
			continue
		}
		out = out.(map[string]any)[name]
	}
	return out.(string)
}

func TestVendorsCodeFlow(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	tried := 0
	for _, i := range w.catalogue.All() {
		for n := range i.Grants {
			g := &i.Grants[n]
			if g.Type != integration.AuthorizationCode {
				continue
			}
			tried++
			access, renewal := w.signIn(i, g)
			if g.Account.URL != "" {
				require.Equal(t, "ada@example.com", w.account(i, g, bearer(access)))
			}
			status, _, out := w.call(http.MethodPost, w.address(g.Token, i, g), url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {renewal}, "client_id": {"hub"}, "client_secret": {"s"},
			}, nil)
			require.Equal(t, http.StatusOK, status)
			next := out.(map[string]any)
			access = next["access_token"].(string)
			if again, rotated := next["refresh_token"]; rotated {
				renewal = again.(string)
			}
			require.Equal(t, i.ID == "webex-contact-center", next["refresh_token"] != nil)
			require.Equal(t, i.ID == "salesforce", next["expires_in"] == nil)
			require.Equal(t, g.TokenBase != "", next["instance_url"] == "http://"+w.Addr()+"/"+i.ID)

			w.Auth(i.ID).Revoke("ada@example.com")
			if g.Account.URL != "" {
				require.Empty(t, w.account(i, g, bearer(access)), "the next call is refused")
			}
			status, _, out = w.call(http.MethodPost, w.address(g.Token, i, g), url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {renewal}, "client_id": {"hub"}, "client_secret": {"s"},
			}, nil)
			require.Equal(t, http.StatusBadRequest, status)
			require.Equal(t, "invalid_grant", out.(map[string]any)["error"])
			require.Equal(t, map[string]int{"ok": 2, "invalid_grant": 1}, w.Auth(i.ID).TokenCalls(), "each vendor has its own")
		}
	}
	require.GreaterOrEqual(t, tried, 5)
}

// signIn goes the whole way of an administrator who grants an authorization.
func (w *town) signIn(i *integration.Integration, g *integration.Grant) (access, renewal string) {
	w.t.Helper()
	const callback = "https://hub.example/oauth/callback/x"
	sum := sha256.Sum256([]byte(verifier))
	page := w.address(g.Authorize, i, g) + "?" + url.Values{
		"response_type": {"code"}, "client_id": {"hub"}, "redirect_uri": {callback}, "state": {"s1"}, "scope": {strings.Join(g.Scopes, " ")},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	status, header, _ := w.call(http.MethodGet, page, nil, nil)
	require.Equal(w.t, http.StatusOK, status, i.ID)
	require.Contains(w.t, header.Get("Content-Type"), "text/html")
	status, header, _ = w.call(http.MethodPost, page, url.Values{"email": {"ada@example.com"}, "password": {"sandbox"}}, nil)
	require.Equal(w.t, http.StatusSeeOther, status, i.ID)
	back, err := url.Parse(header.Get("Location"))
	require.NoError(w.t, err)
	require.Equal(w.t, "s1", back.Query().Get("state"))
	require.Equal(w.t, "http://"+w.Addr()+"/"+i.ID, back.Query().Get("iss"))
	if g.Issuer != "" {
		require.Equal(w.t, g.Issuer, back.Query().Get("iss"))
	}
	status, _, out := w.call(http.MethodPost, w.address(g.Token, i, g), url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {callback},
		"code_verifier": {verifier}, "client_id": {"hub"}, "client_secret": {"s"},
	}, nil)
	require.Equal(w.t, http.StatusOK, status, out)
	tokens := out.(map[string]any)
	return tokens["access_token"].(string), tokens["refresh_token"].(string)
}

func TestVendorsOtherGrants(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	for _, i := range w.catalogue.All() {
		require.Zero(t, w.Auth(i.ID).TokenCalls()["ok"])
		for n := range i.Grants {
			g := &i.Grants[n]
			switch g.Type {
			case integration.ClientCredentials, integration.Password:
				status, _, out := w.call(http.MethodPost, w.address(g.Token, i, g), url.Values{
					"grant_type": {string(g.Type)}, "client_id": {"hub"}, "client_secret": {"s"},
					"username": {"hub"}, "password": {"sandbox"},
				}, nil)
				require.Equal(t, http.StatusOK, status, i.ID)
				if g.Account.URL != "" {
					require.Equal(t, "hub", w.account(i, g, bearer(out.(map[string]any)["access_token"].(string))))
				}
			case integration.Bearer:
				require.Equal(t, "sandbox@"+i.ID+".example", w.account(i, g, bearer("sandbox")))
				require.Empty(t, w.account(i, g, bearer("other")))
			case integration.Basic:
				user, err := integration.Render(g.Username, map[string]string{"email": "ada", "username": "ada"})
				require.NoError(t, err)
				require.Equal(t, "ada", w.account(i, g, func(r *http.Request) { r.SetBasicAuth(user, "sandbox") }))
				require.Empty(t, w.account(i, g, func(r *http.Request) { r.SetBasicAuth(user, "other") }))
			}
			if g.Account.URL != "" {
				require.Empty(t, w.account(i, g, nil))
			}
		}
		status, _, _ := w.call(http.MethodGet, w.Sessions(i.ID), nil, nil)
		require.Equal(t, http.StatusOK, status)
		status, _, _ = w.call(http.MethodGet, "http://"+w.Addr()+"/"+i.ID+"/no/such/thing", nil, nil)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	require.Nil(t, w.Auth("other"))
	for path, want := range map[string]int{"/": http.StatusOK, "/other/authorize": http.StatusNotFound} {
		status, _, _ := w.call(http.MethodGet, "http://"+w.Addr()+path, nil, nil)
		require.Equal(t, want, status, path)
	}
}

func TestVendorsMappings(t *testing.T) {
	t.Parallel()
	v, err := NewVendors(core.SystemClock{})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	shipped, turned := 0, v.Mappings(mappings.FS)
	require.NoError(t, fs.WalkDir(turned, ".", func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			return nil
		}
		before, err := fs.ReadFile(mappings.FS, name)
		require.NoError(t, err)
		after, err := fs.ReadFile(turned, name)
		require.NoError(t, err)
		if !strings.HasSuffix(name, "/integration.yaml") {
			require.Equal(t, string(before), string(after))
			return nil
		}
		shipped++
		info, err := fs.Stat(turned, name)
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o002)
		return nil
	}))
	require.GreaterOrEqual(t, shipped, 8)

	odd := v.Mappings(fstest.MapFS{
		"zendesk/integration.yaml":    {Data: []byte("base: [")},
		"other/integration.yaml":      {Data: []byte("base: https://api.other.example")},
		"salesforce/integration.yaml": {Data: []byte("base: https://{a}.b.example\ndocs: https://d.example\ngrants:\n  - issuer: https://c.example/{a}/v2\n    token: https://c.example/t/?x=1\n    token_hosts: ['*.b.example', c.example]\n    audience: https://c.example\n")},
	})
	for name, want := range map[string]string{
		"zendesk/integration.yaml": "base: [",
		"other/integration.yaml":   "base: https://api.other.example",
		"salesforce/integration.yaml": strings.ReplaceAll("base: http://ADDR/salesforce\ndocs: https://d.example\ngrants:\n"+
			"    - issuer: http://ADDR/salesforce\n      token: http://ADDR/salesforce/t/?x=1\n      token_hosts: ['ADDR']\n      audience: https://c.example\n",
			"ADDR", v.Addr()),
	} {
		got, err := fs.ReadFile(odd, name)
		require.NoError(t, err)
		require.Equal(t, want, string(got), name)
	}
	_, err = odd.Open("hubspot/integration.yaml")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
