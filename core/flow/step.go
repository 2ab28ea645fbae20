package flow

import (
	"time"

	"tandem/core"
)

// Cursor says where a task stands in its workflow. It is stored with the task.
type Cursor struct {
	At      int       `json:"at"`             // index of the activity
	Waiting bool      `json:"waiting"`        // the activity waits for something
	Until   time.Time `json:"until,omitzero"` // when the wait ends by itself
}

// Input is what happened since the last step.
type Input uint8

// The inputs.
const (
	Continue Input = iota // the last effect was applied; also the very first step
	Due                   // the time in Cursor.Until has come
	Updated               // a parameter of the task was set
)

// Action is what the engine must do.
type Action uint8

// The actions.
const (
	Wait       Action = iota // store the cursor and stop; Cursor.Until is due
	Accept                   // the conversation is accepted
	Prioritize               // Effect.Priority
	Save                     // Effect.Parameter
	Enqueue                  // into the service's queue
	LeaveQueue               // out of the queue without an agent
	Disconnect               // the task ends
	Pass                     // nothing; step on
)

// Effect is what one step asks of the engine.
type Effect struct {
	Action    Action
	Priority  core.Priority
	Parameter core.NamedValue
}

// Step makes one step of the task t at the moment now. It changes nothing: the
// caller applies the effect to the task and calls again with Continue, until
// the effect is Wait or Disconnect. An input that the current activity does not
// wait for leaves the cursor where it is.
func (w *Workflow) Step(c Cursor, t *core.Task, in Input, now time.Time) (Cursor, Effect) {
	if c.At < 0 || c.At >= len(w.Activities) {
		return c, Effect{Action: Disconnect}
	}
	a := &w.Activities[c.At]
	if c.Waiting {
		return a.resume(c, t, in, now)
	}
	switch a.Kind {
	case AcceptConversation:
		return goTo(a.Next), Effect{Action: Accept}
	case CheckCondition:
		if a.holds(t) {
			return goTo(a.Next), Effect{Action: Pass}
		}
		return goTo(a.Else), Effect{Action: Pass}
	case SetPriority:
		return goTo(a.Next), Effect{Action: Prioritize, Priority: a.Priority}
	case SaveToParameter:
		value := a.Value
		if a.From != "" {
			value = Field(t, a.From)
		}
		return goTo(a.Next), Effect{Action: Save, Parameter: core.NamedValue{Name: a.Parameter, Value: value}}
	case WaitForParameter:
		// A flow may answer faster than the workflow gets here.
		if v, _ := t.Parameter(a.Parameter); v != "" {
			return goTo(a.Next), Effect{Action: Pass}
		}
		return wait(c.At, now.Add(a.Limit)), Effect{Action: Wait}
	case Delay:
		return wait(c.At, now.Add(a.Limit)), Effect{Action: Wait}
	case QueueTask:
		return wait(c.At, now.Add(a.Limit)), Effect{Action: Enqueue}
	default: // DisconnectConversation
		return goTo(end), Effect{Action: Disconnect}
	}
}

// resume ends the wait of a if the input is what it waits for.
func (a *Activity) resume(c Cursor, t *core.Task, in Input, now time.Time) (Cursor, Effect) {
	due := in == Due && !now.Before(c.Until)
	switch {
	case a.Kind == Delay && due:
		return goTo(a.Next), Effect{Action: Pass}
	case a.Kind == QueueTask && due:
		return goTo(a.Else), Effect{Action: LeaveQueue}
	case a.Kind == WaitForParameter && due:
		return goTo(a.Else), Effect{Action: Pass}
	case a.Kind == WaitForParameter && in == Updated:
		if v, _ := t.Parameter(a.Parameter); v != "" {
			return goTo(a.Next), Effect{Action: Pass}
		}
	}
	return c, Effect{Action: Wait}
}

func goTo(place int) Cursor { return Cursor{At: place} }

func wait(place int, until time.Time) Cursor {
	return Cursor{At: place, Waiting: true, Until: until}
}
