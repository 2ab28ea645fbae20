package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core/execution"
	"tandem/core/operation"
)

// Executions are the runs of a tenant. One of another tenant is NotFound.
type Executions interface {
	List(ctx context.Context, f execution.Filter) ([]execution.Run, error) // newest first
	Get(ctx context.Context, tenant, id string) (execution.Run, error)
}

// The bounds of what is asked for.
const (
	runsShown = 50
	maxTitle  = 100 // characters
	maxRunID  = 64
)

// runView is a run as the pages show it.
type runView struct {
	execution.Run

	Of       string // the operation in words of the mapping files
	Source   string // the platform
	Tone     string
	Lasted   string
	Contents bool // the reader may see what went in and came out
	Steps    []stepView
	Input    string
	Result   string
}

// stepView is a step as the pages show it.
type stepView struct {
	operation.Step

	Tone, Label     string
	Lasted          string
	From, Width     int // of its bar, in thousandths of the run
	Asked, Answered *exchangeView
	Method, Address string
	Contained       bool // it holds more than its head
}

// exchangeView is one side of a call as the pages show it.
type exchangeView struct {
	Line, Headers, Body string
}

// executionsPage is what the page of the runs shows.
type executionsPage struct {
	Title  string
	Failed bool
	Paged  bool // older ones than the newest are shown
	Runs   []runView
	Newest string // address of the first page
	Older  string // address of the next page; empty: there is none
}

// Filtered tells whether some runs are left out.
func (p executionsPage) Filtered() bool { return p.Failed || p.Title != "" }

func (c *Console) executions(ctx echo.Context) error {
	p := executionsPage{
		Title:  strings.TrimSpace(cut(ctx.QueryParam("title"), maxTitle)),
		Failed: ctx.QueryParam("show") == "failed",
	}
	if p.Title != "" && !live(ctx) {
		if r, err := c.o.Executions.Get(ctx.Request().Context(), person(ctx).Tenant, p.Title); err == nil {
			return c.see(ctx, c.link("executions", r.ID)) // the filter is a correlation id
		}
	}
	filter := execution.Filter{Tenant: person(ctx).Tenant, Failed: p.Failed, Text: p.Title, Limit: runsShown + 1}
	if before := ctx.QueryParam("before"); len(before) <= maxRunID {
		filter.Before, p.Paged = before, before != ""
	}
	runs, err := c.o.Executions.List(ctx.Request().Context(), filter)
	if err != nil {
		return err
	}
	query := url.Values{}
	if p.Title != "" {
		query.Set("title", p.Title)
	}
	if p.Failed {
		query.Set("show", "failed")
	}
	address := func() string { return strings.TrimSuffix(c.link("executions")+"?"+query.Encode(), "?") }
	p.Newest = address()
	if len(runs) > runsShown {
		runs = runs[:runsShown]
		query.Set("before", runs[runsShown-1].ID)
		p.Older = address()
	}
	for _, r := range runs {
		p.Runs = append(p.Runs, c.run(r, false))
	}
	query.Del("before")
	if p.Paged {
		query.Set("before", filter.Before)
	}
	return c.render(ctx, http.StatusOK, "executions", view{Title: "Executions", Section: "executions", Query: query.Encode(), Data: p})
}

func (c *Console) execution(ctx echo.Context) error {
	r, err := c.o.Executions.Get(ctx.Request().Context(), person(ctx).Tenant, ctx.Param("execution"))
	if err != nil {
		return err
	}
	v := c.run(r, may(person(ctx).Role, checkers()))
	return c.render(ctx, http.StatusOK, "execution", view{Title: v.Title, Section: "executions", Data: v})
}

// run shows a run, and what went in and came out only to whom it concerns.
func (c *Console) run(r execution.Run, contents bool) runView {
	v := runView{
		Run: r, Of: c.operationTitle(r), Source: sourceTitle(r.Platform), Tone: toneGood, Lasted: lasted(r.Duration),
		Contents: contents, Steps: steps(r.Steps, contents),
	}
	if v.Title == "" {
		v.Title = "Run without a title"
	}
	if r.Failed {
		v.Tone = toneBad
	}
	if contents {
		v.Input, v.Result = pretty(r.Input), pretty(r.Result)
	}
	return v
}

func (c *Console) operationTitle(r execution.Run) string {
	if r.Integration == "" || r.Operation == "" {
		return ""
	}
	return r.Integration + "/" + r.Operation
}

func sourceTitle(platform string) string {
	if title, ok := map[string]string{
		"cxone": "CXone", "webex": "Webex", "powerautomate": "Power Automate", "console": "Playground", "workflow": "Workflow",
	}[platform]; ok {
		return title
	}
	return platform
}

// stepTones are how the states of a step look.
var stepTones = map[string]string{
	operation.StepOK: toneGood, operation.StepSkipped: toneWait, operation.StepContinued: toneWarn, operation.StepFailed: toneBad,
}

// steps shows the steps of a run, one after the other on the same scale.
func steps(all []operation.Step, contents bool) []stepView {
	var total, at time.Duration
	for _, s := range all {
		total += max(0, s.Duration)
	}
	views := make([]stepView, len(all))
	for n, s := range all {
		v := stepView{Step: s, Tone: stepTones[s.State], Label: strings.ToUpper(s.State[:min(1, len(s.State))]) + s.State[min(1, len(s.State)):], Lasted: lasted(s.Duration)}
		if s.State == operation.StepOK {
			v.Label = "OK"
		}
		if v.Tone == "" {
			v.Tone = toneWait
		}
		if s.Duration > 0 {
			v.From, v.Width = int(at*1000/total), max(6, int(max(0, s.Duration)*1000/total))
			v.From = min(v.From, 1000-v.Width)
		}
		at += max(0, s.Duration)
		v.Method, v.Address, _ = strings.Cut(s.Call, " ")
		if contents {
			v.Asked, v.Answered = exchange(s.Request), exchange(s.Answer)
		}
		v.Contained = v.Asked != nil || v.Answered != nil
		views[n] = v
	}
	return views
}

func exchange(e *operation.Exchange) *exchangeView {
	if e == nil {
		return nil
	}
	v := exchangeView{Line: e.Line, Body: pretty(e.Body)}
	lines := make([]string, 0, len(e.Headers))
	for name, value := range e.Headers {
		lines = append(lines, name+": "+value)
	}
	slices.Sort(lines)
	v.Headers = strings.Join(lines, "\n")
	return &v
}
