package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/authstore"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/outbound"
)

// folder is a folder of mapping files with the new operation acme/find-customer.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "directory/contoso.yaml", "tenant: contoso\n")
	code, out, errs := tandem(t, "mappings", "new", "acme/find-customer", dir)
	require.Zero(t, code, errs)
	require.Contains(t, out, filepath.Join(dir, "acme", "find-customer_test.yaml")+"\n")
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// edit replaces a text of a file.
func edit(t *testing.T, dir, name, old, with string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	write(t, dir, name, strings.Replace(string(text), old, with, 1))
}

func TestNewOperationIsGoodAtOnce(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	code, out, _ := tandem(t, "mappings", "lint", dir)
	require.Zero(t, code, out)
	code, out, _ = tandem(t, "mappings", "test", dir)
	require.Zero(t, code, out)
	require.Equal(t, "ok    acme/find-customer  3 tests\n1 operation, all as expected.\n", out)
	set, _ := mapping.Read(os.DirFS(dir))
	for _, f := range set.Files {
		for _, k := range kindsOfFiles {
			if strings.HasPrefix(f.Path, "acme/") && k.name == kindOfNew(f.Path) {
				require.NoError(t, compiled(t, k.schema()).Validate(asJSON(t, f.Root)), f.Path)
			}
		}
	}

	// Names that YAML would take for something else, and an integration that is
	// there already.
	write(t, dir, "4711/integration.yaml", "title: \"Vendor: 1 # \\\"x\\\"\"\nbase: https://api.vendor.example\nno_authorization: true\n")
	code, _, errs := tandem(t, "mappings", "new", "4711/true", dir)
	require.Zero(t, code, errs)
	code, out, _ = tandem(t, "mappings", "test", "--run", "4711", "--mappings-dir", dir)
	require.Zero(t, code, out)
	require.Equal(t, "ok    4711/true  3 tests\n1 operation, all as expected.\n", out)
}

func kindOfNew(path string) string {
	switch {
	case strings.HasSuffix(path, "integration.yaml"):
		return "integration"
	case strings.HasSuffix(path, "_test.yaml"):
		return "operation-test"
	}
	return "operation"
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "broken/integration.yaml", "titel: Broken\n")
	for _, c := range []struct{ name, dir, want string }{
		{"acme/find-customer", dir, "is there already; nothing was written"},
		{"acme", dir, "want INTEGRATION/OPERATION"},
		{"acme/find_customer", dir, "want INTEGRATION/OPERATION"},
		{"../x", dir, "want INTEGRATION/OPERATION"},
		{"acme/entities", dir, "another kind of file"},
		{"workflows/x", dir, "holds other files"},
		{"broken/x", dir, "mend the integration first: broken/integration.yaml:1:1: "},
		{"acme/x", filepath.Join(dir, "none"), "there is no folder"},
	} {
		code, _, errs := tandem(t, "mappings", "new", c.name, c.dir)
		require.Equal(t, 1, code, c.name)
		require.Contains(t, errs, c.want)
	}
	code, _, errs := tandem(t, "mappings", "new", "acme/x")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the samples built in cannot be changed")
	_, err := os.Stat(filepath.Join(dir, "broken", "x.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTestCommandFails(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	edit(t, dir, "acme/find-customer.yaml", "search: = input.query", "find: = input.query")
	code, out, errs := tandem(t, "mappings", "test", dir)
	require.Equal(t, 1, code)
	require.Contains(t, out, "FAIL  acme/find-customer\n      acme/find-customer_test.yaml:7: finds a customer: exchange 1: query.")
	require.Contains(t, errs, "1 of 1 operation failed")
	edit(t, dir, "acme/find-customer.yaml", "find: = input.query", "search: = input.query")

	require.NoError(t, os.Remove(filepath.Join(dir, "acme", "find-customer_test.yaml")))
	code, out, _ = tandem(t, "mappings", "test", dir)
	require.Equal(t, 1, code)
	require.Contains(t, out, "has no tests: write acme/find-customer_test.yaml")
	code, _, errs = tandem(t, "mappings", "test", "--run", "nothing", dir)
	require.Equal(t, 1, code)
	require.Contains(t, errs, `there is no operation whose name holds "nothing"`)

	edit(t, dir, "acme/find-customer.yaml", "= input.query", "= input.qery")
	code, out, errs = tandem(t, "mappings", "test", dir)
	require.Equal(t, 1, code)
	require.Empty(t, errs)
	require.Regexp(t, `^acme/find-customer\.yaml:\d+:\d+: unknown input "qery"`, out)

	// The one does not wait for the other to be mended.
	code, _, errs = tandem(t, "mappings", "new", "other/find-customer", dir)
	require.Zero(t, code, errs)
	write(t, dir, "other/broken.yaml", "title: [\n")
	code, _, _ = tandem(t, "mappings", "test", "--run", "other/find", dir)
	require.Equal(t, 1, code)
	require.NoError(t, os.Remove(filepath.Join(dir, "other/broken.yaml")))
	code, out, _ = tandem(t, "mappings", "test", "--run", "other/find", dir)
	require.Zero(t, code, out)
	code, out, _ = tandem(t, "mappings", "try", "other/find-customer", dir)
	require.Zero(t, code, out)
}

func TestTryRecorded(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	write(t, dir, "input.json", `{"query": "somebody@example.com"}`)
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
		not  string
	}{
		{
			"the first test", nil, 0,
			[]string{"find  ok", "  > GET https://acme.example/customers?", "  > Accept: application/json\n", "  < 200 OK\n", `  <       "name": "Jane Doe"`, "\nresult\n", `"display": "Jane Doe"`},
			"jane@example.com",
		},
		{"everything", []string{"--show"}, 0, []string{"jane@example.com"}, "[redacted]"},
		{"everything, live", []string{"--live", "--tenant", "contoso", "--show"}, 1, []string{"--show is for recorded answers"}, "GET"},
		{"another test", []string{"--test", "finds nobody"}, 0, []string{"find  continued", "404 Not Found"}, "Jane"},
		{"a fault", []string{"--test", "a fault of the vendor is told as it is"}, 1, []string{"500", "out of order", "kind: uncertain", "code: UPSTREAM_FAILED", "step: find"}, "result"},
		{"an input", []string{"--input", `{"query": "somebody@example.com"}`}, 0, []string{"other calls than the test records\n  exchange 1: query.search: want"}, "somebody@"},
		{"an input from a file", []string{"--input", filepath.Join(dir, "input.json")}, 0, []string{"other calls than the test records"}, "somebody@"},
		{"an input that does not fit", []string{"--input", `{"query": ""}`}, 1, []string{"\nerror\n  query: ", "kind: invalid"}, "code:"},
		{"no such test", []string{"--test", "x"}, 1, []string{`has no test "x"`}, "GET"},
		{"no JSON", []string{"--input", `{`}, 1, []string{"want a JSON object"}, "GET"},
		{"no file", []string{"--input", "none.json"}, 1, []string{"none.json"}, "GET"},
		{"live without a tenant", []string{"--live"}, 1, []string{"--live needs --tenant"}, "GET"},
		{"live with a test", []string{"--live", "--tenant", "contoso", "--test", "x"}, 1, []string{"exclude each other"}, "GET"},
		{"a tenant without live", []string{"--tenant", "contoso"}, 1, []string{"go with --live"}, "GET"},
	} {
		code, out, errs := tandem(t, append([]string{"mappings", "try", "acme/find-customer", dir}, c.args...)...)
		require.Equal(t, c.code, code, c.name)
		for _, want := range c.want {
			require.Contains(t, out+errs, want, c.name)
		}
		require.NotContains(t, out+errs, c.not, c.name)
	}
	code, _, errs := tandem(t, "mappings", "try", "acme/find-costumer", dir)
	require.Equal(t, 1, code)
	require.Contains(t, errs, `(did you mean "acme/find-customer"?)`)
	code, _, errs = tandem(t, "mappings", "try", "x", dir)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "there are acme/find-customer")
}

// TestTryLive calls a vendor with an authorization out of the database, while
// another process serves it.
func TestTryLive(t *testing.T) {
	t.Parallel()
	const key = "a very secret key"
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Api-Key") != key {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"customers": [{"id": 9, "name": "`+r.URL.Query().Get("search")+` Doe"}]}`)
	}))
	defer vendor.Close()
	dir, data := folder(t), t.TempDir()
	edit(t, dir, "acme/integration.yaml", "https://api.acme.example/v1", vendor.URL)
	edit(t, dir, "acme/find-customer.yaml", "redact: true", "redact: false")
	host := strings.TrimPrefix(vendor.URL, "http://")

	live := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		args = append([]string{"mappings", "try", "acme/find-customer", dir, "--data-dir", data, "--allow-hosts", host, "--live"}, args...)
		code := run(t.Context(), args, func(string) string { return "" }, &out, &errs)
		return code, out.String() + errs.String()
	}
	code, out := live("--tenant", "contoso")
	require.Equal(t, 1, code)
	require.Contains(t, out, "there is no database at")

	authorize(t, dir, data, host, key)
	code, out = live("--tenant", "contoso", "--input", `{"query": "Janet"}`)
	require.Zero(t, code, out)
	require.Contains(t, out, "live with an authorization of contoso")
	require.Contains(t, out, "  > GET "+vendor.URL+"/customers?limit=10&search=Janet\n")
	require.Contains(t, out, `"display": "Janet Doe"`)
	require.NotContains(t, out, key)
	code, out = live("--tenant", "contoso")
	require.Zero(t, code, out)
	require.Contains(t, out, "jane@example.com Doe", "without an input the example is taken")
	code, out = live("--tenant", "contoso", "--authorization", "none")
	require.Equal(t, 1, code)
	require.Contains(t, out, "kind: needs_authorization")
	code, out = live("--tenant", "fabrikam")
	require.Equal(t, 1, code)
	require.Contains(t, out, `the directory has no tenant "fabrikam"`)

	edit(t, dir, "acme/find-customer.yaml", "method: GET", "method: DELETE")
	code, out = live("--tenant", "contoso")
	require.Equal(t, 1, code)
	require.Contains(t, out, "add --yes")
	code, out = live("--tenant", "contoso", "--yes")
	require.Zero(t, code, out)
}

// authorize gives contoso an authorization for acme; the database is held as by
// a hub until the test ends.
func authorize(t *testing.T, dir, data, host, key string) {
	t.Helper()
	ctx := t.Context()
	c := &config{DatabaseURL: "sqlite:" + filepath.Join(data, "tandem.db"), DataDir: data}
	db, release, err := openDatabase(ctx, c, true, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = db.Close()
		release()
	})
	sealer, err := openSealer(ctx, c, db)
	require.NoError(t, err)
	set, findings := mapping.Read(os.DirFS(dir))
	require.Empty(t, findings)
	catalogue, findings := integration.Load(set)
	require.Empty(t, findings)
	client, err := outbound.New(outbound.Options{AllowHosts: []string{host}})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	s := authstore.New(authstore.Options{
		DB: db, Sealer: sealer, Clock: core.SystemClock{}, Chance: rand.Float64, HTTP: client.HTTPClient(),
		Integrations: func() *integration.Catalogue { return catalogue },
		Redirect:     func(string) (string, error) { return "", nil },
	})
	a, err := s.Add(ctx, "contoso", "admin@contoso.example", integration.Draft{
		Integration: "acme", Grant: "key", Name: "Main", Values: map[string]string{"key": key},
	})
	require.NoError(t, err)
	_, err = s.Grant(ctx, "contoso", a.ID)
	require.NoError(t, err)
	require.NoError(t, s.MakeDefault(ctx, "contoso", a.ID, ""))
}
