package expression

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"

	"tandem/core/mapping"
)

const (
	maxSource = 2_000 // characters of an expression
	maxNodes  = 500   // its parts
)

// syntaxFault is what is wrong with an expression.
type syntaxFault struct {
	offset  int // characters from the start of the source, from 0
	message string
}

func (e *syntaxFault) Error() string { return e.message }

// Program is a compiled expression. It is immutable and may be evaluated by
// several goroutines at once.
type Program struct {
	Answer   bool // it looks at an answer
	code     eval
	entities *Entities
	place    func(offset int) string
}

// Eval evaluates the expression. The result is of JSON's kinds: nil, bool,
// float64, int, json.Number, string, []any or map[string]any; the caller must
// not change it, since it may share parts of the data. Errors are *core.Error:
// Mapping where the expression does not suit its data, otherwise the kind that
// the expression itself chose.
func (p *Program) Eval(e *Env) (any, error) {
	r := newRun(e, p.entities)
	v, err := guarded(r, p.code)
	if err == nil {
		v, _, err = (&sizer{maxText}).plain(v, false, 0)
	}
	return v, mappingError(err, p.place)
}

// compile returns the code of an expression, and whether it looks at an answer.
func compile(source string, n Names) (code eval, answer bool, err error) {
	if utf8.RuneCountInString(source) > maxSource {
		return nil, false, &syntaxFault{0, fmt.Sprintf("longer than %d characters: make named values of its parts", maxSource)}
	}
	if strings.TrimSpace(source) == "" {
		return nil, false, &syntaxFault{0, "an expression is missing"}
	}
	defer func() {
		// An edit must never end the hub, not even through a fault of the parser.
		if fault := recover(); fault != nil {
			code, answer, err = nil, false, &syntaxFault{0, "this expression cannot be read"}
		}
	}()
	config := conf.New(nil)
	config.MaxNodes = maxNodes
	config.DisableIfOperator = true
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		return nil, false, syntaxError(err)
	}
	c := &compiler{names: n}
	code = c.compile(tree.Node)
	if c.err != nil {
		return nil, false, c.err
	}
	return code, c.answer, nil
}

func syntaxError(err error) error {
	e, ok := errors.AsType[*file.Error](err)
	if !ok {
		return &syntaxFault{0, "this expression cannot be read"}
	}
	message := e.Message
	if strings.Contains(message, "maximum allowed nodes") {
		message = fmt.Sprintf("more than %d parts: make named values of some", maxNodes)
	}
	if message == `unexpected token Operator(":")` {
		message += " (an object that map and its like give stands in brackets: ({...}))"
	}
	if quoted := mapping.Quote(message); len(message) > 200 || quoted[1:len(quoted)-1] != message && strings.ContainsAny(message, "\n\r") {
		message = quoted
	}
	return &syntaxFault{e.From, message}
}

// compiler turns the parser's tree into functions. It keeps the first error.
type compiler struct {
	names  Names
	depth  int  // predicates around
	answer bool // something of an answer is looked at
	err    error
}

// fail keeps an error at a node and returns code that is never run.
func (c *compiler) fail(n ast.Node, format string, args ...any) eval {
	if c.err == nil {
		c.err = &syntaxFault{n.Location().From, fmt.Sprintf(format, args...)}
	}
	return func(*run) (any, error) { return nil, nil } //nolint:nilnil // nothing is a value
}

func constant(v any) eval { return func(*run) (any, error) { return v, nil } }

func (c *compiler) compile(node ast.Node) eval {
	if v, ok := literalOf(node); ok {
		return constant(v)
	}
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return c.identifier(n)
	case *ast.PointerNode:
		return c.pointer(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.ChainNode:
		return c.compile(n.Node)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if name, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, name.Value, n.Arguments)
		}
		return c.fail(n, "only the functions of mapping files can be called")
	case *ast.VariableDeclaratorNode:
		return c.fail(n, "let is refused: make a named value under values")
	case *ast.SequenceNode:
		return c.fail(n, "one expression only: take the semicolon away")
	}
	return c.fail(node, "this is refused in expressions")
}

// literalOf returns the value that stands in the expression itself.
func literalOf(node ast.Node) (any, bool) {
	switch n := node.(type) {
	case *ast.NilNode:
		return nil, true
	case *ast.IntegerNode:
		return n.Value, true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.StringNode:
		return n.Value, true
	}
	return nil, false
}

// identifier compiles one of the names that exist by themselves.
func (c *compiler) identifier(n *ast.IdentifierNode) eval {
	name := n.Value
	if why := c.names.unknownRoot(name); why != "" {
		return c.fail(n, "%s", why)
	}
	c.answer = c.answer || name == "steps" || slices.Contains(answerRoots, name)
	switch name {
	case "input":
		return func(r *run) (any, error) { return r.env.Input, nil }
	case "values":
		return func(r *run) (any, error) { return r.env.Values, nil }
	case "steps":
		return func(r *run) (any, error) { return r.env.Steps, nil }
	case "base":
		return func(r *run) (any, error) { return r.env.Base, nil }
	case "settings":
		return func(r *run) (any, error) { return r.env.Settings, nil }
	case "context":
		return func(r *run) (any, error) { return r.env.Context, nil }
	case "body":
		return func(r *run) (any, error) { return r.env.Body, nil }
	case "status":
		return func(r *run) (any, error) { return r.env.Status, nil }
	case "headers":
		return func(r *run) (any, error) { return r.env.Headers, nil }
	case "index":
		return func(r *run) (any, error) { return r.env.Index, nil }
	}
	return func(r *run) (any, error) { return r.env.Loops[name], nil }
}

func (c *compiler) pointer(n *ast.PointerNode) eval {
	switch {
	case c.depth == 0:
		return c.fail(n, "# exists only inside of filter, map and their like")
	case n.Name == "":
		return func(r *run) (any, error) { return r.scopes[len(r.scopes)-1].item, nil }
	case n.Name == "index":
		return func(r *run) (any, error) { return r.scopes[len(r.scopes)-1].index, nil }
	}
	return c.fail(n, "unknown name %s", mapping.Quote("#"+n.Name))
}

func (c *compiler) array(n *ast.ArrayNode) eval {
	parts := c.all(n.Nodes)
	return func(r *run) (any, error) {
		list := make([]any, len(parts))
		if err := r.spend(1 + len(parts)); err != nil {
			return nil, err
		}
		for i, part := range parts {
			v, err := part(r)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
}

func (c *compiler) all(nodes []ast.Node) []eval {
	parts := make([]eval, len(nodes))
	for i, n := range nodes {
		parts[i] = c.compile(n)
	}
	return parts
}

func (c *compiler) object(n *ast.MapNode) eval {
	keys, values := make([]eval, len(n.Pairs)), make([]eval, len(n.Pairs))
	for i, node := range n.Pairs {
		pair, ok := node.(*ast.PairNode)
		if !ok {
			return c.fail(node, "this is refused in expressions")
		}
		keys[i], values[i] = c.compile(pair.Key), c.compile(pair.Value)
	}
	offset := n.Location().From
	return func(r *run) (any, error) {
		m := make(map[string]any, len(keys))
		if err := r.spend(1 + 2*len(keys)); err != nil {
			return nil, at(offset, err)
		}
		for i := range keys {
			k, err := keys[i](r)
			if err != nil {
				return nil, err
			}
			key, ok := Text(k)
			if !ok {
				return nil, at(offset, wrong("a key must be a text, not %s", kindOf(k)))
			}
			if m[key], err = values[i](r); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
}

// boolean compiles a condition.
func (c *compiler) boolean(n ast.Node) func(*run) (bool, error) {
	code, offset := c.compile(n), n.Location().From
	return func(r *run) (bool, error) {
		v, err := code(r)
		if err != nil {
			return false, err
		}
		b, err := isTrue(v)
		return b, at(offset, err)
	}
}

func (c *compiler) conditional(n *ast.ConditionalNode) eval {
	cond, yes, no := c.boolean(n.Cond), c.compile(n.Exp1), c.compile(n.Exp2)
	return func(r *run) (any, error) {
		b, err := cond(r)
		if err != nil {
			return nil, err
		}
		if b {
			return yes(r)
		}
		return no(r)
	}
}
