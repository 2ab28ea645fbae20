package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/mappings"
)

type mappingsTest struct {
	Dir  string `arg:"" optional:"" help:"Folder of mapping files; without it --mappings-dir, else the samples built in."`
	Pick string `name:"run" help:"Only operations whose INTEGRATION/NAME holds this text." placeholder:"TEXT"`
}

// folderOf returns the mapping files that a command is about.
func folderOf(c *config, dir string) (fs.FS, error) {
	if dir == "" {
		dir = c.MappingsDir
	}
	if dir == "" {
		return mappings.FS, nil
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("there is no folder %s", dir)
	}
	return os.DirFS(dir), nil
}

// operated is what a folder says about operations.
type operated struct {
	set          *mapping.Set
	integrations *integration.Catalogue
	operations   *operation.Catalogue
}

// operations reads what operations need. What is wrong in folders whose name
// holds a text is printed, and the error then is errShown; the rest is left to
// lint, so that one integration can be worked on while another is broken.
func (p *program) operations(files fs.FS, text string) (o operated, err error) {
	var findings, found []mapping.Finding
	o.set, findings = mapping.Read(files)
	o.integrations, found = integration.Load(o.set)
	findings = append(findings, found...)
	o.operations, found = operation.Load(o.set, o.integrations)
	findings = slices.DeleteFunc(mapping.WithoutConsequences(append(findings, found...)), func(f mapping.Finding) bool {
		return !strings.Contains(path.Dir(f.File), text)
	})
	mapping.Sort(findings)
	for _, f := range findings {
		fmt.Fprintln(p.stdout, f)
	}
	if len(findings) > 0 {
		return o, errShown
	}
	return o, nil
}

// Run runs the tests of all operations, in their order, against the answers
// that stand in them.
func (m mappingsTest) Run(ctx context.Context, p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	integrations, _, _ := strings.Cut(m.Pick, "/")
	files, err := folderOf(c, m.Dir)
	if err != nil {
		return err
	}
	o, err := p.operations(files, integrations)
	if err != nil {
		return err
	}
	all, failed := 0, 0
	for _, op := range o.operations.All() {
		name := op.Integration + "/" + op.Name
		if !strings.Contains(name, m.Pick) {
			continue
		}
		all++
		if ok, err := tested(ctx, p.stdout, o.operations, op); err != nil {
			return err
		} else if !ok {
			failed++
		}
	}
	switch {
	case all == 0 && m.Pick != "":
		return fmt.Errorf("there is no operation whose name holds %q", m.Pick)
	case failed > 0:
		return fmt.Errorf("%d of %s failed", failed, countOf(all, "operation"))
	}
	_, err = fmt.Fprintf(p.stdout, "%s, all as expected.\n", countOf(all, "operation"))
	return err
}

// tested runs the tests of one operation and tells what came of them.
func tested(ctx context.Context, w io.Writer, c *operation.Catalogue, op *operation.Operation) (ok bool, err error) {
	name := op.Integration + "/" + op.Name
	tests := c.Tests(op)
	if len(tests) == 0 {
		fmt.Fprintf(w, "FAIL  %s\n      %s has no tests: write %s\n", name, op.File, testsOf(op))
		return false, nil
	}
	var wrong []string
	for _, t := range tests {
		_, differences, _ := c.RunTest(ctx, op, t)
		if err := ctx.Err(); err != nil {
			return false, err
		}
		for _, d := range differences {
			wrong = append(wrong, fmt.Sprintf("%s:%d: %s: %s", t.File, lineOf(t, d), t.Name, d))
		}
	}
	if len(wrong) == 0 {
		fmt.Fprintf(w, "ok    %s  %s\n", name, countOf(len(tests), "test"))
		return true, nil
	}
	fmt.Fprintf(w, "FAIL  %s\n", name)
	for _, line := range wrong {
		fmt.Fprintf(w, "      %s\n", line)
	}
	return false, nil
}

// lineOf returns the line of a test that a difference is about.
func lineOf(t *operation.Test, difference string) int {
	var n int
	if _, err := fmt.Sscanf(difference, "exchange %d:", &n); err == nil && n <= len(t.Exchanges) {
		return t.Exchanges[n-1].Line
	}
	return t.Line
}

// testsOf returns the file of an operation's tests.
func testsOf(op *operation.Operation) string {
	return strings.TrimSuffix(op.File, ".yaml") + "_test.yaml"
}

// countOf writes a number of things.
func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
