package expression

import (
	"fmt"
	"time"
)

// Compile compiles an expression without a file around it.
func Compile(source string, n Names) (*Program, error) {
	code, answer, err := compile(source, n)
	if err != nil {
		return nil, err
	}
	return &Program{answer, code, n.Entities, func(offset int) string {
		line, column := 1, 1
		for i, r := range []rune(source) {
			if i == offset {
				break
			}
			if column++; r == '\n' {
				line, column = line+1, 1
			}
		}
		return fmt.Sprintf("expression:%d:%d", line, column)
	}}, nil
}

// OffsetOf is where the error of Compile stands; -1: it is none of its own.
func OffsetOf(err error) int {
	if e, ok := err.(*syntaxFault); ok { //nolint:errorlint // never wrapped
		return e.offset
	}
	return -1
}

// Looks evaluates something that is nothing but work, and looks at the time so
// often.
func Looks(times int, watch func() time.Duration) error {
	r := &run{watch: watch}
	for range times {
		if err := r.spend(checkTime); err != nil {
			return err
		}
	}
	return nil
}
