package outbox_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/outbox"
	"tandem/core/store"
)

func only(h outbox.Handler) map[string]outbox.Handler { return map[string]outbox.Handler{"k": h} }

func TestEachItemIsDoneOnceAndLanesInOrder(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		var busy sync.Map // lanes
		handler := func(ctx context.Context, it store.OutboxItem) outbox.Verdict {
			if it.Lane != "" {
				if _, two := busy.LoadOrStore(it.Lane, true); two {
					r.t.Error("two of a lane at once")
				}
				defer busy.Delete(it.Lane)
			}
			return done.handle(ctx, it)
		}
		workers := []*outbox.Worker{r.worker(r.db, only(handler))}
		if !r.db.SQLite() { // replicas
			workers = append(workers, r.worker(r.open(), only(handler)), r.worker(r.open(), only(handler)))
		}
		for _, w := range workers {
			r.run(w)
		}
		const lanes, each = 40, 10
		for i := range each / 2 {
			for lane := range lanes {
				r.send(
					store.OutboxItem{Kind: "k", Lane: fmt.Sprint(lane), Payload: fmt.Append(nil, 2*i)},
					store.OutboxItem{Kind: "k", Lane: fmt.Sprint(lane), Payload: fmt.Append(nil, 2*i+1)},
				)
				workers[0].Wake()
			}
			for range 20 {
				r.send(store.OutboxItem{Kind: "k"})
			}
		}
		r.empty()
		require.Len(t, done.all(), 500)
		for lane := range lanes {
			require.Equal(r.t, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, done.payloads(fmt.Sprint(lane)))
		}
		require.Len(r.t, done.payloads(""), 100)
	})
}

func TestWhatADeadWorkerLeftIsDone(t *testing.T) {
	both(t, func(r *rig) {
		for i := range 50 {
			r.send(store.OutboxItem{Kind: "k", Lane: fmt.Sprint(i % 40)})
		}
		require.Len(r.t, r.die(), 40)
		var done record
		r.run(r.worker(r.db, only(done.handle)))
		r.empty()
		require.Len(r.t, done.all(), 50)
		begun := 0
		for _, it := range done.all() {
			begun += it.Attempts
		}
		require.Equal(r.t, 40, begun, "and says that it may have been done")
	})
}

func TestAStoppedWorkerGivesBackWhatItCouldNotDo(t *testing.T) {
	both(t, func(r *rig) {
		r.send(store.OutboxItem{Kind: "k", Payload: []byte("slow")}, store.OutboxItem{Kind: "k", Payload: []byte("quick")})
		const grace = 50 * time.Millisecond
		began, stopping := make(chan string, 2), make(chan struct{})
		ended := make(chan time.Time, 1)
		w := r.worker(r.db, only(func(ctx context.Context, it store.OutboxItem) outbox.Verdict {
			began <- it.ID
			if string(it.Payload) == "quick" {
				<-stopping
				return outbox.Verdict{Done: true} // which is written even after the grace
			}
			<-ctx.Done()
			ended <- time.Now()
			return outbox.Verdict{Wait: time.Hour}
		}))
		w.SetGrace(grace)
		ctx, cancel := context.WithCancel(r.t.Context())
		var running sync.WaitGroup
		running.Go(func() { w.Run(ctx) })
		<-began
		<-began
		stops := time.Now()
		cancel()
		close(stopping)
		running.Wait()
		require.GreaterOrEqual(r.t, (<-ended).Sub(stops), grace)

		r.depth(1)
		r.waiting(noon)
		var done record
		w = r.worker(r.db, only(done.handle))
		r.run(w)
		r.empty()
		require.Equal(r.t, []string{"slow"}, done.payloads(""))
		require.Equal(r.t, 1, done.all()[0].Attempts, "it was begun")
	})
}

func TestADelayedItemHoldsBackItsLaneAlone(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		r.run(r.worker(r.db, only(func(ctx context.Context, it store.OutboxItem) outbox.Verdict {
			if string(it.Payload) == "first" && it.Attempts < 2 {
				return outbox.Verdict{} // the wait is Backoff's
			}
			return done.handle(ctx, it)
		})))
		r.send(
			store.OutboxItem{Kind: "k", Lane: "a", Payload: []byte("first")}, store.OutboxItem{Kind: "k", Lane: "a", Payload: []byte("second")},
			store.OutboxItem{Kind: "k", Lane: "b"}, store.OutboxItem{Kind: "k"},
		)
		r.depth(2)
		r.waiting(noon.Add(time.Second))
		r.clock.Advance(time.Second)
		r.waiting(noon.Add(6 * time.Second))
		require.Empty(r.t, done.payloads("a"))
		r.clock.Advance(5 * time.Second)
		r.empty()
		require.Equal(r.t, []string{"first", "second"}, done.payloads("a"))
	})
}

func TestThenIsWrittenWithTheVerdict(t *testing.T) {
	both(t, func(r *rig) {
		var unavailable atomic.Int32
		then := func(it store.OutboxItem) func(context.Context, *store.Tx) error {
			return func(ctx context.Context, tx *store.Tx) error {
				if _, err := tx.InitSetting(ctx, string(it.Payload), []byte{1}); err != nil {
					return err
				}
				switch {
				case string(it.Payload) == "broken":
					return core.Errorf(core.Conflict, "not allowed")
				case string(it.Payload) == "busy" && unavailable.Add(1) == 1:
					return core.Errorf(core.Unavailable, "come back")
				}
				return nil
			}
		}
		var tries atomic.Int32
		r.run(r.worker(r.db, only(func(_ context.Context, it store.OutboxItem) outbox.Verdict {
			tries.Add(1)
			return outbox.Verdict{Done: string(it.Payload) != "delayed", Wait: time.Hour, Then: then(it)}
		})))
		for _, name := range []string{"good", "delayed", "broken", "busy"} {
			r.send(store.OutboxItem{Kind: "k", Lane: name, Payload: []byte(name)})
		}
		r.depth(2)
		r.waiting(noon.Add(time.Second)) // the broken one: its end was taken back
		require.Eventually(r.t, func() bool {
			_, err := r.db.Setting(r.t.Context(), "delayed")
			return err == nil
		}, 20*time.Second, time.Millisecond)
		for name, written := range map[string]bool{"good": true, "delayed": true, "busy": true, "broken": false} {
			_, err := r.db.Setting(r.t.Context(), name)
			require.Equal(r.t, written, err == nil, name)
		}
		require.EqualValues(r.t, 4, tries.Load(), "what a database refuses is written again, not done again")
		failed := strings.Join(r.complaints(), "\n")
		require.Contains(r.t, failed, "not allowed")
		require.Contains(r.t, failed, "come back")
	})
}

func TestAPanicDelaysItsItemAlone(t *testing.T) {
	both(t, func(r *rig) {
		r.run(r.worker(r.db, only(func(_ context.Context, it store.OutboxItem) outbox.Verdict {
			if it.Lane == "bad" {
				panic("poison")
			}
			return outbox.Verdict{Done: true}
		})))
		r.send(store.OutboxItem{Kind: "k", Lane: "bad"}, store.OutboxItem{Kind: "k", Lane: "good"})
		r.depth(1)
		r.waiting(noon.Add(time.Second))
		require.Contains(r.t, strings.Join(r.complaints(), "\n"), "panic: poison")
	})
}

func TestWhatAlwaysFailsIsGivenUpAfterADay(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		failing := map[string]func() outbox.Verdict{
			"panic": func() outbox.Verdict { panic("poison") },
			"then": func() outbox.Verdict {
				return outbox.Verdict{Done: true, Then: func(context.Context, *store.Tx) error { return core.Errorf(core.Conflict, "no") }}
			},
		}
		r.run(r.worker(r.db, only(func(ctx context.Context, it store.OutboxItem) outbox.Verdict {
			if fail := failing[string(it.Payload)]; fail != nil {
				return fail()
			}
			return done.handle(ctx, it)
		})))
		for name := range failing {
			r.send(store.OutboxItem{Kind: "k", Lane: name, Payload: []byte(name)}, store.OutboxItem{Kind: "k", Lane: name})
			for attempts := 0; ; attempts++ {
				wait, more := outbox.Backoff(attempts)
				if !more {
					break
				}
				r.waiting(r.clock.Now().Add(wait))
				require.Empty(r.t, done.payloads(name))
				r.clock.Advance(wait)
			}
			r.empty()
			require.Len(r.t, done.payloads(name), 1, "the one behind it")
		}
		require.NotEmpty(r.t, r.complaints())
	})
}

func TestKindsWithoutAHandlerAreLeftAlone(t *testing.T) {
	both(t, func(r *rig) {
		r.send(store.OutboxItem{Kind: "another replica's", Lane: "a"}, store.OutboxItem{Kind: "k", Lane: "a"}, store.OutboxItem{Kind: "k", Lane: "b"})
		var done, other record
		r.run(r.worker(r.db, only(done.handle)))
		r.depth(2)
		require.Empty(r.t, done.payloads("a"), "the lane keeps its order")
		r.run(r.worker(r.db, map[string]outbox.Handler{"another replica's": other.handle}))
		r.empty()
		require.Len(r.t, done.all(), 2)
		require.Len(r.t, other.all(), 1)
	})
}

func TestANewPayloadGoesOnAtOnce(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		r.run(r.worker(r.db, only(func(ctx context.Context, it store.OutboxItem) outbox.Verdict {
			if step := string(it.Payload); step != "xxxxxxxxxx" {
				return outbox.Verdict{Payload: []byte(step + "x")}
			}
			return done.handle(ctx, it)
		})))
		r.send(store.OutboxItem{Kind: "k", Lane: "a"}, store.OutboxItem{Kind: "k"})
		r.empty()
		require.Len(r.t, done.all(), 2)
		require.Equal(r.t, 10, done.all()[0].Attempts)
	})
}

func TestNoMoreThanAllowedAreUnderWay(t *testing.T) {
	both(t, func(r *rig) {
		var under, most atomic.Int32
		full := make(chan struct{}, 100)
		release := make(chan struct{})
		w := outbox.New(outbox.Options{
			DB: r.db, Clock: r.clock, Failed: r.complain, AtOnce: 3,
			Handlers: only(func(context.Context, store.OutboxItem) outbox.Verdict {
				most.Store(max(most.Load(), under.Add(1)))
				defer under.Add(-1)
				full <- struct{}{}
				<-release
				return outbox.Verdict{Done: true}
			}),
		})
		for range 20 {
			r.send(store.OutboxItem{Kind: "k"})
		}
		r.run(w)
		for range 3 {
			<-full
		}
		w.Wake()
		close(release)
		r.empty()
		require.EqualValues(r.t, 3, most.Load())
	})
}

func TestAKindThatWaitsHoldsUpNoOther(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		gate, began := make(chan struct{}), make(chan struct{}, 16)
		r.run(r.worker(r.db, map[string]outbox.Handler{
			"k": done.handle,
			"slow": func(context.Context, store.OutboxItem) outbox.Verdict {
				began <- struct{}{}
				<-gate
				return outbox.Verdict{Done: true}
			},
		}))
		defer close(gate)
		for range 20 {
			r.send(store.OutboxItem{Kind: "slow"})
		}
		for range 12 { // the rest is for other tenants
			<-began
		}
		r.send(store.OutboxItem{Kind: "k"}, store.OutboxItem{Kind: "k"})
		r.depth(20)
		require.Len(r.t, done.all(), 2)
	})
}

func TestATenantWhosePlatformHangsHoldsUpNoOther(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		gate, began := make(chan struct{}), make(chan struct{}, 100)
		r.run(r.worker(r.db, map[string]outbox.Handler{"k": func(ctx context.Context, it store.OutboxItem) outbox.Verdict {
			if it.Tenant == "fabrikam" {
				return done.handle(ctx, it)
			}
			began <- struct{}{}
			<-gate
			return outbox.Verdict{Done: true}
		}}))
		defer close(gate)
		for range 10 { // one after the other: each is a claim of its own
			r.send(store.OutboxItem{Kind: "k"})
			<-began
		}
		for range 90 {
			r.send(store.OutboxItem{Kind: "k"})
		}
		<-began
		for range 5 {
			now := r.clock.Now().UnixMilli()
			r.write(func(ctx context.Context, tx *store.Tx) error {
				return tx.InsertOutbox(ctx, []store.OutboxItem{{Tenant: "fabrikam", Kind: "k", DueMs: now, CreatedMs: now}})
			})
		}
		r.depth(100)
		require.Len(r.t, done.all(), 5)
	})
}

func TestALostLeaseEndsItsRun(t *testing.T) {
	both(t, func(r *rig) {
		began, ended := make(chan bool, 1), make(chan bool, 1)
		w := r.worker(r.db, only(func(ctx context.Context, _ store.OutboxItem) outbox.Verdict {
			began <- true
			<-ctx.Done()
			ended <- true
			return outbox.Verdict{Wait: time.Hour}
		}))
		r.send(store.OutboxItem{Kind: "k"})
		stop := r.run(w)
		<-began
		w.Renew(r.t.Context())
		require.Empty(r.t, ended)
		id := ""
		r.write(func(ctx context.Context, tx *store.Tx) error { // another replica takes it
			if err := tx.FreeOutbox(ctx); err != nil {
				return err
			}
			items, err := tx.ClaimOutbox(ctx, []string{"k"}, noon, "thief", time.Hour, 1)
			id = items[0].ID
			return err
		})
		w.Renew(r.t.Context())
		<-ended
		stop()
		r.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteOutbox(ctx, id, "thief") })
	})
}

func TestALeaseOutlastsItsTimeWhileItIsRenewed(t *testing.T) {
	both(t, func(r *rig) {
		began, release := make(chan bool, 2), make(chan bool)
		w := r.worker(r.db, only(func(context.Context, store.OutboxItem) outbox.Verdict {
			began <- true
			<-release
			return outbox.Verdict{Done: true}
		}))
		r.send(store.OutboxItem{Kind: "k"})
		r.run(w)
		<-began
		for range 4 {
			r.clock.Advance(5 * time.Second)
			w.Renew(r.t.Context())
		}
		next, err := r.db.NextOutbox(r.t.Context(), []string{"k"})
		require.NoError(r.t, err)
		require.Zero(r.t, next, "it is still this worker's")
		close(release)
		r.empty()
		require.Empty(r.t, began)
	})
}

func TestNothingIsWrittenWhenNothingIsDue(t *testing.T) {
	both(t, func(r *rig) {
		var done record
		w := r.worker(r.db, only(done.handle))
		r.send(store.OutboxItem{Kind: "k", DueMs: noon.UnixMilli() + 1}, store.OutboxItem{Kind: "other"})
		if r.db.SQLite() { // where groups are counted
			require.Eventually(r.t, func() bool { return r.written() == 1 }, 20*time.Second, time.Millisecond)
		}
		before := r.written()
		for range 20 {
			wait, err := w.Claim(r.t.Context())
			require.NoError(r.t, err)
			require.Equal(r.t, time.Millisecond, wait, "until it is due")
		}
		require.Equal(r.t, before, r.written())
	})
}

func TestWakeAndTheNextDueTimeNeedNoLook(t *testing.T) {
	both(t, func(r *rig) {
		done := make(chan string, 2)
		w := outbox.New(outbox.Options{
			DB: r.db, Clock: core.SystemClock{}, Failed: r.complain, Look: time.Hour,
			Handlers: only(func(_ context.Context, it store.OutboxItem) outbox.Verdict {
				done <- it.Lane
				return outbox.Verdict{Done: true}
			}),
		})
		r.run(w)
		r.send(store.OutboxItem{Kind: "k", Lane: "now"},
			store.OutboxItem{Kind: "k", Lane: "later", DueMs: core.SystemClock{}.Now().Add(2 * time.Second).UnixMilli()})
		for range 10 {
			w.Wake()
		}
		require.Equal(r.t, "now", <-done)
		require.Equal(r.t, "later", <-done)
		r.empty()
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var all time.Duration
	var waits []time.Duration
	attempts := 0
	for ; ; attempts++ {
		wait, more := outbox.Backoff(attempts)
		require.Positive(t, wait)
		if !more {
			break
		}
		all += wait
		waits = append(waits, wait)
	}
	require.Equal(t, []time.Duration{
		time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, time.Hour,
	}, waits[:8])
	require.LessOrEqual(t, all, 24*time.Hour)
	require.Greater(t, all, 23*time.Hour)
	_, more := outbox.Backoff(attempts + 100)
	require.False(t, more)
}
