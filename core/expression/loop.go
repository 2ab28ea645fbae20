package expression

import (
	"github.com/expr-lang/expr/ast"
)

// loop is a function with a predicate, such as filter(list, # > 1).
type loop struct {
	bare bool // may stand without a predicate
	// begin returns what to do with each entry and its predicate's value, which
	// may end the loop, and what gives the result after the last one.
	begin func(r *run, list []any) (each func(i int, v any) (done bool, err error), end func() (any, error))
}

// loops are the functions with a predicate.
var loops = map[string]loop{
	"all":       {begin: quantifier(false, false, true)},
	"none":      {begin: quantifier(true, false, true)},
	"any":       {begin: quantifier(true, true, false)},
	"one":       {begin: counter(func(n int) any { return n == 1 })},
	"count":     {bare: true, begin: counter(func(n int) any { return n })},
	"find":      {begin: finder(func(list []any, i int) any { return list[i] })},
	"findIndex": {begin: finder(func(_ []any, i int) any { return i })},
	"findLast":  {begin: findLast},
	"filter":    {begin: filter},
	"map":       {begin: mapAll},
	"sum":       {bare: true, begin: sum},
	"groupBy":   {begin: groupBy},
	"sortBy":    {begin: sortBy("asc")},
}

type (
	eachFunc = func(i int, v any) (bool, error)
	endFunc  = func() (any, error)
)

// compileLoop compiles a call of one of them.
func (c *compiler) compileLoop(n ast.Node, name string, l loop, args []ast.Node) eval {
	begin, body := l.begin, eval(nil)
	switch {
	case len(args) == 1 && l.bare:
		body = func(r *run) (any, error) { return r.scopes[len(r.scopes)-1].item, nil }
	case len(args) == 3 && name == "sortBy":
		order, ok := args[2].(*ast.StringNode)
		if !ok || order.Value != "asc" && order.Value != "desc" {
			return c.fail(args[2], `the order must be "asc" or "desc"`)
		}
		begin = sortBy(order.Value)
	case len(args) != 2:
		return c.fail(n, "%s needs a list and what to do with its entries", name)
	}
	list := c.compile(args[0])
	if body == nil {
		predicate, ok := args[1].(*ast.PredicateNode)
		if !ok {
			return c.fail(n, "%s needs a list and what to do with its entries", name)
		}
		c.depth++
		body = c.compile(predicate.Node)
		c.depth--
	}
	offset := n.Location().From
	return func(r *run) (any, error) {
		v, err := list(r)
		if err != nil {
			return nil, err
		}
		entries, ok := asList(v)
		if !ok {
			return nil, at(offset, wrong("%s needs a list, not %s", name, kindOf(v)))
		}
		each, end := begin(r, entries)
		if err := r.each(entries, body, each); err != nil {
			return nil, at(offset, err)
		}
		v, err = end()
		return v, at(offset, err)
	}
}

// each runs a body for each entry.
func (r *run) each(entries []any, body eval, each eachFunc) error {
	r.scopes = append(r.scopes, scope{})
	defer func() { r.scopes = r.scopes[:len(r.scopes)-1] }()
	for i, item := range entries {
		if err := r.turn(); err != nil {
			return err
		}
		r.scopes[len(r.scopes)-1] = scope{item, i}
		v, err := body(r)
		if err != nil {
			return err
		}
		if done, err := each(i, v); done || err != nil {
			return err
		}
	}
	return nil
}

func isTrue(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, wrong("a condition must be true or false, not %s", kindOf(v))
	}
	return b, nil
}

// quantifier ends with found at the first entry for which the predicate is
// stop, else gives otherwise.
func quantifier(stop, found, otherwise bool) func(*run, []any) (eachFunc, endFunc) {
	return func(*run, []any) (eachFunc, endFunc) {
		result := otherwise
		return func(_ int, v any) (bool, error) {
			b, err := isTrue(v)
			if err == nil && b == stop {
				result = found
				return true, nil
			}
			return false, err
		}, func() (any, error) { return result, nil }
	}
}

func counter(result func(n int) any) func(*run, []any) (eachFunc, endFunc) {
	return func(*run, []any) (eachFunc, endFunc) {
		n := 0
		return func(_ int, v any) (bool, error) {
			b, err := isTrue(v)
			n += boolInt(b)
			return false, err
		}, func() (any, error) { return result(n), nil }
	}
}

func finder(result func(list []any, i int) any) func(*run, []any) (eachFunc, endFunc) {
	return func(_ *run, list []any) (eachFunc, endFunc) {
		var found any
		return func(i int, v any) (bool, error) {
			b, err := isTrue(v)
			if b {
				found = result(list, i)
			}
			return b, err
		}, func() (any, error) { return found, nil }
	}
}

func findLast(_ *run, list []any) (eachFunc, endFunc) {
	var found any
	return func(i int, v any) (bool, error) {
		b, err := isTrue(v)
		if b {
			found = list[i]
		}
		return false, err
	}, func() (any, error) { return found, nil }
}

func filter(_ *run, list []any) (eachFunc, endFunc) {
	out := []any{}
	return func(i int, v any) (bool, error) {
		b, err := isTrue(v)
		if b {
			out = append(out, list[i])
		}
		return false, err
	}, func() (any, error) { return out, nil }
}

func mapAll(_ *run, list []any) (eachFunc, endFunc) {
	out := make([]any, 0, min(len(list), maxTurns))
	return func(_ int, v any) (bool, error) {
		out = append(out, v)
		return false, nil
	}, func() (any, error) { return out, nil }
}

func sum(r *run, _ []any) (eachFunc, endFunc) {
	var total any = 0
	return func(_ int, v any) (bool, error) {
		if _, ok := toNumber(v); !ok {
			return false, wrong("sum needs numbers, not %s", kindOf(v))
		}
		var err error
		total, err = plus(r, total, v)
		return false, err
	}, func() (any, error) { return total, nil }
}

func groupBy(_ *run, list []any) (eachFunc, endFunc) {
	groups := map[string][]any{}
	return func(i int, v any) (bool, error) {
			key, ok := Text(v)
			if !ok {
				return false, wrong("groupBy needs texts to group by, not %s", kindOf(v))
			}
			groups[key] = append(groups[key], list[i])
			return false, nil
		}, func() (any, error) {
			out := make(map[string]any, len(groups))
			for key, group := range groups {
				out[key] = group
			}
			return out, nil
		}
}

func sortBy(order string) func(*run, []any) (eachFunc, endFunc) {
	return func(r *run, list []any) (eachFunc, endFunc) {
		keys := make([]any, 0, min(len(list), maxTurns))
		return func(_ int, v any) (bool, error) {
			keys = append(keys, v)
			return false, nil
		}, func() (any, error) { return r.sorted(list, keys, order == "desc") }
	}
}
