// Package jobs makes sure that what is stored gets done, whichever replica is
// alive: it runs the hub's duties again and again on River, an existing job
// engine that keeps its jobs and its leader in the hub's own database.
//
// What must happen soon is not a job: deliveries and due times are rows that
// their rooms look at right after the commit, and jobs are the net below them.
// A duty that was lost with a killed replica is run by another one at its next
// turn. A duty may be run twice and must bear it.
package jobs
