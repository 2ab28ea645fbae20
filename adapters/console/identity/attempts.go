package identity

import (
	"net/netip"
	"sync"
	"time"

	"tandem/core"
)

const (
	attemptWindow  = time.Minute
	namedAttempts  = 5   // failures of one name from one network in a window
	sourceAttempts = 20  // failures from one network in a window
	wideAttempts   = 100 // failures from the IPv6 networks of one site in a window
	signOnAttempts = 60  // sign-ins at the sign-on service begun from one network and not finished in a window
	maxAttemptKeys = 10000
)

// The bits of IPv6 that one subscriber has at least, and at most.
const (
	subscriberBits = 64
	siteBits       = 48
)

// attempts counts failures of signing in. All counts are a network's, so that
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

// limit is how many failures a key may have in a window.
type limit struct {
	key  attemptKey
	most int
}

func newAttempts() *attempts { return &attempts{counts: map[attemptKey]*count{}} }

// begin counts an attempt as failed before its outcome is known, so that many at
// once get no further than one after the other; succeeded takes that back. The
// error is Throttled.
func (a *attempts) begin(now time.Time, address, name string) (succeeded func(), err error) {
	source := network(address, subscriberBits)
	limits := []limit{
		{attemptKey{source: source}, sourceAttempts},
		{attemptKey{source, "=" + name}, namedAttempts},
	}
	if site := network(address, siteBits); site != source {
		limits = append(limits, limit{attemptKey{source: site}, wideAttempts})
	}
	return a.take(now, limits)
}

// beginSignOn counts somebody who is sent to the sign-on service, until
// endSignOn; the error is Throttled.
func (a *attempts) beginSignOn(now time.Time, address string) error {
	_, err := a.take(now, []limit{{signOnKey(address), signOnAttempts}})
	return err
}

// endSignOn takes back one of the counts of an address that has signed in there.
func (a *attempts) endSignOn(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.counts[signOnKey(address)]; c != nil && c.n > 0 {
		c.n--
	}
}

func signOnKey(address string) attemptKey {
	return attemptKey{network(address, subscriberBits), "sign-on"}
}

// take counts one for each limit, or for none of them when one is reached: who is
// refused leaves no trace, and so cannot push out the counts that refuse.
func (a *attempts) take(now time.Time, limits []limit) (giveBack func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range limits {
		if c := a.counts[l.key]; c != nil && now.Sub(c.began) < attemptWindow && c.n >= l.most {
			return nil, c.throttled(now)
		}
	}
	if len(a.counts)+len(limits) > maxAttemptKeys {
		a.makeRoom(now)
	}
	taken := make([]*count, len(limits))
	for n, l := range limits {
		c := a.counts[l.key]
		if c == nil || now.Sub(c.began) >= attemptWindow {
			c = &count{began: now}
			a.counts[l.key] = c
		}
		c.n++
		taken[n] = c
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, c := range taken {
			c.n--
		}
	}, nil
}

func (c *count) throttled(now time.Time) error {
	e := core.Errorf(core.Throttled, "There were too many attempts. Wait a minute and try again.")
	e.RetryAfter = max(c.began.Add(attemptWindow).Sub(now), time.Second)
	return e
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

// network is the address, or for IPv6 the first bits of it.
func network(address string, bits int) string {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Unmap().Is4() {
		return address
	}
	return netip.PrefixFrom(a.WithZone(""), bits).Masked().String()
}
