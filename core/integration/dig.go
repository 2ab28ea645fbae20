package integration

import (
	"strconv"
	"strings"
)

// Dig follows a path into a decoded JSON value: names with dots between, where
// numbers count the entries of an array from 0, for example 0.errorCode. It
// returns nil when there is nothing.
func Dig(value any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch inner := value.(type) {
		case map[string]any:
			value = inner[step]
		case []any:
			n, err := strconv.Atoi(step)
			if err != nil || n < 0 || n >= len(inner) {
				return nil
			}
			value = inner[n]
		default:
			return nil
		}
	}
	return value
}
