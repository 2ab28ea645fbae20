package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/integration"
)

func TestSignInAtTheProvider(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	got := ann.post(all + "/bad/authorize")
	require.Equal(t, http.StatusOK, got.status, "a page, not a redirect")
	for _, want := range []string{
		`<meta http-equiv="refresh" content="0;url=https://login.acme.example/authorize?client_id=c%20d&amp;state=s&amp;scope=a`,
		`href="https://login.acme.example/authorize?client_id=c%20d&amp;state=s&amp;scope=a`,
		"Continuing to login.acme.example", "Sign in as the owner of the account.", "parcels.write",
	} {
		require.Contains(t, got.body, want)
	}

	r.fake.finished = "bad"
	got = ann.get("/oauth/callback/acme?code=the-code&state=s")
	require.Equal(t, http.StatusSeeOther, got.status)
	require.Equal(t, all+"/bad/result?window=1", got.header.Get("Location"))
	require.Len(t, r.fake.sessions, 2)
	require.Equal(t, r.fake.sessions[0], r.fake.sessions[1])
	require.NotEmpty(t, r.fake.sessions[0])
	body := ann.get(all + "/bad/result?window=1").body
	for _, want := range []string{"Authorized as", "ann@acme.example", "Make it as default", "data-popup-result", "data-close"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, ann.get(all+"/bad/result").body, "data-popup-result")
}

func TestSignInThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	r.fake.finished, r.fake.refusal = "bad", core.Errorf(core.Conflict, "The provider refused: access_denied "+hostile)
	got := ann.get("/oauth/callback/acme?error=access_denied&state=s")
	require.Equal(t, http.StatusSeeOther, got.status)
	body := ann.get(got.header.Get("Location")).body
	require.Contains(t, body, "Not authorized")
	require.Contains(t, body, "The provider refused: access_denied &lt;script&gt;")
	require.Contains(t, body, "Try again")

	r.fake.finished, r.fake.refusal = "good", core.Errorf(core.Conflict, "The provider refused.")
	body = ann.get(ann.get("/oauth/callback/acme?error=access_denied&state=s").header.Get("Location")).body
	require.Contains(t, body, "Not authorized", "the one before still holds, this try does not")
	require.Contains(t, body, "still works as ")

	got = ann.get("/oauth/callback/acme?code=the-code&state=wrong")
	require.Equal(t, http.StatusBadRequest, got.status)
	require.Contains(t, got.body, "was used already, or took too long")
	require.Contains(t, got.body, "data-clean-address")
	require.NotContains(t, got.body, "the-code")

	r.fake.finished, r.fake.refusal = "bad", http.ErrBodyNotAllowed
	require.Equal(t, http.StatusInternalServerError, ann.get("/oauth/callback/acme?code=c&state=s").status)
}

func TestCallbackWithoutASession(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	r.fake.finished = "bad"
	got := r.browser().get("/oauth/callback/acme?code=the-code&state=s")
	require.Equal(t, http.StatusUnauthorized, got.status)
	require.Contains(t, got.body, "Your session has ended; sign in and authorize again.")
	require.NotContains(t, got.body, "the-code")
	require.Empty(t, got.header.Get("Set-Cookie"))
	require.Empty(t, r.fake.sessions)
}

func TestGrantsWithoutASignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.fill()
	ann := r.as(identity.Admin)
	r.fake.refusal = core.Errorf(core.NeedsAuthorization, "The provider answered 401 to the key.")
	got := ann.post(all + "/wait/authorize")
	require.Equal(t, all+"/wait/result", got.header.Get("Location"))
	body := ann.get(all + "/wait/result").body
	require.Equal(t, 1, strings.Count(body, "The provider answered 401 to the key."))
	require.NotContains(t, body, "tandem-authorize")

	ann.post(all + "/wait/authorize")
	require.Equal(t, []string{"wait", "wait"}, r.fake.granted)
	require.Equal(t, integration.Authorized, r.fake.all[2].Status)
	require.Contains(t, ann.get(all+"/wait/result").body, "<h1>Authorized</h1>")

	r.fake.refusal = http.ErrBodyNotAllowed
	require.Equal(t, http.StatusInternalServerError, ann.post(all+"/wait/authorize").status)
}
