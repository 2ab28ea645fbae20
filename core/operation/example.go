package operation

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
)

// What examples and tests have instead of a request of their own.
const (
	sampleID     = "00000000-0000-0000-0000-000000000000"
	sampleTenant = "example"
)

// sampleTime is the moment of examples, and of tests that name none.
func sampleTime() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// trial evaluates with the example what needs no answer, so that a fault shows
// when the file is loaded rather than in a call.
type trial struct {
	l    *loader
	env  expression.Env
	node *yaml.Node // of the example, for findings without a place
	off  bool       // nothing can be evaluated any more
}

// example checks the example of an operation against its inputs.
func (l *loader) example(op *Operation, f operationFile) *trial {
	t := &trial{l: l, node: f.Example}
	if f.Example == nil {
		if slices.ContainsFunc(op.Inputs, func(in Input) bool { return in.Required }) {
			l.add(f.Pos, "an example is missing: it must satisfy input")
		}
		t.node, t.off = l.file.Root, len(op.Inputs) > 0
	} else if values, ok := l.literal(f.Example).(map[string]any); ok {
		op.Example = values
	} else {
		l.at(f.Example, "the example must be a mapping of inputs to values")
		t.off = true
	}
	input, err := op.take(op.Example)
	if !t.off && err != nil {
		t.off = true
		t.refused(err)
	} else if unknown := op.unknown(op.Example); unknown != nil {
		t.refused(invalid(unknown))
	}
	if l.in == nil {
		t.off = true
		return t
	}
	base, settings := sample(l.in)
	x := run{Runner: &Runner{Options{Clock: still(sampleTime())}}, req: &Request{Tenant: sampleTenant, ID: sampleID}}
	t.env = expression.Env{
		Input: input, Values: map[string]any{}, Steps: map[string]any{}, Base: base, Settings: settings, Context: x.context(),
	}
	return t
}

// refused reports each input of the example that is wrong, where it stands.
func (t *trial) refused(err error) {
	e, _ := errors.AsType[*core.Error](err)
	for _, d := range e.Details {
		at := t.node
		for i := 0; i+1 < len(t.node.Content); i += 2 {
			if t.node.Kind == yaml.MappingNode && t.node.Content[i].Value == d.Field {
				at = t.node.Content[i]
			}
		}
		t.l.at(at, "the example does not satisfy input: %s: %s", d.Field, d.Message)
	}
}

// still is a clock that stands.
type still time.Time

// Now returns the moment at which the clock stands.
func (s still) Now() time.Time { return time.Time(s) }

// sample returns a base address and settings as an authorization could have
// them.
func sample(in *integration.Integration) (string, map[string]string) {
	settings := map[string]string{}
	for _, f := range in.Settings {
		settings[f.Name] = sampleOf(f)
	}
	base, err := integration.Address(in.Base, settings)
	if err != nil {
		return "https://" + in.ID + ".example", settings
	}
	return base.String(), settings
}

func sampleOf(f integration.Field) string {
	if f.Default != "" {
		return f.Default
	}
	if len(f.Options) > 0 {
		return f.Options[0].Value
	}
	for _, word := range []string{"acme", "example", "acme.example", "12345", sampleID, "a@acme.example", "Acme1", "us1"} {
		if f.Pattern == nil || f.Pattern.MatchString(word) {
			return word
		}
	}
	return "acme"
}

var placeForm = regexp.MustCompile(`^(.+):(\d+):(\d+): (.*)$`)

// failed reports an error of an evaluation, and ends the trial.
func (t *trial) failed(node *yaml.Node, err error) {
	t.off = true
	pos, what := posOf(cmp.Or(node, t.node)), err.Error()
	if e, ok := errors.AsType[*core.Error](err); ok {
		what = e.Message
	}
	if m := placeForm.FindStringSubmatch(what); m != nil && m[1] == t.l.file.Path {
		pos.Line, _ = strconv.Atoi(m[2])
		pos.Column, _ = strconv.Atoi(m[3])
		what = m[4]
	}
	t.l.findings = append(t.l.findings, t.l.file.AtPos(pos, "with the example: %s", strings.ReplaceAll(what, "\n", " ")).
		Because(t.l.beside(integrationFile), t.l.beside(entitiesFile)))
}

// value evaluates a named value.
func (t *trial) value(v valueEntry, tree *expression.Tree) {
	if t.off || len(t.l.findings) > 0 {
		return
	}
	value, err := tree.EvalValue(&t.env)
	if err != nil {
		t.failed(v.Value, err)
	}
	t.env.Values[v.Name.Value] = value
}

// output evaluates the output unless it needs an answer.
func (t *trial) output(node *yaml.Node, tree *expression.Tree) {
	if t.off || len(t.l.findings) > 0 || tree.Answer {
		return
	}
	if _, err := tree.Eval(&t.env); err != nil {
		t.failed(node, err)
	}
}

// text evaluates an expression unless it needs an answer.
func (t *trial) text(node *yaml.Node, p *expression.Program) (any, bool) {
	if t.off || p.Answer {
		return nil, false
	}
	value, err := p.Eval(&t.env)
	if err != nil {
		t.failed(node, err)
		return nil, false
	}
	return value, true
}

// step evaluates the request of a step if it needs no answer and the step would
// run with the example.
func (t *trial) step(s *step, e stepEntry) {
	if t.off || len(t.l.findings) > 0 {
		return
	}
	if e.When != nil {
		value, ok := t.text(e.When, s.when)
		if !ok || value == false {
			return
		}
		if value != true {
			t.failed(e.When, faulty("when gives neither true nor false"))
			return
		}
	}
	if e.ForEach != nil {
		value, ok := t.text(e.ForEach, s.forEach)
		list, isList := value.([]any)
		if !ok || value == nil || isList && len(list) == 0 {
			return
		}
		if !isList {
			t.failed(e.ForEach, faulty("for_each gives no list"))
			return
		}
		t.env.Loops, t.env.Index = map[string]any{s.as: list[0]}, 0
		defer func() { t.env.Loops = nil }()
	}
	if s.needsAnswer() {
		return
	}
	d, err := s.build(&t.env)
	if err == nil {
		_, err = d.request(context.Background()) // never sent
	}
	if err != nil {
		t.failed(e.Request.node(), err)
	}
}

// needsAnswer tells whether a part of a step's request does.
func (s *step) needsAnswer() bool {
	needs := func(n named) bool { return n.tree.Answer }
	return s.path.Answer || s.body != nil && s.body.Answer || slices.ContainsFunc(s.query, needs) || slices.ContainsFunc(s.headers, needs)
}

// node stands for the place of the request.
func (r requestEntry) node() *yaml.Node {
	return &yaml.Node{Line: r.Path.Line, Column: r.Path.Column}
}
