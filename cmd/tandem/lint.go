package main

import (
	"fmt"
	"maps"
	"path"
	"slices"

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
	sound := len(findings) == 0 // else a test may be in a file that could not be read
	for _, op := range all.operations.All() {
		if sound && len(all.operations.Tests(op)) == 0 {
			findings = append(findings, mapping.Finding{File: op.File, Line: 1, Column: 1, Message: "has no tests: write " + testsOf(op)})
		}
	}
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

// checkAll is check, and how the files fit together. Of a set that lacks the files
// that Read has found something about, what is said because they are missing is
// left out.
func checkAll(set *mapping.Set, unread []mapping.Finding) (contents, []mapping.Finding) {
	c, findings := check(set)
	if len(unread) == 0 {
		findings = append(findings, c.references(findings)...)
		mapping.Sort(findings)
		return c, findings
	}
	rooms := map[string]bool{} // folders that lack a file
	for _, f := range unread {
		rooms[path.Dir(f.File)] = true
	}
	findings = slices.DeleteFunc(findings, func(f mapping.Finding) bool {
		room := path.Dir(f.File)
		return rooms[room] || room == "cxone" || room == "webex" // which refer to others
	})
	findings = append(findings, unread...)
	mapping.Sort(findings)
	return c, findings
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

// references are the findings about what one file says of another. Where the
// other, or the folder that it is in, has findings of its own, nothing is said:
// it may be missing for that reason alone.
func (c *contents) references(findings []mapping.Finding) []mapping.Finding {
	wrong, integrations := map[string]bool{}, true // folders; whether those of all integrations are right
	for _, f := range findings {
		room := path.Dir(f.File)
		wrong[room] = true
		integrations = integrations && (room == "directory" || room == "workflows" || room == "cxone" || room == "webex")
	}
	var found []mapping.Finding
	if !wrong["directory"] && !wrong["workflows"] {
		found = c.directory.CheckWorkflows(slices.Collect(maps.Keys(c.flows)))
	}
	if integrations {
		found = append(found, flow.Check(c.flows, c.inputs)...)
		if !wrong["webex"] {
			found = append(append(found, c.integrations.CheckNodes(c.names)...), c.integrations.CheckMethods(webex.Methods())...)
		}
	}
	return found
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
