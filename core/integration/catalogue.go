package integration

import (
	"maps"
	"slices"
	"strings"

	"tandem/core/mapping"
)

// Catalogue is what a set of mapping files says about integrations. It never
// changes; nobody changes what it returns.
type Catalogue struct {
	all        []*Integration // by title
	nodes      []Node         // in the order of the file
	operations []operationUse // that nodes name
	methods    []methodUse
	uses       []use
}

// Node is a node of Webex Connect that needs an authorization, in some of its
// versions: others may stand in an entry of their own.
type Node struct {
	ID            string // of the entry, which defaults are kept by: the node's unless its file says otherwise
	Node          string // create-task
	Title         string // Create Task
	Label         string // Title, with the versions where other entries have others
	Versions      []string
	Integration   string // id
	Authorization string // its name; empty: the default
	Methods       []NodeMethod
	File          string // slash path in the mappings folder
	Line          int
}

// NodeMethod is one of the things that a node does, its Method Name.
type NodeMethod struct {
	Method    string // its id: queue
	Title     string // Queue Task
	Operation string // of the node's integration; empty: the hub does it alone
	Line      int    // in the node's file
}

// Method returns a method of the node by its id.
func (n Node) Method(name string) (NodeMethod, bool) {
	if i := slices.IndexFunc(n.Methods, func(m NodeMethod) bool { return m.Method == name }); i >= 0 {
		return n.Methods[i], true
	}
	return NodeMethod{}, false
}

// use is a place in another file that names an integration.
type use struct {
	tenant        string // empty: every tenant's
	integration   string
	authorization string // empty: the default
	file          string
	line          int
}

// Integration returns an integration by its id.
func (c *Catalogue) Integration(id string) (*Integration, bool) {
	for _, i := range c.all {
		if i.ID == id {
			return i, true
		}
	}
	return nil, false
}

// All returns the integrations by title.
func (c *Catalogue) All() []*Integration { return slices.Clone(c.all) }

// Listed returns those that administrators see: All without the ones that need
// no authorization.
func (c *Catalogue) Listed() []*Integration {
	return slices.DeleteFunc(c.All(), func(i *Integration) bool { return i.NoAuthorization })
}

// Nodes returns the nodes that need an authorization of an integration, in the
// order of webex/nodes.yaml.
func (c *Catalogue) Nodes(integration string) []Node {
	var nodes []Node
	for _, n := range c.nodes {
		if n.Integration == integration {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// Node returns the entry for a version of a node: the one that lists it, else the
// first of the node. No version is empty.
func (c *Catalogue) Node(node, version string) (Node, bool) {
	first := -1
	for i, n := range c.nodes {
		if n.Node != node {
			continue
		}
		if slices.Contains(n.Versions, version) {
			return n, true
		}
		if first < 0 {
			first = i
		}
	}
	if first < 0 {
		return Node{}, false
	}
	return c.nodes[first], true
}

// CheckNodes returns a finding for each operation that a method of a node names
// and that is not among those of the node's integration, sorted. The function
// gives the names of an integration's operations.
func (c *Catalogue) CheckNodes(operations func(integration string) []string) []mapping.Finding {
	var findings []mapping.Finding
	for _, use := range c.operations {
		known, name := operations(use.integration), use.name.Value
		_, ok := c.Integration(use.integration)
		if !ok && len(known) == 0 { // found by Load
			continue
		}
		if !slices.Contains(known, name) && len(findings) < maxFindings {
			findings = append(findings, use.file.AtPos(use.name.Pos, "%s has no operation %s%s",
				use.integration, mapping.Quote(name), mapping.Suggest(name, known)).Because(use.integration+"/"+name+".yaml"))
		}
	}
	mapping.Sort(findings)
	return findings
}

// CheckMethods returns a finding for each node and each method of
// webex/nodes.yaml that nobody can call, sorted: nothing would ever come of what
// is said of it. served are the ids of the methods by node.
func (c *Catalogue) CheckMethods(served map[string][]string) []mapping.Finding {
	var findings []mapping.Finding
	add := func(use methodUse, name mapping.Text, known []string, format string) {
		if name.Value != "" && !slices.Contains(known, name.Value) && len(findings) < maxFindings {
			findings = append(findings, use.file.AtPos(name.Pos, format+"%s", mapping.Quote(name.Value), mapping.Suggest(name.Value, known)))
		}
	}
	for _, use := range c.methods {
		if methods, ok := served[use.node.Value]; ok {
			for _, m := range use.methods {
				add(use, m.Method, methods, "node "+use.node.Value+" has no method %s")
			}
			continue
		}
		add(use, use.node, slices.Sorted(maps.Keys(served)), "the hub serves no node %s")
	}
	mapping.Sort(findings)
	return findings
}

// Choose returns the one of a tenant's authorizations for an integration that
// goes out: the one of that name, in any case, or, without a name, the default
// of the node's entry, else the default of all. Nil when there is none.
func Choose(all []Authorization, node, name string) *Authorization {
	var common *Authorization
	for i := range all {
		switch a := &all[i]; {
		case name != "":
			if NameKey(a.Name) == NameKey(name) {
				return a
			}
		case slices.Contains(a.DefaultFor, node):
			return a
		case slices.Contains(a.DefaultFor, ""):
			common = a
		}
	}
	return common
}

// Uses returns the nodes and mappings that go out with one of a tenant's
// authorizations for an integration, sorted by file and line.
func (c *Catalogue) Uses(all []Authorization, id string) []Use {
	at := slices.IndexFunc(all, func(a Authorization) bool { return a.ID == id })
	if at < 0 {
		return nil
	}
	needs := func(node, name string) bool { return Choose(all, node, name) == &all[at] }
	var uses []Use
	for _, n := range c.Nodes(all[at].Integration) {
		if needs(n.ID, n.Authorization) {
			uses = append(uses, Use{"Node " + n.Label, n.File, n.Line})
		}
	}
	for _, u := range c.uses {
		if u.integration == all[at].Integration && (u.tenant == "" || u.tenant == all[at].Tenant) && needs("", u.authorization) {
			uses = append(uses, Use{"Mapping", u.file, u.line})
		}
	}
	slices.SortFunc(uses, func(a, b Use) int {
		if by := strings.Compare(a.File, b.File); by != 0 {
			return by
		}
		return a.Line - b.Line
	})
	return uses
}
