package sandbox

import (
	"net/http"
	"slices"
	"strings"
)

// wxNodes begins the paths of what the nodes of Webex Connect call. Cisco does
// not publish them: they are those of the shipped mapping files.
const wxNodes = "/v1/integration/cntwct/"

// serveNodes serves the calls of the nodes; parts begin with the domain.
func (w *Webex) serveNodes(out http.ResponseWriter, r *http.Request, at string, parts []string) bool {
	if r.Method != http.MethodPost || len(parts) < 3 {
		return false
	}
	in, ok := readObject(r)
	text := func(name string) string { s, _ := in[name].(string); return s }
	if parts[1] == "organization" && len(parts) == 4 && parts[3] == "screenpop" {
		parameters, _ := in["queryParameters"].(map[string]any)
		if !ok || text("agentId") == "" || text("screenPopUrl") == "" || r.Header.Get("X-Organization-Id") != parts[2] {
			wxRefuse(out, at, http.StatusBadRequest, "X-ORGANIZATION-ID, agentId and screenPopUrl are required.")
			return true
		}
		w.pops = append(w.pops, WebexPop{text("agentId"), text("screenPopUrl"), text("target"), parameters})
		write(out, http.StatusAccepted, map[string]any{"transid": text("transid")})
		return true
	}
	verb := strings.Join(parts[3:], "/")
	known := []string{"queue", "routed/accept", "routed/reject", "modified/accept", "modified/reject", "close/accept", "close/reject"}
	if parts[1] != "tasks" || !slices.Contains(known, verb) {
		return false
	}
	t := w.find(parts[2])
	switch {
	case t == nil || t.over():
		wxRefuse(out, at, http.StatusNotFound, "There is no such open task.")
		return true
	case !ok || verb == "queue" && text("queueid") == "":
		wxRefuse(out, at, http.StatusBadRequest, "queueid is required.")
		return true
	case verb == "queue" && t.State == "assigned":
		wxRefuse(out, at, http.StatusConflict, "The task is assigned to an agent.")
		return true
	}
	t.Notices = append(t.Notices, verb)
	if verb == "queue" {
		t.Priority = text("contactPriority")
		w.move(t, "queued", text("queueid"), "", "task:parked")
	}
	write(out, http.StatusAccepted, map[string]any{"id": t.ID})
	return true
}

// wxQueues and wxVariables are configured in the organization.
var (
	wxQueues = []map[string]any{
		wxQueueOf(WebexQueue, "Field Service", "WORK_ITEM"),
		wxQueueOf("c1d5f0ab-3f5e-4f1f-9a53-6ce1a5e0b7d2", "Support Chat", "CHAT"),
	}
	wxVariables = []map[string]any{
		wxVariableOf("a7be0c4c-4a0e-4c4f-8d3a-1d6cf4b07a11", "hubTaskId", "STRING", ""),
		wxVariableOf("5e43e4fd-21c5-4d0f-93cf-4a2d2b3c8e22", "customerName", "STRING", ""),
		wxVariableOf("f0c7a26e-8d0b-44c0-b02b-7f1f3a4cbb33", "vip", "BOOLEAN", "false"),
	}
)

func wxQueueOf(id, name, channel string) map[string]any {
	return map[string]any{
		"id": id, "organizationId": WebexOrg, "name": name, "queueType": "INBOUND", "channelType": channel, "active": true,
		"checkAgentAvailability": false, "serviceLevelThreshold": 60, "maxActiveContacts": 1000, "maxTimeInQueue": 86400,
		"routingType": "LONGEST_AVAILABLE_AGENT", "queueRoutingType": "TEAM_BASED", "callDistributionGroups": []any{},
	}
}

func wxVariableOf(id, name, kind, value string) map[string]any {
	return map[string]any{
		"id": id, "organizationId": WebexOrg, "name": name, "variableType": kind, "defaultValue": value, "active": true,
		"agentEditable": false, "agentViewable": true, "reportable": false, "desktopLabel": name,
	}
}

// serveConfiguration lists queues and global variables.
func (w *Webex) serveConfiguration(out http.ResponseWriter, r *http.Request, at string, parts []string) bool {
	if r.Method != http.MethodGet || len(parts) != 4 || parts[2] != "v2" {
		return false
	}
	list := map[string][]map[string]any{"contact-service-queue": wxQueues, "cad-variable": wxVariables}[parts[3]]
	switch {
	case list == nil:
		return false
	case parts[1] != WebexOrg:
		wxRefuse(out, at, http.StatusForbidden, "The token is of another organization.")
		return true
	}
	meta := map[string]any{"orgid": WebexOrg, "page": 0, "pageSize": 100, "totalPages": 1, "totalRecords": len(list), "links": map[string]any{"self": at}}
	if page := r.URL.Query().Get("page"); page != "" && page != "0" {
		list = []map[string]any{}
	}
	write(out, http.StatusOK, map[string]any{"meta": meta, "data": list})
	return true
}
