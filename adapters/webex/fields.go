package webex

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem/core"
)

// The limits of what a call may hold, texts in characters. Those of variables,
// the priority and the look-back are the vendor's.
const (
	maxText       = 256      // ids, names, short texts
	maxLong       = 4096     // recipients, skill requirements
	maxSubject    = 1024     // of an e-mail
	maxURL        = 2048     // addresses of pages and webhooks
	maxMail       = 32 << 10 // what a customer wrote, in bytes; the rest is cut off: whoever wrote it is not there to write less
	maxParameters = 30       // of a page's address
	maxAuthName   = 64

	noPriority  = 10
	minLookback = 5
	maxLookback = 240
)

var (
	uuidForm  = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)
	wholeForm = regexp.MustCompile(`^[0-9]{1,9}$`)
	hostForm  = regexp.MustCompile(`^(?i)[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?([/?#].*)?$`)
)

// field reads one value of a call.
type field struct {
	aliases []string // folded keys beside the name's own: the vendor's labels and wire names
	help    string   // form and limit, for the guide
	read    func(p *problems, r *request, name string, v any)
}

// fields are all fields of all methods.
var fields = map[string]field{
	"taskId":            id("the task; a UUID that you choose in Create Task; `id` is another name", func(r *request) *string { return &r.TaskID }, "id"),
	"conversationId":    id("the conversation of the task", func(r *request) *string { return &r.ConversationID }),
	"destination":       id("app id, service number, mailbox, or a service's UPN", func(r *request) *string { return &r.Destination }),
	"mediaType":         {nil, "Social, Email, Chat, Telephony or Work Item", readMediaType},
	"mediaChannel":      {[]string{"channel"}, "Facebook Messenger, SMS, Email, Livechat, WhatsApp, Apple Messages for Business, Telephony or Work Item", readMediaChannel},
	"customerName":      title("", maxText, func(r *request) *string { return &r.CustomerName }),
	"customerId":        id("as the channel names the customer", func(r *request) *string { return &r.CustomerID }),
	"origin":            id("where the customer writes from", func(r *request) *string { return &r.Origin }, "facebookpsid(origin)", "emailid(origin)", "mobilenumber(origin)", "livechatuserid(origin)", "whatsappwaid(origin)"),
	"subject":           title("e-mail", maxSubject, func(r *request) *string { return &r.Subject }),
	"to":                {[]string{"torecipients"}, "e-mail: a list, or a text with commas; " + atMost(maxLong), recipients(func(r *request) *string { return &r.To })},
	"cc":                {[]string{"ccrecipients"}, "as `to`", recipients(func(r *request) *string { return &r.CC })},
	"hasAttachments":    {nil, "true or false", truth(func(r *request) *bool { return &r.HasAttachments })},
	"sourceNumber":      id("WhatsApp: the business number", func(r *request) *string { return &r.SourceNumber }),
	"chatType":          {nil, "Regular or Proactive", readChatType},
	"direction":         {nil, "Inbound or Outbound", readDirection},
	"variables":         {nil, "see below", readVariables},
	"queueId":           id("a queue of Webex, or a service's UPN", func(r *request) *string { return &r.QueueID }),
	"skillRequirements": {nil, "a JSON object, or the text of one; " + atMost(maxLong), readSkills},
	"contactPriority":   {nil, "1 (first) to 9; anything else is 10, none", readPriority},
	"lookbackMinutes":   {[]string{"loopbackminutes"}, fmt.Sprintf("%d to %d", minLookback, maxLookback), readLookback},
	"agentId":           id("the agent's id, UPN or e-mail address", func(r *request) *string { return &r.AgentID }),
	"mediaResourceId":   id("the conversation at the channel", func(r *request) *string { return &r.MediaResourceID }, "mediaresourseid"),
	"reason":            title("", maxText, func(r *request) *string { return &r.Reason }),
	"reasonCode":        id("", func(r *request) *string { return &r.ReasonCode }),
	"screenPopUrl":      {nil, "an https or http address; `www.example.com` is taken as https; " + atMost(maxURL), readPage},
	"queryParameters":   {[]string{"queryparams"}, fmt.Sprintf("an object of at most %d texts, or the text of one; names and values %s", maxParameters, atMost(maxText)), readQuery},
	"target":            {[]string{"displaysettings"}, "Inside Desktop (if nothing is given), New Browser Tab or Existing Browser Tab; also `insideDesktop`, `newBrowserTab`, `sameBrowserTab`", readTarget},

	"flowId":               id("", func(r *request) *string { return &r.FlowID }),
	"transId":              id("of this call: the same one again answers what the first was answered", func(r *request) *string { return &r.TransID }),
	"details":              {[]string{"detailsjson"}, "detailsJson, an object or the text of one; see below", readDetails},
	"overrideDefaultClose": {[]string{"overridedefaultcontactcloseeventhandling"}, "true or false", truth(func(r *request) *bool { return &r.OverrideDefaultClose })},

	"version":       {nil, "of the node, for example `1.3` or `v1.3`: outcomes in the spelling of that version", readVersion},
	"authorization": line("the name of a node authorization; nothing: the node's default", maxAuthName, func(r *request) *string { return &r.Authorization }),
	"webhookUrl":    {nil, "where the last word of an asynchronous node is posted; " + atMost(maxURL), readWebhook},
}

func atMost(n int) string { return fmt.Sprintf("at most %d characters", n) }

// id is a short text on one line.
func id(help string, at func(r *request) *string, aliases ...string) field {
	f := line(help, maxText, at)
	f.aliases = aliases
	return f
}

// line is a text on one line.
func line(help string, most int, at func(r *request) *string) field {
	if help != "" {
		help += "; "
	}
	return field{help: help + atMost(most), read: func(p *problems, r *request, name string, v any) {
		*at(r) = p.line(name, v, most)
	}}
}

// title is what people wrote on one line; white space within it does not count.
func title(help string, most int, at func(r *request) *string) field {
	f := line(help, most, at)
	read := f.read
	f.read = func(p *problems, r *request, name string, v any) {
		if text, ok := v.(string); ok {
			v = strings.Join(strings.Fields(text), " ")
		}
		read(p, r, name, v)
	}
	return f
}

// line returns a trimmed text without control characters.
func (p *problems) line(name string, v any, most int) string {
	text, ok := scalar(v)
	if !ok {
		p.add(name, "must be text")
		return ""
	}
	text = strings.TrimSpace(text)
	p.fits(name, text, most)
	if strings.ContainsFunc(text, unicode.IsControl) {
		p.add(name, "has a control character; only plain text is accepted")
	}
	return text
}

// fits checks the length of a text, in characters, and that all of them are
// characters.
func (p *problems) fits(name, text string, most int) {
	if utf8.RuneCountInString(text) > most {
		p.add(name, "is longer than %d characters", most)
	}
	if strings.ContainsRune(text, utf8.RuneError) { // half of a surrogate pair, in JSON
		p.add(name, "has a character that is none")
	}
}

// prose returns a text of several lines as it is.
func (p *problems) prose(name string, v any, most int) string {
	text, ok := scalar(v)
	if !ok {
		p.add(name, "must be text")
		return ""
	}
	p.fits(name, text, most)
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && !unicode.IsSpace(r) }) {
		p.add(name, "has a control character; only plain text is accepted")
	}
	return text
}

func truth(at func(r *request) *bool) func(*problems, *request, string, any) {
	return func(p *problems, r *request, name string, v any) { *at(r) = p.truth(name, v) }
}

func (p *problems) truth(name string, v any) bool {
	text, _ := scalar(v)
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true":
		return true
	case "false":
		return false
	}
	p.add(name, "must be true or false")
	return false
}

// oneOf finds a word, whatever its case.
func (p *problems) oneOf(name string, v any, words ...string) string {
	text, _ := scalar(v)
	i := slices.IndexFunc(words, func(w string) bool { return foldKey(w) == foldKey(text) })
	if i < 0 {
		p.add(name, "must be one of %s", strings.Join(words, ", "))
		return ""
	}
	return words[i]
}

func readMediaType(p *problems, r *request, name string, v any) {
	r.MediaType = p.medium(name, v, mediaTypes)
	r.Modality = modalityOf(r.MediaType)
}

func readMediaChannel(p *problems, r *request, name string, v any) {
	r.MediaChannel = p.medium(name, v, mediaChannels)
}

func (p *problems) medium(name string, v any, table []media) string {
	text, _ := scalar(v)
	wire, ok := wordIn(table, text)
	if !ok {
		var pages []string
		for _, m := range table {
			pages = append(pages, m.Page)
		}
		p.add(name, "must be one of %s", strings.Join(pages, ", "))
	}
	return wire
}

// recipients reads a list of addresses, or one text of them.
func recipients(at func(r *request) *string) func(*problems, *request, string, any) {
	return func(p *problems, r *request, name string, v any) {
		if list, ok := v.([]any); ok {
			var parts []string
			for i, entry := range list {
				parts = append(parts, p.line(fmt.Sprintf("%s[%d]", name, i), entry, maxText))
			}
			v = strings.Join(parts, ", ")
		}
		*at(r) = p.line(name, v, maxLong)
	}
}

func readChatType(p *problems, r *request, name string, v any) {
	r.ChatType = p.oneOf(name, v, "Regular", "Proactive")
}

func readDirection(p *problems, r *request, name string, v any) {
	r.Direction = core.Direction(p.oneOf(name, v, string(core.Inbound), string(core.Outbound)))
}

// readPriority takes what is no priority for none, as the vendor does.
func readPriority(p *problems, r *request, name string, v any) {
	text, ok := scalar(v)
	if !ok {
		p.add(name, "must be a number from 1 to 9")
		return
	}
	if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n >= 1 && n < noPriority {
		r.ContactPriority = n
	}
}

func readLookback(p *problems, r *request, name string, v any) {
	text, _ := scalar(v)
	text = strings.TrimSpace(text)
	n, err := strconv.Atoi(text)
	if err != nil || !wholeForm.MatchString(text) || n < minLookback || n > maxLookback {
		p.add(name, "must be a whole number from %d to %d", minLookback, maxLookback)
		return
	}
	r.LookbackMinutes = n
}

func readSkills(p *problems, r *request, name string, v any) {
	if doc, ok := p.document(name, v, "must be a JSON object or the text of one"); ok {
		r.SkillRequirements = encode(doc)
		p.fits(name, r.SkillRequirements, maxLong)
	}
}

// readPage reads the address of a page that an agent's browser opens.
func readPage(p *problems, r *request, name string, v any) {
	text := p.line(name, v, maxURL)
	if hostForm.MatchString(text) {
		text = "https://" + text
	}
	r.ScreenPopURL = p.address(name, text)
}

func readWebhook(p *problems, r *request, name string, v any) {
	r.WebhookURL = p.address(name, p.line(name, v, maxURL))
}

func (p *problems) address(name, text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		p.add(name, "must be an absolute https or http address")
	case u.User != nil:
		p.add(name, "must not hold a user name or password")
	}
	return text
}

func readQuery(p *problems, r *request, name string, v any) {
	doc, ok := p.document(name, v, "must be an object of names and texts, or the text of one")
	if !ok {
		return
	}
	if len(doc) > maxParameters {
		p.add(name, "has %d entries; at most %d are accepted", len(doc), maxParameters)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		value := doc[key]
		if text, _ := value.(string); value == nil || unset(text) {
			value = ""
		}
		entry := core.NamedValue{Name: key, Value: p.line(name+"."+short(key), value, maxText)}
		p.line(name, key, maxText)
		r.QueryParameters = append(r.QueryParameters, entry)
	}
}

// page returns the address of the page with its parameters.
func (r *request) page() string {
	u, err := url.Parse(r.ScreenPopURL)
	if err != nil || len(r.QueryParameters) == 0 {
		return r.ScreenPopURL
	}
	query := make(url.Values)
	for _, v := range r.QueryParameters {
		query.Set(v.Name, v.Value)
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += query.Encode()
	return u.String()
}

// targets are the places of a page, folded. A tab that exists is, on the wire,
// the same tab.
var targets = map[string]core.PopTarget{
	"insidedesktop":      core.InsideDesktop,
	"newbrowsertab":      core.NewBrowserTab,
	"existingbrowsertab": core.ExistingBrowserTab,
	"samebrowsertab":     core.ExistingBrowserTab,
}

func readTarget(p *problems, r *request, name string, v any) {
	text, _ := scalar(v)
	target, ok := targets[foldKey(text)]
	if !ok {
		p.add(name, "must be one of Inside Desktop, New Browser Tab, Existing Browser Tab")
	}
	r.Target = target
}

func readVersion(p *problems, r *request, name string, v any) {
	r.Version = strings.TrimPrefix(strings.ToLower(p.line(name, v, maxText)), "v")
}

// short cuts a key of the caller's for an answer.
func short(key string) string {
	const most = 60
	if runes := []rune(key); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return key
}
