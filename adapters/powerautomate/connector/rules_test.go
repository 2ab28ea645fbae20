package connector

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// TestRules checks what Power Automate's validator says beyond the schemas.
func TestRules(t *testing.T) {
	t.Parallel()
	d, p := exported(t, "https://hub.contoso.example")
	require.Empty(t, broken(d))
	require.NotContains(t, []any{"#ffffff", "#007ee5"}, strings.ToLower(at(p, "properties")["iconBrandColor"].(string)))
}

// TestRulesAreFound spoils the definition in one place after the other.
func TestRulesAreFound(t *testing.T) {
	t.Parallel()
	trigger := []string{"paths", "/v1/triggers/tasks", "post"}
	update := []string{"paths", "/v1/tasks/{taskId}", "put"}
	for _, c := range []struct {
		found string
		in    []string
		spoil func(o map[string]any)
	}{
		{"title", []string{"info"}, func(o map[string]any) { o["title"] = "Tandem API" }},
		{"info.description", []string{"info"}, func(o map[string]any) { o["description"] = "Short." }},
		{"test connection", []string{"x-ms-capabilities", "testConnection"}, func(o map[string]any) { o["operationId"] = "AddExternalTask" }},
		{"operationId", update, func(o map[string]any) { o["operationId"] = "update_task" }},
		{"operationId is used twice", update, func(o map[string]any) { o["operationId"] = "GetServices" }},
		{"summary", update, func(o map[string]any) { o["summary"] = "Update a task!" }},
		{"description", update, func(o map[string]any) { o["description"] = "No full stop" }},
		{"visibility", update, func(o map[string]any) { delete(o, "x-ms-visibility") }},
		{"success", update, func(o map[string]any) { delete(o["responses"].(map[string]any), "200") }},
		{"default has a schema", append(update, "responses", "default"), func(o map[string]any) { o["schema"] = map[string]any{"type": "string"} }},
		{"taskId", update, func(o map[string]any) { o["parameters"] = o["parameters"].([]any)[1:] }},
		{"encoding", update, func(o map[string]any) { delete(list(o["parameters"])[0], "x-ms-url-encoding") }},
		{"encoding", update, func(o map[string]any) { list(o["parameters"])[1]["x-ms-url-encoding"] = "single" }},
		{"body", []string{"paths", "/v1/tasks/events", "get"}, func(o map[string]any) {
			o["parameters"] = []any{map[string]any{"name": "b", "in": "body", "description": "A.", "schema": map[string]any{"type": "object"}}}
		}},
		{"notification content", []string{"paths", "/v1/triggers/tasks"}, func(o map[string]any) { delete(o, "x-ms-notification-content") }},
		{"notification url", trigger, func(o map[string]any) { delete(list(o["parameters"])[0], "required") }},
		{"notification url", trigger, func(o map[string]any) {
			delete(at(list(o["parameters"])[0], "schema", "properties", "config", "properties", "url"), "x-ms-visibility")
		}},
		{"items", []string{"definitions", "EventValues"}, func(o map[string]any) { delete(o, "items") }},
		{"not defined", []string{"definitions", "EventValues", "items"}, func(o map[string]any) { o["$ref"] = "#/definitions/Nothing" }},
		{"beside $ref", []string{"definitions", "EventValues", "items"}, func(o map[string]any) { o["description"] = "A." }},
		{"loop", []string{"definitions", "NameValue", "properties"}, func(o map[string]any) { o["value"] = map[string]any{"$ref": "#/definitions/NameValue"} }},
		{"required", []string{"definitions", "NameValue"}, func(o map[string]any) { o["required"] = []any{"nothing"} }},
		{"required", []string{"definitions", "NameValue"}, func(o map[string]any) { o["required"] = []any{} }},
		{"internal", []string{"definitions", "NameValue", "properties", "name"}, func(o map[string]any) { o["default"], o["x-ms-visibility"] = "a", "internal" }},
		{"keyword", []string{"definitions", "EventValues"}, func(o map[string]any) { o["uniqueItems"] = true }},
		{"dynamic values", []string{"definitions", "PreferredUser", "properties", "upn", "x-ms-dynamic-values"}, func(o map[string]any) { o["operationId"] = "Nothing" }},
		{"not used", []string{"definitions"}, func(o map[string]any) { o["Spare"] = map[string]any{"type": "object"} }},
	} {
		d, _ := exported(t, "")
		c.spoil(at(d, c.in...))
		require.Contains(t, strings.Join(broken(d), "\n"), c.found, c.in)
	}
}

// checker collects the rules that a definition breaks.
type checker struct {
	d     map[string]any
	ids   []string
	used  map[string]bool // definitions that something reaches
	found []string
}

func broken(d map[string]any) []string {
	c := &checker{d: d, used: map[string]bool{}}
	for _, op := range operations(d) {
		c.must(!slices.Contains(c.ids, op.id), "%s: operationId is used twice", op.id)
		c.ids = append(c.ids, op.id)
	}
	c.document()
	for _, op := range operations(d) {
		c.texts(op)
		c.responses(op)
		c.parameters(op)
		if op.form["x-ms-trigger"] != nil {
			c.trigger(op)
		}
	}
	for name := range at(d, "definitions") {
		c.must(c.used[name], "definitions.%s: not used", name)
	}
	return c.found
}

func (c *checker) must(ok bool, format string, args ...any) {
	if !ok {
		c.found = append(c.found, fmt.Sprintf(format, args...))
	}
}

func (c *checker) document() {
	info := at(c.d, "info")
	title, _ := info["title"].(string)
	c.must(len(title) <= 30 && regexp.MustCompile(`^[A-Za-z0-9 ]*[A-Za-z0-9]$`).MatchString(title) &&
		!regexp.MustCompile(`(?i)api|connector|power`).MatchString(title), "info.title")
	description, _ := info["description"].(string)
	c.must(len(description) >= 30 && len(description) <= 500 && sentence(description), "info.description")
	c.must(regexp.MustCompile(`^[^{}/ :\\]+(:\d+)?$`).MatchString(c.d["host"].(string)), "host")
	seen := map[string]bool{}
	for path := range at(c.d, "paths") {
		c.must(strings.HasPrefix(path, "/") && !strings.ContainsAny(path, "?#*"), "%s: path", path)
		c.must(!seen[strings.ToLower(path)], "%s: path is used twice", path)
		seen[strings.ToLower(path)] = true
	}
	test := at(c.d, "x-ms-capabilities", "testConnection")["operationId"]
	tests := slices.ContainsFunc(operations(c.d), func(op operation) bool {
		return op.id == test && op.method == "GET" && len(list(op.form["parameters"])) == 0
	})
	c.must(tests, "test connection: %v", test)
}

func (c *checker) texts(op operation) {
	summary, _ := op.form["summary"].(string)
	description, _ := op.form["description"].(string)
	c.must(regexp.MustCompile(`^[A-Z][A-Za-z0-9]{2,}$`).MatchString(op.id), "%s: operationId", op.id)
	c.must(regexp.MustCompile(`^[A-Za-z0-9() ]{1,80}$`).MatchString(summary), "%s: summary", op.id)
	c.must(sentence(description) && description != summary, "%s: description", op.id)
	c.must(slices.Contains([]any{"important", "advanced", "internal"}, op.form["x-ms-visibility"]), "%s: visibility", op.id)
}

// sentence tells whether a text begins with a capital and ends as sentences do.
func sentence(text string) bool {
	return text != "" && unicode.IsUpper(rune(text[0])) && strings.HasSuffix(text, ".")
}

func (c *checker) responses(op operation) {
	success, schemas := 0, 0
	for code, v := range at(op.form, "responses") {
		r := v.(map[string]any)
		description, _ := r["description"].(string)
		c.must(sentence(description), "%s: description of response %s", op.id, code)
		if code[0] == '2' {
			success++
		}
		if schema := at(r, "schema"); schema != nil {
			schemas++
			c.must(code != "default", "%s: default has a schema", op.id)
			c.schema(op.id+" "+code, schema, false)
		}
	}
	c.must(success == 1, "%s: success", op.id)
	c.must(schemas <= 1, "%s: two responses with a schema", op.id)
}

func (c *checker) parameters(op operation) {
	bodies := 0
	for _, p := range list(op.form["parameters"]) {
		name, _ := p["name"].(string)
		where := op.id + " " + name
		description, _ := p["description"].(string)
		c.must(sentence(description), "%s: description", where)
		c.must(!strings.EqualFold(name, "connectionId"), "%s: name", where)
		switch p["in"] {
		case "path":
			c.must(p["required"] == true && strings.Contains(op.path, "{"+name+"}"), "%s: path parameter", where)
			c.must(p["x-ms-url-encoding"] == "single", "%s: encoding", where)
		case "query":
			c.must(p["x-ms-url-encoding"] == nil, "%s: encoding", where)
		case "body":
			bodies++
			c.schema(where, at(p, "schema"), p["required"] == true)
		}
	}
	c.must(bodies <= 1 && (bodies == 0 || op.method != "GET"), "%s: body", op.id)
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(op.path, -1) {
		named := func(p map[string]any) bool { return p["name"] == m[1] && p["in"] == "path" }
		c.must(slices.ContainsFunc(list(op.form["parameters"]), named), "%s: no parameter %s", op.id, m[1])
	}
}

func (c *checker) trigger(op operation) {
	content := at(c.d, "paths", op.path, "x-ms-notification-content", "schema")
	c.must(content != nil, "%s: notification content", op.id)
	c.schema(op.id+" notification", content, false)
	c.must(at(op.form, "responses")["201"] != nil && at(c.d, "paths", op.path+"/{triggerId}", "delete") != nil, "%s: cannot be ended", op.id)
	urls := 0
	for _, p := range list(op.form["parameters"]) {
		urls += notificationURLs(at(p, "schema"), p["in"] == "body" && p["required"] == true)
	}
	c.must(urls == 1, "%s: notification url", op.id)
}

// notificationURLs counts the properties that are internal texts, required all
// the way down, and marked as the place to send events to.
func notificationURLs(schema map[string]any, required bool) int {
	n := 0
	if required && schema["x-ms-notification-url"] == true && schema["type"] == "string" && schema["x-ms-visibility"] == "internal" {
		n++
	}
	names, _ := schema["required"].([]any)
	for name := range at(schema, "properties") {
		n += notificationURLs(at(schema, "properties", name), required && slices.Contains(names, any(name)))
	}
	return n
}

var unsupported = []string{"uniqueItems", "allOf", "anyOf", "oneOf", "not", "patternProperties", "const", "nullable"}

// schema checks a schema and all that it reaches; trail holds the definitions
// on the way.
func (c *checker) schema(where string, s map[string]any, required bool, trail ...string) {
	if ref, ok := s["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/definitions/")
		target := at(c.d, "definitions", name)
		c.must(len(s) == 1, "%s: something stands beside $ref", where)
		c.must(target != nil, "%s: %s is not defined", where, ref)
		c.must(!slices.Contains(trail, name), "%s: loop", where)
		c.used[name] = true
		if target != nil && !slices.Contains(trail, name) {
			c.schema(name, target, required, append(slices.Clone(trail), name)...)
		}
		return
	}
	for key := range s {
		c.must(!slices.Contains(unsupported, key), "%s: keyword %s", where, key)
	}
	if text, ok := s["description"].(string); ok {
		c.must(sentence(text), "%s: description", where)
	}
	if s["x-ms-visibility"] == "internal" && s["x-ms-notification-url"] == nil {
		c.must((s["default"] != nil) == required, "%s: internal: required and default go together", where)
	}
	if values := at(s, "x-ms-dynamic-values"); values != nil {
		id, _ := values["operationId"].(string)
		c.must(slices.Contains(c.ids, id), "%s: dynamic values", where)
	}
	names, isSet := s["required"].([]any)
	c.must(!isSet || len(names) > 0 && s["type"] == "object", "%s: required", where)
	for _, name := range names {
		c.must(at(s, "properties")[name.(string)] != nil, "%s: required %v", where, name)
	}
	switch s["type"] {
	case "object":
		for name := range at(s, "properties") {
			c.schema(where+"."+name, at(s, "properties", name), slices.Contains(names, any(name)), trail...)
		}
	case "array":
		c.must(at(s, "items") != nil, "%s: items", where)
		c.schema(where+"[]", at(s, "items"), false, trail...)
	case "string", "integer", "boolean":
	default:
		c.must(false, "%s: type", where)
	}
}
