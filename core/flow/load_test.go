package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/flow"
	"tandem/core/mapping"
)

const head = "name: w\nmodality: ExternalTask\nactivities:\n"

// saves are n parameters that a result is saved to.
func saves(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "      p%d: x\n", i)
	}
	return b.String()
}

func TestParseFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{`1:1: the file is empty`}},
		{"nothing said", "title: x\n", []string{`1:1: "activities" is missing`, `1:1: "modality" is missing`, `1:1: "name" is missing`}},
		{"other name", "name: v\nmodality: Audio\nactivities:\n  - activity: Disconnect Conversation\n", []string{`1:7: name "v" must be the file's name, "w"`}},
		{
			"unknown modality", "name: w\nmodality: Mail\nactivities:\n  - activity: Disconnect Conversation\n",
			[]string{`2:11: unknown modality "Mail" (did you mean "Email"?); known: Audio, InstantMessaging, ExternalTask, Email`},
		},
		{
			"unknown activity", head + "  - activity: Set Priorty\n    priority: High\n",
			[]string{`4:15: unknown activity "Set Priorty" (did you mean "Set Priority"?); known: Accept Conversation, Check Condition, ` +
				`Delay, Disconnect Conversation, Queue Task, Run Operation, Save to Parameter, Screen Pop, Set Priority, Wait for Parameter`},
		},
		{"no activity", head + "  - id: a\n", []string{`4:5: "activity" is missing`}},
		{"unknown key", head + "  - activity: Delay\n    prioriti: x\n    for: 3s\n", []string{`5:5: unknown key "prioriti" (did you mean "priority"?)`}},
		{"missing key", head + "  - activity: Delay\n", []string{`4:5: Delay needs the key for`}},
		{"foreign key", head + "  - activity: Accept Conversation\n    priority: High\n", []string{`5:15: Accept Conversation has no key priority`}},
		{"unknown id", head + "  - id: first\n    activity: Accept Conversation\n    next: frist\n", []string{`6:11: no activity has the id "frist" (did you mean "first"?)`}},
		{"id twice", head + "  - {id: a, activity: Accept Conversation}\n  - {id: a, activity: Disconnect Conversation}\n", []string{`5:10: id "a" is used twice`}},
		{"bad duration", head + "  - activity: Delay\n    for: 3 hours\n", []string{`5:10: "for" must be a duration such as 30s, 10m or 24h`}},
		{"no duration", head + "  - activity: Delay\n    for: 0s\n", []string{`5:10: must be more than 0 and at most 8784 hours`}},
		{"negative", head + "  - activity: Delay\n    for: -3s\n", []string{`5:10: must be more than 0 and at most 8784 hours`}},
		{"too long", head + "  - activity: Queue Task\n    max_queue_time: 8785h\n", []string{`5:21: must be more than 0 and at most 8784 hours`}},
		{"unknown priority", head + "  - activity: Set Priority\n    priority: Hihg\n", []string{`5:15: unknown priority "Hihg" (did you mean "High"?); known: VeryHigh, High, Normal, Low, VeryLow`}},
		{
			"unknown field", head + "  - activity: Check Condition\n    field: customerIdentifer\n    operator: is empty\n",
			[]string{`5:12: unknown field "customerIdentifer" (did you mean "customerIdentifier"?); a context parameter is written parameter.<name>`},
		},
		{
			"parameter without name", head + "  - {activity: Check Condition, field: parameter., operator: is empty}\n",
			[]string{`4:40: unknown field "parameter."; a context parameter is written parameter.<name>`},
		},
		{
			"unknown operator", head + "  - {activity: Check Condition, field: modality, operator: is, value: x}\n",
			[]string{`4:60: unknown operator "is"; known: contains, ends with, equals, is empty, is not empty, not contains, not equals, starts with`},
		},
		{"no value", head + "  - {activity: Check Condition, field: modality, operator: contains}\n", []string{`4:5: operator "contains" needs the key value`}},
		{"empty parameter", head + "  - {activity: Wait for Parameter, parameter: \"\", timeout: 3s}\n", []string{`4:47: parameter must not be empty`}},
		{"value and from", head + "  - {activity: Save to Parameter, parameter: p, value: x, from: modality}\n", []string{`4:5: Save to Parameter needs either value or from`}},
		{"neither", head + "  - {activity: Save to Parameter, parameter: p}\n", []string{`4:5: Save to Parameter needs either value or from`}},
		{
			"loop", head + "  - {id: a, activity: Accept Conversation}\n  - {activity: Set Priority, priority: Low, next: a}\n",
			[]string{`4:5: this activity can be reached from itself without a wait in between; a parameter that is already set is not waited for`},
		},
		{
			"loop over a parameter that is set", head + "  - {id: a, activity: Wait for Parameter, parameter: p, timeout: 3s, on_timeout: end}\n" +
				"  - {activity: Check Condition, field: parameter.p, operator: equals, value: x, then: end, else: a}\n  - {id: end, activity: Disconnect Conversation}\n",
			[]string{`4:5: this activity can be reached from itself without a wait in between; a parameter that is already set is not waited for`},
		},
		{
			"run, keys", head + "  - {activity: Run Operation, for: 3s, then: a}\n",
			[]string{`4:5: Run Operation needs the key operation`, `4:36: Run Operation has no key for`, `4:46: Run Operation has no key then`},
		},
		{
			"run, forms", head + "  - activity: Run Operation\n    operation: Find\n    authorization: ' a'\n    input: text\n    timeout: 121s\n    save: {\"\": x}\n",
			[]string{
				`5:16: "Find" is not <integration>/<operation>`, `6:20: the name of an authorization is not empty and has no space around it`,
				`7:12: input must be a mapping of keys to values`, `8:14: must be more than 0 and at most 120 seconds`, `9:12: parameter must not be empty`,
			},
		},
		{"run, no time", head + "  - {activity: Run Operation, operation: a/b, timeout: 0s}\n", []string{`4:56: must be more than 0 and at most 120 seconds`}},
		{
			"run, members", head + "  - activity: Run Operation\n    operation: a/b\n    input:\n      a: = input.customer.phone ?? input.customer?.company\n" +
				"      b: = input.lastConnectedUser.mail\n      c: = input.parameters.mail + input.customer.customFields[0].name\n",
			[]string{
				`7:27: input.customer holds nothing called "phone"`, `8:36: input.lastConnectedUser holds nothing called "mail"`,
			},
		},
		{
			"run, expressions", head + "  - activity: Run Operation\n    operation: a/b\n    input: {a: [= input.taskID], b: = result}\n    save:\n      a: = resul\n      b: = 1 +\n",
			[]string{
				`6:25: unknown input "taskID" (did you mean "taskId"?)`, `6:39: unknown name "result"`,
				`8:12: unknown name "resul" (did you mean "result"?)`, `9:14: unexpected token EOF`,
			},
		},
		{"run, no such id", head + "  - {activity: Run Operation, operation: a/b, on_error: b}\n", []string{`4:57: no activity has the id "b"`}},
		{
			"loop over an operation", head + "  - {id: a, activity: Run Operation, operation: a/b, on_error: a}\n",
			[]string{`4:5: this activity can be reached from itself without a wait in between; a parameter that is already set is not waited for`},
		},
		{"too many saved", head + "  - activity: Run Operation\n    operation: a/b\n    save:\n" + saves(51), []string{`57:7: a workflow saves at most 50 parameters`}},
		{
			"pop", head + "  - {activity: Screen Pop, url: crm.example, target: desktop}\n  - {activity: Screen Pop, url: [a]}\n  - {activity: Screen Pop}\n  - {activity: Delay, for: 3s, url: 'https://a.example', save: {a: b}, input: {}}\n",
			[]string{
				`4:33: url must begin with https:// or http://, or be an expression: = ...`,
				`4:54: unknown target "desktop"; known: insideDesktop, newBrowserTab, existingBrowserTab`,
				`5:33: url must be text`, `6:5: Screen Pop needs the key url`,
				`7:37: Delay has no key url`, `7:65: Delay has no key save`, `7:79: Delay has no key input`,
			},
		},
		{
			"when ended", head + "  - {activity: Disconnect Conversation}\nwhen_ended:\n  - {when: true}\n  - {operation: a, when: = result, input: [a], timeout: 3m}\n  - {operation: a/b, next: a}\n",
			[]string{
				`6:5: "operation" is missing`, `8:22: unknown key "next"`,
			},
		},
		{
			"when ended, forms", head + "  - {activity: Disconnect Conversation}\nwhen_ended:\n  - {operation: a, when: = result, input: [a], timeout: 3m}\n  - {operation: a/b, when: true}\n",
			[]string{
				`6:17: "a" is not <integration>/<operation>`, `6:28: unknown name "result"`, `6:43: input must be a mapping of keys to values`,
				`6:57: must be more than 0 and at most 120 seconds`, `7:28: must be an expression: = ...`,
			},
		},
		{"too many endings", head + "  - {activity: Disconnect Conversation}\nwhen_ended:\n" + strings.Repeat("  - {operation: a/b}\n", 11), []string{`16:5: when_ended has at most 10 entries`}},
		{
			"all at once", "name: v\nmodality: ExternalTask\nactivities:\n  - activity: Delay\n  - activity: Set Priority\n    priority: x\n    next: y\n",
			[]string{
				`1:7: name "v" must be the file's name, "w"`, `4:5: Delay needs the key for`,
				`6:15: unknown priority "x"; known: VeryHigh, High, Normal, Low, VeryLow`, `7:11: no activity has the id "y"`,
			},
		},
		{"too many", head + strings.Repeat("  - activity: Accept Conversation\n", 201), []string{`1:1: a workflow has at most 200 activities, this one has 201`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w, findings := flow.Parse("workflows/w.yaml", []byte(c.text))
			require.Nil(t, w)
			var got []string
			for _, f := range findings {
				got = append(got, strings.TrimPrefix(f.String(), "workflows/w.yaml:"))
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestLoopsWithAWaitAreAllowed(t *testing.T) {
	t.Parallel()
	for _, activities := range []string{
		"  - {id: a, activity: Delay, for: 3s, next: a}\n",
		"  - {id: a, activity: Queue Task, max_queue_time: 3s, on_timeout: a}\n",
		"  - {id: a, activity: Wait for Parameter, parameter: p, timeout: 3s, on_timeout: a}\n",
	} {
		_, findings := flow.Parse("workflows/w.yaml", []byte(head+activities))
		require.Empty(t, findings)
	}
}

func TestParseKeepsTheText(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Replace(head, "name: w\n", "name: w\ntitle: The title\n", 1) + "  - {activity: Delay, for: 1m30s}\n")
	w, findings := flow.Parse("workflows/w.yml", text)
	require.Empty(t, findings)
	require.Equal(t, "w", w.Name)
	require.Equal(t, "The title", w.Title)
	require.Equal(t, core.ExternalTask, w.Modality)
	require.Equal(t, text, w.Text)
	require.Len(t, w.Hash, 64)
	require.Equal(t, []flow.Activity{{Kind: flow.Delay, Limit: 90 * time.Second, Next: -1, Else: -1}}, w.Activities)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	file := func(name, activity string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("name: " + name + "\nmodality: Audio\nactivities:\n  - activity: " + activity + "\n"), Mode: 0o644}
	}
	set, findings := mapping.Read(fstest.MapFS{
		"workflows/a.yaml": file("a", "Disconnect Conversation"),
		"workflows/b.yaml": file("b", "Hang up"),
		"workflows/c.yaml": file("d", "Accept Conversation"),
		"other/e.yaml":     file("e", "None"),
	})
	require.Empty(t, findings)
	flows, findings := flow.Load(set)
	require.Len(t, findings, 2)
	require.Equal(t, "workflows/b.yaml", findings[0].File)
	require.Equal(t, "workflows/c.yaml", findings[1].File)
	require.Len(t, flows, 1)
	require.Equal(t, "a", flows["a"].Name)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w, findings := flow.Parse("workflows/w.yaml", []byte(head+`  - {activity: Run Operation, operation: crm/find, input: {name: x, namee: y}}
  - {activity: Run Operation, operation: crm/fnd}
when_ended:
  - {operation: erp/find, input: {name: x}}
`))
	require.Empty(t, findings)
	var got []string
	for _, f := range flow.Check(map[string]*flow.Workflow{"w": w}, func(id, name string) ([]string, bool) {
		if id != "crm" || name != "find" {
			return []string{"crm/find"}, false
		}
		return []string{"name"}, true
	}) {
		got = append(got, f.String())
	}
	require.Equal(t, []string{
		`workflows/w.yaml:4:69: crm/find has no input "namee" (did you mean "name"?)`,
		`workflows/w.yaml:5:42: there is no operation "crm/fnd" (did you mean "crm/find"?)`,
		`workflows/w.yaml:7:17: there is no operation "erp/find" (did you mean "crm/find"?)`,
	}, got)
}
