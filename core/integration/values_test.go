package integration_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/integration"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	i := loadOne(t, whole)
	g := i.Grant("jwt")
	good := func() map[string]string {
		return map[string]string{"account": "acme", "region": "us", "client_id": "id", "private_key": "-----\r\nAA\n-----"}
	}
	require.NoError(t, i.Check(g, good(), nil))
	for _, c := range []struct {
		field, value, want string
		have               []string
	}{
		{"account", "", "Account is required", nil},
		{"account", "", "Account is required", []string{"account"}}, // no secret
		{"account", "a/b", "Account does not have the right form", nil},
		{"account", "a\n", "Account must be one line", nil},
		{"client_id", "a\x00b", "Client ID holds control characters", nil},
		{"client_id", "a\u0085b", "Client ID holds control characters", nil},
		{"client_id", "a\xff", "Client ID holds signs that are no text", nil},
		{"client_id", strings.Repeat("x", 4097), "Client ID is longer than 4 KB", nil},
		{"client_id", strings.Repeat("x", 4096), "", nil},
		{"region", "de", "Region must be one of the choices", nil},
		{"region", "", "", nil}, // has a default
		{"private_key", "", "Key is required", nil},
		{"private_key", "", "", []string{"private_key"}},
		{"private_key", strings.Repeat("x", 16385), "Key is longer than 16 KB", nil},
		{"private_key", "a\tb", "Key holds control characters", nil},
		{"client_secret", "x", "there is no such field", nil}, // of another grant
	} {
		values := good()
		values[c.field] = c.value
		err := i.Check(g, values, c.have)
		if c.want == "" {
			require.NoError(t, err, c.field)
			continue
		}
		var e *core.Error
		require.ErrorAs(t, err, &e, c.want)
		require.Equal(t, core.Invalid, e.Kind)
		require.Equal(t, []core.Detail{{Field: c.field, Message: c.want}}, e.Details)
		if c.value != "" && len(c.value) > 2 {
			require.NotContains(t, err.Error(), c.value)
		}
	}
	var e *core.Error
	require.ErrorAs(t, i.Check(g, map[string]string{"z": "1", "y": "2"}, nil), &e)
	var fields []string
	for _, d := range e.Details {
		fields = append(fields, d.Field)
	}
	require.Equal(t, []string{"account", "client_id", "private_key", "y", "z"}, fields)
}

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	i := loadOne(t, whole)
	given := map[string]string{"account": "acme", "region": ""}
	require.Equal(t, map[string]string{"account": "acme", "region": "eu"}, i.WithDefaults(i.Grant("jwt"), given))
	require.Equal(t, map[string]string{"account": "acme", "region": ""}, given)
	require.Equal(t, "us", i.WithDefaults(i.Grant("jwt"), map[string]string{"region": "us"})["region"])
}

func TestRender(t *testing.T) {
	t.Parallel()
	values := map[string]string{"a": "1", "b_2": "{a}", "empty": ""}
	for template, want := range map[string]string{
		"": "", "plain": "plain", "{a}": "1", "x{a}y{a}": "x1y1", "{b_2}": "{a}",
	} {
		got, err := integration.Render(template, values)
		require.NoError(t, err, template)
		require.Equal(t, want, got)
	}
	for template, kind := range map[string]core.Kind{
		"{none}": core.NotConfigured, "{empty}": core.NotConfigured,
		"{": core.Mapping, "}": core.Mapping, "{}": core.Mapping, "{a": core.Mapping, "a}": core.Mapping, "{{a}}": core.Mapping, "{A}": core.Mapping,
	} {
		_, err := integration.Render(template, values)
		require.Equal(t, kind, core.KindOf(err), template)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ template, value, want string }{
		{"https://{v}.acme.example/api", "a", "https://a.acme.example/api"},
		{"https://{v}.acme.example/api", "A.b", "https://a.b.acme.example/api"},
		{"https://x-{v}.acme.example:8443", "eu1", "https://x-eu1.acme.example:8443"},
		{"https://acme.example/{v}/token?x=1", "B_~.c", "https://acme.example/B_~.c/token?x=1"},
		{"http://127.0.0.1:8080/acme/{v}", "b", "http://127.0.0.1:8080/acme/b"},
		{"http://[::1]:8080/acme", "", "http://[::1]:8080/acme"},
	} {
		u, err := integration.Address(c.template, map[string]string{"v": c.value})
		require.NoError(t, err, c.template)
		require.Equal(t, c.want, u.String())
	}
	for _, value := range []string{
		"", ".", "..", "a/b", "a?b", "a#b", "a@b", "a:1", "a\\b", "a b", "a\n", "a%2fb", "evil.example/", "a..b", ".a", "a.", "-a", "a-",
		"ä", "\u212a", "{v}", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "a",
	} {
		_, err := integration.Address("https://{v}.acme.example", map[string]string{"v": value})
		require.Error(t, err, value)
		if len(value) > 2 && value != "{v}" {
			require.NotContains(t, err.Error(), value)
		}
	}
	for _, value := range []string{"", ".", "..", "a/b", "a?b", "a#b", "a%2e", "a\\b", "a b", "a;b", "ä"} {
		_, err := integration.Address("https://acme.example/{v}/x", map[string]string{"v": value})
		require.Error(t, err, value)
	}
	_, err := integration.Address("https://acme.example/.{v}/x", map[string]string{"v": "."})
	require.Error(t, err)
	for _, template := range []string{
		"", "acme.example", "ftp://acme.example", "http://acme.example", "http://{v}.acme.example", "https://{v}", "https://{v}.example",
		"https://{v}acme.example.com", "https://acme.example/?x={v}", "https://acme.example:{v}/", "https://u@acme.example",
		"https://acme.example/#x", "https://acme.example/%2E%2e/x", "https://", "https://acme", "https://acme.example:/x", "https://10.1.2.3/",
		"http://127.0.0.1@acme.example/", "https://{v", "https://acme.example/%zz",
	} {
		_, err := integration.Address(template, map[string]string{"v": "a"})
		require.Error(t, err, template)
	}
}

// TestAddressStaysAtHome tries to leave the vendor with values that Check lets
// through, and with any others.
func TestAddressStaysAtHome(t *testing.T) {
	t.Parallel()
	i := loadOne(t, strings.NewReplacer("[a-z0-9-]{1,40}", "[A-Za-z0-9._~-]{1,40}").Replace(whole))
	g := i.Grant("sign-in")
	rapid.Check(t, func(rt *rapid.T) {
		account := rapid.OneOf(
			rapid.StringMatching(`[A-Za-z0-9._~-]{1,40}`),
			rapid.StringOfN(rapid.SampledFrom([]rune("ab.-~_/?#@:%\\ {}\n2eEfF")), 1, 12, -1),
			rapid.String(),
		).Draw(rt, "account")
		region := rapid.SampledFrom([]string{"eu", "us"}).Draw(rt, "region")
		values := map[string]string{"account": account, "region": region, "client_id": "x"}
		checked := i.Check(g, values, nil) == nil
		if base, err := integration.Address(i.Base, values); err == nil {
			require.True(rt, checked)
			require.Equal(rt, "https", base.Scheme)
			require.True(rt, strings.HasSuffix(base.Host, "."+region+".acme.example"), base.Host)
			require.Equal(rt, "/api", base.Path)
			require.Empty(rt, base.RawQuery+base.Fragment+base.Port())
			require.Nil(rt, base.User)
		}
		if u, err := integration.Address(g.Authorize, values); err == nil {
			require.True(rt, checked)
			require.Equal(rt, "login.acme.example", u.Host)
			require.Equal(rt, []string{"", account, "authorize"}, strings.Split(u.EscapedPath(), "/"))
			require.NotContains(rt, []string{".", ".."}, account)
			require.Empty(rt, u.RawQuery+u.Fragment)
		}
	})
}

// FuzzAddress gives one address any two values.
func FuzzAddress(f *testing.F) {
	f.Add("acme", "v1")
	f.Add("a@evil.example/", "../x")
	f.Add("evil.example:443\\", "%2e%2e")
	f.Fuzz(func(t *testing.T, host, path string) {
		u, err := integration.Address("https://{a}.acme.example:8443/in/{b}/x?q=1", map[string]string{"a": host, "b": path})
		if err != nil {
			return
		}
		require.True(t, strings.HasSuffix(u.Host, ".acme.example:8443"), u.Host)
		require.Equal(t, "/in/"+path+"/x", u.EscapedPath())
		require.Equal(t, 3, strings.Count(u.String()[len("https://"):], "/"))
		require.NotContains(t, []string{".", ".."}, path)
		require.Equal(t, "q=1", u.RawQuery)
		require.Nil(t, u.User)
	})
}
