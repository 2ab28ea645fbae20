package directory

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"tandem/core"
	"tandem/core/mapping"
)

// The forms of what a file names. A UPN has the letters that Entra ID allows.
var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	unitForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(/[a-z0-9][a-z0-9-]*)*$`)
	upnForm  = regexp.MustCompile(`^[A-Za-z0-9'._!#^~+-]{1,64}@[A-Za-z0-9.-]{1,255}$`)
	telForm  = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
)

// customerIdentifier is the one thing by which tasks can be deduplicated.
const customerIdentifier = "customerIdentifier"

// upn tells whether an entry's UPN is good and its own. An empty one has been
// found by Decode.
func (l *loader) upn(upn mapping.Text) bool {
	switch key := fold(upn.Value); {
	case key == "":
		return false
	case !upnForm.MatchString(upn.Value):
		l.add(upn.Pos, "%s is not a UPN such as name@%s.example", mapping.Quote(upn.Value), l.tenant.Name)
		return false
	case l.tenant.users[key] != nil || l.tenant.services[key] != nil:
		l.add(upn.Pos, "duplicate UPN %q: users and services of a tenant share one list of names", upn.Value)
		return false
	}
	return true
}

func (l *loader) mail(address mapping.Text, key, otherwise string) string {
	if address.Value == "" {
		return otherwise
	}
	if !upnForm.MatchString(address.Value) {
		l.add(address.Pos, "%s %s is not an address such as name@%s.example",
			key, mapping.Quote(address.Value), l.tenant.Name)
	}
	return address.Value
}

func (l *loader) telNumber(number mapping.Text) string {
	if number.Value != "" && !telForm.MatchString(number.Value) {
		l.add(number.Pos, "tel_number %s is not in the form E.164, such as \"+12025550100\"", mapping.Quote(number.Value))
	}
	return number.Value
}

// uuid returns a written UUID in lower case.
func (l *loader) uuid(id mapping.Text) string {
	if _, err := uuid.Parse(id.Value); err != nil || len(id.Value) != 36 {
		l.add(id.Pos, "%s is not a UUID", mapping.Quote(id.Value))
	}
	return strings.ToLower(id.Value)
}

// id returns an entry's id: the one that is written, or one that follows from
// its name, so that it is the same on every replica and after every restart.
func (l *loader) id(written mapping.Text, kind, name string) string {
	owner := kind + " " + name
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(
		"urn:tandem:"+l.tenant.Name+":"+kind+":"+fold(name))).String()
	if written.Value != "" {
		id = l.uuid(written)
	}
	key := id
	if kind != "tenant" {
		key = l.tenant.Name + "/" + id
	}
	if other, taken := l.ids[key]; taken {
		l.add(written.Pos, "the id of the %s is also that of the %s", owner, other)
	}
	l.ids[key] = owner
	return id
}

// unit returns the path of an entry's unit; without one it is the tenant's own.
func (l *loader) unit(unit mapping.Text) string {
	if unit.Value == "" {
		return l.tenant.Name
	}
	paths := make([]string, len(l.tenant.Units))
	for i, u := range l.tenant.Units {
		paths[i] = u.Path
	}
	if !slices.Contains(paths, unit.Value) {
		l.add(unit.Pos, "unknown unit %s%s", mapping.Quote(unit.Value), mapping.Suggest(unit.Value, paths))
	}
	return unit.Value
}

// people returns the UPNs of listed users, as the users' own entries write them.
func (l *loader) people(upns []mapping.Text, kind string) []string {
	var list []string
	for _, upn := range upns {
		u, ok := l.tenant.User(upn.Value)
		switch {
		case !ok:
			l.add(upn.Pos, "unknown %s %s%s", kind, mapping.Quote(upn.Value), l.suggestUser(upn.Value))
		case slices.Contains(list, u.UPN):
			l.add(upn.Pos, "duplicate %s %q", kind, upn.Value)
		default:
			list = append(list, u.UPN)
		}
	}
	return list
}

// suggestUser looks through all users, so only the first findings get a hint.
func (l *loader) suggestUser(upn string) string {
	if len(l.findings) >= 20 {
		return ""
	}
	var known []string
	for _, u := range l.tenant.Users() {
		known = append(known, u.UPN)
	}
	return mapping.Suggest(upn, known)
}

// word returns a word of a closed list.
func word[T ~string](l *loader, text mapping.Text, kind string, known []T, otherwise T) T {
	if text.Value == "" {
		return otherwise
	}
	if w := T(text.Value); slices.Contains(known, w) {
		return w
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	hint := mapping.Suggest(text.Value, names)
	if hint == "" {
		hint = ", known are " + strings.Join(names, ", ")
	}
	l.add(text.Pos, "unknown %s %s%s", kind, mapping.Quote(text.Value), hint)
	return otherwise
}

func words[T ~string](l *loader, texts []mapping.Text, kind string, known []T) []T {
	var list []T
	for _, text := range texts {
		w := word(l, text, kind, known, "")
		switch {
		case text.Value == "":
			l.add(text.Pos, "a %s must not be empty", kind)
		case w != "" && slices.Contains(list, w):
			l.add(text.Pos, "duplicate %s %q", kind, text.Value)
		case w != "":
			list = append(list, w)
		}
	}
	return list
}

func (l *loader) workflows(entries map[mapping.Text]mapping.Text) map[core.Modality]string {
	enabled := make(map[core.Modality]string, len(entries))
	for key, name := range entries {
		if key.Value == "" {
			l.add(key.Pos, "a modality must not be empty")
		}
		modality := word(l, key, "modality", core.Modalities, "")
		if name.Value != "" && !nameForm.MatchString(name.Value) {
			l.add(name.Pos, "%s is not the name of a workflow: it is made of a-z, 0-9 and -", mapping.Quote(name.Value))
		} else if name.Value != "" {
			l.dir.workflows = append(l.dir.workflows, workflowUse{l.file, name})
		}
		if modality != "" {
			enabled[modality] = name.Value
		}
	}
	return enabled
}

func (l *loader) deduplicate(e serviceEntry) (by string, window time.Duration) {
	by = word(l, e.DeduplicateBy, "key of deduplicate_by", []string{customerIdentifier}, "")
	switch given := e.DeduplicateWindow; {
	case !given.Given():
		if by != "" {
			window = defaultDeduplicateWindow
		}
	case !e.DeduplicateBy.Given():
		l.add(given.Pos, "deduplicate_window needs deduplicate_by")
	case given.Value <= 0 || given.Value > MaxDeduplicateWindow:
		l.add(given.Pos, "deduplicate_window must be more than 0s and at most %dh", MaxDeduplicateWindow/time.Hour)
	default:
		window = given.Value
	}
	return by, window
}
