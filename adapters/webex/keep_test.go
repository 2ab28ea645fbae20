package webex

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/coretest"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// fakeWebex keeps subscriptions and tasks as Webex does.
type fakeWebex struct {
	mu     sync.Mutex
	subs   []map[string]any
	tasks  []any
	list   func(input map[string]any) any // instead of tasks
	calls  []string                       // operations, in order
	inputs []map[string]any               // of those
	fail   map[string]error               // operation -> instead of doing it
	late   map[string]error               // operation -> after it was done
	before func(operation string)
}

func (f *fakeWebex) run(_ context.Context, _, operation string, input map[string]any) (any, error) {
	f.mu.Lock()
	before := f.before
	f.mu.Unlock()
	if before != nil {
		before(operation)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.inputs = append(f.calls, operation), append(f.inputs, maps.Clone(input))
	if err := f.fail[operation]; err != nil {
		return nil, err
	}
	output, err := f.do(operation, input)
	return output, errors.Join(err, f.late[operation])
}

func (f *fakeWebex) do(operation string, input map[string]any) (any, error) {
	switch operation {
	case listSubscriptions:
		list := []any{}
		for _, s := range f.subs {
			seen := maps.Clone(s)
			delete(seen, "secret")
			list = append(list, seen)
		}
		return map[string]any{"orgId": subOrg, "subscriptions": list}, nil
	case createSubscription:
		s := maps.Clone(input)
		s["id"], s["status"] = fmt.Sprintf("remote-%d", len(f.subs)+1), "active"
		f.subs = append(f.subs, s)
		return map[string]any{"id": s["id"], "orgId": subOrg, "status": "active"}, nil
	case updateSubscription:
		i := slices.IndexFunc(f.subs, func(s map[string]any) bool { return s["id"] == input["id"] })
		if i < 0 {
			return nil, core.Errorf(core.NotFound, "no such subscription")
		}
		maps.Copy(f.subs[i], input)
		return map[string]any{"id": input["id"], "status": input["status"]}, nil
	case listTasks:
		if f.list != nil {
			return f.list(input), nil
		}
		return map[string]any{"tasks": f.tasks}, nil
	}
	return nil, errors.New("no such operation")
}

// since returns the operations since it was last asked.
func (f *fakeWebex) since() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := strings.Join(f.calls, " ")
	f.calls = nil
	return calls
}

// keepRig is a Keeper between a database and a Webex.
type keepRig struct {
	*Keeper

	db       *store.DB
	clock    *coretest.Clock
	webex    *fakeWebex
	happened *happenings
	ready    map[string]bool
	links    map[string]string
}

func newKeepRig(t testing.TB, url string) *keepRig {
	t.Helper()
	r := &keepRig{
		clock: coretest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), webex: &fakeWebex{}, happened: &happenings{},
		ready: map[string]bool{"contoso": true}, links: map[string]string{},
	}
	r.db = eventDB(t, url, r.clock)
	r.Keeper = r.keeper("https://hub.example/tandem/")
	return r
}

// keeper is one of several replicas.
func (r *keepRig) keeper(base string) *Keeper {
	k := NewKeeper(KeeperOptions{
		DB: r.db, Box: secretBox{}, Clock: r.clock, Happened: r.happened, BaseURL: base,
		Tenants: func() []string { return []string{"contoso", "fabrikam"} },
		Ready:   func(tenant string) bool { return r.ready[tenant] },
		Failed:  func(string, error) {}, Run: r.webex.run,
		OpenLinks: func(context.Context, string, string) (map[string]string, error) { return r.links, nil },
	})
	k.pause = 0
	return k
}

func (r *keepRig) row(t testing.TB) store.Subscription {
	t.Helper()
	s, err := r.db.SubscriptionOf(context.Background(), "contoso")
	require.NoError(t, err)
	return s
}

// agree checks that the hub and Webex have the same subscription, and one only.
func (r *keepRig) agree(t testing.TB) {
	t.Helper()
	s := r.row(t)
	require.Empty(t, s.Error)
	require.Equal(t, "active", s.Status)
	require.Equal(t, subOrg, s.Org)
	require.Len(t, r.webex.subs, 1)
	secret, err := secretBox{}.Open(subscriptionPlace(s.ID), s.Secret)
	require.NoError(t, err)
	require.Len(t, secret, 64)
	require.Equal(t, string(secret), r.webex.subs[0]["secret"])
	require.Equal(t, s.RemoteID, r.webex.subs[0]["id"])
	require.Equal(t, "active", r.webex.subs[0]["status"])
	require.Equal(t, "Tandem "+s.ID[:8], r.webex.subs[0]["name"])
	require.Equal(t, s.URL, r.webex.subs[0]["destinationUrl"])
	require.True(t, strings.HasSuffix(s.URL, "/webex/v1/events/"+s.ID))
	require.Equal(t, "task:1.0.0", r.webex.subs[0]["resourceVersion"])
	require.ElementsMatch(t, []any{"task:new", "task:connect", "task:connected", "task:parked", "task:ended", "task:failed"}, r.webex.subs[0]["eventTypes"])
}

func TestKeep(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		ctx, r := context.Background(), newKeepRig(t, url)
		require.NoError(t, r.Keep(ctx))
		require.Equal(t, "list-subscriptions create-subscription", r.webex.since())
		r.agree(t)
		state, ok := r.State(ctx, "contoso")
		require.True(t, ok)
		require.Equal(t, r.webex.subs[0]["destinationUrl"], state.URL)
		require.True(t, strings.HasPrefix(state.URL, "https://hub.example/tandem/webex/v1/events/"))
		require.Equal(t, "active", state.Status)
		require.Equal(t, r.clock.Now(), state.Created)
		require.Zero(t, state.OldSecretUntil)
		_, ok = r.State(ctx, "fabrikam")
		require.False(t, ok, "without an authorization there is nothing to keep")

		require.NoError(t, r.Keep(ctx))
		require.Equal(t, "list-subscriptions", r.webex.since(), "nothing to do")
		r.webex.subs[0]["status"] = "inactive"
		require.NoError(t, r.Keep(ctx))
		require.Equal(t, "list-subscriptions update-subscription", r.webex.since())
		require.NotContains(t, r.webex.inputs[len(r.webex.inputs)-1], "secret", "it is not told again")
		r.agree(t)
		r.webex.subs[0]["destinationUrl"] = "https://old.example/webex/v1/events/x"
		require.NoError(t, r.Check(ctx, "contoso"))
		r.agree(t)
		r.webex.subs[0]["eventTypes"] = []any{"task:new"}
		require.NoError(t, r.Check(ctx, "contoso"))
		r.agree(t)
		require.NoError(t, r.keeper("https://moved.example").Check(ctx, "contoso"))
		require.Equal(t, "https://moved.example/webex/v1/events/"+r.row(t).ID, r.webex.subs[0]["destinationUrl"])
		r.agree(t)

		r.webex.subs = nil
		require.NoError(t, r.Keep(ctx))
		r.agree(t)
	})
}

func TestKeepAfterFaults(t *testing.T) {
	t.Parallel()
	upstream := core.Errorf(core.Unavailable, "Webex is down")
	for name, c := range map[string]struct {
		fault  func(r *keepRig)
		status string
		said   string
	}{
		"list fails":           {func(r *keepRig) { r.webex.fail = map[string]error{listSubscriptions: upstream} }, "failed", "Webex is down"},
		"create fails":         {func(r *keepRig) { r.webex.fail = map[string]error{createSubscription: upstream} }, "failed", "Webex is down"},
		"create has no answer": {func(r *keepRig) { r.webex.late = map[string]error{createSubscription: upstream} }, "failed", "Webex is down"},
		"no kind":              {func(r *keepRig) { r.webex.fail = map[string]error{listSubscriptions: errors.New("bug")} }, "failed", "The hub could not run list-subscriptions."},
		"an output of no form": {func(r *keepRig) { r.webex.subs = []map[string]any{{"id": 5}} }, "failed", "The output of list-subscriptions is not of the form that is needed."},
		"no fault":             {func(*keepRig) {}, "active", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, r := context.Background(), newKeepRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
			c.fault(r)
			require.NoError(t, r.Keep(ctx), "what Webex says is no fault of the duty")
			state, ok := r.State(ctx, "contoso")
			require.True(t, ok)
			require.Equal(t, c.status, state.Status)
			require.Equal(t, c.said, state.Error)
			if len(r.webex.fail) > 0 {
				require.Error(t, r.Check(ctx, "contoso"), "a person is told")
			}
			r.webex.fail, r.webex.late = nil, nil
			r.webex.subs = slices.DeleteFunc(r.webex.subs, func(s map[string]any) bool { return s["id"] == 5 })
			require.NoError(t, r.Check(ctx, "contoso"))
			r.agree(t)
		})
	}
}

// TestKeepAfterCrash ends the hub at each point of making a subscription.
func TestKeepAfterCrash(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(t *testing.T, r *keepRig){
		"before the create": func(t *testing.T, r *keepRig) {
			_, err := r.claim(context.Background(), "contoso", true)
			require.NoError(t, err)
		},
		"after the create": func(t *testing.T, r *keepRig) {
			s, err := r.claim(context.Background(), "contoso", true)
			require.NoError(t, err)
			require.NoError(t, r.settle(context.Background(), &s))
		},
		"after the create, with another secret there": func(t *testing.T, r *keepRig) {
			s, err := r.claim(context.Background(), "contoso", true)
			require.NoError(t, err)
			require.NoError(t, r.settle(context.Background(), &s))
			r.webex.subs[0]["secret"] = "lost"
		},
		"with a secret that does not open": func(t *testing.T, r *keepRig) {
			require.NoError(t, r.Check(context.Background(), "contoso"))
			s, err := r.claim(context.Background(), "contoso", true)
			require.NoError(t, err)
			s.Secret = []byte("12345678sealed elsewhere")
			require.NoError(t, r.save(context.Background(), s, false))
		},
		"in the middle of a rotation": func(t *testing.T, r *keepRig) {
			require.NoError(t, r.Check(context.Background(), "contoso"))
			s, err := r.claim(context.Background(), "contoso", false)
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(context.Background())
			r.webex.before = func(string) { cancel(); r.webex.before = nil }
			r.webex.fail = map[string]error{updateSubscription: context.Canceled}
			require.Error(t, r.rotate(ctx, &s))
			r.webex.fail = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, r := context.Background(), newKeepRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
			prepare(t, r)
			r.webex.since()
			require.NoError(t, r.Keep(ctx))
			require.Empty(t, r.webex.since(), "somebody may be at it")
			require.Equal(t, core.Conflict, core.KindOf(r.Check(ctx, "contoso")))
			state, _ := r.State(ctx, "contoso")
			require.Zero(t, state.Checked, "it is being checked")
			r.clock.Advance(checkLease)
			require.NoError(t, r.Keep(ctx))
			r.agree(t)
		})
	}
}

func TestSeveralOfOneName(t *testing.T) {
	t.Parallel()
	s := &store.Subscription{ID: "0123456789abcdef"}
	first, second := remoteSubscription{ID: "a", Name: "Tandem 01234567"}, remoteSubscription{ID: "b", Name: "Tandem 01234567"}
	all := []remoteSubscription{{ID: "c", Name: "Tandem"}, {Name: "Tandem 01234567"}, first, second}
	got, ok := choose(all, s)
	require.True(t, ok)
	require.Equal(t, first, got)
	s.RemoteID = "b"
	got, _ = choose(all, s)
	require.Equal(t, second, got, "the one that is known")
	_, ok = choose(all[:1], s)
	require.False(t, ok)
}

func TestNowhereToSend(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), newKeepRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	for _, base := range []string{"", "http://hub.example", "ftp://hub.example", "https://hub.example:8443", "://"} {
		k := r.keeper(base)
		require.NoError(t, k.Keep(ctx), base)
		require.NoError(t, k.Compare(ctx), base)
		require.Equal(t, core.NotConfigured, core.KindOf(k.Check(ctx, "contoso")), base)
		require.Equal(t, core.NotConfigured, core.KindOf(k.Rotate(ctx, "contoso")), base)
	}
	require.Equal(t, core.NeedsAuthorization, core.KindOf(r.Check(ctx, "fabrikam")))
	require.Empty(t, r.webex.since())
	require.NoError(t, r.keeper("http://127.0.0.1:8080").Check(ctx, "contoso"), "the machine itself")
	require.NoError(t, r.keeper("https://hub.example:443").Check(ctx, "contoso"))
	require.NoError(t, r.db.Close())
	require.Error(t, r.Keep(ctx))
	require.Error(t, r.Compare(ctx))
	_, ok := r.State(ctx, "contoso")
	require.False(t, ok)
}

func TestRotate(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		ctx, r := context.Background(), newKeepRig(t, url)
		require.Equal(t, core.NotFound, core.KindOf(r.Rotate(ctx, "contoso")))
		require.NoError(t, r.Check(ctx, "contoso"))
		first := r.row(t).Secret
		r.clock.Advance(time.Hour)
		renewed := r.clock.Now()
		require.NoError(t, r.Rotate(ctx, "contoso"))
		r.agree(t)
		s := r.row(t)
		require.NotEqual(t, first, s.Secret)
		require.Equal(t, first, s.OldSecret)
		state, _ := r.State(ctx, "contoso")
		require.Equal(t, r.clock.Now().Add(24*time.Hour), state.OldSecretUntil)
		require.NotContains(t, fmt.Sprintf("%+v", state), r.webex.subs[0]["secret"])

		// Webex refuses and repeats what it was given: the old secret stays in use.
		secret, old := r.webex.subs[0]["secret"], s.Secret
		var given string
		r.webex.fail = map[string]error{updateSubscription: core.Errorf(core.Invalid, "too many")}
		err := r.Rotate(ctx, "contoso")
		require.Equal(t, core.Invalid, core.KindOf(err))
		given, _ = r.webex.inputs[len(r.webex.inputs)-1]["secret"].(string)
		require.Len(t, given, 64)
		s = r.row(t)
		require.Equal(t, old, s.Secret)
		require.Equal(t, "too many", s.Error)
		plain, err := secretBox{}.Open(subscriptionPlace(s.ID), s.OldSecret)
		require.NoError(t, err)
		require.Equal(t, given, string(plain), "Webex may have taken it all the same")
		r.webex.fail = nil
		require.NoError(t, r.Keep(ctx))
		require.Equal(t, secret, r.webex.subs[0]["secret"])
		r.agree(t)

		r.clock.Advance(24 * time.Hour)
		require.NoError(t, r.Keep(ctx))
		require.Nil(t, r.row(t).OldSecret)
		state, _ = r.State(ctx, "contoso")
		require.Equal(t, renewed, state.SecretSince(), "not when the subscription was made")
	})
}

func TestSecretsAreNotTold(t *testing.T) {
	t.Parallel()
	ctx, r := context.Background(), newKeepRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	echo := r.Keeper.o.Run
	r.Keeper.o.Run = func(ctx context.Context, tenant, operation string, input map[string]any) (any, error) {
		if operation == createSubscription {
			return nil, core.Errorf(core.Invalid, "refused: %v %s", input["secret"], strings.Repeat("x", 1000))
		}
		return echo(ctx, tenant, operation, input)
	}
	err := r.Check(ctx, "contoso")
	s := r.row(t)
	secret, _ := secretBox{}.Open(subscriptionPlace(s.ID), s.Secret)
	require.NotContains(t, err.Error()+s.Error, string(secret))
	require.True(t, strings.HasPrefix(s.Error, "refused: [secret] xx"))
	require.Len(t, s.Error, maxTold)
}

// TestTwoReplicas lets two replicas and a person check at once.
func TestTwoReplicas(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		ctx, r := context.Background(), newKeepRig(t, url)
		second := r.keeper("https://hub.example/tandem")
		arrived, release := make(chan string, 8), make(chan struct{})
		r.webex.before = func(operation string) {
			arrived <- operation
			<-release
		}
		var all sync.WaitGroup
		errs := make(chan error, 3)
		all.Go(func() { errs <- r.Keep(ctx) })
		all.Go(func() { errs <- second.Keep(ctx) })
		all.Go(func() {
			if err := second.Check(ctx, "contoso"); core.KindOf(err) != core.Conflict {
				errs <- err
			}
		})
		<-arrived
		close(release)
		all.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.NoError(t, r.Keep(ctx))
		created := 0
		for _, call := range r.webex.calls {
			if call == createSubscription {
				created++
			}
		}
		require.Equal(t, 1, created)
		r.agree(t)
	})
}

func TestCompare(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		ctx, r := context.Background(), newKeepRig(t, url)
		result := func() string {
			require.NoError(t, r.Compare(ctx))
			state, ok := r.State(ctx, "contoso")
			require.True(t, ok)
			require.Equal(t, r.clock.Now(), state.Compared)
			return state.Comparison
		}
		require.NoError(t, r.Compare(ctx), "no subscription, nothing to compare")
		require.NoError(t, r.Keep(ctx))
		r.webex.since()
		require.Equal(t, "no open tasks", result())
		require.Empty(t, r.webex.since())

		now := r.clock.Now()
		r.links = map[string]string{"t1": "a", "T2": "b", "t3": "c", "t4": "d", "t5": "e", "t6": core.NewID(now.Add(-time.Hour))}
		r.webex.tasks = []any{
			map[string]any{"id": "T1", "status": "completed"},
			map[string]any{"id": "t2", "status": "assigned", "owner": "ada"},
			map[string]any{"id": "t3", "status": "queued"},
			map[string]any{"id": "t4", "status": "offered"},
			map[string]any{"id": "t5", "status": "ABANDONED"},
			map[string]any{"id": "t9", "status": "completed"},
		}
		require.Equal(t, "5 found at Webex, 2 of them ended", result())
		require.Equal(t, now.Add(-24*time.Hour).UnixMilli(), r.webex.inputs[len(r.webex.inputs)-1]["from"])
		at := now.Add(-unsettled)
		want := []bridge.Event{
			{Platform: "webex", RemoteID: "T1", Kind: bridge.Ended, At: at, Key: []byte("compare:T1:completed")},
			{Platform: "webex", RemoteID: "t2", Kind: bridge.Connected, At: at, Agent: "ada", Key: []byte("compare:t2:assigned:ada")},
			{Platform: "webex", RemoteID: "t3", Kind: bridge.Parked, At: at, Key: []byte("compare:t3:queued")},
			{Platform: "webex", RemoteID: "t5", Kind: bridge.Ended, At: at, Key: []byte("compare:t5:abandoned")},
		}
		require.Equal(t, want, r.happened.events())
		require.Equal(t, "5 found at Webex, 0 of them ended", result())
		require.Equal(t, want, r.happened.events(), "once")

		// A task that comes back into its queue is news, as of when that was.
		back := now.Add(-5 * time.Minute)
		r.webex.tasks = []any{map[string]any{"id": "t3", "status": "queued", "updated": back.UnixMilli()}}
		for range 2 {
			result()
		}
		want = append(want, bridge.Event{
			Platform: "webex", RemoteID: "t3", Kind: bridge.Parked, At: back, Key: fmt.Appendf(nil, "compare:t3:queued@%d", back.UnixMilli()),
		})
		require.Equal(t, want, r.happened.events())

		old := now.Add(-72 * time.Hour)
		r.links["t7"] = core.NewID(old)
		result()
		require.Equal(t, old.Add(-time.Minute).UnixMilli(), r.webex.inputs[len(r.webex.inputs)-1]["from"])

		// A list that is full is asked for in halves.
		full := 0
		r.webex.list = func(input map[string]any) any {
			from, to := input["from"].(int64), input["to"].(int64)
			if full++; to-from > (36 * time.Hour).Milliseconds() {
				return map[string]any{"tasks": []any{}, "more": true}
			}
			if to == now.UnixMilli() {
				return map[string]any{"tasks": []any{map[string]any{"id": "t7", "status": "completed"}}}
			}
			return map[string]any{"tasks": []any{}}
		}
		require.Equal(t, "1 found at Webex, 1 of them ended", result())
		require.Equal(t, 7, full)
		r.webex.list = func(map[string]any) any { return map[string]any{"tasks": []any{}, "more": true} }
		require.Contains(t, result(), "too many tasks")
		r.webex.list = nil

		r.happened.set(func(context.Context) error { return core.Errorf(core.Unavailable, "full") })
		require.Equal(t, "1 found at Webex, then: full", result())
		r.webex.fail = map[string]error{listTasks: core.Errorf(core.Throttled, "too fast")}
		require.Equal(t, "could not be compared: too fast", result())
		r.ready = nil
		require.NoError(t, r.Compare(ctx))
	})
}
