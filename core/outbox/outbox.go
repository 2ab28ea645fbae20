package outbox

import (
	"context"
	"time"

	"tandem/core"
	"tandem/core/store"
)

// Verdict is what came of an item. Unless it is Done, the item is handed out
// again after Wait; a Wait of zero is Backoff's, after which the item is given up,
// unless there is a new Payload with which the item goes on at once.
type Verdict struct {
	Done    bool
	Wait    time.Duration
	Payload []byte // nil: as before

	// Then is written in the same transaction as the item's end or delay. Like
	// any function of Write it may be run more than once. An error that is
	// neither Unavailable nor Uncertain delays the item.
	Then func(ctx context.Context, tx *store.Tx) error
}

// Handler does an item. It must return soon after ctx ends, which it does when
// the hub stops and when the item has become another replica's; a verdict that is
// not Done then counts for nothing. A panic delays the item.
type Handler func(ctx context.Context, it store.OutboxItem) Verdict

// Options is what a Worker is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	DB       *store.DB
	Clock    core.Clock
	Handlers map[string]Handler // by kind of item
	Failed   func(msg string, err error)

	AtOnce int           // items of a kind under way; 0: 128
	Look   time.Duration // between looks for what other replicas left; 0: 1 s
}

const (
	leaseTime  = 15 * time.Second
	leaseRenew = 5 * time.Second
	lastRuns   = 3 * time.Second       // what handlers get when the hub stops
	firstPause = 50 * time.Millisecond // before what a database refused is written again
	longPause  = 2 * time.Second       // the longest such pause
)

// steps are the first waits of Backoff; then it is an hour.
var steps = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute}

// hours is how many waits of an hour follow, so that all is over within 24 hours.
const hours = 23

// Backoff returns how long an item waits that failed after so many Attempts, as
// its handler got them, and whether it is worth another: all waits together last
// a little less than 24 hours. The wait is valid even if more is false.
func Backoff(attempts int) (wait time.Duration, more bool) {
	if attempts < len(steps) {
		return steps[max(attempts, 0)], true
	}
	return time.Hour, attempts < len(steps)+hours
}
