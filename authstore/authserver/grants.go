package authserver

import (
	"crypto/rand"
	"slices"
	"strings"
	"time"
)

const (
	maxGrants = 10_000
	maxAccess = 8    // access tokens of one grant at a time
	maxParam  = 2048 // bytes of a parameter that is kept
)

// grant is what an account has allowed a client. Its code and its tokens begin
// with its id, so that an old one still finds the grant that it betrays.
type grant struct {
	id      string
	account string
	client  string
	scope   string
	since   time.Time

	code      string
	codeUntil time.Time
	codeUsed  bool
	redirect  string
	challenge string

	refresh      string // the one in force; empty: none
	refreshUntil time.Time
	access       []access // oldest first
}

type access struct {
	token string
	until time.Time
}

// opens tells whether the access token may be used.
func (g *grant) opens(token string, now time.Time) bool {
	return slices.ContainsFunc(g.access, func(a access) bool { return a.token == token && now.Before(a.until) })
}

// live tells whether a token of the grant may still be used.
func (g *grant) live(now time.Time) bool {
	return g.refresh != "" && now.Before(g.refreshUntil) ||
		slices.ContainsFunc(g.access, func(a access) bool { return now.Before(a.until) })
}

// The kinds of what a grant hands out.
const (
	codeKind    = ".c."
	accessKind  = ".a."
	refreshKind = ".r."
)

// newToken returns a code or token of the grant.
func (g *grant) newToken(kind string) string { return g.id + kind + rand.Text() }

// add keeps a grant and gives it an id. When there are too many, those without
// use go first, then the oldest. The caller holds the lock.
func (s *Server) add(g *grant) {
	now := s.opts.Clock.Now()
	if len(s.order) >= maxGrants {
		s.order = slices.DeleteFunc(s.order, func(id string) bool {
			old := s.grants[id]
			if old != nil && (old.live(now) || now.Before(old.codeUntil)) {
				return false
			}
			delete(s.grants, id)
			return true
		})
		for len(s.order) > maxGrants*3/4 {
			delete(s.grants, s.order[0])
			s.order = s.order[1:]
		}
	}
	g.id, g.since = rand.Text(), now
	s.grants[g.id] = g
	s.order = append(s.order, g.id)
}

// find returns the grant of a code or token, whether that is still in force or
// not; nil when there is none. The caller holds the lock.
func (s *Server) find(token string) *grant {
	id, _, _ := strings.Cut(token, ".")
	return s.grants[id]
}

// issue gives the grant another access token. The caller holds the lock.
func (s *Server) issue(g *grant) string {
	if len(g.access) == maxAccess {
		g.access = slices.Delete(g.access, 0, 1)
	}
	a := access{token: g.newToken(accessKind), until: s.opts.Clock.Now().Add(s.opts.AccessLife)}
	g.access = append(g.access, a)
	return a.token
}

// renew gives the grant another refresh token in place of its last. The caller
// holds the lock.
func (s *Server) renew(g *grant) string {
	g.refresh, g.refreshUntil = g.newToken(refreshKind), s.opts.Clock.Now().Add(s.opts.RefreshLife)
	return g.refresh
}
