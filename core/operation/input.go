package operation

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/mapping"
)

// maxDetails bounds what is said about one input.
const maxDetails = 50

// take checks what a caller has given against the declared inputs, and returns
// it as expressions see it. The error is Invalid with one Detail for each input
// that is wrong, in the order of the file; it never shows a value.
func (o *Operation) take(given map[string]any) (map[string]any, error) {
	input := make(map[string]any, len(o.Inputs))
	var details []core.Detail
	for i := range o.Inputs {
		in := &o.Inputs[i]
		value, why := in.accept(given[in.Name])
		switch {
		case why != "":
			details = append(details, core.Detail{Field: in.Name, Message: why})
		case value != nil:
			input[in.Name] = value
		case in.Default != nil:
			input[in.Name] = in.Default
		case in.Required:
			details = append(details, core.Detail{Field: in.Name, Message: "is required"})
		}
	}
	if o.Strict {
		details = append(details, o.unknown(given)...)
	}
	if details == nil {
		return input, nil
	}
	return nil, invalid(details[:min(len(details), maxDetails)])
}

// Known returns those of the given values that are declared inputs. What is none
// has no use, and the file that says what is to be hidden says nothing of it.
func (o *Operation) Known(given map[string]any) map[string]any {
	known := make(map[string]any, len(o.Inputs))
	for _, in := range o.Inputs {
		if v, ok := given[in.Name]; ok {
			known[in.Name] = v
		}
	}
	return known
}

// unknown says which of the given values are not declared.
func (o *Operation) unknown(given map[string]any) []core.Detail {
	var known []string
	for _, in := range o.Inputs {
		known = append(known, in.Name)
	}
	var details []core.Detail
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(known, name) {
			short := strings.Trim(mapping.Quote(name), `"`)
			details = append(details, core.Detail{
				Field: short, Message: "there is no such input" + mapping.Suggest(name, known),
			})
		}
	}
	return details
}

func invalid(details []core.Detail) *core.Error {
	texts := make([]string, 0, 4)
	for i, d := range details {
		if i == 3 {
			texts = append(texts, fmt.Sprintf("and %d more", len(details)-i))
			break
		}
		texts = append(texts, d.Field+": "+d.Message)
	}
	err := core.Errorf(core.Invalid, "%s", strings.Join(texts, "; "))
	err.Details = details
	return err
}

// accept returns a value as the input's type has it, nil when there is none, or
// says what is wrong with it. An empty text counts as none, that is what forms and
// scripts send for what nobody has filled in, unless the input may be empty: a
// caller who withholds the number has called all the same.
func (in *Input) accept(value any) (any, string) {
	switch {
	case value == "" && in.MayBeEmpty:
		return value, ""
	case value == nil || value == "":
		return nil, ""
	}
	switch in.Type {
	case "text":
		return in.text(value)
	case "number":
		if n := numeric(value); n != nil {
			return n, ""
		}
		return nil, "must be a number"
	case "integer":
		if n, ok := numeric(value).(int); ok {
			return n, ""
		}
		return nil, "must be a whole number"
	case "boolean":
		if b, ok := boolean(value); ok {
			return b, ""
		}
		return nil, "must be true or false"
	case "time":
		if n, ok := numeric(value).(int); ok {
			value = n // scripts send everything as text
		}
		if t, err := expression.ReadTime(value); err == nil {
			return stamp(t), ""
		}
		return nil, "must be a time such as 2026-01-31T13:45:00Z"
	case "object":
		if _, ok := value.(map[string]any); ok {
			return settle(value, false), ""
		}
		return nil, "must be an object"
	default:
		return in.list(value)
	}
}

// list takes a list, or the one object that should stand in it: scripts leave
// the brackets out.
func (in *Input) list(value any) (any, string) {
	if object, ok := value.(map[string]any); ok && in.Of == "object" {
		value = []any{object}
	}
	list, ok := value.([]any)
	switch {
	case !ok:
		return nil, "must be a list"
	case len(list) > in.Max:
		return nil, fmt.Sprintf("must have %d entries or less", in.Max)
	}
	for n, entry := range list {
		_, isObject := entry.(map[string]any)
		_, isText := entry.(string)
		if in.Of == "object" && !isObject || in.Of == "text" && !isText {
			return nil, fmt.Sprintf("entry %d must be %s", n+1, map[string]string{"object": "an object", "text": "a text"}[in.Of])
		}
	}
	return settle(value, false), ""
}

func (in *Input) text(value any) (any, string) {
	text, ok := expression.Text(value)
	switch {
	case !ok:
		return nil, "must be a text"
	case !utf8.ValidString(text):
		return nil, "holds signs that are no text"
	case utf8.RuneCountInString(text) > in.Max:
		return nil, fmt.Sprintf("must have %d characters or less", in.Max)
	case len(in.Options) > 0 && !slices.Contains(in.Options, text):
		return nil, "must be one of " + strings.Join(in.Options, ", ")
	case in.pattern != nil && !in.pattern.Matches(text):
		return nil, "does not have the right form"
	}
	return text, ""
}

// numeric is the number that a value or its text holds, int where it is whole;
// nil when it is none.
func numeric(value any) any {
	switch v := value.(type) {
	case int:
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return settle(v, false)
	case json.Number:
		return numeric(v.String())
	case string:
		v = strings.TrimSpace(v)
		if len(v) > 64 || !json.Valid([]byte(v)) {
			return nil
		}
		switch n := number(v).(type) {
		case int:
			return n
		case float64:
			return settle(n, false)
		}
	}
	return nil
}

func boolean(value any) (b, ok bool) {
	switch v := value.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// stamp is how expressions see a time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
