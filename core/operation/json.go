package operation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tandem/core/expression"
	"tandem/core/mapping"
)

// exact is the largest whole number up to which float64 has them all.
const exact = 1 << 53

// What a document may be at most: decoded it takes many times its size.
const (
	maxDocument = 2 << 20 // bytes
	maxNodes    = 200_000 // values
)

var (
	errBroken = errors.New("no JSON document in UTF-8")
	errLarge  = fmt.Errorf("larger than %d MB, or of more than %d values", maxDocument>>20, maxNodes)
)

// decode reads a JSON document; nil for an empty one. Whole numbers become int,
// others float64, and those that neither can hold stay texts.
func decode(data []byte) (any, error) {
	if len(data) > maxDocument || nodes(data) > maxNodes {
		return nil, errLarge
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, nil //nolint:nilnil // an empty body is no document and no fault
	}
	if !utf8.Valid(data) {
		return nil, errBroken
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, errBroken
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errBroken
	}
	return settle(v, true), nil
}

// nodes is about how many values a document holds.
func nodes(data []byte) int {
	n, quoted := 1, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case !quoted && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// settle turns the numbers of a decoded document into those that expressions
// reckon with: in place in one that is ours alone, else in a copy.
func settle(v any, ours bool) any {
	switch v := v.(type) {
	case json.Number:
		return number(v.String())
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= exact {
			return int(v)
		}
	case map[string]any:
		all := v
		if !ours {
			all = make(map[string]any, len(v))
		}
		for key, inner := range v {
			if _, isText := inner.(string); !isText || !ours {
				all[key] = settle(inner, ours)
			}
		}
		return all
	case []any:
		all := v
		if !ours {
			all = make([]any, len(v))
		}
		for i, inner := range v {
			all[i] = settle(inner, ours)
		}
		return all
	}
	return v
}

// number is the value of a number in JSON's notation.
func number(text string) any {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	if x, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(x, 0) && digits(text) <= 17 {
		return x
	}
	return text
}

func digits(text string) int {
	n := 0
	for _, c := range []byte(text) {
		if c == 'e' || c == 'E' {
			break
		}
		if c >= '0' && c <= '9' {
			n++
		}
	}
	return n
}

// Literal returns the value that a node of a file holds as it stands there, in
// the kinds that expressions know; nil for no node. What would become another is
// a finding.
func Literal(file mapping.File, node *yaml.Node) (any, []mapping.Finding) {
	l := loader{file: file}
	v := l.literal(node)
	return v, l.findings
}

func (l *loader) literal(node *yaml.Node) any {
	switch {
	case node == nil:
		return nil
	case node.Kind == yaml.MappingNode:
		all := make(map[string]any, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			all[node.Content[i].Value] = l.literal(node.Content[i+1])
		}
		return all
	case node.Kind == yaml.SequenceNode:
		all := make([]any, len(node.Content))
		for i, inner := range node.Content {
			all[i] = l.literal(inner)
		}
		return all
	}
	value, why := expression.Scalar(node)
	if why != "" {
		l.at(node, "%s", why)
	}
	return value
}
