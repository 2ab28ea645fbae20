package powerautomate

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzBodies sends any body to the routes that take one: what is wrong with it
// is always the caller's, never a fault of the hub.
func FuzzBodies(f *testing.F) {
	r := newRig(f)
	id := r.add(f, owner, fullTask)
	f.Add(uint8(0), []byte(fullTask))
	f.Add(uint8(1), []byte(`{"customer":{"telNumbers":[{"name":"a","value":null}]},"preferredUsers":[]}`))
	f.Add(uint8(2), []byte(`{"config":{"url":"`+r.hook+`","services":["support@contoso.example"],"taskEvents":["Queued"]}}`))
	for route := range uint8(3) {
		for _, body := range []string{"", "null", "{}", "[]", `{"config":null}`, `{"serviceUpn":null}`, "\xff", `{"a":{"a":1,"a":2}}`} {
			f.Add(route, []byte(body))
		}
	}
	routes := []struct{ method, path string }{
		{http.MethodPost, "/v1/ExternalTasks"}, {http.MethodPut, "/v1/tasks/" + id}, {http.MethodPost, "/v1/triggers/tasks"},
	}
	f.Fuzz(func(t *testing.T, route uint8, body []byte) {
		to := routes[int(route)%len(routes)]
		for len(r.calls) > 0 {
			<-r.calls
		}
		rec := r.do(admin, to.method, to.path, string(body))
		if rec.Code >= http.StatusInternalServerError || rec.Code == 0 {
			t.Fatalf("%s %s: %d %s", to.method, to.path, rec.Code, rec.Body)
		}
	})
}

// FuzzIdempotencyKey sends any key twice: it is refused both times, or the
// second answer is the first.
func FuzzIdempotencyKey(f *testing.F) {
	r := newRig(f)
	path := "/v1/tasks/" + r.add(f, owner, fullTask)
	for _, key := range []string{"", "a", " a ", "a\x00", "\xff", "ü", "a\r\nb", strings.Repeat("k", maxKey), strings.Repeat("k", maxKey+1)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		const body = `{"customer":{"city":"Bern"}}`
		first := r.do(admin, http.MethodPut, path, body, "Idempotency-Key", key)
		second := r.do(admin, http.MethodPut, path, body, "Idempotency-Key", key)
		if first.Code >= http.StatusInternalServerError || first.Code != second.Code {
			t.Fatalf("%d %s, then %d %s", first.Code, first.Body, second.Code, second.Body)
		}
	})
}
