package webex

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// hooks is a call whose last word is posted.
func hooks(body map[string]any) map[string]any {
	return changed(body, map[string]any{"webhookUrl": theHook})
}

// begun is the first answer of such a call.
func (r *nodeRig) begun(t require.TestingT, path string, body map[string]any) said1 {
	s := r.ok(t, path, hooks(body))
	if path == resolvePath {
		require.Equal(t, "accepted", s.Outcome, s.Text)
	} else {
		require.Contains(t, s.Text, `"outcome":null`)
	}
	require.Nil(t, s.Error)
	return s
}

// wait lets the time pass until the next item is due, unless one is under way.
func (r *nodeRig) wait(t testing.TB) {
	next, err := r.db.NextOutbox(context.Background(), []string{kindNode})
	require.NoError(t, err)
	if now := r.clock.Now(); next.After(now) {
		r.clock.Advance(next.Sub(now))
	}
	r.wake()
}

// arrives waits for a post.
func (r *nodeRig) arrives(t testing.TB) posted {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case p := <-r.post.got:
			return p
		case <-tick.C:
			r.wait(t)
		case <-end:
			require.Fail(t, "nothing is posted")
		}
	}
}

// idle waits until the outbox is empty.
func (r *nodeRig) idle(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool { n, err := r.db.OutboxDepth(context.Background()); return err == nil && n == 0 }, patience, 2*time.Millisecond)
}

// word is what a post says, checked to be of the call.
func (p posted) word(t require.TestingT, path string, first said1) said1 {
	require.Equal(t, theHook, p.url)
	require.Equal(t, first.CorrelationID, p.id)
	at, err := time.Parse("2006-01-02T15:04:05Z", "2026-03-04T12:00:00Z")
	require.NoError(t, err)
	var stamp int64
	require.NoError(t, json.Unmarshal([]byte(p.stamp), &stamp))
	require.GreaterOrEqual(t, stamp, at.Unix())
	want, err := signature("contoso", p.id, time.Unix(stamp, 0), []byte(p.body))
	require.NoError(t, err)
	require.Equal(t, want, p.signature, "of these bytes, this id and this time")
	var s said1
	require.NoError(t, json.Unmarshal([]byte(p.body), &s))
	require.Equal(t, first.CorrelationID, s.CorrelationID)
	node, name, _ := strings.Cut(path, "/")
	m, _ := methodOf(node, name)
	require.Contains(t, said(m), s.Outcome)
	s.Text = p.body
	return s
}

// TestLastWords has every asynchronous method post what it would have answered.
func TestLastWords(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		r.works(t)
		for _, c := range localCases() {
			node, name, _ := strings.Cut(c.path, "/")
			m, _ := methodOf(node, name)
			if !m.Async {
				continue
			}
			id := c.task(r, t)
			first := r.begun(t, c.path, bodyOf(c.path, id))
			if slices.Contains(m.Outputs, "taskId") {
				require.Equal(t, id, first.Outputs["taskId"])
			}
			last := r.arrives(t).word(t, c.path, first)
			require.Equal(t, c.outcome, last.Outcome, last.Text)
			require.Nil(t, last.Error)
			require.Equal(t, c.state, r.of(t, id).State)
			require.Equal(t, c.events, r.history(t, id))
		}
		id := r.uuid()
		first := r.begun(t, resolvePath, bodyOf(resolvePath, id))
		require.Equal(t, id, first.Outputs["transId"])
		last := r.arrives(t).word(t, resolvePath, first)
		require.Equal(t, "created", last.Outcome)
		require.Equal(t, queuedEvents, r.history(t, last.Outputs["taskId"].(string)))

		// The failures too, by the words of the version.
		r.answers0()
		unknown := r.begun(t, "queue-task/queue", bodyOf("queue-task/queue", r.uuid()))
		last = r.arrives(t).word(t, "queue-task/queue", unknown)
		require.Equal(t, "taskFailed", last.Outcome)
		require.Equal(t, "NOT_FOUND", last.Error.Code)
		require.Equal(t, map[string]any{}, last.Outputs)
		there := r.remote(t)
		r.authorized.Store(false)
		for version, word := range map[string]string{"1.5": "onauthorizationfail", "1.0": "onauthorizatonfail"} {
			first = r.begun(t, "queue-task/queue", changed(bodyThere("queue-task/queue", there), map[string]any{"version": version}))
			require.Equal(t, word, r.arrives(t).word(t, "queue-task/queue", first).Outcome)
		}
		r.authorized.Store(true)
		r.answer("set-variables", nil, upstream(core.Forbidden, 403, ""))
		first = r.begun(t, "set-variable/flow", bodyThere("set-variable/flow", there))
		last = r.arrives(t).word(t, "set-variable/flow", first)
		require.Equal(t, "Invalid Token", last.Outcome)
		require.Equal(t, 403, last.Error.UpstreamStatus)
		r.idle(t)
		require.Empty(t, r.faults)
	})
}

// A method that is not asynchronous takes no notice of the address.
func TestOthersAnswerAtOnce(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	require.Equal(t, "onTaskRouted", r.ok(t, "routed-notification/accept", hooks(bodyOf("routed-notification/accept", id))).Outcome)
	depth, err := r.db.OutboxDepth(context.Background())
	require.NoError(t, err)
	require.Zero(t, depth)
}

// A tenant whose webhooks take nothing is told so before it fills the disk.
func TestTooManyWait(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	var items []store.OutboxItem
	for range maxPending {
		items = append(items, store.OutboxItem{Tenant: "contoso", Kind: kindNode, DueMs: r.clock.Now().Add(time.Hour).UnixMilli()})
	}
	require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.InsertOutbox(ctx, items) }))
	s := r.ok(t, "close-task/close", hooks(bodyOf("close-task/close", id)))
	require.Equal(t, "onError", s.Outcome)
	require.Equal(t, "TOO_MANY_PENDING", s.Error.Code)
	require.Equal(t, "Success", r.ok(t, "close-task/close", bodyOf("close-task/close", id)).Outcome, "whoever waits may go on")
}

// What waits in the outbox can be read by nobody else.
func TestCallsAreSealed(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		body := chat("t-1", "th-1", "My card is 4111 1111")
		r.begun(t, resolvePath, body)
		r.begun(t, "set-variable/flow", changed(bodyOf("set-variable/flow", r.local(t)), map[string]any{"variables": []any{map[string]any{"name": "pin", "value": "secret-pin"}}}))
		var items []store.OutboxItem
		require.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
			items, err = tx.ClaimOutbox(ctx, []string{kindNode}, r.clock.Now(), "test", time.Minute, 10)
			return err
		}))
		require.Len(t, items, 2)
		for _, it := range items {
			require.Empty(t, it.Lane+it.TaskID)
			for _, text := range []string{"hooks.contoso", "secret", "4111", "webhook", "th-1"} {
				require.False(t, bytes.Contains(it.Payload, []byte(text)), text)
			}
			v := r.finish(context.Background(), it)
			require.NotNil(t, v.Payload)
			for _, text := range []string{"hooks.contoso", "secret", "outcome"} {
				require.False(t, bytes.Contains(v.Payload, []byte(text)), text)
			}
			plain, err := hidingBox{}.Open(pendingPlace("contoso"), v.Payload)
			require.NoError(t, err)
			require.NotContains(t, string(plain), "4111", "what was asked is forgotten once it is done")
			_, err = hidingBox{}.Open(pendingPlace("fabrikam"), v.Payload)
			require.Error(t, err)
		}
	})
}

// A webhook that cannot take a word is tried again, with the same words.
func TestWordsAreRepeated(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]func(n int) (int, error){
		"503": func(n int) (int, error) { return map[bool]int{true: 503, false: 200}[n < 4], nil },
		"429": func(n int) (int, error) { return map[bool]int{true: 429, false: 202}[n < 4], nil },
		"408": func(n int) (int, error) { return map[bool]int{true: 408, false: 204}[n < 4], nil },
		"no answer": func(n int) (int, error) {
			if n < 4 {
				return 0, core.Errorf(core.Unavailable, "refused")
			}
			return 200, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
			r.post.answers(status)
			r.works(t)
			id := r.local(t)
			first := r.begun(t, "close-task/close", bodyOf("close-task/close", id))
			var before said1
			began := r.clock.Now()
			for turn := range 4 {
				last := r.arrives(t).word(t, "close-task/close", first)
				require.Equal(t, "Success", last.Outcome)
				if turn > 0 {
					require.Equal(t, before, last)
				}
				before = last
			}
			r.idle(t)
			require.Greater(t, r.clock.Now().Sub(began), 30*time.Second, "it waited longer each time")
			require.Equal(t, queuedEvents+", Queue Left, Terminated", r.history(t, id))
			for _, run := range r.recorded() {
				require.NotEqual(t, "undelivered", run.Outcome)
			}
		})
	}
}

// One that will never take it is left alone, and people are told.
func TestWordsThatNobodyTakes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		err    error
		turns  int
		why    string
	}{
		"410":              {410, nil, 1, "the flow answered 410 (gone)"},
		"404":              {404, nil, 1, "the flow answered 404"},
		"302":              {302, nil, 1, "the flow answered 302"},
		"401":              {401, nil, 1, "the flow answered 401"},
		"address refused":  {0, core.Errorf(core.Forbidden, "address refused"), 1, "address refused"},
		"down for a day":   {503, nil, 0, "it was tried for a day: the flow answered 503"},
		"silent for a day": {0, errors.New("broken"), 0, "it was tried for a day: the call failed inside the hub"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
			r.post.answers(func(int) (int, error) { return c.status, c.err })
			r.works(t)
			id := r.local(t)
			r.recorded()
			began := r.clock.Now()
			first := r.begun(t, "close-task/close", bodyOf("close-task/close", id))
			turns := 0
			require.Eventually(t, func() bool {
				r.wait(t)
				depth, err := r.db.OutboxDepth(context.Background())
				for len(r.post.got) > 0 { // what is done has been posted before
					<-r.post.got
					turns++
				}
				return err == nil && depth == 0
			}, 3*patience, time.Millisecond)
			if c.turns > 0 {
				require.Equal(t, c.turns, turns)
			} else {
				require.Greater(t, turns, 20)
				require.InDelta(t, 24, r.clock.Now().Sub(began).Hours(), 3)
			}
			runs := r.recorded()
			require.Len(t, runs, 2)
			require.Equal(t, "Success", runs[0].Outcome)
			require.Equal(t, "undelivered", runs[1].Outcome)
			require.True(t, runs[1].Failed)
			require.Equal(t, "The answer of "+first.CorrelationID+" did not reach its webhookUrl: "+c.why+".", runs[1].Message)
			require.Equal(t, core.StateTerminated, r.of(t, id).State)
			require.Empty(t, r.faults)
		})
	}
}

// A worker that dies leaves its work to the next: the word arrives, and what is
// done at Webex is done once.
func TestWorkersThatDie(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		id := r.remote(t)
		first := r.begun(t, "close-task/close", bodyThere("close-task/close", id))
		claim := func() store.OutboxItem {
			var items []store.OutboxItem
			require.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) (err error) {
				items, err = tx.ClaimOutbox(ctx, []string{kindNode}, r.clock.Now(), "dead", time.Millisecond, 10)
				return err
			}))
			require.Len(t, items, 1)
			return items[0]
		}
		it := claim()
		v := r.finish(context.Background(), it) // done, and not written down
		require.NotNil(t, v.Payload)
		require.Equal(t, core.StateTerminated, r.of(t, id).State)
		stop := r.works(t)
		require.Equal(t, "Success", r.arrives(t).word(t, "close-task/close", first).Outcome)
		r.idle(t)
		stop()
		names, _ := r.did()
		require.Equal(t, "close-task", names[0])
		require.NotContains(t, names[1:], "close-task")

		// One that stops between the call and its post.
		id = r.local(t)
		first = r.begun(t, "close-task/close", bodyOf("close-task/close", id))
		it = claim()
		it.Payload = r.finish(context.Background(), it).Payload
		require.NoError(t, r.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			return tx.DelayOutbox(ctx, it.ID, "dead", r.clock.Now(), it.Payload)
		}))
		r.works(t)
		require.Equal(t, "Success", r.arrives(t).word(t, "close-task/close", first).Outcome)
		r.idle(t)
		require.Equal(t, queuedEvents+", Queue Left, Terminated", r.history(t, id))
	})
}

// A database that is busy delays a call; one that is busy for too long fails it.
func TestBusyHubDelaysCalls(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	first := r.begun(t, "close-task/close", bodyOf("close-task/close", id))
	var asked int
	r.befall(func() error {
		if asked++; asked < 3 {
			return core.Errorf(core.Unavailable, "busy")
		}
		return nil
	})
	r.works(t)
	require.Equal(t, "Success", r.arrives(t).word(t, "close-task/close", first).Outcome)
	r.idle(t)

	r.befall(func() error { return core.Errorf(core.Unavailable, "busy") })
	first = r.begun(t, "close-task/close", bodyOf("close-task/close", id))
	last := r.arrives(t).word(t, "close-task/close", first)
	require.Equal(t, "onError", last.Outcome)
	require.Equal(t, "UNAVAILABLE", last.Error.Code)
}

// A caller who has lost the right, or a call that has become unreadable, ends.
func TestLaterIsCheckedAgain(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	id := r.local(t)
	sealed := func(p pending) store.OutboxItem {
		payload, err := r.seal("contoso", p)
		require.NoError(t, err)
		return store.OutboxItem{ID: "i", Tenant: "contoso", Kind: kindNode, Payload: payload}
	}
	p := pending{
		ID: "c-1", Caller: core.Caller{Tenant: "contoso", UPN: "gone@contoso.example"}, Node: "close-task", Method: "close",
		Body: jsonOf(bodyOf("close-task/close", id)), URL: theHook, Ends: r.clock.Now().Add(laterTime),
	}
	v := r.finish(context.Background(), sealed(p))
	plain, err := hidingBox{}.Open(pendingPlace("contoso"), v.Payload)
	require.NoError(t, err)
	require.Contains(t, string(plain), "onauthorizationfail")
	require.Equal(t, core.StateQueued, r.of(t, id).State)

	it := sealed(p)
	it.Tenant = "fabrikam"
	require.True(t, r.finish(context.Background(), it).Done, "sealed for somebody else")
	require.Len(t, r.faults, 1)
	require.NotContains(t, r.faults[0], "hooks.contoso")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p.Caller.UPN = anAdmin
	v = r.finish(ctx, sealed(p))
	require.False(t, v.Done)
	require.Nil(t, v.Payload, "a hub that stops has not settled it")
}
