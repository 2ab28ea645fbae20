package flow

import (
	"slices"
	"strings"

	"tandem/core"
)

// parameterPrefix marks a custom context parameter where a field is named.
const parameterPrefix = "parameter."

// fields are the system fields that a workflow may read, by their names in the
// connector's TaskEventData and Customer.
var fields = map[string]func(*core.Task) string{
	"customerIdentifier":        func(t *core.Task) string { return t.CustomerIdentifier },
	"referenceId":               func(t *core.Task) string { return t.ReferenceID },
	"modality":                  func(t *core.Task) string { return string(t.Modality) },
	"direction":                 func(t *core.Task) string { return string(t.Direction) },
	"distributionPriority":      func(t *core.Task) string { return string(t.Priority) },
	"serviceUPN":                func(t *core.Task) string { return t.Service.UPN },
	"serviceName":               func(t *core.Task) string { return t.Service.Name },
	"callerUPN":                 func(t *core.Task) string { return t.Caller.UPN },
	"callerTelNumber":           func(t *core.Task) string { return t.Caller.TelNumber },
	"initialMessage":            func(t *core.Task) string { return t.InitialMessage },
	"emailSubject":              func(t *core.Task) string { return t.Mail.Subject },
	"emailBodyUniquePlainText":  func(t *core.Task) string { return t.Mail.PlainText },
	"customer.firstName":        func(t *core.Task) string { return t.Customer.FirstName },
	"customer.lastName":         func(t *core.Task) string { return t.Customer.LastName },
	"customer.displayName":      func(t *core.Task) string { return t.Customer.DisplayName },
	"customer.company":          func(t *core.Task) string { return t.Customer.Company },
	"customer.department":       func(t *core.Task) string { return t.Customer.Department },
	"customer.city":             func(t *core.Task) string { return t.Customer.City },
	"customer.state":            func(t *core.Task) string { return t.Customer.State },
	"customer.country":          func(t *core.Task) string { return t.Customer.Country },
	"customer.primaryTelNumber": func(t *core.Task) string { return t.Customer.PrimaryTelNumber },
	"customer.UPN":              func(t *core.Task) string { return t.Customer.UPN },
	"customer.email":            func(t *core.Task) string { return t.Customer.Email },
}

// Field returns the text of a system field, or of a context parameter when the
// name begins with "parameter."; empty when it is not set.
func Field(t *core.Task, name string) string {
	if p, ok := strings.CutPrefix(name, parameterPrefix); ok {
		v, _ := t.Parameter(p)
		return v
	}
	if read, ok := fields[name]; ok {
		return read(t)
	}
	return ""
}

func fieldKnown(name string) bool {
	p, ok := strings.CutPrefix(name, parameterPrefix)
	if ok {
		return p != ""
	}
	return fields[name] != nil
}

func fieldNames() []string {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// operators compare a field with a value. Case is ignored: the words come from
// people and other systems.
var operators = map[string]func(field, value string) bool{
	"equals":       func(f, v string) bool { return f == v },
	"not equals":   func(f, v string) bool { return f != v },
	"contains":     strings.Contains,
	"not contains": func(f, v string) bool { return !strings.Contains(f, v) },
	"starts with":  strings.HasPrefix,
	"ends with":    strings.HasSuffix,
	"is empty":     func(f, _ string) bool { return f == "" },
	"is not empty": func(f, _ string) bool { return f != "" },
}

func (a *Activity) holds(t *core.Task) bool {
	return operators[a.Operator](strings.ToLower(Field(t, a.Field)), strings.ToLower(a.Value))
}
