package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/outbound"
	"tandem/core/store"
)

// worker sends what waits for one trigger. It lives while there is something
// to send and this replica holds the trigger's lease. Its fields belong to its
// own goroutine, but for signal and arrived.
type worker struct {
	d       *Deliverer
	id      string
	trigger store.Trigger
	url     string
	signal  chan struct{}   // something new may be due
	arrived chan attempt    // attempts that have ended
	busy    map[string]bool // tasks with a call that is not settled yet
	calls   int             // calls that are not settled yet
	pace    pace            // how fast, and when again
	renew   time.Time       // when the lease and the trigger are looked at again
}

// pace is how fast a trigger is sent to. It outlives its worker.
type pace struct {
	limit    int       // calls at once: fewer while they fail, so that a dead flow holds up nobody
	until    time.Time // nothing is sent before
	failures int       // of the worker itself, in a row
}

// failed counts a failure of the worker, whose next try then comes later and
// later, or forgets those before.
func (p *pace) failed(yes bool, now time.Time) {
	if !yes {
		p.failures = 0
		return
	}
	p.failures = min(p.failures+1, 7)
	if later := now.Add(time.Second << (p.failures - 1)); later.After(p.until) {
		p.until = later
	}
}

// errInactive says that a trigger receives nothing now.
var errInactive = errors.New("the trigger is not active")

// attempt is one call and what it came to.
type attempt struct {
	delivery store.Delivery
	event    core.EventName
	verdict  verdict
}

func (w *worker) run(ctx, calls context.Context) {
	for {
		mine, err := w.drain(ctx, calls)
		w.settleRest()
		if mine {
			err = errors.Join(err, w.release(ctx))
		}
		w.pace.failed(err != nil && ctx.Err() == nil, w.d.o.Clock.Now())
		if err != nil && ctx.Err() == nil {
			w.d.o.Failed("deliver to trigger "+w.id, err)
		}
		if !mine && err == nil && w.wait(ctx) {
			continue
		}
		if ctx.Err() != nil || w.d.leave(w) {
			return
		}
	}
}

// wait lets the replica that holds the lease go on for a moment and tells
// whether something is still due then.
func (w *worker) wait(ctx context.Context) bool {
	timer := time.NewTimer(leaseWait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	due, err := w.d.o.DB.DueDeliveries(ctx, w.id, w.d.o.Clock.Now(), 1)
	return err == nil && len(due) > 0
}

// drain sends what is due until nothing is, the lease is another's, or ctx ends.
// It returns whether the lease was this replica's. What is due later is left to
// WakeDue, so that a lease is held by who has something to send.
func (w *worker) drain(ctx, calls context.Context) (mine bool, err error) {
	var queue []store.Delivery
	w.renew = time.Time{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-w.signal: // what it was about is looked at now
		default:
		}
		now := w.d.o.Clock.Now()
		if mine, err = w.hold(ctx, now); err != nil || !mine {
			if errors.Is(err, errInactive) {
				return true, w.d.emptyOutbox(ctx, w.trigger)
			}
			return mine, err
		}
		if queue, err = w.fill(ctx, now, queue); err != nil {
			return true, err
		}
		queue = w.start(calls, queue)
		if len(queue) == 0 && w.calls == 0 {
			if len(w.signal) > 0 && !now.Before(w.pace.until) {
				continue
			}
			return true, nil
		}
		next := w.renew.Sub(now)
		if len(queue) > 0 && w.calls < w.pace.limit { // no slot was free: they are the other triggers'
			next = slotWait
		}
		timer.Reset(max(next, time.Millisecond))
		select {
		case <-ctx.Done():
		case <-w.signal:
		case <-timer.C:
		case a := <-w.arrived:
			if err := w.settle(ctx, a); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// fill returns what is to be sent next: nothing while the flow asked to be left
// alone, and more when what was read before has been sent.
func (w *worker) fill(ctx context.Context, now time.Time, queue []store.Delivery) ([]store.Delivery, error) {
	switch {
	case now.Before(w.pace.until):
		return nil, nil
	case len(queue) > 0 || w.calls >= w.pace.limit:
		return queue, nil
	}
	return w.due(ctx, now)
}

// hold takes or renews the lease when it is time to.
func (w *worker) hold(ctx context.Context, now time.Time) (mine bool, err error) {
	if now.Before(w.renew) {
		return true, nil
	}
	w.renew = now.Add(leaseRenew)
	return w.claim(ctx)
}

// release gives the lease back, so that a replica that has something for the
// trigger need not wait for its end.
func (w *worker) release(ctx context.Context) error {
	if w.d.o.DB.SQLite() {
		return nil
	}
	return w.d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseTrigger(ctx, w.id, w.d.name) })
}

// claim takes or keeps the lease, reads the trigger anew, and tells whether
// this replica may send to it. On SQLite one process serves, and needs none.
func (w *worker) claim(ctx context.Context) (mine bool, err error) {
	if w.d.o.DB.SQLite() {
		mine = true
		err = w.d.o.DB.Ping(ctx) // what cannot be written down must not be sent
	} else {
		err = w.d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
			mine, err = tx.LeaseTrigger(ctx, w.id, w.d.name, leaseTime)
			return err
		})
	}
	if err != nil || !mine {
		return false, err
	}
	if w.trigger, err = w.d.o.DB.Trigger(ctx, w.id); err != nil {
		return false, err
	}
	if w.trigger.State != store.TriggerActive {
		return true, errInactive
	}
	plain, err := w.d.o.Sealer.Open(urlPlace(w.trigger), w.trigger.URL)
	w.url = string(plain)
	return err == nil, err
}

// due reads what can be sent now and is not under way.
func (w *worker) due(ctx context.Context, now time.Time) ([]store.Delivery, error) {
	found, err := w.d.o.DB.DueDeliveries(ctx, w.id, now, batch+len(w.busy))
	if err != nil {
		return nil, err
	}
	queue := found[:0]
	for _, f := range found {
		if !w.busy[f.TaskID] {
			queue = append(queue, f)
		}
	}
	return queue, nil
}

// start begins calls as far as there is room and returns what is left.
func (w *worker) start(calls context.Context, queue []store.Delivery) []store.Delivery {
	for len(queue) > 0 && w.calls < w.pace.limit {
		select {
		case w.d.slots <- struct{}{}:
		default:
			return queue
		}
		next := queue[0]
		queue = queue[1:]
		w.busy[next.TaskID] = true
		w.calls++
		trigger, url := w.trigger, w.url
		go func() {
			a := w.d.attempt(calls, trigger, url, next)
			<-w.d.slots
			w.arrived <- a
		}()
	}
	return queue
}

// attempt makes one call.
func (d *Deliverer) attempt(ctx context.Context, t store.Trigger, url string, w store.Delivery) (a attempt) {
	a = attempt{delivery: w}
	defer func() {
		if p := recover(); p != nil { // one poisonous event must not take the hub with it
			a.verdict = verdict{outcome: dead, reason: "the hub failed to send this event"}
			d.o.Failed("send an event", fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
		a.delivery.Error = a.verdict.reason
	}()
	var ev core.Event
	if err := json.Unmarshal(w.Event, &ev); err != nil {
		a.verdict = verdict{outcome: dead, reason: "the stored event cannot be read"}
		return a
	}
	a.event = ev.Name
	if !wants(t, ev) {
		a.verdict.outcome = unwanted
		return a
	}
	if err := d.o.May(t); err != nil { // rights are asked at each call
		a.verdict = verdict{outcome: dead, reason: err.Error()}
		return a
	}
	now := d.o.Clock.Now()
	a.delivery.Attempts++
	res, err := d.post(ctx, t.Tenant, url, webhookID(w), now, ev)
	a.verdict = judge(res, err, d.o.Clock.Now())
	if errors.Is(err, context.Canceled) {
		a.verdict.outcome = interrupted
		return a
	}
	if res != nil {
		a.delivery.Status = res.Status
	}
	d.o.Observe(string(a.verdict.outcome), d.o.Clock.Now().Sub(w.Created()))
	return a
}

// wants tells whether a trigger asks for an event. One that an earlier trigger of
// the same flow left behind may be of no interest to the newer one.
func wants(t store.Trigger, ev core.Event) bool {
	return slices.ContainsFunc(t.Services, func(upn string) bool { return strings.EqualFold(upn, ev.Task.Service.UPN) }) &&
		core.Allows(t.Events, core.EventNames, ev.Name) &&
		core.Allows(t.Modalities, core.Modalities, ev.Task.Modality) &&
		core.Allows(t.Directions, core.Directions, ev.Task.Direction)
}

// webhookID names an event for its receiver: the same over retries, restarts,
// replays and newer triggers of the same flow.
func webhookID(w store.Delivery) string { return w.TaskID + "." + strconv.Itoa(w.Seq) }

func (d *Deliverer) post(ctx context.Context, tenant, url, id string, now time.Time, ev core.Event) (*outbound.Response, error) {
	body, err := d.o.Render(ev)
	if err != nil {
		return nil, fmt.Errorf("render event: %w", err)
	}
	return Letter{Tenant: tenant, ID: id, URL: url, Body: body}.post(ctx, d.o.Sender, d.o.Sign, now)
}

// settle writes down what the ended attempts came to, all in one transaction,
// also when the hub is stopping: what was answered must not be sent again.
func (w *worker) settle(ctx context.Context, first attempt) error {
	ctx = context.WithoutCancel(ctx)
	done := []attempt{first}
	for len(w.arrived) > 0 {
		done = append(done, <-w.arrived)
	}
	var misses int
	var over bool
	err := w.d.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		misses, over = w.trigger.Misses, false
		for _, a := range done {
			if err = w.record(ctx, tx, a); err != nil {
				return err
			}
			reason := a.verdict.reason
			switch {
			case a.verdict.missed:
				misses, err = tx.AddTriggerMiss(ctx, w.id)
				reason = fmt.Sprintf("the flow's callback was not found %d times in a row", misses)
			case a.verdict.outcome == delivered && misses > 0:
				misses, err = 0, tx.ClearTriggerMisses(ctx, w.id)
			}
			if err == nil && !over && (a.verdict.outcome == ended || misses >= maxMisses) {
				over, err = true, tx.EndTrigger(ctx, w.id, reason, w.d.o.Clock.Now())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	w.calls -= len(done)
	for _, a := range done {
		delete(w.busy, a.delivery.TaskID)
		switch a.verdict.outcome {
		case delivered:
			w.pace.limit = min(2*w.pace.limit, w.d.o.PerTrigger)
		case retry:
			w.pace.limit = max(w.pace.limit/2, 1)
			if a.delivery.Status == http.StatusTooManyRequests {
				w.pace.until = w.d.o.Clock.Now().Add(a.verdict.wait)
			}
		case dead, ended, interrupted, unwanted:
		}
	}
	w.trigger.Misses = misses
	if over {
		w.renew = time.Time{} // the trigger is read anew, and its outbox emptied
	}
	return err
}

// record writes what one attempt came to.
func (w *worker) record(ctx context.Context, tx *store.Tx, a attempt) error {
	now := w.d.o.Clock.Now()
	switch a.verdict.outcome {
	case delivered, unwanted:
		return tx.DeleteDelivery(ctx, a.delivery.TriggerID, a.delivery.TaskID, a.delivery.Seq)
	case retry:
		wait, more := nextTry(a.delivery.Attempts, a.verdict, w.d.o.Chance())
		due := now.Add(wait)
		if more && due.Before(a.delivery.Created().Add(w.d.o.Expiry)) {
			return tx.DelayDelivery(ctx, a.delivery, due)
		}
	case interrupted:
		return nil
	case dead, ended:
	}
	return tx.Bury(ctx, w.d.deadLetter(w.trigger, a.delivery, a.event))
}

// settleRest waits for the calls that are still under way, each of which has
// its own deadline, and writes down what they came to.
func (w *worker) settleRest() {
	for w.calls > 0 {
		if err := w.settle(context.Background(), <-w.arrived); err != nil {
			w.d.o.Failed("settle deliveries of trigger "+w.id, err)
		}
	}
}
