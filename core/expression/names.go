package expression

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"tandem/core/mapping"
)

// Names is what an expression may use, known when the file is loaded.
type Names struct {
	Inputs   []string            // declared inputs; nil: any
	Members  map[string][]string // what inputs that are objects hold; an input that is absent: anything
	Values   []string            // named values that come before
	Steps    map[string][]string // steps that come before, with the names that they extract
	Answer   bool                // body, status and headers exist
	Loops    []string            // loop variables in scope, outermost first; index exists when there is one
	Entities *Entities           // nil: none
	Patterns *Patterns           // counts the regular expressions of the file; nil: nobody does
}

// The names that always exist, and those of a step and of the context.
var (
	roots       = []string{"input", "values", "steps", "base", "settings", "context"}
	answerRoots = []string{"body", "status", "headers"}
	stepNames   = []string{"status", "headers", "body", "items", "each", "ok", "ran", "more"}
	contextKeys = []string{"tenant", "contactId", "interactionId", "now", "id", "card"}
	loopName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,39}$`)
)

// CheckLoopName returns what is wrong with a name for a loop variable, or "".
func CheckLoopName(name string) string {
	_, isFunction := functions[name]
	_, isLoop := loops[name]
	switch {
	case !loopName.MatchString(name):
		return "a loop variable is named with letters, digits and _, and begins with a letter"
	case isFunction || isLoop || name == "index" || slices.Contains(roots, name) || slices.Contains(answerRoots, name) ||
		slices.Contains([]string{"true", "false", "nil", "not", "and", "or", "in", "let", "if", "else", "matches", "contains", "startsWith", "endsWith"}, name):
		return fmt.Sprintf("%q has a meaning of its own: name the loop variable otherwise", name)
	}
	return ""
}

// with returns the names inside a loop with one more variable.
func (n Names) with(loop string) Names {
	n.Loops = append(slices.Clone(n.Loops), loop)
	return n
}

// unknownRoot says why an identifier may not be used, or "".
func (n Names) unknownRoot(name string) string {
	known := slices.Concat(roots, n.Loops)
	if len(n.Loops) > 0 {
		known = append(known, "index")
	}
	if n.Answer {
		known = append(known, answerRoots...)
	}
	switch {
	case slices.Contains(known, name):
		return ""
	case slices.Contains(answerRoots, name):
		return name + " exists only where an answer is looked at: use steps.<id>." + name
	case name == "index":
		return "index exists only in a loop"
	}
	if _, ok := functions[name]; ok {
		return fmt.Sprintf("%s is a function: write %s(...)", name, name)
	}
	return "unknown name " + mapping.Quote(name) + mapping.Suggest(name, known)
}

// unknownMember says why a member of a root does not exist, or "".
func (n Names) unknownMember(root, name string) string {
	switch {
	case root == "input" && n.Inputs != nil && !slices.Contains(n.Inputs, name):
		return "unknown input " + mapping.Quote(name) + mapping.Suggest(name, n.Inputs)
	case root == "values" && !slices.Contains(n.Values, name):
		return "value " + mapping.Quote(name) + " does not exist before here" + mapping.Suggest(name, n.Values)
	case root == "context" && !slices.Contains(contextKeys, name):
		return "context holds nothing called " + mapping.Quote(name) + mapping.Suggest(name, contextKeys)
	case root == "headers" && strings.ToLower(name) != name:
		return "headers are named in lower case: " + mapping.Quote(strings.ToLower(name))
	case root == "steps":
		if _, ok := n.Steps[name]; !ok {
			return "step " + mapping.Quote(name) + " does not exist before here" +
				mapping.Suggest(name, slices.Sorted(maps.Keys(n.Steps)))
		}
	}
	return ""
}

// unknownOfInput says why an input has no such member, or "".
func (n Names) unknownOfInput(input, name string) string {
	known, ok := n.Members[input]
	if !ok || slices.Contains(known, name) {
		return ""
	}
	return fmt.Sprintf("input.%s holds nothing called %s%s", input, mapping.Quote(name), mapping.Suggest(name, known))
}

// unknownOfStep says why a step has no such member, or "".
func (n Names) unknownOfStep(step, name string) string {
	known := slices.Concat(stepNames, n.Steps[step])
	if slices.Contains(known, name) {
		return ""
	}
	return fmt.Sprintf("step %q extracts nothing called %s%s", step, mapping.Quote(name), mapping.Suggest(name, known))
}

// Entity is a record type of a CRM.
type Entity struct {
	Name, Label string
	Keys        map[string]string // further keys of its entry
	Fields      []EntityField
}

// EntityField is a field of a record type.
type EntityField struct {
	Name, Label string
	Type        string // text, phone, email, number, boolean, time or reference
	Updatable   bool
}

// Entities is the list of the record types of an integration. It is immutable;
// nil is the empty list.
type Entities struct {
	list   []Entity
	byName map[string]*Entity
	plain  map[string]map[string]any // as expressions see them
}

// NewEntities returns the list; it keeps what it is given. Of two entities
// whose names differ in nothing but case the first is found.
func NewEntities(list []Entity) *Entities {
	e := &Entities{list: list, byName: map[string]*Entity{}, plain: map[string]map[string]any{}}
	for i := range list {
		key := strings.ToLower(list[i].Name)
		if e.byName[key] == nil {
			e.byName[key], e.plain[key] = &list[i], list[i].plain()
		}
	}
	return e
}

// All returns the entities in their order. The caller must not change them.
func (e *Entities) All() []Entity {
	if e == nil {
		return nil
	}
	return e.list
}

// Find returns the entity of a name; case does not count.
func (e *Entities) Find(name string) (*Entity, bool) {
	if e == nil {
		return nil, false
	}
	found, ok := e.byName[strings.ToLower(name)]
	return found, ok
}

// field finds a field by its name; case does not count.
func (e *Entity) field(name string) (EntityField, bool) {
	for _, f := range e.Fields {
		if strings.EqualFold(f.Name, name) {
			return f, true
		}
	}
	return EntityField{}, false
}

func (e *Entity) plain() map[string]any {
	m := make(map[string]any, len(e.Keys)+3)
	for k, v := range e.Keys {
		m[k] = v
	}
	m["name"], m["label"], m["fields"] = e.Name, e.Label, e.plainFields()
	return m
}

func (e *Entity) plainFields() []any {
	fields := make([]any, len(e.Fields))
	for i, f := range e.Fields {
		fields[i] = map[string]any{"name": f.Name, "label": f.Label, "type": f.Type, "updatable": f.Updatable}
	}
	return fields
}

func (n Names) isLoop(name string) bool { return slices.Contains(n.Loops, name) }
