package directory

import (
	"tandem/core"
	"tandem/core/mapping"
)

// Schema returns the JSON Schema of directory/<tenant>.yaml.
func Schema() []byte {
	return mapping.Schema("Tenant of the directory", tenantFile{}, mapping.Notes{
		"tenant":                     {Doc: "The tenant's name, the same as the file's: a-z, 0-9 and -."},
		"title":                      {Doc: "What people read."},
		"id":                         {Doc: "UUID as other platforms see it; if absent one that follows from the name and never changes."},
		"entra_tenant_id":            {Doc: "The Microsoft Entra tenant of its people."},
		"limits":                     {Doc: "What the tenant may use."},
		"limits.open_external_tasks": {Doc: "How many external tasks may be open at once; 10000 if absent."},
		"units":                      {Doc: "Organization units."},
		"units.path":                 {Doc: "Begins with the tenant's name; names with / between, such as contoso/emea."},
		"users":                      {Doc: "The people."},
		"users.upn":                  {Doc: "The name the person signs in with."},
		"users.name":                 {Doc: "What people read; the UPN if absent."},
		"users.email":                {Doc: "The UPN if absent."},
		"unit":                       {Doc: "Path of the unit; the tenant itself if absent."},
		"users.roles":                {Doc: "What the person may do.", Words: mapping.Words(Roles...)},
		"licence":                    {Doc: "External tasks and preferred users need Contact Center.", Words: mapping.Words(Licences...)},
		"users.modalities":           {Doc: "What may be offered to the person.", Words: mapping.Words(core.Modalities...)},
		"services":                   {Doc: "Where tasks are sent."},
		"services.upn":               {Doc: "The name of the service."},
		"services.name":              {Doc: "What people read."},
		"services.display_name":      {Doc: "What people read."},
		"services.description":       {Doc: "What people read."},
		"services.tel_number":        {Doc: "In the form E.164, in quotes."},
		"services.mailbox":           {Doc: "UPN of its mailbox."},
		"services.target":            {Doc: "Who brings queued tasks to people; the hub's own desk if absent.", Words: mapping.Words(Targets...)},
		"services.target_settings":   {Doc: "What the operations of the target need to know, such as entryPoint; each a text."},
		"services.addresses":         {Doc: "What customers write to: ids of apps, numbers, mailboxes. Each leads to one service."},
		"services.owners":            {Doc: "Users with the role Service Owner."},
		"services.limited_owners":    {Doc: "Users with the role Team Owner Limited."},
		"services.members":           {Doc: "The agents."},
		"services.workflows":         {Doc: "For each enabled modality the name of the workflow file without .yaml; \"\" enables it without a workflow."},
		"services.deduplicate_by":    {Doc: "A second external task with the same value is answered with the first.", Words: []string{customerIdentifier}},
		"deduplicate_window":         {Doc: "How long the first stands for others; 10m if absent, at most 168h."},
	})
}
