// Package authstore is the only room that sees a secret in clear.
//
// A secret comes in, is sealed under the master key together with the name of
// the place where it will be kept, and leaves as bytes that the database may
// hold: a copied database, or a sealed value moved to another row, opens
// nothing. The Sealer reads under several keys and writes under one, so that a
// key can be replaced while the hub runs; Reseal brings what is under an older
// key to the newer one, and the sealed check value in the database tells at the
// start whether key and database belong together. A Signer signs webhooks with a
// secret that was opened here.
//
// The Store keeps authorizations. An administrator's Draft becomes a pending row
// (edit.go); Begin and Finish, or Grant, make it authorized (grant.go); calls get
// its credential from a snapshot in memory (authorize.go, snapshot.go), and one
// replica renews its token (renew.go) with one call of the token address
// (token.go, answer.go, fault.go). OIDC signs people in to the console.
//
// Keys, signers and tokens show nothing of themselves when they are printed or
// logged, and no error holds a secret.
package authstore
