package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/directory"
	"tandem/core/mapping"
)

// read makes a set of files directory/<name>.yaml.
func read(t *testing.T, files map[string]string) *mapping.Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys["directory/"+name+".yaml"] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	set, findings := mapping.Read(fsys)
	require.Empty(t, findings)
	return set
}

func texts(findings []mapping.Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, strings.TrimPrefix(f.String(), "directory/"))
	}
	return list
}

const acme = `
tenant: acme
title: Acme
id: 6F9619FF-8B86-4011-B42D-00CF4FC964FF
entra_tenant_id: 72f988bf-86f1-41af-91ab-2d7cd011db47
limits:
  open_external_tasks: 5
units:
  - path: acme
    title: All of Acme
  - path: acme/emea
    title: Europe
  - path: acme/emea/ch
users:
  - upn: Admin@acme.example
    name: Ada
    email: ada@acme.example
    roles: [Tenant Admin]
  - upn: agent@acme.example
    unit: acme/emea
    roles: [Agent]
    licence: Contact Center
    modalities: [ExternalTask, Audio]
services:
  - upn: Desk@acme.example
    name: Desk
    display_name: The Desk
    description: Answers
    tel_number: "+12025550100"
    mailbox: desk-mail@acme.example
    unit: acme/emea
    licence: Contact Center
    target: cxone
    addresses: [APP-1, "+12025550101", Desk@mail.example]
    target_settings: {pointOfContact: Desk - Work}
    owners: [ADMIN@acme.example]
    limited_owners: [admin@acme.example]
    members: [agent@acme.example]
    workflows: {ExternalTask: external-task, Audio: ""}
    deduplicate_by: customerIdentifier
  - upn: plain@acme.example
    licence: Enterprise Routing
`

func TestLoad(t *testing.T) {
	t.Parallel()
	d, findings := directory.Load(read(t, map[string]string{
		"acme": acme,
		"zed":  "tenant: zed\nusers: [{upn: Admin@acme.example, roles: [Agent]}]\n",
	}))
	require.Empty(t, texts(findings))
	acme, ok := d.Tenant("acme")
	require.True(t, ok)
	require.Equal(t, "Acme", acme.Title)
	require.Equal(t, "6f9619ff-8b86-4011-b42d-00cf4fc964ff", acme.ID)
	require.Equal(t, 5, acme.MaxExternalTasks)
	require.Equal(t, []directory.Unit{
		{Path: "acme", Title: "All of Acme"}, {Path: "acme/emea", Title: "Europe"}, {Path: "acme/emea/ch", Title: "ch"},
	}, acme.Units)
	entra, ok := d.TenantByEntraID("72F988BF-86F1-41AF-91AB-2D7CD011DB47")
	require.True(t, ok)
	require.Same(t, acme, entra)
	_, ok = d.TenantByEntraID("")
	require.False(t, ok, "a tenant without an Entra tenant is nobody's")

	zed, ok := d.Tenant("zed")
	require.True(t, ok)
	require.Equal(t, "zed", zed.Title)
	require.Equal(t, 10_000, zed.MaxExternalTasks)
	require.Equal(t, []*directory.Tenant{acme, zed}, d.Tenants())
	require.NotEqual(t, acme.Users()[0].ID, zed.Users()[0].ID)
	_, ok = zed.User("agent@acme.example")
	require.False(t, ok)

	admin, ok := acme.User("ADMIN@ACME.example")
	require.True(t, ok)
	require.Equal(t, "Ada", admin.Name)
	require.Equal(t, "acme", admin.Unit)
	require.Equal(t, core.UserRef{ID: admin.ID, UPN: "Admin@acme.example", Email: "ada@acme.example"}, admin.Ref())
	agent := acme.Users()[1]
	require.Equal(t, "agent@acme.example", agent.Email)
	require.Contains(t, agent.Modalities, core.Audio)
	require.NotContains(t, agent.Modalities, core.Email)

	desk, ok := acme.Service("desk@acme.example")
	require.True(t, ok)
	require.Equal(t, core.ServiceRef{
		ID: desk.ID, UPN: "Desk@acme.example", Name: "Desk", DisplayName: "The Desk", Description: "Answers",
		TelNumber: "+12025550100", MailboxUPN: "desk-mail@acme.example", Target: "cxone",
	}, desk.Ref())
	require.Len(t, desk.ID, 36)
	require.Equal(t, directory.TargetCXone, desk.Target)
	require.Equal(t, []string{"Admin@acme.example"}, desk.Owners, "as the user's entry writes it")
	require.Equal(t, map[core.Modality]string{core.ExternalTask: "external-task", core.Audio: ""}, desk.Workflows)
	require.Equal(t, "customerIdentifier", desk.DeduplicateBy)
	require.Equal(t, 10*time.Minute, desk.DeduplicateWindow)
	require.Equal(t, []string{"APP-1", "+12025550101", "Desk@mail.example"}, desk.Addresses)
	require.Equal(t, map[string]string{"pointOfContact": "Desk - Work"}, desk.TargetSettings)
	for _, destination := range []string{"desk@ACME.example", "app-1", "+12025550101", "DESK@mail.example"} {
		at, ok := acme.ServiceAt(destination)
		require.True(t, ok, destination)
		require.Same(t, desk, at, destination)
	}
	for _, destination := range []string{"", "+12025550100", "admin@acme.example", "Desk"} {
		_, ok := acme.ServiceAt(destination)
		require.False(t, ok, destination)
	}
	_, ok = zed.ServiceAt("APP-1")
	require.False(t, ok, "addresses belong to a tenant")
	plain := acme.Services()[1]
	require.Equal(t, directory.TargetLocal, plain.Target)
	require.Empty(t, plain.Ref().Target)
	require.Equal(t, "plain@acme.example", plain.DisplayName)

	again, _ := directory.Load(read(t, map[string]string{"acme": acmeText()}))
	same, _ := again.Tenant("acme")
	require.Equal(t, admin.ID, same.Users()[0].ID, "ids follow from names")

	require.Empty(t, d.CheckWorkflows([]string{"external-task"}))
	require.Equal(t, []string{
		`acme.yaml:39:31: there is no workflow "external-task" (did you mean "external-tasks"?)`,
	}, texts(d.CheckWorkflows([]string{"external-tasks"})))
}

func acmeText() string { return acme }

func TestLoadFindings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing": {nil, []string{"directory:1:1: there is no tenant: write directory/<tenant>.yaml"}},
		"names": {map[string]string{
			"a": "tenant: b\n", "b/c": "tenant: c\n", "Big": "tenant: Big\n", "none": "title: x\n",
		}, []string{
			"Big.yaml:1:1: a tenant's name is made of a-z, 0-9 and -",
			`a.yaml:1:9: tenant must be the name of the file, "a"`,
			"b/c.yaml:1:1: tenants stand in the folder directory itself",
			`none.yaml:1:1: "tenant" is missing`,
		}},
		"tenant": {map[string]string{
			"a": "tenant: a\nid: 6f9619ff-8b86-4011-b42d-00cf4fc964ff\nentra_tenant_id: 72f988bf-86f1-41af-91ab-2d7cd011db47\n",
			"b": "tenant: b\nid: 6F9619FF-8b86-4011-b42d-00cf4fc964ff\nentra_tenant_id: 72f988bf-86f1-41af-91ab-2d7cd011db47\n",
			"c": "tenant: c\nid: '{6f9619ff-8b86-4011-b42d-00cf4fc964ff}'\nlimits: {open_external_tasks: 0}\n",
			"d": "tenant: d\nlimits: {open_external_task: 1}\n",
		}, []string{
			`b.yaml:2:5: the id of the tenant b is also that of the tenant a`,
			`b.yaml:3:18: entra_tenant_id belongs to the tenant "a"`,
			`c.yaml:2:5: "{6f9619ff-8b86-4011-b42d-00cf4fc964ff}" is not a UUID`,
			`c.yaml:3:31: open_external_tasks must be 1 or more`,
			`d.yaml:2:10: unknown key "open_external_task" (did you mean "open_external_tasks"?)`,
		}},
		"units": {map[string]string{"a": `tenant: a
units:
  - path: a/x/y
  - path: a/B
  - path: b/x
  - path: a/z
  - path: a/z
  - title: lost
`}, []string{
			`a.yaml:3:11: the unit "a/x" above it is not listed`,
			`a.yaml:4:11: a path is made of names of a-z, 0-9 and - with / between, such as a/emea`,
			`a.yaml:5:11: the path of a unit begins with a/`,
			`a.yaml:7:11: duplicate unit "a/z"`,
			`a.yaml:8:5: "path" is missing`,
		}},
		"users": {map[string]string{"a": `tenant: a
users:
  - upn: one@a.example
    roles: [Agent, agent, Janitor, Agent]
    licence: Contact Centre
    modalities: [External Task]
    unit: a/emea
    id: "1"
    email: nobody
  - upn: ONE@a.example
    roles: [Agent]
  - upn: two
    roles: []
  - roles: [Agent]
services:
  - upn: one@a.example
    licence: Contact Center
`}, []string{
			`a.yaml:4:20: unknown role "agent" (did you mean "Agent"?)`,
			`a.yaml:4:27: unknown role "Janitor", known are Tenant Admin, OU Admin, Service Owner, ` +
				`Team Owner Limited, Supervisor, Agent, Partner Admin`,
			`a.yaml:4:36: duplicate role "Agent"`,
			`a.yaml:5:14: unknown licence "Contact Centre" (did you mean "Contact Center"?)`,
			`a.yaml:6:18: unknown modality "External Task" (did you mean "ExternalTask"?)`,
			`a.yaml:7:11: unknown unit "a/emea"`,
			`a.yaml:8:9: "1" is not a UUID`,
			`a.yaml:9:12: email "nobody" is not an address such as name@a.example`,
			`a.yaml:10:10: duplicate UPN "ONE@a.example": users and services of a tenant share one list of names`,
			`a.yaml:12:10: "two" is not a UPN such as name@a.example`,
			`a.yaml:13:12: "roles" must not be empty`,
			`a.yaml:14:5: "upn" is missing`,
			`a.yaml:16:10: duplicate UPN "one@a.example": users and services of a tenant share one list of names`,
		}},
		"services": {map[string]string{"a": `tenant: a
users:
  - {upn: owner@a.example, roles: [Service Owner]}
services:
  - upn: s@a.example
    tel_number: "0800 123"
    mailbox: x
    target: nice
    owners: [ownr@a.example, owner@a.example, OWNER@a.example]
    limited_owners: [s@a.example]
    members: [nobody@b.example]
    workflows:
      Externaltask: a
      Email: Mail flow
    deduplicate_by: customer_identifier
  - upn: t@a.example
    licence: Contact Center
    deduplicate_window: 10m
  - upn: u@a.example
    licence: Contact Center
    deduplicate_by: customerIdentifier
    deduplicate_window: -1s
`}, []string{
			`a.yaml:5:5: "licence" is missing`,
			`a.yaml:6:17: tel_number "0800 123" is not in the form E.164, such as "+12025550100"`,
			`a.yaml:7:14: mailbox "x" is not an address such as name@a.example`,
			`a.yaml:8:13: unknown target "nice", known are local, webex, cxone`,
			`a.yaml:9:14: unknown owner "ownr@a.example" (did you mean "owner@a.example"?)`,
			`a.yaml:9:47: duplicate owner "OWNER@a.example"`,
			`a.yaml:10:22: unknown limited owner "s@a.example"`,
			`a.yaml:11:15: unknown member "nobody@b.example"`,
			`a.yaml:13:7: unknown modality "Externaltask" (did you mean "ExternalTask"?)`,
			`a.yaml:14:14: "Mail flow" is not the name of a workflow: it is made of a-z, 0-9 and -`,
			`a.yaml:15:21: unknown key of deduplicate_by "customer_identifier" (did you mean "customerIdentifier"?)`,
			`a.yaml:18:25: deduplicate_window needs deduplicate_by`,
			`a.yaml:22:25: deduplicate_window must be more than 0s and at most 168h`,
		}},
		"addresses": {map[string]string{"a": `tenant: a
services:
  - upn: s@a.example
    licence: Contact Center
    addresses: [T@a.example, one, ONE, " x", "", "a\tb", two]
  - upn: t@a.example
    licence: Contact Center
    addresses: [Two, 1a, 2a, 3a, 4a, 5a, 6a, 7a, 8a, 9a, 10a, 11a, 12a, 13a, 14a, 15a, 16a, 17a, 18a, 19a, 20a, 21a]
`}, []string{
			`a.yaml:5:17: "T@a.example" is the UPN of a service and leads to it already`,
			`a.yaml:5:35: duplicate address "ONE"`,
			`a.yaml:5:40: " x" is not an address: it has 1 to 256 letters, digits and signs, and no space around it`,
			`a.yaml:5:46: "" is not an address: it has 1 to 256 letters, digits and signs, and no space around it`,
			`a.yaml:5:50: "a\tb" is not an address: it has 1 to 256 letters, digits and signs, and no space around it`,
			`a.yaml:8:17: the address "Two" leads to s@a.example already`,
			`a.yaml:8:108: t@a.example has more than 20 addresses`,
		}},
		"target settings": {map[string]string{"a": `tenant: a
services:
  - upn: s@a.example
    licence: Contact Center
    target_settings: {entryPoint: x}
  - upn: t@a.example
    licence: Contact Center
    target: webex
    target_settings: {entry-point: x, queue: "", "": y, domain: 5, fine: z}
  - upn: u@a.example
    licence: Contact Center
    target: webx
    target_settings: {queue: x}
`}, []string{
			`a.yaml:5:23: target_settings need a target that is not local`,
			`a.yaml:9:23: "entry-point" is not the name of a setting: it begins with a letter and is made of letters, digits and _`,
			`a.yaml:9:46: the setting queue must not be empty`,
			`a.yaml:9:50: "" is not the name of a setting: it begins with a letter and is made of letters, digits and _`,
			`a.yaml:9:65: "domain" must be text: put it in quotes, "5"`,
			`a.yaml:9:65: the setting domain must not be empty`,
			`a.yaml:12:13: unknown target "webx" (did you mean "webex"?)`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, findings := directory.Load(read(t, c.files))
			require.Equal(t, c.want, texts(findings))
		})
	}
}

func TestLoadLargeAndWrongEndsSoon(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("tenant: a\nusers:\n")
	for i := range 2500 {
		fmt.Fprintf(&text, "  - {upn: user%05d@a.example, roles: [Agent]}\n", i)
	}
	text.WriteString("services:\n  - upn: s@a.example\n    licence: Contact Center\n    members:\n")
	for i := range 4000 {
		fmt.Fprintf(&text, "      - usr%05d@a.example\n", i)
	}
	set := read(t, map[string]string{"a": text.String()})
	coretest.Soon(t, 20*time.Second, "load", func() {
		_, findings := directory.Load(set)
		require.Len(t, findings, 100)
	})
}

// FuzzLoad holds for any text: no panic, no hang, and findings with a place.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(acme))
	f.Add([]byte("tenant: a\nunits: [{path: a}, {path: a/b, users: [x]}]\nusers: [{upn: x@a.example}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, findings := mapping.Parse("directory/acme.yaml", data)
		if len(findings) > 0 {
			return
		}
		began := time.Now()
		_, findings = directory.Load(&mapping.Set{Files: []mapping.File{file}})
		require.Less(t, time.Since(began), 10*time.Second)
		for _, finding := range findings {
			require.Equal(t, "directory/acme.yaml", finding.File)
			require.NotContains(t, finding.String(), "\n")
		}
	})
}
