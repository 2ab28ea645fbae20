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
	Turn    int       `json:"turn,omitempty"` // how many operations the task has asked for
}

// Input is what happened since the last step.
type Input uint8

// The inputs.
const (
	Continue  Input = iota // the last effect was applied; also the very first step
	Due                    // the time in Cursor.Until has come
	Updated                // a parameter of the task was set
	Connected              // somebody works on the task
	Returned               // nobody does any more: it is back in the queue
	Refused                // the target of the service could not take the task
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
	Run                      // Effect.Run is to be run; Answer takes what came of it
	Pop                      // Effect.Pop is shown to the agent
)

// Effect is what one step asks of the engine.
type Effect struct {
	Action    Action
	Priority  core.Priority
	Parameter core.NamedValue
	Run       *RunRequest
	Pop       core.Pop
}

// Step makes one step of the task t at the moment now. It changes nothing: the
// caller applies the effect to the task and calls again with Continue, until
// the cursor waits or the effect is Disconnect. An input that the current
// activity does not wait for leaves the cursor where it is.
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
		return c.goTo(a.Next), Effect{Action: Accept}
	case CheckCondition:
		if a.holds(t) {
			return c.goTo(a.Next), Effect{Action: Pass}
		}
		return c.goTo(a.Else), Effect{Action: Pass}
	case SetPriority:
		return c.goTo(a.Next), Effect{Action: Prioritize, Priority: a.Priority}
	case SaveToParameter:
		value := a.Value
		if a.From != "" {
			value = Field(t, a.From)
		}
		return c.goTo(a.Next), Effect{Action: Save, Parameter: core.NamedValue{Name: a.Parameter, Value: value}}
	case WaitForParameter:
		// A flow may answer faster than the workflow gets here.
		if v, _ := t.Parameter(a.Parameter); v != "" {
			return c.goTo(a.Next), Effect{Action: Pass}
		}
		return c.wait(now.Add(a.Limit)), Effect{Action: Wait}
	case Delay:
		return c.wait(now.Add(a.Limit)), Effect{Action: Wait}
	case QueueTask:
		if t.State == core.StateConnected {
			return c.wait(now.Add(maxWait)), Effect{Action: Wait}
		}
		return c.wait(now.Add(a.Limit)), Effect{Action: Enqueue}
	case RunOperation:
		return a.start(c, t, now)
	case ScreenPop:
		return c.goTo(a.Next), a.pop(t, now)
	default: // DisconnectConversation
		return c.goTo(end), Effect{Action: Disconnect}
	}
}

// resume ends the wait of a if the input is what it waits for.
func (a *Activity) resume(c Cursor, t *core.Task, in Input, now time.Time) (Cursor, Effect) {
	due := in == Due && !now.Before(c.Until)
	switch {
	case a.Kind == Delay && due:
		return c.goTo(a.Next), Effect{Action: Pass}
	case a.Kind == QueueTask && (due || in == Refused):
		return c.goTo(a.Else), Effect{Action: LeaveQueue}
	case (a.Kind == WaitForParameter || a.Kind == RunOperation) && due:
		return c.goTo(a.Else), Effect{Action: Pass}
	case a.Kind == WaitForParameter && in == Updated:
		if v, _ := t.Parameter(a.Parameter); v != "" {
			return c.goTo(a.Next), Effect{Action: Pass}
		}
	case a.Kind == RunOperation: // its answer or its own limit ends it, whoever works on the task
	case in == Connected: // nobody takes the task away from who works on it
		c.Until = now.Add(maxWait)
	case in == Returned:
		c.Until = now.Add(a.Limit)
	}
	return c, Effect{Action: Wait}
}

// goTo returns the cursor at another place.
func (c Cursor) goTo(place int) Cursor { return Cursor{At: place, Turn: c.Turn} }

// wait returns the cursor waiting where it is.
func (c Cursor) wait(until time.Time) Cursor {
	c.Waiting, c.Until = true, until
	return c
}
