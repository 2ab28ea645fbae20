package operation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tandem/core/expression"
	"tandem/core/outbound"
)

// draft is a request before it is sent.
type draft struct {
	method  string
	address string // scheme, host and path
	query   url.Values
	headers http.Header
	body    any
	hasBody bool
}

// build evaluates the request of a step.
func (s *step) build(env *expression.Env) (*draft, error) {
	path, err := s.path.Eval(env)
	if err != nil {
		return nil, err
	}
	d := &draft{method: s.method, address: env.Base + path, headers: make(http.Header, len(s.headers)+3)}
	for _, q := range s.query {
		value, err := q.tree.Eval(env)
		if err != nil {
			return nil, err
		}
		if err := d.set(q.name, value); err != nil {
			return nil, err
		}
	}
	d.headers["Accept"] = acceptJSON
	for _, h := range s.headers {
		value, err := h.tree.Eval(env)
		if err != nil {
			return nil, err
		}
		text, ok := value.(string)
		switch {
		case value == nil:
		case !ok || strings.ContainsAny(text, "\r\n\x00"):
			return nil, faulty("the header %s is no text of one line", h.name)
		default:
			d.headers[h.name] = []string{text}
		}
	}
	if s.body != nil {
		if d.body, err = s.body.Eval(env); err != nil {
			return nil, err
		}
		d.hasBody = true
		d.headers["Content-Type"] = acceptJSON
	}
	return d, nil
}

var acceptJSON = []string{"application/json"} // never changed

// set sets a query parameter; nil leaves it out, a list repeats it.
func (d *draft) set(name string, value any) error {
	if d.query == nil {
		d.query = url.Values{}
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	var texts []string
	for _, v := range list {
		if v == nil {
			continue
		}
		text, ok := expression.Text(v)
		if !ok {
			return faulty("the query parameter %q is no text, number or truth value", name)
		}
		texts = append(texts, text)
	}
	if texts == nil {
		delete(d.query, name)
		return nil
	}
	d.query[name] = texts
	return nil
}

// request makes the request of a draft.
func (d *draft) request(ctx context.Context) (*http.Request, error) {
	raw := d.address
	if len(d.query) > 0 {
		raw += "?" + d.query.Encode()
	}
	var body []byte
	if d.hasBody {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(d.body); err != nil {
			return nil, fmt.Errorf("body of the request: %w", err)
		}
		body = bytes.TrimRight(b.Bytes(), "\n")
	}
	req, err := outbound.NewRequest(ctx, d.method, raw, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, d.headers)
	return req, nil
}

// follow changes the draft into the request of the next page; more is false
// when there is none.
func (d *draft) follow(base string, next any) (more bool, err error) {
	switch next := next.(type) {
	case nil:
		return false, nil
	case string:
		if next == "" {
			return false, nil
		}
		return true, d.jump(base, next)
	case map[string]any:
		if len(next) == 0 {
			return false, nil
		}
		if d.method != http.MethodPost {
			for name, value := range next {
				if err := d.set(name, value); err != nil {
					return false, err
				}
			}
			return true, nil
		}
		body, ok := d.body.(map[string]any)
		if !ok {
			return false, faulty("next gives keys of a body, and the request's body is no object")
		}
		body = maps.Clone(body)
		maps.Copy(body, next)
		d.body = body
		return true, nil
	default:
		return false, faulty("next gives neither an address nor an object")
	}
}

// jump goes to an address that an answer names: on the same host only.
func (d *draft) jump(base, next string) error {
	from, err := url.Parse(base)
	if err != nil {
		return faulty("the base address is malformed")
	}
	origin := from.Scheme + "://" + from.Host
	target, query, _ := strings.Cut(next, "?")
	if !strings.HasPrefix(target, "/") {
		to, err := url.Parse(target)
		if err != nil || to.Scheme != from.Scheme || !strings.EqualFold(to.Host, from.Host) || to.User != nil {
			return faulty("next leads to another host")
		}
		target = to.EscapedPath()
	}
	values, err := url.ParseQuery(query)
	if err != nil || strings.HasPrefix(target, "//") || strings.ContainsAny(next, "#\\") {
		return faulty("next is no address on the same host")
	}
	d.address, d.query = origin+target, values
	return nil
}

// keyOf is the idempotency key of one call of a run: the same when the same
// request is made again.
func (x *run) keyOf(s *step, turn, page int) string {
	seed := x.req.Key
	if seed == "" {
		seed = x.req.ID
	}
	sum := sha256.Sum256([]byte(seed + "|" + s.id + "|" + strconv.Itoa(turn) + "|" + strconv.Itoa(page)))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
