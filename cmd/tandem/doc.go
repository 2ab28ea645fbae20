// Command tandem is the hub: one binary that serves, demonstrates, keeps keys,
// checks mapping files and migrates. main hands over to run; config.go says what can be set,
// serve.go wires the rooms together, and each other command has a file.
package main
