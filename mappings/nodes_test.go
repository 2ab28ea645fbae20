package mappings_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/mappings"
)

// TestShippedMethods: every method of every node, under the vendor's name, and
// the operation that carries it out.
func TestShippedMethods(t *testing.T) {
	t.Parallel()
	set, findings := mapping.Read(mappings.FS)
	require.Empty(t, findings)
	c, findings := integration.Load(set)
	require.Empty(t, findings)
	operations, findings := operation.Load(set, c)
	require.Empty(t, findings)
	names := map[string][]string{}
	for _, op := range operations.All() {
		names[op.Integration] = append(names[op.Integration], op.Name)
	}
	require.Empty(t, c.CheckNodes(func(id string) []string { return names[id] }))

	titles := map[string]string{}
	for _, id := range []string{"webex-contact-center", "webex-engage"} {
		for _, n := range c.Nodes(id) {
			for _, m := range n.Methods {
				titles[n.ID+"/"+m.Method] = m.Title
				op, ok := operations.Operation(id, m.Operation)
				require.True(t, ok, "%s/%s", n.ID, m.Method)
				for _, in := range op.Inputs {
					if in.Required {
						require.Contains(t, []string{"taskId", "hubTaskId"}, in.Name,
							"%s needs what the hub does not always have", op.Name)
					}
				}
			}
		}
	}
	require.Equal(t, map[string]string{
		"create-task/create":           "Create Task",
		"set-variable/global":          "Set Global Variable",
		"set-variable/flow":            "Set Flow Variable",
		"queue-task/queue":             "Queue Task",
		"piq-ewt/fetch":                "Fetch Position in Queue",
		"routed-notification/accept":   "Routed Accept",
		"routed-notification/reject":   "Routed Reject",
		"modify-notification/accept":   "Modified Accept",
		"modify-notification/reject":   "Modified Reject",
		"screen-pop/pop":               "Screen Pop",
		"close-task/close":             "Close Task on WxCC",
		"close-task/accept":            "Close Task Accept",
		"close-task/reject":            "Close Task Reject",
		"resolve-conversation/resolve": "Resolve Conversation",
	}, titles)
}

// TestContosoAddresses: what customers of the sample write to leads to it.
func TestContosoAddresses(t *testing.T) {
	t.Parallel()
	contoso, ok := load(t).Tenant("contoso")
	require.True(t, ok)
	for destination, upn := range map[string]string{
		"APP-CHAT-1": "support@contoso.example", "Support@contoso-mail.example": "support@contoso.example",
		"+12025550100": "support@contoso.example", "+12025550150": "field@contoso.example",
	} {
		s, ok := contoso.ServiceAt(destination)
		require.True(t, ok, destination)
		require.Equal(t, upn, s.UPN, destination)
	}
	field, _ := contoso.Service("field@contoso.example")
	require.Equal(t, "webex", field.Ref().Target)
	require.NotEmpty(t, field.TargetSettings["entryPoint"])
	require.NotEmpty(t, field.TargetSettings["queue"])
}
