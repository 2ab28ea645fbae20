package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// engage is a Webex Engage: conversations, each with a task at the sandbox's
// Webex Contact Center. Whoever gives it a webhookurl is told there what it did
// with a message, and answered only that it has it.
type engage struct {
	webex *Webex

	mu    sync.Mutex
	tasks map[string]string // by the conversation, its last task
}

// serve resolves a conversation: what fits an open one is appended, a closed one
// is opened again with a new task, but not a chat, and else there is a new one.
func (e *engage) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	if r.Method != http.MethodPost || !strings.HasSuffix(at, "/conversations/resolve") {
		return false
	}
	in, ok := readObject(r)
	text := func(name string) string { s, _ := in[name].(string); return s }
	var details map[string]any
	is := json.Unmarshal([]byte(text("Details JSON")), &details) == nil
	message, has := details["messageDetails"].(map[string]any)
	if !ok || !is || !has || text("Trans Id") == "" || text("Media Type") == "" {
		write(w, http.StatusBadRequest, map[string]any{"code": "4001", "description": "Trans Id, Media Type and Details JSON, a text, are required."})
		return true
	}
	first := func(names ...string) string {
		for _, name := range names {
			if s, is := message[name].(string); is && s != "" {
				return s
			}
		}
		return ""
	}
	customer := first("userId", "psId", "customerWhatsappId", "abcUserId", "customerEmailId", "senderNumber")
	business := first("businessEmailId", "facebookPageId", "waId", "serviceNumber", "accountId", "appId")
	key := strings.Join([]string{strings.ToLower(text("Media Type")), customer, business, first("threadId"), strings.TrimPrefix(first("subject"), "Re: ")}, "\n")

	e.mu.Lock()
	defer e.mu.Unlock()
	operation, task := e.resolve(key, strings.EqualFold(text("Media Type"), "chat"), WebexTask{
		ChannelType: "customMessaging", Channel: text("Media Channel"), Origin: customer,
		Destination: business, Messages: []string{first("message", "strippedText")},
	})
	e.tasks[key] = task
	did := map[string]any{"transId": text("Trans Id"), "taskId": task, "conversationOperation": operation}
	if to := text("webhookurl"); to != "" {
		e.webex.tell(to, did)
		write(w, http.StatusAccepted, map[string]any{})
		return true
	}
	write(w, http.StatusOK, did)
	return true
}

// engageTries is how often a post is sent that is not taken.
const engageTries = 5

// tell posts what became of a message in the background, unless events are lost.
func (w *Webex) tell(to string, did map[string]any) {
	body, _ := json.Marshal(did) // texts
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.switches.EventsOff {
		return
	}
	w.under.Go(func() {
		for try := range engageTries {
			if status, _ := w.post(wxPost{body: body}, to, ""); status >= 200 && status < 300 {
				return
			}
			select {
			case <-w.ctx.Done():
				return
			case <-time.After(time.Duration(try+1) * 200 * time.Millisecond):
			}
		}
	})
}

// resolve finds or begins the task of a conversation.
func (e *engage) resolve(key string, chat bool, task WebexTask) (operation, id string) {
	w := e.webex
	w.mu.Lock()
	defer w.mu.Unlock()
	last := w.find(e.tasks[key])
	switch {
	case last != nil && !last.over():
		last.Messages = append(last.Messages, task.Messages...)
		return "appended", last.ID
	case last != nil && !chat:
		operation = "reopened"
	default:
		operation = "created"
	}
	return operation, w.begin(task).ID
}
