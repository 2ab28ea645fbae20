// Package integration knows the outside systems that the hub can be connected
// to, as their mapping files describe them, and has the words for the
// authorizations that administrators grant.
//
// Load makes a Catalogue of the files <integration>/integration.yaml of a
// mapping set. A Catalogue is a snapshot that never changes, so everyone may
// read it at once. The console draws its forms from
// it, authstore grants and renews by it, and operations take addresses, limits
// and the table of errors from it. A new integration is a new folder: no code
// names one.
//
// An Authorization is what the rest of the hub may see of a grant: never a
// secret. The secrets themselves stay in authstore.
package integration
