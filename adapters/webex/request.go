package webex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"tandem/core"
	"tandem/core/server"
)

// maxProblems bounds what is told of one request.
const maxProblems = 40

// request is what a call of a node asks for: the fields of all methods, of which
// each has its own. Ids and words are trimmed, words are in the wire's spelling.
type request struct {
	Version       string // of the node; empty: not given
	Authorization string // name; empty: the node's default
	WebhookURL    string

	TaskID            string // a UUID is in lower case
	ConversationID    string
	Destination       string
	MediaType         string // social, email, chat, telephony, workItem
	MediaChannel      string // facebook, sms, email, web, whatsapp, apple, telephony, workItem
	Modality          core.Modality
	CustomerName      string
	CustomerID        string
	Origin            string
	Subject           string
	To                string
	CC                string
	HasAttachments    bool
	SourceNumber      string
	ChatType          string // Regular, Proactive
	Direction         core.Direction
	Variables         []variable
	QueueID           string
	SkillRequirements string // JSON text of an object
	ContactPriority   int    // 1 to 9; 10: none
	LookbackMinutes   int
	AgentID           string
	MediaResourceID   string
	Reason            string
	ReasonCode        string
	ScreenPopURL      string
	QueryParameters   []core.NamedValue // sorted by name
	Target            core.PopTarget

	FlowID               string
	TransID              string
	Details              *details
	OverrideDefaultClose bool

	given map[string]bool // fields that had a value
}

// Given tells whether a field had a value.
func (r *request) Given(field string) bool { return r.given[field] }

// decode reads the body of a call. Errors are Invalid, with one detail for each
// thing that is wrong, in the order of the vendor's page.
func decode(m *method, body []byte) (*request, error) {
	doc, err := object(body)
	if err != nil {
		return nil, core.InvalidField("body", "%s", err.Error())
	}
	var p problems
	values := m.fold(doc, &p)
	r := &request{ContactPriority: noPriority, Target: core.InsideDesktop, given: map[string]bool{}}
	for _, name := range append(slices.Clone(m.Fields), commonFields...) {
		name, required := strings.CutSuffix(name, "*")
		v, ok := values[name]
		switch {
		case ok:
			r.given[name] = true
			fields[name].read(&p, r, name, v)
		case required:
			p.add(name, "is required")
		}
	}
	if len(p) == 0 {
		m.check(&p, r)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// commonFields are those of every method.
var commonFields = []string{"version", "authorization", "webhookUrl"}

// check is what no field shows alone.
func (m *method) check(p *problems, r *request) {
	if uuidForm.MatchString(r.TaskID) {
		r.TaskID = strings.ToLower(r.TaskID)
	}
	if r.Version != "" && !slices.Contains(m.Versions, r.Version) {
		p.add("version", "must be one of %s", strings.Join(m.Versions, ", "))
	}
	if m.Node == "create-task" && !uuidForm.MatchString(r.TaskID) {
		p.add("taskId", "must be a UUID, for example 3f2504e0-4f89-41d3-9a0c-0305e82c3301")
	}
	if m.Name == "global" {
		for i := range r.Variables {
			r.Variables[i].Global = true
		}
	}
	if r.Details != nil {
		r.Details.read(p, r)
	}
}

// fold finds the fields of the method among the keys of a body.
func (m *method) fold(doc map[string]any, p *problems) map[string]any {
	names := make(map[string]string)
	for _, name := range append(slices.Clone(m.Fields), commonFields...) {
		name = strings.TrimSuffix(name, "*")
		names[foldKey(name)] = name
		for _, alias := range fields[name].aliases {
			names[alias] = name
		}
	}
	maps.Copy(names, m.Aliases)
	return p.fold("", doc, names)
}

// fold finds names among the keys of an object, however they are written, and
// leaves out those without a value. Two keys of one name must say the same: on
// the canvas several do.
func (p *problems) fold(at string, doc map[string]any, names map[string]string) map[string]any {
	values, keys := make(map[string]any), make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		name, ok := names[foldKey(key)]
		if !ok || empty(doc[key]) {
			continue
		}
		if before, twice := keys[name]; twice && !same(values[name], doc[key]) {
			p.add(at+name, "%q and %q are the same field and have different values", short(before), short(key))
			continue
		}
		values[name], keys[name] = doc[key], key
	}
	return values
}

// foldKey makes the spellings of a key equal: "Task ID", "task_id", "taskId".
func foldKey(key string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, strings.ToLower(key))
}

// empty tells what an unset variable of a flow gives.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return strings.TrimSpace(v) == "" || unset(v)
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

var referenceForm = regexp.MustCompile(`^\s*\$\([^()$]*\)\s*$`)

// unset tells whether a text is a flow's reference to a variable and nothing
// else: nobody has put its value there.
func unset(text string) bool { return strings.Contains(text, "$(") && referenceForm.MatchString(text) }

func same(a, b any) bool {
	x, isText := scalar(a)
	y, too := scalar(b)
	if isText && too {
		return strings.TrimSpace(x) == strings.TrimSpace(y)
	}
	return reflect.DeepEqual(a, b)
}

// scalar returns a text, number or truth value as text: variables of a flow are
// texts, and other callers say what they mean.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// object reads a JSON object. The error says what is wrong, for the caller.
func object(data []byte) (map[string]any, error) {
	v, err := parse(data)
	if err != nil {
		return nil, err
	}
	if doc, ok := v.(map[string]any); ok {
		return doc, nil
	}
	return nil, errors.New("must be a JSON object")
}

// parse reads JSON; its numbers are json.Number.
func parse(data []byte) (any, error) {
	var raw json.RawMessage
	if err := server.UnmarshalStrict(data, &raw); err != nil {
		e, ok := errors.AsType[*core.Error](err)
		if !ok || len(e.Details) == 0 {
			return nil, errors.New("is no JSON")
		}
		if d := e.Details[0]; d.Field != "body" {
			return nil, fmt.Errorf("is no JSON: %s: %s", d.Field, d.Message)
		}
		return nil, fmt.Errorf("is no JSON: %s", e.Details[0].Message)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("is no JSON")
	}
	return v, nil
}

// structured returns a value that may have come as the text of it.
func structured(v any) (any, error) {
	if text, ok := v.(string); ok {
		return parse([]byte(text))
	}
	return v, nil
}

// problems collects what is wrong with a request.
type problems []core.Detail

func (p *problems) add(field, format string, args ...any) {
	if len(*p) < maxProblems {
		*p = append(*p, core.Detail{Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

// document returns an object, or what the text of one says; otherwise says what
// else was given.
func (p *problems) document(name string, v any, otherwise string) (map[string]any, bool) {
	v, err := structured(v)
	if err != nil {
		p.add(name, "%s", err.Error())
		return nil, false
	}
	doc, ok := v.(map[string]any)
	if !ok {
		p.add(name, "%s", otherwise)
	}
	return doc, ok
}

// err returns an Invalid error with everything that was added, nil if nothing.
func (p *problems) err() error { return core.InvalidFields(*p) }
