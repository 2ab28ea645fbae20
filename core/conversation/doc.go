// Package conversation is the room of what customers and agents say to each
// other over several tasks: it finds the conversation that a message belongs
// to, and tells whether the message goes to the task that is open there or
// needs a new one.
//
// A message arrives at Resolve. A message whose transaction is known is answered
// as it was the first time. Otherwise its conversation is looked for: an
// e-mail's by the messages it replies to, else, like that of every other
// channel, by a key made of its customer and of where it was sent. The caller's
// Tasks then append it to the conversation's task or, when that has ended, make
// another one; a chat that has ended is never re-opened, its next message begins
// a conversation. Finding, the task's change and what is noted of the message
// are one transaction, in which the conversation's row is locked, so a
// conversation never has two open tasks.
//
// Only hashes of what identifies a message are stored, not its words, which are
// the task's.
package conversation
