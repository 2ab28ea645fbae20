package console

import (
	"cmp"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tandem/core/mapping"
)

// The states of a mapping file.
const (
	FileInForce = "in force"
	FileRefused = "refused"             // it is new, and nothing of it is in force
	FileChanged = "changed but refused" // what it said before is in force
)

// MappingFile is one file of the mappings, for people.
type MappingFile struct {
	Path  string // in the mappings folder
	Kind  string // for example directory, workflow, integration, operation, test
	Size  int    // bytes
	Hash  string
	State string
}

// Refusal is the last set of files that was not taken over.
type Refusal struct {
	At       time.Time
	Hash     string
	Findings []mapping.Finding // none: no file that the tenant may see is the cause
	Lines    []string          // of the files' text, beside the findings; may be shorter
}

// MappingState is what a tenant's people may know about the mapping files.
type MappingState struct {
	Hash    string // of the set in force
	Loaded  time.Time
	Files   []MappingFile
	Refused *Refusal // nil: the files are as they are in force
	Folder  bool     // they are read from a folder; false: they are the samples in the program
}

// The most findings that a page shows, and the most of a line of a file.
const (
	maxShown = 200
	maxLine  = 200 // characters
)

// findingView is a finding with the line that it is about.
type findingView struct {
	mapping.Finding

	Text string
}

// folderView is a folder with the files right in it.
type folderView struct {
	Name  string
	Files []MappingFile
}

// Refused tells whether something in the folder is not in force as it stands.
func (f folderView) Refused() bool {
	return slices.ContainsFunc(f.Files, func(f MappingFile) bool { return f.Tone() != "" })
}

// mappingsPage is what the page of the mapping files shows.
type mappingsPage struct {
	MappingState

	Folders  []folderView
	Findings []findingView
	More     int // findings that are not shown
}

func (c *Console) mappings(ctx echo.Context) error {
	page := mappingsPage{MappingState: c.o.Mappings(person(ctx).Tenant)}
	page.Files = slices.Clone(page.Files)
	slices.SortStableFunc(page.Files, func(a, b MappingFile) int {
		return cmp.Or(strings.Compare(path.Dir(a.Path), path.Dir(b.Path)), strings.Compare(a.Path, b.Path))
	})
	for _, f := range page.Files {
		name, _ := path.Split(f.Path)
		if last := len(page.Folders) - 1; last < 0 || page.Folders[last].Name != name {
			page.Folders = append(page.Folders, folderView{Name: name})
		}
		folder := &page.Folders[len(page.Folders)-1]
		folder.Files = append(folder.Files, f)
	}
	if r := page.Refused; r != nil {
		page.More = max(0, len(r.Findings)-maxShown)
		for n, f := range r.Findings[:len(r.Findings)-page.More] {
			v := findingView{Finding: f}
			if n < len(r.Lines) {
				v.Text = cut(strings.TrimSpace(r.Lines[n]), maxLine)
			}
			page.Findings = append(page.Findings, v)
		}
	}
	return c.render(ctx, http.StatusOK, "mappings", view{Title: "Mappings", Section: "mappings", Data: page})
}

// Base returns the name of the file without its folder.
func (f MappingFile) Base() string { return path.Base(f.Path) }

// Tone returns the tone of the file's state; none for what is as it should be.
func (f MappingFile) Tone() string {
	switch f.State {
	case FileRefused:
		return toneBad
	case FileChanged:
		return toneWarn
	default:
		return ""
	}
}

// short returns the beginning of a hash, by which people tell two apart.
func short(hash string) string { return hash[:min(len(hash), 12)] }

// cut returns at most so many characters of a text.
func cut(text string, most int) string {
	n := 0
	for at := range text {
		if n == most {
			return text[:at] + "…"
		}
		n++
	}
	return text
}

// size shows a number of bytes.
func size(bytes int) string {
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	return fmt.Sprintf("%.1f KB", float64(bytes)/1024)
}
