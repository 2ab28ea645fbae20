package server

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// want is the JSON type that a Go value is read from.
type want uint8

const (
	wantAny want = iota
	wantObject
	wantArray
	wantString
	wantTime
	wantNumber
	wantInteger
	wantBoolean
)

var wantNames = [...]string{
	"a value", "an object", "an array", "a string", "a string (a time)", "a number", "a whole number", "a boolean",
}

// accepts tells whether a value that begins with c, not null, may be of the
// type.
func (w want) accepts(c byte) bool {
	switch w {
	case wantObject:
		return c == '{'
	case wantArray:
		return c == '['
	case wantString, wantTime:
		return c == '"'
	case wantNumber, wantInteger:
		return c == '-' || digit(c)
	case wantBoolean:
		return c == 't' || c == 'f'
	}
	return c != 0
}

// plan is what the scan must know of a Go type.
type plan struct {
	want   want
	fields map[uint64]field // of a struct, by folded hash; nil: not a struct
	elem   *plan            // of an array's items or a map's values; nil: anything
}

type field struct {
	name string
	plan *plan
}

func (p *plan) items() *plan {
	if p.elem != nil {
		return p.elem
	}
	return anything
}

var (
	anything        = &plan{} //nolint:gochecknoglobals // never changed
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	timeType        = reflect.TypeFor[time.Time]()
	numberType      = reflect.TypeFor[json.Number]()

	// plans is a memo, as encoding/json keeps one: reflect.Type to *plan.
	plans sync.Map //nolint:gochecknoglobals // as above
)

func planOf(t reflect.Type) *plan {
	if t == nil {
		return anything
	}
	if p, ok := plans.Load(t); ok {
		return p.(*plan) //nolint:forcetypeassert // only plans are stored
	}
	p := build(t, map[reflect.Type]*plan{})
	plans.Store(t, p)
	return p
}

// build makes the plan of a type; open holds the structs being built, so that
// a type may contain itself.
func build(t reflect.Type, open map[reflect.Type]*plan) *plan {
	for t.Kind() == reflect.Pointer && t.Name() == "" && !t.Implements(unmarshaler) {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return &plan{want: wantTime}
	case t == numberType, implements(t, unmarshaler), implements(t, textUnmarshaler):
		return anything
	}
	switch t.Kind() {
	case reflect.Struct:
		if p := open[t]; p != nil {
			return p
		}
		p := &plan{want: wantObject, fields: map[uint64]field{}}
		open[t] = p
		p.add(t, open)
		return p
	case reflect.Map:
		return &plan{want: wantObject, elem: build(t.Elem(), open)}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return anything // base64 or an array
		}
		return &plan{want: wantArray, elem: build(t.Elem(), open)}
	case reflect.String:
		return &plan{want: wantString}
	case reflect.Bool:
		return &plan{want: wantBoolean}
	case reflect.Float32, reflect.Float64:
		return &plan{want: wantNumber}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return &plan{want: wantInteger}
	}
	return anything
}

func implements(t, iface reflect.Type) bool {
	return t.Implements(iface) || reflect.PointerTo(t).Implements(iface)
}

// add adds a struct's fields; those of an embedded struct stand behind its own.
func (p *plan) add(t reflect.Type, open map[reflect.Type]*plan) {
	var embedded []reflect.Type
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" && options == "" && !strings.Contains(f.Tag.Get("json"), ",") {
			continue
		}
		if f.Anonymous && name == "" {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				embedded = append(embedded, inner)
				continue
			}
		}
		if !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		child := anything
		if !strings.Contains(options, "string") {
			child = build(f.Type, open)
		}
		h := foldHash([]byte(name))
		if _, taken := p.fields[h]; !taken {
			p.fields[h] = field{name, child}
		}
	}
	for _, inner := range embedded {
		p.add(inner, open)
	}
}

// foldHash hashes a key (FNV-1a) so that keys that encoding/json takes for the
// same field hash alike: each rune counts as the smallest of its case variants.
func foldHash(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(key); {
		c := key[i]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			h = (h ^ uint64(c)) * 1099511628211
			i++
			continue
		}
		r, n := utf8.DecodeRune(key[i:])
		i += n
		for next := unicode.SimpleFold(r); ; next = unicode.SimpleFold(r) {
			if next <= r {
				r = next
				break
			}
			r = next
		}
		for _, b := range utf8.AppendRune(nil, r) {
			h = (h ^ uint64(b)) * 1099511628211
		}
	}
	return h
}
