package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
)

func newDesk() (*zendesk, *coretest.Clock) {
	clock := coretest.NewClock(time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC))
	return newZendesk("http://127.0.0.1:1/zendesk", clock), clock
}

func TestZendeskSearches(t *testing.T) {
	t.Parallel()
	desk, _ := newDesk()
	for query, want := range map[string][]any{
		`type:user phone:*615550102`:                                 {"Milan Novak", "Another country"},
		`type:user phone:"+41 44 555 12 34"`:                         {"Jane O'Hara"},
		`type:user phone:*445551234`:                                 {},
		`type:user "jane o'hara"`:                                    {"Jane O'Hara"},
		`type:ticket subject:"pallet is late"`:                       {"Pallet is late"},
		`type:ticket status<solved requester:900000000002`:           {"Pallet is late"},
		`type:ticket -status:open`:                                   {"Invoice"},
		`type:ticket priority>normal subject:inv*`:                   {"Invoice"},
		`type:ticket nothing:here`:                                   {},
		`type:ticket assignee:none created>2026-01-01 status:closed`: {"Invoice"},
	} {
		status, _, out := ask(t, desk, http.MethodGet, "/api/v2/search", url.Values{"query": {query}}, nil)
		require.Equal(t, http.StatusOK, status, query)
		got := []any{}
		for _, row := range out.(map[string]any)["results"].([]any) {
			fields := row.(map[string]any)
			if fields["subject"] != nil {
				fields["name"] = fields["subject"]
			}
			got = append(got, fields["name"])
		}
		require.Equal(t, want, got, query)
	}
	status, _, out := ask(t, desk, http.MethodGet, "/api/v2/search", url.Values{"query": {`subject:"open`}}, nil)
	require.Equal(t, http.StatusUnprocessableEntity, status, out)
	_, _, out = ask(t, desk, http.MethodGet, "/api/v2/users/search.json", url.Values{"query": {"novak"}}, nil)
	require.Len(t, out.(map[string]any)["users"], 1)
}

func TestZendeskRecords(t *testing.T) {
	t.Parallel()
	desk, clock := newDesk()
	status, header, out := ask(t, desk, http.MethodPost, "/api/v2/tickets", nil, map[string]any{"ticket": map[string]any{
		"subject": "Hello", "comment": map[string]any{"body": "Hi", "public": false}, "requester": map[string]any{"name": "Jane", "email": "jane@ohara.example"},
	}})
	require.Equal(t, http.StatusCreated, status)
	ticket := out.(map[string]any)["ticket"].(map[string]any)
	require.Equal(t, ticket["url"], header.Get("Location"))
	require.InDelta(t, zdAgent+2, ticket["requester_id"], 0, "the one who is known by that address")

	at := fmt.Sprintf("/api/v2/tickets/%.0f.json", ticket["id"])
	note := map[string]any{"ticket": map[string]any{"status": "open", "comment": map[string]any{"body": "Note", "public": false}}}
	for range 30 {
		status, _, out = ask(t, desk, http.MethodPut, at, nil, note)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, out, "audit")
	}
	status, header, _ = ask(t, desk, http.MethodPut, at, nil, note)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "600", header.Get("Retry-After"))
	clock.Advance(11 * time.Minute)
	status, _, _ = ask(t, desk, http.MethodPut, at, nil, note)
	require.Equal(t, http.StatusOK, status)

	for name, c := range map[string]struct {
		method, at string
		body       any
		status     int
		field      string
	}{
		"no comment":       {http.MethodPost, "tickets", map[string]any{"ticket": map[string]any{"subject": "x"}}, 422, "base"},
		"closed":           {http.MethodPut, "tickets/900000000007", note, 422, "status"},
		"known address":    {http.MethodPost, "users", map[string]any{"user": map[string]any{"name": "x", "email": "Jane@ohara.example"}}, 422, "email"},
		"no name":          {http.MethodPost, "users", map[string]any{"user": map[string]any{"phone": "1"}}, 422, "name"},
		"agent":            {http.MethodPost, "channels/voice/tickets", map[string]any{"display_to_agent": 5, "ticket": map[string]any{"via_id": 45}}, 422, "display_to_agent"},
		"channel":          {http.MethodPost, "channels/voice/tickets", map[string]any{"ticket": map[string]any{"via_id": 4}}, 422, "via_id"},
		"unknown key":      {http.MethodPost, "custom_objects/parcel/records", map[string]any{"custom_object_record": map[string]any{"name": "x", "custom_object_fields": map[string]any{"y": 1}}}, 422, "custom_object_fields"},
		"nameless":         {http.MethodPost, "custom_objects/parcel/records", map[string]any{"custom_object_record": map[string]any{}}, 422, "name"},
		"unknown object":   {http.MethodPost, "custom_objects/box/records", map[string]any{}, 404, ""},
		"unknown ticket":   {http.MethodPut, "tickets/5", note, 404, ""},
		"no body":          {http.MethodPost, "tickets", map[string]any{}, 400, ""},
		"unknown resource": {http.MethodGet, "brands", nil, 404, ""},
	} {
		status, _, out := ask(t, desk, c.method, "/api/v2/"+c.at, nil, c.body)
		require.Equal(t, c.status, status, name)
		if c.field != "" {
			require.Contains(t, out.(map[string]any)["details"], c.field, name)
		}
	}

	status, _, out = ask(t, desk, http.MethodPost, "/api/v2/custom_objects/parcel/records", nil,
		map[string]any{"custom_object_record": map[string]any{"name": "P1", "custom_object_fields": map[string]any{"weight": 5}}})
	require.Equal(t, http.StatusCreated, status)
	id := out.(map[string]any)["custom_object_record"].(map[string]any)["id"].(string)
	status, _, out = ask(t, desk, http.MethodPatch, "/api/v2/custom_objects/parcel/records/"+id, nil,
		map[string]any{"custom_object_record": map[string]any{"custom_object_fields": map[string]any{"carrier": "X"}}})
	require.Equal(t, http.StatusOK, status)
	require.Len(t, out.(map[string]any)["custom_object_record"].(map[string]any)["custom_object_fields"], 2)
}
