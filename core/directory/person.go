package directory

import (
	"slices"
	"strings"
)

// Person returns the user whom a platform calls by the UPN, the e-mail address
// or the id; case does not count.
func (t *Tenant) Person(name string) (*User, bool) {
	if u, ok := t.User(name); ok {
		return u, true
	}
	for _, u := range t.users {
		if name != "" && (strings.EqualFold(u.ID, name) || strings.EqualFold(u.Email, name)) {
			return u, true
		}
	}
	return nil, false
}

// HasMember tells whether a user is one of the service's agents; case does not
// count.
func (s *Service) HasMember(upn string) bool {
	return slices.ContainsFunc(s.Members, func(m string) bool { return strings.EqualFold(m, upn) })
}
