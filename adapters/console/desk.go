package console

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
)

// Desk is where a tenant's agents find their work. upn is that of the person who
// is signed in. A task of another tenant, and one that the person may not see,
// is NotFound.
type Desk interface {
	Work(ctx context.Context, tenant, upn string) (Work, error)
	Accept(ctx context.Context, tenant, upn, task string) error // Conflict: somebody else was faster, or it has ended
	Return(ctx context.Context, tenant, upn, task string) error // back into the queue
	Close(ctx context.Context, tenant, upn, task string) error
	Task(ctx context.Context, tenant, upn, task string) (TaskView, error) // upn "": of whomever it is
}

// Work is what waits for an agent, the one to take first at the front, and what
// the agent has in hand.
type Work struct {
	Agent           bool // the person is an agent of the directory
	Waiting, InHand []core.Task
}

// TaskView is a task with all that the hub knows of it.
type TaskView struct {
	Task    core.Task
	History []core.Event        // oldest first
	Aliases map[string][]string // its names by platform
}

// The bounds of what the desk shows.
const (
	waitingShown = 50
	newFor       = time.Minute // how long a page counts as new
)

// workers may take tasks.
func workers() []identity.Role {
	return []identity.Role{identity.Admin, identity.Supervisor, identity.Agent}
}

// cardView is a task as the pages show it.
type cardView struct {
	core.Task

	Who      string // the customer
	For      string // the service
	Medium   string
	Urgency  string // its priority in words
	Urgent   bool
	Where    string // who brings it to people
	Known    []fact // of the customer
	Pages    []popView
	Received string // what the customer wrote first
}

// fact is something known, by its name.
type fact struct{ Label, Value string }

// popView is a page that the agent is shown.
type popView struct {
	N      int    // its place among those of the task, which newer ones do not change
	URL    string // empty: not an address that may be opened
	Host   string
	Reused bool // it opens in the tab of the page before
	Note   string
	New    bool
	First  bool // the newest
	For    string
	At     time.Time
}

// workPage is what the page of an agent's work shows.
type workPage struct {
	Agent   bool
	UPN     string
	Waiting []cardView
	More    int // that wait and are not shown
	InHand  []cardView
}

func (c *Console) work(ctx echo.Context) error {
	p := person(ctx)
	w, err := c.o.Desk.Work(ctx.Request().Context(), p.Tenant, p.UPN)
	if err != nil {
		return err
	}
	page := workPage{Agent: w.Agent, UPN: p.UPN, More: max(0, len(w.Waiting)-waitingShown)}
	now := c.o.Clock.Now()
	for _, t := range w.Waiting[:len(w.Waiting)-page.More] {
		page.Waiting = append(page.Waiting, card(t, now))
	}
	for _, t := range w.InHand {
		page.InHand = append(page.InHand, card(t, now))
	}
	// A page that is to open in the tab of the one before it finds that tab only
	// when the browser keeps the two together. All others are kept apart by their
	// links.
	ctx.Response().Header().Set("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
	return c.render(ctx, http.StatusOK, "desk", view{Title: "My work", Section: "work", Data: page})
}

func (c *Console) acceptTask(ctx echo.Context) error {
	return c.act(ctx, c.o.Desk.Accept, "task accepted", "The task is yours now: it stands under In hand.")
}

func (c *Console) returnTask(ctx echo.Context) error {
	return c.act(ctx, c.o.Desk.Return, "task returned", "The task is back in the queue.")
}

func (c *Console) closeTask(ctx echo.Context) error {
	return c.act(ctx, c.o.Desk.Close, "task closed", "The task is closed.")
}

// act does something to the task of the path and leads back to the desk, which
// shows what has become of it either way.
func (c *Console) act(ctx echo.Context, do func(ctx context.Context, tenant, upn, task string) error, what, done string) error {
	p, id := person(ctx), ctx.Param("task")
	err := do(ctx.Request().Context(), p.Tenant, p.UPN, id)
	if err == nil {
		c.o.Log.LogAttrs(ctx.Request().Context(), slog.LevelInfo, what,
			slog.String("by", p.UPN), slog.String("tenant", p.Tenant), slog.String("task", id))
	}
	return c.tell(ctx, err, done, "work")
}

// card shows a task.
func card(t core.Task, now time.Time) cardView {
	v := cardView{
		Task: t, Who: customer(t), For: service(t.Service), Medium: cmp.Or(mediums[t.Modality], string(t.Modality)), Urgency: cmp.Or(priorities[t.Priority], string(t.Priority)),
		Urgent: t.Priority == core.PriorityVeryHigh || t.Priority == core.PriorityHigh, Where: placeTitle(t.Service.Target),
		Known: known(t), Received: received(t),
	}
	for n, p := range slices.Backward(t.Pops) {
		page := pop(p, now)
		page.N, page.First = n, n == len(t.Pops)-1
		v.Pages = append(v.Pages, page)
	}
	return v
}

var mediums = map[core.Modality]string{
	core.Audio: "Call", core.InstantMessaging: "Chat", core.ExternalTask: "Task", core.Email: "E-mail",
}

var priorities = map[core.Priority]string{
	core.PriorityVeryHigh: "Very high", core.PriorityHigh: "High", core.PriorityNormal: "Normal",
	core.PriorityLow: "Low", core.PriorityVeryLow: "Very low",
}

// placeTitle names who brings a task to people, for people.
func placeTitle(target string) string {
	switch target {
	case "":
		return "Tandem"
	case core.PlatformWebex:
		return webexTitle
	default:
		return sourceTitle(target)
	}
}

// customer names the person behind a task by the best that is known.
func customer(t core.Task) string {
	c := t.Customer
	return cmp.Or(
		c.DisplayName, strings.TrimSpace(c.FirstName+" "+c.LastName), c.Company, t.CustomerIdentifier,
		c.Email, c.PrimaryTelNumber, t.Caller.TelNumber, t.Caller.UPN, "Unknown customer",
	)
}

func service(s core.ServiceRef) string {
	return cmp.Or(s.DisplayName, s.Name, s.UPN)
}

// known lists what is known of the customer.
func known(t core.Task) []fact {
	c := t.Customer
	all := []fact{
		{"Name", strings.TrimSpace(c.FirstName + " " + c.LastName)},
		{"Company", c.Company},
		{"Job title", c.JobTitle},
		{"Department", c.Department},
		{"Telephone", c.PrimaryTelNumber},
		{"E-mail", c.Email},
		{"Messaging", c.IMAddress},
		{"User name", c.UPN},
		{"Street", c.StreetAddress},
		{"City", strings.TrimSpace(c.PostCode + " " + c.City)},
		{"State", c.State},
		{"Country", c.Country},
		{"Calls from", t.Caller.TelNumber},
		{"Customer id", t.CustomerIdentifier},
	}
	for _, v := range c.TelNumbers {
		all = append(all, fact{v.Name, v.Value})
	}
	for _, v := range c.CustomFields {
		all = append(all, fact{v.Name, v.Value})
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}

// received is what the customer wrote first.
func received(t core.Task) string {
	if t.InitialMessage != "" {
		return t.InitialMessage
	}
	return strings.TrimSpace(t.Mail.Subject + "\n\n" + t.Mail.PlainText)
}

// pop shows a page that the agent is shown.
func pop(p core.Pop, now time.Time) popView {
	v := popView{New: now.Sub(p.At) < newFor, Reused: p.Target == core.ExistingBrowserTab, For: p.Agent, At: p.At}
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		v.Note = "Its address is not that of a web page, so it cannot be opened."
		return v
	}
	v.URL, v.Host = u.String(), u.Host
	switch p.Target {
	case core.InsideDesktop:
		v.Note = "Meant for inside the desktop, where the console shows no pages of others: it opens in a new tab."
	case core.ExistingBrowserTab:
		v.Note = "Opens in the tab of the page before it."
	case core.NewBrowserTab:
		v.Note = "Opens in a new tab."
	}
	return v
}
