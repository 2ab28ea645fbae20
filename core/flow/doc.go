// Package flow runs the workflow of a service: accept, check, wait, queue,
// disconnect.
//
// It is pure. Load reads workflow files into checked Workflows; Step takes a
// workflow, the cursor that says where a task stands in it, and what just
// happened, and returns the next cursor and one effect. The engine applies the
// effect to the task in its transaction and steps on until the effect is a
// wait or the end. Nothing here reads a clock, a database or the network, so a
// task that was killed in the middle of a Delay goes on from its stored cursor.
package flow
