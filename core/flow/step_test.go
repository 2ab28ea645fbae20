package flow_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/flow"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// load parses a workflow of these activities.
func load(t *testing.T, activities string) *flow.Workflow {
	t.Helper()
	w, findings := flow.Parse("workflows/w.yaml", []byte("name: w\nmodality: ExternalTask\nactivities:\n"+activities))
	require.Empty(t, findings)
	return w
}

// walk runs a workflow from its start and names what it asks for, until it
// waits or ends.
func walk(w *flow.Workflow, c flow.Cursor, task *core.Task, in flow.Input, now time.Time) (flow.Cursor, []string) {
	var asked []string
	for range 1000 {
		var f flow.Effect
		c, f = w.Step(c, task, in, now)
		in = flow.Continue
		switch f.Action {
		case flow.Accept:
			asked = append(asked, "accept")
		case flow.Prioritize:
			task.Priority = f.Priority
			asked = append(asked, "priority "+string(f.Priority))
		case flow.Save:
			task.SetParameter(f.Parameter.Name, f.Parameter.Value)
			asked = append(asked, "save "+f.Parameter.Name+"="+f.Parameter.Value)
		case flow.Enqueue:
			asked = append(asked, "queue")
		case flow.LeaveQueue:
			asked = append(asked, "leave")
		case flow.Run:
			asked = append(asked, fmt.Sprintf("run %s %d", f.Run.Operation, f.Run.Turn))
		case flow.Pop:
			asked = append(asked, "pop "+string(f.Pop.Target)+" "+f.Pop.URL)
		case flow.Disconnect:
			return c, append(asked, "end")
		case flow.Wait, flow.Pass:
		}
		if c.Waiting {
			return c, append(asked, "wait "+c.Until.Sub(now).String())
		}
	}
	return c, append(asked, "no end")
}

const seed = `
  - activity: Accept Conversation
  - activity: Check Condition
    field: customerIdentifier
    operator: contains
    value: Urgent
    then: raise
    else: queue
  - id: raise
    activity: Set Priority
    priority: High
  - id: queue
    activity: Queue Task
    max_queue_time: 10m
`

func TestUrgentCustomersComeFirst(t *testing.T) {
	t.Parallel()
	for customer, want := range map[string][]string{
		"an URGENT case": {"accept", "priority High", "queue", "wait 10m0s"},
		"urgent":         {"accept", "priority High", "queue", "wait 10m0s"},
		"another":        {"accept", "queue", "wait 10m0s"},
		"":               {"accept", "queue", "wait 10m0s"},
	} {
		_, asked := walk(load(t, seed), flow.Cursor{}, &core.Task{CustomerIdentifier: customer}, flow.Continue, noon)
		require.Equal(t, want, asked, customer)
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		operator, value, field string
		want                   bool
	}{
		{"equals", "Ab", "aB", true},
		{"equals", "ab", "abc", false},
		{"not equals", "ab", "abc", true},
		{"not equals", "ab", "AB", false},
		{"contains", "É", "école", true},
		{"contains", "x", "école", false},
		{"not contains", "x", "abc", true},
		{"not contains", "B", "abc", false},
		{"starts with", "AB", "abc", true},
		{"starts with", "bc", "abc", false},
		{"ends with", "BC", "abc", true},
		{"ends with", "ab", "abc", false},
		{"is empty", "", "", true},
		{"is empty", "", "x", false},
		{"is not empty", "", "x", true},
		{"is not empty", "", "", false},
	} {
		value := "\n    value: " + c.value
		if c.value == "" {
			value = ""
		}
		w := load(t, "  - activity: Check Condition\n    field: parameter.p\n    operator: "+c.operator+value+`
    then: yes
    else: no
  - {id: yes, activity: Set Priority, priority: High, next: end}
  - {id: no, activity: Set Priority, priority: Low}
  - {id: end, activity: Disconnect Conversation}
`)
		task := &core.Task{Parameters: []core.NamedValue{{Name: "p", Value: c.field}}}
		_, asked := walk(w, flow.Cursor{}, task, flow.Continue, noon)
		want := "priority Low"
		if c.want {
			want = "priority High"
		}
		require.Equal(t, []string{want, "end"}, asked, "%q %s %q", c.field, c.operator, c.value)
	}
}

func TestSaveToParameter(t *testing.T) {
	t.Parallel()
	w := load(t, `
  - {activity: Save to Parameter, parameter: Site, value: north}
  - {activity: Save to Parameter, parameter: City, from: customer.city}
  - {activity: Save to Parameter, parameter: Copy, from: parameter.Site}
  - {activity: Save to Parameter, parameter: Site, value: ""}
`)
	task := &core.Task{Customer: core.Customer{City: "Bern"}}
	_, asked := walk(w, flow.Cursor{}, task, flow.Continue, noon)
	require.Equal(t, []string{"save Site=north", "save City=Bern", "save Copy=north", "save Site=", "end"}, asked)
}

// Each wait, what it does with each input, and when it ends.
func TestWaits(t *testing.T) {
	t.Parallel()
	const tail = "\n  - {id: next, activity: Save to Parameter, parameter: went, value: next, next: end}" +
		"\n  - {id: late, activity: Save to Parameter, parameter: went, value: late, next: end}" +
		"\n  - {id: end, activity: Disconnect Conversation}\n"
	set := &core.Task{Parameters: []core.NamedValue{{Name: "Site", Value: "north"}}}
	for _, c := range []struct {
		name, activity string
		task           *core.Task
		in             flow.Input
		after          time.Duration
		want           []string
	}{
		{"delay, too early", "{activity: Delay, for: 30s, next: next}", nil, flow.Due, 29 * time.Second, nil},
		{"delay, over", "{activity: Delay, for: 30s, next: next}", nil, flow.Due, 30 * time.Second, []string{"save went=next", "end"}},
		{"delay, updated", "{activity: Delay, for: 30s, next: next}", set, flow.Updated, time.Hour, nil},
		{"delay, nothing", "{activity: Delay, for: 30s, next: next}", nil, flow.Continue, time.Hour, nil},
		{"wait, set", "{activity: Wait for Parameter, parameter: Site, timeout: 1m, next: next, on_timeout: late}", set, flow.Updated, time.Second, []string{"save went=next", "end"}},
		{"wait, another set", "{activity: Wait for Parameter, parameter: Other, timeout: 1m, next: next, on_timeout: late}", set, flow.Updated, time.Second, nil},
		{"wait, timeout", "{activity: Wait for Parameter, parameter: Site, timeout: 1m, next: next, on_timeout: late}", nil, flow.Due, time.Minute, []string{"save went=late", "end"}},
		{"wait, too early", "{activity: Wait for Parameter, parameter: Site, timeout: 1m, next: next, on_timeout: late}", nil, flow.Due, 59 * time.Second, nil},
		{"queue, over", "{activity: Queue Task, max_queue_time: 1h, on_timeout: late}", nil, flow.Due, time.Hour, []string{"leave", "save went=late", "end"}},
		{"queue, updated", "{activity: Queue Task, max_queue_time: 1h, on_timeout: late}", set, flow.Updated, time.Hour, nil},
	} {
		w := load(t, "  - "+c.activity+tail)
		task := &core.Task{}
		waiting, _ := walk(w, flow.Cursor{}, task, flow.Continue, noon)
		require.True(t, waiting.Waiting, c.name)
		if c.task != nil {
			*task = *c.task
		}
		now := noon.Add(c.after)
		got, asked := walk(w, waiting, task, c.in, now)
		if c.want == nil {
			require.Equal(t, waiting, got, c.name)
		} else {
			require.Equal(t, c.want, asked, c.name)
		}
	}
}

func TestAParameterThatIsSetIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := load(t, "  - {activity: Wait for Parameter, parameter: Site, timeout: 1m}\n")
	_, asked := walk(w, flow.Cursor{}, &core.Task{Parameters: []core.NamedValue{{Name: "Site", Value: "x"}}}, flow.Continue, noon)
	require.Equal(t, []string{"end"}, asked)
	_, asked = walk(w, flow.Cursor{}, &core.Task{Parameters: []core.NamedValue{{Name: "Site"}}}, flow.Continue, noon)
	require.Equal(t, []string{"wait 1m0s"}, asked, "an empty one is not set")
}

func TestStepBehindTheEndDisconnects(t *testing.T) {
	t.Parallel()
	w := load(t, "  - {activity: Disconnect Conversation}\n")
	for _, at := range []int{-1, 1, 99} {
		for _, waiting := range []bool{false, true} {
			_, effect := w.Step(flow.Cursor{At: at, Waiting: waiting}, &core.Task{}, flow.Continue, noon)
			require.Equal(t, flow.Disconnect, effect.Action)
		}
	}
}

func TestField(t *testing.T) {
	t.Parallel()
	task := &core.Task{
		CustomerIdentifier: "c", Modality: core.Email, Priority: core.PriorityHigh, Service: core.ServiceRef{UPN: "s"},
		Mail: core.Mail{Subject: "subject"}, Customer: core.Customer{Email: "e", UPN: "u"},
		Parameters: []core.NamedValue{{Name: "p.q", Value: "v"}},
	}
	for name, want := range map[string]string{
		"customerIdentifier": "c", "modality": "Email", "distributionPriority": "High", "serviceUPN": "s",
		"emailSubject": "subject", "customer.email": "e", "customer.UPN": "u", "parameter.p.q": "v",
		"parameter.none": "", "unknown": "", "referenceId": "",
	} {
		require.Equal(t, want, flow.Field(task, name), name)
	}
}
