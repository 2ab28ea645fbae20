package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"tandem/authstore"
	"tandem/core"
	"tandem/core/directory"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
)

type mappingsTry struct {
	Operation     string `arg:"" help:"INTEGRATION/OPERATION, for example salesforce/search-ani."`
	Dir           string `arg:"" optional:"" help:"Folder of mapping files; without it --mappings-dir, else the samples built in."`
	Input         string `help:"The input: JSON, a file of it, or - for standard input; else that of the test, live the operation's example." placeholder:"JSON|FILE|-"`
	Test          string `help:"The test whose recorded answers are given; else the first." placeholder:"NAME"`
	Show          bool   `help:"Show what the file redacts; not with --live."`
	Live          bool   `help:"Call the vendor, with an authorization of --tenant."`
	Tenant        string `help:"With --live: tenant of the directory."`
	Authorization string `help:"With --live: name of the authorization; else the default."`
	Yes           bool   `help:"With --live: run it although it changes something at the vendor."`
}

// tryLimit bounds a run.
const tryLimit = 90 * time.Second

// Run runs one operation and shows every call that it makes.
func (m mappingsTry) Run(ctx context.Context, p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if err := m.check(); err != nil {
		return err
	}
	id, name, _ := strings.Cut(m.Operation, "/")
	files, err := folderOf(c, m.Dir)
	if err != nil {
		return err
	}
	o, err := p.operations(files, id)
	if err != nil {
		return err
	}
	op, ok := o.operations.Operation(id, name)
	if !ok {
		return m.unknown(o.operations)
	}
	input, err := m.input()
	if err != nil {
		return err
	}
	if m.Live {
		return m.live(ctx, p, c, o, op, input)
	}
	return m.recorded(ctx, p, o, op, input)
}

// check judges the flags.
func (m mappingsTry) check() error {
	switch {
	case m.Live && m.Tenant == "":
		return errors.New("--live needs --tenant, whose authorization is used")
	case m.Live && m.Test != "":
		return errors.New("--live and --test exclude each other: the vendor answers, or a test does")
	case m.Live && m.Show:
		return errors.New("--show is for recorded answers")
	case !m.Live && (m.Tenant != "" || m.Authorization != "" || m.Yes):
		return errors.New("--tenant, --authorization and --yes go with --live")
	}
	return nil
}

func (m mappingsTry) unknown(c *operation.Catalogue) error {
	var names []string
	for _, op := range c.All() {
		names = append(names, op.Integration+"/"+op.Name)
	}
	if hint := mapping.Suggest(m.Operation, names); hint != "" || len(names) == 0 {
		return fmt.Errorf("there is no operation %q%s", m.Operation, hint)
	}
	return fmt.Errorf("there is no operation %q; there are %s", m.Operation, strings.Join(names, ", "))
}

// input reads the input that was given; nil when none was.
func (m mappingsTry) input() (map[string]any, error) {
	var text []byte
	var err error
	switch given := strings.TrimSpace(m.Input); {
	case given == "":
		return nil, nil
	case given == "-":
		text, err = io.ReadAll(os.Stdin)
	case strings.HasPrefix(given, "{"), strings.HasPrefix(given, "["):
		text = []byte(given)
	default:
		text, err = os.ReadFile(given)
	}
	if err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	var input map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // ids may be larger than a float64 tells apart
	if err := d.Decode(&input); err != nil {
		return nil, fmt.Errorf("input: want a JSON object: %w", err)
	}
	if input == nil || d.More() {
		return nil, errors.New("input: want one JSON object")
	}
	return input, nil
}

// recorded runs the operation against the answers of a test.
func (m mappingsTry) recorded(ctx context.Context, p *program, o operated, op *operation.Operation, input map[string]any) error {
	tests := o.operations.Tests(op)
	if len(tests) == 0 {
		return fmt.Errorf("%s has no tests to answer its calls: write %s, or call the vendor with --live", m.Operation, testsOf(op))
	}
	test := tests[0]
	if m.Test != "" {
		at := slices.IndexFunc(tests, func(t *operation.Test) bool { return t.Name == m.Test })
		if at < 0 {
			return fmt.Errorf("%s has no test %q", testsOf(op), m.Test)
		}
		test = tests[at]
	}
	if input == nil {
		input = test.Input
	}
	fmt.Fprintf(p.stdout, "%s, with the answers of the test %s\n", m.Operation, mapping.Quote(test.Name))
	result, differences, err := o.operations.Play(ctx, op, test, input, m.Show)
	shown := show(p.stdout, result, err)
	if len(differences) > 0 {
		fmt.Fprintln(p.stdout, "\nother calls than the test records")
	}
	for _, d := range differences {
		fmt.Fprintf(p.stdout, "  %s\n", result.Mask.Text(d))
	}
	return shown
}

// live runs the operation against the vendor, beside a hub that may be running.
func (m mappingsTry) live(ctx context.Context, p *program, c *config, o operated, op *operation.Operation, input map[string]any) error {
	if op.Writes && !m.Yes {
		return fmt.Errorf("%s changes something at the vendor: add --yes if that is wanted", m.Operation)
	}
	dir, findings := directory.Load(o.set)
	if len(findings) > 0 {
		return fmt.Errorf("mapping files: %s", findings[0])
	}
	if _, ok := dir.Tenant(m.Tenant); !ok {
		return fmt.Errorf("the directory has no tenant %q", m.Tenant)
	}
	if file, ok := strings.CutPrefix(c.DatabaseURL, "sqlite:"); ok && missing(file) {
		return fmt.Errorf("there is no database at %s: give --data-dir or --database-url as serve has it", file)
	}
	db, _, err := openDatabase(ctx, c, false, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	sealer, err := openSealer(ctx, c, db)
	if err != nil {
		return err
	}
	tokens, err := outbound.New(outbound.Options{AllowHosts: c.AllowHosts, Timeout: tokenTime})
	if err != nil {
		return err
	}
	defer tokens.Close()
	authorizations := authstore.New(authstore.Options{
		DB: db, Sealer: sealer, Clock: core.SystemClock{}, Chance: rand.Float64, HTTP: tokens.HTTPClient(),
		Integrations: func() *integration.Catalogue { return o.integrations },
		Redirect:     func(string) (string, error) { return "", errors.New("nobody signs in from here") },
	})
	defer func() { // a token that is being renewed must still be stored
		ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel()
		authorizations.Run(ended)
	}()
	client, err := outbound.New(outbound.Options{AllowHosts: c.AllowHosts, Authorizer: authorizations})
	if err != nil {
		return err
	}
	defer client.Close()
	if input == nil {
		input = op.Example
	}
	fmt.Fprintf(p.stdout, "%s, live with an authorization of %s\n", m.Operation, m.Tenant)
	runner := operation.NewRunner(operation.Options{Upstream: client, Connections: authorizations, Clock: core.SystemClock{}})
	result, err := runner.Run(ctx, operation.Request{
		Tenant: m.Tenant, Operation: op, Authorization: m.Authorization, Input: input,
		ID: core.NewID(core.SystemClock{}.Now()), Timeout: tryLimit, Detail: true,
	})
	return show(p.stdout, result, err)
}

// show prints what a run came to, masked as everywhere. The error is errShown
// when the run failed.
func show(w io.Writer, result *operation.Result, err error) error {
	for _, s := range result.Steps {
		showStep(w, s)
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "\nresult\n%s\n", indented(result.Mask.JSON(result.Output), "  "))
		return err
	}
	fmt.Fprintf(w, "\nerror\n  %s\n", result.Mask.Message(err, err.Error()))
	kind, code := core.KindOf(err), ""
	if e, ok := errors.AsType[*core.Error](err); ok {
		code = e.Code
		for _, d := range e.Details {
			if len(e.Details) == 1 { // the message says it
				break
			}
			fmt.Fprintf(w, "  %s: %s\n", d.Field, result.Mask.Text(d.Message))
		}
	}
	fmt.Fprintf(w, "  kind: %s\n", kind)
	if code != "" {
		fmt.Fprintf(w, "  code: %s\n", code)
	}
	if e, ok := errors.AsType[*operation.Error](err); ok && e.Step != "" {
		fmt.Fprintf(w, "  step: %s\n", e.Step)
	}
	return errShown
}

// showStep prints a step, or one turn of it: what was sent with >, what came
// back with <.
func showStep(w io.Writer, s operation.Step) {
	fmt.Fprintf(w, "\n%s  %s  %s\n", s.ID, s.State, s.Duration.Round(time.Microsecond))
	showExchange(w, "  > ", s.Request)
	showExchange(w, "  < ", s.Answer)
	if s.Error != "" {
		fmt.Fprintf(w, "  %s\n", s.Error)
	}
}

func showExchange(w io.Writer, edge string, e *operation.Exchange) {
	if e == nil {
		return
	}
	fmt.Fprintf(w, "%s%s\n", edge, e.Line)
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		fmt.Fprintf(w, "%s%s: %s\n", edge, name, e.Headers[name])
	}
	if e.Body != "" {
		fmt.Fprintln(w, indented(e.Body, edge))
	}
}

// indented writes JSON over several lines, each behind an edge; what is none,
// or was cut, as it is.
func indented(text, edge string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") == nil {
		text = b.String()
	}
	return edge + strings.ReplaceAll(text, "\n", "\n"+edge)
}
