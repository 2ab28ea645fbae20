package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/mappings"
)

// TestLintSaysEverythingAtOnce: what is wrong in a file hides nothing of what
// others say of each other.
func TestLintSaysEverythingAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, mappings.FS))
	edit(t, dir, "workflows/email.yaml", "Queue Task", "Queue Tusk")
	edit(t, dir, "workflows/field-service.yaml", "zendesk/create-ticket", "zendesk/create-tickets")
	edit(t, dir, "webex/nodes.yaml", "operation: queue-task", "operation: queue-tusk")
	edit(t, dir, "directory/fabrikam.yaml", "licence: Contact Center", "licence: Contact Centre")
	code, out, _ := tandem(t, "mappings", "lint", dir)
	require.Equal(t, 1, code)
	for _, part := range []string{`"Queue Tusk"`, `"zendesk/create-tickets"`, `"queue-tusk"`, `"Contact Centre"`} {
		require.Contains(t, out, part)
	}
	// What hangs on something that is wrong is not wrong itself.
	edit(t, dir, "workflows/field-service.yaml", "zendesk/create-tickets", "zendesk/create-ticket")
	edit(t, dir, "zendesk/create-ticket.yaml", "title:", "titel:")
	_, out, _ = tandem(t, "mappings", "lint", dir)
	require.Contains(t, out, `"titel"`)
	require.NotContains(t, out, "there is no operation")
	// Nor what hangs on a file that nobody can read.
	write(t, dir, "zendesk/create-ticket.yaml", "title: [")
	_, out, _ = tandem(t, "mappings", "lint", dir)
	require.Contains(t, out, "zendesk/create-ticket.yaml")
	require.Contains(t, out, `"Queue Tusk"`)
	require.NotContains(t, out, "create-ticket\"")
}

// TestLintHidesNothing: a file that nobody can read hides what follows from that,
// and nothing else of its folder or of those that refer to it.
func TestLintHidesNothing(t *testing.T) {
	t.Parallel()
	const broken = "x: ["
	for _, c := range []struct {
		name  string
		files map[string]string // path -> text
		edits [][3]string       // path, old, new
		want  []string          // beginnings, in order
	}{
		{"one of a folder", map[string]string{"hubspot/add-note.yaml": broken}, [][3]string{{"hubspot/timeline.yaml", "title:", "titel:"}}, []string{
			"hubspot/add-note.yaml:2:1: not YAML", `hubspot/timeline.yaml:1:1: "title" is missing`, `hubspot/timeline.yaml:1:1: unknown key "titel"`,
		}},
		{
			"those that refer to it",
			map[string]string{"zendesk/timeline.yaml": broken},
			[][3]string{{"cxone/configurations.yaml", "status:", "statsu:"}, {"webex/nodes.yaml", "node: close-task", "node: close-tusk"}},
			[]string{`cxone/configurations.yaml:`, `webex/nodes.yaml:`, "zendesk/timeline.yaml:2:1: not YAML"},
		},
		{
			"an integration",
			map[string]string{"webex-contact-center/integration.yaml": broken},
			[][3]string{{"webex-contact-center/queue-task.yaml", "title:", "titel:"}, {"webex/nodes.yaml", "operation: close-task", "operation: close-tusk"}},
			[]string{
				"webex-contact-center/integration.yaml:2:1: not YAML", `webex-contact-center/queue-task.yaml:`, `webex-contact-center/queue-task.yaml:`,
				"webex/nodes.yaml:",
			},
		},
		{"entities", map[string]string{"zendesk/entities.yaml": broken}, nil, []string{"zendesk/entities.yaml:2:1: not YAML"}},
		{"tests", map[string]string{"zendesk/timeline_test.yaml": broken}, nil, []string{"zendesk/timeline_test.yaml:2:1: not YAML"}},
		{"a workflow", map[string]string{"workflows/email.yaml": broken}, nil, []string{"workflows/email.yaml:2:1: not YAML"}},
		{"a tenant", map[string]string{"directory/contoso.yaml": broken}, nil, []string{"directory/contoso.yaml:2:1: not YAML"}},
		{"all tenants", map[string]string{"directory/contoso.yaml": broken, "directory/fabrikam.yaml": broken}, nil, []string{
			"directory/contoso.yaml:2:1: not YAML", "directory/fabrikam.yaml:2:1: not YAML",
		}},
		{"out of place", map[string]string{
			"foo.yaml": "a: b", "integration.yaml.yaml": "a: b", "workflows/a/b.yaml": "name: b\nmodality: Email\nactivities: [{activity: Disconnect Conversation}]", "webex/node.yaml": "a: b", "acme/b/c.yaml": "a: b",
			"acne/b.yaml": "title: B\noutput: 1", "acne/b_test.yaml": "tests: [{name: a, result: 1}]",
			".github/a.yaml": "a: b", "README.md": "a", ".schemas/a.yaml": "a: b",
		}, nil, []string{
			"acme/b/c.yaml:1:1: operations stand directly in the folder", "acne/b.yaml:1:1: there is no integration.yaml in the folder acne",
			"foo.yaml:1:1: no mapping file stands here: <integration>/<operation>.yaml", "integration.yaml.yaml:1:1: no mapping file stands here",
			"webex/node.yaml:1:1: no mapping file stands here: webex/nodes.yaml",
			"workflows/a/b.yaml:1:1: no mapping file stands here: workflows/<name>.yaml",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, mappings.FS))
			for _, e := range c.edits {
				edit(t, dir, e[0], e[1], e[2])
			}
			for name, text := range c.files {
				write(t, dir, name, text)
			}
			_, out, _ := tandem(t, "mappings", "lint", dir)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			require.Len(t, lines, len(c.want), out)
			for i, want := range c.want {
				require.True(t, strings.HasPrefix(lines[i], want), "%s\nis not\n%s", lines[i], want)
			}
		})
	}
}

// TestLintOfFoldersWithoutTenants: what is missing altogether is not taken for what
// nobody can read.
func TestLintOfFoldersWithoutTenants(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, _ := tandem(t, "mappings", "lint", dir)
	require.Contains(t, out, "there is no tenant")
	require.NotZero(t, code)
	require.NoError(t, os.CopyFS(dir, mappings.FS))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "directory")))
	code, out, _ = tandem(t, "mappings", "lint", dir)
	require.Contains(t, out, "there is no tenant")
	require.NotZero(t, code)
}
