package main

import (
	"fmt"
	"runtime"
)

// version is set at link time (-ldflags "-X main.version=...").
var version = "dev"

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run(p *program) error {
	_, err := fmt.Fprintf(p.stdout, "tandem %s %s\n", version, runtime.Version())
	return err
}
