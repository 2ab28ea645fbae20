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
	"time"

	"tandem/core"
)

// How late HubSpot's search is, and how often it may be asked.
const (
	hubSpotLag      = 10 * time.Second
	hubSpotSearches = 4 // a second
)

// hubSpot is the CRM of hubspot.
type hubSpot struct {
	clock core.Clock

	mu       sync.Mutex
	objects  map[string][]*hubSpotObject // plural type -> objects, oldest first
	links    map[string]bool             // "contacts/101-tickets/102", both ways
	last     int                         // id
	searches []time.Time                 // of the last second
}

// hubSpotObject is a record. Search sees found until due has come.
type hubSpotObject struct {
	id             string
	properties     map[string]any
	created, saved time.Time

	found map[string]any // nil: not at all
	due   time.Time
}

func newHubSpot(_ string, clock core.Clock) *hubSpot {
	h := &hubSpot{clock: clock, objects: map[string][]*hubSpotObject{}, links: map[string]bool{}, last: 100}
	for _, seed := range hubSpotSeeds {
		o := h.add(seed.kind, maps.Clone(seed.properties))
		o.found, o.due = o.properties, time.Time{}
	}
	return h
}

var (
	hubSpotAt   = regexp.MustCompile(`^/crm/v3/objects/([a-z0-9_-]+)(?:/([0-9]+|search))?$`)
	hubSpotLink = regexp.MustCompile(`^/crm/v4/associations/([a-z0-9_-]+)/([a-z0-9_-]+)/labels$`)
)

func (h *hubSpot) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.Header().Set("X-HubSpot-RateLimit-Daily-Remaining", "249000")
	if m := hubSpotLink.FindStringSubmatch(at); m != nil && r.Method == http.MethodGet {
		h.labels(w, hubSpotKind(m[1]), hubSpotKind(m[2]))
		return true
	}
	m := hubSpotAt.FindStringSubmatch(at)
	if m == nil {
		return false
	}
	kind := hubSpotKind(m[1])
	if hubSpotProperties[kind] == "" {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Unable to infer object type from: "+m[1])
		return true
	}
	switch {
	case m[2] == "search" && r.Method == http.MethodPost:
		h.search(w, r, kind)
	case m[2] == "" && r.Method == http.MethodPost:
		h.create(w, r, kind)
	case m[2] != "" && r.Method == http.MethodGet, m[2] != "" && r.Method == http.MethodPatch:
		h.one(w, r, kind, m[2])
	default:
		h.refuse(w, http.StatusMethodNotAllowed, "VALIDATION_ERROR", "Method not allowed")
	}
	return true
}

func (h *hubSpot) create(w http.ResponseWriter, r *http.Request, kind string) {
	body, ok := object(r)
	properties, isMap := body["properties"].(map[string]any)
	if !ok || !isMap {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid input JSON")
		return
	}
	if !h.judge(w, kind, properties) {
		return
	}
	if other := h.same(kind, properties); other != nil {
		h.refuse(w, http.StatusConflict, "CONFLICT", "Contact already exists. Existing ID: "+other.id)
		return
	}
	if required := map[string]string{"notes": "hs_timestamp", "calls": "hs_timestamp", "tickets": "hs_pipeline_stage"}[kind]; required != "" && properties[required] == nil {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Error creating "+kind+". Some required properties were not set: "+required)
		return
	}
	to, ok := h.associations(kind, body["associations"])
	if !ok {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid association")
		return
	}
	o := h.add(kind, properties)
	for _, other := range to {
		h.link(kind+"/"+o.id, other)
	}
	write(w, http.StatusCreated, o.shown(nil))
}

// one reads or changes an object.
func (h *hubSpot) one(w http.ResponseWriter, r *http.Request, kind, id string) {
	o := h.find(kind, id)
	if o == nil {
		h.refuse(w, http.StatusNotFound, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
		return
	}
	if r.Method == http.MethodGet {
		write(w, http.StatusOK, o.shown(strings.Split(r.URL.Query().Get("properties"), ",")))
		return
	}
	body, ok := object(r)
	properties, isMap := body["properties"].(map[string]any)
	if !ok || !isMap {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid input JSON")
		return
	}
	if !h.judge(w, kind, properties) {
		return
	}
	if !h.clock.Now().Before(o.due) {
		o.found = maps.Clone(o.properties)
	}
	maps.Copy(o.properties, properties)
	o.saved, o.due = h.clock.Now(), h.clock.Now().Add(hubSpotLag)
	calculate(o.properties)
	write(w, http.StatusOK, o.shown(nil))
}

// judge refuses what is no property of the type, and what is no text.
func (h *hubSpot) judge(w http.ResponseWriter, kind string, properties map[string]any) bool {
	for name, value := range properties {
		if !slices.Contains(strings.Fields(hubSpotProperties[kind]), name) {
			h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", fmt.Sprintf(
				`Property values were not valid: [{"isValid":false,"message":"Property \"%s\" does not exist","error":"PROPERTY_DOESNT_EXIST","name":"%s"}]`, name, name))
			return false
		}
		if _, ok := value.(string); !ok {
			h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid input JSON: property values are strings")
			return false
		}
	}
	return true
}

// same is the contact that has the e-mail address already: contacts are told
// apart by it, other objects by nothing.
func (h *hubSpot) same(kind string, properties map[string]any) *hubSpotObject {
	address, _ := properties["email"].(string)
	if kind != "contacts" || address == "" {
		return nil
	}
	for _, o := range h.objects[kind] {
		if other, _ := o.properties["email"].(string); strings.EqualFold(other, address) {
			return o
		}
	}
	return nil
}

// associations reads what a new object is to be joined with. The number of the
// kind of the association must fit both ends.
func (h *hubSpot) associations(kind string, list any) (to []string, ok bool) {
	entries, _ := list.([]any)
	for _, entry := range entries {
		e, _ := entry.(map[string]any)
		id := fmt.Sprint(dig(e, "to", "id"))
		types, _ := e["types"].([]any)
		if len(types) != 1 {
			return nil, false
		}
		number, err := strconv.Atoi(fmt.Sprint(dig(types[0], "associationTypeId")))
		target := hubSpotAssociations[kind+" "+strconv.Itoa(number)]
		if err != nil || target == "" || dig(types[0], "associationCategory") != hubSpotCategory(number) || h.find(target, id) == nil {
			return nil, false
		}
		to = append(to, target+"/"+id)
	}
	return to, true
}

// labels answers by which kinds of associations two types are joined.
func (h *hubSpot) labels(w http.ResponseWriter, from, to string) {
	if hubSpotProperties[from] == "" || hubSpotProperties[to] == "" {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Unable to infer object type from: "+from+", "+to)
		return
	}
	all := []any{}
	for kind, target := range hubSpotAssociations {
		name, number, _ := strings.Cut(kind, " ")
		if id, err := strconv.Atoi(number); err == nil && name == from && target == to {
			all = append(all, map[string]any{"category": hubSpotCategory(id), "typeId": id, "label": nil})
		}
	}
	write(w, http.StatusOK, map[string]any{"results": all})
}

// hubSpotCategory tells who has defined a kind of association. The account's
// own have small numbers here.
func hubSpotCategory(id int) string {
	if id < 10 {
		return "USER_DEFINED"
	}
	return "HUBSPOT_DEFINED"
}

func (h *hubSpot) link(a, b string) { h.links[a+"-"+b], h.links[b+"-"+a] = true, true }

func (h *hubSpot) add(kind string, properties map[string]any) *hubSpotObject {
	h.last++
	now := h.clock.Now()
	o := &hubSpotObject{id: strconv.Itoa(h.last), properties: properties, created: now, saved: now, due: now.Add(hubSpotLag)}
	properties["hs_object_id"] = o.id
	calculate(properties)
	h.objects[kind] = append(h.objects[kind], o)
	return o
}

func (h *hubSpot) find(kind, id string) *hubSpotObject {
	for _, o := range h.objects[kind] {
		if o.id == id {
			return o
		}
	}
	return nil
}

// shown is an object as it is answered, without its address: all properties, or
// those that are asked for.
func (o *hubSpotObject) shown(names []string) map[string]any {
	properties := maps.Clone(o.properties)
	if names != nil {
		properties = map[string]any{"hs_object_id": o.id}
		for _, name := range names {
			if name != "" {
				properties[name] = o.properties[name]
			}
		}
	}
	return map[string]any{
		"id": o.id, "properties": properties, "archived": false,
		"createdAt": o.created.UTC().Format(time.RFC3339), "updatedAt": o.saved.UTC().Format(time.RFC3339),
	}
}

func (h *hubSpot) refuse(w http.ResponseWriter, status int, category, message string) {
	write(w, status, map[string]any{
		"status": "error", "message": message, "category": category, "correlationId": "00000000-0000-4000-8000-000000000000",
	})
}

// hubSpotKind is the plural name of a type, which paths may also give as a
// number or in the singular.
func hubSpotKind(name string) string {
	for kind, number := range hubSpotTypes {
		if name == number || name+"s" == kind {
			return kind
		}
	}
	if name == "company" {
		return "companies"
	}
	return name
}

// dig walks down a decoded document.
func dig(doc any, names ...string) any {
	for _, name := range names {
		fields, _ := doc.(map[string]any)
		doc = fields[name]
	}
	return doc
}
