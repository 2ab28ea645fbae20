package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/server"
)

// valueView is a field of an authorization as it is shown.
type valueView struct {
	Label, Value string
	Secret       bool
	Stored       bool
}

// authorizationPage is what the page of an authorization shows.
type authorizationPage struct {
	authorizationView

	Fields []valueView
	Uses   []integration.Use
	InUse  []core.Detail // why it was not removed
}

func (c *Console) page(ctx echo.Context) (authorizationPage, error) {
	i, a, err := c.one(ctx)
	if err != nil {
		return authorizationPage{}, err
	}
	p := authorizationPage{authorizationView: c.show(i, a, person(ctx))}
	if p.Uses, err = c.uses(ctx, a); err != nil {
		return p, err
	}
	if p.Way == nil {
		return p, nil
	}
	for _, f := range i.Fields(p.Way) {
		v := valueView{Label: f.Label, Value: a.Values[f.Name], Secret: f.Secret, Stored: slices.Contains(a.Secrets, f.Name)}
		for _, o := range f.Options {
			if o.Value == v.Value {
				v.Value = o.Label
			}
		}
		if f.Secret {
			v.Value = ""
		}
		p.Fields = append(p.Fields, v)
	}
	return p, nil
}

func (c *Console) authorization(ctx echo.Context) error {
	p, err := c.page(ctx)
	if err != nil {
		return err
	}
	return c.render(ctx, http.StatusOK, "authorization", view{Title: p.Name, Section: "integrations", Data: p})
}

func (c *Console) newAuthorization(ctx echo.Context) error {
	i, _, err := c.find(ctx)
	if err != nil {
		return err
	}
	if len(i.Grants) == 0 {
		return core.Errorf(core.NotFound, "There is nothing to authorize here.")
	}
	g := i.Grant(ctx.QueryParam("grant"))
	if g == nil {
		g = &i.Grants[0]
	}
	return c.draw(ctx, http.StatusOK, c.blank(i, g))
}

func (c *Console) addAuthorization(ctx echo.Context) error {
	i, known := c.o.Integrations().Integration(ctx.Param("integration"))
	if !known {
		return core.Errorf(core.NotFound, "There is no such integration.")
	}
	posted, err := form(ctx)
	if err != nil {
		return err
	}
	way := posted.Get("way") // another one was chosen
	g := i.Grant(cmp.Or(way, posted.Get("grant")))
	if g == nil {
		return core.Errorf(core.Invalid, "This integration has no such way to authorize it.")
	}
	f := c.blank(i, g)
	if way != "" {
		f.keep(posted)
		return c.draw(ctx, http.StatusOK, f)
	}
	draft := f.read(posted)
	a, err := c.o.Authorizations.Add(ctx.Request().Context(), person(ctx).Tenant, person(ctx).UPN, draft)
	if err != nil {
		return c.again(ctx, f, err)
	}
	c.did(ctx, "authorization added", a)
	c.o.Identity.Flash(ctx, flashDone, "The authorization “"+a.Name+"” is stored. Authorize it now to make it usable.")
	return c.see(ctx, c.link("integrations", i.ID, "authorizations", a.ID))
}

func (c *Console) editAuthorization(ctx echo.Context) error {
	f, err := c.filled(ctx)
	if err != nil {
		return err
	}
	return c.draw(ctx, http.StatusOK, f)
}

func (c *Console) updateAuthorization(ctx echo.Context) error {
	f, err := c.filled(ctx)
	if err != nil {
		return err
	}
	posted, err := form(ctx)
	if err != nil {
		return err
	}
	draft := f.read(posted)
	a, err := c.o.Authorizations.Update(ctx.Request().Context(), person(ctx).Tenant, person(ctx).UPN, f.Editing.ID, draft)
	if err != nil {
		return c.again(ctx, f, err)
	}
	c.did(ctx, "authorization updated", a)
	c.o.Identity.Flash(ctx, flashDone, "“"+a.Name+"” is saved. Authorize it again to make it usable.")
	return c.see(ctx, c.link("integrations", a.Integration, "authorizations", a.ID))
}

// again shows a form that was not accepted with all that was typed but secrets.
func (c *Console) again(ctx echo.Context, f authorizationForm, err error) error {
	e, status := server.Explain(err)
	switch e.Kind {
	case core.NotFound, core.Unauthenticated, core.Forbidden:
		return err
	case core.Invalid:
		status = http.StatusUnprocessableEntity
	}
	f.refuse(e)
	server.RetryAfter(ctx.Response().Header(), e)
	if broken := c.draw(ctx, status, f); broken != nil {
		return errors.Join(err, broken)
	}
	return err
}

func (c *Console) draw(ctx echo.Context, status int, f authorizationForm) error {
	title := "Add Authorization"
	if f.Editing != nil {
		title = "Update " + f.Editing.Name
	}
	if f.Refused() {
		title = "Error: " + title
	}
	return c.render(ctx, status, "form", view{Title: title, Section: "integrations", Data: f})
}

func (c *Console) confirmRemove(ctx echo.Context) error {
	p, err := c.page(ctx)
	if err != nil {
		return err
	}
	return c.render(ctx, http.StatusOK, "remove", view{Title: "Remove " + p.Name, Section: "integrations", Data: p})
}

func (c *Console) removeAuthorization(ctx echo.Context) error {
	p, err := c.page(ctx)
	if err != nil {
		return err
	}
	err = c.o.Authorizations.Remove(ctx.Request().Context(), p.Tenant, p.ID)
	if e, ok := errors.AsType[*core.Error](err); ok && e.Kind == core.Conflict {
		p.InUse = e.Details
		return c.render(ctx, http.StatusConflict, "remove", view{Title: "Error: " + p.Name + " is in use", Section: "integrations", Data: p})
	}
	if err != nil {
		return err
	}
	c.did(ctx, "authorization removed", p.Authorization)
	c.o.Identity.Flash(ctx, flashDone, "“"+p.Name+"” is removed.")
	if _, known := c.o.Integrations().Integration(p.Integration); !known {
		return c.see(ctx, c.link("integrations"))
	}
	return c.see(ctx, c.link("integrations", p.Integration))
}

func (c *Console) makeDefault(ctx echo.Context) error {
	i, a, err := c.one(ctx)
	if err != nil {
		return err
	}
	posted, err := form(ctx)
	if err != nil {
		return err
	}
	nodes, node := c.o.Integrations().Nodes(i.ID), posted.Get("node")
	err = c.o.Authorizations.MakeDefault(ctx.Request().Context(), a.Tenant, a.ID, node)
	switch e, _ := server.Explain(err); {
	case err == nil:
		c.did(ctx, "authorization made the default for "+nodeTitle(nodes, node), a)
		c.o.Identity.Flash(ctx, flashDone, "“"+a.Name+"” is now the default for "+nodeTitle(nodes, node)+".")
	case e.Kind == core.Conflict:
		c.o.Identity.Flash(ctx, flashFailed, sentence(e.Message))
	default:
		return err
	}
	to := []string{"integrations", i.ID}
	switch posted.Get("back") {
	case "result":
		return c.see(ctx, c.link("integrations", i.ID, "authorizations", a.ID, "result")+popupQuery(posted.Get("window") != ""))
	case "view":
		to = append(to, "authorizations", a.ID)
	}
	return c.see(ctx, c.link(to...))
}

func popupQuery(popup bool) string {
	if popup {
		return "?window=1"
	}
	return ""
}

// authorizationForm is the form of an authorization, drawn from the data of its
// integration.
type authorizationForm struct {
	Of      *integration.Integration
	Way     *integration.Grant
	Editing *integration.Authorization // nil: a new one

	Redirect string // address to register at the provider; "" when there is no sign-in
	NoBase   bool   // the hub does not know its own address, and a sign-in needs it

	Name     string
	NameNote string // what is wrong with the name
	Fields   []fieldView
	Message  string // what is wrong with the whole
	Problems []problem
}

// fieldView is a field of the form.
type fieldView struct {
	integration.Field

	Value  string
	Note   string // what is wrong with it
	Stored bool   // a secret that has a value
}

// AuthType is the word of the Auth Type column.
func (f authorizationForm) AuthType() string { return authType(f.Way.Type) }

// Refused tells whether the form comes back.
func (f authorizationForm) Refused() bool { return f.Message != "" }

// Input is the name of the field's control.
func (f fieldView) Input() string { return "v." + f.Name }

// HTMLPattern is the field's pattern as browsers check it; "" when they cannot.
func (f fieldView) HTMLPattern() string {
	if f.Pattern == nil || f.Multiline {
		return ""
	}
	return htmlPattern(f.Pattern.String())
}

// Needed tells whether something must be typed.
func (f fieldView) Needed() bool { return f.Required && !f.Stored }

func (c *Console) newForm(i *integration.Integration, g *integration.Grant) authorizationForm {
	f := authorizationForm{Of: i, Way: g}
	if g.Type == integration.AuthorizationCode {
		f.NoBase = c.o.BaseURL() == ""
		f.Redirect = c.o.BaseURL() + CallbackPath(i.ID)
	}
	return f
}

// blank returns the form of a new authorization.
func (c *Console) blank(i *integration.Integration, g *integration.Grant) authorizationForm {
	f := c.newForm(i, g)
	for _, field := range i.Fields(g) {
		f.Fields = append(f.Fields, fieldView{Field: field, Value: field.Default})
	}
	return f
}

// filled returns the form of the authorization of the path.
func (c *Console) filled(ctx echo.Context) (authorizationForm, error) {
	i, a, err := c.one(ctx)
	if err != nil {
		return authorizationForm{}, err
	}
	g := i.Grant(a.Grant)
	if g == nil {
		return authorizationForm{}, core.Errorf(core.NotConfigured,
			"The mapping files no longer describe this way to authorize %s. Remove the authorization and add another.", i.Title)
	}
	f := c.newForm(i, g)
	f.Editing, f.Name = &a, a.Name
	for _, field := range i.Fields(g) {
		v := fieldView{Field: field, Stored: slices.Contains(a.Secrets, field.Name)}
		if !field.Secret {
			v.Value = a.Values[field.Name]
		}
		f.Fields = append(f.Fields, v)
	}
	return f, nil
}

// read takes what was typed into the form. Secrets go into the draft only.
func (f *authorizationForm) read(posted map[string][]string) integration.Draft {
	get := func(name string) string {
		if v := posted[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	f.Name = get("name")
	d := integration.Draft{Integration: f.Of.ID, Grant: f.Way.ID, Name: f.Name, Values: map[string]string{}}
	for n := range f.Fields {
		field := &f.Fields[n]
		value := strings.ReplaceAll(get(field.Input()), "\r\n", "\n") // as browsers send lines
		if !field.Multiline {
			value = strings.TrimSpace(value)
		}
		d.Values[field.Name] = value
		if !field.Secret {
			field.Value = value
		}
	}
	return d
}

// keep takes over what was typed into the form of another way: the name and the
// integration's settings. The fields of a way are its own: what one calls by a
// name may be a secret of another.
func (f *authorizationForm) keep(posted url.Values) {
	f.Name = posted.Get("name")
	for n := range f.Of.Settings {
		if field := &f.Fields[n]; !field.Secret && posted.Has(field.Input()) {
			field.Value = posted.Get(field.Input())
		}
	}
}

// refuse notes what is wrong beside the fields and in the summary.
func (f *authorizationForm) refuse(e *core.Error) {
	f.Message = sentence(e.Message)
	switch {
	case e.Kind == core.Internal:
		f.Message = "The hub could not store this. Try again in a moment."
	case e.Kind == core.Invalid && len(e.Details) > 0:
		f.Message = correct
	case e.Kind == core.Conflict && len(e.Details) == 0:
		f.NameNote = e.Message
		f.Problems = append(f.Problems, problem{"name", "Authorization Name", e.Message})
	}
	for _, d := range e.Details {
		p := problem{Label: d.Field, Message: d.Message}
		if d.Field == "name" {
			f.NameNote, p.Anchor, p.Label = d.Message, "name", "Authorization Name"
		}
		for n := range f.Fields {
			if field := &f.Fields[n]; field.Name == d.Field {
				field.Note, p.Anchor, p.Label = d.Message, field.Input(), field.Label
			}
		}
		f.Problems = append(f.Problems, p)
	}
}
