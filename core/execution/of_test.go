package execution_test

import (
	"errors"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

func TestRunAsPeopleSeeIt(t *testing.T) {
	t.Parallel()
	set, findings := mapping.Read(fstest.MapFS{
		"acme/integration.yaml": &fstest.MapFile{Data: []byte("title: Acme\nbase: https://x.example\nno_authorization: true\n"), Mode: 0o644},
		"acme/find.yaml": &fstest.MapFile{Data: []byte(`
title: Find
input: [{name: phone, type: text, redact: true}, {name: kind, type: text}]
output: {phone: = input.phone, kind: = input.kind}
`), Mode: 0o644},
	})
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	operations, findings := operation.Load(set, integrations)
	require.Empty(t, findings)
	op, ok := operations.Operation("acme", "find")
	require.True(t, ok)

	r := operation.Request{
		ID: "1", Tenant: "contoso", Operation: op, ContactID: "4711", Key: "4111 as well",
		Input: map[string]any{"phone": "+41445551234", "kind": nil, "card": "4111"},
	}
	result := &operation.Result{Mask: op.Mask(r.Input), Output: map[string]any{"text": "044 555 12 34 called"}, Steps: []operation.Step{{ID: "a"}}}
	run := execution.Run{
		ID: "1", Tenant: "contoso", Integration: "acme", Operation: "find", Contact: "4711", Outcome: "ok", Began: noon, Duration: time.Second,
		Steps: result.Steps, Input: `{"kind":null,"phone":"[redacted]"}`, Result: `{"text":"[redacted] called"}`,
	}
	require.Equal(t, run, execution.Of(r, result, nil, noon, time.Second))

	run.Failed, run.Result = true, ""
	for _, c := range []struct {
		err                    error
		outcome, code, message string
	}{
		{core.Errorf(core.Conflict, "0445551234 is busy"), "conflict", core.Table[core.Conflict].Code, "[redacted] is busy"},
		{&operation.Error{Err: &core.Error{Kind: core.Timeout, Code: "OWN", Message: "late"}}, "timeout", "OWN", "late"},
		{errors.New("of the hub, about 0445551234"), "internal", core.Table[core.Internal].Code, ""},
	} {
		run.Outcome, run.Code, run.Message = c.outcome, c.code, c.message
		require.Equal(t, run, execution.Of(r, result, c.err, noon, time.Second))
	}
}
