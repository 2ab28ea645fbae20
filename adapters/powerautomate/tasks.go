package powerautomate

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/server"
)

// Engine runs the tasks.
type Engine interface {
	Create(ctx context.Context, n engine.NewTask, answer func(*core.Task) ([]byte, error)) ([]byte, error)
	Update(ctx context.Context, id string, c engine.Changes, key *engine.Key, allow engine.Allow) error
	Remove(ctx context.Context, id string, key *engine.Key, allow engine.Allow) error
}

// byCustomerIdentifier is the setting of a service that makes tasks with the
// same customer identifier one.
const byCustomerIdentifier = "customerIdentifier"

func (a *Adapter) addExternalTask(c echo.Context) error {
	who, err := a.caller(c)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c, "AddExternalTask")
	if err != nil {
		return err
	}
	var in externalTaskInput
	if err := server.DecodeJSON(c, &in); err != nil {
		return err
	}
	n, err := a.newExternalTask(who, &in)
	if err != nil {
		return err
	}
	n.Key = key
	body, err := a.o.Engine.Create(c.Request().Context(), n, renderExternalTask)
	if err != nil {
		return err
	}
	return c.JSONBlob(http.StatusOK, body)
}

// newExternalTask checks an input. Rights come first: who may not use a service
// is not told what else is wrong.
func (a *Adapter) newExternalTask(who caller, in *externalTaskInput) (engine.NewTask, error) {
	var p problems
	var workflow *flow.Workflow
	service, known := who.tenant.Service(in.ServiceUPN)
	switch {
	case in.ServiceUPN == "":
		p.add("serviceUpn", "is required")
	case !known:
		p.add("serviceUpn", "is not a service of the tenant")
	default:
		if err := who.tenant.MayRunTasks(who.user, service); err != nil {
			return engine.NewTask{}, err
		}
		if err := service.AcceptsExternalTasks(); err != nil {
			p.add("serviceUpn", "%v", err)
		} else if workflow = a.o.Workflow(service.Workflows[core.ExternalTask]); workflow == nil {
			p.add("serviceUpn", "the workflow %q of the service is not loaded", service.Workflows[core.ExternalTask])
		}
	}
	p.text("customerIdentifier", in.CustomerIdentifier, maxIdentifier)
	p.customer(in.Customer)
	p.named("customContextParameters", in.CustomContextParameters)
	priority := p.priority("distributionPriority", in.DistributionPriority)
	preferred := p.preferred(who.tenant, in.PreferredUsers)
	if err := p.err(); err != nil {
		return engine.NewTask{}, err
	}
	n := engine.NewTask{
		Task: core.Task{
			Tenant: who.tenant.Name, TenantID: who.tenant.ID, Service: service.Ref(),
			Modality: core.ExternalTask, Direction: core.Inbound, Priority: priority,
			CustomerIdentifier: in.CustomerIdentifier,
			Parameters:         merge(nil, in.CustomContextParameters), PreferredUsers: preferred,
		},
		Workflow: workflow, MaxOpen: who.tenant.MaxExternalTasks,
	}
	if in.Customer != nil {
		in.Customer.apply(&n.Task.Customer)
	}
	if service.DeduplicateBy == byCustomerIdentifier {
		n.BusinessKey, n.Window = in.CustomerIdentifier, service.DeduplicateWindow
	}
	return n, nil
}

func (a *Adapter) updateTask(c echo.Context) error {
	who, err := a.caller(c)
	if err != nil {
		return err
	}
	id, err := taskID(c.Param("taskId"))
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c, "UpdateTask")
	if err != nil {
		return err
	}
	var in taskInput
	if _, err := server.DecodeOptionalJSON(c, &in); err != nil {
		return err
	}
	var p problems
	for _, name := range []string{"serviceSessionId", "userSessionId"} {
		for _, v := range c.QueryParams()[name] {
			p.text(name, v, maxSessionID)
		}
	}
	p.customer(in.Customer)
	p.named("customContextParameters", in.CustomContextParameters)
	changes := engine.Changes{Parameters: given(in.CustomContextParameters)}
	if in.PreferredUsers != nil {
		list := p.preferred(who.tenant, *in.PreferredUsers)
		changes.PreferredUsers = &list
	}
	if err := p.err(); err != nil {
		return err
	}
	if in.Customer != nil {
		changes.Customer = in.Customer.apply
	}
	err = a.o.Engine.Update(c.Request().Context(), id, changes, key, func(t *core.Task) error {
		if err := who.tenant.MayRunTask(who.user, t); err != nil {
			return err
		}
		return in.room(t)
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}

// room checks that the lists of a task stay within their limits.
func (in *taskInput) room(t *core.Task) error {
	var p problems
	p.fits("customContextParameters", len(core.MergeNamed(t.Parameters, given(in.CustomContextParameters))), maxNamed)
	if in.Customer != nil {
		p.fits("customer.telNumbers", len(merge(t.Customer.TelNumbers, in.Customer.TelNumbers)), maxNamed)
		p.fits("customer.customFields", len(merge(t.Customer.CustomFields, in.Customer.CustomFields)), maxNamed)
	}
	return p.err()
}

func (a *Adapter) removeExternalTask(c echo.Context) error {
	who, err := a.caller(c)
	if err != nil {
		return err
	}
	id, err := taskID(c.Param("externalTaskId"))
	if err != nil {
		return err
	}
	key, err := idempotencyKey(c, "RemoveExternalTask")
	if err != nil {
		return err
	}
	err = a.o.Engine.Remove(c.Request().Context(), id, key, func(t *core.Task) error {
		if t.Modality != core.ExternalTask {
			return core.Errorf(core.NotFound, "there is no task with id %q", t.ID) // as the engine says it
		}
		return who.tenant.MayRunTask(who.user, t)
	})
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusOK)
}
