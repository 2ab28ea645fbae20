package flow

import (
	"encoding/json"
	"time"

	"tandem/core"
)

// Document returns the task as the expressions of a workflow see it, under
// `input`: plain JSON values, which nobody changes. A text that is empty is
// absent; customer, parameters and lastConnectedUser are always objects.
func Document(t *core.Task) map[string]any {
	d := map[string]any{
		"customer": customer(t.Customer), "parameters": parameters(t.Parameters),
		"lastConnectedUser": texts(map[string]string{
			"id": t.LastConnectedUser.ID, "upn": t.LastConnectedUser.UPN,
		}),
	}
	for name, text := range texts(map[string]string{
		"taskId": t.ID, "remoteId": t.Remote.ID, "customerIdentifier": t.CustomerIdentifier, "referenceId": t.ReferenceID,
		"modality": string(t.Modality), "direction": string(t.Direction), "priority": string(t.Priority), "state": string(t.State),
		"serviceUPN": t.Service.UPN, "serviceName": t.Service.Name, "initialMessage": t.InitialMessage,
		"emailSubject": t.Mail.Subject, "emailText": t.Mail.PlainText, "callerTelNumber": t.Caller.TelNumber,
		"created": stamp(t.Created), "queued": stamp(t.Queued), "terminated": stamp(t.Terminated),
	}) {
		d[name] = text
	}
	return d
}

// documentNames are the names of a Document.
var documentNames = []string{
	"callerTelNumber", "created", "customer", "customerIdentifier", "direction", "emailSubject", "emailText",
	"initialMessage", "lastConnectedUser", "modality", "parameters", "priority", "queued", "referenceId", "remoteId",
	"serviceName", "serviceUPN", "state", "taskId", "terminated",
}

// documentMembers are the names of what stands in the objects of a Document.
// Those of parameters are the task's own.
var documentMembers = map[string][]string{
	"customer": {
		"UPN", "city", "company", "country", "customFields", "department", "displayName", "email", "firstName", "imAddress", "jobTitle",
		"lastName", "postCode", "primaryTelNumber", "state", "streetAddress", "telNumbers",
	},
	"lastConnectedUser": {"id", "upn"},
}

func texts(all map[string]string) map[string]any {
	set := make(map[string]any, len(all))
	for name, text := range all {
		if text != "" {
			set[name] = text
		}
	}
	return set
}

func parameters(list []core.NamedValue) map[string]any {
	object := make(map[string]any, len(list))
	for _, p := range list {
		object[p.Name] = p.Value
	}
	return object
}

func customer(c core.Customer) map[string]any {
	object := map[string]any{}
	data, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(data, &object)
	}
	if err != nil { // a struct of texts can always be written and read
		return map[string]any{}
	}
	return object
}

// stamp writes a moment as expressions read it; the zero time is empty.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
}
