// Command tandem is the hub: one binary that serves, demonstrates, keeps the keys
// of callers, lets a tenant's first administrator in (setup-token), replaces the
// master key, checks and tries mapping files, writes the connector for Power
// Automate, and migrates. main hands over to run; config.go says what can be set,
// serve.go wires the rooms together, and each other command has a file.
package main
