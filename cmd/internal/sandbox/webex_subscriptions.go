package sandbox

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	wxActive   = "active"
	wxInactive = "inactive"
	wxAdmin    = "admin@contoso.example" // in whose name everything is done
)

// wxSubscription is a subscription to events, as the API shows it: without its
// secret.
type wxSubscription struct {
	ID              string   `json:"id"`
	Name            string   `json:"name"`
	Description     string   `json:"description,omitempty"`
	EventTypes      []string `json:"eventTypes"`
	DestinationURL  string   `json:"destinationUrl"`
	CreatedTime     int64    `json:"createdTime"`
	CreatedBy       string   `json:"createdBy"`
	Status          string   `json:"status"`
	LastUpdatedTime int64    `json:"lastUpdatedTime"`
	LastUpdatedBy   string   `json:"lastUpdatedBy"`
	ResourceVersion string   `json:"resourceVersion,omitempty"` // empty: of the first version of the API

	secret   string
	failures int // in a row
}

// answered counts the answer to an event.
func (s *wxSubscription) answered(status int) {
	switch {
	case status/100 == 2:
		s.failures = 0
	case s.failures+1 < wxFailures:
		s.failures++
	default:
		s.Status = wxInactive
	}
}

// wxTypes are the types of events by resource, in the order of the reference.
var wxTypes = []string{
	"agent:login", "agent:logout", "agent:state_change", "agent:channel_state_change", "agent:channelType_state_change", "capture:available",
	"task:new", "task:connect", "task:connected", "task:parked", "task:on-hold", "task:hold-done", "task:consulting",
	"task:consult-done", "task:conferencing", "task:conference-done", "task:conference-transferred", "task:ended", "task:failed",
	"task:origin-updated", "task-message:appended", "task-message:append-failed",
}

var wxVersions = []string{"agent:1.0.0", "agent:2.0.0", "capture:1.0.0", "task:1.0.0", "task-message:1.0.0"}

// serveSubscriptions serves subscriptions and the types of events; the first of
// parts is the version.
func (w *Webex) serveSubscriptions(out http.ResponseWriter, r *http.Request, at string, parts []string) bool {
	second := parts[0] == "v2"
	all := slices.DeleteFunc(slices.Clone(w.subscriptions), func(s *wxSubscription) bool { return (s.ResourceVersion != "") != second })
	meta := map[string]any{"orgId": WebexOrg}
	switch {
	case parts[1] == "event-types" && len(parts) == 2 && r.Method == http.MethodGet:
		write(out, http.StatusOK, wxEventTypes(second))
	case parts[1] == "event-types" || len(parts) > 3:
		return false
	case len(parts) == 2 && r.Method == http.MethodGet:
		meta["subscriptionCount"] = len(w.subscriptions)
		write(out, http.StatusOK, map[string]any{"meta": meta, "data": all})
	case len(parts) == 2 && r.Method == http.MethodPost:
		s := &wxSubscription{Status: wxActive}
		if why := s.change(r, second); why != "" || s.Name == "" || len(s.EventTypes) == 0 || s.DestinationURL == "" {
			wxRefuse(out, at, http.StatusBadRequest, "Validation failed: name, eventTypes and destinationUrl are required. "+why)
			return true
		}
		s.ID, s.CreatedBy, s.CreatedTime = w.id(), wxAdmin, w.clock.Now().UnixMilli()
		s.LastUpdatedBy, s.LastUpdatedTime = s.CreatedBy, s.CreatedTime
		w.subscriptions = append(w.subscriptions, s)
		meta["subscriptionCount"] = len(w.subscriptions)
		write(out, http.StatusCreated, map[string]any{"meta": meta, "data": s})
	case len(parts) == 3:
		i := slices.IndexFunc(w.subscriptions, func(s *wxSubscription) bool { return s.ID == parts[2] && slices.Contains(all, s) })
		if i < 0 {
			wxRefuse(out, at, http.StatusNotFound, "Subscription not found.")
			return true
		}
		w.oneSubscription(out, r, at, i)
	default:
		wxRefuse(out, at, http.StatusMethodNotAllowed, "Method not allowed.")
	}
	return true
}

// oneSubscription reads, changes or deletes a subscription.
func (w *Webex) oneSubscription(out http.ResponseWriter, r *http.Request, at string, i int) {
	s := w.subscriptions[i]
	switch r.Method {
	case http.MethodDelete:
		s.Status = wxInactive // for what is on its way
		w.subscriptions = slices.Delete(w.subscriptions, i, i+1)
		out.WriteHeader(http.StatusNoContent)
		return
	case http.MethodPatch:
		changed := *s
		if why := changed.change(r, s.ResourceVersion != ""); why != "" {
			wxRefuse(out, at, http.StatusBadRequest, "Validation failed: "+why)
			return
		}
		if changed.Status == wxActive {
			changed.failures = 0
		}
		changed.LastUpdatedTime = w.clock.Now().UnixMilli()
		*s = changed
	case http.MethodGet:
	default:
		wxRefuse(out, at, http.StatusMethodNotAllowed, "Method not allowed.")
		return
	}
	write(out, http.StatusOK, map[string]any{"meta": map[string]any{"orgId": WebexOrg}, "data": s})
}

// change takes what a body says into the subscription, and returns what is wrong
// with it.
func (s *wxSubscription) change(r *http.Request, second bool) (why string) {
	var in struct {
		Name, Description, DestinationURL, Status, Secret, OrgID, ResourceVersion *string

		EventTypes []string
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return "the body is no object of the documented form."
	}
	for _, f := range []struct {
		in          *string
		to          *string
		name        string
		least, most int
		of          []string
	}{
		{in.Name, &s.Name, "name", 4, 64, nil},
		{in.Description, &s.Description, "description", 0, 1024, nil},
		{in.DestinationURL, &s.DestinationURL, "destinationUrl", 1, 2048, nil},
		{in.Status, &s.Status, "status", 1, 8, []string{wxActive, wxInactive}},
		{in.Secret, &s.secret, "secret", 32, 256, nil},
		{in.OrgID, new(string), "orgId", 1, 36, []string{WebexOrg}},
		{in.ResourceVersion, &s.ResourceVersion, "resourceVersion", 1, 50, wxVersions},
	} {
		if f.in == nil {
			continue
		}
		if n := utf8.RuneCountInString(*f.in); n < f.least || n > f.most || f.of != nil && !slices.Contains(f.of, *f.in) {
			return f.name + " is not valid."
		}
		*f.to = *f.in
	}
	if second != (in.ResourceVersion != nil) {
		return "resourceVersion is required, in the second version only."
	}
	if in.EventTypes != nil {
		s.EventTypes = in.EventTypes
		if len(in.EventTypes) == 0 || len(in.EventTypes) > 32 {
			return "eventTypes must be 1 to 32."
		}
	}
	for _, kind := range s.EventTypes {
		if !slices.Contains(wxTypes, kind) {
			return kind + " is no event type."
		}
	}
	if in.DestinationURL != nil && !wxDestination(s.DestinationURL) {
		return "destinationUrl must be https with a path, without query, fragment, credentials or port."
	}
	return ""
}

// wxDestination tells whether events can be sent to an address. The real one
// takes https and public names only; this one takes loopback addresses besides,
// with http and a port, so that a hub on this machine can be told.
func wxDestination(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") {
		return false
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return u.Scheme == "http" || u.Scheme == "https"
	}
	return u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") && strings.Contains(u.Hostname(), ".")
}

// wxEventTypes lists what can be subscribed to.
func wxEventTypes(second bool) map[string]any {
	data := []any{}
	for _, kind := range wxTypes {
		resource, action, _ := strings.Cut(kind, ":")
		data = append(data, map[string]any{"name": kind, "resource": resource, "action": action})
	}
	meta := map[string]any{"orgId": WebexOrg}
	if second {
		versions := []any{}
		for _, v := range wxVersions {
			resource, version, _ := strings.Cut(v, ":")
			versions = append(versions, map[string]any{"resource": resource, "version": version})
		}
		meta["resourceVersionList"] = versions
	}
	return map[string]any{"meta": meta, "data": data}
}
