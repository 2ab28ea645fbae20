package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMasterKeyIsReplacedUnderLoad goes the way that the README tells, while
// tasks come in and a flow is called, with a kill in the middle.
func TestMasterKeyIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	file := filepath.Join(r.data(), "master.key")
	h := r.start(t)
	key := r.key(t, "powerautomate", admin)
	subscribe(t, h, key, r.got.sink.Callback(0), work)
	r.got.await(t, addTask(t, h, key, work), "Queued")
	before, err := os.ReadFile(file)
	require.NoError(t, err)

	_, err = r.Run(t.Context(), "master-key", "use", "0123456789abcdef")
	require.ErrorContains(t, err, "master-key add")
	out, err := r.Run(t.Context(), "master-key", "prune")
	require.NoError(t, err)
	require.Contains(t, out, "nothing to prune")
	out, err = r.Run(t.Context(), "master-key", "add")
	require.NoError(t, err)
	require.NotContains(t, out, strings.TrimSpace(string(before)))
	fresh := strings.Fields(out)[1]
	r.got.await(t, addTask(t, h, key, work), "Queued")
	for range 2 { // twice is once
		_, err = r.Run(t.Context(), "master-key", "use", fresh)
		require.NoError(t, err)
		r.got.await(t, addTask(t, h, key, work), "Queued")
	}
	h.Kill()
	h = r.start(t)
	require.Eventually(t, func() bool {
		r.got.await(t, addTask(t, h, key, work), "Queued")
		_, err = r.Run(t.Context(), "master-key", "prune")
		return err == nil
	}, 60*time.Second, 200*time.Millisecond, "%v", err)
	pruned, err := filepath.Glob(file + ".*")
	require.NoError(t, err)
	require.Len(t, pruned, 1)
	old, err := os.ReadFile(pruned[0])
	require.NoError(t, err)
	require.Equal(t, string(before), string(old), "backups need it")
	out, err = r.Run(t.Context(), "master-key", "status")
	require.NoError(t, err)
	require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 2, out)
	require.Regexp(t, fresh+` +seals`, out)
	r.got.await(t, addTask(t, h, key, work), "Queued")
	require.NoError(t, h.Stop(15*time.Second))
	after, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(after), strings.TrimSpace(string(before)))

	// The old key opens nothing any more, and nothing is overwritten.
	require.NoError(t, os.WriteFile(file, before, 0o600))
	_, err = r.Start(t.Context(), nil)
	require.ErrorContains(t, err, "does not fit this database")
	left, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, before, left)
	require.NoError(t, os.WriteFile(file, after, 0o600))
	h = r.start(t)

	// A running hub refuses a foreign key and goes on with its own.
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat("ab", 32)+"\n"), 0o600))
	require.Eventually(t, func() bool { return strings.Contains(h.Log(), "master key file not taken over") }, 20*time.Second, 50*time.Millisecond)
	r.got.await(t, addTask(t, h, key, work), "Queued")
}
