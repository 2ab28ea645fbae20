package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"tandem/adapters/cxone"
	"tandem/adapters/webex"
	"tandem/core/directory"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

type mappingsCommand struct {
	Lint   mappingsLint   `cmd:"" help:"Print everything that is wrong with the mapping files; exit 1 if anything is."`
	Test   mappingsTest   `cmd:"" help:"Run the tests of operations against their recorded answers; exit 1 if one fails."`
	Try    mappingsTry    `cmd:"" help:"Run one operation and print every call, against recorded answers or live."`
	New    mappingsNew    `cmd:"" help:"Write a new operation with its test, ready to be edited."`
	Schema mappingsSchema `cmd:"" help:"Print the JSON Schema of a kind of file, for editors."`
}

type mappingsLint struct {
	Dir string `arg:"" optional:"" help:"Folder of mapping files; without it --mappings-dir, else the samples built in."`
}

// Run checks a folder as serve does.
func (m mappingsLint) Run(p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	files, err := folderOf(c, m.Dir)
	if err != nil {
		return err
	}
	set, findings := mapping.Read(files)
	all, findings := checkAll(set, findings)
	wrong := slices.Clone(findings)
	for _, op := range all.operations.All() {
		about := func(f mapping.Finding) bool { return f.File == testsOf(op) }
		if len(all.operations.Tests(op)) == 0 && !slices.ContainsFunc(wrong, about) {
			findings = append(findings, mapping.Finding{File: op.File, Line: 1, Column: 1, Message: "has no tests: write " + testsOf(op)})
		}
	}
	mapping.Sort(findings)
	for _, f := range findings {
		fmt.Fprintln(p.stdout, f)
	}
	if len(findings) > 0 {
		return errShown
	}
	_, err = fmt.Fprintf(p.stdout, "%d files, nothing to complain about.\n", len(set.Files))
	return err
}

// contents are what a set of mapping files comes to.
type contents struct {
	directory    *directory.Directory
	flows        map[string]*flow.Workflow
	integrations *integration.Catalogue
	operations   *operation.Catalogue
	// configurations are those of CXone.
	configurations *cxone.Configurations
}

// checkAll is check, and how the files fit together, beside what Read has found.
// What is wrong only because another file is wrong or cannot be read is left out.
func checkAll(set *mapping.Set, findings []mapping.Finding) (contents, []mapping.Finding) {
	c, found := check(set)
	findings = slices.Concat(findings, found, misplaced(set), c.references())
	findings = mapping.WithoutConsequences(findings)
	mapping.Sort(findings)
	return c, findings
}

// misplaced are findings about the files that nothing reads. The folders of
// integrations are read as a whole.
func misplaced(set *mapping.Set) (findings []mapping.Finding) {
	places := map[string]string{
		".": "<integration>/<operation>.yaml", "workflows": "workflows/<name>.yaml", "webex": "webex/nodes.yaml",
	}
	integrations := map[string]bool{}
	for _, f := range set.Files {
		if base := path.Base(f.Path); base == "integration.yaml" || base == "integration.yml" {
			integrations[path.Dir(f.Path)] = true
		}
	}
	for _, f := range set.Files {
		folder, rest, deep := strings.Cut(f.Path, "/")
		if !deep {
			folder, rest = ".", folder
		}
		place, ok := places[folder]
		switch {
		case !ok, integrations[folder], f.Path == place, folder == "workflows" && !strings.Contains(rest, "/"):
		default:
			findings = append(findings, f.AtPos(mapping.Pos{}, "no mapping file stands here: %s", place))
		}
	}
	return findings
}

// check reads all that a set holds, each file by itself.
func check(set *mapping.Set) (contents, []mapping.Finding) {
	var c contents
	var findings, found []mapping.Finding
	c.directory, findings = directory.Load(set)
	c.flows, found = flow.Load(set)
	findings = append(findings, found...)
	c.integrations, found = integration.Load(set)
	findings = append(findings, found...)
	c.operations, found = operation.Load(set, c.integrations)
	findings = append(findings, found...)
	var tenants []string
	for _, t := range c.directory.Tenants() {
		tenants = append(tenants, t.Name)
	}
	c.configurations, found = cxone.Load(set, c.integrations, c.operations, tenants)
	findings = append(findings, found...)
	return c, findings
}

// references are the findings about what one file says of another.
func (c *contents) references() []mapping.Finding {
	return slices.Concat(
		c.directory.CheckWorkflows(slices.Collect(maps.Keys(c.flows))),
		flow.Check(c.flows, c.inputs),
		c.integrations.CheckNodes(c.names),
		c.integrations.CheckMethods(webex.Methods()))
}

// inputs are the names of an operation's inputs; when there is no such operation,
// those of all operations.
func (c *contents) inputs(integration, name string) (names []string, ok bool) {
	op, ok := c.operations.Operation(integration, name)
	if !ok {
		for _, op := range c.operations.All() {
			names = append(names, op.Integration+"/"+op.Name)
		}
		return names, false
	}
	for _, in := range op.Inputs {
		names = append(names, in.Name)
	}
	return names, true
}

// names are those of an integration's operations.
func (c *contents) names(integration string) (names []string) {
	for _, op := range c.operations.All() {
		if op.Integration == integration {
			names = append(names, op.Name)
		}
	}
	return names
}
