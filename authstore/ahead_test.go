package authstore

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOneReplicaRenewsAhead lets three replicas find out in the same moment that
// it is time to renew ahead of the end: one asks the provider, and all have what
// it got, before a call needs it.
func TestOneReplicaRenewsAhead(t *testing.T) {
	t.Parallel()
	p, hubs, a := replicas(t)
	first := p.TokenCalls()["ok"]
	p.clock.Advance(50 * time.Minute) // of an hour
	start := make(chan struct{})
	var all sync.WaitGroup
	for _, h := range hubs {
		snap, err := h.follow(t.Context())
		require.NoError(t, err)
		all.Go(func() {
			<-start
			h.renewDue(snap)
			h.wait()
		})
	}
	close(start)
	all.Wait()
	require.Equal(t, map[string]int{"ok": first + 1}, p.TokenCalls())
	for _, h := range hubs {
		require.Equal(t, p.clock.Now().Add(time.Hour), h.get(t, a.ID).TokenExpires)
		snap, err := h.follow(t.Context())
		require.NoError(t, err)
		h.renewDue(snap)
		h.wait()
		_, accepted, err := h.call(t, named("Main"))
		require.NoError(t, err)
		require.True(t, accepted)
	}
	require.Equal(t, map[string]int{"ok": first + 1}, p.TokenCalls(), "none of them again")
}
