package main

import (
	"fmt"
	"os"
	"path/filepath"

	"tandem/adapters/powerautomate/connector"
)

type connectorCommand struct {
	Export connectorExport `cmd:"" help:"Write the files of the custom connector by which Power Automate reaches this hub."`
}

type connectorExport struct {
	Out    string `required:"" help:"Folder for the files; made when missing, files of an earlier export are replaced." placeholder:"DIR"`
	Format string `default:"certified" enum:"certified" help:"Names and forms of the operations: ${enum}."`
}

// Run writes the files and says what to do with them.
func (e connectorExport) Run(p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	files, err := connector.Export(c.PublicURL)
	if err != nil {
		return fmt.Errorf("public-url: %w", err)
	}
	if err := os.MkdirAll(e.Out, 0o755); err != nil { //nolint:gosec // whoever imports the files must reach them
		return fmt.Errorf("folder of the connector: %w", err)
	}
	for _, f := range files {
		path := filepath.Join(e.Out, f.Name)
		if err := os.WriteFile(path, f.Data, 0o644); err != nil { //nolint:gosec // it holds no secret
			return fmt.Errorf("file of the connector: %w", err)
		}
		fmt.Fprintln(p.stdout, "Wrote", path)
	}
	if c.PublicURL == "" {
		fmt.Fprint(p.stdout, `
The files say https://localhost, because public-url is not set. Set it and
export again, or enter the hub's address in each connection.
`)
	}
	_, err = fmt.Fprintf(p.stdout, `
Next:
  1. Make a key for the user in whose name flows call the hub:
       tandem keys create --adapter powerautomate --tenant TENANT --user UPN
  2. Create the connector with Microsoft's tool (pip install paconn):
       paconn login
       paconn create --api-def %q --api-prop %q
  3. In Power Automate, open the connector and add a connection: the Location is
     the hub's https address, without a slash at the end; the API key is the key.
     Test the operation TestConnection.
`, filepath.Join(e.Out, connector.DefinitionFile), filepath.Join(e.Out, connector.PropertiesFile))
	return err
}
