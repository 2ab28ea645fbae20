package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// zdTerm is a term of the search syntax: a field with an operator and a value,
// or a value alone; values with spaces stand in quotes.
var zdTerm = regexp.MustCompile(`^(-?)(?:([A-Za-z_]\w*)(:|>=|<=|>|<))?("(?:[^"\\]|\\.)*"|[^\s"]+)(?:\s+|$)`)

// zdTest is one term, ready to be compared.
type zdTest struct {
	not             bool
	field, operator string
	value           string
	phrase          bool // it stood in quotes: signs of its own mean nothing there
}

// search answers a search with the records under a name, at most 100 a page.
func (z *zendesk) search(w http.ResponseWriter, query, name string) {
	tests, kind, ok := zdTests(query)
	if !ok {
		zdRefuse(w, http.StatusUnprocessableEntity, "invalid", "Invalid search: syntax error in the query", nil)
		return
	}
	rows := []any{}
	for _, of := range []string{"user", "ticket"} {
		for _, record := range z.records[of] {
			fits := kind == "" || kind == of
			for _, t := range tests {
				fits = fits && t.fits(record) != t.not
			}
			if fits && len(rows) < 100 {
				row := map[string]any{"result_type": of}
				for key, value := range record {
					row[key] = value
				}
				rows = append(rows, row)
			}
		}
	}
	write(w, http.StatusOK, map[string]any{name: rows, "count": len(rows), "next_page": nil, "previous_page": nil})
}

// zdTests reads a query; kind is what type: asks for.
func zdTests(query string) (tests []zdTest, kind string, ok bool) {
	for query = strings.TrimSpace(query); query != ""; {
		found := zdTerm.FindStringSubmatch(query)
		if found == nil {
			return nil, "", false
		}
		query = query[len(found[0]):]
		t := zdTest{not: found[1] != "", field: found[2], operator: found[3], value: strings.ToLower(found[4])}
		if t.phrase = t.value[0] == '"'; t.phrase {
			t.value = regexp.MustCompile(`\\(.)`).ReplaceAllString(t.value[1:len(t.value)-1], "$1")
		}
		if t.field == "type" {
			kind = t.value
			continue
		}
		tests = append(tests, t)
	}
	return tests, kind, true
}

// zdRanks order the states of tickets for < and >.
var zdRanks = map[string]map[string]int{
	"status":   {"new": 1, "open": 2, "pending": 3, "hold": 4, "solved": 5, "closed": 6},
	"priority": {"low": 1, "normal": 2, "high": 3, "urgent": 4},
}

// fits compares the term with a record. A field that there is not is a value
// that is nowhere: Zendesk finds nothing then and says nothing.
func (t *zdTest) fits(record map[string]any) bool {
	if t.field == "" {
		for _, name := range []string{"name", "email", "phone", "notes", "subject", "description"} {
			if zdHolds(record[name], t.value, t.phrase) {
				return true
			}
		}
		return false
	}
	field := map[string]string{"requester": "requester_id", "assignee": "assignee_id", "created": "created_at", "updated": "updated_at"}[t.field]
	if field == "" {
		field = t.field
	}
	have := record[field]
	if t.operator == ":" {
		if t.value == "none" && !t.phrase {
			return have == nil
		}
		return zdHolds(have, t.value, t.phrase)
	}
	order := strings.Compare(strings.ToLower(fmt.Sprint(have)), t.value)
	if ranks := zdRanks[field]; ranks != nil {
		order = ranks[fmt.Sprint(have)] - ranks[t.value]
	} else if n, err := strconv.Atoi(t.value); err == nil {
		m, _ := have.(int)
		order = m - n
	}
	switch t.operator {
	case ">":
		return order > 0
	case "<":
		return order < 0
	case ">=":
		return order >= 0
	default:
		return order <= 0
	}
}

// zdHolds tells whether a value is, or has among its words, the asked one; a *
// outside quotes stands for anything in a word.
func zdHolds(have any, want string, phrase bool) bool {
	if have == nil {
		return false
	}
	text := strings.ToLower(fmt.Sprint(have))
	if phrase || !strings.Contains(want, "*") {
		return text == want || strings.Contains(" "+text+" ", " "+want+" ")
	}
	pattern := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), `\*`, `\S*`) + "$")
	for _, word := range strings.Fields(text) {
		if pattern.MatchString(word) {
			return true
		}
	}
	return false
}
