package powerautomate

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/delivery"
	"tandem/core/server"
)

// Triggers keeps the subscriptions of flows.
type Triggers interface {
	// Subscribe returns the last part of the trigger's address, its only key.
	Subscribe(ctx context.Context, s delivery.Subscription) (address string, err error)
	// Unsubscribe does nothing when there is no such trigger, or when tenant is
	// given and is not the trigger's.
	Unsubscribe(ctx context.Context, address, tenant string) error
}

const taskTriggers = "/v1/triggers/tasks/"

// registration is the body that registers a task trigger.
type registration struct {
	Config *struct {
		URL        string   `json:"url"`
		Services   []string `json:"services"`
		TaskEvents []string `json:"taskEvents"`
		Modalities []string `json:"modalities"`
		Directions []string `json:"directions"`
	} `json:"config"`
}

func (a *Adapter) registerTaskWebHook(c echo.Context) error {
	who, err := a.caller(c)
	if err != nil {
		return err
	}
	var in registration
	if err := server.DecodeJSON(c, &in); err != nil {
		return err
	}
	var p problems
	if err := p.onlyKey(c, "config"); err != nil {
		return err
	}
	s, err := in.subscription(who, &p)
	if err != nil {
		return err
	}
	address, err := a.o.Triggers.Subscribe(c.Request().Context(), s)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, a.o.BaseURL(c)+taskTriggers+address)
	return c.NoContent(http.StatusCreated)
}

// onlyKey finds the keys at the root of a body, decoded before, that the
// definition forbids there.
func (p *problems) onlyKey(c echo.Context, key string) error {
	data, err := server.ReadBody(c)
	if err != nil {
		return err
	}
	var root map[string]json.RawMessage
	if err := json.Unmarshal(data, &root); err != nil {
		return core.Wrap(core.Invalid, err, "The body could not be read.")
	}
	delete(root, key)
	if len(root) > 0 {
		p.add("body", "has another key than %s", key)
	}
	return nil
}

// subscription checks a registration. Rights come first, as with tasks.
func (in *registration) subscription(who caller, p *problems) (delivery.Subscription, error) {
	s := delivery.Subscription{Tenant: who.tenant.Name, Owner: who.user.UPN}
	if in.Config == nil {
		p.add("config", "is required")
		return s, p.err()
	}
	cfg := in.Config
	s.URL = cfg.URL
	if s.URL == "" {
		p.add("config.url", "is required")
	}
	if len(cfg.Services) == 0 {
		p.add("config.services", "needs at least one service")
	}
	if p.fits("config.services", len(cfg.Services), maxServices) {
		for i, upn := range cfg.Services {
			service, known := who.tenant.Service(upn)
			if !known {
				p.add(fmt.Sprintf("config.services[%d]", i), "is not a service of the tenant")
				continue
			}
			if err := who.tenant.MayRunTasks(who.user, service); err != nil {
				return s, err
			}
			if !slices.Contains(s.Services, service.UPN) {
				s.Services = append(s.Services, service.UPN)
			}
		}
	}
	if cfg.TaskEvents == nil {
		p.add("config.taskEvents", "is required; an empty list means all events")
	}
	s.Events = filter(p, "config.taskEvents", cfg.TaskEvents, core.EventNames)
	s.Modalities = filter(p, "config.modalities", cfg.Modalities, core.Modalities)
	s.Directions = filter(p, "config.directions", cfg.Directions, core.Directions)
	return s, p.err()
}

// deleteTaskEventsTrigger needs no credential: the platform does not always
// send one, and the address cannot be guessed. One that is valid keeps a caller
// from another tenant's triggers.
func (a *Adapter) deleteTaskEventsTrigger(c echo.Context) error {
	tenant := ""
	if who, err := server.Authenticate(c, c.Request(), a.o.Callers, Platform, server.CallerTime); err == nil {
		tenant = who.Tenant
	}
	if err := a.o.Triggers.Unsubscribe(c.Request().Context(), c.Param("triggerId"), tenant); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
