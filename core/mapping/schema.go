package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Notes say more of the keys of a file than the struct does that Decode fills.
// A key is named by the end of its way through the file, with dots: "name" is
// every key of that name, "users.name" the one in an entry of users; the longest
// that fits counts.
type Notes map[string]Note

// Note is what is said of one key.
type Note struct {
	Doc   string   // for the person who edits the file, one sentence
	Words []string // the only texts it takes; nil: any
}

// Words makes a note's words of a list of named texts.
func Words[T ~string](list ...T) []string {
	words := make([]string, len(list))
	for i, w := range list {
		words[i] = string(w)
	}
	return words
}

// Schema returns the JSON Schema (2020-12) of the files that Decode fills v
// from, a struct or a pointer to one. It is made from v itself, so that an
// editor knows the keys and types that Decode knows; rules between keys are left
// to the room that loads the file. Schema panics on a struct that Decode cannot fill
// and on a note that fits no key: faults of the program, not of a file.
func Schema(title string, v any, notes Notes) []byte {
	t := reflect.TypeOf(v)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	w := schemaWriter{notes, map[string]bool{}}
	all := w.of(t, nil, true)
	all["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	all["title"] = title
	for _, way := range slices.Sorted(maps.Keys(notes)) {
		if !w.used[way] {
			panic(fmt.Sprintf("mapping: no key for the note %q in %s", way, t)) //nolint:forbidigo // a fault of the program, as the contract says
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(all); err != nil {
		panic(err) //nolint:forbidigo // texts, numbers and booleans can always be encoded
	}
	return text.Bytes()
}

// durationPattern is what time.ParseDuration takes.
const durationPattern = `^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h))+)$`

type schemaWriter struct {
	notes Notes
	used  map[string]bool // notes
}

// of describes what Decode takes for a value of a type. must says that it must
// not be empty, and way how one comes to it from the top.
func (w *schemaWriter) of(t reflect.Type, way []string, must bool) map[string]any {
	switch kind := t.Kind(); {
	case t == nodeType:
		return map[string]any{}
	case kind == reflect.Pointer:
		schema := w.of(t.Elem(), way, must)
		if one, ok := schema["type"].(string); ok && !must {
			schema["type"] = []string{one, "null"}
		}
		return schema
	case kind == reflect.Struct:
		return w.structure(t, way, must)
	case kind == reflect.Slice:
		return nullable(map[string]any{"type": "array", "items": w.of(t.Elem(), way, false)}, must, "minItems")
	case kind == reflect.Map:
		return nullable(map[string]any{"type": "object", "additionalProperties": w.of(t.Elem(), way, false)}, must, "minProperties")
	case t == durationType:
		return map[string]any{"type": "string", "pattern": durationPattern}
	case kind == reflect.String && must:
		return map[string]any{"type": "string", "minLength": 1}
	case kind == reflect.String:
		return map[string]any{"type": "string"}
	case kind == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case kind >= reflect.Int && kind <= reflect.Int64:
		return map[string]any{"type": "integer"}
	case kind == reflect.Float32, kind == reflect.Float64:
		return map[string]any{"type": "number"}
	default:
		panic(fmt.Sprintf("mapping: no schema for %s", t)) //nolint:forbidigo // a fault of the program, as the contract of Schema says
	}
}

// nullable lets a list or mapping that may be absent stand without a value.
func nullable(schema map[string]any, must bool, least string) map[string]any {
	if must {
		schema[least] = 1
	} else {
		schema["type"] = []string{schema["type"].(string), "null"} //nolint:forcetypeassert // its callers are the two lines above
	}
	return schema
}

func (w *schemaWriter) structure(t reflect.Type, way []string, must bool) map[string]any {
	known := fields(reflect.New(t).Elem(), Pos{})
	if len(known) == 1 && known[0].key == "" {
		return w.of(known[0].value.Type(), way, must)
	}
	properties, required := map[string]any{}, []string{}
	for _, f := range known {
		to := append(slices.Clone(way), f.key)
		schema := w.of(f.value.Type(), to, f.required)
		if f.words != "" {
			limit(schema, strings.Split(f.words, ","))
		}
		w.note(schema, to)
		properties[f.key] = schema
		if f.required {
			required = append(required, f.key)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
		return schema
	}
	return nullable(schema, len(way) == 0, "minProperties")
}

// note adds what the longest note says that fits a key.
func (w *schemaWriter) note(schema map[string]any, way []string) {
	for i := range way {
		end := strings.Join(way[i:], ".")
		n, ok := w.notes[end]
		if !ok {
			continue
		}
		w.used[end] = true
		if n.Doc != "" {
			schema["description"] = n.Doc
		}
		if n.Words != nil {
			limit(schema, n.Words)
		}
		return
	}
}

// limit lets a text, or each entry of a list of texts, be one of the words only.
func limit(schema map[string]any, words []string) {
	if items, ok := schema["items"].(map[string]any); ok {
		schema = items
	}
	schema["enum"] = words
}
