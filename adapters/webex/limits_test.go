package webex

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// No operation refuses what the nodes take: a text that is longer than its input
// may be is refused by the node already, and tells the flow which field it is.
func TestOperationsTakeWhatNodesTake(t *testing.T) {
	t.Parallel()
	l, err := shipped()
	require.NoError(t, err)
	checked := 0
	for i := range methods {
		m := &methods[i]
		node, ok := l.integrations.Node(m.Node, "")
		require.True(t, ok)
		method, ok := node.Method(m.Name)
		require.True(t, ok)
		op, ok := l.operations.Operation(node.Integration, method.Operation)
		require.True(t, ok, id0(m))
		for _, in := range op.Inputs {
			field, known := fields[in.Name]
			switch {
			case in.Name == "variables":
				require.GreaterOrEqual(t, in.Max, maxVariables, id0(m))
			case known && in.Type == "text":
				var p problems
				field.read(&p, &request{}, in.Name, longer(in.Name, in.Max))
				require.NotEmpty(t, p, "%s: %s of %s takes %d characters, the node more", id0(m), in.Name, op.Name, in.Max)
				checked++
			}
		}
	}
	require.Greater(t, checked, 50)
}

// longer is a value for a field, of one character more than most.
func longer(name string, most int) string {
	before, after := "", ""
	switch name {
	case "screenPopUrl", "webhookUrl":
		before = "https://a.example/"
	case "skillRequirements":
		before, after = `{"a":"`, `"}`
	}
	return before + strings.Repeat("a", most+1-len(before)-len(after)) + after
}
