package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WebexTask is a task of the sandbox's Webex Contact Center.
type WebexTask struct {
	ID          string
	State       string // created, queued, offered, assigned, abandoned, completed or failed
	ChannelType string // customMessaging, workItem or telephony
	Channel     string
	Origin      string
	Destination string
	Variables   map[string]string // its global variables and what was set later
	Messages    []string          // texts, the first one included
	Queue       string            // id of a queue
	Priority    string            // in the queue
	Agent       string            // id of an agent
	Notices     []string          // what the nodes told of it: routed/accept
	Created     time.Time
	Updated     time.Time
}

// over tells whether nothing more happens to a task.
func (t *WebexTask) over() bool {
	return t.State == "completed" || t.State == "abandoned" || t.State == "failed"
}

// wxParams are the contents of a new task or of a message.
type wxParams struct {
	Type    string
	Message *struct {
		AliasID      string
		Text         string
		Attachments  []any
		WorkItemData map[string]any
	}
}

// wrong tells why the contents do not fit a kind of task; empty: they do.
func (p *wxParams) wrong(channelType string) string {
	switch {
	case channelType == "telephony":
		return ""
	case p == nil || p.Message == nil:
		return "channelParams.message is required."
	case channelType == "workItem" && p.Type != "work-item-form":
		return "channelParams.type must be work-item-form."
	case channelType == "workItem" && len(p.Message.WorkItemData) == 0:
		return "channelParams.message.workItemData must have a field."
	case channelType == "customMessaging" && p.Type != "text" && p.Type != "text-with-attachments":
		return "channelParams.type must be text or text-with-attachments."
	case channelType == "customMessaging" && p.Message.Text == "" && len(p.Message.Attachments) == 0:
		return "channelParams.message.text is required."
	}
	return ""
}

// wxTooMuch tells why there is too much of some values; empty: there is not.
func wxTooMuch(name string, values map[string]string, most, length int) string {
	if len(values) > most {
		return fmt.Sprintf("%s: at most %d.", name, most)
	}
	for key, value := range values {
		if key == "" || len(key) > 200 || len(value) > length {
			return fmt.Sprintf("%s: keys of at most 200 and values of at most %d bytes.", name, length)
		}
	}
	return ""
}

// serveTasks serves tasks and the estimated wait time.
func (w *Webex) serveTasks(out http.ResponseWriter, r *http.Request, at string, parts []string) bool {
	route := r.Method + " " + at
	switch {
	case route == "POST /v2/tasks":
		w.createTask(out, r, at)
	case route == "GET /v1/tasks":
		w.listTasks(out, r, at)
	case route == "GET /v1/ewt":
		w.estimate(out, r, at)
	case r.Method == http.MethodPost && len(parts) == 4 && parts[0] == "v2" && parts[1] == "tasks" && parts[3] == "messages":
		w.appendMessage(out, r, at, parts[2])
	case r.Method == http.MethodPatch && len(parts) == 3 && parts[0] == "v1" && parts[1] == "tasks":
		w.patchTask(out, r, at, parts[2])
	case r.Method == http.MethodPost && len(parts) == 4 && parts[0] == "v1" && parts[1] == "tasks":
		return w.control(out, r, at, parts[2], parts[3])
	default:
		return false
	}
	return true
}

func (w *Webex) createTask(out http.ResponseWriter, r *http.Request, at string) {
	var in struct {
		ChannelType, Channel          string
		Origin                        struct{ ID string }
		Destination                   struct{ ID, Type string }
		ChannelParams                 *wxParams
		FlowSettings, GlobalVariables map[string]string
	}
	why := ""
	switch err := json.NewDecoder(r.Body).Decode(&in); {
	case err != nil:
		why = "the body is no object of the documented form."
	case !slices.Contains([]string{"workItem", "customMessaging", "telephony"}, in.ChannelType):
		why = "channelType must be workItem, customMessaging or telephony."
	case in.Origin.ID == "":
		why = "origin.id is required."
	case in.Destination.ID == "" || in.Destination.Type != "businessAddress":
		why = "destination.id is required, destination.type must be businessAddress."
	default:
		why = in.ChannelParams.wrong(in.ChannelType) + wxTooMuch("flowSettings", in.FlowSettings, 15, 512) +
			wxTooMuch("globalVariables", in.GlobalVariables, 30, 1024)
	}
	if why != "" {
		wxRefuse(out, at, http.StatusBadRequest, why)
		return
	}
	t := w.begin(WebexTask{
		ChannelType: in.ChannelType, Channel: in.Channel, Origin: in.Origin.ID,
		Destination: in.Destination.ID, Variables: in.GlobalVariables,
	})
	if p := in.ChannelParams; p != nil && p.Message != nil && p.Message.Text != "" {
		t.Messages = []string{p.Message.Text}
	}
	write(out, http.StatusCreated, map[string]any{"meta": map[string]any{"orgId": WebexOrg}, "data": map[string]any{"id": t.ID}})
}

// begin takes a new task, tells of it, and lets the flow put it into the queue.
func (w *Webex) begin(task WebexTask) *WebexTask {
	t := &task
	reason, text := w.switches.FailNext, "The task could not be created."
	w.switches.FailNext = ""
	for _, other := range w.tasks {
		if reason == "" && !other.over() && other.Origin == t.Origin && other.Destination == t.Destination {
			reason, text = "CONVERSATION_ALREADY_OPEN", "An open conversation exists with task id "+other.ID
		}
	}
	t.ID, t.State, t.Created = w.id(), "created", w.clock.Now()
	t.Updated = t.Created
	if t.Variables == nil {
		t.Variables = map[string]string{}
	}
	w.tasks = append(w.tasks, t)
	if reason != "" {
		t.State = "failed"
		w.emit(w.event(t, "task:failed", map[string]any{
			"reason": reason, "errorMessage": text, "failureType": "failed", "mediaMgr": "digitalmm",
		}))
		return t
	}
	events := []wxEvent{w.event(t, "task:new", nil)}
	if !w.switches.NoFlow {
		t.State, t.Queue = "queued", WebexQueue
		events = append(events, w.event(t, "task:parked", nil))
	}
	w.emit(events...)
	return t
}

func (w *Webex) find(id string) *WebexTask {
	for _, t := range w.tasks {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// appendMessage takes a message; whether it could be appended, an event tells.
func (w *Webex) appendMessage(out http.ResponseWriter, r *http.Request, at, id string) {
	var in struct{ ChannelParams *wxParams }
	if json.NewDecoder(r.Body).Decode(&in) != nil || in.ChannelParams == nil || in.ChannelParams.Message == nil {
		wxRefuse(out, at, http.StatusBadRequest, "channelParams.message is required.")
		return
	}
	message := in.ChannelParams.Message
	event := message.AliasID
	if !wxUUID.MatchString(event) {
		event = w.id()
	}
	more := map[string]any{"messageDirection": "INBOUND", "eventDetails": nil, "channelParams": nil, "reason": nil, "errorMessage": nil}
	t, kind := w.find(id), "task-message:append-failed"
	switch {
	case t == nil || t.over():
		t = &WebexTask{ID: id, Updated: w.clock.Now()}
		more["reason"], more["errorMessage"] = "NOT_FOUND", "The task could not be found."
	case in.ChannelParams.wrong(t.ChannelType) != "":
		more["reason"], more["errorMessage"] = "INVALID_CONTENT", in.ChannelParams.wrong(t.ChannelType)
	default:
		kind = "task-message:appended"
		more["eventDetails"], more["channelParams"] = "Appended data successfully.", in.ChannelParams
		t.Messages, t.Updated = append(t.Messages, message.Text), w.clock.Now()
	}
	w.emit(w.event(t, kind, more))
	write(out, http.StatusAccepted, map[string]any{"meta": map[string]any{"orgId": WebexOrg}, "data": map[string]any{"id": event}})
}

var wxUUID = regexp.MustCompile(`(?i)^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)

// patchTask sets variables of a task.
func (w *Webex) patchTask(out http.ResponseWriter, r *http.Request, at, id string) {
	var in struct{ Attributes map[string]any }
	t := w.find(id)
	values := map[string]string{}
	err := json.NewDecoder(r.Body).Decode(&in)
	for key, value := range in.Attributes {
		values[key] = fmt.Sprint(value)
	}
	switch {
	case err != nil || in.Attributes == nil || wxTooMuch("attributes", values, 30, 1024) != "":
		wxRefuse(out, at, http.StatusBadRequest, "")
		return
	case t == nil || t.over():
		wxRefuse(out, at, http.StatusNotFound, "")
		return
	}
	for key, value := range values {
		t.Variables[key] = value
	}
	t.Updated = w.clock.Now()
	out.WriteHeader(http.StatusAccepted)
}

// control does what an agent's desktop asks for, as far as there is use for it
// here. Ending what has ended is accepted, and nothing comes of it.
func (w *Webex) control(out http.ResponseWriter, r *http.Request, at, id, verb string) bool {
	t := w.find(id)
	in, _ := readObject(r)
	text := func(name string) string { s, _ := in[name].(string); return s }
	required := map[string][]string{
		"accept": {}, "end": {}, "reject": {"mediaResourceId"}, "hold": {"mediaResourceId"}, "unhold": {"mediaResourceId"},
		"wrapup": {"auxCodeId", "wrapUpReason"}, "transfer": {"to", "destinationType"},
	}
	fields, known := required[verb]
	switch {
	case !known:
		return false
	case slices.ContainsFunc(fields, func(name string) bool { return text(name) == "" }):
		wxRefuse(out, at, http.StatusBadRequest, "")
		return true
	case t == nil:
		wxRefuse(out, at, http.StatusNotFound, "")
		return true
	}
	out.WriteHeader(http.StatusAccepted)
	switch {
	case verb == "end" && !t.over():
		w.end(t, "Agent")
	case verb == "accept" && t.State == "offered":
		w.move(t, "assigned", t.Queue, t.Agent, "task:connected")
	case verb == "reject" && t.State == "offered":
		w.move(t, "queued", t.Queue, "", "task:parked")
	case verb == "hold" && t.State == "assigned":
		w.move(t, t.State, t.Queue, t.Agent, "task:on-hold")
	case verb == "unhold" && t.State == "assigned":
		w.move(t, t.State, t.Queue, t.Agent, "task:hold-done")
	case verb == "transfer" && !t.over() && text("destinationType") == "queue":
		w.move(t, "queued", text("to"), "", "task:parked")
	case verb == "transfer" && !t.over() && text("destinationType") == "agent":
		w.move(t, "offered", t.Queue, text("to"), "task:connect")
	}
	return true
}

// move changes where a task is, and tells of it.
func (w *Webex) move(t *WebexTask, state, queue, agent, kind string) {
	t.State, t.Queue, t.Agent, t.Updated = state, queue, agent, w.clock.Now()
	w.emit(w.event(t, kind, nil))
}

// end ends a task.
func (w *Webex) end(t *WebexTask, by string) {
	state := "completed"
	if t.State != "assigned" {
		state = "abandoned"
	}
	t.State, t.Updated = state, w.clock.Now()
	w.emit(w.event(t, "task:ended", map[string]any{"terminatingParty": by, "reason": by + " Left"}))
}

// listTasks lists tasks by the time of their creation.
func (w *Webex) listTasks(out http.ResponseWriter, r *http.Request, at string) {
	q := r.URL.Query()
	from, err := strconv.ParseInt(q.Get("from"), 10, 64)
	to, size := w.clock.Now().UnixMilli(), 100
	if q.Has("to") && err == nil {
		to, err = strconv.ParseInt(q.Get("to"), 10, 64)
	}
	if q.Has("pageSize") && err == nil {
		size, err = strconv.Atoi(q.Get("pageSize"))
	}
	if err != nil || size < 1 || size > 1000 {
		wxRefuse(out, at, http.StatusBadRequest, "from, to or pageSize is not valid.")
		return
	}
	kinds := strings.ToLower(q.Get("channelTypes"))
	data := []any{}
	for _, t := range w.tasks {
		created := t.Created.UnixMilli()
		if t.State == "failed" || created < from || created > to || len(data) == size ||
			kinds != "" && !slices.Contains(strings.Split(kinds, ","), strings.ToLower(t.ChannelType)) {
			continue
		}
		data = append(data, map[string]any{"id": t.ID, "attributes": map[string]any{
			"owner": wxNamed(t.Agent), "queue": wxNamed(t.Queue), "channelType": t.ChannelType, "status": t.State,
			"createdTime": created, "lastUpdatedTime": t.Updated.UnixMilli(), "captureRequested": false,
			"origin": t.Origin, "destination": t.Destination, "direction": "inbound",
		}})
	}
	write(out, http.StatusOK, map[string]any{"meta": map[string]any{"orgId": WebexOrg}, "data": data})
}

func wxNamed(id string) map[string]any { return map[string]any{"id": id, "name": id} }

// estimate tells the estimated wait time, if it is known.
func (w *Webex) estimate(out http.ResponseWriter, r *http.Request, at string) {
	q := r.URL.Query()
	minutes, err := strconv.Atoi(q.Get("lookbackMinutes"))
	switch {
	case err != nil || minutes < 5 || minutes > 240 || q.Get("queueId") == "":
		wxRefuse(out, at, http.StatusBadRequest, "queueId is required, lookbackMinutes must be 5 to 240.")
	case w.switches.EWT == 0 || !slices.ContainsFunc(wxQueues, func(queue map[string]any) bool { return queue["id"] == q.Get("queueId") }):
		out.WriteHeader(http.StatusNoContent)
	default:
		write(out, http.StatusOK, map[string]any{"estimatedWaitTime": w.switches.EWT})
	}
}
