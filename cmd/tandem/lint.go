package main

import (
	"fmt"
	"io/fs"
	"os"

	"tandem/core/directory"
	"tandem/core/flow"
	"tandem/core/mapping"
	"tandem/mappings"
)

type mappingsCommand struct {
	Lint mappingsLint `cmd:"" help:"Print everything that is wrong with the mapping files; exit 1 if anything is."`
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
	var files fs.FS = mappings.FS
	if m.Dir == "" {
		m.Dir = c.MappingsDir
	}
	if m.Dir != "" {
		files = os.DirFS(m.Dir)
	}
	set, findings := mapping.Read(files)
	if len(findings) == 0 {
		_, _, findings = check(set)
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

// check reads all that a set holds and how its parts fit together.
func check(set *mapping.Set) (*directory.Directory, map[string]*flow.Workflow, []mapping.Finding) {
	dir, findings := directory.Load(set)
	flows, found := flow.Load(set)
	findings = append(findings, found...)
	if len(findings) == 0 {
		names := make([]string, 0, len(flows))
		for name := range flows {
			names = append(names, name)
		}
		findings = dir.CheckWorkflows(names)
	}
	return dir, flows, findings
}
