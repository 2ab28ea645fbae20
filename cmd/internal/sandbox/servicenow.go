package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tandem/core"
)

// serviceNow stands in for the Table API and the CSM API of an instance, with
// the habits that mislead integrations: it leaves out what it does not know of a
// query and of a body, without a word.
type serviceNow struct {
	prefix string
	clock  core.Clock

	mu      sync.Mutex
	made    int
	tables  map[string][]snowRecord
	counted map[string]int // last number given, by table
	ignored []string       // columns that somebody sent and no table has
}

// snowRecord is a row: values by column.
type snowRecord map[string]string

const (
	snowPeople = "active city company country department email first_name home_phone last_name " +
		"middle_name mobile_phone name phone preferred_language state street time_zone title user_name zip employee_number"
	snowTask = "active assigned_to assignment_group category close_notes comments contact_type " +
		"description impact number opened_at priority short_description state subcategory urgency work_notes"
)

// snowColumns are the columns of each table, beside those that all have.
var snowColumns = map[string]string{
	"sys_user":         snowPeople,
	"customer_contact": snowPeople + " account",
	"csm_consumer": "active business_phone city country email fax first_name home_phone last_name middle_name mobile_phone " +
		"name notes number preferred_language prefix state street suffix title user zip",
	"customer_account":        "active city country customer name notes number phone state street website zip",
	"incident":                snowTask + " caller_id close_code",
	"sn_customerservice_case": snowTask + " account cause consumer contact product resolution_code",
	"interaction": "account active assigned_to assignment_group closed_at comments consumer contact context_table context_document " +
		"direction number opened_at opened_for short_description state state_reason type work_notes",
	"interaction_related_record": "document_id document_table interaction task type",
	"sys_journal_field":          "element element_id name value",
	"u_delivery":                 "u_address u_parcel u_recipient number",
}

// snowReferences are the columns that refer to a row of another table.
var snowReferences = map[string]string{
	"account": "customer_account", "contact": "customer_contact", "consumer": "csm_consumer", "caller_id": "sys_user",
	"assigned_to": "sys_user", "opened_for": "sys_user", "user": "sys_user", "u_recipient": "customer_contact",
	"interaction": "interaction", "task": "task",
}

// snowNumbers are the first letters of numbers, by table.
var snowNumbers = map[string]string{
	"incident": "INC", "sn_customerservice_case": "CS", "interaction": "IMS", "csm_consumer": "CNSR", "customer_account": "ACCT", "u_delivery": "DLV",
}

func newServiceNow(prefix string, clock core.Clock) *serviceNow {
	s := &serviceNow{prefix: prefix, clock: clock, tables: map[string][]snowRecord{}, counted: map[string]int{}}
	s.insert("sys_user", snowRecord{
		"user_name": "jonas.keller", "first_name": "Jonas", "last_name": "Keller", "email": "jonas.keller@contoso.example",
		"phone": "+41 44 555 12 34", "mobile_phone": "079 555 12 34", "title": "Warehouse lead", "active": "true",
	})
	account := s.insert("customer_account", snowRecord{"name": "Novak Logistics", "customer": "true", "phone": "+41 61 555 01 00"})
	contact := s.insert("customer_contact", snowRecord{
		"user_name": "C-1002", "first_name": "Milan", "last_name": "Novak", "email": "milan@novak-logistics.example",
		"phone": "061 555 01 02", "city": "Basel", "account": account["sys_id"], "active": "true",
	})
	s.insert("customer_contact", snowRecord{
		"user_name": "priya.shah", "first_name": "Priya", "last_name": "Shah", "email": "priya.shah@bayside.example",
		"phone": "(415) 555-0199", "mobile_phone": "(415) 555-0100", "active": "true",
	})
	s.insert("csm_consumer", snowRecord{
		"first_name": "Sofia", "last_name": "Marino", "email": "sofia@marino-foods.example", "business_phone": "+41 91 555 01 03", "active": "true",
	})
	s.insert("csm_consumer", snowRecord{
		"first_name": "Emil", "last_name": "Hansen", "email": "emil.hansen@nordlys.example", "mobile_phone": "+4755550104", "active": "true",
	})
	s.insert("incident", snowRecord{"short_description": "Scanner does not start", "state": "1", "urgency": "3", "impact": "3", "priority": "5"})
	s.insert("sn_customerservice_case", snowRecord{
		"short_description": "Parcel is late", "contact": contact["sys_id"], "account": account["sys_id"], "state": "1", "priority": "4",
	})
	return s
}

// insert adds a row and returns it; the caller holds the lock, or nobody else
// knows s.
func (s *serviceNow) insert(table string, given snowRecord) snowRecord {
	s.made++
	now := s.clock.Now().UTC().Format("2006-01-02 15:04:05")
	row := snowRecord{
		"sys_id": fmt.Sprintf("5a%030x", s.made), "sys_created_on": now, "sys_updated_on": now, "sys_class_name": table,
	}
	if letters := snowNumbers[table]; letters != "" {
		s.counted[table]++
		row["number"] = fmt.Sprintf("%s%07d", letters, 10_000+s.counted[table])
	}
	s.apply(table, row, given)
	s.tables[table] = append(s.tables[table], row)
	return row
}

// apply sets the columns that the table has; of others the sender hears nothing.
func (s *serviceNow) apply(table string, row, given snowRecord) {
	for column, value := range given {
		switch {
		case !slices.Contains(strings.Fields(snowColumns[table]), column):
			s.ignored = append(s.ignored, table+"."+column)
		case column == "work_notes" || column == "comments":
			s.insert("sys_journal_field", snowRecord{"element": column, "element_id": row["sys_id"], "name": table, "value": value})
		default:
			row[column] = value
		}
	}
	if row["name"] == "" || given["first_name"]+given["last_name"] != "" {
		if name := strings.TrimSpace(row["first_name"] + " " + row["last_name"]); name != "" {
			row["name"] = name
		}
	}
	row["sys_updated_on"] = s.clock.Now().UTC().Format("2006-01-02 15:04:05")
}

// rows returns the rows of a table and of those that extend it.
func (s *serviceNow) rows(table string) []snowRecord {
	rows := s.tables[table]
	if table == "sys_user" {
		rows = slices.Concat(rows, s.tables["customer_contact"])
	}
	return rows
}

func (s *serviceNow) find(table, id string) snowRecord {
	for _, row := range s.rows(table) {
		if row["sys_id"] == id {
			return row
		}
	}
	return nil
}

func (s *serviceNow) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	var parts []string
	v2 := false
	switch {
	case strings.HasPrefix(at, "/api/now/v2/table/"):
		parts, v2 = strings.Split(at[len("/api/now/v2/table/"):], "/"), true
	case strings.HasPrefix(at, "/api/now/table/"):
		parts = strings.Split(at[len("/api/now/table/"):], "/")
	case at == "/api/sn_customerservice/case" || strings.HasPrefix(at, "/api/sn_customerservice/case/"):
		parts = strings.Split("sn_customerservice_case"+strings.TrimPrefix(at, "/api/sn_customerservice/case"), "/")
	default:
		return false
	}
	if len(parts) > 2 || len(parts) == 2 && parts[1] == "" {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	table := parts[0]
	if snowColumns[table] == "" {
		snowFail(w, http.StatusBadRequest, "Invalid table "+table, "")
		return true
	}
	id := ""
	if len(parts) == 2 {
		id = parts[1]
	}
	s.table(w, r, table, id, v2)
	return true
}

// table answers a request for a table, or for one row of it.
func (s *serviceNow) table(w http.ResponseWriter, r *http.Request, table, id string, v2 bool) {
	if r.Method == http.MethodGet {
		s.get(w, r, table, id, v2)
		return
	}
	create := r.Method == http.MethodPost && id == ""
	update := (r.Method == http.MethodPatch || r.Method == http.MethodPut) && id != ""
	if !create && !update {
		snowFail(w, http.StatusMethodNotAllowed, "Method not supported", "")
		return
	}
	if r.Header.Get("Accept") == "" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		snowFail(w, http.StatusBadRequest, "Bad Request", "Both the Accept and the Content-Type header are required")
		return
	}
	body, ok := object(r)
	if !ok {
		snowFail(w, http.StatusBadRequest, "Exception while reading request", "The payload is not valid JSON")
		return
	}
	given := snowRecord{}
	for column, value := range body {
		given[column] = snowText(value)
	}
	row := s.find(table, id)
	switch {
	case update && row == nil:
		snowMissing(w)
	case create && s.taken(table, given["user_name"]):
		snowFail(w, http.StatusForbidden, "Operation Failed",
			"Error during insert of "+table+" ("+given["name"]+"). Unique Key violation detected by database "+
				"((conn=1) Duplicate entry '"+given["user_name"]+"' for key 'sys_user.user_name')")
	case create:
		row = s.insert(table, given)
		w.Header().Set("Location", s.prefix+"/api/now/table/"+table+"/"+row["sys_id"])
		s.answer(w, r, http.StatusCreated, table, row)
	default:
		s.apply(table, row, given)
		s.answer(w, r, http.StatusOK, table, row)
	}
}

// taken tells whether a person with that user name exists.
func (s *serviceNow) taken(table, user string) bool {
	return user != "" && (table == "sys_user" || table == "customer_contact") &&
		slices.ContainsFunc(s.rows("sys_user"), func(row snowRecord) bool { return strings.EqualFold(row["user_name"], user) })
}

func (s *serviceNow) answer(w http.ResponseWriter, r *http.Request, status int, table string, row snowRecord) {
	if r.Header.Get("X-no-response-body") == "true" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	write(w, status, map[string]any{"result": s.shown(r, table, row)})
}

// get answers with one row or with those that a query finds.
func (s *serviceNow) get(w http.ResponseWriter, r *http.Request, table, id string, v2 bool) {
	if id != "" {
		if row := s.find(table, id); row != nil {
			s.answer(w, r, http.StatusOK, table, row)
		} else {
			snowMissing(w)
		}
		return
	}
	query := r.URL.Query()
	match := snowQuery(table, query.Get("sysparm_query"))
	limit := 10_000
	if n, err := strconv.Atoi(query.Get("sysparm_limit")); err == nil && n >= 0 {
		limit = n
	}
	skip, _ := strconv.Atoi(query.Get("sysparm_offset"))
	found, total := []any{}, 0
	for _, row := range s.rows(table) {
		if !match(row) {
			continue
		}
		if total >= skip && len(found) < limit {
			found = append(found, s.shown(r, table, row))
		}
		total++
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(total))
	if len(found) == 0 && !v2 {
		snowFail(w, http.StatusNotFound, "No Record found", "Records matching query not found")
		return
	}
	if skip+limit < total {
		query.Set("sysparm_offset", strconv.Itoa(skip+limit))
		w.Header().Set("Link", `<`+s.prefix+"/api/now/v2/table/"+table+"?"+query.Encode()+`>;rel="next"`)
	}
	write(w, http.StatusOK, map[string]any{"result": found})
}

// shown is a row as the request wants to see it.
func (s *serviceNow) shown(r *http.Request, table string, row snowRecord) map[string]any {
	query := r.URL.Query()
	columns := append(strings.Fields(snowColumns[table]), "sys_id", "sys_created_on", "sys_updated_on", "sys_class_name")
	if wanted := query.Get("sysparm_fields"); wanted != "" {
		known := columns
		columns = slices.DeleteFunc(strings.Split(wanted, ","), func(c string) bool { return !slices.Contains(known, c) })
	}
	links := query.Get("sysparm_exclude_reference_link") != "true"
	out := map[string]any{}
	for _, column := range columns {
		value, to := row[column], snowReferences[column]
		link := s.prefix + "/api/now/table/" + to + "/" + value
		reference := to != "" && value != ""
		display := value
		if reference {
			display = s.displayed(to, value)
		}
		switch query.Get("sysparm_display_value") {
		case "all":
			both := map[string]any{"display_value": display, "value": value}
			if reference && links {
				both["link"] = link
			}
			out[column] = both
		case "true":
			if out[column] = display; reference && links {
				out[column] = map[string]any{"display_value": display, "link": link}
			}
		default:
			if out[column] = value; reference && links {
				out[column] = map[string]any{"value": value, "link": link}
			}
		}
	}
	return out
}

// displayed is what people see of a reference.
func (s *serviceNow) displayed(table, id string) string {
	row := s.find(table, id)
	for _, column := range []string{"name", "number"} {
		if row[column] != "" {
			return row[column]
		}
	}
	return id
}

func snowText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func snowFail(w http.ResponseWriter, status int, message, detail string) {
	var more any
	if detail != "" {
		more = detail
	}
	write(w, status, map[string]any{"error": map[string]any{"message": message, "detail": more}, "status": "failure"})
}

func snowMissing(w http.ResponseWriter) {
	snowFail(w, http.StatusNotFound, "No Record found", "Record doesn't exist or ACL restricts the record retrieval")
}
