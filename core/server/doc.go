// Package server is the front door of the hub: it listens, refuses what no
// handler should ever see, tells who calls, reads bodies strictly, and turns
// every error into one form of answer.
//
// A request passes the front (request id, limits on address, headers and body,
// one spelling for each path), then the route an adapter mounted on Echo. The
// handler asks Callers who the caller is, takes its input with DecodeJSON or
// ReadBody, and returns an error of core's kinds instead of writing one: the
// error handler here is the only place that answers, and logs, failures.
// Adapters see echo because they mount routes; nothing else of the hub does.
package server
