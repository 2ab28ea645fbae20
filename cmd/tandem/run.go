package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kong"
)

// program is what a command is lent by its surroundings.
type program struct {
	getenv func(string) string
	stdout io.Writer
	stderr io.Writer
	given  *settings // flags
}

type commands struct {
	Serve      serveCommand      `cmd:"" help:"Run the hub."`
	Demo       demoCommand       `cmd:"" help:"Run the hub with a sandbox on this machine and show one task's way through it."`
	Keys       keysCommand       `cmd:"" help:"Create, list and revoke the keys of callers."`
	SetupToken setupTokenCommand `cmd:"" help:"Print a one-time token with which a tenant's first administrator gets into the console."`
	MasterKey  masterKeyCommand  `cmd:"" help:"Replace the master key while the hub runs."`
	Mappings   mappingsCommand   `cmd:"" help:"Check, test, try and begin the files that integrators write."`
	Connector  connectorCommand  `cmd:"" help:"Write the connector by which Power Automate reaches the hub."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database up to this binary's version."`
	Version    versionCommand    `cmd:"" help:"Print the version."`

	settings
}

// errShown says that a command has already told the person what is wrong.
var errShown = errors.New("shown")

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var c commands
	code := -1
	parser, err := kong.New(&c, kong.Name("tandem"),
		kong.Description("A self-hosted integration hub for contact centres."),
		kong.Writers(stdout, stderr), kong.Exit(func(n int) { code = n }), kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
	if err != nil {
		fmt.Fprintln(stderr, "tandem:", err)
		return 1
	}
	parsed, err := parser.Parse(args)
	if code >= 0 { // help was asked for, and shown
		return code
	}
	if err != nil {
		fmt.Fprintf(stderr, "tandem: %v\nTry tandem --help.\n", err)
		return 2
	}
	p := &program{getenv: getenv, stdout: stdout, stderr: stderr, given: &c.settings}
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(p); err != nil {
		if !errors.Is(err, errShown) {
			fmt.Fprintln(stderr, "tandem:", err)
		}
		return 1
	}
	return 0
}
