package operation

import "tandem/core/expression"

// Catalogue is what a set of mapping files says about operations. It never
// changes; nobody changes what it returns.
type Catalogue struct {
	all      []*Operation // by integration, name
	index    map[[2]string]*Operation
	entities map[string]*expression.Entities
	tests    map[*Operation][]*Test
}

// Operation returns an operation of an integration by its name.
func (c *Catalogue) Operation(integration, name string) (*Operation, bool) {
	op, ok := c.index[[2]string{integration, name}]
	return op, ok
}

// All returns the operations by integration and name.
func (c *Catalogue) All() []*Operation { return append([]*Operation(nil), c.all...) }

// Entities returns the entities of an integration, never nil.
func (c *Catalogue) Entities(integration string) *expression.Entities {
	if e := c.entities[integration]; e != nil {
		return e
	}
	return expression.NewEntities(nil)
}

// Tests returns the tests of an operation in the order of their file.
func (c *Catalogue) Tests(op *Operation) []*Test { return c.tests[op] }
