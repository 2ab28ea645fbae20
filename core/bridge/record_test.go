package bridge_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/operation"
)

// People who look at runs and tasks see nothing of what customers said: neither
// what the operation has no use for, nor what Webex repeats in its refusals.
func TestRunsShowNothingOfCustomers(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ctx := t.Context()
		const words = "Zoe's words"
		task := core.Task{
			ID: "0198c0de-0000-7000-8000-000000000001", Tenant: "contoso", Modality: core.Email, CustomerIdentifier: words,
			Customer: core.Customer{DisplayName: words}, Mail: core.Mail{Subject: words}, InitialMessage: words,
			Parameters: []core.NamedValue{{Name: "origin", Value: words}, {Name: "CaseId", Value: words}},
			Remote:     core.Remote{Platform: core.PlatformWebex, ID: remoteID, State: core.RemoteOpen},
		}
		task.Service.UPN = field
		refused := &operation.Error{Step: "set", Upstream: 400, Err: core.Errorf(core.Invalid, "Webex answered 400: no %s here", words)}
		call := bridge.NodeCall{Tenant: "contoso", Task: &task, Input: map[string]any{}}

		call.Node, call.Method = "close-task", "close"
		_, err := r.Node(ctx, call)
		require.NoError(t, err)

		call.Node, call.Method = "set-variable", "flow"
		call.Input = map[string]any{"variables": []any{map[string]any{"name": "v", "value": words}}}
		r.answer("set-variables", nil, refused)
		_, err = r.Node(ctx, call)
		require.Equal(t, core.Invalid, core.KindOf(err))
		require.NotContains(t, err.Error(), words)
		run, ok := err.(*operation.Error) //nolint:errorlint // as it comes
		require.True(t, ok)
		require.Equal(t, []any{"set", 400, false}, []any{run.Step, run.Upstream, run.Wrote})

		call.Node, call.Method = "screen-pop", "pop"
		call.Input = map[string]any{"agentId": "a", "screenPopUrl": "https://crm.example/?" + words, "queryParameters": map[string]any{"q": words}}
		_, err = r.Node(ctx, call)
		require.NoError(t, err)

		require.Len(t, r.runs, 3)
		text, err := json.Marshal(r.runs)
		require.NoError(t, err)
		require.NotContains(t, string(text), words)
		require.Contains(t, r.runs[0].Input, remoteID)
	})
}
