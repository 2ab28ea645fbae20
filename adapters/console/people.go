package console

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"tandem/adapters/console/identity"
	"tandem/core"
	"tandem/core/server"
)

func (c *Console) people(ctx echo.Context) error {
	all, err := c.o.Identity.People(ctx.Request().Context(), person(ctx).Tenant)
	if err != nil {
		return err
	}
	return c.render(ctx, http.StatusOK, "people", view{Title: "People", Section: "people", Data: all})
}

func (c *Console) newPerson(ctx echo.Context) error {
	return c.drawPerson(ctx, http.StatusOK, personPage{Role: identity.Viewer, SignsIn: "password"})
}

func (c *Console) drawPerson(ctx echo.Context, status int, p personPage) error {
	p.Roles, p.OffersSSO = roles(), c.o.SingleSignOn != ""
	title := "Add a person"
	if p.Editing != nil {
		title = "Change " + p.Editing.Name
	}
	if p.Message != "" {
		title = "Error: " + title
	}
	return c.render(ctx, status, "person", view{Title: title, Section: "people", Data: p})
}

// readPerson takes what was typed. The password is empty for single sign-on.
func (p *personPage) readPerson(ctx echo.Context) (password string, ok bool, err error) {
	posted, err := form(ctx)
	if err != nil {
		return "", false, err
	}
	p.Name, p.Role = posted.Get("name"), identity.Role(posted.Get("role"))
	if p.Editing == nil {
		p.UPN, p.SignsIn = posted.Get("upn"), posted.Get("signs-in")
	}
	password = posted.Get("password")
	p.Notes = map[string]string{}
	switch {
	case p.Editing == nil && p.SignsIn == "sso":
		return "", true, nil
	case p.Editing == nil && password == "":
		p.Notes["password"] = "Enter a password."
	case password != posted.Get("again"):
		p.Notes["again"] = twice
	}
	if len(p.Notes) > 0 {
		p.Message = correct
	}
	return password, len(p.Notes) == 0, nil
}

func (c *Console) addPerson(ctx echo.Context) error {
	var p personPage
	password, ok, err := p.readPerson(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return c.drawPerson(ctx, http.StatusUnprocessableEntity, p)
	}
	who, err := c.o.Identity.Add(ctx.Request().Context(), person(ctx).Tenant, p.UPN, p.Name, p.Role, password)
	if err != nil {
		return c.personAgain(ctx, p, err)
	}
	c.didTo(ctx, "person added", who.UPN, who.Role)
	c.o.Identity.Flash(ctx, flashDone, who.Name+" may use the console now.")
	return c.see(ctx, c.link("people"))
}

// didTo logs who has changed whose account.
func (c *Console) didTo(ctx echo.Context, what, upn string, role identity.Role) {
	c.o.Log.LogAttrs(ctx.Request().Context(), slog.LevelInfo, what, slog.String("by", person(ctx).UPN),
		slog.String("tenant", person(ctx).Tenant), slog.String("person", upn), slog.String("role", string(role)))
}

// personAgain shows the form again with what is wrong.
func (c *Console) personAgain(ctx echo.Context, p personPage, err error) error {
	e, status := server.Explain(err)
	switch e.Kind {
	case core.NotFound, core.Internal:
		return err
	case core.Invalid:
		p.Message, p.Notes, status = correct, notes(e), http.StatusUnprocessableEntity
	default:
		p.Message = e.Message
	}
	if broken := c.drawPerson(ctx, status, p); broken != nil {
		return errors.Join(err, broken)
	}
	return err
}

// onePerson returns the form of the person of the path.
func (c *Console) onePerson(ctx echo.Context) (personPage, error) {
	me := person(ctx)
	all, err := c.o.Identity.People(ctx.Request().Context(), me.Tenant)
	if err != nil {
		return personPage{}, err
	}
	for _, p := range all {
		if p.ID == ctx.Param("person") {
			return personPage{Editing: &p, Self: p.ID == me.ID, UPN: p.UPN, Name: p.Name, Role: p.Role}, nil
		}
	}
	return personPage{}, core.Errorf(core.NotFound, "There is no such person.")
}

func (c *Console) editPerson(ctx echo.Context) error {
	p, err := c.onePerson(ctx)
	if err != nil {
		return err
	}
	return c.drawPerson(ctx, http.StatusOK, p)
}

func (c *Console) changePerson(ctx echo.Context) error {
	p, err := c.onePerson(ctx)
	if err != nil {
		return err
	}
	password, ok, err := p.readPerson(ctx)
	if err != nil {
		return err
	}
	if !ok {
		return c.drawPerson(ctx, http.StatusUnprocessableEntity, p)
	}
	err = c.o.Identity.Change(ctx.Request().Context(), p.Editing.Tenant, p.Editing.ID, p.Name, p.Role, password)
	if err != nil {
		return c.personAgain(ctx, p, err)
	}
	c.didTo(ctx, "person changed", p.Editing.UPN, p.Role)
	if p.Self && password != "" { // the new password ended this session too
		return c.see(ctx, c.link("login"))
	}
	c.o.Identity.Flash(ctx, flashDone, p.Editing.UPN+" is changed.")
	if p.Self && p.Role != identity.Admin { // the list of people is no longer theirs to see
		return c.see(ctx, c.link())
	}
	return c.see(ctx, c.link("people"))
}

func (c *Console) confirmPerson(ctx echo.Context) error {
	p, err := c.onePerson(ctx)
	if err != nil {
		return err
	}
	return c.render(ctx, http.StatusOK, "remove-person", view{Title: "Remove " + p.Name, Section: "people", Data: p})
}

func (c *Console) removePerson(ctx echo.Context) error {
	p, err := c.onePerson(ctx)
	if err != nil {
		return err
	}
	err = c.o.Identity.Remove(ctx.Request().Context(), p.Editing.Tenant, p.Editing.ID)
	if e, ok := errors.AsType[*core.Error](err); ok && e.Kind == core.Conflict {
		p.LastOfRole = e.Message
		return c.render(ctx, http.StatusConflict, "remove-person", view{Title: "Error: Remove " + p.Name, Section: "people", Data: p})
	}
	if err != nil {
		return err
	}
	c.didTo(ctx, "person removed", p.UPN, p.Role)
	c.o.Identity.Flash(ctx, flashDone, p.UPN+" may not use the console any more.")
	return c.see(ctx, c.link("people"))
}
