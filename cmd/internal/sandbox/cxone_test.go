package sandbox

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorkItems(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	about, ok := w.catalogue.Integration("cxone")
	require.True(t, ok)
	_, _, out := w.call(http.MethodPost, w.address(about.Grants[0].Token, about, &about.Grants[0]), url.Values{
		"grant_type": {"password"}, "client_id": {"hub"}, "client_secret": {"s"}, "username": {"hub"}, "password": {"sandbox"},
	}, nil)
	token := dig(out, "access_token").(string)
	const services = "/cxone/incontactapi/services/v32.0/"
	call := func(path string, query url.Values, accept string) (int, any) {
		status, _, out := w.call(http.MethodPost, "http://"+w.Addr()+services+path+"?"+query.Encode(), nil, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Accept", accept)
		})
		return status, out
	}
	const items, format = "interactions/work-items", "application/json"
	query := url.Values{"pointOfContact": {"Field Service"}, "workItemID": {"01JD"}, "workItemType": {"task"}, "workItemPayload": {`{"a":1}`}, "from": {"Milan"}}
	status, out := call(items, query, format)
	require.Equal(t, http.StatusOK, status)
	id := dig(out, "contactId").(string)
	require.Equal(t, []WorkItem{{ContactID: id, PointOfContact: "Field Service", ID: "01JD", Type: "task", Payload: `{"a":1}`, From: "Milan"}}, w.WorkItems())
	for range 2 {
		status, _ = call("contacts/"+id+"/end", nil, format)
		require.Equal(t, http.StatusAccepted, status)
		require.True(t, w.WorkItems()[0].Ended)
	}

	for name, c := range map[string]struct {
		path   string
		query  url.Values
		accept string
		status int
	}{
		"no format":           {items, query, "*/*", http.StatusNotAcceptable},
		"no point of contact": {items, url.Values{}, format, http.StatusBadRequest},
		"its id":              {items, url.Values{"pointOfContact": {WebexOrg}}, format, http.StatusBadRequest},
		"a large payload":     {items, url.Values{"pointOfContact": {"x"}, "workItemPayload": {strings.Repeat("x", cxPayload+1)}}, format, http.StatusBadRequest},
		"a wrong parameter":   {items, url.Values{"pointOfContact": {"x"}, "payload": {"x"}}, format, http.StatusBadRequest},
		"no such contact":     {"contacts/1/end", nil, format, http.StatusNotFound},
		"no such thing":       {"contacts/1/begin", nil, format, http.StatusNotFound},
	} {
		status, out := call(c.path, c.query, c.accept)
		require.Equal(t, c.status, status, name)
		require.NotEmpty(t, dig(out, "error"), name)
	}
	require.Len(t, w.WorkItems(), 1)
}
