package sandbox

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

const (
	milan    = "c0000000-0000-4000-8000-000000000002"
	novak    = "acc00000-0000-4000-8000-000000000001"
	missing  = "ca5e0000-0000-4000-8000-000000000001"
	agent    = "5e000000-0000-4000-8000-000000000001"
	nobodyID = "00000000-0000-4000-8000-000000000000"
)

// dynamics is the environment under test.
func (r *rig) dynamics() *dynamics365 {
	d, ok := r.counter("dynamics365").crm.(*dynamics365)
	require.True(r.t, ok)
	return d
}

// row is a record of the environment; nil when there is none.
func (r *rig) row(set, id string) map[string]any {
	d := r.dynamics()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(d.kinds[set], id)
}

// shown runs an operation of a CRM that must succeed and returns its document
// and the records in it.
func (r *rig) shown(id, name, input string) (output map[string]any, records []map[string]any) {
	r.t.Helper()
	result, err := r.run(id, name, input)
	require.NoError(r.t, err, "%s %s", name, input)
	output, ok := result.Output.(map[string]any)
	require.True(r.t, ok)
	require.Equal(r.t, id, output["system"].(map[string]any)["type"])
	require.Equal(r.t, []any{}, output["pinRecords"])
	for _, entry := range output["records"].([]any) {
		record := entry.(map[string]any)
		for _, key := range []string{"type", "label", "id", "display", "fields", "related", "linkable", "screenPop"} {
			require.NotNil(r.t, record[key], "%s of %v", key, record)
		}
		for _, f := range record["fields"].([]any) {
			require.IsType(r.t, "", f.(map[string]any)["value"], "CXone drops what is no text")
		}
		records = append(records, record)
	}
	return output, records
}

// names are the display texts of records.
func names(records []map[string]any) []string {
	list := []string{}
	for _, record := range records {
		list = append(list, record["display"].(string))
	}
	return list
}

func TestDynamics365Searches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for input, want := range map[string][]string{
		`{"phoneNumber":"+41615550102"}`:                            {"Milan Novak", "Novak Logistics"},
		`{"phoneNumber":"+41445551234"}`:                            {"Sofia O'Marino"},
		`{"phoneNumber":"4155550100","region":"US"}`:                {"Jane Doe"},
		`{"phoneNumber":"14155550100"}`:                             {"Jane Doe"}, // as some networks hand it over
		`{"phoneNumber":"sip:+14155550100@hub.example;user=phone"}`: {"Jane Doe"},
		`{"phoneNumber":"+14155550100"}`:                            {"Jane Doe"},
		`{"phoneNumber":"+41445559999"}`:                            {},
		`{"phoneNumber":"anonymous"}`:                               {},
		`{"phoneNumber":"sip:anonymous@61.55.50.102"}`:              {},
		`{"phoneNumber":""}`:                                        {},
		`{"phoneNumber":"123' or statecode eq 0 or 'a' eq 'a"}`:     {},
		`{"email":"MILAN@novak-logistics.example"}`:                 {"Milan Novak"},
		`{"phoneNumber":"+41445551234","email":"jane@doe.example"}`: {"Sofia O'Marino", "Jane Doe"},
	} {
		output, records := r.shown("dynamics365", "search-ani", input)
		require.Equal(t, want, names(records), input)
		require.Equal(t, r.prefix("dynamics365"), output["system"].(map[string]any)["baseUrl"])
		for _, record := range records {
			require.Equal(t, len(records) == 1, record["screenPop"], "several are for the agent to choose from")
			require.Contains(t, record["url"], "/main.aspx?pagetype=entityrecord&etn="+record["type"].(string)+"&id="+record["id"].(string))
		}
	}
	for input, want := range map[string][]string{
		`{"search":[{"entity":"Contact","field":"LastName","operator":"=","value":"O'Marino"}]}`:                                                                       {"Sofia O'Marino"},
		`{"search":[{"entity":"contact","filter":"lastname = 'O''Marino'"}]}`:                                                                                          {},
		`{"search":[{"entity":"contact","filter":"emailaddress1 contains 'novak'"}]}`:                                                                                  {"Milan Novak"},
		`{"search":[{"entity":"contact","field":"lastname","operator":"startswith","value":"Do"},{"entity":"contact","field":"firstname","value":"Ada","join":"or"}]}`: {"Ada Berger", "Jane Doe"},
		`{"search":[{"entity":"Case","field":"caseorigincode","operator":">=","value":"1"},{"entity":"account","field":"name","operator":"like","value":"%Novak%"}]}`:  {"Pallet missing", "Novak Logistics"},
		`{"search":[{"entity":"incident","field":"createdon","operator":">","value":"2001-01-01T00:00:00Z"}]}`:                                                         {"Pallet missing"},
		`{"search":[{"entity":"incident","field":"createdon","operator":"<","value":"2001-01-01"}]}`:                                                                   {},
		`{"search":[{"entity":"incident","field":"caseorigincode","operator":">","value":1}]}`:                                                                         {},
	} {
		_, records := r.shown("dynamics365", "custom-search", input)
		require.Equal(t, want, names(records), input)
	}
	for _, input := range []string{
		`{"search":[{"entity":"contact","field":"nothing","value":"x"}]}`,
		`{"search":[{"entity":"nothing","field":"name","value":"x"}]}`,
		`{"search":[{"entity":"contact","field":"lastname","operator":"matches","value":"x"}]}`,
		`{"search":[{"entity":"incident","field":"statecode","value":"open"}]}`,
		`{"search":[{"entity":"contact","field":"lastname"}]}`,
	} {
		_, err := r.run("dynamics365", "custom-search", input)
		require.Equal(t, core.Invalid, core.KindOf(err), "%s: %v", input, err)
	}
	_, records := r.shown("dynamics365", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, "Pallet missing", records[0]["related"].([]any)[0].(map[string]any)["display"])
	require.Empty(t, records[1]["related"])
	_, err := r.run("dynamics365", "search-ani", `{}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
	for _, entity := range []string{"contact", "lead"} { // the telephone of the address, too
		_, err = r.run("dynamics365", "create-custom", `{"entity":"`+entity+`","fields":{"lastname":"Frei","address1_telephone1":"+41 61 555 01 77"}}`)
		require.NoError(t, err)
	}
	_, records = r.shown("dynamics365", "search-ani", `{"phoneNumber":"+41615550177"}`)
	require.Len(t, records, 2)
}

func TestDynamics365Creates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		name, input, set, display string
		holds                     map[string]any
	}{
		{"create-account", `{"name":"Lagerhaus \"Ü\"","revenue":"1200.5","numberofemployees":"12"}`, "accounts", `Lagerhaus "Ü"`, map[string]any{"revenue": 1200.5, "numberofemployees": float64(12)}},
		{"create-contact", `{"firstname":"Lea","lastname":"Frei","parentcustomerid":"` + novak + `"}`, "contacts", "Lea Frei", map[string]any{"_parentcustomerid_value": novak}},
		{"create-lead", `{"subject":"Plant","lastname":"Hansen","leadqualitycode":1}`, "leads", "Hansen", map[string]any{"subject": "Plant"}},
		{"create-case", `{"title":"Broken","customerid":"` + milan + `","prioritycode":"1"}`, "incidents", "Broken", map[string]any{"_customerid_value": milan, "caseorigincode": float64(1), "prioritycode": float64(1)}},
		{"create-case", `{"title":"Late","customerid":"` + novak + `","customertype":"account"}`, "incidents", "Late", map[string]any{"_customerid_value": novak}},
		{"create-opportunity", `{"name":"Crane","estimatedvalue":5,"estimatedclosedate":"2026-05-01T12:00:00Z"}`, "opportunities", "Crane", map[string]any{"estimatedclosedate": "2026-05-01"}},
		{"create-phone-call", `{"subject":"Call back","regardingobjectid":"` + missing + `","regardingtype":"incident"}`, "phonecalls", "Call back", map[string]any{"_regardingobjectid_value": missing, "directioncode": true}},
		{"create-custom", `{"entity":"new_order","fields":{"new_name":"Order 7","new_amount":3}}`, "new_orders", "Order 7", map[string]any{"new_amount": float64(3)}},
		{"create-custom", `{"entity":"Account","fields":{"name":"Seven"}}`, "accounts", "Seven", nil},
	} {
		_, records := r.shown("dynamics365", c.name, c.input)
		require.Equal(t, []string{c.display}, names(records))
		require.Equal(t, true, records[0]["screenPop"])
		row := r.row(c.set, records[0]["id"].(string))
		require.NotNil(t, row, c.name)
		for column, value := range c.holds {
			require.Equal(t, value, row[column], column)
		}
	}
	for input, kind := range map[string]core.Kind{
		`{"lastname":"Doe","emailaddress1":"jane@doe.example"}`:    core.Conflict, // the environment's rule
		`{"lastname":"Doe","nickname":"J"}`:                        core.Invalid,  // not a standard field
		`{"firstname":"Jane"}`:                                     core.Invalid,
		`{"lastname":"Doe","parentcustomerid":"` + nobodyID + `"}`: core.Invalid,
	} {
		_, err := r.run("dynamics365", "create-contact", input)
		require.Equal(t, kind, core.KindOf(err), "%s: %v", input, err)
	}
	_, err := r.run("dynamics365", "create-custom", `{"entity":"new_nothing","fields":{}}`)
	require.ErrorContains(t, err, "no such table")
	require.Equal(t, core.Invalid, core.KindOf(err))
}

func TestDynamics365WritesIntoRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, records := r.shown("dynamics365", "update-record", `{"entity":"Case","id":"`+missing+`","fields":{"title":"Two missing","prioritycode":1}}`)
	require.Equal(t, []string{"Two missing"}, names(records))
	require.Equal(t, false, records[0]["screenPop"])
	require.EqualValues(t, 1, r.row("incidents", missing)["prioritycode"])

	_, err := r.run("dynamics365", "update-record", `{"entity":"contact","id":"`+nobodyID+`","fields":{"lastname":"Nobody"}}`)
	require.Equal(t, core.NotFound, core.KindOf(err))
	require.Nil(t, r.row("contacts", nobodyID), "a PATCH without If-Match makes the record")
	_, err = r.run("dynamics365", "update-record", `{"entity":"contact","id":"`+milan+`","fields":{"nothing":"x"}}`)
	require.ErrorContains(t, err, "property 'nothing'")
	_, err = r.run("dynamics365", "update-record", `{"entity":"contact","id":"1)/x","fields":{}}`)
	require.Equal(t, core.Invalid, core.KindOf(err))

	r.shown("dynamics365", "add-note", `{"entity":"Case","id":"`+missing+`","text":"It's \"found\" <b>"}`)
	r.shown("dynamics365", "add-note", `{"entity":"contact","id":"`+milan+`","text":"Hello","visible":true}`)
	notes := r.dynamics().records["annotations"]
	require.Len(t, notes, 2)
	require.Equal(t, `It's "found" <b>`, notes[0]["notetext"])
	require.Equal(t, missing, notes[0]["_objectid_value"])
	require.Equal(t, "*WEB*Hello", notes[1]["notetext"])

	_, records = r.shown("dynamics365", "data-memorialization", `{"updates":[
		{"entity":"incident","entityId":"`+missing+`","fields":{"description":"Solved"}},
		{"entity":"contact","entityId":"`+milan+`","fields":{"description":"Called"}}]}`)
	require.Len(t, records, 2)
	require.Equal(t, "Solved", r.row("incidents", missing)["description"])
	require.Equal(t, "Called", r.row("contacts", milan)["description"])
	_, err = r.run("dynamics365", "data-memorialization", `{"updates":[
		{"entity":"incident","entityId":"`+missing+`","fields":{"description":"Lost"}}, {"entity":"contact","entityId":"1"}]}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
	require.Equal(t, "Solved", r.row("incidents", missing)["description"], "all are checked before the first is written")
}

// TestDynamics365CutsLongTexts: labels stay, and that something is missing can
// be seen.
func TestDynamics365CutsLongTexts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := strings.Repeat("é", 10_000)
	_, records := r.shown("dynamics365", "create-call", `{"entity":"contact","id":"`+milan+`","agentName":"Robin","notes":"`+long+`"}`)
	_, more := r.shown("dynamics365", "timeline", `{"cxoneContact":{"agentName":"Robin","dispositionNotes":"`+long+`","ani":"1"},"integration":[{"entity":"contact","entityId":"`+milan+`"}]}`)
	for _, record := range append(records, more...) {
		text := r.row("phonecalls", record["id"].(string))["description"].(string)
		require.True(t, strings.HasPrefix(text, "Agent: Robin\n"), text[:40])
		require.True(t, strings.HasSuffix(text, "é…"))
		require.LessOrEqual(t, len([]rune(text)), 2000)
	}
	_, records = r.shown("dynamics365", "create-case", `{"title":"x","customerid":"`+milan+`","description":"`+long+`"}`)
	require.True(t, strings.HasSuffix(r.row("incidents", records[0]["id"].(string))["description"].(string), "é…"))
}

func TestDynamics365HidesPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.hides("dynamics365", "lea@frei.example", map[string]string{
		"create-contact":       `{"lastname":"Frei","emailaddress1":"lea@frei.example"}`,
		"create-account":       `{"name":"Frei","description":"lea@frei.example"}`,
		"create-lead":          `{"subject":"x","lastname":"Frei","address1_postalcode":"lea@frei.example"}`,
		"create-case":          `{"title":"x","customerid":"` + milan + `","description":"lea@frei.example"}`,
		"create-opportunity":   `{"name":"x","description":"lea@frei.example"}`,
		"create-phone-call":    `{"subject":"x","description":"lea@frei.example"}`,
		"create-custom":        `{"entity":"contact","fields":{"lastname":"Frei","emailaddress1":"lea@frei.example"}}`,
		"update-record":        `{"entity":"contact","id":"` + milan + `","fields":{"emailaddress1":"lea@frei.example"}}`,
		"custom-search":        `{"search":[{"entity":"contact","field":"emailaddress1","value":"lea@frei.example"}]}`,
		"search-ani":           `{"email":"lea@frei.example"}`,
		"add-note":             `{"entity":"contact","id":"` + milan + `","text":"lea@frei.example"}`,
		"create-call":          `{"entity":"contact","id":"` + milan + `","notes":"lea@frei.example"}`,
		"timeline":             `{"cxoneContact":{"dispositionNotes":"lea@frei.example"},"integration":[{"entity":"contact","entityId":"` + milan + `"}]}`,
		"data-memorialization": `{"updates":[{"entity":"contact","entityId":"` + milan + `","fields":{"description":"lea@frei.example"}}]}`,
	})
}

// TestDynamics365KeepsWhatItHas: what could not be asked or done besides does
// not take away what was found or made.
func TestDynamics365KeepsWhatItHas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, status := range []int{http.StatusForbidden, http.StatusConflict} {
		for _, path := range []string{"accounts", "leads", "incidents"} {
			r.Fault("dynamics365", Fault{Status: status, Path: dynamicsPath + path})
		}
		_, records := r.shown("dynamics365", "search-ani", `{"phoneNumber":"+14155550100"}`)
		require.Equal(t, []string{"Jane Doe"}, names(records), status)
	}

	r.Fault("dynamics365", Fault{Status: -1, Path: dynamicsPath + "phonecalls(7d1a0000-0000-4000-8000-000000000009)", Times: 9})
	_, records := r.shown("dynamics365", "create-call", `{"entity":"contact","id":"`+milan+`"}`)
	require.Len(t, r.dynamics().records["phonecalls"], 1)
	require.EqualValues(t, 0, r.row("phonecalls", records[0]["id"].(string))["statecode"], "not completed")
}

func TestDynamics365Activities(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, records := r.shown("dynamics365", "create-call", `{"entity":"contact","id":"`+milan+`","phoneNumber":"+41615550102","direction":"Outbound",
		"startTime":"2026-02-03T04:05:06Z","durationSeconds":61,"notes":"Asked for a price","agentId":"`+agent+`","agentName":"Robin"}`)
	call := r.row("phonecalls", records[0]["id"].(string))
	require.Equal(t, milan, call["_regardingobjectid_value"])
	require.Equal(t, true, call["directioncode"])
	require.Equal(t, "2026-02-03T04:06:07.000Z", call["actualend"])
	require.EqualValues(t, 2, call["actualdurationminutes"])
	require.Contains(t, call["description"], "Asked for a price")
	require.Equal(t, []any{float64(1), float64(2)}, []any{call["statecode"], call["statuscode"]})
	require.Equal(t, []any{
		map[string]any{"partyid_contact@odata.bind": "/contacts(" + milan + ")", "participationtypemask": float64(2)},
		map[string]any{"partyid_systemuser@odata.bind": "/systemusers(" + agent + ")", "participationtypemask": float64(1)},
	}, call["phonecall_activity_parties"])

	_, records = r.shown("dynamics365", "update-data-linkage", `{"entity":"phonecall","entityId":"`+call["activityid"].(string)+`",
		"relatedObject":{"name":"Case","value":"`+missing+`"}}`)
	require.Len(t, records, 1)
	require.Equal(t, missing, call["_regardingobjectid_value"])
	r.shown("dynamics365", "update-data-linkage", `{"entity":"Case","entityId":"`+missing+`","relatedObject":{"entityType":"account","value":"`+novak+`"}}`)
	require.Equal(t, novak, r.row("incidents", missing)["_customerid_value"])
	_, err := r.run("dynamics365", "update-data-linkage", `{"entity":"Case","entityId":"`+missing+`","relatedObject":{"entityType":"lead","value":"`+novak+`"}}`)
	require.Equal(t, core.Invalid, core.KindOf(err))

	_, records = r.shown("dynamics365", "timeline", `{"cxoneContact":{"direction":"Inbound","ani":"+41615550102","dnis":"+41800","agentName":"Robin",
		"callDurationInSeconds":90,"startTime":"2026-02-03T04:05:06Z","dispositionNotes":"Fine"},
		"integration":[{"entity":"Case","entityId":"`+missing+`"},{"entity":"contact","entityId":"`+milan+`"}]}`)
	require.Len(t, records, 2)
	for i, id := range []string{missing, milan} {
		call := r.row("phonecalls", records[i]["id"].(string))
		require.Equal(t, id, call["_regardingobjectid_value"])
		require.Equal(t, "+41615550102", call["phonenumber"])
		require.Equal(t, []any{float64(1), float64(4)}, []any{call["statecode"], call["statuscode"]})
	}
	_, records = r.shown("dynamics365", "timeline", `{"cxoneContact":{"channelType":"WhatsApp","mediaType":"Digital"},"integration":[{"entity":"contact","entityId":"`+milan+`"}]}`)
	require.Equal(t, []string{"Inbound WhatsApp contact"}, names(records))
	require.EqualValues(t, 5, r.row("tasks", records[0]["id"].(string))["statuscode"])
}

func TestDynamics365Refusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Fault("dynamics365", Fault{Status: 429, Header: map[string]string{"Retry-After": "7"}, Times: 9, Body: `{"error":{"code":"0x80072322","message":"Number of requests exceeded the limit of 6000 over time window of 300 seconds."}}`})
	_, err := r.run("dynamics365", "create-lead", `{"subject":"x","lastname":"y"}`)
	require.Equal(t, core.Throttled, core.KindOf(err))
	require.Len(t, r.dynamics().records["leads"], 1)

	r = newRig(t)
	r.Fault("dynamics365", Fault{Status: http.StatusNoContent}) // without the header
	_, err = r.run("dynamics365", "create-lead", `{"subject":"x","lastname":"y"}`)
	require.Equal(t, core.Uncertain, core.KindOf(err))
}

func TestDynamics365OperationsAreAllRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all []string
	for _, op := range r.operations.All() {
		if op.Integration == "dynamics365" {
			all = append(all, op.Name)
		}
	}
	require.Equal(t, []string{
		"add-note", "create-account", "create-call", "create-case", "create-contact", "create-custom", "create-lead",
		"create-opportunity", "create-phone-call", "custom-search", "data-memorialization", "search-ani", "timeline",
		"update-data-linkage", "update-record",
	}, all)
}
