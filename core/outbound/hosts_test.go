package outbound

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

const flowURL = "https://prod-240.westeurope.logic.azure.com:443/workflows/0123456789abcdef0123456789abcdef/triggers/When_a_task_changes%2Fx/versions/08584472000000000000/run" +
	"?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=a-b_c%2Bd%3d"

func testHosts(t testing.TB) *Hosts {
	h, err := NewHosts(
		[]string{"*.logic.azure.com", "*.environment.api.powerplatform.com", "hooks.example.com"},
		[]string{"127.0.0.1:9000", "LocalHost:9001", "[::1]:9002", "flow_sink:80"},
	)
	require.NoError(t, err)
	return h
}

func TestCheckURLAccepts(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		flowURL,
		"https://a.logic.azure.com/x",
		"HTTPS://A.B.Logic.Azure.COM:443/x?",
		"https://x.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/a?sig=1",
		"https://hooks.example.com",
		"https://hooks.example.com?sig=1",
		"https://hooks.example.com//a/../b",
		"http://127.0.0.1:9000/a", "https://127.0.0.1:9000/a", "http://localhost:9001/", "http://LOCALHOST:9001/",
		"http://[::1]:9002/", "http://flow_sink/", "http://flow_sink:80/",
	} {
		_, err := testHosts(t).CheckURL(raw)
		require.NoError(t, err, raw)
	}
}

func TestCheckURLRefuses(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"", "x", "/secret", "//a.logic.azure.com/secret", "https:a.logic.azure.com/secret", "https:///secret", "https://",
		"http://a.logic.azure.com/secret", "ftp://a.logic.azure.com/secret", "javascript:secret", "file:///secret",
		"https://logic.azure.com/secret", "https://.logic.azure.com/secret", "https://a..logic.azure.com/secret",
		"https://evillogic.azure.com/secret", "https://a.logic.azure.com.evil.example/secret",
		"https://a.logic.azure.com./secret", "https://localhost./secret", "http://localhost.:9001/secret",
		"https://a.logic.azure.com:8443/secret", "https://a.logic.azure.com:/secret", "https://a.logic.azure.com:0443/secret",
		"https://a.logic.azure.com:x/secret", "http://flow_sink:/secret",
		"https://a.logic.azure.com@evil.example/secret", "https://evil.example@a.logic.azure.com/secret",
		"https://secret:secret@a.logic.azure.com/", "https://@a.logic.azure.com/secret",
		"https://evil.example\\@a.logic.azure.com/secret", "https://evil.example#@a.logic.azure.com/secret",
		"https://evil.example?@a.logic.azure.com/secret", "https://evil.example/secret@a.logic.azure.com",
		"https://a.logic.azure.com%2eevil.example/secret", "https://evil.example%00.logic.azure.com/secret",
		"https://%61.logic.azure.com/secret", "https://a.logic.azure.com%2f@evil.example/secret",
		"https://①②⑦.0.0.1/secret", "http://①②⑦.0.0.1:9000/secret", "https://ä.logic.azure.com/secret",
		"https://a.logic。azure.com/secret", "https://ａ.logic.azure.com/secret",
		"https://localhost/secret", "http://localhost/secret", "http://localhost:9000/secret", "http://127.1:9000/secret",
		"http://2130706433:9000/secret", "http://0x7f.1:9000/secret", "http://127.0.0.1:09000/secret", "http://127.0.0.1:9001/secret",
		"http://127.0.0.1/secret", "https://[::1]/secret", "http://[::1%25lo]:9002/secret", "http://[::ffff:127.0.0.1]:9000/secret",
		"https://169.254.169.254/secret", "https://a.logic.azure.com/secret#f", "https://a.logic.azure.com/ secret",
		"https://a.logic.azure.com/secret\r\nX: y", "https://a.logic.azure.com/?secret\t", "https://a.logic.azure.com/é?secret",
		"https://a.logic.azure.com/{secret}", "https://a.logic.azure.com/%zzsecret", " https://a.logic.azure.com/secret",
		"https://a.logic.azure.com/secret" + strings.Repeat("a", 8<<10),
		"https://" + strings.Repeat("a", 64) + ".logic.azure.com/secret",
	} {
		u, err := testHosts(t).CheckURL(raw)
		require.Error(t, err, raw)
		require.Nil(t, u)
		require.Equal(t, core.Invalid, core.KindOf(err), raw)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestNewHostsRefuses(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		"", "*", "*.", "*.com", "com", "a.*.com", "*.*.com", "**.a.com", "a.com.", "a..com", "https://a.com", "a.com:443",
		"127.0.0.1", "*.0.0.1", "ä.example", "a b.example", "-a.example",
	} {
		_, err := NewHosts([]string{pattern}, nil)
		require.Equal(t, core.Invalid, core.KindOf(err), pattern)
	}
	for _, pair := range []string{
		"", "a", "a:", ":80", "a:0", "a:65536", "a:080", "a:http", "a:+1", "http://a:80", "a.:80", "*:80", "*.a:80", "a b:80",
		"::1:80", "[::1]", "[fe80::1%eth0]:80", "a@b:80", "ä:80", "a/b:80", "%31:80",
	} {
		_, err := NewHosts(nil, []string{pair})
		require.Equal(t, core.Invalid, core.KindOf(err), pair)
		_, err = New(Options{AllowHosts: []string{pair}})
		require.Equal(t, core.Invalid, core.KindOf(err), pair)
	}
}

// FuzzCheckURL holds what every accepted text must be, read without net/url.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range []string{
		flowURL, "http://127.0.0.1:9000/", "https://a@b.logic.azure.com", "https://evil\\.logic.azure.com",
		"http://[::1]:9002", "https://hooks.example.com?#", "https://①.logic.azure.com", "https://x.logic.azure.com:443//%2f?%2F",
	} {
		f.Add(raw)
	}
	hosts := testHosts(f)
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := hosts.CheckURL(raw)
		if err != nil {
			require.Equal(t, core.Invalid, core.KindOf(err))
			return
		}
		scheme, rest, ok := strings.Cut(raw, "://")
		require.True(t, ok)
		authority := rest
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			authority = rest[:i]
		}
		authority = strings.ToLower(authority)
		public := strings.EqualFold(scheme, "https") && (strings.HasSuffix(strings.TrimSuffix(authority, ":443"), ".logic.azure.com") ||
			strings.HasSuffix(strings.TrimSuffix(authority, ":443"), ".environment.api.powerplatform.com") ||
			strings.TrimSuffix(authority, ":443") == "hooks.example.com")
		named := strings.Contains(" 127.0.0.1:9000 localhost:9001 [::1]:9002 flow_sink:80 ", " "+authority+" ") ||
			authority == "flow_sink" && strings.EqualFold(scheme, "http")
		require.True(t, public || named, raw)
		require.NotContains(t, authority, "@")

		req, err := NewRequest(t.Context(), "POST", raw, nil)
		require.NoError(t, err)
		require.Equal(t, u.Host, req.URL.Host)
		require.True(t, strings.HasSuffix(raw, strings.TrimPrefix(req.URL.RequestURI(), "/")))
	})
}

func TestNewRequest(t *testing.T) {
	t.Parallel()
	req, err := NewRequest(t.Context(), "POST", flowURL, []byte("{}"))
	require.NoError(t, err)
	require.Equal(t, int64(2), req.ContentLength)
	require.NotNil(t, req.GetBody)
	require.Equal(t, "prod-240.westeurope.logic.azure.com:443", req.Host)
	_, want, _ := strings.Cut(flowURL, ":443")
	require.Equal(t, want, req.URL.RequestURI())

	for _, c := range [][2]string{
		{"GET", "https://user:secret@a.example/"},
		{"GET", "https://a.example/secret é"},
		{"GET", "https://a.example:secret/"},
		{"GET", "%secret"},
		{"GE T", "https://a.example/secret"},
		{"GET", "mailto:secret@a.example"},
	} {
		_, err := NewRequest(t.Context(), c[0], c[1], nil)
		require.Equal(t, core.Invalid, core.KindOf(err), c)
		require.NotContains(t, err.Error(), "secret")
		var quoting *url.Error
		require.NotErrorAs(t, err, &quoting)
	}
}
