package bridge

import (
	"tandem/core"
	"tandem/core/directory"
)

// input is what an operation of a target is given: what the task says, and what
// a caller has said beside it. A caller's word counts more.
func (b *Bridge) input(t *core.Task, given map[string]any) map[string]any {
	in := map[string]any{
		"hubTaskId": t.ID, "taskId": t.Remote.ID, "service": t.Service.UPN, "mediaType": mediaType(t.Modality),
		"customerName": t.Customer.DisplayName, "customerId": t.CustomerIdentifier, "subject": t.Mail.Subject, "text": t.InitialMessage,
		"agentId": t.LastConnectedUser.ID, "priority": 10,
	}
	if t.ContactPriority > 0 {
		in["priority"] = t.ContactPriority
	}
	if t.Remote.ID == "" {
		in["taskId"] = t.ID
	}
	variables := make([]any, 0, len(t.Parameters))
	for _, p := range t.Parameters {
		if _, reserved := taskTexts[p.Name]; reserved {
			in[p.Name] = p.Value
			continue
		}
		variables = append(variables, map[string]any{"name": p.Name, "value": p.Value, "type": "String"})
	}
	in["variables"] = variables
	settings := map[string]any{}
	if s := b.service(t); s != nil {
		for name, value := range s.TargetSettings {
			settings[name] = value
		}
		if in["queueId"] = s.TargetSettings["queue"]; in["queueId"] == "" {
			delete(in, "queueId")
		}
	}
	in["settings"] = settings
	for name, value := range given {
		in[name] = value
	}
	for name, value := range in {
		if value == "" {
			delete(in, name)
		}
	}
	return in
}

// taskTexts are the parameters under which a task keeps what Create Task said of
// it.
var taskTexts = map[string]bool{
	"conversationId": true, "mediaChannel": true, "origin": true, "destination": true, "sourceNumber": true, "chatType": true,
}

// mediaType is a modality in Webex's word.
func mediaType(m core.Modality) string {
	switch m {
	case core.Audio:
		return "telephony"
	case core.InstantMessaging:
		return "chat"
	case core.Email:
		return "email"
	case core.ExternalTask:
	}
	return "workItem"
}

func (b *Bridge) service(t *core.Task) *directory.Service {
	if tenant, ok := b.o.Directory().Tenant(t.Tenant); ok {
		if s, ok := tenant.Service(t.Service.UPN); ok {
			return s
		}
	}
	return nil
}
