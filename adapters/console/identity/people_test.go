package identity

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

func TestSetup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	old := must(NewSetupToken(ctx, r.db, r.clock, "fabrikam"))(t)
	token := must(NewSetupToken(ctx, r.db, r.clock, "fabrikam"))(t)
	require.GreaterOrEqual(t, len(token), 43)
	setup := func(token, upn, password string) (*browser, int) {
		b := r.browser()
		return b, b.post("/console/setup", "token", token, "upn", upn, "name", "Eve", "password", password).Code
	}
	for _, wrong := range []string{"", "wrong", old, token + "x"} {
		_, code := setup(wrong, "eve@fabrikam.example", password)
		require.Equal(t, http.StatusUnauthorized, code)
	}
	for _, bad := range [][2]string{{"eve", password}, {"eve@fabrikam.example", ""}, {"eve@fabrikam.example", "short"}} {
		_, code := setup(token, bad[0], bad[1])
		require.Equal(t, http.StatusBadRequest, code)
	}
	_, code := setup(token, annUPN, password)
	require.Equal(t, http.StatusConflict, code, "and the token is still good")
	b, code := setup(" "+token+"\n", "Eve@fabrikam.example", password)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "eve@fabrikam.example admin", b.page())
	require.Equal(t, "Eve", must(r.People(ctx, "fabrikam"))(t)[0].Name)
	_, code = setup(token, "mallory@fabrikam.example", password)
	require.Equal(t, http.StatusUnauthorized, code, "once")
	_, code = setup("wrong", "x", password)
	require.Equal(t, http.StatusTooManyRequests, code)
	r.clock.Advance(attemptWindow)

	token = must(NewSetupToken(ctx, r.db, r.clock, "fabrikam"))(t)
	r.clock.Advance(setupLife)
	_, code = setup(token, "late@fabrikam.example", password)
	require.Equal(t, http.StatusUnauthorized, code)
	token = must(NewSetupToken(ctx, r.db, r.clock, "nowhere"))(t)
	_, code = setup(token, "late@fabrikam.example", password)
	require.Equal(t, http.StatusUnauthorized, code)
}

func TestFirstRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.False(t, must(r.FirstRun(t.Context()))(t))
}

func TestPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	zoe := must(r.Add(ctx, "contoso", "Zoe@contoso.example", " Zoe Zed ", Supervisor, ""))(t)
	require.Equal(t, Person{
		ID: zoe.ID, Tenant: "contoso", UPN: "zoe@contoso.example", Name: "Zoe Zed", Role: Supervisor, SingleSignOn: true, Created: noon,
	}, zoe)
	eve := must(r.Add(ctx, "fabrikam", "eve@fabrikam.example", "", Admin, password))(t)
	require.Equal(t, eve.UPN, eve.Name)
	require.Equal(t, []Person{r.ann, zoe}, must(r.People(ctx, "contoso"))(t))

	for field, add := range map[string]func() (Person, error){
		"upn":      func() (Person, error) { return r.Add(ctx, "contoso", "x", "", Viewer, "") },
		"role":     func() (Person, error) { return r.Add(ctx, "contoso", "x@y", "", "root", "") },
		"password": func() (Person, error) { return r.Add(ctx, "contoso", "x@y", "", Viewer, "short") },
		"name":     func() (Person, error) { return r.Add(ctx, "contoso", "x@y", strings.Repeat("x", 101), Viewer, "") },
	} {
		_, err := add()
		var e *core.Error
		require.ErrorAs(t, err, &e, field)
		require.Equal(t, core.Invalid, e.Kind)
		require.Equal(t, field, e.Details[0].Field)
	}
	_, err := r.Add(ctx, "contoso", "x@y", "a\u202eb", Viewer, "")
	require.Equal(t, core.Invalid, core.KindOf(err))
	_, err = r.Add(ctx, "contoso", "EVE@fabrikam.example", "", Viewer, "")
	require.Equal(t, core.Conflict, core.KindOf(err))
	require.EqualError(t, err, "This user name cannot be used; choose another.", "it tells nothing of another tenant")

	require.Equal(t, core.NotFound, core.KindOf(r.Change(ctx, "contoso", eve.ID, "Eve", Admin, "")), "another tenant's")
	require.Equal(t, core.NotFound, core.KindOf(r.Remove(ctx, "contoso", eve.ID)))
	require.Equal(t, core.NotFound, core.KindOf(r.Change(ctx, "contoso", "unknown", "Eve", Admin, "")))
	require.Equal(t, core.NotFound, core.KindOf(r.Remove(ctx, "contoso", "unknown")))
	require.Equal(t, core.Invalid, core.KindOf(r.Change(ctx, "contoso", zoe.ID, "Zoe", "root", "")))
}

func TestLastAdministrator(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx := t.Context()
	must(r.Add(ctx, "fabrikam", "eve@fabrikam.example", "", Admin, password))(t)
	require.Equal(t, core.Conflict, core.KindOf(r.Remove(ctx, "contoso", r.ann.ID)))
	require.Equal(t, core.Conflict, core.KindOf(r.Change(ctx, "contoso", r.ann.ID, "Ann", Integrator, "")))
	require.NoError(t, r.Change(ctx, "contoso", r.ann.ID, "Anna", Admin, ""))
	bob := must(r.Add(ctx, "contoso", "bob@contoso.example", "", Viewer, ""))(t)
	require.NoError(t, r.Change(ctx, "contoso", bob.ID, "Bob", Admin, ""))
	require.NoError(t, r.Remove(ctx, "contoso", r.ann.ID))
	require.Equal(t, core.Conflict, core.KindOf(r.Remove(ctx, "contoso", bob.ID)))
}

func TestSessionsEndWithThePassword(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.signedIn(t)
	require.NoError(t, r.Change(t.Context(), "contoso", r.ann.ID, "Anna", Admin, ""))
	require.NotEmpty(t, b.page(), "a new name ends nothing")
	require.NoError(t, r.Change(t.Context(), "contoso", r.ann.ID, "Anna", Admin, "another long password"))
	require.Empty(t, b.page())
	require.Equal(t, http.StatusUnauthorized, b.signIn(annUPN, password).Code)
	require.Equal(t, http.StatusOK, b.signIn(annUPN, "another long password").Code)
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, role := range Roles {
		require.NotEqual(t, string(role), role.Label())
	}
	require.Equal(t, "Administrator", Admin.Label())
	require.Equal(t, time.Minute, attemptWindow)
}
