package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tandem/authstore"
	"tandem/cmd/internal/sandbox"
	"tandem/core/store"
)

const (
	subscriptionID = "44444444-4444-4444-8444-444444444444"
	organization   = "55555555-5555-4555-8555-555555555555"
	eventSecret    = "the bench's secret, which has 32 characters and more" //nolint:gosec // of nothing else
	eventRate      = 200                                                    // a second
	eventSenders   = 64
)

// lives are the events of a task, in this order.
var lives = []string{"task:new", "task:parked", "task:connect", "task:connected", "task:ended"}

// subscribed gives the tenant a subscription.
func subscribed(ctx context.Context, tx *store.Tx, sealer *authstore.Sealer) error {
	return tx.InsertSubscription(ctx, store.Subscription{
		ID: subscriptionID, Tenant: tenant, RemoteID: "remote", Org: organization, Status: "active", CreatedMs: time.Now().UnixMilli(),
		Secret: sealer.Seal("webex/subscription/"+subscriptionID, []byte(eventSecret)),
	})
}

// webexEvents measures how long the hub takes to take in events of Webex that
// come at a steady rate: of five tasks the hub knows four, and of twenty events
// one comes twice.
func (l *lab) webexEvents(ctx context.Context) error {
	length := 30 * time.Second
	if l.quick {
		length = 5 * time.Second
	}
	hub, err := l.startWebex(ctx, subscribed)
	if err != nil {
		return err
	}
	defer hub.close()
	events := int(length.Seconds()) * eventRate
	c, err := sandbox.Dial(ctx, hub.addr(), hub.nodes)
	if err != nil {
		return err
	}
	defer c.Close()
	for n := range (events + len(lives) - 1) / len(lives) {
		if n%5 != 4 {
			if err := node(c, "create-task/create", createBody(taskUUID(0, n), flowService(n), "Chat", "Livechat"), "created"); err != nil {
				return err
			}
		}
	}
	before := used(hub.PID())
	times, sent, err := send(ctx, hub.URL+"/webex/v1/events/"+subscriptionID, events)
	if err != nil {
		return err
	}
	if err := node(c, "queue-task/queue", queueBody(taskUUID(0, 0), flowService(0)), "taskFailed"); err != nil {
		return fmt.Errorf("the events have not ended their task: %w", err)
	}
	took := float64((used(hub.PID()) - before).Microseconds()) / float64(events)
	l.row(fmt.Sprintf("Webex events, %d a second for %.0f s, ms, p50", eventRate, length.Seconds()), "%.2f", median(times), "")
	l.row("  p99", "%.2f", quantile(times, 0.99), "<= 20")
	l.row("  longest", "%.2f", quantile(times, 1), "")
	l.row("  of that: the bench itself was late, p99", "%.2f", quantile(sent, 0.99), "")
	l.row("  processor time an event, µs", "%.0f", took, "")
	return nil
}

// eventBody is an event, signed.
func eventBody(n int, now time.Time) (body []byte, stamp, signature string) {
	stamp = strconv.FormatInt(now.UnixMilli(), 10)
	life := n / len(lives)
	body = fmt.Appendf(nil, `{"specversion":"1.0","id":"event-%d","type":%q,"source":"/com/cisco/wxcc/bench","comciscoorgid":%q,`+
		`"comciscotimestamp":%s,"datacontenttype":"application/json","data":{"taskId":%q,"createdTime":%s,"channelType":"chat",`+
		`"queueId":"queue-1","agentId":"agent-%d","origin":"milan.novak@customer.example","destination":%q}}`,
		n, lives[n%len(lives)], organization, stamp, taskUUID(0, life), stamp, life%50, flowService(life))
	mac := hmac.New(sha256.New, []byte(eventSecret))
	mac.Write(body)
	return body, stamp, hex.EncodeToString(mac.Sum(nil))
}

// send sends events when their time has come, whatever became of those before,
// and returns how many milliseconds after that time each was answered, and sent.
func send(ctx context.Context, url string, events int) (answered, sent []float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: eventSenders}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	answered, sent = make([]float64, events), make([]float64, events)
	errs := make([]error, eventSenders)
	began := time.Now()
	var all sync.WaitGroup
	for s := range eventSenders {
		all.Go(func() {
			for n := s; n < events && ctx.Err() == nil; n += eventSenders {
				due := began.Add(time.Duration(n) * time.Second / eventRate)
				time.Sleep(time.Until(due))
				sent[n] = ms(time.Since(due))
				which := n
				if n%20 == 19 && n >= eventRate {
					which = n - eventRate
				}
				if errs[s] = post(ctx, client, url, which); errs[s] != nil {
					cancel()
					return
				}
				answered[n] = ms(time.Since(due))
			}
		})
	}
	all.Wait()
	return answered, sent, errors.Join(errs...)
}

func post(ctx context.Context, client *http.Client, url string, n int) error {
	body, stamp, signature := eventBody(n, time.Now())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-WebexCC-Signature", signature)
	req.Header["X-WebExCC-Timestamp"] = []string{stamp}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("event %d: %d %s", n, res.StatusCode, answer)
	}
	return err
}
