package webex

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"tandem/core/server"
)

// The vendor's limits of variables, texts in characters.
const (
	maxVariables    = 30
	maxVariableName = 80
	maxValue        = 256
	maxDescription  = 256
	maxLabel        = 50
)

// variable is a global or flow variable of a task.
type variable struct {
	Name          string
	Type          string // String, Boolean, Integer, Decimal, Date Time
	Value         string // Date Time: seconds since 1970
	Description   string
	DesktopLabel  string
	AgentViewable bool
	AgentEditable bool
	Global        bool
}

// The types of variables.
const (
	typeString  = "String"
	typeBoolean = "Boolean"
	typeInteger = "Integer"
	typeDecimal = "Decimal"
	typeTime    = "Date Time"
)

var (
	variableForm = regexp.MustCompile(`^[a-zA-Z0-9_]+$`)
	decimalForm  = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	epochForm    = regexp.MustCompile(`^-?[0-9]{1,11}$`) // 13 digits would be milliseconds
)

// variableKeys are the keys of a variable, folded, and the page's labels.
var variableKeys = map[string]string{
	"name": "name", "type": "type", "value": "value", "description": "description", "desktoplabel": "desktopLabel",
	"agentviewable": "agentViewable", "makeagentviewable": "agentViewable", "agenteditable": "agentEditable",
}

// readVariables reads a list of variables or the text of one.
func readVariables(p *problems, r *request, name string, v any) {
	v, err := structured(v)
	if err != nil {
		p.add(name, "%s", err.Error())
		return
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		p.add(name, "must be a list of variables or the text of one")
		return
	case len(list) == 0:
		p.add(name, "is required")
		return
	case len(list) > maxVariables:
		p.add(name, "has %d entries; at most %d are accepted", len(list), maxVariables)
		return
	}
	seen := make(map[string]bool)
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", name, i)
		doc, ok := entry.(map[string]any)
		if !ok {
			p.add(at, "must be an object with name and value")
			continue
		}
		one := p.variable(at, doc)
		if seen[one.Name] && one.Name != "" {
			p.add(at+".name", "is given twice")
		}
		seen[one.Name] = true
		r.Variables = append(r.Variables, one)
	}
}

// variable reads one variable.
func (p *problems) variable(at string, doc map[string]any) variable {
	values := p.fold(at+".", doc, variableKeys)
	one := variable{Type: typeString}
	for _, required := range []string{"name", "value"} {
		if values[required] == nil {
			p.add(at+"."+required, "is required")
		}
	}
	if v := values["name"]; v != nil {
		one.Name = p.line(at+".name", v, maxVariableName)
		if one.Name != "" && !variableForm.MatchString(one.Name) {
			p.add(at+".name", "must be letters, digits and _")
		}
	}
	if v := values["type"]; v != nil {
		one.Type = p.oneOf(at+".type", v, typeString, typeBoolean, typeInteger, typeDecimal, typeTime)
	}
	if v := values["value"]; v != nil {
		one.Value = p.value(at+".value", one.Type, v)
	}
	if v := values["description"]; v != nil {
		one.Description = p.prose(at+".description", v, maxDescription)
	}
	if v := values["desktopLabel"]; v != nil {
		one.DesktopLabel = p.line(at+".desktopLabel", v, maxLabel)
	}
	if v := values["agentViewable"]; v != nil {
		one.AgentViewable = p.truth(at+".agentViewable", v)
	}
	if v := values["agentEditable"]; v != nil {
		one.AgentEditable = p.truth(at+".agentEditable", v)
	}
	return one
}

// value reads the value of a variable of a type.
func (p *problems) value(at, kind string, v any) string {
	text := p.prose(at, v, maxValue)
	if kind == typeString || kind == "" {
		return text
	}
	text = strings.TrimSpace(text)
	switch kind {
	case typeBoolean:
		return strconv.FormatBool(p.truth(at, text))
	case typeInteger:
		if _, err := strconv.ParseInt(text, 10, 64); err != nil {
			p.add(at, "must be a whole number")
		}
	case typeDecimal:
		if !decimalForm.MatchString(text) {
			p.add(at, "must be a number such as 12.5")
		}
	case typeTime:
		if !epochForm.MatchString(text) {
			p.add(at, "must be seconds since 1970, for example 1767225600")
		}
	}
	return text
}

// encode is server.EncodeJSON for texts.
func encode(v any) string { return string(server.EncodeJSON(v)) }
