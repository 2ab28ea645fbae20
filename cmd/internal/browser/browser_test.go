package browser_test

import (
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/cmd/internal/browser"
)

// newSite serves the sandbox's sign-in below /acme, and pages that lead there
// and misbehave.
func newSite(t *testing.T) (address string, auth *authserver.Server) {
	t.Helper()
	auth = authserver.New(authserver.Options{Name: "Acme"})
	mux := http.NewServeMux()
	mux.Handle("/acme/", auth)
	ts := httptest.NewServer(mux)
	t.Cleanup(ts.Close)
	signIn := "/acme/v1/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"hub"}, "redirect_uri": {ts.URL + "/back"}, "scope": {"read write"},
		"state": {"s1"}, "code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}.Encode()
	pages := map[string]string{
		"/{$}": fmt.Sprintf(`<title>Start</title><link rel="icon" href="data:,"><h1>Start</h1><a id="here" href="%[1]s">here</a>
			<button id="window" onclick="window.open('%[1]s', 'authorize', 'width=500,height=600')">window</button>
			<select id="color"><option value="r">red<option value="g">green</select>`, strings.ReplaceAll(signIn, "&", "&amp;")),
		"/back": `<h1>Back</h1><script>if (window.opener) { window.opener.document.querySelector('h1').textContent = 'Done'; window.close() }</script>`,
		"/look": `<style>body { background: #fff; color: #767676 } i { color: #777 } b, em { color: #949494; font-size: 24px }
			em { color: #969696 } s { color: #000; opacity: .35 } p { background: linear-gradient(#000, #fff); color: #fff } span { background: #0000 } u { visibility: hidden; color: #fff }</style>
			<h1>fine</h1> <i>faint</i> <b>large</b> <em>still faint</em> <p>half</p> <s>veiled</s> <u>hidden</u> <input style="color: #ccc" value="typed">
			<a href="/">a</a> <a>lost</a> <button tabindex="-1">skipped</button> <button tabindex="-1" aria-hidden="true">none</button>
			<noscript><span>without scripts</span></noscript><script>document.querySelector('h1').textContent = 'scripted'</script>`,
		"/wide": `<div style="width:2000px">wide</div>`,
		"/bad":  `<h1>Bad</h1><img src="/none.png"><script>console.error('on purpose', 7)</script><script>throw new Error('thrown')</script>`,
		"/csp":  `<h1 onclick="x()">CSP</h1><script>console.log(1)</script>`,
	}
	for path, body := range pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			if path == "/csp" {
				w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:")
				w.WriteHeader(http.StatusUnprocessableEntity)
			}
			_, _ = w.Write([]byte(`<!doctype html><html lang="en"><link rel="icon" href="data:,">` + body))
		})
	}
	return ts.URL, auth
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	address, _ := newSite(t)
	dir := filepath.Join(t.TempDir(), "pictures")
	p := browser.New(t, dir)
	p.Go(address)
	p.Select("#color", "g")
	require.Equal(t, "g", p.Value("#color"))
	p.Follow("#here")
	require.Equal(t, "Sign in to Acme", p.Text("h1"))
	require.Contains(t, p.Text("main"), "hub")

	p.Fill("#email", "first@b.example")
	p.Fill("#email", "a@b.example")
	require.Equal(t, "a@b.example", p.Value("#email"), "what stood there is replaced")
	p.Fill("#password", "x")
	p.Fill("#password", "")
	require.Empty(t, p.Value("#password"))
	p.Fill("#password", "wrong")
	p.Follow("#sign-in")
	require.Contains(t, p.Text("[role=alert]"), "wrong")
	require.Equal(t, "a@b.example", p.Value("#email"))

	light := browser.Evaluate[string](p, `getComputedStyle(document.body).backgroundColor`)
	p.Width(375)
	require.False(t, p.Overflows())
	p.Dark(true)
	require.NotEqual(t, light, browser.Evaluate[string](p, `getComputedStyle(document.body).backgroundColor`))
	file := p.Screenshot("sign-in")
	require.Equal(t, filepath.Join(dir, "sign-in.png"), file)
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	picture, err := png.DecodeConfig(f)
	require.NoError(t, err)
	require.Equal(t, 375, picture.Width)

	p.Fill("#password", authserver.SandboxPassword)
	p.Follow("#sign-in")
	p.WaitText("h1", "Back")
	require.Contains(t, p.URL(), "state=s1")
	require.Contains(t, p.URL(), "code=")
	require.Empty(t, p.Violations())
}

func TestPopup(t *testing.T) {
	t.Parallel()
	address, auth := newSite(t)
	p := browser.New(t, "")
	p.Go(address)
	popup := p.Popup(func() { p.Click("#window") })
	popup.Wait("#email")
	popup.Follow(`a[href="sandbox/sessions"]`)
	require.Contains(t, popup.Text("main"), "Nobody has access")
	require.Empty(t, popup.Violations())
	popup.Go(browser.Evaluate[string](popup, `document.referrer`))
	popup.CloseWith("#cancel")
	p.WaitText("h1", "Done")
	p.WaitGone("#nothing")
	require.Empty(t, p.Violations())
	require.Empty(t, auth.TokenCalls())

	other := p.Stranger()
	other.Go(address)
	require.Equal(t, "Start", other.Text("h1"))
}

func TestViolations(t *testing.T) {
	t.Parallel()
	address, _ := newSite(t)
	p := browser.New(t, "")
	p.Go(address + "/wide")
	require.True(t, p.Overflows())
	require.Empty(t, p.Violations())

	p.Go(address + "/bad")
	p.WaitText("h1", "Bad")
	all := strings.Join(p.Violations(), "\n")
	for _, want := range []string{"/none.png", "console: on purpose", "thrown"} {
		require.Contains(t, all, want)
	}

	other := p.Stranger()
	other.Go(address + "/csp")
	other.WaitText("h1", "CSP")
	require.NotEmpty(t, other.Violations())
	for _, v := range other.Violations() {
		require.Contains(t, v, "Content Security Policy", "the document's own 422 is none")
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	address, _ := newSite(t)
	p := browser.New(t, "")
	p.Go(address + "/look")
	require.Equal(t, "scripted", p.Text("h1"))
	require.Equal(t, []string{"4.48:1 i. faint", "2.96:1 em. still faint", "1.00:1 p. half", "2.44:1 s. veiled", "1.61:1 input. typed"}, p.Faint())
	require.Equal(t, []string{"<a>lost</a>", `<button tabindex="-1">skipped</button>`}, p.Unreachable())

	p.Scripts(false)
	p.Go(address + "/look")
	require.Equal(t, "fine", p.Text("h1"))
	p.Wait("noscript")
	p.Scripts(true)
	p.Go(address + "/look")
	require.Equal(t, "scripted", p.Text("h1"))
}
