package mapping

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFindings bounds what is said about one file: whoever made that many
// mistakes made one mistake many times.
const maxFindings = 100

// Finding is one thing that is wrong with a mapping file. Line and column count
// from 1; the column is 1 where only the line is known.
type Finding struct {
	File    string // slash path relative to the root of the mappings
	Line    int
	Column  int
	Message string // one line, for the person who edits the file
	causes  string // paths of files, with line feeds between
}

// String returns the finding as editors understand it: file:line:col: message.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Message)
}

// Because returns the finding with the files that may be the cause of it: were
// they there and understood, nothing might be wrong here. A path that ends in a
// slash stands for every file below.
func (f Finding) Because(files ...string) Finding {
	f.causes = strings.Join(files, "\n")
	return f
}

// WithoutConsequences leaves out, in place, the findings that may have no other
// cause than a file about which there is a finding, too, as long as something is
// the cause of it all.
func WithoutConsequences(findings []Finding) []Finding {
	wrong := map[string]bool{}
	blame := func(f Finding) {
		wrong[f.File] = true
		for dir := f.File; dir != "." && dir != "/"; {
			dir = path.Dir(dir)
			wrong[dir+"/"] = true
		}
	}
	follows := func(f Finding) bool {
		return f.causes != "" && slices.ContainsFunc(strings.Split(f.causes, "\n"), func(file string) bool {
			for !wrong[file] && file != "." && file != "/" {
				file = path.Dir(file) // a folder that cannot be listed; the root, when there are too many files
			}
			return wrong[file]
		})
	}
	for _, f := range findings {
		if f.causes == "" {
			blame(f)
		}
	}
	for before := -1; before != len(findings); {
		before = len(findings)
		findings = slices.DeleteFunc(findings, func(f Finding) bool {
			if !follows(f) {
				return false
			}
			blame(f)
			return true
		})
	}
	return findings
}

// Sort orders findings by file, line, column and message, in place.
func Sort(findings []Finding) {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
}

// Pos is a place in a file. A struct that has a field of this type, usually
// embedded, gets the place of its own node from Decode.
type Pos struct {
	Line, Column int
}

// Given tells whether the value stood in the file at all.
func (p Pos) Given() bool { return p.Line > 0 }

// Located is a value that knows where it stood, for checks that come after
// Decode. It may be the key of a map.
type Located[T any] struct {
	Pos
	Value T `yaml:",value"`
}

// Text is a text that knows where it stood.
type Text = Located[string]

// At returns a finding at a node of the file.
func (f File) At(node *yaml.Node, format string, args ...any) Finding {
	return f.AtPos(Pos{node.Line, node.Column}, format, args...)
}

// AtPos returns a finding at a place of the file; the zero place is its start.
func (f File) AtPos(pos Pos, format string, args ...any) Finding {
	return Finding{File: f.Path, Line: max(pos.Line, 1), Column: max(pos.Column, 1), Message: fmt.Sprintf(format, args...)}
}

// Quote returns s quoted for a message: without control characters, and cut
// when it is long.
func Quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strconv.Quote(s)
}

// Suggest returns ` (did you mean "x"?)` with the known word that is most like
// word, or nothing when none is like it. Case and the signs between words do
// not count.
func Suggest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	plain := strings.NewReplacer("_", "", "-", "", " ", "")
	fold := func(s string) []rune { return []rune(strings.ToLower(plain.Replace(s))) }
	w := fold(word)
	best, least := "", 1+max(1, len(w)/3)
	for _, k := range known {
		if d := distance(w, fold(k)); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + strconv.Quote(best) + "?)"
}

// distance counts the letters to insert, delete, replace or swap with their
// neighbour on the way from a to b.
func distance(a, b []rune) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
