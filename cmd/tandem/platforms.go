package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math/rand/v2"
	"time"

	"tandem/adapters/console"
	"tandem/adapters/webex"
	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/delivery"
	"tandem/core/integration"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/outbox"
	"tandem/core/server"
)

const webexIntegration = "webex-contact-center"

// deliveries builds what posts to flows.
func (h *hub) deliveries(render func(core.Event) ([]byte, error)) (err error) {
	if h.hosts, err = outbound.NewHosts(h.config.CallbackHosts, h.config.AllowHosts); err != nil {
		return err
	}
	h.sign = newSigners(h.db, h.sealer).sign
	h.deliverer = delivery.New(delivery.Options{
		DB: h.db, Clock: h.clock, Sender: h.outbound, Hosts: h.hosts, Sealer: h.sealer, Sign: h.sign,
		Render: render, May: h.mayReceive, Chance: rand.Float64, Observe: h.attempted, Failed: h.failed,
	})
	return nil
}

// wake tells the outbox worker, as soon as there is one, of something new.
func (h *hub) wake() {
	if h.outbox != nil {
		h.outbox.Wake()
	}
}

// platforms builds the rooms that join tasks to other platforms, and the
// surface of Webex.
func (h *hub) platforms(callers *server.Callers) {
	recorder := executions{h.recorder, h.metrics}
	h.bridge = bridge.New(bridge.Options{
		DB: h.db, Engine: h.engine, Runner: h.runner, Answers: h.answers, Recorder: recorder, Clock: h.clock, Failed: h.failed,
		Directory: h.mapped.directory, Integrations: h.catalogue, Operations: h.mapped.operations,
	})
	base, _ := h.base() // without one there are no events, nor posts of Webex Engage
	h.webex = webex.NewKeeper(webex.KeeperOptions{
		DB: h.db, Box: h.sealer, Clock: h.clock, Happened: h.bridge, BaseURL: base, Tenants: h.tenants, Ready: h.connected(webexIntegration),
		Failed: h.failed, Run: h.runWebex, OpenLinks: h.db.OpenAliases,
	})
	nodes := webex.New(webex.Options{
		DB: h.db, Callers: callers, Directory: h.mapped.directory, Integrations: h.catalogue, Workflow: h.mapped.workflow,
		Listening: h.listening, Connections: h.authorizations, Engine: h.engine, Bridge: h.bridge, Recorder: recorder,
		Box: h.sealer, Hosts: h.hosts, Sender: h.outbound, Sign: h.sign, Wake: h.wake, Clock: h.clock, Failed: h.failed,
		BaseURL: base, Token: h.token, Audit: h.refused,
	})
	nodes.Mount(h.public.Echo())
	webex.NewEvents(webex.EventsOptions{
		DB: h.db, Box: h.sealer, Clock: h.clock, Happened: h.bridge, Directory: h.mapped.directory, Callers: callers,
		Audit: h.refused, Failed: h.failed,
	}).Mount(h.public.Echo())
	handlers := h.bridge.Handlers()
	maps.Copy(handlers, nodes.Handlers())
	h.outbox = outbox.New(outbox.Options{DB: h.db, Clock: h.clock, Handlers: handlers, Failed: h.failed})
}

// addressTokens names the secret behind the tokens in addresses. No tenant can be
// called so, and none is told it.
const addressTokens = "webex/resolved"

// token returns what only this hub can say of a text, always the same.
func (h *hub) token(text string) (string, error) {
	signature, err := h.sign(addressTokens, text, time.Unix(0, 0), nil)
	sum := sha256.Sum256([]byte(signature))
	return base64.RawURLEncoding.EncodeToString(sum[:]), err
}

// refused logs an event from outside that was not taken in.
func (h *hub) refused(ctx context.Context, r webex.AuditRecord) {
	h.log.WarnContext(ctx, "event of Webex refused", "tenant", r.Tenant, "subscription", r.Subscription, "reason", r.Reason, "remote", r.Remote)
}

// connected tells whether a tenant's default authorization of an integration can
// be used.
func (h *hub) connected(id string) func(tenant string) bool {
	return func(tenant string) bool {
		_, err := h.authorizations.Connection(context.Background(), outbound.Credential{Tenant: tenant, Integration: id})
		return err == nil
	}
}

// listening tells whether Webex says to the hub what happens to a tenant's tasks.
func (h *hub) listening(tenant string) bool {
	s, ok := h.webex.State(context.Background(), tenant)
	return ok && s.Status == "active"
}

// runWebex runs an operation of Webex for the hub itself.
func (h *hub) runWebex(ctx context.Context, tenant, name string, input map[string]any) (any, error) {
	op, ok := h.mapped.operations().Operation(webexIntegration, name)
	if !ok {
		return nil, core.Errorf(core.NotConfigured, "there is no operation %s/%s", webexIntegration, name)
	}
	result, err := h.runner.Run(ctx, operation.Request{Tenant: tenant, Operation: op, Input: input, ID: core.NewID(h.clock.Now())})
	return result.Output, err
}

// webexChanged looks after the subscription of a tenant that has just authorized
// Webex.
func (h *hub) webexChanged(a integration.Authorization) {
	if a.Integration != webexIntegration || a.Status != integration.Authorized || h.webex == nil {
		return
	}
	go func() {
		// The result stands in the console, and the duty tries again.
		_ = h.webex.Check(context.Background(), a.Tenant)
	}()
}

// webexPage is what the console's page of Webex asks for.
type webexPage struct{ *hub }

// State returns how the tenant's subscription stands.
func (w webexPage) State(ctx context.Context, tenant string) (console.WebexSubscription, error) {
	s, ok := w.webex.State(ctx, tenant)
	if !ok {
		return console.WebexSubscription{}, nil
	}
	return console.WebexSubscription{
		Set: true, Address: s.URL, Status: s.Status, Error: s.Error, Org: s.Org, Checked: s.Checked, LastEvent: s.LastEvent,
		Compared: s.Compared, ComparedText: s.Comparison, SecretSince: s.SecretSince(), OldUntil: s.OldSecretUntil,
	}, nil
}

// Check looks after the subscription now.
func (w webexPage) Check(ctx context.Context, tenant string) error { return w.webex.Check(ctx, tenant) }

// Rotate gives it a new secret.
func (w webexPage) Rotate(ctx context.Context, tenant string) error {
	return w.webex.Rotate(ctx, tenant)
}

// Compare compares the tenant's open tasks with Webex now.
func (w webexPage) Compare(ctx context.Context, tenant string) error {
	return w.webex.CompareOne(ctx, tenant)
}
