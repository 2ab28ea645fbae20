package webex

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/conversation"
	"tandem/core/operation"
)

func resolving(channel string, message map[string]any) map[string]any {
	return map[string]any{
		"transId": "t-1", "mediaType": "social", "mediaChannel": channel,
		"details": map[string]any{"messageDetails": message, "pciDetails": map[string]any{"isPCICompliant": true}},
	}
}

// Every mandatory key of every channel is missed, and named as the page names it.
func TestDetailsOfChannels(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "resolve-conversation/resolve")
	counts := map[string]int{"web": 13, "sms": 4, "facebook": 8, "whatsapp": 7, "apple": 9, "email": 19}
	require.Len(t, channels, len(counts))
	for channel, keys := range channels {
		require.Len(t, keys.Mandatory, counts[channel], channel)
		full := messageOf(channel)
		r, err := read(t, m, resolving(channel, full))
		require.NoError(t, err, channel)
		require.Equal(t, keys.Kind, r.Details.Message.Channel)
		require.Equal(t, "x-"+keys.Customer, r.Details.Message.Customer)
		require.Equal(t, "x-"+keys.Address, r.Details.Message.Address)
		require.NotEmpty(t, r.Details.Message.Text)
		for _, key := range keys.Mandatory {
			_, err := read(t, m, resolving(channel, changed(full, map[string]any{key: nil})))
			require.Equal(t, []string{"details.messageDetails." + key}, found(t, err))
			_, err = read(t, m, resolving(channel, changed(full, map[string]any{key: ""})))
			if key == keys.Customer || key == keys.Address || key == keys.Thread {
				require.Equal(t, []string{"details.messageDetails." + key}, found(t, err))
			} else {
				require.NoError(t, err, "an empty %s says nothing, and is there", key)
			}
		}
	}
}

func TestDetailsOfMessages(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "resolve-conversation/resolve")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		channel string
		change  map[string]any
		want    conversation.Message
	}{
		{
			"live chat",
			map[string]any{"userId": "u", "appId": "a", "threadId": 7, "message": "Hi\x00 there\n", "customerName": "Zoë\r\n Z", "timestamp": at.UnixMilli()},
			conversation.Message{Channel: conversation.Chat, Customer: "u", Address: "a", Thread: "7", Text: "Hi there\n", CustomerName: "Zoë Z"},
		},
		{
			"SMS",
			map[string]any{"serviceNumber": "+41", "senderNumber": "+44", "message": "Hi", "timestamp": "2026-01-02T04:04:05+01:00"},
			conversation.Message{Channel: conversation.Social, Customer: "+44", Address: "+41", Text: "Hi"},
		},
		{
			"WhatsApp",
			map[string]any{"appId": "a", "customerWhatsappId": "44", "customerUsername": "Zoë", "message": "Hi", "timestamp": "yesterday"},
			conversation.Message{Channel: conversation.Social, Customer: "44", Address: "a", Text: "Hi", CustomerName: "Zoë"},
		},
		{
			"apple",
			map[string]any{"appId": "a", "abcUserId": "u", "customerName": "", "message": "Hi", "Timestamp": at.Unix()},
			conversation.Message{Channel: conversation.Social, Customer: "u", Address: "a", Text: "Hi"},
		},
		{
			"email",
			map[string]any{
				"customerEmailId": "z@c.example", "businessEmailId": "help@b.example", "customerName": "", "senderName": "Zoë", "subject": "Re: Bill",
				"inReplyTo": "<1@b.example>", "headers": map[string]any{"message-id": "<2@c.example>"}, "message": "all of it", "strippedText": "new part", "timestamp": "",
			},
			conversation.Message{
				Channel: conversation.Email, Customer: "z@c.example", Address: "help@b.example", Subject: "Re: Bill", InReplyTo: "<1@b.example>",
				MessageID: "<2@c.example>", Text: "new part", CustomerName: "Zoë",
			},
		},
		{
			"email",
			map[string]any{
				"customerEmailId": "z@c.example", "businessEmailId": "b", "customerName": "Zoë", "subject": "", "inReplyTo": "",
				"headers": "From: x\r\nMessage-Id: <3@c.example>\r\n", "message": "all of it", "strippedText": " ", "timestamp": "",
			},
			conversation.Message{Channel: conversation.Email, Customer: "z@c.example", Address: "b", MessageID: "<3@c.example>", Text: "all of it", CustomerName: "Zoë"},
		},
	} {
		wire, ok := wordIn(mediaChannels, c.channel)
		require.True(t, ok)
		r, err := read(t, m, resolving(c.channel, changed(messageOf(wire), c.change)))
		require.NoError(t, err)
		require.Equal(t, c.want, r.Details.Message)
		require.Contains(t, r.Details.All, "pciDetails")
	}
}

func TestDetailsLimits(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "resolve-conversation/resolve")
	sms := messageOf("sms")
	for _, text := range []string{strings.Repeat("é", 16<<10), strings.Repeat("é", 100<<10)} { // long e-mails are read, too
		r, err := read(t, m, resolving("sms", changed(sms, map[string]any{"message": text})))
		require.NoError(t, err)
		require.Equal(t, operation.Cut(text, 32<<10), r.Details.Message.Text)
		require.Equal(t, text, r.Details.All["messageDetails"].(map[string]any)["message"], "Webex Engage gets all of it")
	}
	_, err := read(t, m, resolving("sms", changed(sms, map[string]any{"message": []any{}})))
	require.Equal(t, []string{"details.messageDetails.message"}, found(t, err))
	_, err = read(t, m, resolving("sms", changed(sms, map[string]any{"senderNumber": map[string]any{"a": 1}})))
	require.Equal(t, []string{"details.messageDetails.senderNumber"}, found(t, err))
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		map[string]any{"Message-ID": " <1> "},
		[]any{map[string]any{"name": "From", "value": "x"}, map[string]any{"name": "Message-Id", "value": "<1>"}},
		[]any{"x", map[string]any{"message-id": "<1>"}},
		`{"MESSAGE-ID":"<1>"}`,
		`[{"name":"Message-ID","value":"<1>"}]`,
		"Received: a\nMessage-ID: <1>\n",
	} {
		require.Equal(t, "<1>", header(v, "Message-ID"), "%v", v)
	}
	for _, v := range []any{nil, "", 5, "x", `"x"`, map[string]any{}, []any{nil}, map[string]any{"Message-ID": []any{}}} {
		require.Empty(t, header(v, "Message-ID"), "%v", v)
	}
}
