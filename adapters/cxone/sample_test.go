package cxone

import "strings"

const (
	admin    = "admin@contoso.example"
	agent    = "agent@contoso.example" // may not connect
	stranger = "admin@fabrikam.example"
	clerk    = "clerk@contoso.example"   // runs the tasks of desk@contoso.example
	off      = "admin@tailspin.example"  // integrations are switched off
	none1    = "admin@northwind.example" // has no file
	other    = "powerautomate key"
	gone     = "gone key"
	wrong    = "wrong key"
	nobody   = ""

	configID   = "01899438-147f-433b-945b-f1fde6d91877"
	sleeping   = "01899438-147f-433b-945b-f1fde6d91878" // inactive
	uncached   = "01899438-147f-433b-945b-f1fde6d91879"
	otherID    = "01899438-147f-433b-945b-f1fde6d91880" // fabrikam's
	findID     = "11111111-0000-0000-0000-000000000001"
	createID   = "11111111-0000-0000-0000-000000000002"
	memoID     = "11111111-0000-0000-0000-000000000003"
	timelineID = "11111111-0000-0000-0000-000000000004"
	plainID    = "11111111-0000-0000-0000-000000000005"
	disabledID = "11111111-0000-0000-0000-000000000006"
	brokenID   = "11111111-0000-0000-0000-000000000007"
	relatesID  = "11111111-0000-0000-0000-000000000008"
	uncachedID = "11111111-0000-0000-0000-000000000009"
	otherFind  = "11111111-0000-0000-0000-000000000010"
	memoMap    = "22222222-0000-0000-0000-000000000001"
	sleepMap   = "22222222-0000-0000-0000-000000000002"
	cardMap    = "22222222-0000-0000-0000-000000000003"
	tasksID    = "01899438-147f-433b-945b-f1fde6d91881"
	getID      = "11111111-0000-0000-0000-000000000011"
	updateID   = "11111111-0000-0000-0000-000000000012"
	queueID    = "11111111-0000-0000-0000-000000000013"
	connectID  = "11111111-0000-0000-0000-000000000014"
	closeID    = "11111111-0000-0000-0000-000000000015"
	raiseID    = "11111111-0000-0000-0000-000000000016"
	unknownID  = "33333333-0000-0000-0000-000000000001"
)

// staff are contoso's people and services.
const staff = `  - {upn: agent@contoso.example, roles: [Agent]}
  - {upn: clerk@contoso.example, roles: [Service Owner]}
services:
  - upn: desk@contoso.example
    name: Desk
    owners: [clerk@contoso.example]
    members: [agent@contoso.example]
    licence: Contact Center
    workflows: {ExternalTask: task}
  - upn: items@contoso.example
    licence: Contact Center
    target: cxone
    target_settings: {pointOfContact: Items}
    workflows: {ExternalTask: task}
`

// files are the mappings of the tests; CRM_ADDRESS stands for the address of the fake.
func files() map[string]string {
	person := func(tenant, extra string) string {
		return "tenant: " + tenant + "\nusers:\n  - {upn: admin@" + tenant + ".example, roles: [Tenant Admin]}\n" + extra
	}
	return map[string]string{
		"directory/contoso.yaml":   person("contoso", staff),
		"directory/fabrikam.yaml":  person("fabrikam", ""),
		"directory/tailspin.yaml":  person("tailspin", ""),
		"directory/northwind.yaml": person("northwind", ""),
		"acme/integration.yaml": `
title: Acme
base: CRM_ADDRESS
grants:
  - {id: token, type: bearer, title: Token, fields: [{name: token, label: Token, required: true, secret: true}]}
error_texts: [error.message]
`,
		"acme/entities.yaml": `
entities:
  - name: Contact
    label: Person
    fields:
      - {name: Phone, label: Telephone, type: phone, updatable: true}
      - {name: Id, label: Record}
`,
		"acme/find.yaml": `
title: Find
input:
  - {name: phoneNumber, type: text, required: true, max: 64, redact: true}
  - {name: kind, type: text}
example: {phoneNumber: "+41445551234"}
steps:
  - id: find
    request: {method: GET, path: /find, query: {q: "= input.phoneNumber", kind: "= input.kind"}}
    extract: {records: "= body.records ?? []"}
output:
  system: {type: acme, label: Acme CRM, baseUrl: "= base"}
  records: = steps.find.records
  pinRecords: []
`,
		"acme/create.yaml": `
title: Create
strict: true
input: [{name: subject, type: text, required: true}]
example: {subject: Hello}
steps:
  - id: create
    request: {method: POST, path: /records, body: {subject: "= input.subject"}}
    extract: {id: = body.id}
output:
  records: [{type: case, label: Case, id: "= steps.create.id", url: "= \"/case/\" + text(steps.create.id)", display: "= input.subject"}]
`,
		"acme/memo.yaml": `
title: Memo
input: [{name: updates, type: list, required: true}]
example: {updates: []}
steps:
  - id: save
    for_each: = input.updates
    as: change
    request: {method: PATCH, path: "/records/{change.entityId}", body: "= change.fields"}
output: {records: []}
`,
		"acme/timeline.yaml": `
title: Timeline
input:
  - {name: cxoneContact, type: object, required: true}
  - {name: integration, type: list, required: true}
  - {name: entityId, type: text}
example: {cxoneContact: {}, integration: []}
steps:
  - id: save
    request: {method: POST, path: /activities, body: {contact: "= input.cxoneContact", records: "= input.integration", entityId: "= input.entityId"}}
output: {records: []}
`,
		"acme/plain.yaml": `
title: Plain
output: {answer: none}
`,
		"acme/broken.yaml": `
title: Broken
steps:
  - id: find
    request: {method: GET, path: /find}
output: {records: "= steps.find.body.a.b"}
`,
		"cxone/configurations.yaml": `
tenant: contoso
configurations:
  - id: ` + strings.ToUpper(configID) + `
    name: Acme
    description: The CRM
    integration: acme
    type: {id: salesforce, name: Salesforce}
    workflows:
      - {id: ` + findID + `, name: Search for ANI, action: search, operation: find, input: {kind: person}}
      - {id: ` + createID + `, name: Create Case, action: create, operation: create}
      - {id: ` + memoID + `, name: Memo, action: datamemorialization, operation: memo}
      - {id: ` + timelineID + `, name: Timeline, action: timeline, operation: timeline}
      - {id: ` + plainID + `, name: Plain, operation: plain}
      - {id: ` + disabledID + `, name: Disabled, operation: plain, status: inactive}
      - {id: ` + brokenID + `, name: Broken, operation: broken}
      - {id: ` + relatesID + `, name: Relates, action: relatesto, operation: timeline}
    data_mappings:
      - id: ` + memoMap + `
        name: Memo
        entities:
          - {entity: Case, fields: [{name: Description, from: dispositionNotes}, {name: Tags, from: tags}, {name: Absent, from: nothing.here}]}
      - {id: ` + sleepMap + `, name: Sleeping, status: inactive, entities: [{entity: Case, fields: [{name: X, from: contactId}]}]}
    dynamic_data_mappings:
      - {id: ` + cardMap + `, name: Card, entities: [{entity: Contact, fields: [{name: Phone, label: Telephone}]}]}
  - {id: ` + sleeping + `, name: Sleeping, integration: acme, status: inactive}
  - id: ` + uncached + `
    name: Uncached
    integration: acme
    cache: 0s
    workflows: [{id: ` + uncachedID + `, name: Find, action: search, operation: find}]
  - id: ` + tasksID + `
    name: Tasks
    workflows:
      - {id: ` + getID + `, name: Get Task, action: search, task: get}
      - {id: ` + updateID + `, name: Update Task, action: update, task: update}
      - {id: ` + queueID + `, name: Queue Task, action: trigger, task: queue}
      - {id: ` + connectID + `, name: Connect Task, action: trigger, task: connect}
      - {id: ` + closeID + `, name: Close Task, task: close}
      - {id: ` + raiseID + `, name: First of all, task: queue, input: {priority: 1}}
`,
		"cxone/fabrikam.yaml": `
tenant: fabrikam
enabled: true
configurations:
  - id: ` + otherID + `
    name: Theirs
    integration: acme
    workflows: [{id: ` + otherFind + `, name: Find, action: search, operation: find}]
`,
		"cxone/tailspin.yaml": "tenant: tailspin\nenabled: false\n",
	}
}
