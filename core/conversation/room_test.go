package conversation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/conversation"
	"tandem/core/store"
)

const (
	created  = conversation.Created
	reopened = conversation.Reopened
	appended = conversation.Appended
)

// step is a message, and the step whose conversation it must get (itself: a new
// one); "end" ends the task of the step before.
type step struct {
	m         conversation.Message
	operation conversation.Operation
	like      int
	end       bool
}

func TestRules(t *testing.T) {
	t.Parallel()
	in := func(tenant string, m conversation.Message) conversation.Message {
		m.Tenant = tenant
		return m
	}
	for name, steps := range map[string][]step{
		"a chat is of customer, app and thread": {
			{m: chat("ann", "app", "1"), operation: created, like: 0},
			{m: chat("ann", "app", "1"), operation: appended, like: 0},
			{m: chat("bob", "app", "1"), operation: created, like: 2},
			{m: chat("ann", "app2", "1"), operation: created, like: 3},
			{m: chat("ann", "app", "2"), operation: created, like: 4},
			{m: chat("Ann", "app", "1"), operation: created, like: 5}, // a fingerprint's case counts
			{m: chat(" ann ", "App", "1 "), operation: appended, like: 0},
			{m: in("fabrikam", chat("ann", "app", "1")), operation: created, like: 7},
			{m: chat("annapp", "1", "1"), operation: created, like: 8},
			{m: social("ann", "app"), operation: created, like: 9},
		},
		"a chat is never re-opened": {
			{m: chat("ann", "app", "1"), operation: created, like: 0, end: true},
			{m: chat("ann", "app", "1"), operation: created, like: 1},
			{m: chat("ann", "app", "1"), operation: appended, like: 1, end: true},
			{m: chat("ann", "app", "1"), operation: created, like: 3},
		},
		"an e-mail is of customer, mailbox and subject": {
			{m: email("ann@x.example", "box@y.example", "Order 17", "", ""), operation: created, like: 0},
			{m: email("Ann@X.example", "BOX@y.example", "Re: order  17", "", ""), operation: appended, like: 0},
			{m: email("ann@x.example", "box@y.example", "AW: Fwd: WG:re:FW : Order 17 ", "", ""), operation: appended, like: 0},
			{m: email("ann@x.example", "box@y.example", "RE[2]: Order 17", "", ""), operation: appended, like: 0},
			{m: email("bob@x.example", "box@y.example", "Re: Order 17", "", ""), operation: created, like: 4},
			{m: email("ann@x.example", "sales@y.example", "Order 17", "", ""), operation: created, like: 5},
			{m: email("ann@x.example", "box@y.example", "Order: 17", "", ""), operation: created, like: 6},
			{m: email("ann@x.example", "box@y.example", "Note: Order 17", "", ""), operation: created, like: 7},
			{m: email("ann@x.example", "box@y.example", "", "", ""), operation: created, like: 8},
			{m: email("ann@x.example", "box@y.example", " Re: ", "", ""), operation: appended, like: 8},
		},
		"an e-mail is re-opened": {
			{m: email("ann@x.example", "box@y.example", "Order", "", ""), operation: created, like: 0, end: true},
			{m: email("ann@x.example", "box@y.example", "Re: Order", "", ""), operation: reopened, like: 0},
			{m: email("ann@x.example", "box@y.example", "Re: Order", "", ""), operation: appended, like: 0},
		},
		"an e-mail answers another": {
			{m: email("ann@x.example", "box@y.example", "Order", "<1@x>", ""), operation: created, like: 0},
			{m: email("ann@x.example", "box@y.example", "Delivery", "<2@x>", "<1@x>"), operation: appended, like: 0},
			{m: email("bob@x.example", "box@y.example", "Invoice", "3@x", " 2@x "), operation: appended, like: 0, end: true},
			{m: email("ann@x.example", "box@y.example", "?", "<4@x>", "<nobody's@x>\r\n <3@x>"), operation: reopened, like: 0},
			{m: email("ann@x.example", "box@y.example", "Invoice", "<5@x>", "<4@x> (of today)"), operation: appended, like: 0},
			{m: email("ann@x.example", "box@y.example", "Invoice", "<6@x>", "<4@X>"), operation: created, like: 5},
			{m: email("ann@x.example", "box@y.example", "Re: Order", "<7@x>", "<unknown@x>"), operation: appended, like: 0},
			{m: email("ann@x.example", "box@y.example", "Order", "<8@x>", "<6@x>"), operation: appended, like: 5},
			{m: in("fabrikam", email("ann@x.example", "box@y.example", "Order", "<1@x>", "<1@x>")), operation: created, like: 8},
			{m: email("ann@x.example", "box@y.example", "", "<9@x>", strings.Repeat("<no@x>", 70_000)+"<8@x>"), operation: appended, like: 5},
			{m: email("ann@x.example", "box@y.example", "Open", "<10@x>", "<"), operation: created, like: 10},
		},
		"only e-mails answer": {
			{m: email("ann", "box", "Order", "<1@x>", ""), operation: created, like: 0},
			{m: conversation.Message{Tenant: "contoso", Channel: "social", Customer: "ann", Address: "box", InReplyTo: "<1@x>"}, operation: created, like: 1},
		},
		"a messenger is of customer and business address": {
			{m: social("+491", "shop"), operation: created, like: 0},
			{m: social("+491", "SHOP"), operation: appended, like: 0, end: true},
			{m: social("+491", "shop"), operation: reopened, like: 0, end: true},
			{m: social("+491", "shop"), operation: reopened, like: 0},
			{m: social("+491", "shop"), operation: appended, like: 0},
			{m: social("+492", "shop"), operation: created, like: 5},
			{m: social("+491", "other"), operation: created, like: 6},
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) { follow(t, r, steps) })
		})
	}
}

// follow takes the steps, one a minute, and checks that a task gets what was
// appended to it.
func follow(t *testing.T, r *rig, steps []step) {
	t.Helper()
	conversations, tasks := map[int]string{}, map[string]string{} // of a step; of a conversation
	sizes := map[string]int{}
	for i, s := range steps {
		res := r.resolve(t, s.m)
		r.clock.Advance(time.Minute)
		require.Equal(t, s.operation, res.Operation, "step %d", i)
		conversations[i] = res.ConversationID
		require.Equal(t, conversations[s.like], res.ConversationID, "step %d", i)
		for j := range i {
			require.Equal(t, s.like == steps[j].like, conversations[j] == res.ConversationID, "steps %d and %d", i, j)
		}
		if s.operation == appended {
			require.Equal(t, tasks[res.ConversationID], res.TaskID, "step %d", i)
		} else {
			require.Zero(t, sizes[res.TaskID], "step %d needs another task", i)
		}
		tasks[res.ConversationID] = res.TaskID
		sizes[res.TaskID]++
		require.Len(t, r.texts(t, res.TaskID), sizes[res.TaskID])
		if s.end {
			r.end(t, res.TaskID)
		}
	}
}

func TestTheSameTransactionAgain(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		m := social("ann", "shop")
		m.TransID = "1"
		first := r.resolve(t, m)
		require.Equal(t, created, first.Operation)
		m.TransID = "2"
		second := r.resolve(t, m)
		require.Equal(t, appended, second.Operation)
		r.end(t, second.TaskID)
		m.TransID = "3"
		third := r.resolve(t, m)
		require.Equal(t, reopened, third.Operation)

		r.clock.Advance(25 * time.Hour)
		for id, want := range map[string]conversation.Resolved{"1": first, "2": second, "3": third} {
			m.TransID = id
			require.Equal(t, want, r.resolve(t, m))
		}
		require.Len(t, r.texts(t, first.TaskID), 2)
		require.Len(t, r.texts(t, third.TaskID), 1)

		m.Tenant = "fabrikam"
		require.NotEqual(t, third.ConversationID, r.resolve(t, m).ConversationID, "another tenant's transactions are its own")
		mail := email("ann", "box", "", "5", "")
		mail.TransID = "4"
		require.Equal(t, created, r.resolve(t, mail).Operation)
		mail.TransID = "5"
		require.Equal(t, appended, r.resolve(t, mail).Operation, "a Message-ID is no transaction")
	})
}

func TestManyAtOnceMakeOneConversation(t *testing.T) {
	for name, trans := range map[string]func(int) string{
		"different calls": func(i int) string { return fmt.Sprint(i) },
		"one call":        func(int) string { return "1" },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				const calls = 32
				found := make([]conversation.Resolved, calls)
				var wg sync.WaitGroup
				start := make(chan struct{})
				errs := make([]error, calls)
				for i := range calls {
					wg.Go(func() {
						m := email("ann", "box", "Order", "", "")
						m.TransID = trans(i)
						<-start
						found[i], errs[i] = r.Resolve(t.Context(), m)
					})
				}
				close(start)
				wg.Wait()
				require.NoError(t, errors.Join(errs...))
				operations := map[conversation.Operation]int{}
				for _, res := range found {
					require.Equal(t, found[0].ConversationID, res.ConversationID)
					require.Equal(t, found[0].TaskID, res.TaskID)
					operations[res.Operation]++
				}
				if name == "one call" {
					require.Equal(t, map[conversation.Operation]int{created: calls}, operations)
					require.Len(t, r.texts(t, found[0].TaskID), 1)
					return
				}
				require.Equal(t, map[conversation.Operation]int{created: 1, appended: calls - 1}, operations)
				require.Len(t, r.texts(t, found[0].TaskID), calls)
				require.Equal(t, calls, r.conversation(t, found[0].ConversationID, "1").Messages)
			})
		})
	}
}

// The second call comes while the first has written and not ended.
func TestACallWaitsForTheOneBefore(t *testing.T) {
	for name, c := range map[string]struct {
		m     conversation.Message
		known bool // before the two calls
		ended bool
		trans string // of both calls
		want  conversation.Operation
		then  conversation.Operation
	}{
		"new":                   {m: chat("ann", "app", "1"), want: created, then: appended},
		"a chat has ended":      {m: chat("ann", "app", "1"), known: true, ended: true, want: created, then: appended},
		"open":                  {m: social("ann", "shop"), known: true, want: appended, then: appended},
		"ended":                 {m: social("ann", "shop"), known: true, ended: true, want: reopened, then: appended},
		"a reply, ended":        {m: email("ann", "box", "", "1@x", "<1@x>"), known: true, ended: true, want: reopened, then: appended},
		"repeated, new":         {m: social("ann", "shop"), trans: "1", want: created, then: created},
		"repeated, open":        {m: social("ann", "shop"), trans: "1", known: true, want: appended, then: appended},
		"repeated, ended":       {m: social("ann", "shop"), trans: "1", known: true, ended: true, want: reopened, then: reopened},
		"repeated, ended, chat": {m: chat("ann", "app", "1"), trans: "1", known: true, ended: true, want: created, then: created},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				texts := 0
				if c.known {
					res := r.resolve(t, c.m)
					if c.ended {
						r.end(t, res.TaskID)
					} else {
						texts++
					}
				}
				m := c.m // the other database's test has the same
				m.TransID = c.trans
				second := make(chan conversation.Resolved, 1)
				errs := make(chan error, 1)
				var once sync.Once
				r.wrote = func() {
					once.Do(func() {
						go func() {
							res, err := r.Resolve(t.Context(), m)
							second <- res
							errs <- err
						}()
						r.awaitWaiting(t)
					})
				}
				first := r.resolve(t, m)
				require.NoError(t, <-errs)
				require.Equal(t, c.want, first.Operation)
				require.Equal(t, conversation.Resolved{
					Operation: c.then, TaskID: first.TaskID, ConversationID: first.ConversationID,
				}, <-second)
				if texts++; c.trans == "" {
					texts++
				}
				require.Len(t, r.texts(t, first.TaskID), texts)
			})
		})
	}
}

func TestAFailedTaskLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		m := email("ann", "box", "Order", "<1@x>", "")
		m.TransID = "1"
		fault := core.Errorf(core.Unavailable, "not now")
		r.fail = fault
		_, err := r.Resolve(t.Context(), m)
		require.ErrorIs(t, err, fault)
		r.fail = nil
		res := r.resolve(t, m)
		require.Equal(t, created, res.Operation)
		require.Len(t, r.texts(t, res.TaskID), 1)

		r.fail, m.TransID = fault, "2"
		_, err = r.Resolve(t.Context(), m)
		require.ErrorIs(t, err, fault)
		require.Len(t, r.texts(t, res.TaskID), 1)
		r.fail = nil
		require.Equal(t, conversation.Resolved{Operation: appended, TaskID: res.TaskID, ConversationID: res.ConversationID}, r.resolve(t, m))
	})
}

func TestATaskThatIsGoneHasEnded(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		first := r.resolve(t, social("ann", "shop"))
		r.end(t, first.TaskID)
		require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.PruneTasks(ctx, noon.Add(time.Hour), 10)
			return err
		}))
		again := r.resolve(t, social("ann", "shop"))
		require.Equal(t, reopened, again.Operation)
		require.Equal(t, first.ConversationID, again.ConversationID)
	})
}

func TestAConversationThatNeverRestsForgetsOldMessages(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		m := social("ann", "shop")
		m.TransID = "first"
		task := r.resolve(t, m).TaskID
		repeated := func(trans string) bool {
			before := len(r.texts(t, task))
			m.TransID = trans
			require.Equal(t, task, r.resolve(t, m).TaskID)
			return len(r.texts(t, task)) == before
		}
		r.clock.Advance(conversation.Keep + time.Second)
		for i := range 62 {
			m.TransID = fmt.Sprint(i)
			r.resolve(t, m)
		}
		require.True(t, repeated("first"))
		require.False(t, repeated("64th"))
		require.False(t, repeated("first"))
		require.True(t, repeated("0"))
	})
}

func TestMessagesThatDoNotSayWhoseTheyAre(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			m     conversation.Message
			field string
		}{
			{chat("", "secret app", "1"), "customer"},
			{chat("ann's secret", " ", "1"), "address"},
			{chat("ann's secret", "app", "\t"), "thread"},
			{email(" ", "secret@x", "secret", "<1@x>", "<1@x>"), "customer"},
			{email("secret@x", "", "secret", "", ""), "address"},
			{social("", "secret"), "customer"},
			{conversation.Message{Channel: "secret", Customer: "a", Address: "b"}, "channel"},
		} {
			_, err := r.Resolve(t.Context(), c.m)
			require.Equal(t, core.Invalid, core.KindOf(err))
			var e *core.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.field, e.Details[0].Field)
			require.NotContains(t, err.Error(), "secret")
		}
		require.Zero(t, r.made.Load())
	})
}

// conversation returns the row of a conversation by the transaction of one of
// its messages.
func (r *rig) conversation(t *testing.T, id, transID string) (c store.Conversation) {
	t.Helper()
	require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		key := conversation.TransKey(conversation.Message{Tenant: "contoso", TransID: transID})
		c, err = tx.ConversationByMessage(ctx, "contoso", [][]byte{key})
		return err
	}))
	require.Equal(t, id, c.ID)
	return c
}
