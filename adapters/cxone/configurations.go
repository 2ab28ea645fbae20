package cxone

import (
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/operation"
)

// Configurations is what the configuration files say: for every tenant the
// connections to CRMs and their workflows, with the operations that they run. It
// never changes and may be shared between goroutines. The zero Configurations
// has none.
type Configurations struct {
	tenants    map[string]*tenantSet
	operations *operation.Catalogue
}

// tenantSet is what one tenant has.
type tenantSet struct {
	enabled bool
	list    []*configuration // in the order of the file
}

// configuration is a connection to a CRM. Ids are in lower case here and below.
type configuration struct {
	id, name, description string
	active                bool
	integration           *integration.Integration
	authorization         string // empty: the default
	typeID, typeName      string
	cache                 time.Duration // 0: results are not kept
	workflows             []*workflow
	dataMappings          []*dataMapping
	cardMappings          []*dataMapping
}

// workflow is an operation, or something done with a task of the hub, under an id
// of CXone.
type workflow struct {
	id, name  string
	action    string // empty: the file does not say
	active    bool
	task      string // what is done with a task; empty: the operation is run
	operation *operation.Operation
	input     map[string]any // under that of the caller
}

// dataMapping says which fields stand for which, in either direction.
type dataMapping struct {
	id, name, description string
	active                bool
	entities              []mappedEntity
}

type mappedEntity struct {
	name   string
	fields []mappedField
}

// mappedField is a field of the CRM and its other side: a path in cxoneContact,
// or a label on the customer card.
type mappedField struct{ name, other string }

// tenant returns what a tenant has; NotConfigured when that is nothing, or
// switched off.
func (c *Configurations) tenant(name string) (*tenantSet, error) {
	if t := c.tenants[name]; t != nil && t.enabled {
		return t, nil
	}
	return nil, core.Errorf(core.NotConfigured, "agent integrations are not set up for this tenant, or switched off")
}

// find returns a configuration by its id; nil when there is none.
func (t *tenantSet) find(id string) *configuration {
	return pick(t.list, func(c *configuration) bool { return c.id == strings.ToLower(id) })
}

func (c *configuration) workflow(id string) *workflow {
	return pick(c.workflows, func(w *workflow) bool { return w.id == strings.ToLower(id) })
}

// usable returns the active mapping with the id; nil when there is none.
func usable(all []*dataMapping, id string) *dataMapping {
	return pick(all, func(m *dataMapping) bool { return m.active && m.id == strings.ToLower(id) })
}

// pick returns the first that fits, or nil.
func pick[T any](all []*T, fits func(*T) bool) *T {
	if at := slices.IndexFunc(all, fits); at >= 0 {
		return all[at]
	}
	return nil
}

// card returns a dynamic data mapping in the form that operations take.
func (m *dataMapping) card() map[string][]operation.Field {
	card := map[string][]operation.Field{}
	for _, e := range m.entities {
		for _, f := range e.fields {
			card[e.name] = append(card[e.name], operation.Field{Name: f.name, Label: f.other})
		}
	}
	return card
}
