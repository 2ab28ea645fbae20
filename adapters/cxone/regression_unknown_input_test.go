package cxone

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestUnknownInputIsNotKept: what an operation has no input for no file says how
// to hide, so that nobody may see it.
func TestUnknownInputIsNotKept(t *testing.T) {
	t.Parallel()
	const card = "4111111111111111"
	for name, c := range map[string]struct {
		workflow string
		input    object
		payload  object
		status   int
		branch   string
		want     string
	}{
		"a search":         {findID, object{"phoneNumber": "+41445551234", "creditCard": card}, nil, 200, branchSuccess, `{"kind":"person","phoneNumber":"[redacted]"}`},
		"a refusal":        {findID, object{"creditCard": card}, nil, 200, "ValidationError", `{"kind":"person"}`},
		"a failure":        {findID, object{"phoneNumber": "+41445551234", "kind": "firm", "creditCard": card}, nil, 400, branchInternalError, `{"kind":"firm","phoneNumber":"[redacted]"}`},
		"what is strict":   {createID, object{"subject": "Hello", "creditCard": card}, nil, 200, "ValidationError", `{"subject":"Hello"}`},
		"no inputs at all": {plainID, object{"creditCard": card}, nil, 200, branchInternalError, `{}`},
		"besides": {
			timelineID,
			object{"creditCard": card},
			object{"cxoneContact": object{"agent": "Ann"}, "integration": []any{}, "relatedObject": card},
			200, branchSuccess, `{"cxoneContact":{"agent":"Ann"},"integration":[]}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.answerWith(c.status, `{"id":"c1","records":[]}`)
			payload := object{"workflowInput": c.input}
			for key, v := range c.payload {
				payload[key] = v
			}
			for range 2 { // the second of a workflow that writes is the first answer again
				require.Equal(t, c.branch, r.execute(t, admin, body(t, c.workflow, payload, "dynamicDataMappingId", cardMap)).Branch)
			}
			require.Len(t, r.log.all(), 2)
			for _, run := range r.log.all() {
				require.JSONEq(t, c.want, run.Input)
				text, err := json.Marshal(run)
				require.NoError(t, err)
				require.NotContains(t, string(text), card)
			}
		})
	}
}
