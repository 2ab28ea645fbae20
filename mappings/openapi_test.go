package mappings_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/mappings"
)

// cisco is a part of what Cisco publishes of its API, where it lies beside this
// repository.
const cisco = "../../shared/contracts/webex-openapi-subset.json"

// openAPI is a published description of an API, and the compiler of its schemas.
type openAPI struct {
	tree     map[string]any
	compiler *jsonschema.Compiler
	used     map[string]bool // "METHOD path"
}

// recordings are the calls in the tests of an integration's operations.
func recordings(t *testing.T, id string) map[string][]operation.Recording {
	t.Helper()
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	c, findings := operation.Load(set, integrations)
	require.Empty(t, findings)
	calls := map[string][]operation.Recording{}
	for _, op := range c.All() {
		if op.Integration != id {
			continue
		}
		for _, test := range c.Tests(op) {
			calls[op.Name] = append(calls[op.Name], test.Exchanges...)
		}
	}
	return calls
}

// TestWebexRequests holds what the operations of Webex Contact Center send
// against what Cisco publishes.
func TestWebexRequests(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(cisco)
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("%s is not there; not compared with it", cisco)
		return
	}
	require.NoError(t, err)
	tree, err := jsonschema.UnmarshalJSON(strings.NewReader(string(data)))
	require.NoError(t, err)
	api := openAPI{tree: tree.(map[string]any), compiler: jsonschema.NewCompiler(), used: map[string]bool{}}
	api.compiler.DefaultDraft(jsonschema.Draft4) // the one from which OpenAPI 3.0 took its schemas
	require.NoError(t, api.compiler.AddResource("file:///api.json", tree))
	schema, err := api.compiler.Compile("file:///api.json#/paths/~1v2~1subscriptions/post/requestBody/content/application~1json/schema")
	require.NoError(t, err)
	require.Error(t, schema.Validate(map[string]any{"name": "Tandem"}), "schemas refuse what is wrong")
	for name, calls := range recordings(t, "webex-contact-center") {
		for _, call := range calls {
			api.check(t, name, call)
		}
	}
	require.Equal(t, map[string]bool{
		"GET /organization/{orgid}/v2/contact-service-queue": true,
		"GET /organization/{orgid}/v2/cad-variable":          true,
		"GET /v1/ewt":                  true,
		"GET /v1/tasks":                true,
		"PATCH /v1/tasks/{taskId}":     true,
		"POST /v1/tasks/{taskId}/end":  true,
		"GET /v2/subscriptions":        true,
		"POST /v2/subscriptions":       true,
		"PATCH /v2/subscriptions/{id}": true,
	}, api.used)
}

// check holds one call against the description. Calls that it does not have are
// those of which Cisco publishes less, or nothing.
func (a *openAPI) check(t *testing.T, name string, call operation.Recording) {
	t.Helper()
	where := name + " " + call.Method + " " + call.Path
	for path, item := range a.tree["paths"].(map[string]any) {
		if !fits(path, call.Path) {
			continue
		}
		method := strings.ToLower(call.Method)
		op, ok := item.(map[string]any)[method].(map[string]any)
		require.True(t, ok, "%s: there is no such method", where)
		a.used[call.Method+" "+path] = true
		at := "/paths/" + strings.ReplaceAll(path, "/", "~1") + "/" + method
		a.query(t, where, at, op, call)
		schema := a.dig(op, "requestBody", "content", "application/json", "schema")
		require.Equal(t, schema != nil, call.HasBody, "%s: the body", where)
		if schema == nil {
			return
		}
		a.validate(t, where, at+"/requestBody/content/application~1json/schema", call.Body)
		known, _ := a.dig(schema, "properties").(map[string]any)
		for key := range call.Body.(map[string]any) {
			require.Contains(t, known, key, where)
		}
		return
	}
	unpublished := strings.HasPrefix(call.Path, "/v1/integration/cntwct/") || strings.HasPrefix(call.Path, "/v2/tasks")
	require.True(t, unpublished, "%s: Cisco does not have it", where)
}

// query holds the parameters of a call against those of its operation.
func (a *openAPI) query(t *testing.T, where, at string, op map[string]any, call operation.Recording) {
	t.Helper()
	known := map[string]bool{}
	parameters, _ := op["parameters"].([]any)
	for i, p := range parameters {
		p := p.(map[string]any)
		name := p["name"].(string)
		if p["in"] != "query" {
			continue
		}
		known[name] = true
		value, sent := call.Query[name]
		require.True(t, sent || p["required"] != true, "%s: the parameter %s is required", where, name)
		if sent {
			a.validate(t, where+" "+name, fmt.Sprintf("%s/parameters/%d/schema", at, i), value)
		}
	}
	for name := range call.Query {
		require.True(t, known[name], "%s: there is no parameter %s", where, name)
	}
}

// validate holds a value against the schema at a JSON pointer.
func (a *openAPI) validate(t *testing.T, where, pointer string, value any) {
	t.Helper()
	schema, err := a.compiler.Compile("file:///api.json#" + (&url.URL{Path: pointer}).EscapedPath())
	require.NoError(t, err, where)
	require.NoError(t, schema.Validate(value), where)
}

// dig follows names into a tree, and the references on the way.
func (a *openAPI) dig(at any, names ...string) any {
	for {
		node, _ := at.(map[string]any)
		if to, ok := node["$ref"].(string); ok {
			at = a.dig(a.tree, strings.Split(strings.TrimPrefix(to, "#/"), "/")...)
			continue
		}
		if len(names) == 0 || node == nil {
			return at
		}
		at, names = node[names[0]], names[1:]
	}
}

// fits tells whether a path is one of a template.
func fits(template, path string) bool {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(want, have, func(w, h string) bool { return strings.HasPrefix(w, "{") || w == h })
}

// TestWebexTasks holds the bodies of the calls in Cisco's beta against what its
// guides say, for want of a description.
func TestWebexTasks(t *testing.T) {
	t.Parallel()
	calls := recordings(t, "webex-contact-center")
	require.NotEmpty(t, calls["create-task"])
	for _, call := range calls["create-task"] {
		require.Equal(t, "POST /v2/tasks", call.Method+" "+call.Path)
		body := call.Body.(map[string]any)
		require.ElementsMatch(t, []string{"channelType", "channel", "origin", "destination", "channelParams", "globalVariables"},
			slices.Collect(maps.Keys(body)))
		require.NotEmpty(t, body["channel"])
		require.Equal(t, "businessAddress", body["destination"].(map[string]any)["type"])
		require.NotEmpty(t, body["origin"].(map[string]any)["id"])
		texts(t, body["globalVariables"], 30)
		params := body["channelParams"].(map[string]any)
		message(t, params, body["channelType"] == "workItem")
	}
	require.NotEmpty(t, calls["append-message"])
	for _, call := range calls["append-message"] {
		require.True(t, fits("/v2/tasks/{taskId}/messages", call.Path), call.Path)
		body := call.Body.(map[string]any)
		message(t, body["channelParams"].(map[string]any), body["mediaType"] == "workItem")
	}
	for _, call := range calls["set-variables"] {
		texts(t, call.Body.(map[string]any)["attributes"], 30)
	}
}

func message(t *testing.T, params map[string]any, workItem bool) {
	t.Helper()
	m := params["message"].(map[string]any)
	require.NotEmpty(t, m["aliasId"])
	require.IsType(t, 0, m["timestamp"], "milliseconds since 1970")
	if workItem {
		require.Equal(t, "work-item-form", params["type"])
		require.NotContains(t, m, "text")
		texts(t, m["workItemData"], 50)
		return
	}
	require.Equal(t, "text", params["type"])
	require.NotEmpty(t, m["text"])
	require.NotContains(t, m, "workItemData")
}

// texts holds variables against the bounds of Webex, in bytes.
func texts(t *testing.T, variables any, most int) {
	t.Helper()
	require.LessOrEqual(t, len(variables.(map[string]any)), most)
	for name, value := range variables.(map[string]any) {
		require.LessOrEqual(t, len(name), 100, name)
		require.LessOrEqual(t, len(value.(string)), 1024, name)
	}
}
