// Package authserver is an OAuth 2.0 authorization server for the sandbox: the
// demo, the tests and the benchmarks authorize integrations at it as they would
// at a vendor. It asks for one well-known password and belongs on a loopback
// address, never into production.
//
// A Server behaves as real providers do, errors included. A person who signs in
// at its page makes a grant; the grant hands out a code, the code's exchange
// gives tokens, and whatever ends the grant (a code used twice, an old refresh
// token under rotation, a revocation by the client, by a person at the page of
// sessions, or by a test) ends all its tokens. A stand-in for the vendor's API
// asks Valid whose token it got. Everything is kept in memory, within bounds,
// and all time comes from a core.Clock.
package authserver
