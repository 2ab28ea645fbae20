// Package connector is the custom connector by which Power Automate reaches a
// hub: the definition of the operations that package powerautomate serves, and
// the properties that ask for an API key and for the address of the hub.
//
// Both are files written by hand and embedded. Export puts the address of a hub
// into them; an administrator imports the result into Power Automate. Paths,
// names, types and labels are those of the certified connector, so that flows
// move over with their steps as they are; the texts are the hub's own.
package connector
