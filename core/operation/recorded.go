package operation

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/mapping"
)

const (
	maxTests     = 200
	maxExchanges = 100
)

// testsFile is the form of <integration>/<operation>_test.yaml.
type testsFile struct {
	mapping.Pos
	Tests []testEntry `yaml:"tests" required:"true"`
}

type testEntry struct {
	mapping.Pos
	Name      mapping.Text            `yaml:"name" required:"true"`
	Input     *yaml.Node              `yaml:"input"`
	Context   contextEntry            `yaml:"context"`
	Settings  map[string]mapping.Text `yaml:"settings"`
	Base      mapping.Text            `yaml:"base"`
	Exchanges []exchangeEntry         `yaml:"exchanges"`
	Result    *yaml.Node              `yaml:"result"`
	Error     *errorEntry             `yaml:"error"`
}

type contextEntry struct {
	Tenant        string                 `yaml:"tenant"`
	ContactID     string                 `yaml:"contactId"`
	InteractionID string                 `yaml:"interactionId"`
	Now           mapping.Text           `yaml:"now"`
	ID            string                 `yaml:"id"`
	Card          map[string][]cardEntry `yaml:"card"`
}

type cardEntry struct {
	Name  string `yaml:"name" required:"true"`
	Label string `yaml:"label"`
}

type exchangeEntry struct {
	mapping.Pos
	Request sentEntry    `yaml:"request" required:"true"`
	Answer  *answerEntry `yaml:"answer"`
	Fault   mapping.Text `yaml:"fault" enum:"timeout,refused"`
}

type sentEntry struct {
	mapping.Pos
	Method  mapping.Text      `yaml:"method" required:"true" enum:"GET,HEAD,POST,PUT,PATCH,DELETE"`
	Path    mapping.Text      `yaml:"path" required:"true"`
	Query   *yaml.Node        `yaml:"query"`
	Headers map[string]string `yaml:"headers"`
	Body    *yaml.Node        `yaml:"body"`
}

type answerEntry struct {
	mapping.Pos
	Status  mapping.Located[int] `yaml:"status" required:"true"`
	Headers map[string]string    `yaml:"headers"`
	Body    *yaml.Node           `yaml:"body"`
	Text    mapping.Text         `yaml:"text"`
}

type errorEntry struct {
	mapping.Pos
	Kind    mapping.Text         `yaml:"kind"`
	Code    mapping.Text         `yaml:"code"`
	Step    mapping.Text         `yaml:"step"`
	Status  mapping.Located[int] `yaml:"status"`
	Message mapping.Text         `yaml:"message"`
}

// Test is one recorded run of an operation: what goes in, which calls must be
// made, what is answered, and what must come out. It never changes.
type Test struct {
	Name      string
	File      string // slash path in the mappings folder
	Line      int
	Input     map[string]any
	Request   Request // without operation and input
	Now       time.Time
	Base      string
	Settings  map[string]string
	Exchanges []Recording

	Result any            // the output that must come; nil with Error
	Error  *ExpectedError // nil: the run must not fail
}

// Recording is one call of a test and its answer.
type Recording struct {
	Line    int
	Method  string
	Path    string // below the base address, or from the root of its host
	Query   map[string]any
	Headers map[string]string // only those that must be equal
	Body    any               // nil: none
	HasBody bool

	Status       int // of the answer; 0: Fault
	AnswerHeader http.Header
	Answer       []byte
	Fault        string // timeout: sent and never answered; refused: no connection
}

// ExpectedError is what must be known of the error of a test's run; empty:
// anything.
type ExpectedError struct {
	Kind    core.Kind
	Code    string
	Step    string
	Status  int    // of the upstream's answer
	Message string // part of it
}

// tests makes the tests of one file.
func (l *loader) tests() []*Test {
	var f testsFile
	l.findings = mapping.Decode(l.file, &f)
	var list []*Test
	for _, e := range shorten(l, f.Tests, maxTests, "tests", f.Pos) {
		if slices.ContainsFunc(list, func(t *Test) bool { return t.Name == e.Name.Value }) {
			l.add(e.Name.Pos, "duplicate test %s", mapping.Quote(e.Name.Value))
		}
		list = append(list, l.test(e))
	}
	return list
}

func (l *loader) test(e testEntry) *Test {
	t := &Test{Name: e.Name.Value, File: l.file.Path, Line: e.Line, Now: sampleTime(), Input: l.object(e.Input, "input")}
	t.Request = Request{
		Tenant: cmp.Or(e.Context.Tenant, sampleTenant), ContactID: e.Context.ContactID,
		InteractionID: e.Context.InteractionID, ID: cmp.Or(e.Context.ID, sampleID), Timeout: 10 * time.Second,
	}
	for entity, fields := range e.Context.Card {
		if t.Request.Card == nil {
			t.Request.Card = map[string][]Field{}
		}
		for _, field := range fields {
			t.Request.Card[entity] = append(t.Request.Card[entity], Field{field.Name, cmp.Or(field.Label, field.Name)})
		}
	}
	if now := e.Context.Now; now.Value != "" {
		var err error
		if t.Now, err = time.Parse(time.RFC3339Nano, now.Value); err != nil {
			l.add(now.Pos, "now must be a time such as 2026-01-02T03:04:05.000Z")
		}
	}
	l.connection(t, e)
	for _, x := range shorten(l, e.Exchanges, maxExchanges, "exchanges", e.Pos) {
		t.Exchanges = append(t.Exchanges, l.exchange(x))
	}
	if (e.Result == nil) == (e.Error == nil) {
		l.add(e.Pos, "a test has either a result or an error")
	}
	t.Result = l.literal(e.Result)
	if e.Error != nil {
		l.oneOf(e.Error.Kind, "kind", core.Kinds())
		t.Error = &ExpectedError{
			core.Kind(e.Error.Kind.Value), e.Error.Code.Value, e.Error.Step.Value, e.Error.Status.Value, e.Error.Message.Value,
		}
	}
	return t
}

// connection fills in the base address and the settings.
func (l *loader) connection(t *Test, e testEntry) {
	t.Base, t.Settings = "https://example.invalid", map[string]string{}
	if l.in != nil {
		t.Base, t.Settings = sample(l.in)
		known := l.in.Settings
		for _, g := range l.in.Grants {
			known = append(slices.Clip(known), g.Fields...)
		}
		for name, value := range e.Settings {
			if !slices.ContainsFunc(known, func(f integration.Field) bool { return f.Name == name && !f.Secret }) {
				l.findings = append(l.findings, l.file.AtPos(value.Pos, "there is no setting %s", mapping.Quote(name)).Because(l.beside(integrationFile)))
			}
			t.Settings[name] = value.Value
		}
		if base, err := addressOf(l.in, t.Settings); err == nil {
			t.Base = base
		}
	}
	if e.Base.Value != "" {
		t.Base = strings.TrimSuffix(e.Base.Value, "/")
		if !strings.HasPrefix(t.Base, "https://") && !strings.HasPrefix(t.Base, "http://") {
			l.add(e.Base.Pos, "base must be an address that begins with https://")
		}
	}
}

func (l *loader) exchange(e exchangeEntry) Recording {
	r := Recording{
		Line: e.Line, Method: e.Request.Method.Value, Path: e.Request.Path.Value,
		Query: l.object(e.Request.Query, "query"), Headers: e.Request.Headers,
		Body: l.literal(e.Request.Body), HasBody: e.Request.Body != nil, Fault: e.Fault.Value,
	}
	if (e.Answer == nil) == (e.Fault.Value == "") {
		l.add(e.Pos, "an exchange has either an answer or a fault")
	}
	if e.Answer == nil {
		return r
	}
	r.Status = e.Answer.Status.Value
	if r.Status < 200 || r.Status > 599 {
		l.add(e.Answer.Status.Pos, "a status is a number from 200 to 599")
	}
	r.AnswerHeader = http.Header{}
	for name, value := range e.Answer.Headers {
		r.AnswerHeader.Set(name, value)
	}
	switch {
	case e.Answer.Body != nil && e.Answer.Text.Given():
		l.add(e.Answer.Text.Pos, "an answer has either a body or a text")
	case e.Answer.Body != nil:
		r.Answer = compact(l.literal(e.Answer.Body))
	default:
		r.Answer = []byte(e.Answer.Text.Value)
	}
	return r
}

// object is the value of a node that must be a mapping.
func (l *loader) object(node *yaml.Node, key string) map[string]any {
	if node == nil {
		return nil
	}
	values, ok := l.literal(node).(map[string]any)
	if !ok {
		l.at(node, "%s must be a mapping of keys to values", key)
	}
	return values
}
