package connector

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"tandem/adapters/powerautomate"
	"tandem/core"
)

func TestExport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ publicURL, host, address string }{
		{"", "localhost", "https://localhost"},
		{"https://hub.contoso.example", "hub.contoso.example", "https://hub.contoso.example"},
		{"https://hub.contoso.example:8443/tandem/", "hub.contoso.example:8443", "https://hub.contoso.example:8443/tandem"},
		{"http://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"https://user:password@hub.contoso.example", "hub.contoso.example", "https://hub.contoso.example"},
		{`https://hub.contoso.example/a"b`, "hub.contoso.example", "https://hub.contoso.example/a%22b"},
	} {
		d, p := exported(t, c.publicURL)
		require.Equal(t, c.host, d["host"])
		endpoint := at(p, "properties", "connectionParameters", "endpointUrl")
		require.Equal(t, c.address, endpoint["defaultValue"])
	}
	for _, bad := range []string{"hub", "ftp://hub", "https://", "https://[::1]:8080", "https://h\u00fcb.example", "https://a b", "://"} {
		_, err := Export(bad)
		require.ErrorContains(t, err, "a connector cannot call", bad)
	}
	_, err := Export("https://user:password@[::1]")
	require.NotContains(t, err.Error(), "password")
}

func TestExportKeepsTheFiles(t *testing.T) {
	t.Parallel()
	before := bytes.Clone(definition)
	files, err := Export("https://hub.contoso.example")
	require.NoError(t, err)
	require.Equal(t, []string{DefinitionFile, PropertiesFile}, []string{files[0].Name, files[1].Name})
	clear(files[0].Data)
	require.Equal(t, before, definition)
}

func TestFilesAreReadable(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{definition, properties} {
		require.Less(t, len(data), 1<<20)
		require.NotRegexp(t, `[^\n -~]`, string(data), "US-ASCII")
		require.NotRegexp(t, `(?i)luware|nimbus`, string(data))
		require.True(t, bytes.HasSuffix(data, []byte("}\n")))
		for line := range strings.Lines(string(data)) {
			indent := len(line) - len(strings.TrimLeft(line, " "))
			require.Zero(t, indent%2, line)
			require.NotRegexp(t, `[ \t]\n$`, line)
		}
	}
}

// TestConnectionParameters holds the two files together: the key goes where the
// hub looks for it, and the host is the one that a connection names.
func TestConnectionParameters(t *testing.T) {
	t.Parallel()
	d, p := exported(t, "")
	require.Equal(t, map[string]any{"api_key": map[string]any{"type": "apiKey", "in": "header", "name": "X-Api-Key"}}, d["securityDefinitions"])
	require.Equal(t, []any{map[string]any{"api_key": []any{}}}, d["security"])
	parameters := at(p, "properties", "connectionParameters")
	require.Len(t, parameters, 2)
	require.Equal(t, "securestring", at(parameters, "api_key")["type"])
	require.Equal(t, "Location", at(parameters, "endpointUrl", "uiDefinition")["displayName"])
	policy := at(p, "properties")["policyTemplateInstances"].([]any)[0].(map[string]any)
	require.Equal(t, "dynamichosturl", policy["templateId"])
	require.Equal(t, map[string]any{"x-ms-apimTemplateParameter.urlTemplate": "@connectionParameters('endpointUrl')"}, policy["parameters"])
}

// TestOperationsAreServed compares the definition with the adapter's routes:
// neither has an operation that the other lacks.
func TestOperationsAreServed(t *testing.T) {
	t.Parallel()
	e := echo.New()
	powerautomate.New(powerautomate.Options{}).Mount(e)
	var served, defined []string
	for _, r := range e.Routes() {
		served = append(served, r.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}"))
	}
	d, _ := exported(t, "")
	for _, op := range operations(d) {
		defined = append(defined, op.method+" "+op.path)
	}
	require.ElementsMatch(t, served, defined)
}

func TestModalities(t *testing.T) {
	t.Parallel()
	d, _ := exported(t, "")
	var want []any
	for _, m := range core.Modalities {
		want = append(want, string(m))
	}
	require.Equal(t, want, at(d, "definitions", "Modality")["enum"])
}

// exported returns both files, read.
func exported(t *testing.T, publicURL string) (definition, properties map[string]any) {
	t.Helper()
	files, err := Export(publicURL)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(files[0].Data, &definition))
	require.NoError(t, json.Unmarshal(files[1].Data, &properties))
	return definition, properties
}

// at returns the object at the end of keys, nil if there is none.
func at(tree map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		tree, _ = tree[k].(map[string]any)
	}
	return tree
}

// list returns the objects of a list.
func list(v any) []map[string]any {
	var objects []map[string]any
	items, _ := v.([]any)
	for _, item := range items {
		objects = append(objects, item.(map[string]any))
	}
	return objects
}

// operation is one operation of a definition.
type operation struct {
	path, method, id string
	form             map[string]any
}

// operations returns all operations of a definition.
func operations(d map[string]any) []operation {
	var all []operation
	for path, item := range at(d, "paths") {
		for method, form := range item.(map[string]any) {
			if !strings.HasPrefix(method, "x-") {
				o := operation{path: path, method: strings.ToUpper(method), form: form.(map[string]any)}
				o.id, _ = o.form["operationId"].(string)
				all = append(all, o)
			}
		}
	}
	return all
}
