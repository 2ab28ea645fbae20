package cxone

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFigures holds what authors of scripts are told.
func TestFigures(t *testing.T) {
	t.Parallel()
	for given, want := range map[any]time.Duration{
		nil: 6 * time.Second, "": 6 * time.Second, "1500": 1500 * time.Millisecond, json.Number("84999"): 84_999 * time.Millisecond,
		"85001": 85 * time.Second, "9000000000": 85 * time.Second,
	} {
		got, err := timeoutOf(document{"timeoutMilliSec": given})
		require.NoError(t, err)
		require.Equal(t, want, got, "%v", given)
	}
	got, err := timeoutOf(document{})
	require.NoError(t, err)
	require.Equal(t, 6*time.Second, got)
	require.Equal(t, 5*time.Minute, answerLife)
	require.Equal(t, 90*time.Second, runLimit)
	require.Equal(t, 32_768, maxAnswer)
}
