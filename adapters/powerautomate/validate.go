package powerautomate

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/server"
)

// The limits of what a flow may send, texts in characters. The connector's
// definition has none but maxPreferredUsers and the priorities; these keep one
// task from becoming a store of its own.
const (
	maxIdentifier     = 256  // customerIdentifier
	maxSessionID      = 128  // serviceSessionId, userSessionId
	maxName           = 256  // of a parameter, a telephone number, a custom field
	maxValue          = 4096 // theirs, and each text of a customer
	maxNamed          = 100  // entries of each named list, also after a merge
	maxPreferredUsers = 10
	maxPriority       = 99 // of a preferred user, from 1
	maxServices       = 1000
	maxFilter         = 100 // values in one filter of a trigger
	maxKey            = 255 // bytes of an Idempotency-Key
	maxProblems       = 100 // told of one request
)

// problems collects what is wrong with a request.
type problems []core.Detail

func (p *problems) add(field, format string, args ...any) {
	if len(*p) < maxProblems {
		*p = append(*p, core.Detail{Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

// err returns an Invalid error with everything that was added, nil if nothing.
func (p *problems) err() error { return core.InvalidFields(*p) }

// text checks a plain text.
func (p *problems) text(field, text string, limit int) {
	switch {
	case !utf8.ValidString(text):
		p.add(field, "is not UTF-8")
	case utf8.RuneCountInString(text) > limit:
		p.add(field, "is longer than %d characters", limit)
	case strings.ContainsRune(text, utf8.RuneError): // half of a surrogate pair, in JSON
		p.add(field, "has a character that is none")
	case strings.ContainsFunc(text, unicode.IsControl):
		p.add(field, "has a control character; only plain text is accepted")
	}
}

// fits tells whether a list is short enough to be looked at.
func (p *problems) fits(field string, n, limit int) bool {
	if n > limit {
		p.add(field, "has %d entries; at most %d are accepted", n, limit)
	}
	return n <= limit
}

func (p *problems) named(field string, list []namedInput) {
	if !p.fits(field, len(list), maxNamed) {
		return
	}
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		if v.Name == "" {
			p.add(at+".name", "is required")
		}
		p.text(at+".name", v.Name, maxName)
		if v.Value != nil {
			p.text(at+".value", *v.Value, maxValue)
		}
	}
}

func (p *problems) customer(in *customerInput) {
	if in == nil {
		return
	}
	for _, t := range in.texts(&core.Customer{}) {
		if t.in != nil {
			p.text("customer."+t.name, *t.in, maxValue)
		}
	}
	p.named("customer.telNumbers", in.TelNumbers)
	p.named("customer.customFields", in.CustomFields)
}

// preferred checks a list of preferred users and returns it in the directory's
// spelling.
func (p *problems) preferred(tenant *directory.Tenant, in []preferredUserInput) []core.PreferredUser {
	const field = "preferredUsers"
	if !p.fits(field, len(in), maxPreferredUsers) {
		return nil
	}
	list := make([]core.PreferredUser, 0, len(in))
	for i, u := range in {
		at := fmt.Sprintf("%s[%d]", field, i)
		user, known := tenant.User(u.UPN)
		switch {
		case u.UPN == "":
			p.add(at+".upn", "is required")
		case !known:
			p.add(at+".upn", "is not a user of the tenant")
		case user.Licence != directory.ContactCenter:
			p.add(at+".upn", "has no Contact Center licence")
		default:
			list = append(list, core.PreferredUser{UPN: user.UPN})
		}
		if u.Priority == nil {
			continue
		}
		if *u.Priority < 1 || *u.Priority > maxPriority {
			p.add(at+".priority", "must be from 1 to %d", maxPriority)
		} else if n := len(list); n > 0 && list[n-1].UPN == user.UPN {
			list[n-1].Priority = *u.Priority
		}
	}
	return list
}

// priority reads a distribution priority; nothing given is Normal.
func (p *problems) priority(field, text string) core.Priority {
	if text == "" {
		return core.PriorityNormal
	}
	v, ok := find(core.Priorities, text)
	if !ok {
		p.add(field, "is not one of %s", join(core.Priorities))
	}
	return v
}

// older holds, folded, the words of the older connector for an event.
var older = map[string]string{"acceptedbysystem": "systemaccepted"}

// find returns the value of a list that is written as text: as the value or as
// its label, in any case. Flows keep what the designer once offered.
func find[T ~string](list []T, text string) (T, bool) {
	word := fold(text)
	if now, ok := older[word]; ok {
		word = now
	}
	i := slices.IndexFunc(list, func(v T) bool { return fold(string(v)) == word })
	if i < 0 {
		return "", false
	}
	return list[i], true
}

func fold(text string) string { return strings.ToLower(strings.ReplaceAll(text, " ", "")) }

func join[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = string(v)
	}
	return strings.Join(words, ", ")
}

// filter reads a filter of a trigger; an empty one lets everything through.
func filter[T ~string](p *problems, field string, texts []string, list []T) core.Set {
	var set core.Set
	if !p.fits(field, len(texts), maxFilter) {
		return set
	}
	for i, text := range texts {
		v, ok := find(list, text)
		if !ok {
			p.add(fmt.Sprintf("%s[%d]", field, i), "is not one of %s", join(list))
		}
		set |= core.SetOf(list, v)
	}
	return set
}

// taskID returns the id in a path as it is stored.
func taskID(text string) (string, error) {
	if len(text) != 36 || uuid.Validate(text) != nil {
		return "", core.Errorf(core.NotFound, "there is no task with this id: a task's id is a UUID")
	}
	return strings.ToLower(text), nil
}

// idempotencyKey returns the key of a command; nil when the caller gave none.
// A key is the tenant's, for one operation; with another address or body it is
// another request.
func idempotencyKey(c echo.Context, operation string) (*engine.Key, error) {
	const header = "Idempotency-Key"
	r := c.Request()
	values, found := r.Header[header]
	if !found {
		return nil, nil
	}
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxKey || strings.ContainsFunc(values[0], unprintable) {
		return nil, core.InvalidField(header, "must be given once and have 1 to %d printable ASCII characters", maxKey)
	}
	body, err := server.ReadBody(c)
	if err != nil {
		return nil, err
	}
	request := append([]byte(r.Method+" "+r.URL.Path+"\n"), body...)
	return &engine.Key{
		Name:     operation + " " + values[0],
		BodyHash: sha256.Sum256(request),
	}, nil
}

func unprintable(r rune) bool { return r < 0x20 || r > 0x7e }
