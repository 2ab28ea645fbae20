package directory

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"tandem/core/mapping"
)

// Bounds of what leads to a service and of what its target is told.
const (
	maxAddresses      = 20
	maxTargetSettings = 20
	maxAddress        = 256 // characters
	maxTargetSetting  = 512 // characters
)

var (
	addressForm = regexp.MustCompile(`^[!-~]+( [!-~]+)*$`)
	settingForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)
)

// addresses takes the addresses of a service when all services are known: none
// may be another's, nor a UPN, by which services are found as well.
func (l *loader) addresses(s *Service, entries []mapping.Text) {
	for i, e := range entries {
		key := fold(e.Value)
		upn, other := l.tenant.services[key], l.tenant.at[key]
		switch {
		case i == maxAddresses:
			l.add(e.Pos, "%s has more than %d addresses", s.UPN, maxAddresses)
			return
		case !addressForm.MatchString(e.Value) || len(e.Value) > maxAddress:
			l.add(e.Pos, "%s is not an address: it has 1 to %d letters, digits and signs, and no space around it",
				mapping.Quote(e.Value), maxAddress)
		case upn != nil:
			l.add(e.Pos, "%q is the UPN of a service and leads to it already", e.Value)
		case other == s:
			l.add(e.Pos, "duplicate address %q", e.Value)
		case other != nil:
			l.add(e.Pos, "the address %q leads to %s already", e.Value, other.UPN)
		default:
			l.tenant.at[key] = s
			s.Addresses = append(s.Addresses, e.Value)
		}
	}
}

// targetSettings returns what the service's target, as the file spells it, is
// told.
func (l *loader) targetSettings(s *Service, target string, entries map[mapping.Text]mapping.Text) map[string]string {
	if len(entries) == 0 {
		return nil
	}
	names := slices.SortedFunc(maps.Keys(entries), func(a, b mapping.Text) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if target == "" || target == string(TargetLocal) { // one that is unknown was found before
		l.add(names[0].Pos, "target_settings need a target that is not %s", TargetLocal)
	}
	settings := make(map[string]string, len(entries))
	for i, name := range names {
		switch value := entries[name]; {
		case i == maxTargetSettings:
			l.add(name.Pos, "%s has more than %d target_settings", s.UPN, maxTargetSettings)
			return settings
		case !settingForm.MatchString(name.Value):
			l.add(name.Pos, "%s is not the name of a setting: it begins with a letter and is made of letters, digits and _",
				mapping.Quote(name.Value))
		case strings.TrimSpace(value.Value) == "":
			l.add(value.Pos, "the setting %s must not be empty", name.Value)
		case utf8.RuneCountInString(value.Value) > maxTargetSetting:
			l.add(value.Pos, "the setting %s has more than %d characters", name.Value, maxTargetSetting)
		default:
			settings[name.Value] = value.Value
		}
	}
	return settings
}
