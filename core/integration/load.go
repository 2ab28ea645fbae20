package integration

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/mapping"
)

// The names of the files of this room. nodesFile is its whole path.
const (
	baseName  = "integration.yaml"
	nodesFile = "webex/nodes.yaml"
)

// The bounds of one file: what is said about it, and what may stand in it. They
// also bound what it costs to read a hostile one.
const (
	maxFindings = 100
	maxGrants   = 20
	maxFields   = 50
	maxEntries  = 100  // in one list
	maxTemplate = 1000 // characters
)

var idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// integrationFile is the form of <integration>/integration.yaml.
type integrationFile struct {
	mapping.Pos
	Title           mapping.Text `yaml:"title" required:"true"`
	Description     string       `yaml:"description"`
	Docs            mapping.Text `yaml:"docs"`
	Base            mapping.Text `yaml:"base" required:"true"`
	Settings        []fieldEntry `yaml:"settings"`
	Grants          []grantEntry `yaml:"grants"`
	NoAuthorization bool         `yaml:"no_authorization"`
	Limits          struct {
		RequestsPerMinute mapping.Located[int] `yaml:"requests_per_minute"`
		Concurrency       mapping.Located[int] `yaml:"concurrency"`
	} `yaml:"limits"`
	Errors     []errorEntry   `yaml:"errors"`
	ErrorTexts []mapping.Text `yaml:"error_texts"`
}

type fieldEntry struct {
	mapping.Pos
	Name      mapping.Text  `yaml:"name" required:"true"`
	Label     string        `yaml:"label" required:"true"`
	Help      string        `yaml:"help"`
	Pattern   mapping.Text  `yaml:"pattern"`
	Required  bool          `yaml:"required"`
	Secret    bool          `yaml:"secret"`
	Multiline bool          `yaml:"multiline"`
	Default   mapping.Text  `yaml:"default"`
	Options   []optionEntry `yaml:"options"`
}

type optionEntry struct {
	Value mapping.Text `yaml:"value" required:"true"`
	Label string       `yaml:"label" required:"true"`
}

type grantEntry struct {
	mapping.Pos
	ID          mapping.Text                   `yaml:"id" required:"true"`
	Type        mapping.Text                   `yaml:"type" required:"true"`
	Title       string                         `yaml:"title" required:"true"`
	Help        string                         `yaml:"help"`
	Fields      []fieldEntry                   `yaml:"fields"`
	Authorize   mapping.Text                   `yaml:"authorize"`
	Token       mapping.Text                   `yaml:"token"`
	Revoke      mapping.Text                   `yaml:"revoke"`
	Issuer      mapping.Text                   `yaml:"issuer"`
	Scopes      []mapping.Text                 `yaml:"scopes"`
	InHeader    mapping.Located[bool]          `yaml:"in_header"`
	Parameters  map[mapping.Text]mapping.Text  `yaml:"parameters"`
	Audience    mapping.Text                   `yaml:"audience"`
	Subject     mapping.Text                   `yaml:"subject"`
	TokenBase   mapping.Text                   `yaml:"token_base"`
	TokenHosts  []mapping.Text                 `yaml:"token_hosts"`
	TokenLife   mapping.Located[time.Duration] `yaml:"token_life"`
	RefreshLife mapping.Located[time.Duration] `yaml:"refresh_life"`
	Header      mapping.Text                   `yaml:"header"`
	Value       mapping.Text                   `yaml:"value"`
	Username    mapping.Text                   `yaml:"username"`
	Password    mapping.Text                   `yaml:"password"`
	Account     struct {
		URL   mapping.Text `yaml:"url"`
		Field mapping.Text `yaml:"field"`
	} `yaml:"account"`
}

type errorEntry struct {
	mapping.Pos
	Status mapping.Located[int] `yaml:"status"`
	Field  mapping.Text         `yaml:"field"`
	Equals mapping.Text         `yaml:"equals"`
	Kind   mapping.Text         `yaml:"kind" required:"true"`
}

// Load makes a catalogue of the files <integration>/integration.yaml and
// webex/nodes.yaml of a set, and returns everything that is wrong with them,
// sorted. With findings the catalogue holds what could be understood, which is
// not good for serving.
func Load(set *mapping.Set) (*Catalogue, []mapping.Finding) {
	c := &Catalogue{}
	var findings []mapping.Finding
	var nodes *mapping.File
	for _, f := range set.Files {
		switch name := path.Base(f.Path); {
		case f.Path == nodesFile:
			nodes = &f
		case name == baseName || name == "integration.yml":
			l := loader{file: f, fits: map[string]bool{}}
			if i := l.integration(); i != nil {
				c.all = append(c.all, i)
			}
			findings = append(findings, l.findings...)
		default:
			c.uses = append(c.uses, scan(f)...)
		}
	}
	slices.SortFunc(c.all, func(a, b *Integration) int {
		if by := strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title)); by != 0 {
			return by
		}
		return strings.Compare(a.ID, b.ID)
	})
	if nodes != nil {
		l := loader{file: *nodes}
		c.nodes = l.nodes(c)
		l.causes()
		findings = append(findings, l.findings...)
	}
	mapping.Sort(findings)
	return c, findings
}

// loader makes an integration, or the list of nodes, of one file.
type loader struct {
	file     mapping.File
	findings []mapping.Finding
	count    int             // of fields
	fits     map[string]bool // pattern -> whether its values can be part of an address
}

func (l *loader) add(pos mapping.Pos, format string, args ...any) {
	if len(l.findings) < maxFindings {
		l.findings = append(l.findings, l.file.AtPos(pos, format, args...))
	}
}

// causes marks what is said of the names of integrations in webex/nodes.yaml.
func (l *loader) causes() {
	list := mapping.Value(l.file.Root, "nodes")
	for i, f := range l.findings {
		for n := 0; list != nil && n < len(list.Content); n++ {
			if id := mapping.Value(list.Content[n], "integration"); id != nil && id.Line == f.Line && id.Column == f.Column {
				l.findings[i] = f.Because(id.Value + "/" + baseName)
			}
		}
	}
}

func (l *loader) integration() *Integration {
	var f integrationFile
	l.findings = mapping.Decode(l.file, &f)
	id := path.Dir(l.file.Path)
	switch {
	case path.Base(l.file.Path) != baseName:
		l.add(mapping.Pos{}, "the file must be called %s", baseName)
		return nil
	case !idForm.MatchString(id):
		l.add(mapping.Pos{}, "an integration stands in a folder of its own, whose name is made of a-z, 0-9 and -")
		return nil
	}
	i := &Integration{
		ID: id, Title: f.Title.Value, Description: f.Description, Docs: f.Docs.Value, File: l.file.Path,
		Base: f.Base.Value, Settings: l.fields(f.Settings, nil), NoAuthorization: f.NoAuthorization,
		Limits: Limits{RequestsPerMinute: f.Limits.RequestsPerMinute.Value, Concurrency: f.Limits.Concurrency.Value},
	}
	l.docs(f.Docs)
	l.limit(f.Limits.RequestsPerMinute, "requests_per_minute")
	l.limit(f.Limits.Concurrency, "concurrency")
	if f.Limits.Concurrency.Value > MaxConcurrency {
		l.add(f.Limits.Concurrency.Pos, "concurrency must be %d or less: the hub has no more calls in flight", MaxConcurrency)
	}
	for _, e := range f.Errors {
		i.Errors = append(i.Errors, l.errorRule(e))
	}
	for _, text := range shorten(l, f.ErrorTexts, maxEntries, "error_texts", f.Pos) {
		l.path(text, "an entry of error_texts")
		i.ErrorTexts = append(i.ErrorTexts, text.Value)
	}
	if len(f.Grants) == 0 && !f.NoAuthorization {
		l.add(f.Pos, "\"grants\" is missing; no_authorization: true says that none is needed")
	}
	if len(f.Grants) > 0 && f.NoAuthorization {
		l.add(f.Grants[0].Pos, "grants and no_authorization exclude each other")
	}
	l.base(f.Base, i.Settings)
	for _, e := range shorten(l, f.Grants, maxGrants, "grants", f.Pos) {
		if i.Grant(e.ID.Value) != nil {
			l.add(e.ID.Pos, "duplicate grant %s", mapping.Quote(e.ID.Value))
			continue
		}
		i.Grants = append(i.Grants, l.grant(i, e))
	}
	return i
}

// shorten cuts a list that is too long, after a finding.
func shorten[T any](l *loader, list []T, most int, what string, pos mapping.Pos) []T {
	if len(list) <= most {
		return list
	}
	l.add(pos, "more than %d %s", most, what)
	return list[:most]
}

func (l *loader) docs(docs mapping.Text) {
	if docs.Value == "" {
		return
	}
	u, err := url.Parse(docs.Value)
	if err != nil || u.Scheme != "https" || u.User != nil || !goodHost(u) || strings.ContainsAny(docs.Value, " {}") {
		l.add(docs.Pos, "docs must be an address that begins with https://")
	}
}

func (l *loader) limit(n mapping.Located[int], key string) {
	if n.Given() && n.Value < 1 {
		l.add(n.Pos, "%s must be 1 or more", key)
	}
}

func (l *loader) errorRule(e errorEntry) ErrorRule {
	kind := core.Kind(e.Kind.Value)
	if _, known := core.Table[kind]; !known && e.Kind.Value != "" {
		l.unknown(e.Kind, "kind", core.Kinds())
	}
	switch {
	case e.Status.Given() && (e.Status.Value < 300 || e.Status.Value > 599):
		l.add(e.Status.Pos, "status must be a number from 300 to 599")
	case !e.Status.Given() && e.Field.Value == "":
		l.add(e.Pos, "an error rule needs a status or a field")
	}
	if (e.Field.Value == "") != (e.Equals.Value == "") {
		l.add(e.Pos, "field and equals belong together")
	}
	l.path(e.Field, "field")
	return ErrorRule{Status: e.Status.Value, Field: e.Field.Value, Equals: e.Equals.Value, Kind: kind}
}

var pathForm = regexp.MustCompile(`^[A-Za-z0-9_@-]+(\.[A-Za-z0-9_@-]+)*$`)

// path judges the way to a value in a JSON answer.
func (l *loader) path(text mapping.Text, key string) {
	if text.Value != "" && !pathForm.MatchString(text.Value) {
		l.add(text.Pos, "%s must be names with dots between, for example error.code", key)
	}
}

func (l *loader) unknown(text mapping.Text, what string, known []string) {
	if len(l.findings) >= maxFindings {
		return
	}
	hint := mapping.Suggest(text.Value, known)
	if hint == "" {
		hint = ", known are " + strings.Join(known, ", ")
	}
	l.add(text.Pos, "unknown %s %s%s", what, mapping.Quote(text.Value), hint)
}
