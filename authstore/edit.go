package authstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tandem/core"
	"tandem/core/integration"
	"tandem/core/store"
)

const maxName = 64 // characters

// Add stores a new authorization, pending, in the name of by. Errors: Invalid
// with the fields that are wrong; Conflict when the integration has one of that
// name in the tenant, in any case.
func (s *Store) Add(ctx context.Context, tenant, by string, d integration.Draft) (integration.Authorization, error) {
	now := s.o.Clock.Now()
	row := store.Authorization{
		ID: core.NewID(now), Tenant: tenant, Integration: d.Integration, Grant: d.Grant, Version: 1,
		CreatedMs: now.UnixMilli(), CreatedBy: by, UpdatedMs: now.UnixMilli(), UpdatedBy: by,
	}
	if err := s.fill(&row, d, nil, now); err != nil {
		return integration.Authorization{}, err
	}
	err := s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := freeName(ctx, tx, row); err != nil {
			return err
		}
		return tx.InsertAuthorization(ctx, row)
	})
	if err != nil {
		return integration.Authorization{}, err
	}
	s.refresh(ctx)
	return s.changed(ctx, row, true), nil
}

// Update edits an authorization in the name of by. A secret that is empty keeps
// its stored value as long as the grant is the same. Whatever was edited, it
// must be authorized again: its tokens are destroyed here and, when that is
// possible, at the provider. A draft without a grant keeps the stored one.
// Errors: those of Add, and NotFound.
func (s *Store) Update(ctx context.Context, tenant, by, id string, d integration.Draft) (integration.Authorization, error) {
	now := s.o.Clock.Now()
	var old *entry
	var row store.Authorization
	err := s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if old, err = s.lock(ctx, tx, tenant, id); err != nil {
			return err
		}
		if d.Integration != "" && d.Integration != old.row.Integration {
			return core.InvalidField("integration", "an authorization stays with its integration")
		}
		row = old.row
		var kept map[string]string
		if d.Grant == "" || d.Grant == row.Grant {
			kept = old.secrets.reveal()
		} else {
			row.Grant = d.Grant
		}
		if err := s.mayRename(old, d.Name); err != nil {
			return err
		}
		row.UpdatedMs, row.UpdatedBy = max(now.UnixMilli(), row.UpdatedMs+1), by
		if err := s.fill(&row, d, kept, now); err != nil {
			return err
		}
		if err := freeName(ctx, tx, row); err != nil {
			return err
		}
		if err := tx.SetAuthorizationSecrets(ctx, id, row.Secrets); err != nil {
			return err
		}
		_, err = tx.SaveAuthorization(ctx, row) // it is locked
		return err
	})
	if err != nil {
		return integration.Authorization{}, err
	}
	row.Version++
	shown := s.changed(ctx, row, old.row.Status != row.Status)
	s.revokeOld(ctx, old)
	return shown, nil
}

// lock locks an authorization of the tenant and opens it.
func (s *Store) lock(ctx context.Context, tx *store.Tx, tenant, id string) (*entry, error) {
	row, err := tx.LockAuthorization(ctx, id)
	if core.KindOf(err) == core.NotFound || err == nil && row.Tenant != tenant {
		return nil, core.Errorf(core.NotFound, "there is no such authorization")
	}
	if err != nil {
		return nil, err
	}
	return s.open(row), nil
}

// revokeOld revokes the tokens that an entry had.
func (s *Store) revokeOld(ctx context.Context, e *entry) {
	if p, err := s.party(e); err == nil {
		s.revoke(ctx, &p, e.tokens)
	}
}

// fill writes a draft into a row, which is pending afterwards and has no tokens.
func (s *Store) fill(row *store.Authorization, d integration.Draft, kept map[string]string, now time.Time) error {
	i, ok := s.o.Integrations().Integration(row.Integration)
	if !ok {
		return core.InvalidField("integration", "there is no integration %q", row.Integration)
	}
	g := i.Grant(row.Grant)
	if g == nil {
		return core.InvalidField("grant", "integration %s has no grant %q", row.Integration, row.Grant)
	}
	if row.Name = strings.TrimSpace(d.Name); !goodName(row.Name) {
		return core.InvalidField("name", "a name has 1 to %d characters in one line", maxName)
	}
	values, secrets, err := sort(i, g, d.Values, kept)
	if err != nil {
		return err
	}
	fields, err := json.Marshal(values)
	if err != nil {
		return fmt.Errorf("store the fields: %w", err)
	}
	if row.Secrets, err = s.seal(columnPlace(row.Tenant, row.ID, "secrets"), secrets); err != nil {
		return err
	}
	all := secrets.with(values)
	base, err := integration.Address(i.Base, i.WithDefaults(g, all.reveal()))
	if err != nil {
		return err
	}
	origins, err := originsOf(i, g, i.WithDefaults(g, all.reveal()))
	if err != nil {
		return err
	}
	// A stored secret stays with the hosts it was stored for.
	if row.Origins != "" && row.Origins != origins && reused(i.Fields(g), d.Values, kept) {
		return core.Errorf(core.Invalid, "the address has changed: enter the secrets again, they are kept for the hosts they were entered for")
	}
	if row.Status != string(integration.Pending) {
		row.Status, row.SinceMs = string(integration.Pending), now.UnixMilli()
	}
	row.Origins = origins
	row.Base, row.Fields = strings.TrimSuffix(base.String(), "/"), string(fields)
	row.Reason, row.Account, row.Scopes = "", "", ""
	row.Tokens, row.TokenEndsMs, row.RenewMs, row.EndsMs, row.WarnedMs = nil, nil, nil, nil, nil
	return nil
}

func goodName(name string) bool {
	n := utf8.RuneCountInString(name)
	unseen := func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
	return n > 0 && n <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, unseen)
}

// sort checks what was filled in and puts the secrets aside. An empty secret
// keeps the stored one.
func sort(i *integration.Integration, g *integration.Grant, given, kept map[string]string) (values map[string]string, secrets bag, err error) {
	for _, f := range i.Fields(g) {
		if f.Secret && mask(given[f.Name]) {
			return nil, nil, core.InvalidField(f.Name, "%s is only a mask; leave it empty to keep what is stored", f.Label)
		}
	}
	if err := i.Check(g, given, slices.Sorted(maps.Keys(kept))); err != nil {
		return nil, nil, err
	}
	values, hidden := i.WithDefaults(g, given), map[string]string{}
	for _, f := range i.Fields(g) {
		text := values[f.Name]
		if text == "" {
			delete(values, f.Name)
			text = kept[f.Name]
		}
		if f.Secret && text != "" {
			hidden[f.Name] = text
			delete(values, f.Name)
		}
	}
	if g.Type == integration.JWTBearer {
		if _, err := parseKey(hidden["private_key"]); err != nil {
			return nil, nil, err
		}
	}
	return values, pack(hidden), nil
}

// reused tells whether a secret is stored and was not entered again.
func reused(fields []integration.Field, given, kept map[string]string) bool {
	return slices.ContainsFunc(fields, func(f integration.Field) bool {
		return f.Secret && given[f.Name] == "" && kept[f.Name] != ""
	})
}

// originsOf lists the schemes and hosts of all addresses to which an
// authorization's secrets may go, with spaces between.
func originsOf(i *integration.Integration, g *integration.Grant, values map[string]string) (string, error) {
	var all []string
	for _, template := range []string{i.Base, g.Authorize, g.Token, g.Revoke, g.Account.URL} {
		if template == "" {
			continue
		}
		u, err := integration.Address(template, values)
		if err != nil {
			return "", err
		}
		all = append(all, u.Scheme+"://"+strings.ToLower(u.Host))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " "), nil
}

// mayRename refuses to take away a name by which nodes or mappings know an
// authorization.
func (s *Store) mayRename(e *entry, name string) error {
	if integration.NameKey(strings.TrimSpace(name)) == integration.NameKey(e.row.Name) {
		return nil
	}
	named := e.shown
	named.DefaultFor = nil
	if uses := s.o.Integrations().Uses([]integration.Authorization{named}, named.ID); len(uses) > 0 {
		return core.InvalidField("name", "%s (%s:%d) knows it by this name", uses[0].What, uses[0].File, uses[0].Line)
	}
	return nil
}

// mask tells whether a text is what pages show in place of a secret.
func mask(text string) bool { return text != "" && strings.Trim(text, "*•●") == "" }

// freeName refuses a name that another authorization has. PostgreSQL's own
// refusal would only say that a race was lost.
func freeName(ctx context.Context, tx *store.Tx, row store.Authorization) error {
	names, err := tx.AuthorizationNames(ctx, row.Tenant, row.Integration)
	if err != nil {
		return err
	}
	for id, name := range names {
		if id != row.ID && integration.NameKey(name) == integration.NameKey(row.Name) {
			e := core.Errorf(core.Conflict, "an authorization named %q is there already", name)
			e.Details = []core.Detail{{Field: "name", Message: "this name is taken"}}
			return e
		}
	}
	return nil
}

// Remove deletes an authorization, and revokes it at the provider when that is
// possible. Errors: NotFound; Conflict with code AUTHORIZATION_IN_USE and the
// places that need it as details.
func (s *Store) Remove(ctx context.Context, tenant, id string) error {
	snap, err := s.follow(ctx)
	if err != nil {
		return err
	}
	var e *entry
	err = s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if e, err = s.lock(ctx, tx, tenant, id); err != nil {
			return err
		}
		// While it is locked it becomes the default of no node.
		mine := e.shown
		if mine.DefaultFor, err = tx.DefaultNodes(ctx, id); err != nil {
			return err
		}
		all := slices.DeleteFunc(snap.list(tenant, e.row.Integration), func(a integration.Authorization) bool { return a.ID == id })
		if uses := s.o.Integrations().Uses(append(all, mine), id); len(uses) > 0 {
			return inUse(e.row.Name, uses)
		}
		return tx.DeleteAuthorization(ctx, id)
	})
	if err != nil {
		return err
	}
	s.refresh(ctx)
	s.forget(id)
	s.revokeOld(ctx, e)
	return nil
}

func inUse(name string, uses []integration.Use) error {
	err := core.Errorf(core.Conflict, "the authorization %q is in use and cannot be removed", name)
	err.Code = "AUTHORIZATION_IN_USE"
	for _, u := range uses {
		err.Details = append(err.Details, core.Detail{Field: fmt.Sprintf("%s:%d", u.File, u.Line), Message: u.What})
	}
	return err
}

// forget drops what is remembered of an authorization's provider.
func (s *Store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rests, id)
	delete(s.forced, id)
}

// MakeDefault makes an authorization the one that a node uses which names none;
// node "" stands for every node without a default of its own. Errors: NotFound;
// Conflict unless it is authorized; Invalid for a node of another integration.
func (s *Store) MakeDefault(ctx context.Context, tenant, id, node string) error {
	err := s.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		e, err := s.lock(ctx, tx, tenant, id)
		if err != nil {
			return err
		}
		if e.shown.Status != integration.Authorized {
			return core.Errorf(core.Conflict, "authorize %q before you make it the default", e.row.Name)
		}
		nodes := s.o.Integrations().Nodes(e.row.Integration)
		if node != "" && !slices.ContainsFunc(nodes, func(n integration.Node) bool { return n.ID == node }) {
			return core.InvalidField("node", "integration %s has no node %q", e.row.Integration, node)
		}
		return tx.SetDefaultAuthorization(ctx, store.DefaultAuthorization{Tenant: tenant, Integration: e.row.Integration, Node: node, ID: id})
	})
	if err != nil {
		return err
	}
	s.refresh(ctx)
	return nil
}
