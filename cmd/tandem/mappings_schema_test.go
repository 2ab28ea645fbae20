package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/mappings"
)

// TestShippedFilesFitTheirSchemas also finds a shipped file of no known kind.
func TestShippedFilesFitTheirSchemas(t *testing.T) {
	t.Parallel()
	schemas := map[string]*jsonschema.Schema{}
	for _, k := range kindsOfFiles {
		schemas[k.name] = compiled(t, k.schema())
	}
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	seen := map[string]int{}
	for _, f := range set.Files {
		kind := kindOf(t, f)
		seen[kind]++
		if err := schemas[kind].Validate(asJSON(t, f.Root)); err != nil {
			t.Errorf("%s as %s: %v", f.Path, kind, err)
		}
	}
	for _, k := range kindsOfFiles {
		require.NotZero(t, seen[k.name], "no shipped file is a sample of the kind %s", k.name)
	}
}

func TestSchemasRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, good, wrongKey, wrongType string }{
		{"directory", "tenant: a", "tenant: a\nunit: x", "tenant: a\nusers: {upn: x}"},
		{"workflow", "name: a\nmodality: Audio\nactivities: [{activity: Delay, for: 10s}]", "name: a\nmodality: Audio\nactivities: [{activity: Delay, fro: 10s}]", "name: a\nmodality: Audio\nactivities: [{activity: Delay, for: 10}]"},
		{"integration", "title: a\nbase: b", "title: a\nbase: b\ngrant: []", "title: a\nbase: b\nno_authorization: 'yes'"},
		{"nodes", "nodes: [{node: a, title: A, versions: ['1'], integration: b}]", "nodes: [{node: a, title: A, versions: ['1'], integration: b, version: x}]", "nodes: [{node: a, title: A, versions: [1], integration: b}]"},
		{"operation", "title: a\nsteps: [{id: a, request: {method: GET, path: /a}}]\noutput: {x: 1}", "title: a\nsteps: [{id: a, request: {method: GET, url: /a, path: /a}}]\noutput: x", "title: a\nsteps: [{id: a, request: {method: FETCH, path: /a}}]\noutput: x"},
		{"operation-test", "tests: [{name: a, exchanges: [{request: {method: GET, path: /a}, answer: {status: 200, body: {x: [1]}}}], result: {}}]", "tests: [{name: a, exchange: []}]", "tests: [{name: a, exchanges: [{request: {method: GET, path: /a}, answer: {status: OK}}]}]"},
		{"entities", "entities: [{name: A, set: as, fields: [{name: b, type: phone, updatable: true}]}]", "entities: [{name: A, sets: as}]", "entities: [{name: A, fields: [{name: b, type: telephone}]}]"},
		{"cxone-configurations", "tenant: a\nconfigurations: [{id: x, name: X, integration: b, cache: 30m}]", "tenant: a\nconfigurations: [{id: x, name: X, integration: b, caches: 30m}]", "tenant: a\nconfigurations: [{id: x, name: X, integration: b, cache: 30}]"},
	} {
		var schema *jsonschema.Schema
		for _, k := range kindsOfFiles {
			if k.name == c.kind {
				schema = compiled(t, k.schema())
			}
		}
		require.NotNil(t, schema, c.kind)
		for text, ok := range map[string]bool{c.good: true, c.wrongKey: false, c.wrongType: false} {
			f, findings := mapping.Parse("f.yaml", []byte(text))
			require.Empty(t, findings, text)
			err := schema.Validate(asJSON(t, f.Root))
			require.Equal(t, ok, err == nil, "%s: %v", text, err)
		}
	}
}

func TestSchemaCommand(t *testing.T) {
	t.Parallel()
	code, out, _ := tandem(t, "mappings", "schema")
	require.Zero(t, code)
	require.Contains(t, out, "<integration>/<operation>_test.yaml")
	code, out, _ = tandem(t, "mappings", "schema", "nodes")
	require.Zero(t, code)
	require.True(t, json.Valid([]byte(out)))
	code, _, errs := tandem(t, "mappings", "schema", "node")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "there is no kind")

	dir := t.TempDir()
	code, out, _ = tandem(t, "mappings", "schema", "--mappings-dir", dir, "--out", filepath.Join(dir, ".schemas"))
	require.Zero(t, code)
	require.Contains(t, out, "# yaml-language-server: $schema=../.schemas/operation.schema.json\n")
	files, err := os.ReadDir(filepath.Join(dir, ".schemas"))
	require.NoError(t, err)
	require.Len(t, files, len(kindsOfFiles))
	_, findings := mapping.Read(os.DirFS(dir))
	require.Empty(t, findings, "the schemas are no mapping files")
	code, out, _ = tandem(t, "mappings", "schema", "--out", t.TempDir())
	require.Zero(t, code)
	require.Regexp(t, `schema=/.+/nodes\.schema\.json\n`, out)
}

// tandem runs one command line without an environment.
func tandem(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, func(string) string { return "" }, &out, &errs)
	return code, out.String(), errs.String()
}

func compiled(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("file.json", document))
	s, err := c.Compile("file.json")
	require.NoError(t, err)
	return s
}

// kindOf tells which schema a shipped file has, as the table of the command says.
func kindOf(t *testing.T, f mapping.File) string {
	t.Helper()
	folder, name := path.Split(f.Path)
	switch {
	case folder == "directory/":
		return "directory"
	case folder == "workflows/":
		return "workflow"
	case f.Path == "webex/nodes.yaml":
		return "nodes"
	case name == "integration.yaml":
		return "integration"
	case name == "entities.yaml":
		return "entities"
	case strings.HasSuffix(name, "_test.yaml"):
		return "operation-test"
	case folder == "cxone/" && !operation.Owns(f):
		return "cxone-configurations"
	}
	_, err := fs.Stat(mappings.FS, folder+"integration.yaml")
	require.NoError(t, err, "%s is of no known kind", f.Path)
	return "operation"
}

// asJSON is a file as an editor sees it: a date is a text.
func asJSON(t *testing.T, node *yaml.Node) any {
	t.Helper()
	var v any
	switch {
	case node.Kind == yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			m[node.Content[i].Value] = asJSON(t, node.Content[i+1])
		}
		return m
	case node.Kind == yaml.SequenceNode:
		list := []any{}
		for _, child := range node.Content {
			list = append(list, asJSON(t, child))
		}
		return list
	case node.Tag == "!!timestamp":
		return node.Value
	}
	require.NoError(t, node.Decode(&v))
	return v
}
