package identity

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when the tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

const (
	password = "correct horse battery"
	annUPN   = "ann@contoso.example"
)

// sealer seals as authstore does, which adapters do not know.
type sealer struct{ cipher.AEAD }

func newSealer(t *testing.T) sealer {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	return sealer{aead}
}

func (s sealer) Seal(ad string, plain []byte) []byte { return s.AEAD.Seal(nil, nil, plain, []byte(ad)) }

func (s sealer) Open(ad string, sealed []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, []byte(ad))
}

// signOn is a sign-on service that lets in whom the test says.
type signOn struct {
	issuer, subject, upn string
	err                  error
}

func (s *signOn) Begin(context.Context) (address, secret string, err error) {
	return "https://issuer.example/authorize", "secret-of-the-sign-on", nil
}

func (s *signOn) Finish(_ context.Context, secret string, answer url.Values) (issuer, subject, upn string, err error) {
	if secret != "secret-of-the-sign-on" || answer.Get("code") != "c" {
		return "", "", "", core.Errorf(core.Unauthenticated, "wrong")
	}
	return s.issuer, s.subject, s.upn, s.err
}

// rig is a hub with two tenants and one administrator, ann, of contoso.
type rig struct {
	*Identity

	db      *store.DB
	clock   *coretest.Clock
	sso     *signOn
	echo    *echo.Echo
	ann     Person
	tenants []string
	hashed  atomic.Int32 // calls of argon2
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, "sqlite:"+filepath.Join(t.TempDir(), "tandem.db"))
}

func newRigOn(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{clock: coretest.NewClock(noon), sso: &signOn{}, echo: echo.New(), tenants: []string{"contoso", "fabrikam"}}
	var err error
	r.db, err = store.Open(t.Context(), store.Options{URL: url, Clock: r.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.db.Close()) })
	require.NoError(t, r.db.Migrate(t.Context()))
	r.Identity = New(Options{
		DB: r.db, Clock: r.clock, Sealer: newSealer(t), SingleSignOn: r.sso,
		Tenants: func() []string { return r.tenants },
	})
	argon := r.hasher.key
	r.hasher.key = func(password, salt []byte, time, memory uint32, threads uint8, keyLen uint32) []byte {
		r.hashed.Add(1)
		return argon(password, salt, time, memory, threads, keyLen)
	}
	r.ann, err = r.Add(t.Context(), "contoso", annUPN, "Ann", Admin, password)
	require.NoError(t, err)
	r.routes()
	return r
}

// routes mounts the smallest console there could be.
func (r *rig) routes() {
	r.echo.HTTPErrorHandler = func(err error, c echo.Context) {
		if !c.Response().Committed {
			e, _ := err.(*core.Error) //nolint:errorlint // zero: internal
			if e == nil {
				_ = c.String(http.StatusInternalServerError, err.Error())
				return
			}
			_ = c.String(core.Table[e.Kind].Status, e.Code+" "+e.Message)
		}
	}
	g := r.echo.Group("/console", r.Middleware)
	g.GET("", func(c echo.Context) error {
		p, _ := r.Person(c)
		_, text := r.TakeFlash(c)
		return c.String(http.StatusOK, strings.TrimSpace(p.UPN+" "+string(p.Role)+" "+text))
	})
	g.GET("/name", func(c echo.Context) error { return c.String(http.StatusOK, r.Session(c)) })
	g.POST("/login", func(c echo.Context) error {
		p, err := r.SignIn(c, c.FormValue("upn"), c.FormValue("password"))
		return after(c, p, err)
	})
	g.POST("/logout", func(c echo.Context) error {
		if err := r.SignOut(c); err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, "/console")
	})
	g.POST("/setup", func(c echo.Context) error {
		p, err := r.Setup(c, c.FormValue("token"), c.FormValue("upn"), c.FormValue("name"), c.FormValue("password"))
		return after(c, p, err)
	})
	g.GET("/sso", func(c echo.Context) error {
		address, err := r.BeginSingleSignOn(c)
		if err != nil {
			return err
		}
		return c.Redirect(http.StatusSeeOther, address)
	})
	g.GET("/sso/callback", func(c echo.Context) error {
		p, err := r.FinishSingleSignOn(c, c.QueryParams())
		return after(c, p, err)
	})
	flash := func(c echo.Context) error {
		r.Flash(c, "good", c.QueryParam("text"))
		return c.NoContent(http.StatusNoContent)
	}
	g.POST("/flash", flash)
	g.GET("/flash", flash)
	g.GET("/leave", func(c echo.Context) error {
		r.ReturnTo(c, c.QueryParam("to"))
		return c.NoContent(http.StatusNoContent)
	})
	g.GET("/back", func(c echo.Context) error { return c.String(http.StatusOK, r.TakeReturn(c)) })
	ok := func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }
	g.GET("/any", ok, r.Require())
	g.GET("/people", ok, r.Require(Admin))
}

func after(c echo.Context, p Person, err error) error {
	if err != nil {
		return err
	}
	return c.String(http.StatusOK, p.UPN)
}

// browser keeps cookies as a browser does.
type browser struct {
	rig     *rig
	host    string
	address string
	headers map[string]string
	jar     map[string]string
	last    []*http.Cookie // set by the last answer
}

func (r *rig) browser() *browser {
	return &browser{rig: r, host: "localhost:8080", address: "192.0.2.1:4000", jar: map[string]string{}, headers: map[string]string{}}
}

func (b *browser) do(method, path string, form url.Values) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	if method != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Host, req.RemoteAddr = b.host, b.address
	for k, v := range b.headers {
		req.Header.Set(k, v)
	}
	for k, v := range b.jar {
		req.AddCookie(&http.Cookie{Name: k, Value: v})
	}
	rec := httptest.NewRecorder()
	b.rig.echo.ServeHTTP(rec, req)
	b.last = rec.Result().Cookies()
	for _, c := range b.last {
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c.Value
	}
	return rec
}

func (b *browser) get(path string) *httptest.ResponseRecorder { return b.do(http.MethodGet, path, nil) }

func (b *browser) page() string { return b.get("/console").Body.String() }

func (b *browser) post(path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		form.Set(pairs[n], pairs[n+1])
	}
	return b.do(http.MethodPost, path, form)
}

func (b *browser) signIn(upn, password string) *httptest.ResponseRecorder {
	return b.post("/console/login", "upn", upn, "password", password)
}

// signedIn returns a browser in which ann is signed in.
func (r *rig) signedIn(t *testing.T) *browser {
	t.Helper()
	b := r.browser()
	require.Equal(t, http.StatusOK, b.signIn(annUPN, password).Code)
	return b
}
