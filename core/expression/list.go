package expression

import (
	"maps"
	"slices"
)

// list returns an argument that must be a list, and pays for looking at it.
func (r *run) list(v any) ([]any, error) {
	list, ok := asList(v)
	if !ok {
		return nil, wrong("needs a list, not %s", kindOf(v))
	}
	return list, r.spend(1 + len(list))
}

// object returns an argument that must be an object, and pays for looking at it.
func (r *run) object(v any) (map[string]any, error) {
	object, ok := asObject(v)
	if !ok {
		return nil, wrong("needs an object, not %s", kindOf(v))
	}
	return object, r.spend(1 + 4*len(object))
}

func first(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

func last(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[len(list)-1], nil
}

func take(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil {
		return nil, err
	}
	n, ok := toWhole(args[1])
	if !ok {
		return nil, wrong("needs a number of entries, not %s", kindOf(args[1]))
	}
	n = min(max(n, 0), len(list))
	if n == 0 {
		return []any{}, nil
	}
	return list[:n:n], nil
}

func sortList(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil {
		return nil, err
	}
	descending := false
	if len(args) == 2 {
		order, _ := asText(args[1])
		if order != "asc" && order != "desc" {
			return nil, wrong(`the order must be "asc" or "desc"`)
		}
		descending = order == "desc"
	}
	return r.sorted(list, list, descending)
}

func uniq(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
next:
	for _, item := range list {
		for _, known := range out {
			same, err := r.equal(item, known, 0)
			if err != nil {
				return nil, err
			}
			if same {
				continue next
			}
		}
		out = append(out, item)
	}
	return out, nil
}

func concat(r *run, args []any) (any, error) {
	out := []any{}
	for _, arg := range args {
		list, err := r.list(arg)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func flatten(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil {
		return nil, err
	}
	out := []any{}
	return out, r.flatten(list, &out, 0)
}

func (r *run) flatten(list []any, out *[]any, depth int) error {
	if depth > maxDepth {
		return wrong("lists nested deeper than %d levels", maxDepth)
	}
	for _, item := range list {
		if err := r.spend(1); err != nil {
			return err
		}
		inner, ok := asList(item)
		if !ok || item == nil {
			*out = append(*out, item)
			continue
		}
		if err := r.flatten(inner, out, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func reverse(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil {
		return nil, err
	}
	out := append([]any{}, list...)
	slices.Reverse(out)
	return out, nil
}

func keysOf(r *run, args []any) (any, error) {
	object, err := r.object(args[0])
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		list = append(list, key)
	}
	return list, nil
}

func toPairs(r *run, args []any) (any, error) {
	object, err := r.object(args[0])
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(object))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		list = append(list, []any{key, object[key]})
	}
	return list, nil
}

func fromPairs(r *run, args []any) (any, error) {
	list, err := r.list(args[0])
	if err != nil {
		return nil, err
	}
	object := make(map[string]any, len(list))
	for _, item := range list {
		pair, _ := asList(item)
		if len(pair) != 2 {
			return nil, wrong("needs a list of [name, value]")
		}
		key, ok := Text(pair[0])
		if !ok {
			return nil, wrong("a name must be a text, not %s", kindOf(pair[0]))
		}
		object[key] = pair[1]
	}
	return object, nil
}

// chosen reads the arguments of omit and pick.
func (r *run) chosen(args []any) (object map[string]any, names map[string]bool, err error) {
	if object, err = r.object(args[0]); err != nil {
		return nil, nil, err
	}
	list, err := r.list(args[1])
	if err != nil {
		return nil, nil, err
	}
	names = make(map[string]bool, len(list))
	for _, item := range list {
		s, ok := asText(item)
		if !ok {
			return nil, nil, wrong("needs a list of names, not of %s", kindOf(item))
		}
		names[s] = true
	}
	return object, names, nil
}

func omit(r *run, args []any) (any, error) {
	object, names, err := r.chosen(args)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(object))
	for key, value := range object {
		if !names[key] {
			out[key] = value
		}
	}
	return out, nil
}

func pick(r *run, args []any) (any, error) {
	object, names, err := r.chosen(args)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(names))
	for key, value := range object {
		if names[key] {
			out[key] = value
		}
	}
	return out, nil
}

func merge(r *run, args []any) (any, error) {
	out := map[string]any{}
	for _, arg := range args {
		object, err := r.object(arg)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, object)
	}
	return out, nil
}

func stringsOf(r *run, args []any) (any, error) {
	object, err := r.object(args[0])
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(object))
	for key, value := range object {
		if isNil(value) {
			continue
		}
		s, ok := Text(value)
		if !ok {
			return nil, wrong("%s cannot be written as a text", kindOf(value))
		}
		out[key] = s
	}
	return out, nil
}
