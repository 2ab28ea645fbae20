package webex

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/store"
)

const (
	compareTime   = 20 * time.Second // of one tenant
	compareWindow = 24 * time.Hour   // at least
)

// remoteKinds are the standings of tasks in Webex's list that say something.
var remoteKinds = map[string]string{
	"completed": bridge.Ended,
	"abandoned": bridge.Ended,
	"assigned":  bridge.Connected,
	"queued":    bridge.Parked,
}

// Compare looks at Webex for the tasks that are open here and there, and takes
// in what no event has told. What came of it is kept for State; the error is of
// the store, or that ctx has ended.
func (k *Keeper) Compare(ctx context.Context) error {
	rows, err := k.o.DB.Subscriptions(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(rows, func(a, b store.Subscription) int { return cmp.Compare(a.ComparedMs, b.ComparedMs) })
	known := k.o.Tenants()
	for _, row := range rows {
		if !slices.Contains(known, row.Tenant) || k.usable(row.Tenant) != nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := k.compareFor(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// CompareOne is Compare for one tenant, whose subscription must have been made.
// Errors are also NotConfigured and NeedsAuthorization.
func (k *Keeper) CompareOne(ctx context.Context, tenant string) error {
	if err := k.usable(tenant); err != nil {
		return err
	}
	row, err := k.o.DB.SubscriptionOf(ctx, tenant)
	if err != nil {
		if core.KindOf(err) == core.NotFound {
			return core.Errorf(core.NotConfigured, "There is no subscription yet: check it first.")
		}
		return err
	}
	return k.compareFor(ctx, row)
}

func (k *Keeper) compareFor(ctx context.Context, row store.Subscription) error {
	result := k.compare(ctx, row.Tenant)
	at := k.o.Clock.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	return k.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveComparison(ctx, row.ID, at, result)
	})
}

// compare says what came of one tenant.
func (k *Keeper) compare(ctx context.Context, tenant string) string {
	ctx, cancel := context.WithTimeout(ctx, compareTime)
	defer cancel()
	links, err := k.o.OpenLinks(ctx, tenant, core.PlatformWebex)
	if err != nil {
		k.o.Failed("the open tasks of a tenant could not be read", err)
		return "could not be compared: " + told(err)
	}
	if len(links) == 0 {
		return "no open tasks"
	}
	now := k.o.Clock.Now()
	calls := 0
	tasks, err := k.tasks(ctx, tenant, window(links, now), now, &calls)
	if err != nil {
		return "could not be compared: " + told(err)
	}
	open := make(map[string]bool, len(links)) // ids there are the same in any case
	for remote := range links {
		open[strings.ToLower(remote)] = true
	}
	compared, ended := 0, 0
	for _, task := range tasks {
		kind := remoteKinds[strings.ToLower(task.Status)]
		if !open[strings.ToLower(task.ID)] {
			continue
		}
		compared++
		if kind == "" {
			continue
		}
		receipt, err := k.o.Happened.Happened(ctx, tenant, task.event(kind, now))
		if err != nil {
			k.o.Failed("what the comparison with Webex found could not be stored", err)
			return fmt.Sprintf("%d found at Webex, then: %s", compared, told(err))
		}
		if kind == bridge.Ended && !receipt.Duplicate {
			ended++
		}
	}
	return fmt.Sprintf("%d found at Webex, %d of them ended", compared, ended)
}

// maxLists bounds the calls of one comparison: Webex counts them.
const maxLists = 20

// unsettled is how old what the list says is taken to be when it does not say: an
// event of the last moments, on another clock, knows better.
const unsettled = 30 * time.Second

// tasks lists what was made in a time. The list knows no pages: one that is full
// is asked for again in two halves.
func (k *Keeper) tasks(ctx context.Context, tenant string, from, to time.Time, calls *int) ([]remoteTask, error) {
	var list struct {
		Tasks []remoteTask `json:"tasks"`
		More  bool         `json:"more"`
	}
	if *calls++; *calls > maxLists {
		return nil, core.Errorf(core.ResultTooLarge, "Webex has too many tasks in the time since the oldest that is open here")
	}
	err := k.run(ctx, tenant, listTasks, map[string]any{"from": from.UnixMilli(), "to": to.UnixMilli()}, &list)
	half := from.Add(to.Sub(from) / 2)
	if err != nil || !list.More || half.Sub(from) < time.Second {
		return list.Tasks, err
	}
	first, err := k.tasks(ctx, tenant, from, half, calls)
	if err != nil {
		return nil, err
	}
	second, err := k.tasks(ctx, tenant, half, to, calls)
	return append(first, second...), err
}

// remoteTask is a task as Webex lists it.
type remoteTask struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Owner  string `json:"owner"`

	// Updated is when anything of it was changed, on Webex's clock: at that moment
	// it had this status. 0: not told.
	Updated int64 `json:"updated"`
}

// event is what the list says of a task. The same standing after another change
// is news: a task comes back into its queue.
func (t remoteTask) event(kind string, now time.Time) bridge.Event {
	ev := bridge.Event{Platform: core.PlatformWebex, RemoteID: t.ID, Kind: kind, At: now.Add(-unsettled)}
	key := "compare:" + t.ID + ":" + strings.ToLower(t.Status)
	if kind == bridge.Connected {
		ev.Agent = t.Owner
		key += ":" + t.Owner // another agent is news
	}
	if at := time.UnixMilli(t.Updated).UTC(); t.Updated > 0 {
		key += "@" + strconv.FormatInt(t.Updated, 10)
		if at.Before(now) {
			ev.At = at
		}
	}
	ev.Key = []byte(key)
	return ev
}

// window is the time from which tasks are listed: all that are open here were
// made later.
func window(links map[string]string, now time.Time) time.Time {
	from := now.Add(-compareWindow)
	for _, id := range links {
		if made, ok := madeAt(id); ok && made.Add(-time.Minute).Before(from) {
			from = made.Add(-time.Minute) // their clock may be behind
		}
	}
	return from
}

// madeAt reads the time out of an id of the hub; see core.NewID.
func madeAt(id string) (time.Time, bool) {
	if len(id) != 36 || id[14] != '7' {
		return time.Time{}, false
	}
	b, err := hex.DecodeString(id[:8] + id[9:13])
	if err != nil {
		return time.Time{}, false
	}
	var ms int64
	for _, x := range b {
		ms = ms<<8 | int64(x)
	}
	return time.UnixMilli(ms), true
}
