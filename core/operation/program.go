package operation

import (
	"tandem/core"
	"tandem/core/expression"
)

// program is what an operation does, compiled.
type program struct {
	values []named
	steps  []step
	output *expression.Tree
	secret map[string]bool // folded names of keys whose values are masked
}

// named is a tree with a name: a value, a query parameter, a header, an extract.
type named struct {
	name string
	tree *expression.Tree
}

type step struct {
	id      string
	when    *expression.Program // nil: always
	forEach *expression.Program // nil: once
	as      string
	most    int // turns

	method  string
	path    *expression.Path
	query   []named
	headers []named          // canonical names
	body    *expression.Tree // nil: none
	writes  bool
	reads   bool   // a POST that changes nothing
	key     string // canonical name of the header of the idempotency key

	pages    *pages
	rules    []rule
	optional bool // a rule goes on where no answer comes in time
	extract  []named
}

type pages struct {
	items *expression.Program
	next  *expression.Tree
	most  int
}

// rule says what an answer means that it fits, or that there is none.
type rule struct {
	statuses []int
	kinds    []core.Kind
	when     *expression.Program
	then     verdict
	fail     *failure
}

type failure struct {
	kind    core.Kind
	code    string
	message *expression.Tree // nil: what the upstream says
}

// verdict is what an answer means for the run.
type verdict uint8

const (
	goOn      verdict = iota // a 2xx without a rule
	goOnAsBad                // then: continue
	stop                     // then: stop
	fail                     // then: fail
)
