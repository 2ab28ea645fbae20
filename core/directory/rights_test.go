package directory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/directory"
)

const people = `
tenant: p
units: [{path: p/emea}, {path: p/emea/ch}, {path: p/emeas}]
users:
  - {upn: admin@p.example, roles: [Tenant Admin]}
  - {upn: ou@p.example, roles: [OU Admin]}
  - {upn: owner@p.example, unit: p/emea, roles: [Service Owner]}
  - {upn: norole@p.example, roles: [Agent]}
  - {upn: limited@p.example, roles: [Team Owner Limited]}
  - {upn: supervisor@p.example, roles: [Supervisor]}
  - {upn: agent@p.example, roles: [Agent], licence: Contact Center}
  - {upn: partner@p.example, roles: [Partner Admin]}
  - {upn: both@p.example, roles: [Supervisor, Service Owner]}
  - {upn: emea@p.example, unit: p/emea, roles: [Agent], licence: Contact Center}
  - {upn: ch@p.example, unit: p/emea/ch, roles: [Agent], licence: Contact Center}
  - {upn: member@p.example, unit: p/emea/ch, roles: [Agent], licence: Contact Center}
  - {upn: emeas@p.example, unit: p/emeas, roles: [Agent], licence: Contact Center}
  - {upn: routed@p.example, roles: [Agent], licence: Enterprise Routing}
services:
  - upn: own@p.example
    licence: Contact Center
    owners: [owner@p.example, norole@p.example, limited@p.example]
    limited_owners: [limited@p.example, owner@p.example]
    members: [member@p.example, routed@p.example]
    workflows: {ExternalTask: w}
  - upn: other@p.example
    licence: Contact Center
    owners: [both@p.example]
    members: [emeas@p.example]
    workflows: {ExternalTask: ""}
  - {upn: bare@p.example, licence: Contact Center, workflows: {Audio: w}}
  - {upn: routing@p.example, licence: Enterprise Routing, owners: [owner@p.example], workflows: {ExternalTask: w}}
`

func tenants(t *testing.T) (p, q *directory.Tenant) {
	t.Helper()
	d, findings := directory.Load(read(t, map[string]string{
		"p": people,
		"q": "tenant: q\nusers: [{upn: admin@p.example, roles: [Tenant Admin]}]\n" +
			"services: [{upn: own@p.example, licence: Contact Center}]\n",
	}))
	require.Empty(t, texts(findings))
	p, _ = d.Tenant("p")
	q, _ = d.Tenant("q")
	return p, q
}

// TestRights is the vendor's matrix: role by action.
func TestRights(t *testing.T) {
	t.Parallel()
	p, _ := tenants(t)
	own, _ := p.Service("own@p.example")
	other, _ := p.Service("other@p.example")
	for _, c := range []struct {
		user                                           string
		connect, ownTasks, otherTasks, ownCalls, books bool
		otherCalls                                     bool
	}{
		{"admin", true, true, true, true, true, true},
		{"ou", true, false, false, false, true, false},
		{"owner", true, true, false, true, false, false},
		{"norole", false, false, false, false, false, false},
		{"limited", true, false, false, true, false, false},
		{"supervisor", false, false, false, false, false, false},
		{"agent", false, false, false, false, false, false},
		{"partner", false, false, false, false, false, false},
		{"both", true, false, true, false, false, true},
	} {
		u, ok := p.User(c.user + "@p.example")
		require.True(t, ok, c.user)
		for action, got := range map[string]struct {
			err  error
			want bool
		}{
			"connect":     {p.MayConnect(u), c.connect},
			"own tasks":   {p.MayRunTasks(u, own), c.ownTasks},
			"other tasks": {p.MayRunTasks(u, other), c.otherTasks},
			"own calls":   {p.MayScheduleCalls(u, own), c.ownCalls},
			"other calls": {p.MayScheduleCalls(u, other), c.otherCalls},
			"books":       {p.MayKeepAddressBooks(u), c.books},
		} {
			require.Equal(t, got.want, got.err == nil, "%s %s: %v", c.user, action, got.err)
			if got.err != nil {
				require.Equal(t, core.Forbidden, core.KindOf(got.err))
			}
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	p, q := tenants(t)
	user := func(name string) *directory.User { u, _ := p.User(name + "@p.example"); return u }
	own, _ := p.Service("own@p.example")
	other, _ := p.Service("other@p.example")
	foreign, _ := q.Service("own@p.example")
	stranger, _ := q.User("admin@p.example")
	for _, c := range []struct {
		err  error
		want string
	}{
		{p.MayRunTasks(user("owner"), other), "owner@p.example is not Tenant Admin and not an owner of other@p.example"},
		{p.MayRunTasks(user("norole"), own), "norole@p.example is listed as an owner of own@p.example and has not the role Service Owner"},
		{p.MayConnect(user("agent")), "agent@p.example is not Tenant Admin or OU Admin or Service Owner or Team Owner Limited"},
		{p.MayKeepAddressBooks(user("owner")), "owner@p.example is not Tenant Admin or OU Admin"},
		{p.MayRunTasks(stranger, own), "the caller is not a user of p"},
		{p.MayConnect(stranger), "the caller is not a user of p"},
		{p.MayConnect(nil), "the caller is not a user of p"},
		{p.MayRunTasks(user("admin"), foreign), "the service is not one of p"},
		{p.MayRunTasks(user("admin"), nil), "the service is not one of p"},
	} {
		require.EqualError(t, c.err, c.want)
		require.Equal(t, core.Forbidden, core.KindOf(c.err))
	}
	require.Empty(t, p.TaskServices(stranger))
	require.Empty(t, p.PreferredUsers(stranger))
	require.Empty(t, p.PreferredUsers(nil))
}

func TestLists(t *testing.T) {
	t.Parallel()
	p, _ := tenants(t)
	for _, c := range []struct {
		user                       string
		tasks, external, preferred []string
	}{
		{
			"admin",
			[]string{"bare", "other", "own", "routing"},
			[]string{"own"},
			[]string{"agent", "ch", "emea", "emeas", "member"},
		},
		{"owner", []string{"own", "routing"}, []string{"own"}, []string{"agent", "emea", "member"}},
		{"both", []string{"other"}, nil, []string{"agent", "emeas"}},
		{"limited", nil, nil, nil},
		{"ou", nil, nil, nil},
		{"agent", nil, nil, nil},
	} {
		u, _ := p.User(c.user + "@p.example")
		require.Equal(t, full(c.tasks), names(p.TaskServices(u)), c.user)
		require.Equal(t, full(c.external), names(p.ExternalTaskServices(u)), c.user)
		require.Equal(t, full(c.preferred), p.PreferredUsers(u), c.user)
	}
}

func full(short []string) []string {
	var list []string
	for _, s := range short {
		list = append(list, s+"@p.example")
	}
	return list
}

func names(services []*directory.Service) []string {
	var list []string
	for _, s := range services {
		list = append(list, s.UPN)
	}
	return list
}

func TestAcceptsExternalTasks(t *testing.T) {
	t.Parallel()
	p, _ := tenants(t)
	for name, want := range map[string]string{
		"own":     "",
		"other":   "other@p.example takes no external tasks: the modality ExternalTask has no workflow",
		"bare":    "bare@p.example takes no external tasks: the modality ExternalTask is not enabled",
		"routing": "routing@p.example takes no external tasks: it has the licence Enterprise Routing, not Contact Center",
	} {
		s, _ := p.Service(name + "@p.example")
		err := s.AcceptsExternalTasks()
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
		require.Equal(t, core.Invalid, core.KindOf(err))
	}
}

// TestTasksAndCallers: another tenant's task is as if it were not there, and a
// credential counts as long as its user may connect.
func TestTasksAndCallers(t *testing.T) {
	t.Parallel()
	d, findings := directory.Load(read(t, map[string]string{"p": people}))
	require.Empty(t, texts(findings))
	for _, c := range []struct {
		user, tenant, service string
		want                  core.Kind // of the task; empty: it may be run
		text                  string    // of the caller; empty: may connect
	}{
		{"admin", "p", "own", "", ""},
		{"admin", "q", "own", core.NotFound, ""},
		{"owner", "p", "own", "", ""},
		{"owner", "p", "other", core.Forbidden, ""},
		{"owner", "p", "unknown", core.Forbidden, ""},
		{"agent", "p", "own", core.Forbidden, "agent@p.example is not Tenant Admin or OU Admin or Service Owner or Team Owner Limited"},
		{"agent", "q", "own", core.NotFound, "agent@p.example is not Tenant Admin or OU Admin or Service Owner or Team Owner Limited"},
		{"gone", "p", "own", core.Forbidden, "the user of the credential is not in the directory any more"},
	} {
		p, user, err := d.Caller(core.Caller{Tenant: "p", UPN: c.user + "@p.example"})
		if c.text == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, c.text)
			require.Equal(t, core.Forbidden, core.KindOf(err))
		}
		if p == nil {
			continue
		}
		err = p.MayRunTask(user, &core.Task{ID: "t1", Tenant: c.tenant, Service: core.ServiceRef{UPN: c.service + "@p.example"}})
		require.Equal(t, c.want == "", err == nil, "%v: %v", c, err)
		if err != nil {
			require.Equal(t, c.want, core.KindOf(err), "%v: %v", c, err)
		}
		if c.want == core.NotFound {
			require.EqualError(t, err, `there is no task with id "t1"`)
		}
	}
}
