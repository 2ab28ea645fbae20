package expression

import (
	"cmp"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// isNil tells whether there is no value. Maps and lists of Go that are nil
// count as none.
func isNil(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case map[string]any:
		return x == nil
	case []any:
		return x == nil
	case map[string]string:
		return x == nil
	}
	return false
}

// kindOf names a value's kind for messages.
func kindOf(v any) string {
	if isNil(v) {
		return "nothing"
	}
	switch v.(type) {
	case bool:
		return "true or false"
	case string, fragment:
		return "a text"
	case []any, []string, []map[string]any:
		return "a list"
	case map[string]any, map[string]string:
		return "an object"
	}
	if _, ok := toNumber(v); ok {
		return "a number"
	}
	return "something else"
}

// number is a number: whole when it can be.
type number struct {
	whole bool
	i     int
	f     float64
}

func (n number) value() any {
	if n.whole {
		return n.i
	}
	return n.f
}

// toNumber returns the number that a value is. Texts are none.
func toNumber(v any) (number, bool) {
	switch x := v.(type) {
	case int:
		return number{true, x, float64(x)}, true
	case float64:
		return number{f: x}, true
	case int64:
		return number{true, int(x), float64(x)}, true
	case int32:
		return number{true, int(x), float64(x)}, true
	case float32:
		return number{f: float64(x)}, true
	case json.Number:
		return parseNumber(string(x))
	}
	return number{}, false
}

// parseNumber reads a number as JSON writes it.
func parseNumber(s string) (number, bool) {
	if i, err := strconv.Atoi(s); err == nil {
		return number{true, i, float64(i)}, true
	}
	if s == "" || strings.Trim(s, "+-0123456789.eE") != "" {
		return number{}, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		return number{}, false
	}
	return number{f: f}, true
}

// toWhole returns the whole number that a value is.
func toWhole(v any) (int, bool) {
	n, ok := toNumber(v)
	switch {
	case !ok:
		return 0, false
	case n.whole:
		return n.i, true
	case n.f == math.Trunc(n.f) && math.Abs(n.f) <= 1<<53:
		return int(n.f), true
	}
	return 0, false
}

// Text writes a text, a number, a truth value or a fragment as text.
func Text(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case fragment:
		return x.text, true
	case bool:
		return strconv.FormatBool(x), true
	case json.Number:
		return string(x), true
	case float64:
		if x == math.Trunc(x) && math.Abs(x) < 1e15 {
			return strconv.FormatInt(int64(x), 10), true
		}
	}
	if n, ok := toNumber(v); ok {
		if n.whole {
			return strconv.Itoa(n.i), true
		}
		return strconv.FormatFloat(n.f, 'f', -1, 64), true
	}
	return "", false
}

// asText returns a value that is a text.
func asText(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case fragment:
		return x.text, true
	}
	return "", false
}

// asList returns the entries of a list; nothing is the empty list.
func asList(v any) ([]any, bool) {
	switch x := v.(type) {
	case nil:
		return nil, true
	case []any:
		return x, true
	case []string:
		list := make([]any, len(x))
		for i := range x {
			list[i] = x[i]
		}
		return list, true
	case []map[string]any:
		list := make([]any, len(x))
		for i := range x {
			list[i] = x[i]
		}
		return list, true
	}
	return nil, isNil(v)
}

// asObject returns the members of an object; nothing is the empty object.
func asObject(v any) (map[string]any, bool) {
	switch x := v.(type) {
	case nil:
		return nil, true
	case map[string]any:
		return x, true
	case map[string]string:
		m := make(map[string]any, len(x))
		for k, s := range x {
			m[k] = s
		}
		return m, true
	}
	return nil, isNil(v)
}

// equal tells whether two values are the same: numbers by their value, lists
// and objects by what they hold.
func (r *run) equal(a, b any, depth int) (bool, error) {
	if err := r.spend(1); err != nil {
		return false, err
	}
	if isNil(a) || isNil(b) {
		return isNil(a) && isNil(b), nil
	}
	if s, ok := asText(a); ok {
		t, ok := asText(b)
		return ok && s == t, r.spend(len(s) / 4)
	}
	if x, ok := a.(bool); ok {
		y, ok := b.(bool)
		return ok && x == y, nil
	}
	if x, ok := toNumber(a); ok {
		y, ok := toNumber(b)
		return ok && x.compare(y) == 0, nil
	}
	if depth > maxDepth {
		return false, wrong("compares values nested deeper than %d levels", maxDepth)
	}
	if x, ok := asList(a); ok {
		y, ok := asList(b)
		if !ok {
			return false, nil
		}
		return r.equalLists(x, y, depth)
	}
	x, ok := asObject(a)
	y, also := asObject(b)
	if !ok || !also {
		return false, nil
	}
	return r.equalObjects(x, y, depth)
}

func (r *run) equalLists(a, b []any, depth int) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for i := range a {
		if same, err := r.equal(a[i], b[i], depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *run) equalObjects(a, b map[string]any, depth int) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	for k := range a {
		other, found := b[k]
		if !found {
			return false, nil
		}
		if same, err := r.equal(a[k], other, depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// compare orders two numbers, whole ones exactly.
func (n number) compare(other number) int {
	if n.whole && other.whole {
		return cmp.Compare(n.i, other.i)
	}
	return cmp.Compare(n.f, other.f)
}

// compare orders two numbers or two texts.
func (r *run) compare(a, b any) (int, error) {
	if x, ok := toNumber(a); ok {
		if y, ok := toNumber(b); ok {
			return x.compare(y), nil
		}
	}
	if s, ok := asText(a); ok {
		if t, ok := asText(b); ok {
			return strings.Compare(s, t), r.spend(min(len(s), len(t)) / 4)
		}
	}
	return 0, wrong("%s cannot be compared with %s", kindOf(a), kindOf(b))
}

// sizer bounds a result on its way out.
type sizer struct{ left int }

func (s *sizer) take(n int) error {
	s.left -= n
	if s.left < 0 {
		return wrong("gives more than 256 KB")
	}
	return nil
}

// jsonSize is the size of a text in JSON, quotes included.
func jsonSize(s string) int {
	size := 2 + len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f':
			size++
		case c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x7f:
			size += 5
		}
	}
	return size
}

// plain returns a value as a result, of JSON's kinds only, and whether it is
// another than the one given: what is plain already is shared, not copied. With
// keep, fragments stay what they are.
func (s *sizer) plain(v any, keep bool, depth int) (any, bool, error) {
	if v == nil {
		return nil, false, s.take(4)
	}
	if depth > maxDepth {
		return nil, false, wrong("gives something nested deeper than %d levels", maxDepth)
	}
	switch x := v.(type) {
	case bool:
		return v, false, s.take(5)
	case string:
		return v, false, s.take(jsonSize(x))
	case fragment:
		if keep {
			return v, false, s.take(jsonSize(x.text))
		}
		return x.text, true, s.take(jsonSize(x.text))
	case json.Number:
		return v, false, s.take(len(x))
	case int:
		return v, false, s.take(8)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, false, wrong("gives a number that cannot be written")
		}
		return v, false, s.take(8)
	case []any:
		return s.plainList(x, keep, depth)
	case map[string]any:
		return s.plainObject(x, keep, depth)
	}
	if n, ok := toNumber(v); ok {
		return n.value(), true, s.take(8)
	}
	if list, ok := asList(v); ok {
		p, _, err := s.plainList(list, keep, depth)
		return p, true, err
	}
	if object, ok := asObject(v); ok {
		p, _, err := s.plainObject(object, keep, depth)
		return p, true, err
	}
	return nil, false, wrong("gives something that is no JSON value")
}

func (s *sizer) plainList(list []any, keep bool, depth int) (any, bool, error) {
	if err := s.take(2 + len(list)); err != nil {
		return nil, false, err
	}
	out, other := list, false
	for i, item := range list {
		p, changed, err := s.plain(item, keep, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && !other {
			out, other = slices.Clone(list), true
		}
		if changed {
			out[i] = p
		}
	}
	return out, other, nil
}

func (s *sizer) plainObject(object map[string]any, keep bool, depth int) (any, bool, error) {
	out, other := object, false
	for k, item := range object {
		if err := s.take(jsonSize(k) + 2); err != nil {
			return nil, false, err
		}
		p, changed, err := s.plain(item, keep, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && !other {
			out, other = maps.Clone(object), true
		}
		if changed {
			out[k] = p
		}
	}
	return out, other, s.take(2)
}
