//go:build race

package authstore

// herdRounds: the race detector makes each round several times as long.
const herdRounds = 20
