package conversation_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core/conversation"
)

// A message is appended if and only if the task of its conversation is open,
// a chat's ended conversation gets nothing more, and no conversation has two
// open tasks, in whatever order messages and endings come.
func TestAppendedIfAndOnlyIfTheTaskIsOpen(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		var runs atomic.Int64
		rapid.Check(t, func(rt *rapid.T) {
			p := &history{
				rig: r, tenant: fmt.Sprint("tenant", runs.Add(1)),
				open: map[string]string{}, last: map[string]string{}, of: map[string]string{}, mails: map[string]string{},
			}
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				if len(p.order) > 0 && rapid.IntRange(0, 2).Draw(rt, "end") == 0 {
					p.finish(rt, rapid.SampledFrom(p.order).Draw(rt, "task"))
					continue
				}
				p.message(rt)
			}
		})
	})
}

// history is what should be so after some steps.
type history struct {
	*rig
	tenant string
	open   map[string]string // conversation -> open task
	last   map[string]string // key -> conversation
	of     map[string]string // task -> conversation, all tasks
	mails  map[string]string // Message-ID -> conversation
	order  []string          // open tasks, in their order
	sent   int
}

func (p *history) finish(rt *rapid.T, task string) {
	p.end(rt, task)
	delete(p.open, p.of[task])
	p.order = slices.DeleteFunc(p.order, func(t string) bool { return t == task })
}

func (p *history) message(rt *rapid.T) {
	p.sent++
	m := conversation.Message{
		Tenant: p.tenant, TransID: fmt.Sprint(p.sent), Text: "hello",
		Channel:  rapid.SampledFrom([]conversation.Channel{conversation.Chat, conversation.Email, conversation.Social}).Draw(rt, "channel"),
		Customer: rapid.SampledFrom([]string{"ann", "bob"}).Draw(rt, "customer"),
		Address:  "here", Thread: rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "thread"),
	}
	key := fmt.Sprint(m.Channel, m.Customer)
	if m.Channel == conversation.Chat {
		key += m.Thread
	}
	want, known := p.last[key]
	if m.Channel == conversation.Email {
		m.MessageID = fmt.Sprintf("<%d@x>", p.sent)
		m.InReplyTo = fmt.Sprintf("<%d@x>", rapid.IntRange(0, p.sent).Draw(rt, "answers")) // perhaps no e-mail's
		if c, ok := p.mails[m.InReplyTo]; ok {
			want, known = c, true
		}
	}
	task, isOpen := p.open[want]
	res := p.resolve(rt, m)
	require.Equal(rt, isOpen, res.Operation == conversation.Appended)
	switch {
	case isOpen:
		require.Equal(rt, want, res.ConversationID)
		require.Equal(rt, task, res.TaskID)
	case known && m.Channel != conversation.Chat:
		require.Equal(rt, conversation.Reopened, res.Operation)
		require.Equal(rt, want, res.ConversationID)
		p.begun(rt, res)
	default:
		require.Equal(rt, conversation.Created, res.Operation)
		for _, c := range p.of {
			require.NotEqual(rt, c, res.ConversationID)
		}
		p.last[key] = res.ConversationID
		p.begun(rt, res)
	}
	if m.MessageID != "" {
		p.mails[m.MessageID] = res.ConversationID
	}
	texts := p.texts(rt, res.TaskID)
	require.Equal(rt, res, p.resolve(rt, m), "the same call again")
	require.Equal(rt, texts, p.texts(rt, res.TaskID))
}

// begun notes a new task, which must be its conversation's only open one.
func (p *history) begun(rt *rapid.T, res conversation.Resolved) {
	require.NotContains(rt, p.of, res.TaskID)
	require.NotContains(rt, p.open, res.ConversationID)
	p.open[res.ConversationID], p.of[res.TaskID] = res.TaskID, res.ConversationID
	p.order = append(p.order, res.TaskID)
}
