package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"tandem/adapters/cxone"
	"tandem/core/directory"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/operation"
)

// kindOfFile is a kind of mapping file.
type kindOfFile struct {
	name   string
	files  string // for which it is
	schema func() []byte
}

// kindsOfFiles are all kinds, in the order of the manual.
var kindsOfFiles = []kindOfFile{
	{"directory", "directory/<tenant>.yaml", directory.Schema},
	{"workflow", "workflows/<name>.yaml", flow.Schema},
	{"integration", "<integration>/integration.yaml", integration.Schema},
	{"operation", "<integration>/<operation>.yaml", operation.Schema},
	{"operation-test", "<integration>/<operation>_test.yaml", operation.TestSchema},
	{"entities", "<integration>/entities.yaml", operation.EntitiesSchema},
	{"nodes", "webex/nodes.yaml", integration.NodesSchema},
	{"cxone-configurations", "cxone/configurations.yaml", cxone.Schema},
}

type mappingsSchema struct {
	Kind string `arg:"" optional:"" help:"One of those that are listed without it."`
	Out  string `help:"Write all of them to this folder, as <kind>.schema.json." placeholder:"DIR"`
}

// Run prints a schema, the list of them, or writes all of them.
func (m mappingsSchema) Run(p *program) error {
	if m.Out != "" {
		return m.write(p)
	}
	if m.Kind == "" {
		return m.list(p)
	}
	var names []string
	for _, k := range kindsOfFiles {
		if k.name == m.Kind {
			_, err := p.stdout.Write(k.schema())
			return err
		}
		names = append(names, k.name)
	}
	return fmt.Errorf("there is no kind %q; there are %s", m.Kind, strings.Join(names, ", "))
}

func (mappingsSchema) list(p *program) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KIND\tFILES")
	for _, k := range kindsOfFiles {
		fmt.Fprintf(w, "%s\t%s\n", k.name, k.files)
	}
	return w.Flush()
}

// write writes all schemas, and prints what an editor that knows the YAML
// language server wants to read on top of a file.
func (m mappingsSchema) write(p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(m.Out, 0o755); err != nil { //nolint:gosec // no secret, and for every editor
		return err
	}
	fmt.Fprintln(p.stdout, "Put one of these lines on top of a file:")
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, k := range kindsOfFiles {
		if m.Kind != "" && k.name != m.Kind {
			continue
		}
		file := filepath.Join(m.Out, k.name+".schema.json")
		if err := os.WriteFile(file, k.schema(), 0o644); err != nil { //nolint:gosec // no secret, and for every editor
			return err
		}
		way, err := seen(c.MappingsDir, file)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\t# yaml-language-server: $schema=%s\n", k.files, way)
	}
	return w.Flush()
}

// seen is the way to a file as a mapping file names it: relative to its own
// folder, one below the root, when the file is in the mappings folder too.
func seen(root, file string) (string, error) {
	file, err := filepath.Abs(file)
	if err != nil || root == "" {
		return file, err
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", err
	}
	if below, err := filepath.Rel(root, file); err == nil && filepath.IsLocal(below) {
		return "../" + filepath.ToSlash(below), nil
	}
	return file, nil
}
