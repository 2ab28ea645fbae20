// Package outbound is the hub's only way out: every HTTP call to an address
// that somebody configured, registered or discovered is made here.
//
// A request goes through three doors. Hosts judges the text of a callback URL
// when it is registered. The guard judges the resolved address at every
// connect, whatever the text said, so that neither a name that resolves inside
// nor one that changes its answer reaches a private network; only a host:port
// that the operator named passes it. The Client then holds the call to one
// deadline for all of it, follows no redirect, uses no proxy from the
// environment, bounds what it reads, and says with a kind whether the request
// may have reached the other side.
//
// Do is one such exchange, for callers with a schedule of their own. Call is a
// call of an integration and adds what calls to one upstream share. In this
// order it waits for one of the upstream's places (bulkhead), makes attempts
// while repeating is harmless (retry), asks the Authorizer for a credential for
// each, and is refused at once while the upstream is down (breaker). The
// upstream is a host and port as one tenant's calls see it: nothing is shared
// between two of them, so that neither a slow system nor another tenant holds
// up a call.
//
// A URL may hold a secret in its path or query: no error of this package shows
// more of it than scheme and host.
package outbound
