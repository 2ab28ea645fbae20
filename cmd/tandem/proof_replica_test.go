package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/cmd/internal/sandbox"
	"tandem/core/store/pgtest"
)

// TestCrashOfAReplica kills one of two hubs that share a database: the other
// sends what the first had not, and steps the workflows that were waiting.
func TestCrashOfAReplica(t *testing.T) {
	t.Parallel()
	r := newRig(t, pgtest.Start(t))
	key := r.key(t, "powerautomate", admin)
	doomed, other := r.start(t), r.start(t)
	subscribe(t, doomed, key, r.got.sink.Callback(1), work, slow)
	var ids []string
	for range 20 {
		for _, h := range []*sandbox.Hub{doomed, other} {
			ids = append(ids, addTask(t, h, key, work), addTask(t, h, key, slow))
		}
	}
	doomed.Kill()
	began := time.Now()
	for range 20 {
		ids = append(ids, addTask(t, other, key, work))
	}
	for _, id := range ids {
		r.got.await(t, id, "Queued")
	}
	t.Logf("%d tasks, everything received %s after the kill", len(ids), time.Since(began))
	require.Less(t, time.Since(began), 45*time.Second, "a lease of 15 s, a look each second, and the calls of a busy machine")
	require.NoError(t, other.Stop(15*time.Second))
}

// TestReplicasShareKeys revokes a key with one replica's database open in
// another process: none of the replicas takes it any more.
func TestReplicasShareKeys(t *testing.T) {
	t.Parallel()
	r := newRig(t, pgtest.Start(t))
	key := r.key(t, "powerautomate", admin)
	a, b := r.start(t), r.start(t)
	id := addTask(t, a, key, work)
	out := call(t, key, "DELETE", b.URL+addPath+"/"+id, "")
	require.Equal(t, 200, out.status, out.body)
	rows, err := r.Run(t.Context(), "keys", "list")
	require.NoError(t, err)
	lines := strings.Split(rows, "\n")
	require.Len(t, lines, 3, rows)
	_, err = r.Run(t.Context(), "keys", "revoke", strings.Fields(lines[1])[0])
	require.NoError(t, err)
	for _, h := range []*sandbox.Hub{a, b} {
		require.Equal(t, 401, call(t, key, "DELETE", h.URL+addPath+"/"+id, "").status)
	}
}
