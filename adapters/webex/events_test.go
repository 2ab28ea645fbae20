package webex

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/coretest"
	"tandem/core/directory"
	"tandem/core/mapping"
	"tandem/core/server"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

const eventDirectory = `
tenant: contoso
title: Contoso
id: 6f9619ff-8b86-4011-b42d-00cf4fc964ff
units:
  - path: contoso
    title: All
users:
  - upn: admin@contoso.example
    roles: [Tenant Admin]
`

// secretBox shows whether it was opened in the wrong place.
type secretBox struct{}

func (secretBox) Seal(place string, plain []byte) []byte {
	return append([]byte("12345678sealed|"+place+"|"), plain...)
}

func (secretBox) Open(place string, sealed []byte) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed), "12345678sealed|"+place+"|")
	if !ok {
		return nil, errors.New("damaged")
	}
	return []byte(plain), nil
}

// happenings stands for the bridge.
type happenings struct {
	mu   sync.Mutex
	all  []bridge.Event
	seen map[string]bool
	do   func(ctx context.Context) error // nil: it is stored
}

func (h *happenings) Happened(ctx context.Context, tenant string, ev bridge.Event) (bridge.Receipt, error) {
	h.mu.Lock()
	do := h.do
	h.mu.Unlock()
	if do != nil {
		if err := do(ctx); err != nil {
			return bridge.Receipt{}, err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := tenant + "/" + string(ev.Key)
	if h.seen[key] {
		return bridge.Receipt{Duplicate: true}, nil
	}
	if h.seen == nil {
		h.seen = map[string]bool{}
	}
	h.seen[key] = true
	h.all = append(h.all, ev)
	return bridge.Receipt{Known: true}, nil
}

func (h *happenings) set(do func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.do = do
}

func (h *happenings) events() []bridge.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]bridge.Event(nil), h.all...)
}

// eventRig is Events on the real server and database.
type eventRig struct {
	db       *store.DB
	clock    *coretest.Clock
	happened *happenings
	events   *Events
	handler  http.Handler

	mu     sync.Mutex
	audit  []AuditRecord
	faults []string
}

func (r *eventRig) failed(msg string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, msg+": "+err.Error())
}

// audited returns the reasons since it was last asked.
func (r *eventRig) audited() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var reasons []string
	for _, a := range r.audit {
		reasons = append(reasons, a.Tenant+"|"+a.Subscription+"|"+a.Reason)
	}
	r.audit = nil
	return reasons
}

func eventDB(t testing.TB, url string, clock core.Clock) *store.DB {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{URL: url, Clock: clock})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.Migrate(context.Background()))
	return db
}

func newEventRig(t testing.TB, url string) *eventRig {
	t.Helper()
	r := &eventRig{clock: coretest.NewClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), happened: &happenings{}}
	r.db = eventDB(t, url, r.clock)
	set, findings := mapping.Read(fstest.MapFS{"directory/contoso.yaml": {Data: []byte(eventDirectory), Mode: 0o644}})
	require.Empty(t, findings)
	dir, findings := directory.Load(set)
	require.Empty(t, findings)
	r.events = NewEvents(EventsOptions{
		DB: r.db, Box: secretBox{}, Clock: r.clock, Happened: r.happened, Failed: r.failed,
		Directory: func() *directory.Directory { return dir }, Callers: server.NewCallers(r.db, nil),
		Audit: func(_ context.Context, a AuditRecord) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.audit = append(r.audit, a)
		},
	})
	srv, err := server.New(server.Options{Clock: r.clock})
	require.NoError(t, err)
	r.events.Mount(srv.Echo())
	r.handler = srv.Echo()
	r.subscribe(t, subID, "contoso", subSecret)
	return r
}

const (
	subID     = "0123456789abcdef0123456789abcdef"
	subSecret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	subOrg    = "97cdbf45-ebe2-4687-8341-44d5c7abf101"
)

func (r *eventRig) subscribe(t testing.TB, id, tenant, secret string) {
	t.Helper()
	r.write(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertSubscription(ctx, store.Subscription{
			ID: id, Tenant: tenant, Org: subOrg, Status: "active", Secret: secretBox{}.Seal(subscriptionPlace(id), []byte(secret)),
		})
	})
}

func (r *eventRig) write(t testing.TB, fn func(context.Context, *store.Tx) error) {
	t.Helper()
	require.NoError(t, r.db.Write(context.Background(), fn))
}

// rotate changes the secret of subID; old is taken until a moment.
func (r *eventRig) rotate(t testing.TB, secret, old string, until time.Time) {
	t.Helper()
	r.write(t, func(ctx context.Context, tx *store.Tx) error {
		s, err := tx.ClaimSubscription(ctx, "contoso", time.Minute)
		if err != nil {
			return err
		}
		s.Secret = secretBox{}.Seal(subscriptionPlace(subID), []byte(secret))
		s.OldSecret = secretBox{}.Seal(subscriptionPlace(subID), []byte(old))
		s.OldUntilMs = until.UnixMilli()
		return tx.SaveSubscription(ctx, s, true)
	})
}

func (r *eventRig) key(t testing.TB, upn, adapter string) string {
	t.Helper()
	key, hash := server.NewKey()
	r.write(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.InsertAPIKey(ctx, store.APIKey{Hash: hash[:], ID: key[:12], Tenant: "contoso", Adapter: adapter, UPN: upn})
	})
	return key
}

// event is an event of now.
func (r *eventRig) event(id, kind, task string) string {
	return `{"id":"` + id + `","specversion":"1.0","type":"` + kind + `","comciscoorgid":"` + subOrg + `","comciscotimestamp":` +
		r.stamp() + `,"data":{"taskId":"` + task + `","agentId":"ada"}}`
}

func (r *eventRig) stamp() string { return strconv.FormatInt(r.clock.Now().UnixMilli(), 10) }

// post sends a body; headers are name, value pairs, each added.
func (r *eventRig) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Content-Type" {
			req.Header.Del(headers[i])
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return rec
}

// signed sends an event as Webex does.
func (r *eventRig) signed(body, secret string, headers ...string) *httptest.ResponseRecorder {
	return r.post(subscriptionPath+subID, body, append([]string{
		signatureHeader, sign(secret, []byte(body)), timestampHeader, r.stamp(),
	}, headers...)...)
}

func TestEvents(t *testing.T) {
	pgtest.Both(t, func(t *testing.T, url string) {
		r := newEventRig(t, url)
		rec := r.signed(r.event("e1", "task:connected", "T1"), subSecret)
		require.Equal(t, http.StatusOK, rec.Code, rec.Body.String())
		require.Equal(t, "{}", rec.Body.String())
		require.Equal(t, []bridge.Event{{
			Platform: core.PlatformWebex, RemoteID: "T1", Kind: bridge.Connected, Agent: "ada", At: r.clock.Now(),
			Key: eventKey(subID, "e1", nil),
		}}, r.happened.events())
		require.Empty(t, r.audited())
		require.Equal(t, http.StatusOK, r.signed(r.event("e1", "task:connected", "T1"), subSecret).Code)
		require.Equal(t, []string{"contoso|" + subID + "|came before"}, r.audited())
		require.Equal(t, http.StatusOK, r.signed(r.event("e2", "task:on-hold", "T1"), subSecret).Code)
		require.Equal(t, http.StatusOK, r.signed(r.event("e3", "task:new", ""), subSecret).Code, "Webex is not made to stop")
		require.Len(t, r.happened.events(), 1)
		require.Equal(t, []string{"contoso|" + subID + "|not understood: data: expected the id of the task, of at most 256 characters"}, r.audited())
		require.Empty(t, r.faults)
		require.Eventually(t, func() bool {
			s, err := r.db.SubscriptionOf(context.Background(), "contoso")
			return err == nil && s.EventMs == r.clock.Now().UnixMilli()
		}, 20*time.Second, 5*time.Millisecond)
	})
}

func TestRefusedEvents(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.subscribe(t, "theirs", "fabrikam", strings.Repeat("f", 64))
	good := r.event("e", "task:new", "T")
	signature, stamp := sign(subSecret, []byte(good)), r.stamp()
	late := strconv.FormatInt(r.clock.Now().Add(-301*time.Second).UnixMilli(), 10)
	old := strings.ReplaceAll(good, stamp, late)
	ahead := strconv.FormatInt(r.clock.Now().Add(301*time.Second).UnixMilli(), 10)
	early := strings.ReplaceAll(good, stamp, ahead)
	elsewhere := strings.ReplaceAll(good, subOrg, "00000000-0000-0000-0000-000000000000")
	homeless := strings.ReplaceAll(good, subOrg, "")
	ours := subscriptionPath + subID
	for _, c := range []struct {
		name, path, body string
		headers          []string
		status           int
		audit            string
	}{
		{"no signature", ours, good, []string{timestampHeader, stamp}, 401, "contoso|" + subID + "|not one signature"},
		{"wrong signature", ours, good, []string{signatureHeader, sampleSignature, timestampHeader, stamp}, 401, "contoso|" + subID + "|wrong signature"},
		{"two signatures", ours, good, []string{signatureHeader, signature, signatureHeader, signature, timestampHeader, stamp}, 401, "contoso|" + subID + "|not one signature"},
		{"another body", ours, good + " ", []string{signatureHeader, signature, timestampHeader, stamp}, 401, "contoso|" + subID + "|wrong signature"},
		{"stale", ours, old, []string{signatureHeader, sign(subSecret, []byte(old)), timestampHeader, late}, 401, "contoso|" + subID + "|stale, or its times differ"},
		{"of the future", ours, early, []string{signatureHeader, sign(subSecret, []byte(early)), timestampHeader, ahead}, 401, "contoso|" + subID + "|stale, or its times differ"},
		{"a fresh header on an old event", ours, old, []string{signatureHeader, sign(subSecret, []byte(old)), timestampHeader, stamp}, 401, "contoso|" + subID + "|stale, or its times differ"},
		{"no time in the header", ours, good, []string{signatureHeader, signature}, 401, "contoso|" + subID + "|stale, or its times differ"},
		{"unknown subscription", subscriptionPath + "nobody", good, []string{signatureHeader, signature, timestampHeader, stamp}, 404, "|nobody|unknown subscription"},
		{"another subscription", subscriptionPath + "theirs", good, []string{signatureHeader, signature, timestampHeader, stamp}, 401, "fabrikam|theirs|wrong signature"},
		{"unknown organization", ours, elsewhere, []string{signatureHeader, sign(subSecret, []byte(elsewhere)), timestampHeader, stamp}, 404, "contoso|" + subID + "|unknown organization"},
		{"no organization", ours, homeless, []string{signatureHeader, sign(subSecret, []byte(homeless)), timestampHeader, stamp}, 404, "contoso|" + subID + "|unknown organization"},
		{"no JSON", ours, "{", []string{signatureHeader, sign(subSecret, []byte("{")), timestampHeader, stamp}, 400, "contoso|" + subID + "|not readable"},
		{"nothing", ours, "", []string{signatureHeader, sign(subSecret, nil), timestampHeader, stamp}, 400, "contoso|" + subID + "|not readable"},
		{"keys twice", ours, `{"type":"a","TYPE":"b"}`, []string{signatureHeader, sign(subSecret, []byte(`{"type":"a","TYPE":"b"}`))}, 400, "contoso|" + subID + "|not readable"},
		{"another content type", ours, good, []string{signatureHeader, signature, timestampHeader, stamp, "Content-Type", "text/plain"}, 415, "contoso|" + subID + "|not readable"},
		{"a flow without a key", subscriptionPath + FlowSource, good, nil, 401, "|connect|no credential for it: A credential is needed: X-Api-Key or Authorization: Bearer."},
		{"a flow with a signature", subscriptionPath + FlowSource, good, []string{signatureHeader, signature, timestampHeader, stamp}, 401, "|connect|no credential for it: A credential is needed: X-Api-Key or Authorization: Bearer."},
		{"a flow with another adapter's key", subscriptionPath + FlowSource, good, []string{"X-Api-Key", r.key(t, "admin@contoso.example", "cxone")}, 403, "|connect|no credential for it: The credential is for another platform."},
		{"a flow of somebody gone", subscriptionPath + FlowSource, good, []string{"X-Api-Key", r.key(t, "gone@contoso.example", "webex")}, 403, "|connect|no credential for it: the user of the credential is not in the directory any more"},
	} {
		rec := r.post(c.path, c.body, c.headers...)
		require.Equal(t, c.status, rec.Code, "%s: %s", c.name, rec.Body)
		require.Equal(t, []string{c.audit}, r.audited(), c.name)
		require.NotContains(t, rec.Body.String(), subSecret, c.name)
	}
	require.Equal(t, http.StatusUnsupportedMediaType, r.signed(good, subSecret, "Content-Encoding", "gzip").Code)
	require.Equal(t, http.StatusRequestEntityTooLarge, r.signed(strings.Repeat(" ", 1<<20)+good, subSecret).Code)
	require.Empty(t, r.audited(), "nobody read these")
	require.Empty(t, r.happened.events())
}

func TestNoSecretAndNoTenant(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	r.subscribe(t, "elsewhere", "fabrikam", subSecret)
	good := r.event("e", "task:new", "T")
	headers := []string{signatureHeader, sign(subSecret, []byte(good)), timestampHeader, r.stamp()}
	require.Equal(t, http.StatusNotFound, r.post(subscriptionPath+"elsewhere", good, headers...).Code)
	require.Equal(t, []string{"|elsewhere|unknown subscription"}, r.audited(), "its tenant is not in the directory")

	r.write(t, func(ctx context.Context, tx *store.Tx) error {
		s, err := tx.ClaimSubscription(ctx, "contoso", time.Minute)
		s.Secret = []byte("12345678sealed elsewhere")
		return errors.Join(err, tx.SaveSubscription(ctx, s, true))
	})
	r.clock.Advance(bookEvery)
	require.Equal(t, http.StatusUnauthorized, r.post(subscriptionPath+subID, good, headers...).Code)
	require.Equal(t, []string{"contoso|" + subID + "|no secret"}, r.audited())
	require.NotEmpty(t, r.faults)
}

func TestFirstVersionOfEvents(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	body := `{"id":"e","type":"task:ended","comciscoorgid":"` + strings.ToUpper(subOrg) + `","data":{"taskId":"T","createdTime":1767323000000}}`
	require.Equal(t, http.StatusOK, r.post(subscriptionPath+subID, body, signatureHeader, sign(subSecret, []byte(body))).Code)
	far := strings.ReplaceAll(strings.ReplaceAll(body, `"e"`, `"f"`), "1767323000000", "9007199254740991")
	require.Equal(t, http.StatusOK, r.post(subscriptionPath+subID, far, signatureHeader, sign(subSecret, []byte(far))).Code)
	events := r.happened.events()
	require.Len(t, events, 2)
	require.Equal(t, time.UnixMilli(1767323000000).UTC(), events[0].At)
	require.Equal(t, r.clock.Now(), events[1].At, "nothing comes after what will happen in ages")
}

func TestRotatedSecrets(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	fresh := strings.Repeat("f", 64)
	send := func(id, secret string) int { return r.signed(r.event(id, "task:new", "T"), secret).Code }
	require.Equal(t, 200, send("e1", subSecret))
	require.Equal(t, 401, send("e2", fresh))

	until := r.clock.Now().Add(24 * time.Hour)
	r.rotate(t, fresh, subSecret, until)
	r.clock.Advance(bookPause)
	require.Equal(t, 200, send("e2", fresh), "known at once")
	require.Equal(t, 200, send("e3", subSecret))
	require.Equal(t, 401, send("e4", strings.Repeat("0", 64)))
	r.clock.Advance(until.Sub(r.clock.Now()) - time.Millisecond)
	require.Equal(t, 200, send("e5", subSecret))
	r.clock.Advance(time.Millisecond)
	require.Equal(t, 401, send("e6", subSecret))
	require.Equal(t, 200, send("e6", fresh))
}

func TestBook(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	ctx, b := context.Background(), r.events.book
	find := func(id string, sure bool) core.Kind {
		k, err := b.find(ctx, id, sure)
		require.NotEqual(t, k == nil, err == nil)
		if err != nil {
			return core.KindOf(err)
		}
		return ""
	}
	require.Empty(t, find(subID, true))
	r.subscribe(t, "late", "fabrikam", subSecret)
	require.Equal(t, core.NotFound, find("late", true), "not more often than once a second")
	r.clock.Advance(bookPause)
	require.Empty(t, find("late", true))

	require.NoError(t, r.db.Close())
	r.clock.Advance(time.Hour)
	require.Empty(t, find(subID, true), "what was known is not forgotten")
	require.Equal(t, core.Unavailable, find("unknown", true), "nobody knows whether it is there")
	require.Equal(t, core.Unavailable, find("unknown", false))
}

func TestEventsThatCannotBeStored(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	body := r.event("e", "task:new", "T")
	for name, do := range map[string]func(context.Context) error{
		"unavailable": func(context.Context) error { return core.Errorf(core.Unavailable, "full") },
		"uncertain":   func(context.Context) error { return core.Errorf(core.Uncertain, "lost") },
		"out of time": func(context.Context) error { return context.DeadlineExceeded },
	} {
		r.happened.set(do)
		rec := r.signed(body, subSecret)
		require.Equal(t, http.StatusServiceUnavailable, rec.Code, name)
		require.Equal(t, "2", rec.Header().Get("Retry-After"), name)
	}
	r.happened.set(func(context.Context) error { panic("bug") })
	require.Equal(t, http.StatusInternalServerError, r.signed(body, subSecret).Code)
	r.happened.set(func(context.Context) error { return errors.New("bug") })
	require.Equal(t, http.StatusInternalServerError, r.signed(body, subSecret).Code)

	// A database that hangs is not waited for, and what it stores at last counts once.
	release := make(chan struct{})
	r.happened.set(func(context.Context) error { <-release; return nil })
	r.events.limit = time.Millisecond
	require.Equal(t, http.StatusServiceUnavailable, r.signed(body, subSecret).Code)
	for range cap(r.events.slots) - 1 {
		r.events.slots <- struct{}{}
	}
	require.Equal(t, http.StatusServiceUnavailable, r.signed(body, subSecret).Code, "too many at once")
	for range cap(r.events.slots) - 1 {
		<-r.events.slots
	}
	close(release)
	r.events.limit = time.Minute
	require.Equal(t, http.StatusOK, r.signed(body, subSecret).Code)
	require.Eventually(t, func() bool { return len(r.events.slots) == 0 }, 20*time.Second, time.Millisecond)
	require.Len(t, r.happened.events(), 1)
}

func TestEventsOfFlows(t *testing.T) {
	t.Parallel()
	r := newEventRig(t, "sqlite:"+t.TempDir()+"/tandem.db")
	key := r.key(t, "admin@contoso.example", "webex")
	routed := `{"type":"Task Routed","data":{"id":"T","owner":"ada","variables":"[{\"name\":\"a\",\"value\":\"b\"}]"}}`
	path := subscriptionPath + FlowSource
	require.Equal(t, http.StatusOK, r.post(path, routed, "X-Api-Key", key).Code)
	require.Equal(t, http.StatusOK, r.post(path, routed, "Authorization", "Bearer "+key).Code)
	require.Equal(t, []string{"contoso|connect|came before"}, r.audited())
	require.Equal(t, []bridge.Event{{
		Platform: core.PlatformWebex, RemoteID: "T", Kind: bridge.Connected, Agent: "ada",
		Key: eventKey("connect/contoso", "", []byte(routed)), Variables: []core.NamedValue{{Name: "a", Value: "b"}},
	}}, r.happened.events())
	require.Equal(t, http.StatusOK, r.post(path, `{"type":"Task Greeted"}`, "X-Api-Key", key).Code)
	rec := r.post(path, `{"type":"Task Closed","data":{}}`, "X-Api-Key", key)
	require.Equal(t, http.StatusBadRequest, rec.Code)
	require.Contains(t, rec.Body.String(), "the id of the task", "the author of the flow is told")
	require.Len(t, r.audited(), 1)
}
