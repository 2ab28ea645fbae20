package operation

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem/core/expression"
)

// Where documents say of which field a value is: {field: Email, value: ...},
// and conditions as one text: {entity: Contact, filter: "Email = ..."}.
var (
	namingKeys = []string{"name", "field", "propertyname", "column"}
	valueKeys  = []string{"value", "values"}
	filterForm = regexp.MustCompile(`^\s*[^\s=!<>]+\s*(?:[!<>]?=|[<>]|(?i:like|contains|startswith|endswith|in)\b)\s*(.+)$`)
)

// named tells whether an object holds the value of a field that is hidden.
func (m *Mask) named(object map[string]any) bool {
	for key, v := range object {
		field, ok := v.(string)
		if ok && slices.Contains(namingKeys, strings.ToLower(key)) &&
			(m.secret(field) || m.secret(field[strings.LastIndexByte(field, '.')+1:])) {
			return true
		}
	}
	return false
}

// hidden tells whether the value of a key of an object is hidden.
func (m *Mask) hidden(key string, named bool) bool {
	return named && slices.Contains(valueKeys, strings.ToLower(key)) || m.secret(key)
}

// collect takes the texts and numbers of a document that are to be hidden: all,
// or those of redacted keys.
func (m *Mask) collect(v any, all bool) {
	switch v := v.(type) {
	case map[string]any:
		if all && isCondition(v) {
			m.condition(v)
			return
		}
		named := m.named(v)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			low := strings.ToLower(key)
			m.collect(v[key], all || m.hidden(low, named))
		}
	case []any:
		for _, inner := range v {
			m.collect(inner, all)
		}
	default:
		text, ok := expression.Text(v)
		if _, isBool := v.(bool); all && ok && !isBool {
			m.hide(strings.TrimSpace(text))
		}
	}
}

// isCondition tells whether an object compares a field with a value.
func isCondition(object map[string]any) bool {
	subject, value := false, false
	for key := range object {
		key = strings.ToLower(key)
		subject = subject || key == "entity" || slices.Contains(namingKeys, key)
		value = value || key == "filter" || slices.Contains(valueKeys, key)
	}
	return subject && value
}

// condition takes what a condition compares with: its other words are the names
// of fields and the like, which stand in every request.
func (m *Mask) condition(object map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		low, v := strings.ToLower(key), object[key]
		filter, isText := v.(string)
		_, isScalar := expression.Text(v)
		switch {
		case low == "filter" && isText:
			m.filter(filter)
		case !isScalar || slices.Contains(valueKeys, low):
			m.collect(v, true)
		}
	}
}

// filter takes the value of a condition that is one text, and the values of a
// list.
func (m *Mask) filter(text string) {
	found := filterForm.FindStringSubmatch(text)
	if found == nil { // the operator alone, or what a message will quote
		if m.hideWords(text) {
			m.hide(text)
		}
		return
	}
	for _, value := range append(strings.Split(found[1], ","), found[1]) {
		m.hide(strings.Trim(value, " \t\"'%()"))
	}
}

// hideWords hides the words of a text that are addresses or numbers of people, and
// tells whether there are any.
func (m *Mask) hideWords(text string) (found bool) {
	for word := range strings.FieldsSeq(text) {
		if strings.Contains(word, "@") || len(onlyDigits(word)) >= phoneTail {
			m.hide(strings.Trim(word, "\"'%(),;"))
			found = true
		}
	}
	return found
}

// hide looks for a text from now on, in the forms that it may have in requests.
func (m *Mask) hide(text string) {
	if utf8.RuneCountInString(text) < minMasked || m.everything() || slices.Contains(m.values, fold(text)) {
		return
	}
	m.count++
	quoted, _ := json.Marshal(text)
	number, query := onlyDigits(text), url.QueryEscape(text)
	forms := []string{
		text, query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(text), strings.Trim(string(quoted), `"`), number,
		strings.ToUpper(text), strings.ToLower(text),
	}
	for _, form := range append(forms, expression.Written(text)...) {
		if form = fold(form); len(form) >= minMasked && !slices.Contains(m.values, form) {
			m.values = append(m.values, form)
		}
	}
	// Only what is written like a number is one: not a note with a few digits.
	if len(number) >= phoneTail && 3*len(number) >= 2*len(text) {
		m.phones = append(m.phones, number[len(number)-phoneTail:])
	}
}
