package expression

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/core"
)

func length(r *run, args []any) (any, error) {
	if s, ok := asText(args[0]); ok {
		return utf8.RuneCountInString(s), r.spend(len(s) / 4)
	}
	if list, ok := asList(args[0]); ok {
		return len(list), nil
	}
	if object, ok := asObject(args[0]); ok {
		return len(object), nil
	}
	return nil, wrong("needs a text, a list or an object, not %s", kindOf(args[0]))
}

func absolute(_ *run, args []any) (any, error) {
	n, ok := toNumber(args[0])
	switch {
	case !ok:
		return nil, wrong("needs a number, not %s", kindOf(args[0]))
	case n.whole && n.i != math.MinInt:
		return max(n.i, -n.i), nil
	}
	return math.Abs(n.f), nil
}

// rounded returns a function that makes a number whole.
func rounded(how string) func(*run, []any) (any, error) {
	do := map[string]func(float64) float64{"ceil": math.Ceil, "floor": math.Floor, "round": math.Round}[how]
	return func(_ *run, args []any) (any, error) {
		n, ok := toNumber(args[0])
		switch {
		case !ok:
			return nil, wrong("needs a number, not %s", kindOf(args[0]))
		case n.whole:
			return n.i, nil
		}
		return wholeOf(do(n.f))
	}
}

func wholeOf(f float64) (any, error) {
	if math.Abs(f) <= 1<<53 {
		return int(f), nil
	}
	return finite(f)
}

// readNumber reads a number, also one written as text.
func readNumber(v any) (number, bool) {
	if s, ok := asText(v); ok {
		return parseNumber(strings.TrimSpace(s))
	}
	return toNumber(v)
}

// mustNumber returns int and float, for which what is no number is a fault.
func mustNumber(name string, whole bool) func(*run, []any) (any, error) {
	may := mayNumber(whole)
	return func(r *run, args []any) (any, error) {
		v, err := may(r, args)
		if err == nil && v == nil {
			return nil, wrong("needs a number (%s gives nothing where there is none)", map[bool]string{true: "integer", false: "number"}[name == "int"])
		}
		return v, err
	}
}

// mayNumber returns integer and number, which give nothing for what is no
// number. A fraction is cut off where a whole number is asked for.
func mayNumber(whole bool) func(*run, []any) (any, error) {
	return func(_ *run, args []any) (any, error) {
		n, ok := readNumber(args[0])
		switch {
		case !ok:
			return nil, nil //nolint:nilnil // none
		case whole && !n.whole:
			return wholeOf(math.Trunc(n.f))
		}
		return n.value(), nil
	}
}

// extreme returns min and max, of arguments or of the entries of lists.
func extreme(sign int) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) {
		var best any
		consider := func(v any) error {
			if isNil(v) {
				return nil
			}
			if _, ok := toNumber(v); !ok {
				return wrong("needs numbers, not %s", kindOf(v))
			}
			if best == nil {
				best = v
				return nil
			}
			order, err := r.compare(v, best)
			if order == sign {
				best = v
			}
			return err
		}
		for _, arg := range args {
			list, ok := asList(arg)
			if !ok {
				list = []any{arg}
			}
			if err := r.spend(1 + len(list)); err != nil {
				return nil, err
			}
			for _, v := range list {
				if err := consider(v); err != nil {
					return nil, err
				}
			}
		}
		return best, nil
	}
}

// timeForms are the ways in which a time may be written; what has no zone is
// UTC.
var timeForms = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04", "2006-01-02",
}

// ReadTime reads a time, or milliseconds since 1970 as a number. The zero time
// stands for nothing.
func ReadTime(v any) (time.Time, error) {
	if isNil(v) || v == "" {
		return time.Time{}, nil
	}
	if n, ok := toNumber(v); ok {
		if math.Abs(n.f) < 1e14 { // before the year 5138
			return time.UnixMilli(int64(n.f)).UTC(), nil
		}
		return time.Time{}, core.Errorf(core.Invalid, "a number is too large for a time in milliseconds since 1970")
	}
	if s, ok := asText(v); ok && len(s) <= 64 {
		for _, form := range timeForms {
			if t, err := time.Parse(form, strings.TrimSpace(s)); err == nil && t.UTC().Year() > 0 && t.UTC().Year() < 10_000 {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, core.Errorf(core.Invalid, "a time must be written like 2026-01-31T12:30:00Z")
}

// timed returns a function of a time, which gives nothing for nothing.
func timed(do func(t time.Time) any) func(*run, []any) (any, error) {
	return func(r *run, args []any) (any, error) {
		t, err := ReadTime(args[0])
		if err != nil || t.IsZero() {
			return nil, err
		}
		return do(t), r.spend(8)
	}
}

func timeText(r *run, args []any) (any, error) {
	return timed(func(t time.Time) any { return t.Format("2006-01-02T15:04:05.000Z") })(r, args)
}

func timeMillis(r *run, args []any) (any, error) {
	return timed(func(t time.Time) any { return int(t.UnixMilli()) })(r, args)
}

func timeDate(r *run, args []any) (any, error) {
	return timed(func(t time.Time) any { return t.Format("2006-01-02") })(r, args)
}
