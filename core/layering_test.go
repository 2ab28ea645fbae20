package core_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	module = "tandem"
	root   = ".." // of the module, seen from this folder
)

// closed rooms import nothing of this module but the packages named here.
var closed = map[string][]string{
	"core":            {},
	"core/flow":       {"core", "core/expression", "core/mapping"}, // pure: (workflow, cursor, event) to (cursor, effects)
	"core/expression": {"core", "core/mapping"},                    // pure: (expression, data) to a value
	"authstore":       {"core", "core/integration", "core/store", "core/outbound"},
	"mappings":        {"core/mapping"},
}

// never lists what a part of the house must not import. What a room needs from
// a higher one it declares as a small interface beside its user; cmd wires it.
var never = map[string][]string{
	"core":     {"adapters", "authstore", "mappings"},
	"adapters": {"authstore", "mappings"},
}

// wiring is imported by cmd alone.
var wiring = []string{"cmd", "core/observe"}

// walls names the only places that may import a third-party module; cmd, which
// wires everything, and test helpers may import any.
var walls = map[string][]string{
	"github.com/labstack/echo":              {"core/server", "adapters"},
	"github.com/jmoiron/sqlx":               {"core/store", "core/jobs"},
	"github.com/mattn/go-sqlite3":           {"core/store", "core/jobs"},
	"github.com/jackc/pgx":                  {"core/store", "core/jobs"},
	"github.com/pressly/goose":              {"core/store"},
	"github.com/riverqueue/river":           {"core/jobs"},
	"riverqueue.com/riverui":                {"core/jobs"},
	"github.com/sony/gobreaker":             {"core/outbound"},
	"github.com/hashicorp/go-retryablehttp": {"core/outbound"},
	"golang.org/x/oauth2":                   {"authstore"},
	"github.com/prometheus":                 {"core/observe"},
	"github.com/expr-lang/expr":             {"core/expression"},
	"github.com/nyaruka/phonenumbers":       {"core/expression"},
	"github.com/alecthomas/kong":            {},
	"github.com/knadh/koanf":                {},
	"github.com/stretchr/testify":           {},
	"pgregory.net/rapid":                    {},
	"go.uber.org/goleak":                    {},
}

// folders are the only ones at the top; bin and data are made by running the
// program from a checkout, and git ignores them.
var folders = []string{"adapters", "authstore", "bin", "cmd", "core", "data", "deploy", "mappings"}

func TestTopLevelFolders(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			require.Contains(t, folders, e.Name(), "no other folder belongs at the top")
		}
	}
}

func TestStairs(t *testing.T) {
	t.Parallel()
	var wrong []string
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			if why := forbidden(p.ImportPath, imp); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imp, why))
			}
		}
	}
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	const echo = "github.com/labstack/echo/v4"
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"tandem/core", "net/http", true},
		{"tandem/core", "github.com/google/uuid", false},
		{"tandem/core", "tandem/core/store", false},
		{"tandem/core/engine", "tandem/core", true},
		{"tandem/core/engine", "tandem/core/flow", true},
		{"tandem/core/engine", "tandem/adapters/cxone", false},
		{"tandem/core/engine", "tandem/authstore", false},
		{"tandem/core/engine", "tandem/core/observe", false},
		{"tandem/core/engine", echo, false},
		{"tandem/core/flow", "tandem/core/store", false},
		{"tandem/core/server", echo, true},
		{"tandem/core/store/pgtest", "github.com/stretchr/testify/require", true},
		{"tandem/core/store", "github.com/stretchr/testify/require", false},
		{"tandem/adapters/cxone", echo, true},
		{"tandem/adapters/cxone", "tandem/core/engine", true},
		{"tandem/adapters/cxone", "tandem/adapters/cxone/internal/wire", true},
		{"tandem/adapters/cxone", "tandem/adapters/webex", false},
		{"tandem/adapters/cxone", "tandem/authstore", false},
		{"tandem/authstore", "tandem/core/store", true},
		{"tandem/authstore", "tandem/core/engine", false},
		{"tandem/authstore", "golang.org/x/oauth2/clientcredentials", true},
		{"tandem/core/outbound", "golang.org/x/oauth2", false},
		{"tandem/core/jobs", "github.com/riverqueue/river/riverdriver/riversqlite", true},
		{"tandem/core/store", "github.com/riverqueue/river", false},
		{"tandem/cmd/tandem", echo, true},
		{"tandem/cmd/tandem", "tandem/authstore", true},
		{"tandem/cmd/tandem-bench", "tandem/cmd/tandem", true},
		{"tandem/mappings", "tandem/cmd/tandem", false},
	} {
		require.Equal(t, c.allowed, forbidden(c.from, c.to) == "", "%s imports %s", c.from, c.to)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // only tests
		}
		require.Contains(t, p.GoFiles, "doc.go", p.ImportPath)
		require.NotEmpty(t, p.Doc, p.ImportPath)
	}
}

// forbidden says why the package from may not import to, or "".
func forbidden(from, to string) string {
	from = strings.TrimPrefix(from, module+"/")
	if own, ok := strings.CutPrefix(to, module+"/"); ok {
		return forbiddenStair(from, own)
	}
	if from == "core" && strings.Contains(strings.Split(to, "/")[0], ".") {
		return "core imports the standard library only"
	}
	if under(from, "cmd") || strings.HasSuffix(from, "test") {
		return ""
	}
	for lib, rooms := range walls {
		if strings.HasPrefix(to, lib) && !underAny(from, rooms) {
			return fmt.Sprintf("%s belongs in %v and cmd only", lib, rooms)
		}
	}
	return ""
}

// forbiddenStair is forbidden for packages of this module, without its name.
func forbiddenStair(from, to string) string {
	if under(from, "cmd") {
		return ""
	}
	for _, room := range wiring {
		if under(to, room) && !under(from, room) {
			return "only cmd imports " + room
		}
	}
	if allowed, ok := closed[from]; ok && !slices.Contains(allowed, to) {
		return fmt.Sprintf("%s imports only %v", from, allowed)
	}
	for part, others := range never {
		if under(from, part) && underAny(to, others) {
			return fmt.Sprintf("%s never imports %v", part, others)
		}
	}
	if a, b := adapter(from), adapter(to); a != "" && b != "" && a != b {
		return "adapters never import one another"
	}
	return ""
}

// adapter returns the name of the adapter that a package belongs to, or "".
func adapter(path string) string {
	rest, _ := strings.CutPrefix(path, "adapters/")
	if rest == path {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// under tells whether path is parent or below it.
func under(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func underAny(path string, parents []string) bool {
	return slices.ContainsFunc(parents, func(p string) bool { return under(path, p) })
}

// pkg is what `go list -json` says of a package of this module.
type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string // of the files that are not tests
}

func packages(t *testing.T) []pkg {
	t.Helper()
	var all []pkg
	d := json.NewDecoder(bytes.NewReader(goCommand(t, "list", "-e", "-json=ImportPath,Doc,GoFiles,Imports", "./...")))
	for {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			require.NotEmpty(t, all)
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// goCommand runs the go command at the root of the module.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return out
}
