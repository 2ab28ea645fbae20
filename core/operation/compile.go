package operation

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/mapping"
)

var inputForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

// operation makes an operation of its file; nil when it cannot be understood.
func (l *loader) operation() *Operation {
	var f operationFile
	l.findings = mapping.Decode(l.file, &f)
	id, name := path.Dir(l.file.Path), nameOf(l.file)
	if !nameForm.MatchString(name) {
		l.add(mapping.Pos{}, "the name of an operation's file is made of a-z, 0-9 and -")
	}
	if f.Output == nil {
		return nil // found by Decode
	}
	op := &Operation{
		Integration: id, Name: name, Title: f.Title.Value, Description: f.Description, File: l.file.Path,
		in:     cmp.Or(l.in, &integration.Integration{ID: id}),
		Inputs: l.inputs(f), Strict: f.Strict, program: &program{},
	}
	for _, key := range shorten(l, f.Redact, maxRedact, "entries of redact", f.Pos) {
		op.Redact = append(op.Redact, key.Value)
	}
	op.program.secret = secretKeys(op)
	names := expression.Names{Inputs: make([]string, 0, len(op.Inputs)), Steps: map[string][]string{}, Entities: l.set, Patterns: &l.patterns}
	for _, in := range op.Inputs {
		names.Inputs = append(names.Inputs, in.Name)
	}
	try := l.example(op, f)
	for _, v := range shorten(l, f.Values, maxValues, "values", f.Pos) {
		l.value(op, v, &names, try)
	}
	for _, s := range shorten(l, f.Steps, maxSteps, "steps", f.Pos) {
		l.step(op, s, &names, try)
	}
	op.program.output = l.tree(f.Output, names)
	try.output(f.Output, op.program.output)
	return op
}

// value compiles a named value.
func (l *loader) value(op *Operation, v valueEntry, names *expression.Names, try *trial) {
	if v.Value == nil || v.Name.Value == "" {
		return // found by Decode
	}
	switch {
	case !inputForm.MatchString(v.Name.Value):
		l.add(v.Name.Pos, "%s is not the name of a value: it begins with a letter and is made of letters, digits and _",
			mapping.Quote(v.Name.Value))
	case slices.Contains(names.Values, v.Name.Value):
		l.add(v.Name.Pos, "duplicate value %q", v.Name.Value)
	}
	tree := l.tree(v.Value, *names)
	op.program.values = append(op.program.values, named{v.Name.Value, tree})
	try.value(v, tree)
	names.Values = append(slices.Clip(names.Values), v.Name.Value)
}

// tree compiles a tree; nil when there is no node.
func (l *loader) tree(node *yaml.Node, names expression.Names) *expression.Tree {
	if node == nil || l.full() {
		return nil
	}
	t, findings := expression.CompileTree(l.file, node, names)
	l.findings = append(l.findings, findings...)
	return t
}

// text compiles a scalar that must be an expression; nil when there is no node.
func (l *loader) text(node *yaml.Node, names expression.Names) *expression.Program {
	if node == nil || l.full() {
		return nil
	}
	p, findings := expression.CompileText(l.file, node, names)
	l.findings = append(l.findings, findings...)
	return p
}

// inputs makes the declared inputs.
func (l *loader) inputs(f operationFile) []Input {
	var list []Input
	for _, e := range shorten(l, f.Input, maxInputs, "inputs", f.Pos) {
		switch {
		case e.Name.Value == "": // found by Decode
			continue
		case !inputForm.MatchString(e.Name.Value):
			l.add(e.Name.Pos, "%s is not the name of an input: it begins with a letter and is made of letters, digits and _",
				mapping.Quote(e.Name.Value))
		case slices.ContainsFunc(list, func(in Input) bool { return in.Name == e.Name.Value }):
			l.add(e.Name.Pos, "duplicate input %q", e.Name.Value)
			continue
		}
		in := Input{Name: e.Name.Value, Type: e.Type.Value, Required: e.Required, Redact: e.Redact, MayBeEmpty: e.MayBeEmpty.Value, Help: e.Help}
		if in.Type != "" {
			l.limits(&in, e)
		}
		list = append(list, in)
	}
	return list
}

// limits sets what the value of an input must keep to.
func (l *loader) limits(in *Input, e inputEntry) {
	switch in.Type {
	case "text":
		in.Max = l.bounded(e.Max, "max", defaultText, maxText)
	case "list":
		in.Max = l.bounded(e.Max, "max", defaultEntries, maxEntries)
	default:
		if e.Max.Given() {
			l.add(e.Max.Pos, "max is for text and lists")
		}
	}
	if in.Type != "text" {
		l.noText(e)
	}
	if in.Of = e.Of.Value; e.Of.Given() && in.Type != "list" {
		l.add(e.Of.Pos, "of is for lists")
	}
	in.pattern = l.pattern(e.Pattern, in.Max)
	for _, o := range shorten(l, e.Options, maxOptions, "options", e.Pos) {
		if o.Value == "" || slices.Contains(in.Options, o.Value) {
			l.add(o.Pos, "options are texts that differ")
		}
		in.Options = append(in.Options, o.Value)
	}
	if e.Default == nil {
		return
	}
	if e.Required {
		l.at(e.Default, "an input that is required needs no default")
	}
	value := l.literal(e.Default)
	switch value.(type) {
	case map[string]any, []any:
		l.at(e.Default, "a default is a text, a number or true or false")
		return
	}
	value, why := in.accept(value)
	if why != "" {
		l.at(e.Default, "the default of %q %s", in.Name, why)
	}
	in.Default = value
}

// noText refuses what only a text can have.
func (l *loader) noText(e inputEntry) {
	if e.Pattern.Given() {
		l.add(e.Pattern.Pos, "a pattern is for text")
	}
	if len(e.Options) > 0 {
		l.add(e.Options[0].Pos, "options are for text")
	}
	if e.MayBeEmpty.Given() {
		l.add(e.MayBeEmpty.Pos, "may_be_empty is for text")
	}
}

// pattern compiles a pattern, which must match all of a value. What it may cost
// with values of the longest kind is counted.
func (l *loader) pattern(t mapping.Text, most int) *expression.Pattern {
	if t.Value == "" {
		return nil
	}
	p, why := l.patterns.Compile(t.Value, true)
	if why != "" {
		l.add(t.Pos, "%s", why)
		return nil
	}
	if l.matching += most * p.Size; most > maxMatched || l.matching > maxMatching {
		l.add(t.Pos, "the pattern is too much work for a text of %d characters: set a smaller max", most)
	}
	return p
}

// named compiles the trees of a mapping, by name.
func (l *loader) named(entries map[mapping.Text]*yaml.Node, what string, names expression.Names, pos mapping.Pos) []named {
	if len(entries) > maxNames {
		l.add(pos, "more than %d entries in %s", maxNames, what)
		return nil
	}
	list := make([]named, 0, len(entries))
	for _, key := range sortedKeys(entries) {
		list = append(list, named{key.Value, l.tree(entries[key], names)})
	}
	return list
}

func sortedKeys(entries map[mapping.Text]*yaml.Node) []mapping.Text {
	return slices.SortedFunc(maps.Keys(entries), func(a, b mapping.Text) int { return strings.Compare(a.Value, b.Value) })
}
