package powerautomate

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

// fullEvent has every field that an event can have.
func fullEvent() core.Event {
	begun := time.Date(2026, 3, 4, 13, 0, 0, 7e6, time.FixedZone("", 3600))
	return core.Event{
		Name: core.ParameterUpdated, Parameter: &core.NamedValue{Name: "Case", Value: "42"},
		Task: core.Task{
			ID: noID, Tenant: "contoso", TenantID: "tenant-id", State: core.StateTerminated, Priority: core.PriorityHigh,
			Service: core.ServiceRef{
				ID: "service-id", UPN: supportUPN, Name: "Support", DisplayName: "Contoso Support",
				Description: "Answers", TelNumber: "+12025550100", MailboxUPN: "mailbox@contoso.example",
			},
			Modality: core.Audio, Direction: core.Outbound, Created: begun, Queued: begun, Terminated: begun.Add(time.Minute),
			CustomerIdentifier: "crm-1", ReferenceID: "ref-1", CallChainID: "chain-1", ACSID: "acs-1", InitialMessage: "Hello",
			Mail:            core.Mail{Subject: "Subject", RichText: "<p>Rich</p>", PlainText: "Plain"},
			Caller:          core.Party{ID: "caller-id", MicrosoftID: "ms-caller", TelNumber: "+12025550111", UPN: "caller@contoso.example"},
			Destination:     core.Party{ID: "dest-id", MicrosoftID: "ms-dest", TelNumber: "+12025550112", UPN: "dest@contoso.example"},
			OutboundAttempt: 2, LastConnectedUser: core.UserRef{ID: "user-id", UPN: agent1, Email: "ann@contoso.example"},
			Customer: core.Customer{
				FirstName: "Eva", LastName: "Moe", DisplayName: "Eva Moe", Company: "Acme", JobTitle: "Buyer", Department: "Purchase",
				StreetAddress: "Main St 1", PostCode: "3000", City: "Bern", State: "BE", Country: "CH", PrimaryTelNumber: "+12025550113",
				TelNumbers: []core.NamedValue{{Name: "home", Value: "+12025550114"}}, UPN: "eva@acme.example", IMAddress: "sip:eva@acme.example",
				Email: "eva@acme.example", CustomFields: []core.NamedValue{{Name: "tier", Value: "gold"}},
			},
			Parameters:     []core.NamedValue{{Name: "Case", Value: "42"}},
			PreferredUsers: []core.PreferredUser{{UPN: agent1, Priority: 1}, {UPN: "agent2@contoso.example"}},
		},
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for file, ev := range map[string]core.Event{
		"testdata/task_event_full.json": fullEvent(),
		"testdata/task_event_bare.json": {Name: core.Created, Task: core.Task{
			ID: noID, TenantID: "tenant-id", Service: core.ServiceRef{ID: "service-id", UPN: supportUPN},
			Modality: core.ExternalTask, Direction: core.Inbound, Created: time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC),
			Caller: core.Party{TelNumber: "+12025550111"}, // shown with calls only
		}},
	} {
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		got, err := Render(ev)
		require.NoError(t, err)
		var pretty bytes.Buffer
		require.NoError(t, json.Indent(&pretty, got, "", "  "))
		require.Equal(t, string(want), pretty.String()+"\n", file)
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "", "Audio": "Audio", "InstantMessaging": "Instant Messaging", "System Accepted": "System Accepted",
		"Outbound Connected to Destination": "Outbound Connected to Destination",
	} {
		require.Equal(t, want, label(value))
	}
}

func BenchmarkRender(b *testing.B) {
	ev := fullEvent()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Render(ev); err != nil {
			b.Fatal(err)
		}
	}
}
