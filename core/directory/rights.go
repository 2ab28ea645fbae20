package directory

import (
	"slices"
	"strings"

	"tandem/core"
)

// Role is what a user is in a tenant, in the vendor's words.
type Role string

// The roles.
const (
	TenantAdmin      Role = "Tenant Admin"
	OUAdmin          Role = "OU Admin"
	ServiceOwner     Role = "Service Owner"
	TeamOwnerLimited Role = "Team Owner Limited"
	Supervisor       Role = "Supervisor"
	Agent            Role = "Agent"
	PartnerAdmin     Role = "Partner Admin"
)

// Roles lists all roles.
var Roles = []Role{TenantAdmin, OUAdmin, ServiceOwner, TeamOwnerLimited, Supervisor, Agent, PartnerAdmin}

// group is a group of actions and triggers that roles are given together.
type group int

const (
	conversations group = iota // task triggers, update task, external tasks
	addressBooks               // contacts
	outboundCalls              // scheduler entries
	connection                 // test connection, the fixed lists
)

// scope is how far a role reaches in a group; a role that is not in the table
// does not reach at all.
type scope int

const (
	none  scope = iota
	owned       // services that list the user as an owner of the role's kind
	whole       // the whole tenant
)

// rights is the vendor's table of who may do what: group by role.
var rights = map[group]map[Role]scope{
	conversations: {TenantAdmin: whole, ServiceOwner: owned},
	addressBooks:  {TenantAdmin: whole, OUAdmin: whole},
	outboundCalls: {TenantAdmin: whole, ServiceOwner: owned, TeamOwnerLimited: owned},
	connection:    {TenantAdmin: whole, OUAdmin: whole, ServiceOwner: whole, TeamOwnerLimited: whole},
}

// MayRunTasks returns nil when the user may see and change the tasks of the
// service, else a Forbidden error with the reason.
func (t *Tenant) MayRunTasks(user *User, service *Service) error {
	return t.mayServe(conversations, user, service)
}

// MayRunTask is MayRunTasks for the service of the task. Another tenant's task is
// NotFound, as if it were not there.
func (t *Tenant) MayRunTask(user *User, task *core.Task) error {
	if task.Tenant != t.Name {
		return core.Errorf(core.NotFound, "there is no task with id %q", task.ID)
	}
	service, _ := t.Service(task.Service.UPN)
	return t.MayRunTasks(user, service)
}

// MayScheduleCalls returns nil when the user may see and change the scheduled
// outbound calls of the service, else a Forbidden error with the reason.
func (t *Tenant) MayScheduleCalls(user *User, service *Service) error {
	return t.mayServe(outboundCalls, user, service)
}

// MayKeepAddressBooks returns nil when the user may read and change the
// tenant's address books, else a Forbidden error with the reason.
func (t *Tenant) MayKeepAddressBooks(user *User) error { return t.mayAll(addressBooks, user) }

// Caller returns whom a credential stands for, in one snapshot of the directory. A
// credential outlives its user: the error is Forbidden, with the reason, for one
// who is not in the directory any more or may not use the connector at all.
func (d *Directory) Caller(who core.Caller) (*Tenant, *User, error) {
	if tenant, ok := d.Tenant(who.Tenant); ok {
		if user, ok := tenant.User(who.UPN); ok {
			return tenant, user, tenant.MayConnect(user)
		}
	}
	return nil, nil, core.Errorf(core.Forbidden, "the user of the credential is not in the directory any more")
}

// MayConnect returns nil when the user may use the connector at all, else a
// Forbidden error with the reason.
func (t *Tenant) MayConnect(user *User) error { return t.mayAll(connection, user) }

// TaskServices returns the services whose tasks the user may run, sorted by
// UPN.
func (t *Tenant) TaskServices(user *User) []*Service {
	return slices.DeleteFunc(t.Services(), func(s *Service) bool { return t.MayRunTasks(user, s) != nil })
}

// ExternalTaskServices returns those of TaskServices that accept external
// tasks.
func (t *Tenant) ExternalTaskServices(user *User) []*Service {
	return slices.DeleteFunc(t.TaskServices(user), func(s *Service) bool { return s.AcceptsExternalTasks() != nil })
}

// PreferredUsers returns the UPNs, sorted, of the users with a Contact Center
// licence that the user may name as preferred: all for whom the whole tenant is
// open; for an owner those of the owner's organization unit and the units above
// it, and the members of the services that are the owner's.
func (t *Tenant) PreferredUsers(user *User) []string {
	reach := t.reach(conversations, user)
	if reach == none {
		return nil
	}
	members := map[string]bool{}
	for _, s := range t.TaskServices(user) {
		for _, upn := range s.Members {
			members[fold(upn)] = true
		}
	}
	var upns []string
	for _, u := range t.Users() {
		seen := reach == whole || isUpThePath(u.Unit, user.Unit) || members[fold(u.UPN)]
		if seen && u.Licence == ContactCenter {
			upns = append(upns, u.UPN)
		}
	}
	return upns
}

// isUpThePath tells whether unit is from or one of the units above it.
func isUpThePath(unit, from string) bool { return strings.HasPrefix(from+"/", unit+"/") }

// reach returns the widest scope that the user's roles give in a group; none
// for a user of another tenant.
func (t *Tenant) reach(g group, user *User) scope {
	widest := none
	if user != nil && user.Tenant == t.Name {
		for _, r := range user.Roles {
			widest = max(widest, rights[g][r])
		}
	}
	return widest
}

func (t *Tenant) mayAll(g group, user *User) error {
	if t.reach(g, user) == whole {
		return nil
	}
	if err := t.stranger(user); err != nil {
		return err
	}
	words := make([]string, 0, len(Roles))
	for _, r := range Roles {
		if rights[g][r] == whole {
			words = append(words, string(r))
		}
	}
	return core.Errorf(core.Forbidden, "%s is not %s", user.UPN, strings.Join(words, " or "))
}

func (t *Tenant) mayServe(g group, user *User, service *Service) error {
	if err := t.stranger(user); err != nil {
		return err
	}
	if service == nil || service.Tenant != t.Name {
		return core.Errorf(core.Forbidden, "the service is not one of %s", t.Name)
	}
	for _, r := range user.Roles {
		switch rights[g][r] {
		case whole:
			return nil
		case owned:
			if lists(service.owners(r), user) {
				return nil
			}
		}
	}
	for _, r := range Roles {
		if rights[g][r] == owned && !user.Has(r) && lists(service.owners(r), user) {
			return core.Errorf(core.Forbidden, "%s is listed as an owner of %s and has not the role %s",
				user.UPN, service.UPN, r)
		}
	}
	return core.Errorf(core.Forbidden, "%s is not %s and not an owner of %s", user.UPN, TenantAdmin, service.UPN)
}

func (t *Tenant) stranger(user *User) error {
	if user == nil || user.Tenant != t.Name {
		return core.Errorf(core.Forbidden, "the caller is not a user of %s", t.Name)
	}
	return nil
}

// owners returns the list of the service that gives its owners the role's
// rights.
func (s *Service) owners(r Role) []string {
	switch r {
	case ServiceOwner:
		return s.Owners
	case TeamOwnerLimited:
		return s.LimitedOwners
	default:
		return nil
	}
}

func lists(upns []string, user *User) bool {
	return slices.ContainsFunc(upns, func(upn string) bool { return fold(upn) == fold(user.UPN) })
}
