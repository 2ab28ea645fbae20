// Package core is the vocabulary of the hub: tasks, their events, the people
// and services they belong to, and the kinds of errors.
//
// Every other room speaks these words. An adapter turns a vendor's request into
// a core value, the engine moves it through its states, and delivery turns its
// events into what a subscribed flow expects; none of them invents a second
// word for the same thing. The package imports the standard library only, holds
// no state, and all its values may be shared between goroutines once built.
package core
