// Package sandbox stands in for the vendors' clouds on this machine, for the
// demo, the tests and the benchmarks alike.
//
// A Flow is a Power Automate flow: it subscribes at a hub, gets called with
// each event at a callback of the platform's form, and calls the hub's actions
// with its own key. What a vendor refuses, it refuses in the vendor's words.
package sandbox
