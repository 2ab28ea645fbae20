package webex

import (
	"cmp"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem/core/conversation"
	"tandem/core/operation"
)

// detailsField is how detailsJson and its parts are called in findings.
const detailsField = "details"

// details is detailsJson of Resolve Conversation.
type details struct {
	All     map[string]any       // as it was given
	AppID   string               // of the channel's app; empty for SMS
	Message conversation.Message // without tenant and transaction
}

// channelKeys says which keys messageDetails must have in a channel, in the
// order of the page, and which of them name the parts of a message.
type channelKeys struct {
	Kind                                 conversation.Channel
	Mandatory                            []string
	Customer, Address, Thread, NameOfOne string
}

// channels are those of Resolve Conversation. The address is that of the
// business: an app id is bound to one, and the WhatsApp and Apple ids beside it
// are the customer's.
var channels = map[string]channelKeys{
	"web": {
		Kind: conversation.Chat, Customer: "userId", Address: "appId", Thread: "threadId", NameOfOne: "customerName",
		Mandatory: []string{
			"appId", "domain", "threadId", "threadTitle", "threadStatus", "userId", "message", "attachmentCount", "attachment", "tid",
			"customerName", "customerEmail", "timestamp",
		},
	},
	"sms": {
		Kind: conversation.Social, Customer: "senderNumber", Address: "serviceNumber",
		Mandatory: []string{"serviceNumber", "senderNumber", "message", "timestamp"},
	},
	"facebook": {
		Kind: conversation.Social, Customer: "psId", Address: "facebookPageId", NameOfOne: "customerName",
		Mandatory: []string{"appId", "facebookPageId", "psId", "customerName", "message", "attachments", "attachmentUrl", "timestamp"},
	},
	"whatsapp": {
		Kind: conversation.Social, Customer: "customerWhatsappId", Address: "appId", NameOfOne: "customerUsername",
		Mandatory: []string{"appId", "waId", "customerWhatsappId", "customerUsername", "message", "attachments", "timestamp"},
	},
	"apple": {
		Kind: conversation.Social, Customer: "abcUserId", Address: "appId", NameOfOne: "customerName",
		Mandatory: []string{"appId", "abcUserId", "accountId", "customerName", "message", "attachments", "attachmentUrl", "Timestamp", "deviceCapabilityList"},
	},
	"email": {
		Kind: conversation.Email, Customer: "customerEmailId", Address: "businessEmailId", NameOfOne: "customerName",
		Mandatory: []string{
			"appId", "assetType", "senderName", "recipient", "businessEmailId", "customerEmailId", "customerName", "toAddresses",
			"ccRecipients", "bccRecipients", "subject", "inReplyTo", "headers", "message", "htmlMessage", "strippedText", "strippedHtml",
			"attachments", "timestamp",
		},
	},
}

func readDetails(p *problems, r *request, name string, v any) {
	if doc, ok := p.document(name, v, "must be a JSON object or the text of one"); ok {
		r.Details = &details{All: doc}
	}
}

// read checks messageDetails against the channel of the call and takes the
// message out of it. A key must be there; a value may be empty unless it tells
// whose message it is.
func (d *details) read(p *problems, r *request) {
	keys, ok := channels[r.MediaChannel]
	if !ok {
		p.add("mediaChannel", "has no conversations")
		return
	}
	const at = detailsField + ".messageDetails"
	var given map[string]any
	for key, v := range d.All {
		if strings.EqualFold(key, "messageDetails") {
			v, _ = structured(v)
			given, _ = v.(map[string]any)
		}
	}
	if given == nil {
		p.add(at, "must be a JSON object")
		return
	}
	values := make(map[string]any, len(given))
	for key, v := range given {
		values[strings.ToLower(key)] = v
	}
	for _, key := range keys.Mandatory {
		v, ok := values[strings.ToLower(key)]
		whose := key == keys.Customer || key == keys.Address || key == keys.Thread
		if !ok || whose && empty(v) {
			p.add(at+"."+key, "is required")
		}
	}
	get := func(key string) string {
		v := values[strings.ToLower(key)]
		if key == "" || empty(v) {
			return ""
		}
		return strings.Join(strings.Fields(p.written(at+"."+key, v, maxSubject)), " ")
	}
	d.AppID = get("appId")
	d.Message = conversation.Message{
		Channel: keys.Kind, Customer: get(keys.Customer), Address: get(keys.Address), Thread: get(keys.Thread),
		CustomerName: get(keys.NameOfOne),
	}
	text := "message"
	if keys.Kind == conversation.Email {
		d.Message.Subject, d.Message.InReplyTo = get("subject"), get("inReplyTo")
		d.Message.CustomerName = cmp.Or(d.Message.CustomerName, get("senderName"))
		d.Message.MessageID = header(values["headers"], "Message-ID")
		if !empty(values["strippedtext"]) {
			text = "strippedText"
		}
	}
	if v := values[strings.ToLower(text)]; v != nil {
		d.Message.Text = operation.Cut(p.written(at+"."+text, v, math.MaxInt), maxMail)
	}
}

// written returns what came from a customer: it may hold anything, and what no
// text holds is left out.
func (p *problems) written(name string, v any, most int) string {
	text, ok := scalar(v)
	if !ok {
		p.add(name, "must be text")
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > most {
		p.add(name, "is longer than %d characters", most)
	}
	return text
}

// header finds a header of an e-mail: in an object, a list of names and values,
// the text of one of them, or the lines of the e-mail.
func header(v any, name string) string {
	if text, ok := v.(string); ok {
		if v, err := structured(text); err == nil {
			if _, still := v.(string); !still {
				return header(v, name)
			}
		}
		for line := range strings.Lines(text) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(key), name) {
				return strings.TrimSpace(value)
			}
		}
		return ""
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if strings.EqualFold(key, name) {
				text, _ := scalar(value)
				return strings.TrimSpace(text)
			}
		}
	case []any:
		for _, entry := range v {
			doc, ok := entry.(map[string]any)
			if !ok {
				continue
			}
			key, _ := scalar(doc["name"])
			if strings.EqualFold(strings.TrimSpace(key), name) {
				text, _ := scalar(doc["value"])
				return strings.TrimSpace(text)
			}
			if text := header(doc, name); text != "" {
				return text
			}
		}
	}
	return ""
}
