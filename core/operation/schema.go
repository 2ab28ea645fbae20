package operation

import (
	"tandem/core"
	"tandem/core/mapping"
)

// Schema returns the JSON Schema of <integration>/<operation>.yaml.
func Schema() []byte {
	return mapping.Schema("Operation of an integration", operationFile{}, mapping.Notes{
		"title":              {Doc: "What people read."},
		"description":        {Doc: "What people read."},
		"input":              {Doc: "The inputs, in the order in which a form shows them."},
		"input.name":         {Doc: "Begins with a letter; letters, digits and _."},
		"input.type":         {Doc: "What the value must be; numbers and truth values may come as text."},
		"input.of":           {Doc: "What the entries of a list are: text or object; absent: anything."},
		"input.required":     {Doc: "Without it the call is refused."},
		"input.max":          {Doc: "Characters of a text (4096 if absent), entries of a list (100 if absent)."},
		"input.pattern":      {Doc: "Regular expression (RE2) that the whole text must match."},
		"input.options":      {Doc: "The only texts that are taken."},
		"input.default":      {Doc: "The value when there is none."},
		"input.redact":       {Doc: "Its value is never shown to people."},
		"input.may_be_empty": {Doc: "true: an empty text counts as a value; else as none."},
		"input.help":         {Doc: "Stands below it in forms."},
		"strict":             {Doc: "true: inputs that are not declared are refused; else they are ignored."},
		"redact":             {Doc: "Keys whose values are masked wherever people see them; case does not count."},
		"example":            {Doc: "An input with which the file is checked when it is loaded."},
		"values":             {Doc: "Named values; later ones may use earlier ones."},
		"values.name":        {Doc: "What expressions call it: values.<name>."},
		"values.value":       {Doc: "A tree; a text that begins with = is an expression."},
		"steps":              {Doc: "The calls, one after the other."},
		"steps.id":           {Doc: "What later expressions call it: steps.<id>."},
		"steps.when":         {Doc: "An expression; if it is false the step is passed over."},
		"steps.for_each":     {Doc: "An expression that gives a list: the step runs once for each entry."},
		"steps.as":           {Doc: "The name of the entry; item if absent."},
		"steps.most":         {Doc: "How many entries there may be; 20 if absent, at most 100."},
		"steps.request":      {Doc: "The call."},
		"request.method":     {Doc: "The HTTP method."},
		"request.path":       {Doc: "Behind the base address; begins with /, and {expression} becomes one piece of it."},
		"request.query":      {Doc: "Parameters; a list repeats one, nil leaves it out."},
		"request.headers":    {Doc: "Headers beside those that the hub sets."},
		"request.body":       {Doc: "What is sent as JSON."},
		"request.reads":      {Doc: "true: this POST changes nothing and may be repeated."},
		"idempotency_key":    {Doc: "The header in which the vendor takes a key against doing a thing twice."},
		"steps.pages":        {Doc: "For answers that come in pages."},
		"pages.items":        {Doc: "An expression: the entries of a page."},
		"pages.next":         {Doc: "An expression: how the next page is asked for; nil for the last one."},
		"pages.most":         {Doc: "How many pages; 5 if absent, at most 50."},
		"steps.on":           {Doc: "What certain answers mean; the first rule that fits counts."},
		"on.status":          {Doc: "A number or a list of them."},
		"on.kind":            {Doc: "A kind of error or a list of them."},
		"on.when":            {Doc: "An expression on body, status and headers."},
		"on.then":            {Doc: "On to the next step, straight to the output, or the end."},
		"on.fail":            {Doc: "The error with which the run ends."},
		"fail.kind":          {Doc: "What the error means.", Words: core.Kinds()},
		"fail.code":          {Doc: "For programs."},
		"fail.message":       {Doc: "For people."},
		"steps.extract":      {Doc: "Named values out of the answer: steps.<id>.<name>."},
		"output":             {Doc: "What the caller gets: a tree."},
	})
}

// EntitiesSchema returns the JSON Schema of <integration>/entities.yaml.
func EntitiesSchema() []byte {
	return mapping.Schema("Entities of an integration", entitiesForm{}, mapping.Notes{
		"entities":         {Doc: "The record types."},
		"name":             {Doc: "What the vendor's API calls it."},
		"label":            {Doc: "What people read; the name if absent."},
		"fields":           {Doc: "The fields of the record type."},
		"fields.type":      {Doc: "What the field holds; text if absent."},
		"fields.updatable": {Doc: "true: callers may change it."},
		"set":              {Doc: "A text for expressions, for example the name in addresses: entity(x).set."},
	})
}

// TestSchema returns the JSON Schema of <integration>/<operation>_test.yaml.
func TestSchema() []byte {
	return mapping.Schema("Tests of an operation", testsFile{}, mapping.Notes{
		"tests":             {Doc: "Each plays the vendor to one run."},
		"tests.name":        {Doc: "What the test shows."},
		"tests.input":       {Doc: "The input of the run."},
		"tests.context":     {Doc: "What expressions find in context."},
		"context.now":       {Doc: "The time of the run; 2026-01-02T03:04:05.000Z if absent."},
		"context.card":      {Doc: "The fields of the customer card, by entity."},
		"tests.settings":    {Doc: "What an administrator filled in."},
		"tests.base":        {Doc: "The base address."},
		"tests.exchanges":   {Doc: "The calls, in order; all must be made, and no other."},
		"exchanges.request": {Doc: "The call that must be made."},
		"request.path":      {Doc: "Below the base address, or from the root of its host."},
		"request.query":     {Doc: "The parameters; absent: none."},
		"request.headers":   {Doc: "Headers that must be equal, among others."},
		"request.body":      {Doc: "The JSON that must be sent; absent: none."},
		"exchanges.answer":  {Doc: "What the vendor answers."},
		"answer.body":       {Doc: "JSON, written as YAML."},
		"answer.text":       {Doc: "A body that is no JSON."},
		"exchanges.fault":   {Doc: "Instead of an answer: none in time, or no connection."},
		"tests.result":      {Doc: "The output, which must be equal; or error."},
		"tests.error":       {Doc: "The error of the run; only the keys that are given are compared."},
		"error.kind":        {Doc: "What the error means.", Words: core.Kinds()},
		"error.step":        {Doc: "The id of the step that failed."},
		"error.status":      {Doc: "The status of the vendor's answer."},
		"error.message":     {Doc: "A part of the message."},
	})
}
