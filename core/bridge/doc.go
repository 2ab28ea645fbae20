// Package bridge joins tasks to the platforms that are their services' targets.
//
// What a task needs outside is written into the outbox together with the task.
// The Bridge is the handler of these items: it makes, queues, changes and ends
// the task's counterpart through the operations that the mapping files name, and
// it runs the operations of workflows. What the platform says of its own task
// comes in through Happened: events in any order and any number are folded into
// one standing, which the hub's task then takes.
package bridge
