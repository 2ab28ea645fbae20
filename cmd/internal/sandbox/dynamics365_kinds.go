package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// dynamicsKind is a record type of the environment.
type dynamicsKind struct {
	set, name, id, display string

	columns map[string]byte // name -> t text, n number, b boolean, i id, d time
	lookups []dynamicsLookup
	parties string // the property that holds the people of an activity
}

// dynamicsLookup is a column that leads to a record of another type.
type dynamicsLookup struct {
	column  string
	targets []string
	suffix  string
	single  bool // the navigation property is called as the column
}

// navigation is the property by which the column is set. How it is called
// depends on both types, and on whether the first is an activity.
func (l *dynamicsLookup) navigation(target string) string {
	if l.single {
		return l.column
	}
	return l.column + "_" + target + l.suffix
}

var (
	dynamicsCustomer = []string{"contact", "account"}
	dynamicsSubjects = []string{"contact", "account", "lead", "incident", "opportunity", "new_order"}
)

// newDynamicsKinds makes the record types, by set.
func newDynamicsKinds() map[string]*dynamicsKind {
	kinds := map[string]*dynamicsKind{}
	add := func(set, name, id, display, text, other string, lookups ...dynamicsLookup) *dynamicsKind {
		k := &dynamicsKind{set: set, name: name, id: id, display: display, lookups: lookups, columns: map[string]byte{
			id: 'i', "createdon": 'd', "modifiedon": 'd',
		}}
		for column := range strings.FieldsSeq(text) {
			k.columns[column] = 't'
		}
		for column := range strings.FieldsSeq(other) {
			name, form, _ := strings.Cut(column, ":")
			k.columns[name] = form[0]
		}
		for _, l := range lookups {
			k.columns["_"+l.column+"_value"] = 'i'
		}
		kinds[set] = k
		return k
	}
	person := "firstname lastname fullname jobtitle emailaddress1 telephone1 telephone2 telephone3 mobilephone " +
		"address1_telephone1 address1_line1 address1_city address1_stateorprovince address1_postalcode address1_country description "
	states := "statecode:n statuscode:n "
	add("contacts", "contact", "contactid", "fullname", person+"business2 home2 company callback salutation department", states,
		dynamicsLookup{column: "parentcustomerid", targets: dynamicsCustomer})
	add("accounts", "account", "accountid", "name", "name accountnumber telephone1 telephone2 telephone3 emailaddress1 websiteurl description "+
		"address1_telephone1 address1_line1 address1_city address1_stateorprovince address1_postalcode address1_country",
		states+"revenue:n numberofemployees:n industrycode:n",
		dynamicsLookup{column: "primarycontactid", targets: []string{"contact"}, single: true})
	add("leads", "lead", "leadid", "fullname", person+"subject companyname websiteurl", states+"leadsourcecode:n leadqualitycode:n")
	add("incidents", "incident", "incidentid", "title", "title description ticketnumber",
		states+"caseorigincode:n casetypecode:n prioritycode:n",
		dynamicsLookup{column: "customerid", targets: dynamicsCustomer})
	add("opportunities", "opportunity", "opportunityid", "name", "name description",
		states+"estimatedclosedate:d estimatedvalue:n budgetamount:n closeprobability:n",
		dynamicsLookup{column: "customerid", targets: dynamicsCustomer},
		dynamicsLookup{column: "parentcontactid", targets: []string{"contact"}, single: true})
	add("systemusers", "systemuser", "systemuserid", "fullname", "fullname internalemailaddress", "")
	add("new_orders", "new_order", "new_orderid", "new_name", "new_name", "new_amount:n new_urgent:b")
	const activity = "subject description category"
	const times = "actualstart:d actualend:d scheduledstart:d scheduledend:d "
	calls := add("phonecalls", "phonecall", "activityid", "subject", activity+" phonenumber",
		states+times+"directioncode:b actualdurationminutes:n prioritycode:n",
		dynamicsLookup{column: "regardingobjectid", targets: dynamicsSubjects, suffix: "_phonecall"})
	calls.parties = "phonecall_activity_parties"
	add("tasks", "task", "activityid", "subject", activity, states+times+"actualdurationminutes:n prioritycode:n",
		dynamicsLookup{column: "regardingobjectid", targets: dynamicsSubjects, suffix: "_task"})
	add("annotations", "annotation", "annotationid", "subject", "subject notetext", "",
		dynamicsLookup{column: "objectid", targets: dynamicsSubjects})
	return kinds
}

// dynamicsSeeds are the first records.
var dynamicsSeeds = []struct {
	set, id string
	fields  map[string]any
}{
	{"systemusers", "5e000000-0000-4000-8000-000000000001", map[string]any{"fullname": "Robin Agent"}},
	{"accounts", "acc00000-0000-4000-8000-000000000001", map[string]any{
		"name": "Novak Logistics", "accountnumber": "C-1002", "telephone1": "061 555 01 02", "address1_city": "Basel",
	}},
	{"contacts", "c0000000-0000-4000-8000-000000000001", map[string]any{
		"firstname": "Ada", "lastname": "Berger", "emailaddress1": "ada.berger@alpenblick.example", "telephone1": "+41445550101",
	}},
	{"contacts", "c0000000-0000-4000-8000-000000000002", map[string]any{
		"firstname": "Milan", "lastname": "Novak", "emailaddress1": "milan@novak-logistics.example", "telephone1": "+41 61 555 01 02",
		"jobtitle": "Managing Director", "_parentcustomerid_value": "acc00000-0000-4000-8000-000000000001",
	}},
	{"contacts", "c0000000-0000-4000-8000-000000000003", map[string]any{
		"firstname": "Sofia", "lastname": "O'Marino", "emailaddress1": "sofia@marino-foods.example", "mobilephone": "+41 44 555 12 34",
	}},
	{"contacts", "c0000000-0000-4000-8000-000000000004", map[string]any{
		"firstname": "Jane", "lastname": "Doe", "emailaddress1": "jane@doe.example", "telephone2": "(415) 555-0100",
	}},
	{"leads", "1ead0000-0000-4000-8000-000000000001", map[string]any{
		"firstname": "Emil", "lastname": "Hansen", "companyname": "Nordlys Energy", "mobilephone": "55 50 10 44", "subject": "Solar plant",
	}},
	{"incidents", "ca5e0000-0000-4000-8000-000000000001", map[string]any{
		"title": "Pallet missing", "ticketnumber": "CAS-01001", "caseorigincode": float64(1),
		"_customerid_value": "c0000000-0000-4000-8000-000000000002",
	}},
}

// selected returns the columns of a record that $select names; all when it is
// empty.
func (k *dynamicsKind) selected(record map[string]any, names string) (map[string]any, error) {
	if names == "" {
		return record, nil
	}
	some := map[string]any{"@odata.etag": record["@odata.etag"], k.id: record[k.id]}
	for name := range strings.SplitSeq(names, ",") {
		if k.columns[name] == 0 {
			return nil, fmt.Errorf("Could not find a property named '%s' on type 'Microsoft.Dynamics.CRM.%s'.", name, k.name) //nolint:revive,staticcheck // the vendor's words
		}
		some[name] = record[name]
	}
	return some, nil
}

var dynamicsBind = regexp.MustCompile(`^/?([a-z_]+)\(([0-9a-fA-F-]{36})\)$`)

// fields reads the body of a write and judges every property of it.
func (d *dynamics365) fields(w http.ResponseWriter, r *http.Request, kind *dynamicsKind) (map[string]any, bool) {
	var body map[string]any
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		d.refuse(w, http.StatusBadRequest, "0x80048d19", "Error identified in Payload provided by the user for Entity :'%s'", kind.set)
		return nil, false
	}
	fields := map[string]any{}
	for name, value := range body {
		if navigation, bound := strings.CutSuffix(name, "@odata.bind"); bound {
			column, id, ok := d.bound(kind.lookups, navigation, value)
			if !ok {
				d.refuse(w, http.StatusBadRequest, "0x80048d19", "An undeclared property '%s' which only has property annotations in the payload but no property value was found, or what it leads to does not exist.", navigation)
				return nil, false
			}
			fields["_"+column+"_value"] = id
			continue
		}
		if name == kind.parties && name != "" {
			if !d.partiesKnown(value) {
				d.refuse(w, http.StatusBadRequest, "0x80048d19", "The parties of the activity are not right.")
				return nil, false
			}
			fields[name] = value
			continue
		}
		text, _ := value.(string)
		if !fitsColumn(kind.columns[name], value) || name == "description" && utf8.RuneCountInString(text) > dynamicsText {
			d.refuse(w, http.StatusBadRequest, "0x80048d19", "Error identified in Payload provided by the user for Entity :'%s', property '%s'", kind.set, name)
			return nil, false
		}
		fields[name] = value
	}
	return fields, true
}

// bound finds the column that a navigation property sets, and the record to
// which value leads.
func (d *dynamics365) bound(lookups []dynamicsLookup, navigation string, value any) (column, id string, ok bool) {
	text, _ := value.(string)
	m := dynamicsBind.FindStringSubmatch(text)
	if m == nil || d.kinds[m[1]] == nil {
		return "", "", false
	}
	to := d.kinds[m[1]]
	for _, l := range lookups {
		for _, target := range l.targets {
			if target == to.name && l.navigation(target) == navigation {
				return l.column, strings.ToLower(m[2]), d.find(to, strings.ToLower(m[2])) != nil
			}
		}
	}
	return "", "", false
}

// partiesKnown judges the people of a call: 1 is who called, 2 who was called.
func (d *dynamics365) partiesKnown(value any) bool {
	lookups := []dynamicsLookup{{column: "partyid", targets: []string{"contact", "account", "lead", "systemuser"}}}
	list, ok := value.([]any)
	for _, entry := range list {
		party, _ := entry.(map[string]any)
		mask, _ := party["participationtypemask"].(float64)
		ok = ok && len(party) == 2 && (mask == 1 || mask == 2)
		for name, to := range party {
			if navigation, bound := strings.CutSuffix(name, "@odata.bind"); bound {
				_, _, known := d.bound(lookups, navigation, to)
				ok = ok && known
			}
		}
	}
	return ok
}

// dynamicsText is how many characters a description takes.
const dynamicsText = 2000

func fitsColumn(form byte, value any) bool {
	ok := false
	switch value := value.(type) {
	case string:
		ok = form == 't' || form == 'd' && odataTime.MatchString(value)
	case float64:
		ok = form == 'n'
	case bool:
		ok = form == 'b'
	case nil:
		ok = form != 0 && form != 'i'
	}
	return ok
}
