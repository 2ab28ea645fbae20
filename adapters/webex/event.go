package webex

import (
	"crypto/sha256"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/server"
)

// The limits of an event, in characters. Parameters have those of the hub's
// other surfaces; what is beyond them is left out, for nobody would be there to
// tell.
const (
	maxEventName      = 256 // ids, types, agents
	maxEventReason    = 500
	maxEventVariables = 100
	maxEventVarName   = 256
	maxEventVarValue  = 4096
)

// rona marks an end that is none: the agent did not answer in time, and the task
// goes back into its queue.
const (
	ronaParty  = "System"
	ronaReason = "RONA Timer Expired"
)

// eventKinds are the events of subscriptions that say where a task stands. All
// others are taken and have no effect.
var eventKinds = map[string]string{
	"task:new":       bridge.Made,
	"task:failed":    bridge.Failed,
	"task:parked":    bridge.Parked,
	"task:connect":   bridge.Offered,
	"task:connected": bridge.Connected,
	"task:ended":     bridge.Ended,
}

// flowKinds are the events of Webex Connect flows, by the word that their types
// hold: the exact types are not published.
var flowKinds = []struct{ word, kind string }{
	{"routed", bridge.Connected},
	{"modified", bridge.Modified},
	{"closed", bridge.Ended},
}

// envelope is an event before anybody asks what it means.
type envelope struct {
	id      string
	kind    string // its type, as it was sent
	org     string
	stamp   int64 // comciscotimestamp
	stamped bool
	at      time.Time // when it happened; zero: it does not say
	data    eventData
}

// eventData is an object of an event. Its texts may be numbers.
type eventData map[string]any

// text returns the first of the fields that is there and not empty.
func (d eventData) text(names ...string) string {
	for _, name := range names {
		if text := eventText(d[name]); text != "" {
			return text
		}
	}
	return ""
}

// eventText returns a text, number or boolean as text; anything else is none.
func eventText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// openEnvelope reads an event (CloudEvents 1.0, or the form of Webex Connect,
// which leaves most of it out). Errors are Invalid.
func openEnvelope(doc map[string]any) (envelope, error) {
	e := envelope{}
	for name, to := range map[string]*string{"id": &e.id, "type": &e.kind, "comciscoorgid": &e.org} {
		text, ok := doc[name].(string)
		if !ok && doc[name] != nil {
			return e, core.InvalidField(name, "expected a text")
		}
		if utf8.RuneCountInString(text) > maxEventName {
			return e, core.InvalidField(name, "expected at most %d characters", maxEventName)
		}
		*to = text
	}
	if e.kind == "" {
		return e, core.InvalidField("type", "expected the type of the event")
	}
	var err error
	if e.data, err = eventObject(doc["data"]); err != nil {
		return e, err
	}
	if given := doc["comciscotimestamp"]; given != nil {
		if e.stamp, e.stamped = milliseconds(given); !e.stamped {
			return e, core.InvalidField("comciscotimestamp", "expected milliseconds since 1970")
		}
	}
	e.at = eventTime(&e, doc["time"])
	return e, nil
}

// eventObject reads the data of an event, which Webex Connect may send as a text.
func eventObject(value any) (eventData, error) {
	if text, ok := value.(string); ok {
		var parsed map[string]any
		if err := server.UnmarshalStrict([]byte(text), &parsed); err != nil {
			return nil, core.Wrap(core.Invalid, err, "data: expected an object")
		}
		return parsed, nil
	}
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		return nil, core.InvalidField("data", "expected an object")
	}
	return object, nil
}

// milliseconds reads a time in ms since 1970, a whole number or its digits.
func milliseconds(value any) (int64, bool) {
	switch v := value.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v), true
		}
	case string:
		ms, err := strconv.ParseInt(v, 10, 64)
		return ms, err == nil
	}
	return 0, false
}

// eventTime is when an event happened: version 1 has no timestamp.
func eventTime(e *envelope, attribute any) time.Time {
	if e.stamped {
		return time.UnixMilli(e.stamp).UTC()
	}
	if text, ok := attribute.(string); ok {
		if at, err := time.Parse(time.RFC3339, text); err == nil {
			return at.UTC()
		}
	}
	if ms, ok := milliseconds(e.data["createdTime"]); ok {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// happened says what an event of a subscription means; its Kind is empty when
// it changes no task. Key is left to the caller. Errors are Invalid.
func (e *envelope) happened() (bridge.Event, error) {
	kind := eventKinds[e.kind]
	if kind == bridge.Ended && strings.EqualFold(e.data.text("terminatingParty"), ronaParty) &&
		strings.EqualFold(strings.TrimSpace(e.data.text("reason")), ronaReason) {
		kind = ""
	}
	return e.event(kind, e.data.text("taskId", "id"))
}

// flowHappened is happened for an event that a flow of Webex Connect passes on.
func (e *envelope) flowHappened() (bridge.Event, error) {
	if _, known := eventKinds[e.kind]; known {
		return e.happened()
	}
	letters := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, e.kind)
	for _, k := range flowKinds {
		if strings.Contains(letters, k.word) {
			return e.event(k.kind, e.data.text("id", "taskId"))
		}
	}
	return bridge.Event{}, nil
}

func (e *envelope) event(kind, task string) (bridge.Event, error) {
	if kind == "" {
		return bridge.Event{}, nil
	}
	if task == "" || !eventName(task) {
		return bridge.Event{}, core.InvalidField("data", "expected the id of the task, of at most %d characters", maxEventName)
	}
	ev := bridge.Event{
		Platform: core.PlatformWebex, RemoteID: task, Kind: kind, At: e.at, Origin: e.data.text("origin"),
		Variables: eventVariables(e.data["variables"]),
	}
	switch kind {
	case bridge.Connected:
		ev.Agent = e.data.text("agentId", "owner")
		if !eventName(ev.Agent) {
			return bridge.Event{}, core.InvalidField("data", "expected an agent of at most %d characters", maxEventName)
		}
	case bridge.Failed:
		ev.Reason = eventFailure(e.data)
	}
	return ev, nil
}

// eventName tells whether a text may name something: short, and one that every
// database stores.
func eventName(text string) bool {
	return utf8.RuneCountInString(text) <= maxEventName && !strings.ContainsFunc(text, unicode.IsControl)
}

// eventFailure is why Webex could not take a task: its code, then its words.
func eventFailure(d eventData) string {
	reason := d.text("reason")
	if message := d.text("errorMessage"); message != "" && message != reason {
		reason = strings.TrimPrefix(reason+": "+message, ": ")
	}
	reason = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, reason)
	if runes := []rune(reason); len(runes) > maxEventReason {
		reason = string(runes[:maxEventReason]) + "…"
	}
	return reason
}

// eventVariables reads a list of {name, value}, or the JSON text of one. What has no
// name, is too long or too much is left out.
func eventVariables(value any) []core.NamedValue {
	if text, ok := value.(string); ok {
		value = nil
		if server.UnmarshalStrict([]byte(text), &value) != nil {
			return nil
		}
	}
	list, _ := value.([]any)
	var named []core.NamedValue
	for _, item := range list {
		object, _ := item.(map[string]any)
		v := core.NamedValue{Name: eventData(object).text("name"), Value: valueText(object["value"])}
		if v.Name == "" || utf8.RuneCountInString(v.Name) > maxEventVarName || utf8.RuneCountInString(v.Value) > maxEventVarValue {
			continue
		}
		named = core.MergeNamed(named, []core.NamedValue{v})
		if len(named) == maxEventVariables {
			break
		}
	}
	return named
}

// valueText is eventText; what is structured becomes its JSON.
func valueText(value any) string {
	switch value.(type) {
	case map[string]any, []any:
		data, _ := json.Marshal(value) //nolint:errchkjson // it came from JSON
		return string(data)
	}
	return eventText(value)
}

// eventKey is what makes two events of one source the same: the id that they
// carry, else all of them.
func eventKey(source, id string, body []byte) []byte {
	h := sha256.New()
	if id != "" {
		h.Write([]byte(source + "\x00id\x00" + id))
	} else {
		h.Write([]byte(source + "\x00body\x00"))
		h.Write(body)
	}
	return h.Sum(nil)
}
