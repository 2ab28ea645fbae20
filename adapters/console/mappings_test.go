package console

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console/identity"
	"tandem/core/mapping"
)

func TestMappings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	vic := r.as(identity.Viewer)
	r.mapped = MappingState{Hash: "0123456789abcdef", Loaded: noon}
	body := vic.get("/console/mappings").body
	for _, want := range []string{"The samples in the program", "0123456789ab<", "No files", "just now"} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "refused")
	r.fill()
	body = vic.get("/console/mappings").body
	for _, want := range []string{
		"The changed files are refused: 2 findings.", "acme/find-parcel.yaml:7:3:", "unknown key &#34;inptu&#34; &lt;script&gt;", "inptu: &lt;script&gt;",
		"The mappings folder of the hub", "2 hours ago</time>", "ab12ab12ab12<", "cd34cd34cd34<", "changed but refused", "2.0 KB", "700 B", "in force",
	} {
		require.Contains(t, body, want)
	}
	require.Equal(t, 1, strings.Count(body, "<h3>acme/</h3>"))
	require.Equal(t, 1, strings.Count(body, `id="folder-acme/" open>`), "with what was refused in sight")
	require.NotContains(t, body, `id="folder-" open>`)
	require.Equal(t, 1, strings.Count(body, "<h3>/</h3>"))

	r.mapped.Refused.Findings, r.mapped.Refused.Lines = make([]mapping.Finding, maxShown+1), nil
	require.Contains(t, vic.get("/console/mappings").body, "and 1 other<")
	r.mapped.Refused.Findings = nil
	require.Contains(t, vic.get("/console/mappings").body, "could not be taken over")
	require.Equal(t, http.StatusForbidden, r.as(identity.Agent).get("/console/mappings").status)
}
