// Package delivery is the room of triggers and their deliveries: it subscribes
// flows to events, sends each event to each flow that wants it, and keeps what
// could not be sent.
//
// The engine writes one delivery row for each event and trigger in the task's
// own transaction, and then calls Wake. One worker a trigger, owned by one
// replica through a lease, reads what is due, posts up to 32 tasks at once, one
// task's events in order, and deletes the rows of what has arrived. What fails
// is tried again on the Standard Webhooks schedule; what is used up becomes a
// dead letter, which can be listed, replayed and discarded. A worker that dies
// loses nothing: its rows are there, and every replica looks for them until
// somebody has taken them over. An event can arrive twice, always with the same
// webhook-id.
//
// The callback of a flow is a bearer secret: it is stored sealed, opened only
// to be called, and no error or log holds more of it than its host.
package delivery
