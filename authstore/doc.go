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
// Keys and signers show nothing of themselves when they are printed or logged,
// and no error holds a secret.
package authstore
