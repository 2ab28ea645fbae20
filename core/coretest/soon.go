package coretest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// How often Soon tries what takes too long: at least so many times, and more while
// that costs little.
const (
	tries     = 6
	moreTries = 100
	patience  = 10 * time.Second
)

// Soon makes a call that must take less than most, and fails the test with what,
// which says which call it is, and the time of the quickest try. The call is made
// again while it takes longer, for ten seconds and six times at least: other
// tests may keep the machine busy, but what is slow by itself is slow each time.
// It must not be used from several goroutines of one test.
func Soon(t testing.TB, most time.Duration, what string, call func()) {
	t.Helper()
	SoonBy(t, most, what, func() time.Duration {
		began := time.Now()
		call()
		return time.Since(began)
	})
}

// SoonBy is Soon for a call that measures itself, as what it prepares takes time
// too: it returns what counts.
func SoonBy(t testing.TB, most time.Duration, what string, call func() time.Duration) {
	t.Helper()
	began, quickest, made := time.Now(), time.Duration(math.MaxInt64), 0
	for quickest >= most && made < moreTries && (made < tries || time.Since(began) < patience) {
		quickest = min(quickest, call())
		made++
	}
	require.Less(t, quickest, most, "%s: the quickest of %d tries", what, made)
}
