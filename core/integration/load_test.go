package integration_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/integration"
	"tandem/core/mapping"
)

const whole = `title: Acme
description: Parcels
docs: https://docs.acme.example/api
base: https://{account}.{region}.acme.example/api
settings:
  - name: account
    label: Account
    pattern: "[a-z0-9-]{1,40}"
    required: true
  - name: region
    label: Region
    default: eu
    options: [{value: eu, label: Europe}, {value: us, label: America}]
grants:
  - id: sign-in
    type: authorization_code
    title: Sign in
    help: As the owner
    fields:
      - {name: client_id, label: Client ID, help: There, required: true}
      - {name: client_secret, label: Client secret, secret: true}
    authorize: https://login.acme.example/{account}/authorize
    token: https://login.acme.example/token
    revoke: https://login.acme.example/revoke
    issuer: https://login.acme.example
    scopes: [read, "https://{account}.acme.example/write"]
    in_header: true
    parameters: {prompt: consent, account: "{account}"}
    token_base: instance.url
    token_hosts: ["*.acme.example", api.acme.example]
    token_life: 1h
    refresh_life: 720h
    account: {url: "https://api.acme.example/me?fields=all", field: emails.0}
  - id: jwt
    type: jwt_bearer
    title: Key
    fields:
      - {name: client_id, label: Client ID, required: true}
      - {name: private_key, label: Key, required: true, secret: true, multiline: true}
    token: https://login.acme.example/token
    audience: https://login.acme.example
    subject: "{account}@acme"
  - id: machine
    type: password
    title: Machine
    fields:
      - {name: key, label: Key, required: true}
      - {name: secret, label: Secret, required: true, secret: true}
    token: https://login.acme.example/token
    username: "{key}"
    password: "{secret}"
  - id: key
    type: api_key
    title: Key
    fields: [{name: key, label: Key, required: true, secret: true}]
    header: Authorization
    value: "Key {key}"
  - id: basic
    type: basic
    title: Basic
    fields:
      - {name: user, label: User, required: true}
      - {name: pass, label: Password, required: true, secret: true}
    username: "{user}/token"
    password: "{pass}"
  - id: token
    type: bearer
    title: Token
    fields: [{name: token, label: Token, required: true, secret: true}]
limits: {requests_per_minute: 300, concurrency: 4}
errors:
  - {status: 403, field: 0.code, equals: QUOTA, kind: throttled}
  - {status: 423, kind: unavailable}
`

// load loads files without asking whether the mapping room likes them.
func load(t testing.TB, files map[string]string) (*integration.Catalogue, []string) {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	set, findings := mapping.Read(fsys)
	require.Empty(t, findings)
	c, findings := integration.Load(set)
	var texts []string
	for _, f := range findings {
		texts = append(texts, f.String())
	}
	return c, texts
}

func loadOne(t testing.TB, text string) *integration.Integration {
	t.Helper()
	c, findings := load(t, map[string]string{"acme/integration.yaml": text})
	require.Empty(t, findings)
	i, ok := c.Integration("acme")
	require.True(t, ok)
	return i
}

func TestLoad(t *testing.T) {
	t.Parallel()
	i := loadOne(t, whole)
	require.Equal(t, "Acme", i.Title)
	require.Equal(t, "acme/integration.yaml", i.File)
	require.Equal(t, integration.Limits{RequestsPerMinute: 300, Concurrency: 4}, i.Limits)
	require.Equal(t, []integration.ErrorRule{
		{Status: 403, Field: "0.code", Equals: "QUOTA", Kind: core.Throttled},
		{Status: 423, Kind: core.Unavailable},
	}, i.Errors)
	require.Len(t, i.Grants, 6)
	g := i.Grant("sign-in")
	require.Equal(t, integration.AuthorizationCode, g.Type)
	require.Equal(t, []string{"read", "https://{account}.acme.example/write"}, g.Scopes)
	require.Equal(t, map[string]string{"prompt": "consent", "account": "{account}"}, g.Parameters)
	require.True(t, g.InHeader)
	require.Equal(t, "instance.url", g.TokenBase)
	require.Equal(t, []string{"*.acme.example", "api.acme.example"}, g.TokenHosts)
	require.Equal(t, time.Hour, g.TokenLife)
	require.Equal(t, 720*time.Hour, g.RefreshLife)
	require.Equal(t, integration.Account{URL: "https://api.acme.example/me?fields=all", Field: "emails.0"}, g.Account)
	require.Len(t, i.Fields(g), 4)
	require.Nil(t, i.Grant("none"))

	account := i.Settings[0]
	require.True(t, account.Pattern.MatchString("acme-1"))
	for _, wrong := range []string{"", "acme.", "x\nacme", "acme\n", "ACME"} {
		require.False(t, account.Pattern.MatchString(wrong), wrong)
	}
}

// TestLoadFindings changes one thing of the whole file at a time.
func TestLoadFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, new, want string }{
		{"title: Acme\n", "", `:1:1: "title" is missing`},
		{"description:", "descriptio:", `:2:1: unknown key "descriptio" (did you mean "description"?)`},
		{"docs: https:", "docs: http:", `:3:7: docs must be an address`},
		{"docs: https://docs", "docs: https://me@docs", `:3:7: docs must be`},
		{"base: https://{account}.{region}.acme.example/api\n", "", `"base" is missing`},
		{"base: https:", "base: http:", `:4:7: base: it must begin with https://`},
		{"region}.acme.example/api\n", "region}.acme.example/api?x=1\n", `:4:7: base must not have a query`},
		{"region}.acme.example/api\n", "region}.acme.example/api/\n", `:4:7: base must not end with a slash`},
		{"base: https://{account}.{region}.acme.example", "base: https://{account}", `:4:7: base: behind the last field`},
		{"base: https://{account}.{region}.acme.example", "base: https://{account}.example", `:4:7: base: behind`},
		{"base: https://{account}.{region}.acme.example", "base: https://{account}acme.example", `:4:7: base: behind`},
		{"base: https://{account}.{region}.acme.example", "base: https://x@acme.example", `:4:7: base: user information`},
		{"base: https://{account}.{region}.acme.example", "base: https://10.0.0.1", `is not an address`},
		{"base: https://{account}.{region}.acme.example", "base: https://acme_x.example", `is not an address`},
		{"base: https://{account}.{region}.acme.example/api", "base: https://acme.example/../api", `is not an address`},
		{
			"base: https://{account}.{region}.acme.example", "base: https://{acount}.acme.example",
			`:4:7: base: there is no field "acount" (did you mean "account"?)`,
		},
		{"base: https://{account}.{region}.acme.example", "base: https://{account.acme.example", `:4:7: base: braces hold`},
		{"    pattern: \"[a-z0-9-]{1,40}\"\n", "", `:4:7: base: the field "account" becomes part of an address`},
		{"[a-z0-9-]{1,40}", "[^.]+", `the field "account" becomes part of an address`},
		{"[a-z0-9-]{1,40}", ".+", `the field "account" becomes part of an address`},
		{"[a-z0-9-]{1,40}", "[a-z]+(/x)?", `the field "account" becomes part of an address`},
		{"[a-z0-9-]{1,40}", "(?i)[a-z]+", `the field "account" becomes part of an address`},
		{"[a-z0-9-]{1,40}", "[a-z", `:8:14: the pattern is not a regular expression`},
		{"[a-z0-9-]{1,40}", "a)|(b", `:8:14: the pattern is not a regular expression`},
		{"[a-z0-9-]{1,40}", "((a{30}){30}b){2}", `:8:14: the pattern is not a regular expression`},
		{"[a-z0-9-]{1,40}", strings.Repeat("(ab){900}", 5), `:8:14: the pattern repeats too much`},
		{"[a-z0-9-]{1,40}", strings.Repeat("a", 201), `:8:14: a pattern has at most 200 characters`},
		{"    required: true\n  - name: region", "  - name: region", `base: the field "account" must be required, or have a default`},
		{
			"    required: true\n  - name: region", "    required: true\n    secret: true\n  - name: region",
			`base: the secret "account" cannot stand here`,
		},
		{"default: eu", "default: de", `:12:14: the default "de" of "region" must be one of the choices`},
		{"{value: us,", "{value: eu,", `:13:51: duplicate option "eu"`},
		{"{value: us,", "{value: \"u/s\",", `base: the field "region" becomes part of an address`},
		{"name: region", "name: account", `duplicate field "account"`},
		{"name: region", "name: Region", `"Region" is not the name of a field`},
		{"name: client_id, label: Client ID, help", "name: account, label: Client ID, help", `duplicate field "account"`},
		{"type: authorization_code", "type: authorisation_code", `unknown grant type "authorisation_code" (did you mean "authorization_code"?)`},
		{"id: jwt", "id: sign-in", `duplicate grant "sign-in"`},
		{"id: jwt", "id: J W T", `"J W T" is not the id of a grant`},
		{"    authorize: https://login.acme.example/{account}/authorize\n", "", `a grant of type authorization_code needs "authorize"`},
		{"    audience: https://login.acme.example\n", "", `a grant of type jwt_bearer needs "audience"`},
		{"    username: \"{key}\"\n", "", `a grant of type password needs "username"`},
		{"    header: Authorization\n", "", `a grant of type api_key needs "header"`},
		{"    header: Authorization\n", "    header: Authorization\n    token: https://acme.example\n", `a grant of type api_key has no "token"`},
		{"help: There, required: true", "help: There", `needs the field "client_id", with required: true`},
		{
			"name: client_secret, label: Client secret, secret: true", "name: client_secret, label: Client secret",
			`the field "client_secret" must have secret: true`,
		},
		{"secret: true, multiline: true", "secret: true", `the field "private_key" must have multiline: true`},
		{"name: client_secret, ", "name: client_sekret, ", `in_header needs the fields`},
		{
			"{name: pass, label: Password, required: true, secret: true}", "{name: pass, label: Password, required: true}",
			`password: it must hold a field with secret: true`,
		},
		{"secret: true}\n    authorize", "secret: true, default: x}\n    authorize", `a secret has no default`},
		{"secret: true}\n    authorize", "secret: true, options: [{value: a, label: b}]}\n    authorize", `a secret has no options`},
		{"header: Authorization", "header: Host", `header: "Host" cannot carry a key`},
		{"header: Authorization", "header: transfer-encoding", `cannot carry a key`},
		{"header: Authorization", "header: \"X Key\"", `cannot carry a key`},
		{"header: Authorization", "header: Proxy-Authorization", `cannot carry a key`},
		{"{prompt: consent,", "{State: consent,", `parameters: "State" is set by the hub`},
		{"{prompt: consent,", "{prompt: \"{client_secret}\",", `parameters: the`},
		{"scopes: [read,", "scopes: [\"read all\",", `scopes: each entry is one scope`},
		{"scopes: [read,", "scopes: [\"{x}\",", `scopes: there is no field "x"`},
		{"scopes: [read,", "scopes: [read, read,", `duplicate scope "read"`},
		{"    token_hosts: [\"*.acme.example\", api.acme.example]\n", "", `token_base and token_hosts belong together`},
		{"\"*.acme.example\", api", "\"*\", api", `token_hosts: "*" is not a host`},
		{"token_life: 1h", "token_life: 0s", `the life of a token`},
		{"token_life: 1h", "token_life: 3600", `a duration such as`},
		{"https://login.acme.example/{account}/authorize", "https://login.acme.example/authorize?x={account}", `authorize: no field can stand in its query`},
		{"https://api.acme.example/me?fields=all", "ftp://api.acme.example/me", `account.url: it must begin with https://`},
		{"url: \"https://api.acme.example/me?fields=all\", ", "", `account.field needs account.url`},
		{"field: emails.0", "field: emails..0", `account.field must be names with dots`},
		{"kind: throttled", "kind: throttle", `unknown kind "throttle" (did you mean "throttled"?)`},
		{"status: 423", "status: 200", `status must be a number from 300 to 599`},
		{"{status: 423, kind", "{kind", `an error rule needs a status or a field`},
		{", equals: QUOTA", "", `field and equals belong together`},
		{"concurrency: 4", "concurrency: 0", `concurrency must be 1 or more`},
		{"concurrency: 4", "concurrency: 33", `concurrency must be 32 or less: the hub has no more calls in flight`},
		{"limits:", "no_authorization: true\nlimits:", `grants and no_authorization exclude each other`},
	} {
		require.Equal(t, 1, strings.Count(whole, c.old), c.old)
		_, findings := load(t, map[string]string{"acme/integration.yaml": strings.Replace(whole, c.old, c.new, 1)})
		require.Contains(t, strings.Join(findings, "\n"), c.want, c.new)
	}
}

func TestLoadPlaces(t *testing.T) {
	t.Parallel()
	const little = "title: X\nbase: https://x.example\nno_authorization: true\n"
	for name, want := range map[string]string{
		"integration.yaml":      "an integration stands in a folder of its own",
		"a/b/integration.yaml":  "an integration stands in a folder of its own",
		"Acme/integration.yaml": "an integration stands in a folder of its own",
		"acme/integration.yml":  "the file must be called integration.yaml",
	} {
		_, findings := load(t, map[string]string{name: little})
		require.Len(t, findings, 1)
		require.Contains(t, findings[0], want)
	}
	_, findings := load(t, map[string]string{"acme/integration.yaml": "title: X\nbase: https://x.example\n"})
	require.Equal(t, []string{`acme/integration.yaml:1:1: "grants" is missing; no_authorization: true says that none is needed`}, findings)
	for _, base := range []string{"http://127.0.0.1:8080/x", "http://localhost:1", "http://[::1]:8080/{path}/x"} {
		c, findings := load(t, map[string]string{"acme/integration.yaml": "title: X\nbase: " + base +
			"\nno_authorization: true\nsettings: [{name: path, label: P, pattern: '[a-z]+', required: true}]\n"})
		require.Empty(t, findings, base)
		require.Len(t, c.All(), 1)
		require.Empty(t, c.Listed())
	}
}

func TestLoadNodes(t *testing.T) {
	t.Parallel()
	_, findings := load(t, map[string]string{"acme/integration.yaml": whole, "webex/nodes.yaml": `nodes:
  - {node: a, title: A, versions: ["1.0"], integration: acme}
  - {node: a, title: A, versions: [1.0], integration: acme}
  - {node: B!, title: B, versions: ["v1", "1.0", "1.0"], integration: acne, authorization: " x"}
  - {node: c, title: C, integration: acme, method: x}
  - {node: d, title: D, versions: ["1.0"], integration: acme, methods: [{method: e!, title: E}, {method: f, title: F}, {method: f}, {title: G}]}
`})
	require.Equal(t, []string{
		`webex/nodes.yaml:3:12: duplicate node "a": an entry for other versions of it needs an "id" of its own`,
		`webex/nodes.yaml:3:36: "" is not a version such as "1.2"`,
		`webex/nodes.yaml:3:36: an entry of "versions" must be text: put it in quotes, "1.0"`,
		`webex/nodes.yaml:4:12: "B!" is not the id of a node: it is made of a-z, 0-9 and -`,
		`webex/nodes.yaml:4:37: "v1" is not a version such as "1.2"`,
		`webex/nodes.yaml:4:50: duplicate version "1.0"`,
		`webex/nodes.yaml:4:71: unknown integration "acne" (did you mean "acme"?)`,
		`webex/nodes.yaml:4:92: the name of an authorization has at most 64 characters and no space around it`,
		`webex/nodes.yaml:5:5: "versions" is missing`,
		`webex/nodes.yaml:5:44: unknown key "method" (did you mean "methods"?)`,
		`webex/nodes.yaml:6:82: "e!" is not the id of a method: it is made of a-z, 0-9 and -`,
		`webex/nodes.yaml:6:120: "title" is missing`,
		`webex/nodes.yaml:6:129: duplicate method "f"`,
		`webex/nodes.yaml:6:133: "method" is missing`,
	}, findings)
}

// TestLoadEntries: a node stands more than once with other versions, and it is
// clear which entry is meant.
func TestLoadEntries(t *testing.T) {
	t.Parallel()
	_, findings := load(t, map[string]string{"acme/integration.yaml": whole, "webex/nodes.yaml": `nodes:
  - {node: a, title: A, versions: ["1.2"], integration: acme}
  - {node: a, id: a-old, title: A, versions: ["1.1", "1.2"], integration: acme}
  - {node: a, id: a-old, title: A, versions: ["1.0"], integration: acme}
  - {node: a, id: A, title: A, versions: ["0.9"], integration: acme}
  - {node: b, id: a, title: B, versions: ["1.2"], integration: acme}
  - {node: b, title: B, versions: [], integration: acme}
`})
	require.Equal(t, []string{
		`webex/nodes.yaml:3:54: version "1.2" of node a stands in another entry`,
		`webex/nodes.yaml:4:19: duplicate node "a-old": an entry for other versions of it needs an "id" of its own`,
		`webex/nodes.yaml:5:19: "A" is not the id of an entry: it is made of a-z, 0-9 and -`,
		`webex/nodes.yaml:6:19: duplicate node "a": an entry for other versions of it needs an "id" of its own`,
		`webex/nodes.yaml:7:35: "versions" must not be empty`,
	}, findings)
}

// TestLoadBounds loads files that are as large as they may be.
func TestLoadBounds(t *testing.T) {
	t.Parallel()
	const head = "title: X\nbase: https://x.example\n"
	long := func(format string) string { // a list of different entries
		var b strings.Builder
		for n := 0; b.Len() < 240<<10; n++ {
			fmt.Fprintf(&b, format, n)
		}
		return b.String()
	}
	fold := "(?i)" + strings.Repeat(`\\pL\\PL`, 20)
	for name, text := range map[string]string{
		"fields":    head + "no_authorization: true\nsettings:\n" + long("  - {name: x%d, label: y, pattern: '\\pL{999}'}\n"),
		"patterns":  head + "no_authorization: true\nsettings:\n" + long("  - {name: x%d, label: y, pattern: \""+fold+"\"}\n"),
		"options":   head + "no_authorization: true\nsettings:\n  - name: x\n    label: x\n    options:\n" + long("    - {value: v%d, label: l}\n"),
		"grants":    head + "grants:\n" + long("  - {id: g%d, type: basic, title: x}\n"),
		"scopes":    head + "grants:\n  - id: a\n    type: client_credentials\n    title: x\n    scopes:\n" + long("    - s%d\n"),
		"templates": "title: X\nno_authorization: true\nsettings: [{name: a, label: a, required: true, pattern: '[\\pL]+'}]\nbase: https://" + long("{a}.x%d"),
		"errors":    head + "no_authorization: true\nerrors:\n" + long("  - {status: 400, kind: conflict%d}\n"),
		"nodes":     "nodes:\n" + long("  - {node: n%d, title: x, versions: ['1.0'], integration: x}\n"),
		"methods":   "nodes:\n  - node: a\n    title: x\n    integration: x\n    versions: ['1.0']\n    methods:\n" + long("    - {method: m%d, title: y, operation: z}\n"),
		"versions":  "nodes:\n  - node: a\n    title: x\n    integration: x\n    versions:\n" + long("    - '1.%d'\n"),
	} {
		path := "acme/integration.yaml"
		if name == "nodes" || name == "versions" || name == "methods" {
			path = "webex/nodes.yaml"
		}
		file, findings := mapping.Parse(path, []byte(text))
		require.Empty(t, findings, name)
		coretest.Soon(t, 20*time.Second, name, func() {
			_, findings = integration.Load(&mapping.Set{Files: []mapping.File{file}})
		})
		require.NotEmpty(t, findings, name)
		require.LessOrEqual(t, len(findings), 201, name)
	}
}

// FuzzLoad holds for any text: no panic, no hang, findings with a place, and a
// catalogue that can be used.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("nodes:\n  - {node: a, title: A, versions: [\"1.0\"], integration: acme, methods: [{method: m, title: M, operation: o}]}\n"))
	f.Add([]byte("title: X\nbase: https://{a}.x.y\nsettings: [{name: a, label: b, pattern: '(?i)[a-z]{1,9}', required: true}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, name := range []string{"acme/integration.yaml", "webex/nodes.yaml", "other/x.yaml"} {
			file, findings := mapping.Parse(name, data)
			if len(findings) > 0 {
				return
			}
			began := time.Now()
			c, findings := integration.Load(&mapping.Set{Files: []mapping.File{file}})
			require.Less(t, time.Since(began), 10*time.Second)
			for _, finding := range findings {
				require.NotContains(t, finding.String(), "\n")
				require.Equal(t, name, finding.File)
			}
			c.Uses([]integration.Authorization{{ID: "1", Tenant: "t", Integration: "acme", DefaultFor: []string{""}}}, "1")
			if len(findings) > 0 {
				continue
			}
			for _, i := range c.All() {
				values := map[string]string{}
				for _, field := range i.Settings {
					values[field.Name] = "x"
				}
				_, err := integration.Address(i.Base, values)
				require.NoError(t, err)
			}
		}
	})
}
