package powerautomate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// published is the vendor's whole definition, where it lies beside this
// repository; testdata has what this package serves of it, without its texts.
const (
	own       = "testdata/definition.json"
	published = "../../../shared/contracts/nimbus.swagger.json"
)

func TestContract(t *testing.T) {
	t.Parallel()
	checkContract(t, load(t, own))
}

func TestPublishedContract(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(published); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the published definition is not at " + published + "; TestContract has checked the copy of its forms")
	}
	d := load(t, published)
	checkContract(t, d)
	copied := load(t, own)
	for path := range copied.Paths {
		require.Contains(t, d.Paths, path)
	}
	for name, schema := range copied.Definitions {
		require.Contains(t, d.Definitions, name)
		require.Equal(t, names(d.Definitions[name]), names(schema), name)
	}
}

// checkContract drives every operation of this package and holds what it is
// sent, what it answers and what flows receive against a definition.
func checkContract(t *testing.T, d *definition) {
	r := newRig(t)
	var address, id string
	trigger := `{"config":{"url":"` + r.hook + `","services":["support@contoso.example"],"taskEvents":["Created","Queued"],"modalities":["ExternalTask"],"directions":["Inbound"]}}`
	update := `{"customer":{"firstName":"Eva","UPN":"e@x.example","telNumbers":[{"name":"home","value":"1"}],"customFields":[{"name":"a","value":"b"}]},"customContextParameters":[{"name":"a","value":"b"}],"preferredUsers":[{"upn":"agent1@contoso.example","priority":99}]}`
	for _, c := range []struct {
		operation, method, template, body string
		status                            int
		after                             func(answer string)
	}{
		{"TestConnection", "GET", "/v1/diagnostics/testconnection", "", 200, nil},
		{"GetServices", "GET", "/v1/tasks/service-contacts", "", 200, nil},
		{"GetTaskEvents", "GET", "/v1/tasks/events", "", 200, nil},
		{"GetTaskModalities", "GET", "/v1/tasks/modalities", "", 200, nil},
		{"GetTaskDirections", "GET", "/v1/tasks/directions", "", 200, nil},
		{"GetUsersForPreferredRouting", "GET", "/v1/tasks/users-for-preferred-routing", "", 200, nil},
		{"GetExternalTasksServices", "GET", "/v1/ExternalTasks/service-contacts", "", 200, nil},
		{"GetExternalTasksDistributionPriorities", "GET", "/v1/ExternalTasks/distribution-priorities", "", 200, nil},
		{"RegisterTaskWebHook", "POST", "/v1/triggers/tasks", trigger, 201, func(location string) { address = location }},
		{"AddExternalTask", "POST", "/v1/ExternalTasks", fullTask, 200, func(answer string) {
			id = regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(answer)[1]
		}},
		{"AddExternalTask", "POST", "/v1/ExternalTasks", `{"serviceUpn":"support@contoso.example"}`, 200, nil},
		{"UpdateTask", "PUT", "/v1/tasks/{taskId}", update, 200, nil},
		{"UpdateTask", "PUT", "/v1/tasks/{taskId}", "", 200, nil},
		{"RemoveExternalTask", "DELETE", "/v1/ExternalTasks/{externalTaskId}", "", 200, nil},
		{"DeleteTaskEventsTrigger", "DELETE", "/v1/triggers/tasks/{triggerId}", "", 204, nil},
	} {
		op := d.operation(t, c.method, c.template)
		require.Equal(t, c.operation, op["operationId"])
		if c.body != "" {
			require.Empty(t, d.body(op, c.body), c.operation)
		}
		if c.operation == "DeleteTaskEventsTrigger" { // nothing is lost that was on its way
			for range 4 {
				event := r.call(t)
				require.Equal(t, "application/json", event.header.Get("Content-Type"))
				require.Empty(t, d.notification("/v1/triggers/tasks", event.body), string(event.body))
			}
		}
		path := strings.NewReplacer("{taskId}", id, "{externalTaskId}", id, "{triggerId}", address[strings.LastIndexByte(address, '/')+1:]).Replace(c.template)
		rec := r.do(admin, c.method, path, c.body)
		require.Equal(t, c.status, rec.Code, "%s: %s", c.operation, rec.Body)
		require.Empty(t, d.answer(op, rec.Code, rec.Body.Bytes()), "%s: %s", c.operation, rec.Body)
		if c.after != nil {
			c.after(rec.Body.String() + rec.Header().Get("Location"))
		}
	}
	full, err := Render(fullEvent())
	require.NoError(t, err)
	require.Empty(t, d.notification("/v1/triggers/tasks", full))
	var sent map[string]any
	require.NoError(t, json.Unmarshal(full, &sent))
	require.Equal(t, names(d.Definitions["TaskEventData"]), names(map[string]any{"properties": sent}), "every field can be sent")
}

// definition is a connector definition in Swagger 2.0, as far as these need it.
type definition struct {
	Paths       map[string]map[string]any
	Definitions map[string]map[string]any
}

func load(t *testing.T, file string) *definition {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var d definition
	require.NoError(t, json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &d))
	return &d
}

func names(schema map[string]any) []string {
	list := []string{}
	for name := range obj(schema["properties"]) {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

func obj(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func (d *definition) operation(t *testing.T, method, path string) map[string]any {
	t.Helper()
	op := obj(d.Paths[path][strings.ToLower(method)])
	require.NotNil(t, op, "%s %s", method, path)
	return op
}

// body checks a request's body, answer an answer's, notification a trigger's.
// They return what is wrong.
func (d *definition) body(op map[string]any, body string) []string {
	list, _ := op["parameters"].([]any)
	for _, p := range list {
		if obj(p)["in"] == "body" {
			return d.document(obj(obj(p)["schema"]), []byte(body))
		}
	}
	return []string{"no body is defined"}
}

func (d *definition) answer(op map[string]any, status int, body []byte) []string {
	response := obj(obj(op["responses"])[strconv.Itoa(status)])
	schema := obj(response["schema"])
	switch {
	case response == nil:
		return []string{fmt.Sprintf("status %d is not defined", status)}
	case schema == nil && len(body) > 0:
		return []string{"no body is defined"}
	case schema == nil:
		return nil
	}
	return d.document(schema, body)
}

func (d *definition) notification(path string, body []byte) []string {
	return d.document(obj(obj(d.Paths[path]["x-ms-notification-content"])["schema"]), body)
}

func (d *definition) document(schema map[string]any, body []byte) []string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{err.Error()}
	}
	var wrong []string
	d.check(schema, v, "$", func(at, format string, args ...any) {
		wrong = append(wrong, at+": "+fmt.Sprintf(format, args...))
	})
	return wrong
}

// check holds a value against a schema. It is stricter than the standard: a
// property that the schema does not list is wrong.
func (d *definition) check(schema map[string]any, v any, at string, wrong func(at, format string, args ...any)) {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/definitions/")
		if d.Definitions[name] == nil {
			wrong(at, "%s is not defined", ref)
			return
		}
		schema = d.Definitions[name]
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		wrong(at, "%v is not one of %v", v, enum)
	}
	bound := func(key string, otherwise float64) float64 {
		if n, ok := schema[key].(float64); ok {
			return n
		}
		return otherwise
	}
	got := "null"
	switch v := v.(type) {
	case string:
		got = "string"
	case bool:
		got = "boolean"
	case float64:
		got = "number"
		if v == math.Trunc(v) && schema["type"] == "integer" {
			got = "integer"
		}
		if v < bound("minimum", v) || v > bound("maximum", v) {
			wrong(at, "%v is out of range", v)
		}
	case []any:
		got = "array"
		if n := float64(len(v)); n < bound("minItems", n) || n > bound("maxItems", n) {
			wrong(at, "has %v items", n)
		}
		for i, item := range v {
			d.check(obj(schema["items"]), item, fmt.Sprintf("%s[%d]", at, i), wrong)
		}
	case map[string]any:
		got = "object"
		properties := obj(schema["properties"])
		for name, item := range v {
			if properties[name] == nil {
				wrong(at, "has the unknown property %s", name)
				continue
			}
			d.check(obj(properties[name]), item, at+"."+name, wrong)
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, ok := v[fmt.Sprint(name)]; !ok {
				wrong(at, "has no %v", name)
			}
		}
	}
	if want, ok := schema["type"].(string); ok && want != got {
		wrong(at, "is %s, not %s", got, want)
	}
}

// TestChecker makes sure that the checker finds what it is there for.
func TestChecker(t *testing.T) {
	t.Parallel()
	d := load(t, own)
	task := map[string]any{"$ref": "#/definitions/TaskEventData"}
	for body, want := range map[string][]string{
		`{"isAnonymous":true,"outboundAttempt":1}`: nil,
		`{"taskId":null}`:                          {"$.taskId: is null, not string"},
		`{"TaskId":"x"}`:                           {"$: has the unknown property TaskId"},
		`{"outboundAttempt":1.5}`:                  {"$.outboundAttempt: is number, not integer"},
		`{"taskInformation":{"preferredUsers":[{"priority":100}]}}`: {
			"$.taskInformation.preferredUsers[0].priority: 100 is out of range", "$.taskInformation.preferredUsers[0]: has no upn",
		},
		`[]`: {"$: is array, not object"},
	} {
		require.Equal(t, want, d.document(task, []byte(body)), body)
	}
	require.NotEmpty(t, d.document(map[string]any{"$ref": "#/definitions/Modality"}, []byte(`"Fax"`)))
	require.NotEmpty(t, d.answer(d.operation(t, http.MethodGet, "/v1/tasks/events"), 202, nil))
}
