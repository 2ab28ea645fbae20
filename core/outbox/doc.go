// Package outbox does what is to be done outside for tasks, after the
// transaction that made it necessary, and even if the hub was killed in between.
//
// Whoever changes a task writes items with store.Tx.InsertOutbox in the same
// transaction and calls Worker.Wake when that is on disk. A Worker claims what is
// due under a lease, hands each item to the handler of its kind, and writes down
// the handler's verdict: the item is done and forgotten, or delayed. What the
// handler wants to be written with it, Verdict.Then, is in the same transaction.
// So every item is done at least once, and what came of it is recorded exactly
// once; a handler must bear to do again what it has done already.
//
// Items of one lane are done one after the other in the order in which they were
// written, by whichever replica; one that waits for its next attempt holds back
// its lane and nothing else. An item of a kind that a replica has no handler for
// is left to those that have one.
package outbox
