// Package authstore is the only room that sees a secret in clear.
//
// A secret comes in, is sealed under the master key together with the name of
// the place where it will be kept, and leaves as bytes that the store may hold:
// a copied database, or a sealed value moved to another row, opens nothing. The
// Sealer reads under several keys and writes under one, so that a key can be
// replaced while the hub runs; the sealed check value in the database tells at
// the start whether the key and the database belong together. A Signer signs
// webhooks with a secret that was opened here.
//
// A Store keeps the authorizations that administrators grant. A draft is judged
// by the catalogue of integrations, its secrets are sealed, and it is pending
// until the provider has said yes: in a sign-in (Begin, Finish) or to a call of
// the hub's own (Grant). From then on Authorize puts its credential on requests,
// only on those to the host that it is for. Tokens are renewed ahead of their
// end, or when a call needs one, by one replica at a time: it holds a lease on
// the row, and what the provider hands out is stored before anybody uses it. A
// provider's no makes the authorization wait for an administrator again; a
// provider's failure does not. Every replica follows a stamp in the database
// that changes with each write, and answers calls from memory.
//
// Keys, signers and authorizations show nothing of themselves when they are printed or logged,
// and no error holds a secret.
package authstore
