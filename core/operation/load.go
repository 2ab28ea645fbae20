package operation

import (
	"cmp"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/mapping"
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// shared is the folder of an integration in which another room's files stand,
// too: the configurations of CXone's tenants.
const shared = "cxone/"

// others are folders that are no integration's, unless they have its file.
func others(folder string) bool {
	return folder == "directory" || folder == "workflows" || folder == "webex"
}

// Owns tells whether a file in the folder of an integration is of this room. In
// the folder of CXone only what looks like an operation or its tests is.
func Owns(f mapping.File) bool {
	return !strings.HasPrefix(f.Path, shared) || slices.ContainsFunc([]string{"steps", "output", "tests"}, func(key string) bool {
		return mapping.Value(f.Root, key) != nil
	})
}

// Load makes a catalogue of the operations, entities and tests of a set, which
// stand in the folders of integrations, and returns everything that is wrong
// with them, sorted. With findings the catalogue holds what could be
// understood, which is not good for serving.
func Load(set *mapping.Set, integrations *integration.Catalogue) (*Catalogue, []mapping.Finding) {
	c := &Catalogue{
		index:    map[[2]string]*Operation{},
		entities: map[string]*expression.Entities{},
		tests:    map[*Operation][]*Test{},
	}
	files := folders(set)
	findings := files.wrong
	for _, f := range files.entities {
		l := loader{file: f}
		c.entities[path.Dir(f.Path)] = l.entities()
		findings = append(findings, l.done()...)
	}
	for _, f := range files.operations {
		id := path.Dir(f.Path)
		l := loader{file: f, set: c.entities[id]}
		l.in, _ = integrations.Integration(id)
		if op := l.operation(); op != nil {
			c.all = append(c.all, op)
			c.index[[2]string{op.Integration, op.Name}] = op
		}
		findings = append(findings, l.done()...)
	}
	slices.SortFunc(c.all, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(a.Integration, b.Integration), cmp.Compare(a.Name, b.Name))
	})
	for _, f := range files.tests {
		id, name := path.Dir(f.Path), strings.TrimSuffix(nameOf(f), testSuffix)
		l := loader{file: f}
		l.in, _ = integrations.Integration(id)
		tests := l.tests()
		op, ok := c.Operation(id, name)
		switch {
		case ok:
			c.tests[op] = tests
		case !slices.ContainsFunc(files.operations, func(o mapping.File) bool { return o.Path == id+"/"+name+".yaml" }):
			l.findings = append(l.findings, f.AtPos(mapping.Pos{}, "there is no operation %s.yaml beside this file", name).Because(l.beside(name+".yaml")))
		}
		findings = append(findings, l.done()...)
	}
	mapping.Sort(findings)
	return c, findings
}

// kinds sorts the files of a set that are of this room.
type kinds struct {
	operations, entities, tests []mapping.File
	wrong                       []mapping.Finding
}

func folders(set *mapping.Set) kinds {
	known := map[string]bool{}
	for _, f := range set.Files {
		if path.Base(f.Path) == integrationFile {
			known[path.Dir(f.Path)] = true
		}
	}
	var k kinds
	for _, f := range set.Files {
		folder, _, deep := strings.Cut(f.Path, "/")
		base := path.Base(f.Path)
		if !deep || others(folder) && !known[folder] || base == integrationFile || base == "integration.yml" || !Owns(f) {
			continue
		}
		if !known[folder] && path.Dir(f.Path) == folder {
			known[folder] = true // it is said once
			k.wrong = append(k.wrong, f.AtPos(mapping.Pos{}, "there is no %s in the folder %s", integrationFile, folder).
				Because(folder+"/"+integrationFile, folder+"/integration.yml"))
		}
		switch {
		case path.Dir(f.Path) != folder:
			k.wrong = append(k.wrong, f.AtPos(mapping.Pos{}, "operations stand directly in the folder of their integration"))
		case path.Ext(base) != ".yaml":
			k.wrong = append(k.wrong, f.AtPos(mapping.Pos{}, "the name of the file must end in .yaml"))
		case base == entitiesFile:
			k.entities = append(k.entities, f)
		case strings.HasSuffix(nameOf(f), testSuffix):
			k.tests = append(k.tests, f)
		default:
			k.operations = append(k.operations, f)
		}
	}
	return k
}

// nameOf is the name of a file without folder and ending.
func nameOf(f mapping.File) string {
	base := path.Base(f.Path)
	return strings.TrimSuffix(base, path.Ext(base))
}

// loader makes what one file describes.
type loader struct {
	file     mapping.File
	in       *integration.Integration // nil: its file is wrong
	set      *expression.Entities
	patterns expression.Patterns
	matching int // characters by instructions that the patterns of the inputs may take
	findings []mapping.Finding
}

// full tells whether there are more findings than a person reads: then nothing
// more is looked for.
func (l *loader) full() bool { return len(l.findings) >= maxFindings }

// beside is the path of another file in the folder.
func (l *loader) beside(name string) string { return path.Dir(l.file.Path) + "/" + name }

func (l *loader) add(pos mapping.Pos, format string, args ...any) {
	l.findings = append(l.findings, l.file.AtPos(pos, format, args...))
}

func (l *loader) at(node *yaml.Node, format string, args ...any) {
	l.findings = append(l.findings, l.file.At(node, format, args...))
}

// done returns the findings, sorted and not more than a person reads.
func (l *loader) done() []mapping.Finding {
	mapping.Sort(l.findings)
	l.findings = slices.Compact(l.findings)
	return l.findings[:min(len(l.findings), maxFindings)]
}

// oneOf refuses a word that is none of the known.
func (l *loader) oneOf(t mapping.Text, what string, known []string) bool {
	if t.Value == "" || slices.Contains(known, t.Value) {
		return t.Value != ""
	}
	l.add(t.Pos, "unknown %s %s%s; known: %s", what, mapping.Quote(t.Value),
		mapping.Suggest(t.Value, known), strings.Join(known, ", "))
	return false
}

// bounded refuses a number outside of its bounds and returns the default for
// one that is not given.
func (l *loader) bounded(n mapping.Located[int], key string, otherwise, most int) int {
	if !n.Given() {
		return otherwise
	}
	if n.Value < 1 || n.Value > most {
		l.add(n.Pos, "%s must be a number from 1 to %d", key, most)
		return otherwise
	}
	return n.Value
}

// shorten cuts a list that is too long, after a finding.
func shorten[T any](l *loader, list []T, most int, what string, pos mapping.Pos) []T {
	if len(list) <= most {
		return list
	}
	l.add(pos, "more than %d %s", most, what)
	return list[:most]
}

func posOf(node *yaml.Node) mapping.Pos {
	if node == nil {
		return mapping.Pos{}
	}
	return mapping.Pos{Line: node.Line, Column: node.Column}
}
