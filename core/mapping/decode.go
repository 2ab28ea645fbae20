package mapping

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Decode fills the struct that v points to from a file, and returns all that
// does not fit, sorted. The struct says what may stand in the file:
//
//	mapping.Pos                                          // filled with the place of the node
//	Name   string        `yaml:"name" required:"true"`   // must be there and not empty
//	Window time.Duration `yaml:"window"`                 // written as 10m or 30s
//	Owners []Text        `yaml:"owners"`                 // texts with their places
//	Size   Text          `yaml:"size" enum:"small,large"` // one of these; of another the value stays empty
//	Body   *yaml.Node    `yaml:"body"`                   // passed through as it is
//
// Strings, integers, floats, booleans, durations, slices, maps, pointers and
// structs nest freely; the keys of an embedded struct belong to the outer one;
// a field without the tag yaml is left alone. Nothing is converted: a number
// is no text. A key without a value counts as absent, except where a text, a
// number or a truth value is expected. Decode panics on a struct that it cannot
// fill, which is a fault of the program, not of the file.
func Decode(f File, v any) []Finding {
	d := decoder{checker{file: f}}
	if f.Root == nil {
		d.add(Pos{}, "the file is empty")
		return d.findings
	}
	d.value("the file", f.Root, reflect.ValueOf(v).Elem())
	Sort(d.findings)
	return d.findings
}

type decoder struct{ checker }

var (
	nodeType     = reflect.TypeFor[*yaml.Node]()
	posType      = reflect.TypeFor[Pos]()
	durationType = reflect.TypeFor[time.Duration]()
)

// value decodes a node into v; name is what messages call it.
func (d *decoder) value(name string, node *yaml.Node, v reflect.Value) {
	null := node.Kind == yaml.ScalarNode && node.Tag == "!!null"
	switch kind := v.Kind(); {
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(node))
	case kind == reflect.Pointer:
		if !null {
			v.Set(reflect.New(v.Type().Elem()))
			d.value(name, node, v.Elem())
		}
	case kind == reflect.Struct:
		d.structure(name, node, null, v)
	case kind == reflect.Slice:
		if !null && d.is(name, node, yaml.SequenceNode, "a list") {
			d.list(name, node, v)
		}
	case kind == reflect.Map:
		if !null && d.is(name, node, yaml.MappingNode, "a mapping of keys to values") {
			d.dictionary(node, v)
		}
	default:
		d.scalar(name, node, v)
	}
}

func (d *decoder) is(name string, node *yaml.Node, kind yaml.Kind, what string) bool {
	if node.Kind == kind {
		return true
	}
	d.wrong(name, node, what)
	return false
}

func (d *decoder) wrong(name string, node *yaml.Node, what string) {
	d.add(Pos{node.Line, node.Column}, "%s must be %s", name, what)
}

func (d *decoder) list(name string, node *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content)))
	for i, child := range node.Content {
		d.value("an entry of "+name, child, v.Index(i))
	}
}

func (d *decoder) dictionary(node *yaml.Node, v reflect.Value) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(node.Content)/2))
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := reflect.New(v.Type().Key()).Elem()
		value := reflect.New(v.Type().Elem()).Elem()
		d.value("a key", node.Content[i], key)
		d.value(Quote(node.Content[i].Value), node.Content[i+1], value)
		v.SetMapIndex(key, value)
	}
}

// field is one key that a struct knows. The key of a Located value is empty.
type field struct {
	key      string
	required bool
	words    string // with commas between; empty: any
	value    reflect.Value
}

// fields lists the keys of a struct, those of embedded structs included, and
// fills the places on its way.
func fields(v reflect.Value, pos Pos) []field {
	var list []field
	for i := range v.NumField() {
		f, tag := v.Type().Field(i), v.Type().Field(i).Tag
		key, _, _ := strings.Cut(tag.Get("yaml"), ",")
		switch {
		case f.Type == posType:
			v.Field(i).Set(reflect.ValueOf(pos))
		case f.Anonymous && f.Type.Kind() == reflect.Struct && key == "":
			list = append(list, fields(v.Field(i), pos)...)
		case tag.Get("yaml") == ",value", key != "" && key != "-":
			list = append(list, field{key, tag.Get("required") == "true", tag.Get("enum"), v.Field(i)})
		}
	}
	return list
}

func (d *decoder) structure(name string, node *yaml.Node, null bool, v reflect.Value) {
	pos := Pos{node.Line, node.Column}
	known := fields(v, pos)
	if len(known) == 1 && known[0].key == "" {
		d.value(name, node, known[0].value)
		return
	}
	if null {
		node = &yaml.Node{Kind: yaml.MappingNode, Line: node.Line, Column: node.Column}
	}
	if !d.is(name, node, yaml.MappingNode, "a mapping of keys to values") {
		return
	}
	given := make(map[string]*yaml.Node, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content) && !d.full(); i += 2 {
		key := node.Content[i]
		at := slices.IndexFunc(known, func(f field) bool { return f.key == key.Value })
		if at < 0 {
			d.add(Pos{key.Line, key.Column}, "unknown key %s%s", Quote(key.Value), Suggest(key.Value, keys(known)))
			continue
		}
		given[key.Value] = node.Content[i+1]
		if known[at].required && empty(node.Content[i+1]) {
			d.add(Pos{node.Content[i+1].Line, node.Content[i+1].Column}, "%q must not be empty", key.Value)
			continue
		}
		d.value(Quote(key.Value), d.word(key.Value, node.Content[i+1], known[at].words), known[at].value)
	}
	for _, f := range known {
		if f.required && given[f.key] == nil {
			d.add(pos, "%q is missing", f.key)
		}
	}
}

// word returns a node, without its text if that is none of the words.
func (d *decoder) word(key string, node *yaml.Node, words string) *yaml.Node {
	known := strings.Split(words, ",")
	if words == "" || node.Tag != "!!str" || node.Value == "" || slices.Contains(known, node.Value) {
		return node
	}
	d.add(Pos{node.Line, node.Column}, "unknown %s %s%s; known: %s",
		key, Quote(node.Value), Suggest(node.Value, known), strings.Join(known, ", "))
	return &yaml.Node{Kind: node.Kind, Tag: node.Tag, Line: node.Line, Column: node.Column}
}

func keys(known []field) []string {
	words := make([]string, len(known))
	for i, f := range known {
		words[i] = f.key
	}
	return words
}

func empty(node *yaml.Node) bool {
	if node.Kind == yaml.ScalarNode {
		return node.Tag == "!!null" || node.Value == ""
	}
	return len(node.Content) == 0
}

func (d *decoder) scalar(name string, node *yaml.Node, v reflect.Value) { //nolint:gocyclo // one case a kind, all alike
	what := ""
	switch kind := v.Kind(); {
	case v.Type() == durationType:
		if t, err := time.ParseDuration(node.Value); err == nil && node.Tag == "!!str" {
			v.SetInt(int64(t))
			return
		}
		what = "a duration such as 30s, 10m or 24h"
	case kind == reflect.String:
		// A date is written like a text and meant as one.
		if node.Tag == "!!str" || node.Tag == "!!timestamp" {
			v.SetString(node.Value)
			return
		}
		what = "text"
		if node.Kind == yaml.ScalarNode && node.Tag != "!!null" {
			what = "text: put it in quotes, " + Quote(node.Value)
		}
	case kind == reflect.Bool:
		if node.Tag == "!!bool" && node.Decode(v.Addr().Interface()) == nil {
			return
		}
		what = "true or false"
	case v.CanInt():
		var n int64
		if node.Tag == "!!int" && node.Decode(&n) == nil && !v.OverflowInt(n) {
			v.SetInt(n)
			return
		}
		what = "a whole number"
	case v.CanFloat():
		var x float64
		number := node.Tag == "!!float" || node.Tag == "!!int"
		if number && node.Decode(&x) == nil && !math.IsNaN(x) && !math.IsInf(x, 0) {
			v.SetFloat(x)
			return
		}
		what = "a number"
	default:
		panic(fmt.Sprintf("mapping: cannot decode into %s", v.Type())) //nolint:forbidigo // a fault of the program, as the contract says
	}
	d.wrong(name, node, what)
}
