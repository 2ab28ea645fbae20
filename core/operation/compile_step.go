package operation

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/mapping"
)

var (
	stepForm = regexp.MustCompile(`^[a-z][A-Za-z0-9]{0,39}$`)
	codeForm = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)

	reserved = []string{"status", "headers", "body", "items", "each", "ok", "ran", "more"} // in the object of a step
	thens    = map[string]verdict{"continue": goOnAsBad, "stop": stop, "fail": fail}
)

// step compiles a step and makes its name known to those behind it.
func (l *loader) step(op *Operation, e stepEntry, names *expression.Names, try *trial) {
	s := step{id: e.ID.Value, method: e.Request.Method.Value, reads: e.Request.Reads.Value, as: "item"}
	_, twice := names.Steps[s.id]
	switch {
	case s.id == "": // found by Decode
	case !stepForm.MatchString(s.id):
		l.add(e.ID.Pos, "%s is not the id of a step: it begins with a-z and is made of letters and digits", mapping.Quote(s.id))
	case twice:
		l.add(e.ID.Pos, "duplicate step %q", s.id)
	}
	s.when = l.text(e.When, *names)
	s.forEach = l.text(e.ForEach, *names)
	inner := *names
	if e.ForEach != nil {
		s.as = l.as(e.As)
		s.most = l.bounded(e.Most, "most", defaultTurns, maxTurns)
		inner.Loops = []string{s.as}
	} else if e.As.Given() || e.Most.Given() {
		l.add(e.Pos, "as and most belong to for_each")
	}
	l.request(&s, e, inner)
	answer := inner
	answer.Answer = true
	l.pages(&s, e, answer)
	for _, r := range shorten(l, e.On, maxRules, "rules in on", e.Pos) {
		compiled := l.rule(r, answer)
		s.rules = append(s.rules, compiled)
		s.optional = s.optional || compiled.then != fail && compiled.statuses == nil && slices.Contains(compiled.kinds, core.Timeout)
	}
	s.extract = l.extract(e, answer)
	op.Writes = op.Writes || s.writes
	op.program.steps = append(op.program.steps, s)
	try.step(&op.program.steps[len(op.program.steps)-1], e)

	extracts := []string{}
	for _, x := range s.extract {
		extracts = append(extracts, x.name)
	}
	names.Steps[s.id] = extracts
}

// as is the name of the entry of a loop.
func (l *loader) as(t mapping.Text) string {
	if !t.Given() {
		return "item"
	}
	if why := expression.CheckLoopName(t.Value); why != "" {
		l.add(t.Pos, "%s", why)
		return "item"
	}
	return t.Value
}

// request compiles the request of a step.
func (l *loader) request(s *step, e stepEntry, names expression.Names) {
	r := e.Request
	changes := s.method != http.MethodGet && s.method != http.MethodHead
	s.writes = changes && !s.reads
	switch {
	case r.Reads.Given() && s.method != http.MethodPost:
		l.add(r.Reads.Pos, "reads is for a POST that changes nothing")
	case !changes && r.Body != nil:
		l.at(r.Body, "a %s has no body", s.method)
	}
	if r.Path.Value != "" {
		if !strings.HasPrefix(r.Path.Value, "/") || strings.HasPrefix(r.Path.Value, "//") {
			l.add(r.Path.Pos, "the path begins with one /")
		} else {
			var findings []mapping.Finding
			s.path, findings = expression.CompilePath(l.file, r.Path, names)
			l.findings = append(l.findings, findings...)
		}
	}
	s.query = l.named(r.Query, "query", names, r.Pos)
	s.headers = l.named(r.Headers, "headers", names, r.Pos)
	seen := map[string]bool{}
	for _, name := range sortedKeys(r.Headers) {
		l.header(name)
		canonical := http.CanonicalHeaderKey(name.Value)
		if seen[canonical] {
			l.add(name.Pos, "duplicate header %s", mapping.Quote(name.Value))
		}
		seen[canonical] = true
	}
	for i := range s.headers {
		s.headers[i].name = http.CanonicalHeaderKey(s.headers[i].name)
	}
	s.body = l.tree(r.Body, names)
	if e.IdempotencyKey.Given() {
		l.header(e.IdempotencyKey)
		s.key = http.CanonicalHeaderKey(e.IdempotencyKey.Value)
		if !s.writes {
			l.add(e.IdempotencyKey.Pos, "a step that only reads needs no idempotency_key")
		}
		for name := range r.Headers {
			if strings.EqualFold(name.Value, e.IdempotencyKey.Value) {
				l.add(name.Pos, "the header %s is set by idempotency_key", mapping.Quote(name.Value))
			}
		}
	}
}

// header refuses what is not the operation's to set.
func (l *loader) header(name mapping.Text) {
	low := strings.ToLower(name.Value)
	banned := []string{
		"host", "authorization", "transfer-encoding", "connection", "cookie", "forwarded", "te", "trailer", "upgrade",
		"keep-alive", "expect", "accept-encoding", "x-real-ip", "set-cookie", "via",
	}
	prefixes := []string{"content-", "proxy-", "x-forwarded-"}
	switch {
	case !httpguts.ValidHeaderFieldName(name.Value):
		l.add(name.Pos, "%s is not the name of a header", mapping.Quote(name.Value))
	case slices.Contains(banned, low) || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(low, p) }):
		l.add(name.Pos, "the header %s is set by the hub", mapping.Quote(name.Value))
	}
}

func (l *loader) pages(s *step, e stepEntry, names expression.Names) {
	if e.Pages == nil {
		return
	}
	if s.writes {
		l.add(e.Pages.Pos, "pages are for a step that only reads")
	}
	s.pages = &pages{
		items: l.text(e.Pages.Items, names), next: l.tree(e.Pages.Next, names),
		most: l.bounded(e.Pages.Most, "most", defaultPages, maxPages),
	}
}

func (l *loader) extract(e stepEntry, names expression.Names) []named {
	list := l.named(e.Extract, "extract", names, e.Pos)
	for name := range e.Extract {
		switch {
		case !inputForm.MatchString(name.Value):
			l.add(name.Pos, "%s is not a name: it begins with a letter and is made of letters, digits and _", mapping.Quote(name.Value))
		case slices.Contains(reserved, name.Value):
			l.add(name.Pos, "%q is a name that every step has: take another", name.Value)
		}
	}
	return list
}

// rule compiles one rule of on.
func (l *loader) rule(e ruleEntry, names expression.Names) rule {
	r := rule{statuses: l.statuses(e.Status), kinds: l.kinds(e.Kind), when: l.text(e.When, names)}
	if e.Then.Value != "" {
		r.then = thens[e.Then.Value]
	} else if e.Fail != nil && !e.Then.Given() {
		r.then = fail
	}
	if e.Fail != nil {
		r.fail = l.failure(*e.Fail, names)
	}
	good := slices.ContainsFunc(r.statuses, func(status int) bool { return status < 300 })
	switch {
	case e.Status == nil && e.Kind == nil && e.When == nil:
		l.add(e.Pos, "a rule needs a status, a kind or a when")
	case !e.Then.Given() && e.Fail == nil:
		l.add(e.Pos, "the rule has no effect: it needs then: continue, stop or fail")
	case e.Fail != nil && r.then != fail:
		l.add(e.Fail.Pos, "fail belongs to then: fail")
	case good && e.Kind != nil:
		l.add(e.Pos, "the rule has no effect: an answer with such a status has no kind")
	case e.Fail == nil && r.then == fail && (good || e.Status == nil && e.Kind == nil):
		l.add(e.Pos, "the rule also fits good answers: it needs fail, with a kind and a message")
	}
	return r
}

func (l *loader) failure(e failEntry, names expression.Names) *failure {
	l.oneOf(e.Kind, "kind", core.Kinds())
	if e.Code.Value != "" && !codeForm.MatchString(e.Code.Value) {
		l.add(e.Code.Pos, "a code is made of A-Z, 0-9 and _")
	}
	return &failure{kind: core.Kind(e.Kind.Value), code: e.Code.Value, message: l.tree(e.Message, names)}
}

// statuses reads a number or a list of numbers.
func (l *loader) statuses(node *yaml.Node) []int {
	var list []int
	for _, n := range entries(node) {
		status, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || status < 200 || status > 599 {
			l.at(n, "a status is a number from 200 to 599")
			continue
		}
		list = append(list, status)
	}
	return list
}

// kinds reads a word or a list of words.
func (l *loader) kinds(node *yaml.Node) []core.Kind {
	var list []core.Kind
	for _, n := range entries(node) {
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			l.at(n, "a kind is a word such as conflict")
			continue
		}
		if l.oneOf(mapping.Text{Pos: posOf(n), Value: n.Value}, "kind", core.Kinds()) {
			list = append(list, core.Kind(n.Value))
		}
	}
	return list
}

// entries are those of a list, or the one value.
func entries(node *yaml.Node) []*yaml.Node {
	switch {
	case node == nil:
		return nil
	case node.Kind == yaml.SequenceNode:
		return node.Content
	default:
		return []*yaml.Node{node}
	}
}
