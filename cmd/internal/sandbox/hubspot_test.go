package sandbox

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
)

// request is one with a JSON body, and what is answered to it.
func request(t *testing.T, method, at string, body any) (*http.Request, *httptest.ResponseRecorder) {
	t.Helper()
	var b bytes.Buffer
	if body != nil {
		require.NoError(t, json.NewEncoder(&b).Encode(body))
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "http://vendor.test/", &b)
	r.URL.Path = at
	return r, httptest.NewRecorder()
}

func answered(t *testing.T, w *httptest.ResponseRecorder) (int, http.Header, any) {
	t.Helper()
	var out any
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
	}
	return w.Code, w.Header(), out
}

func TestHubSpotObjects(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	h := newHubSpot("", clock)
	do := func(method, at string, body any) (int, any) {
		r, w := request(t, method, at, body)
		require.True(t, h.serve(w, r, at), at)
		status, _, out := answered(t, w)
		return status, out
	}
	found := func(filters ...map[string]any) int {
		t.Helper()
		clock.Advance(time.Second)
		status, out := do(http.MethodPost, "/crm/v3/objects/contacts/search", map[string]any{"filterGroups": []any{map[string]any{"filters": filters}}})
		require.Equal(t, 200, status, "%v: %v", filters, out)
		return int(dig(out, "total").(float64))
	}
	with := func(properties map[string]any) map[string]any { return map[string]any{"properties": properties} }
	filter := func(property, operator string, value any) map[string]any {
		key := "value"
		if operator == "IN" || operator == "NOT_IN" {
			key = "values"
		}
		return map[string]any{"propertyName": property, "operator": operator, key: value}
	}

	for want, filters := range map[int][]map[string]any{
		0: {filter("phone", "EQ", "+41615550102")}, // as it is written, and no other way
		1: {filter("hs_searchable_calculated_phone_number", "EQ", "615550102")},
		2: {filter("lastname", "IN", []string{"novak", "doe", "BERGER"})},
		3: {filter("lastname", "NEQ", "novak")},
		4: {filter("email", "HAS_PROPERTY", "")},
	} {
		require.Equal(t, want, found(filters...), filters)
	}
	require.Equal(t, 1, found(filter("company", "CONTAINS_TOKEN", "*istics"), filter("company", "CONTAINS_TOKEN", "nov*")))
	require.Equal(t, 3, found(filter("company", "NOT_CONTAINS_TOKEN", "*gist*")))
	require.Equal(t, 0, found(filter("company", "CONTAINS_TOKEN", "gist")))
	require.Equal(t, 2, found(filter("hs_object_id", "GTE", "103"), filter("hs_object_id", "LT", "105")))
	require.Equal(t, 1, found(filter("hs_object_id", "GT", "103"), filter("hs_object_id", "LTE", "104")))
	require.Equal(t, 2, found(filter("lastname", "NOT_IN", []string{"novak", "doe"})))
	require.Equal(t, 3, found(filter("company", "NOT_HAS_PROPERTY", "")))

	lea := filter("lastname", "EQ", "Frei")
	status, out := do(http.MethodPost, "/crm/v3/objects/contacts", with(map[string]any{"lastname": "Frei", "email": "lea@frei.example"}))
	require.Equal(t, 201, status)
	id := dig(out, "id").(string)
	require.Equal(t, 0, found(lea), "search comes later")
	clock.Advance(hubSpotLag)
	require.Equal(t, 1, found(lea))
	status, _ = do(http.MethodPatch, "/crm/v3/objects/contact/"+id, with(map[string]any{"lastname": "Frey"}))
	require.Equal(t, 200, status)
	require.Equal(t, 1, found(lea), "search still knows the old name")
	clock.Advance(hubSpotLag)
	require.Equal(t, 0, found(lea))

	status, out = do(http.MethodPost, "/crm/v3/objects/contacts", with(map[string]any{"email": "LEA@frei.example"}))
	require.Equal(t, 409, status)
	require.Equal(t, "Contact already exists. Existing ID: "+id, dig(out, "message"))
	for at, body := range map[string]any{
		"/crm/v3/objects/contacts":        with(map[string]any{"nothing": "x"}),
		"/crm/v3/objects/0-1":             with(map[string]any{"zip": 8000}), // a number is no text
		"/crm/v3/objects/tickets":         with(map[string]any{"subject": "x"}),
		"/crm/v3/objects/nothings":        with(nil),
		"/crm/v3/objects/contacts/search": map[string]any{"filterGroups": make([]struct{}, 6)},
		"/crm/v3/objects/deals/search":    map[string]any{"filterGroups": []any{map[string]any{"filters": []any{filter("nothing", "EQ", "x")}}}},
		"/crm/v3/objects/companies":       []string{"no object"},
		"/crm/v3/objects/notes": map[string]any{"properties": map[string]any{"hs_timestamp": "x"}, "associations": []any{map[string]any{
			"to": map[string]any{"id": "101"}, "types": []any{map[string]any{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 194}},
		}}}, // the number of calls
	} {
		status, out = do(http.MethodPost, at, body)
		require.Equal(t, 400, status, at)
		require.Equal(t, "VALIDATION_ERROR", dig(out, "category"))
		clock.Advance(time.Second)
	}
	status, _ = do(http.MethodGet, "/crm/v3/objects/contacts/999", nil)
	require.Equal(t, 404, status)
	status, out = do(http.MethodGet, "/crm/v4/associations/notes/2-77/labels", nil)
	require.Equal(t, 200, status)
	require.Equal(t, []any{map[string]any{"category": "USER_DEFINED", "typeId": 7.0, "label": nil}}, dig(out, "results"))
	status, _ = do(http.MethodGet, "/crm/v4/associations/notes/nothings/labels", nil)
	require.Equal(t, 400, status)
	status, _ = do(http.MethodPut, "/crm/v3/objects/contacts/101", nil)
	require.Equal(t, 405, status)
	for range hubSpotSearches {
		status, _ = do(http.MethodPost, "/crm/v3/objects/contacts/search", map[string]any{})
		require.Equal(t, 200, status)
	}
	status, out = do(http.MethodPost, "/crm/v3/objects/contacts/search", map[string]any{})
	require.Equal(t, 429, status)
	require.Equal(t, "RATE_LIMITS", dig(out, "category"))
	r, w := request(t, http.MethodGet, "/crm/v3/properties", nil)
	require.False(t, h.serve(w, r, "/crm/v3/properties"))
}
