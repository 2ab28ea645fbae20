// Package webex is the surface that Webex Contact Center and Webex Connect flows
// call: the nodes of a flow, and what happens to tasks there.
//
// A node's call is read (request.go, fields.go) into a request by the fields of
// its method: names and words in the vendor's spelling of the page or of the
// wire, every fault named. It changes the hub's task by one command and, where
// the task's service lives in Webex Contact Center, has that done there by the
// operation that webex/nodes.yaml names. The answer is an outcome in the vendor's
// exact word: outcomes.go is the one table of methods, fields and words,
// outcome.go says which error is which of them. CONNECT.md tells authors of flows
// about it; its tables are written from the same table.
//
// Webex Engage may say later what it did with a message (engage.go): it posts that
// to an address that only the hub could have made, where it is kept until the call
// that waits for it, or is made again, finds it.
//
// Events are believed when their signature and time are right, kept before they
// are answered, and folded into the hub's task in whatever order they come.
package webex
