package cxone

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const found = `{"records":[{"type":"contact","label":"Contact","id":7,"url":"CRM/c/7","display":"Jane <Doe>","fields":[
	{"name":"Phone","label":"Telephone","value":"+41 44"},{"name":"Age","value":42},{"name":"Nothing","value":null},{"name":"Object","value":{}}]}]}`

func TestSuccessInBothForms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Query().Get("q") != "+41445551234" || req.URL.Query().Get("kind") != "person" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte(strings.ReplaceAll(found, "CRM", "http://"+req.Host)))
	})
	s := r.execute(t, admin, body(t, findID, phone()))
	require.Equal(t, branchSuccess, s.Branch)
	require.NotEmpty(t, s.CacheKey)
	require.Equal(t, "4711", s.ResultSet["contactId"])
	entry := s.ResultSet["result"].([]any)[0].(object)
	require.Equal(t, "Acme CRM", entry["system"].(object)["label"])
	require.Equal(t, []any{object{
		"type": "contact", "label": "Contact", "id": "7", "url": "/c/7", "display": "Jane <Doe>", "title": "", "updated": "",
		"linkable": true, "screenPop": true, "related": []any{},
		"fields": []any{
			object{"name": "Phone", "label": "Telephone", "value": "+41 44"}, object{"name": "Age", "label": "Age", "value": "42"},
		},
	}}, entry["records"])
	require.Equal(t, []any{}, entry["pinRecords"])

	for _, id := range []string{"interactionID", "interactionId"} {
		rec := r.do(admin, http.MethodPost, addressOf(configID, findID), `{"action":"search","`+id+`":"i-1","workflowInput":{"phoneNumber":"+41445551234"}}`)
		require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
		var native object
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &native))
		require.Equal(t, "i-1", native["contactId"])
		require.Equal(t, s.ResultSet["result"], native["result"])
		require.NotEmpty(t, native["cacheKey"])
		require.Len(t, native, 3)
	}
}

func TestWhatIsAccepted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	text, err := json.Marshal(phone())
	require.NoError(t, err)
	for name, b := range map[string]string{
		"payload as text":   body(t, findID, string(text)),
		"ids with spaces":   body(t, " "+strings.ToUpper(findID)+" ", phone(), "configurationId", "\t"+strings.ToUpper(configID)),
		"unknown keys":      body(t, findID, phone(), "sequence", "greeting.wav", "phrase", nil),
		"numeric contact":   body(t, findID, phone(), "contactId", 4711),
		"no contact":        body(t, findID, phone(), "contactId", nil),
		"action":            body(t, findID, phone(), "actionType", "Search"),
		"empty action":      body(t, findID, phone(), "actionType", ""),
		"card":              body(t, findID, phone(), "dynamicDataMappingId", strings.ToUpper(cardMap)),
		"text timeout":      body(t, findID, object{"workflowInput": phone()["workflowInput"], "timeoutMilliSec": "6000"}),
		"large timeout":     body(t, findID, object{"workflowInput": phone()["workflowInput"], "timeoutMilliSec": 9e9}),
		"fraction":          body(t, findID, object{"workflowInput": phone()["workflowInput"], "timeoutMilliSec": 2500.5}),
		"empty timeout":     body(t, findID, object{"workflowInput": phone()["workflowInput"], "timeoutMilliSec": ""}),
		"unknown cache key": body(t, findID, phone(), "cacheKey", "who knows"),
		"caller's kind":     body(t, findID, object{"workflowInput": object{"phoneNumber": "1", "kind": "firm", "more": 1}}),
	} {
		for _, label := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8", "application/json; charset=UTF-8"} {
			rec := r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", b, "Content-Type", label)
			require.Equal(t, http.StatusOK, rec.Code, name)
			require.Contains(t, rec.Body.String(), `{"branch":"Success"`, name+" as "+label)
		}
	}
	for name, b := range map[string]string{
		"input as text":    `{"contactID":"1","workflowInputPayload":"{\"phoneNumber\":\"1\"}"}`,
		"input as object":  `{"contactID":"1","workflowInputPayload":{"phoneNumber":"1"}}`,
		"payload in input": `{"contactID":"1","workflowInputPayload":"{\"workflowInput\":{\"phoneNumber\":\"1\"}}"}`,
	} {
		require.Equal(t, http.StatusOK, r.do(admin, http.MethodPost, addressOf(configID, findID), b).Code, name)
	}
}

// judgement is a call that is refused before it runs.
type judgement struct {
	name, who, body, branch, code, message string
}

func judgements(t *testing.T) []judgement {
	t.Helper()
	const invalid, code = "ValidationError", "VALIDATION_ERROR"
	timeout := func(v any) object {
		return object{"workflowInput": phone()["workflowInput"], "timeoutMilliSec": v}
	}
	return []judgement{
		{"no body", admin, "", invalid, code, "body"},
		{"no JSON", admin, "configurationId=1", invalid, code, "body: is no JSON"},
		{"Studio's braces", admin, `\{"workflowId":"x"}`, invalid, code, "asjson()"},
		{"a list", admin, "[]", invalid, code, "body: must be a JSON object"},
		{"null", admin, "null", invalid, code, "body: must be a JSON object"},
		{"equal keys", admin, `{"workflowId":"1","workflowId":"2"}`, invalid, code, "workflowId"},
		{"not configured", none1, body(t, findID, phone()), "NotConfigured", "NOT_CONFIGURED", "not set up"},
		{"switched off", off, body(t, findID, phone()), "NotConfigured", "NOT_CONFIGURED", "switched off"},
		{"no configuration id", admin, body(t, findID, phone(), "configurationId", nil), invalid, code, "configurationId: must be a GUID"},
		{"malformed configuration id", admin, body(t, findID, phone(), "configurationId", "7"), invalid, code, "configurationId: must be a GUID"},
		{"object as id", admin, body(t, findID, phone(), "configurationId", object{}), invalid, code, "configurationId: must be text"},
		{"unknown configuration", admin, body(t, findID, phone(), "configurationId", unknownID), invalid, code, "is not a configuration of this tenant"},
		{"another tenant's configuration", admin, body(t, otherFind, phone(), "configurationId", otherID), invalid, code, "is not a configuration of this tenant"},
		{"inactive configuration", admin, body(t, findID, phone(), "configurationId", sleeping), invalid, code, "inactive"},
		{"malformed workflow id", admin, body(t, "search", phone()), invalid, code, "workflowId: must be a GUID"},
		{"unknown workflow", admin, body(t, unknownID, phone()), "InvalidWorkflow", "INVALID_WORKFLOW", "workflowId"},
		{"another configuration's workflow", admin, body(t, otherFind, phone()), "InvalidWorkflow", "INVALID_WORKFLOW", "workflowId"},
		{"disabled workflow", admin, body(t, disabledID, phone()), "InvalidWorkflow", "INVALID_WORKFLOW", "workflowId"},
		{"no payload", admin, body(t, findID, nil), invalid, code, `workflowPayload: must be a JSON object or the text of one, such as {"workflowInput"`},
		{"payload as number", admin, body(t, findID, 7), invalid, code, "workflowPayload"},
		{"payload no JSON", admin, body(t, findID, "{"), invalid, code, "workflowPayload: is no JSON"},
		{"payload escaped", admin, body(t, findID, `\{"workflowInput":{}}`), invalid, code, `\{`},
		{"payload a list", admin, body(t, findID, "[1]"), invalid, code, "workflowPayload: must be a JSON object"},
		{"contact as object", admin, body(t, findID, phone(), "contactId", object{}), invalid, code, "contactId: must be text"},
		{"contact with a NUL", admin, body(t, findID, phone(), "contactId", "47\x0011"), invalid, code, "contactId: must not hold control characters"},
		{"line break in the payload's contact", admin, body(t, findID, object{"workflowInput": object{}, "interactionID": "a\nb"}), invalid, code, "interactionId: must not"},
		{"long contact", admin, body(t, findID, phone(), "contactId", strings.Repeat("x", 257)), invalid, code, "contactId"},
		{"unknown action", admin, body(t, findID, phone(), "actionType", "delete"), invalid, code, "actionType: must be one of search"},
		{"no input", admin, body(t, findID, object{}), invalid, code, `the payload is {"workflowInput"`},
		{"input as text", admin, body(t, findID, object{"workflowInput": "x"}), invalid, code, "workflowInput: must be an object"},
		{"no input in any words", admin, body(t, plainID, object{}), invalid, code, "workflowInput: must be an object"},
		{"garbage timeout", admin, body(t, findID, timeout("six")), invalid, code, "timeoutMilliSec"},
		{"zero timeout", admin, body(t, findID, timeout(0)), invalid, code, "timeoutMilliSec"},
		{"negative timeout", admin, body(t, findID, timeout("-1")), invalid, code, "timeoutMilliSec"},
		{"NaN timeout", admin, body(t, findID, timeout("NaN")), invalid, code, "timeoutMilliSec"},
		{"object timeout", admin, body(t, findID, timeout(object{})), invalid, code, "timeoutMilliSec"},
		{"unknown card", admin, body(t, findID, phone(), "dynamicDataMappingId", unknownID), invalid, code, "dynamicDataMappingId"},
		{"unknown data mapping", admin, body(t, memoID, object{}, "dataMappingId", unknownID), invalid, code, "dataMappingId"},
		{"inactive data mapping", admin, body(t, memoID, object{}, "dataMappingId", sleepMap), invalid, code, "dataMappingId"},
		{"memo without records", admin, body(t, memoID, object{}), invalid, code, "integration: must be a list"},
		{"memo of nothing", admin, body(t, memoID, object{"integration": []any{object{"entity": "Case"}}}), invalid, code, "integration: must be a list"},
		{"required input missing", admin, body(t, findID, object{"workflowInput": object{}}), invalid, code, "phoneNumber"},
		{"long input", admin, body(t, findID, object{"workflowInput": object{"phoneNumber": strings.Repeat("1", 65)}}), invalid, code, "phoneNumber"},
		{"undeclared input", admin, body(t, createID, object{"workflowInput": object{"subject": "a", "colour": "red"}}), invalid, code, "colour"},
		{"no result document", admin, body(t, plainID, object{"workflowInput": object{}}), "InternalError", "MAPPING_ERROR", "records is missing"},
	}
}

func TestJudgements(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range judgements(t) {
		s := r.execute(t, c.who, c.body)
		require.Equal(t, c.branch, s.Branch, c.name)
		require.Equal(t, c.code, s.ErrorArgs.Code, c.name)
		require.Contains(t, s.ErrorArgs.Message, c.message, c.name)
		require.Zero(t, s.ErrorArgs.UpstreamStatus, c.name)
		require.False(t, s.ErrorArgs.Retryable, c.name)
		require.Len(t, s.ErrorArgs.CorrelationID, 36, c.name)
	}
	require.Len(t, r.log.all(), len(judgements(t)), "every judged call is recorded")
}

func TestJudgementsInNicesForm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		who, path, body string
		status          int
		branch          string
	}{
		{none1, addressOf(configID, findID), `{}`, 403, "NotConfigured"},
		{admin, addressOf(configID, findID), `x`, 400, "ValidationError"},
		{admin, addressOf(configID, findID), ``, 400, "ValidationError"},
		{admin, addressOf(unknownID, findID), `{}`, 400, "ValidationError"},
		{admin, addressOf(otherID, otherFind), `{}`, 400, "ValidationError"},
		{admin, addressOf(configID, "x"), `{}`, 400, "ValidationError"},
		{admin, addressOf(configID, unknownID), `{}`, 404, "InvalidWorkflow"},
		{admin, addressOf(configID, findID), `{}`, 400, "ValidationError"},
		{admin, addressOf(configID, plainID), `{"workflowInput":{}}`, 422, "InternalError"},
	} {
		rec := r.do(c.who, http.MethodPost, c.path, c.body)
		require.Equal(t, c.status, rec.Code, rec.Body.String())
		var e niceError
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &e))
		require.Equal(t, c.branch, e.Branch, c.path)
		require.Equal(t, e.ErrorArgs.Code, e.Error)
		require.Equal(t, e.ErrorArgs.Message, e.ErrorDescription)
	}
}

func TestCallersAreRefusedInHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, c := range []struct {
		who    string
		status int
	}{{nobody, 401}, {wrong, 401}, {other, 403}, {gone, 403}, {agent, 403}} {
		for _, address := range []string{"/cxone/v1/workflow-execute", addressOf(configID, findID)} {
			rec := r.do(c.who, http.MethodPost, address, body(t, findID, phone()))
			require.Equal(t, c.status, rec.Code, c.who)
			require.NotContains(t, rec.Body.String(), "branch")
			if c.status == http.StatusUnauthorized {
				require.NotEmpty(t, rec.Header().Get("WWW-Authenticate"))
			}
		}
	}
	require.Empty(t, r.log.all())
	rec := r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", strings.Repeat(" ", 1<<20+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, rec.Code)
}

// TestBranchesOfErrors gives the adapter every kind of error that a run can end
// with, from the hub and from the CRM's answer.
func TestBranchesOfErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for kind, meaning := range core.Table {
		want := meaning.CXoneBranch
		if want == "" {
			want = branchInternalError
		}
		for _, upstream := range []int{0, 422} {
			r.runner = func(context.Context, operation.Request) (*operation.Result, error) {
				return &operation.Result{}, &operation.Error{Step: "save", Upstream: upstream, Err: core.Errorf(kind, "why")}
			}
			s := r.execute(t, admin, body(t, findID, phone()))
			if upstream != 0 || kind == core.NotConfigured {
				want = branchInternalError
			}
			require.Equal(t, want, s.Branch, kind)
			require.Equal(t, upstream, s.ErrorArgs.UpstreamStatus)
			require.Equal(t, meaning.Retry || kind == core.Uncertain, s.ErrorArgs.Retryable, "%s, and nothing was written", kind)
			require.Equal(t, "save", s.ErrorArgs.Step)
			code := meaning.Code
			switch {
			case kind == core.Unavailable && upstream == 0:
				code = operation.CodeUnreachable
			case kind == core.Invalid && upstream != 0:
				code = operation.CodeRejected
			case kind == core.Uncertain && upstream == 0:
				code = outbound.CodeUpstreamFailed
			case kind == core.NotConfigured && upstream == 0:
				code = outbound.CodeAuthorizationRequired
			}
			require.Equal(t, code, s.ErrorArgs.Code, kind)
		}
	}

	r.runner = func(context.Context, operation.Request) (*operation.Result, error) {
		return &operation.Result{}, &operation.Error{Wrote: true, Err: &core.Error{Kind: core.Unavailable, Code: outbound.CodeCircuitOpen, Message: "x"}}
	}
	s := r.execute(t, admin, body(t, createID, subject("x")))
	require.Equal(t, outbound.CodeCircuitOpen, s.ErrorArgs.Code)
	require.False(t, s.ErrorArgs.Retryable, "it wrote")
	require.Equal(t, s, r.execute(t, admin, body(t, createID, subject("x"))), "and so it is not done again")

	r.runner = func(context.Context, operation.Request) (*operation.Result, error) {
		return &operation.Result{}, context.Canceled
	}
	s = r.execute(t, admin, body(t, findID, phone()))
	require.Equal(t, "INTERNAL_ERROR", s.ErrorArgs.Code)
	require.NotContains(t, s.ErrorArgs.Message, "canceled")
	runs := r.log.all()
	require.Contains(t, runs[len(runs)-1].Message, "canceled", "administrators see the cause")
	require.Equal(t, s.ErrorArgs.CorrelationID, runs[len(runs)-1].ID)
}

func TestDataMemorialization(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var input map[string]any
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		input = q.Input
		return &operation.Result{Output: object{"records": []any{}}}, nil
	}
	payload := object{
		"cxoneContact": object{"dispositionNotes": "called", "tags": []any{"a", 7, object{}}},
		"integration":  []any{object{"entity": "case", "entityId": "5"}, object{"entity": "Contact", "entityId": 6}},
	}
	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, memoID, payload)).Branch)
	require.Equal(t, []any{object{"entity": "case", "entityId": "5", "fields": object{"Description": "called", "Tags": "a, 7"}}}, input["updates"])

	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, memoID, payload, "dataMappingId", memoMap, "contactId", "2")).Branch)
	require.Len(t, input["updates"], 1)
	s := r.execute(t, admin, body(t, memoID, object{"integration": []any{object{"entity": "Nothing", "entityId": "5"}}}, "contactId", "9"))
	require.Equal(t, "ValidationError", s.Branch, "what nobody would notice otherwise")
	require.Contains(t, s.ErrorArgs.Message, "for none of these records")

	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, memoID, object{"workflowInput": object{"updates": []any{1}}}, "contactId", "3")).Branch)
	require.Equal(t, []any{json.Number("1")}, input["updates"])
}

func TestInputsBesideTheWorkflowInput(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var got operation.Request
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		got = q
		return &operation.Result{Output: object{"records": []any{}}}, nil
	}
	payload := object{"cxoneContact": object{"a": 1}, "integration": []any{}, "entity": "Case", "entityId": "5", "relatedObject": object{}}
	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, timelineID, payload, "interactionId", "i")).Branch)
	require.Len(t, got.Input, 3, "those that the operation declares")
	require.Equal(t, "4711", got.ContactID)
	require.Equal(t, "i", got.InteractionID)
	require.Len(t, got.Key, 64)

	payload["workflowInput"] = object{"entityId": "6"}
	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, relatesID, payload)).Branch)
	require.Equal(t, "6", got.Input["entityId"])

	require.Equal(t, branchSuccess, r.execute(t, admin, body(t, findID, phone(), "dynamicDataMappingId", cardMap)).Branch)
	require.Equal(t, []operation.Field{{Name: "Phone", Label: "Telephone"}}, got.Card["Contact"])
	require.Empty(t, got.Key)
}

func TestRunsAreRecordedRedacted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answerWith(422, `{"error":{"message":"no number +41445551234 here"}}`)
	s := r.execute(t, admin, body(t, findID, phone()))
	require.Contains(t, s.ErrorArgs.Message, "no number")
	runs := r.log.all()
	require.Len(t, runs, 1)
	run := runs[0]
	require.Equal(t, s.ErrorArgs.CorrelationID, run.ID)
	require.Equal(t, "Acme / Search for ANI", run.Title)
	require.Equal(t, []string{"contoso", Platform, "acme", "find", "InternalError", "4711", admin},
		[]string{run.Tenant, run.Platform, run.Integration, run.Operation, run.Outcome, run.Contact, run.Caller})
	require.True(t, run.Failed)
	require.Len(t, run.Steps, 1)
	text, err := json.Marshal(run)
	require.NoError(t, err)
	require.NotContains(t, string(text), "41445551234")

	// What is cut off in the middle of the number.
	r.answerWith(422, `{"error":{"message":"`+strings.Repeat("x", 286)+` +41445551234 here"}}`)
	r.execute(t, admin, body(t, findID, phone()))
	run = r.log.all()[1]
	require.Contains(t, run.Message, "xxx")
	require.NotContains(t, run.Message, "414")
}

func TestCorrelationID(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ask := func(headers ...string) (id, header string) {
		rec := r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", "x", headers...)
		var s said
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &s))
		return s.ErrorArgs.CorrelationID, rec.Header().Get("X-Request-Id")
	}
	id, header := ask()
	require.Equal(t, header, id)
	id, header = ask("X-Request-Id", "mine")
	require.Equal(t, "mine", header)
	require.Len(t, id, 36, "an id that the caller chose may come twice")
}
