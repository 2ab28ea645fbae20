package powerautomate

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"tandem/core"
)

// published is the vendor's whole definition, where it lies beside this
// repository; testdata has what this package serves of it, without its texts.
const (
	own       = "testdata/definition.json"
	published = "../../../shared/contracts/nimbus.swagger.json"
)

// routes are the operations of this package, letter by letter.
var routes = []struct{ operation, method, path string }{
	{"TestConnection", http.MethodGet, "/v1/diagnostics/testconnection"},
	{"GetServices", http.MethodGet, "/v1/tasks/service-contacts"},
	{"GetTaskEvents", http.MethodGet, "/v1/tasks/events"},
	{"GetTaskModalities", http.MethodGet, "/v1/tasks/modalities"},
	{"GetTaskDirections", http.MethodGet, "/v1/tasks/directions"},
	{"GetUsersForPreferredRouting", http.MethodGet, "/v1/tasks/users-for-preferred-routing"},
	{"GetExternalTasksServices", http.MethodGet, "/v1/ExternalTasks/service-contacts"},
	{"GetExternalTasksDistributionPriorities", http.MethodGet, "/v1/ExternalTasks/distribution-priorities"},
	{"RegisterTaskWebHook", http.MethodPost, "/v1/triggers/tasks"},
	{"AddExternalTask", http.MethodPost, "/v1/ExternalTasks"},
	{"UpdateTask", http.MethodPut, "/v1/tasks/{taskId}"},
	{"RemoveExternalTask", http.MethodDelete, "/v1/ExternalTasks/{externalTaskId}"},
	{"DeleteTaskEventsTrigger", http.MethodDelete, "/v1/triggers/tasks/{triggerId}"},
}

func TestContract(t *testing.T) {
	t.Parallel()
	d := load(t, own)
	checkRoutes(t, d)
	checkAnswers(t, d)
	checkRefusals(t, d)
	n := 0
	for _, item := range d.Paths.Map() {
		n += len(item.Operations())
	}
	require.Equal(t, len(routes), n, "operations that the definition has")
}

func TestPublishedContract(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(published); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the published definition is not at " + published + "; TestContract has checked the copy of its forms")
	}
	d, copied := load(t, published), load(t, own)
	checkRoutes(t, d)
	checkAnswers(t, d)
	checkRefusals(t, d)
	for name := range copied.Components.Schemas {
		require.Equal(t, d.properties(t, name), copied.properties(t, name), name)
	}
}

// checkRoutes compares what is mounted with the table and the table with a
// definition. A path in other letters is another path.
func checkRoutes(t *testing.T, d definition) {
	t.Helper()
	e := echo.New()
	New(Options{}).Mount(e)
	var mounted, want []string
	for _, r := range e.Routes() {
		mounted = append(mounted, r.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(r.Path, "{$1}"))
	}
	other := strings.NewReplacer("ExternalTasks", "externaltasks", "tasks", "Tasks", "diagnostics", "Diagnostics")
	for _, r := range routes {
		want = append(want, r.method+" "+r.path)
		require.Equal(t, r.operation, d.operation(t, r.method, r.path).OperationID)
		require.NotEqual(t, r.path, other.Replace(r.path))
		rec := httptest.NewRecorder()
		e.ServeHTTP(rec, httptest.NewRequest(r.method, other.Replace(r.path), http.NoBody))
		require.Equal(t, http.StatusNotFound, rec.Code, "%s %s", r.method, other.Replace(r.path))
	}
	require.ElementsMatch(t, want, mounted)
}

// route returns an operation's place.
func route(t *testing.T, operation string) (method, path string) {
	t.Helper()
	for _, r := range routes {
		if r.operation == operation {
			return r.method, r.path
		}
	}
	require.Fail(t, "no such operation", operation)
	return "", ""
}

// checkAnswers drives every operation of this package and holds what it is
// sent, what it answers and what flows receive against a definition.
func checkAnswers(t *testing.T, d definition) {
	t.Helper()
	r := newRig(t)
	var address, id string
	trigger := `{"config":{"url":"` + r.hook + `","services":["support@contoso.example"],"taskEvents":["Created","Queued"],"modalities":["ExternalTask"],"directions":["Inbound"]}}`
	update := `{"customer":{"firstName":"Eva","UPN":"e@x.example","telNumbers":[{"name":"home","value":"1"}],"customFields":[{"name":"a","value":"b"}]},"customContextParameters":[{"name":"a","value":"b"}],"preferredUsers":[{"upn":"agent1@contoso.example","priority":99}]}`
	driven := map[string]bool{}
	for _, c := range []struct {
		operation, body string
		status          int
		after           func(answer string)
	}{
		{"TestConnection", "", 200, nil},
		{"GetServices", "", 200, nil},
		{"GetTaskEvents", "", 200, nil},
		{"GetTaskModalities", "", 200, nil},
		{"GetTaskDirections", "", 200, nil},
		{"GetUsersForPreferredRouting", "", 200, nil},
		{"GetExternalTasksServices", "", 200, nil},
		{"GetExternalTasksDistributionPriorities", "", 200, nil},
		{"RegisterTaskWebHook", trigger, 201, func(location string) { address = location }},
		{"AddExternalTask", fullTask, 200, func(answer string) {
			id = regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(answer)[1]
		}},
		{"AddExternalTask", `{"serviceUpn":"support@contoso.example"}`, 200, nil},
		{"UpdateTask", update, 200, nil},
		{"UpdateTask", "", 200, nil},
		{"RemoveExternalTask", "", 200, nil},
		{"DeleteTaskEventsTrigger", "", 204, nil},
	} {
		driven[c.operation] = true
		method, template := route(t, c.operation)
		op := d.operation(t, method, template)
		require.Empty(t, d.request(op, c.body), c.operation)
		if c.operation == "DeleteTaskEventsTrigger" { // nothing is lost that was on its way
			for range 4 {
				event := r.call(t)
				require.Equal(t, "application/json", event.header.Get("Content-Type"))
				require.Empty(t, d.notification("/v1/triggers/tasks", event.body), string(event.body))
			}
		}
		path := strings.NewReplacer("{taskId}", id, "{externalTaskId}", id, "{triggerId}", address[strings.LastIndexByte(address, '/')+1:]).Replace(template)
		rec := r.do(admin, method, path, c.body)
		require.Equal(t, c.status, rec.Code, "%s: %s", c.operation, rec.Body)
		require.Empty(t, d.answer(op, rec.Code, rec.Header().Get("Content-Type"), rec.Body.Bytes()), "%s: %s", c.operation, rec.Body)
		if c.after != nil {
			c.after(rec.Body.String() + rec.Header().Get("Location"))
		}
	}
	require.Len(t, driven, len(routes))

	for _, modality := range core.Modalities {
		event := fullEvent()
		event.Task.Modality = modality
		full, err := Render(event)
		require.NoError(t, err)
		require.Empty(t, d.notification("/v1/triggers/tasks", full), "%s: %s", modality, full)
	}
	full, err := Render(fullEvent())
	require.NoError(t, err)
	var sent map[string]any
	require.NoError(t, json.Unmarshal(full, &sent))
	require.Equal(t, d.properties(t, "TaskEventData"), slices.Sorted(maps.Keys(sent)), "every field can be sent")
}

// checkRefusals makes every operation refuse in all its ways: with statuses that
// a definition has, or has a default for.
func checkRefusals(t *testing.T, d definition) {
	t.Helper()
	r := newRig(t)
	ended := r.add(t, owner, `{"serviceUpn":"support@contoso.example"}`)
	require.Equal(t, http.StatusOK, r.do(owner, http.MethodDelete, "/v1/ExternalTasks/"+ended, "").Code)
	const once, support = `{"serviceUpn":"once@tailspin.example"}`, `{"serviceUpn":"support@contoso.example"}`
	r.add(t, small, once)
	r.add(t, small, once)
	const key = "Idempotency-Key"
	require.Equal(t, http.StatusOK, r.do(owner, http.MethodPost, "/v1/ExternalTasks", support, key, "used").Code)

	type refusal struct {
		operation, who, body string
		status               int
		headers              []string
	}
	cases := []refusal{
		{"RegisterTaskWebHook", admin, `{}`, 400, nil},
		{"RegisterTaskWebHook", limited, `{"config":{"url":"` + r.hook + `","services":["support@contoso.example"],"taskEvents":[]}}`, 403, nil},
		{"AddExternalTask", admin, `{}`, 400, nil},
		{"AddExternalTask", limited, support, 403, nil},
		{"AddExternalTask", small, once, 429, nil},
		{"AddExternalTask", owner, support + " ", 422, []string{key, "used"}},
		{"UpdateTask", owner, `[]`, 400, nil},
		{"UpdateTask", stranger, `{}`, 404, nil},
		{"UpdateTask", owner, `{}`, 409, nil},
		{"RemoveExternalTask", owner, "", 400, []string{key, ""}},
		{"RemoveExternalTask", limited, "", 403, nil},
		{"RemoveExternalTask", stranger, "", 404, nil},
	}
	for _, route := range routes {
		if route.operation == "DeleteTaskEventsTrigger" {
			continue // it never refuses
		}
		cases = append(cases, refusal{route.operation, nobody, "", 401, nil}, refusal{route.operation, wrong, "", 401, nil},
			refusal{route.operation, cxone, "", 403, nil}, refusal{route.operation, gone, "", 403, nil})
		if route.method == http.MethodGet {
			cases = append(cases, refusal{route.operation, agent1, "", 403, nil})
		}
	}
	for _, c := range cases {
		method, template := route(t, c.operation)
		op := d.operation(t, method, template)
		rec := r.do(c.who, method, strings.NewReplacer("{taskId}", ended, "{externalTaskId}", ended).Replace(template), c.body, c.headers...)
		require.Equal(t, c.status, rec.Code, "%s by %q: %s", c.operation, c.who, rec.Body)
		require.NotEmpty(t, faultOf(t, rec).Error.Code)
		require.NotEmpty(t, faultOf(t, rec).Error.Message)
		if undocumented(op) {
			require.Equal(t, "RemoveExternalTask", c.operation)
			continue
		}
		require.Empty(t, d.answer(op, rec.Code, rec.Header().Get("Content-Type"), rec.Body.Bytes()), "%s: %s", c.operation, rec.Body)
	}
	for _, who := range []string{nobody, wrong, cxone, gone, stranger} {
		method, template := route(t, "DeleteTaskEventsTrigger")
		rec := r.do(who, method, strings.Replace(template, "{triggerId}", "unknown", 1), "")
		require.Equal(t, http.StatusNoContent, rec.Code, who)
		require.Empty(t, d.answer(d.operation(t, method, template), rec.Code, "", rec.Body.Bytes()))
	}
}

// undocumented tells whether a definition says nothing at all of an operation's
// failures. The vendor's does so for one, which must fail like the others.
func undocumented(op *openapi3.Operation) bool {
	return op.Responses.Len() == 1 && op.Responses.Status(http.StatusOK) != nil
}
