package connector

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// contracts is where what others published lies beside this repository, if it
// does.
const contracts = "../../../../shared/contracts/"

// published reads one of these files, and ends the test when it is not there.
func published(t *testing.T, name string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(contracts + name)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip(name + " is not at " + contracts + "; not compared with it")
	}
	require.NoError(t, err)
	return parsed(t, data)
}

func parsed(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var tree map[string]any
	require.NoError(t, json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &tree))
	return tree
}

// TestSchemas holds the files against the schemas that Microsoft publishes.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		schema string
		data   []byte
	}{
		{"apiDefinition.swagger.schema.json", definition},
		{"paconn-apiProperties.schema.json", properties},
	} {
		t.Run(c.schema, func(t *testing.T) {
			t.Parallel()
			compiler := jsonschema.NewCompiler()
			compiler.UseRegexpEngine(compilePattern)
			address := "file:///" + c.schema
			tree := published(t, c.schema)
			delete(tree, "id") // it names a place in the network
			require.NoError(t, compiler.AddResource(address, tree))
			schema, err := compiler.Compile(address)
			require.NoError(t, err)
			require.NoError(t, schema.Validate(parsed(t, c.data)))
			require.Error(t, schema.Validate(map[string]any{}), "the schema is one")
		})
	}
}

// pattern is a regular expression with at most one part that must not follow,
// (?!...), which Go's have not and the schemas need.
type pattern struct {
	text string
	is   *regexp.Regexp
	not  *regexp.Regexp // nil if there is no such part
}

func (p *pattern) String() string { return p.text }

func (p *pattern) MatchString(s string) bool {
	return p.is.MatchString(s) && (p.not == nil || !p.not.MatchString(s))
}

func compilePattern(text string) (jsonschema.Regexp, error) {
	p := &pattern{text: text}
	before, rest, found := strings.Cut(text, "(?!")
	not, after, closed := strings.Cut(rest, ")")
	var err error
	if found && closed {
		if p.not, err = regexp.Compile(before + not); err != nil {
			return nil, err
		}
		text = before + after
	}
	p.is, err = regexp.Compile(text)
	return p, err
}

// TestForms compares every operation and every definition that it reaches with
// the copy of the certified connector's forms.
func TestForms(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../testdata/definition.json")
	require.NoError(t, err)
	d, _ := exported(t, "")
	compare(t, parsed(t, data), d, func(key string) bool {
		return key == "title" || key == "tags" || strings.HasPrefix(key, "x-ms-") && key != "x-ms-notification-content"
	})
}

// TestPublishedForms compares with the certified connector's definition itself,
// labels and extensions included.
func TestPublishedForms(t *testing.T) {
	t.Parallel()
	d, _ := exported(t, "")
	compare(t, published(t, "nimbus.swagger.json"), d, func(string) bool { return false })
}

// compare requires all operations of ours to be in theirs and everything of
// them to be alike, texts apart and the keys that skip names.
func compare(t *testing.T, theirs, ours map[string]any, skip func(key string) bool) {
	t.Helper()
	undo(t, ours)
	require.Len(t, operations(ours), 13)
	for _, op := range operations(ours) {
		want := at(theirs, "paths", op.path, strings.ToLower(op.method))
		require.Equal(t, want["operationId"], op.id, op.path)
		if want["x-ms-visibility"] == nil && !skip("x-ms-visibility") {
			require.Equal(t, "important", op.form["x-ms-visibility"], op.id)
			delete(op.form, "x-ms-visibility")
			require.Equal(t, want["summary"], op.form["summary"], "what people find a step by")
		}
		require.Equal(t, form(want, skip), form(op.form, skip), op.id)
		require.Equal(t, form(at(theirs, "paths", op.path)["x-ms-notification-content"], skip),
			form(at(ours, "paths", op.path)["x-ms-notification-content"], skip), op.id)
	}
	for name, schema := range at(ours, "definitions") {
		require.Equal(t, form(at(theirs, "definitions")[name], skip), form(schema, skip), name)
	}
}

// undo takes from ours what newer generations of the connector have added.
func undo(t *testing.T, ours map[string]any) {
	t.Helper()
	modality := at(ours, "definitions", "Modality")
	require.Contains(t, modality["enum"], "Email")
	modality["enum"] = modality["enum"].([]any)[:3]
	update := at(ours, "paths", "/v1/tasks/{taskId}", "put")
	var older, newer []any
	for _, p := range list(update["parameters"]) {
		if p["in"] == "query" {
			require.Equal(t, []any{"string", false}, []any{p["type"], p["required"]})
			newer = append(newer, p["name"])
		} else {
			older = append(older, p)
		}
	}
	require.Equal(t, []any{"serviceSessionId", "userSessionId"}, newer)
	update["parameters"] = older
}

// form returns what a client sees of a part of a definition: without texts,
// without what repeats or means nothing, labels without spaces around them.
func form(v any, skip func(key string) bool) any {
	switch v := v.(type) {
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = form(item, skip)
		}
		return items
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			empty, isList := value.([]any)
			switch {
			case key == "properties":
				members := map[string]any{}
				for name, member := range value.(map[string]any) {
					members[name] = form(member, skip)
				}
				out[key] = members
			case skip(key), key == "description", key == "summary",
				isList && len(empty) == 0,
				key == "title" && value == v["x-ms-summary"],
				key == "additionalProperties" && v["type"] == "array":
			default:
				out[key] = form(value, skip)
			}
		}
		return out
	case string:
		return strings.TrimSpace(v)
	}
	return v
}

// TestTextsAreOurOwn: labels are shared, sentences are not.
func TestTextsAreOurOwn(t *testing.T) {
	t.Parallel()
	theirs := map[string]bool{}
	for _, text := range texts(published(t, "nimbus.swagger.json")) {
		theirs[plain(text)] = true
	}
	for _, text := range texts(published(t, "nimbus.apiProperties.json")) {
		theirs[plain(text)] = true
	}
	d, p := exported(t, "")
	for _, text := range append(texts(d), texts(p)...) {
		if len(text) > 25 {
			require.False(t, theirs[plain(text)], text)
		}
	}
}

// texts returns all descriptions and tooltips.
func texts(v any) []string {
	var all []string
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			all = append(all, texts(item)...)
		}
	case map[string]any:
		for key, value := range v {
			if s, ok := value.(string); ok && (key == "description" || key == "tooltip") {
				all = append(all, s)
			}
			all = append(all, texts(value)...)
		}
	}
	return all
}

func plain(text string) string {
	return strings.ToLower(strings.Trim(text, " .,:;"))
}
