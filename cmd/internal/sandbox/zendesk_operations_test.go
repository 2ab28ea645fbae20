package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// desk is the account under test.
func (r *rig) desk() *zendesk {
	z, ok := r.counter("zendesk").crm.(*zendesk)
	require.True(r.t, ok)
	return z
}

// zd returns the records of a kind whose field has a value.
func (r *rig) zd(kind, field string, value any) []map[string]any {
	z := r.desk()
	z.mu.Lock()
	defer z.mu.Unlock()
	var list []map[string]any
	for _, record := range z.records[kind] {
		if fmt.Sprint(record[field]) == fmt.Sprint(value) {
			list = append(list, record)
		}
	}
	return list
}

// zdOne is zd for the one record that there must be.
func (r *rig) zdOne(kind, field string, value any) map[string]any {
	r.t.Helper()
	list := r.zd(kind, field, value)
	require.Len(r.t, list, 1, "%s with %s %v", kind, field, value)
	return list[0]
}

const (
	zdMilan  = "900000000002"
	zdTicket = "900000000006" // Pallet is late
	zdClosed = "900000000007"
)

func TestZendeskFindsCallers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for input, want := range map[string][]string{
		`{"phoneNumber":"+41615550102"}`:                 {"Milan Novak"},
		`{"phoneNumber":"+41445551234"}`:                 {"Jane O'Hara"},
		`{"phoneNumber":"+14155550100"}`:                 {"Golden Gate Tours"},
		`{"phoneNumber":"044 555 12 34"}`:                {},
		`{"phoneNumber":"061 555 01 02"}`:                {"Milan Novak", "Another country"},
		`{"phoneNumber":"+41445559999"}`:                 {},
		`{"phoneNumber":"anonymous"}`:                    {},
		`{"phoneNumber":""}`:                             {},
		`{"phoneNumber":"sip:+41615550102@pbx.example"}`: {"Milan Novak"},
		`{"phoneNumber":"anonymous@61.55.50.102"}`:       {},
		`{"phoneNumber":"41615550102"}`:                  {"Milan Novak"},
		`{"phoneNumber":"0615550102","region":"CH"}`:     {"Milan Novak"},
		`{"phoneNumber":"12 34"}`:                        {},
		`{"phoneNumber":"1\" phone:* \"23 role:end"}`:    {},
	} {
		_, records := r.shown("zendesk", "search-ani", input)
		require.Equal(t, want, names(records), input)
	}
	output, records := r.shown("zendesk", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, "http://"+r.Addr()+"/zendesk", output["system"].(map[string]any)["baseUrl"], "for people, not for the API")
	require.Equal(t, "/agent/users/"+zdMilan, records[0]["url"])
	related := records[0]["related"].([]any)
	require.Len(t, related, 1, "what is not solved")
	require.Equal(t, zdTicket, related[0].(map[string]any)["id"])

	r.Fault("zendesk", Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "41"}, Path: "/api/v2/search"})
	_, records = r.shown("zendesk", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Empty(t, records[0]["related"])
	r.Fault("zendesk", Fault{Status: -1, Path: "/api/v2/search", Times: 9})
	_, records = r.shown("zendesk", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, []string{"Milan Novak"}, names(records))
	require.Empty(t, records[0]["related"])
	r.Fault("zendesk", Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "41"}, Path: "/api/v2/users", Times: 9})
	_, err := r.run("zendesk", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, core.Throttled, core.KindOf(err))
}

func TestZendeskFindsByConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for input, want := range map[string][]string{
		`{"search":[{"entity":"Ticket","filter":"status < solved"},{"entity":"ticket","field":"requester","value":` + zdMilan + `}]}`:           {"Pallet is late"},
		`{"search":[{"entity":"ticket","field":"subject","filter":"contains","value":"invo"}]}`:                                                 {"Invoice"},
		`{"search":[{"entity":"ticket","field":"subject","filter":"contains","value":"pallet is"}]}`:                                            {"Pallet is late"},
		`{"search":[{"entity":"ticket","field":"created","operator":">","value":"2026-03-02"}]}`:                                                {},
		`{"search":[{"entity":"user","field":"name","value":"jane o'hara"},{"entity":"ticket","field":"status","filter":"!=","value":"open"}]}`: {"Jane O'Hara", "Invoice"},
		`{"search":[{"entity":"user","field":"name","value":"x\" OR role:agent \""}]}`:                                                          {},
	} {
		_, records := r.shown("zendesk", "custom-search", input)
		require.Equal(t, want, names(records), input)
	}
}

func TestZendeskCreates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, records := r.shown("zendesk", "create-ticket", `{"subject":"Hello","description":"Where is it?","requester":{"name":"M","email":"milan@novak-logistics.example"},"priority":"urgent"}`)
	ticket := r.zdOne("ticket", "subject", "Hello")
	require.Equal(t, zdMilan, fmt.Sprint(ticket["requester_id"]), "known by the address")
	require.Equal(t, fmt.Sprint(ticket["id"]), records[0]["id"])
	require.Equal(t, true, records[0]["screenPop"])
	require.Equal(t, false, r.zdOne("comment", "ticket", ticket["id"])["public"])

	_, records = r.shown("zendesk", "create-user", `{"name":"Ada Berger","phone":"+41445550101","email":"ada.berger@alpenblick.example"}`)
	require.Equal(t, "Ada Berger", records[0]["display"])
	_, err := r.run("zendesk", "create-user", `{"name":"Ada","email":"ADA.berger@alpenblick.example"}`)
	require.Equal(t, core.Conflict, core.KindOf(err))
	require.ErrorContains(t, err, "is already being used by another user")

	_, records = r.shown("zendesk", "create-custom", `{"entity":"parcel","fields":{"name":"P-1","weight":5}}`)
	parcel := records[0]["id"].(string)
	_, records = r.shown("zendesk", "create-custom", `{"entity":"ticket","fields":{"subject":"With field","comment":{"body":"x"},"360001":"Gold"}}`)
	require.Equal(t, "With field", records[0]["display"])
	require.Equal(t, []any{map[string]any{"id": 360001.0, "value": "Gold"}}, r.zdOne("ticket", "subject", "With field")["custom_fields"])
	_, err = r.run("zendesk", "create-custom", `{"entity":"parcel","fields":{"name":"P-2","colour":"red"}}`)
	require.ErrorContains(t, err, "is not a field of the custom object")

	r.shown("zendesk", "update-record", `{"entity":"parcel","id":"`+parcel+`","fields":{"carrier":"X"}}`)
	require.Equal(t, map[string]any{"weight": 5.0, "carrier": "X"}, r.zdOne("parcel", "name", "P-1")["custom_object_fields"])
}

func TestZendeskWritesToRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.shown("zendesk", "update-record", `{"entity":"Ticket","id":"`+zdTicket+`","fields":{"status":"pending"}}`)
	require.Equal(t, "pending", r.zdOne("ticket", "id", zdTicket)["status"])
	r.shown("zendesk", "update-record", `{"entity":"user","id":"`+zdMilan+`","fields":{"notes":"Mornings"}}`)
	require.Equal(t, "Mornings", r.zdOne("user", "id", zdMilan)["notes"])

	r.shown("zendesk", "add-note", `{"entity":"ticket","id":"`+zdTicket+`","text":"Will call back"}`)
	require.Equal(t, false, r.zdOne("comment", "body", "Will call back")["public"])
	r.shown("zendesk", "create-call", `{"entity":"ticket","id":"`+zdTicket+`","subject":"Callback","direction":"Outbound"}`)
	require.NotEmpty(t, r.zd("comment", "ticket", zdTicket)[1]["body"])
	_, records := r.shown("zendesk", "create-call", `{"entity":"user","id":"`+zdMilan+`","phoneNumber":"+41615550102","ownNumber":"+41800555000"}`)
	call := r.zdOne("ticket", "id", records[0]["id"])
	require.Equal(t, "voice", call["via"].(map[string]any)["channel"])
	require.Equal(t, "+41615550102", r.zdOne("comment", "ticket", call["id"])["from"])

	_, records = r.shown("zendesk", "timeline", `{"cxoneContact":{"contactId":"c-9","direction":"Inbound","ani":"+41615550102"},
		"integration":[{"entity":"Ticket","entityId":"`+zdTicket+`"},{"entity":"User","entityId":"`+zdMilan+`"}]}`)
	require.Len(t, records, 1)
	require.Len(t, r.zd("comment", "ticket", zdTicket), 3)
	r.shown("zendesk", "data-memorialization", `{"updates":[{"entity":"Ticket","entityId":"`+zdTicket+`","fields":{"360001":"Done"}},
		{"entity":"User","entityId":"`+zdMilan+`","fields":{"details":"VIP"}}]}`)
	require.Equal(t, "VIP", r.zdOne("user", "id", zdMilan)["details"])

	_, err := r.run("zendesk", "data-memorialization", `{"updates":[{"entity":"User","entityId":"`+zdMilan+`","fields":{"details":"Changed"}},
		{"entity":"Ticket","entityId":"x","fields":{"360001":"Done"}}]}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
	require.Equal(t, "VIP", r.zdOne("user", "id", zdMilan)["details"], "nothing is changed when an entry is wrong")
	_, err = r.run("zendesk", "add-note", `{"entity":"ticket","id":"`+zdClosed+`","text":"x"}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
	require.ErrorContains(t, err, "closed prevents ticket update")
	_, err = r.run("zendesk", "add-note", `{"entity":"ticket","id":"5","text":"x"}`)
	require.Equal(t, core.NotFound, core.KindOf(err))
}

func TestZendeskHidesPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	maps.Copy(r.zdOne("ticket", "id", zdTicket), map[string]any{
		"via": map[string]any{"channel": "voice", "source": map[string]any{
			"from": map[string]any{"name": "Quiet Berger", "address": "quiet@berger.example"},
			"to":   map[string]any{"formatted_phone": "+41 44 555 12 34", "address": "quiet@alpen.example"},
		}},
		"comments": []any{map[string]any{"body": "Quiet", "plain_body": "Quiet please", "html_body": "<p>Quiet please</p>"}},
	})
	r.hidesPeople("zendesk", [][2]string{
		{"search-ani", `{"phoneNumber":"+41445551234"}`},
		{"search-ani", `{"phoneNumber":"+41615550102"}`},
		{"custom-search", `{"search":{"entity":"ticket","filter":"status < solved"}}`},
		{"update-record", `{"entity":"ticket","id":"` + zdTicket + `","fields":{"priority":"low"}}`},
		{"data-memorialization", `{"updates":[{"entity":"ticket","entityId":"` + zdTicket + `","fields":{"priority":"low"}}]}`},
		{"create-custom", `{"entity":"ticket","fields":{"subject":"Late","comment":{"body":"x"},"via":{"source":{"to":{"address":"quiet@alpen.example"}}}}}`},
		{"custom-search", `{"search":[{"entity":"user","filter":"email = jane@ohara.example"},{"entity":"user","field":"phone","value":"044 555 12 34"}]}`},
		{"create-user", `{"name":"Berger","email":"quiet@alpen.example","phone":"+41445551234","notes":"Quiet please","details":"Quiet Lane 5"}`},
		{"create-ticket", `{"subject":"Late","description":"Quiet please","requester":{"name":"Quiet Berger","email":"quiet@alpenblick.example"}}`},
		{"create-custom", `{"entity":"ticket","fields":{"subject":"Late","comment":{"body":"Quiet please"}}}`},
		{"create-custom", `{"entity":"user","fields":{"name":"Berger","email":"quiet@berger.example","details":"Quiet Lane 5"}}`},
		{"update-record", `{"entity":"user","id":"` + zdMilan + `","fields":{"details":"Quiet Lane 5","notes":"Quiet please"}}`},
		{"data-memorialization", `{"updates":[{"entity":"user","entityId":"` + zdMilan + `","fields":{"notes":"Quiet please"}}]}`},
		{"add-note", `{"entity":"ticket","id":"` + zdTicket + `","text":"Quiet please"}`},
		{"create-call", `{"entity":"user","id":"` + zdMilan + `","phoneNumber":"+41445551234","recordingUrl":"https://quiet.example/1","notes":"Quiet please"}`},
		{"create-call", `{"entity":"ticket","id":"` + zdTicket + `","phoneNumber":"+41445551234","notes":"Quiet please"}`},
		{"timeline", `{"cxoneContact":{"contactId":"c-9","ani":"+41445551234","recordingUrl":"https://quiet.example/1","dispositionNotes":"Quiet please","customerName":"Quiet Berger"},"integration":[{"entity":"Ticket","entityId":"` + zdTicket + `"}]}`},
	})
}

// A PUT is repeated by the hub when it fails; a comment must not stand there
// twice for it.
func TestZendeskCommentsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.keys.header("zendesk")
	lost := &loseAnswer{crm: r.desk(), method: http.MethodPut}
	r.counter("zendesk").crm = lost
	_, err := r.run("zendesk", "add-note", `{"entity":"ticket","id":"`+zdTicket+`","text":"Once"}`)
	require.Equal(t, core.Conflict, core.KindOf(err), "the repeated call finds the ticket changed")
	require.Equal(t, 2, lost.calls)
	z, ok := lost.crm.(*zendesk)
	require.True(t, ok)
	z.mu.Lock()
	defer z.mu.Unlock()
	require.Len(t, z.records["comment"], 1)
}

// loseAnswer does the work of the first call of a method and answers 502.
type loseAnswer struct {
	crm
	method string
	calls  int
}

func (l *loseAnswer) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	if r.Method != l.method {
		return l.crm.serve(w, r, at)
	}
	l.calls++
	if l.calls > 1 {
		return l.crm.serve(w, r, at)
	}
	found := l.crm.serve(&recorder{header: http.Header{}}, r, at)
	write(w, http.StatusBadGateway, map[string]any{"error": "bad_gateway"})
	return found
}
