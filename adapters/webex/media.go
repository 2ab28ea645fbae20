package webex

import "tandem/core"

// media is a media type or channel under its names.
type media struct {
	Wire, Page string
	Others     []string // folded
}

// mediaTypes are the media types of the nodes and of tasks at Webex.
var mediaTypes = []media{
	{Wire: "social", Page: "Social"},
	{Wire: "email", Page: "Email"},
	{Wire: "chat", Page: "Chat"},
	{Wire: "telephony", Page: "Telephony"},
	{Wire: "workItem", Page: "Work Item"},
}

// mediaChannels are the channels of the media types. The pages have no channel
// for the last two; their media types name themselves.
var mediaChannels = []media{
	{Wire: "facebook", Page: "Facebook Messenger"},
	{Wire: "sms", Page: "SMS"},
	{Wire: "email", Page: "Email"},
	{Wire: "web", Page: "Livechat"},
	{Wire: "whatsapp", Page: "WhatsApp"},
	{Wire: "apple", Page: "Apple Messages for Business", Others: []string{"applemessages", "applebusinesschat"}},
	{Wire: "telephony", Page: "Telephony"},
	{Wire: "workItem", Page: "Work Item"},
}

// wordIn finds a medium by any of its names; case, spaces, _ and - do not count.
func wordIn(table []media, text string) (wire string, ok bool) {
	text = foldKey(text)
	for _, m := range table {
		if text == foldKey(m.Wire) || text == foldKey(m.Page) {
			return m.Wire, true
		}
		for _, other := range m.Others {
			if text == other {
				return m.Wire, true
			}
		}
	}
	return "", false
}

// modalityOf returns the modality of a media type in the wire's spelling.
func modalityOf(wire string) core.Modality { return core.MediaModality[foldKey(wire)] }
