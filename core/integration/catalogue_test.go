package integration_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/integration"
)

func little(title string) string {
	return "title: " + title + "\nbase: https://x.example\ngrants: [{id: t, type: bearer, title: T, fields: " +
		"[{name: token, label: T, required: true, secret: true}]}]\n"
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	c, findings := load(t, map[string]string{
		"b/integration.yaml":        little("Alpha"),
		"a/integration.yaml":        little("beta"),
		"public/integration.yaml":   "title: Public\nbase: https://x.example\nno_authorization: true\n",
		"cxone/integration.yaml":    little("Gamma"),
		"cxone/configurations.yaml": "anything: goes\n",
	})
	require.Empty(t, findings)
	var titles []string
	for _, i := range c.All() {
		titles = append(titles, i.Title)
	}
	require.Equal(t, []string{"Alpha", "beta", "Gamma", "Public"}, titles)
	require.Len(t, c.Listed(), 3)
	require.Len(t, c.All(), 4)
	_, ok := c.Integration("public")
	require.True(t, ok)
	_, ok = c.Integration("none")
	require.False(t, ok)
	require.Empty(t, c.Nodes("a"))
}

func TestNodes(t *testing.T) {
	t.Parallel()
	c, findings := load(t, map[string]string{
		"crm/integration.yaml": little("CRM"),
		"webex/nodes.yaml": `nodes:
  - node: queue-task
    title: Queue Task
    versions: ["1.5"]
    integration: crm
    methods:
      - {method: queue, title: Queue Task, operation: queue-task}
      - {method: skip, title: Skip}
      - {method: other, title: Other, operation: gone}
  - {node: old, title: Old, versions: ["1.0"], integration: crm}
`,
	})
	require.Empty(t, findings)
	n, ok := c.Node("queue-task", "")
	require.True(t, ok)
	m, ok := n.Method("queue")
	require.True(t, ok)
	require.Equal(t, integration.NodeMethod{Method: "queue", Title: "Queue Task", Operation: "queue-task", Line: 7}, m)
	m, ok = n.Method("skip")
	require.True(t, ok)
	require.Empty(t, m.Operation, "the hub does it alone")
	_, ok = n.Method("")
	require.False(t, ok)
	_, ok = c.Node("Queue-Task", "")
	require.False(t, ok)
	n, ok = c.Node("old", "")
	require.True(t, ok)
	require.Empty(t, n.Methods)

	operations := map[string][]string{"crm": {"queue-tasks", "gone"}, "other": {"queue-task"}}
	found := c.CheckNodes(func(id string) []string { return operations[id] })
	require.Len(t, found, 1)
	require.Equal(t, `webex/nodes.yaml:7:55: crm has no operation "queue-task" (did you mean "queue-tasks"?)`, found[0].String())
}

// TestNodeOfAVersion: the entry that lists the version, else the first.
func TestNodeOfAVersion(t *testing.T) {
	t.Parallel()
	c, findings := load(t, map[string]string{
		"crm/integration.yaml": little("CRM"),
		"old/integration.yaml": little("Old CRM"),
		"webex/nodes.yaml": `nodes:
  - {node: other, title: Other, versions: ["1.0"], integration: crm}
  - node: close-task
    title: Close Task
    versions: ["2.5", "2.4"]
    integration: crm
    methods: [{method: close, title: Close, operation: new}]
  - node: close-task
    id: close-task-1
    title: Close Task
    versions: ["1.1", "1.0"]
    integration: old
    authorization: Old
    methods: [{method: close, title: Close, operation: old}, {method: gone, title: Gone}]
`,
	})
	require.Empty(t, findings)
	for version, id := range map[string]string{
		"": "close-task", "2.5": "close-task", "2.4": "close-task", "1.1": "close-task-1", "1.0": "close-task-1", "3.0": "close-task",
	} {
		n, ok := c.Node("close-task", version)
		require.True(t, ok)
		require.Equal(t, id, n.ID, version)
		require.Equal(t, "close-task", n.Node)
	}
	_, ok := c.Node("close-task-1", "1.0")
	require.False(t, ok, "an entry is no node")
	n, _ := c.Node("close-task", "1.0")
	m, _ := n.Method("close")
	require.Equal(t, "old", m.Operation)
	require.Equal(t, "Close Task 1.1, 1.0", n.Label)
	require.Equal(t, "Close Task", n.Title)
	n, _ = c.Node("other", "")
	require.Equal(t, "Other", n.Label)
	require.Len(t, c.Nodes("crm"), 2)

	// Each entry has a default of its own.
	crm := []integration.Authorization{
		{ID: "1", Integration: "crm", Name: "One", DefaultFor: []string{"close-task"}},
		{ID: "2", Integration: "crm", Name: "Two", DefaultFor: []string{"", "close-task-1"}},
	}
	require.Equal(t, "1", integration.Choose(crm, "close-task", "").ID)
	require.Equal(t, "2", integration.Choose(crm, "close-task-1", "").ID)
	old := []integration.Authorization{{ID: "3", Tenant: "contoso", Integration: "old", Name: "Old"}}
	require.Equal(t, []integration.Use{{What: "Node Close Task 1.1, 1.0", File: "webex/nodes.yaml", Line: 8}}, c.Uses(old, "3"))
	require.Empty(t, c.CheckMethods(map[string][]string{"close-task": {"close", "gone"}, "other": nil}))
}

// TestMethodsThatNobodyCanCall: a node or a method that is misspelled would be
// done by the hub alone, without a word to the platform.
func TestMethodsThatNobodyCanCall(t *testing.T) {
	t.Parallel()
	c, findings := load(t, map[string]string{
		"crm/integration.yaml": little("CRM"),
		"webex/nodes.yaml": `nodes:
  - {node: clse-task, title: A, versions: ["1.0"], integration: crm}
  - {node: queue-task, title: B, versions: ["1.0"], integration: crm}
  - node: set-variable
    title: C
    versions: ["1.0"]
    integration: crm
    methods:
      - {method: global, title: Global}
      - {method: flw, title: Flow}
`,
	})
	require.Empty(t, findings)
	served := map[string][]string{"close-task": {"close"}, "queue-task": {"queue"}, "set-variable": {"flow", "global"}}
	var found []string
	for _, f := range c.CheckMethods(served) {
		found = append(found, f.String())
	}
	require.Equal(t, []string{
		`webex/nodes.yaml:2:12: the hub serves no node "clse-task" (did you mean "close-task"?)`,
		`webex/nodes.yaml:10:18: node set-variable has no method "flw" (did you mean "flow"?)`,
	}, found)
}

func TestUses(t *testing.T) {
	t.Parallel()
	c, findings := load(t, map[string]string{
		"crm/integration.yaml":   little("CRM"),
		"other/integration.yaml": little("Other"),
		"webex/nodes.yaml": `nodes:
  - {node: a, title: Node A, versions: ["1.0"], integration: crm}
  - {node: b, title: Node B, versions: ["1.0"], integration: crm, authorization: Night Desk}
  - {node: c, title: Node C, versions: ["1.0"], integration: other}
`,
		"cxone/configurations.yaml": `tenant: contoso
configurations:
  - integration: crm
    authorization: night desk
    workflows:
      - {operation: find, integration: crm}
      - {operation: find, integration: other}
  - {integration: crm}
`,
		"workflows/x.yaml": "activities:\n  - activity: Run Operation\n    operation: crm/create\n",
		"workflows/y.yaml": "tenant: fabrikam\nsteps:\n  - {integration: crm, operation: x, authorization: 'Night Desk'}\n",
	})
	require.Empty(t, findings)
	nodeA := integration.Use{What: "Node Node A", File: "webex/nodes.yaml", Line: 2}
	nodeB := integration.Use{What: "Node Node B", File: "webex/nodes.yaml", Line: 3}
	named := integration.Use{What: "Mapping", File: "cxone/configurations.yaml", Line: 3}
	inner := integration.Use{What: "Mapping", File: "cxone/configurations.yaml", Line: 6}
	common := integration.Use{What: "Mapping", File: "workflows/x.yaml", Line: 2}
	foreign := integration.Use{What: "Mapping", File: "workflows/y.yaml", Line: 3}
	for _, u := range []struct {
		tenant, name string
		defaultFor   []string
		want         []integration.Use
	}{
		{"contoso", "night desk", nil, []integration.Use{named, nodeB}},
		{"contoso", "NIGHT DESK", []string{""}, []integration.Use{named, inner, nodeA, nodeB, common}},
		{"contoso", "other", nil, nil},
		{"contoso", "other", []string{""}, []integration.Use{inner, nodeA, common}},
		{"contoso", "other", []string{"a"}, []integration.Use{nodeA}},
		{"fabrikam", "Night Desk", nil, []integration.Use{nodeB, foreign}},
		{"fabrikam", "x", []string{"", "b"}, []integration.Use{nodeA, common}},
	} {
		all := []integration.Authorization{
			{ID: "0", Tenant: u.tenant, Integration: "crm", Name: "zero"},
			{ID: "1", Tenant: u.tenant, Integration: "crm", Name: u.name, DefaultFor: u.defaultFor},
		}
		require.Equal(t, u.want, c.Uses(all, "1"), "%+v", u)
		require.Empty(t, c.Uses(all, "0"))
	}
	require.Empty(t, c.Uses(nil, "1"))
	// A node with a default of its own has no use for the common one.
	require.Equal(t, []integration.Use{inner, common}, c.Uses([]integration.Authorization{
		{ID: "1", Tenant: "contoso", Integration: "crm", Name: "x", DefaultFor: []string{""}},
		{ID: "2", Tenant: "contoso", Integration: "crm", Name: "y", DefaultFor: []string{"a"}},
	}, "1"))
}

// TestChooseFoldsNames in one way: two names are one where their lower case is.
func TestChooseFoldsNames(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		have, asked string
		same        bool
	}{
		{"Night Desk", "NIGHT desk", true},
		{"Zürich", "ZÜRICH", true},
		{"İzmir", "izmir", true}, // equal by lower case, not by folding
		{"ſupport", "support", false},
		{"Night Desk", "Night", false},
	} {
		all := []integration.Authorization{{ID: "1", Name: row.have}}
		require.Equal(t, row.same, integration.Choose(all, "", row.asked) != nil, "%q %q", row.have, row.asked)
	}
}
