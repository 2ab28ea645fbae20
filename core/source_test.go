package core_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/version"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSourceRules(t *testing.T) {
	t.Parallel()
	var wrong []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"testdata", "node_modules", "bin"}, d.Name())) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found, err := breaches(filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator))), source)
		wrong = append(wrong, found...)
		return err
	})
	require.NoError(t, err)
	require.Empty(t, wrong, strings.Join(wrong, "\n"))
}

func TestBreaches(t *testing.T) {
	t.Parallel()
	const source = `package p
import (
	"math/rand/v2"
	web "net/http"
	"time"
)
func init() {}
type s struct{}
func (s) init() {}
var _ = time.Now
var _ = time.Since
var _ = time.Second
var _ = rand.N(1)
var _, _ = web.Get("")
var _ = web.DefaultClient
var _ = tls.Config{InsecureSkipVerify: true}
`
	for _, c := range []struct {
		path string
		want []int // lines
	}{
		{"core/engine/x.go", []int{3, 7, 10, 11, 14, 15, 16}},
		{"core/clock.go", []int{3, 7, 14, 15, 16}},
		{"core/store/pgtest/x.go", []int{7}},
		{"core/engine/x_test.go", []int{7}},
		{"adapters/webex/x.go", []int{7, 14, 15, 16}},
		{"cmd/tandem/x.go", []int{7, 14, 15, 16}},
	} {
		found, err := breaches(c.path, []byte(source))
		require.NoError(t, err)
		var lines []int
		for _, f := range found {
			line, err := strconv.Atoi(strings.Split(f, ":")[1])
			require.NoError(t, err)
			lines = append(lines, line)
		}
		slices.Sort(lines)
		require.Equal(t, c.want, lines, "%s: %v", c.path, found)
	}
}

// floors are the lowest versions without a known vulnerability that concerns a
// hub, or the release that was current when the version was last reviewed.
var floors = map[string]string{
	"github.com/coreos/go-oidc/v3":          "v3.21.0",
	"github.com/go-jose/go-jose/v4":         "v4.0.5", // CVE-2025-27144
	"github.com/golang-jwt/jwt/v5":          "v5.2.2", // CVE-2025-30204
	"github.com/hashicorp/go-retryablehttp": "v0.7.7", // CVE-2024-6104
	"github.com/jackc/pgx/v5":               "v5.5.4", // CVE-2024-27304
	"github.com/labstack/echo/v4":           "v4.16.0",
	"github.com/mattn/go-sqlite3":           "v1.14.52", // carries SQLite itself
	"go.yaml.in/yaml/v3":                    "v3.0.1",
	"golang.org/x/crypto":                   "v0.45.0", // CVE-2025-58181
	"golang.org/x/net":                      "v0.38.0", // CVE-2025-22872
	"golang.org/x/oauth2":                   "v0.27.0", // CVE-2025-22868
	"google.golang.org/protobuf":            "v1.33.0", // CVE-2024-24786
	"gopkg.in/yaml.v3":                      "v3.0.1",  // CVE-2022-28948
}

func TestVersionFloors(t *testing.T) {
	t.Parallel()
	var mod struct {
		Toolchain string
		Require   []struct{ Path, Version string }
		Replace   []struct{ Old struct{ Path string } }
	}
	require.NoError(t, json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod))
	require.Empty(t, mod.Replace, "a replaced module has no version to check")
	require.GreaterOrEqual(t, compare(mod.Toolchain, "go1.26.8"), 0, "toolchain %s", mod.Toolchain)
	for _, r := range mod.Require {
		if floor, ok := floors[r.Path]; ok {
			require.GreaterOrEqual(t, compare(r.Version, floor), 0, "%s %s is below %s", r.Path, r.Version, floor)
		}
	}
	require.Negative(t, compare("v4.9.0", "v4.16.0"))
	require.Zero(t, compare("v4.16.0", "v4.16.0"))
}

// compare orders versions like strings.Compare. The standard library compares
// only Go's own versions, which differ from a module's in the first letters; a
// pre-release comes before everything.
func compare(a, b string) int {
	normal := func(v string) string { return "go" + strings.TrimLeft(v, "vgo") }
	return version.Compare(normal(a), normal(b))
}

// breaches returns what a source file does against the rules, one line each,
// beginning with path:line. Time, chance and the HTTP client are lent, so that
// tests own them.
func breaches(path string, source []byte) ([]string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var found []string
	report := func(n ast.Node, what string) {
		found = append(found, fmt.Sprintf("%s:%d: %s", path, files.Position(n.Pos()).Line, what))
	}
	test := strings.HasSuffix(path, "_test.go") || strings.HasSuffix(filepath.Dir(path), "test")
	lentOnly := under(path, "core") && !test

	imports := map[string]string{} // local name to path
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		name := imported[strings.LastIndex(imported, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		imports[name] = imported
		if lentOnly && (imported == "math/rand" || imported == "math/rand/v2") {
			report(spec, "math/rand: take a source of chance from the caller, or crypto/rand")
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n, "no init functions")
			}
		case *ast.Ident:
			if n.Name == "InsecureSkipVerify" && !test {
				report(n, "certificates are always checked")
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				switch name := imports[x.Name] + "." + n.Sel.Name; name {
				case "net/http.DefaultClient", "net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm":
					if !test {
						report(n, name+": use the client of core/outbound")
					}
				case "time.Now", "time.Since", "time.Until", "time.Sleep":
					if lentOnly && path != "core/clock.go" {
						report(n, name+": use core.Clock")
					}
				}
			}
		}
		return true
	})
	return found, nil
}
