package expression_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/expression"
)

// TestTimeIsBounded: an evaluation has 50 ms, as the manual says, and a machine
// that does something else for a while takes nothing of them.
func TestTimeIsBounded(t *testing.T) {
	t.Parallel()
	var now time.Duration
	each := func(pauses ...time.Duration) func() time.Duration {
		now = 0
		return func() time.Duration {
			now += pauses[0]
			pauses = append(pauses[1:], pauses[0])
			return now
		}
	}
	const ms = time.Millisecond
	require.NoError(t, expression.Looks(50, each(ms)))
	require.ErrorContains(t, expression.Looks(51, each(ms)), "takes longer than 50ms")
	require.Equal(t, 51*ms, now)
	require.ErrorContains(t, expression.Looks(256, each(time.Second)), "takes longer than 50ms")
	require.Equal(t, 11*time.Second, now, "what is slow at every look")
	require.NoError(t, expression.Looks(5, each(time.Second, 0, 0, 0, 0)), "one pause")
	require.NoError(t, expression.Looks(36, each(ms, ms, time.Second, ms, ms, ms, ms, ms, ms, ms, ms, ms)), "three pauses in 33 ms of work")
}
