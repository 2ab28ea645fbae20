//go:build !race

package authstore

const herdRounds = 200
