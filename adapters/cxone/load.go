package cxone

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
)

// folder is where the configurations stand, beside the integration CXone itself.
const folder = "cxone"

// What a file says where it says nothing, and its bounds.
const (
	defaultCache = 30 * time.Minute
	maxCache     = 24 * time.Hour
	maxFindings  = 100
	maxName      = 128 // characters
)

// The words of a status.
const (
	active   = "active"
	inactive = "inactive"
)

var (
	guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	pathForm = regexp.MustCompile(`^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$`)
)

// configurationsFile is the form of cxone/configurations.yaml, and of any other
// file there but the integration's.
type configurationsFile struct {
	mapping.Pos
	Tenant         mapping.Text          `yaml:"tenant" required:"true"`
	Enabled        mapping.Located[bool] `yaml:"enabled"`
	Configurations []configurationEntry  `yaml:"configurations"`
}

type configurationEntry struct {
	mapping.Pos
	ID            mapping.Text                   `yaml:"id" required:"true"`
	Name          mapping.Text                   `yaml:"name" required:"true"`
	Description   string                         `yaml:"description"`
	Status        mapping.Text                   `yaml:"status" enum:"active,inactive"`
	Integration   mapping.Text                   `yaml:"integration"`
	Authorization mapping.Text                   `yaml:"authorization"`
	Type          typeEntry                      `yaml:"type"`
	Cache         mapping.Located[time.Duration] `yaml:"cache"`
	Workflows     []workflowEntry                `yaml:"workflows"`
	DataMappings  []mappingEntry[dataField]      `yaml:"data_mappings"`
	CardMappings  []mappingEntry[cardField]      `yaml:"dynamic_data_mappings"`
}

type typeEntry struct {
	ID   string `yaml:"id"`
	Name string `yaml:"name"`
}

type workflowEntry struct {
	mapping.Pos
	ID        mapping.Text `yaml:"id" required:"true"`
	Name      mapping.Text `yaml:"name" required:"true"`
	Action    mapping.Text `yaml:"action"`
	Operation mapping.Text `yaml:"operation"`
	Task      mapping.Text `yaml:"task" enum:"get,update,queue,connect,close"`
	Status    mapping.Text `yaml:"status" enum:"active,inactive"`
	Input     *yaml.Node   `yaml:"input"`
}

// mappingEntry is a mapping of either kind, by its fields.
type mappingEntry[F any] struct {
	ID          mapping.Text `yaml:"id" required:"true"`
	Name        mapping.Text `yaml:"name" required:"true"`
	Description string       `yaml:"description"`
	Status      mapping.Text `yaml:"status" enum:"active,inactive"`
	Entities    []struct {
		Entity mapping.Text `yaml:"entity" required:"true"`
		Fields []F          `yaml:"fields" required:"true"`
	} `yaml:"entities" required:"true"`
}

type dataField struct {
	Name mapping.Text `yaml:"name" required:"true"`
	From mapping.Text `yaml:"from" required:"true"`
}

type cardField struct {
	Name  mapping.Text `yaml:"name" required:"true"`
	Label mapping.Text `yaml:"label" required:"true"`
}

// Load makes configurations of the files of a set that stand in cxone/, apart
// from its integration.yaml and its operations, and returns everything that is wrong with them,
// sorted. tenants are the names that the directory knows. With findings the
// configurations are not good for serving.
func Load(set *mapping.Set, integrations *integration.Catalogue, operations *operation.Catalogue, tenants []string) (*Configurations, []mapping.Finding) {
	c := &Configurations{tenants: map[string]*tenantSet{}, operations: operations}
	ids := map[string]holder{}
	var findings []mapping.Finding
	for _, f := range set.Under(folder) {
		if f.Path == folder+"/integration.yaml" || operation.Owns(f) {
			continue
		}
		l := loader{file: f, ids: ids, integrations: integrations, operations: operations}
		l.load(c, tenants)
		findings = append(findings, l.findings[:min(len(l.findings), maxFindings)]...)
	}
	mapping.Sort(findings)
	return c, findings
}

// loader makes the configurations of one file.
type loader struct {
	file         mapping.File
	ids          map[string]holder // over all tenants
	integrations *integration.Catalogue
	operations   *operation.Catalogue
	findings     []mapping.Finding
}

func (l *loader) add(pos mapping.Pos, format string, args ...any) {
	l.keep(l.file.AtPos(pos, format, args...))
}

func (l *loader) keep(f mapping.Finding) {
	if len(l.findings) < maxFindings {
		l.findings = append(l.findings, f)
	}
}

func (l *loader) load(c *Configurations, tenants []string) {
	var f configurationsFile
	l.findings = mapping.Decode(l.file, &f)
	name := f.Tenant.Value
	switch {
	case name == "": // found by Decode
	case !slices.Contains(tenants, name):
		l.keep(l.file.AtPos(f.Tenant.Pos, "unknown tenant %s%s", mapping.Quote(name), mapping.Suggest(name, tenants)).
			Because("directory/"+name+".yaml", "directory/"+name+".yml"))
	case c.tenants[name] != nil:
		l.add(f.Tenant.Pos, "there is another file for the tenant %q", name)
	}
	t := &tenantSet{enabled: !f.Enabled.Given() || f.Enabled.Value}
	if c.tenants[name] == nil {
		c.tenants[name] = t
	}
	for _, e := range f.Configurations {
		t.list = append(t.list, l.configuration(e))
	}
}

func (l *loader) configuration(e configurationEntry) *configuration {
	c := &configuration{
		id: l.id(e.ID, "configuration", e.Name), name: l.name(e.Name), description: e.Description,
		active: e.Status.Value != inactive, integration: l.integrationOf(e), authorization: e.Authorization.Value,
		typeID: e.Type.ID, typeName: e.Type.Name, cache: defaultCache,
	}
	if name := c.authorization; name != strings.TrimSpace(name) || utf8.RuneCountInString(name) > 64 {
		l.add(e.Authorization.Pos, "the name of an authorization has at most 64 characters and no space around it")
	}
	if e.Cache.Given() {
		if c.cache = e.Cache.Value; c.cache < 0 || c.cache > maxCache {
			l.add(e.Cache.Pos, "cache must be from 0s (no cache) to 24h")
		}
	}
	c.typeID = cmp.Or(c.typeID, c.integration.ID, hubType)
	c.typeName = cmp.Or(c.typeName, c.integration.Title, hubTitle)
	for _, w := range e.Workflows {
		c.workflows = append(c.workflows, l.workflow(c, w))
	}
	c.dataMappings = mappings(l, e.DataMappings, "data mapping", func(f dataField) mappedField {
		if f.From.Value != "" && !pathForm.MatchString(f.From.Value) {
			l.add(f.From.Pos, "from is a path in cxoneContact, such as dispositionNotes or scriptVariables.account")
		}
		return mappedField{f.Name.Value, f.From.Value}
	})
	c.cardMappings = mappings(l, e.CardMappings, "dynamic data mapping", func(f cardField) mappedField {
		return mappedField{f.Name.Value, f.Label.Value}
	})
	return c
}

// mappings makes the mappings of one kind.
func mappings[F any](l *loader, entries []mappingEntry[F], what string, field func(F) mappedField) []*dataMapping {
	var list []*dataMapping
	for _, e := range entries {
		m := &dataMapping{id: l.id(e.ID, what, e.Name), name: l.name(e.Name), description: e.Description, active: e.Status.Value != inactive}
		for _, in := range e.Entities {
			out := mappedEntity{name: in.Entity.Value}
			for _, f := range in.Fields {
				out.fields = append(out.fields, field(f))
			}
			m.entities = append(m.entities, out)
		}
		list = append(list, m)
	}
	return list
}

func (l *loader) workflow(c *configuration, e workflowEntry) *workflow {
	w := &workflow{
		id: l.id(e.ID, "workflow", e.Name), name: l.name(e.Name), action: e.Action.Value, active: e.Status.Value != inactive,
	}
	if e.Action.Given() && !slices.Contains(actions, w.action) {
		l.add(e.Action.Pos, "unknown action %s%s: it is one of %s",
			mapping.Quote(w.action), mapping.Suggest(w.action, actions), strings.Join(actions, ", "))
	}
	switch w.operation = taskOperations[e.Task.Value]; {
	case w.operation != nil && e.Operation.Given():
		l.add(e.Operation.Pos, "a workflow has an operation or a task, not both")
	case w.operation != nil:
		w.task = e.Task.Value
	case !e.Task.Given() && !e.Operation.Given():
		l.add(e.Pos, `"operation" is missing, or "task"`)
	}
	if w.operation == nil {
		w.operation = l.operation(c.integration, e.Operation)
	}
	if e.Input != nil {
		w.input = l.input(w.operation, e.Input)
	}
	return w
}

// input reads the fixed input of a workflow, whose names its operation must
// know.
func (l *loader) input(op *operation.Operation, node *yaml.Node) map[string]any {
	value, findings := operation.Literal(l.file, node)
	l.findings = append(l.findings, findings...)
	fixed, ok := value.(map[string]any)
	if !ok {
		l.findings = append(l.findings, l.file.At(node, "input must be a mapping of inputs to values"))
		return nil
	}
	var known []string
	for _, in := range op.Inputs {
		known = append(known, in.Name)
	}
	for i := 0; i+1 < len(node.Content) && op.Name != ""; i += 2 {
		key := node.Content[i]
		if !slices.Contains(known, key.Value) {
			l.keep(l.file.At(key, "the operation has no input %s%s", mapping.Quote(key.Value), mapping.Suggest(key.Value, known)).Because(op.File))
		} else if why := op.Refuses(key.Value, fixed[key.Value]); why != "" {
			l.keep(l.file.At(node.Content[i+1], "%s: the input %s", mapping.Quote(key.Value), why).Because(op.File))
		}
	}
	return fixed
}

// holder is what has an id.
type holder struct {
	what, name, file string
	line             int
}

// shown names the holder to whoever writes a file: what stands in another file is
// another tenant's.
func (h holder) shown(file string) string {
	if h.file != file {
		return "something in " + h.file
	}
	return fmt.Sprintf("the %s %s on line %d", h.what, mapping.Quote(h.name), h.line)
}

// id checks a GUID, and that it is the only one of its kind and any other.
func (l *loader) id(id mapping.Text, what string, name mapping.Text) string {
	folded := strings.ToLower(id.Value)
	switch {
	case folded == "": // found by Decode
	case !guidForm.MatchString(folded):
		l.add(id.Pos, "the id of a %s is a GUID such as 01899438-147f-433b-945b-f1fde6d91877", what)
	case l.ids[folded] != holder{}:
		l.add(id.Pos, "the id belongs to %s already", l.ids[folded].shown(l.file.Path))
	default:
		l.ids[folded] = holder{what, name.Value, l.file.Path, id.Line}
	}
	return folded
}

func (l *loader) name(name mapping.Text) string {
	if utf8.RuneCountInString(name.Value) > maxName {
		l.add(name.Pos, "a name has at most %d characters", maxName)
	}
	return name.Value
}

// integrationOf returns the integration of a configuration: the hub itself, where
// all workflows are about its tasks and none is named.
func (l *loader) integrationOf(e configurationEntry) *integration.Integration {
	other := func(w workflowEntry) bool { return !w.Task.Given() }
	switch {
	case e.Integration.Given():
		return l.integration(e.Integration)
	case len(e.Workflows) == 0 || slices.ContainsFunc(e.Workflows, other):
		l.add(e.Pos, `"integration" is missing`)
	}
	return &integration.Integration{}
}

// integration returns the named integration; an empty one with a finding.
func (l *loader) integration(id mapping.Text) *integration.Integration {
	if i, ok := l.integrations.Integration(id.Value); ok {
		return i
	}
	var known []string
	for _, i := range l.integrations.All() {
		known = append(known, i.ID)
	}
	if id.Value != "" {
		l.keep(l.file.AtPos(id.Pos, "unknown integration %s%s", mapping.Quote(id.Value), mapping.Suggest(id.Value, known)).
			Because(id.Value + "/integration.yaml"))
	}
	if slices.ContainsFunc(l.operations.All(), func(op *operation.Operation) bool { return op.Integration == id.Value }) {
		return &integration.Integration{ID: id.Value}
	}
	return &integration.Integration{}
}

// operation returns the named operation; an empty one with a finding.
func (l *loader) operation(i *integration.Integration, name mapping.Text) *operation.Operation {
	if op, ok := l.operations.Operation(i.ID, name.Value); ok {
		return op
	}
	if i.ID != "" && name.Value != "" {
		var known []string
		for _, op := range l.operations.All() {
			if op.Integration == i.ID {
				known = append(known, op.Name)
			}
		}
		l.keep(l.file.AtPos(name.Pos, "%s has no operation %s%s", i.ID, mapping.Quote(name.Value), mapping.Suggest(name.Value, known)).
			Because(i.ID + "/" + name.Value + ".yaml"))
	}
	return &operation.Operation{}
}
