package operation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

const whole = `title: Find
description: Finds people.
input:
  - {name: phone, type: text, required: true, max: 20, pattern: "[+0-9 ]+", redact: true, help: A number}
  - {name: sort, type: text, options: [up, down], default: up}
  - {name: limit, type: integer, default: 10}
  - {name: who, type: object}
  - {name: tags, type: list, max: 3}
strict: true
redact: [Email]
example: {phone: "+41 44 555 12 34"}
values:
  - {name: number, value: "= digits(input.phone)"}
  - {name: both, value: ["= values.number", "= input.sort"]}
steps:
  - id: find
    request:
      method: GET
      path: /people/{input.sort}
      query: {q: "= values.number", limit: "= input.limit"}
      headers: {X-Trace: "= context.id"}
    pages: {items: "= body.items ?? []", next: "= body.next", most: 3}
    on: [{status: 404, then: continue}]
    extract: {total: "= body.total"}
  - id: note
    when: = steps.find.ok
    for_each: = steps.find.items
    as: person
    most: 5
    request: {method: POST, path: "/people/{person.id}/notes", body: {text: "= person.name", n: "= index"}}
    idempotency_key: Idempotency-Key
output:
  records: {value: {id: "= item.id"}, for_each: "= steps.find.items ?? []"}
  total: = steps.find.total
`

func TestLoad(t *testing.T) {
	t.Parallel()
	c, _, findings := load(t, map[string]string{
		"find.yaml": whole, "entities.yaml": entities,
		"ping.yaml":          "title: Ping\noutput: {ok: true}\n",
		"find_test.yaml":     "tests:\n  - {name: a, input: {phone: \"1\"}, error: {kind: invalid}}\n",
		"directory/x.yaml":   "a: b",
		"workflows/a.yaml":   "a: b",
		"webex/other.yaml":   "a: b",
		"cxone/op.yaml":      "title: Op\noutput: 1\n",
		"cxone/configs.yaml": "tenant: x\n",
		"cxone/integration.yaml": strings.Replace(strings.Replace(acme, "Acme", "CXone", 1),
			"acme.example", "cxone.example", 1),
	})
	require.Empty(t, findings)
	var names []string
	for _, op := range c.All() {
		names = append(names, op.Integration+"/"+op.Name)
	}
	require.Equal(t, []string{"acme/find", "acme/ping", "cxone/op"}, names)
	op, ok := c.Operation("acme", "find")
	require.True(t, ok)
	require.True(t, op.Writes)
	require.Equal(t, "acme/find.yaml", op.File)
	require.Equal(t, []string{"Email"}, op.Redact)
	require.Equal(t, 100, (&op.Inputs[4]).Max+97)
	require.Len(t, c.Tests(op), 1)
	contact, ok := c.Entities("acme").Find("contact")
	require.True(t, ok)
	require.Equal(t, "Person", contact.Label)
	require.NotNil(t, c.Entities("nobody"))
	_, ok = c.Operation("acme", "nothing")
	require.False(t, ok)
}

// TestFindings changes the whole operation and looks at what is said.
func TestFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, put, want string }{
		{"unknown key", "strict: true", "strickt: true", `9:1: unknown key "strickt" (did you mean "strict"?)`},
		{"no output", "output:\n  records", "outputs:\n  records", `1:1: "output" is missing`},
		{"input name", "name: limit", "name: 1limit", `"1limit" is not the name of an input`},
		{"input twice", "name: limit", "name: sort", `duplicate input "sort"`},
		{"input type", "type: integer", "type: int", `6:25: unknown type "int"; known: text`},
		{"default of a wrong type", "default: 10", "default: ten", `the default of "limit" must be a whole number`},
		{"default no option", "default: up", "default: left", `must be one of up, down`},
		{"max of an object", "{name: who, type: object}", "{name: who, type: object, max: 3}", `max is for text and lists`},
		{"max too large", "max: 20", "max: 2000000", `max must be a number from 1 to 100000`},
		{"pattern", `"[+0-9 ]+"`, `"[+0-9 "`, `this pattern cannot be read`},
		{"pattern breaks out", `"[+0-9 ]+"`, `"a)|(b"`, `this pattern cannot be read`},
		{"example", `example: {phone: "+41 44 555 12 34"}`, `example: {phone: x, sorting: 1}`, `11:11: the example does not satisfy input: phone: does not have the right form`},
		{"example strict", `example: {phone: "+41 44 555 12 34"}`, `example: {phone: "1", srt: 1}`, `11:23: the example does not satisfy input: srt: there is no such input (did you mean "sort"?)`},
		{"no example", `example: {phone: "+41 44 555 12 34"}`, ``, `an example is missing`},
		{"value twice", "name: both", "name: number", `duplicate value "number"`},
		{"unknown input", "= digits(input.phone)", "= digits(input.phon)", `unknown input "phon" (did you mean "phone"?)`},
		{"value not yet", "= digits(input.phone)", "= values.both", `value "both"`},
		{"step id", "id: note", "id: Note", `"Note" is not the id of a step`},
		{"step twice", "id: note", "id: find", `duplicate step "find"`},
		{"method", "method: GET", "method: get", `unknown method "get" (did you mean "GET"?)`},
		{"path", "path: /people/{input.sort}", "path: people", `the path begins with one /`},
		{"path to a host", "path: /people/{input.sort}", "path: //evil.example", `the path begins with one /`},
		{"body of GET", "headers: {X-Trace: \"= context.id\"}", "body: {a: 1}", `a GET has no body`},
		{"header", "X-Trace:", "Authorization:", `the header "Authorization" is set by the hub`},
		{"header prefix", "X-Trace:", "x-forwarded-for:", `is set by the hub`},
		{"header form", "X-Trace:", `"X Trace":`, `"X Trace" is not the name of a header`},
		{"key header", "idempotency_key: Idempotency-Key", "idempotency_key: Host", `the header "Host" is set by the hub`},
		{"key form", "idempotency_key: Idempotency-Key", `idempotency_key: "a b"`, `is not the name of a header`},
		{"as", "as: person", "as: input", `"input"`},
		{"as without loop", "for_each: = steps.find.items\n    as: person", "as: person", `as and most belong to for_each`},
		{"most", "most: 5", "most: 101", `most must be a number from 1 to 100`},
		{"pages most", "most: 3}", "most: 51}", `most must be a number from 1 to 50`},
		{"extract name", "extract: {total:", "extract: {body:", `"body" is a name that every step has`},
		{"extract unknown", "= steps.find.total", "= steps.find.totel", `step "find" extracts nothing called "totel"`},
		{"step unknown", "= steps.find.ok", "= steps.note.ok", `step "note" does not exist before here`},
		{"rule without effect", "{status: 404, then: continue}", "{status: 404}", `23:10: the rule has no effect`},
		{"rule without condition", "{status: 404, then: continue}", "{then: continue}", `a rule needs a status, a kind or a when`},
		{"rule word", "{status: 404, then: continue}", "{status: 404, then: goon}", `unknown then "goon"`},
		{"rule kind", "{status: 404, then: continue}", "{kind: [confict], then: continue}", `unknown kind "confict" (did you mean "conflict"?)`},
		{"rule status", "{status: 404, then: continue}", "{status: [404, 4040], then: continue}", `a status is a number from 200 to 599`},
		{"rule kind of a good answer", "{status: 404, then: continue}", "{status: 200, kind: conflict, then: continue}", `has no kind`},
		{"rule fails good answers", "{status: 404, then: continue}", "{when: \"= body.bad == true\", then: fail}", `it needs fail`},
		{"fail without then: fail", "{status: 404, then: continue}", "{status: 404, then: stop, fail: {kind: conflict}}", `fail belongs to then: fail`},
		{"fail code", "{status: 404, then: continue}", "{status: 404, fail: {kind: conflict, code: oops}}", `a code is made of A-Z`},
		{"reads", "method: GET,", "method: GET, reads: true,", ``},
		{"a value fails with the example", "= digits(input.phone)", "= input.who.name + 1", `with the example: `},
		{"a query fails with the example", "q: \"= values.number\"", "q: \"= {\\\"a\\\": 1}\"", `with the example: the query parameter "q" is no text`},
		{"a header fails with the example", "= context.id", "= [1]", `with the example: the header X-Trace is no text`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(whole, c.old, c.put, 1)
			_, _, findings := load(t, map[string]string{"find.yaml": text})
			if c.want == "" {
				return
			}
			require.NotEqual(t, whole, text)
			require.Contains(t, lines(findings), c.want)
		})
	}
}

func lines(findings []mapping.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

func TestFindingsOfOtherFiles(t *testing.T) {
	t.Parallel()
	const ping = "title: Ping\noutput: {ok: true}\n"
	for _, c := range []struct{ name, file, text, want string }{
		{"name", "Find.yaml", ping, "acme/Find.yaml:1:1: the name of an operation's file"},
		{"ending", "find.yml", ping, "must end in .yaml"},
		{"folder", "acme/deep/find.yaml", ping, "operations stand directly in the folder"},
		{"test alone", "gone_test.yaml", "tests:\n  - {name: a, result: 1}\n", "there is no operation gone.yaml"},
		{"test of nothing", "ping_test.yaml", "tests:\n  - {name: a}\n", "2:5: a test has either a result or an error"},
		{"test twice", "ping_test.yaml", "tests:\n  - {name: a, result: 1}\n  - {name: a, result: 1}\n", `3:12: duplicate test "a"`},
		{"exchange", "ping_test.yaml", "tests:\n  - {name: a, result: 1, exchanges: [{request: {method: GET, path: /}}]}\n", "either an answer or a fault"},
		{"fault", "ping_test.yaml", "tests:\n  - {name: a, result: 1, exchanges: [{request: {method: GET, path: /}, fault: bang}]}\n", `unknown fault "bang"`},
		{"setting", "ping_test.yaml", "tests:\n  - {name: a, result: 1, settings: {accont: b}}\n", `there is no setting "accont"`},
		{"time", "ping_test.yaml", "tests:\n  - {name: a, result: 1, context: {now: soon}}\n", "now must be a time"},
		{"kind", "ping_test.yaml", "tests:\n  - {name: a, error: {kind: bad}}\n", `unknown kind "bad"`},
		{"entity", "entities.yaml", "entities:\n  - {name: \"a b\"}\n", `"a b" is not the API name of an entity`},
		{"entity twice", "entities.yaml", "entities:\n  - {name: a}\n  - {name: A}\n", `3:12: duplicate name "A"`},
		{"field type", "entities.yaml", "entities:\n  - {name: a, fields: [{name: b, type: fone}]}\n", `unknown type "fone"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, findings := load(t, map[string]string{"ping.yaml": ping, c.file: c.text})
			require.Contains(t, lines(findings), c.want)
		})
	}
}

func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("title: A\ninput:\n")
	for i := range 300 {
		fmt.Fprintf(&b, "  - {name: a%d, type: nothing}\n", i)
	}
	b.WriteString("output: 1\n")
	_, _, findings := load(t, map[string]string{"find.yaml": b.String()})
	require.NotEmpty(t, findings)
	require.LessOrEqual(t, len(findings), 100)
}

func FuzzLoad(f *testing.F) {
	f.Add(whole, entities, "tests:\n  - {name: a, input: {phone: \"1\"}, error: {kind: invalid}}\n")
	integrations := func() *integration.Catalogue {
		file, _ := mapping.Parse("acme/integration.yaml", []byte(acme))
		c, _ := integration.Load(&mapping.Set{Files: []mapping.File{file}})
		return c
	}()
	f.Fuzz(func(t *testing.T, op, entities, tests string) {
		set := &mapping.Set{}
		for name, text := range map[string]string{
			"acme/integration.yaml": acme, "acme/one.yaml": op, "acme/entities.yaml": entities, "acme/one_test.yaml": tests,
		} {
			if file, findings := mapping.Parse(name, []byte(text)); len(findings) == 0 {
				set.Files = append(set.Files, file)
			}
		}
		c, _ := operation.Load(set, integrations)
		for _, op := range c.All() {
			require.NotEmpty(t, op.Name)
		}
	})
}
