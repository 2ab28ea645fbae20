// Package directory knows the tenants, their organization units, users and
// services, and who may do what.
//
// Load makes a Directory of the files directory/<tenant>.yaml of a mapping set.
// A Directory is a snapshot: it never changes, so everyone may read it at once;
// a request takes the one in force once and stays with it. Rights are pure functions over the snapshot and read from one table
// (rights.go), so that a change of a role holds at the next call.
//
// A tenant sees only what is reached through its own Tenant value: there is no
// look-up of users or services across tenants.
package directory
