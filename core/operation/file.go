package operation

import (
	"go.yaml.in/yaml/v3"

	"tandem/core/mapping"
)

// The names of files in the folder of an integration that are no operations.
const (
	integrationFile = "integration.yaml"
	entitiesFile    = "entities.yaml"
	testSuffix      = "_test"
)

// The bounds of one file.
const (
	maxFindings = 100
	maxInputs   = 100
	maxRedact   = 100
	maxOptions  = 100
	maxValues   = 50
	maxSteps    = 20
	maxRules    = 20
	maxNames    = 50 // in a query, headers, extract
	maxTurns    = 100
	maxPages    = 50

	defaultTurns   = 20
	defaultPages   = 5
	defaultText    = 4096 // characters of a text
	defaultEntries = 100  // of a list
	maxText        = 100_000
	maxEntries     = 1000
	maxMatched     = 64 << 10  // characters of a text with a pattern
	maxMatching    = 8_000_000 // of all such texts, by the instructions of their patterns: a tenth of a second
)

// operationFile is the form of <integration>/<operation>.yaml.
type operationFile struct {
	mapping.Pos
	Title       mapping.Text   `yaml:"title" required:"true"`
	Description string         `yaml:"description"`
	Input       []inputEntry   `yaml:"input"`
	Strict      bool           `yaml:"strict"`
	Redact      []mapping.Text `yaml:"redact"`
	Example     *yaml.Node     `yaml:"example"`
	Values      []valueEntry   `yaml:"values"`
	Steps       []stepEntry    `yaml:"steps"`
	Output      *yaml.Node     `yaml:"output" required:"true"`
}

type inputEntry struct {
	mapping.Pos
	Name       mapping.Text          `yaml:"name" required:"true"`
	Type       mapping.Text          `yaml:"type" required:"true" enum:"text,number,integer,boolean,time,object,list"`
	Of         mapping.Text          `yaml:"of" enum:"text,object"`
	Required   bool                  `yaml:"required"`
	Max        mapping.Located[int]  `yaml:"max"`
	Pattern    mapping.Text          `yaml:"pattern"`
	Options    []mapping.Text        `yaml:"options"`
	Default    *yaml.Node            `yaml:"default"`
	Redact     bool                  `yaml:"redact"`
	MayBeEmpty mapping.Located[bool] `yaml:"may_be_empty"`
	Help       string                `yaml:"help"`
}

type valueEntry struct {
	Name  mapping.Text `yaml:"name" required:"true"`
	Value *yaml.Node   `yaml:"value" required:"true"`
}

type stepEntry struct {
	mapping.Pos
	ID             mapping.Text                `yaml:"id" required:"true"`
	When           *yaml.Node                  `yaml:"when"`
	ForEach        *yaml.Node                  `yaml:"for_each"`
	As             mapping.Text                `yaml:"as"`
	Most           mapping.Located[int]        `yaml:"most"`
	Request        requestEntry                `yaml:"request" required:"true"`
	IdempotencyKey mapping.Text                `yaml:"idempotency_key"`
	Pages          *pagesEntry                 `yaml:"pages"`
	On             []ruleEntry                 `yaml:"on"`
	Extract        map[mapping.Text]*yaml.Node `yaml:"extract"`
}

type requestEntry struct {
	mapping.Pos
	Method  mapping.Text                `yaml:"method" required:"true" enum:"GET,HEAD,POST,PUT,PATCH,DELETE"`
	Path    mapping.Text                `yaml:"path" required:"true"`
	Query   map[mapping.Text]*yaml.Node `yaml:"query"`
	Headers map[mapping.Text]*yaml.Node `yaml:"headers"`
	Body    *yaml.Node                  `yaml:"body"`
	Reads   mapping.Located[bool]       `yaml:"reads"`
}

type pagesEntry struct {
	mapping.Pos
	Items *yaml.Node           `yaml:"items" required:"true"`
	Next  *yaml.Node           `yaml:"next" required:"true"`
	Most  mapping.Located[int] `yaml:"most"`
}

type ruleEntry struct {
	mapping.Pos
	Status *yaml.Node   `yaml:"status"` // a number or a list of them
	Kind   *yaml.Node   `yaml:"kind"`   // a word or a list of them
	When   *yaml.Node   `yaml:"when"`
	Then   mapping.Text `yaml:"then" enum:"continue,stop,fail"`
	Fail   *failEntry   `yaml:"fail"`
}

type failEntry struct {
	mapping.Pos
	Kind    mapping.Text `yaml:"kind" required:"true"`
	Code    mapping.Text `yaml:"code"`
	Message *yaml.Node   `yaml:"message"`
}
