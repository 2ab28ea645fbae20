package webex

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"tandem/core"
	"tandem/core/delivery"
	"tandem/core/execution"
	"tandem/core/outbox"
	"tandem/core/server"
	"tandem/core/store"
)

// kindNode is the kind of items that hold a call whose last word is posted.
const kindNode = "node"

// maxPending bounds what a tenant may have taken in, and pendingPause is when to
// come back.
const (
	maxPending   = 10_000
	pendingPause = 30 * time.Second
)

// pending is such a call. It holds an address that lets whoever knows it talk to
// a flow, and what customers wrote: it is stored sealed.
type pending struct {
	ID     string          `json:"id"`
	Caller core.Caller     `json:"caller"`
	Node   string          `json:"node"`
	Method string          `json:"method"`
	Body   json.RawMessage `json:"body,omitempty"`
	URL    string          `json:"url"`
	Answer json.RawMessage `json:"answer,omitempty"` // once there is one
	Ends   time.Time       `json:"ends"`             // the call is on time until then
}

func pendingPlace(tenant string) string { return "webex/call/" + tenant }

// later takes a call in, to be done behind the caller's back. What it returns is
// on disk.
func (a *Adapter) later(ctx context.Context, k *call, body []byte) (answer, error) {
	if _, err := a.o.Hosts.CheckURL(k.r.WebhookURL); err != nil {
		return answer{}, core.InvalidField("webhookUrl", "%s", err.Error())
	}
	if k.r.Authorization != "" {
		if err := a.authorized(ctx, k); err != nil {
			return answer{}, err
		}
	}
	now := a.o.Clock.Now()
	payload, err := a.seal(k.who.Tenant, pending{
		ID: k.id, Caller: k.who, Node: k.m.Node, Method: k.m.Name, Body: body, URL: k.r.WebhookURL, Ends: now.Add(laterTime),
	})
	if err != nil {
		return answer{}, err
	}
	item := store.OutboxItem{
		Tenant: k.who.Tenant, Kind: kindNode, Payload: payload, DueMs: now.UnixMilli(), CreatedMs: now.UnixMilli(),
	}
	err = a.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.CountOutbox(ctx, k.who.Tenant, kindNode, maxPending)
		if err != nil {
			return err
		}
		if n >= maxPending {
			return &core.Error{
				Kind: core.Throttled, Code: "TOO_MANY_PENDING", RetryAfter: pendingPause,
				Message: fmt.Sprintf("%d calls of the tenant wait for their webhookUrl to take the answer", n),
			}
		}
		tx.After(a.o.Wake)
		return tx.InsertOutbox(ctx, []store.OutboxItem{item})
	})
	first := answer{Outputs: map[string]any{}, CorrelationID: k.id}
	if word := k.m.Words[causeAccepted]; word != "" { // the only word that is not the last
		first.Outcome = &word
	}
	for _, name := range k.m.Outputs {
		switch name {
		case "taskId":
			first.Outputs[name] = k.r.TaskID
		case "transId":
			first.Outputs[name] = k.r.TransID
		}
	}
	return first, err
}

func (a *Adapter) seal(tenant string, p pending) ([]byte, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", p.ID, err)
	}
	return a.o.Box.Seal(pendingPlace(tenant), text), nil
}

// Handlers are what the outbox worker needs.
func (a *Adapter) Handlers() map[string]outbox.Handler {
	return map[string]outbox.Handler{kindNode: a.finish}
}

// finish does a call that was taken in, keeps its answer, and posts that until
// it has arrived. A hub that dies in between does the call again, which comes to
// the same.
func (a *Adapter) finish(ctx context.Context, it store.OutboxItem) outbox.Verdict {
	var p pending
	text, err := a.o.Box.Open(pendingPlace(it.Tenant), it.Payload)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		a.o.Failed("a call that was taken in cannot be read", fmt.Errorf("%s: %w", it.ID, err))
		return outbox.Verdict{Done: true}
	}
	if p.Answer != nil {
		return a.post(ctx, it, &p)
	}
	if p.Answer = a.settle(ctx, &p); p.Answer == nil {
		return outbox.Verdict{} // not now: the hub stops, or its database takes nothing
	}
	p.Body = nil
	payload, err := a.seal(it.Tenant, p)
	if err != nil {
		a.o.Failed("a call that was taken in has no answer", err)
		return outbox.Verdict{Done: true}
	}
	return outbox.Verdict{Payload: payload}
}

// settle does a call and returns its answer; nil when it must be done later.
func (a *Adapter) settle(ctx context.Context, p *pending) []byte {
	began, took := a.o.Clock.Now(), core.Stopwatch()
	m, ok := methodOf(p.Node, p.Method)
	if !ok {
		return server.EncodeJSON(answer{Outputs: map[string]any{}, CorrelationID: p.ID})
	}
	k := &call{m: m, id: p.ID}
	err := a.person(k, p.Caller)
	if err == nil {
		k.r, err = decode(m, p.Body)
	}
	var done result
	if err == nil {
		limit, cancel := context.WithTimeout(ctx, max(p.Ends.Sub(began), time.Second))
		done, err = a.perform(limit, k)
		cancel()
	}
	v := k.verdict(done, err)
	if ctx.Err() != nil || err != nil && v.Status == http.StatusServiceUnavailable && began.Before(p.Ends) {
		return nil
	}
	a.record(k, v, done, err, began, took())
	last := answer{Outcome: &v.Outcome, Outputs: done.outputs, CorrelationID: p.ID}
	if err != nil {
		last.Outputs, last.Error = map[string]any{}, &v.Failure
	}
	return server.EncodeJSON(last)
}

// post tells the flow the last word. It is sent as events to flows are, and
// always has the same webhook-id.
func (a *Adapter) post(ctx context.Context, it store.OutboxItem, p *pending) outbox.Verdict {
	letter := delivery.Letter{Tenant: it.Tenant, ID: p.ID, URL: p.URL, Body: p.Answer}
	receipt := letter.Send(ctx, a.o.Sender, a.o.Sign, a.o.Clock.Now())
	wait, more := outbox.Backoff(it.Attempts)
	switch {
	case receipt.Arrived:
		return outbox.Verdict{Done: true}
	case ctx.Err() != nil:
		return outbox.Verdict{}
	case receipt.Hopeless:
		return a.undelivered(p, receipt.Reason)
	case !more:
		return a.undelivered(p, "it was tried for a day: "+receipt.Reason)
	}
	return outbox.Verdict{Wait: max(wait, receipt.Wait)}
}

// undelivered gives an answer up, and tells people.
func (a *Adapter) undelivered(p *pending, why string) outbox.Verdict {
	run := execution.Run{
		ID: core.NewID(a.o.Clock.Now()), Tenant: p.Caller.Tenant, Platform: Platform, Title: "Webhook of a node", Outcome: "undelivered",
		Failed: true, Code: "WEBHOOK_UNDELIVERED", Caller: p.Caller.UPN, Began: a.o.Clock.Now(),
		Message: "The answer of " + p.ID + " did not reach its webhookUrl: " + why + ".",
	}
	if a.o.Recorder.Wanted(run.Tenant, true) {
		a.o.Recorder.Record(run)
	}
	return outbox.Verdict{Done: true}
}
