package expression

import (
	"math"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

func (c *compiler) unary(n *ast.UnaryNode) eval {
	offset := n.Location().From
	switch n.Operator {
	case "!", "not":
		code := c.boolean(n.Node)
		return func(r *run) (any, error) {
			b, err := code(r)
			return !b, err
		}
	case "-", "+":
		code, minus := c.compile(n.Node), n.Operator == "-"
		return func(r *run) (any, error) {
			v, err := code(r)
			if err != nil {
				return nil, err
			}
			x, ok := toNumber(v)
			if !ok {
				return nil, at(offset, wrong("%s needs a number, not %s", n.Operator, kindOf(v)))
			}
			if minus {
				x = number{x.whole && x.i != math.MinInt, -x.i, -x.f}
			}
			return x.value(), nil
		}
	}
	return c.fail(n, "the operator %s is refused", n.Operator)
}

func (c *compiler) binary(n *ast.BinaryNode) eval {
	offset := n.Location().From
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.junction(n)
	case "??":
		left, right := c.compile(n.Left), c.compile(n.Right)
		return func(r *run) (any, error) {
			v, err := left(r)
			if err != nil || !isNil(v) {
				return v, err
			}
			return right(r)
		}
	case "matches":
		return c.matches(n)
	}
	do, ok := operators[n.Operator]
	if !ok {
		return c.fail(n, "the operator %s is refused", n.Operator)
	}
	left, right := c.compile(n.Left), c.compile(n.Right)
	return func(r *run) (any, error) {
		a, err := left(r)
		if err != nil {
			return nil, err
		}
		b, err := right(r)
		if err != nil {
			return nil, err
		}
		v, err := do(r, a, b)
		if err != nil {
			return nil, at(offset, err)
		}
		return v, nil
	}
}

func (c *compiler) junction(n *ast.BinaryNode) eval {
	left, right := c.boolean(n.Left), c.boolean(n.Right)
	decides := n.Operator == "or" || n.Operator == "||"
	return func(r *run) (any, error) {
		b, err := left(r)
		if err != nil || b == decides {
			return b, err
		}
		return right(r)
	}
}

// pattern compiles a regular expression that stands in the file.
func (c *compiler) pattern(n ast.Node) *Pattern {
	text, ok := n.(*ast.StringNode)
	if !ok {
		c.fail(n, "a pattern must stand here as it is, in quotes")
		return nil
	}
	p, why := c.names.Patterns.Compile(text.Value, false)
	if why != "" {
		c.fail(n, "%s", why)
	}
	return p
}

func (c *compiler) matches(n *ast.BinaryNode) eval {
	p, code, offset := c.pattern(n.Right), c.compile(n.Left), n.Location().From
	return func(r *run) (any, error) {
		v, err := code(r)
		if err != nil || isNil(v) {
			return false, err
		}
		s, ok := asText(v)
		if !ok {
			return nil, at(offset, wrong("matches needs a text, not %s", kindOf(v)))
		}
		if err := r.matched(p, s); err != nil {
			return nil, at(offset, err)
		}
		return p.Matches(s), nil
	}
}

// operators are those that look at both sides.
var operators = map[string]func(r *run, a, b any) (any, error){
	"==": func(r *run, a, b any) (any, error) { return r.equal(a, b, 0) },
	"!=": func(r *run, a, b any) (any, error) {
		same, err := r.equal(a, b, 0)
		return !same, err
	},
	"<":          ordered(func(order int) bool { return order < 0 }),
	"<=":         ordered(func(order int) bool { return order <= 0 }),
	">":          ordered(func(order int) bool { return order > 0 }),
	">=":         ordered(func(order int) bool { return order >= 0 }),
	"+":          plus,
	"-":          arithmetic("-", func(a, b int) (int, bool) { d := a - b; return d, (d < a) == (b > 0) }, func(a, b float64) float64 { return a - b }),
	"*":          arithmetic("*", times, func(a, b float64) float64 { return a * b }),
	"/":          arithmetic("/", nil, func(a, b float64) float64 { return a / b }),
	"**":         arithmetic("**", nil, math.Pow),
	"^":          arithmetic("^", nil, math.Pow),
	"%":          modulo,
	"in":         in,
	"..":         span,
	"contains":   textTest("contains", strings.Contains),
	"startsWith": textTest("startsWith", strings.HasPrefix),
	"endsWith":   textTest("endsWith", strings.HasSuffix),
}

func ordered(holds func(order int) bool) func(r *run, a, b any) (any, error) {
	return func(r *run, a, b any) (any, error) {
		order, err := r.compare(a, b)
		return holds(order), err
	}
}

// plus adds numbers and joins texts, to which numbers and truth values may be
// added.
func plus(r *run, a, b any) (any, error) {
	x, ok := toNumber(a)
	y, also := toNumber(b)
	if ok && also {
		if sum := x.i + y.i; x.whole && y.whole && (sum > x.i) == (y.i > 0) {
			return sum, nil
		}
		return finite(x.f + y.f)
	}
	s, ok := Text(a)
	t, also := Text(b)
	_, left := asText(a)
	_, right := asText(b)
	if !ok || !also || !left && !right {
		return nil, wrong("+ cannot put %s and %s together", kindOf(a), kindOf(b))
	}
	if err := r.fits(len(s) + len(t)); err != nil {
		return nil, err
	}
	return s + t, nil
}

func finite(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, wrong("gives no number")
	}
	return f, nil
}

func times(a, b int) (int, bool) {
	if a == 0 || b == 0 {
		return 0, true
	}
	p := a * b
	return p, p/b == a && (a != -1 || b != math.MinInt) && (b != -1 || a != math.MinInt)
}

// arithmetic returns an operator on numbers: whole ones stay whole when whole
// says that they can.
func arithmetic(sign string, whole func(a, b int) (int, bool), do func(a, b float64) float64) func(r *run, a, b any) (any, error) {
	return func(_ *run, a, b any) (any, error) {
		x, ok := toNumber(a)
		y, also := toNumber(b)
		if !ok || !also {
			return nil, wrong("%s needs two numbers, not %s and %s", sign, kindOf(a), kindOf(b))
		}
		if whole != nil && x.whole && y.whole {
			if i, ok := whole(x.i, y.i); ok {
				return i, nil
			}
		}
		return finite(do(x.f, y.f))
	}
}

func modulo(_ *run, a, b any) (any, error) {
	x, ok := toWhole(a)
	y, also := toWhole(b)
	if !ok || !also || y == 0 {
		return nil, wrong("%% needs two whole numbers, the second not 0")
	}
	return x % y, nil
}

// in looks for an entry of a list or for a name in an object.
func in(r *run, a, b any) (any, error) {
	if list, ok := asList(b); ok {
		for _, item := range list {
			if same, err := r.equal(a, item, 0); same || err != nil {
				return same, err
			}
		}
		return false, nil
	}
	object, ok := asObject(b)
	if !ok {
		return nil, wrong("in needs a list or an object, not %s", kindOf(b))
	}
	name, ok := asText(a)
	if !ok {
		return false, nil
	}
	_, found := object[name]
	return found, nil
}

// span lists whole numbers, both ends included.
func span(r *run, a, b any) (any, error) {
	from, ok := toWhole(a)
	to, also := toWhole(b)
	if !ok || !also {
		return nil, wrong(".. needs two whole numbers, not %s and %s", kindOf(a), kindOf(b))
	}
	if to < from {
		return []any{}, nil
	}
	if n := uint(to) - uint(from); n >= maxTurns {
		return nil, wrong(".. gives more than %d numbers", maxTurns)
	}
	list := make([]any, 0, to-from+1)
	for i := from; i <= to; i++ {
		list = append(list, i)
	}
	return list, r.spend(len(list))
}

func textTest(name string, test func(s, t string) bool) func(r *run, a, b any) (any, error) {
	return func(r *run, a, b any) (any, error) {
		if isNil(a) || isNil(b) {
			return false, nil
		}
		s, ok := asText(a)
		t, also := asText(b)
		if !ok || !also {
			return nil, wrong("%s needs two texts, not %s and %s", name, kindOf(a), kindOf(b))
		}
		return test(s, t), r.spend(1 + len(s)/4)
	}
}

// sorted orders a copy of entries by keys of the same number.
func (r *run) sorted(list, keys []any, descending bool) ([]any, error) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	var fault error
	slices.SortStableFunc(order, func(i, j int) int {
		if fault != nil {
			return 0
		}
		if fault = r.spend(1); fault != nil {
			return 0
		}
		a, b := keys[i], keys[j]
		var by int
		switch {
		case isNil(a) || isNil(b): // what has no key comes last
			return boolInt(isNil(a)) - boolInt(isNil(b))
		default:
			by, fault = r.compare(a, b)
		}
		if descending {
			return -by
		}
		return by
	})
	out := make([]any, len(list))
	for i, from := range order {
		out[i] = list[from]
	}
	return out, fault
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
