package cxone

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

func load(t testing.TB, texts map[string]string) (*Configurations, []string) {
	t.Helper()
	set := setOf(t, texts, "http://127.0.0.1:1")
	_, integrations, operations, tenants := loadAll(t, set)
	c, findings := Load(set, integrations, operations, tenants)
	list := make([]string, len(findings))
	for i, f := range findings {
		list[i] = f.String()
	}
	return c, list
}

func TestLoad(t *testing.T) {
	t.Parallel()
	c, findings := load(t, files())
	require.Empty(t, findings)
	for name, why := range map[string]string{"northwind": "not set up", "tailspin": "switched off"} {
		_, err := c.tenant(name)
		require.Equal(t, core.NotConfigured, core.KindOf(err), why)
	}
	contoso, err := c.tenant("contoso")
	require.NoError(t, err)
	cfg := contoso.find(strings.ToUpper(configID))
	require.Equal(t, "salesforce", cfg.typeID)
	require.Equal(t, defaultCache, cfg.cache)
	require.Equal(t, map[string]any{"kind": "person"}, cfg.workflow(findID).input)
	require.Equal(t, "acme", contoso.find(uncached).typeID)
	require.Zero(t, contoso.find(uncached).cache)
	require.Equal(t, "tandem", contoso.find(tasksID).typeID)
	require.Nil(t, usable(cfg.dataMappings, sleepMap))
	require.Equal(t, "Telephone", usable(cfg.cardMappings, cardMap).card()["Contact"][0].Label)
}

func TestLoadFindings(t *testing.T) {
	t.Parallel()
	const (
		head = "tenant: northwind\nconfigurations:\n  - id: 44444444-0000-0000-0000-000000000001\n    name: N\n    integration: acme\n"
		id2  = "44444444-0000-0000-0000-000000000002"
	)
	work := func(more string) string {
		return head + "    workflows:\n      - {id: " + id2 + ", name: W" + more + "}\n"
	}
	for _, c := range []struct{ text, want string }{
		{"tenant: nordwind", `1:9: unknown tenant "nordwind" (did you mean "northwind"?)`},
		{"tenant: contoso", `1:9: there is another file for the tenant "contoso"`},
		{"tenat: northwind", `1:1: unknown key "tenat" (did you mean "tenant"?)`},
		{strings.Replace(head, "44444444-0", "4444-0", 1), `3:9: the id of a configuration is a GUID such as 01899438-147f-433b-945b-f1fde6d91877`},
		{strings.Replace(head, "44444444-0000-0000-0000-000000000001", strings.ToUpper(otherID), 1), `3:9: the id belongs to something in cxone/fabrikam.yaml already`},
		{strings.Replace(head, "acme", "acne", 1), `5:18: unknown integration "acne" (did you mean "acme"?)`},
		{head + "    status: on\n", `6:13: unknown status "on"; known: active, inactive`},
		{head + "    authorization: ' x'\n", `6:20: the name of an authorization has at most 64 characters and no space around it`},
		{head + "    cache: 25h\n", `6:12: cache must be from 0s (no cache) to 24h`},
		{work(", operation: fynd"), `7:72: acme has no operation "fynd" (did you mean "find"?)`},
		{work(", operation: find, action: serch"), `7:86: unknown action "serch" (did you mean "search"?): it is one of search, create, update, note, timeline, datamemorialization, relatesto, trigger`},
		{work(", operation: find, input: {knd: x}"), `7:86: the operation has no input "knd" (did you mean "kind"?)`},
		{work(", operation: find, input: {kind: {a: 1}}"), `7:92: "kind": the input must be a text`},
		{work(", operation: find, input: {kind: 0041445551}"), `7:92: this number begins with + or 0: put it in quotes`},
		{work(", operation: find, input: {kind: [+41445551]}"), `7:93: this number begins with + or 0: put it in quotes`},
		{work(", operation: find, input: {kind: .inf}"), `7:92: this number cannot be used: put it in quotes where a text is meant`},
		{work(""), `7:9: "operation" is missing, or "task"`},
		{work(", task: clsoe"), `7:67: unknown task "clsoe" (did you mean "close"?); known: get, update, queue, connect, close`},
		{work(", task: close, operation: find"), `7:85: a workflow has an operation or a task, not both`},
		{work(", task: close, input: {taskID: 1}"), `7:82: the operation has no input "taskID" (did you mean "taskId"?)`},
		{strings.Replace(work(", operation: find"), "    integration: acme\n", "", 1), `3:5: "integration" is missing`},
		{strings.Replace(head, "    integration: acme\n", "", 1), `3:5: "integration" is missing`},
		{work(", operation: find, input: x"), `7:85: input must be a mapping of inputs to values`},
		{head + "    data_mappings:\n      - {id: " + id2 + ", name: D, entities: [{entity: Case, fields: [{name: A, from: a b}]}]}\n", `7:112: from is a path in cxoneContact, such as dispositionNotes or scriptVariables.account`},
		{head + "    data_mappings:\n      - {id: " + id2 + ", name: D, entities: [{entity: Case, fields: [{name: A, label: a}]}]}\n", `7:106: unknown key "label"`},
		{head + "    name2: x\n", `6:5: unknown key "name2" (did you mean "name"?)`},
		{strings.Replace(head, "name: N", "name: "+strings.Repeat("n", 129), 1), `4:11: a name has at most 128 characters`},
	} {
		texts := files()
		texts["cxone/zz.yaml"] = c.text
		_, findings := load(t, texts)
		require.Contains(t, findings, "cxone/zz.yaml:"+c.want)
	}
}

// TestEveryOtherFileOfTheFolderIsConfigurations but the operations of CXone itself.
func TestEveryOtherFileOfTheFolderIsConfigurations(t *testing.T) {
	t.Parallel()
	for path, text := range map[string]string{
		"cxone/entities.yaml": "entities: []", "cxone/signal.yaml": "title: x",
		"cxone/signal_test.yaml": "test: []", "cxone/deep/x.yaml": "enabled: true",
	} {
		texts := files()
		texts[path] = text
		_, findings := load(t, texts)
		require.Contains(t, findings, path+`:1:1: "tenant" is missing`)
	}
	texts := files()
	texts["cxone/integration.yaml"] = "title: CXone\nbase: https://cxone.example\nno_authorization: true"
	texts["cxone/signal.yaml"] = "title: x\noutput: {a: 1}"
	texts["cxone/signal_test.yaml"] = "tests: [{name: a, result: {a: 1}}]"
	_, findings := load(t, texts)
	require.Empty(t, findings)
}
