package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// snow is the state of the instance under test.
func (r *rig) snow() *serviceNow {
	s, ok := r.sites["servicenow"].counter.crm.(*serviceNow)
	require.True(r.t, ok)
	return s
}

// snowID is the sys_id of the row of a table whose column has a value.
func (r *rig) snowID(table, column, value string) string {
	for _, row := range r.snow().records(table) {
		if row[column] == value {
			return row["sys_id"]
		}
	}
	require.Fail(r.t, "no such row", "%s %s=%s", table, column, value)
	return ""
}

func TestServiceNowKnowsTheEntitiesOfItsMapping(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, e := range r.operations.Entities("servicenow").All() {
		for _, f := range e.Fields {
			require.Contains(t, strings.Fields(snowColumns[e.Name]), f.Name, e.Name)
		}
	}
}

func TestServiceNowSearches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.records("servicenow", "create-contact", `{"first_name":"Luc","last_name":"Petit","phone":"0033 1 55 50 01 99"}`)
	for _, c := range []struct{ name, number, display, kind string }{
		{"a contact, stored as the country writes it", "+41615550102", "Milan Novak", "customer_contact"},
		{"an American mobile number", "+14155550100", "Priya Shah", "customer_contact"},
		{"a consumer", "+41915550103", "Sofia Marino", "csm_consumer"},
		{"a user, by the number as it is stored", "+41 44 555 12 34", "Jonas Keller", "sys_user"},
		{"a number whose + got lost", "41615550102", "Milan Novak", "customer_contact"},
		{"what a telephone exchange makes of it", "sip:+41615550102@61.55.50.102;user=phone", "Milan Novak", "customer_contact"},
		{"a number of another way to write", "+33155500199", "Luc Petit", "customer_contact"},
		{"a number of the region", "0795551234", "Jonas Keller", "sys_user"},
	} {
		list := r.records("servicenow", "search-ani", `{"phoneNumber":"`+c.number+`","region":"CH"}`)
		require.Len(t, list, 1, c.name)
		require.Equal(t, c.display, list[0]["display"], c.name)
		require.Equal(t, c.kind, list[0]["type"], c.name)
		require.Equal(t, true, list[0]["screenPop"], c.name)
		require.NotEmpty(t, list[0]["fields"], c.name)
	}
	require.Empty(t, r.records("servicenow", "search-ani", `{"phoneNumber":"+41999999999"}`))
	before := len(r.Ledger("servicenow"))
	for _, number := range []string{"", "+", "12", "anonymous", "anonymous@61.55.50.102", "+4144^ORnameLIKEa", "+41615550102,+41915550103"} {
		require.Empty(t, r.records("servicenow", "search-ani", `{"phoneNumber":"`+number+`"}`), number)
	}
	for _, input := range []string{`{}`, `{"phoneNumber":"{ANI}"}`, `{"phoneNumber":"+4144^"}`, `{"phoneNumber":"+41615550102","region":"Swiss"}`} {
		_, err := r.run("servicenow", "search-ani", input)
		require.Equal(t, core.Invalid, core.KindOf(err), "%s: %v", input, err)
	}
	require.Len(t, r.Ledger("servicenow"), before, "nothing was sent")

	r.Fault("servicenow", Fault{Status: 403, Path: "/api/now/v2/table/csm_consumer"})
	require.Len(t, r.records("servicenow", "search-ani", `{"phoneNumber":"+41615550102"}`), 1, "who may not read one table sees the others")
	for _, fault := range []Fault{{Status: 429, Times: 9}, {Status: 503, Times: 9}, {Status: -1, Times: 9}} {
		r := newRig(t)
		fault.Path = "/api/now/v2/table/csm_consumer"
		r.Fault("servicenow", fault)
		require.Len(t, r.records("servicenow", "search-ani", `{"phoneNumber":"+41615550102"}`), 1, "a fault of one table hides nobody in the others")
		_, err := r.run("servicenow", "search-ani", `{"phoneNumber":"+41999999999"}`)
		require.Equal(t, core.Unavailable, core.KindOf(err), "%v", err)
	}
	r.Fault("servicenow", Fault{Status: 403, Times: 3})
	_, err := r.run("servicenow", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, core.Forbidden, core.KindOf(err), "%v", err)
	// In the journal and in descriptions of ten records there is more than an answer may hold.
	long := r.records("servicenow", "create-incident", `{"short_description":"Long","description":"`+strings.Repeat("x", 4000)+`"}`)
	list := r.records("servicenow", "custom-search", `{"search":{"entity":"incident","filter":"short_description = Long"}}`)
	require.Equal(t, long[0]["id"], list[0]["id"])
	require.NotContains(t, fmt.Sprint(list[0]["fields"]), "description xxx")

	list = r.records("servicenow", "custom-search", `{"search":[
		{"entity":"customer_contact","field":"email","operator":"=","value":"milan@novak-logistics.example"},
		{"entity":"csm_consumer","filter":"last_name startswith 'Han'"}]}`)
	require.Len(t, list, 2)
	require.Equal(t, "Milan Novak", list[0]["display"])
	require.Equal(t, "Emil Hansen", list[1]["display"])
	require.Len(t, r.records("servicenow", "custom-search", `{"search":[
		{"entity":"csm_consumer","filter":"last_name = Hansen","join":"or"}, {"entity":"csm_consumer","filter":"last_name like '%arin%'"}]}`), 2)
	require.Empty(t, r.records("servicenow", "custom-search", `{"search":[{"entity":"incident","filter":"number = none"}]}`))
	for _, search := range []string{
		`{"entity":"customer_contact","filter":"phne = 1"}`, `{"entity":"contacts","filter":"phone = 1"}`,
		`{"entity":"incident","filter":"number = a^ORnumberLIKE0"}`, `{"entity":"incident","field":"number","operator":"is","value":"1"}`,
		`{"entity":"incident","field":"number"}`,
	} {
		_, err := r.run("servicenow", "custom-search", `{"search":[`+search+`]}`)
		require.Equal(t, core.Invalid, core.KindOf(err), "%s: %v", search, err)
	}
}

func TestServiceNowCreates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	contact := r.snowID("customer_contact", "user_name", "C-1002")
	for _, c := range []struct{ operation, table, input string }{
		{"create-case", "sn_customerservice_case", `{"short_description":"Late","contact":"` + contact + `","priority":3}`},
		{"create-consumer", "csm_consumer", `{"first_name":"Ida","last_name":"Berg","mobile_phone":"+4790000000"}`},
		{"create-contact", "customer_contact", `{"first_name":"Ada","last_name":"Berger","email":"ada@alpenblick.example"}`},
		{"create-incident", "incident", `{"short_description":"No light","urgency":"2","comments":"We are on it."}`},
		{"create-interaction", "interaction", `{"short_description":"Asked","contact":"` + contact + `"}`},
		{"create-user", "sys_user", `{"first_name":"Lea","last_name":"Roth","user_name":"lea.roth"}`},
		{"create-custom", "incident", `{"entity":"Incident","fields":{"Short_Description":"By hand","urgency":"1"}}`},
	} {
		before := len(r.snow().records(c.table))
		list := r.records("servicenow", c.operation, c.input)
		rows := r.snow().records(c.table)
		require.Len(t, rows, before+1, c.operation)
		require.Equal(t, rows[before]["sys_id"], list[0]["id"], c.operation)
		require.NotEmpty(t, list[0]["display"], c.operation)
		require.Equal(t, true, list[0]["screenPop"], c.operation)
	}
	made := r.snow().records("sn_customerservice_case")
	require.Equal(t, contact, made[len(made)-1]["contact"])
	require.Equal(t, "phone", made[len(made)-1]["contact_type"])
	rows := r.snow().records("incident")
	require.Equal(t, "By hand", rows[len(rows)-1]["short_description"])

	_, err := r.run("servicenow", "create-user", `{"first_name":"Jonas","last_name":"Keller","user_name":"jonas.keller"}`)
	require.Equal(t, core.Conflict, core.KindOf(err), "%v", err)
	for operation, input := range map[string]string{
		"create-incident": `{"short_description":"x","shrot":"y"}`, "create-case": `{"short_desc":"x"}`,
		"create-custom": `{"entity":"incident","fields":{"nonsense":"x"}}`,
	} {
		_, err := r.run("servicenow", operation, input)
		require.Equal(t, core.Invalid, core.KindOf(err), "%s: %v", operation, err)
	}
	require.Empty(t, r.snow().left(), "nothing was sent that the instance ignores")
}

func TestServiceNowWritesIntoRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	incident, contact := r.snowID("incident", "number", "INC0010001"), r.snowID("customer_contact", "user_name", "C-1002")

	list := r.records("servicenow", "update-record", `{"entity":"incident","id":"`+incident+`","fields":{"Urgency":"1"}}`)
	require.Equal(t, false, list[0]["screenPop"])
	require.Equal(t, incident, r.snowID("incident", "urgency", "1"))
	for _, fields := range []string{`{"number":"INC1"}`, `{"urgncy":"1"}`} {
		_, err := r.run("servicenow", "update-record", `{"entity":"incident","id":"`+incident+`","fields":`+fields+`}`)
		require.Equal(t, core.Invalid, core.KindOf(err), "%v", err)
	}
	_, err := r.run("servicenow", "update-record", `{"entity":"incident","id":"`+strings.Repeat("0", 32)+`","fields":{"urgency":"1"}}`)
	require.Equal(t, core.NotFound, core.KindOf(err), "%v", err)

	r.records("servicenow", "add-note", `{"entity":"incident","id":"`+incident+`","text":"inside"}`)
	r.records("servicenow", "add-note", `{"entity":"incident","id":"`+incident+`","text":"outside","visible":true}`)
	_, err = r.run("servicenow", "add-note", `{"entity":"customer_contact","id":"`+contact+`","text":"lost"}`)
	require.Equal(t, core.Invalid, core.KindOf(err), "%v", err)
	notes := r.snow().records("sys_journal_field")
	require.Len(t, notes, 2)
	require.Equal(t, []string{"work_notes", "comments"}, []string{notes[0]["element"], notes[1]["element"]})

	r.records("servicenow", "data-memorialization", `{"updates":[
		{"entity":"incident","entityId":"`+incident+`","fields":{"work_notes":"memo","category":"hardware"}},
		{"entity":"customer_contact","entityId":"`+contact+`","fields":{"title":"Buyer"}}]}`)
	require.Equal(t, incident, r.snowID("incident", "category", "hardware"))
	require.Equal(t, contact, r.snowID("customer_contact", "title", "Buyer"))
	// What a search hands out can be handed back, and scripts have words of their own.
	for _, entity := range []string{"Contact", "customer_contact"} {
		about := `"entity":"` + entity + `","id":"` + contact + `"`
		list := r.records("servicenow", "update-record", `{`+about+`,"fields":{"title":"Owner"}}`)
		require.Equal(t, "customer_contact", list[0]["type"])
		r.records("servicenow", "create-call", `{`+about+`}`)
		about = `[{"entity":"` + entity + `","entityId":"` + contact + `","fields":{"title":"Buyer"}}]`
		r.records("servicenow", "data-memorialization", `{"updates":`+about+`}`)
		r.records("servicenow", "timeline", `{"cxoneContact":{"mediaType":"Call"},"integration":`+about+`}`)
		require.Equal(t, contact, r.snowID("customer_contact", "title", "Buyer"))
	}
	before := len(r.Ledger("servicenow"))
	_, err = r.run("servicenow", "data-memorialization", `{"updates":[
		{"entity":"incident","entityId":"`+incident+`","fields":{"work_notes":"memo"}},
		{"entity":"incident","entityId":"`+incident+`","fields":{"work_note":"memo"}}]}`)
	require.Equal(t, core.Invalid, core.KindOf(err), "%v", err)
	require.Len(t, r.Ledger("servicenow"), before, "not the first one either")
	require.Empty(t, r.snow().left(), "nothing was sent that the instance ignores")
}

func TestServiceNowActivities(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	incident, contact := r.snowID("incident", "number", "INC0010001"), r.snowID("customer_contact", "user_name", "C-1002")

	r.records("servicenow", "create-call", `{"entity":"customer_contact","id":"`+contact+`","phoneNumber":"+41615550102","direction":"Outbound",
		"startTime":"2026-03-01T08:00:00Z","durationSeconds":90,"notes":"agreed","disposition":"Solved","agentName":"Ann"}`)
	r.records("servicenow", "create-call", `{"entity":"incident","id":"`+incident+`","durationSeconds":60}`)
	calls := r.snow().records("interaction")
	require.Len(t, calls, 2)
	require.Subset(t, calls[0], snowRecord{
		"type": "phone", "direction": "outbound", "contact": contact, "opened_for": contact, "state": "closed_complete",
		"opened_at": "2026-03-01 08:00:00", "closed_at": "2026-03-01 08:01:30",
	})
	require.Equal(t, "2026-03-01 08:59:00", calls[1]["opened_at"], "it ends now")
	related := r.snow().records("interaction_related_record")
	require.Len(t, related, 1)
	require.Subset(t, related[0], snowRecord{"interaction": calls[1]["sys_id"], "document_id": incident, "document_table": "incident"})
	notes := r.snow().records("sys_journal_field")
	require.Equal(t, "Number: +41615550102\nAgent: Ann\nDisposition: Solved\nDuration: 90 s\nagreed", notes[0]["value"])

	list := r.records("servicenow", "timeline", `{"cxoneContact":{"direction":"Inbound","mediaType":"voice","ani":"+41615550102",
		"startTime":"2026-03-01T08:00:00Z","endTime":"2026-03-01T08:05:00Z","agentName":"Ann","dispositionNotes":"all well"},
		"integration":[{"entity":"customer_contact","entityId":"`+contact+`"},{"entity":"incident","entityId":"`+incident+`"}]}`)
	require.Len(t, list, 2)
	calls = r.snow().records("interaction")[2:]
	require.Equal(t, contact, calls[0]["contact"])
	require.Equal(t, "2026-03-01 08:05:00", calls[1]["closed_at"])
	require.Len(t, r.snow().records("interaction_related_record"), 2)
	notes = r.snow().records("sys_journal_field")
	require.Contains(t, notes[len(notes)-1]["value"], "Notes: all well")
	require.Empty(t, r.snow().left(), "nothing was sent that the instance ignores")
}

func TestServiceNowKeepsACallThatItDoesNotRelate(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]Fault{
		"an ACL": {Status: 403}, "a token that ended": {Status: 401}, "a limit": {Status: 429}, "a fault": {Status: 500}, "no answer": {Status: -1}, "no such table": {Status: 400},
	} {
		r := newRig(t)
		incident := r.snowID("incident", "number", "INC0010001")
		fault.Path, fault.Times = "/api/now/v2/table/interaction_related_record", 9
		r.Fault("servicenow", fault)
		require.Len(t, r.records("servicenow", "create-call", `{"entity":"incident","id":"`+incident+`"}`), 1, name)
		require.Len(t, r.records("servicenow", "timeline",
			`{"cxoneContact":{"mediaType":"Call"},"integration":{"entity":"incident","entityId":"`+incident+`"}}`), 1, name)
		require.Len(t, r.snow().records("interaction"), 2, name)
		require.Empty(t, r.snow().records("interaction_related_record"), name)
	}
}

func TestServiceNowCutsLongNotes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	incident, long := r.snowID("incident", "number", "INC0010001"), strings.Repeat("n", 30_000)
	about := `"entity":"incident","id":"` + incident + `"`
	r.records("servicenow", "add-note", `{`+about+`,"text":"`+long+`"}`)
	r.records("servicenow", "create-call", `{`+about+`,"notes":"`+long+`","agentName":"Ann","disposition":"Solved"}`)
	r.records("servicenow", "timeline", `{"cxoneContact":{"mediaType":"Call","agentName":"Ann","dispositionName":"Solved","dispositionNotes":"`+long+`"},
		"integration":{"entity":"incident","entityId":"`+incident+`"}}`)
	notes := r.snow().records("sys_journal_field")
	require.Len(t, notes, 3)
	for i, note := range notes {
		require.Equal(t, 4000, utf8.RuneCountInString(note["value"]))
		require.True(t, strings.HasSuffix(note["value"], "n…"), "one sees that it is cut")
		if i > 0 {
			require.Contains(t, note["value"][:100], "Agent: Ann\n")
			require.Contains(t, note["value"][:100], "Disposition: Solved\n")
		}
	}
}

func TestServiceNowHidesWhatIsPersonal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct{ operation, input string }{
		{"custom-search", `{"search":[{"entity":"customer_contact","field":"email","operator":"=","value":"jane@acme.example"}]}`},
		{"custom-search", `{"search":[{"entity":"customer_contact","filter":"email = jane@acme.example"}]}`},
		{"create-custom", `{"entity":"csm_consumer","fields":{"Email":"jane@acme.example","notes":"mail jane@acme.example","zip":"CH-jane@acme.example"}}`},
		{"update-record", `{"entity":"incident","id":"x","fields":{"description":"jane@acme.example","close_notes":"jane@acme.example"}}`},
		{"data-memorialization", `{"updates":[{"entity":"incident","entityId":"x","fields":{"cause":"jane@acme.example","comments":"jane@acme.example"}}]}`},
	} {
		op, ok := r.operations.Operation("servicenow", c.operation)
		require.True(t, ok)
		var input map[string]any
		require.NoError(t, json.Unmarshal([]byte(c.input), &input))
		require.NotContains(t, op.Mask(input).JSON(input), "jane", c.input)
	}
}

func TestServiceNowOperationsAreAllRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	names := map[string]bool{}
	for _, op := range r.operations.All() {
		if op.Integration == "servicenow" {
			names[op.Name] = true
		}
	}
	require.Equal(t, []string{
		"add-note", "create-call", "create-case", "create-consumer", "create-contact", "create-custom", "create-incident",
		"create-interaction", "create-user", "custom-search", "data-memorialization", "search-ani", "timeline", "update-record",
	}, slices.Sorted(maps.Keys(names)), "the tests above run these: add what is new")
}
