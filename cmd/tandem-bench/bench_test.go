package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	values := []float64{5, 1, 4, 2, 3}
	require.InDelta(t, 3, median(values), 0)
	require.InDelta(t, 5, quantile(values, 0.99), 0)
	require.InDelta(t, 1, quantile(values, 0), 0)
	require.Equal(t, []float64{5, 1, 4, 2, 3}, values)
}

func TestUnknownPart(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), []string{"-only", "nothing"}, &bytes.Buffer{}), "create, execute, latency, fanout, webex node, webex events, footprint")
}

// TestHubAndBareHandler runs the comparison itself, for a moment.
func TestHubAndBareHandler(t *testing.T) {
	if testing.Short() {
		return
	}
	t.Setenv("TMPDIR", t.TempDir())
	var out bytes.Buffer
	l, err := newLab(t.Context(), t.TempDir(), true, &out)
	if err != nil {
		require.ErrorContains(t, err, "tmpfs")
		return
	}
	defer l.close()
	hub, err := l.start(t.Context(), "", nil)
	require.NoError(t, err)
	defer hub.close()
	require.NoError(t, hub.subscribe(t.Context(), 1, queued, `"Created"`))
	made, err := load(t.Context(), hub.addr(), hub.key, 4, 50, 20*time.Second, body(queued))
	require.NoError(t, err)
	require.Equal(t, int64(50), made.tasks)
	require.NoError(t, hub.drained(t.Context(), 50, 20*time.Second))
}
