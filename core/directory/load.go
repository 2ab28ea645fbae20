package directory

import (
	"path"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/mapping"
)

// What a file says where it says nothing.
const (
	defaultMaxExternalTasks  = 10_000
	defaultDeduplicateWindow = 10 * time.Minute
)

// MaxDeduplicateWindow is the longest time for which one task can stand for
// others with the same business key.
const MaxDeduplicateWindow = 7 * 24 * time.Hour

// maxFindings bounds what is said about one file, and what it costs.
const maxFindings = 100

// tenantFile is the form of directory/<tenant>.yaml.
type tenantFile struct {
	mapping.Pos
	Tenant        mapping.Text `yaml:"tenant" required:"true"`
	Title         string       `yaml:"title"`
	ID            mapping.Text `yaml:"id"`
	EntraTenantID mapping.Text `yaml:"entra_tenant_id"`
	Limits        struct {
		OpenExternalTasks mapping.Located[int] `yaml:"open_external_tasks"`
	} `yaml:"limits"`
	Units    []unitEntry    `yaml:"units"`
	Users    []userEntry    `yaml:"users"`
	Services []serviceEntry `yaml:"services"`
}

type unitEntry struct {
	Path  mapping.Text `yaml:"path" required:"true"`
	Title string       `yaml:"title"`
}

type userEntry struct {
	UPN        mapping.Text   `yaml:"upn" required:"true"`
	Name       string         `yaml:"name"`
	Email      mapping.Text   `yaml:"email"`
	ID         mapping.Text   `yaml:"id"`
	Unit       mapping.Text   `yaml:"unit"`
	Roles      []mapping.Text `yaml:"roles" required:"true"`
	Licence    mapping.Text   `yaml:"licence"`
	Modalities []mapping.Text `yaml:"modalities"`
}

type serviceEntry struct {
	UPN               mapping.Text                   `yaml:"upn" required:"true"`
	Name              string                         `yaml:"name"`
	DisplayName       string                         `yaml:"display_name"`
	Description       string                         `yaml:"description"`
	TelNumber         mapping.Text                   `yaml:"tel_number"`
	Mailbox           mapping.Text                   `yaml:"mailbox"`
	ID                mapping.Text                   `yaml:"id"`
	Unit              mapping.Text                   `yaml:"unit"`
	Licence           mapping.Text                   `yaml:"licence" required:"true"`
	Target            mapping.Text                   `yaml:"target"`
	TargetSettings    map[mapping.Text]mapping.Text  `yaml:"target_settings"`
	Addresses         []mapping.Text                 `yaml:"addresses"`
	Owners            []mapping.Text                 `yaml:"owners"`
	LimitedOwners     []mapping.Text                 `yaml:"limited_owners"`
	Members           []mapping.Text                 `yaml:"members"`
	Workflows         map[mapping.Text]mapping.Text  `yaml:"workflows"`
	DeduplicateBy     mapping.Text                   `yaml:"deduplicate_by"`
	DeduplicateWindow mapping.Located[time.Duration] `yaml:"deduplicate_window"`
}

// Load makes a directory of the files directory/<tenant>.yaml of a set and
// returns everything that is wrong with them, sorted. With findings the
// directory holds what could be understood, good for further checks
// (CheckWorkflows) and not for serving.
func Load(set *mapping.Set) (*Directory, []mapping.Finding) {
	d := &Directory{tenants: map[string]*Tenant{}, byEntraID: map[string]*Tenant{}}
	var findings []mapping.Finding
	ids := map[string]string{}
	files := set.Under("directory")
	for _, f := range files {
		l := loader{file: f, dir: d, ids: ids}
		l.load()
		findings = append(findings, l.findings...)
	}
	if len(files) == 0 {
		findings = append(findings, mapping.File{Path: "directory"}.AtPos(mapping.Pos{},
			"there is no tenant: write directory/<tenant>.yaml").Because("directory/"))
	}
	mapping.Sort(findings)
	return d, findings
}

// loader makes a tenant of one file.
type loader struct {
	file     mapping.File
	dir      *Directory
	tenant   *Tenant
	ids      map[string]string // id, below its tenant's name for users and services -> whose
	findings []mapping.Finding
}

func (l *loader) add(pos mapping.Pos, format string, args ...any) {
	if len(l.findings) < maxFindings {
		l.findings = append(l.findings, l.file.AtPos(pos, format, args...))
	}
}

func (l *loader) load() {
	var f tenantFile
	l.findings = mapping.Decode(l.file, &f)
	name := strings.TrimSuffix(path.Base(l.file.Path), path.Ext(l.file.Path))
	switch {
	case path.Dir(l.file.Path) != "directory":
		l.add(mapping.Pos{}, "tenants stand in the folder directory itself")
		return
	case !nameForm.MatchString(name):
		l.add(mapping.Pos{}, "a tenant's name is made of a-z, 0-9 and -")
		return
	case l.dir.tenants[name] != nil:
		l.add(mapping.Pos{}, "there is another file for the tenant %q", name)
		return
	case f.Tenant.Given() && f.Tenant.Value != name:
		l.add(f.Tenant.Pos, "tenant must be the name of the file, %q", name)
	}
	l.tenant = &Tenant{
		Name: name, Title: orElse(f.Title, name), MaxExternalTasks: defaultMaxExternalTasks,
		users: map[string]*User{}, services: map[string]*Service{}, at: map[string]*Service{},
	}
	l.dir.tenants[name] = l.tenant
	l.tenant.ID = l.id(f.ID, "tenant", name)
	l.entra(f.EntraTenantID)
	if limit := f.Limits.OpenExternalTasks; limit.Given() {
		if limit.Value < 1 {
			l.add(limit.Pos, "open_external_tasks must be 1 or more")
		}
		l.tenant.MaxExternalTasks = limit.Value
	}
	l.units(f.Units)
	for _, e := range f.Users {
		l.user(e)
	}
	for _, e := range f.Services {
		l.service(e)
	}
	for _, e := range f.Services {
		if s, ok := l.tenant.Service(e.UPN.Value); ok && s.UPN == e.UPN.Value {
			l.addresses(s, e.Addresses)
		}
	}
}

func (l *loader) entra(id mapping.Text) {
	if !id.Given() {
		return
	}
	l.tenant.EntraTenantID = l.uuid(id)
	if other := l.dir.byEntraID[l.tenant.EntraTenantID]; other != nil {
		l.add(id.Pos, "entra_tenant_id belongs to the tenant %q", other.Name)
		return
	}
	l.dir.byEntraID[l.tenant.EntraTenantID] = l.tenant
}

func (l *loader) units(entries []unitEntry) {
	root := l.tenant.Name
	known := map[string]bool{root: true}
	list := []Unit{{Path: root, Title: l.tenant.Title}}
	for _, e := range entries {
		known[e.Path.Value] = true
	}
	seen := map[string]bool{}
	for _, e := range entries {
		p := e.Path.Value
		switch {
		case p == "": // found by Decode
			continue
		case !unitForm.MatchString(p):
			l.add(e.Path.Pos, "a path is made of names of a-z, 0-9 and - with / between, such as %s", root+"/emea")
		case p != root && !strings.HasPrefix(p, root+"/"):
			l.add(e.Path.Pos, "the path of a unit begins with %s/", root)
		case seen[p]:
			l.add(e.Path.Pos, "duplicate unit %q", p)
		case p != root && !known[path.Dir(p)]:
			l.add(e.Path.Pos, "the unit %q above it is not listed", path.Dir(p))
		}
		if p == root {
			list[0].Title = orElse(e.Title, list[0].Title)
		} else if !seen[p] {
			list = append(list, Unit{Path: p, Title: orElse(e.Title, path.Base(p))})
		}
		seen[p] = true
	}
	slices.SortFunc(list, func(a, b Unit) int { return strings.Compare(a.Path, b.Path) })
	l.tenant.Units = list
}

func (l *loader) user(e userEntry) {
	if !l.upn(e.UPN) {
		return
	}
	u := &User{
		Tenant: l.tenant.Name, UPN: e.UPN.Value, Name: orElse(e.Name, e.UPN.Value),
		Email: l.mail(e.Email, "email", e.UPN.Value), Unit: l.unit(e.Unit),
		ID:         l.id(e.ID, "user", e.UPN.Value),
		Licence:    word(l, e.Licence, "licence", Licences, ""),
		Roles:      words(l, e.Roles, "role", Roles),
		Modalities: words(l, e.Modalities, "modality", core.Modalities),
	}
	l.tenant.users[fold(u.UPN)] = u
}

func (l *loader) service(e serviceEntry) {
	if !l.upn(e.UPN) {
		return
	}
	s := &Service{
		Tenant: l.tenant.Name, UPN: e.UPN.Value, Name: orElse(e.Name, e.UPN.Value),
		Description: e.Description, Unit: l.unit(e.Unit),
		ID:            l.id(e.ID, "service", e.UPN.Value),
		TelNumber:     l.telNumber(e.TelNumber),
		Mailbox:       l.mail(e.Mailbox, "mailbox", ""),
		Licence:       word(l, e.Licence, "licence", Licences, ""),
		Target:        word(l, e.Target, "target", Targets, TargetLocal),
		Owners:        l.people(e.Owners, "owner"),
		LimitedOwners: l.people(e.LimitedOwners, "limited owner"),
		Members:       l.people(e.Members, "member"),
		Workflows:     l.workflows(e.Workflows),
	}
	s.DisplayName = orElse(e.DisplayName, s.Name)
	s.TargetSettings = l.targetSettings(s, e.Target.Value, e.TargetSettings)
	s.DeduplicateBy, s.DeduplicateWindow = l.deduplicate(e)
	l.tenant.services[fold(s.UPN)] = s
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
