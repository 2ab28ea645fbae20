package expression

import (
	"maps"
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
)

// The bounds of a tree.
const (
	maxFindings = 100 // nobody reads more
	defaultMost = 100
	largestMost = 1000
)

// Tree is a YAML tree whose texts may be expressions. It is immutable and may be
// evaluated by several goroutines at once.
type Tree struct {
	Answer   bool // it looks at an answer
	root     eval // what it makes is new, but for what its expressions give
	entities *Entities
	place    func(offset int) string
}

// CompileTree compiles a tree and returns all that is wrong with it. A nil node
// is a tree that gives nothing.
func CompileTree(f mapping.File, node *yaml.Node, n Names) (*Tree, []mapping.Finding) {
	t := treeCompiler{file: f}
	tree := &Tree{root: constant(nil), entities: n.Entities, place: func(int) string { return f.Path }}
	if node != nil {
		tree.place = sourceOf(f, node).place
		tree.root = t.part(node, n)
		tree.Answer = t.answer
	}
	mapping.Sort(t.findings)
	return tree, t.findings
}

// Eval evaluates the tree. Its result and errors are those of Program.Eval; the
// budget of one expression is that of the whole tree.
func (t *Tree) Eval(e *Env) (any, error) { return t.eval(e, false) }

// EvalValue is Eval for a named value: what soql, name and their like give stays
// ready to be put into a query. Such a result is good for Env.Values only.
func (t *Tree) EvalValue(e *Env) (any, error) { return t.eval(e, true) }

func (t *Tree) eval(e *Env, keep bool) (any, error) {
	v, err := guarded(newRun(e, t.entities), t.root)
	if err == nil {
		v, _, err = (&sizer{maxText}).plain(v, keep, 0)
	}
	return v, mappingError(err, t.place)
}

// CompileText compiles a scalar that must be an expression.
func CompileText(f mapping.File, node *yaml.Node, n Names) (*Program, []mapping.Finding) {
	t := treeCompiler{file: f}
	if node == nil {
		return nil, []mapping.Finding{f.AtPos(mapping.Pos{}, "an expression is missing")}
	}
	if node.Kind != yaml.ScalarNode || !isExpression(node) {
		return nil, []mapping.Finding{f.At(node, "must be an expression: = ...")}
	}
	p := t.program(node, n)
	return p, t.findings
}

// isExpression tells whether a scalar is one: "=..." but not "==...".
func isExpression(node *yaml.Node) bool {
	return node.Tag == "!!str" && strings.HasPrefix(node.Value, "=") && !strings.HasPrefix(node.Value, "==")
}

type treeCompiler struct {
	file     mapping.File
	answer   bool
	findings []mapping.Finding
}

func (t *treeCompiler) add(node *yaml.Node, format string, args ...any) {
	t.findings = append(t.findings, t.file.At(node, format, args...))
}

// program compiles the expression of a scalar.
func (t *treeCompiler) program(node *yaml.Node, n Names) *Program {
	text := strings.TrimRightFunc(node.Value[1:], unicode.IsSpace)
	trimmed := strings.TrimLeftFunc(text, unicode.IsSpace)
	s := sourceOf(t.file, node)
	s.skip = 1 + utf8.RuneCountInString(text) - utf8.RuneCountInString(trimmed)
	if len(t.findings) >= maxFindings {
		return nil
	}
	code, answer, err := compile(trimmed, n)
	if err != nil {
		t.findings = append(t.findings, finding(s, err))
		return nil
	}
	t.answer = t.answer || answer
	return &Program{answer, code, n.Entities, s.place}
}

// finding places a *syntaxFault in its file.
func finding(s source, err error) mapping.Finding {
	offset := 0
	if e, ok := err.(*syntaxFault); ok { //nolint:errorlint // compile's own, never wrapped
		offset = e.offset
	}
	return s.file.AtPos(s.at(offset), "%s", err.Error())
}

func (t *treeCompiler) part(node *yaml.Node, n Names) eval {
	switch node.Kind {
	case yaml.ScalarNode:
		return t.scalar(node, n)
	case yaml.SequenceNode:
		return t.list(node, n)
	case yaml.MappingNode:
		if keys := construct(node); keys != nil {
			return t.construct(node, keys, n)
		}
		return t.object(node, n)
	}
	t.add(node, "must be a value")
	return constant(nil)
}

func (t *treeCompiler) scalar(node *yaml.Node, n Names) eval {
	if isExpression(node) {
		p := t.program(node, n)
		if p == nil {
			return constant(nil)
		}
		return func(r *run) (any, error) {
			v, err := p.code(r)
			if err != nil {
				return nil, mappingError(err, p.place)
			}
			return v, nil
		}
	}
	v, why := Scalar(node)
	if why != "" {
		t.add(node, "%s", why)
	}
	if text, ok := v.(string); ok && strings.HasPrefix(text, "==") {
		v = text[1:]
	}
	return constant(v)
}

// leadingSign is a number that YAML reads in another way than people write it:
// 0771234567 as octal, 0791234567 without its zero, +41445551234 without its +.
var (
	leadingSign = regexp.MustCompile(`^([+]|-?0[0-9])`)
	integerForm = regexp.MustCompile(`^[+-]?[0-9][0-9_]*$`)
)

// Scalar returns what a scalar stands for as it is: nil, bool, int, float64 or
// string. For a number that would become another it says so.
func Scalar(node *yaml.Node) (v any, why string) {
	switch node.Tag {
	case "!!null":
		return nil, ""
	case "!!bool":
		return strings.EqualFold(node.Value, "true"), ""
	case "!!int", "!!float":
		var whole int
		var x float64
		switch {
		case leadingSign.MatchString(node.Value):
			why = "this number begins with + or 0: put it in quotes"
		case node.Tag == "!!int" && node.Decode(&whole) == nil:
			return whole, ""
		case node.Tag == "!!int" || integerForm.MatchString(node.Value):
			why = "this number is too large to stay exact: put it in quotes"
		case node.Decode(&x) != nil || math.IsNaN(x) || math.IsInf(x, 0):
			why = "this number cannot be used: put it in quotes where a text is meant"
		default:
			return x, ""
		}
	}
	return node.Value, why
}

func (t *treeCompiler) list(node *yaml.Node, n Names) eval {
	parts := make([]eval, len(node.Content))
	for i, child := range node.Content {
		parts[i] = t.part(child, n)
	}
	return func(r *run) (any, error) {
		list := make([]any, 0, len(parts))
		for _, p := range parts {
			v, err := p(r)
			if err != nil {
				return nil, err
			}
			if !isNil(v) {
				list = append(list, v)
			}
		}
		return list, r.spend(len(parts))
	}
}

func (t *treeCompiler) object(node *yaml.Node, n Names) eval {
	keys, parts := make([]string, 0, len(node.Content)/2), make([]eval, 0, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		keys = append(keys, node.Content[i].Value)
		parts = append(parts, t.part(node.Content[i+1], n))
	}
	return func(r *run) (any, error) {
		object := make(map[string]any, len(keys))
		for i, p := range parts {
			v, err := p(r)
			if err != nil {
				return nil, err
			}
			if !isNil(v) {
				object[keys[i]] = v
			}
		}
		return object, r.spend(len(parts))
	}
}

// construct returns the keys of a mapping that is a loop or a condition, or nil.
func construct(node *yaml.Node) map[string]*yaml.Node {
	keys := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		switch key := node.Content[i].Value; key {
		case "value", "for_each", "as", "most", "when":
			keys[key] = node.Content[i+1]
		default:
			return nil
		}
	}
	if keys["value"] == nil || keys["for_each"] == nil && keys["when"] == nil {
		return nil
	}
	return keys
}

func (t *treeCompiler) construct(node *yaml.Node, keys map[string]*yaml.Node, n Names) eval {
	inner, as, most := n, "item", defaultMost
	if keys["for_each"] == nil && (keys["as"] != nil || keys["most"] != nil) {
		t.add(node, "as and most belong to for_each")
	}
	if key := keys["as"]; key != nil {
		as = key.Value
		if why := CheckLoopName(as); why != "" {
			t.add(key, "%s", why)
		}
	}
	if key := keys["most"]; key != nil {
		if key.Tag != "!!int" || key.Decode(&most) != nil || most < 1 || most > largestMost {
			t.add(key, "most must be a whole number from 1 to %d", largestMost)
		}
	}
	var list, when *Program
	if key := keys["for_each"]; key != nil {
		list = t.mustProgram(key, "for_each", n)
		inner = n.with(as)
	}
	if key := keys["when"]; key != nil {
		when = t.mustProgram(key, "when", n)
	}
	value := t.part(keys["value"], inner)
	if list != nil {
		value = forEach(list, as, most, value)
	}
	if when != nil {
		value = conditionally(when, value)
	}
	return value
}

func (t *treeCompiler) mustProgram(node *yaml.Node, what string, n Names) *Program {
	if node.Kind != yaml.ScalarNode || !isExpression(node) {
		t.add(node, "%s must be an expression: = ...", what)
		return nil
	}
	return t.program(node, n)
}

func conditionally(when *Program, value eval) eval {
	return func(r *run) (any, error) {
		v, err := when.code(r)
		if err != nil {
			return nil, mappingError(err, when.place)
		}
		b, err := isTrue(v)
		if err != nil {
			return nil, mappingError(err, when.place)
		}
		if !b {
			return nil, nil //nolint:nilnil // left out
		}
		return value(r)
	}
}

// forEach evaluates a part for each entry of a list, with the entry under a name
// of its own.
func forEach(list *Program, as string, most int, value eval) eval {
	return func(r *run) (any, error) {
		v, err := list.code(r)
		if err != nil {
			return nil, mappingError(err, list.place)
		}
		entries, ok := asList(v)
		if !ok {
			return nil, mappingError(wrong("for_each needs a list, not %s", kindOf(v)), list.place)
		}
		outer := r.env
		defer func() { r.env = outer }()
		env := *outer
		env.Loops = make(map[string]any, len(outer.Loops)+1)
		maps.Copy(env.Loops, outer.Loops)
		r.env = &env
		out := make([]any, 0, min(len(entries), most))
		for i, entry := range entries[:min(len(entries), most)] {
			env.Loops[as], env.Index = entry, i
			err := r.turn()
			if err == nil {
				v, err = value(r)
			}
			if err != nil {
				return nil, mappingError(err, list.place)
			}
			if !isNil(v) {
				out = append(out, v)
			}
		}
		return out, nil
	}
}
