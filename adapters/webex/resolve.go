package webex

import (
	"cmp"
	"context"
	"strings"

	"tandem/core"
	"tandem/core/conversation"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/flow"
	"tandem/core/operation"
	"tandem/core/store"
)

// maxMessageKept bounds what a task keeps of a message, in bytes.
const maxMessageKept = 4 << 10

// resolve finds the conversation that a message belongs to, in the hub or, for a
// service of Webex, in Webex Engage.
func (a *Adapter) resolve(ctx context.Context, k *call) (result, error) {
	d := k.r.Details
	service, known := k.tenant.ServiceAt(d.Message.Address)
	if !known {
		if service, known = k.tenant.ServiceAt(d.AppID); !known {
			return result{}, core.InvalidField(detailsField, "no service of the tenant has the address %q", short(d.Message.Address))
		}
	}
	if err := k.tenant.MayRunTasks(k.user, service); err != nil {
		return result{}, err
	}
	if service.Ref().Target == Platform {
		return a.resolveThere(ctx, k, service)
	}
	workflow, err := a.workflow("mediaType", service, k.r.Modality)
	if err != nil {
		return result{}, err
	}
	m := d.Message
	m.Tenant, m.Service, m.TransID = k.who.Tenant, service.UPN, k.r.TransID
	room := conversation.New(a.o.DB, a.o.Clock, threads{a, k, service, workflow})
	found, err := room.Resolve(ctx, m)
	if err != nil {
		return result{}, err
	}
	return result{why: operationCause[string(found.Operation)], outputs: map[string]any{
		"transId": k.r.TransID, "taskId": found.TaskID, "conversationOperation": string(found.Operation),
	}}, nil
}

// operationCause is what each conversationOperation is to a flow.
var operationCause = map[string]cause{"created": causeCreated, "reopened": causeReopened, "appended": causeAppended}

// resolveThere asks Webex Engage, unless it was asked before and has said what it
// did. Where its answer does not say that yet, a post does.
func (a *Adapter) resolveThere(ctx context.Context, k *call, service *directory.Service) (result, error) {
	if err := a.authorized(ctx, k); err != nil {
		return result{}, err
	}
	message := k.message(service.UPN)
	outputs, err := a.posted(ctx, k, message)
	if err == nil && outputs == nil {
		outputs, err = a.askEngage(ctx, k, message)
	}
	if err != nil {
		return result{}, err
	}
	word, _ := outputs["conversationOperation"].(string)
	why, ok := operationCause[word]
	if !ok {
		return result{}, engageFailure(word, "")
	}
	outputs["transId"] = k.r.TransID
	if id, _ := outputs["taskId"].(string); id != "" { // the hub may have missed its beginning
		err = a.adopt(ctx, k, service, id)
	}
	return result{why, outputs}, err
}

// askEngage hands a message to Webex Engage and returns what that did with it.
func (a *Adapter) askEngage(ctx context.Context, k *call, message string) (map[string]any, error) {
	r := k.r
	address, err := a.postAddress(k.who.Tenant, message)
	if err != nil {
		return nil, err
	}
	input := map[string]any{
		"transId": r.TransID, "flowId": r.FlowID, "mediaType": r.MediaType, "mediaChannel": r.MediaChannel,
		// The parts tell what is to be hidden from people, the text is what is sent.
		"details": r.Details.All, "encoded": map[string]any{"details": encode(r.Details.All)},
		"overrideDefaultClose": r.OverrideDefaultClose,
	}
	if address != "" {
		input["webhookUrl"] = address
	}
	outputs, err := a.o.Bridge.Node(ctx, k.node(nil, input))
	word, _ := outputs["conversationOperation"].(string)
	if word != "" || err != nil && (address == "" || !perhapsTaken(err)) {
		return outputs, err
	}
	if address == "" {
		return nil, core.Errorf(core.NotConfigured,
			"Webex Engage has the message and posts what became of it, which cannot reach the hub: set public-url to an https address of the hub")
	}
	return a.awaitPost(ctx, k, message)
}

// adopt makes the hub's task for one that Webex Engage has made: the nodes that
// follow, and what Webex tells, are about it. The same one twice is one task.
func (a *Adapter) adopt(ctx context.Context, k *call, service *directory.Service, id string) error {
	workflow, err := a.workflow("mediaType", service, k.r.Modality)
	if err != nil { // the task is there all the same
		workflow = drivenFlow
	}
	n := engine.NewTask{Task: k.messageTask(service, k.r.Details.Message, ""), Workflow: workflow, Platform: Platform, Alias: id}
	n.Prepare = func(c *engine.Change) error {
		c.SetRemote(core.Remote{Platform: Platform, ID: strings.ToLower(id), State: core.RemoteOpen})
		return nil
	}
	_, err = a.make(ctx, n)
	return err
}

// threads makes the tasks of conversations.
type threads struct {
	a        *Adapter
	k        *call
	service  *directory.Service
	workflow *flow.Workflow
}

// messageTask is the task for a message.
func (k *call) messageTask(service *directory.Service, m conversation.Message, conversationID string) core.Task {
	task := k.newTask(service.Ref())
	task.CustomerIdentifier = cmp.Or(task.CustomerIdentifier, m.Customer)
	task.Customer.DisplayName = cmp.Or(task.Customer.DisplayName, m.CustomerName)
	task.InitialMessage, task.Mail.Subject = operation.Cut(m.Text, maxMessageKept), cmp.Or(task.Mail.Subject, m.Subject)
	if m.Channel == conversation.Email {
		task.Customer.Email, task.Mail.PlainText = m.Customer, task.InitialMessage
	}
	named := []core.NamedValue{{Name: "destination", Value: m.Address}, {Name: "origin", Value: m.Customer}}
	if conversationID != "" {
		named = append(named, core.NamedValue{Name: "conversationId", Value: conversationID})
	}
	task.Parameters = core.MergeNamed(task.Parameters, named)
	return task
}

// CreateIn makes a task for a message.
func (t threads) CreateIn(ctx context.Context, tx *store.Tx, m conversation.Message, conversationID string) (string, error) {
	task := t.k.messageTask(t.service, m, conversationID)
	made, err := t.a.o.Engine.CreateIn(ctx, tx, engine.NewTask{Task: task, Workflow: t.workflow})
	return made.ID, err
}

// AppendIn gives a message to a task, whose workflow sees it as the parameter
// lastMessage.
func (t threads) AppendIn(ctx context.Context, tx *store.Tx, taskID string, m conversation.Message) (bool, error) {
	open := true
	_, err := t.a.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: m.Tenant, ID: taskID}, nil, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		if open = c.Task().State != core.StateTerminated; !open {
			return nil
		}
		return c.SetParameters([]core.NamedValue{{Name: "lastMessage", Value: operation.Cut(m.Text, maxMessageKept)}})
	})
	if core.KindOf(err) == core.NotFound {
		return false, nil
	}
	if err != nil && core.KindOf(err) != core.Unavailable {
		err = appendError{err}
	}
	return open, err
}
