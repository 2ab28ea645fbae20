// Package engine is the life of a task: a command comes in, a transition with
// its events and deliveries goes out, in one transaction.
//
// Create, Update and Remove are the commands of callers; the due times of
// workflows are the engine's own. Each command reads the task, lets core/flow
// step through the service's workflow as far as it goes without waiting, and
// writes the task, its events and one delivery row for each trigger that wants
// an event. A command that returned nil is on disk. After the commit two
// signals go out, to whoever delivers and to the engine's own clock; both only
// make faster what the rows already guarantee.
//
// A task runs through the text of the workflow with which it began, kept by
// its hash, whatever is reloaded meanwhile.
package engine
