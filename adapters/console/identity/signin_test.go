package identity

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.Add(t.Context(), "contoso", "sso@contoso.example", "", Viewer, "")
	require.NoError(t, err)
	for n, tc := range []struct {
		upn, password string
		good          bool
	}{
		{annUPN, password, true},
		{" Ann@Contoso.Example ", password, true},
		{annUPN, password + " ", false},
		{annUPN, "", false},
		{"nobody@contoso.example", password, false},
		{"sso@contoso.example", password, false},
		{"sso@contoso.example", "", false},
		{"no upn", password, false},
		{"", "", false},
		{annUPN, strings.Repeat("x", 100000), false},
	} {
		b := r.browser()
		b.address = fmt.Sprintf("192.0.2.%d:1", n)
		before := r.hashed.Load()
		rec := b.signIn(tc.upn, tc.password)
		require.EqualValues(t, 1, r.hashed.Load()-before, "%s: every answer costs the same", tc.upn)
		if tc.good {
			require.Equal(t, annUPN, rec.Body.String())
			continue
		}
		require.Equal(t, http.StatusUnauthorized, rec.Code, tc.upn)
		require.Equal(t, " The name or the password is wrong.", rec.Body.String())
		require.Empty(t, b.jar)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.browser()
	for range 10 {
		require.Equal(t, http.StatusOK, b.signIn(annUPN, password).Code, "only failures count")
	}
	for range namedAttempts {
		require.Equal(t, http.StatusUnauthorized, b.signIn(annUPN, "wrong").Code)
	}
	hashed := r.hashed.Load()
	require.Equal(t, http.StatusTooManyRequests, b.signIn(annUPN, password).Code)
	require.Equal(t, hashed, r.hashed.Load(), "and costs nothing")

	elsewhere := r.browser()
	elsewhere.address = "198.51.100.7:1"
	require.Equal(t, http.StatusOK, elsewhere.signIn(annUPN, password).Code, "the person is not locked out")
	require.Equal(t, http.StatusUnauthorized, b.signIn("bob@contoso.example", "wrong").Code)

	r.clock.Advance(attemptWindow)
	require.Equal(t, http.StatusOK, b.signIn(annUPN, password).Code)
	for n := range sourceAttempts {
		require.Equal(t, http.StatusUnauthorized, b.signIn(fmt.Sprintf("n%d@contoso.example", n), "wrong").Code)
	}
	require.Equal(t, http.StatusTooManyRequests, b.signIn(annUPN, password).Code)
	require.Equal(t, http.StatusTooManyRequests, b.post("/console/setup", "token", "x").Code)
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	a := newAttempts()
	var e *core.Error
	for n := range namedAttempts + 1 {
		_, err := a.begin(noon.Add(time.Duration(n)*time.Second), "2001:db8::"+fmt.Sprint(n+1), "ann")
		if n < namedAttempts {
			require.NoError(t, err)
			continue
		}
		require.ErrorAs(t, err, &e, "the addresses of one subscriber are one")
		require.Equal(t, core.Throttled, e.Kind)
		require.Equal(t, attemptWindow-time.Duration(n)*time.Second, e.RetryAfter)
	}
	_, err := a.begin(noon, "2001:db8:0:1::1", "ann")
	require.NoError(t, err)
	for n := range 3 * maxAttemptKeys {
		_, err := a.begin(noon, fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255), "ann")
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(a.counts), maxAttemptKeys)
}

func TestSignOnAttempts(t *testing.T) {
	t.Parallel()
	a := newAttempts()
	a.endSignOn("192.0.2.9") // of nobody who began here
	for range 3 * signOnAttempts {
		require.NoError(t, a.beginSignOn(noon, "192.0.2.9"), "who ends what they began is not counted")
		a.endSignOn("192.0.2.9")
	}
	for range signOnAttempts {
		require.NoError(t, a.beginSignOn(noon, "192.0.2.9"))
	}
	require.Equal(t, core.Throttled, core.KindOf(a.beginSignOn(noon, "192.0.2.9")))
	require.NoError(t, a.beginSignOn(noon, "192.0.2.10"))
	require.NoError(t, a.beginSignOn(noon.Add(attemptWindow), "192.0.2.9"))
}

func TestAttemptsOfASite(t *testing.T) {
	t.Parallel()
	a := newAttempts()
	for n := range wideAttempts {
		_, err := a.begin(noon, fmt.Sprintf("2001:db8:1:%x::1", n), "ann")
		require.NoError(t, err)
	}
	_, err := a.begin(noon, "2001:db8:1:ffff::1", "ann")
	require.Equal(t, core.Throttled, core.KindOf(err), "the networks of one site are one in the end")
	succeeded, err := a.begin(noon, "2001:db8:2::1", "ann")
	require.NoError(t, err)
	succeeded()
	for n := range 3 * wideAttempts {
		_, err := a.begin(noon, fmt.Sprintf("192.0.2.%d", n%256), "ann")
		require.NoError(t, err, "addresses of the older kind have no site")
	}
}

// Who is refused already cannot push out what refuses them with new names.
func TestRefusedAttemptsLeaveNoTrace(t *testing.T) {
	t.Parallel()
	a := newAttempts()
	refused := 0
	for n := range 3 * maxAttemptKeys {
		if _, err := a.begin(noon, "192.0.2.1", fmt.Sprint(n)); err != nil {
			refused++
		}
	}
	require.Equal(t, 3*maxAttemptKeys-sourceAttempts, refused)
	require.Len(t, a.counts, sourceAttempts+1)
}

func TestAttemptsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all sync.WaitGroup
	codes := make([]int, 20)
	for n := range codes {
		all.Go(func() { codes[n] = r.browser().signIn(annUPN, "wrong").Code })
	}
	all.Wait()
	var tried int
	for _, code := range codes {
		if code == http.StatusUnauthorized {
			tried++
		}
	}
	require.Equal(t, namedAttempts, tried)
}

func TestHasherIsBounded(t *testing.T) {
	t.Parallel()
	h := newHasher()
	release, begun := make(chan struct{}), make(chan struct{}, 10)
	h.key = func(_, _ []byte, _, _ uint32, _ uint8, _ uint32) []byte {
		begun <- struct{}{}
		<-release
		return make([]byte, hashBytes)
	}
	var all sync.WaitGroup
	for range hashesAtOnce {
		all.Go(func() { _, _ = h.hash(context.Background(), password) })
		<-begun
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := h.hash(ctx, password)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, begun)
	close(release)
	all.Wait()
}

func TestPasswordForm(t *testing.T) {
	t.Parallel()
	h := newHasher()
	stored, err := h.hash(t.Context(), password)
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, stored)
	again, err := h.hash(t.Context(), password)
	require.NoError(t, err)
	require.NotEqual(t, stored, again, "each has a salt of its own")
	same, err := h.verify(t.Context(), stored, password)
	require.True(t, same && err == nil)
	for _, damaged := range []string{"", "plain", phcHead, phcHead + "a$b", strings.Replace(stored, "m=19456", "m=1", 1)} {
		_, err := h.verify(t.Context(), damaged, password)
		require.Error(t, err, damaged)
	}
}

func TestChosenPasswords(t *testing.T) {
	t.Parallel()
	for pw, good := range map[string]bool{
		strings.Repeat("x", 12): true, strings.Repeat("ä", 128): true, strings.Repeat("日", 12): true,
		strings.Repeat("x", 11): false, strings.Repeat("ä", 129): false, "ANN@contoso.example": false, "bytes\xff\xff\xff that are no text": false,
	} {
		err := checkPassword(pw, annUPN)
		require.Equal(t, good, err == nil, pw)
		if err != nil {
			require.Equal(t, core.Invalid, core.KindOf(err))
			require.NotContains(t, err.Error(), pw)
		}
	}
}

func TestUPN(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		" Ann.O'Neil+x@Contoso.Example ": "ann.o'neil+x@contoso.example",
		"":                               "", "ann": "", "@b": "", "a@": "", "a@b@c": "", "a b@c": "", "a\x00@b": "", "a\n@b": "", "a\u202e@b": "",
		strings.Repeat("x", 252) + "@b": strings.Repeat("x", 252) + "@b", strings.Repeat("x", 253) + "@b": "", "a\xff@b": "",
	} {
		got, err := normalUPN(given)
		require.Equal(t, want, got)
		require.Equal(t, want == "", core.KindOf(err) == core.Invalid && err != nil, given)
	}
}

func TestSingleSignOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const upn = "kim@contoso.example"
	r.sso.issuer, r.sso.subject, r.sso.upn = "https://issuer.example", "sub-1", "Kim@Contoso.example"
	finish := func(query string) (*browser, *httptest.ResponseRecorder) {
		b := r.browser()
		require.Equal(t, http.StatusSeeOther, b.get("/console/sso").Code)
		return b, b.get("/console/sso/callback?" + query)
	}
	_, rec := finish("code=c")
	require.Equal(t, http.StatusForbidden, rec.Code, "there is no account")
	kim, err := r.Add(t.Context(), "contoso", upn, "Kim", Viewer, "")
	require.NoError(t, err)
	require.True(t, kim.SingleSignOn)

	b, rec := finish("code=c")
	require.Equal(t, upn, rec.Body.String())
	require.Equal(t, upn+" viewer", b.page())
	require.Equal(t, http.StatusUnauthorized, b.get("/console/sso/callback?code=c").Code, "one answer for one beginning")
	_, rec = finish("code=c")
	require.Equal(t, upn, rec.Body.String())
	_, rec = finish("code=x")
	require.Equal(t, http.StatusUnauthorized, rec.Code)
	for range signOnAttempts {
		_, rec = finish("code=c")
		require.Equal(t, http.StatusOK, rec.Code, "an office comes to work")
	}

	r.sso.subject = "sub-2"
	_, rec = finish("code=c")
	require.Equal(t, http.StatusForbidden, rec.Code, "another identity of the same name")
	r.sso.upn = annUPN
	_, rec = finish("code=c")
	require.Equal(t, http.StatusForbidden, rec.Code, "a local account")
	r.sso.upn = "?"
	_, rec = finish("code=c")
	require.Equal(t, http.StatusUnauthorized, rec.Code)
	r.sso.err = core.Errorf(core.Unavailable, "down")
	_, rec = finish("code=c")
	require.Equal(t, http.StatusServiceUnavailable, rec.Code)
	r.sso.err, r.sso.subject, r.sso.upn = nil, "sub-1", upn

	require.Equal(t, http.StatusUnauthorized, r.browser().get("/console/sso/callback?code=c").Code, "not begun here")
	b = r.browser()
	b.get("/console/sso")
	before := b.jar[cookieName]
	r.clock.Advance(signOnLife)
	require.Equal(t, http.StatusOK, b.get("/console/sso/callback?code=c").Code)
	require.NotEqual(t, before, b.jar[cookieName])
	b = r.browser()
	b.get("/console/sso")
	r.clock.Advance(signOnLife + time.Millisecond)
	require.Equal(t, http.StatusUnauthorized, b.get("/console/sso/callback?code=c").Code, "too late")

	require.NoError(t, r.Change(t.Context(), "contoso", kim.ID, "Kim", Viewer, password))
	_, rec = finish("code=c")
	require.Equal(t, http.StatusForbidden, rec.Code, "a local account now")
	require.Equal(t, http.StatusOK, r.browser().signIn(upn, password).Code)
}

func TestNoSingleSignOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.o.SingleSignOn = nil
	require.Equal(t, http.StatusForbidden, r.browser().get("/console/sso").Code)
	require.Equal(t, http.StatusUnauthorized, r.browser().get("/console/sso/callback?code=c").Code)
}

// A password that is changed while somebody signs in with the old one leaves no
// session behind.
func TestChangeMeetsASignIn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	argon := r.hasher.key
	r.hasher.key = func(p, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		key := argon(p, salt, time, memory, threads, keyLen)
		if string(p) == password {
			if err := r.Change(context.Background(), "contoso", r.ann.ID, "Ann", Admin, "another long password"); err != nil {
				t.Error(err)
			}
		}
		return key
	}
	b := r.browser()
	require.Equal(t, http.StatusUnauthorized, b.signIn(annUPN, password).Code)
	require.Empty(t, b.page())
}

func TestNothingReadableIsStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRigOn(t, "sqlite:"+filepath.Join(dir, "tandem.db"))
	token, err := NewSetupToken(t.Context(), r.db, r.clock, "fabrikam")
	require.NoError(t, err)
	b := r.signedIn(t)
	b.post("/console/flash?text=canary-flash")
	sso := r.browser()
	sso.get("/console/sso")
	secrets := []string{password, token, b.jar[cookieName], sso.jar[cookieName], "canary-flash", "secret-of-the-sign-on"}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	var all []byte
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		all = append(all, data...)
	}
	require.True(t, bytes.Contains(all, []byte(annUPN)), "the right files are read")
	for _, s := range secrets {
		require.NotEmpty(t, s)
		require.False(t, bytes.Contains(all, []byte(s)), s)
	}
}

func TestOnBothDatabases(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newRigOn(t, url)
		b := r.signedIn(t)
		require.Equal(t, annUPN+" admin", b.page())
		token, err := NewSetupToken(t.Context(), r.db, r.clock, "fabrikam")
		require.NoError(t, err)
		other := r.browser()
		require.Equal(t, http.StatusOK, other.post("/console/setup", "token", token, "upn", "eve@fabrikam.example", "password", password).Code)
		require.Equal(t, http.StatusConflict, r.browser().post("/console/setup", "token", must(NewSetupToken(t.Context(), r.db, r.clock, "fabrikam"))(t),
			"upn", annUPN, "password", password).Code)
		_, err = r.Add(t.Context(), "contoso", "eve@fabrikam.example", "", Viewer, "")
		require.Equal(t, core.Conflict, core.KindOf(err))
		require.Equal(t, core.Conflict, core.KindOf(r.Remove(t.Context(), "contoso", r.ann.ID)))
		require.NoError(t, r.Change(t.Context(), "contoso", r.ann.ID, "Ann", Admin, "another long password"))
		require.Empty(t, b.page())
		require.NoError(t, r.Prune(t.Context()))
		require.Len(t, must(r.People(t.Context(), "contoso"))(t), 1)
		require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.EndSessions(ctx, "nobody") }))
	})
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}
