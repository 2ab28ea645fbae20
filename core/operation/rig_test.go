package operation_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/outbound"
)

const acme = `title: Acme
base: https://{account}.acme.example/api
settings:
  - {name: account, label: Account, pattern: "[a-z0-9-]{1,40}", required: true}
grants:
  - {id: token, type: bearer, title: Token, fields: [{name: token, label: Token, required: true, secret: true}]}
errors:
  - {status: 422, field: code, equals: TWICE, kind: conflict}
error_texts: [message, error.text]
limits: {concurrency: 4}
`

const entities = `entities:
  - name: Contact
    label: Person
    set: contacts
    fields:
      - {name: Phone, label: Telephone, type: phone, updatable: true}
      - {name: Name}
`

// load loads operations of the integration acme, by file name.
func load(t testing.TB, files map[string]string) (*operation.Catalogue, *integration.Catalogue, []mapping.Finding) {
	t.Helper()
	folder := fstest.MapFS{}
	for name, text := range files {
		if !strings.Contains(name, "/") {
			name = "acme/" + name
		}
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	if folder["acme/integration.yaml"] == nil {
		folder["acme/integration.yaml"] = &fstest.MapFile{Data: []byte(acme)}
	}
	set, findings := mapping.Read(folder)
	require.Empty(t, findings)
	integrations, findings := integration.Load(set)
	require.Empty(t, findings)
	c, findings := operation.Load(set, integrations)
	return c, integrations, findings
}

// one loads one operation without findings.
func one(t testing.TB, text string) *operation.Operation {
	t.Helper()
	c, _, findings := load(t, map[string]string{"one.yaml": text, "entities.yaml": entities})
	require.Empty(t, findings)
	op, ok := c.Operation("acme", "one")
	require.True(t, ok)
	return op
}

// answers is an Upstream that answers from a function.
type answers func(call outbound.Call) (*outbound.Response, error)

func (a answers) Call(_ context.Context, call outbound.Call) (*outbound.Response, error) {
	return a(call)
}

// at is a Connections that leads to one base address.
type at string

func (a at) Connection(context.Context, outbound.Credential) (integration.Connection, error) {
	return integration.Connection{Base: string(a), Settings: map[string]string{"account": "t1"}}, nil
}

const base = "https://t1.acme.example/api"

var moment = time.Date(2026, 5, 6, 7, 8, 9, 10e6, time.UTC)

func runner(up operation.Upstream, to string) *operation.Runner {
	return operation.NewRunner(operation.Options{Upstream: up, Connections: at(to), Clock: coretest.NewClock(moment)})
}

// play runs an operation whose calls are answered by the function.
func play(t testing.TB, text string, input map[string]any, up answers) (*operation.Result, error) {
	t.Helper()
	op := one(t, text)
	return runner(up, base).Run(t.Context(), operation.Request{
		Tenant: "t1", Operation: op, Input: input, ContactID: "4711", ID: "run-1", Detail: true,
	})
}

// answer is a JSON answer, judged as outbound does.
func answer(call outbound.Call, status int, body string) (*outbound.Response, error) {
	r := &outbound.Response{Status: status, Header: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(body)}
	return r, outbound.Judge(call, r, coretest.NewClock(moment))
}

func always(status int, body string) answers {
	return func(call outbound.Call) (*outbound.Response, error) { return answer(call, status, body) }
}

func failure(t testing.TB, err error) *operation.Error {
	t.Helper()
	var e *operation.Error
	require.ErrorAs(t, err, &e)
	return e
}

func kind(t testing.TB, err error, want core.Kind, code string) {
	t.Helper()
	var e *core.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Kind, e.Message)
	require.Equal(t, code, e.Code, e.Message)
}
