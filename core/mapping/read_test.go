package mapping_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core/coretest"
	"tandem/core/mapping"
)

func texts(findings []mapping.Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.String())
	}
	return list
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text), Mode: 0o644} }

func TestReadSortsAndHashes(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"b/two.yml":      file("b: 2"),
		"b.yaml":         file("b: 1"),
		"a/one.yaml":     file("a: 1"),
		"README.md":      file("not for us"),
		".git/conf.yaml": file("passed: over"),
		"a/.one.yaml":    file("passed: over"),
	}
	set, findings := mapping.Read(fsys)
	require.Empty(t, findings)
	require.Len(t, set.Hash, 64)
	var paths []string
	for _, f := range set.Files {
		paths = append(paths, f.Path)
	}
	require.Equal(t, []string{"a/one.yaml", "b.yaml", "b/two.yml"}, paths)
	require.Len(t, set.Under("b"), 1)
	require.Empty(t, set.Under("c"))

	again, _ := mapping.Read(fsys)
	require.Equal(t, set.Hash, again.Hash)
	fsys["b.yaml"] = file("b: 3")
	other, _ := mapping.Read(fsys)
	require.NotEqual(t, set.Hash, other.Hash)
	delete(fsys, "b.yaml")
	fsys["c.yaml"] = file("b: 1")
	moved, _ := mapping.Read(fsys)
	require.NotEqual(t, set.Hash, moved.Hash)
}

func TestReadFindsEverythingAtOnce(t *testing.T) {
	t.Parallel()
	set, findings := mapping.Read(fstest.MapFS{
		"alias.yaml":      file("a: &x 1\nb: *x\n"),
		"bad/name\n.yaml": file("a: 1"),
		"big.yaml":        file("a: " + strings.Repeat("x", 256<<10)),
		"binary.yaml":     file("a: 1\nb: \xff\n"),
		"deep.yaml":       file(strings.Repeat("[", 65) + strings.Repeat("]", 65)),
		"double.yaml":     file("a: 1\nb:\n  c: 1\n  'c': 2\n"),
		"empty.yaml":      file("# nothing\n"),
		"good.yaml":       file("a: 1\n...\n"),
		"keys.yaml":       file("? [a]\n: 1\n~: 2\n"),
		"link.yaml":       {Data: []byte("good.yaml"), Mode: 0o777 | fs.ModeSymlink},
		"linked":          {Data: []byte("/etc"), Mode: 0o777 | fs.ModeSymlink},
		"merge.yaml":      file("a:\n  <<: {b: 1}\n"),
		"open.yaml":       {Data: []byte("a: 1"), Mode: 0o666},
		"pipe.yaml":       {Mode: 0o644 | fs.ModeNamedPipe},
		"syntax.yaml":     file("a: 1\nb: [1, 2\nc: 3\n"),
		"tag.yaml":        file("a: !!binary aGk=\n"),
		"two.yaml":        file("a: 1\n---\nb: 2\n"),
	})
	require.Equal(t, []string{
		`"bad/name\n.yaml":1:1: the name holds signs that cannot be shown`,
		`alias.yaml:1:4: anchors are refused: write the value out where it is needed`,
		`alias.yaml:2:4: aliases are refused: write the value out`,
		`big.yaml:1:1: larger than 256 KB`,
		`binary.yaml:2:4: not UTF-8`,
		`deep.yaml:1:65: nested deeper than 64 levels`,
		`double.yaml:4:3: duplicate key "c", first on line 3`,
		`empty.yaml:1:1: the file is empty`,
		`keys.yaml:1:3: a key must be a plain word`,
		`keys.yaml:3:1: a key is missing`,
		`link.yaml:1:1: symbolic links are refused`,
		`linked:1:1: symbolic links are refused`,
		`merge.yaml:2:3: merge keys are refused: write the values out`,
		`open.yaml:1:1: everybody may write it: take that away (chmod o-w)`,
		`pipe.yaml:1:1: not a regular file`,
		`syntax.yaml:2:1: not YAML: did not find expected ',' or ']'`,
		`tag.yaml:1:4: tags are refused: "!!binary"`,
		`two.yaml:2:1: a second document: one file holds one`,
	}, texts(findings))
	require.Len(t, set.Files, 1)
	require.Equal(t, "good.yaml", set.Files[0].Path)
}

func TestReadRefusesLinksOnDisk(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	require.NoError(t, os.WriteFile(outside, []byte("a: 1"), 0o600))
	dir := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "x.yaml")))
	set, findings := mapping.Read(os.DirFS(dir))
	require.Equal(t, []string{"x.yaml:1:1: symbolic links are refused"}, texts(findings))
	require.Empty(t, set.Files)

	_, findings = mapping.Read(os.DirFS(filepath.Join(dir, "absent")))
	require.Equal(t, []string{".:1:1: cannot be read: no such file or directory"}, texts(findings))
}

// bombs are texts that have brought down YAML readers.
func bombs() map[string]string {
	laughs := "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n"
	merge := "m0: &m0 {k: v}\n"
	for i := '1'; i <= '9'; i++ {
		p := string(i - 1)
		laughs += "a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat("*a"+p+",", 9) + "]\n"
		merge += "m" + string(i) + ": &m" + string(i) + "\n  <<: [" + strings.Repeat("*m"+p+",", 9) + "]\n"
	}
	half := 128 << 10
	return map[string]string{
		"laughs":         laughs,
		"merge":          merge,
		"self":           "a: &a\n  b: *a\n",
		"brackets":       strings.Repeat("[", 200_000),
		"closed":         strings.Repeat("[", half) + strings.Repeat("]", half),
		"braces":         strings.Repeat("{a: ", 60_000),
		"dashes":         strings.Repeat("- ", half),
		"questions":      strings.Repeat("? ", half),
		"comments":       strings.Repeat("#\n", half-8) + "a: 1",
		"inner comments": "a:\n" + strings.Repeat(" - 1 #\n #\n", 25_000),
		"duplicates":     strings.Repeat("a: 1\n", 50_000),
		"wide":           "[" + strings.Repeat("1,", half-2) + "]",
		"quotes":         strings.Repeat("'a': ", 40_000),
		"anchors":        strings.Repeat("- &a 1\n", 35_000),
		"long":           "a: '" + strings.Repeat("x", 2*half-8) + "'",
		"huge":           "a: " + strings.Repeat("x", 10<<20),
		"line folds":     "a: >\n" + strings.Repeat(" x\n\n", 60_000),
		"tabs":           strings.Repeat("\t", 2*half),
	}
}

func TestParseBombs(t *testing.T) {
	for name, text := range bombs() { // one after the other: it is a matter of time and memory
		var (
			f             mapping.File
			findings      []mapping.Finding
			before, after runtime.MemStats
		)
		coretest.Soon(t, 20*time.Second, name, func() {
			runtime.ReadMemStats(&before)
			f, findings = mapping.Parse("bomb.yaml", []byte(text))
			runtime.ReadMemStats(&after)
		})
		require.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(64), name)
		require.LessOrEqual(t, len(findings), 101, name)
		require.Equal(t, len(findings) == 0, f.Root != nil, name)
	}
}

func TestParseNamesTheLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: 1\nb: c: d\n":       "2:1: not YAML: mapping values are not allowed in this context",
		"- a\nb: 1\n":           "2:1: not YAML: did not find expected '-' indicator",
		"a: 1\nb: {x: 1\n":      "2:1: not YAML: did not find expected ',' or '}'",
		"a:\n\t- b\n":           "2:1: not YAML: found character that cannot start any token",
		"k: v\n\n\nfoo\nbar: 1": "4:1: not YAML: could not find expected ':'",
		"a: 1\nb: *zz\n":        "2:1: not YAML: aliases are refused: write the value out",
		"a: 1\nbc\x01: 2":       "2:3: control characters are refused",
		"a: 1\nb: é\xff":        "2:5: not UTF-8",
		"---\n":                 "1:1: the file is empty",
	} {
		_, findings := mapping.Parse("f.yaml", []byte(text))
		require.Equal(t, []string{"f.yaml:" + want}, texts(findings), text)
	}
}
