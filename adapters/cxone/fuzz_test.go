package cxone

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

// FuzzBodies sends any body to both forms: what is wrong with it is always the
// caller's, never a fault of the hub.
func FuzzBodies(f *testing.F) {
	r := newRig(f)
	r.runner = func(_ context.Context, q operation.Request) (*operation.Result, error) {
		return &operation.Result{Output: map[string]any{"records": []any{q.Input}}}, nil
	}
	for _, id := range []string{findID, createID, memoID, timelineID, unknownID} {
		f.Add(false, id, []byte(body(f, id, phone())))
		f.Add(true, id, []byte(`{"action":"search","interactionID":"i","workflowInput":{"phoneNumber":"1"},"cacheKey":"k"}`))
	}
	f.Add(false, findID, []byte(body(f, findID, `{"workflowInput":{},"timeoutMilliSec":"6e9"}`)))
	f.Add(true, memoID, []byte(`{"cxoneContact":{"tags":[1,null]},"integration":[{"entity":"Case","entityId":1.5e300}]}`))
	for _, b := range []string{"", "null", "[]", "\\{", "\xff", `{"a":1,"A":2}`, `{"workflowPayload":"\\{"}`} {
		f.Add(false, findID, []byte(b))
		f.Add(true, findID, []byte(b))
	}
	f.Fuzz(func(t *testing.T, native bool, id string, data []byte) {
		r.log.clear()
		if native {
			if !guidForm.MatchString(id) {
				id = findID
			}
			if rec := r.do(admin, http.MethodPost, addressOf(configID, id), string(data)); rec.Code >= http.StatusInternalServerError || !json.Valid(rec.Body.Bytes()) {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			return
		}
		rec := r.do(admin, http.MethodPost, "/cxone/v1/workflow-execute", string(data))
		if rec.Code != http.StatusOK || rec.Body.Len() >= maxAnswer {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		saidIn(t, rec)
	})
}

// FuzzShape makes a result of any output: it fits the form or is a Mapping error.
func FuzzShape(f *testing.F) {
	f.Add([]byte(`{"system":{"baseUrl":"https://a.example"},"records":[{"url":"https://a.example/x","fields":[{"name":"a","value":1}]}],"pinRecords":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var output any
		if json.Unmarshal(data, &output) != nil {
			return
		}
		set, err := shape(output, "c", &integration.Integration{ID: "a", Title: "A"})
		if (err == nil) != (set != nil) {
			t.Fatal("neither or both")
		}
		if set == nil {
			return
		}
		for _, record := range set.Result[0].Records {
			if record.URL != "" && (record.URL[0] != '/' || len(record.URL) > 1 && record.URL[1] == '/') {
				t.Fatalf("%q", record.URL)
			}
		}
	})
}

// FuzzLoad holds for any text of configurations: no panic, no hang, and findings
// with a place.
func FuzzLoad(f *testing.F) {
	texts := files()
	f.Add([]byte(texts["cxone/contoso.yaml"]))
	_, integrations, operations, tenants := loadAll(f, setOf(f, texts, "http://127.0.0.1:1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, findings := mapping.Parse("cxone/contoso.yaml", data)
		if len(findings) > 0 {
			return
		}
		began := time.Now()
		_, findings = Load(&mapping.Set{Files: []mapping.File{file}}, integrations, operations, tenants)
		if took := time.Since(began); took > 10*time.Second {
			t.Fatal(took)
		}
		for _, finding := range findings {
			if finding.File != "cxone/contoso.yaml" || strings.Contains(finding.String(), "\n") {
				t.Fatalf("%q", finding)
			}
		}
	})
}
