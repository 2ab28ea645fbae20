package expression

import (
	"errors"
	"fmt"
	"time"

	"tandem/core"
)

// The bounds of one evaluation.
const (
	maxText   = 256 << 10 // bytes of a text and, as JSON, of a result
	maxTurns  = 10_000    // turns of loops
	maxWork   = 1 << 20   // entries looked at and, by fours, bytes of texts made or read
	maxTime   = 50 * time.Millisecond
	checkTime = 1 << 12              // work between two looks at the time
	longLook  = 5 * time.Millisecond // what counts at most between two looks
	maxDepth  = 64                   // levels of nesting of a result
)

// Env is the data of one evaluation: values as encoding/json decodes them, with
// or without UseNumber. Expressions never change it, and results may share
// parts of it.
type Env struct {
	Input, Values, Steps map[string]any
	Body                 any
	Status               int
	Headers              map[string]any // by lower-case name
	Base                 string
	Settings             map[string]string
	Context              map[string]any
	Loops                map[string]any // loop variables by name
	Index                int            // of the innermost loop
}

// run is one evaluation: its data and what is left of its budget.
type run struct {
	env      *Env
	entities *Entities
	scopes   []scope // of the predicates around, innermost last
	turns    int
	work     int
	checked  int                  // work at the last look at the time
	watch    func() time.Duration // nil until the first look
	looked   time.Duration        // what the watch showed at the last look
	took     time.Duration        // what of that counts
}

// scope is the entry that a predicate looks at.
type scope struct {
	item  any
	index int
}

// eval is a compiled part of an expression.
type eval func(*run) (any, error)

func newRun(e *Env, entities *Entities) *run {
	if e == nil {
		e = &Env{}
	}
	return &run{env: e, entities: entities}
}

// turn counts one turn of a loop.
func (r *run) turn() error {
	r.turns++
	if r.turns > maxTurns {
		return wrong("takes more than %d turns of loops", maxTurns)
	}
	return r.spend(1)
}

// spend counts work. The time is looked at only after a good deal of it, and of
// the time between two looks no more counts than so much work can take: a
// machine that does other things meanwhile ends no evaluation.
func (r *run) spend(n int) error {
	r.work += n
	if r.work > maxWork {
		return wrong("is too much work")
	}
	if r.work-r.checked < checkTime {
		return nil
	}
	r.checked = r.work
	if r.watch == nil {
		r.watch = core.Stopwatch()
		return nil
	}
	now := r.watch()
	r.took += min(now-r.looked, longLook)
	if r.looked = now; r.took > maxTime {
		return wrong("takes longer than %v", maxTime)
	}
	return nil
}

// text bounds a text that an operator or function has made.
func (r *run) text(s string) (any, error) {
	if err := r.fits(len(s)); err != nil {
		return nil, err
	}
	return s, nil
}

// fits tells whether a text of so many bytes may be made.
func (r *run) fits(size int) error {
	if size > maxText {
		return wrong("gives more than 256 KB")
	}
	return r.spend(1 + size/4)
}

// problem is something that an expression cannot do with its data. Its text
// never holds a value of the data.
type problem struct {
	offset int // runes from the start of the expression; -1: not yet known
	what   string
}

func (p *problem) Error() string { return p.what }

func wrong(format string, args ...any) error {
	return &problem{-1, fmt.Sprintf(format, args...)}
}

// at gives an error its place, unless it has one.
func at(offset int, err error) error {
	if p, ok := err.(*problem); ok && p.offset < 0 { //nolint:errorlint // never wrapped
		return &problem{offset, p.what}
	}
	return err
}

// CodeMapping is the code of the error of an evaluation.
const CodeMapping = "MAPPING_ERROR"

// mappingError returns the error of an evaluation for the caller.
func mappingError(err error, place func(offset int) string) error {
	if p, ok := errors.AsType[*problem](err); ok {
		return &core.Error{Kind: core.Mapping, Code: CodeMapping, Message: place(max(p.offset, 0)) + ": " + p.what}
	}
	return err
}

// guarded evaluates and never panics.
func guarded(r *run, e eval) (v any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			v, err = nil, wrong("cannot be evaluated with this data")
		}
	}()
	return e(r)
}
