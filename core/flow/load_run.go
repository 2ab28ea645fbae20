package flow

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/mapping"
)

// The bounds of the operations of a workflow.
const (
	defaultTimeout = 30 * time.Second
	maxTimeout     = 2 * time.Minute
	maxSaves       = 50 // parameters, in all of the workflow
	maxEndings     = 10
)

// resultName is what expressions under save call the operation's output.
const resultName = "result"

// operationForm is how an operation is named; whether it exists is asked by Check.
var operationForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$`)

var popTargets = []core.PopTarget{core.InsideDesktop, core.NewBrowserTab, core.ExistingBrowserTab}

// ending is an operation that is run when the task has ended, as it is written.
type ending struct {
	mapping.Pos
	Operation     mapping.Text                   `yaml:"operation" required:"true"`
	Authorization mapping.Text                   `yaml:"authorization"`
	When          *yaml.Node                     `yaml:"when"`
	Input         *yaml.Node                     `yaml:"input"`
	Timeout       mapping.Located[time.Duration] `yaml:"timeout"`
}

// names is what expressions may use.
func (p *parser) names(loops ...string) expression.Names {
	return expression.Names{Inputs: documentNames, Members: documentMembers, Loops: loops, Patterns: p.patterns}
}

func (p *parser) tree(node *yaml.Node, n expression.Names) *expression.Tree {
	tree, found := expression.CompileTree(p.file, node, n)
	p.findings = append(p.findings, found...)
	return tree
}

// operation completes the i-th activity, which runs an operation.
func (p *parser) operation(a *Activity, i int) {
	s := p.in.Activities[i]
	a.call = p.call(s.Operation, s.Authorization, s.Input, s.Timeout)
	a.Limit = a.call.timeout
	if a.Else = a.Next; s.OnError.Given() {
		a.Else = p.place(i, s.OnError)
	}
	for _, parameter := range slices.SortedFunc(maps.Keys(s.Save), func(a, b mapping.Text) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	}) {
		if parameter.Value == "" {
			p.find(parameter.Pos, "parameter must not be empty")
		}
		if p.saved++; p.saved == maxSaves+1 {
			p.find(parameter.Pos, "a workflow saves at most %d parameters", maxSaves)
		}
		a.saves = append(a.saves, save{parameter.Value, p.tree(s.Save[parameter], p.names(resultName))})
	}
}

// call checks what a run of an operation is made of.
func (p *parser) call(operation, authorization mapping.Text, input *yaml.Node, timeout mapping.Located[time.Duration]) *call {
	c := &call{
		operation: operation.Value, authorization: authorization.Value, timeout: cmp.Or(timeout.Value, defaultTimeout),
	}
	if operation.Given() && !operationForm.MatchString(operation.Value) {
		p.find(operation.Pos, "%s is not <integration>/<operation>", mapping.Quote(operation.Value))
	}
	if name := authorization.Value; name != strings.TrimSpace(name) || authorization.Given() && name == "" {
		p.find(authorization.Pos, "the name of an authorization is not empty and has no space around it")
	}
	if timeout.Given() && (timeout.Value <= 0 || timeout.Value > maxTimeout) {
		p.find(timeout.Pos, "must be more than 0 and at most %d seconds", int(maxTimeout.Seconds()))
	}
	u := use{p.file.Path, operation, nil}
	switch {
	case !posOf(input).Given():
		input = nil
	case input.Kind != yaml.MappingNode:
		p.findings = append(p.findings, p.file.At(input, "input must be a mapping of keys to values"))
		input = nil
	default:
		for i := 0; i < len(input.Content); i += 2 {
			key := input.Content[i]
			u.inputs = append(u.inputs, mapping.Text{Pos: posOf(key), Value: key.Value})
		}
	}
	p.uses = append(p.uses, u)
	c.input = p.tree(input, p.names())
	return c
}

// page checks what a Screen Pop shows.
func (p *parser) page(s step) *page {
	p.oneOf(s.Target, "target", words(popTargets))
	if node := s.URL; node != nil {
		switch {
		case node.Kind != yaml.ScalarNode || node.Tag != "!!str":
			p.findings = append(p.findings, p.file.At(node, "url must be text"))
		case !strings.HasPrefix(node.Value, "=") && !isPage(node.Value):
			p.findings = append(p.findings, p.file.At(node, "url must begin with https:// or http://, or be an expression: = ..."))
		}
	}
	return &page{p.tree(s.URL, p.names()), cmp.Or(core.PopTarget(s.Target.Value), core.NewBrowserTab)}
}

// endings checks what is run when the task has ended.
func (p *parser) endings() []*call {
	var list []*call
	for i, e := range p.in.WhenEnded {
		if i == maxEndings {
			p.find(e.Pos, "when_ended has at most %d entries", maxEndings)
			break
		}
		c := p.call(e.Operation, e.Authorization, e.Input, e.Timeout)
		if e.When != nil {
			var found []mapping.Finding
			c.when, found = expression.CompileText(p.file, e.When, p.names())
			p.findings = append(p.findings, found...)
		}
		list = append(list, c)
	}
	return list
}

// posOf returns the place of a node; the zero place for none, and for a key
// without a value.
func posOf(node *yaml.Node) mapping.Pos {
	if node == nil || node.Tag == "!!null" {
		return mapping.Pos{}
	}
	return mapping.Pos{Line: node.Line, Column: node.Column}
}

// Check returns a finding for each operation of the workflows that is not known
// and for each input that its operation does not declare, sorted. known tells
// the declared inputs of an operation of an integration; if it is not ok there is
// no such operation, and known tells which there are, as integration/operation.
func Check(flows map[string]*Workflow, known func(integration, operation string) (names []string, ok bool)) []mapping.Finding {
	var findings []mapping.Finding
	for _, w := range flows {
		for _, u := range w.uses {
			file := mapping.File{Path: u.file}
			id, name, _ := strings.Cut(u.operation.Value, "/")
			names, ok := known(id, name)
			if !ok {
				findings = append(findings, file.AtPos(u.operation.Pos, "there is no operation %s%s",
					mapping.Quote(u.operation.Value), mapping.Suggest(u.operation.Value, names)).Because(u.operation.Value+".yaml"))
				continue
			}
			for _, input := range u.inputs {
				if !slices.Contains(names, input.Value) {
					findings = append(findings, file.AtPos(input.Pos, "%s has no input %s%s", u.operation.Value,
						mapping.Quote(input.Value), mapping.Suggest(input.Value, names)).Because(u.operation.Value+".yaml"))
				}
			}
		}
	}
	mapping.Sort(findings)
	return findings
}
