package webex

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// ask asks for a position; task "" asks for somebody who is not there.
func (r *nodeRig) ask(t require.TestingT, task string, change map[string]any) said1 {
	body := changed(bodyOf("piq-ewt/fetch", task), change)
	if task == "" {
		delete(body, "taskId")
	}
	return r.ok(t, "piq-ewt/fetch", body)
}

func (r *nodeRig) place(t require.TestingT, task string) int {
	n, ok := r.ask(t, task, nil).Outputs["positionInQueue"].(float64)
	require.True(t, ok)
	return int(n)
}

func TestPosition(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		require.Equal(t, 1, r.place(t, ""), "nobody waits")
		var ids []string
		for range 3 {
			ids = append(ids, r.local(t))
			r.clock.Advance(time.Second)
		}
		for i, id := range ids {
			require.Equal(t, i+1, r.place(t, id))
			require.Equal(t, i+1, r.place(t, r.of(t, id).ID), "by the hub's own id")
		}
		require.Equal(t, 4, r.place(t, ""), "where it would come")

		// A contact priority goes before those without one; the first of it first.
		urgent, urgent2, less := r.driven(t), r.driven(t), r.driven(t)
		for id, priority := range map[string]any{urgent: 1, less: 9} {
			require.Equal(t, "Queued", r.ok(t, "queue-task/queue", changed(bodyOf("queue-task/queue", id), map[string]any{"contactPriority": priority})).Outcome)
		}
		require.Equal(t, 6, r.place(t, urgent2), "it is not in the queue yet")
		r.clock.Advance(time.Second)
		require.Equal(t, "Queued", r.ok(t, "queue-task/queue", changed(bodyOf("queue-task/queue", urgent2), map[string]any{"contactPriority": "1"})).Outcome)
		for i, id := range []string{urgent, urgent2, less, ids[0], ids[1], ids[2]} {
			require.Equal(t, i+1, r.place(t, id))
		}

		// Whoever leaves makes room.
		r.connect(t, ids[0])
		require.Equal(t, 4, r.place(t, ids[1]))
		require.Equal(t, 6, r.place(t, ids[0]), "it would come last")
		require.Equal(t, "Success", r.ok(t, "close-task/close", bodyOf("close-task/close", urgent)).Outcome)
		require.Equal(t, 3, r.place(t, ids[1]))
		require.Equal(t, 5, r.place(t, urgent))

		// Another queue, of a service by its address too.
		require.EqualValues(t, 1, r.ask(t, ids[1], map[string]any{"queueId": "sales@contoso.example"}).Outputs["positionInQueue"])
		require.EqualValues(t, 3, r.ask(t, ids[1], map[string]any{"queueId": "app-chat-1"}).Outputs["positionInQueue"])
	})
}

// Two that came in the same moment do not stand in one place.
func TestPositionsAreDistinct(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	var places []int
	for _, id := range []string{r.local(t), r.local(t), r.local(t)} {
		places = append(places, r.place(t, id))
	}
	require.ElementsMatch(t, []int{1, 2, 3}, places)
}

// TestEstimate has tasks wait, as long as waits says, for an agent each minute.
func TestEstimate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		every    time.Duration
		turns    int
		wait     func(i int) time.Duration
		outcome  string
		estimate float64
	}{
		"nobody was answered": {time.Minute, 0, nil, "InsufficientData", -1},
		"steady":              {time.Minute, 10, func(int) time.Duration { return 40 * time.Second }, "Success", 40000},
		"one in two minutes":  {2 * time.Minute, 5, func(int) time.Duration { return 40 * time.Second }, "Success", 40000},
		"wild":                {time.Minute, 10, func(i int) time.Duration { return time.Duration(5+50*(i%2)) * time.Second }, "InsufficientData", -1},
		"few":                 {time.Minute, 1, func(int) time.Duration { return 40 * time.Second }, "InsufficientData", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
			for i := range c.turns {
				r.clock.Advance(c.every - c.wait(i))
				id := r.local(t)
				r.clock.Advance(c.wait(i))
				r.connect(t, id)
			}
			id := r.local(t)
			s := r.ask(t, id, map[string]any{"lookbackMinutes": 10})
			require.Equal(t, c.outcome, s.Outcome, s.Text)
			require.InDelta(t, c.estimate, s.Outputs["estimatedWaitTime"], 0)
			require.EqualValues(t, 1, s.Outputs["positionInQueue"])
			require.Contains(t, s.Outputs, "status")
			require.Contains(t, s.Outputs, "reason")
			if c.outcome == "Success" {
				require.Equal(t, "success", s.Outputs["status"])
				require.Equal(t, "InsufficientData", r.ask(t, id, map[string]any{"lookbackMinutes": 240}).Outcome, "too little of so long a time")
				r.clock.Advance(time.Hour)
				require.Equal(t, "InsufficientData", r.ask(t, "", map[string]any{"lookbackMinutes": 10}).Outcome, "too long ago")
			} else {
				require.Equal(t, "INSUFFICIENT_DATA", s.Outputs["reasonCode"])
			}
		})
	}
}

// waits are queue times: how long ago each ended, and how long it was.
func waits(now time.Time, pairs ...time.Duration) (list []store.QueueTime) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, store.QueueTime{LeftMs: now.Add(-pairs[i]).UnixMilli(), WaitedMs: pairs[i+1].Milliseconds()})
	}
	return list
}

// minutesOf sums queue times up as the database does.
func minutesOf(times []store.QueueTime, now time.Time) []store.QueueMinute {
	var list [2 * maxLookback]store.QueueMinute
	for _, t := range times {
		if ago := now.UnixMilli() - t.LeftMs; ago >= 0 {
			m, w := &list[ago/60000], float64(t.WaitedMs)
			m.Ago, m.Count, m.Sum, m.Squares = int(ago/60000), m.Count+1, m.Sum+w, m.Squares+w*w
		}
	}
	return slices.DeleteFunc(list[:], func(m store.QueueMinute) bool { return m.Count == 0 })
}

// TestEstimateRule is the vendor's rule at its edges.
func TestEstimateRule(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	s, ms := time.Second, time.Millisecond
	for name, c := range map[string]struct {
		times   []store.QueueTime
		minutes int
		want    int64
		ok      bool
	}{
		"nothing":                                {nil, 5, 0, false},
		"four of five minutes":                   {waits(now, 3*time.Minute, 30*s), 5, 30000, true},
		"three of five":                          {waits(now, 3*time.Minute-ms, 30*s), 5, 0, false},
		"just now is in one minute only":         {waits(now, 0, 30*s), 5, 0, false},
		"at the edge of the look-back":           {waits(now, 5*time.Minute-ms, 30*s), 5, 30000, true},
		"differing by 15 % exactly":              {waits(now, 4*time.Minute, 85*s, 4*time.Minute, 115*s), 5, 100000, true},
		"differing by more":                      {waits(now, 4*time.Minute, 84999*ms, 4*time.Minute, 115001*ms), 5, 0, false},
		"one wild minute in five":                {waits(now, 4*time.Minute, 100*s, 0, 1000*s), 5, 100000, true},
		"two wild minutes in five":               {waits(now, 4*time.Minute, 100*s, time.Minute, 1000*s), 5, 0, false},
		"no wait at all is steady":               {waits(now, 4*time.Minute, 0), 5, 0, true},
		"equal waits of days":                    {waits(now, 4*time.Minute, 72*time.Hour, 4*time.Minute, 72*time.Hour), 5, 259200000, true},
		"later than now, by another's clock":     {waits(now, -time.Second, 30*s), 5, 0, false},
		"one in five minutes for four hours":     {every(now, 48, 5*time.Minute), 240, 30000, true},
		"one in six minutes leaves a sixth out":  {every(now, 40, 6*time.Minute), 240, 30000, true},
		"one in ten minutes leaves half of them": {every(now, 24, 10*time.Minute), 240, 0, false},
	} {
		got, ok := estimateOf(minutesOf(c.times, now), c.minutes)
		require.Equal(t, c.ok, ok, name)
		require.Equal(t, c.want, got, name)
	}
	// 80 % to the minute, in windows of every length: no rounding decides.
	for minutes := 5; minutes <= maxLookback; minutes++ {
		need := (minutes*80 + 99) / 100
		_, ok := estimateOf(minutesOf(covering(now, minutes, need), now), minutes)
		require.True(t, ok, minutes)
		_, ok = estimateOf(minutesOf(covering(now, minutes, need-1), now), minutes)
		require.False(t, ok, minutes)
	}
}

// every is a queue in which one contact was answered now and then.
func every(now time.Time, n int, d time.Duration) (list []store.QueueTime) {
	for i := range n {
		list = append(list, waits(now, time.Duration(i)*d+30*time.Second, 30*time.Second)...)
	}
	return list
}

// covering has waits in exactly so many of the minutes: the oldest ones.
func covering(now time.Time, minutes, n int) (list []store.QueueTime) {
	for at := minutes - n + 4; at-4 < minutes; at += 5 { // each is in the average of five minutes
		list = append(list, waits(now, time.Duration(at)*time.Minute, 30*time.Second)...)
	}
	return list
}

// An estimate is never less than the shortest wait or more than the longest, and
// does not depend on the order.
func TestEstimateProperty(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		minutes := rapid.IntRange(minLookback, maxLookback).Draw(t, "minutes")
		mean := rapid.Int64Range(0, 1e9).Draw(t, "mean")
		list := rapid.SliceOf(rapid.Custom(func(t *rapid.T) store.QueueTime {
			return store.QueueTime{
				LeftMs:   now.UnixMilli() - rapid.Int64Range(0, int64(minutes)*60000).Draw(t, "ago"),
				WaitedMs: mean + rapid.Int64Range(0, 1000).Draw(t, "more"),
			}
		})).Draw(t, "times")
		got, ok := estimateOf(minutesOf(list, now), minutes)
		if ok && (got < mean || got > mean+1000) {
			t.Fatalf("%d of waits between %d and %d", got, mean, mean+1000)
		}
		if ok && len(list) == 0 {
			t.Fatal("of nothing")
		}
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		again, same := estimateOf(minutesOf(list, now), minutes)
		if same != ok || again-got > 1 || got-again > 1 {
			t.Fatalf("%d %v, then %d %v", got, ok, again, same)
		}
	})
}

// A queue at Webex is its service's too: whoever may not run its tasks is not
// told how long it is.
func TestPositionOfSomebodyElse(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.answers0()
	for _, queue := range []string{aRemote, "+12025550150", itsQueue} {
		body := changed(bodyOf("piq-ewt/fetch", ""), map[string]any{"taskId": nil, "queueId": queue})
		require.Equal(t, "onauthorizationfail", r.call(t, anOwner, "piq-ewt/fetch", body, http.StatusForbidden).Outcome, queue)
		require.Equal(t, "Success", r.ok(t, "piq-ewt/fetch", body).Outcome)
	}
}
