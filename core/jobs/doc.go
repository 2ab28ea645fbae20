// Package jobs does what one of the replicas must do now and then, whichever is
// alive: it runs the hub's duties again and again on River, an existing job
// engine that keeps its jobs and its leader in the hub's own database.
//
// What must happen soon is not a duty: deliveries and due times are rows that
// every replica looks at by itself. A duty that a killed replica has left is
// done at its next turn. It may be done twice and must bear it.
package jobs
