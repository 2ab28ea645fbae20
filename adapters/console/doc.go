// Package console is the web console: the pages on which administrators
// authorize integrations, and everybody else who may sign in sees how these
// fare.
//
// A request passes the middleware in page.go (headers, the public address),
// then identity (session, cross-site checks), then the table of routes in
// console.go, which says for every route who may use it. A handler asks the
// rooms behind it, turns their answer into plain values for a template, and
// renders a page; an error becomes a page too, in fault.go. Templates and static
// files are embedded, nothing is built. Pages work without JavaScript; with it,
// tables follow the hub while they are looked at, and the sign-in at a provider
// opens in a window of its own.
//
// The playground runs an operation as whoever wires the hub lets it, and the
// pages of mappings and executions show what other rooms tell; bodies of calls,
// inputs and results are for administrators and integrators only.
//
// The desk is where agents take tasks: the console asks the Desk that it is lent
// what may be shown to whom and done by whom. Pages that a task pops are links,
// to http and https only; nothing of others is shown in a frame.
//
// The forms of authorizations are drawn from the integrations' mapping files:
// but for the page of Webex, this package knows no vendor. What it is given holds
// no secret that was stored, and it never sends one back that was typed.
package console
