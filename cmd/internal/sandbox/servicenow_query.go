package sandbox

import (
	"regexp"
	"slices"
	"strings"
)

// snowTerm is one condition of an encoded query. Operators count in capitals
// only.
var snowTerm = regexp.MustCompile(`^([a-z][a-z0-9_]*)(STARTSWITH|ENDSWITH|NOT LIKE|LIKE|ISNOTEMPTY|ISEMPTY|IN|!=|>=|<=|=|>|<)(?s:(.*))$`)

// snowQuery reads an encoded query. Conditions that it does not understand, or
// on columns that the table does not have, are as if they were not there: that
// is what an instance does, and a query of nothing else finds everything.
func snowQuery(table, encoded string) func(snowRecord) bool {
	var groups [][]func(snowRecord) bool // all groups, of which one condition each
	known := append(strings.Fields(snowColumns[table]), "sys_id", "sys_created_on", "sys_updated_on", "sys_class_name")
	for _, part := range strings.Split(encoded, "^") {
		part, or := strings.CutPrefix(part, "OR")
		if or && strings.HasPrefix(part, "DERBY") {
			continue
		}
		m := snowTerm.FindStringSubmatch(part)
		if m == nil || !slices.Contains(known, m[1]) {
			continue
		}
		term := func(row snowRecord) bool { return snowHolds(row[m[1]], m[2], m[3]) }
		if or && len(groups) > 0 {
			groups[len(groups)-1] = append(groups[len(groups)-1], term)
		} else {
			groups = append(groups, []func(snowRecord) bool{term})
		}
	}
	return func(row snowRecord) bool {
		for _, group := range groups {
			if !slices.ContainsFunc(group, func(term func(snowRecord) bool) bool { return term(row) }) {
				return false
			}
		}
		return true
	}
}

func snowHolds(have, operator, want string) bool {
	switch operator {
	case "=":
		return have == want
	case "!=":
		return have != want
	case "STARTSWITH":
		return strings.HasPrefix(have, want)
	case "ENDSWITH":
		return strings.HasSuffix(have, want)
	case "LIKE":
		return strings.Contains(have, want)
	case "NOT LIKE":
		return !strings.Contains(have, want)
	case "IN":
		return slices.Contains(strings.Split(want, ","), have)
	case "ISEMPTY":
		return have == ""
	case "ISNOTEMPTY":
		return have != ""
	case ">":
		return have > want
	case ">=":
		return have >= want
	case "<":
		return have < want
	default:
		return have <= want
	}
}
