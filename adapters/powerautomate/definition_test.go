package powerautomate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// definition is a connector definition, stricter than it was written: an object
// has no properties but those that its schema lists, and nothing is null.
type definition struct{ *openapi3.T }

const notificationContent = "x-ms-notification-content"

func load(t *testing.T, file string) definition {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var swagger openapi2.T
	require.NoError(t, json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &swagger))
	for path, item := range swagger.Paths {
		if content, ok := item.Extensions[notificationContent].(map[string]any); ok {
			// The conversion leaves extensions as they are; it converts definitions.
			data, err := json.Marshal(content["schema"])
			require.NoError(t, err)
			schema := &openapi2.SchemaRef{}
			require.NoError(t, json.Unmarshal(data, schema))
			swagger.Definitions[notificationContent+path] = schema
		}
	}
	doc, err := openapi2conv.ToV3(&swagger)
	require.NoError(t, err)
	d := definition{doc}
	seen := map[*openapi3.Schema]bool{}
	for name, schema := range doc.Components.Schemas {
		harden(t, seen, name, schema)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			at := method + " " + path
			if op.RequestBody != nil {
				hardenContent(t, seen, at, op.RequestBody.Value.Content)
			}
			for status, response := range op.Responses.Map() {
				hardenContent(t, seen, at+" "+status, response.Value.Content)
			}
		}
	}
	return d
}

func hardenContent(t *testing.T, seen map[*openapi3.Schema]bool, at string, content openapi3.Content) {
	t.Helper()
	for _, media := range content {
		harden(t, seen, at, media.Schema)
	}
}

// harden makes a schema and all that it reaches strict, and ends the test at a
// schema that would let anything pass.
func harden(t *testing.T, seen map[*openapi3.Schema]bool, at string, ref *openapi3.SchemaRef) {
	t.Helper()
	s := ref.Value
	require.NotNil(t, s, "%s: %s leads nowhere", at, ref.Ref)
	if seen[s] {
		return
	}
	seen[s] = true
	require.Len(t, s.Type.Slice(), 1, "%s has one type", at)
	require.False(t, s.PermitsNull(), "%s may be null", at)
	require.Empty(t, slices.Concat(s.AllOf, s.AnyOf, s.OneOf), "%s is made of others, which cannot be strict", at)
	if s.Type.Is(openapi3.TypeObject) {
		s.AdditionalProperties = openapi3.AdditionalProperties{Has: new(false)}
	}
	for name, property := range s.Properties {
		harden(t, seen, at+"."+name, property)
	}
	if s.Items != nil {
		harden(t, seen, at+"[]", s.Items)
	}
	require.NoError(t, s.Validate(context.Background()), at)
}

func (d definition) operation(t *testing.T, method, path string) *openapi3.Operation {
	t.Helper()
	item := d.Paths.Value(path)
	require.NotNil(t, item, path)
	op := item.GetOperation(method)
	require.NotNil(t, op, "%s %s", method, path)
	return op
}

// properties returns the names of a definition's properties, sorted.
func (d definition) properties(t *testing.T, name string) []string {
	t.Helper()
	require.Contains(t, d.Components.Schemas, name)
	return slices.Sorted(maps.Keys(d.Components.Schemas[name].Value.Properties))
}

// named checks a document by a definition; request checks a request's body,
// answer an answer, notification the body of a trigger's call. They return what
// is wrong.
func (d definition) named(name string, body []byte) []string {
	schema := d.Components.Schemas[name]
	if schema == nil {
		return []string{name + " is not defined"}
	}
	return visit(schema.Value, body)
}

func (d definition) notification(path string, body []byte) []string {
	return d.named(notificationContent+path, body)
}

func (d definition) request(op *openapi3.Operation, body string) []string {
	switch {
	case op.RequestBody == nil && body != "":
		return []string{"no body is defined"}
	case op.RequestBody == nil, body == "" && !op.RequestBody.Value.Required:
		return nil
	}
	return visit(op.RequestBody.Value.Content.Get("application/json").Schema.Value, []byte(body))
}

// answer lets `default` stand for failures only: what succeeds has a status of
// its own, and a body only if one is defined.
func (d definition) answer(op *openapi3.Operation, status int, contentType string, body []byte) []string {
	failed := status >= http.StatusBadRequest
	response := op.Responses.Status(status)
	if response == nil && failed {
		response = op.Responses.Default()
	}
	switch {
	case response == nil:
		return []string{fmt.Sprintf("status %d is not defined", status)}
	case len(response.Value.Content) > 0:
		media := response.Value.Content.Get(contentType)
		if media == nil {
			return []string{fmt.Sprintf("content of type %q is not defined", contentType)}
		}
		return visit(media.Schema.Value, body)
	case len(body) > 0 && !failed:
		return []string{"no body is defined"}
	}
	return nil
}

// visit returns what is wrong, each as the place, the keyword of the schema and
// the reason.
func visit(schema *openapi3.Schema, body []byte) []string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{err.Error()}
	}
	return faults(schema.VisitJSON(v, openapi3.MultiErrors()))
}

func faults(err error) []string {
	var several openapi3.MultiError
	var one *openapi3.SchemaError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &one) && !errors.As(err, &several):
		return []string{"/" + strings.Join(one.JSONPointer(), "/") + " " + one.SchemaField + ": " + one.Reason}
	case errors.As(err, &several):
		var list []string
		for _, err := range several {
			list = append(list, faults(err)...)
		}
		return list
	}
	return []string{err.Error()}
}

// TestChecker makes sure that deliberate faults are found, each at its place.
func TestChecker(t *testing.T) {
	t.Parallel()
	d := load(t, own)
	op := func(method, path string) *openapi3.Operation { return d.operation(t, method, path) }
	event := func(body string) []string { return d.notification("/v1/triggers/tasks", []byte(body)) }
	task := func(body string) []string { return d.request(op("POST", "/v1/ExternalTasks"), body) }
	update := func(body string) []string { return d.request(op("PUT", "/v1/tasks/{taskId}"), body) }
	trigger := func(body string) []string { return d.request(op("POST", "/v1/triggers/tasks"), body) }
	result := func(body string) []string {
		return d.answer(op("POST", "/v1/ExternalTasks"), 200, "application/json", []byte(body))
	}
	events := func(body string) []string {
		return d.answer(op("GET", "/v1/tasks/events"), 200, "application/json", []byte(body))
	}
	const config = `"url":"u","services":["s"],"taskEvents":[]`
	for _, c := range []struct {
		name  string
		check func(string) []string
		body  string
		want  []string // place and keyword
	}{
		{"right", event, `{"isAnonymous":true,"outboundAttempt":1}`, nil},
		{"right", trigger, `{"config":{` + config + `}}`, nil},
		{"right", update, ``, nil},
		{"unknown property", event, `{"TaskId":"x"}`, []string{"/ properties"}},
		{"unknown in an object inside", event, `{"taskInformation":{"customer":{"upn":"x"}}}`, []string{"/taskInformation/customer properties"}},
		{"unknown in a list", events, `[{"name":"x","value":"x"},{"label":"x"}]`, []string{"/1 properties"}},
		{"unknown beside config", trigger, `{"config":{` + config + `},"x":1}`, []string{"/ properties"}},
		{"unknown in config", trigger, `{"config":{` + config + `,"x":1}}`, []string{"/config properties"}},
		{"wrong type", event, `{"isAnonymous":"true"}`, []string{"/isAnonymous type"}},
		{"fraction", event, `{"outboundAttempt":1.5}`, []string{"/outboundAttempt type"}},
		{"list for an object", event, `[]`, []string{"/ type"}},
		{"object for a list", events, `{}`, []string{"/ type"}},
		{"null", event, `{"taskId":null}`, []string{"/taskId nullable"}},
		{"null for an object", event, `{"taskInformation":null}`, []string{"/taskInformation nullable"}},
		{"null for a list", events, `null`, []string{"/ nullable"}},
		{"null in a list", events, `[null]`, []string{"/0 nullable"}},
		{"missing", task, `{}`, []string{"/serviceUpn required"}},
		{"missing body", task, ``, []string{"unexpected end of JSON input"}},
		{"missing in config", trigger, `{"config":{"url":"u","services":["s"]}}`, []string{"/config/taskEvents required"}},
		{"out of enum", result, `{"modality":"Fax"}`, []string{"/modality enum"}},
		{"out of range", event, `{"taskInformation":{"preferredUsers":[{"upn":"x","priority":100},{"upn":"x","priority":0}]}}`, []string{
			"/taskInformation/preferredUsers/0/priority maximum", "/taskInformation/preferredUsers/1/priority minimum",
		}},
		{"too few", trigger, `{"config":{"url":"u","services":[],"taskEvents":[]}}`, []string{"/config/services minItems"}},
		{"too many", task, `{"serviceUpn":"s","preferredUsers":[` + strings.Repeat(`{"upn":"x"},`, 10) + `{"upn":"x"}]}`, []string{"/preferredUsers maxItems"}},
		{"several", event, `{"x":1,"taskInformation":{"preferredUsers":[{"priority":100}]}}`, []string{
			"/taskInformation/preferredUsers/0/priority maximum", "/taskInformation/preferredUsers/0/upn required", "/ properties",
		}},
		{"no JSON", events, `[`, []string{"unexpected end of JSON input"}},
	} {
		var got []string
		for _, fault := range c.check(c.body) {
			place, _, _ := strings.Cut(fault, ": ")
			got = append(got, place)
		}
		require.Equal(t, c.want, got, c.name)
	}

	read, remove := op("GET", "/v1/tasks/events"), op("DELETE", "/v1/ExternalTasks/{externalTaskId}")
	require.Equal(t, []string{"no body is defined"}, d.request(read, `{}`))
	require.Equal(t, []string{"no body is defined"}, d.answer(remove, 200, "application/json", []byte(`{}`)))
	require.Equal(t, []string{"status 202 is not defined"}, d.answer(read, 202, "application/json", []byte(`[]`)))
	require.Equal(t, []string{"status 404 is not defined"}, d.answer(remove, 404, "application/json", nil))
	require.Equal(t, []string{`content of type "text/html" is not defined`}, d.answer(read, 200, "text/html", []byte(`[]`)))
	require.Empty(t, d.answer(read, 429, "application/json", []byte(`{}`)), "default")
	require.NotEmpty(t, d.notification("/v1/tasks/events", []byte(`{}`)))
}
