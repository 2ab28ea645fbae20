package mapping

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// checker collects what is wrong with one file.
type checker struct {
	file     File
	findings []Finding
}

func (c *checker) add(pos Pos, format string, args ...any) {
	switch len(c.findings) {
	case maxFindings:
		c.findings = append(c.findings, c.file.AtPos(pos, "more findings follow: these come first"))
	default:
		if !c.full() {
			c.findings = append(c.findings, c.file.AtPos(pos, format, args...))
		}
	}
}

func (c *checker) full() bool { return len(c.findings) > maxFindings }

// The parser's errors are texts: a line that it counts from 0 where its grammar
// stage (offByOne) found the fault, no column, and no place for an alias
// without its anchor.
var (
	yamlError   = regexp.MustCompile(`(?s)^yaml: (?:line (\d+): )?(.*)$`)
	offByOne    = regexp.MustCompile(`^did not find expected (',' or|'-' indicator|key|node content|<document)`)
	aliasLonely = regexp.MustCompile(`^unknown anchor '(.+)' referenced$`)
)

// parse returns the one document of a text, or nil after a finding.
func (c *checker) parse(text *bytes.Reader) (root *yaml.Node) {
	if pos, fault := unreadable(c.file.Data); fault != "" {
		c.add(pos, "%s", fault)
		return nil
	}
	defer func() {
		// An edit must never end the hub, not even through a fault of the parser.
		if fault := recover(); fault != nil {
			c.add(Pos{}, "the YAML parser cannot read this file")
			root = nil
		}
	}()
	decoder := yaml.NewDecoder(text)
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case err != nil && !errors.Is(err, io.EOF):
		c.syntax(err)
		return nil
	case len(document.Content) == 0 || document.Content[0].Tag == "!!null":
		c.add(Pos{}, "the file is empty")
		return nil
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		c.syntax(err)
		return nil
	default:
		c.add(Pos{second.Line, second.Column}, "a second document: one file holds one")
		return nil
	}
	return document.Content[0]
}

func (c *checker) syntax(err error) {
	line, message := 1, err.Error()
	if m := yamlError.FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = n
		}
		message = m[2]
		if m[1] != "" && offByOne.MatchString(message) {
			line++
		}
	}
	if m := aliasLonely.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(c.file.Data, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
		message = "aliases are refused: write the value out"
	}
	if quoted := Quote(message); quoted != `"`+message+`"` {
		message = quoted
	}
	c.add(Pos{Line: line}, "not YAML: %s", message)
}

// unreadable finds the first sign that a text may not hold, for which the
// parser has no line.
func unreadable(data []byte) (pos Pos, fault string) {
	pos = Pos{1, 1}
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && size == 1:
			return pos, "not UTF-8"
		case r == '\n':
			pos = Pos{pos.Line + 1, 0}
		case unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\u0085':
			return pos, "control characters are refused"
		}
		pos.Column++
		data = data[size:]
	}
	return pos, ""
}

// tree refuses what a mapping file may not hold although YAML may.
func (c *checker) tree(node *yaml.Node, depth int) {
	if c.full() {
		return
	}
	pos := Pos{node.Line, node.Column}
	switch {
	case depth > maxDepth:
		c.add(pos, "nested deeper than %d levels", maxDepth)
		return
	case node.Kind == yaml.AliasNode:
		c.add(pos, "aliases are refused: write the value out")
		return
	case node.Anchor != "":
		c.add(pos, "anchors are refused: write the value out where it is needed")
	case node.Style&yaml.TaggedStyle != 0:
		c.add(pos, "tags are refused: %s", Quote(node.Tag))
	}
	if node.Kind == yaml.MappingNode {
		c.keys(node)
	}
	for _, child := range node.Content {
		c.tree(child, depth+1)
	}
}

func (c *checker) keys(mapping *yaml.Node) {
	first := make(map[string]int, len(mapping.Content)/2)
	for i := 0; i < len(mapping.Content); i += 2 {
		key := mapping.Content[i]
		pos := Pos{key.Line, key.Column}
		switch {
		case key.Kind == yaml.AliasNode: // found by tree
		case key.Kind != yaml.ScalarNode:
			c.add(pos, "a key must be a plain word")
		case key.Tag == "!!merge":
			c.add(pos, "merge keys are refused: write the values out")
		case key.Tag == "!!null":
			c.add(pos, "a key is missing")
		case first[key.Value] > 0:
			c.add(pos, "duplicate key %s, first on line %d", Quote(key.Value), first[key.Value])
		default:
			first[key.Value] = key.Line
		}
	}
}
