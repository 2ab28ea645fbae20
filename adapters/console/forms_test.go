package console

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/integration"
)

const all = "/console/integrations/acme/authorizations"

func TestAddAuthorization(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.base = "http://localhost:8080"
	ann := r.as(identity.Admin)
	form := ann.get(all + "/new?grant=sign-in").body
	for _, want := range []string{
		`pattern="(?:[a-z0-9\-]{1,40})"`, "What stands before .acme.example", `<option value="eu" selected>Europe</option>`,
		`type="password" autocomplete="off"`, "http://localhost:8080/oauth/callback/acme", "Sign in as the owner",
	} {
		require.Contains(t, form, want)
	}
	got := ann.post(all, "grant", "sign-in", "name", "Mine", "v.account", "contoso", "v.region", "us", "v.client_id", " c1 ", "v.client_secret", "s3cret")
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, all+"/a1", got.header.Get("Location"))
	require.Equal(t, map[string]string{"account": "contoso", "region": "us", "client_id": "c1"}, r.fake.all[0].Values)
	require.Equal(t, "s3cret", r.fake.secrets["a1"]["client_secret"])
	require.Equal(t, "admin@contoso.example", r.fake.all[0].CreatedBy)
	page := ann.get(all + "/a1").body
	require.Contains(t, page, "is stored. Authorize it now")
	require.NotContains(t, page, "s3cret")
	require.NotContains(t, ann.get(all+"/a1").body, "is stored.", "said once")

	got = ann.post(all, "grant", "key", "name", "Key", "v.account", "a", "v.region", "us", "v.key", "line 1\r\nline 2\r\n")
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Equal(t, "line 1\nline 2\n", r.fake.secrets["a2"]["key"])
}

func TestRefusedFormsForgetNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	typed := []string{
		"grant", "sign-in", "name", `Mine "<b>`, "v.account", "Not Allowed", "v.region", "us",
		"v.client_id", "kept-id", "v.client_secret", "s3cret",
	}
	got := ann.post(all, typed...)
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	for _, want := range []string{
		`value="Mine &#34;&lt;b&gt;"`, `value="Not Allowed"`, `value="kept-id"`, `<option value="us" selected>`,
		`<a href="#v.account">Account does not have the right form</a>`, `aria-describedby="v.account-help v.account-error" aria-invalid="true"`,
		"<title>Error: Add Authorization", "Please correct what is marked below.", "enter it again",
	} {
		require.Contains(t, got.body, want)
	}
	require.NotContains(t, got.body, "s3cret")
	require.Empty(t, r.fake.all)

	for _, c := range []struct {
		err    error
		status int
		want   string
	}{
		{core.Errorf(core.Conflict, "There is already one of this name."), http.StatusConflict, `<a href="#name">Authorization Name: There is already one of this name.</a>`},
		{core.InvalidField("name", "is too long"), http.StatusUnprocessableEntity, `id="name-error"`},
		{core.Errorf(core.Invalid, "It cannot be that."), http.StatusUnprocessableEntity, "It cannot be that."},
		{core.InvalidField("else", "is odd"), http.StatusUnprocessableEntity, "<li>else: is odd</li>"},
		{core.Errorf(core.Unavailable, "Not now."), http.StatusServiceUnavailable, "Not now."},
		{http.ErrBodyNotAllowed, http.StatusInternalServerError, "could not store this"},
	} {
		r.fake.refusal = c.err
		typed[5] = "contoso"
		got := ann.post(all, typed...)
		require.Equal(t, c.status, got.status)
		require.Contains(t, got.body, c.want)
		require.Contains(t, got.body, `value="kept-id"`)
		require.NotContains(t, got.body, "s3cret")
		require.NotContains(t, got.body, "body not allowed")
	}
	require.Equal(t, http.StatusBadRequest, ann.post(all, "grant", "none").status)
}

func TestAnotherWayForgetsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	form := ann.get(all + "/new?grant=sign-in").body
	first, _, _ := strings.Cut(form, `name="way"`)
	require.Contains(t, first, `<button class="sr" form="authorization"`, "the Enter key presses no tab")
	typed := []string{
		"way", "key", "grant", "sign-in", "name", "Mine", "v.account", "contoso", "v.region", "us",
		"v.client_id", "c1", "v.client_secret", "s3cret", "v.key", "s3cret",
	}
	got := ann.post(all, typed...)
	require.Equal(t, http.StatusOK, got.status)
	for _, want := range []string{
		`name="grant" value="key"`, `value="Mine"`, `value="contoso"`, `<option value="us" selected>`,
		`<button form="authorization" formnovalidate name="way" value="key" aria-current="true">`,
	} {
		require.Contains(t, got.body, want)
	}
	require.NotContains(t, got.body, "s3cret")
	require.Empty(t, r.fake.all)
	got = ann.post(all, "way", "key", "name", "")
	require.Contains(t, got.body, `<option value="eu" selected>`, "what was not sent keeps its default")
	require.Equal(t, http.StatusBadRequest, ann.post(all, "way", "none", "grant", "key").status)
	require.NotContains(t, ann.post("/console/integrations/other/authorizations", "grant", "token").body, `name="way"`, "there is one way only")
}

func TestUpdateKeepsSecrets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	form := ann.get(all + "/good/edit").body
	for _, want := range []string{`value="Production"`, `value="id-good"`, "destroys its stored tokens", "Leave it empty to keep the stored one."} {
		require.Contains(t, form, want)
	}
	require.NotRegexp(t, `<input id="v.client_secret"[^>]*required`, form)
	require.NotRegexp(t, `<input id="v.client_secret"[^>]*value`, form)
	got := ann.post(all+"/good", "name", "Renamed", "grant", "key", "v.account", "contoso", "v.region", "eu", "v.client_id", "c2", "v.client_secret", "")
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	a := r.fake.all[0]
	require.Equal(t, "Renamed", a.Name)
	require.Equal(t, "sign-in", a.Grant, "the way stays")
	require.Equal(t, integration.Pending, a.Status)
	require.Equal(t, "admin@contoso.example", a.UpdatedBy)
	require.Equal(t, http.StatusUnprocessableEntity, ann.post(all+"/good", "name", "Renamed").status)
	got = ann.get("/console/integrations/vanished/authorizations/lost/edit")
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, "Remove the authorization and add another.")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	page := ann.get(all + "/good/remove").body
	require.Contains(t, page, "Node Send Parcel")
	require.NotContains(t, page, `action="/console/integrations/acme/authorizations/good/remove"`, "nothing to press")
	require.Contains(t, ann.get(all+"/bad/remove").body, `action="/console/integrations/acme/authorizations/bad/remove"`)

	r.fake.uses = []core.Detail{{Field: "acme/find.yaml:12", Message: "Mapping"}}
	got := ann.post(all + "/good/remove")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.body, "acme/find.yaml:12")
	require.Contains(t, got.body, "was not removed")
	r.fake.uses = nil
	got = ann.post(all + "/bad/remove")
	require.Equal(t, "/console/integrations/acme", got.header.Get("Location"))
	require.Equal(t, http.StatusNotFound, ann.get(all+"/bad").status)
	got = ann.post("/console/integrations/vanished/authorizations/lost/remove")
	require.Equal(t, "/console/integrations", got.header.Get("Location"))
}

func TestMakeDefault(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	require.Equal(t, "/console/integrations/acme", ann.post(all+"/good/default", "node", "send-parcel").header.Get("Location"))
	require.Contains(t, ann.get("/console/integrations/acme").body, "is now the default for Send Parcel.")
	require.Equal(t, all+"/good", ann.post(all+"/good/default", "back", "view").header.Get("Location"))
	require.Equal(t, all+"/good/result?window=1", ann.post(all+"/good/default", "back", "result", "window", "1").header.Get("Location"))
	require.Equal(t, []string{"send-parcel", "", ""}, r.fake.defaultsTo)
	ann.post(all + "/wait/default")
	require.Contains(t, ann.get("/console/integrations/acme").body, "Only an authorized one can be the default.")
	require.Equal(t, http.StatusBadRequest, ann.post(all+"/good/default", "node", "nothing").status)

	// Versions of a node with an entry of their own have a default of their own.
	page := ann.get("/console/integrations/acme").body
	require.Contains(t, page, `<option value="find-parcel-old">Find Parcel 0.9</option>`)
	require.Contains(t, page, `id="uses-find-parcel-old"`, "the default of all")
	ann.post(all+"/good/default", "node", "find-parcel-old")
	page = ann.get("/console/integrations/acme").body
	require.Contains(t, page, "is now the default for Find Parcel 0.9.")
	require.Contains(t, page, "Default · Find Parcel 0.9")
}

func TestWhatTheFormPostsComesFromTheBody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	got := ann.post(all+"?grant=key&name=x&v.account=a&v.region=us&v.key=k", "name", "")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Empty(t, r.fake.all)
}

func TestHTMLPattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ source, want string }{
		{`^[a-z0-9-]{1,40}$`, `[a-z0-9\-]{1,40}`},
		{`\A(?:[!-~]+)\z`, `(?:[\!-\~]+)`},
		{`[^/|]+\.x`, `[^\/\|]+\.x`},
		{`[-a]`, `[\-a]`},
		{`[a\-z]`, `[a\-z]`},
		{`(?i)abc`, ``},
		{`[[:alpha:]]`, ``},
		{`\pL+`, ``},
	} {
		require.Equal(t, c.want, htmlPattern(c.source))
		require.NotPanics(t, func() { regexp.MustCompile(strings.ReplaceAll(c.source, " ", "")) })
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Already a sentence.", sentence("already a sentence."))
	require.Equal(t, "http://127.0.0.1:1 cannot be reached.", sentence("http://127.0.0.1:1 cannot be reached"))
	require.Empty(t, sentence(""))
}

// TestOnlyFormsArePosted: a body of another type, as other sites can make a
// browser post some, is refused before anything is done with it.
func TestOnlyFormsArePosted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann, stranger := r.as(identity.Admin), r.browser()
	before := len(r.fake.all)
	for _, media := range []string{"application/json", "multipart/form-data; boundary=x", "text/plain", ""} {
		for target, b := range map[string]*browser{
			"/console/login": stranger, "/console/setup": stranger,
			all: ann, all + "/good": ann, all + "/good/default": ann, "/console/people": ann,
		} {
			b.headers["Content-Type"] = media
			got := b.post(target, "upn", "admin@contoso.example", "password", password, "name", "Mine", "grant", "key")
			require.Equal(t, http.StatusUnsupportedMediaType, got.status, "%q to %s: %s", media, target, got.body)
			require.Empty(t, stranger.jar)
		}
	}
	require.Len(t, r.fake.all, before)
	require.Equal(t, "Production", r.fake.all[0].Name)
	require.Empty(t, r.fake.defaultsTo)
}
