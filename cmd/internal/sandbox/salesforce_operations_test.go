package sandbox

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
)

// org is the org under test.
func (r *rig) org() *salesforce {
	s, ok := r.counter("salesforce").crm.(*salesforce)
	require.True(r.t, ok)
	return s
}

// sf returns a record of the org by the value of a field; nil when there is none.
func (r *rig) sf(object, field string, value any) map[string]any {
	s := r.org()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(object, field, value)
}

// sfRecord is sf for a record that there must be.
func (r *rig) sfRecord(object, field string, value any) map[string]any {
	r.t.Helper()
	record := r.sf(object, field, value)
	require.NotNil(r.t, record, "%s with %s %v", object, field, value)
	return record
}

func (r *rig) sfID(object, name string) string {
	r.t.Helper()
	return r.sfRecord(object, "Name", name)["Id"].(string)
}

func TestSalesforceFindsCallers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for input, want := range map[string][]string{
		`{"phoneNumber":"+41615550102"}`:                                {"Milan Novak"},
		`{"phoneNumber":"+41445551234"}`:                                {"Jane O'Hara", "Lea Lane"},
		`{"phoneNumber":"+14155550100"}`:                                {"Golden Gate Tours"},
		`{"phoneNumber":"415-555-0199"}`:                                {"Sam 100% Sure_"},
		`{"phoneNumber":"+41445559999"}`:                                {},
		`{"phoneNumber":"anonymous"}`:                                   {},
		`{"phoneNumber":""}`:                                            {},
		`{"phoneNumber":"sip:+41615550102@pbx.example;user=phone"}`:     {"Milan Novak"},
		`{"phoneNumber":"anonymous@61.55.50.102"}`:                      {},
		`{"phoneNumber":"41615550102"}`:                                 {"Milan Novak"},
		`{"phoneNumber":"4155550100","region":"US"}`:                    {"Golden Gate Tours"},
		`{"phoneNumber":"1234"}`:                                        {},
		`{"phoneNumber":"+41 61\"} IN NAME FIELDS RETURNING User(Id)"}`: {},
	} {
		_, records := r.shown("salesforce", "search-ani", input)
		require.Equal(t, want, names(records), input)
	}
	output, records := r.shown("salesforce", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, r.keys.base("salesforce"), output["system"].(map[string]any)["baseUrl"])
	require.Equal(t, true, records[0]["screenPop"])
	require.Equal(t, "2026-03-01T09:00:00.000Z", records[0]["updated"])
	require.Contains(t, records[0]["fields"], map[string]any{"name": "Account", "label": "Account", "value": "Novak Logistics"})
	related := records[0]["related"].([]any)
	require.Len(t, related, 1, "open cases only")
	require.Equal(t, "Pallet is late", related[0].(map[string]any)["title"])
	require.Equal(t, "Ada Agent", related[0].(map[string]any)["assignedTo"])

	r.Fault("salesforce", Fault{
		Status: http.StatusBadRequest, Body: `[{"message":"sObject type 'Lead' is not supported.","errorCode":"INVALID_TYPE"}]`,
		Path: sfWhole + "search", Times: 1,
	})
	_, records = r.shown("salesforce", "search-ani", `{"phoneNumber":"+41445551234"}`)
	require.Equal(t, []string{"Jane O'Hara"}, names(records), "contacts alone")
	r.Fault("salesforce", Fault{Status: -1, Path: sfWhole + "query", Times: 9})
	_, records = r.shown("salesforce", "search-ani", `{"phoneNumber":"+41615550102"}`)
	require.Equal(t, []string{"Milan Novak"}, names(records), "without cases")
	require.Empty(t, records[0]["related"])
	_, err := r.run("salesforce", "search-ani", `{"phoneNumber":"{ANI}"}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
}

func TestSalesforceFindsByConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for input, want := range map[string][]string{
		`{"search":[{"entity":"Contact","filter":"LastName = \"O'Hara\""}]}`:                                 {"Jane O'Hara"},
		`{"search":[{"entity":"contact","field":"name","operator":"contains","value":"100% sure_"}]}`:        {"Sam 100% Sure_"},
		`{"search":[{"entity":"Contact","field":"Name","operator":"contains","value":"' OR Name LIKE '%"}]}`: {},
		`{"search":[{"entity":"Opportunity","field":"Amount","filter":">","value":"12500"},{"entity":"Opportunity","field":"CloseDate","filter":">=","value":"2026-12-31"},{"entity":"Opportunity","field":"CreatedDate","filter":"<=","value":"2026-03-01T10:00:00+01:00"}]}`: {"Novak fleet"},
		`{"search":[{"entity":"Case","field":"IsClosed","value":"false"},{"entity":"Account","field":"Name","filter":"in","value":["Novak Logistics","x"]}]}`:                                                                                                                  {"00001008", "Novak Logistics"},
		`{"search":[{"entity":"Lead","field":"Company","value":"x","join":"or"},{"entity":"Lead","field":"City","operator":"=","value":"Nowhere"},{"entity":"Lead","field":"Status","operator":"!=","value":"x"}]}`:                                                            {"Lea Lane"},
		`{"search":[{"entity":"Work Order","field":"Subject","value":"x"}]}`:         {},
		`{"search":[{"entity":"Contact","field":"Loyalty_Tier__c","value":"Gold"}]}`: {"Milan Novak"},
	} {
		_, records := r.shown("salesforce", "custom-search", input)
		require.ElementsMatch(t, want, names(records), input)
	}
	_, err := r.run("salesforce", "custom-search", `{"search":[{"entity":"Contact","field":"Tier","value":"Gold"}]}`)
	require.Equal(t, core.Invalid, core.KindOf(err))
	require.ErrorContains(t, err, "No such column 'Tier' on entity 'Contact'")
}

func TestSalesforceCreates(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct{ name, input, object, field, value, display string }{
		{"create-account", `{"Name":"Alpen \"AG\"","NumberOfEmployees":"12","BillingCity":"Zürich","ShippingCity":"Basel"}`, "Account", "Name", `Alpen "AG"`, `Alpen "AG"`},
		{"create-contact", `{"FirstName":"Ada","LastName":"Berger","Birthdate":"1980-02-29","DoNotCall":"true"}`, "Contact", "Name", "Ada Berger", "Ada Berger"},
		{"create-lead", `{"LastName":"Hansen","Company":"Nordlys","AnnualRevenue":"5.5"}`, "Lead", "Company", "Nordlys", "Hansen"},
		{"create-opportunity", `{"Name":"Fleet","StageName":"Prospecting","CloseDate":"2026-12-31","Amount":"12500.50"}`, "Opportunity", "Name", "Fleet", "Fleet"},
		{"create-case", `{"Subject":"Broken"}`, "Case", "Subject", "Broken", "00001013"},
		{"create-work-order", `{"Subject":"Ramp","StartDate":"2026-03-02","Duration":"2"}`, "WorkOrder", "Subject", "Ramp", "00000014"},
		{"create-custom", `{"entity":"Parcel__c","fields":{"Name":"P-1","Weight__c":2.5}}`, "Parcel__c", "Name", "P-1", "P-1"},
	} {
		_, records := r.shown("salesforce", c.name, c.input)
		require.Len(t, records, 1)
		made := r.sfRecord(c.object, c.field, c.value)
		require.Equal(t, made["Id"], records[0]["id"])
		require.Equal(t, true, records[0]["screenPop"])
		if c.object == "Case" || c.object == "WorkOrder" {
			c.display = made[c.object+"Number"].(string)
		}
		require.Equal(t, c.display, records[0]["display"])
	}
	require.InDelta(t, 12.0, r.sfRecord("Account", "Name", `Alpen "AG"`)["NumberOfEmployees"], 0)

	_, err := r.run("salesforce", "create-contact", `{"LastName":"Novak","Email":"milan@novak-logistics.example"}`)
	require.Equal(t, core.Conflict, core.KindOf(err))
	_, err = r.run("salesforce", "create-contact", `{"LastName":"Novak","Loyalty_Tier__c":"Gold"}`)
	require.Equal(t, core.Invalid, core.KindOf(err), "standard fields only")
}

func TestSalesforceWritesToRecords(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	milan, account := r.sfID("Contact", "Milan Novak"), r.sfID("Account", "Novak Logistics")
	number := r.sfRecord("Case", "Subject", "Pallet is late")["Id"].(string)

	_, records := r.shown("salesforce", "update-record", `{"entity":"Case","id":"`+number+`","fields":{"Status":"Closed"}}`)
	require.Equal(t, number, records[0]["id"])
	require.Equal(t, false, records[0]["screenPop"])
	require.Equal(t, true, r.sfRecord("Case", "Id", number)["IsClosed"])

	r.shown("salesforce", "add-note", `{"entity":"Case","id":"`+number+`","text":"Line 1\nLine <2>"}`)
	require.Equal(t, false, r.sfRecord("CaseComment", "CommentBody", "Line 1\nLine <2>")["IsPublished"])
	for _, sign := range []string{"a", "é", "漢", "😀"} {
		r.shown("salesforce", "add-note", `{"entity":"Case","id":"`+number+`","text":"`+sign+strings.Repeat(sign, 5000)+`"}`)
		body := r.org().records["CaseComment"][len(r.org().records["CaseComment"])-1]["CommentBody"].(string)
		require.Greater(t, len(body), 1900, "what fits into the 4000 bytes that a comment has")
		require.Less(t, len(body), 4001)
	}
	r.shown("salesforce", "add-note", `{"entity":"Contact","id":"`+milan+`","text":"Prefers mornings"}`)
	require.Equal(t, milan, r.sfRecord("Task", "Description", "Prefers mornings")["WhoId"])

	r.shown("salesforce", "create-call", `{"entity":"Account","id":"`+account+`","direction":"Outbound","durationSeconds":"65","subject":"Callback"}`)
	call := r.sfRecord("Task", "Subject", "Callback")
	require.Equal(t, []any{account, nil, "Outbound", 65.0, "4711"},
		[]any{call["WhatId"], call["WhoId"], call["CallType"], call["CallDurationInSeconds"], call["CallObject"]})

	_, records = r.shown("salesforce", "timeline", `{"cxoneContact":{"contactId":"c-9","direction":"Inbound","ani":"+41615550102","callDurationInSeconds":5},
		"integration":[{"entity":"Contact","entityId":"`+milan+`","relatedObject":{"name":"Case","value":"`+number+`"}},{"entity":"Account","entityId":"`+account+`"}]}`)
	require.Len(t, records, 2)
	require.Equal(t, milan, r.sfRecord("Task", "WhatId", number)["WhoId"])
	require.Equal(t, "c-9", r.sfRecord("Task", "WhatId", number)["CallObject"])
	require.Len(t, r.org().records["Task"], 4)

	for _, second := range []string{`{"entity":"Account","entityId":"5"}`, `{"entity":"Account/x","entityId":"` + account + `"}`, `{"entityId":"` + account + `"}`} {
		_, err := r.run("salesforce", "timeline", `{"cxoneContact":{"contactId":"c-9"},"integration":[{"entity":"Contact","entityId":"`+milan+`"},`+second+`]}`)
		require.Equal(t, core.Invalid, core.KindOf(err), second)
		_, err = r.run("salesforce", "data-memorialization", `{"updates":[{"entity":"Contact","entityId":"`+milan+`","fields":{"Title":"Changed"}},`+second+`]}`)
		require.Equal(t, core.Invalid, core.KindOf(err), second)
	}
	require.Len(t, r.org().records["Task"], 4, "nothing is written when an entry is wrong")
	require.Equal(t, "Head of Dispatch", r.sfRecord("Contact", "Id", milan)["Title"])

	_, records = r.shown("salesforce", "data-memorialization", `{"updates":[{"entity":"Case","entityId":"`+number+`","fields":{"Description":"Done"}},
		{"entity":"Contact","entityId":"`+milan+`","fields":{"Loyalty_Tier__c":"Silver"}}]}`)
	require.Len(t, records, 2)
	require.Equal(t, "Done", r.sfRecord("Case", "Id", number)["Description"])
	require.Equal(t, "Silver", r.sfRecord("Contact", "Id", milan)["Loyalty_Tier__c"])
}

func TestSalesforceRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	limit := Fault{Status: http.StatusForbidden, Body: `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`, Times: 3}
	r.Fault("salesforce", limit)
	_, err := r.run("salesforce", "create-case", `{"Subject":"Limited"}`)
	require.Equal(t, core.Throttled, core.KindOf(err), "403, and no Retry-After")
	require.Nil(t, r.sf("Case", "Subject", "Limited"))
	require.Len(t, r.Ledger("salesforce"), 1, "a creation is sent once")
}

func TestSalesforceCreationWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Fault("salesforce", Fault{Status: http.StatusServiceUnavailable, Body: `[{"message":"try later","errorCode":"SERVER_UNAVAILABLE"}]`, Times: 5})
	_, err := r.run("salesforce", "create-case", `{"Subject":"Down"}`)
	require.Equal(t, core.Unavailable, core.KindOf(err))
	failed, ok := errors.AsType[*operation.Error](err)
	require.True(t, ok)
	require.Equal(t, "create", failed.Step)
	require.Len(t, r.Ledger("salesforce"), 1, "a creation is sent once")

	r = newRig(t)
	r.Fault("salesforce", Fault{Delay: time.Minute})
	op, _ := r.operations.Operation("salesforce", "create-case")
	_, err = r.runner.Run(t.Context(), operation.Request{
		Tenant: "contoso", Operation: op, Input: map[string]any{"Subject": "Late"}, Timeout: 2 * time.Second,
	})
	require.Equal(t, core.Timeout, core.KindOf(err))
	failed, ok = errors.AsType[*operation.Error](err)
	require.True(t, ok)
	require.True(t, failed.Wrote, "nobody knows")
	r.sfRecord("Case", "Subject", "Late")
	require.Len(t, r.Ledger("salesforce"), 1)
}

// kept runs an operation with all details and returns what people may see of it.
func (r *rig) kept(id, name, input string) string {
	r.t.Helper()
	op, ok := r.operations.Operation(id, name)
	require.True(r.t, ok, "%s/%s", id, name)
	var in map[string]any
	require.NoError(r.t, json.Unmarshal([]byte(input), &in))
	result, err := r.runner.Run(r.t.Context(), operation.Request{Tenant: "contoso", Operation: op, Input: in, Timeout: 10 * time.Second, Detail: true})
	require.NoError(r.t, err, "%s/%s", id, name)
	steps, err := json.Marshal(result.Steps)
	require.NoError(r.t, err)
	return string(steps) + op.Mask(in).JSON(in) + op.Mask(in).JSON(result.Output)
}

// hidesPeople runs operations whose inputs have "Quiet" in what is nobody's business,
// as the sandbox's records of Jane have her number and address.
func (r *rig) hidesPeople(id string, runs [][2]string) {
	r.t.Helper()
	for _, run := range runs {
		kept := r.kept(id, run[0], run[1])
		require.Greater(r.t, len(kept), 100)
		for _, secret := range []string{"Quiet", "quiet", "555 12 34", "5551234", "jane@ohara", "1980-02-29"} {
			require.NotContains(r.t, kept, secret, run[0])
		}
	}
}

func TestSalesforceHidesPeople(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	jane, number := r.sfID("Contact", "Jane O'Hara"), r.sfRecord("Case", "Subject", "Pallet is late")["Id"].(string)
	r.hidesPeople("salesforce", [][2]string{
		{"search-ani", `{"phoneNumber":"+41445551234"}`},
		{"custom-search", `{"search":[{"entity":"Contact","filter":"Email = 'jane@ohara.example'"},{"entity":"Lead","field":"Phone","operator":"contains","value":"044 555 12 34"}]}`},
		{"create-contact", `{"LastName":"Berger","Birthdate":"1980-02-29","MailingStreet":"Quiet Lane 5","MailingCity":"Quietville","MailingPostalCode":"Quiet1","Description":"Quiet please"}`},
		{"create-account", `{"Name":"Alpen","BillingStreet":"Quiet Lane 5","ShippingStreet":"Quiet Lane 6","Phone":"0445551234","Description":"Quiet please"}`},
		{"create-lead", `{"LastName":"Berger","Company":"Alpen","Street":"Quiet Lane 5","PostalCode":"Quiet1","Email":"quiet@alpen.example","Description":"Quiet please"}`},
		{"create-case", `{"Subject":"Late","Description":"Quiet please","SuppliedPhone":"0445551234"}`},
		{"create-opportunity", `{"Name":"Fleet","StageName":"x","CloseDate":"2026-12-31","Description":"Quiet please"}`},
		{"create-work-order", `{"Subject":"Ramp","Street":"Quiet Lane 5","City":"Quietville","Description":"Quiet please"}`},
		{"create-custom", `{"entity":"Contact","fields":{"LastName":"Berger","Birthdate":"1980-02-29","MailingStreet":"Quiet Lane 5","Phone":"0445551234"}}`},
		{"update-record", `{"entity":"Contact","id":"` + jane + `","fields":{"Birthdate":"1980-02-29","Description":"Quiet please"}}`},
		{"data-memorialization", `{"updates":[{"entity":"Case","entityId":"` + number + `","fields":{"Description":"Quiet please"}}]}`},
		{"add-note", `{"entity":"Case","id":"` + number + `","text":"Quiet please"}`},
		{"create-call", `{"entity":"Contact","id":"` + jane + `","phoneNumber":"+41445551234","notes":"Quiet please"}`},
		{"timeline", `{"cxoneContact":{"contactId":"c-9","ani":"+41445551234","recordingUrl":"https://quiet.example/1","dispositionNotes":"Quiet please","customerName":"Quiet Berger"},"integration":[{"entity":"Contact","entityId":"` + jane + `"}]}`},
	})
}
