package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/server"
)

// Trial is one run of an operation in the playground.
type Trial struct {
	Tenant        string
	By            string // UPN
	Operation     *operation.Operation
	Test          string // name of the test whose recorded answers it gets; empty: it is live
	Authorization string // name; of a live run only, and empty where the integration needs none
	Input         map[string]any
}

// Outcome is what a trial came to.
type Outcome struct {
	Result      *operation.Result
	Err         error
	Differences []string // from what was recorded, for people
	Branch      string   // that a workflow of CXone would take
	BranchCode  string   // of its error; empty: none
}

// maxInput is how large an input may be, in bytes.
const maxInput = 256 << 10

// The ways in which an operation is tried.
const (
	modeRecorded = "recorded"
	modeLive     = "live"
)

// operationGroup is an integration with its operations.
type operationGroup struct {
	ID, Title  string
	Operations []operationEntry
}

type operationEntry struct {
	*operation.Operation

	Tests int
}

// trialPage is what the page of an operation shows.
type trialPage struct {
	*operation.Operation

	Of             string // title of the integration
	Takes          []inputView
	Tests          []*operation.Test
	Authorizations []integration.Authorization // that work
	Open           bool                        // the integration needs no authorization

	Mode, Test, Authorization string // what is chosen
	Text                      string // the input
	Confirmed                 bool

	Message string
	Notes   map[string]string // by field
	Anchors []problem
	Outcome *outcomeView
}

// Refused tells whether the form comes back.
func (p trialPage) Refused() bool { return p.Message != "" }

// Problems is the summary of what is wrong.
func (p trialPage) Problems() []problem { return p.Anchors }

// Note says what is wrong with a field.
func (p trialPage) Note(field string) string { return p.Notes[field] }

// Live tells whether the operation can be tried against the real system.
func (p trialPage) Live() bool { return p.Open || len(p.Authorizations) > 0 }

func (p *trialPage) refuse(field, message string) {
	if p.Notes == nil {
		p.Notes = map[string]string{}
	}
	p.Message, p.Notes[field] = correct, message
	p.Anchors = append(p.Anchors, problem{Anchor: field, Label: map[string]string{"input": "Input"}[field], Message: message})
}

func (c *Console) playground(ctx echo.Context) error {
	id, name := ctx.QueryParam("integration"), ctx.QueryParam("operation")
	if id == "" && name == "" {
		groups := c.operationGroups()
		return c.render(ctx, http.StatusOK, "playground", view{Title: "Playground", Section: "playground", Data: groups})
	}
	p, err := c.trial(ctx, id, name)
	if err != nil {
		return err
	}
	p.begin(ctx.QueryParam("test"))
	return c.drawTrial(ctx, http.StatusOK, p)
}

func (c *Console) operationGroups() []operationGroup {
	catalogue := c.o.Operations()
	var groups []operationGroup
	for _, o := range catalogue.All() {
		if last := len(groups) - 1; last < 0 || groups[last].ID != o.Integration {
			groups = append(groups, operationGroup{ID: o.Integration, Title: c.titles([]string{o.Integration})})
		}
		g := &groups[len(groups)-1]
		g.Operations = append(g.Operations, operationEntry{o, len(catalogue.Tests(o))})
	}
	slices.SortStableFunc(groups, func(a, b operationGroup) int {
		return strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title))
	})
	return groups
}

// trial returns the page of an operation with nothing filled in.
func (c *Console) trial(ctx echo.Context, id, name string) (*trialPage, error) {
	catalogue := c.o.Operations()
	o, known := catalogue.Operation(id, name)
	if !known {
		return nil, core.Errorf(core.NotFound, "There is no such operation in the mapping files.")
	}
	p := &trialPage{Operation: o, Of: c.titles([]string{id}), Mode: modeRecorded, Tests: catalogue.Tests(o)}
	for _, in := range o.Inputs {
		p.Takes = append(p.Takes, takes(in))
	}
	if i, ok := c.o.Integrations().Integration(id); ok && i.NoAuthorization {
		p.Open = true
	}
	if p.Open {
		return p, nil
	}
	all, err := c.o.Authorizations.List(ctx.Request().Context(), person(ctx).Tenant, id)
	if err != nil {
		return nil, err
	}
	standard := integration.Choose(all, "", "")
	for _, a := range all {
		if a.Status != integration.Authorized {
			continue
		}
		p.Authorizations = append(p.Authorizations, a)
		if standard != nil && a.ID == standard.ID {
			p.Authorization = a.Name
		}
	}
	return p, nil
}

// begin fills in a test, the first one if none is named, or the example.
func (p *trialPage) begin(test string) {
	if len(p.Tests) == 0 {
		p.Mode = modeLive
	} else if p.test(test) == nil {
		test = p.Tests[0].Name
	}
	p.fill(test)
}

func (p *trialPage) test(name string) *operation.Test {
	for _, t := range p.Tests {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// fill takes over the input of a test, or the example for none.
func (p *trialPage) fill(test string) {
	p.Text = inputText(p.Example)
	if t := p.test(test); t != nil {
		p.Test, p.Text = t.Name, inputText(t.Input)
	}
}

func (c *Console) drawTrial(ctx echo.Context, status int, p *trialPage) error {
	title := p.Title
	if p.Refused() {
		title = "Error: " + title
	}
	return c.render(ctx, status, "trial", view{Title: title, Section: "playground", Data: p})
}

func (c *Console) try(ctx echo.Context) error {
	posted, err := form(ctx)
	if err != nil {
		return err
	}
	p, err := c.trial(ctx, posted.Get("integration"), posted.Get("operation"))
	if err != nil {
		return err
	}
	p.keep(posted)
	switch posted.Get("fill") { // another input was asked for, and nothing else
	case "example":
		p.fill("")
		return c.drawTrial(ctx, http.StatusOK, p)
	case "test":
		p.Mode = modeRecorded
		p.fill(p.Test)
		return c.drawTrial(ctx, http.StatusOK, p)
	}
	t := Trial{Tenant: person(ctx).Tenant, By: person(ctx).UPN, Operation: p.Operation}
	p.read(&t)
	if p.Refused() {
		return c.drawTrial(ctx, http.StatusUnprocessableEntity, p)
	}
	began := c.o.Clock.Now()
	outcome := c.o.Try(ctx.Request().Context(), t)
	p.Outcome = c.outcome(ctx, t, outcome, c.o.Clock.Now().Sub(began))
	p.Confirmed = false // the next one changes something again
	return c.drawTrial(ctx, http.StatusOK, p)
}

// keep takes over what was typed and chosen.
func (p *trialPage) keep(posted url.Values) {
	p.Mode, p.Test = posted.Get("mode"), posted.Get("test")
	if posted.Has("authorization") {
		p.Authorization = posted.Get("authorization")
	}
	p.Text = strings.ReplaceAll(posted.Get("input"), "\r\n", "\n")
	p.Confirmed = posted.Get("confirm") == "yes"
}

// read makes a trial of the form, or notes what is wrong with it.
func (p *trialPage) read(t *Trial) {
	var wrong string
	if t.Input, wrong = parseInput(p.Text); wrong != "" {
		p.refuse("input", wrong)
	}
	switch {
	case p.Mode == modeRecorded && p.test(p.Test) != nil:
		t.Test = p.Test
		return
	case p.Mode == modeRecorded:
		p.refuse("test", "Choose one of the recorded tests.")
		return
	case p.Mode != modeLive:
		p.refuse("mode-live", "Choose where the answers come from.")
		return
	}
	t.Authorization = p.Authorization
	switch {
	case p.Open:
		t.Authorization = ""
	case !p.Live():
		p.refuse("mode-live", "No authorization of "+p.Of+" works now. An administrator can authorize one.")
	case !slices.ContainsFunc(p.Authorizations, func(a integration.Authorization) bool { return a.Name == p.Authorization }):
		p.refuse("authorization", "Choose one of the authorizations that work.")
	}
	if p.Writes && !p.Confirmed {
		p.refuse("confirm", "Tick the box to run it: it changes data at "+p.Of+".")
	}
}

// outcomeView is what a trial came to, for people.
type outcomeView struct {
	Good          bool
	Heading, Said string
	Kind, Code    string
	Step          string
	Upstream      int
	Wrote         bool
	Branch        string // of CXone
	BranchCode    string
	Details       []core.Detail
	Recorded      string // the test
	Differences   []string
	Steps         []stepView
	Output        string
	Lasted        string
}

// kindWords say what became of a run, by kind; a kind without is the hub's fault.
var kindWords = map[core.Kind]string{
	core.Invalid:            "The input was refused",
	core.Unauthenticated:    "The credential was refused",
	core.Forbidden:          "The other side does not allow this",
	core.NotConfigured:      "Something is not set up",
	core.NeedsAuthorization: "An authorization is missing",
	core.NotFound:           "The other side does not know this",
	core.Conflict:           "The state of things does not allow this",
	core.Throttled:          "There were too many calls",
	core.Unavailable:        "The other side is not available",
	core.Timeout:            "It took too long",
	core.Uncertain:          "It is not known whether it took effect",
	core.ResultTooLarge:     "The answer is too large",
	core.Mapping:            "The mapping file does not fit this input or answer",
}

// outcome shows what a trial came to.
func (c *Console) outcome(ctx echo.Context, t Trial, o Outcome, took time.Duration) *outcomeView {
	v := &outcomeView{
		Good: o.Err == nil, Heading: "It worked", Branch: o.Branch, BranchCode: o.BranchCode, Recorded: t.Test, Differences: o.Differences, Lasted: lasted(took),
	}
	if o.Result != nil {
		v.Steps = steps(o.Result.Steps, true)
		if o.Err == nil {
			v.Output = pretty(o.Result.Mask.JSON(o.Result.Output))
		}
	}
	if o.Err == nil {
		return v
	}
	e, _ := server.Explain(o.Err)
	v.Kind, v.Code, v.Said, v.Details = string(e.Kind), e.Code, sentence(e.Message), e.Details
	v.Heading = kindWords[e.Kind]
	if v.Heading == "" {
		v.Heading, v.Said, v.Details = "Something went wrong", "The fault is the hub's. It has been noted with the request id "+server.RequestID(ctx)+".", nil
		c.o.Log.Error("a trial failed", "tenant", t.Tenant, "integration", t.Operation.Integration, "operation", t.Operation.Name,
			"request_id", server.RequestID(ctx), "error", o.Err)
	}
	if failed, ok := errors.AsType[*operation.Error](o.Err); ok {
		v.Step, v.Upstream, v.Wrote = failed.Step, failed.Upstream, failed.Wrote
	}
	return v
}
