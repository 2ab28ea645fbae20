package webex

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/server"
)

func openEvent(t testing.TB, text string) (envelope, error) {
	t.Helper()
	var doc map[string]any
	if err := server.UnmarshalStrict([]byte(text), &doc); err != nil {
		return envelope{}, err
	}
	return openEnvelope(doc)
}

func TestSubscriptionEvents(t *testing.T) {
	t.Parallel()
	stamp := time.UnixMilli(1767323045123).UTC()
	created := time.UnixMilli(1767323000000).UTC()
	webex := core.PlatformWebex
	for _, c := range []struct {
		name, text string
		want       bridge.Event
	}{
		{"new", `{"id":"e","type":"task:new","comciscotimestamp":1767323045123,"data":{"taskId":"T"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Made, At: stamp}},
		{"timestamp as text", `{"type":"task:parked","comciscotimestamp":"1767323045123","data":{"taskId":"T"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Parked, At: stamp}},
		{"version 1", `{"type":"task:connect","data":{"taskId":"T","createdTime":1767323000000}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Offered, At: created}},
		{"time of CloudEvents", `{"type":"task:connect","time":"2026-01-02T03:03:20Z","data":{"taskId":"T"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Offered, At: created}},
		{"no time", `{"type":"task:connect","time":5,"data":{"taskId":"T","createdTime":"soon"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Offered}},
		{"connected", `{"type":"task:connected","data":{"taskId":"T","agentId":"A","owner":"B"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Connected, Agent: "A"}},
		{"connected, by owner", `{"type":"task:connected","data":{"taskId":"T","agentId":null,"owner":"B"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Connected, Agent: "B"}},
		{"failed", `{"type":"task:failed","data":{"taskId":"T","reason":"CONVERSATION_ALREADY_OPEN","errorMessage":"task\n4711"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Failed, Reason: "CONVERSATION_ALREADY_OPEN: task 4711"}},
		{"failed, message only", `{"type":"task:failed","data":{"taskId":"T","errorMessage":"no"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Failed, Reason: "no"}},
		{"ended", `{"type":"task:ended","data":{"taskId":"T","reason":"Agent Left","terminatingParty":"Agent"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Ended}},
		{"ended by the system", `{"type":"task:ended","data":{"taskId":"T","reason":"Customer Left","terminatingParty":"System"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Ended}},
		{"an agent who says RONA", `{"type":"task:ended","data":{"taskId":"T","reason":"RONA Timer Expired","terminatingParty":"Agent"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Ended}},
		{"RONA", `{"type":"task:ended","data":{"taskId":"T","reason":"RONA Timer Expired","terminatingParty":"System"}}`, bridge.Event{}},
		{"RONA in another case", `{"type":"task:ended","data":{"taskId":"T","reason":" rona timer expired","terminatingParty":"SYSTEM"}}`, bridge.Event{}},
		{"on hold", `{"type":"task:on-hold","data":{"taskId":"T"}}`, bridge.Event{}},
		{"of an agent", `{"type":"agent:login","data":{"agentId":"T"}}`, bridge.Event{}},
		{"of a recording", `{"type":"capture:available"}`, bridge.Event{}},
		{"another case is another type", `{"type":"Task:New","data":{"taskId":"T"}}`, bridge.Event{}},
	} {
		e, err := openEvent(t, c.text)
		require.NoError(t, err, c.name)
		got, err := e.happened()
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
	}
}

func TestFlowEvents(t *testing.T) {
	t.Parallel()
	webex := core.PlatformWebex
	vars := []core.NamedValue{{Name: "contactId", Value: "7"}, {Name: "vip", Value: "true"}, {Name: "data", Value: `{"a":1}`}}
	list := `[{"name":"contactId","value":7,"type":"x"},{"name":"vip","value":true},{"name":"data","value":{"a":1}},{"name":""},5]`
	quoted, err := json.Marshal(list)
	require.NoError(t, err)
	for _, c := range []struct {
		name, text string
		want       bridge.Event
	}{
		{"routed", `{"type":"Task Routed","data":{"id":"T","owner":"A","queue":"Q","variables":` + list + `}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Connected, Agent: "A", Variables: vars}},
		{"variables as a text", `{"type":"task:routed","data":{"id":"T","owner":"A","variables":` + string(quoted) + `}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Connected, Agent: "A", Variables: vars}},
		{"modified", `{"type":"TASK_MODIFIED","data":{"id":"T","owner":"A","context":"add","variables":"[]"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Modified}},
		{"closed", `{"type":"wxcc.task-closed.v2","data":{"id":"T","owner":"A","customerId":"c","variables":"no list"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Ended}},
		{"data as a text", `{"type":"Task Closed","data":"{\"id\":\"T\"}"}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Ended}},
		{"passed on from a subscription", `{"type":"task:parked","data":{"taskId":"T"}}`, bridge.Event{Platform: webex, RemoteID: "T", Kind: bridge.Parked}},
		{"something else", `{"type":"Task Greeted","data":{"id":"T"}}`, bridge.Event{}},
	} {
		e, err := openEvent(t, c.text)
		require.NoError(t, err, c.name)
		got, err := e.flowHappened()
		require.NoError(t, err, c.name)
		require.Equal(t, c.want, got, c.name)
	}
}

func TestEventLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", maxEventName)
	for name, text := range map[string]string{
		"no type":             `{"data":{}}`,
		"type no text":        `{"type":5}`,
		"type too long":       `{"type":"` + long + `x"}`,
		"id no text":          `{"type":"a","id":{}}`,
		"id too long":         `{"type":"a","id":"` + long + `x"}`,
		"data no object":      `{"type":"a","data":[1]}`,
		"data no JSON":        `{"type":"a","data":"{"}`,
		"timestamp no number": `{"type":"a","comciscotimestamp":"soon"}`,
		"timestamp in parts":  `{"type":"a","comciscotimestamp":1.5}`,
		"timestamp too large": `{"type":"a","comciscotimestamp":1e300}`,
		"timestamp an object": `{"type":"a","comciscotimestamp":{}}`,
		"no document":         `[]`,
		"no task":             `{"type":"task:new","data":{}}`,
		"task too long":       `{"type":"task:new","data":{"taskId":"` + long + `x"}}`,
		"task with a control": `{"type":"task:new","data":{"taskId":"a\u0000"}}`,
		"agent too long":      `{"type":"task:connected","data":{"taskId":"a","agentId":"` + long + `x"}}`,
	} {
		e, err := openEvent(t, text)
		if err == nil {
			_, err = e.happened()
		}
		require.Equal(t, core.Invalid, core.KindOf(err), name)
	}
	e, err := openEvent(t, `{"type":"task:new","id":"`+long+`","data":{"taskId":"`+long+`"}}`)
	require.NoError(t, err)
	ev, err := e.happened()
	require.NoError(t, err)
	require.Equal(t, long, ev.RemoteID)

	require.Len(t, []rune(eventFailure(eventData{"reason": strings.Repeat("ü", maxEventReason+1)})), maxEventReason+1)
	named := []any{
		map[string]any{"name": long, "value": strings.Repeat("v", maxEventVarValue)},
		map[string]any{"name": long + "x"},
		map[string]any{"name": "a", "value": strings.Repeat("v", maxEventVarValue+1)},
		map[string]any{"name": "twice", "value": "1"},
		map[string]any{"name": "twice", "value": "2"},
	}
	got := eventVariables(named)
	require.Len(t, got, 2)
	require.Equal(t, core.NamedValue{Name: "twice", Value: "2"}, got[1])
	for i := range 2 * maxEventVariables {
		named = append(named, map[string]any{"name": strings.Repeat("n", i+1)})
	}
	require.Len(t, eventVariables(named), maxEventVariables)
}

func TestEventKey(t *testing.T) {
	t.Parallel()
	keys := []string{
		string(eventKey("s", "e", []byte("x"))), string(eventKey("s", "f", []byte("x"))), string(eventKey("z", "e", []byte("x"))),
		string(eventKey("s", "", []byte("e"))), string(eventKey("s", "", []byte("x"))),
	}
	slices.Sort(keys)
	require.Len(t, slices.Compact(keys), 5)
	require.Equal(t, eventKey("s", "e", []byte("x")), eventKey("s", "e", []byte("y")), "an event that is sent again may be written otherwise")
}

// FuzzEvent: any document is an event, none of ours, or Invalid.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"id":"e","type":"task:failed","comciscotimestamp":"1","data":{"taskId":"T","reason":"a\u0000","errorMessage":5}}`))
	f.Add([]byte(`{"type":"Task Routed","data":"{\"id\":1,\"variables\":\"[{\\\"name\\\":1}]\"}"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := openEvent(t, string(data))
		if err == nil {
			for _, read := range []func() (bridge.Event, error){e.happened, e.flowHappened} {
				ev, err := read()
				if err != nil && core.KindOf(err) != core.Invalid || ev.Kind != "" && ev.RemoteID == "" {
					t.Fatalf("%v %v", ev, err)
				}
			}
			return
		}
		if core.KindOf(err) != core.Invalid {
			t.Fatal(err)
		}
	})
}
