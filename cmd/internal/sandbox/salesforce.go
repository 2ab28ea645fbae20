package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"tandem/core"
)

// salesforce is an org of Salesforce: the objects of sfObjects with a few
// records, SOQL, SOSL and the record resources. What it does not understand it
// refuses, as the vendor does.
type salesforce struct {
	path  string // of the vendor's address
	clock core.Clock

	mu      sync.Mutex
	made    int
	records map[string][]map[string]any // by object, oldest first
}

// sfObject is an object of the org. Fields are names with a mark of their type
// behind: # number, ? boolean, @ time, > reference; none for text. One that
// begins with ! is set by the org alone.
type sfObject struct {
	prefix   string // of its ids
	required []string
	fields   string
}

const (
	sfPerson = " FirstName LastName Salutation Title Email Phone MobilePhone Fax Description !Name"
	sfCommon = " !Id !CreatedDate@ !LastModifiedDate@ OwnerId>"
	sfWhole  = "/services/data/v60.0/"
)

// sfObjects are the objects that the org has, two of its own making included.
var sfObjects = map[string]sfObject{
	"Account": {"001", []string{"Name"}, "Name Phone Fax Website Industry Type AccountNumber AccountSource Rating Ownership Site " +
		"BillingStreet BillingCity BillingState BillingPostalCode BillingCountry ShippingStreet ShippingCity ShippingState ShippingPostalCode " +
		"ShippingCountry AnnualRevenue# NumberOfEmployees# ParentId> Description" + sfCommon},
	"Contact": {"003", []string{"LastName"}, "AccountId> HomePhone OtherPhone AssistantPhone AssistantName Department Birthdate@ LeadSource " +
		"ReportsToId> DoNotCall? MailingStreet MailingCity MailingState MailingPostalCode MailingCountry HasOptedOutOfEmail? Loyalty_Tier__c" + sfPerson + sfCommon},
	"Lead": {"00Q", []string{"LastName", "Company"}, "Company Status LeadSource Industry Rating Website Street City State PostalCode Country " +
		"AnnualRevenue# NumberOfEmployees# !IsConverted?" + sfPerson + sfCommon},
	"Case": {"500", nil, "!CaseNumber Subject Status Priority Origin Type Reason Description ContactId> AccountId> ParentId> " +
		"SuppliedName SuppliedEmail SuppliedPhone SuppliedCompany IsEscalated? !IsClosed? !ClosedDate@" + sfCommon},
	"Opportunity": {"006", []string{"Name", "StageName", "CloseDate"}, "Name StageName CloseDate@ Amount# Probability# Type LeadSource " +
		"NextStep AccountId> Description !IsClosed?" + sfCommon},
	"WorkOrder": {"0WO", nil, "!WorkOrderNumber Subject Status Priority Description AccountId> ContactId> CaseId> StartDate@ EndDate@ " +
		"Street City State PostalCode Country Duration# DurationType" + sfCommon},
	"Task": {"00T", nil, "Subject Status Priority TaskSubtype CallType CallDurationInSeconds# CallDisposition CallObject Description " +
		"WhoId> WhatId> ActivityDate@" + sfCommon},
	"CaseComment": {"00a", []string{"ParentId"}, "ParentId> CommentBody IsPublished?" + sfCommon},
	"Parcel__c":   {"a00", nil, "Name Weight__c# Contact__c>" + sfCommon},
	"User":        {"005", []string{"LastName"}, sfPerson + sfCommon},
}

func newSalesforce(prefix string, clock core.Clock) *salesforce {
	s := &salesforce{path: pathOf(prefix), clock: clock, records: map[string][]map[string]any{}}
	user := s.insert("User", map[string]any{"FirstName": "Ada", "LastName": "Agent"})
	account := s.insert("Account", map[string]any{"Name": "Novak Logistics", "Phone": "+41 61 555 01 00", "Industry": "Transportation"})
	s.insert("Account", map[string]any{"Name": "Golden Gate Tours", "Phone": "(415) 555-0100"})
	milan := s.insert("Contact", map[string]any{
		"FirstName": "Milan", "LastName": "Novak", "Title": "Head of Dispatch", "AccountId": account, "Loyalty_Tier__c": "Gold",
		"Phone": "+41615550102", "Email": "milan@novak-logistics.example",
	})
	s.insert("Contact", map[string]any{"FirstName": "Jane", "LastName": "O'Hara", "MobilePhone": "+41 44 555 12 34", "Email": "jane@ohara.example"})
	s.insert("Contact", map[string]any{"FirstName": "Sam", "LastName": "100% Sure_", "HomePhone": "415.555.0199"})
	s.insert("Lead", map[string]any{"FirstName": "Lea", "LastName": "Lane", "Company": "Lane Ltd", "Phone": "044 555 12 34", "Status": "Open"})
	for _, c := range [][2]string{{"Pallet is late", "New"}, {"Invoice", "Closed"}} {
		s.insert("Case", map[string]any{"Subject": c[0], "Status": c[1], "Priority": "High", "ContactId": milan, "AccountId": account, "OwnerId": user})
	}
	s.insert("Opportunity", map[string]any{"Name": "Novak fleet", "StageName": "Prospecting", "CloseDate": "2026-12-31", "Amount": 12500.5, "AccountId": account})
	return s
}

// insert keeps a record and returns its id.
func (s *salesforce) insert(object string, fields map[string]any) string {
	s.made++
	now := s.clock.Now().UTC().Format("2006-01-02T15:04:05.000+0000")
	record := map[string]any{"Id": fmt.Sprintf("%s5g%010dQAA", sfObjects[object].prefix, s.made), "CreatedDate": now}
	maps.Copy(record, fields)
	switch object {
	case "Case":
		record["CaseNumber"] = fmt.Sprintf("%08d", 1000+s.made)
	case "WorkOrder":
		record["WorkOrderNumber"] = fmt.Sprintf("%08d", s.made)
	}
	s.records[object] = append(s.records[object], record)
	s.touch(object, record)
	return record["Id"].(string)
}

// touch sets what the org sets by itself.
func (s *salesforce) touch(object string, record map[string]any) {
	record["LastModifiedDate"] = s.clock.Now().UTC().Format("2006-01-02T15:04:05.000+0000")
	switch object {
	case "Contact", "Lead", "User":
		if object == "Lead" {
			record["IsConverted"] = false
		}
		record["Name"] = strings.TrimSpace(fmt.Sprint(orEmpty(record["FirstName"]), " ", orEmpty(record["LastName"])))
	case "Case", "Opportunity":
		state, _ := orEmpty(record["Status"]).(string)
		stage, _ := orEmpty(record["StageName"]).(string)
		record["IsClosed"] = strings.HasPrefix(state, "Closed") || strings.HasPrefix(stage, "Closed")
	}
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// sfError is a refusal: Salesforce answers with a list of them.
type sfError struct {
	Message string   `json:"message"`
	Code    string   `json:"errorCode"`
	Fields  []string `json:"fields,omitempty"`
	status  int
}

func sfRefuse(code, format string, args ...any) *sfError {
	return &sfError{Message: fmt.Sprintf(format, args...), Code: code, status: http.StatusBadRequest}
}

func (e *sfError) write(w http.ResponseWriter) { write(w, e.status, []*sfError{e}) }

func (s *salesforce) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	rest, found := strings.CutPrefix(at, sfWhole)
	if !found {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Sforce-Limit-Info", "api-usage=18/100000") // on every answer
	parts := strings.Split(rest, "/")
	switch {
	case rest == "query" && r.Method == http.MethodGet:
		s.query(w, r.URL.Query().Get("q"))
	case rest == "search" && r.Method == http.MethodGet:
		s.search(w, r.URL.Query().Get("q"))
	case parts[0] == "sobjects" && len(parts) == 2 && r.Method == http.MethodPost:
		s.create(w, r, parts[1])
	case parts[0] == "sobjects" && len(parts) == 3:
		s.one(w, r, parts[1], parts[2])
	default:
		(&sfError{Message: "The requested resource does not exist", Code: "NOT_FOUND", status: http.StatusNotFound}).write(w)
	}
	return true
}

func (s *salesforce) create(w http.ResponseWriter, r *http.Request, object string) {
	about, fields, refusal := s.body(r, object)
	if refusal == nil {
		for _, name := range about.required {
			if fields[name] == nil || fields[name] == "" {
				refusal = sfRefuse("REQUIRED_FIELD_MISSING", "Required fields are missing: [%s]", name)
				refusal.Fields = []string{name}
			}
		}
	}
	if refusal == nil && object == "Contact" && fields["Email"] != nil && s.find(object, "Email", fields["Email"]) != nil {
		refusal = sfRefuse("DUPLICATES_DETECTED", "You're creating a duplicate record. We recommend you use an existing record instead.")
	}
	if refusal != nil {
		refusal.write(w)
		return
	}
	id := s.insert(object, fields)
	w.Header().Set("Location", s.path+sfWhole+"sobjects/"+object+"/"+id)
	write(w, http.StatusCreated, map[string]any{"id": id, "success": true, "errors": []any{}})
}

// one reads or changes a record.
func (s *salesforce) one(w http.ResponseWriter, r *http.Request, object, id string) {
	record := s.find(object, "Id", id)
	switch {
	case record == nil:
		(&sfError{Message: "The requested resource does not exist", Code: "NOT_FOUND", status: http.StatusNotFound}).write(w)
	case r.Method == http.MethodGet:
		names := slices.Sorted(maps.Keys(record))
		if asked := r.URL.Query().Get("fields"); asked != "" {
			names = strings.Split(asked, ",")
		}
		out, refusal := s.project(object, record, names)
		if refusal != nil {
			refusal.write(w)
			return
		}
		write(w, http.StatusOK, out)
	case r.Method == http.MethodPatch:
		_, fields, refusal := s.body(r, object)
		if refusal != nil {
			refusal.write(w)
			return
		}
		maps.Copy(record, fields)
		s.touch(object, record)
		w.WriteHeader(http.StatusNoContent)
	default:
		(&sfError{Message: "HTTP Method not allowed", Code: "METHOD_NOT_ALLOWED", status: http.StatusMethodNotAllowed}).write(w)
	}
}

var sfID = regexp.MustCompile(`^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$`)

// body reads the fields of a write and checks them.
func (s *salesforce) body(r *http.Request, object string) (sfObject, map[string]any, *sfError) {
	about, known := sfObjects[object]
	if !known {
		return about, nil, &sfError{Message: "The requested resource does not exist", Code: "NOT_FOUND", status: http.StatusNotFound}
	}
	fields, ok := readObject(r)
	if !ok {
		return about, nil, sfRefuse("JSON_PARSER_ERROR", "Unexpected character or end of input at [line:1, column:1]")
	}
	for name, value := range fields {
		kind, writable, known := about.field(name)
		text, isText := value.(string)
		var refusal *sfError
		switch {
		case !known:
			refusal = sfRefuse("INVALID_FIELD", "No such column '%s' on sobject of type %s", name, object)
		case !writable:
			refusal = sfRefuse("INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: %s. Please check the security settings of this field.", name)
		case name == "CommentBody" && len(text) > 4000:
			refusal = sfRefuse("STRING_TOO_LONG", "Body: data value too large (max length=4000)")
		case kind == '>' && isText && text != "" && !sfID.MatchString(text):
			refusal = sfRefuse("MALFORMED_ID", "%s: id value of incorrect type: %s", name, text)
		case kind == '#' && isText && json.Unmarshal([]byte(text), new(float64)) != nil:
			refusal = sfRefuse("JSON_PARSER_ERROR", "Cannot deserialize instance of double from VALUE_STRING value %s", text)
		}
		if refusal != nil {
			refusal.Fields = []string{name}
			return about, nil, refusal
		}
	}
	return about, fields, nil
}

// readObject reads a body with numbers as float64, as records hold them.
func readObject(r *http.Request) (fields map[string]any, ok bool) {
	err := json.NewDecoder(r.Body).Decode(&fields)
	return fields, err == nil && fields != nil
}

// field tells about a field; case counts, as it does in JSON bodies.
func (o sfObject) field(name string) (kind byte, writable, known bool) {
	for _, f := range strings.Fields(o.fields) {
		bare := strings.Trim(f, "!#?@>")
		if bare == name {
			return f[len(f)-1], f[0] != '!', true
		}
	}
	return 0, false, false
}

// find returns the first record whose field has a value.
func (s *salesforce) find(object, field string, value any) map[string]any {
	for _, record := range s.records[object] {
		if record[field] == value {
			return record
		}
	}
	return nil
}

// project returns the asked fields of a record, those of one it refers to
// included (Account.Name).
func (s *salesforce) project(object string, record map[string]any, names []string) (map[string]any, *sfError) {
	out := map[string]any{"attributes": map[string]any{
		"type": object, "url": s.path + sfWhole + "sobjects/" + object + "/" + record["Id"].(string),
	}}
	for _, name := range names {
		name = strings.TrimSpace(name)
		parent, of, nested := strings.Cut(name, ".")
		if _, _, known := sfObjects[object].field(sfColumn(name)); !known {
			return nil, sfRefuse("INVALID_FIELD", "No such column '%s' on entity '%s'.", name, object)
		}
		out[parent] = record[name]
		if nested {
			out[parent] = nil
			for other := range s.records {
				if up := s.find(other, "Id", record[parent+"Id"]); up != nil {
					out[parent] = map[string]any{"attributes": map[string]any{"type": other}, of: up[of]}
				}
			}
		}
	}
	return out, nil
}

// sfColumn is the field of the record itself that a name needs.
func sfColumn(name string) string {
	if parent, _, nested := strings.Cut(name, "."); nested {
		return parent + "Id"
	}
	return name
}
