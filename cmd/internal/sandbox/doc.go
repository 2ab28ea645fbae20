// Package sandbox stands in for the vendors' clouds on this machine, for the
// demo, the tests and the benchmarks alike.
//
// A Flow is a Power Automate flow: it subscribes at a hub, gets called with
// each event at a callback of the platform's form, and calls the hub's actions
// with its own key. What a vendor refuses, it refuses in the vendor's words.
//
// Vendors are the clouds of every shipped integration: sign-in, tokens,
// revocation, and whose account a credential is; and the CRMs behind the sign-in
// of those that have one, with a few records, their habits of refusing, faults on
// demand and a ledger of what they were asked. Mappings are the shipped files with
// the vendors' addresses turned to them. Among them are a Webex Contact Center,
// whose tasks, events and agents Vendors.Webex leads, a Webex Engage that makes
// tasks there, and a CXone that takes work items.
//
// A Studio is the scripts of NICE CXone Studio that call a hub with the REST API
// action, tries of its own included.
package sandbox
