package operation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/outbound"
)

const (
	maxSaid    = 300  // bytes of what a vendor says
	maxMessage = 1000 // bytes of what an operation says
)

// turn makes the calls of one turn of a step: one, or one a page.
func (x *run) turn(ctx context.Context, s *step, turn int) (map[string]any, verdict, error) {
	d, err := s.build(&x.env)
	if err != nil {
		return nil, fail, x.fault(s, err)
	}
	var items []any
	var v verdict
	var more bool
	for page := 0; ; page++ {
		v, err = x.call(ctx, s, d, turn, page)
		if err != nil {
			return nil, fail, err
		}
		if s.pages == nil || v != goOn {
			break
		}
		list, err := x.items(s)
		if err != nil {
			return nil, fail, x.broken(err)
		}
		if len(items)+len(list) > maxItems {
			return nil, fail, x.broken(core.Errorf(core.ResultTooLarge, "the pages hold more than %d entries", maxItems))
		}
		items = append(items, list...)
		next, err := s.pages.next.Eval(&x.env)
		if err != nil {
			return nil, fail, x.broken(err)
		}
		if more, err = d.follow(x.env.Base, next); err != nil {
			return nil, fail, x.broken(err)
		}
		if !more || page+1 >= s.pages.most {
			break
		}
	}
	object := map[string]any{
		"ran": true, "ok": v != goOnAsBad && x.env.Status >= 200 && x.env.Status < 300, "status": x.env.Status,
		"headers": x.env.Headers, "body": x.env.Body,
	}
	if s.pages != nil {
		object["items"], object["more"] = append([]any{}, items...), more
	}
	for _, e := range s.extract {
		object[e.name], err = e.tree.Eval(&x.env)
		if v != goOn && core.KindOf(err) == core.Mapping {
			object[e.name], err = nil, nil // a refusal, or nothing, need not hold what a good answer holds
		}
		if err != nil {
			return nil, fail, x.broken(err)
		}
	}
	return object, v, nil
}

// items are the entries of a page.
func (x *run) items(s *step) ([]any, error) {
	value, err := s.pages.items.Eval(&x.env)
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	if value != nil && !ok {
		return nil, faulty("items of step %q gives no list", s.id)
	}
	return list, nil
}

// broken notes that the answer of the last call could not be used.
func (x *run) broken(err error) error {
	err = x.own(err)
	x.upstream = x.env.Status
	last := x.last
	last.State, last.Error = StepFailed, x.mask().Text(err.Error())
	x.result.Steps[len(x.result.Steps)-1] = last // its own place, or that of one that tells less
	return err
}

// call makes one call and judges its answer.
func (x *run) call(ctx context.Context, s *step, d *draft, turn, page int) (verdict, error) {
	if s.key != "" {
		d.headers[s.key] = []string{x.keyOf(s, turn, page)}
	}
	kept := Step{ID: s.id, State: StepOK, Call: x.line(d)}
	req, err := d.request(ctx)
	if err != nil && page > 0 {
		err = faulty("next of step %q leads to no address that can be called", s.id)
	}
	if err != nil {
		return fail, x.fault(s, err)
	}
	if ctx.Err() != nil {
		return fail, x.fault(s, x.late(ctx, nil))
	}
	deadline, _ := ctx.Deadline()
	left := deadline.Sub(core.SystemClock{}.Now()) // contexts end by the machine's clock
	if s.optional {
		left /= 2 // so that there is time to go on
	}
	elapsed := core.Stopwatch()
	answer, err := x.o.Upstream.Call(ctx, outbound.Call{
		Tenant: x.req.Tenant, Name: x.op.in.ID, Request: req,
		Deadline:   max(left, time.Millisecond),
		Repeatable: s.key != "", Reads: s.reads,
		Credential: x.credential, Limits: x.op.in.Limits, Errors: x.op.in.Errors,
	})
	kept.Duration = elapsed()
	x.asked = true
	if s.writes && mayHaveWritten(answer, err) {
		x.wrote = true
	}
	refusal := err
	x.told = ""
	v, err := x.judge(ctx, s, req, answer, err)
	if answer != nil {
		kept.Status = answer.Status
	}
	switch {
	case err != nil:
		kept.State, kept.Error, x.upstream = StepFailed, x.shown(err), kept.Status
	case v == goOnAsBad || answer == nil:
		kept.State = StepContinued
		if refusal != nil {
			kept.Error = x.mask().Text(refusal.Error())
		}
	}
	if x.req.Detail {
		x.detail(&kept, d, req, answer)
	}
	x.keep(kept)
	return v, err
}

// mayHaveWritten tells whether a call that writes may have changed something:
// not when it did not go out, and not when it was refused.
func mayHaveWritten(answer *outbound.Response, err error) bool {
	if answer != nil {
		return answer.Status < 300 || answer.Status >= 500 || answer.Status == http.StatusRequestTimeout
	}
	switch core.KindOf(err) {
	case core.Timeout, core.Uncertain, core.ResultTooLarge, core.Internal:
		return true // Internal: also the context's end
	default:
		return false
	}
}

// judge says what an answer, or its absence, means for the run, and takes it
// into the environment.
func (x *run) judge(ctx context.Context, s *step, req *http.Request, answer *outbound.Response, err error) (verdict, error) {
	x.env.Body, x.env.Status, x.env.Headers = nil, 0, nil
	if answer == nil {
		if err == nil {
			err = errors.New("the upstream gave no answer")
		}
		if ctx.Err() != nil || !slices.Contains(silent, core.KindOf(err)) {
			return fail, x.late(ctx, err)
		}
		return s.verdict(x, false, err)
	}
	x.answers += len(answer.Body)
	if x.answers > maxAnswers {
		return fail, core.Errorf(core.ResultTooLarge, "the answers together are larger than %d MB", maxAnswers>>20)
	}
	body, broken := decode(answer.Body)
	x.env.Body, x.env.Status, x.env.Headers = body, answer.Status, lower(answer.Header)
	if len(x.op.program.steps) > 1 { // what comes after may be made of it
		x.mask().learn(body)
	}
	if err := x.late(ctx, nil); err != nil {
		return fail, err
	}
	good := answer.Status >= 200 && answer.Status < 300
	if good && broken == errLarge { //nolint:errorlint // decode's own, never wrapped
		return fail, core.Errorf(core.ResultTooLarge, "the answer is %s", broken)
	}
	if good && broken != nil { // of a proxy, perhaps: rules may go on without it
		good, err = false, &core.Error{
			Kind: core.Uncertain, Code: CodeBrokenAnswer,
			Message: fmt.Sprintf("%s answered %d with something that is no JSON", host(x.env.Base), answer.Status),
		}
	}
	if !good && err == nil {
		err = outbound.Judge(outbound.Call{Request: req, Errors: x.op.in.Errors}, answer, x.o.Clock)
	}
	if !good {
		err = x.said(err)
	}
	return s.verdict(x, good, err)
}

// silent are the kinds of an error without an answer that rules may speak of:
// what the upstream's day is like, not what somebody must put right.
var silent = []core.Kind{core.Unavailable, core.Throttled, core.Timeout, core.Uncertain}

// verdict is what the first rule says that fits, or else err.
func (s *step) verdict(x *run, good bool, err error) (verdict, error) {
	for i := range s.rules {
		r := &s.rules[i]
		fits, fault := r.fits(x, good, core.KindOf(err))
		if fault != nil {
			return fail, fault
		}
		if fits {
			if r.then == fail {
				return fail, r.error(x, err)
			}
			return r.then, nil
		}
	}
	if !good {
		return fail, err
	}
	return goOn, nil
}

// fits tells whether a rule fits the answer. An expression that cannot be
// evaluated for a refusal does not fit it: what the upstream says about it is
// worth more than what the file expected it to say.
func (r *rule) fits(x *run, good bool, kind core.Kind) (bool, error) {
	if r.statuses != nil && !slices.Contains(r.statuses, x.env.Status) {
		return false, nil
	}
	if r.kinds != nil && (good || !slices.Contains(r.kinds, kind)) || r.kinds == nil && x.env.Status == 0 {
		return false, nil
	}
	if r.when == nil {
		return true, nil
	}
	does, err := truth(r.when, &x.env, "when")
	if err != nil && !good {
		return false, nil
	}
	return does, err
}

// error is the error of a rule that fails the run; err is the upstream's.
func (r *rule) error(x *run, err error) error {
	if r.fail == nil {
		return err
	}
	e := &core.Error{Kind: r.fail.kind, Code: r.fail.code, Message: "the answer is refused"}
	if cause, ok := errors.AsType[*core.Error](err); ok {
		e.Message = cause.Message
		if e.Kind == cause.Kind {
			e.RetryAfter, e.Status = cause.RetryAfter, cause.Status
		}
	}
	if r.fail.message == nil {
		return e
	}
	message, fault := r.fail.message.Eval(&x.env)
	if fault != nil {
		x.told = ""
		return fault
	}
	if text, ok := expression.Text(message); ok && text != "" {
		x.told = clean(text, maxLooked)
		e.Message = Cut(x.told, maxMessage)
	}
	return e
}

// said adds what the vendor says to the error of a refusal.
func (x *run) said(err error) error {
	e, ok := errors.AsType[*core.Error](err)
	if !ok {
		return err
	}
	for _, path := range x.op.in.ErrorTexts {
		if text, ok := integration.Dig(x.env.Body, path).(string); ok {
			if text = clean(text, maxLooked); text != "" {
				more := *e
				x.told = e.Message + ": " + text
				more.Message += ": " + Cut(text, maxSaid)
				return &more
			}
		}
	}
	return err
}

// shown is an error for people: what is cut in the middle of a value would show
// the beginning of it, so the value is hidden first.
func (x *run) shown(err error) string {
	if x.told == "" {
		return x.mask().Text(err.Error())
	}
	return Cut(x.mask().Text(x.told), maxMessage)
}

// clean makes one line of a text of others, of so many bytes at most.
func clean(text string, most int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || !unicode.IsPrint(r)
	}), " ")
	return Cut(text, most)
}

// lower are headers as expressions see them.
func lower(h http.Header) map[string]any {
	all := make(map[string]any, len(h))
	for name, values := range h {
		all[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return all
}

// host is scheme and host of an address.
func host(base string) string {
	scheme, rest, _ := strings.Cut(base, "://")
	name, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + name
}

// line is method and path of a request, for people.
func (x *run) line(d *draft) string {
	return d.method + " " + x.mask().Text(d.address[len(host(d.address)):])
}

// detail keeps request and answer of a call, for people.
func (x *run) detail(kept *Step, d *draft, req *http.Request, answer *outbound.Response) {
	m := x.mask()
	line := d.method + " " + m.Text(d.address)
	sign := "?"
	for _, name := range slices.Sorted(maps.Keys(d.query)) {
		for _, value := range d.query[name] {
			line += sign + name + "=" + m.value(name, value)
			sign = "&"
		}
	}
	kept.Request = &Exchange{Line: Cut(line, maxBody), Headers: m.headers(req.Header)}
	if d.hasBody {
		kept.Request.Body = m.document(d.body, maxBody)
	}
	if answer == nil {
		return
	}
	kept.Answer = &Exchange{Line: fmt.Sprintf("%d %s", answer.Status, http.StatusText(answer.Status)), Headers: m.headers(answer.Header)}
	plain := strings.ToValidUTF8(string(answer.Body[:min(len(answer.Body), 4*maxBody)]), "?")
	switch {
	case x.env.Body != nil:
		kept.Answer.Body = m.document(x.env.Body, maxBody)
	case strings.HasPrefix(strings.TrimSpace(plain), "{"), strings.HasPrefix(strings.TrimSpace(plain), "["): // its keys cannot be told
		kept.Answer.Body = fmt.Sprintf("%d bytes of JSON that could not be read", len(answer.Body))
	default:
		kept.Answer.Body = Cut(m.Text(plain), maxBody)
	}
}
