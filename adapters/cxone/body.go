package cxone

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tandem/core"
	"tandem/core/server"
)

// The time that a script gives a workflow. The longest is below the 90 s after
// which CXone itself stops waiting.
const (
	defaultTimeout = 6 * time.Second
	maxTimeout     = 85 * time.Second
)

// maxText bounds ids that a caller gives, in bytes.
const maxText = 256

var numberForm = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,15})?$`)

// document is a decoded JSON object; its numbers are json.Number.
type document map[string]any

// anyJSON is a decoded JSON value; its numbers are json.Number.
type anyJSON struct{ value any }

// UnmarshalJSON decodes any value.
func (a *anyJSON) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d.Decode(&a.value)
}

// parse reads a JSON object, whatever label it came with: Studio calls JSON a
// form. Errors are Invalid and begin with what it is called.
func parse(what string, data []byte) (document, error) {
	var v anyJSON
	if err := server.UnmarshalStrict(data, &v); err != nil {
		if bytes.Contains(data, []byte(`\{`)) {
			return nil, core.InvalidField(what, `is no JSON: it holds \{, which Studio wants inside of text in quotes only; write {x.asjson()} instead of the text`)
		}
		detail := err.Error()
		if e, ok := errors.AsType[*core.Error](err); ok && len(e.Details) > 0 {
			detail = e.Details[0].Message
			if e.Details[0].Field != "body" {
				detail = e.Details[0].Field + ": " + detail
			}
		}
		return nil, core.InvalidField(what, "is no JSON: %s", detail)
	}
	if object, ok := v.value.(map[string]any); ok {
		return object, nil
	}
	return nil, core.InvalidField(what, "must be a JSON object")
}

// first returns the first value under one of the names that is neither null nor
// an empty text, in the first of the documents that has one.
func first(docs []document, names ...string) any {
	for _, d := range docs {
		for _, name := range names {
			v := d[name]
			if text, ok := v.(string); v == nil || ok && strings.TrimSpace(text) == "" {
				continue
			}
			return v
		}
	}
	return nil
}

// idOf is first for an id: a text, or a number, trimmed. Errors are Invalid.
func idOf(docs []document, names ...string) (string, error) {
	text := ""
	switch v := first(docs, names...).(type) {
	case nil:
	case string:
		text = strings.TrimSpace(v)
	case json.Number:
		text = v.String()
	default:
		return "", core.InvalidField(names[0], "must be text")
	}
	if len(text) > maxText {
		return "", core.InvalidField(names[0], "must be %d characters or less", maxText)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", core.InvalidField(names[0], "must not hold control characters")
	}
	return text, nil
}

// timeoutOf reads timeoutMilliSec, a number or the text of one. Nothing, which is
// also what an empty variable of a script gives, is the default.
func timeoutOf(payload document) (time.Duration, error) {
	const name = "timeoutMilliSec"
	text, err := idOf([]document{payload}, name)
	switch {
	case err != nil:
		return 0, core.InvalidField(name, `must be a number of milliseconds, such as "6000"`)
	case text == "":
		return defaultTimeout, nil
	}
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil || !numberForm.MatchString(text) || ms <= 0 {
		return 0, core.InvalidField(name, `must be a number of milliseconds above 0, such as "6000"`)
	}
	if most := float64(maxTimeout.Milliseconds()); ms > most {
		ms = most
	}
	return max(time.Duration(ms*float64(time.Millisecond)), time.Millisecond), nil
}

// payloadOf reads the payload of Workflow Execute, an object or the text of one.
func payloadOf(envelope document) (document, error) {
	const name = "workflowPayload"
	switch v := envelope[name].(type) {
	case map[string]any:
		return v, nil
	case string:
		return parse(name, []byte(v))
	default:
		return nil, core.InvalidField(name, `must be a JSON object or the text of one, such as {"workflowInput":{"phoneNumber":"+41445551234"},"timeoutMilliSec":"6000"}`)
	}
}

// workflowInputOf returns the input in a payload. The test of NICE's editor sends
// it as text, alone or as a payload of its own.
func workflowInputOf(payload document, needed bool) (map[string]any, error) {
	const name = "workflowInput"
	in := payload[name]
	if in == nil {
		in = payload["workflowInputPayload"]
		if text, ok := in.(string); ok {
			d, err := parse("workflowInputPayload", []byte(text))
			if err != nil {
				return nil, err
			}
			in = map[string]any(d)
		}
		if d, ok := in.(map[string]any); ok && d[name] != nil {
			in = d[name]
		}
	}
	switch v := in.(type) {
	case map[string]any:
		return v, nil
	case nil:
		if !needed {
			return nil, nil
		}
	}
	return nil, core.InvalidField(name, `must be an object with the inputs of the workflow: the payload is {"workflowInput":{"phoneNumber":"+41445551234"}}`)
}
