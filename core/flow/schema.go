package flow

import (
	"maps"
	"slices"

	"tandem/core"
	"tandem/core/mapping"
)

// Schema returns the JSON Schema of workflows/<name>.yaml.
func Schema() []byte {
	activities := mapping.Words(slices.Sorted(maps.Keys(keys))...)
	return mapping.Schema("Workflow of a task", file{}, mapping.Notes{
		"name":                      {Doc: "The file's name without .yaml."},
		"title":                     {Doc: "What people read."},
		"modality":                  {Doc: "What the workflow is for.", Words: mapping.Words(core.Modalities...)},
		"activities":                {Doc: "Run from top to bottom."},
		"activities.id":             {Doc: "What next, then, else and on_timeout call the activity."},
		"activities.activity":       {Doc: "What is done.", Words: activities},
		"activities.field":          {Doc: "A field such as customerIdentifier, or parameter.<name>."},
		"activities.operator":       {Doc: "How the field is compared; case does not count.", Words: operatorNames()},
		"activities.value":          {Doc: "What the field is compared with, or the parameter gets."},
		"activities.from":           {Doc: "The field that the parameter gets its value from."},
		"activities.parameter":      {Doc: "The name of a context parameter."},
		"activities.priority":       {Doc: "The distribution priority.", Words: mapping.Words(core.Priorities...)},
		"activities.for":            {Doc: "How long to wait."},
		"activities.timeout":        {Doc: "How long to wait at most."},
		"activities.max_queue_time": {Doc: "How long the task stays in the queue at most."},
		"activities.then":           {Doc: "id of the activity that follows when the condition holds."},
		"activities.else":           {Doc: "id of the activity that follows when it does not."},
		"activities.on_timeout":     {Doc: "id of the activity that follows when the time is over."},
		"activities.next":           {Doc: "id of the activity that follows; the one below if absent."},
		"activities.save":           {Doc: "Context parameters, each with an expression over input and result."},
		"activities.on_error":       {Doc: "id of the activity that follows when the operation failed; the next if absent."},
		"activities.url":            {Doc: "Address of the page, or an expression over input."},
		"activities.target":         {Doc: "Where the page opens; newBrowserTab if absent.", Words: words(popTargets)},
		"operation":                 {Doc: "What is run: <integration>/<operation>."},
		"authorization":             {Doc: "Name of the authorization; the default if absent."},
		"input":                     {Doc: "Inputs of the operation; texts that begin with = are expressions over input, the task."},
		"when_ended":                {Doc: "Operations that are run once when the task has ended."},
		"when_ended.when":           {Doc: "Expression over input, the task: true if it is to be run."},
		"when_ended.timeout":        {Doc: "How long the operation takes at most."},
	})
}
