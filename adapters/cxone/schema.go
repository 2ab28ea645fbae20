package cxone

import "tandem/core/mapping"

// Schema returns the JSON Schema of cxone/configurations.yaml, and of any other
// file of that kind.
func Schema() []byte {
	return mapping.Schema("Configurations of CXone", configurationsFile{}, mapping.Notes{
		"tenant":                {Doc: "A tenant of the directory; one file for each."},
		"enabled":               {Doc: "false: every call of the tenant is answered NotConfigured."},
		"configurations":        {Doc: "What CXone Studio offers."},
		"id":                    {Doc: "A GUID; no two are the same."},
		"name":                  {Doc: "What people read in CXone Studio."},
		"description":           {Doc: "What people read in CXone Studio."},
		"status":                {Doc: "Whether it can be called."},
		"integration":           {Doc: "The id of the integration; not needed where every workflow has a task."},
		"authorization":         {Doc: "The name of its authorization; the default if absent."},
		"type":                  {Doc: "The kind of system that CXone shows; the integration if absent."},
		"type.id":               {Doc: "The integration's id if absent."},
		"type.name":             {Doc: "The integration's title if absent."},
		"cache":                 {Doc: "How long a result stays under its cache key; 30m if absent, 0s: not at all."},
		"workflows":             {Doc: "What can be executed."},
		"workflows.action":      {Doc: "What it is for CXone.", Words: actions},
		"workflows.operation":   {Doc: "The operation of the integration that is run."},
		"workflows.task":        {Doc: "What is done with a task of the hub, in place of an operation."},
		"workflows.input":       {Doc: "Fixed inputs, below those of the caller."},
		"data_mappings":         {Doc: "From the contact to the CRM."},
		"dynamic_data_mappings": {Doc: "From the CRM to the customer card."},
		"entities":              {Doc: "The record types that it is about."},
		"entity":                {Doc: "The name of the record type."},
		"fields":                {Doc: "The fields of the record type."},
		"fields.name":           {Doc: "The name of the field in the CRM."},
		"fields.from":           {Doc: "Way into cxoneContact, names with dots between."},
		"fields.label":          {Doc: "What stands before it on the card."},
	})
}
