package sandbox

import (
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

// search answers a SOSL search.
func (s *salesforce) search(w http.ResponseWriter, text string) {
	p := &sfParser{org: s, rest: text}
	rest, found := strings.CutPrefix(strings.TrimSpace(text), "FIND {")
	end := regexp.MustCompile(`^(?:[^\\{}]|\\.)*\}`).FindString(rest)
	if !found || end == "" {
		p.fail("MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces")
	}
	p.rest = strings.TrimPrefix(rest, end)
	p.must("IN")
	group := strings.ToUpper(p.next())
	p.must("FIELDS")
	p.must("RETURNING")
	terms := p.terms(strings.TrimSuffix(end, "}"))
	rows := []any{}
	for p.err == nil {
		q := sfPick{object: p.next()}
		if _, known := sfObjects[q.object]; !known {
			p.fail("INVALID_TYPE", "sObject type '%s' is not supported.", q.object)
			break
		}
		p.object = q.object
		p.must("(")
		q.names = p.list()
		p.tail(&q)
		p.must(")")
		rows = append(rows, p.rows(&q, s.matching(q.object, group, terms))...)
		if !p.take(",") {
			break
		}
	}
	if p.err == nil && p.peek() != "" {
		p.fail("MALFORMED_SEARCH", "unexpected token: '%s'", p.peek())
	}
	if p.err != nil {
		if p.err.Code == "MALFORMED_QUERY" {
			p.err.Code = "MALFORMED_SEARCH"
		}
		p.err.write(w)
		return
	}
	write(w, http.StatusOK, map[string]any{"searchRecords": rows})
}

var sfTerm = regexp.MustCompile(`^\(?\s*("(?:[^"\\?&|!{}\[\]()^~*:'+-]|\\.)*"|(?:[^\s"\\?&|!{}\[\]()^~*:'+-]|\\.)+)\s*\)?\s*(?:OR\s+|$)`)

// terms reads words and phrases with OR between. What is reserved must be
// escaped, in phrases too.
func (p *sfParser) terms(search string) [][]string {
	var terms [][]string
	for search = strings.TrimSpace(search); search != "" && p.err == nil; {
		found := sfTerm.FindStringSubmatch(search)
		if found == nil {
			p.fail("MALFORMED_SEARCH", "line 1: unexpected character in search term")
			return nil
		}
		search = search[len(found[0]):]
		plain := found[1]
		if plain[0] == '"' {
			plain = plain[1 : len(plain)-1]
		}
		plain = regexp.MustCompile(`\\(.)`).ReplaceAllString(plain, "$1")
		if len(plain) < 2 {
			p.fail("MALFORMED_SEARCH", "search term must be longer than one character: %s", plain)
		}
		terms = append(terms, sfWords(plain))
	}
	return terms
}

// sfWords cuts a text as the search index does.
func sfWords(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// matching returns the records of which a field of the group holds a term: its
// words side by side, or, in phone fields, the same digits.
func (s *salesforce) matching(object, group string, terms [][]string) []map[string]any {
	var found []map[string]any
	for _, record := range s.records[object] {
		hit := false
		for name, value := range record {
			phone := strings.Contains(name, "Phone") || name == "Fax"
			if group == "PHONE" && !phone || group == "EMAIL" && !strings.Contains(name, "Email") || group == "NAME" && name != "Name" {
				continue
			}
			text, _ := value.(string)
			have := " " + strings.Join(sfWords(text), " ") + " "
			for _, words := range terms {
				hit = hit || len(words) > 0 && (strings.Contains(have, " "+strings.Join(words, " ")+" ") ||
					phone && strings.ReplaceAll(have, " ", "") == strings.Join(words, ""))
			}
		}
		if hit {
			found = append(found, record)
		}
	}
	return found
}
