package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/delivery"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestSubscribeRefusesOtherHosts(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for _, raw := range []string{"https://evil.example/x?sig=" + callbackSecret, "http://127.0.0.1:1/" + callbackSecret, callbackSecret, ""} {
			_, err := r.deliverer().Subscribe(t.Context(), delivery.Subscription{Tenant: "contoso", URL: raw})
			var refusal *core.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, core.Invalid, refusal.Kind)
			require.Equal(t, "config.url", refusal.Details[0].Field)
			require.NotContains(t, err.Error(), callbackSecret)
		}
	})
}

func TestAnswersThatEndATrigger(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for i, c := range []struct {
			status int
			body   string
			reason string
		}{
			{404, `{"error":{"code":"WorkflowNotFound"}}`, "deleted"},
			{404, `{"error":{"code":"WorkflowTriggerVersionNotFound"}}`, "saved again"},
			{400, `{"error":{"code":"WorkflowTriggerIsNotEnabled"}}`, "turned off"},
			{410, "", "gone"},
		} {
			r.respond(c.status, c.body)
			d, stop := r.start()
			_, id := r.subscribe(d, fmt.Sprint("/hook", i))
			before := len(r.called())
			r.put(id, fmt.Sprint("a", i), 3)
			d.Wake(id)
			r.settled(0, 3*(i+1))
			stop()
			require.Len(t, r.called(), before+1, "it is not called again")
			trigger := r.trigger(id)
			require.Equal(t, store.TriggerEnded, trigger.State)
			require.Contains(t, trigger.Reason, c.reason)
			require.Empty(t, trigger.URL)
			letters := r.letters()
			err := d.Replay(t.Context(), "contoso", letters[len(letters)-1].ID)
			require.Equal(t, core.Conflict, core.KindOf(err))
		}
		require.Empty(t, r.failed)
	})
}

func TestTenTimesNotFoundEndsATrigger(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d, stop := r.start()
		_, id := r.subscribe(d, "/hook")
		one := func(task string, status, letters int) {
			r.respond(status, "")
			r.put(id, task, 1)
			d.Wake(id)
			r.settled(0, letters)
		}
		for i := range 9 {
			one(fmt.Sprint("a", i), 404, i+1)
		}
		one("good", 200, 9)
		r.until(func() bool { return r.trigger(id).Misses == 0 })
		for i := range 10 {
			require.Equal(t, store.TriggerActive, r.trigger(id).State)
			one(fmt.Sprint("b", i), 404, 10+i)
		}
		r.until(func() bool { return r.trigger(id).State == store.TriggerEnded })
		stop()
		require.Contains(t, r.trigger(id).Reason, "10 times")
	})
}

func TestASavedFlowGetsWhatWasNotDelivered(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		const path = "/workflows/f/triggers/manual/"
		begun, release := make(chan struct{}), make(chan struct{})
		r.reply(func(w http.ResponseWriter, _ string) {
			begun <- struct{}{}
			<-release
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":{"code":"WorkflowTriggerVersionNotFound"}}`))
		})
		d, stop := r.start()
		_, older := r.subscribe(d, path+"1")
		r.put(older, "a", 3)
		d.Wake(older)
		<-begun
		r.reply(nil) // the newer version answers
		_, newer := r.subscribe(d, path+"2")
		require.NotEqual(t, older, newer)
		d.Wake(newer)
		close(release)
		r.settled(0, 0)
		stop()
		require.Empty(t, r.letters(), "nothing is given up")
		require.Equal(t, []string{"a.1", "a.1", "a.2", "a.3"}, r.called())
		require.Equal(t, store.TriggerEnded, r.trigger(older).State)
		require.Equal(t, store.TriggerActive, r.trigger(newer).State)
	})
}

// A task wrote its event while the flow was being saved.
func TestALateEventOfAnEndedTriggerGoesToTheNewer(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d := r.deliverer()
		_, older := r.subscribe(d, "/workflows/f/triggers/manual/1")
		_, newer := r.subscribe(d, "/workflows/f/triggers/manual/2")
		r.put(older, "a", 2)
		r.put(newer, "b", 2)
		r.start()
		r.settled(0, 0)
		require.Empty(t, r.letters())
		inOrder(t, r.called(), 2, 2)
	})
}

func TestOwnersWithoutTheRoleReceiveNothing(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		r.setMay(errors.New("the owner may not see support"))
		r.put(id, "a", 2)
		require.NoError(t, d.Sweep(t.Context()))
		require.Equal(t, store.TriggerSuspended, r.trigger(id).State)
		require.Equal(t, "the owner may not see support", r.trigger(id).Reason)
		d.Wake(id)
		r.settled(0, 2)
		require.Empty(t, r.called())

		r.setMay(nil)
		for range 2 {
			require.NoError(t, d.Sweep(t.Context()))
		}
		require.Equal(t, store.TriggerActive, r.trigger(id).State)
		for _, l := range r.letters() {
			require.NoError(t, d.Replay(t.Context(), "contoso", l.ID))
		}
		r.settled(0, 0)
		require.Len(t, r.called(), 2)
	})
}

// Before the directory's change was swept, each call asks once more.
func TestTheRoleIsAskedAtEachCall(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		r.setMay(errors.New("no"))
		d, _ := r.start()
		_, id := r.subscribe(d, "/hook")
		r.put(id, "a", 2)
		d.Wake(id)
		r.settled(0, 2)
		require.Empty(t, r.called())
		require.Equal(t, "no", r.letters()[0].Error)
		require.Zero(t, r.letters()[0].Attempts)
	})
}

func TestUnsubscribe(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d := r.deliverer()
		address, id := r.subscribe(d, "/hook")
		r.put(id, "a", 2)
		require.NoError(t, d.Unsubscribe(t.Context(), "unknown", ""))
		require.NoError(t, d.Unsubscribe(t.Context(), address, "fabrikam"))
		require.Equal(t, store.TriggerActive, r.trigger(id).State, "another tenant's")
		for range 2 {
			require.NoError(t, d.Unsubscribe(t.Context(), address, "contoso"))
		}
		require.Equal(t, store.TriggerEnded, r.trigger(id).State)
		r.settled(0, 2)
		other, id := r.subscribe(d, "/other")
		require.NotEqual(t, address, other)
		require.NoError(t, d.Unsubscribe(t.Context(), other, ""))
		require.Equal(t, store.TriggerEnded, r.trigger(id).State)
	})
}

// A replica was killed: its lease runs out, and another goes on.
func TestALeaseOfTheDeadRunsOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, pgtest.Start(t))
	_, id := r.subscribe(r.deliverer(), "/hook")
	require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		mine, err := tx.LeaseTrigger(ctx, id, "dead", 500*time.Millisecond)
		if !mine && err == nil {
			err = errors.New("no lease")
		}
		return err
	}))
	r.put(id, "a", 2)
	r.start()
	r.settled(0, 0)
	require.Equal(t, []string{"a.1", "a.2"}, r.called())
}

// A flow that unsubscribes before it subscribes anew, as the platform may do
// when it is saved, loses nothing; what it no longer asks for is not sent.
func TestUnsubscribeThenSubscribe(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		d, _ := r.start()
		r.reply(func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusServiceUnavailable) })
		address, id := r.subscribe(d, "/workflows/f/triggers/manual/versions/1")
		r.put(id, "a", 2)
		d.Wake(id)
		r.due(id, 5*time.Second)
		require.NoError(t, d.Unsubscribe(t.Context(), address, ""))
		require.Len(t, r.letters(), 2)

		r.reply(nil)
		other := r.server.URL + "/workflows/f/triggers/manual/versions/2?sig=" + callbackSecret
		_, err := d.Subscribe(t.Context(), delivery.Subscription{
			Tenant: "contoso", Owner: "other@contoso.example", URL: other, Services: []string{"support@contoso.example"},
		})
		require.NoError(t, err)
		require.Len(t, r.letters(), 2, "another user's flow gets none of it")

		_, err = d.Subscribe(t.Context(), delivery.Subscription{
			Tenant: "contoso", Owner: "owner@contoso.example", URL: other, Services: []string{"sales@contoso.example"},
		})
		require.NoError(t, err)
		r.settled(0, 0)
		require.Len(t, r.called(), 1, "the first attempt alone")
	})
}
