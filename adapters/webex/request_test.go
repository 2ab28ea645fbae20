package webex

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
)

const someUUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

func methodAt(t testing.TB, id string) *method {
	t.Helper()
	node, name, _ := strings.Cut(id, "/")
	m, ok := methodOf(node, name)
	require.True(t, ok, id)
	return m
}

// valid returns a body with every field of a method.
func valid(m *method) map[string]any {
	all := map[string]any{
		"taskId": someUUID, "conversationId": "c-1", "destination": "app-1", "mediaType": "Chat", "mediaChannel": "Livechat",
		"customerName": "Zoë", "customerId": "zoe@customer.example", "origin": "zoe@customer.example", "subject": "Help",
		"to": []any{"a@contoso.example", "b@contoso.example"}, "cc": "c@contoso.example", "hasAttachments": true, "sourceNumber": "41445551234",
		"chatType": "regular", "direction": "Inbound", "queueId": "support@contoso.example", "skillRequirements": map[string]any{"requirements": []any{}},
		"contactPriority": 3, "lookbackMinutes": 30, "agentId": "agent1@contoso.example", "mediaResourceId": "m-1", "reason": "busy", "reasonCode": 404,
		"screenPopUrl": "https://crm.example/case?id=1", "queryParameters": map[string]any{"b": "2", "a": 1}, "target": "New Browser Tab",
		"variables": []any{map[string]any{"name": "order_1", "value": "4711"}},
		"flowId":    "f-1", "transId": "t-1", "overrideDefaultClose": "true", "details": map[string]any{"messageDetails": messageOf("web")},
	}
	body := map[string]any{}
	for _, name := range m.Fields {
		name = strings.TrimSuffix(name, "*")
		body[name] = all[name]
	}
	return body
}

// messageOf returns messageDetails of a channel with every mandatory key.
func messageOf(channel string) map[string]any {
	doc := map[string]any{}
	for _, key := range channels[channel].Mandatory {
		doc[key] = "x-" + key
	}
	return doc
}

func read(t testing.TB, m *method, body any) (*request, error) {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return decode(m, text)
}

// changed returns the body with fields set; nil takes one away.
func changed(body map[string]any, change map[string]any) map[string]any {
	all := maps.Clone(body)
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

// found names the fields that an error is about.
func found(t testing.TB, err error) []string {
	t.Helper()
	e, ok := errors.AsType[*core.Error](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, core.Invalid, e.Kind)
	var names []string
	for _, d := range e.Details {
		names = append(names, d.Field)
	}
	return names
}

func TestDecodeEveryMethod(t *testing.T) {
	t.Parallel()
	for i := range methods {
		m := &methods[i]
		r, err := read(t, m, valid(m))
		require.NoError(t, err, id0(m))
		for _, name := range m.Fields {
			require.True(t, r.Given(strings.TrimSuffix(name, "*")), "%s %s", id0(m), name)
		}
		require.False(t, r.Given("version"))

		var required []string
		for _, name := range m.Fields {
			if name, ok := strings.CutSuffix(name, "*"); ok {
				required = append(required, name)
				for _, nothing := range []any{"", " \n ", map[string]any{}, []any{}} {
					_, err := read(t, m, changed(valid(m), map[string]any{name: nothing}))
					require.Equal(t, []string{name}, found(t, err), id0(m))
				}
			} else {
				r, err := read(t, m, changed(valid(m), map[string]any{name: nil}))
				require.NoError(t, err, "%s %s", id0(m), name)
				require.False(t, r.Given(name))
			}
		}
		_, err = decode(m, []byte(`{"tenant_identifier":"x","flowname":1,"taskId":null}`))
		require.Equal(t, required, found(t, err), "all that is missing, in the order of the page")
	}
}

func TestDecodeReads(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "create-task/create")
	r, err := read(t, m, changed(valid(m), map[string]any{"taskId": " " + strings.ToUpper(someUUID) + " ", "subject": "Re:\r\n  Help", "version": "v1.2", "authorization": "Main", "webhookUrl": "https://h.example/x"}))
	require.NoError(t, err)
	require.Equal(t, someUUID, r.TaskID)
	require.Equal(t, "c-1", r.ConversationID)
	require.Equal(t, "chat", r.MediaType)
	require.Equal(t, "web", r.MediaChannel)
	require.Equal(t, core.InstantMessaging, r.Modality)
	require.Equal(t, "Zoë", r.CustomerName)
	require.Equal(t, "Re: Help", r.Subject)
	require.Equal(t, "a@contoso.example, b@contoso.example", r.To)
	require.Equal(t, "c@contoso.example", r.CC)
	require.True(t, r.HasAttachments)
	require.Equal(t, "Regular", r.ChatType)
	require.Equal(t, core.Inbound, r.Direction)
	require.Equal(t, "1.2", r.Version)
	require.Equal(t, "Main", r.Authorization)
	require.Equal(t, "https://h.example/x", r.WebhookURL)

	m = methodAt(t, "screen-pop/pop")
	r, err = read(t, m, valid(m))
	require.NoError(t, err)
	require.Equal(t, core.NewBrowserTab, r.Target)
	require.Equal(t, []core.NamedValue{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, r.QueryParameters)
	require.Equal(t, "https://crm.example/case?id=1&a=1&b=2", r.page())
	r, err = read(t, m, changed(valid(m), map[string]any{"target": nil, "queryParameters": `{"q":"a b&c"}`, "screenPopUrl": "www.google.com"}))
	require.NoError(t, err)
	require.Equal(t, core.InsideDesktop, r.Target)
	require.Equal(t, "https://www.google.com?q=a+b%26c", r.page())

	m = methodAt(t, "queue-task/queue")
	r, err = read(t, m, valid(m))
	require.NoError(t, err)
	require.Equal(t, 3, r.ContactPriority)
	require.JSONEq(t, `{"requirements":[]}`, r.SkillRequirements)
	r, err = read(t, m, changed(valid(m), map[string]any{"contactPriority": nil, "skillRequirements": `{"requirements":[],"relaxationToggle":false}`}))
	require.NoError(t, err)
	require.Equal(t, 10, r.ContactPriority)
	require.JSONEq(t, `{"requirements":[],"relaxationToggle":false}`, r.SkillRequirements)

	m = methodAt(t, "routed-notification/reject")
	r, err = read(t, m, valid(m))
	require.NoError(t, err)
	require.Equal(t, "404", r.ReasonCode, "numbers are texts")
}

// The bodies that the canvas shows, letter by letter.
func TestDecodeWireBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, body string }{
		{"set-variable/flow", `{"Task ID":"t","tenant_identifier":"x","Variables":[{"name":"a","type":"String","value":"b","agentViewable":true,"desktopLabel":"l","agentEditable":false,"global":false,"reportable":false}],"webhookurl":"https://h.example/cb"}`},
		{"set-variable/flow", `{"ID":"t","Variables":"[{\"Name\":\"a\",\"Type\":\"date time\",\"Value\":\"1767225600\",\"Desktop Label\":\"l\",\"Make Agent Viewable\":\"true\"}]"}`},
		{"queue-task/queue", `{"id":"t","tenant_identifier":"x","queueid":"q","conversationid":"c","mediatype":"chat","skillRequirements":"{\"requirements\":[],\"relaxations\":[],\"relaxationToggle\":false}","contactPriority":"","webhookurl":"https://h.example/cb","channel":"web"}`},
		{"queue-task/queue", `{"TASK ID":"t","Queue ID":"q","CONVERSATION ID":"c","MEDIA TYPE":"Chat","MEDIA CHANNEL":"Livechat","CONTACT PRIORITY":"9"}`},
		{"piq-ewt/fetch", `{"queueid":"q","taskid":"t","loopbackminutes":"5"}`},
		{"piq-ewt/fetch", `{"queue id":"q","task id":"t","lookback minutes":240}`},
		{"routed-notification/accept", `{"TASK ID":"t","ID":"t","AGENT ID":"a","QUEUE ID":"q","MEDIA RESOURCE ID":"m","MEDIA TYPE":"social"}`},
		{"modify-notification/reject", `{"TASK ID":"t","AGENT ID":"a","MEDIA RESOURSE ID":"m","MEDIA TYPE":"email","REASON":"r","REASON CODE":"12"}`}, //nolint:misspell // the vendor's spelling
		{"screen-pop/pop", `{"transid":"t","agentId":"a","screenPopUrl":"www.google.com","target":"sameBrowserTab","queryParameters":{"customerId":"..","operation":".."}}`},
		{"screen-pop/pop", `{"TASK ID":"t","AGENT ID":"a","SCREENPOP URL":"http://x.example/","QUERY PARAMS":"{}","Display Settings":"Inside Desktop"}`},
		{"close-task/close", `{"Task Id":"t","tenant_identifier":"x","Conversation ID":"c","Media Type":"chat","webhookurl":"https://h.example/cb"}`},
		{"close-task/accept", `{"TASK ID":"t","ID":"t","QUEUE ID":"q","CONVERSATION ID":"c","Media Type":"chat"}`},
		{"close-task/reject", `{"TASK ID":"t","ID":"t","Agent ID":"a","CONVERSATION ID":"c","REASON":"r","Reason Code":"1","Media Type":"chat"}`},
		{"create-task/create", `{"TASK ID":"` + someUUID + `","CONVERSATION ID":"c","DESTINATION":"d","MEDIA TYPE":"Social","MEDIA CHANNEL":"WhatsApp","CUSTOMER ID":"41","WhatsApp WA ID(ORIGIN)":"41","Source Number":"44"}`},
	} {
		r, err := decode(methodAt(t, c.method), []byte(c.body))
		require.NoError(t, err, c.body)
		if r.TaskID != "t" && r.TaskID != someUUID {
			t.Fatalf("no task in %s", c.body)
		}
	}
	message, err := json.Marshal(map[string]any{"messageDetails": messageOf("web")})
	require.NoError(t, err)
	r, err := read(t, methodAt(t, "resolve-conversation/resolve"), map[string]any{
		"Trans Id": "t", "Media Type": "chat", "Media Channel": "web", "tenant_identifier": "x", "webhookurl": "https://h.example/cb",
		"overrideDefaultClose": true, "Details JSON": string(message), "trackingId": "ignored",
	})
	require.NoError(t, err)
	require.Equal(t, "t", r.TransID)
	require.True(t, r.OverrideDefaultClose)
	require.Equal(t, "x-userId", r.Details.Message.Customer)
}

func TestKeysOfOneField(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "piq-ewt/fetch")
	_, err := decode(m, []byte(`{"queueId":"a","queue id":"b","lookbackMinutes":5}`))
	require.Equal(t, []string{"queueId"}, found(t, err))
	require.ErrorContains(t, err, `"queue id"`)
	require.ErrorContains(t, err, `"queueId"`)
	r, err := decode(m, []byte(`{"queueId":" a","queue_id":"a","Queue-ID":"","loopbackminutes":"5","lookbackMinutes":5}`))
	require.NoError(t, err, "the same twice, and nothing once")
	require.Equal(t, 5, r.LookbackMinutes)
	_, err = decode(m, []byte(`{"queueId":"a","QUEUEID":"a","lookbackMinutes":5}`))
	require.ErrorContains(t, err, "body", "keys that differ in case alone are read differently elsewhere")
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("é", n) }
	for _, c := range []struct {
		method, field string
		good, bad     []any
	}{
		{"create-task/create", "taskId", []any{strings.ToUpper(someUUID)}, []any{"4711", someUUID + "0", "{" + someUUID + "}", 5, true}},
		{"create-task/create", "conversationId", []any{long(256), 12, true}, []any{long(257), "a\x00b", "a\nb", []any{"x"}, map[string]any{"a": 1}, "\ufffd"}},
		{"create-task/create", "customerName", []any{long(256), "a\nb"}, []any{long(257), "a\x01b"}},
		{"create-task/create", "subject", []any{long(1024)}, []any{long(1025)}},
		{"create-task/create", "to", []any{long(4096), []any{long(256)}}, []any{long(4097)}},
		{"create-task/create", "mediaType", []any{"SOCIAL", "email", "Telephony", "work item", "workItem"}, []any{"fax", "", []any{1}}},
		{"create-task/create", "mediaChannel", []any{"facebook", "Facebook Messenger", "SMS", "live chat", "web", "Apple Messages for Business", "apple"}, []any{"telegram", 1}},
		{"create-task/create", "hasAttachments", []any{true, "FALSE"}, []any{"yes", 1, []any{true}}},
		{"create-task/create", "chatType", []any{"Proactive"}, []any{"other"}},
		{"create-task/create", "direction", []any{"outbound"}, []any{"None"}},
		{"create-task/create", "version", []any{"1.2", "v1.0", "V1.0"}, []any{"1.7", "latest", 1.2e3}},
		{"create-task/create", "authorization", []any{long(64)}, []any{long(65)}},
		{"create-task/create", "webhookUrl", []any{"https://h.example", "http://127.0.0.1:8080/x"}, []any{"h.example/x", "ftp://h.example/", "https://u:p@h.example/", "https://", "https://h.example/" + long(2048), "javascript:alert(1)"}},
		{"queue-task/queue", "queueId", []any{long(256)}, []any{long(257)}},
		{"queue-task/queue", "contactPriority", []any{"1", 9, "0", 10, "high", -1, 2.5}, []any{[]any{1}}},
		{"queue-task/queue", "skillRequirements", []any{`{"a":1}`}, []any{"{", "[]", 5, `{"a":1,"A":2}`, map[string]any{"a": long(4096)}}},
		{"piq-ewt/fetch", "lookbackMinutes", []any{5, "240", " 30 "}, []any{4, 241, "5.5", 5.5, "-5", "+30", "many", true, []any{5}}},
		{"routed-notification/reject", "reason", []any{long(256)}, []any{long(257)}},
		{"routed-notification/reject", "reasonCode", []any{long(256), 1}, []any{long(257)}},
		{"screen-pop/pop", "target", []any{"inside desktop", "insideDesktop", "newBrowserTab", "EXISTING BROWSER TAB", "existingBrowserTab", "sameBrowserTab"}, []any{"popup", 1}},
		{
			"screen-pop/pop", "screenPopUrl",
			[]any{"www.google.com", "www.google.com:8443/x?y", "http://x.example", "https://x.example/" + strings.Repeat("a", 2030), "HTTPS://X.EXAMPLE"},
			[]any{
				"javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//x.example/", "/case", "case", "https:", "https:///x", "https:\\\\x.example",
				"https://user@x.example/", "https://good.example\\@evil.example/", "https://x.example/" + strings.Repeat("a", 2031), "https://x.example/a\nb",
			},
		},
		{"screen-pop/pop", "queryParameters", []any{`{"a":"1"}`, map[string]any{"a": nil}, map[string]any{long(256): long(256)}}, []any{"a=1", "[]", map[string]any{"a": []any{}}, []any{"a"}}},
		{"resolve-conversation/resolve", "mediaChannel", []any{"web"}, []any{"telephony"}},
		{"resolve-conversation/resolve", "details", nil, []any{"{", "text", []any{1}, map[string]any{"a": 1}, map[string]any{"messageDetails": "x"}}},
		{"resolve-conversation/resolve", "overrideDefaultClose", []any{true, "false"}, []any{"on"}},
	} {
		m := methodAt(t, c.method)
		for _, v := range c.good {
			_, err := read(t, m, changed(valid(m), map[string]any{c.field: v}))
			require.NoError(t, err, "%s %.80v", c.field, v)
		}
		for _, v := range c.bad {
			_, err := read(t, m, changed(valid(m), map[string]any{c.field: v}))
			require.Error(t, err, "%s %.80v", c.field, v)
			for _, name := range found(t, err) {
				require.True(t, strings.HasPrefix(name, c.field), "%s is named %s", c.field, name)
			}
		}
	}
}

// TestUnsetVariables reads what a flow sends for variables that have no value.
func TestUnsetVariables(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		body := valid(&m)
		for _, name := range m.Fields {
			name, required := strings.CutSuffix(name, "*")
			_, err := read(t, &m, changed(body, map[string]any{name: " $(n2.webex." + name + ") "}))
			if required {
				require.Equal(t, []string{name}, found(t, err), m.Title)
				require.ErrorContains(t, err, "is required")
				continue
			}
			require.NoError(t, err, "%s %s", m.Title, name)
		}
	}
	r, err := read(t, methodAt(t, "create-task/create"), changed(valid(methodAt(t, "create-task/create")), map[string]any{
		"customerName": "$(n5.name)", "subject": "it costs $(5)", "origin": "$(a) $(b)",
	}))
	require.NoError(t, err)
	require.Equal(t, []string{"", "it costs $(5)", "$(a) $(b)"}, []string{r.CustomerName, r.Subject, r.Origin})
	r, err = read(t, methodAt(t, "screen-pop/pop"), changed(valid(methodAt(t, "screen-pop/pop")), map[string]any{
		"queryParameters": `{"id": "$(caseId)", "name": "Zoë"}`,
	}))
	require.NoError(t, err)
	require.Equal(t, []core.NamedValue{{Name: "id"}, {Name: "name", Value: "Zoë"}}, r.QueryParameters)
	_, err = read(t, methodAt(t, "set-variable/flow"), map[string]any{
		"taskId": someUUID, "variables": `[{"name": "order", "value": "$(order)"}]`,
	})
	require.Equal(t, []string{"variables[0].value"}, found(t, err))
}

func TestDecodeBodies(t *testing.T) {
	t.Parallel()
	m := methodAt(t, "piq-ewt/fetch")
	for _, body := range []string{"", "null", "[]", `"x"`, "{", "\xff", `{"a":1}{}`, strings.Repeat(`{"a":`, 100) + strings.Repeat("}", 100)} {
		_, err := decode(m, []byte(body))
		require.Equal(t, []string{"body"}, found(t, err), body)
	}
	many := map[string]any{}
	for i := range maxParameters + 1 {
		many[fmt.Sprint("p", i)] = "x"
	}
	pop := methodAt(t, "screen-pop/pop")
	_, err := read(t, pop, changed(valid(pop), map[string]any{"queryParameters": many}))
	require.Equal(t, []string{"queryParameters"}, found(t, err))
	delete(many, "p0")
	_, err = read(t, pop, changed(valid(pop), map[string]any{"queryParameters": many}))
	require.NoError(t, err)
}

// Every word of the pages and the wire is taken in any case.
func TestMediaWords(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		table  []media
		wire   string
		others []string
	}{
		{mediaTypes, "social", []string{"Social", "SOCIAL"}},
		{mediaTypes, "email", []string{"Email", "E-Mail"}},
		{mediaTypes, "chat", []string{"Chat"}},
		{mediaTypes, "telephony", []string{"Telephony"}},
		{mediaTypes, "workItem", []string{"Work Item", "work_item", "WORKITEM"}},
		{mediaChannels, "facebook", []string{"Facebook Messenger", "facebookMessenger"}},
		{mediaChannels, "sms", []string{"SMS"}},
		{mediaChannels, "email", []string{"Email"}},
		{mediaChannels, "web", []string{"Livechat", "live chat", "LIVE CHAT"}},
		{mediaChannels, "whatsapp", []string{"WhatsApp"}},
		{mediaChannels, "apple", []string{"Apple Messages for Business"}},
	} {
		for _, word := range append(c.others, c.wire) {
			wire, ok := wordIn(c.table, word)
			require.True(t, ok, word)
			require.Equal(t, c.wire, wire)
		}
	}
	for _, m := range mediaTypes {
		require.NotEmpty(t, modalityOf(m.Wire), m.Wire)
	}
	require.Equal(t, core.ExternalTask, modalityOf("workItem"))
	require.Equal(t, core.Audio, modalityOf("telephony"))
	require.Equal(t, core.InstantMessaging, modalityOf("social"))
	_, ok := wordIn(mediaChannels, "")
	require.False(t, ok)
}

// No two fields of a method are told apart by spelling alone.
func TestFieldsAreDistinct(t *testing.T) {
	t.Parallel()
	for i := range methods {
		m := &methods[i]
		seen := map[string]string{}
		for _, name := range append(slices.Clone(m.Fields), commonFields...) {
			name = strings.TrimSuffix(name, "*")
			f, ok := fields[name]
			require.True(t, ok, name)
			for _, key := range append([]string{foldKey(name)}, f.aliases...) {
				require.Equal(t, foldKey(key), key, "aliases are folded")
				require.Empty(t, seen[key], "%s: %s and %s", id0(m), name, seen[key])
				seen[key] = name
			}
		}
		for alias, name := range m.Aliases {
			require.Empty(t, seen[alias], "%s: %s", id0(m), alias)
			require.Contains(t, slices.Collect(maps.Values(seen)), name)
		}
	}
}

// FuzzRequest sends any body to every method: it is read, or the caller's fault.
func FuzzRequest(f *testing.F) {
	for i := range methods {
		text, err := json.Marshal(valid(&methods[i]))
		require.NoError(f, err)
		f.Add(i, text)
	}
	f.Add(1, []byte(`{"Task ID":"t","Variables":"[{\"name\":\"a\",\"value\":null}]"}`))
	f.Add(13, []byte(`{"transId":1,"mediaType":"Email","mediaChannel":"email","details":"{\"messageDetails\":{\"headers\":\"Message-ID: <a>\"}}"}`))
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		m := &methods[((which%len(methods))+len(methods))%len(methods)]
		r, err := decode(m, body)
		if err != nil {
			if core.KindOf(err) != core.Invalid || m.fault("", err).Outcome != "onInvalidData" {
				t.Fatalf("%v", err)
			}
			return
		}
		_ = r.page()
		for _, name := range m.Fields {
			if name, ok := strings.CutSuffix(name, "*"); ok && !r.Given(name) {
				t.Fatalf("%s was not given", name)
			}
		}
	})
}
