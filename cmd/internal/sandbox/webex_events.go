package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	wxPatience = 5 * time.Second // for the answer to an event
	wxFailures = 10              // of a subscription in a row, then it becomes inactive
)

// WebexDelivery is what became of one attempt to deliver an event.
type WebexDelivery struct {
	Subscription string
	Event        string // id of the event, the same in each attempt
	Type         string
	TaskID       string
	Status       int // of the answer; 0: there was none
	Body         string
}

// wxEvent is what happened to a task.
type wxEvent struct {
	kind string // task:new
	task string
	data map[string]any
}

// wxPost is an event on its way to a subscription.
type wxPost struct {
	wxEvent
	subscription *wxSubscription
	id           string
	at           string // epoch milliseconds
	version      string // of the resource; empty: the subscription is of the first version
	body         []byte
}

// event tells what happened to a task, which has changed already.
func (w *Webex) event(t *WebexTask, kind string, more map[string]any) wxEvent {
	data := map[string]any{
		"taskId": t.ID, "channelType": t.ChannelType, "createdTime": t.Updated.UnixMilli(), "direction": "INBOUND",
		"origin": t.Origin, "destination": t.Destination, "outboundType": nil, "workflowManager": nil,
	}
	for name, value := range map[string]string{"channel": t.Channel, "queueId": t.Queue, "agentId": t.Agent} {
		if value != "" {
			data[name] = value
		}
	}
	maps.Copy(data, more)
	return wxEvent{kind, t.ID, data}
}

// emit sends events to all who subscribed to them, in the background.
func (w *Webex) emit(events ...wxEvent) {
	if w.switches.EventsOff {
		return
	}
	var posts []wxPost
	for _, e := range events {
		now := w.clock.Now().Truncate(time.Millisecond) // all that an event tells
		if !now.After(w.stamp) {
			now = w.stamp.Add(time.Millisecond)
		}
		w.stamp = now
		for _, s := range w.subscriptions {
			if !slices.Contains(s.EventTypes, e.kind) {
				continue
			}
			p := wxPost{wxEvent: e, subscription: s, id: w.id(), version: s.ResourceVersion}
			envelope := map[string]any{
				"id": p.id, "specversion": "1.0", "type": e.kind, "source": "/com/cisco/wxcc/" + s.ID,
				"comciscoorgid": WebexOrg, "datacontenttype": "application/json", "data": e.data,
			}
			if p.version != "" {
				p.at = strconv.FormatInt(now.UnixMilli(), 10)
				envelope["comciscotimestamp"] = now.UnixMilli()
			}
			p.body, _ = json.Marshal(envelope) // maps of texts and numbers
			if posts = append(posts, p); w.switches.Duplicated {
				posts = append(posts, p)
			}
		}
	}
	if w.switches.Shuffled && !w.switches.Held {
		slices.Reverse(posts)
	}
	w.queue = append(w.queue, posts...)
	w.start()
}

// start lets the events that are due be sent.
func (w *Webex) start() {
	if w.sending || w.closed || w.switches.Held || len(w.queue) == 0 {
		return
	}
	w.sending = true
	w.under.Go(w.send)
}

// send sends what is queued, one after the other.
func (w *Webex) send() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 && !w.switches.Held && !w.closed {
		p := w.queue[0]
		w.queue = w.queue[1:]
		if p.subscription.Status != wxActive {
			continue
		}
		url, secret := p.subscription.DestinationURL, p.subscription.secret
		w.mu.Unlock()
		status, body := w.post(p, url, secret)
		w.mu.Lock()
		w.deliveries = append(w.deliveries, WebexDelivery{
			Subscription: p.subscription.ID, Event: p.id, Type: p.kind, TaskID: p.task, Status: status, Body: body,
		})
		p.subscription.answered(status)
	}
	w.sending = false
	w.idle.Broadcast()
}

// post delivers one event and returns what was answered.
func (w *Webex) post(p wxPost, url, secret string) (status int, answer string) {
	ctx, cancel := context.WithTimeout(w.ctx, wxPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(p.body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	if secret != "" {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(p.body)
		req.Header.Set("X-WebexCC-Signature", hex.EncodeToString(mac.Sum(nil)))
	}
	if p.version != "" {
		req.Header.Set("X-WebExCC-Timestamp", p.at)
		req.Header.Set("X-WebexCC-Webhook-Version", p.version)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
	return res.StatusCode, string(text)
}

// Deliveries returns what became of all events so far, oldest first. It waits
// until those that are due have been sent.
func (w *Webex) Deliveries() []WebexDelivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.sending {
		w.idle.Wait()
	}
	return slices.Clone(w.deliveries)
}
