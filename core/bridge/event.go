package bridge

import (
	"time"

	"tandem/core"
	"tandem/core/engine"
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
	At        time.Time         // on the platform's clock
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
