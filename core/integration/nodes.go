package integration

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
)

// maxName bounds the name of an authorization, in characters.
const maxName = 64

// maxMethods bounds the methods of a node.
const maxMethods = 20

var versionForm = regexp.MustCompile(`^[0-9]{1,4}(\.[0-9]{1,4}){0,2}$`)

// nodesForm is the form of webex/nodes.yaml.
type nodesForm struct {
	Nodes []nodeEntry `yaml:"nodes" required:"true"`
}

type nodeEntry struct {
	Node          mapping.Text   `yaml:"node" required:"true"`
	ID            mapping.Text   `yaml:"id"`
	Title         string         `yaml:"title" required:"true"`
	Versions      []mapping.Text `yaml:"versions" required:"true"`
	Integration   mapping.Text   `yaml:"integration" required:"true"`
	Authorization mapping.Text   `yaml:"authorization"`
	Methods       []methodEntry  `yaml:"methods"`
}

type methodEntry struct {
	Method    mapping.Text `yaml:"method" required:"true"`
	Title     string       `yaml:"title" required:"true"`
	Operation mapping.Text `yaml:"operation"`
}

// operationUse is a place where webex/nodes.yaml names an operation.
type operationUse struct {
	file        mapping.File
	integration string
	name        mapping.Text
}

// methodUse is a node of webex/nodes.yaml with what it says of its methods.
type methodUse struct {
	file    mapping.File
	node    mapping.Text
	methods []methodEntry
}

// nodes makes the list of webex/nodes.yaml.
func (l *loader) nodes(c *Catalogue) []Node {
	var f nodesForm
	l.findings = mapping.Decode(l.file, &f)
	var known []string
	for _, i := range c.all {
		known = append(known, i.ID)
	}
	var list []Node
	for _, e := range f.Nodes {
		id := l.entryID(e, list)
		if id := e.Integration; id.Value != "" && !slices.Contains(known, id.Value) && len(l.findings) < maxFindings {
			l.add(id.Pos, "unknown integration %s%s", mapping.Quote(id.Value), mapping.Suggest(id.Value, known))
		}
		if name := e.Authorization; name.Value != strings.TrimSpace(name.Value) || utf8.RuneCountInString(name.Value) > maxName {
			l.add(name.Pos, "the name of an authorization has at most %d characters and no space around it", maxName)
		}
		c.methods = append(c.methods, methodUse{l.file, e.Node, e.Methods})
		list = append(list, Node{
			ID: id, Node: e.Node.Value, Title: e.Title, Label: e.Title, Versions: l.versions(e, list), Integration: e.Integration.Value,
			Authorization: e.Authorization.Value, Methods: l.methods(c, e), File: l.file.Path, Line: e.Node.Line,
		})
		if len(l.findings) >= maxFindings {
			break
		}
	}
	label(list)
	return list
}

// entryID is the id of an entry among those before it.
func (l *loader) entryID(e nodeEntry, before []Node) string {
	id := e.ID
	if id.Value == "" {
		id = e.Node
	}
	switch {
	case e.Node.Value == "": // found by Decode
	case !idForm.MatchString(e.Node.Value):
		l.add(e.Node.Pos, "%s is not the id of a node: it is made of a-z, 0-9 and -", mapping.Quote(e.Node.Value))
	case !idForm.MatchString(id.Value):
		l.add(id.Pos, "%s is not the id of an entry: it is made of a-z, 0-9 and -", mapping.Quote(id.Value))
	case slices.ContainsFunc(before, func(n Node) bool { return n.ID == id.Value }):
		l.add(id.Pos, "duplicate node %q: an entry for other versions of it needs an \"id\" of its own", id.Value)
	}
	return id.Value
}

// label tells the entries of one node apart by their versions.
func label(list []Node) {
	entries := make(map[string]int, len(list))
	for _, n := range list {
		entries[n.Node]++
	}
	for i := range list {
		if n := &list[i]; entries[n.Node] > 1 {
			n.Label += " " + strings.Join(n.Versions, ", ")
		}
	}
}

// methods makes the methods of a node, and keeps where operations are named.
func (l *loader) methods(c *Catalogue, e nodeEntry) []NodeMethod {
	var list []NodeMethod
	for _, m := range shorten(l, e.Methods, maxMethods, "methods", e.Node.Pos) {
		switch name := m.Method; {
		case name.Value == "": // found by Decode
		case !idForm.MatchString(name.Value):
			l.add(name.Pos, "%s is not the id of a method: it is made of a-z, 0-9 and -", mapping.Quote(name.Value))
		case slices.ContainsFunc(list, func(n NodeMethod) bool { return n.Method == name.Value }):
			l.add(name.Pos, "duplicate method %q", name.Value)
		}
		if name := m.Operation; name.Value != "" {
			c.operations = append(c.operations, operationUse{l.file, e.Integration.Value, name})
		}
		list = append(list, NodeMethod{Method: m.Method.Value, Title: m.Title, Operation: m.Operation.Value, Line: m.Method.Line})
	}
	return list
}

// versions makes the versions of an entry, which no entry before it has.
func (l *loader) versions(e nodeEntry, before []Node) []string {
	var list []string
	for _, v := range shorten(l, e.Versions, maxEntries, "versions", e.Node.Pos) {
		switch {
		case !versionForm.MatchString(v.Value):
			l.add(v.Pos, "%s is not a version such as \"1.2\"", mapping.Quote(v.Value))
		case slices.Contains(list, v.Value):
			l.add(v.Pos, "duplicate version %q", v.Value)
		case slices.ContainsFunc(before, func(n Node) bool { return n.Node == e.Node.Value && slices.Contains(n.Versions, v.Value) }):
			l.add(v.Pos, "version %q of node %s stands in another entry", v.Value, e.Node.Value)
		}
		list = append(list, v.Value)
	}
	return list
}

// scan finds the places of a file of another room that need an authorization,
// whatever that file's form is: a mapping that names an integration and an
// authorization, or an integration and an operation or workflows.
func scan(f mapping.File) []use {
	if f.Root == nil {
		return nil
	}
	tenant := scalar(f.Root, "tenant")
	var uses []use
	var walk func(*yaml.Node)
	walk = func(node *yaml.Node) {
		if node.Kind == yaml.MappingNode {
			id := scalar(node, "integration")
			if id == "" { // an activity of a workflow
				id, _, _ = strings.Cut(scalar(node, "operation"), "/")
			}
			name := strings.TrimSpace(scalar(node, "authorization"))
			if id != "" && (name != "" || (mapping.Value(node, "operation") != nil || mapping.Value(node, "workflows") != nil) && mapping.Value(node, "authorization") == nil) {
				uses = append(uses, use{tenant, id, name, f.Path, node.Line})
			}
		}
		for _, child := range node.Content {
			walk(child)
		}
	}
	walk(f.Root)
	return uses
}

func scalar(node *yaml.Node, key string) string {
	if v := mapping.Value(node, key); v != nil && v.Kind == yaml.ScalarNode && v.Tag != "!!null" {
		return v.Value
	}
	return ""
}
