package expression

import (
	"strings"

	"tandem/core"
	"tandem/core/mapping"
)

// found returns the record type that an argument names, or is the entry of.
func (r *run) found(v any) (*Entity, error) {
	if object, ok := v.(map[string]any); ok {
		v = object["name"]
	}
	s, ok := asText(v)
	if !ok {
		return nil, wrong("needs a record type, not %s", kindOf(v))
	}
	if e, ok := r.entities.Find(s); ok {
		return e, nil
	}
	var known []string
	for _, e := range r.entities.All() {
		known = append(known, e.Name)
	}
	if len(known) == 0 {
		return nil, core.Errorf(core.Invalid, "unknown record type %s: none is known", mapping.Quote(s))
	}
	return nil, core.Errorf(core.Invalid, "unknown record type %s; known are %s", mapping.Quote(s), cut(strings.Join(known, ", "), 500))
}

func entityOf(r *run, args []any) (any, error) {
	e, err := r.found(args[0])
	if err != nil {
		return nil, err
	}
	return r.entities.plain[strings.ToLower(e.Name)], nil
}

func fieldOf(r *run, args []any) (any, error) {
	e, err := r.found(args[0])
	if err != nil {
		return nil, err
	}
	s, ok := asText(args[1])
	if !ok {
		return nil, wrong("needs the name of a field, not %s", kindOf(args[1]))
	}
	f, ok := e.field(s)
	if !ok {
		known := make([]string, len(e.Fields))
		for i := range e.Fields {
			known[i] = e.Fields[i].Name
		}
		return nil, core.Errorf(core.Invalid, "%s has no known field %s%s", e.Name, mapping.Quote(s), mapping.Suggest(s, known))
	}
	return fragment{text: f.Name}, r.spend(len(e.Fields))
}

func phoneFields(r *run, args []any) (any, error) {
	e, err := r.found(args[0])
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, f := range e.Fields {
		if f.Type == "phone" {
			list = append(list, fragment{text: f.Name})
		}
	}
	return list, r.spend(len(e.Fields))
}

func fieldsOf(r *run, args []any) (any, error) {
	e, err := r.found(args[0])
	if err != nil {
		return nil, err
	}
	return e.plainFields(), r.spend(8 * len(e.Fields))
}

// maxValue is how many characters of a field a card shows.
const maxValue = 500

// card lists the fields of a record that are shown: those that the customer
// card asks for, or else the given ones.
func card(r *run, args []any) (any, error) {
	record, err := r.object(args[0])
	if err != nil {
		return nil, err
	}
	entity, ok := asText(args[1])
	if object, isObject := args[1].(map[string]any); isObject {
		entity, ok = asText(object["name"])
	}
	if !ok {
		return nil, wrong("needs a record type, not %s", kindOf(args[1]))
	}
	pairs, err := r.cardPairs(entity, args[2])
	if err != nil {
		return nil, err
	}
	fields := []any{}
	for _, pair := range pairs {
		value, ok := cardValue(record, pair[0])
		if !ok || value == "" {
			continue
		}
		value = shortened(value, maxValue)
		if err := r.fits(len(value)); err != nil {
			return nil, err
		}
		fields = append(fields, map[string]any{"name": pair[0], "label": pair[1], "value": value})
	}
	return fields, nil
}

// cardPairs returns names and labels of the fields to show.
func (r *run) cardPairs(entity string, given any) ([][2]string, error) {
	asked, err := r.askedFor(entity)
	if err != nil || asked != nil {
		return asked, err
	}
	list, err := r.list(given)
	if err != nil {
		return nil, err
	}
	pairs := make([][2]string, 0, len(list))
	for _, item := range list {
		parts, _ := asList(item)
		if len(parts) != 2 {
			return nil, wrong("needs a list of [name, label]")
		}
		name, ok := asText(parts[0])
		label, also := asText(parts[1])
		if !ok || !also {
			return nil, wrong("needs a list of [name, label], both texts")
		}
		pairs = append(pairs, [2]string{name, label})
	}
	return pairs, nil
}

// askedFor returns what the customer card asks for of a record type; nil: nothing.
func (r *run) askedFor(entity string) ([][2]string, error) {
	cards, _ := asObject(r.env.Context["card"])
	entries := cards[entity]
	if isNil(entries) {
		for key, value := range cards {
			if strings.EqualFold(key, entity) {
				entries = value
			}
		}
	}
	list, err := r.list(entries)
	if err != nil {
		return nil, err
	}
	var pairs [][2]string
	for _, item := range list {
		object, _ := asObject(item)
		name, ok := asText(object["name"])
		if !ok {
			continue
		}
		label, ok := asText(object["label"])
		if !ok || label == "" {
			label = name
		}
		pairs = append(pairs, [2]string{name, label})
	}
	return pairs, nil
}

// cardValue writes a field of a record as text; a name with dots leads into
// related records.
func cardValue(record map[string]any, name string) (string, bool) {
	v, found := record[name]
	for !found {
		before, after, ok := strings.Cut(name, ".")
		if !ok {
			return "", false
		}
		if record, ok = asObject(record[before]); !ok {
			return "", false
		}
		name = after
		v, found = record[name]
	}
	if object, ok := v.(map[string]any); ok {
		for _, key := range []string{"display_value", "value", "Name", "name"} {
			if s, ok := Text(object[key]); ok {
				return s, true
			}
		}
		return "", false
	}
	return Text(v)
}
