package console

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"tandem/core"
)

// The bounds of what is looked for, and of what a task's page shows.
const (
	maxTaskName   = 200 // bytes
	historyLength = 200
)

// findPage is the form that finds a task.
type findPage struct {
	Asked string
	None  bool // nothing is called so
}

// tasks finds a task by its id, or by its name on another platform.
func (c *Console) tasks(ctx echo.Context) error {
	asked := strings.TrimSpace(ctx.QueryParam("id"))
	p := findPage{Asked: cut(asked, maxTaskName)}
	if asked != "" && len(asked) <= maxTaskName {
		t, err := c.o.FindTask(ctx.Request().Context(), person(ctx).Tenant, asked)
		switch {
		case err == nil:
			return c.see(ctx, c.link("tasks", t.ID))
		case core.KindOf(err) != core.NotFound:
			return err
		}
	}
	p.None = asked != ""
	return c.render(ctx, http.StatusOK, "tasks", view{Title: "Tasks", Section: "tasks", Data: p})
}

// taskPage is what the page of a task shows.
type taskPage struct {
	cardView

	Tone, Label           string // of its state
	Agent                 string // who has it, or had it last
	InHand                bool
	Remote                *remoteView
	Names                 []namesView
	History               []core.Event
	Earlier               int // events that are not shown
	Section, SectionTitle string
}

// remoteView is the counterpart of a task on another platform.
type remoteView struct {
	core.Remote

	Where, Tone, Label string
	Trying             bool // the hub will try again to make it
}

// namesView holds the names that a platform has for a task.
type namesView struct {
	Where string
	Names []string
}

func (c *Console) task(ctx echo.Context) error {
	p, upn := person(ctx), ""
	page := taskPage{Section: "tasks", SectionTitle: "Tasks"}
	if !may(p.Role, readers()) {
		upn, page.Section, page.SectionTitle = p.UPN, "work", "My work"
	}
	found, err := c.o.Desk.Task(ctx.Request().Context(), p.Tenant, upn, ctx.Param("task"))
	if err != nil {
		return err
	}
	t := found.Task
	page.cardView = card(t, c.o.Clock.Now())
	page.InHand = t.State == core.StateConnected
	page.Tone, page.Label = state(t.State)
	page.Agent = cmp.Or(t.LastConnectedUser.UPN, t.LastConnectedUser.ID)
	if r := t.Remote; r.Platform != "" {
		page.Remote = &remoteView{Remote: r, Where: placeTitle(r.Platform), Trying: r.State == core.RemoteRequested && t.State != core.StateTerminated}
		page.Remote.Tone, page.Remote.Label = remoteState(r.State)
	}
	for _, platform := range slices.Sorted(maps.Keys(found.Aliases)) {
		names := slices.DeleteFunc(slices.Clone(found.Aliases[platform]), func(name string) bool { // said above
			return platform == t.Remote.Platform && name == t.Remote.ID
		})
		if len(names) > 0 {
			page.Names = append(page.Names, namesView{placeTitle(platform), names})
		}
	}
	page.Earlier = max(0, len(found.History)-historyLength)
	page.History = found.History[page.Earlier:]
	return c.render(ctx, http.StatusOK, "task", view{Title: "Task of " + page.Who, Section: page.Section, Data: page})
}

// state shows where a task stands.
func state(s core.State) (tone, label string) {
	switch s {
	case core.StateCreated:
		return toneWait, "Created"
	case core.StateAccepted:
		return toneWait, "Accepted"
	case core.StateQueued:
		return toneWait, "Waits for an agent"
	case core.StateOffered:
		return toneWait, "Offered to an agent"
	case core.StateConnected:
		return toneGood, "In hand"
	case core.StateTerminated:
		return toneWait, "Ended"
	}
	return toneWait, string(s)
}

// remoteState shows where a counterpart stands.
func remoteState(s core.RemoteState) (tone, label string) {
	switch s {
	case core.RemoteRequested:
		return toneWait, "Is being made"
	case core.RemoteOpen:
		return toneGood, "Open"
	case core.RemoteFailed:
		return toneBad, "Failed"
	case core.RemoteEnded:
		return toneWait, "Ended"
	}
	return toneWait, string(s)
}
