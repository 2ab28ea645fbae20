package operation

import (
	"regexp"
	"strings"

	"tandem/core/expression"
	"tandem/core/mapping"
)

const (
	maxEntities = 500
	maxFields   = 2000
)

var apiForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]{0,127}$`)

// entitiesForm is the form of <integration>/entities.yaml.
type entitiesForm struct {
	mapping.Pos
	Entities []entityEntry `yaml:"entities" required:"true"`
}

type entityEntry struct {
	mapping.Pos
	Name    mapping.Text `yaml:"name" required:"true"`
	Label   string       `yaml:"label"`
	Set     mapping.Text `yaml:"set"`
	ID      mapping.Text `yaml:"id"`
	Key     mapping.Text `yaml:"key"`
	Display mapping.Text `yaml:"display"`
	URL     mapping.Text `yaml:"url"`
	Path    mapping.Text `yaml:"path"`
	Prefix  mapping.Text `yaml:"prefix"`
	Fields  []fieldEntry `yaml:"fields"`
}

type fieldEntry struct {
	mapping.Pos
	Name      mapping.Text `yaml:"name" required:"true"`
	Label     string       `yaml:"label"`
	Type      mapping.Text `yaml:"type" enum:"text,phone,email,number,boolean,time,reference"`
	Updatable bool         `yaml:"updatable"`
}

// entities makes the entities of their file.
func (l *loader) entities() *expression.Entities {
	var f entitiesForm
	l.findings = mapping.Decode(l.file, &f)
	var list []expression.Entity
	seen := map[string]bool{}
	for _, e := range shorten(l, f.Entities, maxEntities, "entities", f.Pos) {
		if !l.apiName(e.Name, "an entity", seen) {
			continue
		}
		entity := expression.Entity{Name: e.Name.Value, Label: e.Label, Keys: map[string]string{}}
		if entity.Label == "" {
			entity.Label = entity.Name
		}
		for key, t := range map[string]mapping.Text{
			"set": e.Set, "id": e.ID, "key": e.Key, "display": e.Display, "url": e.URL, "path": e.Path, "prefix": e.Prefix,
		} {
			if t.Given() {
				entity.Keys[key] = t.Value
			}
		}
		entity.Fields = l.fields(e)
		list = append(list, entity)
	}
	return expression.NewEntities(list)
}

func (l *loader) fields(e entityEntry) []expression.EntityField {
	var list []expression.EntityField
	seen := map[string]bool{}
	for _, f := range shorten(l, e.Fields, maxFields, "fields", e.Pos) {
		if !l.apiName(f.Name, "a field", seen) {
			continue
		}
		field := expression.EntityField{Name: f.Name.Value, Label: f.Label, Type: "text", Updatable: f.Updatable}
		if field.Label == "" {
			field.Label = field.Name
		}
		if f.Type.Value != "" {
			field.Type = f.Type.Value
		}
		list = append(list, field)
	}
	return list
}

// apiName judges the name of an entity or a field, which becomes part of
// queries and paths as it is.
func (l *loader) apiName(t mapping.Text, what string, seen map[string]bool) bool {
	low := strings.ToLower(t.Value)
	switch {
	case t.Value == "": // found by Decode
		return false
	case !apiForm.MatchString(t.Value):
		l.add(t.Pos, "%s is not the API name of %s: it is made of letters, digits, _ and dots", mapping.Quote(t.Value), what)
		return false
	case seen[low]:
		l.add(t.Pos, "duplicate name %q", t.Value)
		return false
	}
	seen[low] = true
	return true
}
