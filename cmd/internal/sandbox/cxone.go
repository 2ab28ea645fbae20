package sandbox

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// WorkItem is a work item of the sandbox's CXone.
type WorkItem struct {
	ContactID      string
	PointOfContact string
	ID             string // as the caller calls it
	Type           string
	Payload        string
	From           string
	Ended          bool
}

// cxone is a CXone: work items and their contacts.
type cxone struct {
	mu    sync.Mutex
	items []WorkItem
}

const (
	cxFirst   = 700_000_000_001 // the contact id of the first work item
	cxPayload = 50 << 10        // bytes that a work item takes
)

// WorkItems returns the work items of the sandbox's CXone, oldest first.
func (v *Vendors) WorkItems() []WorkItem {
	c := v.sites["cxone"].counter.crm.(*cxone)
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.items)
}

var cxServices = regexp.MustCompile(`^/incontactapi/services/v[0-9]+\.0/`)

func (c *cxone) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	prefix := cxServices.FindString(at)
	if prefix == "" || r.Method != http.MethodPost {
		return false
	}
	if !strings.Contains(r.Header.Get("Accept"), "application/json") { // a trap of the real one
		cxRefuse(w, http.StatusNotAcceptable, "No known way to render data.")
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := strings.Split(strings.TrimPrefix(at, prefix), "/")
	switch {
	case slices.Equal(parts, []string{"interactions", "work-items"}):
		c.create(w, r)
	case len(parts) == 3 && parts[0] == "contacts" && parts[2] == "end":
		c.end(w, parts[1])
	default:
		return false
	}
	return true
}

func cxRefuse(w http.ResponseWriter, status int, text string) {
	write(w, status, map[string]any{"error": strings.ReplaceAll(strings.ToLower(http.StatusText(status)), " ", "_"), "errorDescription": text})
}

// create makes a work item of what the query says.
func (c *cxone) create(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for name := range maps.Keys(q) {
		if !slices.Contains([]string{"pointOfContact", "workItemID", "workItemPayload", "workItemType", "from"}, name) {
			cxRefuse(w, http.StatusBadRequest, "Unknown parameter "+name+".")
			return
		}
	}
	item := WorkItem{
		ContactID: strconv.Itoa(cxFirst + len(c.items)), PointOfContact: q.Get("pointOfContact"),
		ID: q.Get("workItemID"), Type: q.Get("workItemType"), Payload: q.Get("workItemPayload"), From: q.Get("from"),
	}
	switch {
	case item.PointOfContact == "" || wxUUID.MatchString(item.PointOfContact):
		cxRefuse(w, http.StatusBadRequest, "pointOfContact must be the name of a point of contact.")
	case len(item.Payload) > cxPayload:
		cxRefuse(w, http.StatusBadRequest, "workItemPayload is too large.")
	default:
		c.items = append(c.items, item)
		write(w, http.StatusOK, map[string]any{"contactId": item.ContactID})
	}
}

// end ends the contact of a work item; ending it twice does nothing more.
func (c *cxone) end(w http.ResponseWriter, id string) {
	for i := range c.items {
		if c.items[i].ContactID == id {
			c.items[i].Ended = true
			w.WriteHeader(http.StatusAccepted)
			return
		}
	}
	cxRefuse(w, http.StatusNotFound, "There is no such contact.")
}
