package webex

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/store/pgtest"
)

const resolvePath = "resolve-conversation/resolve"

// message is a call of Resolve Conversation in a channel.
func message(trans, mediaType, channel string, details map[string]any) map[string]any {
	wire, _ := wordIn(mediaChannels, channel)
	return map[string]any{
		"transId": trans, "mediaType": mediaType, "mediaChannel": channel,
		"details": map[string]any{"messageDetails": changed(messageOf(wire), details)},
	}
}

func chat(trans, thread, text string) map[string]any {
	return message(trans, "Chat", "Livechat", map[string]any{
		"appId": "APP-CHAT-1", "userId": "u-1", "threadId": thread, "message": text, "customerName": "Zoë",
	})
}

func mail(trans, id, inReplyTo, subject string) map[string]any {
	return message(trans, "Email", "Email", map[string]any{
		"businessEmailId": "Support@contoso-mail.example", "customerEmailId": "zoe@customer.example", "subject": subject,
		"inReplyTo": inReplyTo, "headers": map[string]any{"Message-ID": id}, "message": "Dear all", "strippedText": "", "customerName": "Zoë",
	})
}

func sms(trans, from string) map[string]any {
	return message(trans, "Social", "SMS", map[string]any{"serviceNumber": "+12025550100", "senderNumber": from, "message": "Where is it?"})
}

// resolved calls the node twice: the same call is answered the same.
func (r *nodeRig) resolved(t require.TestingT, body map[string]any, outcome string) (taskID string) {
	s := r.ok(t, resolvePath, body)
	require.Equal(t, outcome, s.Outcome, s.Text)
	require.Equal(t, outcome, s.Outputs["conversationOperation"])
	require.Equal(t, body["transId"], s.Outputs["transId"])
	taskID, _ = s.Outputs["taskId"].(string)
	require.NotEmpty(t, taskID)
	again := r.ok(t, resolvePath, body)
	require.Equal(t, s.Outcome, again.Outcome)
	require.Equal(t, s.Outputs, again.Outputs)
	return taskID
}

func (r *nodeRig) ends(t require.TestingT, id string) {
	require.Equal(t, "Success", r.ok(t, "close-task/close", bodyOf("close-task/close", id)).Outcome)
}

func TestResolve(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		first := r.resolved(t, chat("t-1", "th-1", "Hello"), "created")
		task := r.of(t, first)
		require.Equal(t, core.InstantMessaging, task.Modality)
		require.Equal(t, aLocal, task.Service.UPN)
		require.Equal(t, "Hello", task.InitialMessage)
		require.Equal(t, "Zoë", task.Customer.DisplayName)
		require.Equal(t, queuedEvents, r.history(t, first))

		require.Equal(t, first, r.resolved(t, chat("t-2", "th-1", "Anybody?"), "appended"))
		task = r.of(t, first)
		last, _ := task.Parameter("lastMessage")
		require.Equal(t, "Anybody?", last)
		require.NotEqual(t, first, r.resolved(t, chat("t-3", "th-2", "Something else"), "created"), "another thread")
		r.ends(t, first)
		require.NotEqual(t, first, r.resolved(t, chat("t-4", "th-1", "Hello again"), "created"), "a chat that has ended is over")
		require.Equal(t, first, r.resolved(t, chat("t-1", "th-1", "Hello"), "created"), "the answer of then")

		// An e-mail is known by what it answers, else by its subject.
		first = r.resolved(t, mail("m-1", "<1@customer.example>", "", "Bill"), "created")
		require.Equal(t, core.Email, r.of(t, first).Modality)
		require.Equal(t, "zoe@customer.example", r.of(t, first).Customer.Email)
		require.Equal(t, first, r.resolved(t, mail("m-2", "<2@customer.example>", "<1@customer.example>", "Another subject"), "appended"))
		require.Equal(t, first, r.resolved(t, mail("m-3", "<3@customer.example>", "", "AW: Re: bill"), "appended"))
		other := r.resolved(t, mail("m-4", "<4@customer.example>", "", "Delivery"), "created")
		require.NotEqual(t, first, other)
		r.ends(t, first)
		second := r.resolved(t, mail("m-5", "<5@customer.example>", "<2@customer.example>", ""), "reopened")
		require.NotEqual(t, first, second, "a task that has ended stays so")
		require.Equal(t, core.StateTerminated, r.of(t, first).State)
		require.Equal(t, second, r.resolved(t, mail("m-6", "<6@customer.example>", "<1@customer.example>", ""), "appended"))

		// A messenger has one conversation for each customer.
		first = r.resolved(t, sms("s-1", "+12025550199"), "created")
		require.Equal(t, first, r.resolved(t, sms("s-2", "+12025550199"), "appended"))
		require.NotEqual(t, first, r.resolved(t, sms("s-3", "+12025550198"), "created"))
		r.ends(t, first)
		r.clock.Advance(time.Hour)
		require.NotEqual(t, first, r.resolved(t, sms("s-4", "+12025550199"), "reopened"))
		require.Empty(t, r.faults)
		for _, run := range r.recorded() {
			require.NotContains(t, run.Result+run.Input+run.Message, "Where is it?")
		}
	})
}

// Many equal calls at once make one task; many messages of one thread too.
func TestResolveAtOnce(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newNodeRig(t, url)
		var mu sync.Mutex
		tasks, outcomes := map[any]int{}, map[string]int{}
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				s := saidIn(t, resolvePath, r.do(anAdmin, resolvePath, jsonOf(chat("t-"+strconv.Itoa(i/2), "th-1", "Hi"))), http.StatusOK)
				mu.Lock()
				defer mu.Unlock()
				tasks[s.Outputs["taskId"]]++
				outcomes[s.Outcome]++
			})
		}
		all.Wait()
		require.Len(t, tasks, 1, outcomes)
		require.Equal(t, map[string]int{"created": 2, "appended": 10}, outcomes)
	})
}

func TestResolveRefused(t *testing.T) {
	t.Parallel()
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	for name, c := range map[string]struct {
		body   map[string]any
		status int
		word   string
	}{
		"an address of nobody": {message("t", "Social", "SMS", map[string]any{"serviceNumber": "+1999"}), 200, "onInvalidData"},
		"a mailbox of nobody":  {message("t", "Email", "Email", map[string]any{"businessEmailId": "x@y.example"}), 200, "onInvalidData"},
		"no conversations in it": {
			map[string]any{"transId": "t", "mediaType": "Telephony", "mediaChannel": "Telephony", "details": map[string]any{"messageDetails": map[string]any{"a": 1}}}, 200, "onInvalidData",
		},
		"a medium that the service does not take": {
			changed(message("t", "Work Item", "SMS", map[string]any{"serviceNumber": "+12025550150"}), map[string]any{"authorization": "Bad"}), 200, "onauthorizationfail",
		},
		"a service without chats": {message("t", "Social", "SMS", map[string]any{"serviceNumber": "sales@contoso.example"}), 200, "onInvalidData"},
	} {
		s := r.call(t, anAdmin, resolvePath, c.body, c.status)
		require.Equal(t, c.word, s.Outcome, "%s: %s", name, s.Text)
	}
	require.Equal(t, "onauthorizationfail", r.call(t, anOwner, resolvePath, message("t", "Social", "SMS", map[string]any{"serviceNumber": "+12025550150"}), http.StatusForbidden).Outcome)
	require.Equal(t, "created", r.call(t, anOwner, resolvePath, sms("t", "+1"), http.StatusOK).Outcome, "nothing of that was kept")
}

// TestResolveKeepsServicesApart: whoever knows the Message-ID or the transaction of
// another service's conversation neither reads nor writes in it.
func TestResolveKeepsServicesApart(t *testing.T) {
	t.Parallel()
	const office = "target: cxone\n    target_settings:\n      pointOfContact: Back Office\n    workflows:\n      ExternalTask: external-task"
	r := newNodeRig(t, "sqlite:"+t.TempDir()+"/tandem.db", office,
		"target: local\n    addresses: [office@contoso-mail.example]\n    workflows:\n      Email: email")
	theirs := mail("trans-1", "<1@x>", "", "Invoice")
	theirs["details"].(map[string]any)["messageDetails"].(map[string]any)["businessEmailId"] = "office@contoso-mail.example"
	id := r.resolved(t, theirs, "created")

	for i, body := range []map[string]any{mail("trans-2", "<2@x>", "<1@x>", "Planted"), mail("trans-1", "<3@x>", "", "Curious")} {
		s := r.call(t, anOwner, resolvePath, body, http.StatusOK)
		require.Equal(t, "created", s.Outcome, "%d: %s", i, s.Text)
		require.NotEqual(t, id, s.Outputs["taskId"])
	}
	task := r.of(t, id)
	_, written := task.Parameter("lastMessage")
	require.False(t, written)
}
