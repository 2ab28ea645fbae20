package operation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const optional = `title: Optional
steps:
  - id: make
    request: {method: POST, path: /cases, body: {a: 1}}
  - id: relate
    request: {method: GET, path: /relations}
    on:
      - kind: [unavailable, throttled, timeout, uncertain]
        then: continue
    extract: {first: "= body.list[0].name", kept: "= 7"}
output: {id: "= steps.make.body.id", ok: "= steps.relate.ok", status: "= steps.relate.status", first: "= steps.relate.first", kept: "= steps.relate.kept"}
`

// TestRulesWithoutAnAnswer loses what follows a case, but not the case.
func TestRulesWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file string
		fault      error
		goesOn     bool
	}{
		{"unavailable", optional, core.Errorf(core.Unavailable, "down"), true},
		{"throttled", optional, core.Errorf(core.Throttled, "busy"), true},
		{"timeout", optional, core.Errorf(core.Timeout, "slow"), true},
		{"uncertain", optional, core.Errorf(core.Uncertain, "cut off"), true},
		{"stop", strings.Replace(optional, "then: continue", "then: stop", 1), core.Errorf(core.Unavailable, "down"), true},
		{"another kind", strings.Replace(optional, "unavailable, ", "", 1), core.Errorf(core.Unavailable, "down"), false},
		{"with a status", strings.Replace(optional, "- kind:", "- status: [503]\n        kind:", 1), core.Errorf(core.Unavailable, "down"), false},
		{"when alone", strings.Replace(optional, "kind: [unavailable, throttled, timeout, uncertain]", `when: "= true"`, 1), core.Errorf(core.Unavailable, "down"), false},
		{"no access", strings.Replace(optional, "[unavailable,", "[forbidden, needs_authorization,", 1), core.Errorf(core.NeedsAuthorization, "sign in"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			result, err := play(t, c.file, nil, func(call outbound.Call) (*outbound.Response, error) {
				if call.Request.Method == "POST" {
					require.Greater(t, call.Deadline, 25*time.Second)
					return answer(call, 201, `{"id": "c-1"}`)
				}
				return nil, c.fault
			})
			last := result.Steps[1]
			require.Equal(t, c.fault.Error(), last.Error)
			if !c.goesOn {
				require.ErrorIs(t, err, c.fault)
				require.Equal(t, operation.StepFailed, last.State)
				return
			}
			require.NoError(t, err)
			require.Equal(t, map[string]any{"id": "c-1", "ok": false, "status": 0, "kept": 7}, result.Output)
		})
	}
}

func TestStepThatMayTimeOutLeavesTimeForTheRest(t *testing.T) {
	t.Parallel()
	result, err := play(t, optional, nil, func(call outbound.Call) (*outbound.Response, error) {
		if call.Request.Method == "POST" {
			return answer(call, 201, `{"id": "c-1"}`)
		}
		require.InDelta(t, 15*time.Second, call.Deadline, float64(3*time.Second))
		return nil, core.Errorf(core.Timeout, "slow")
	})
	require.NoError(t, err)
	require.Equal(t, []string{"make ok", "relate continued"}, states(result))
}

func TestNoRuleGoesOnWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	op := one(t, strings.Replace(optional, "  - id: make\n    request: {method: POST, path: /cases, body: {a: 1}}\n", "  - id: make\n    when: = false\n    request: {method: POST, path: /cases}\n", 1))
	_, err := runner(hanging{}, base).Run(t.Context(), operation.Request{Operation: op, Timeout: 20 * time.Millisecond})
	kind(t, err, core.Timeout, operation.CodeTimeout)
}

func TestInputMayBeEmpty(t *testing.T) {
	t.Parallel()
	const file = `title: Empty
input: [{name: phone, type: text, required: true, may_be_empty: true, pattern: "[0-9]+", options: ["1", "2"]}]
example: {phone: "1"}
output: {phone: "= input.phone", none: "= input.phone == nil"}
`
	result, err := play(t, file, map[string]any{"phone": ""}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]any{"phone": "", "none": false}, result.Output)
	for _, given := range []map[string]any{{}, {"phone": nil}} {
		_, err = play(t, file, given, nil)
		kind(t, err, core.Invalid, "")
		require.ErrorContains(t, err, "phone: is required")
	}
	_, _, findings := load(t, map[string]string{"one.yaml": "title: E\ninput: [{name: n, type: number, may_be_empty: true}]\noutput: 1\n"})
	require.NotEmpty(t, findings)
	require.Contains(t, findings[0].Message, "may_be_empty is for text")
}
