package webex

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/operation"
	"tandem/core/store"
)

// The operations of the integration that keep subscriptions.
const (
	listSubscriptions  = "list-subscriptions"
	createSubscription = "create-subscription"
	updateSubscription = "update-subscription"
	listTasks          = "list-tasks"
)

// The standings of a subscription.
const (
	subscriptionPending  = "pending"  // made here; Webex has not said that it knows it and its secret
	subscriptionActive   = "active"   // Webex sends events
	subscriptionInactive = "inactive" // Webex has stopped sending
	subscriptionFailed   = "failed"   // Webex did not take it
)

const (
	taskResource  = "task:1.0.0"
	checkTime     = 8 * time.Second // of one tenant
	checkLease    = time.Minute     // above the time in which a tenant is checked and saved
	saveTime      = 5 * time.Second // for what came of it
	oldSecretLife = 24 * time.Hour  // after a rotation
	maxTold       = 500             // bytes of an error
	secretBytes   = 32
)

// KeeperOptions is what a Keeper is lent. All of it may be called from several
// goroutines at once.
type KeeperOptions struct {
	DB       *store.DB
	Box      SecretBox
	Clock    core.Clock
	Happened Happened
	BaseURL  string                   // where Webex reaches the hub; empty: nowhere
	Tenants  func() []string          // their names
	Ready    func(tenant string) bool // the tenant's default authorization is usable
	Failed   func(msg string, err error)

	// Run runs an operation of the integration and returns its output.
	Run func(ctx context.Context, tenant, operation string, input map[string]any) (any, error)

	// OpenLinks returns the tasks of the hub that are not over and have a
	// counterpart on a platform: id there -> id here.
	OpenLinks func(ctx context.Context, tenant, platform string) (map[string]string, error)
}

// Keeper keeps one subscription to what happens at Webex for every tenant that
// can have one, and compares open tasks with Webex for the events that got
// lost. Its methods may be called from several goroutines and several replicas:
// a tenant is in one hand at a time.
type Keeper struct {
	o     KeeperOptions
	base  string
	pause time.Duration // before Webex signs with a new secret
}

// NewKeeper returns a Keeper. A base URL where Webex would not send events is
// taken for none.
func NewKeeper(o KeeperOptions) *Keeper {
	k := &Keeper{o: o, pause: bookPause}
	u, err := url.Parse(o.BaseURL)
	if err == nil && (u.Scheme == "https" && (u.Port() == "" || u.Port() == "443") || u.Scheme == "http" && core.Loopback(u.Hostname())) {
		k.base = strings.TrimRight(o.BaseURL, "/")
	}
	return k
}

func (k *Keeper) address(id string) string { return k.base + subscriptionPath + id }

// subscriptionName is how a subscription is found at Webex. Ids are random from
// their first digit on.
func subscriptionName(id string) string { return "Tandem " + id[:8] }

// usable returns why a tenant can have no subscription now: NotConfigured or
// NeedsAuthorization.
func (k *Keeper) usable(tenant string) error {
	switch {
	case k.base == "":
		return core.Errorf(core.NotConfigured, "Webex sends events to a public https address on port 443: set the public URL of the hub.")
	case !k.o.Ready(tenant):
		return core.Errorf(core.NeedsAuthorization, "There is no usable authorization of Webex Contact Center.")
	}
	return nil
}

// Keep checks the subscriptions of all tenants that can have one. What Webex
// said is kept for State; the error is of the store, or that ctx has ended.
func (k *Keeper) Keep(ctx context.Context) error {
	rows, err := k.o.DB.Subscriptions(ctx)
	if err != nil {
		return err
	}
	checked := make(map[string]int64, len(rows))
	for _, row := range rows {
		checked[row.Tenant] = row.CheckedMs
	}
	tenants := slices.Clone(k.o.Tenants())
	// Whoever waited longest comes first, should there be no time for all.
	slices.SortStableFunc(tenants, func(a, b string) int { return cmp.Compare(checked[a], checked[b]) })
	for _, tenant := range tenants {
		if k.usable(tenant) != nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := k.check(ctx, tenant); err != nil && core.KindOf(err) != core.Conflict {
			return err
		}
	}
	return nil
}

// Check is Keep for one tenant, now. Errors are also NotConfigured and
// NeedsAuthorization for a tenant that can have no subscription, Conflict while
// somebody else checks it, and what Webex said.
func (k *Keeper) Check(ctx context.Context, tenant string) error {
	if err := k.usable(tenant); err != nil {
		return err
	}
	said, err := k.check(ctx, tenant)
	return cmp.Or(err, said)
}

// check returns what Webex said, and the store's error.
func (k *Keeper) check(ctx context.Context, tenant string) (said, err error) {
	s, err := k.claim(ctx, tenant, true)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	said = k.settle(limited, &s)
	s.Error = told(said)
	return said, k.save(ctx, s, true)
}

// claim takes a tenant's subscription into the caller's hand; one that is not
// there is made if wanted.
func (k *Keeper) claim(ctx context.Context, tenant string, wanted bool) (s store.Subscription, err error) {
	id := newSecret()[:32]
	fresh := store.Subscription{
		ID: id, Tenant: tenant, URL: k.address(id), Status: subscriptionPending, CreatedMs: k.o.Clock.Now().UnixMilli(),
		Secret: k.o.Box.Seal(subscriptionPlace(id), []byte(newSecret())),
	}
	err = k.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		s, err = tx.ClaimSubscription(ctx, tenant, checkLease)
		if err == nil || core.KindOf(err) != core.NotFound || !wanted {
			return err
		}
		if err = tx.InsertSubscription(ctx, fresh); err == nil {
			s, err = tx.ClaimSubscription(ctx, tenant, checkLease)
		}
		return err
	})
	return s, err
}

// save stores a claimed subscription, also when the caller's time is over.
func (k *Keeper) save(ctx context.Context, s store.Subscription, done bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	return k.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.SaveSubscription(ctx, s, done) })
}

// newSecret returns 256 random bits in hexadecimal digits.
func newSecret() string {
	var b [secretBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return hex.EncodeToString(b[:])
}

// settle makes Webex have the subscription, once, active, with the address and
// the secret of today, from whatever state the hub or Webex was left in.
func (k *Keeper) settle(ctx context.Context, s *store.Subscription) error {
	if s.OldSecret != nil && k.o.Clock.Now().UnixMilli() >= s.OldUntilMs {
		s.OldSecret = nil // OldUntilMs still says since when there is another
	}
	secret, err := k.secret(ctx, s)
	if err != nil {
		return err
	}
	var found struct {
		OrgID         string               `json:"orgId"`
		Subscriptions []remoteSubscription `json:"subscriptions"`
	}
	if err := k.run(ctx, s.Tenant, listSubscriptions, map[string]any{}, &found); err != nil {
		if s.RemoteID == "" {
			s.Status = subscriptionFailed
		}
		return err
	}
	s.Org = cmp.Or(found.OrgID, s.Org)
	theirs, ok := choose(found.Subscriptions, s)
	if !ok {
		return k.create(ctx, s, secret)
	}
	s.RemoteID = theirs.ID
	toldSecret := s.Status == subscriptionActive || s.Status == subscriptionInactive
	if toldSecret {
		s.Status = theirs.Status
		secret = ""
	}
	if toldSecret && theirs.Status == subscriptionActive && theirs.DestinationURL == k.address(s.ID) && sameTypes(theirs.EventTypes) {
		s.URL = theirs.DestinationURL
		return nil
	}
	return k.update(ctx, s, secret)
}

// secret returns the secret of a subscription. One that does not open any more
// is replaced, and kept before Webex is told.
func (k *Keeper) secret(ctx context.Context, s *store.Subscription) (string, error) {
	if plain, err := k.o.Box.Open(subscriptionPlace(s.ID), s.Secret); err == nil {
		return string(plain), nil
	}
	secret := newSecret()
	s.Secret, s.Status = k.o.Box.Seal(subscriptionPlace(s.ID), []byte(secret)), subscriptionPending
	return secret, k.save(ctx, *s, false)
}

// remoteSubscription is a subscription as Webex knows it.
type remoteSubscription struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	DestinationURL string   `json:"destinationUrl"`
	EventTypes     []string `json:"eventTypes"`
	Status         string   `json:"status"`
}

// choose returns ours: the one whose id is known, else the first of our name.
func choose(all []remoteSubscription, s *store.Subscription) (remoteSubscription, bool) {
	i := slices.IndexFunc(all, func(r remoteSubscription) bool { return r.ID != "" && r.ID == s.RemoteID })
	if i < 0 {
		i = slices.IndexFunc(all, func(r remoteSubscription) bool { return r.ID != "" && r.Name == subscriptionName(s.ID) })
	}
	if i < 0 {
		return remoteSubscription{}, false
	}
	return all[i], true
}

// eventTypes are what is subscribed to.
func eventTypes() []string { return slices.Sorted(maps.Keys(eventKinds)) }

// sameTypes tells whether Webex sends what is subscribed to, as far as it says.
func sameTypes(theirs []string) bool {
	sorted := slices.Sorted(slices.Values(theirs))
	return len(sorted) == 0 || slices.Equal(sorted, eventTypes())
}

func (k *Keeper) create(ctx context.Context, s *store.Subscription, secret string) error {
	var made struct {
		ID     string `json:"id"`
		OrgID  string `json:"orgId"`
		Status string `json:"status"`
	}
	s.RemoteID, s.Status, s.URL = "", subscriptionPending, k.address(s.ID)
	err := k.run(ctx, s.Tenant, createSubscription, map[string]any{
		"name": subscriptionName(s.ID), "description": "Tells Tandem what becomes of tasks. Tandem keeps it.",
		"destinationUrl": s.URL, "eventTypes": anyList(eventTypes()), "secret": secret, "resourceVersion": taskResource,
	}, &made)
	if err != nil {
		s.Status = subscriptionFailed
		return err
	}
	s.RemoteID, s.Org = made.ID, cmp.Or(made.OrgID, s.Org)
	s.Status = cmp.Or(made.Status, subscriptionActive)
	return nil
}

// update tells Webex all that it should know of a subscription; an empty secret
// is not told again.
func (k *Keeper) update(ctx context.Context, s *store.Subscription, secret string) error {
	input := map[string]any{
		"id": s.RemoteID, "resourceVersion": taskResource, "status": subscriptionActive,
		"destinationUrl": k.address(s.ID), "eventTypes": anyList(eventTypes()),
	}
	if secret != "" {
		input["secret"] = secret
	}
	var changed struct {
		Status string `json:"status"`
	}
	if err := k.run(ctx, s.Tenant, updateSubscription, input, &changed); err != nil {
		return err
	}
	s.URL, s.Status = k.address(s.ID), cmp.Or(changed.Status, subscriptionActive)
	return nil
}

// Rotate gives a tenant's subscription a new secret; the old one is taken for a
// day longer. When Webex does not take the new one the old stays in use. Errors
// are those of Check, and NotFound when there is no subscription yet.
func (k *Keeper) Rotate(ctx context.Context, tenant string) error {
	if err := k.usable(tenant); err != nil {
		return err
	}
	s, err := k.claim(ctx, tenant, false)
	if err != nil {
		return err
	}
	said := k.rotate(ctx, &s)
	s.Error = told(said)
	return cmp.Or(k.save(ctx, s, true), said)
}

func (k *Keeper) rotate(ctx context.Context, s *store.Subscription) error {
	if s.RemoteID == "" {
		return core.Errorf(core.NotFound, "Webex has no subscription of the hub yet.")
	}
	fresh := newSecret()
	s.OldSecret, s.Secret = s.Secret, k.o.Box.Seal(subscriptionPlace(s.ID), []byte(fresh))
	s.OldUntilMs = k.o.Clock.Now().Add(oldSecretLife).UnixMilli()
	s.Status = subscriptionPending
	// Kept first: Webex may sign with it before it answers, and whoever goes on
	// after a crash tells it once more.
	if err := k.save(ctx, *s, false); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	timer := time.NewTimer(k.pause) // until every replica knows it
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := k.update(ctx, s, fresh); err != nil {
		s.Secret, s.OldSecret = s.OldSecret, s.Secret // it may have taken the new one all the same
		return err
	}
	return nil
}

// run runs an operation and reads its output. The error has a kind, and shows
// nothing of the secret.
func (k *Keeper) run(ctx context.Context, tenant, operation string, input map[string]any, into any) error {
	output, err := k.o.Run(ctx, tenant, operation, input)
	if err == nil {
		var data []byte
		if data, err = json.Marshal(output); err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			return core.Wrap(core.Mapping, err, "The output of %s is not of the form that is needed.", operation)
		}
		return nil
	}
	message := "The hub could not run " + operation + "."
	if e, ok := errors.AsType[*core.Error](err); ok {
		message = e.Message
	} else if ctx.Err() == nil {
		k.o.Failed("an operation for the subscription to Webex failed", err)
	}
	if secret, _ := input["secret"].(string); secret != "" {
		message = strings.ReplaceAll(message, secret, "[secret]")
	}
	return core.Errorf(core.KindOf(err), "%s", message)
}

// told is what people see of an error.
func told(err error) string {
	if err == nil {
		return ""
	}
	e, ok := errors.AsType[*core.Error](err)
	if !ok {
		return "The hub failed; its log says more."
	}
	return operation.Cut(e.Message, maxTold)
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}
