package bridge

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/store"
)

// The kinds of events.
const (
	Made      = "new"       // the platform has the task
	Failed    = "failed"    // it could not take it
	Parked    = "parked"    // it waits there for an agent
	Offered   = "offered"   // an agent is asked
	Connected = "connected" // an agent works on it
	Modified  = "modified"  // its variables have changed
	Ended     = "ended"     // it is over
)

// Event is what a platform says of one of its tasks.
type Event struct {
	Platform  string
	RemoteID  string
	Key       []byte // of the event: two with one key are one
	Kind      string
	At        time.Time         // on the platform's clock; zero: it did not say
	Origin    string            // whose task it is there; the hub's id of one that the hub had made
	Agent     string            // with Connected: UPN or id
	Reason    string            // with Failed
	Variables []core.NamedValue // become parameters of the task

	// Allow says of which tasks whoever tells it may speak; nil: of all of the
	// tenant, and of those that the hub does not know yet.
	Allow engine.Allow
}

// Receipt says what became of an event that was accepted.
type Receipt struct {
	Duplicate bool // it came before
	Known     bool // it is about a task of the hub
}

// row is the event as it is kept.
func (ev *Event) row(tenant string, now time.Time) (store.RemoteEvent, error) {
	row := store.RemoteEvent{
		Tenant: tenant, Platform: ev.Platform, Key: ev.Key, RemoteID: strings.ToLower(ev.RemoteID), Kind: ev.Kind,
		Agent: ev.Agent, Reason: ev.Reason, ReceivedMs: now.UnixMilli(),
	}
	if !ev.At.IsZero() {
		row.AtMs = ev.At.UnixMilli()
	}
	if len(ev.Variables) > 0 {
		text, err := json.Marshal(ev.Variables)
		if err != nil {
			return row, fmt.Errorf("variables of an event: %w", err)
		}
		row.Variables = string(text)
	}
	return row, nil
}

// rank says which of two events of one moment comes last.
var rank = map[string]int{Made: 1, Parked: 2, Offered: 3, Connected: 4, Failed: 5, Ended: 6}

// later tells whether of two events of a task the first counts more: one that
// has a time more than one that has none, else the later.
func later(a, b store.RemoteEvent) bool {
	return cmp.Or(
		cmp.Compare(min(a.AtMs, 1), min(b.AtMs, 1)), cmp.Compare(moment(a), moment(b)),
		cmp.Compare(rank[a.Kind], rank[b.Kind]), slices.Compare(a.Key, b.Key),
	) > 0
}

func moment(ev store.RemoteEvent) int64 { return cmp.Or(ev.AtMs, ev.ReceivedMs) }

// standing is what the events of a task amount to, in whatever order they came:
// an end is an end, else the last one counts.
func standing(events []store.RemoteEvent) store.RemoteEvent {
	var last store.RemoteEvent
	for _, ev := range events {
		if rank[ev.Kind] == 0 {
			continue
		}
		if ends := cmp.Compare(final(ev.Kind), final(last.Kind)); ends > 0 || ends == 0 && (last.Kind == "" || later(ev, last)) {
			last = ev
		}
	}
	return last
}

// final tells whether nothing comes after an event: 1, else 0.
func final(kind string) int {
	if kind == Ended || kind == Failed {
		return 1
	}
	return 0
}

// variables are the variables of a task's counterpart as its events amount to,
// by name; with a key only those whose value the event with this key has said.
func variables(events []store.RemoteEvent, key []byte) ([]core.NamedValue, error) {
	said := map[string]store.RemoteEvent{}
	values := map[string]string{}
	for _, ev := range events {
		if ev.Variables == "" {
			continue
		}
		var list []core.NamedValue
		if err := json.Unmarshal([]byte(ev.Variables), &list); err != nil {
			return nil, fmt.Errorf("variables of an event: %w", err)
		}
		for _, v := range list {
			if last, ok := said[v.Name]; !ok || later(ev, last) {
				said[v.Name], values[v.Name] = ev, v.Value
			}
		}
	}
	var list []core.NamedValue
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if key == nil || bytes.Equal(said[name].Key, key) {
			list = append(list, core.NamedValue{Name: name, Value: values[name]})
		}
	}
	return list, nil
}
