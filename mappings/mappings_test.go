package mappings_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"tandem/adapters/cxone"
	"tandem/core"
	"tandem/core/directory"
	"tandem/core/expression"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/mappings"
)

func load(t *testing.T) *directory.Directory {
	t.Helper()
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	d, findings := directory.Load(set)
	require.Empty(t, findings)
	return d
}

func TestContoso(t *testing.T) {
	t.Parallel()
	d := load(t)
	require.Len(t, d.Tenants(), 2)
	contoso, ok := d.Tenant("contoso")
	require.True(t, ok)
	require.Equal(t, 100_000, contoso.MaxExternalTasks)

	roles := map[string][]directory.Role{}
	for _, u := range contoso.Users() {
		roles[strings.TrimSuffix(u.UPN, "@contoso.example")] = u.Roles
		if u.Has(directory.Agent) {
			require.Contains(t, u.Modalities, core.ExternalTask, u.UPN)
		}
	}
	require.Equal(t, map[string][]directory.Role{
		"admin":      {directory.TenantAdmin},
		"ouadmin":    {directory.OUAdmin},
		"owner":      {directory.ServiceOwner},
		"limited":    {directory.TeamOwnerLimited},
		"supervisor": {directory.Supervisor},
		"agent1":     {directory.Agent},
		"agent2":     {directory.Agent},
		"agent3":     {directory.Agent},
	}, roles)

	require.Len(t, contoso.Services(), 4)
	support, _ := contoso.Service("support@contoso.example")
	require.NoError(t, support.AcceptsExternalTasks())
	require.Equal(t, directory.TargetLocal, support.Target)
	require.Equal(t, "external-task", support.Workflows[core.ExternalTask])
	field, _ := contoso.Service("field@contoso.example")
	require.NoError(t, field.AcceptsExternalTasks())
	require.Equal(t, directory.TargetWebex, field.Target)
	require.Equal(t, "field-service", field.Workflows[core.ExternalTask])
	backoffice, _ := contoso.Service("backoffice@contoso.example")
	require.NoError(t, backoffice.AcceptsExternalTasks())
	require.Equal(t, directory.TargetCXone, backoffice.Target)
	sales, _ := contoso.Service("sales@contoso.example")
	require.Equal(t, directory.EnterpriseRouting, sales.Licence)
	require.Equal(t, core.Invalid, core.KindOf(sales.AcceptsExternalTasks()))

	owner, _ := contoso.User("owner@contoso.example")
	require.Equal(t, []*directory.Service{support}, contoso.TaskServices(owner))
	require.Equal(t, []string{"agent1@contoso.example", "agent2@contoso.example", "agent3@contoso.example"},
		contoso.PreferredUsers(owner))
	limited, _ := contoso.User("limited@contoso.example")
	require.NoError(t, contoso.MayScheduleCalls(limited, support))
}

func TestFabrikamIsApart(t *testing.T) {
	t.Parallel()
	d := load(t)
	contoso, _ := d.Tenant("contoso")
	fabrikam, _ := d.Tenant("fabrikam")
	admin, ok := fabrikam.User("admin@fabrikam.example")
	require.True(t, ok)
	require.True(t, admin.Has(directory.TenantAdmin))
	desk, ok := fabrikam.Service("desk@fabrikam.example")
	require.True(t, ok)
	require.NoError(t, desk.AcceptsExternalTasks())
	require.NoError(t, fabrikam.MayRunTasks(admin, desk))

	require.Equal(t, core.Forbidden, core.KindOf(contoso.MayConnect(admin)))
	support, _ := contoso.Service("support@contoso.example")
	require.Equal(t, core.Forbidden, core.KindOf(fabrikam.MayRunTasks(admin, support)))
	_, ok = contoso.User("admin@fabrikam.example")
	require.False(t, ok)
}

func catalogue(t *testing.T) *integration.Catalogue {
	t.Helper()
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	c, findings := integration.Load(set)
	require.Empty(t, findings)
	return c
}

func TestShippedIntegrations(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	grants := map[string][]integration.GrantType{}
	for _, i := range c.Listed() {
		for _, g := range i.Grants {
			grants[i.ID] = append(grants[i.ID], g.Type)
		}
		slices.Sort(grants[i.ID])
	}
	require.Equal(t, map[string][]integration.GrantType{
		"webex-contact-center": {integration.AuthorizationCode, integration.Bearer},
		"webex-engage":         {integration.ClientCredentials},
		"salesforce":           {integration.AuthorizationCode, integration.ClientCredentials, integration.JWTBearer},
		"zendesk":              {integration.AuthorizationCode, integration.Basic},
		"dynamics365":          {integration.AuthorizationCode, integration.ClientCredentials},
		"servicenow":           {integration.AuthorizationCode, integration.Basic, integration.ClientCredentials},
		"hubspot":              {integration.AuthorizationCode, integration.Bearer},
		"cxone":                {integration.Password},
	}, grants)
}

// TestShippedGrants fills in every form as an administrator would.
func TestShippedGrants(t *testing.T) {
	t.Parallel()
	typed := map[string]string{
		"domain": "acme--uat.sandbox", "subdomain": "acme", "org": "acme", "directory": "acme.onmicrosoft.com",
		"instance": "acmedev", "area": "eu1", "client_secret": "a secret", "token": "pat-na1-0123456789abcdef",
		"username": "hub@acme.example", "private_key": "-----BEGIN PRIVATE KEY-----\r\nAA==\r\n-----END PRIVATE KEY-----",
		"email": "hub@acme.example", "api_token": "0123456789abcdef", "password": "a password",
		"access_key_id": "KEYID", "access_key_secret": "KEY==", "client_id": "01234567-89ab-cdef-0123-456789abcdef",
	}
	bases := map[string]string{
		"webex-contact-center": "https://api.wxcc-us1.cisco.com",
		"webex-engage":         "https://api-us-site-1.imiengage.io/api/v1",
		"salesforce":           "https://acme--uat.sandbox.my.salesforce.com",
		"zendesk":              "https://acme.zendesk.com/api/v2",
		"dynamics365":          "https://acme.crm.dynamics.com/api/data/v9.2",
		"servicenow":           "https://acmedev.service-now.com",
		"hubspot":              "https://api.hubapi.com",
		"cxone":                "https://api-eu1.niceincontact.com",
	}
	for _, i := range catalogue(t).All() {
		require.NotEmpty(t, i.Description, i.ID)
		require.NotEmpty(t, i.Docs, i.ID)
		for _, g := range i.Grants {
			where := i.ID + "/" + g.ID
			values := map[string]string{}
			for _, f := range i.Fields(&g) {
				if value := typed[f.Name]; value != "" && len(f.Options) == 0 {
					values[f.Name] = value
				}
			}
			switch i.ID {
			case "webex-contact-center", "salesforce":
				if g.Type != integration.Bearer {
					values["client_id"] = "C0123456789abcdef"
				}
			}
			require.NoError(t, i.Check(&g, values, nil), where)
			require.NotEmpty(t, g.Help, where)
			values = i.WithDefaults(&g, values)
			base, err := integration.Address(i.Base, values)
			require.NoError(t, err, where)
			require.Equal(t, bases[i.ID], base.String(), where)
			for _, template := range []string{g.Authorize, g.Token, g.Revoke, g.Account.URL} {
				if template != "" {
					_, err := integration.Address(template, values)
					require.NoError(t, err, where)
				}
			}
			for _, template := range append(slices.Clone(g.Scopes), g.Audience, g.Subject, g.Value, g.Username, g.Password) {
				_, err := integration.Render(template, values)
				require.NoError(t, err, where)
			}
			if g.Type == integration.AuthorizationCode {
				require.Contains(t, g.Help, "/oauth/callback/"+i.ID, "the help says which redirect address is asked for")
				require.NotEmpty(t, g.Scopes, where)
			}
			if g.Type != integration.Password && g.Type != integration.ClientCredentials {
				require.NotEmpty(t, g.Account.URL, "%s: nothing proves the credential", where)
			}
		}
	}
}

// TestHubSpotLimit: HubSpot allows 100 requests in any ten seconds, and the hub
// sends a tenth of a minute's at once.
func TestHubSpotLimit(t *testing.T) {
	t.Parallel()
	i, ok := catalogue(t).Integration("hubspot")
	require.True(t, ok)
	burst := i.Limits.RequestsPerMinute / 10
	flow := (i.Limits.RequestsPerMinute - burst) * 10 / 60
	require.LessOrEqual(t, burst+flow, 100)
}

func TestShippedNodes(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	var ids []string
	for _, n := range c.Nodes("webex-contact-center") {
		ids = append(ids, n.ID)
		require.NotEmpty(t, n.Versions)
	}
	require.Equal(t, []string{
		"create-task", "set-variable", "queue-task", "piq-ewt", "routed-notification",
		"modify-notification", "screen-pop", "close-task",
	}, ids)
	engage := c.Nodes("webex-engage")
	require.Len(t, engage, 1)
	require.Equal(t, "resolve-conversation", engage[0].ID)
}

// TestManual loads the complete examples of README.md.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example := func(heading string) *fstest.MapFile {
		_, section, ok := strings.Cut(string(manual), "\n## "+heading)
		require.True(t, ok, heading)
		_, rest, ok := strings.Cut(section, "```yaml\n")
		require.True(t, ok, heading)
		text, _, ok := strings.Cut(rest, "```")
		require.True(t, ok, heading)
		return &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	set, findings := mapping.Read(fstest.MapFS{
		"directory/northwind.yaml":          example("The directory"),
		"workflows/external-task.yaml":      example("Workflows"),
		"parcelpost/integration.yaml":       example("Integrations"),
		"parcelpost/find-parcels.yaml":      example("Operations"),
		"parcelpost/entities.yaml":          example("Entities"),
		"parcelpost/find-parcels_test.yaml": example("Tests"),
		"webex/nodes.yaml":                  example("Nodes"),
		"cxone/configurations.yaml":         example("Configurations of CXone"),
	})
	require.Empty(t, findings)
	d, findings := directory.Load(set)
	require.Empty(t, findings)
	_, findings = flow.Load(set)
	require.Empty(t, findings)
	c, findings := integration.Load(set)
	require.Empty(t, findings)
	require.Len(t, c.Nodes("parcelpost"), 3)
	operations, findings := operation.Load(set, c)
	require.Empty(t, findings)
	op, ok := operations.Operation("parcelpost", "find-parcels")
	require.True(t, ok)
	require.Len(t, operations.Tests(op), 2)
	passes(t, operations, op)
	_, findings = cxone.Load(set, c, operations, []string{d.Tenants()[0].Name})
	require.Empty(t, findings)
	manualFunctions(t, string(manual), operations.Entities("parcelpost"))
}

// manualFunctions evaluates the examples of the tables of functions.
func manualFunctions(t *testing.T, manual string, entities *expression.Entities) {
	t.Helper()
	examples := regexp.MustCompile("`([^`]+)` gives `([^`]+)`").FindAllStringSubmatch(manual, -1)
	require.Greater(t, len(examples), 30)
	for _, e := range examples {
		node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "= " + e[1]}
		p, findings := expression.CompileText(mapping.File{}, node, expression.Names{Entities: entities})
		require.Empty(t, findings, e[1])
		value, err := p.Eval(&expression.Env{Context: map[string]any{"card": map[string]any{}}})
		require.NoError(t, err, e[1])
		got, err := json.Marshal(value)
		require.NoError(t, err, e[1])
		require.JSONEq(t, e[2], string(got), e[1])
	}
}

// TestOperations runs the tests of every shipped operation.
func TestOperations(t *testing.T) {
	t.Parallel()
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	c, findings := operation.Load(set, integrations)
	require.Empty(t, findings)
	for _, op := range c.All() {
		t.Run(op.Integration+"/"+op.Name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, op.Description)
			require.NotEmpty(t, c.Tests(op), "it has no tests")
			passes(t, c, op)
		})
	}
}

// passes runs the tests of an operation.
func passes(t *testing.T, c *operation.Catalogue, op *operation.Operation) {
	t.Helper()
	for _, test := range c.Tests(op) {
		_, differences, _ := c.RunTest(t.Context(), op, test)
		require.Empty(t, differences, "%s:%d: %s", test.File, test.Line, test.Name)
	}
}
