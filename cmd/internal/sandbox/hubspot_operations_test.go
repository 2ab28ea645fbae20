package sandbox

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
)

// portal is the account under test.
func (r *rig) portal() *hubSpot {
	h, ok := r.counter("hubspot").crm.(*hubSpot)
	require.True(r.t, ok)
	return h
}

// object is what the account holds; nil when there is no such object.
func (r *rig) object(kind, id string) map[string]any {
	h := r.portal()
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := h.find(kind, id); o != nil {
		return o.properties
	}
	return nil
}

// hides runs operations with input that holds a text, and requires that no step
// shows it.
func (r *rig) hides(id, text string, inputs map[string]string) {
	for name, input := range inputs {
		op, ok := r.operations.Operation(id, name)
		require.True(r.t, ok, name)
		var in map[string]any
		require.NoError(r.t, json.Unmarshal([]byte(input), &in))
		result, _ := r.runner.Run(r.t.Context(), operation.Request{Tenant: "contoso", Operation: op, Input: in, Timeout: 10 * time.Second, Detail: true})
		require.NotEmpty(r.t, result.Steps, name)
		for _, step := range result.Steps {
			shown, err := json.Marshal(step)
			require.NoError(r.t, err)
			require.NotContains(r.t, string(shown), text, name)
		}
		r.clock.Advance(time.Second)
	}
}

// joined tells whether two objects are associated.
func (r *rig) joined(a, b string) bool {
	h := r.portal()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.links[a+"-"+b]
}

func TestHubSpotSearches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for input, want := range map[string][]string{
		`{"phoneNumber":"+41615550102"}`:                                {"Milan Novak"},
		`{"phoneNumber":"+41445551234"}`:                                {"Sofia Marino"},
		`{"phoneNumber":"4155550100"}`:                                  {"Jane Doe"},
		`{"phoneNumber":"+14155550100"}`:                                {"Jane Doe"},
		`{"phoneNumber":"+41615550100"}`:                                {"Novak Logistics"}, // no contact's
		`{"phoneNumber":"+41445559999"}`:                                {},
		`{"phoneNumber":"41445551234"}`:                                 {"Sofia Marino"}, // as some networks hand it over
		`{"phoneNumber":"044 555 12 34","region":"CH"}`:                 {"Sofia Marino"},
		`{"phoneNumber":"sip:+41445551234@hub.example;user=phone"}`:     {"Sofia Marino"},
		`{"phoneNumber":"0102"}`:                                        {}, // the end of two numbers
		`{"phoneNumber":"anonymous"}`:                                   {},
		`{"phoneNumber":"sip:anonymous@61.55.50.102"}`:                  {},
		`{"phoneNumber":""}`:                                            {},
		`{"phoneNumber":"*"}`:                                           {},
		`{"email":"MILAN@novak-logistics.example"}`:                     {"Milan Novak"},
		`{"phoneNumber":"+41445551234","email":"jane@doe.example"}`:     {"Sofia Marino", "Jane Doe"},
		`{"email":"x\"}]},\"filters\":[\"operator\":\"HAS_PROPERTY\""}`: {},
	} {
		output, records := r.shown("hubspot", "search-ani", input)
		require.Equal(t, want, names(records), input)
		require.Equal(t, "https://app.hubspot.com", output["system"].(map[string]any)["baseUrl"])
		for _, record := range records {
			require.Regexp(t, `^/contacts/[^/]+/record/0-[12]/`+record["id"].(string)+`$`, record["url"])
			require.Equal(t, true, record["linkable"])
			require.Equal(t, len(records) == 1, record["screenPop"], "several are for the agent to choose from")
		}
		r.clock.Advance(time.Second) // four searches a second
	}
	for input, want := range map[string][]string{
		`{"search":[{"entity":"Contact","field":"lastname","operator":"=","value":"novak"}]}`:                                                                            {"Milan Novak"},
		`{"search":[{"entity":"contacts","filter":"company contains 'Novak'"}]}`:                                                                                         {"Milan Novak"},
		`{"search":[{"entity":"contacts","field":"lastname","operator":"startswith","value":"Do"},{"entity":"contacts","field":"firstname","value":"Ada","join":"or"}]}`: {"Ada Berger", "Jane Doe"},
		`{"search":[{"entity":"contacts","field":"lastname","operator":"startswith","value":"Do"},{"entity":"contacts","field":"firstname","value":"Ada"}]}`:             {},
		`{"search":[{"entity":"contacts","filter":"lastname in ('Doe','Novak')"}]}`:                                                                                      {"Milan Novak", "Jane Doe"},
		`{"search":[{"entity":"Ticket","field":"subject","operator":"like","value":"%pallet%"},{"entity":"Company","field":"city","value":"Basel"}]}`:                    {"Pallet missing", "Novak Logistics"},
	} {
		_, records := r.shown("hubspot", "custom-search", input)
		require.Equal(t, want, names(records), input)
		r.clock.Advance(time.Second)
	}
	for _, input := range []string{
		`{"search":[{"entity":"contacts","field":"nothing","value":"x"}]}`,
		`{"search":[{"entity":"contacts","field":"a b","value":"x"}]}`,
		`{"search":[{"entity":"nothing","field":"name","value":"x"}]}`,
		`{"search":[{"entity":"contacts","field":"lastname","operator":"matches","value":"x"}]}`,
		`{"search":[{"entity":"contacts","field":"lastname"}]}`,
	} {
		_, err := r.run("hubspot", "custom-search", input)
		require.Equal(t, core.Invalid, core.KindOf(err), "%s: %v", input, err)
		r.clock.Advance(time.Second)
	}
}

func TestHubSpotThrottlesSearches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range hubSpotSearches {
		r.shown("hubspot", "search-ani", `{"email":"jane@doe.example"}`)
	}
	r.Fault("hubspot", Fault{Status: 429, Times: 9, Body: `{"status":"error","message":"You have reached your secondly limit.","category":"RATE_LIMITS"}`})
	_, err := r.run("hubspot", "search-ani", `{"email":"jane@doe.example"}`)
	require.Equal(t, core.Throttled, core.KindOf(err))
}

func TestHubSpotCreates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		name, input, kind, display string
		holds                      map[string]any
	}{
		{"create-contact", `{"firstname":"Lea","lastname":"Frei","email":"lea@frei.example","zip":8000}`, "contacts", "Lea Frei", map[string]any{"zip": "8000"}},
		{"create-company", `{"name":"Lagerhaus \"Ü\"","numberofemployees":12}`, "companies", `Lagerhaus "Ü"`, map[string]any{"numberofemployees": "12"}},
		{"create-ticket", `{"subject":"Late"}`, "tickets", "Late", map[string]any{"hs_pipeline": "0", "hs_pipeline_stage": "1"}},
		{"create-ticket-with-association", `{"subject":"Broken","contactId":"102","companyId":105}`, "tickets", "Broken", nil},
		{"create-custom", `{"entity":"2-77","fields":{"serial":78,"model":"Crane"}}`, "machines", "110", map[string]any{"serial": "78"}},
		{"create-custom", `{"entity":"Deal","fields":{"dealname":"Second warehouse","amount":12000.5}}`, "deals", "Second warehouse", map[string]any{"amount": "12000.5"}},
	} {
		_, records := r.shown("hubspot", c.name, c.input)
		if c.display != "110" {
			require.Equal(t, []string{c.display}, names(records))
		}
		require.Equal(t, true, records[0]["screenPop"])
		object := r.object(c.kind, records[0]["id"].(string))
		require.NotNil(t, object, c.name)
		for property, value := range c.holds {
			require.Equal(t, value, object[property], property)
		}
		if c.name == "create-ticket-with-association" {
			require.True(t, r.joined("tickets/"+records[0]["id"].(string), "contacts/102"))
			require.True(t, r.joined("tickets/"+records[0]["id"].(string), "companies/105"))
		}
	}
	count := len(r.portal().objects["contacts"])
	_, records := r.shown("hubspot", "create-contact", `{"firstname":"Miloš","email":"Milan@Novak-Logistics.example"}`)
	require.Equal(t, []string{"Milan Novak"}, names(records), "the contact that is there")
	require.Equal(t, "102", records[0]["id"])
	require.Len(t, r.portal().objects["contacts"], count)

	// Search does not know yet what was made a moment ago.
	_, records = r.shown("hubspot", "search-ani", `{"email":"lea@frei.example"}`)
	require.Empty(t, records)
	_, records = r.shown("hubspot", "create-contact", `{"email":"lea@frei.example"}`)
	require.Equal(t, []string{"Lea Frei"}, names(records), "and still nobody is made twice")
	r.clock.Advance(hubSpotLag)
	_, records = r.shown("hubspot", "search-ani", `{"email":"lea@frei.example"}`)
	require.Len(t, records, 1)

	for input, name := range map[string]string{
		`{"firstname":"Lea","nickname":"L"}`:                      "create-contact",
		`{"content":"x"}`:                                         "create-ticket",
		`{"subject":"x","contactId":"102 or"}`:                    "create-ticket-with-association",
		`{"entity":"contacts","fields":{"nothing":"x"}}`:          "create-custom",
		`{"entity":"../../account-info","fields":{"nothing":""}}`: "create-custom",
	} {
		_, err := r.run("hubspot", name, input)
		require.Equal(t, core.Invalid, core.KindOf(err), "%s: %v", input, err)
	}
}

func TestHubSpotWritesIntoRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, records := r.shown("hubspot", "update-record", `{"entity":"Ticket","id":106,"fields":{"subject":"Two missing","hs_ticket_priority":"HIGH"}}`)
	require.Equal(t, []string{"Two missing"}, names(records))
	require.Equal(t, false, records[0]["screenPop"])
	require.Equal(t, "HIGH", r.object("tickets", "106")["hs_ticket_priority"])
	_, err := r.run("hubspot", "update-record", `{"entity":"Ticket","id":"999","fields":{"subject":"x"}}`)
	require.Equal(t, core.NotFound, core.KindOf(err))

	r.shown("hubspot", "add-note", `{"entity":"Ticket","id":"106","text":"1 < 2 & <b>\nfound"}`)
	note := r.portal().objects["notes"][0]
	require.Equal(t, "1 &lt; 2 &amp; &lt;b&gt;<br>found", note.properties["hs_note_body"])
	require.True(t, r.joined("notes/"+note.id, "tickets/106"))
	r.shown("hubspot", "add-note", `{"entity":"machines","id":"107","text":"Oiled"}`)
	require.True(t, r.joined("notes/"+r.portal().objects["notes"][1].id, "machines/107"))
	_, err = r.run("hubspot", "add-note", `{"entity":"tickets","id":"106","text":"x","visible":true}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
	require.Len(t, r.portal().objects["notes"], 2)

	_, records = r.shown("hubspot", "data-memorialization", `{"updates":[
		{"entity":"tickets","entityId":"106","fields":{"content":"Solved"}}, {"entity":"contacts","entityId":102,"fields":{"zip":4000}}]}`)
	require.Len(t, records, 2)
	require.Equal(t, "Solved", r.object("tickets", "106")["content"])
	require.Equal(t, "4000", r.object("contacts", "102")["zip"])
}

// TestHubSpotHidesPeople: what people are called by, and what is written about
// them, is not in what a run leaves behind.
func TestHubSpotHidesPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hides("hubspot", "lea@frei.example", map[string]string{
		"create-contact":       `{"email":"lea@frei.example"}`,
		"create-custom":        `{"entity":"contacts","fields":{"email":"lea@frei.example"}}`,
		"update-record":        `{"entity":"contacts","id":"102","fields":{"email":"lea@frei.example"}}`,
		"custom-search":        `{"search":[{"entity":"contacts","field":"email","value":"lea@frei.example"}]}`,
		"search-ani":           `{"email":"lea@frei.example"}`,
		"create-ticket":        `{"subject":"x","content":"lea@frei.example"}`,
		"add-note":             `{"entity":"contacts","id":"102","text":"lea@frei.example"}`,
		"create-call":          `{"entity":"contacts","id":"102","notes":"lea@frei.example"}`,
		"timeline":             `{"cxoneContact":{"dispositionNotes":"lea@frei.example"},"integration":[{"entity":"contacts","entityId":"102"}]}`,
		"data-memorialization": `{"updates":[{"entity":"contacts","entityId":"102","fields":{"address":"lea@frei.example"}}]}`,
	})
}

func TestHubSpotActivities(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.shown("hubspot", "create-call", `{"entity":"Contact","id":"102","phoneNumber":"+41615550102","direction":"Outbound",
		"startTime":"2026-02-03T04:05:06Z","durationSeconds":61,"notes":"Asked <b>","agentName":"Robin"}`)
	r.shown("hubspot", "create-call", `{"entity":"machines","id":"107"}`)
	calls := r.portal().objects["calls"]
	require.Equal(t, "61000", calls[0].properties["hs_call_duration"])
	require.Equal(t, "OUTBOUND", calls[0].properties["hs_call_direction"])
	require.Equal(t, "+41615550102", calls[0].properties["hs_call_to_number"])
	require.Equal(t, "2026-02-03T04:05:06.000Z", calls[0].properties["hs_timestamp"])
	require.Contains(t, calls[0].properties["hs_call_body"], "<br>Asked &lt;b&gt;")
	require.True(t, r.joined("calls/"+calls[0].id, "contacts/102"))
	require.True(t, r.joined("calls/"+calls[1].id, "machines/107"))

	_, records := r.shown("hubspot", "timeline", `{"cxoneContact":{"direction":"Inbound","ani":"+41615550102","dnis":"+41800","callDurationInSeconds":90},
		"integration":[{"entity":"Ticket","entityId":"106"},{"entity":"contacts","entityId":"102"},{"entity":"machines","entityId":"107"}]}`)
	require.Len(t, records, 3)
	calls = r.portal().objects["calls"]
	require.Len(t, calls, 3, "one entry that shows at all of them")
	for _, record := range []string{"tickets/106", "contacts/102", "machines/107"} {
		require.True(t, r.joined("calls/"+calls[2].id, record), record)
	}
	require.Equal(t, "+41615550102", calls[2].properties["hs_call_from_number"])
	r.shown("hubspot", "timeline", `{"cxoneContact":{"channelType":"WhatsApp","dispositionNotes":"Hi"},"integration":[{"entity":"contacts","entityId":"102"}]}`)
	require.Contains(t, r.portal().objects["notes"][0].properties["hs_note_body"], "<br>Hi")
}

// TestHubSpotCutsNoTag: a text that is too long for HubSpot ends between two tags.
func TestHubSpotCutsNoTag(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, text := range []string{strings.Repeat("1 < 2 & 3\n", 8000), strings.Repeat("&<>", 13_000), strings.Repeat("größer\n", 11_000)} {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		r.shown("hubspot", "add-note", `{"entity":"contacts","id":"102","text":`+string(quoted)+`}`)
		r.shown("hubspot", "create-call", `{"entity":"contacts","id":"102","notes":`+string(quoted)+`}`)
		r.shown("hubspot", "timeline", `{"cxoneContact":{"dispositionNotes":`+string(quoted)+`},"integration":[{"entity":"contacts","entityId":"102"}]}`)
	}
	notes, calls := r.portal().objects["notes"], r.portal().objects["calls"]
	require.Len(t, append(notes, calls...), 9)
	for _, entry := range append(notes, calls...) {
		body, _ := entry.properties["hs_note_body"].(string)
		if body == "" {
			body, _ = entry.properties["hs_call_body"].(string)
		}
		require.LessOrEqual(t, utf8.RuneCountInString(body), 65_536)
		require.Regexp(t, `^([^&<>]|&(amp|lt|gt);|<br>)+…$`, body)
	}
}

func TestHubSpotOperationsAreAllRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all []string
	for _, op := range r.operations.All() {
		if op.Integration == "hubspot" {
			all = append(all, op.Name)
		}
	}
	require.Equal(t, []string{
		"add-note", "create-call", "create-company", "create-contact", "create-custom", "create-ticket",
		"create-ticket-with-association", "custom-search", "data-memorialization", "search-ani", "timeline", "update-record",
	}, all)
}
