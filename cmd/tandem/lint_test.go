package main

import (
	"os"
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
	edit(t, dir, "zendesk/create-ticket.yaml", "title:", "titel:")
	_, out, _ = tandem(t, "mappings", "lint", dir)
	require.Contains(t, out, `"titel"`)
	require.NotContains(t, out, "there is no operation")
	// Nor what hangs on a file that nobody can read.
	write(t, dir, "zendesk/create-ticket.yaml", "title: [")
	_, out, _ = tandem(t, "mappings", "lint", dir)
	require.Contains(t, out, "zendesk/create-ticket.yaml")
	require.Contains(t, out, `"Queue Tusk"`)
	require.NotContains(t, out, "no operation")
}
