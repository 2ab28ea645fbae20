package mappings_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/mapping"
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
			require.True(t, u.Takes(core.ExternalTask), u.UPN)
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

	require.Len(t, contoso.Services(), 3)
	support, _ := contoso.Service("support@contoso.example")
	require.NoError(t, support.AcceptsExternalTasks())
	require.Equal(t, directory.TargetLocal, support.Target)
	require.Equal(t, "external-task", support.Workflows[core.ExternalTask])
	field, _ := contoso.Service("field@contoso.example")
	require.NoError(t, field.AcceptsExternalTasks())
	require.Equal(t, directory.TargetWebex, field.Target)
	require.Equal(t, "field-service", field.Workflows[core.ExternalTask])
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

// TestManual loads the complete example of README.md.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(manual), "```yaml\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	set, findings := mapping.Read(fstest.MapFS{
		"directory/northwind.yaml": {Data: []byte(example), Mode: 0o644},
	})
	require.Empty(t, findings)
	_, findings = directory.Load(set)
	require.Empty(t, findings)
}
