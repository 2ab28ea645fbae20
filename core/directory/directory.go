package directory

import (
	"maps"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/mapping"
)

// Licence is what a user or a service is licensed for, in the vendor's words.
type Licence string

// The licences. External tasks and preferred routing need Contact Center.
const (
	ContactCenter     Licence = "Contact Center"
	EnterpriseRouting Licence = "Enterprise Routing"
	AdvancedRouting   Licence = "Advanced Routing"
)

// Licences lists all licences.
var Licences = []Licence{ContactCenter, EnterpriseRouting, AdvancedRouting}

// Target says who brings a service's queued tasks to people.
type Target string

// The targets.
const (
	TargetLocal Target = "local" // the hub's own queue and desk
	TargetWebex Target = "webex" // a queue of Webex Contact Center
	TargetCXone Target = "cxone" // a work item of CXone
)

// Targets lists all targets.
var Targets = []Target{TargetLocal, TargetWebex, TargetCXone}

// Directory is everything that the directory files say. It is immutable, and so
// is all that it returns: callers read, they do not write. The zero Directory
// has no tenants.
type Directory struct {
	tenants   map[string]*Tenant
	byEntraID map[string]*Tenant
	workflows []workflowUse
}

// Tenant returns a tenant by its name.
func (d *Directory) Tenant(name string) (*Tenant, bool) {
	t, ok := d.tenants[name]
	return t, ok
}

// TenantByEntraID returns the tenant whose people sign in with the given
// Microsoft Entra tenant (the claim tid).
func (d *Directory) TenantByEntraID(id string) (*Tenant, bool) {
	t, ok := d.byEntraID[strings.ToLower(id)]
	return t, ok
}

// Tenants returns all tenants, sorted by name.
func (d *Directory) Tenants() []*Tenant {
	return slices.SortedFunc(maps.Values(d.tenants), func(a, b *Tenant) int {
		return strings.Compare(a.Name, b.Name)
	})
}

// Tenant is one customer of the hub, with its own people and services.
type Tenant struct {
	Name             string
	Title            string // for people; the name if the file gives none
	ID               string // a UUID; what other platforms see
	EntraTenantID    string // empty: nobody signs in through Entra ID
	MaxExternalTasks int    // fair use: how many external tasks may be open at once
	Units            []Unit // sorted by path; the first is the tenant itself

	users    map[string]*User    // by folded UPN
	services map[string]*Service // by folded UPN
	at       map[string]*Service // by folded address
}

// Unit is an organization unit. Its path begins with the name of the tenant.
type Unit struct {
	Path  string
	Title string
}

// User returns a user by UPN; case does not count.
func (t *Tenant) User(upn string) (*User, bool) {
	u, ok := t.users[fold(upn)]
	return u, ok
}

// Service returns a service by UPN; case does not count.
func (t *Tenant) Service(upn string) (*Service, bool) {
	s, ok := t.services[fold(upn)]
	return s, ok
}

// ServiceAt returns the service to which a destination leads: by its UPN or by
// one of its addresses; case does not count.
func (t *Tenant) ServiceAt(destination string) (*Service, bool) {
	if s, ok := t.Service(destination); ok {
		return s, true
	}
	s, ok := t.at[fold(destination)]
	return s, ok
}

// Users returns all users, sorted by UPN.
func (t *Tenant) Users() []*User {
	return slices.SortedFunc(maps.Values(t.users), func(a, b *User) int {
		return strings.Compare(fold(a.UPN), fold(b.UPN))
	})
}

// Services returns all services, sorted by UPN.
func (t *Tenant) Services() []*Service {
	return slices.SortedFunc(maps.Values(t.services), func(a, b *Service) int {
		return strings.Compare(fold(a.UPN), fold(b.UPN))
	})
}

// fold makes UPNs comparable.
func fold(upn string) string { return strings.ToLower(upn) }

// User is a person of a tenant.
type User struct {
	Tenant     string // name of the tenant
	ID         string // a UUID
	UPN        string
	Name       string
	Email      string
	Unit       string // path of the organization unit
	Licence    Licence
	Roles      []Role
	Modalities []core.Modality // what may be offered to the user as an agent
}

// Ref returns what tasks and events carry of the user.
func (u *User) Ref() core.UserRef { return core.UserRef{ID: u.ID, UPN: u.UPN, Email: u.Email} }

// Has tells whether the user has the role.
func (u *User) Has(r Role) bool { return slices.Contains(u.Roles, r) }

// Service is what tasks are for.
type Service struct {
	Tenant      string // name of the tenant
	ID          string // a UUID
	UPN         string
	Name        string
	DisplayName string
	Description string
	TelNumber   string // E.164, or empty
	Mailbox     string // UPN of the mailbox, or empty
	Unit        string // path of the organization unit
	Licence     Licence
	Target      Target
	// TargetSettings are what the operations of the target's platform need to
	// know of the service, such as its entry point there; empty with TargetLocal.
	TargetSettings map[string]string
	// Addresses are what customers write to and lead to the service: ids of apps,
	// numbers, mailboxes. No two services of a tenant share one.
	Addresses     []string
	Owners        []string // UPNs of users, as the users' own entries write them
	LimitedOwners []string
	Members       []string // the agents
	// Workflows holds the enabled modalities with the workflow of each; an
	// empty name is a modality that is enabled and has no workflow yet.
	Workflows         map[core.Modality]string
	DeduplicateBy     string        // customerIdentifier, or empty: no two tasks are one
	DeduplicateWindow time.Duration // how long one task stands for others of its key
}

// Ref returns what a task carries of the service. Its target is a platform, or
// empty for the hub's own queue.
func (s *Service) Ref() core.ServiceRef {
	ref := core.ServiceRef{
		ID: s.ID, UPN: s.UPN, Name: s.Name, DisplayName: s.DisplayName,
		Description: s.Description, TelNumber: s.TelNumber, MailboxUPN: s.Mailbox,
	}
	if s.Target != TargetLocal {
		ref.Target = string(s.Target)
	}
	return ref
}

// AcceptsExternalTasks returns nil, or an Invalid error that says what the
// service lacks.
func (s *Service) AcceptsExternalTasks() error {
	workflow, enabled := s.Workflows[core.ExternalTask]
	switch {
	case s.Licence != ContactCenter:
		return core.Errorf(core.Invalid, "%s takes no external tasks: it has the licence %s, not %s",
			s.UPN, s.Licence, ContactCenter)
	case !enabled:
		return core.Errorf(core.Invalid, "%s takes no external tasks: the modality %s is not enabled",
			s.UPN, core.ExternalTask)
	case workflow == "":
		return core.Errorf(core.Invalid, "%s takes no external tasks: the modality %s has no workflow",
			s.UPN, core.ExternalTask)
	}
	return nil
}

// workflowUse is a place where a file names a workflow.
type workflowUse struct {
	file mapping.File
	name mapping.Text
}

// CheckWorkflows returns a finding for each use of a workflow that is not among
// the known names, sorted.
func (d *Directory) CheckWorkflows(known []string) []mapping.Finding {
	var findings []mapping.Finding
	for _, use := range d.workflows {
		if name := use.name.Value; !slices.Contains(known, name) {
			findings = append(findings, use.file.AtPos(use.name.Pos, "there is no workflow %s%s",
				mapping.Quote(name), mapping.Suggest(name, known)).Because("workflows/"+name+".yaml", "workflows/"+name+".yml"))
		}
	}
	mapping.Sort(findings)
	return findings
}
