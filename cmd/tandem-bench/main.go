package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if serve := plainServers[os.Args[min(1, len(os.Args)-1)]]; serve != nil && len(os.Args) == 3 {
		if err := serve(ctx, os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "tandem-bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tandem-bench:", err)
		os.Exit(1)
	}
}

// parts are what is measured, in this order.
var parts = []struct {
	name string
	run  func(*lab, context.Context) error
}{
	{"create", (*lab).create},
	{"execute", (*lab).execute},
	{"latency", (*lab).latency},
	{"fanout", (*lab).fanOut},
	{"webex node", (*lab).webexNode},
	{"webex events", (*lab).webexEvents},
	{"footprint", (*lab).footprint},
}

func run(ctx context.Context, args []string, out io.Writer) error {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	flags := flag.NewFlagSet("tandem-bench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "short rounds, for a first look")
	only := flags.String("only", "", "measure one of "+strings.Join(names, ", "))
	dir := flags.String("dir", "", "folder for the databases (TMPDIR, or the working directory if that is in memory)")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *only != "" && !slices.Contains(names, *only) {
		return fmt.Errorf("-only: want one of %s", strings.Join(names, ", "))
	}
	l, err := newLab(ctx, *dir, *quick, out)
	if err != nil {
		return err
	}
	defer l.close()
	for _, p := range parts {
		if *only != "" && *only != p.name {
			continue
		}
		if err := p.run(l, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}
