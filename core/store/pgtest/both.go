package pgtest

import (
	"path/filepath"
	"testing"
)

// Both runs a test in parallel on the URL of an empty database of either kind.
func Both(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, "sqlite:"+filepath.Join(t.TempDir(), "tandem.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Start(t))
	})
}
