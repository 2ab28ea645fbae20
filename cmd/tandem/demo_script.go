package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"tandem/cmd/internal/sandbox"
	"tandem/core/integration"
)

// demoConnections are the sandbox's vendors that the demo connects by itself.
// Salesforce is left to whoever watches.
var demoConnections = []integration.Draft{
	{Integration: "zendesk", Grant: "api-token", Name: "Demo", Values: map[string]string{
		"subdomain": "contoso", "email": "hub@contoso.example", "api_token": "sandbox",
	}},
	{Integration: "hubspot", Grant: "private-app", Name: "Demo", Values: map[string]string{"token": "sandbox"}},
	{Integration: "servicenow", Grant: "password", Name: "Demo", Values: map[string]string{
		"instance": "contoso", "username": "hub", "password": "sandbox",
	}},
	{Integration: "dynamics365", Grant: "client-credentials", Name: "Demo", Values: map[string]string{
		"org": "contoso", "crm": "crm", "directory": "contoso.example",
		"client_id": "7d1a2f64-0c5e-4f0b-9a53-2a1c7be6a001", "client_secret": "sandbox",
	}},
}

// connect does for the demo's tenant what an administrator does in the console.
func (h *hub) connect(ctx context.Context, drafts []integration.Draft) error {
	for _, d := range drafts {
		a, err := h.authorizations.Add(ctx, demoTenant, demoUser, d)
		if err == nil {
			a, err = h.authorizations.Grant(ctx, demoTenant, a.ID)
		}
		if err == nil {
			err = h.authorizations.MakeDefault(ctx, demoTenant, a.ID, "")
		}
		if err != nil {
			return fmt.Errorf("connect %s: %w", d.Integration, err)
		}
	}
	return nil
}

// script plays a CXone Studio script that calls Workflow Execute, through every
// result branch.
func (s *story) script(ctx context.Context, stranger *sandbox.Studio, vendors *sandbox.Vendors) error {
	fmt.Fprint(s.out, "\nA CXone Studio script calls Workflow Execute, through every result branch:\n\n")
	search := map[string]any{"phoneNumber": demoNumber}
	ticket := map[string]any{"subject": "Parcel has not arrived", "description": "Caller asks where the parcel is."}
	contact := fmt.Sprint(s.began.UnixMilli())
	var last json.RawMessage
	steps := []struct {
		studio        *sandbox.Studio
		configuration string
		workflow      string // "": one that does not exist
		payload       map[string]any
		branch        string
		why           string
		same          bool // the answer as before
	}{
		{s.studio, "HubSpot", "Search for ANI", map[string]any{"workflowInput": search}, "Success", "who calls from " + demoNumber + "?", false},
		{s.studio, "Zendesk", "Create Ticket", map[string]any{"workflowInput": ticket}, "Success", "a ticket for the call", false},
		{s.studio, "Zendesk", "Create Ticket", map[string]any{"workflowInput": ticket}, "Success", "the action tries again by itself: the same ticket, not a second one", true},
		{s.studio, "Salesforce", "Search for ANI", map[string]any{"workflowInput": search}, "InternalError", "nobody has authorized Salesforce yet", false},
		{s.studio, "HubSpot", "Search for ANI", map[string]any{"workflowInput": search, "timeoutMilliSec": "400"}, "Timeout", "HubSpot takes 3 seconds, the script gives it 0.4", false},
		{s.studio, "HubSpot", "Search for ANI", map[string]any{"workflowInput": map[string]any{}}, "ValidationError", "the number is missing", false},
		{s.studio, "HubSpot", "", map[string]any{"workflowInput": search}, "InvalidWorkflow", "no such workflow", false},
		{stranger, "HubSpot", "Search for ANI", map[string]any{"workflowInput": search}, "NotConfigured", "tenant fabrikam has no configurations", false},
	}
	for _, step := range steps {
		known := step.workflow
		if known == "" {
			known = "Search for ANI"
		}
		configurationID, workflowID, err := s.studio.Find(ctx, step.configuration, known)
		if err != nil {
			return err
		}
		if step.workflow == "" {
			workflowID = demoUnknownID
		}
		if step.branch == "Timeout" {
			vendors.Fault("hubspot", sandbox.Fault{Delay: 3 * time.Second})
		}
		e, err := step.studio.Execute(ctx, map[string]any{
			"configurationId": configurationID, "workflowId": workflowID, "contactId": contact, "workflowPayload": step.payload,
		})
		if err != nil {
			return err
		}
		if e.Branch != step.branch {
			return fmt.Errorf("%s / %s took the branch %s, not %s: %+v", step.configuration, step.workflow, e.Branch, step.branch, e.ErrorArgs)
		}
		if step.same && string(e.ResultSet) != string(last) {
			return fmt.Errorf("the second try got another answer: %s", e.ResultSet)
		}
		last = e.ResultSet
		said := e.First()
		if e.ErrorArgs != nil {
			said = e.ErrorArgs.Code
		}
		s.tell("studio", "%-15s %s: %s (%s)", e.Branch, step.configuration, said, step.why)
	}
	s.tell("studio", "%-15s is the script's own: it is taken when the branch above it is not wired", "Default")
	return nil
}

const (
	demoNumber    = "+41445551234"
	demoUnknownID = "00000000-0000-4000-8000-000000000000" // well-formed, and nothing has it
)
