// Package engine is the life of a task: a command comes in, a transition with
// its events and deliveries goes out, in one transaction.
//
// Create, Update and Remove are the commands of callers, Change lets a platform
// change a task as it needs, and CreateIn and ChangeIn are parts of somebody else's
// transaction; the due times of workflows are the engine's own. Each command reads
// the task, lets core/flow step through the service's workflow as far as it goes
// without waiting, and writes the task, its events, one delivery row for each
// trigger that wants an event, and what is to be done outside. A command that
// returned nil is on disk, those in another transaction once that is. After the
// commit signals go out: to the engine's own clock, to those who watch the task, to
// the outbox, to whoever counts events, and to whoever delivers. But for the count,
// they only make faster what the rows already guarantee.
//
// A task runs through the text of the workflow with which it began, kept by
// its hash, whatever is reloaded meanwhile.
package engine
