package mapping_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
)

// validator compiles a schema.
func validator(t *testing.T, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("file.json", document))
	s, err := c.Compile("file.json")
	require.NoError(t, err)
	return s
}

// plain is a file as an editor sees it: a date is a text.
func plain(t *testing.T, node *yaml.Node) any {
	t.Helper()
	switch node.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			m[node.Content[i].Value] = plain(t, node.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, child := range node.Content {
			list = append(list, plain(t, child))
		}
		return list
	default:
		if node.Tag == "!!timestamp" {
			return node.Value
		}
		var v any
		require.NoError(t, node.Decode(&v))
		return v
	}
}

// TestSchemaAgreesWithDecode: what Decode says of a file the schema says, too.
func TestSchemaAgreesWithDecode(t *testing.T) {
	t.Parallel()
	schema := validator(t, mapping.Schema("Sample", sample{}, mapping.Notes{
		"text": {Doc: "A text."}, "inners.n": {Doc: "A number."}, "n": {Doc: "Another."}, "list": {Words: []string{"one", "2024-01-02"}},
	}))
	for _, text := range []string{
		"title: common\ntext: '007'\ncount: 0x10\nsmall: -8\nshare: 1\non: true\nwait: 10m\nlist: [one, 2024-01-02]\nmap: {k: v}\ninner: {n: 1}\ninners:\n  - n: 2\nlimit: 7\nraw: [any, {thing: 1}]\n",
		"text: x\nlist:\nmap: ~\ninner: null\n", "text: x", "text: x\nwait: -1.5h3ms", "text: x\nwait: '0'",
		"count: 1", "text: ''", "text:", "[a]", "text: x\ntitel: y", "text: x\ninners: [{m: 1}]", "text: x\ninners: [{n: 1}, ]", "text: x\ninners: [~]",
		"text: 7", "text: x\ntitle: [x]", "text: x\ntitle:", "text: x\ncount: '7'", "text: x\ncount: 1.5", "text: x\non: 'true'", "text: x\nwait: 10", "text: x\nwait: 10 m",
		"text: x\nlist: [{b: c}]", "text: x\nmap: {k: 1}", "text: x\ninner: x", "text: x\ninners: {n: 1}", "text: x\nlimit: x", "text: x\nshare: '1'",
	} {
		f := parse(t, text)
		var v sample
		findings := mapping.Decode(f, &v)
		err := schema.Validate(plain(t, f.Root))
		require.Equal(t, len(findings) == 0, err == nil, "%s\n%v\n%v", text, texts(findings), err)
	}
	require.Error(t, schema.Validate(map[string]any{"text": "x", "list": []any{"two"}}), "a word that is none of the list")
}

func TestSchemaDocuments(t *testing.T) {
	t.Parallel()
	var size struct {
		Size mapping.Text `yaml:"size" enum:"small,large"`
	}
	schema := validator(t, mapping.Schema("Size", size, nil))
	require.NoError(t, schema.Validate(map[string]any{"size": "small"}))
	require.Error(t, schema.Validate(map[string]any{"size": "tall"}))
	text := string(mapping.Schema("Sample <x>", &sample{}, mapping.Notes{"inners.n": {Doc: "A number."}, "n": {Doc: "Another."}}))
	require.Contains(t, text, `"title": "Sample <x>"`)
	require.Equal(t, 1, strings.Count(text, `"description": "A number."`))
	require.Equal(t, 1, strings.Count(text, `"description": "Another."`))
	require.PanicsWithValue(t, `mapping: no key for the note "m" in mapping_test.sample`, func() {
		mapping.Schema("", sample{}, mapping.Notes{"m": {}})
	})
	require.Panics(t, func() {
		mapping.Schema("", struct {
			C complex64 `yaml:"c"`
		}{}, nil)
	})
}
