package flow_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tandem/core"
	"tandem/core/flow"
)

// drawWorkflow draws the text of a workflow; not every one is sound.
func drawWorkflow(t *rapid.T) string {
	var b strings.Builder
	b.WriteString(head)
	n := rapid.IntRange(1, 8).Draw(t, "activities")
	branch := func(key string) string {
		if rapid.Bool().Draw(t, "has "+key) {
			return fmt.Sprintf(", %s: a%d", key, rapid.IntRange(0, n-1).Draw(t, key))
		}
		return ""
	}
	word := rapid.SampledFrom([]string{"p", "q"})
	for i := range n {
		kind := rapid.SampledFrom([]string{
			"Accept Conversation" + branch("next"),
			"Check Condition, field: parameter." + word.Draw(t, "field") + ", operator: " +
				rapid.SampledFrom([]string{"equals, value: x", "is empty", "contains, value: y"}).Draw(t, "operator") + branch("then") + branch("else"),
			"Set Priority, priority: High" + branch("next"),
			"Delay, for: 3s" + branch("next"),
			"Wait for Parameter, timeout: 5s, parameter: " + word.Draw(t, "parameter") + branch("next") + branch("on_timeout"),
			"Save to Parameter, parameter: " + word.Draw(t, "parameter") + ", value: " + rapid.SampledFrom([]string{`""`, "x", "y"}).Draw(t, "value") + branch("next"),
			"Queue Task, max_queue_time: 7s" + branch("on_timeout"),
			"Run Operation, operation: crm/find, timeout: 2s, input: {a: = input.parameters." + word.Draw(t, "read") + ".b}" + branch("next") + branch("on_error"),
			"Run Operation, operation: crm/find, save: {" + word.Draw(t, "saved") + ": = result.a}" + branch("next") + branch("on_error"),
			"Screen Pop, url: = input.parameters." + word.Draw(t, "page") + branch("next"),
			"Disconnect Conversation",
		}).Draw(t, "kind")
		fmt.Fprintf(&b, "  - {id: a%d, activity: %s}\n", i, kind)
	}
	return b.String()
}

// Whatever happens to a task of a checked workflow, it ends or waits after few
// steps, the same each time.
func TestEveryCheckedWorkflowEndsOrWaits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := drawWorkflow(t)
		w, findings := flow.Parse("workflows/w.yaml", []byte(text))
		if len(findings) > 0 {
			require.Nil(t, w)
			for _, f := range findings {
				require.Contains(t, f.Message, "without a wait")
			}
			return
		}
		task, twin, now := core.Task{}, core.Task{}, noon
		var c, d flow.Cursor
		in := flow.Continue
		for range rapid.IntRange(0, 20).Draw(t, "inputs") {
			var asked, same []string
			c, asked = walk(w, c, &task, in, now)
			d, same = walk(w, d, &twin, in, now)
			require.Equal(t, asked, same)
			require.Equal(t, c, d)
			require.Equal(t, task, twin)
			require.LessOrEqual(t, len(asked), 2*len(w.Activities)+2, "%s\n%v", text, asked)
			if !c.Waiting {
				require.Equal(t, "end", asked[len(asked)-1], text)
				return
			}
			require.True(t, c.Until.After(noon))
			in = rapid.SampledFrom([]flow.Input{
				flow.Due, flow.Updated, flow.Continue, flow.Connected, flow.Returned, flow.Refused,
			}).Draw(t, "input")
			task.State = rapid.SampledFrom([]core.State{core.StateAccepted, core.StateQueued, core.StateConnected}).Draw(t, "state")
			twin.State = task.State
			if rapid.Bool().Draw(t, "answered") {
				a := flow.Answer{
					Turn: c.Turn - rapid.IntRange(0, 1).Draw(t, "older"), Failed: rapid.Bool().Draw(t, "failed"),
					Result: map[string]any{"a": rapid.SampledFrom([]any{nil, "x", 1, []any{}}).Draw(t, "result")},
				}
				var set []core.NamedValue
				var ok bool
				if c, set, ok = w.Answer(c, &task, a, now); ok {
					require.Equal(t, d.Turn, a.Turn)
					d = c
					task.Parameters = core.MergeNamed(task.Parameters, set)
					twin.Parameters = task.Parameters
					in = flow.Continue
				}
			}
			if in == flow.Updated {
				name, value := rapid.SampledFrom([]string{"p", "q"}).Draw(t, "name"), rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "value")
				task.SetParameter(name, value)
				twin.SetParameter(name, value)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "seconds")) * time.Second)
		}
	})
}

// Any text is either refused with a place, or becomes a workflow that steps.
func FuzzParse(f *testing.F) {
	f.Add([]byte(head + seed))
	f.Add([]byte(head + "  - {id: a, activity: Delay, for: 3s, next: a}\n"))
	f.Add([]byte(head + "  - {activity: Wait for Parameter, parameter: p, timeout: 1h, on_timeout: a}\n  - {id: a, activity: Queue Task, max_queue_time: 3s}\n"))
	f.Add([]byte(head + lookUp + "when_ended:\n  - {operation: crm/end, when: = input.taskId != nil, input: {a: [= input.taskId]}}\n"))
	f.Add([]byte(head + "  - {activity: Screen Pop, url: = input.parameters.a + \"x\", target: insideDesktop}\n"))
	f.Add([]byte(head + "  - {activity: Delay, for: }\n  - activity:\n"))
	f.Add([]byte("name: w\nmodality: Audio\nactivities: [[]]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		w, findings := flow.Parse("workflows/w.yaml", text)
		for _, finding := range findings {
			require.Equal(t, "workflows/w.yaml", finding.File)
			require.Positive(t, finding.Line)
			require.Positive(t, finding.Column)
		}
		require.Equal(t, w == nil, len(findings) > 0)
		if w == nil {
			return
		}
		task := core.Task{}
		c, asked := walk(w, flow.Cursor{}, &task, flow.Continue, noon)
		require.NotEqual(t, "no end", asked[len(asked)-1])
		if c.Waiting {
			if next, _, ok := w.Answer(c, &task, flow.Answer{Turn: c.Turn, Result: map[string]any{}}, noon); ok {
				require.False(t, next.Waiting)
			}
			_, asked = walk(w, c, &task, flow.Due, c.Until)
			require.NotEqual(t, "no end", asked[len(asked)-1])
		}
		w.Endings(&task)
	})
}
