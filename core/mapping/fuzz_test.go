package mapping_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
)

var findingLine = regexp.MustCompile(`^f\.yaml:[1-9]\d*:[1-9]\d*: [^\x00-\x1f]+$`)

// FuzzParse holds for any text: no panic, no hang, and findings that are one
// line with a place.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"a: 1", "text: x\nlist: [a, b]\nmap: {a: 1}\ninner: {n: 1}\nwait: 10m\n", "? |\n  a\n: - b",
		"a: &x [*x]", "<<: 1", "%YAML 1.1\n---\n", "\xef\xbb\xbfa: b", "a: 'x\r\n y'", "- - - -", "!!map {}",
	} {
		f.Add([]byte(text))
	}
	for _, text := range bombs() {
		if len(text) < 4096 {
			f.Add([]byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 256<<10 {
			return
		}
		began := time.Now()
		file, findings := mapping.Parse("f.yaml", data)
		if len(findings) == 0 {
			require.NotNil(t, file.Root)
			var v sample
			findings = mapping.Decode(file, &v)
		}
		require.Less(t, time.Since(began), 10*time.Second)
		for _, finding := range findings {
			require.Regexp(t, findingLine, finding.String())
		}
	})
}

// sample uses everything that Decode knows.
type sample struct {
	mapping.Pos
	Common
	Text   string                        `yaml:"text" required:"true"`
	Count  int                           `yaml:"count"`
	Small  int8                          `yaml:"small"`
	Share  float64                       `yaml:"share"`
	On     bool                          `yaml:"on"`
	Wait   time.Duration                 `yaml:"wait"`
	List   []mapping.Text                `yaml:"list"`
	Map    map[mapping.Text]mapping.Text `yaml:"map"`
	Inner  *inner                        `yaml:"inner"`
	Inners []inner                       `yaml:"inners"`
	Limit  mapping.Located[int]          `yaml:"limit"`
	Raw    *yaml.Node                    `yaml:"raw"`
	Own    int
}

// Common is embedded: its keys belong to the outer struct.
type Common struct {
	Title string `yaml:"title"`
}

type inner struct {
	mapping.Pos
	N int `yaml:"n" required:"true"`
}
