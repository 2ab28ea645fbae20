package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/outbound"
)

// unlimited makes calls as fast as they come.
type unlimited struct{ operation.Upstream }

func (u unlimited) Call(ctx context.Context, call outbound.Call) (*outbound.Response, error) {
	call.Limits = integration.Limits{}
	return u.Upstream.Call(ctx, call)
}

// TestWrongTypesAreTheCallers puts values of wrong kinds in every place of the
// inputs of every operation of a CRM, also inside objects and lists: whatever is
// said of them, it is not that a file is wrong.
func TestWrongTypesAreTheCallers(t *testing.T) {
	t.Parallel()
	var values []any
	require.NoError(t, json.Unmarshal([]byte(`[null, "x", -1, 1e308, true, [], [1], [{"a": [1]}], {}, {"a": {"b": [1]}}, {"entity": 1}]`), &values))
	for _, id := range []string{"dynamics365", "hubspot", "salesforce", "servicenow", "zendesk"} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			client, err := outbound.New(outbound.Options{AllowHosts: []string{r.Addr()}, Authorizer: r.keys})
			require.NoError(t, err)
			t.Cleanup(client.Close)
			runner := operation.NewRunner(operation.Options{Upstream: unlimited{client}, Connections: r.keys, Clock: r.clock})
			try := func(op *operation.Operation, input any) {
				given, ok := input.(map[string]any)
				if !ok {
					return
				}
				r.clock.Advance(200 * time.Millisecond) // for vendors who count calls
				_, err := runner.Run(t.Context(), operation.Request{
					Tenant: "contoso", Operation: op, Input: given, ID: "01890000-0000-7000-8000-000000000000", Timeout: 10 * time.Second,
				})
				if fault, ok := errors.AsType[*core.Error](err); ok {
					require.Contains(t, []core.Kind{core.Invalid, core.NotFound, core.Conflict, core.Throttled}, fault.Kind, "%s %v: %s", op.Name, given, fault)
				}
			}
			for _, op := range r.operations.All() {
				if op.Integration != id {
					continue
				}
				text, err := json.Marshal(op.Example)
				require.NoError(t, err)
				var example any
				require.NoError(t, json.Unmarshal(text, &example))
				for _, value := range values {
					replaced(example, value, func(input any) { try(op, input) })
					for _, in := range op.Inputs {
						input := maps.Clone(example.(map[string]any))
						input[in.Name] = value
						try(op, input)
					}
				}
			}
		})
	}
}

// replaced visits a document with a value in the place of each of its parts.
func replaced(document, value any, visit func(any)) {
	visit(value)
	switch document := document.(type) {
	case map[string]any:
		for key, part := range document {
			replaced(part, value, func(part any) {
				changed := maps.Clone(document)
				changed[key] = part
				visit(changed)
			})
		}
	case []any:
		for i, part := range document {
			replaced(part, value, func(part any) {
				changed := slices.Clone(document)
				changed[i] = part
				visit(changed)
			})
		}
	}
}
