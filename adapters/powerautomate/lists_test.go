package powerautomate

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	services         = "/v1/tasks/service-contacts"
	externalServices = "/v1/ExternalTasks/service-contacts"
	users            = "/v1/tasks/users-for-preferred-routing"
	events           = "/v1/tasks/events"
	modalities       = "/v1/tasks/modalities"
	directions       = "/v1/tasks/directions"
	priorities       = "/v1/ExternalTasks/distribution-priorities"
	connection       = "/v1/diagnostics/testconnection"
)

func TestLists(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct{ who, path, want string }{
		{admin, services, `["backoffice@contoso.example","field@contoso.example","sales@contoso.example","support@contoso.example"]`},
		{owner, services, `["support@contoso.example"]`},
		{limited, services, `[]`},
		{stranger, services, `["desk@fabrikam.example"]`},
		{admin, externalServices, `["backoffice@contoso.example","field@contoso.example","support@contoso.example"]`},
		{ouadmin, externalServices, `[]`},
		{owner, users, `["agent1@contoso.example","agent2@contoso.example","agent3@contoso.example"]`},
		{stranger, users, `[]`},
		{ouadmin, users, `[]`},
		{admin, events, `[{"name":"Created","value":"Created"},{"name":"System Accepted","value":"System Accepted"},
			{"name":"Parameter Updated","value":"Parameter Updated"},{"name":"Queued","value":"Queued"},
			{"name":"Connected to User","value":"Connected to User"},
			{"name":"Outbound Connected to Destination","value":"Outbound Connected to Destination"},
			{"name":"Queue Left","value":"Queue Left"},{"name":"Terminated","value":"Terminated"}]`},
		{admin, modalities, `[{"name":"Audio","value":"Audio"},{"name":"Instant Messaging","value":"InstantMessaging"},
			{"name":"External Task","value":"ExternalTask"},{"name":"Email","value":"Email"}]`},
		{limited, directions, `[{"name":"Inbound","value":"Inbound"},{"name":"Outbound","value":"Outbound"},{"name":"None","value":"None"}]`},
		{admin, priorities, `[{"name":"Very High","value":"VeryHigh"},{"name":"High","value":"High"},{"name":"Normal","value":"Normal"},
			{"name":"Low","value":"Low"},{"name":"Very Low","value":"VeryLow"}]`},
	} {
		rec := r.do(c.who, http.MethodGet, c.path, "")
		require.Equal(t, http.StatusOK, rec.Code, "%s %s", c.who, c.path)
		require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
		require.JSONEq(t, c.want, rec.Body.String(), "%s %s", c.who, c.path)
	}
	require.Equal(t, http.StatusOK, r.do(ouadmin, http.MethodGet, connection, "").Code)
	for _, path := range []string{services, externalServices, users, events, modalities, directions, priorities, connection} {
		for who, status := range map[string]int{
			nobody: 401, wrong: 401, cxone: 403, gone: 403, agent1: 403, supervisor: 403,
		} {
			require.Equal(t, status, r.do(who, http.MethodGet, path, "").Code, "%s %s", who, path)
		}
		require.Equal(t, http.StatusNotFound, r.do(admin, http.MethodGet, strings.ToUpper(path), "").Code, path)
	}
}
