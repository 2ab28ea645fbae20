package webex

import (
	"context"
	"math"
	"slices"
	"strings"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/store"
)

// The vendor's rule for waiting times: the average of a minute counts when the
// times in it differ by no more than this part of it, and there is an estimate
// when so many of the minutes have one.
const (
	maxDeviation = 0.15
	minMinutes   = 0.80
)

// position tells where a contact stands in a queue, and how long it will wait.
func (a *Adapter) position(ctx context.Context, k *call) (result, error) {
	service, known := k.tenant.ServiceAt(k.r.QueueID)
	if !known { // it may be one's queue at Webex
		all := k.tenant.Services()
		i := slices.IndexFunc(all, func(s *directory.Service) bool { return s.TargetSettings["queue"] == k.r.QueueID })
		if known = i >= 0; known {
			service = all[i]
		}
	}
	if known {
		if err := k.tenant.MayRunTasks(k.user, service); err != nil {
			return result{}, err
		}
	}
	switch {
	case known && service.Ref().Target == Platform && service.TargetSettings["queue"] != "":
		return a.positionThere(ctx, k, service.TargetSettings["queue"])
	case known:
		return a.positionHere(ctx, k, strings.ToLower(service.UPN))
	case strings.Contains(k.r.QueueID, "@"):
		return result{}, core.InvalidField("queueId", "no service of the tenant has this UPN or address")
	}
	return a.positionThere(ctx, k, k.r.QueueID)
}

// positionThere asks Webex.
func (a *Adapter) positionThere(ctx context.Context, k *call, queue string) (result, error) {
	var about *core.Task
	if k.r.TaskID != "" {
		t, err := a.task(ctx, k)
		if err != nil {
			return result{}, err
		}
		about = &t
	}
	outputs, err := a.remotely(ctx, k, about, map[string]any{"queueId": queue, "lookbackMinutes": k.r.LookbackMinutes})
	if err != nil {
		return result{}, err
	}
	done := result{outputs: outputs}
	if n, ok := number(outputs["estimatedWaitTime"]); !ok || n < 0 {
		done.why = causeInsufficient
	}
	return done, nil
}

// number reads what an operation gave as a number.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// positionHere asks the hub's own queue. A contact that is not in it is told
// where it would come.
func (a *Adapter) positionHere(ctx context.Context, k *call, queue string) (result, error) {
	position, err := a.place(ctx, k, queue)
	if err != nil {
		return result{}, err
	}
	waits, err := a.o.DB.QueueMinutes(ctx, k.who.Tenant, queue, a.o.Clock.Now(), k.r.LookbackMinutes)
	if err != nil {
		return result{}, err
	}
	outputs := map[string]any{"positionInQueue": position, "estimatedWaitTime": -1, "status": "success", "reasonCode": "", "reason": ""}
	estimate, ok := estimateOf(waits, k.r.LookbackMinutes)
	if !ok {
		outputs["status"], outputs["reasonCode"] = "insufficientData", "INSUFFICIENT_DATA"
		outputs["reason"] = "too few contacts were answered lately, or their waiting times differ too much"
		return result{why: causeInsufficient, outputs: outputs}, nil
	}
	outputs["estimatedWaitTime"] = estimate
	return result{outputs: outputs}, nil
}

// place is the place of a call's contact in a queue, or where it would come.
func (a *Adapter) place(ctx context.Context, k *call, queue string) (int, error) {
	if k.r.TaskID != "" {
		at, err := a.o.DB.QueuePosition(ctx, k.who.Tenant, queue, Platform, strings.ToLower(k.r.TaskID))
		if at > 0 || err != nil {
			return at, err
		}
		if _, err := a.task(ctx, k); err != nil {
			return 0, err
		}
	}
	length, err := a.o.DB.QueueLength(ctx, k.who.Tenant, queue)
	return length + 1, err
}

// estimateOf is the average, in milliseconds, of the waiting times of a window of
// minutes that ends now, by the vendor's rule. The average of a minute is that of
// the contacts answered in it and in the four before it: queues of a site do not
// answer one each minute.
func estimateOf(waits []store.QueueMinute, minutes int) (int64, bool) {
	const around = 5
	averages := make([]store.QueueMinute, minutes)
	for _, w := range waits {
		for i := max(0, w.Ago-around+1); i <= w.Ago && i < minutes; i++ {
			averages[i].Count += w.Count
			averages[i].Sum += w.Sum
			averages[i].Squares += w.Squares
		}
	}
	valid, total := 0, 0.0
	for _, a := range averages {
		mean := a.Sum / a.Count
		if a.Count > 0 && math.Sqrt(max(0, a.Squares/a.Count-mean*mean)) <= maxDeviation*mean {
			valid, total = valid+1, total+mean
		}
	}
	if minutes == 0 || float64(valid) < minMinutes*float64(minutes) {
		return 0, false
	}
	return int64(total / float64(valid)), true
}
