package cxone

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// What the guide for authors of scripts says must be so.
func TestStudioGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("STUDIO.md")
	require.NoError(t, err)
	sample, err := os.ReadFile("../../mappings/cxone/configurations.yaml")
	require.NoError(t, err)

	ids := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindAllString(string(guide), -1)
	require.NotEmpty(t, ids)
	for _, id := range ids {
		require.Contains(t, string(sample), "id: "+id, "an id of the sample tenant")
	}
	branches := []string{branchSuccess, branchInternalError, branchInvalidWorkflow, branchTimeout, "ValidationError", "NotConfigured", "Default"}
	for _, branch := range branches {
		require.Contains(t, string(guide), "| `"+branch+"` |")
	}
	words := []string{
		codeInvalidWorkflow, operation.CodeUnreachable, operation.CodeRejected, operation.CodeBrokenAnswer,
		outbound.CodeRedirected, outbound.CodeAuthorizationRequired, outbound.CodeUpstreamForbidden, outbound.CodeUpstreamThrottled,
		engine.CodeEnded, engine.CodeTaken, engine.CodeThere, outbound.CodeUpstreamFailed, outbound.CodeUpstreamBusy, outbound.CodeCircuitOpen, outbound.CodeAddressRefused,
	}
	for kind, meaning := range core.Table {
		if kind != core.Unauthenticated { // that is 401, without errorArgs
			words = append(words, meaning.Code)
		}
	}
	for _, code := range words {
		require.Contains(t, string(guide), "`"+code+"`")
	}
}
