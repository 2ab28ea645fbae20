package sandbox

import (
	"fmt"
	"maps"
	"slices"
)

// WebexPop is a page that was shown on an agent's desktop.
type WebexPop struct {
	Agent      string
	URL        string
	Target     string
	Parameters map[string]any // of the query
}

// wxAgent is asked when nobody else was.
const wxAgent = "ada@contoso.example"

// wxRONA is why a task goes back into the queue when the agent does not answer.
const wxRONA = "RONA Timer Expired"

// Tasks returns all tasks, oldest first, those that failed included. They belong
// to the caller.
func (w *Webex) Tasks() []WebexTask {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]WebexTask, len(w.tasks))
	for i, t := range w.tasks {
		list[i] = *t
		list[i].Variables = maps.Clone(t.Variables)
		list[i].Messages, list[i].Notices = slices.Clone(t.Messages), slices.Clone(t.Notices)
	}
	return list
}

// Pops returns what was shown to an agent, oldest first; to all agents when agent
// is empty.
func (w *Webex) Pops(agent string) []WebexPop {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.pops), func(p WebexPop) bool { return agent != "" && p.Agent != agent })
}

// Park puts a task into the queue again, of which task:parked tells. Like the
// methods below it returns an error when there is no such task or it is over.
func (w *Webex) Park(id string) error {
	return w.with(id, func(t *WebexTask) {
		queue := t.Queue
		if queue == "" {
			queue = WebexQueue
		}
		w.move(t, "queued", queue, "", "task:parked")
	})
}

// Offer asks an agent, of which task:connect tells.
func (w *Webex) Offer(id, agent string) error {
	return w.with(id, func(t *WebexTask) { w.move(t, "offered", t.Queue, agent, "task:connect") })
}

// Answer lets an agent take a task, of which task:connected tells.
func (w *Webex) Answer(id, agent string) error {
	return w.with(id, func(t *WebexTask) { w.move(t, "assigned", t.Queue, agent, "task:connected") })
}

// RONA asks an agent, unless one is being asked, who does not answer: the task
// goes back into the queue. The events come in the order of the real ones,
// task:connect, task:parked and then a task:ended that is not the end.
func (w *Webex) RONA(id string) error {
	return w.with(id, func(t *WebexTask) {
		var events []wxEvent
		t.Updated = w.clock.Now()
		if t.State != "offered" {
			t.Agent = wxAgent
			events = append(events, w.event(t, "task:connect", nil))
		}
		ended := w.event(t, "task:ended", map[string]any{"terminatingParty": "System", "reason": wxRONA})
		t.State, t.Agent = "queued", ""
		w.emit(append(events, w.event(t, "task:parked", nil), ended)...)
	})
}

// End ends a task, of which task:ended tells. by is Agent, Customer or System.
func (w *Webex) End(id, by string) error {
	return w.with(id, func(t *WebexTask) { w.end(t, by) })
}

// with does something with a task that is not over.
func (w *Webex) with(id string, do func(*WebexTask)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.find(id)
	if t == nil || t.over() {
		return fmt.Errorf("sandbox: Webex Contact Center has no open task %q", id)
	}
	do(t)
	return nil
}
