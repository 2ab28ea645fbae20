package cxone

import (
	"regexp"
	"strings"

	"tandem/core"
	"tandem/core/expression"
	"tandem/core/integration"
	"tandem/core/operation"
)

// resultSet is the result of a workflow as the agent application reads it. Lists
// are never null and all texts are there, so that a script can look at any of
// them. A record pops when its screenPop is true; the only record does so unless
// the mapping says false.
type resultSet struct {
	ContactID string        `json:"contactId"`
	Result    []resultEntry `json:"result"` // the application reads the first only
}

type resultEntry struct {
	System     system   `json:"system"`
	Records    []record `json:"records"`
	PinRecords []pinned `json:"pinRecords"`
}

type system struct {
	Type    string `json:"type"`
	Label   string `json:"label"`
	Icon    string `json:"icon"`
	BaseURL string `json:"baseUrl"`
}

type record struct {
	Type      string    `json:"type"`
	Label     string    `json:"label"`
	ID        string    `json:"id"`
	URL       string    `json:"url"` // below baseUrl, begins with a slash, or is empty
	Display   string    `json:"display"`
	Title     string    `json:"title"`
	Updated   string    `json:"updated"`
	Linkable  bool      `json:"linkable"`
	ScreenPop bool      `json:"screenPop"`
	Related   []related `json:"related"`
	Fields    []field   `json:"fields"`
}

type related struct {
	Display    string  `json:"display"`
	ID         string  `json:"id"`
	Label      string  `json:"label"`
	State      string  `json:"state"`
	Priority   string  `json:"priority"`
	Type       string  `json:"type"`
	Title      string  `json:"title"`
	URL        string  `json:"url"`
	AssignedTo string  `json:"assignedTo"`
	UpdatedAt  string  `json:"updatedAt"`
	Linkable   bool    `json:"linkable"`
	Fields     []field `json:"fields"`
}

type pinned struct {
	Type      string  `json:"type"`
	Label     string  `json:"label"`
	ID        string  `json:"id"`
	URL       string  `json:"url"`
	Display   string  `json:"display"`
	DataMemo  bool    `json:"dataMemo"`
	Linkable  bool    `json:"linkable"`
	Linked    bool    `json:"linked"`
	ScreenPop bool    `json:"screenPop"`
	Fields    []field `json:"fields"`
}

type field struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Value string `json:"value"`
}

// shape puts the output of an operation, which must be an object with a list of
// records, into the form of a resultSet. The error is of kind Mapping and shows
// no value of a record.
func shape(output any, contact string, i *integration.Integration) (*resultSet, error) {
	s := shaper{}
	top, ok := output.(map[string]any)
	if !ok || top["records"] == nil {
		return nil, mappingError("the output of a workflow for CXone must be an object with system, records and pinRecords; records is missing")
	}
	entry := resultEntry{System: s.system(top["system"], i), Records: []record{}, PinRecords: []pinned{}}
	s.base = entry.System.BaseURL
	records := s.list(top["records"], "records")
	for _, r := range records {
		entry.Records = append(entry.Records, record{
			Type: text(r, "type"), Label: text(r, "label"), ID: text(r, "id"), URL: s.url(r), Display: text(r, "display"),
			Title: text(r, "title"), Updated: text(r, "updated"), Linkable: truth(r, "linkable", true),
			ScreenPop: truth(r, "screenPop", len(records) == 1), Related: s.related(r), Fields: s.fields(r),
		})
	}
	for _, r := range s.list(top["pinRecords"], "pinRecords") {
		entry.PinRecords = append(entry.PinRecords, pinned{
			Type: text(r, "type"), Label: text(r, "label"), ID: text(r, "id"), URL: s.url(r), Display: text(r, "display"),
			DataMemo: truth(r, "dataMemo", false), Linkable: truth(r, "linkable", true), Linked: truth(r, "linked", false),
			ScreenPop: truth(r, "screenPop", false), Fields: s.fields(r),
		})
	}
	if s.err != nil {
		return nil, s.err
	}
	return &resultSet{ContactID: contact, Result: []resultEntry{entry}}, nil
}

// shaper keeps the first thing that is wrong.
type shaper struct {
	base string
	err  error
}

func (s *shaper) wrong(format string, args ...any) {
	if s.err == nil {
		s.err = mappingError(format, args...)
	}
}

func mappingError(format string, args ...any) error {
	e := core.Errorf(core.Mapping, format, args...)
	e.Code = operation.CodeMapping
	return e
}

func (s *shaper) system(v any, i *integration.Integration) system {
	top, ok := v.(map[string]any)
	if v != nil && !ok {
		s.wrong("system must be an object")
	}
	sys := system{
		Type: text(top, "type"), Label: text(top, "label"), Icon: text(top, "icon"),
		BaseURL: strings.TrimRight(text(top, "baseUrl"), "/"),
	}
	if sys.Type == "" {
		sys.Type = i.ID
	}
	if sys.Label == "" {
		sys.Label = i.Title
	}
	if sys.BaseURL != "" && !strings.HasPrefix(sys.BaseURL, "https://") && !strings.HasPrefix(sys.BaseURL, "http://") {
		s.wrong("system.baseUrl must be an https address")
	}
	return sys
}

// list returns the objects of a list; nothing for nil.
func (s *shaper) list(v any, what string) []map[string]any {
	entries, ok := v.([]any)
	if v != nil && !ok {
		s.wrong("%s must be a list", what)
	}
	list := make([]map[string]any, 0, len(entries))
	for _, e := range entries {
		object, ok := e.(map[string]any)
		if !ok {
			s.wrong("an entry of %s must be an object", what)
			continue
		}
		list = append(list, object)
	}
	return list
}

func (s *shaper) related(of map[string]any) []related {
	all := []related{}
	for _, r := range s.list(of["related"], "related") {
		all = append(all, related{
			Display: text(r, "display"), ID: text(r, "id"), Label: text(r, "label"), State: text(r, "state"),
			Priority: text(r, "priority"), Type: text(r, "type"), Title: text(r, "title"), URL: s.url(r),
			AssignedTo: text(r, "assignedTo"), UpdatedAt: text(r, "updatedAt"), Linkable: truth(r, "linkable", false),
			Fields: s.fields(r),
		})
	}
	return all
}

// fields keeps the fields with a value that is text or can be: the application
// drops all others.
func (s *shaper) fields(of map[string]any) []field {
	all := []field{}
	for _, f := range s.list(of["fields"], "fields") {
		value, ok := expression.Text(f["value"])
		if !ok {
			continue
		}
		name, label := text(f, "name"), text(f, "label")
		if label == "" {
			label = name
		}
		all = append(all, field{name, label, value})
	}
	return all
}

var schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// url returns the address of a record below the system's: the application puts
// the two together and opens what comes out.
func (s *shaper) url(of map[string]any) string {
	address := text(of, "url")
	if below, ok := strings.CutPrefix(address, s.base); ok && s.base != "" && (below == "" || strings.IndexByte("/?#", below[0]) >= 0) {
		address = below
	}
	if schemeForm.MatchString(address) || strings.HasPrefix(address, "//") || strings.Contains(address, `\`) {
		s.wrong("the url of a record must be below system.baseUrl")
		return ""
	}
	if address != "" && address[0] != '/' {
		address = "/" + address
	}
	return address
}

// text returns a value of an object as text; nothing for what is none.
func text(of map[string]any, name string) string {
	t, _ := expression.Text(of[name])
	return t
}

// truth returns a truth value, which may be written as text.
func truth(of map[string]any, name string, otherwise bool) bool {
	switch t, _ := expression.Text(of[name]); strings.ToLower(t) {
	case "true":
		return true
	case "false":
		return false
	default:
		return otherwise
	}
}
