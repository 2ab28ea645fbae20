package flow

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/mapping"
)

// maxWait bounds every wait, so that every task ends.
const maxWait = 366 * 24 * time.Hour

// file is a workflow as it is written.
type file struct {
	Name       mapping.Text `yaml:"name" required:"true"`
	Title      string       `yaml:"title"`
	Modality   mapping.Text `yaml:"modality" required:"true"`
	Activities []step       `yaml:"activities" required:"true"`
	WhenEnded  []ending     `yaml:"when_ended"`
}

// step is an activity as it is written. Which keys belong to which activity
// stands in the table keys.
type step struct {
	mapping.Pos
	ID           mapping.Text                   `yaml:"id"`
	Activity     mapping.Text                   `yaml:"activity" required:"true"`
	Field        mapping.Text                   `yaml:"field"`
	Operator     mapping.Text                   `yaml:"operator"`
	Value        mapping.Text                   `yaml:"value"`
	From         mapping.Text                   `yaml:"from"`
	Parameter    mapping.Text                   `yaml:"parameter"`
	Priority     mapping.Text                   `yaml:"priority"`
	For          mapping.Located[time.Duration] `yaml:"for"`
	Timeout      mapping.Located[time.Duration] `yaml:"timeout"`
	MaxQueueTime mapping.Located[time.Duration] `yaml:"max_queue_time"`
	Then         mapping.Text                   `yaml:"then"`
	Else         mapping.Text                   `yaml:"else"`
	OnTimeout    mapping.Text                   `yaml:"on_timeout"`
	Next         mapping.Text                   `yaml:"next"`

	Operation     mapping.Text                `yaml:"operation"`
	Authorization mapping.Text                `yaml:"authorization"`
	Input         *yaml.Node                  `yaml:"input"`
	Save          map[mapping.Text]*yaml.Node `yaml:"save"`
	OnError       mapping.Text                `yaml:"on_error"`
	URL           *yaml.Node                  `yaml:"url"`
	Target        mapping.Text                `yaml:"target"`
}

// keys says which keys an activity takes; a trailing * marks the required.
var keys = map[Kind][]string{
	AcceptConversation:     {"next"},
	CheckCondition:         {"field*", "operator*", "value", "then", "else"},
	SetPriority:            {"priority*", "next"},
	Delay:                  {"for*", "next"},
	WaitForParameter:       {"parameter*", "timeout*", "next", "on_timeout"},
	SaveToParameter:        {"parameter*", "value", "from", "next"},
	QueueTask:              {"max_queue_time*", "on_timeout"},
	RunOperation:           {"operation*", "authorization", "input", "timeout", "save", "next", "on_error"},
	ScreenPop:              {"url*", "target", "next"},
	DisconnectConversation: {},
}

// Parse reads and checks the text of one workflow; name is the file's path for
// the findings. The workflow is nil when there are findings.
func Parse(name string, text []byte) (*Workflow, []mapping.Finding) {
	f, findings := mapping.Parse(name, text)
	if len(findings) > 0 {
		return nil, findings
	}
	return parse(f)
}

// Load reads all workflows of a set, by name, with all findings at once.
func Load(set *mapping.Set) (map[string]*Workflow, []mapping.Finding) {
	flows := map[string]*Workflow{}
	var findings []mapping.Finding
	for _, f := range set.Under("workflows") {
		w, found := parse(f)
		findings = append(findings, found...)
		if w != nil {
			flows[w.Name] = w
		}
	}
	return flows, findings
}

func parse(f mapping.File) (*Workflow, []mapping.Finding) {
	var in file
	if found := mapping.Decode(f, &in); len(found) > 0 {
		return nil, found
	}
	p := parser{file: f, in: in, places: map[string]int{}, patterns: &expression.Patterns{}}
	p.head()
	for i, s := range in.Activities {
		if s.ID.Value == "" {
			continue
		}
		if _, twice := p.places[s.ID.Value]; twice {
			p.find(s.ID.Pos, "id %s is used twice", mapping.Quote(s.ID.Value))
		}
		p.places[s.ID.Value] = i
	}
	w := &Workflow{
		Name: in.Name.Value, Title: in.Title, Modality: core.Modality(in.Modality.Value),
		Text: f.Data, Hash: hashOf(f.Data),
	}
	for i := range in.Activities {
		w.Activities = append(w.Activities, p.activity(i))
	}
	w.endings = p.endings()
	w.uses = p.uses
	if len(p.findings) == 0 {
		p.loops(w)
	}
	if len(p.findings) > 0 {
		mapping.Sort(p.findings)
		return nil, p.findings
	}
	return w, nil
}

type parser struct {
	file     mapping.File
	in       file
	places   map[string]int
	patterns *expression.Patterns
	saved    int // parameters that results are saved to
	uses     []use
	findings []mapping.Finding
}

func (p *parser) find(pos mapping.Pos, format string, args ...any) {
	p.findings = append(p.findings, p.file.AtPos(pos, format, args...))
}

func (p *parser) head() {
	base := p.file.Path[strings.LastIndexByte(p.file.Path, '/')+1:]
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".yaml"), ".yml")
	if p.in.Name.Value != base {
		p.find(p.in.Name.Pos, "name %s must be the file's name, %s", mapping.Quote(p.in.Name.Value), mapping.Quote(base))
	}
	p.oneOf(p.in.Modality, "modality", words(core.Modalities))
	if len(p.in.Activities) > 200 {
		p.find(mapping.Pos{}, "a workflow has at most 200 activities, this one has %d", len(p.in.Activities))
	}
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

func (p *parser) oneOf(t mapping.Text, what string, known []string) {
	if t.Given() && !slices.Contains(known, t.Value) {
		p.find(t.Pos, "unknown %s %s%s; known: %s", what, mapping.Quote(t.Value),
			mapping.Suggest(t.Value, known), strings.Join(known, ", "))
	}
}

// activity checks the i-th step and turns it into an Activity.
func (p *parser) activity(i int) Activity {
	s := p.in.Activities[i]
	kind := Kind(s.Activity.Value)
	allowed, known := keys[kind]
	if !known {
		names := make([]string, 0, len(keys))
		for k := range keys {
			names = append(names, string(k))
		}
		slices.Sort(names)
		p.oneOf(s.Activity, "activity", names)
		return Activity{}
	}
	p.keys(s, kind, allowed)
	p.operands(s, kind)
	a := Activity{
		Kind: kind, Field: s.Field.Value, Operator: s.Operator.Value, Value: s.Value.Value, From: s.From.Value,
		Parameter: s.Parameter.Value, Priority: core.Priority(s.Priority.Value),
		Limit: s.For.Value + s.Timeout.Value + s.MaxQueueTime.Value, // an activity takes only one of them
		Next:  p.place(i, s.Next), Else: p.place(i, s.OnTimeout),
	}
	switch kind {
	case CheckCondition:
		a.Next, a.Else = p.place(i, s.Then), p.place(i, s.Else)
	case RunOperation:
		p.operation(&a, i)
	case ScreenPop:
		a.page = p.page(s)
	}
	for _, d := range []mapping.Located[time.Duration]{s.For, s.Timeout, s.MaxQueueTime} {
		if d.Given() && kind != RunOperation && (d.Value <= 0 || d.Value > maxWait) {
			p.find(d.Pos, "must be more than 0 and at most %d hours", int(maxWait.Hours()))
		}
	}
	return a
}

// operands checks the words, fields and values of a step.
func (p *parser) operands(s step, kind Kind) {
	p.oneOf(s.Operator, "operator", operatorNames())
	p.oneOf(s.Priority, "priority", words(core.Priorities))
	for _, field := range []mapping.Text{s.Field, s.From} {
		if field.Given() && !fieldKnown(field.Value) {
			p.find(field.Pos, "unknown field %s%s; a context parameter is written parameter.<name>",
				mapping.Quote(field.Value), mapping.Suggest(field.Value, fieldNames()))
		}
	}
	if s.Parameter.Given() && s.Parameter.Value == "" {
		p.find(s.Parameter.Pos, "parameter must not be empty")
	}
	if kind == CheckCondition && !s.Value.Given() && !strings.HasSuffix(s.Operator.Value, "empty") {
		p.find(s.Pos, "operator %s needs the key value", mapping.Quote(s.Operator.Value))
	}
	if kind == SaveToParameter && s.Value.Given() == s.From.Given() {
		p.find(s.Pos, "%s needs either value or from", kind)
	}
}

func operatorNames() []string {
	names := make([]string, 0, len(operators))
	for n := range operators {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// keys checks that a step has the keys of its activity and no others.
func (p *parser) keys(s step, kind Kind, allowed []string) {
	given := map[string]mapping.Pos{
		"field": s.Field.Pos, "operator": s.Operator.Pos, "value": s.Value.Pos, "from": s.From.Pos,
		"parameter": s.Parameter.Pos, "priority": s.Priority.Pos, "for": s.For.Pos, "timeout": s.Timeout.Pos,
		"max_queue_time": s.MaxQueueTime.Pos, "then": s.Then.Pos, "else": s.Else.Pos,
		"on_timeout": s.OnTimeout.Pos, "next": s.Next.Pos,
		"operation": s.Operation.Pos, "authorization": s.Authorization.Pos, "input": posOf(s.Input),
		"on_error": s.OnError.Pos, "url": posOf(s.URL), "target": s.Target.Pos, "save": {},
	}
	for parameter := range s.Save { // one of them stands for the key
		given["save"] = parameter.Pos
	}
	for key, pos := range given {
		switch {
		case pos.Given() && !slices.Contains(allowed, key) && !slices.Contains(allowed, key+"*"):
			p.find(pos, "%s has no key %s", kind, key)
		case !pos.Given() && slices.Contains(allowed, key+"*"):
			p.find(s.Pos, "%s needs the key %s", kind, key)
		}
	}
}

// place finds where a branch of the i-th activity goes: to the activity with
// that id, or to the one below when nothing is said.
func (p *parser) place(i int, to mapping.Text) int {
	if !to.Given() {
		if i+1 == len(p.in.Activities) {
			return end
		}
		return i + 1
	}
	place, ok := p.places[to.Value]
	if !ok {
		ids := make([]string, 0, len(p.places))
		for id := range p.places {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		p.find(to.Pos, "no activity has the id %s%s", mapping.Quote(to.Value), mapping.Suggest(to.Value, ids))
	}
	return place
}
