package cxone

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/server"
)

func TestShape(t *testing.T) {
	t.Parallel()
	acme := &integration.Integration{ID: "acme", Title: "Acme"}
	set, err := shape(object{
		"system": object{"baseUrl": "https://acme.example/", "icon": "i"},
		"records": []any{
			object{
				"id": json.Number("5"), "url": "https://acme.example/a", "linkable": "false", "screenPop": "true", "updated": 7.5,
				"fields": []any{
					object{"name": "a", "label": "A", "value": true},
					object{"name": "b", "value": 1e21},
					object{"name": "c", "value": 12},
					object{"name": "d", "value": []any{}},
					object{"name": "e"},
				},
				"related": []any{object{"id": "r", "url": "x/y", "assignedTo": "Jo", "linkable": true, "other": 1}},
			},
			object{"url": "/b?x=http://elsewhere"},
		},
		"pinRecords": []any{object{"id": "p", "dataMemo": true, "linked": "true", "url": "https://acme.example"}},
	}, "c", acme)
	require.NoError(t, err)
	entry := set.Result[0]
	require.Equal(t, system{"acme", "Acme", "i", "https://acme.example"}, entry.System)
	first := entry.Records[0]
	require.Equal(t, []any{"5", "/a", false, true, "7.5"}, []any{first.ID, first.URL, first.Linkable, first.ScreenPop, first.Updated})
	require.Equal(t, []field{{"a", "A", "true"}, {"b", "b", "1000000000000000000000"}, {"c", "c", "12"}}, first.Fields)
	require.Equal(t, related{ID: "r", URL: "/x/y", AssignedTo: "Jo", Linkable: true, Fields: []field{}}, first.Related[0])
	require.False(t, entry.Records[1].ScreenPop, "one of several pops only when the mapping says so")
	require.Equal(t, pinned{ID: "p", DataMemo: true, Linkable: true, Linked: true, Fields: []field{}}, entry.PinRecords[0])

	only, err := shape(object{"records": []any{object{}}}, "", acme)
	require.NoError(t, err)
	require.True(t, only.Result[0].Records[0].ScreenPop)
	only, err = shape(object{"records": []any{object{"screenPop": false}}}, "", acme)
	require.NoError(t, err)
	require.False(t, only.Result[0].Records[0].ScreenPop)

	empty, err := shape(object{"records": []any{}}, "", acme)
	require.NoError(t, err)
	require.JSONEq(t, `{"contactId":"","result":[{"system":{"type":"acme","label":"Acme","icon":"","baseUrl":""},"records":[],"pinRecords":[]}]}`, string(server.EncodeJSON(empty)))
}

func TestShapeRefuses(t *testing.T) {
	t.Parallel()
	below := func(url any) object {
		return object{"system": object{"baseUrl": "https://acme.example"}, "records": []any{object{"url": url}}}
	}
	for _, output := range []any{
		nil, "x",
		object{},
		object{"records": nil},
		object{"records": "x"},
		object{"records": []any{1}},
		object{"records": []any{}, "system": "x"},
		object{"records": []any{}, "system": object{"baseUrl": "javascript:1"}},
		object{"records": []any{}, "pinRecords": object{}},
		object{"records": []any{object{"fields": 1}}},
		object{"records": []any{object{"fields": []any{1}}}},
		object{"records": []any{object{"related": []any{"x"}}}},
		below("https://evil.example/"), below("https://acme.example.evil.example/"), below("//evil.example"), below(`/\evil.example`),
		below("javascript:alert(1)"), below("https://acme.example//evil.example"), below("http://acme.example/1"),
	} {
		_, err := shape(output, "", &integration.Integration{})
		require.Equal(t, core.Mapping, core.KindOf(err), output)
	}
}

// TestVerdict: the playground says what Workflow Execute would answer.
func TestVerdict(t *testing.T) {
	t.Parallel()
	result := func(output any, steps ...operation.Step) *operation.Result {
		return &operation.Result{Output: output, Steps: steps}
	}
	run := func(step string, upstream int, err error) error {
		return &operation.Error{Step: step, Upstream: upstream, Err: err}
	}
	for _, c := range []struct {
		result       *operation.Result
		err          error
		branch, code string
	}{
		{result(object{"records": []any{}}), nil, "Success", ""},
		{result(object{"x": 1}), nil, "InternalError", "MAPPING_ERROR"},
		{result(object{"records": []any{object{"display": strings.Repeat("x", maxAnswer)}}}), nil, "InternalError", "RESULT_TOO_LARGE"},
		{nil, run("", 0, core.InvalidField("a", "is required")), "ValidationError", "VALIDATION_ERROR"},
		{result(nil, operation.Step{Call: "GET /x"}, operation.Step{}), run("s", 0, core.Errorf(core.Invalid, "fail()")), "ValidationError", "VALIDATION_ERROR"},
		{result(nil, operation.Step{Call: "GET /x"}), run("s", 0, core.Errorf(core.Invalid, "header")), "InternalError", "INTERNAL_ERROR"},
		{result(nil), run("s", 422, core.Errorf(core.Invalid, "x")), "InternalError", "UPSTREAM_REJECTED"},
		{result(nil), run("s", 408, core.Errorf(core.Timeout, "x")), "InternalError", "TIMEOUT"},
		{result(nil), run("s", 0, core.Errorf(core.Timeout, "x")), "Timeout", "TIMEOUT"},
		{result(nil), &operation.Error{Wrote: true, Err: core.Errorf(core.Invalid, "x")}, "InternalError", "INTERNAL_ERROR"},
	} {
		branch, code := Verdict(c.result, c.err, &integration.Integration{})
		require.Equal(t, []string{c.branch, c.code}, []string{branch, code})
	}
}

// TestSizeLimit: an answer of 32,767 bytes goes out whole, one of 32,768 never.
func TestSizeLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	pad := 0
	r.runner = func(context.Context, operation.Request) (*operation.Result, error) {
		return &operation.Result{Output: object{"records": []any{object{"display": strings.Repeat("<", pad)}}}}, nil
	}
	for name, b := range map[string]string{
		"search":   body(t, findID, phone()),
		"no cache": body(t, uncachedID, phone(), "configurationId", uncached),
	} {
		pad = 0
		send := func() (int, said) {
			rec := r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", b)
			return rec.Body.Len(), saidIn(t, rec)
		}
		size, _ := send()
		pad = maxAnswer - 1 - size
		size, s := send()
		require.Equal(t, 32_767, size, name)
		require.Equal(t, branchSuccess, s.Branch, name)
		pad++
		size, s = send()
		require.Less(t, size, 1000)
		require.Equal(t, []any{branchInternalError, "RESULT_TOO_LARGE", false}, []any{s.Branch, s.ErrorArgs.Code, s.ErrorArgs.Retryable}, name)
		require.Empty(t, s.CacheKey)
	}
	r.runner = func(context.Context, operation.Request) (*operation.Result, error) {
		return &operation.Result{}, &operation.Error{Err: core.Errorf(core.Conflict, "%s", strings.Repeat("é", 40<<10))}
	}
	s := r.execute(t, admin, body(t, findID, phone()))
	require.Len(t, s.ErrorArgs.Message, maxMessage-1)
}
