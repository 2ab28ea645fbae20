package mapping

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The bounds of a folder of mappings.
const (
	maxFileSize = 256 << 10 // bytes in one file
	maxFiles    = 4096      // files in one set
	maxDepth    = 64        // levels of nesting in one file
)

// File is one mapping file. Its node tree holds no aliases, anchors, tags,
// merge keys or duplicate keys. Nobody changes a File once it is read.
type File struct {
	Path string     // slash path relative to the root of the mappings
	Data []byte     // the file's text
	Root *yaml.Node // its one document
}

// Set is what a folder of mappings held at one moment. It is immutable and may
// be shared between goroutines.
type Set struct {
	Files []File // sorted by path; only those without findings of Read
	Hash  string // hex SHA-256 over paths and contents of all files that could be read
}

// Value returns what stands under a key of a mapping; nil for no such key, and for
// a node that is no mapping or nil.
func Value(node *yaml.Node, key string) *yaml.Node {
	for i := 0; node != nil && node.Kind == yaml.MappingNode && i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// Under returns the files below a folder, sorted by path.
func (s *Set) Under(dir string) []File {
	var files []File
	for _, f := range s.Files {
		if strings.HasPrefix(f.Path, dir+"/") {
			files = append(files, f)
		}
	}
	return files
}

// Read reads all *.yaml and *.yml files of fsys and returns what is sound, with
// the findings about all the rest, sorted. Entries whose name begins with a dot
// are passed over. Symbolic links, files that are not regular, and files and
// folders that everybody may write are refused. A set with findings must not be
// served: it lacks the files that the findings are about.
func Read(fsys fs.FS) (*Set, []Finding) {
	var (
		set      = &Set{}
		findings []Finding
		all      []File
	)
	walk(fsys, func(name string, entry fs.DirEntry, err error) {
		if err == nil {
			err = checkEntry(name, entry)
		}
		if err == nil && isYAML(name) && entry.Type().IsRegular() && len(all) <= maxFiles {
			var data []byte
			if data, err = readFile(fsys, name); err == nil {
				all = append(all, File{Path: name, Data: data})
			}
		}
		if err != nil {
			findings = append(findings, File{Path: printable(name)}.AtPos(Pos{}, "%s", reason(err)))
		}
	})
	if len(all) > maxFiles {
		findings = append(findings, File{Path: "."}.AtPos(Pos{}, "more than %d files", maxFiles))
		all = all[:maxFiles]
	}
	slices.SortFunc(all, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range all {
		file, found := Parse(f.Path, f.Data)
		if len(found) == 0 {
			set.Files = append(set.Files, file)
		}
		findings = append(findings, found...)
	}
	set.Hash = hash(all)
	Sort(findings)
	return set, findings
}

// walk visits everything below the root that does not begin with a dot. What
// cannot be listed is visited with its error.
func walk(fsys fs.FS, visit func(name string, entry fs.DirEntry, err error)) {
	_ = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if name != "." && strings.HasPrefix(path.Base(name), ".") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		visit(name, entry, err)
		return nil
	})
}

func isYAML(name string) bool {
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// checkEntry refuses what could bring in something from elsewhere, or from
// someone else. The root's own mode is the operator's choice.
func checkEntry(name string, entry fs.DirEntry) error {
	kind := entry.Type()
	switch {
	case printable(name) != name:
		return errors.New("the name holds signs that cannot be shown")
	case kind&fs.ModeSymlink != 0:
		return errors.New("symbolic links are refused")
	case !isYAML(name) && !kind.IsDir():
		return nil
	case !kind.IsRegular() && !kind.IsDir():
		return errors.New("not a regular file")
	case kind.IsDir() && isYAML(name):
		return errors.New("a folder with the name of a file")
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if name != "." && info.Mode().Perm()&0o002 != 0 {
		return errors.New("everybody may write it: take that away (chmod o-w)")
	}
	return nil
}

func readFile(fsys fs.FS, name string) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// The entry may have been exchanged since it was listed.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err = io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("larger than %d KB", maxFileSize>>10)
	}
	return data, nil
}

// reason leaves out the path that a finding names anyway.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return "cannot be read: " + e.Err.Error()
	}
	return err.Error()
}

func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

func hash(files []File) string {
	h := sha256.New()
	var size [8]byte
	for _, f := range files {
		for _, part := range [][]byte{[]byte(f.Path), f.Data} {
			binary.BigEndian.PutUint64(size[:], uint64(len(part)))
			h.Write(size[:])
			h.Write(part)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Parse makes a File of a text, as Read does for each file it finds. With
// findings the File has no Root.
func Parse(name string, data []byte) (File, []Finding) {
	c := checker{file: File{Path: name, Data: data}}
	if len(data) > maxFileSize {
		c.add(Pos{}, "larger than %d KB", maxFileSize>>10)
		return c.file, c.findings
	}
	root := c.parse(bytes.NewReader(data))
	if root != nil {
		c.tree(root, 1)
	}
	if len(c.findings) == 0 {
		c.file.Root = root
	}
	Sort(c.findings)
	return c.file, c.findings
}
