package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"tandem/core/operation"
)

// inputView is a declared input of an operation, for people.
type inputView struct {
	Name, Help string
	Facts      string
	Required   bool
	Redact     bool
}

// typeWords are the types of inputs as people read them.
var typeWords = map[string]string{
	"integer": "whole number", "boolean": "true or false", "time": "time (RFC 3339)",
}

// takes says what an input takes.
func takes(in operation.Input) inputView {
	kind := in.Type
	if words, ok := typeWords[kind]; ok {
		kind = words
	}
	facts := []string{kind}
	if len(in.Options) > 0 {
		facts = append(facts, "one of "+strings.Join(in.Options, ", "))
	}
	switch {
	case in.Max > 0 && in.Type == "text" && len(in.Options) == 0:
		facts = append(facts, "at most "+count(in.Max, "character", "characters"))
	case in.Max > 0 && in.Type == "list":
		facts = append(facts, "at most "+count(in.Max, "entry", "entries"))
	}
	if in.Default != nil {
		facts = append(facts, fmt.Sprint("default ", in.Default))
	}
	return inputView{Name: in.Name, Help: in.Help, Facts: strings.Join(facts, " · "), Required: in.Required, Redact: in.Redact}
}

// inputText lays out an input for the editor.
func inputText(input map[string]any) string {
	if len(input) == 0 {
		return "{}"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(input); err != nil {
		return "{}"
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parseInput reads what was typed. The text says what is wrong with it, and
// where.
func parseInput(text string) (input map[string]any, wrong string) {
	if len(text) > maxInput {
		return nil, fmt.Sprintf("The input is larger than %d KB.", maxInput>>10)
	}
	if strings.TrimSpace(text) == "" {
		return nil, "Enter a JSON object, for example {}."
	}
	var whole json.RawMessage
	err := json.Unmarshal([]byte(text), &whole)
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at := int(e.Offset)
		if !strings.HasPrefix(e.Error(), "unexpected end") {
			at-- // it is that of the sign behind the wrong one
		}
		line, column := place(text, at)
		return nil, fmt.Sprintf("Line %d, column %d: %s", line, column, sentence(e.Error()))
	}
	if err != nil {
		return nil, sentence(err.Error())
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // long numbers stay as they are
	if err := d.Decode(&input); err != nil || input == nil {
		return nil, "The input is a JSON object: it begins with { and ends with }."
	}
	return input, ""
}

// place returns where a byte of a text stands, counted from 1; the column in
// characters.
func place(text string, at int) (line, column int) {
	before := text[:min(max(at, 0), len(text))]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
