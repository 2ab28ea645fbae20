package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"tandem/core"
)

// How long a value may be, in bytes.
const (
	maxValue  = 4 << 10
	maxSecret = 16 << 10 // a secret of several lines: keys and their chains
)

// Check judges what an administrator has filled in for a grant. have names the
// secrets that are stored already: those may be left empty. The error is one
// Invalid error whose Details name every field that is wrong, in the order of
// the form, in words for that person; it never shows a value.
func (i *Integration) Check(g *Grant, values map[string]string, have []string) error {
	var details []core.Detail
	fields := i.Fields(g)
	for _, f := range fields {
		stored := f.Secret && slices.Contains(have, f.Name)
		if why := f.check(values[f.Name], stored); why != "" {
			details = append(details, core.Detail{Field: f.Name, Message: f.Label + " " + why})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == name }) {
			details = append(details, core.Detail{Field: name, Message: "there is no such field"})
		}
	}
	if details == nil {
		return nil
	}
	err := core.Errorf(core.Invalid, "some fields are not filled in correctly")
	err.Details = details
	return err
}

// check says what is wrong with a value, or nothing.
func (f *Field) check(value string, stored bool) string {
	most := maxValue
	if f.Secret && f.Multiline {
		most = maxSecret
	}
	switch {
	case value == "" && (!f.Required || stored || f.Default != ""):
		return ""
	case value == "":
		return "is required"
	case len(value) > most:
		return fmt.Sprintf("is longer than %d KB", most>>10)
	case !utf8.ValidString(value):
		return "holds signs that are no text"
	case strings.ContainsFunc(value, func(r rune) bool {
		return unicode.IsControl(r) && (!f.Multiline || r != '\n' && r != '\r')
	}):
		if strings.ContainsAny(value, "\r\n") && !f.Multiline {
			return "must be one line"
		}
		return "holds control characters"
	case len(f.Options) > 0 && !slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == value }):
		return "must be one of the choices"
	case f.Pattern != nil && !f.Pattern.MatchString(value):
		return "does not have the right form"
	}
	return ""
}

// WithDefaults returns a copy of the values in which the fields of the grant's
// form that have none have their default.
func (i *Integration) WithDefaults(g *Grant, values map[string]string) map[string]string {
	all := make(map[string]string, len(values))
	maps.Copy(all, values)
	for _, f := range i.Fields(g) {
		if all[f.Name] == "" && f.Default != "" {
			all[f.Name] = f.Default
		}
	}
	return all
}
