package authstore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/authstore/authserver"
	"tandem/core"
	"tandem/core/integration"
	"tandem/core/outbound"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

// life runs a test with a replica on either database, at a provider that hands
// out each refresh token once, for an hour.
func life(t *testing.T, test func(t *testing.T, h *hub)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, dbURL string) {
		p := newProvider(t, authserver.Options{Rotate: true, AccessLife: time.Hour})
		test(t, newHub(t, p, newSealer(t, randomKey(t)), dbURL))
	})
}

func TestLifeOfAnAuthorization(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		a := h.add(t, draft("sign-in", "  Main ", "region", "us"))
		require.Equal(t, "Main", a.Name)
		require.Equal(t, "http://"+h.host+"/api", a.Base)
		require.Equal(t, map[string]string{"client_id": "hub", "region": "us"}, a.Values)
		require.Equal(t, []string{"client_secret"}, a.Secrets)
		require.Equal(t, []string{admin, admin}, []string{a.CreatedBy, a.UpdatedBy})
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
		require.Equal(t, core.Conflict, core.KindOf(h.MakeDefault(ctx, tenant, a.ID, "")))

		address, err := h.Begin(ctx, tenant, a.ID, "session")
		require.NoError(t, err)
		require.NotContains(t, address, canary)
		h.clock.Advance(time.Minute)
		a, err = h.Finish(ctx, tenant, "session", "acme", h.signIn(t, address))
		require.NoError(t, err)
		require.Equal(t, integration.Authorized, a.Status)
		require.Equal(t, "ann@acme.example", a.Account)
		require.Equal(t, []string{"read", "write:us"}, a.Scopes)
		require.Equal(t, h.clock.Now(), a.Since)
		require.Equal(t, h.clock.Now().Add(time.Hour), a.TokenExpires)
		require.Equal(t, h.clock.Now().Add(90*24*time.Hour), a.Expires)
		require.Equal(t, []integration.Status{integration.Pending, integration.Authorized}, h.statuses())

		_, accepted, err := h.call(t, named("mAIN"))
		require.NoError(t, err)
		require.True(t, accepted)
		require.NoError(t, h.MakeDefault(ctx, tenant, a.ID, ""))
		_, accepted, err = h.call(t, outbound.Credential{Tenant: tenant, Integration: "acme", Node: "n"})
		require.NoError(t, err)
		require.True(t, accepted)
		require.Equal(t, []string{""}, h.get(t, a.ID).DefaultFor)

		before := h.tokens(t, a.ID)
		a, err = h.Update(ctx, tenant, "eve@contoso.example", a.ID, integration.Draft{Name: "Renamed", Values: map[string]string{"client_id": "hub"}})
		require.NoError(t, err)
		require.Equal(t, integration.Pending, a.Status)
		require.Equal(t, "eve@contoso.example", a.UpdatedBy)
		require.Equal(t, []string{"client_secret"}, a.Secrets, "an empty secret keeps the stored one")
		require.Equal(t, "eu", a.Values["region"])
		require.Empty(t, a.Account)
		require.Nil(t, h.tokens(t, a.ID), "destroyed here")
		require.Len(t, h.revocations(), 1, "and at the provider")
		require.Equal(t, before[refreshToken], h.revocations()[0].Get("token"))
		require.Equal(t, canary, h.revocations()[0].Get("client_secret"))
		_, _, err = h.call(t, outbound.Credential{Tenant: tenant, Integration: "acme"})
		require.ErrorContains(t, err, "pending")

		require.NoError(t, h.Remove(ctx, tenant, a.ID))
		_, err = h.Get(ctx, tenant, a.ID)
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, _, err = h.call(t, outbound.Credential{Tenant: tenant, Integration: "acme"})
		require.ErrorContains(t, err, "integration acme has no default authorization in tenant contoso; make one the default")
	})
}

// tokens reads the stored tokens of an authorization; nil when it has none.
func (h *hub) tokens(t testing.TB, id string) map[string]string {
	t.Helper()
	row, err := h.db.Authorization(t.Context(), id)
	require.NoError(t, err)
	e := h.open(row)
	require.NoError(t, e.err)
	return e.tokens.reveal()
}

func TestDrafts(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		first := h.add(t, draft("key", "Main"))
		for name, c := range map[string]struct {
			d     integration.Draft
			kind  core.Kind
			field string
		}{
			"no name":             {draft("key", "  "), core.Invalid, "name"},
			"long name":           {draft("key", strings.Repeat("ä", 65)), core.Invalid, "name"},
			"name of two lines":   {draft("key", "a\nb"), core.Invalid, "name"},
			"unknown grant":       {draft("nothing", "x"), core.Invalid, "grant"},
			"unknown integration": {integration.Draft{Integration: "nothing", Grant: "key", Name: "x"}, core.Invalid, "integration"},
			"no secret":           {draft("key", "x", "key", ""), core.Invalid, "key"},
			"mask":                {draft("key", "x", "key", "****"), core.Invalid, "key"},
			"bullets":             {draft("key", "x", "key", "••••"), core.Invalid, "key"},
			"line break":          {draft("key", "x", "key", "a\r\nb"), core.Invalid, "key"},
			"unknown field":       {draft("key", "x", "color", "red"), core.Invalid, "color"},
			"bad key":             {draft("jwt", "x", "client_id", "c", "user", "u", "private_key", "canary-secret-value"), core.Invalid, "private_key"},
			"name taken":          {draft("key", "MAIN"), core.Conflict, "name"},
		} {
			_, err := h.Add(ctx, tenant, admin, c.d)
			require.Equal(t, c.kind, core.KindOf(err), name)
			var e *core.Error
			require.ErrorAs(t, err, &e, name)
			require.Equal(t, c.field, e.Details[0].Field, name)
			require.NotContains(t, fmt.Sprintf("%+v", e), canary, name)
		}
		_, err := h.Add(ctx, "fabrikam", admin, draft("key", "Main"))
		require.NoError(t, err, "another tenant's names are its own")

		second := h.add(t, draft("key", "Second"))
		_, err = h.Update(ctx, tenant, admin, second.ID, integration.Draft{Name: "main"})
		require.Equal(t, core.Conflict, core.KindOf(err))
		_, err = h.Update(ctx, tenant, admin, second.ID, integration.Draft{Integration: "other", Name: "Second"})
		require.Equal(t, core.Invalid, core.KindOf(err))
		_, err = h.Update(ctx, tenant, admin, second.ID, integration.Draft{Name: "Second", Values: map[string]string{"key": "***"}})
		require.Equal(t, core.Invalid, core.KindOf(err))
		_, err = h.Update(ctx, tenant, admin, second.ID, integration.Draft{Name: "Second", Grant: "bearer"})
		require.Equal(t, core.Invalid, core.KindOf(err), "the secrets of another grant are not taken over")
		_, err = h.Update(ctx, tenant, admin, second.ID, integration.Draft{Name: "SECOND"})
		require.NoError(t, err)
		require.Equal(t, canary, h.open(h.row(t, second.ID)).secrets.reveal()["key"])

		all, err := h.List(ctx, tenant, "")
		require.NoError(t, err)
		require.Equal(t, []string{"Main", "SECOND"}, []string{all[0].Name, all[1].Name})
		require.Equal(t, first.ID, all[0].ID)
		none, err := h.List(ctx, tenant, "other")
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, map[string]map[integration.Status]int{"acme": {integration.Pending: 3}}, h.Counts())
	})
}

func (h *hub) row(t testing.TB, id string) store.Authorization {
	t.Helper()
	row, err := h.db.Authorization(t.Context(), id)
	require.NoError(t, err)
	return row
}

func TestAnotherTenant(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx, other := t.Context(), "fabrikam"
		a := h.authorized(t, "sign-in", "Main")
		require.NoError(t, h.MakeDefault(ctx, tenant, a.ID, ""))
		address, err := h.Begin(ctx, tenant, a.ID, "session")
		require.NoError(t, err)

		_, err = h.Get(ctx, other, a.ID)
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = h.Update(ctx, other, admin, a.ID, draft("sign-in", "x"))
		require.Equal(t, core.NotFound, core.KindOf(err))
		require.Equal(t, core.NotFound, core.KindOf(h.Remove(ctx, other, a.ID)))
		require.Equal(t, core.NotFound, core.KindOf(h.MakeDefault(ctx, other, a.ID, "")))
		_, err = h.Begin(ctx, other, a.ID, "session")
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = h.Grant(ctx, other, a.ID)
		require.Equal(t, core.NotFound, core.KindOf(err))
		_, err = h.Finish(ctx, other, "session", "acme", h.signIn(t, address))
		require.Equal(t, core.Invalid, core.KindOf(err))
		for _, c := range []outbound.Credential{
			{Tenant: other, Integration: "acme"},
			{Tenant: other, Integration: "acme", Name: "Main"},
			{Integration: "acme"},
			{Integration: "acme", Name: "Main"},
			{Tenant: tenant, Integration: "other"},
			{Tenant: tenant, Integration: "other", Name: "Main"},
		} {
			_, _, err := h.call(t, c)
			require.Equal(t, core.NeedsAuthorization, core.KindOf(err), "%+v", c)
		}
	})
}

func TestSwappedRowsOpenNothing(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		h.add(t, draft("key", "One"))
		two := h.add(t, draft("key", "Two"))
		one := h.row(t, h.named(t, "One").ID)
		moved := h.row(t, two.ID)
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetAuthorizationSecrets(ctx, moved.ID, one.Secrets); err != nil {
				return err
			}
			moved.Status = string(integration.Authorized)
			_, err := tx.SaveAuthorization(ctx, moved)
			return err
		}))
		require.Len(t, h.list(t), 2, "listed still, so that it can be removed")
		_, _, err := h.call(t, named("Two"))
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		require.ErrorIs(t, err, ErrDamaged)
		require.NoError(t, h.Remove(t.Context(), tenant, two.ID))
	})
}

func (h *hub) list(t testing.TB) []integration.Authorization {
	t.Helper()
	all, err := h.List(t.Context(), tenant, "")
	require.NoError(t, err)
	return all
}

func (h *hub) named(t testing.TB, name string) integration.Authorization {
	t.Helper()
	for _, a := range h.list(t) {
		if a.Name == name {
			return a
		}
	}
	require.Fail(t, "no such authorization")
	return integration.Authorization{}
}

func TestRemoveWhatIsUsed(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "sign-in", "pinned")
		err := h.Remove(t.Context(), tenant, a.ID)
		var e *core.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, core.Conflict, e.Kind)
		require.Equal(t, "AUTHORIZATION_IN_USE", e.Code)
		require.Equal(t, []core.Detail{{Field: "webex/nodes.yaml:3", Message: "Node Call Acme"}}, e.Details)
		require.Empty(t, h.revocations())

		free := h.authorized(t, "sign-in", "free")
		require.NoError(t, h.Remove(t.Context(), tenant, free.ID))
		require.Len(t, h.revocations(), 1)
	})
}

func TestDefaults(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		all, node := h.authorized(t, "machine", "All"), h.authorized(t, "machine", "Node")
		require.NoError(t, h.MakeDefault(ctx, tenant, node.ID, "create-task"))
		_, _, err := h.call(t, outbound.Credential{Tenant: tenant, Integration: "acme"})
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err), "the default of a node is no other's")
		require.Equal(t, core.Invalid, core.KindOf(h.MakeDefault(ctx, tenant, node.ID, "unknown")))
		require.NoError(t, h.MakeDefault(ctx, tenant, node.ID, ""))
		require.NoError(t, h.MakeDefault(ctx, tenant, all.ID, ""))
		require.Equal(t, []string{""}, h.get(t, all.ID).DefaultFor)
		require.Equal(t, []string{"create-task"}, h.get(t, node.ID).DefaultFor)
		entry, ok := h.live.Load().Node("create-task", "0.9") // older versions have a default of their own
		require.True(t, ok)
		old := h.authorized(t, "machine", "Old")
		require.NoError(t, h.MakeDefault(ctx, tenant, old.ID, entry.ID))
		require.Equal(t, []string{"create-task-old"}, h.get(t, old.ID).DefaultFor)
		for asked, want := range map[string]integration.Authorization{"": all, "other": all, "create-task": node, entry.ID: old} {
			stamp, accepted, err := h.call(t, outbound.Credential{Tenant: tenant, Integration: "acme", Node: asked})
			require.NoError(t, err)
			require.True(t, accepted)
			require.Equal(t, stampOf(h.row(t, want.ID)), stamp)
		}
		_, err = h.Update(ctx, tenant, admin, node.ID, draft("machine", "Node"))
		require.NoError(t, err)
		_, _, err = h.call(t, outbound.Credential{Tenant: tenant, Integration: "acme", Node: "create-task"})
		require.Equal(t, core.NeedsAuthorization, core.KindOf(err), "no fallback to another one")
	})
}

func TestGoneFromTheCatalogue(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		a := h.authorized(t, "machine", "Main")
		h.enforce(t, strings.Replace(acmeFile, "- id: machine", "- id: engine", 1))
		_, _, err := h.call(t, named("Main"))
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		_, err = h.Grant(t.Context(), tenant, a.ID)
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		h.live.Store(&integration.Catalogue{})
		_, _, err = h.call(t, named("Main"))
		require.Equal(t, core.NotConfigured, core.KindOf(err))
		require.Len(t, h.list(t), 1)
		require.NoError(t, h.Remove(t.Context(), tenant, a.ID))
	})
}

func TestReplicasFollow(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{})
	sealer, dbURL := newSealer(t, randomKey(t)), pgtest.Start(t)
	one, two := newHub(t, p, sealer, dbURL), newHub(t, p, sealer, dbURL)
	_, _, err := two.call(t, named("Main"))
	require.Equal(t, core.NeedsAuthorization, core.KindOf(err))
	a := one.authorized(t, "machine", "Main")
	p.clock.Advance(time.Second)
	_, accepted, err := two.call(t, named("Main"))
	require.NoError(t, err, "seen without Run")
	require.True(t, accepted)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { two.Run(ctx); close(ended) }()
	_, err = one.Update(t.Context(), tenant, admin, a.ID, draft("machine", "Other"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return two.Counts()["acme"][integration.Pending] == 1
	}, 20*time.Second, 10*time.Millisecond)
	cancel()
	<-ended
}

func TestWarn(t *testing.T) {
	life(t, func(t *testing.T, h *hub) {
		ctx := t.Context()
		a := h.authorized(t, "sign-in", "Main")
		require.NoError(t, h.Warn(ctx))
		require.Len(t, h.statuses(), 2)
		require.Empty(t, h.Expiring(14*24*time.Hour))
		h.clock.Advance(80 * 24 * time.Hour)
		require.Len(t, h.Expiring(14*24*time.Hour), 1)
		for range 2 {
			require.NoError(t, h.Warn(ctx))
			require.Len(t, h.statuses(), 3, "once")
		}
		require.Equal(t, a.ID, h.changes[2].ID)
		require.Equal(t, a.Expires, h.changes[2].Expires)

		_, _, err := h.call(t, named("Main")) // renews for 90 days
		require.NoError(t, err)
		require.Empty(t, h.Expiring(14*24*time.Hour))
		h.clock.Advance(80 * 24 * time.Hour)
		require.NoError(t, h.Warn(ctx))
		require.Len(t, h.statuses(), 4)
	})
}

func TestSecretsShowNothing(t *testing.T) {
	t.Parallel()
	p := newProvider(t, authserver.Options{})
	h := newHub(t, p, newSealer(t, randomKey(t)), "sqlite:"+t.TempDir()+"/t.db")
	h.authorized(t, "key", "Key")
	a := h.authorized(t, "sign-in", "Main")
	token := h.tokens(t, a.ID)[accessToken]
	snap := h.snap.Load()
	e := snap.byID[a.ID]
	one, err := h.party(e)
	require.NoError(t, err)
	var text strings.Builder
	log := slog.New(slog.NewJSONHandler(&text, nil))
	for _, v := range []any{snap, *snap, e, *e, one, &one, e.secrets, e.tokens, e.bearer, h.Store, &answer{tokens: e.tokens}, e.shown} {
		fmt.Fprintf(&text, "%v %+v %#v %s %q", v, v, v, v, v)
		log.Info("shown", "value", v)
	}
	fmt.Fprintf(&text, "%v", []*entry{e})
	shown, err := json.Marshal(e.shown)
	require.NoError(t, err)
	text.Write(shown)
	require.NotContains(t, text.String(), canary)
	require.NotContains(t, text.String(), token)
}
