package console

import (
	"strings"

	"tandem/adapters/console/identity"
	"tandem/core"
)

// What forms say of themselves.
const (
	correct = "Please correct what is marked below."
	twice   = "The two passwords differ."
)

// textField is a control of a form whose fields are known beforehand.
type textField struct {
	ID, Label, Help, Note string
	Type, Value           string
	Autocomplete          string
	Optional              bool
	Least, Most           int // characters
}

// problem is a line of the summary of what is wrong.
type problem struct{ Anchor, Label, Message string }

// Text names the field, unless the message does.
func (p problem) Text() string {
	if p.Label == "" || strings.HasPrefix(p.Message, p.Label) {
		return p.Message
	}
	return p.Label + ": " + p.Message
}

// accountFields are the controls of the forms about people.
func accountFields() []textField {
	return []textField{
		{ID: "token", Label: "Setup token", Type: "text", Autocomplete: "off"},
		{
			ID: "upn", Label: "User name", Type: "email", Autocomplete: "off", Most: 254,
			Help: "Written like name@example.com; single sign-on must give the same.",
		},
		{ID: "name", Label: "Name", Help: "As others see it; without one, the user name.", Type: "text", Autocomplete: "off", Most: 100, Optional: true},
		{ID: "password", Label: "Password", Help: "At least 12 characters.", Type: "password", Autocomplete: "new-password", Least: 12, Most: 128},
		{ID: "again", Label: "Password, once more", Type: "password", Autocomplete: "new-password", Least: 12, Most: 128},
	}
}

// accountField returns one of the controls with what was typed.
func accountField(id string, values, notes map[string]string) textField {
	for _, f := range accountFields() {
		if f.ID == id {
			f.Value, f.Note = values[id], notes[id]
			return f
		}
	}
	return textField{ID: id}
}

// accountProblems is the summary of what is wrong with a form about people.
func accountProblems(notes map[string]string) []problem {
	var all []problem
	for _, f := range append(accountFields(), textField{Label: "Role", ID: "role"}) {
		if note := notes[f.ID]; note != "" {
			all = append(all, problem{f.ID, f.Label, note})
		}
	}
	return all
}

// notes returns what is wrong by field.
func notes(e *core.Error) map[string]string {
	all := map[string]string{}
	for _, d := range e.Details {
		all[d.Field] = d.Message
	}
	return all
}

// setupPage is the form of the first administrator.
type setupPage struct {
	Token, UPN, Name string
	Message          string
	Notes            map[string]string // by field
}

// Refused tells whether the form comes back.
func (p setupPage) Refused() bool { return p.Message != "" }

// Problems is the summary of what is wrong.
func (p setupPage) Problems() []problem { return accountProblems(p.Notes) }

// Field returns a control; passwords never come back.
func (p setupPage) Field(id string) textField {
	f := accountField(id, map[string]string{"token": p.Token, "upn": p.UPN, "name": p.Name}, p.Notes)
	if id == "upn" {
		f.Help = "Written like name@example.com."
	}
	return f
}

// personPage is the form of a person.
type personPage struct {
	Editing *identity.Person // nil: a new one
	Self    bool             // the reader's own account

	UPN, Name  string
	Role       identity.Role
	SignsIn    string // "password" or "sso"
	OffersSSO  bool
	Roles      []roleView
	Message    string
	Notes      map[string]string // by field
	LastOfRole string            // why the person cannot be removed
}

// Refused tells whether the form comes back.
func (p personPage) Refused() bool { return p.Message != "" }

// Problems is the summary of what is wrong.
func (p personPage) Problems() []problem { return accountProblems(p.Notes) }

// Note says what is wrong with a field.
func (p personPage) Note(id string) string { return p.Notes[id] }

// Field returns a control; passwords never come back.
func (p personPage) Field(id string) textField {
	f := accountField(id, map[string]string{"upn": p.UPN, "name": p.Name}, p.Notes)
	if f.Type == "password" {
		f.Optional = p.Editing != nil || p.OffersSSO
	}
	return f
}

// roleView is a role to choose, and what it may do.
type roleView struct {
	identity.Role

	Help string
}

func roles() []roleView {
	help := map[identity.Role]string{
		identity.Admin:      "Everything: authorizations, people, and all that the others see and do.",
		identity.Integrator: "Sees tasks, integrations, mappings, executions with all that went in and out, and the breakers; checks authorizations and tries operations in the playground.",
		identity.Supervisor: "Sees tasks, integrations, mappings, executions and the breakers; as an agent of the directory, also works on tasks.",
		identity.Agent:      "Works on tasks: accepts what waits for the services of which the directory makes them an agent, sees what belongs to it, and closes it or puts it back.",
		identity.Viewer:     "Sees what the others see but people; changes nothing.",
	}
	all := make([]roleView, len(identity.Roles))
	for n, r := range identity.Roles {
		all[n] = roleView{r, help[r]}
	}
	return all
}
