package console

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
)

func TestFirstRunLeadsToSetup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	require.Equal(t, "/console/setup", b.get("/console/login").header.Get("Location"))
	token, err := identity.NewSetupToken(t.Context(), r.db, r.clock, "contoso")
	require.NoError(t, err)
	require.Contains(t, b.get("/console/setup?token="+token).body, `value="`+token+`"`)

	for _, c := range []struct {
		token, password, again string
		status                 int
		want                   string
	}{
		{token, password, "another one!", http.StatusUnprocessableEntity, "The two passwords differ."},
		{token, "short", "short", http.StatusUnprocessableEntity, `<a href="#password">`},
		{"wrong", password, password, http.StatusUnauthorized, "The setup token is not valid"},
	} {
		got := b.post("/console/setup", "token", c.token, "upn", "ann@contoso.example", "name", "Ann", "password", c.password, "again", c.again)
		require.Equal(t, c.status, got.status)
		require.Contains(t, got.body, c.want)
		require.Contains(t, got.body, `value="ann@contoso.example"`)
		require.NotContains(t, got.body, `value="`+c.password)
	}
	got := b.post("/console/setup", "token", token, "upn", "ann@contoso.example", "name", "Ann", "password", password, "again", password)
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Contains(t, b.get("/console/integrations").body, "Welcome, Ann.")
	require.Equal(t, "/console", b.get("/console/login").header.Get("Location"), "signed in already")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as(identity.Admin)
	b := r.browser()
	require.Equal(t, "/console/login", b.get("/console/people?x=1").header.Get("Location"))
	got := b.post("/console/login", "upn", "admin@contoso.example", "password", "wrong "+hostile)
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Contains(t, got.body, "The name or the password is wrong.")
	require.Contains(t, got.body, `value="admin@contoso.example"`)
	require.Contains(t, got.body, "Sign in with Contoso")
	got = b.post("/console/login", "upn", "admin@contoso.example", "password", password)
	require.Equal(t, "/console/people?x=1", got.header.Get("Location"), "back to where they came from")
	require.Equal(t, http.StatusOK, b.get("/console/people").status)

	require.Equal(t, "/console/login?out=1", b.post("/console/logout").header.Get("Location"))
	require.Contains(t, b.get("/console/login?out=1").body, "You are signed out.")
	got = b.post("/console/people", "upn", "x@contoso.example")
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Contains(t, got.body, "nothing was changed")

	require.Equal(t, http.StatusForbidden, b.get("/console/sso").status, "not set up in this hub")
	require.Equal(t, http.StatusUnauthorized, b.get("/console/sso/callback?code=c").status)
	for range 5 {
		got = b.post("/console/login", "upn", "admin@contoso.example", "password", "wrong")
	}
	got = b.post("/console/login", "upn", "admin@contoso.example", "password", "wrong")
	require.Equal(t, http.StatusTooManyRequests, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
}

func TestCrossSitePostsAreRefusedWithAPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	ann.headers["Sec-Fetch-Site"] = "cross-site"
	got := ann.do(http.MethodPost, "/console/logout", url.Values{})
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, "The request came from another site.")
}

func TestOtherSitesBeginNoSingleSignOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as(identity.Admin)
	for _, c := range []struct {
		site, dest string
		begins     bool
	}{
		{"", "", true},
		{"none", "document", true},
		{"same-origin", "document", true},
		{"same-origin", "image", false},
		{"same-origin", "iframe", false},
		{"cross-site", "document", false},
		{"same-site", "document", false},
		{"cross-site", "image", false},
	} {
		b := r.browser()
		b.headers["Sec-Fetch-Site"], b.headers["Sec-Fetch-Dest"] = c.site, c.dest
		got := b.get("/console/sso")
		if c.begins {
			require.Equal(t, http.StatusForbidden, got.status, "not set up in this hub")
			continue
		}
		require.Equal(t, http.StatusSeeOther, got.status, "%+v", c)
		require.Equal(t, "/console/login", got.header.Get("Location"))
	}
}

func TestPrefixAfterSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.as(identity.Admin)
	r.base = "http://localhost:8080/hub"
	b := r.browser()
	require.Equal(t, "/hub/console/login", b.get("/console/people").header.Get("Location"))
	got := b.post("/console/login", "upn", "admin@contoso.example", "password", password)
	require.Equal(t, "/hub/console/people", got.header.Get("Location"))
}

func TestPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	got := ann.post("/console/people", "upn", "nobody", "name", "No Body", "role", "viewer", "signs-in", "sso")
	require.Equal(t, http.StatusUnprocessableEntity, got.status)
	require.Contains(t, got.body, `value="No Body"`)
	require.Contains(t, got.body, `id="upn-error"`)
	for _, c := range [][2]string{{"", ""}, {password, "another"}} {
		got = ann.post("/console/people", "upn", "vic@contoso.example", "role", "viewer", "signs-in", "password", "password", c[0], "again", c[1])
		require.Equal(t, http.StatusUnprocessableEntity, got.status)
	}
	got = ann.post("/console/people", "upn", "vic@contoso.example", "name", hostile, "role", "viewer", "signs-in", "sso")
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	body := ann.get("/console/people").body
	require.Contains(t, body, "Single sign-on")
	require.Contains(t, body, "You</span>")
	require.Equal(t, http.StatusConflict, ann.post("/console/people", "upn", "vic@contoso.example", "role", "viewer", "signs-in", "sso").status)

	list, err := r.o.Identity.People(t.Context(), "contoso")
	require.NoError(t, err)
	vic := "/console/people/" + list[1].ID
	require.Contains(t, ann.get(vic).body, "turns the account into one with a password")
	require.Equal(t, http.StatusUnprocessableEntity, ann.post(vic, "name", "Vic", "role", "nonsense").status)
	require.Equal(t, http.StatusSeeOther, ann.post(vic, "name", "Vic", "role", "integrator", "password", password, "again", password).status)
	require.Contains(t, ann.get("/console/people").body, "Integrator")
	require.Equal(t, http.StatusOK, ann.get(vic+"/remove").status)
	require.Equal(t, http.StatusSeeOther, ann.post(vic+"/remove").status)
	require.Equal(t, http.StatusNotFound, ann.get(vic).status)

	me := "/console/people/" + list[0].ID
	got = ann.post(me + "/remove")
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.body, "last administrator")
	require.Equal(t, http.StatusConflict, ann.post(me, "name", "Ann", "role", "viewer").status)
	got = ann.post(me, "name", "Ann", "role", "admin", "password", password+"!", "again", password+"!")
	require.Equal(t, "/console/login", got.header.Get("Location"), "a new password ended this session too")
}

func TestWhoStepsDownSeesTheFirstPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ann := r.as(identity.Admin)
	_, err := r.o.Identity.Add(t.Context(), "contoso", "zoe@contoso.example", "Zoe", identity.Admin, password)
	require.NoError(t, err)
	list, err := r.o.Identity.People(t.Context(), "contoso")
	require.NoError(t, err)
	got := ann.post("/console/people/"+list[0].ID, "name", "Ann", "role", "viewer")
	require.Equal(t, "/console", got.header.Get("Location"))
	got = ann.get("/console")
	require.Equal(t, "/console/integrations", got.header.Get("Location"))
	require.Contains(t, ann.get("/console/integrations").body, "admin@contoso.example is changed.")
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "just now"},
		{30 * time.Second, "30 seconds ago"},
		{time.Minute, "1 minute ago"},
		{47 * time.Hour, "47 hours ago"},
		{72 * time.Hour, "3 days ago"},
		{-time.Hour, "in 1 hour"},
		{100 * day, "on 24 November 2025"},
	} {
		require.Equal(t, c.want, ago(noon.Add(-c.d), noon))
	}
	require.Equal(t, "–", string(when(time.Time{}, noon)))
	require.Contains(t, string(date(noon)), ">4 March 2026<")
	require.Equal(t, 1, daysLeft(noon.Add(time.Second), noon))
	require.Equal(t, 0, daysLeft(noon.Add(-time.Second), noon))
}
