package expression

import (
	"github.com/expr-lang/expr/ast"

	"tandem/core/mapping"
)

// step is one member access of a chain such as a.b?.c[0].
type step struct {
	name     string // constant name; else by is set
	by       eval
	optional bool // nothing, instead of an error, where there is nothing before it
	offset   int
}

// member compiles a whole chain of member accesses. Once a ?. finds nothing,
// the whole chain gives nothing.
func (c *compiler) member(n *ast.MemberNode) eval {
	var (
		steps []step
		base  ast.Node = n
	)
	for {
		if chain, ok := base.(*ast.ChainNode); ok {
			base = chain.Node
			continue
		}
		m, ok := base.(*ast.MemberNode)
		if !ok {
			break
		}
		if m.Method {
			return c.fail(m, "only the functions of mapping files can be called")
		}
		s := step{optional: m.Optional, offset: m.Location().From}
		if name, ok := m.Property.(*ast.StringNode); ok {
			s.name, s.offset = name.Value, name.Location().From
		} else {
			s.by = c.compile(m.Property)
		}
		steps = append([]step{s}, steps...)
		base = m.Node
	}
	c.known(base, steps)
	code := c.compile(base)
	return func(r *run) (any, error) {
		v, err := code(r)
		for i := 0; i < len(steps) && err == nil; i++ {
			s := &steps[i]
			if v == nil {
				if s.optional {
					return nil, nil //nolint:nilnil // nothing is a value
				}
				return nil, s.nothing()
			}
			v, err = s.of(r, v)
		}
		return v, err
	}
}

// known checks the constant names behind a root.
func (c *compiler) known(base ast.Node, steps []step) {
	root, ok := base.(*ast.IdentifierNode)
	if !ok || c.err != nil || steps[0].by != nil {
		return
	}
	if c.names.isLoop(root.Value) {
		return
	}
	why, offset := c.names.unknownMember(root.Value, steps[0].name), steps[0].offset
	if why == "" && len(steps) > 1 && steps[1].by == nil {
		switch root.Value {
		case "steps":
			why, offset = c.names.unknownOfStep(steps[0].name, steps[1].name), steps[1].offset
		case "input":
			why, offset = c.names.unknownOfInput(steps[0].name, steps[1].name), steps[1].offset
		}
	}
	if why != "" {
		c.err = &syntaxFault{offset, why}
	}
}

func (s *step) nothing() error {
	if s.by != nil {
		return at(s.offset, wrong("there is nothing to look into (use ?.[...] where that may be)"))
	}
	return at(s.offset, wrong("there is nothing that could have a member %s (use ?. where that may be)", mapping.Quote(s.name)))
}

// of takes the member of a value.
func (s *step) of(r *run, v any) (any, error) {
	if s.by == nil {
		switch x := v.(type) {
		case map[string]any:
			return x[s.name], nil
		case map[string]string:
			if text, ok := x[s.name]; ok {
				return text, nil
			}
			return nil, nil //nolint:nilnil // nothing is a value
		}
		return nil, at(s.offset, wrong("%s has no member %s", kindOf(v), mapping.Quote(s.name)))
	}
	key, err := s.by(r)
	if err != nil {
		return nil, err
	}
	if list, ok := asList(v); ok {
		i, ok := toWhole(key)
		if !ok {
			return nil, at(s.offset, wrong("the place in a list must be a whole number, not %s", kindOf(key)))
		}
		if i < 0 {
			i += len(list)
		}
		if i < 0 || i >= len(list) {
			return nil, nil //nolint:nilnil // nothing stands there
		}
		return list[i], nil
	}
	object, ok := asObject(v)
	if !ok {
		return nil, at(s.offset, wrong("%s has no members", kindOf(v)))
	}
	name, ok := asText(key)
	if !ok {
		return nil, at(s.offset, wrong("the name of a member must be a text, not %s", kindOf(key)))
	}
	return object[name], nil
}

// slice compiles list[from:to] and text[from:to]; of nothing it gives nothing.
func (c *compiler) slice(n *ast.SliceNode) eval {
	code, from, to := c.compile(n.Node), constant(nil), constant(nil)
	if n.From != nil {
		from = c.compile(n.From)
	}
	if n.To != nil {
		to = c.compile(n.To)
	}
	offset := n.Location().From
	return func(r *run) (any, error) {
		v, err := code(r)
		if err != nil || isNil(v) {
			return nil, err
		}
		a, err := from(r)
		if err != nil {
			return nil, err
		}
		b, err := to(r)
		if err != nil {
			return nil, err
		}
		if list, ok := asList(v); ok {
			i, j, err := bounds(a, b, len(list))
			if err != nil {
				return nil, at(offset, err)
			}
			return list[i:j:j], nil
		}
		s, ok := asText(v)
		if !ok {
			return nil, at(offset, wrong("%s cannot be cut", kindOf(v)))
		}
		if err := r.fits(len(s)); err != nil {
			return nil, at(offset, err)
		}
		runes := []rune(s)
		i, j, err := bounds(a, b, len(runes))
		if err != nil {
			return nil, at(offset, err)
		}
		return string(runes[i:j]), nil
	}
}

// bounds returns the part [i:j] of n entries; negative numbers count from the
// end, and what lies outside is cut off.
func bounds(from, to any, n int) (i, j int, err error) {
	i, j = 0, n
	for _, end := range []struct {
		given any
		at    *int
	}{{from, &i}, {to, &j}} {
		if isNil(end.given) {
			continue
		}
		k, ok := toWhole(end.given)
		if !ok {
			return 0, 0, wrong("the bounds of a part must be whole numbers, not %s", kindOf(end.given))
		}
		if k < 0 {
			k += n
		}
		*end.at = min(max(k, 0), n)
	}
	return min(i, j), j, nil
}
