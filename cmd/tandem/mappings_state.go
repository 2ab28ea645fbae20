package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strings"

	"tandem/adapters/console"
	"tandem/core/mapping"
	"tandem/core/operation"
)

// mappingState is what a tenant's people may know about the mapping files:
// nothing of those that belong to another tenant.
func (h *hub) mappingState(tenant string) console.MappingState {
	s := shownTo(tenant, h.mapped.current.Load(), h.mapped.refused.Load())
	s.Folder = h.config.MappingsDir != ""
	return s
}

// shownTo is mappingState for a set in force and the one that was refused after
// it, if there is one.
func shownTo(tenant string, f *force, r *refusal) console.MappingState {
	s := console.MappingState{Hash: f.set.Hash, Loaded: f.loaded}
	owners := map[string]string{}
	for _, file := range f.set.Files {
		owners[file.Path] = ownerOf(file)
	}
	if r != nil {
		for _, file := range r.set.Files {
			if _, known := owners[file.Path]; !known { // what is in force stays its owner's
				owners[file.Path] = ownerOf(file)
			}
		}
	}
	hidden := func(name string) bool {
		owner, known := owners[name]
		if !known && (strings.HasPrefix(name, "directory/") || strings.HasPrefix(name, "cxone/")) && len(f.directory.Tenants()) > 1 {
			owner = strings.TrimSuffix(path.Base(name), path.Ext(name)) // nobody could read whose it is
		}
		return owner != "" && owner != tenant
	}
	files := map[string]console.MappingFile{}
	inForce := map[string][]byte{}
	for _, file := range f.set.Files {
		inForce[file.Path] = file.Data
		files[file.Path] = console.MappingFile{
			Path: file.Path, Kind: purposeOf(file), Size: len(file.Data), Hash: hashOf(file.Data), State: console.FileInForce,
		}
	}
	if r != nil {
		s.Refused = refuse(files, inForce, r, hidden)
	}
	maps.DeleteFunc(files, func(name string, _ console.MappingFile) bool { return hidden(name) })
	s.Files = slices.SortedFunc(maps.Values(files), func(a, b console.MappingFile) int { return cmp.Compare(a.Path, b.Path) })
	return s
}

// refuse marks the files of a set that was not taken over, and says why.
func refuse(files map[string]console.MappingFile, inForce map[string][]byte, r *refusal, hidden func(string) bool) *console.Refusal {
	shown := &console.Refusal{At: r.at, Hash: r.set.Hash}
	lines := map[string][]string{}
	mark := func(name, kind string, data []byte) {
		old, ok := inForce[name]
		switch {
		case !ok:
			files[name] = console.MappingFile{Path: name, Kind: kind, Size: len(data), Hash: hashOf(data), State: console.FileRefused}
		case data == nil || !bytes.Equal(old, data):
			file := files[name]
			file.State = console.FileChanged
			files[name] = file
		}
	}
	for _, file := range r.set.Files {
		lines[file.Path] = strings.Split(string(file.Data), "\n")
		mark(file.Path, purposeOf(file), file.Data)
	}
	for _, finding := range r.findings {
		if lines[finding.File] == nil {
			mark(finding.File, purposeOf(mapping.File{Path: finding.File}), nil) // it could not be read
		}
		if hidden(finding.File) {
			continue
		}
		shown.Findings = append(shown.Findings, finding)
		text := ""
		if all := lines[finding.File]; finding.Line <= len(all) {
			text = all[finding.Line-1]
		}
		shown.Lines = append(shown.Lines, text)
	}
	return shown
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ownerOf returns the tenant that a file names; empty for one that is for all.
func ownerOf(f mapping.File) string {
	if tenant := mapping.Value(f.Root, "tenant"); tenant != nil {
		return tenant.Value
	}
	return ""
}

// purposeOf names what a file is for.
func purposeOf(f mapping.File) string {
	name := f.Path
	folder, base := path.Split(name)
	switch {
	case folder == "directory/":
		return "directory"
	case folder == "workflows/":
		return "workflow"
	case name == "webex/nodes.yaml":
		return "nodes"
	case base == "integration.yaml":
		return "integration"
	case strings.HasPrefix(name, "cxone/") && !operation.Owns(f):
		return "configurations"
	case base == "entities.yaml":
		return "entities"
	case strings.HasSuffix(base, "_test.yaml"):
		return "test"
	default:
		return "operation"
	}
}
