package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/adapters/console"
	"tandem/core"
	"tandem/core/execution"
)

// TestTrialsKeepNoUnknownInput: what an operation has no input for no file says
// how to hide, so that nobody may see it among the executions.
func TestTrialsKeepNoUnknownInput(t *testing.T) {
	t.Parallel()
	h := openHub(t)
	op, ok := h.mapped.operations().Operation("hubspot", "search-ani")
	require.True(t, ok)
	o := h.try(t.Context(), console.Trial{
		Tenant: "contoso", By: demoUser, Operation: op,
		Input: map[string]any{"phoneNumber": "+41445551234", "creditCard": "4111111111111111"},
	})
	require.Equal(t, core.NeedsAuthorization, core.KindOf(o.Err), "%v", o.Err)

	runs, err := h.recorder.List(t.Context(), execution.Filter{Tenant: "contoso", Limit: 10})
	require.NoError(t, err)
	require.Len(t, runs, 1)
	run, err := h.recorder.Get(t.Context(), "contoso", runs[0].ID)
	require.NoError(t, err)
	require.JSONEq(t, `{"phoneNumber":"[redacted]"}`, run.Input)
	require.Equal(t, []any{"console", "Playground / " + op.Title, demoUser, "hubspot", "search-ani"}, []any{
		run.Platform, run.Title, run.Caller, run.Integration, run.Operation,
	})
	require.Equal(t, []any{true, string(core.NeedsAuthorization), "AUTHORIZATION_REQUIRED"}, []any{run.Failed, run.Outcome, run.Code})
	require.NotEmpty(t, run.Message)
}
