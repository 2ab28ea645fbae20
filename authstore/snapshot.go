package authstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

// The names of the two tokens in their bag.
const (
	accessToken  = "access"
	refreshToken = "refresh"
)

// earlyBy is how long before its end a token is no longer given to calls, which
// take time, and go to servers whose clocks differ.
const earlyBy = 30 * time.Second

// followEvery is how often the database is asked for changes of others.
const followEvery = time.Second

// entry is one authorization, opened. It never changes.
type entry struct {
	row     store.Authorization
	shown   integration.Authorization
	secrets bag
	tokens  bag
	bearer  secret     // the value of the header
	places  []*url.URL // schemes and hosts to which secrets may go
	good    int64      // until when the access token is given to calls, in ms
	ends    int64      // when it is certain to be of no use
	stamp   int64
	err     error // it cannot be read
}

// key names what a call asks for: an authorization by its name in lower case,
// or a default by its node.
type key struct{ tenant, integration, name string }

// snapshot is all authorizations as they stood at one moment. It never changes.
type snapshot struct {
	stamp    string // of the database
	byID     map[string]*entry
	byName   map[key]*entry
	defaults []store.DefaultAuthorization
	byNode   map[key]string // ids
	unread   *keyring       // the keys under which an entry could not be opened; nil: all were
}

// open reads a row.
func (s *Store) open(row store.Authorization) *entry {
	e := &entry{row: row, good: math.MaxInt64, ends: math.MaxInt64, stamp: stampOf(row)}
	var fields map[string]string
	e.err = json.Unmarshal([]byte(row.Fields), &fields)
	var err error
	if e.secrets, err = s.unseal(columnPlace(row.Tenant, row.ID, "secrets"), row.Secrets); err != nil {
		e.err = errors.Join(e.err, err)
	}
	if e.tokens, err = s.unseal(columnPlace(row.Tenant, row.ID, "tokens"), row.Tokens); err != nil {
		e.err = errors.Join(e.err, err)
	}
	for _, text := range append(strings.Fields(row.Origins), row.Base) {
		if u, err := url.Parse(text); err == nil && u.Host != "" {
			e.places = append(e.places, u)
		}
	}
	if row.TokenEndsMs != nil {
		e.ends = *row.TokenEndsMs
		e.good = e.ends - earlyBy.Milliseconds()
	}
	if row.RenewMs != nil && *row.RenewMs > e.good { // the token lives hardly longer than earlyBy
		e.good = *row.RenewMs
	}
	if access := e.tokens.reveal()[accessToken]; access != "" {
		e.bearer = conceal("Bearer " + access)
	}
	e.shown = integration.Authorization{
		ID: row.ID, Tenant: row.Tenant, Integration: row.Integration, Name: row.Name, Grant: row.Grant,
		Status: integration.Status(row.Status), Reason: row.Reason, Since: store.FromMilli(row.SinceMs),
		Account: row.Account, Base: row.Base, Scopes: strings.Fields(row.Scopes),
		Values: fields, Secrets: slices.Sorted(maps.Keys(e.secrets.reveal())),
		TokenExpires: moment(row.TokenEndsMs), Expires: moment(row.EndsMs),
		Created: store.FromMilli(row.CreatedMs), CreatedBy: row.CreatedBy,
		Updated: store.FromMilli(row.UpdatedMs), UpdatedBy: row.UpdatedBy, Version: row.Version,
	}
	return e
}

// stampOf tells credentials apart, those of other authorizations too.
func stampOf(row store.Authorization) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s:%d", row.ID, row.Version)
	return int64(h.Sum64() >> 1)
}

// moment is the zero time for nil.
func moment(ms *int64) time.Time {
	if ms == nil {
		return time.Time{}
	}
	return store.FromMilli(*ms)
}

// sameOrigin tells whether two addresses lead to one scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case u.Scheme == "http":
		return "80"
	default:
		return "443"
	}
}

// current returns the snapshot, from the database on first use.
func (s *Store) current(ctx context.Context) (*snapshot, error) {
	if snap := s.snap.Load(); snap != nil {
		return snap, nil
	}
	return s.follow(ctx)
}

// follow brings the snapshot up to what the database holds and returns it.
func (s *Store) follow(ctx context.Context) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, sideTimeout)
	defer cancel()
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-ctx.Done():
		return nil, fmt.Errorf("read the authorizations: %w", ctx.Err())
	}
	now := s.o.Clock.Now()
	stamp, err := s.o.DB.AuthorizationsStamp(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the authorizations: %w", err)
	}
	old := s.snap.Load()
	if old == nil || old.stamp != stamp || old.unread != nil && old.unread != s.o.Sealer.keys.Load() {
		rows, err := s.o.DB.Authorizations(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the authorizations: %w", err)
		}
		defaults, err := s.o.DB.DefaultAuthorizations(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the default authorizations: %w", err)
		}
		old = s.build(old, stamp, rows, defaults)
		s.snap.Store(old)
	}
	s.followed.Store(now.UnixMilli())
	return old, nil
}

// followLate is follow unless that was just done; false then.
func (s *Store) followLate(ctx context.Context) (*snapshot, bool, error) {
	since := s.o.Clock.Now().UnixMilli() - s.followed.Load()
	if since >= 0 && since < followEvery.Milliseconds() {
		return nil, false, nil
	}
	snap, err := s.follow(ctx)
	return snap, true, err
}

// refresh takes in what this replica has just written. When that fails, the
// next who asks reads everything anew.
func (s *Store) refresh(ctx context.Context) {
	if _, err := s.follow(context.WithoutCancel(ctx)); err != nil {
		s.reading <- struct{}{}
		s.snap.Store(nil)
		<-s.reading
	}
}

// put takes in one row that was read or written. An older one changes nothing,
// nor does one that the snapshot does not know: it may have been removed since.
func (s *Store) put(row store.Authorization) {
	s.reading <- struct{}{}
	defer func() { <-s.reading }()
	old := s.snap.Load()
	if old == nil || old.byID[row.ID] == nil || old.byID[row.ID].row.Version >= row.Version {
		return
	}
	rows := make([]store.Authorization, 0, len(old.byID)+1)
	for id, e := range old.byID {
		if id != row.ID {
			rows = append(rows, e.row)
		}
	}
	s.snap.Store(s.build(old, old.stamp, append(rows, row), old.defaults))
}

// build makes a snapshot and opens only what it does not know yet.
func (s *Store) build(old *snapshot, stamp string, rows []store.Authorization, defaults []store.DefaultAuthorization) *snapshot {
	snap := &snapshot{
		stamp: stamp, defaults: defaults, byID: make(map[string]*entry, len(rows)),
		byName: make(map[key]*entry, len(rows)), byNode: make(map[key]string, len(defaults)),
	}
	keys := s.o.Sealer.keys.Load()
	for _, row := range rows {
		var e *entry
		if old != nil {
			e = old.byID[row.ID]
		}
		if e == nil || e.err != nil || e.row.Version != row.Version {
			e = s.open(row)
		}
		if e.err != nil {
			snap.unread = keys
		}
		snap.byID[row.ID] = e
		snap.byName[key{row.Tenant, row.Integration, integration.NameKey(row.Name)}] = e
	}
	for _, d := range defaults {
		snap.byNode[key{d.Tenant, d.Integration, d.Node}] = d.ID
	}
	return snap
}

// authorization returns what may be shown of an entry; the caller owns it.
func (snap *snapshot) authorization(e *entry) integration.Authorization {
	a := e.shown
	a.Values, a.Secrets, a.Scopes = maps.Clone(a.Values), slices.Clone(a.Secrets), slices.Clone(a.Scopes)
	for _, d := range snap.defaults {
		if d.ID == a.ID {
			a.DefaultFor = append(a.DefaultFor, d.Node)
		}
	}
	return a
}

// list returns the authorizations of a tenant by name, of one integration or,
// when that is empty, of all.
func (snap *snapshot) list(tenant, id string) []integration.Authorization {
	var all []integration.Authorization
	for _, e := range snap.byID {
		if e.row.Tenant == tenant && (id == "" || e.row.Integration == id) {
			all = append(all, snap.authorization(e))
		}
	}
	slices.SortFunc(all, func(a, b integration.Authorization) int {
		return cmp.Or(strings.Compare(integration.NameKey(a.Name), integration.NameKey(b.Name)), strings.Compare(a.Integration, b.Integration))
	})
	return all
}

// find returns an authorization of the tenant; NotFound when there is none.
func (snap *snapshot) find(tenant, id string) (*entry, error) {
	e := snap.byID[id]
	if e == nil || e.row.Tenant != tenant {
		return nil, core.Errorf(core.NotFound, "there is no such authorization")
	}
	return e, nil
}
