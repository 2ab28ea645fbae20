// Command tandem-bench measures a whole hub, as its operator would see it.
//
// The hub runs as a process of its own on a database on disk; the bench plays
// the callers and the flows around it over loopback, and prints a table with
// the goal beside each figure. Durable tasks per second are measured next to a
// bare net/http handler, which decodes the same body and inserts one row with
// the same durability, in turns on the same machine: their ratio says what the
// hub adds, whatever the disk.
package main
