package delivery_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/store"
)

// A flow that answered 429 got all that had been read before, and every new
// event at once.
func TestAFlowThatAsksForItIsLeftAlone(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.reply(func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		for i := range 100 {
			r.put(id, fmt.Sprintf("a%03d", i), 1)
		}
		d.Wake(id)
		r.until(func() bool { return len(r.called()) > 0 })
		r.clock.Advance(10 * time.Second)
		for i := range 20 {
			r.put(id, fmt.Sprintf("b%03d", i), 1)
			d.Wake(id)
		}
		other := func() string { _, other := r.subscribe(d, "/other"); return other }()
		r.reply(nil)
		r.put(other, "c", 1)
		d.Wake(other)
		r.until(func() bool { return len(r.called()) > 0 && r.called()[len(r.called())-1] == "c.1" })
		require.LessOrEqual(t, len(r.called()), 1+32, "no more than were under way")
		r.clock.Advance(10 * time.Minute)
		r.settled(0, 0)
	})
}

// A trigger that ended while a newer one of its flow began kept what it had: it
// looked for the newer one once, at its start.
func TestWhatIsLeftGoesToTheNewerTrigger(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d := r.deliverer()
		address, older := r.subscribe(d, "/workflows/f/triggers/manual/versions/1")
		r.put(older, "a", 3)
		require.NoError(t, d.Unsubscribe(t.Context(), address, ""))
		require.Len(t, r.letters(), 3)
		_, newer := r.subscribe(d, "/workflows/f/triggers/manual/versions/2")
		require.Empty(t, r.letters())
		r.put(older, "b", 3) // an event written while the older one ended
		require.Equal(t, store.TriggerEnded, r.trigger(older).State)
		r.start()
		r.settled(0, 0)
		require.Equal(t, store.TriggerActive, r.trigger(newer).State)
		inOrder(t, r.called(), 2, 3)
	})
}
