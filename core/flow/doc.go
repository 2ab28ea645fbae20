// Package flow runs the workflow of a service: accept, check, run an operation,
// wait, queue, disconnect.
//
// It is pure. Load reads workflow files into checked Workflows; Step takes a
// workflow, the cursor that says where a task stands in it, and what just
// happened, and returns the next cursor and one effect. The engine applies the
// effect to the task in its transaction and steps on until the effect is a
// wait or the end. An operation of an integration is only asked for: the engine
// has it run, and hands what came of it to Answer. Nothing here reads a clock, a
// database or the network, so a task that was killed in the middle of a Delay
// goes on from its stored cursor.
package flow
