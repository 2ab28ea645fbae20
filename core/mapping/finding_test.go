package mapping_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core/mapping"
)

func TestWithoutConsequences(t *testing.T) {
	t.Parallel()
	at := func(file string, causes ...string) mapping.Finding {
		return mapping.File{Path: file}.AtPos(mapping.Pos{}, "wrong").Because(causes...)
	}
	for name, c := range map[string]struct {
		wrong, cause string
		left         int
	}{
		"another file":               {"a/b.yaml", "a/c.yaml", 2},
		"the file":                   {"a/c.yaml", "a/c.yaml", 1},
		"its folder":                 {"a", "a/c.yaml", 1},
		"too many files":             {".", "a/c.yaml", 1},
		"one of a folder":            {"a/c.yaml", "a/", 1},
		"one of another folder":      {"b/c.yaml", "a/", 2},
		"a name that is no way back": {"a/b.yaml", "../c.yaml", 2},
		"an absolute one":            {"a/b.yaml", "/c.yaml", 2},
	} {
		findings := []mapping.Finding{at(c.wrong), at("z/z.yaml", "y.yaml", c.cause)}
		require.Len(t, mapping.WithoutConsequences(findings), c.left, name)
	}
	chain := []mapping.Finding{at("a.yaml"), at("b.yaml", "a.yaml"), at("c.yaml", "b.yaml")}
	require.Len(t, mapping.WithoutConsequences(chain), 1)
	for _, alone := range [][]mapping.Finding{ // what has no other cause is none
		{at("directory", "directory/")}, {at("a.yaml", "a.yaml")}, {at("a.yaml", "b.yaml"), at("b.yaml", "a.yaml")},
	} {
		require.Len(t, mapping.WithoutConsequences(slices.Clone(alone)), len(alone))
	}
}
