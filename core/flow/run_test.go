package flow_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/flow"
)

const went = `
  - {id: next, activity: Save to Parameter, parameter: went, value: next, next: end}
  - {id: late, activity: Save to Parameter, parameter: went, value: late, next: end}
  - {id: end, activity: Disconnect Conversation}
`

const lookUp = `
  - id: find
    activity: Run Operation
    operation: crm/find
    authorization: Support
    input: {name: "= input.customer.displayName ?? \"nobody\"", exact: true, none: = input.referenceId, at: = context.now}
    timeout: 20s
    save:
      Id: = result.records[0]?.id
      Count: = len(result.records)
      Fixed: text
    next: next
    on_error: late
` + went

func named(pairs ...string) []core.NamedValue {
	var list []core.NamedValue
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, core.NamedValue{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func TestRunOperation(t *testing.T) {
	t.Parallel()
	w := load(t, lookUp)
	task := &core.Task{Customer: core.Customer{DisplayName: "Jane"}}
	cursor, effect := w.Step(flow.Cursor{Turn: 2}, task, flow.Continue, noon)
	require.Equal(t, flow.Cursor{Waiting: true, Until: noon.Add(80 * time.Second), Turn: 3}, cursor)
	require.Equal(t, flow.Effect{Action: flow.Run, Run: &flow.RunRequest{
		Operation: "crm/find", Authorization: "Support", Timeout: 20 * time.Second, Turn: 3,
		Input: map[string]any{"name": "Jane", "exact": true, "at": "2026-03-04T12:00:00.000Z"},
	}}, effect)

	for _, c := range []struct {
		name   string
		answer flow.Answer
		set    []core.NamedValue
		went   string
	}{
		{"all", flow.Answer{Turn: 3, Result: document(t, `{"records": [{"id": 7}]}`)}, named("Id", "7", "Count", "1", "Fixed", "text"), "next"},
		{"nothing stays unset", flow.Answer{Turn: 3, Result: document(t, `{"records": []}`)}, named("Count", "0", "Fixed", "text"), "next"},
		{"another form", flow.Answer{Turn: 3, Result: "text"}, nil, "late"},
		{"no result", flow.Answer{Turn: 3}, nil, "late"},
		{"no text", flow.Answer{Turn: 3, Result: document(t, `{"records": [{"id": {}}]}`)}, nil, "late"},
		{"failed", flow.Answer{Turn: 3, Failed: true, Result: document(t, `{"records": [{"id": 7}]}`)}, nil, "late"},
	} {
		next, set, ok := w.Answer(cursor, task, c.answer, noon)
		require.True(t, ok, c.name)
		require.Equal(t, c.set, set, c.name)
		require.Equal(t, 3, next.Turn, c.name)
		_, asked := walk(w, next, &core.Task{}, flow.Continue, noon)
		require.Equal(t, []string{"save went=" + c.went, "end"}, asked, c.name)
	}
}

func TestAnswersThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	w := load(t, lookUp+"  - {activity: Delay, for: 3s}\n")
	waiting := flow.Cursor{Waiting: true, Until: noon, Turn: 3}
	for name, c := range map[string]flow.Cursor{
		"an earlier turn":  {Waiting: true, Turn: 4},
		"not waiting":      {Turn: 3},
		"another activity": {At: 4, Waiting: true, Turn: 3},
		"the end":          {At: -1, Turn: 3, Waiting: true},
		"far behind":       {At: 99, Turn: 3, Waiting: true},
	} {
		got, set, ok := w.Answer(c, &core.Task{}, flow.Answer{Turn: 3}, noon)
		require.False(t, ok, name)
		require.Equal(t, c, got, name)
		require.Nil(t, set, name)
	}
	_, _, ok := w.Answer(waiting, &core.Task{}, flow.Answer{Turn: 3}, noon)
	require.True(t, ok)
}

func TestOperationsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for _, input := range []string{
		`{a: = input.referenceId.b}`, `{a: '= fail("invalid", "no")'}`, `{when: = false, value: 1}`, `{for_each: "= [1]", value: 1}`,
	} {
		w := load(t, "  - {activity: Run Operation, operation: crm/find, input: "+input+", next: next, on_error: late}"+went)
		want := []string{"save went=late", "end"}
		if strings.HasPrefix(input, "{when") { // gives nothing: no inputs
			want = []string{"run crm/find 1", "wait 1m30s"}
		}
		_, asked := walk(w, flow.Cursor{}, &core.Task{}, flow.Continue, noon)
		require.Equal(t, want, asked, input)
	}
}

func TestSavedTextsAreCut(t *testing.T) {
	t.Parallel()
	w := load(t, "  - {activity: Run Operation, operation: crm/find, save: {p: = result}}\n")
	cursor, _ := w.Step(flow.Cursor{}, &core.Task{}, flow.Continue, noon)
	for n, want := range map[int]int{0: 0, 1023: 1023, 1024: 1024, 1025: 1024, 5000: 1024} {
		_, set, ok := w.Answer(cursor, &core.Task{}, flow.Answer{Turn: 1, Result: strings.Repeat("é", n)}, noon)
		require.True(t, ok)
		require.Equal(t, []core.NamedValue{{Name: "p", Value: strings.Repeat("é", want)}}, set)
	}
}

// on_error goes where next goes when it is not given.
func TestOnErrorIsTheNext(t *testing.T) {
	t.Parallel()
	w := load(t, "  - {activity: Run Operation, operation: crm/find, next: late}"+went)
	cursor, _ := w.Step(flow.Cursor{}, &core.Task{}, flow.Continue, noon)
	next, _, ok := w.Answer(cursor, &core.Task{}, flow.Answer{Turn: 1, Failed: true}, noon)
	require.True(t, ok)
	require.Equal(t, flow.Cursor{At: 2, Turn: 1}, next)
}

func TestScreenPop(t *testing.T) {
	t.Parallel()
	task := &core.Task{Parameters: []core.NamedValue{
		{Name: "url", Value: "https://crm.example/1?a=b#c"},
		{Name: "script", Value: "javascript:alert(1)"},
		{Name: "path", Value: "/x"},
		{Name: "user", Value: "https://a:b@crm.example"},
		{Name: "long", Value: "https://crm.example/" + strings.Repeat("x", 2048)},
		{Name: "control", Value: "https://crm.example/\n"},
		{Name: "host", Value: "https:///x"},
		{Name: "file", Value: "file:///etc/passwd"},
	}}
	for text, want := range map[string]string{
		"url: https://crm.example/x, target: insideDesktop":         "pop insideDesktop https://crm.example/x",
		"url: = input.parameters.url, target: existingBrowserTab":   "pop existingBrowserTab https://crm.example/1?a=b#c",
		"url: = input.parameters.url":                               "pop newBrowserTab https://crm.example/1?a=b#c",
		`url: '= "http://crm.example/" + (input.taskId ?? "none")'`: "pop newBrowserTab http://crm.example/none",
		"url: = input.parameters.none":                              "",
		"url: = input.referenceId.x":                                "",
		"url: = input.parameters":                                   "",
		"url: = input.parameters.script":                            "",
		"url: = input.parameters.path":                              "",
		"url: = input.parameters.user":                              "",
		"url: = input.parameters.long":                              "",
		"url: = input.parameters.control":                           "",
		"url: = input.parameters.host":                              "",
		"url: = input.parameters.file":                              "",
	} {
		w := load(t, "  - {activity: Screen Pop, "+text+", next: next}"+went)
		_, asked := walk(w, flow.Cursor{}, task, flow.Continue, noon)
		if want != "" {
			require.Equal(t, want, asked[0], text)
			asked = asked[1:]
		}
		require.Equal(t, []string{"save went=next", "end"}, asked, text)
	}
	w := load(t, "  - {activity: Screen Pop, url: https://crm.example}\n")
	_, effect := w.Step(flow.Cursor{}, task, flow.Continue, noon)
	require.Equal(t, core.Pop{URL: "https://crm.example", Target: core.NewBrowserTab, At: noon}, effect.Pop)
}

func TestEndings(t *testing.T) {
	t.Parallel()
	w, findings := flow.Parse("workflows/w.yaml", []byte(head+`  - {activity: Disconnect Conversation}
when_ended:
  - {operation: crm/always, authorization: Ops, timeout: 2m, input: {at: = context.now, since: = input.terminated}}
  - {operation: crm/sometimes, when: '= input.parameters.Case != nil', input: {case: = input.parameters.Case.id}}
  - {operation: crm/never, when: = false}
  - {operation: crm/odd, when: '= "yes"'}
  - {operation: crm/wrong, when: '= input.referenceId.x'}
`))
	require.Empty(t, findings)
	task := &core.Task{Terminated: noon}
	list := w.Endings(task)
	require.Len(t, list, 3)
	require.Equal(t, flow.RunRequest{
		Operation: "crm/always", Authorization: "Ops", Timeout: 2 * time.Minute,
		Input: map[string]any{"at": "2026-03-04T12:00:00.000Z", "since": "2026-03-04T12:00:00.000Z"},
	}, list[0])
	for i, name := range []string{"crm/odd", "crm/wrong"} {
		require.Equal(t, name, list[i+1].Operation)
		require.Equal(t, core.Mapping, core.KindOf(list[i+1].Err), name)
		require.ErrorContains(t, list[i+1].Err, name)
	}
	task.SetParameter("Case", "7")
	list = w.Endings(task)
	require.Len(t, list, 4)
	require.Equal(t, "crm/sometimes", list[1].Operation)
	require.Equal(t, core.Mapping, core.KindOf(list[1].Err), "a text has no member")
	require.Nil(t, list[1].Input)
}

// Whoever works on a task keeps it; whose target refuses it loses it.
func TestWhoWorksOnIt(t *testing.T) {
	t.Parallel()
	const never = 366 * 24 * time.Hour
	late := []string{"leave", "save went=late", "end"}
	for _, c := range []struct {
		name, activity string
		in             flow.Input
		until          time.Duration // from the input on; 0: as before
		want           []string
	}{
		{"queue, connected", "{activity: Queue Task, max_queue_time: 1h, on_timeout: late}", flow.Connected, never, nil},
		{"queue, returned", "{activity: Queue Task, max_queue_time: 1h, on_timeout: late}", flow.Returned, time.Hour, nil},
		{"queue, refused", "{activity: Queue Task, max_queue_time: 1h, on_timeout: late}", flow.Refused, 0, late},
		{"delay, connected", "{activity: Delay, for: 3s, next: next}", flow.Connected, never, nil},
		{"delay, returned", "{activity: Delay, for: 3s, next: next}", flow.Returned, 3 * time.Second, nil},
		{"delay, refused", "{activity: Delay, for: 3s, next: next}", flow.Refused, 0, nil},
		{"wait, connected", "{activity: Wait for Parameter, parameter: p, timeout: 5s}", flow.Connected, never, nil},
		{"wait, refused", "{activity: Wait for Parameter, parameter: p, timeout: 5s}", flow.Refused, 0, nil},
		{"run, connected", "{activity: Run Operation, operation: crm/find}", flow.Connected, 0, nil},
		{"run, returned", "{activity: Run Operation, operation: crm/find}", flow.Returned, 0, nil},
		{"run, refused", "{activity: Run Operation, operation: crm/find}", flow.Refused, 0, nil},
		{"run, updated", "{activity: Run Operation, operation: crm/find}", flow.Updated, 0, nil},
	} {
		w := load(t, "  - "+c.activity+went)
		waiting, _ := walk(w, flow.Cursor{}, &core.Task{}, flow.Continue, noon)
		later := noon.Add(time.Second)
		got, asked := walk(w, waiting, &core.Task{}, c.in, later)
		if c.want != nil {
			require.Equal(t, c.want, asked, c.name)
			continue
		}
		if c.until > 0 {
			waiting.Until = later.Add(c.until)
		}
		require.Equal(t, waiting, got, c.name)
	}
}

func TestQueueTaskOfAConnectedTask(t *testing.T) {
	t.Parallel()
	w := load(t, "  - {activity: Queue Task, max_queue_time: 1h}\n")
	_, asked := walk(w, flow.Cursor{}, &core.Task{State: core.StateConnected}, flow.Continue, noon)
	require.Equal(t, []string{"wait 8784h0m0s"}, asked)
	_, asked = walk(w, flow.Cursor{}, &core.Task{State: core.StateQueued}, flow.Continue, noon)
	require.Equal(t, []string{"queue", "wait 1h0m0s"}, asked)
}

func TestRunWithoutAnAnswerGoesOn(t *testing.T) {
	t.Parallel()
	w := load(t, lookUp)
	cursor, _ := w.Step(flow.Cursor{}, &core.Task{}, flow.Continue, noon)
	_, asked := walk(w, cursor, &core.Task{}, flow.Due, noon.Add(80*time.Second-1))
	require.Equal(t, []string{"wait 1ns"}, asked)
	_, asked = walk(w, cursor, &core.Task{}, flow.Due, noon.Add(80*time.Second))
	require.Equal(t, []string{"save went=late", "end"}, asked)
}

// Cursors that were stored before there were turns go on.
func TestStoredCursors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]flow.Cursor{
		`{"at":3,"waiting":true,"until":"2026-03-04T12:00:00Z"}`:          {At: 3, Waiting: true, Until: noon},
		`{"at":-1,"waiting":false}`:                                       {At: -1},
		`{"at":1,"waiting":true,"until":"2026-03-04T12:00:00Z","turn":2}`: {At: 1, Waiting: true, Until: noon, Turn: 2},
	} {
		var got flow.Cursor
		require.NoError(t, json.Unmarshal([]byte(text), &got))
		require.Equal(t, want, got)
		back, err := json.Marshal(got)
		require.NoError(t, err)
		require.JSONEq(t, text, string(back))
	}
}

// Each name of the document may be used, and no other.
func TestDocument(t *testing.T) {
	t.Parallel()
	d := flow.Document(&core.Task{
		ID: "t", CustomerIdentifier: "c", ReferenceID: "r", Modality: core.Email, Direction: core.Inbound, State: core.StateQueued,
		Priority: core.PriorityHigh, Service: core.ServiceRef{UPN: "s", Name: "S"}, InitialMessage: "m",
		Mail: core.Mail{Subject: "subject", PlainText: "plain"}, Caller: core.Party{TelNumber: "+1"},
		Customer: core.Customer{UPN: "u", CustomFields: []core.NamedValue{{Name: "n", Value: "v"}}}, Remote: core.Remote{ID: "x"},
		Parameters:        []core.NamedValue{{Name: "p.q", Value: "v"}, {Name: "e"}},
		LastConnectedUser: core.UserRef{ID: "1", UPN: "ann"}, Created: noon, Queued: noon, Terminated: noon,
	})
	data, err := json.Marshal(d)
	require.NoError(t, err)
	require.JSONEq(t, `{"taskId": "t", "customerIdentifier": "c", "referenceId": "r", "modality": "Email", "direction": "Inbound",
		"state": "queued", "priority": "High", "serviceUPN": "s", "serviceName": "S", "initialMessage": "m", "emailSubject": "subject",
		"emailText": "plain", "callerTelNumber": "+1", "customer": {"UPN": "u", "customFields": [{"name": "n", "value": "v"}]},
		"remoteId": "x", "parameters": {"p.q": "v", "e": ""}, "lastConnectedUser": {"id": "1", "upn": "ann"},
		"created": "2026-03-04T12:00:00.000Z", "queued": "2026-03-04T12:00:00.000Z", "terminated": "2026-03-04T12:00:00.000Z"}`, string(data))
	for name := range d {
		load(t, "  - {activity: Screen Pop, url: = input."+name+"}\n")
	}
	for f := range reflect.TypeFor[core.Customer]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		load(t, "  - {activity: Screen Pop, url: = input.customer."+name+"}\n")
	}
	load(t, "  - {activity: Screen Pop, url: = input.lastConnectedUser.id + input.lastConnectedUser.upn}\n")
	require.Equal(t, map[string]any{"customer": map[string]any{}, "parameters": map[string]any{}, "lastConnectedUser": map[string]any{}},
		flow.Document(&core.Task{}))
}
