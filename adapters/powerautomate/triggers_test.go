package powerautomate

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/store"
)

func (r *rig) triggers(t testing.TB) []store.Trigger {
	t.Helper()
	list, err := r.db.Triggers(context.Background(), "")
	require.NoError(t, err)
	return list
}

func TestTriggerLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	address := r.subscribe(t, owner, `"services":["Support@contoso.example","support@contoso.example"],
		"taskEvents":["queued","Accepted by System","QueueLeft","TERMINATED"],"modalities":["External Task"],"directions":["inbound"],"newer":1`)
	require.Regexp(t, `^/v1/triggers/tasks/[\w-]{43}$`, address)
	list := r.triggers(t)
	require.Len(t, list, 1)
	require.Equal(t, owner, list[0].Owner)
	require.Equal(t, []string{supportUPN}, list[0].Services)

	id := r.add(t, owner, fullTask)
	require.Equal(t, http.StatusOK, r.do(owner, http.MethodPut, "/v1/tasks/"+id, `{"customContextParameters":[{"name":"Case","value":"43"}]}`).Code)
	require.Equal(t, http.StatusOK, r.do(owner, http.MethodDelete, "/v1/ExternalTasks/"+id, "").Code)
	for _, want := range []string{"System Accepted", "Queued", "Queue Left", "Terminated"} {
		body := r.next(t)
		require.Equal(t, want, body["event"])
		require.Equal(t, id, body["taskId"])
	}

	for _, c := range []struct{ name, who, path string }{
		{"unknown", owner, "/v1/triggers/tasks/unknown"},
		{"another tenant's", stranger, address},
	} {
		require.Equal(t, http.StatusNoContent, r.do(c.who, http.MethodDelete, c.path, "").Code, c.name)
		require.Len(t, r.active(t), 1, c.name)
	}
	rec := r.do(nobody, http.MethodDelete, address, "")
	require.Equal(t, http.StatusNoContent, rec.Code)
	require.Empty(t, rec.Body.String())
	require.Empty(t, r.active(t))
	require.Equal(t, http.StatusNoContent, r.do(nobody, http.MethodDelete, address, "").Code)
	for _, who := range []string{owner, wrong, cxone, gone} {
		address := r.subscribe(t, owner, `"services":["support@contoso.example"],"taskEvents":[]`)
		require.Len(t, r.active(t), 1)
		require.Equal(t, http.StatusNoContent, r.do(who, http.MethodDelete, address, "").Code, who)
		require.Empty(t, r.active(t), who)
	}
}

// TestTriggerAddress: the platform calls what Location says, word for word.
func TestTriggerAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct{ public, reached, want string }{
		{"", "http://example.com", "http://example.com"},
		{"", "http://hub.contoso.example:8080", "http://hub.contoso.example:8080"},
		{"", "https://hub.contoso.example", "https://hub.contoso.example"},
		{"https://public.example", "http://10.0.0.1:8080", "https://public.example"},
		{"https://public.example/tandem/", "https://hub.contoso.example", "https://public.example/tandem"},
	} {
		r.handler = r.serve(t, c.public)
		rec := r.do(owner, http.MethodPost, c.reached+"/v1/triggers/tasks",
			`{"config":{"url":"`+r.hook+`","services":["support@contoso.example"],"taskEvents":[]}}`, "X-Forwarded-Host", "evil.example")
		require.Equal(t, http.StatusCreated, rec.Code, rec.Body.String())
		require.Empty(t, rec.Body.String())
		path, found := strings.CutPrefix(rec.Header().Get("Location"), c.want+"/v1/triggers/tasks/")
		require.True(t, found, rec.Header().Get("Location"))
		require.Regexp(t, `^[\w-]{43}$`, path)
		require.Len(t, r.active(t), 1)
		require.Equal(t, http.StatusNoContent, r.do(nobody, http.MethodDelete, c.reached+"/v1/triggers/tasks/"+path, "").Code)
		require.Empty(t, r.active(t))
	}
}

func (r *rig) active(t testing.TB) []store.Trigger {
	t.Helper()
	var list []store.Trigger
	for _, tr := range r.triggers(t) {
		if tr.State == store.TriggerActive {
			list = append(list, tr)
		}
	}
	return list
}

func TestTriggerFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.subscribe(t, admin, `"services":["support@contoso.example"],"taskEvents":["Created"],"modalities":["Audio"]`)
	r.subscribe(t, admin, `"services":["support@contoso.example"],"taskEvents":["Created"],"directions":["Outbound","None"]`)
	r.subscribe(t, admin, `"services":["field@contoso.example"],"taskEvents":[]`)
	r.subscribe(t, stranger, `"services":["desk@fabrikam.example"],"taskEvents":[]`)
	r.subscribe(t, admin, `"services":["support@contoso.example"],"taskEvents":["Terminated"]`)
	id := r.add(t, owner, `{"serviceUpn":"support@contoso.example"}`)
	require.Equal(t, http.StatusOK, r.do(owner, http.MethodDelete, "/v1/ExternalTasks/"+id, "").Code)
	require.Equal(t, "Terminated", r.next(t)["event"])
	require.Empty(t, r.calls)
}

func TestRegisterTaskWebHookRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := func(services, rest string) string {
		return `{"config":{"url":"` + r.hook + `","services":` + services + `,` + rest + `}}`
	}
	const support, all = `["support@contoso.example"]`, `"taskEvents":[]`
	for name, c := range map[string]struct {
		who, body string
		status    int
		fields    []string
	}{
		"no credential":      {nobody, config(support, all), 401, nil},
		"other platform":     {cxone, config(support, all), 403, nil},
		"user has gone":      {gone, config(support, all), 403, nil},
		"no rights":          {limited, config(support, all), 403, nil},
		"one not allowed":    {owner, config(`["support@contoso.example","field@contoso.example"]`, all), 403, nil},
		"no body":            {admin, "", 400, []string{"body"}},
		"no config":          {admin, `{}`, 400, []string{"config"}},
		"null config":        {admin, `{"config":null}`, 400, []string{"config"}},
		"config of a string": {admin, `{"config":"x"}`, 400, []string{"config"}},
		"another key":        {admin, strings.Replace(config(support, all), `{`, `{"extra":1,`, 1), 400, []string{"body"}},
		"empty config":       {admin, `{"config":{}}`, 400, []string{"config.url", "config.services", "config.taskEvents"}},
		"no services":        {admin, config(`[]`, all), 400, []string{"config.services"}},
		"unknown service":    {admin, config(`["x@contoso.example","desk@fabrikam.example",null]`, all), 400, []string{"config.services[0]", "config.services[1]", "config.services[2]"}},
		"events null":        {admin, config(support, `"taskEvents":null`), 400, []string{"config.taskEvents"}},
		"unknown words":      {admin, config(support, `"taskEvents":["Queued","Answered"],"modalities":["Fax"],"directions":["Up",""]`), 400, []string{"config.taskEvents[1]", "config.modalities[0]", "config.directions[0]", "config.directions[1]"}},
		"too many services":  {admin, config(`[`+strings.Repeat(`"support@contoso.example",`, 1000)+`"support@contoso.example"]`, all), 400, []string{"config.services"}},
		"too many events":    {admin, config(support, `"taskEvents":[`+strings.Repeat(`"Queued",`, 100)+`"Queued"]`), 400, []string{"config.taskEvents"}},
		"host not allowed":   {admin, `{"config":{"url":"https://127.0.0.1/x","services":` + support + `,` + all + `}}`, 400, []string{"config.url"}},
		"not https":          {admin, `{"config":{"url":"http://prod.flows.example/x","services":` + support + `,` + all + `}}`, 400, []string{"config.url"}},
		"everything all":     {admin, config(support, all+`,"modalities":null,"directions":[]`), 201, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := r.do(c.who, http.MethodPost, "/v1/triggers/tasks", c.body)
			require.Equal(t, c.status, rec.Code, rec.Body.String())
			if c.status != http.StatusCreated {
				require.Equal(t, c.fields, fields(t, rec), rec.Body.String())
			}
		})
	}
}
