package authstore

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core/integration"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// herd makes n callers of each replica need a token at the same time, and
// returns how many of them the API would turn away.
func herd(t *testing.T, hubs []*hub, n int) (failed []error) {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	start := make(chan struct{})
	for _, h := range hubs {
		for range n {
			all.Go(func() {
				req, err := http.NewRequest(http.MethodGet, "http://"+h.host+"/api/things", nil)
				<-start
				if err == nil {
					_, err = h.Authorize(context.Background(), named("Main"), req)
				}
				if err == nil {
					if _, ok := h.Valid(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")); !ok {
						err = io.ErrUnexpectedEOF
					}
				}
				if err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			})
		}
	}
	close(start)
	all.Wait()
	return failed
}

// replicas are three on one PostgreSQL, with one authorization.
func replicas(t *testing.T) (*provider, []*hub, integration.Authorization) {
	t.Helper()
	p := newProvider(t, authserver.Options{Rotate: true, AccessLife: time.Hour})
	sealer, dbURL := newSealer(t, randomKey(t)), pgtest.Start(t)
	var hubs []*hub
	for range 3 {
		hubs = append(hubs, newHub(t, p, sealer, dbURL))
	}
	return p, hubs, hubs[0].authorized(t, "sign-in", "Main")
}

func TestHerdRenewsOnce(t *testing.T) {
	t.Parallel()
	const rounds = 200
	p, hubs, _ := replicas(t)
	first := p.TokenCalls()["ok"]
	for round := range rounds {
		p.clock.Advance(time.Hour)
		require.Empty(t, herd(t, hubs, 500), "round %d", round)
	}
	require.Equal(t, map[string]int{"ok": first + rounds}, p.TokenCalls())
}

// The token call takes longer than a lease lasts.
func TestHerdAtASlowProvider(t *testing.T) {
	t.Parallel()
	p, hubs, _ := replicas(t)
	for _, h := range hubs {
		h.lease = time.Second
	}
	first := p.TokenCalls()["ok"]
	p.clock.Advance(time.Hour)
	_, release := p.HoldTokens()
	defer release()
	late := time.AfterFunc(3*time.Second, release)
	defer late.Stop()
	require.Empty(t, herd(t, hubs, 50))
	require.Equal(t, map[string]int{"ok": first + 1}, p.TokenCalls())
}

// A replica that died while it held the lease holds nobody up for long.
func TestLeaseOfADeadReplica(t *testing.T) {
	t.Parallel()
	p, hubs, a := replicas(t)
	p.clock.Advance(time.Hour)
	require.NoError(t, hubs[0].db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, won, err := tx.LeaseAuthorization(ctx, a.ID, a.Version, "dead", 300*time.Millisecond)
		require.True(t, won)
		return err
	}))
	require.Empty(t, herd(t, hubs, 10))
	require.Equal(t, map[string]int{"ok": 2}, p.TokenCalls())
}
