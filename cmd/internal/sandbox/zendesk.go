package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/core"
)

// zendesk is an account of Zendesk Support: users, tickets with their comments,
// records of the custom object "parcel", and search.
type zendesk struct {
	address string // of the account, without the API's path
	clock   core.Clock

	mu      sync.Mutex
	last    int
	records map[string][]map[string]any // by kind: user, ticket, comment, parcel
	updates map[string][]time.Time      // of a ticket, in the last ten minutes
}

// The agents of the account: whose credential it is, and nobody else, may be
// shown a ticket of a call.
const zdAgent = 900_000_000_001

func newZendesk(prefix string, clock core.Clock) *zendesk {
	z := &zendesk{
		address: prefix, clock: clock, last: zdAgent - 1,
		records: map[string][]map[string]any{}, updates: map[string][]time.Time{},
	}
	z.insert("user", map[string]any{"name": "Ada Agent", "role": "agent", "email": "ada@contoso.example"})
	milan := z.insert("user", map[string]any{
		"name": "Milan Novak", "role": "end-user", "phone": "+41615550102", "email": "milan@novak-logistics.example", "notes": "Novak Logistics",
	})
	z.insert("user", map[string]any{"name": "Jane O'Hara", "role": "end-user", "phone": "+41 44 555 12 34", "email": "jane@ohara.example"})
	z.insert("user", map[string]any{"name": "Golden Gate Tours", "role": "end-user", "phone": "(415) 555-0100"})
	z.insert("user", map[string]any{"name": "Another country", "role": "end-user", "phone": "+49615550102"})
	for _, t := range [][2]string{{"Pallet is late", "open"}, {"Invoice", "closed"}} {
		z.insert("ticket", map[string]any{"subject": t[0], "description": t[0], "status": t[1], "priority": "high", "requester_id": milan})
	}
	return z
}

// insert keeps a record, which it returns the id of.
func (z *zendesk) insert(kind string, fields map[string]any) int {
	z.last++
	now := z.clock.Now().UTC().Format(time.RFC3339)
	record := map[string]any{"created_at": now, "updated_at": now}
	if kind == "ticket" {
		record["status"], record["via"], record["requester_id"] = "new", map[string]any{"channel": "api"}, zdAgent
	}
	maps.Copy(record, fields)
	record["id"] = z.last
	record["url"] = fmt.Sprintf("%s/api/v2/%ss/%d.json", z.address, kind, z.last)
	z.records[kind] = append(z.records[kind], record)
	return z.last
}

func (z *zendesk) find(kind, id string) map[string]any {
	for _, record := range z.records[kind] {
		if fmt.Sprint(record["id"]) == id {
			return record
		}
	}
	return nil
}

func (z *zendesk) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	rest, found := strings.CutPrefix(strings.TrimSuffix(at, ".json"), "/api/v2/")
	if !found || rest == "users/me" {
		return false
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	w.Header().Set("X-Rate-Limit", "700")
	w.Header().Set("X-Rate-Limit-Remaining", "699")
	parts := strings.Split(rest, "/")
	switch route := r.Method + " " + rest; {
	case route == "GET users/search":
		z.search(w, "type:user "+r.URL.Query().Get("query"), "users")
	case route == "GET search":
		z.search(w, r.URL.Query().Get("query"), "results")
	case route == "POST users":
		z.createUser(w, r)
	case route == "POST tickets":
		z.createTicket(w, r, "")
	case route == "POST channels/voice/tickets":
		z.createTicket(w, r, "voice")
	case len(parts) == 2 && (parts[0] == "users" || parts[0] == "tickets"):
		z.one(w, r, strings.TrimSuffix(parts[0], "s"), parts[1])
	case strings.HasPrefix(rest, "custom_objects/parcel/records"):
		z.parcel(w, r, parts[3:])
	default:
		zdRefuse(w, http.StatusNotFound, "InvalidEndpoint", "Not found", nil)
	}
	return true
}

// zdRefuse answers with an error; details are by field.
func zdRefuse(w http.ResponseWriter, status int, code, description string, details map[string]string) {
	body := map[string]any{"error": code, "description": description}
	if details != nil {
		out := map[string]any{}
		for field, text := range details {
			code := "InvalidValue"
			if strings.Contains(text, "already") {
				code = "DuplicateValue"
			}
			out[field] = []any{map[string]any{"description": text, "error": code}}
		}
		body["details"] = out
	}
	write(w, status, body)
}

func zdInvalid(w http.ResponseWriter, field, text string) {
	zdRefuse(w, http.StatusUnprocessableEntity, "RecordInvalid", "Record validation errors", map[string]string{field: text})
}

// zdBody reads the object that a body holds under a name.
func zdBody(w http.ResponseWriter, r *http.Request, name string) (map[string]any, map[string]any, bool) {
	whole, ok := readObject(r)
	fields, is := whole[name].(map[string]any)
	if !ok || !is {
		zdRefuse(w, http.StatusBadRequest, "InvalidPayload", "Parameter "+name+" is required", nil)
	}
	return fields, whole, ok && is
}

func (z *zendesk) createUser(w http.ResponseWriter, r *http.Request) {
	fields, _, ok := zdBody(w, r, "user")
	if !ok {
		return
	}
	if fields["name"] == nil {
		zdInvalid(w, "name", "Name: cannot be blank")
		return
	}
	for _, other := range z.records["user"] {
		if mail, is := fields["email"].(string); is && strings.EqualFold(mail, fmt.Sprint(other["email"])) {
			zdInvalid(w, "email", "Email: "+mail+" is already being used by another user")
			return
		}
	}
	if fields["role"] == nil {
		fields["role"] = "end-user"
	}
	id := z.insert("user", fields)
	z.created(w, "user", strconv.Itoa(id))
}

// created answers with a new record.
func (z *zendesk) created(w http.ResponseWriter, kind, id string) {
	record := z.find(kind, id)
	w.Header().Set("Location", record["url"].(string))
	write(w, http.StatusCreated, map[string]any{kind: record})
}

// createTicket makes a ticket; of a call when the channel is voice.
func (z *zendesk) createTicket(w http.ResponseWriter, r *http.Request, channel string) {
	fields, whole, ok := zdBody(w, r, "ticket")
	if !ok {
		return
	}
	comment, has := fields["comment"].(map[string]any)
	if channel == "voice" {
		via, _ := fields["via_id"].(float64)
		shown := whole["display_to_agent"]
		switch {
		case via < 44 || via > 46:
			zdInvalid(w, "via_id", "Via: is not allowed")
			return
		case shown != nil && shown != float64(zdAgent):
			zdInvalid(w, "display_to_agent", "display_to_agent is invalid")
			return
		}
		comment, has = fields["voice_comment"].(map[string]any)
		fields["via"] = map[string]any{"channel": "voice"}
	}
	if !has && fields["description"] == nil {
		zdInvalid(w, "base", "Description: cannot be blank")
		return
	}
	if person, is := fields["requester"].(map[string]any); is {
		requester := z.insert("user", person)
		if mail, is := person["email"].(string); is {
			for _, u := range z.records["user"] {
				if u["email"] == mail { // the one who is known by that address, else the new one
					requester = u["id"].(int)
					break
				}
			}
		}
		fields["requester_id"] = requester
	}
	for _, name := range []string{"comment", "voice_comment", "requester"} {
		delete(fields, name)
	}
	if fields["description"] == nil {
		fields["description"] = comment["body"]
	}
	id := strconv.Itoa(z.insert("ticket", fields))
	z.comment(id, comment)
	z.created(w, "ticket", id)
}

// comment keeps a comment of a ticket.
func (z *zendesk) comment(ticket string, comment map[string]any) {
	if comment != nil {
		public := comment["public"] != false
		comment = maps.Clone(comment)
		comment["public"], comment["ticket"] = public, ticket
		z.insert("comment", comment)
	}
}

// one reads or changes a user or a ticket.
func (z *zendesk) one(w http.ResponseWriter, r *http.Request, kind, id string) {
	record := z.find(kind, id)
	switch {
	case record == nil:
		zdRefuse(w, http.StatusNotFound, "RecordNotFound", "Not found", nil)
	case r.Method == http.MethodGet:
		write(w, http.StatusOK, map[string]any{kind: record})
	case r.Method != http.MethodPut:
		zdRefuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "Method not allowed", nil)
	case kind == "ticket" && z.busy(id):
		w.Header().Set("Retry-After", "600")
		w.Header().Set("zendesk-ratelimit-ticket-updates", "total=30; remaining=0; resets=600")
		zdRefuse(w, http.StatusTooManyRequests, "TooManyTicketUpdates", "Number of allowed ticket updates exceeded", nil)
	case kind == "ticket" && record["status"] == "closed":
		zdInvalid(w, "status", "Status: closed prevents ticket update")
	default:
		fields, _, ok := zdBody(w, r, kind)
		if !ok {
			return
		}
		if fields["safe_update"] == true && fields["updated_stamp"] != record["updated_at"] {
			zdRefuse(w, http.StatusConflict, "UpdateConflict",
				"Safe Update prevented the update due to outdated ticket data. Please fetch the latest ticket data and try again.", nil)
			return
		}
		comment, _ := fields["comment"].(map[string]any)
		z.comment(id, comment)
		for _, name := range []string{"comment", "safe_update", "updated_stamp"} {
			delete(fields, name)
		}
		maps.Copy(record, fields)
		z.touch(record)
		answer := map[string]any{kind: record}
		if kind == "ticket" {
			answer["audit"] = map[string]any{"id": z.last, "ticket_id": record["id"]}
		}
		write(w, http.StatusOK, answer)
	}
}

// touch sets the time of the last change, which no two changes share.
func (z *zendesk) touch(record map[string]any) {
	now := z.clock.Now().UTC()
	if before, err := time.Parse(time.RFC3339, record["updated_at"].(string)); err == nil && !now.After(before) {
		now = before.Add(time.Second)
	}
	record["updated_at"] = now.Format(time.RFC3339)
}

// busy tells whether a ticket was updated 30 times in the last ten minutes, and
// counts the update otherwise.
func (z *zendesk) busy(id string) bool {
	since := z.clock.Now().Add(-10 * time.Minute)
	var recent []time.Time
	for _, at := range z.updates[id] {
		if at.After(since) {
			recent = append(recent, at)
		}
	}
	z.updates[id] = recent
	if len(recent) >= 30 {
		return true
	}
	z.updates[id] = append(recent, z.clock.Now())
	return false
}

// parcel makes or changes a record of the custom object.
func (z *zendesk) parcel(w http.ResponseWriter, r *http.Request, id []string) {
	const name = "custom_object_record"
	fields, _, ok := zdBody(w, r, name)
	if !ok {
		return
	}
	values, _ := fields["custom_object_fields"].(map[string]any)
	for key := range values {
		if key != "weight" && key != "carrier" {
			zdInvalid(w, "custom_object_fields", key+": is not a field of the custom object")
			return
		}
	}
	switch {
	case r.Method == http.MethodPost && len(id) == 0 && fields["name"] == nil:
		zdInvalid(w, "name", "Name: cannot be blank")
	case r.Method == http.MethodPost && len(id) == 0:
		n := strconv.Itoa(z.insert("parcel", fields))
		record := z.find("parcel", n)
		record["id"], record["custom_object_key"] = n, "parcel" // texts, unlike ids of tickets
		write(w, http.StatusCreated, map[string]any{name: record})
	case r.Method == http.MethodPatch && len(id) == 1 && z.find("parcel", id[0]) != nil:
		record := z.find("parcel", id[0])
		kept, _ := record["custom_object_fields"].(map[string]any)
		kept = maps.Clone(kept)
		if kept == nil {
			kept = map[string]any{}
		}
		maps.Copy(kept, values)
		maps.Copy(record, fields)
		record["custom_object_fields"] = kept
		write(w, http.StatusOK, map[string]any{name: record})
	default:
		zdRefuse(w, http.StatusNotFound, "RecordNotFound", "Not found", nil)
	}
}
