package conversation

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	"tandem/core"
)

// Channel is the kind of medium a message came through.
type Channel string

// The channels.
const (
	Chat   Channel = "chat"
	Email  Channel = "email"
	Social Channel = "social" // messengers and SMS
)

// Message is what a customer wrote. Its conversation is found by Customer and
// Address and, in a chat, by Thread, in an e-mail by InReplyTo, else by Subject.
type Message struct {
	Tenant       string
	Service      string // that Address leads to; transactions and answers of another are strangers
	TransID      string // of the caller's call; empty: a repeated call is not recognized
	Channel      Channel
	Customer     string // as the channel names them: user id, e-mail address, number
	Address      string // where it was sent: app id, mailbox, business number
	Thread       string // of a chat
	InReplyTo    string // header of an e-mail
	MessageID    string // header of an e-mail
	Subject      string // of an e-mail
	Text         string
	CustomerName string
}

// check returns Invalid for a message that would share its conversation with
// strangers because it does not say whose it is.
func (m Message) check() error {
	switch m.Channel {
	case Chat:
		if strings.TrimSpace(m.Thread) == "" {
			return core.InvalidField("thread", "must not be empty in a chat")
		}
	case Email, Social:
	default:
		return core.InvalidField("channel", "must be %s, %s or %s", Chat, Email, Social)
	}
	if strings.TrimSpace(m.Customer) == "" {
		return core.InvalidField("customer", "must not be empty")
	}
	if strings.TrimSpace(m.Address) == "" {
		return core.InvalidField("address", "must not be empty")
	}
	return nil
}

// matchKey is the same for messages of one conversation.
func (m Message) matchKey() []byte {
	customer, address := strings.TrimSpace(m.Customer), fold(m.Address)
	switch m.Channel {
	case Chat:
		return m.hash(string(Chat), customer, address, strings.TrimSpace(m.Thread))
	case Email:
		return m.hash(string(Email), fold(customer), address, foldSubject(m.Subject))
	default:
		return m.hash(string(m.Channel), customer, address)
	}
}

func (m Message) transKey() []byte { return m.hash("trans", m.Service, m.TransID) }

// maxReferences bounds how many messages an e-mail may reply to; the last ones,
// which are the nearest, count.
const maxReferences = 8

// replyKeys are those of the e-mails that this one answers.
func (m Message) replyKeys() [][]byte {
	if m.Channel != Email {
		return nil
	}
	ids := messageIDs(m.InReplyTo)
	ids = ids[max(0, len(ids)-maxReferences):]
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = m.hash("mail", m.Service, id)
	}
	return keys
}

// mailKey is that of the e-mail itself; nil when it has no Message-ID.
func (m Message) mailKey() []byte {
	ids := messageIDs(m.MessageID)
	if m.Channel != Email || len(ids) == 0 {
		return nil
	}
	return m.hash("mail", m.Service, ids[0])
}

// hash tells parts apart wherever they are cut.
func (m Message) hash(kind string, parts ...string) []byte {
	h := sha256.New()
	for _, part := range append([]string{m.Tenant, kind}, parts...) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return h.Sum(nil)
}

// messageIDs returns what stands between angle brackets in a header or, where
// there are none, its words.
func messageIDs(header string) []string {
	var ids []string
	for rest := header; ; {
		_, after, found := strings.Cut(rest, "<")
		if !found {
			break
		}
		var id string
		if id, rest, found = strings.Cut(after, ">"); !found {
			break
		}
		if id = strings.Join(strings.Fields(id), ""); id != "" {
			ids = append(ids, id)
		}
	}
	if ids == nil {
		ids = strings.Fields(strings.Trim(header, "<> \t\r\n"))
	}
	return ids
}

// fold makes texts equal that differ in case and white space alone.
func fold(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }

// marks are what mail programs write before the subject of an answer or of a
// forwarded message, in lower case.
var marks = []string{"re", "aw", "fwd", "fw", "wg"}

// foldSubject folds a subject and takes away the marks before it, also counted
// ones such as "Re[2]:".
func foldSubject(s string) string {
	s = fold(s)
	for {
		mark, rest, found := strings.Cut(s, ":")
		mark, _, _ = strings.Cut(mark, "[")
		if !found || !slices.Contains(marks, strings.TrimSpace(mark)) {
			return s
		}
		s = strings.TrimSpace(rest)
	}
}
