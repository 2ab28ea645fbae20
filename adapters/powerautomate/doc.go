// Package powerautomate is the surface that Power Automate flows call: the
// operations of the Luware Nimbus connector, with its paths, names and status
// codes.
//
// A request is authenticated (adapter.go) and its user looked up in one
// snapshot of the directory, so that a right that was taken away is gone at the
// next call. The body is read strictly into an input of wire.go, checked whole
// so that all that is wrong is said at once (validate.go), and becomes a command
// of the engine (tasks.go), a subscription (triggers.go) or a list (lists.go).
// Events go the other way: delivery asks Render for the body that a flow's
// trigger expects. Errors are returned as core's kinds; the server answers them.
package powerautomate
