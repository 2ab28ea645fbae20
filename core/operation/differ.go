package operation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

const (
	maxDifferences = 30
	maxBrief       = 200 // bytes of a value in a difference
)

// differ appends a line for each place at which two documents differ, at most
// maxDifferences lines in all.
func differ(lines []string, path string, want, got any) []string {
	if len(lines) >= maxDifferences {
		return lines
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			break
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if value, there := g[key]; there {
				lines = differ(lines, path+"."+key, w[key], value)
			} else if w[key] != nil {
				lines = unlike(lines, path+"."+key, brief(w[key]), "nothing")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(g)) {
			if _, there := w[key]; !there {
				lines = unlike(lines, path+"."+key, "nothing", brief(g[key]))
			}
		}
		return lines
	case []any:
		g, ok := got.([]any)
		if !ok {
			break
		}
		for i := range max(len(w), len(g)) {
			at := path + "[" + strconv.Itoa(i) + "]"
			switch {
			case i >= len(g):
				lines = unlike(lines, at, brief(w[i]), "nothing")
			case i >= len(w):
				lines = unlike(lines, at, "nothing", brief(g[i]))
			default:
				lines = differ(lines, at, w[i], g[i])
			}
		}
		return lines
	default:
		if sameScalar(want, got) {
			return lines
		}
	}
	return unlike(lines, path, brief(want), brief(got))
}

func unlike(lines []string, path, want, got string) []string {
	if len(lines) >= maxDifferences {
		return lines
	}
	return append(lines, fmt.Sprintf("%s: want %s, got %s", path, want, got))
}

// sameScalar compares texts, truth values and, by their value, numbers.
func sameScalar(a, b any) bool {
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	if a == b {
		return true
	}
	x, ok := float(a)
	y, also := float(b)
	return ok && also && x == y
}

func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case json.Number:
		x, err := v.Float64()
		return x, err == nil
	default:
		return 0, false
	}
}

// brief is a value as JSON, cut.
func brief(v any) string { return Cut(string(compact(v)), maxBrief) }
