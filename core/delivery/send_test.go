package delivery_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store/pgtest"
)

// shuffle lets calls end in an order of chance. It returns how to wait for
// one's turn, and the most calls that waited at once.
func shuffle(t *testing.T) (turn func(), most func() int) {
	t.Helper()
	var mu sync.Mutex
	now, peak := 0, 0
	gate, quit := make(chan chan struct{}, 1000), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		var waiting []chan struct{}
		for {
			for range 100 {
				runtime.Gosched() // others may come
				for len(gate) > 0 {
					waiting = append(waiting, <-gate)
				}
			}
			if len(waiting) == 0 {
				select {
				case c := <-gate:
					waiting = append(waiting, c)
				case <-quit:
					return
				}
			}
			i := rand.IntN(len(waiting))
			close(waiting[i])
			waiting = append(waiting[:i], waiting[i+1:]...)
		}
	})
	t.Cleanup(func() { close(quit); group.Wait() })
	turn = func() {
		mu.Lock()
		now++
		peak = max(peak, now)
		mu.Unlock()
		c := make(chan struct{})
		gate <- c
		<-c
		mu.Lock()
		now--
		mu.Unlock()
	}
	return turn, func() int { mu.Lock(); defer mu.Unlock(); return peak }
}

// inOrder checks that each task's events came in order and none is missing.
func inOrder(t *testing.T, calls []string, tasks, events int) {
	t.Helper()
	last := map[string]int{}
	for _, id := range calls {
		task, seq, _ := strings.Cut(id, ".")
		n, err := strconv.Atoi(seq)
		require.NoError(t, err)
		require.LessOrEqual(t, n, last[task]+1, "%s came too early", id)
		last[task] = n
	}
	require.Len(t, last, tasks)
	for task, n := range last {
		require.Equal(t, events, n, task)
	}
}

func TestEventsOfATaskComeInOrder(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		turn, most := shuffle(t)
		r.reply(func(http.ResponseWriter, string) { turn() })
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		for i := range 100 {
			r.put(id, fmt.Sprint("task", i), 5)
		}
		d.Wake(id)
		r.settled(0, 0)
		require.Len(t, r.called(), 500, "nothing came twice")
		inOrder(t, r.called(), 100, 5)
		require.LessOrEqual(t, most(), 32)
		require.Greater(t, most(), 1)
	})
}

// The bound on calls at once, met exactly.
func TestThirtyTwoCallsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		begun, release := make(chan struct{}, 100), make(chan struct{})
		r.reply(func(http.ResponseWriter, string) {
			begun <- struct{}{}
			<-release
		})
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		for i := range 40 {
			r.put(id, fmt.Sprint("task", i), 1)
		}
		d.Wake(id)
		for range 32 {
			<-begun
		}
		d.Wake(id)
		require.Len(t, r.called(), 32)
		close(release)
		r.settled(0, 0)
	})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		r.put(id, "a", 2)
		for i, wait := range []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute} {
			r.respond([]int{500, 408, 429}[i], "")
			d.Wake(id)
			r.due(id, wait)
			r.clock.Advance(wait)
		}
		require.Equal(t, []string{"a.1", "a.1", "a.1"}, r.called(), "the second event waits behind the first")
		r.respond(202, "")
		d.Wake(id)
		r.settled(0, 0)
		require.Equal(t, []string{"a.1", "a.1", "a.1", "a.1", "a.2"}, r.called())
	})
}

// A flow that asks to be left alone is: also with its other events.
func TestRetryAfterHoldsBackTheTrigger(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.reply(func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		r.put(id, "a", 1)
		d.Wake(id)
		r.due(id, 10*time.Minute)
		r.respond(200, "")
		r.put(id, "b", 1)
		d.Wake(id)
		r.clock.Advance(10*time.Minute - time.Second)
		d.Wake(id)
		require.Equal(t, []string{"a.1"}, r.called())
		r.clock.Advance(time.Second)
		d.Wake(id)
		r.settled(0, 0)
		require.ElementsMatch(t, []string{"a.1", "a.1", "b.1"}, r.called())
	})
}

func TestExpiredEventsBecomeDeadLettersAndAreReplayed(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.respond(503, "")
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		r.put(id, "a", 1)
		for _, wait := range []time.Duration{5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour} {
			d.Wake(id)
			r.due(id, wait)
			r.clock.Advance(wait)
		}
		d.Wake(id) // the next would come after 24 hours
		r.settled(0, 1)
		letter := r.letters()[0]
		require.Equal(t, 7, letter.Attempts)
		require.Equal(t, 503, letter.Status)
		require.Equal(t, core.Queued, letter.Event)
		require.Equal(t, "the flow answered 503", letter.Error)

		r.respond(200, "")
		require.Equal(t, core.NotFound, core.KindOf(d.Replay(t.Context(), "fabrikam", letter.ID)))
		require.NoError(t, d.Replay(t.Context(), "contoso", letter.ID))
		r.settled(0, 0)
		calls := r.called()
		require.Len(t, calls, 8)
		require.Equal(t, "a.1", calls[7], "under the same webhook-id")
		require.Equal(t, core.NotFound, core.KindOf(d.Replay(t.Context(), "contoso", letter.ID)))
	})
}

func TestAnUnreachableFlowShowsNoSecret(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		r.server.Close()
		r.put(id, "a", 1)
		d.Wake(id)
		r.due(id, 5*time.Second)
		due, err := r.db.DueDeliveries(t.Context(), id, noon.Add(time.Hour), 1)
		require.NoError(t, err)
		require.Contains(t, due[0].Error, "cannot be reached")
		require.NotContains(t, due[0].Error, callbackSecret)
		require.NotContains(t, due[0].Error, "/hook")
	})
}

func TestAPoisonousEventHurtsNobodyElse(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.render = func(e core.Event) {
			if e.Task.ID == "poison" {
				panic("poison")
			}
		}
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		for i := range 20 {
			r.put(id, fmt.Sprint("task", i), 1)
		}
		r.put(id, "poison", 1)
		d.Wake(id)
		r.settled(0, 1)
		require.Len(t, r.called(), 20)
		require.Equal(t, "poison", r.letters()[0].TaskID)
		require.Equal(t, 1, r.letters()[0].Attempts)
		require.NoError(t, d.Discard(t.Context(), "contoso", r.letters()[0].ID))
		r.settled(0, 0)
	})
}

func TestAStopInTheMiddleLosesNothing(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		begun, release := make(chan struct{}), make(chan struct{})
		r.reply(func(http.ResponseWriter, string) {
			begun <- struct{}{}
			<-release
			panic(http.ErrAbortHandler) // the connection breaks
		})
		d, stop := r.start()
		_, id := r.subscribe(d, "/hook")
		r.put(id, "a", 3)
		d.Wake(id)
		<-begun
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		close(release)
		<-stopped
		r.reply(nil)
		d.Wake(id) // nobody listens any more
		require.Len(t, r.called(), 1)
		r.clock.Advance(5 * time.Second)
		r.start()
		r.settled(0, 0)
		inOrder(t, r.called(), 1, 3)
	})
}

func TestReplicasShareTriggers(t *testing.T) {
	t.Parallel()
	r := newRig(t, pgtest.Start(t))
	turn, _ := shuffle(t)
	r.reply(func(http.ResponseWriter, string) { turn() })
	one, stopOne := r.start()
	two, _ := r.start()
	_, a := r.subscribe(one, "/a")
	_, b := r.subscribe(two, "/b")
	for i := range 50 {
		r.put(a, fmt.Sprint("a", i), 4)
		r.put(b, fmt.Sprint("b", i), 4)
		one.Wake(a)
		two.Wake(a)
		two.Wake(b)
		one.Wake(b)
		if i == 25 {
			stopOne() // the other takes over what it held
		}
	}
	two.WakeDue(t.Context())
	r.settled(0, 0)
	inOrder(t, r.called(), 100, 4)
}
