package cxone

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/expression"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/server"
	"tandem/core/store"
)

// Engine has the hub's tasks.
type Engine interface {
	// Find returns a task of the tenant; NotFound when there is none.
	Find(ctx context.Context, ref engine.Ref) (core.Task, error)
	// Change changes a task in one transaction and returns it as it is then.
	Change(ctx context.Context, ref engine.Ref, allow engine.Allow, change engine.Changing) (core.Task, error)
}

// What a workflow does with a task of the hub itself.
const (
	taskGet     = "get"
	taskUpdate  = "update"
	taskQueue   = "queue"
	taskConnect = "connect"
	taskClose   = "close"
)

// The limits of what a script may write into a task: those of the flows of Power
// Automate, but for the names of one call.
const (
	maxGiven      = 20   // parameters of one call
	maxParameters = 100  // of a task
	maxParameter  = 256  // characters of a name
	maxValue      = 4096 // characters of a value
)

// hubType and hubTitle are the system of what is the hub's own.
const (
	hubType  = "tandem"
	hubTitle = "Tandem"
)

// taskInput is an input of the operations below.
func taskInput(name, kind string) operation.Input {
	return operation.Input{Name: name, Type: kind, Max: maxText}
}

// taskOperations are the inputs of what workflows do with tasks. No runner knows
// these operations.
var taskOperations = map[string]*operation.Operation{
	taskGet:     {Name: "get-task", Inputs: []operation.Input{taskInput("taskId", "text")}},
	taskUpdate:  {Name: "update-task", Writes: true, Inputs: []operation.Input{taskInput("taskId", "text"), taskInput("parameters", "object")}},
	taskQueue:   {Name: "queue-task", Writes: true, Inputs: []operation.Input{taskInput("taskId", "text"), taskInput("service", "text"), taskInput("priority", "integer")}},
	taskConnect: {Name: "connect-task", Writes: true, Inputs: []operation.Input{taskInput("taskId", "text"), taskInput("agent", "text")}},
	taskClose:   {Name: "close-task", Writes: true, Inputs: []operation.Input{taskInput("taskId", "text")}},
}

// errand is what a call wants of a task.
type errand struct {
	*job

	tenant *directory.Tenant
	user   *directory.User
}

// onTask does a job that is about a task of the hub. It may be done again: what is
// so already stays so.
func (a *Adapter) onTask(ctx context.Context, j *job) (*operation.Result, error) {
	t, err := a.task(ctx, j)
	switch {
	case err == nil:
		return &operation.Result{Output: taskOutput(&t, j)}, nil
	case ctx.Err() != nil:
		return nil, core.Wrap(core.Timeout, err, "the workflow did not end within %d ms", j.timeout.Milliseconds())
	}
	return nil, err
}

func (a *Adapter) task(ctx context.Context, j *job) (core.Task, error) {
	id, err := j.taskID()
	if err != nil {
		return core.Task{}, err
	}
	e := errand{job: j}
	e.tenant, _ = a.o.Directory().Tenant(j.who.Tenant)
	if e.tenant == nil {
		return core.Task{}, core.Errorf(core.Forbidden, "the tenant is not in the directory any more")
	}
	e.user, _ = e.tenant.User(j.who.UPN)
	change, err := e.change()
	if err != nil {
		return core.Task{}, err
	}
	t, err := a.o.Engine.Find(ctx, engine.Ref{Tenant: j.who.Tenant, Platform: core.PlatformCXone, ID: id})
	if core.KindOf(err) == core.NotFound && err != nil {
		t, err = a.o.Engine.Find(ctx, engine.Ref{Tenant: j.who.Tenant, Platform: core.PlatformWebex, ID: id})
	}
	if err == nil {
		err = e.may(&t)
	}
	if err != nil || change == nil {
		return t, err
	}
	return a.o.Engine.Change(ctx, engine.Ref{Tenant: j.who.Tenant, ID: t.ID}, e.may, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		return change(c)
	})
}

// taskID is the task that the input names; without a name there it is that of the
// contact.
func (j *job) taskID() (string, error) {
	op := j.workflow.operation
	known := make([]string, 0, len(op.Inputs))
	for _, in := range op.Inputs {
		known = append(known, in.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(j.input)) {
		field := "workflowInput." + operation.Cut(name, maxText)
		if !slices.Contains(known, name) {
			return "", core.InvalidField(field, "is no input of this workflow%s", mapping.Suggest(name, known))
		}
		if why := op.Refuses(name, j.input[name]); why != "" {
			return "", core.InvalidField(field, "%s", why)
		}
	}
	id, err := idOf([]document{j.input}, "taskId")
	if id = strings.ToLower(cmp.Or(id, j.contact)); id == "" && err == nil {
		return "", core.InvalidField("workflowInput.taskId", "is missing, and the call names no contactId whose task it could be")
	}
	return id, err
}

// text is an input that is a text.
func (e *errand) text(name string) string {
	text, _ := expression.Text(e.input[name])
	return strings.TrimSpace(text)
}

// may lets a caller touch the tasks of services that are the caller's.
func (e *errand) may(t *core.Task) error {
	return e.tenant.MayRunTask(e.user, t)
}

// change checks the input and returns what is to be done; nil for nothing.
func (e *errand) change() (func(c *engine.Change) error, error) {
	switch e.workflow.task {
	case taskUpdate:
		return e.update()
	case taskQueue:
		return e.queue()
	case taskConnect:
		return e.connect()
	case taskClose:
		return e.close, nil
	}
	return nil, nil
}

func (e *errand) update() (func(c *engine.Change) error, error) {
	const name = "workflowInput.parameters"
	given, _ := e.input["parameters"].(map[string]any)
	if len(given) == 0 || len(given) > maxGiven {
		return nil, core.InvalidField(name, "must be an object with 1 to %d parameters by name", maxGiven)
	}
	values := make([]core.NamedValue, 0, len(given))
	for _, key := range slices.Sorted(maps.Keys(given)) {
		value, ok := expression.Text(given[key])
		if !ok && given[key] != nil {
			return nil, core.InvalidField(name, "every value must be a text")
		}
		if key == "" || !plain(key, maxParameter) {
			return nil, core.InvalidField(name, "a name must have 1 to %d characters, and none that control", maxParameter)
		}
		if !plain(value, maxValue) {
			return nil, core.InvalidField(name, "a value must have %d characters or less, and none that control", maxValue)
		}
		values = append(values, core.NamedValue{Name: key, Value: value})
	}
	return func(c *engine.Change) error {
		if err := c.SetParameters(values); err != nil {
			return err
		}
		if len(c.Task().Parameters) > maxParameters {
			return core.InvalidField(name, "the task would have more than %d parameters", maxParameters)
		}
		return nil
	}, nil
}

// plain tells whether a text is short enough and holds nothing that controls.
func plain(text string, most int) bool {
	return len([]rune(text)) <= most && !strings.ContainsFunc(text, unicode.IsControl)
}

func (e *errand) queue() (func(c *engine.Change) error, error) {
	priority := 0
	if text := e.text("priority"); text != "" {
		if len(text) != 1 || text[0] < '1' || text[0] > '9' {
			return nil, core.InvalidField("workflowInput.priority", "must be from 1, which is first, to 9")
		}
		priority = int(text[0] - '0')
	}
	upn := e.text("service")
	service, known := e.tenant.Service(upn)
	switch {
	case upn == "":
		return func(c *engine.Change) error { return c.Queue(c.Task().Service, priority) }, nil
	case !known:
		return nil, core.InvalidField("workflowInput.service", "is not a service of the tenant")
	}
	if err := e.tenant.MayRunTasks(e.user, service); err != nil {
		return nil, err
	}
	return func(c *engine.Change) error { return c.Queue(service.Ref(), priority) }, nil
}

// connect gives a task to somebody. One with a work item is in CXone's hands: its
// agent may be unknown here, and may have it from another. One of the hub's own is
// for the members of its service.
func (e *errand) connect() (func(c *engine.Change) error, error) {
	const name = "workflowInput.agent"
	text := e.text("agent")
	if text == "" || !plain(text, maxText) {
		return nil, core.InvalidField(name, "must be the UPN of the agent")
	}
	user, known := e.tenant.Person(text)
	return func(c *engine.Change) error {
		t := c.Task()
		theirs := t.Remote.Platform == core.PlatformCXone && t.Remote.State != core.RemoteFailed
		service, ok := e.tenant.Service(t.Service.UPN)
		switch {
		case known && (theirs || ok && service.HasMember(user.UPN)):
			return c.Connect(user.Ref(), theirs)
		case theirs:
			return c.Connect(core.UserRef{ID: text}, true)
		}
		return core.InvalidField(name, "is not a member of %s", t.Service.UPN)
	}, nil
}

// close ends a task; one that has ended is closed already. A work item that says
// so itself is over, or about to be: ending it too would cut its script off.
func (e *errand) close(c *engine.Change) error {
	remote := c.Task().Remote
	itself := remote.Platform == core.PlatformCXone && remote.ID != "" && strings.EqualFold(remote.ID, e.contact)
	if itself || c.Task().State != core.StateTerminated {
		c.Terminate(itself)
	}
	return nil
}

// taskOutput shows a task as a record. What has been done is never told without
// a result: parameters that make it too large are left out then.
func taskOutput(t *core.Task, j *job) any {
	out := taskRecord(t, t.Parameters)
	if !j.workflow.operation.Writes {
		return out
	}
	set, err := shape(out, cmp.Or(j.contact, j.interaction), j.configuration.integration)
	if r := (reply{Branch: branchSuccess, ResultSet: set}); err != nil || r.fits() != nil {
		return taskRecord(t, nil)
	}
	return out
}

func taskRecord(t *core.Task, parameters []core.NamedValue) any {
	name := cmp.Or(t.Customer.DisplayName, strings.TrimSpace(t.Customer.FirstName+" "+t.Customer.LastName))
	service := cmp.Or(t.Service.DisplayName, t.Service.Name, t.Service.UPN)
	queued := ""
	if !t.Queued.IsZero() {
		queued = t.Queued.UTC().Format(time.RFC3339)
	}
	fields := []any{
		taskField("state", "State", string(t.State)), taskField("priority", "Priority", string(t.Priority)),
		taskField("service", "Service", t.Service.UPN), taskField("queuedSince", "Queued since", queued),
		taskField("customerIdentifier", "Customer identifier", t.CustomerIdentifier), taskField("customerName", "Customer", name),
		taskField("agent", "Agent", cmp.Or(t.LastConnectedUser.UPN, t.LastConnectedUser.ID)),
	}
	for _, p := range parameters {
		fields = append(fields, taskField(p.Name, p.Name, p.Value))
	}
	return map[string]any{
		"system": map[string]any{"type": hubType, "label": hubTitle},
		"records": []any{map[string]any{
			"type": "Task", "label": "Task", "id": t.ID, "title": service, "screenPop": false, "linkable": false,
			"display": operation.Cut(cmp.Or(name, t.CustomerIdentifier, "Anonymous")+", "+service, maxMessage), "fields": fields,
		}},
	}
}

func taskField(name, label, value string) any {
	return map[string]any{"name": name, "label": label, "value": value}
}

// recorded is what people may see of what was said and done about a task: neither
// what is known of its customer nor what scripts wrote into it.
func (j *job) recorded(out any) (input, result string) {
	shown := map[string]any{}
	for _, in := range j.workflow.operation.Inputs {
		if text, ok := expression.Text(j.input[in.Name]); ok {
			shown[in.Name] = operation.Cut(text, maxText)
		}
	}
	top, _ := out.(map[string]any)
	records, _ := top["records"].([]any)
	if len(records) == 1 {
		r, _ := records[0].(map[string]any)
		fields, _ := r["fields"].([]any)
		result = string(server.EncodeJSON(map[string]any{"id": r["id"], "service": r["title"], "fields": fields[:min(4, len(fields))]}))
	}
	return string(server.EncodeJSON(shown)), result
}
