package identity

import (
	"net/netip"
	"sync"
	"time"

	"tandem/core"
)

const (
	attemptWindow  = time.Minute
	namedAttempts  = 5  // failures of one name from one address in a window
	sourceAttempts = 20 // failures from one address in a window
	maxAttemptKeys = 10000
)

// attempts counts failures of signing in. Both counts are an address's, so that
// nobody can lock out somebody who comes from elsewhere.
type attempts struct {
	mu     sync.Mutex
	counts map[attemptKey]*count
}

type attemptKey struct{ source, name string }

type count struct {
	began time.Time
	n     int
}

func newAttempts() *attempts { return &attempts{counts: map[attemptKey]*count{}} }

// begin counts an attempt as failed before its outcome is known, so that many at
// once get no further than one after the other; succeeded takes that back. The
// error is Throttled.
func (a *attempts) begin(now time.Time, address, name string) (succeeded func(), err error) {
	source := network(address)
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.get(now, attemptKey{source: source})
	named := a.get(now, attemptKey{source, "=" + name})
	for _, c := range []struct {
		*count
		limit int
	}{{named, namedAttempts}, {all, sourceAttempts}} {
		if c.n >= c.limit {
			return nil, c.throttled(now)
		}
	}
	all.n++
	named.n++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		all.n--
		named.n--
	}, nil
}

// beginSignOn counts somebody who is sent to the sign-on service; the error is
// Throttled.
func (a *attempts) beginSignOn(now time.Time, address string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.get(now, attemptKey{network(address), "sign-on"})
	if c.n >= sourceAttempts {
		return c.throttled(now)
	}
	c.n++
	return nil
}

func (c *count) throttled(now time.Time) error {
	e := core.Errorf(core.Throttled, "There were too many attempts. Wait a minute and try again.")
	e.RetryAfter = max(c.began.Add(attemptWindow).Sub(now), time.Second)
	return e
}

// get returns the count of a key in the present window. The lock is held.
func (a *attempts) get(now time.Time, key attemptKey) *count {
	c := a.counts[key]
	if c != nil && now.Sub(c.began) < attemptWindow {
		return c
	}
	if c == nil && len(a.counts) >= maxAttemptKeys {
		a.makeRoom(now)
	}
	c = &count{began: now}
	a.counts[key] = c
	return c
}

// makeRoom forgets windows that are over, and as many others as it takes to make
// the next call rare.
func (a *attempts) makeRoom(now time.Time) {
	for key, c := range a.counts {
		if now.Sub(c.began) >= attemptWindow {
			delete(a.counts, key)
		}
	}
	for key := range a.counts {
		if len(a.counts) <= maxAttemptKeys*9/10 {
			return
		}
		delete(a.counts, key)
	}
}

// network is the address, or for IPv6 the 64 bits that one subscriber has at
// least.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
}
