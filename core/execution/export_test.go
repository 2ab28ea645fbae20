package execution

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// AwaitCallers returns when so many callers wait for a flight.
func (a *FirstAnswers) AwaitCallers(t *testing.T, key [32]byte, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.flights[key] != nil && a.flights[key].waiting == n
	}, 20*time.Second, time.Millisecond)
}
