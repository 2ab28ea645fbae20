package powerautomate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
)

const fullTask = `{
	"serviceUpn": "SUPPORT@contoso.example", "customerIdentifier": "crm-1",
	"customer": {"firstName": "Eva", "UPN": "eva@customer.example", "streetAddress": "Main St 1",
		"telNumbers": [{"name": "home", "value": "+12025550111"}], "customFields": [{"name": "tier", "value": "gold"}]},
	"customContextParameters": [{"name": "Case", "value": "42"}, {"name": "Empty"}],
	"distributionPriority": "very high",
	"preferredUsers": [{"upn": "Agent1@contoso.example", "priority": 5}, {"upn": "agent2@contoso.example"}]
}`

func TestAddExternalTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	rec := r.do(owner, http.MethodPost, "/v1/ExternalTasks", fullTask)
	require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
	require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	var got map[string]any
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &got))
	id, _ := got["id"].(string)
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, got["created"])
	task := r.task(t, id)
	delete(got, "created")
	require.Equal(t, map[string]any{
		"id": id, "modality": "ExternalTask", "type": "ExternalTask", "isAnonymous": false,
		"serviceId": task.Service.ID, "serviceName": "Support", "serviceDisplayName": "Contoso Support",
		"serviceDescription": "Answers customers of Contoso", "serviceUPN": supportUPN, "serviceTelNumber": "+12025550100",
		"preferredUsers": []any{
			map[string]any{"upn": agent1, "priority": float64(5)}, map[string]any{"upn": "agent2@contoso.example"},
		},
	}, got)
	require.Equal(t, core.Inbound, task.Direction)
	require.Equal(t, core.PriorityVeryHigh, task.Priority)
	require.Equal(t, "crm-1", task.CustomerIdentifier)
	require.Equal(t, core.StateQueued, task.State)
	require.Equal(t, core.Customer{
		FirstName: "Eva", UPN: "eva@customer.example", StreetAddress: "Main St 1",
		TelNumbers: []core.NamedValue{{Name: "home", Value: "+12025550111"}}, CustomFields: []core.NamedValue{{Name: "tier", Value: "gold"}},
	}, task.Customer)
	require.Equal(t, []core.NamedValue{{Name: "Case", Value: "42"}, {Name: "Empty"}}, task.Parameters)

	rec = r.do(admin, http.MethodPost, "/v1/ExternalTasks", `{"serviceUpn":"support@contoso.example","customer":null,"other":1}`)
	require.Equal(t, http.StatusOK, rec.Code)
	require.Contains(t, rec.Body.String(), `"isAnonymous":true`)
}

func TestAddExternalTaskRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := func(n int) string { return strings.Repeat("ü", n) }
	named := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`{"name":"p%d","value":"v"}`, i)
		}
		return strings.Join(list, ",")
	}
	support := func(rest string) string { return `{"serviceUpn":"support@contoso.example"` + rest + `}` }
	preferred := strings.TrimSuffix(strings.Repeat(`{"upn":"agent1@contoso.example"},`, 11), ",")
	for name, c := range map[string]struct {
		who, body string
		status    int
		fields    []string
	}{
		"no credential":         {nobody, support(""), 401, nil},
		"unknown credential":    {wrong, support(""), 401, nil},
		"other platform":        {cxone, support(""), 403, nil},
		"user has gone":         {gone, support(""), 403, nil},
		"limited owner":         {limited, support(""), 403, nil},
		"agent":                 {agent1, support(""), 403, nil},
		"unit admin":            {ouadmin, support(""), 403, nil},
		"not the owner's":       {owner, `{"serviceUpn":"field@contoso.example","distributionPriority":"x"}`, 403, nil},
		"no body":               {admin, "", 400, []string{"body"}},
		"broken body":           {admin, `{"serviceUpn":`, 400, []string{"serviceUpn"}},
		"wrong type":            {admin, `{"serviceUpn":7}`, 400, []string{"serviceUpn"}},
		"no service":            {admin, `{}`, 400, []string{"serviceUpn"}},
		"unknown service":       {admin, `{"serviceUpn":"nope@contoso.example"}`, 400, []string{"serviceUpn"}},
		"other tenant's":        {admin, `{"serviceUpn":"desk@fabrikam.example"}`, 400, []string{"serviceUpn"}},
		"takes no tasks":        {admin, `{"serviceUpn":"sales@contoso.example"}`, 400, []string{"serviceUpn"}},
		"workflow missing":      {small, `{"serviceUpn":"broken@tailspin.example"}`, 400, []string{"serviceUpn"}},
		"identifier fits":       {admin, support(`,"customerIdentifier":"` + long(256) + `"`), 200, nil},
		"identifier too long":   {admin, support(`,"customerIdentifier":"` + long(257) + `"`), 400, []string{"customerIdentifier"}},
		"identifier two lines":  {admin, support(`,"customerIdentifier":"a\nb"`), 400, []string{"customerIdentifier"}},
		"value fits":            {admin, support(`,"customer":{"city":"` + long(4096) + `"}`), 200, nil},
		"value too long":        {admin, support(`,"customer":{"city":"` + long(4097) + `"}`), 400, []string{"customer.city"}},
		"nul":                   {admin, support(`,"customer":{"email":"a\u0000"}`), 400, []string{"customer.email"}},
		"escape":                {admin, support(`,"customContextParameters":[{"name":"a","value":"\u001b[2J"}]`), 400, []string{"customContextParameters[0].value"}},
		"c1 control":            {admin, support(`,"customContextParameters":[{"name":"a","value":"\u0085"}]`), 400, []string{"customContextParameters[0].value"}},
		"line in a value":       {admin, support(`,"customer":{"streetAddress":"a\nb"}`), 400, []string{"customer.streetAddress"}},
		"half a character":      {admin, support(`,"customerIdentifier":"\ud800"`), 400, []string{"customerIdentifier"}},
		"preferred unlicensed":  {admin, support(`,"preferredUsers":[{"upn":"supervisor@contoso.example"}]`), 400, []string{"preferredUsers[0].upn"}},
		"tab in a name":         {admin, support(`,"customContextParameters":[{"name":"a\tb"}]`), 400, []string{"customContextParameters[0].name"}},
		"not UTF-8":             {admin, support(",\"customerIdentifier\":\"\xff\""), 400, []string{"body"}},
		"nameless entries":      {admin, support(`,"customContextParameters":[{"value":"a"},null]`), 400, []string{"customContextParameters[0].name", "customContextParameters[1].name"}},
		"nameless number":       {admin, support(`,"customer":{"telNumbers":[{"value":"1"}],"customFields":[{}]}`), 400, []string{"customer.telNumbers[0].name", "customer.customFields[0].name"}},
		"name too long":         {admin, support(`,"customContextParameters":[{"name":"` + long(257) + `"}]`), 400, []string{"customContextParameters[0].name"}},
		"100 parameters":        {admin, support(`,"customContextParameters":[` + named(100) + `]`), 200, nil},
		"101 parameters":        {admin, support(`,"customContextParameters":[` + named(101) + `]`), 400, []string{"customContextParameters"}},
		"priority unknown":      {admin, support(`,"distributionPriority":"Highest"`), 400, []string{"distributionPriority"}},
		"priority empty":        {admin, support(`,"distributionPriority":""`), 200, nil},
		"priority by value":     {admin, support(`,"distributionPriority":"VERYLOW"`), 200, nil},
		"11 preferred":          {admin, support(`,"preferredUsers":[` + preferred + `]`), 400, []string{"preferredUsers"}},
		"preferred unknown":     {admin, support(`,"preferredUsers":[{"upn":"agent1@contoso.example"},{"upn":"x@contoso.example"}]`), 400, []string{"preferredUsers[1].upn"}},
		"preferred of another":  {admin, support(`,"preferredUsers":[{"upn":"admin@fabrikam.example"}]`), 400, []string{"preferredUsers[0].upn"}},
		"preferred nameless":    {admin, support(`,"preferredUsers":[{"priority":1}]`), 400, []string{"preferredUsers[0].upn"}},
		"preferred 0":           {admin, support(`,"preferredUsers":[{"upn":"agent1@contoso.example","priority":0}]`), 400, []string{"preferredUsers[0].priority"}},
		"preferred 100":         {admin, support(`,"preferredUsers":[{"upn":"agent1@contoso.example","priority":100}]`), 400, []string{"preferredUsers[0].priority"}},
		"preferred fraction":    {admin, support(`,"preferredUsers":[{"upn":"agent1@contoso.example","priority":1.5}]`), 400, []string{"preferredUsers[0].priority"}},
		"everything at once":    {admin, `{"customerIdentifier":"\u0007","distributionPriority":"x","preferredUsers":[{"upn":"x","priority":0}]}`, 400, []string{"serviceUpn", "customerIdentifier", "distributionPriority", "preferredUsers[0].upn", "preferredUsers[0].priority"}},
		"two spellings of keys": {admin, `{"serviceUPN":"support@contoso.example"}`, 400, []string{"serviceUPN"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := r.do(c.who, http.MethodPost, "/v1/ExternalTasks", c.body)
			require.Equal(t, c.status, rec.Code, rec.Body.String())
			if c.status != http.StatusOK {
				require.Equal(t, c.fields, fields(t, rec), rec.Body.String())
			}
		})
	}
}

func TestFairUseAndDeduplication(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.add(t, small, `{"serviceUpn":"once@tailspin.example","customerIdentifier":"a"}`)
	require.Equal(t, first, r.add(t, small, `{"serviceUpn":"once@tailspin.example","customerIdentifier":"a"}`))
	r.add(t, small, `{"serviceUpn":"once@tailspin.example"}`) // anonymous tasks are never one
	rec := r.do(small, http.MethodPost, "/v1/ExternalTasks", `{"serviceUpn":"once@tailspin.example"}`)
	require.Equal(t, http.StatusTooManyRequests, rec.Code)
	require.Equal(t, "FAIR_USE_LIMIT", faultOf(t, rec).Error.Code)
	require.Equal(t, http.StatusOK, r.do(small, http.MethodDelete, "/v1/ExternalTasks/"+first, "").Code)
	r.add(t, small, `{"serviceUpn":"once@tailspin.example"}`)
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const path, body, header = "/v1/ExternalTasks", `{"serviceUpn":"support@contoso.example"}`, "Idempotency-Key"

	t.Run("50 at once make one task", func(t *testing.T) {
		t.Parallel()
		answers := make([]*httptest.ResponseRecorder, 50)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() { answers[i] = r.do(owner, http.MethodPost, path, body, header, "storm") })
		}
		all.Wait()
		for _, a := range answers {
			require.Equal(t, http.StatusOK, a.Code)
			require.Equal(t, answers[0].Body.String(), a.Body.String())
			require.Equal(t, answers[0].Header().Get("Content-Type"), a.Header().Get("Content-Type"))
		}
	})
	t.Run("belongs to the tenant", func(t *testing.T) {
		t.Parallel()
		key := func(who, method, path, body string) *httptest.ResponseRecorder {
			return r.do(who, method, path, body, header, "mine")
		}
		a, b := key(owner, http.MethodPost, path, body), key(admin, http.MethodPost, path, body)
		require.Equal(t, http.StatusOK, a.Code)
		require.Equal(t, a.Body.String(), b.Body.String(), "one key, one task, whoever repeats the call")
		other := key(owner, http.MethodPost, path, body+" ")
		require.Equal(t, http.StatusUnprocessableEntity, other.Code)
		require.Equal(t, "IDEMPOTENCY_KEY_REUSED", faultOf(t, other).Error.Code)

		id := r.add(t, owner, body)
		require.Equal(t, http.StatusOK, key(owner, http.MethodPut, "/v1/tasks/"+id, `{"customer":{"city":"Bern"}}`).Code)
		require.Equal(t, http.StatusOK, r.do(owner, http.MethodPut, "/v1/tasks/"+id, `{"customer":{"city":"Basel"}}`).Code)
		require.Equal(t, http.StatusOK, key(owner, http.MethodPut, "/v1/tasks/"+id, `{"customer":{"city":"Bern"}}`).Code)
		require.Equal(t, "Basel", r.task(t, id).Customer.City, "a replay changes nothing")
		require.Equal(t, http.StatusUnprocessableEntity, key(owner, http.MethodPut, "/v1/tasks/"+id, `{}`).Code)
		require.Equal(t, http.StatusUnprocessableEntity, key(owner, http.MethodPut, "/v1/tasks/"+r.add(t, owner, body), `{"customer":{"city":"Bern"}}`).Code)

		require.Equal(t, http.StatusOK, key(owner, http.MethodDelete, path+"/"+id, "").Code)
		require.Equal(t, http.StatusOK, key(owner, http.MethodDelete, path+"/"+id, "").Code)
		// The task has ended, the answer stays.
		require.Equal(t, http.StatusOK, key(owner, http.MethodPut, "/v1/tasks/"+id, `{"customer":{"city":"Bern"}}`).Code)
	})
	t.Run("form", func(t *testing.T) {
		t.Parallel()
		for _, bad := range []string{"", strings.Repeat("k", 256), "a\tb", "ü"} {
			for method, at := range map[string]string{http.MethodPost: path, http.MethodPut: "/v1/tasks/" + noID, http.MethodDelete: path + "/" + noID} {
				rec := r.do(owner, method, at, body, header, bad)
				require.Equal(t, http.StatusBadRequest, rec.Code, "%s %q", method, bad)
				require.Equal(t, []string{header}, fields(t, rec))
			}
		}
		require.Equal(t, http.StatusBadRequest, r.do(owner, http.MethodPost, path, body, header, "a", header, "a").Code)
		require.Equal(t, http.StatusOK, r.do(owner, http.MethodPost, path, body, header, strings.Repeat("~", 255)).Code)
	})
}

func TestUpdateTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.add(t, owner, fullTask)
	put := func(body string) {
		t.Helper()
		rec := r.do(owner, http.MethodPut, "/v1/tasks/"+strings.ToUpper(id)+"?serviceSessionId=s&userSessionId=u", body)
		require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
		require.Empty(t, rec.Body.String())
	}
	before := r.task(t, id)
	for _, nothing := range []string{
		"", "{}", `{"customer":null,"customContextParameters":null,"preferredUsers":null}`,
		`{"customer":{"firstName":null,"telNumbers":null,"customFields":[{"name":"tier"}]},"customContextParameters":[{"name":"Case","value":null}]}`,
	} {
		put(nothing)
		require.Equal(t, before, r.task(t, id), nothing)
	}
	put(`{"customer":{"firstName":"","lastName":"Moe","telNumbers":[{"name":"work","value":"2"},{"name":"home","value":"3"}],"customFields":[{"name":"tier","value":""}]},
		"customContextParameters":[{"name":"Case","value":"43"},{"name":"New","value":"n"}],"preferredUsers":[{"upn":"agent3@contoso.example","priority":1}]}`)
	after := r.task(t, id)
	require.Equal(t, core.Customer{
		LastName: "Moe", UPN: "eva@customer.example", StreetAddress: "Main St 1",
		TelNumbers:   []core.NamedValue{{Name: "home", Value: "3"}, {Name: "work", Value: "2"}},
		CustomFields: []core.NamedValue{{Name: "tier"}},
	}, after.Customer)
	require.Equal(t, []core.NamedValue{{Name: "Case", Value: "43"}, {Name: "Empty"}, {Name: "New", Value: "n"}}, after.Parameters)
	require.Equal(t, []core.PreferredUser{{UPN: "agent3@contoso.example", Priority: 1}}, after.PreferredUsers)
	put(`{"preferredUsers":[]}`)
	require.Empty(t, r.task(t, id).PreferredUsers)
}

func TestUpdateTaskRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.add(t, owner, `{"serviceUpn":"support@contoso.example"}`)
	field := r.add(t, admin, `{"serviceUpn":"field@contoso.example"}`)
	ended := r.add(t, owner, `{"serviceUpn":"support@contoso.example"}`)
	require.Equal(t, http.StatusOK, r.do(owner, http.MethodDelete, "/v1/ExternalTasks/"+ended, "").Code)
	names := func(from, to int) string {
		var list []string
		for i := from; i < to; i++ {
			list = append(list, fmt.Sprintf(`{"name":"p%d","value":"v"}`, i))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	full := r.add(t, owner, `{"serviceUpn":"support@contoso.example","customer":{"telNumbers":`+names(0, 100)+`,"customFields":`+names(0, 100)+`},"customContextParameters":`+names(0, 100)+`}`)
	for name, c := range map[string]struct {
		who, path, body string
		status          int
		fields          []string
	}{
		"no credential":        {nobody, id, "", 401, nil},
		"other platform":       {cxone, id, "", 403, nil},
		"user has gone":        {gone, id, "", 403, nil},
		"no rights":            {supervisor, id, "", 403, nil},
		"not the owner's":      {owner, field, "", 403, nil},
		"unknown":              {owner, noID, "", 404, nil},
		"other tenant's":       {stranger, id, "", 404, nil},
		"no UUID":              {owner, "a%20b", "", 404, nil},
		"UUID of another form": {owner, "%7B" + noID + "%7D", "", 404, nil},
		"ended":                {owner, ended, "{}", 409, nil},
		"session too long":     {owner, id + "?serviceSessionId=" + strings.Repeat("x", 129) + "&userSessionId=%00", "", 400, []string{"serviceSessionId", "userSessionId"}},
		"session not UTF-8":    {owner, id + "?userSessionId=%FF", "", 400, []string{"userSessionId"}},
		"wrong values":         {owner, id, `{"customer":{"city":"\u0000"},"customContextParameters":[{"value":"x"}],"preferredUsers":[{"upn":"x"}]}`, 400, []string{"customer.city", "customContextParameters[0].name", "preferredUsers[0].upn"}},
		"wrong form":           {owner, id, `[]`, 400, []string{"body"}},
		"same names":           {owner, full, `{"customContextParameters":` + names(50, 100) + `}`, 200, nil},
		"grows too long":       {owner, full, `{"customer":{"telNumbers":` + names(100, 101) + `,"customFields":` + names(99, 101) + `},"customContextParameters":` + names(100, 101) + `}`, 400, []string{"customContextParameters", "customer.telNumbers", "customer.customFields"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := r.do(c.who, http.MethodPut, "/v1/tasks/"+c.path, c.body)
			require.Equal(t, c.status, rec.Code, rec.Body.String())
			if c.status != http.StatusOK {
				require.Equal(t, c.fields, fields(t, rec), rec.Body.String())
			}
		})
	}
	// Another tenant's task and no task read the same.
	text := func(who, id string) string {
		return strings.ReplaceAll(faultOf(t, r.do(who, http.MethodPut, "/v1/tasks/"+id, "")).Error.Message, id, "ID")
	}
	require.Equal(t, text(owner, noID), text(stranger, id))
}

func TestRemoveExternalTask(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id := r.add(t, owner, `{"serviceUpn":"support@contoso.example"}`)
	call := core.Task{Tenant: "contoso", Service: core.ServiceRef{UPN: supportUPN}, Modality: core.Audio, Direction: core.Inbound}
	body, err := r.engine.Create(context.Background(), engine.NewTask{Task: call, Workflow: r.flows["external-task"]},
		func(t *core.Task) ([]byte, error) { return []byte(t.ID), nil })
	require.NoError(t, err)
	for _, c := range []struct {
		name, who, id string
		status        int
	}{
		{"no credential", nobody, id, 401},
		{"no rights", limited, id, 403},
		{"unknown", owner, noID, 404},
		{"no UUID", owner, "42", 404},
		{"other tenant's", stranger, id, 404},
		{"a call", owner, string(body), 404},
		{"removed", owner, id, 200},
		{"again", owner, id, 200},
	} {
		rec := r.do(c.who, http.MethodDelete, "/v1/ExternalTasks/"+c.id, "")
		require.Equal(t, c.status, rec.Code, c.name)
	}
	task := r.task(t, id)
	require.Equal(t, core.StateTerminated, task.State)
	require.NotEqual(t, core.StateTerminated, r.task(t, string(body)).State)
}
