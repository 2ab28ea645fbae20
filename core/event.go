package core

import (
	"slices"
	"time"
)

// EventName names one of the eight session events of the connector's help
// ("Service Session / Trigger Events relation"), by the label that the
// certified designer shows. The label is also the value on the wire.
type EventName string

// The session events.
const (
	Created           EventName = "Created"
	SystemAccepted    EventName = "System Accepted"
	ParameterUpdated  EventName = "Parameter Updated"
	Queued            EventName = "Queued"
	ConnectedToUser   EventName = "Connected to User"
	OutboundConnected EventName = "Outbound Connected to Destination"
	QueueLeft         EventName = "Queue Left"
	Terminated        EventName = "Terminated"
)

// EventNames lists the events in the order of a task's life. Stored sets of
// events are bit masks over this order: append to it, never reorder.
var EventNames = []EventName{
	Created, SystemAccepted, ParameterUpdated, Queued,
	ConnectedToUser, OutboundConnected, QueueLeft, Terminated,
}

// Event is one thing that happened to a task. Events are append-only. One that
// somebody subscribed to keeps the task as it was at that moment.
type Event struct {
	Seq       int         `json:"-"` // place in the task's history, from 1
	Name      EventName   `json:"name"`
	At        time.Time   `json:"at"`
	Task      Task        `json:"task,omitzero"`
	Parameter *NamedValue `json:"parameter,omitempty"` // with ParameterUpdated
}

// Set is a set of names as a bit mask over one of the lists EventNames,
// Modalities or Directions. As a filter the empty set means "all".
type Set uint32

// SetOf returns the set of the given names; a name outside the list is ignored.
func SetOf[T comparable](list []T, names ...T) Set {
	var s Set
	for _, n := range names {
		if i := slices.Index(list, n); i >= 0 {
			s |= 1 << i
		}
	}
	return s
}

// Names returns the members of s in the order of list.
func Names[T comparable](list []T, s Set) []T {
	var names []T
	for i, n := range list {
		if s&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// Allows tells whether a filter lets a name through: it is empty or holds it.
func Allows[T comparable](filter Set, list []T, name T) bool {
	return filter == 0 || filter&SetOf(list, name) != 0
}
