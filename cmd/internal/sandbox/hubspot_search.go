package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// hubSpotTypes are the numbers of the types.
var hubSpotTypes = map[string]string{
	"contacts": "0-1", "companies": "0-2", "deals": "0-3", "tickets": "0-5", "notes": "0-46", "calls": "0-48", "machines": "2-77",
}

// hubSpotProperties are the properties of each type.
var hubSpotProperties = map[string]string{
	"contacts": "hs_object_id firstname lastname email phone mobilephone company jobtitle address city state zip country website " +
		"lifecyclestage hs_lead_status notes_last_contacted",
	"companies": "hs_object_id name domain phone address city state zip country industry description numberofemployees annualrevenue",
	"deals":     "hs_object_id dealname amount dealstage pipeline closedate description",
	"tickets": "hs_object_id subject content hs_pipeline hs_pipeline_stage hs_ticket_priority hs_ticket_category source_type " +
		"hubspot_owner_id",
	"notes": "hs_object_id hs_timestamp hs_note_body hubspot_owner_id",
	"calls": "hs_object_id hs_timestamp hs_call_title hs_call_body hs_call_direction hs_call_duration hs_call_from_number hs_call_to_number " +
		"hs_call_status hs_call_disposition hubspot_owner_id",
	"machines": "hs_object_id serial model",
}

// hubSpotAssociations are the numbers of the kinds of associations.
var hubSpotAssociations = map[string]string{
	"notes 202": "contacts", "notes 190": "companies", "notes 214": "deals", "notes 228": "tickets",
	"calls 194": "contacts", "calls 182": "companies", "calls 206": "deals", "calls 220": "tickets",
	"tickets 16": "contacts", "tickets 26": "companies", "contacts 15": "tickets", "contacts 279": "companies",
	"notes 7": "machines", "calls 8": "machines",
}

// hubSpotSeeds are the first objects; their numbers begin at 101.
var hubSpotSeeds = []struct {
	kind       string
	properties map[string]any
}{
	{"contacts", map[string]any{"firstname": "Ada", "lastname": "Berger", "email": "ada.berger@alpenblick.example", "phone": "+41445550101"}},
	{"contacts", map[string]any{
		"firstname": "Milan", "lastname": "Novak", "email": "milan@novak-logistics.example", "phone": "+41 61 555 01 02",
		"company": "Novak Logistics", "jobtitle": "Managing Director",
	}},
	{"contacts", map[string]any{"firstname": "Sofia", "lastname": "Marino", "email": "sofia@marino-foods.example", "mobilephone": "+41 44 555 12 34"}},
	{"contacts", map[string]any{"firstname": "Jane", "lastname": "Doe", "email": "jane@doe.example", "phone": "(415) 555-0100"}},
	{"companies", map[string]any{"name": "Novak Logistics", "domain": "novak-logistics.example", "phone": "061 555 01 00", "city": "Basel"}},
	{"tickets", map[string]any{"subject": "Pallet missing", "hs_pipeline": "0", "hs_pipeline_stage": "1"}},
	{"machines", map[string]any{"serial": "M-77", "model": "Forklift"}},
}

// calculate fills what HubSpot derives from telephone numbers for its search:
// their digits without the country code.
func calculate(properties map[string]any) {
	for name, from := range map[string]string{
		"hs_searchable_calculated_phone_number": "phone", "hs_searchable_calculated_mobile_number": "mobilephone",
	} {
		number, _ := properties[from].(string)
		digits := strings.Map(func(r rune) rune {
			if unicode.IsDigit(r) {
				return r
			}
			return -1
		}, number)
		if strings.HasPrefix(number, "+") {
			digits = strings.TrimPrefix(strings.TrimPrefix(digits, "41"), "1")
		}
		if digits = strings.TrimPrefix(digits, "0"); digits != "" {
			properties[name] = digits
		}
	}
}

// hubSpotQuery is the body of a search: one of the groups must fit, and of it
// all filters.
type hubSpotQuery struct {
	FilterGroups []struct {
		Filters []hubSpotFilter `json:"filters"`
	} `json:"filterGroups"`
	Properties []string `json:"properties"`
	Limit      int      `json:"limit"`
	After      string   `json:"after"`
	Sorts      []any    `json:"sorts"`
	Query      string   `json:"query"`
}

type hubSpotFilter struct {
	PropertyName string   `json:"propertyName"`
	Operator     string   `json:"operator"`
	Value        string   `json:"value"`
	Values       []string `json:"values"`
}

func (h *hubSpot) search(w http.ResponseWriter, r *http.Request, kind string) {
	now := h.clock.Now()
	h.searches = slices.DeleteFunc(h.searches, func(t time.Time) bool { return now.Sub(t) >= time.Second })
	if len(h.searches) >= hubSpotSearches {
		h.refuse(w, http.StatusTooManyRequests, "RATE_LIMITS", "You have reached your secondly limit.")
		return
	}
	h.searches = append(h.searches, now)
	var q hubSpotQuery
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if d.Decode(&q) != nil || len(q.FilterGroups) > 5 || q.Limit > 200 {
		h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "Invalid input JSON, or too many filter groups")
		return
	}
	for _, g := range q.FilterGroups {
		for _, f := range g.Filters {
			if len(g.Filters) > 6 || !f.known(kind) {
				h.refuse(w, http.StatusBadRequest, "VALIDATION_ERROR", "There was a problem with the request: "+f.PropertyName+" "+f.Operator)
				return
			}
		}
	}
	found, total := []any{}, 0
	for _, o := range h.objects[kind] {
		if !now.Before(o.due) {
			o.found = o.properties
		}
		if o.found == nil || !q.fits(o.found) {
			continue
		}
		if total++; len(found) < max(q.Limit, 1) {
			found = append(found, o.shown(q.Properties))
		}
	}
	write(w, http.StatusOK, map[string]any{"total": total, "results": found})
}

func (f *hubSpotFilter) known(kind string) bool {
	calculated := kind != "tickets" && strings.HasPrefix(f.PropertyName, "hs_searchable_calculated_")
	if !calculated && !slices.Contains(strings.Fields(hubSpotProperties[kind]), f.PropertyName) {
		return false
	}
	switch f.Operator {
	case "IN", "NOT_IN":
		return len(f.Values) > 0 && f.Value == ""
	case "EQ", "NEQ", "GT", "GTE", "LT", "LTE", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN":
		return f.Value != "" && f.Values == nil
	default:
		return f.Operator == "HAS_PROPERTY" || f.Operator == "NOT_HAS_PROPERTY"
	}
}

func (q *hubSpotQuery) fits(properties map[string]any) bool {
	if len(q.FilterGroups) == 0 {
		return true
	}
	for _, g := range q.FilterGroups {
		all := true
		for _, f := range g.Filters {
			all = all && f.fits(properties)
		}
		if all {
			return true
		}
	}
	return false
}

// fits compares without regard to case. IN compares the texts as they are, in
// small letters.
func (f *hubSpotFilter) fits(properties map[string]any) bool {
	have, ok := properties[f.PropertyName].(string)
	have, want := strings.ToLower(have), strings.ToLower(f.Value)
	switch f.Operator {
	case "HAS_PROPERTY":
		return ok
	case "NOT_HAS_PROPERTY":
		return !ok
	case "EQ":
		return ok && have == want
	case "NEQ":
		return have != want
	case "IN":
		return ok && slices.Contains(f.Values, have)
	case "NOT_IN":
		return !slices.Contains(f.Values, have)
	case "CONTAINS_TOKEN":
		return ok && hubSpotToken(have, want)
	case "NOT_CONTAINS_TOKEN":
		return !hubSpotToken(have, want)
	}
	return hubSpotOrder(have, f.Operator, want)
}

// hubSpotOrder compares two numbers.
func hubSpotOrder(have, operator, want string) bool {
	a, errA := strconv.ParseFloat(have, 64)
	b, errB := strconv.ParseFloat(want, 64)
	if errA != nil || errB != nil {
		return false
	}
	switch operator {
	case "GT":
		return a > b
	case "GTE":
		return a >= b
	case "LT":
		return a < b
	default:
		return a <= b
	}
}

// hubSpotToken tells whether one of the words of a text is as the pattern says,
// in which * at either end stands for anything.
func hubSpotToken(text, pattern string) bool {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	middle := strings.Trim(pattern, "*")
	return slices.ContainsFunc(words, func(word string) bool {
		switch before, after := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*"); {
		case before && after:
			return strings.Contains(word, middle)
		case before:
			return strings.HasSuffix(word, middle)
		case after:
			return strings.HasPrefix(word, middle)
		default:
			return word == middle
		}
	})
}
