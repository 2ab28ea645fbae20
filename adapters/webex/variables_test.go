package webex

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "set-variable/flow")
	one := func(change map[string]any) map[string]any {
		return changed(map[string]any{"name": "order", "value": "4711"}, change)
	}
	long := func(n int) string { return strings.Repeat("é", n) }
	for _, c := range []struct {
		change map[string]any
		want   variable
		field  string // of the fault
	}{
		{nil, variable{Name: "order", Type: "String", Value: "4711"}, ""},
		{map[string]any{"value": 4711}, variable{Name: "order", Type: "String", Value: "4711"}, ""},
		{map[string]any{"value": " two\nlines "}, variable{Name: "order", Type: "String", Value: " two\nlines "}, ""},
		{
			map[string]any{"type": "boolean", "value": "TRUE", "description": "é", "desktopLabel": "Über", "agentViewable": true, "agentEditable": "true"},
			variable{Name: "order", Type: "Boolean", Value: "true", Description: "é", DesktopLabel: "Über", AgentViewable: true, AgentEditable: true},
			"",
		},
		{map[string]any{"type": "Integer", "value": -5}, variable{Name: "order", Type: "Integer", Value: "-5"}, ""},
		{map[string]any{"type": "DECIMAL", "value": 12.5}, variable{Name: "order", Type: "Decimal", Value: "12.5"}, ""},
		{map[string]any{"type": "date_time", "value": 1767225600}, variable{Name: "order", Type: "Date Time", Value: "1767225600"}, ""},
		{map[string]any{"type": "DateTime", "value": "1767225600"}, variable{Name: "order", Type: "Date Time", Value: "1767225600"}, ""},
		{map[string]any{"name": strings.Repeat("a", 80)}, variable{Name: strings.Repeat("a", 80), Type: "String", Value: "4711"}, ""},
		{map[string]any{"value": long(256)}, variable{Name: "order", Type: "String", Value: long(256)}, ""},
		{map[string]any{"description": long(256)}, variable{Name: "order", Type: "String", Value: "4711", Description: long(256)}, ""},
		{map[string]any{"desktopLabel": long(50)}, variable{Name: "order", Type: "String", Value: "4711", DesktopLabel: long(50)}, ""},

		{map[string]any{"name": nil}, variable{}, "name"},
		{map[string]any{"value": nil}, variable{}, "value"},
		{map[string]any{"value": ""}, variable{}, "value"},
		{map[string]any{"name": strings.Repeat("a", 81)}, variable{}, "name"},
		{map[string]any{"name": "a-b"}, variable{}, "name"},
		{map[string]any{"name": "größe"}, variable{}, "name"},
		{map[string]any{"name": []any{"a"}}, variable{}, "name"},
		{map[string]any{"value": long(257)}, variable{}, "value"},
		{map[string]any{"value": map[string]any{"a": 1}}, variable{}, "value"},
		{map[string]any{"value": "a\x00"}, variable{}, "value"},
		{map[string]any{"type": "List"}, variable{}, "type"},
		{map[string]any{"type": "Boolean", "value": "yes"}, variable{}, "value"},
		{map[string]any{"type": "Integer", "value": "1.5"}, variable{}, "value"},
		{map[string]any{"type": "Integer", "value": "9223372036854775808"}, variable{}, "value"},
		{map[string]any{"type": "Decimal", "value": "1,5"}, variable{}, "value"},
		{map[string]any{"type": "Date Time", "value": "2026-01-01"}, variable{}, "value"},
		{map[string]any{"type": "Date Time", "value": "1767225600000"}, variable{}, "value"},
		{map[string]any{"description": long(257)}, variable{}, "description"},
		{map[string]any{"desktopLabel": long(51)}, variable{}, "desktopLabel"},
		{map[string]any{"agentViewable": "perhaps"}, variable{}, "agentViewable"},
		{map[string]any{"Agent Editable": 2}, variable{}, "agentEditable"},
		{map[string]any{"Desktop Label": "a", "desktopLabel": "b"}, variable{}, "desktopLabel"},
	} {
		r, err := read(t, m, changed(valid(m), map[string]any{"variables": []any{one(c.change)}}))
		if c.field != "" {
			require.Equal(t, []string{"variables[0]." + c.field}, found(t, err), "%v", c.change)
			continue
		}
		require.NoError(t, err, "%v", c.change)
		require.Equal(t, []variable{c.want}, r.Variables)
	}

	list := func(n int) []any {
		var all []any
		for i := range n {
			all = append(all, one(map[string]any{"name": fmt.Sprint("v", i)}))
		}
		return all
	}
	r, err := read(t, m, changed(valid(m), map[string]any{"variables": list(30)}))
	require.NoError(t, err)
	require.Len(t, r.Variables, 30)
	for _, bad := range []any{list(31), "[]", "{}", "x", 5, []any{1}, append(list(1), list(1)...)} {
		_, err := read(t, m, changed(valid(m), map[string]any{"variables": bad}))
		require.True(t, strings.HasPrefix(found(t, err)[0], "variables"), "%v", bad)
	}

	r, err = read(t, methodAt(t, "set-variable/global"), valid(m))
	require.NoError(t, err)
	require.True(t, r.Variables[0].Global)
}
