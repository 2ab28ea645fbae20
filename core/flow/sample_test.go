package flow_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

const shipped = "../../mappings/"

// sample reads the workflows that are shipped, and the integration that they use.
func sample(t *testing.T) (map[string]*flow.Workflow, *operation.Catalogue) {
	t.Helper()
	files := fstest.MapFS{}
	for _, room := range []string{"workflows", "zendesk"} {
		paths, err := filepath.Glob(shipped + room + "/*.yaml")
		require.NoError(t, err)
		for _, p := range paths {
			text, err := os.ReadFile(p)
			require.NoError(t, err)
			files[room+"/"+filepath.Base(p)] = &fstest.MapFile{Data: text, Mode: 0o644}
		}
	}
	set, findings := mapping.Read(files)
	require.Empty(t, findings)
	flows, findings := flow.Load(set)
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	operations, findings := operation.Load(set, integrations)
	require.Empty(t, findings)
	return flows, operations
}

func known(operations *operation.Catalogue) func(id, name string) ([]string, bool) {
	return func(id, name string) (inputs []string, ok bool) {
		op, ok := operations.Operation(id, name)
		if !ok {
			return nil, false
		}
		for _, in := range op.Inputs {
			inputs = append(inputs, in.Name)
		}
		return inputs, true
	}
}

// The workflows that are shipped run operations that exist, with inputs that they have.
func TestSampleRunsKnownOperations(t *testing.T) {
	t.Parallel()
	flows, operations := sample(t)
	require.Len(t, flows, 4)
	require.Empty(t, flow.Check(flows, known(operations)))
}

// A task of the field service gets a ticket, the agent its page, and the ticket
// what became of the task.
func TestFieldService(t *testing.T) {
	t.Parallel()
	flows, operations := sample(t)
	w := flows["field-service"]
	op, ok := operations.Operation("zendesk", "create-ticket")
	require.True(t, ok)
	result := document(t, `{"system": {"baseUrl": "https://acme.zendesk.com"}, "records": [{"id": "35436", "url": "/agent/tickets/35436"}]}`)
	for name, c := range map[string]struct {
		answer flow.Answer
		agent  string
		asked  []string
		ended  []map[string]any
	}{
		"handled": {
			flow.Answer{Turn: 1, Result: result},
			"ann@contoso.example",
			[]string{"pop newBrowserTab https://acme.zendesk.com/agent/tickets/35436", "queue", "wait 4h0m0s"},
			[]map[string]any{{"updates": []any{map[string]any{"entity": "ticket", "entityId": "35436", "fields": map[string]any{"status": "pending"}}}}},
		},
		"abandoned": {
			flow.Answer{Turn: 1, Result: result},
			"",
			[]string{"pop newBrowserTab https://acme.zendesk.com/agent/tickets/35436", "queue", "wait 4h0m0s"},
			[]map[string]any{{"updates": []any{map[string]any{"entity": "ticket", "entityId": "35436", "fields": map[string]any{"status": "open"}}}}},
		},
		"without Zendesk": {flow.Answer{Turn: 1, Failed: true}, "", []string{"queue", "wait 4h0m0s"}, nil},
	} {
		task := &core.Task{ID: "t1", CustomerIdentifier: "0815", InitialMessage: "The door is stuck"}
		cursor, asked := walk(w, flow.Cursor{}, task, flow.Continue, noon)
		require.Equal(t, []string{"accept", "run zendesk/create-ticket 1", "wait 1m15s"}, asked, name)

		_, request := w.Step(flow.Cursor{At: cursor.At}, task, flow.Continue, noon)
		require.Equal(t, map[string]any{"subject": "Visit for 0815", "description": "The door is stuck", "external_id": "t1"}, request.Run.Input)
		require.Equal(t, 15*time.Second, request.Run.Timeout)
		for input := range request.Run.Input {
			require.Contains(t, inputNames(op), input)
		}

		cursor, set, ok := w.Answer(cursor, task, c.answer, noon)
		require.True(t, ok, name)
		for _, p := range set {
			task.SetParameter(p.Name, p.Value)
		}
		_, asked = walk(w, cursor, task, flow.Continue, noon)
		require.Equal(t, c.asked, asked, name)

		task.LastConnectedUser.UPN = c.agent
		var ended []map[string]any
		for _, r := range w.Endings(task) {
			require.NoError(t, r.Err)
			require.Equal(t, "zendesk/data-memorialization", r.Operation)
			ended = append(ended, r.Input)
		}
		require.Equal(t, c.ended, ended, name)
	}
}

func inputNames(op *operation.Operation) []string {
	var names []string
	for _, in := range op.Inputs {
		names = append(names, in.Name)
	}
	return names
}

func document(t testing.TB, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

// The manual's workflow with an operation is a sound one.
func TestManual(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile(shipped + "README.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(manual), "### Operations in a workflow")
	require.True(t, ok)
	_, rest, _ := strings.Cut(section, "```yaml\n")
	text, _, _ := strings.Cut(rest, "```")
	w, findings := flow.Parse("workflows/complaint.yaml", []byte(text))
	require.Empty(t, findings)
	require.Len(t, w.Endings(&core.Task{Parameters: []core.NamedValue{{Name: "Complaint", Value: "7"}}}), 1)
	require.Empty(t, w.Endings(&core.Task{}))
}
