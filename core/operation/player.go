package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/outbound"
)

// player plays the recorded exchanges of a test and notes what differs.
type player struct {
	test        *Test
	next        int
	differences []string
}

// Connection returns the connection of the test.
func (p *player) Connection(context.Context, outbound.Credential) (integration.Connection, error) {
	return integration.Connection{Base: p.test.Base, Settings: p.test.Settings}, nil
}

// Call answers with the next exchange, whatever is asked; a call that is none
// of the test's is Unavailable.
func (p *player) Call(ctx context.Context, call outbound.Call) (*outbound.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p.next >= len(p.test.Exchanges) {
		p.note("exchange %d: %s %s: no such call is recorded", p.next+1, call.Request.Method, call.Request.URL.EscapedPath())
		p.next++
		return nil, core.Errorf(core.Unavailable, "no further call is recorded")
	}
	x := &p.test.Exchanges[p.next]
	p.next++
	p.compare(x, call.Request)
	switch x.Fault {
	case "timeout":
		return nil, core.Errorf(core.Timeout, "%s did not answer in time", host(p.test.Base))
	case "refused":
		return nil, core.Errorf(core.Unavailable, "%s cannot be reached", host(p.test.Base))
	}
	answer := &outbound.Response{Status: x.Status, Header: x.AnswerHeader.Clone(), Body: x.Answer}
	return answer, outbound.Judge(call, answer, still(p.test.Now))
}

func (p *player) note(format string, args ...any) {
	if len(p.differences) < maxDifferences {
		p.differences = append(p.differences, fmt.Sprintf(format, args...))
	}
}

// compare notes what differs between a call and its recording.
func (p *player) compare(x *Recording, req *http.Request) {
	at := fmt.Sprintf("exchange %d", p.next)
	if req.Method != x.Method {
		p.note("%s: method: want %s, got %s", at, x.Method, req.Method)
	}
	path := req.URL.EscapedPath()
	short, below := strings.CutPrefix(path, strings.TrimPrefix(p.test.Base, host(p.test.Base)))
	if path != x.Path && (!below || short != x.Path) {
		if below {
			path = short
		}
		p.note("%s: path: want %s, got %s", at, x.Path, path)
	}
	query := map[string]any{}
	for name, values := range req.URL.Query() {
		query[name] = one(values)
	}
	want := map[string]any{}
	for name, value := range x.Query {
		want[name] = texts(value)
	}
	p.differences = differ(p.differences, at+": query", want, query)
	for name, value := range x.Headers {
		if got := req.Header.Get(name); got != value {
			p.note("%s: header %s: want %q, got %q", at, name, value, got)
		}
	}
	var body any
	var sent []byte
	if req.Body != nil {
		sent, _ = io.ReadAll(req.Body)
		body, _ = decode(sent)
	}
	switch {
	case x.HasBody && len(sent) == 0:
		p.note("%s: body: want %s, got none", at, brief(x.Body))
	case !x.HasBody && len(sent) > 0:
		p.note("%s: body: want none, got %s", at, brief(body))
	case x.HasBody:
		p.differences = differ(p.differences, at+": body", x.Body, body)
	}
}

// one is a parameter as a test writes it: repeated ones are a list.
func one(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	list := make([]any, len(values))
	for i, v := range values {
		list[i] = v
	}
	return list
}

// texts writes the values of a parameter as they travel.
func texts(value any) any {
	if list, ok := value.([]any); ok {
		all := make([]any, len(list))
		for i, v := range list {
			all[i] = texts(v)
		}
		return all
	}
	if text, ok := expression.Text(value); ok {
		return text
	}
	return value
}

// addressOf is the base address of an integration with these settings.
func addressOf(in *integration.Integration, settings map[string]string) (string, error) {
	u, err := integration.Address(in.Base, settings)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// compact is a document as JSON.
func compact(doc any) []byte {
	data, _ := json.Marshal(doc) // literals can always be written
	return data
}

// RunTest is Play with the input of the test. The differences are also those of
// the result or error: none when the test passes.
func (c *Catalogue) RunTest(ctx context.Context, op *Operation, t *Test) (*Result, []string, error) {
	result, differences, err := c.Play(ctx, op, t, t.Input, false)
	switch {
	case err != nil && t.Error == nil:
		differences = append(differences, "the run failed: "+outcome(err))
	case err == nil && t.Error != nil:
		differences = append(differences, "want an error, got the result "+brief(result.Output))
	case err != nil:
		differences = append(differences, t.Error.differ(err)...)
	default:
		differences = differ(differences, "result", t.Result, result.Output)
	}
	return result, differences, err
}

// Play runs an operation against the answers of a test, with any input; open
// says that nothing is redacted in the steps. The differences are those of the
// calls only, one line each, for people. The error is that of Run.
func (c *Catalogue) Play(ctx context.Context, op *Operation, t *Test, input map[string]any, open bool) (*Result, []string, error) {
	p := &player{test: t}
	runner := NewRunner(Options{Upstream: p, Connections: p, Clock: still(t.Now)})
	req := t.Request
	req.Operation, req.Input, req.Detail, req.Open = op, input, true, open
	result, err := runner.Run(ctx, req)
	if missing := len(t.Exchanges) - p.next; missing > 0 {
		x := t.Exchanges[p.next]
		p.note("exchange %d: %s %s: the call was not made", p.next+1, x.Method, x.Path)
	}
	return result, p.differences, err
}

// outcome is an error in one line.
func outcome(err error) string {
	text := string(core.KindOf(err))
	if e, ok := errors.AsType[*core.Error](err); ok && e.Code != "" {
		text += " " + e.Code
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Step != "" {
		text += " in step " + e.Step
	}
	return text + ": " + err.Error()
}

// differ says what of an error is not as expected.
func (want *ExpectedError) differ(err error) []string {
	var got ExpectedError
	if e, ok := errors.AsType[*Error](err); ok {
		got.Step, got.Status = e.Step, e.Upstream
	}
	if e, ok := errors.AsType[*core.Error](err); ok {
		got.Code = e.Code
	}
	got.Kind, got.Message = core.KindOf(err), err.Error()
	var lines []string
	for _, x := range []struct {
		key       string
		want, got any
		fits      bool
	}{
		{"kind", want.Kind, got.Kind, want.Kind == "" || want.Kind == got.Kind},
		{"code", want.Code, got.Code, want.Code == "" || want.Code == got.Code},
		{"step", want.Step, got.Step, want.Step == "" || want.Step == got.Step},
		{"status", want.Status, got.Status, want.Status == 0 || want.Status == got.Status},
		{"message", want.Message, got.Message, strings.Contains(got.Message, want.Message)},
	} {
		if !x.fits {
			lines = append(lines, fmt.Sprintf("error.%s: want %v, got %v", x.key, x.want, x.got))
		}
	}
	if lines != nil {
		lines = append(lines, "the error was "+outcome(err))
	}
	return lines
}
