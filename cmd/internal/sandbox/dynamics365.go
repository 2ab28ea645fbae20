package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tandem/core"
)

// dynamics365 is the CRM of dynamics365: a Dataverse environment.
type dynamics365 struct {
	base  string
	clock core.Clock
	kinds map[string]*dynamicsKind // by set

	mu      sync.Mutex
	records map[string][]map[string]any // set -> records, oldest first
	version int                         // of the last record that was written
}

// dynamicsPath is where the Web API of an environment lies.
const dynamicsPath = "/api/data/v9.2/"

func newDynamics365(prefix string, clock core.Clock) *dynamics365 {
	d := &dynamics365{
		base: prefix + dynamicsPath, clock: clock, kinds: newDynamicsKinds(), records: map[string][]map[string]any{},
	}
	for _, seed := range dynamicsSeeds {
		fields := maps.Clone(seed.fields)
		d.add(d.kinds[seed.set], seed.id, fields)
	}
	return d
}

var dynamicsAt = regexp.MustCompile(`^([a-z_]+)(?:\(([0-9a-fA-F-]{36})\))?$`)

func (d *dynamics365) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	at, ok := strings.CutPrefix(at, dynamicsPath)
	if !ok {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w.Header().Set("OData-Version", "4.0")
	w.Header().Set("x-ms-ratelimit-burst-remaining-xrm-requests", "5999")
	if strings.HasPrefix(at, "EntityDefinitions(") {
		d.definition(w, at)
		return true
	}
	m := dynamicsAt.FindStringSubmatch(at)
	if m == nil || d.kinds[m[1]] == nil {
		d.refuse(w, http.StatusNotFound, "0x80060888", "Resource not found for the segment '%s'.", at)
		return true
	}
	kind, id := d.kinds[m[1]], strings.ToLower(m[2])
	switch {
	case r.Method == http.MethodGet && id == "":
		d.list(w, r, kind)
	case r.Method == http.MethodGet:
		d.get(w, r, kind, id)
	case r.Method == http.MethodPost && id == "":
		d.create(w, r, kind)
	case r.Method == http.MethodPatch && id != "":
		d.update(w, r, kind, id)
	default:
		d.refuse(w, http.StatusMethodNotAllowed, "0x80060888", "The requested resource does not support http method '%s'.", r.Method)
	}
	return true
}

// definition answers what the environment knows about a record type, or about
// the columns of it that lead to other records.
func (d *dynamics365) definition(w http.ResponseWriter, at string) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(at, "EntityDefinitions(LogicalName='"), "')")
	var kind *dynamicsKind
	for _, k := range d.kinds {
		if k.name == name {
			kind = k
		}
	}
	switch {
	case kind == nil:
		d.refuse(w, http.StatusNotFound, "0x80060888", "Could not find an entity with name '%s'.", name)
	case rest == "":
		write(w, http.StatusOK, map[string]any{
			"LogicalName": kind.name, "EntitySetName": kind.set, "PrimaryIdAttribute": kind.id, "PrimaryNameAttribute": kind.display,
		})
	case rest == "/ManyToOneRelationships":
		all := []any{}
		for _, l := range kind.lookups {
			for _, target := range l.targets {
				all = append(all, map[string]any{
					"ReferencedEntity": target, "ReferencingAttribute": l.column, "ReferencingEntityNavigationPropertyName": l.navigation(target),
				})
			}
		}
		write(w, http.StatusOK, map[string]any{"value": all})
	default:
		d.refuse(w, http.StatusNotFound, "0x80060888", "Resource not found for the segment '%s'.", rest)
	}
}

func (d *dynamics365) list(w http.ResponseWriter, r *http.Request, kind *dynamicsKind) {
	q := r.URL.Query()
	fits := func(map[string]any) bool { return true }
	if text := q.Get("$filter"); text != "" {
		var err error
		if fits, err = dynamicsFilter(text, kind); err != nil {
			d.refuse(w, http.StatusBadRequest, "0x80060888", "%s", err)
			return
		}
	}
	top, found := 5000, []any{}
	if n, err := strconv.Atoi(q.Get("$top")); err == nil {
		top = n
	}
	for _, record := range d.records[kind.set] {
		if len(found) < top && fits(record) {
			selected, err := kind.selected(record, q.Get("$select"))
			if err != nil {
				d.refuse(w, http.StatusBadRequest, "0x80060888", "%s", err)
				return
			}
			found = append(found, selected)
		}
	}
	write(w, http.StatusOK, map[string]any{"@odata.context": d.base + "$metadata#" + kind.set, "value": found})
}

func (d *dynamics365) get(w http.ResponseWriter, r *http.Request, kind *dynamicsKind, id string) {
	record := d.find(kind, id)
	if record == nil {
		d.missing(w, kind, id)
		return
	}
	selected, err := kind.selected(record, r.URL.Query().Get("$select"))
	if err != nil {
		d.refuse(w, http.StatusBadRequest, "0x80060888", "%s", err)
		return
	}
	write(w, http.StatusOK, selected)
}

func (d *dynamics365) create(w http.ResponseWriter, r *http.Request, kind *dynamicsKind) {
	fields, ok := d.fields(w, r, kind)
	if !ok {
		return
	}
	if kind.name == "incident" && fields["_customerid_value"] == nil {
		d.refuse(w, http.StatusBadRequest, "0x80040203", "You should specify a parent contact or account.")
		return
	}
	if state, _ := fields["statecode"].(float64); state != 0 {
		d.refuse(w, http.StatusBadRequest, "0x80048408", "%v is not a valid status code on a %s that is created.", fields["statuscode"], kind.name)
		return
	}
	if r.Header.Get("MSCRM.SuppressDuplicateDetection") == "false" && d.duplicate(kind, fields) {
		d.refuse(w, http.StatusPreconditionFailed, "0x80040333", "A record was not created or updated because a duplicate of the current record already exists.")
		return
	}
	record := d.add(kind, "", fields)
	d.wrote(w, r, kind, record, http.StatusCreated)
}

// update changes a record. Without If-Match it makes the one that does not
// exist, as Dataverse does.
func (d *dynamics365) update(w http.ResponseWriter, r *http.Request, kind *dynamicsKind, id string) {
	fields, ok := d.fields(w, r, kind)
	if !ok {
		return
	}
	record, match := d.find(kind, id), r.Header.Get("If-Match")
	switch {
	case record == nil && match != "":
		d.missing(w, kind, id)
		return
	case record == nil:
		record = d.add(kind, id, fields)
	case match != "" && match != "*" && match != record["@odata.etag"]:
		d.refuse(w, http.StatusPreconditionFailed, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided.")
		return
	default:
		d.version++
		maps.Copy(record, fields)
		d.stamp(kind, record)
	}
	d.wrote(w, r, kind, record, http.StatusOK)
}

// wrote tells that a record was written: its id stands in a header, or the
// record in the body, never both.
func (d *dynamics365) wrote(w http.ResponseWriter, r *http.Request, kind *dynamicsKind, record map[string]any, status int) {
	if strings.Contains(r.Header.Get("Prefer"), "return=representation") {
		write(w, status, record)
		return
	}
	w.Header().Set("OData-EntityId", fmt.Sprintf("%s%s(%s)", d.base, kind.set, record[kind.id]))
	w.WriteHeader(http.StatusNoContent)
}

// add keeps a new record; an id is made when it has none.
func (d *dynamics365) add(kind *dynamicsKind, id string, fields map[string]any) map[string]any {
	d.version++
	if id == "" {
		id = fmt.Sprintf("7d1a0000-0000-4000-8000-%012x", d.version)
	}
	fields[kind.id] = id
	if kind.columns["statecode"] != 0 && fields["statecode"] == nil {
		fields["statecode"] = float64(0)
	}
	fields["createdon"] = d.clock.Now().UTC().Format("2006-01-02T15:04:05Z")
	d.stamp(kind, fields)
	d.records[kind.set] = append(d.records[kind.set], fields)
	return fields
}

func (d *dynamics365) stamp(kind *dynamicsKind, record map[string]any) {
	record["@odata.etag"] = fmt.Sprintf(`W/"%d"`, d.version)
	record["modifiedon"] = d.clock.Now().UTC().Format("2006-01-02T15:04:05Z")
	if kind.display == "fullname" {
		first, _ := record["firstname"].(string)
		last, _ := record["lastname"].(string)
		record["fullname"] = strings.TrimSpace(first + " " + last)
	}
}

func (d *dynamics365) find(kind *dynamicsKind, id string) map[string]any {
	for _, record := range d.records[kind.set] {
		if record[kind.id] == id {
			return record
		}
	}
	return nil
}

// duplicate tells whether the environment's rule finds the same: an e-mail
// address.
func (d *dynamics365) duplicate(kind *dynamicsKind, fields map[string]any) bool {
	address, ok := fields["emailaddress1"].(string)
	return ok && slices.ContainsFunc(d.records[kind.set], func(record map[string]any) bool {
		other, _ := record["emailaddress1"].(string)
		return strings.EqualFold(other, address)
	})
}

func (d *dynamics365) missing(w http.ResponseWriter, kind *dynamicsKind, id string) {
	d.refuse(w, http.StatusNotFound, "0x80040217", "%s With Id = %s Does Not Exist", kind.name, id)
}

func (d *dynamics365) refuse(w http.ResponseWriter, status int, code, format string, args ...any) {
	write(w, status, map[string]any{"error": map[string]any{"code": code, "message": fmt.Sprintf(format, args...)}})
}
