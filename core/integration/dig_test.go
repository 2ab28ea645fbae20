package integration_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/integration"
)

func TestDig(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text, path string
		want       any
	}{
		{`{"error":{"code":"QUOTA"}}`, "error.code", "QUOTA"},
		{`[{"errorCode":"LOCKED"}]`, "0.errorCode", "LOCKED"},
		{`{"emails":["a","b"]}`, "emails.1", "b"},
		{`{"0":{"x":true}}`, "0.x", true},
		{`{"a":{"b":2}}`, "a", map[string]any{"b": 2.0}},
		{`{"a":null}`, "a", nil},
		{`{"a":null}`, "a.b", nil},
		{`{"a":"text"}`, "a.b", nil},
		{`{"a":1}`, "b", nil},
		{`{"a":1}`, "", nil},
		{`{"":1}`, "", 1.0},
		{`["a"]`, "1", nil},
		{`["a"]`, "-1", nil},
		{`["a"]`, "x", nil},
		{`["a"]`, "99999999999999999999", nil},
		{`[]`, "0", nil},
		{`"text"`, "a", nil},
		{`null`, "a.b", nil},
	} {
		var value any
		require.NoError(t, json.Unmarshal([]byte(row.text), &value))
		require.Equal(t, row.want, integration.Dig(value, row.path), "%s %s", row.text, row.path)
	}
}
