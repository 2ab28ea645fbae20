package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"tandem/core"
	"tandem/core/engine"
	"tandem/core/operation"
	"tandem/core/store"
)

// NodeCall asks for what a node of Webex Connect does at Webex.
type NodeCall struct {
	Tenant, Node, Method string
	Version              string     // of the node; empty: any
	Authorization        string     // name; empty: the default of the node in that version
	Task                 *core.Task // that it is about; nil: none in particular
	Input                map[string]any
}

// nodeLife is how long equal calls of a node get one answer, unless the task had
// another call in between: a flow that tries again does so within seconds.
const nodeLife = time.Minute

// Node carries out a method of a node at Webex through the operation that the
// mapping files name for it, and returns what that gives; nothing when they name
// none. Equal calls within a minute are carried out once, if no other call about
// the task came in between: then its flow asks for the same anew.
//
// Errors are those of operation.Runner and of execution.FirstAnswers.
func (b *Bridge) Node(ctx context.Context, call NodeCall) (map[string]any, error) {
	return b.node(ctx, call, nil)
}

// makePause is how long whoever makes a counterpart with Create has for it.
const makePause = callTime

// makeLane is the lane of the item that makes a counterpart when Create could
// not: it stands in nobody's way.
func makeLane(taskID string) string { return taskID + "/make" }

// Creating says that Create is about to make the counterpart of a task at Webex,
// with the same call. If it cannot, or the hub dies meanwhile, the outbox does.
func Creating(c *engine.Change, call NodeCall) error {
	c.SetRemote(core.Remote{Platform: core.PlatformWebex, State: core.RemoteRequested})
	return c.Later(engine.KindRemote, makeLane(c.Task().ID), makePause, call.work(engine.RemoteCreate))
}

// Queueing has the counterpart of a task at Webex queued as the call says, as soon
// as it is made: by whoever makes it now, or by what Change.Queue, called next,
// leaves to be done.
func Queueing(c *engine.Change, call NodeCall) error {
	work := call.work(engine.RemoteQueue)
	if remote := c.Task().Remote; remote.State == core.RemoteRequested && remote.ID == "" {
		return c.Later(engine.KindRemote, c.Task().ID, 0, work)
	}
	c.Queueing(work)
	return nil
}

func (call *NodeCall) work(do string) engine.RemoteWork {
	return engine.RemoteWork{Do: do, Given: call.Input, Version: call.Version, Authorization: call.Authorization}
}

// Hasten has the outbox do now what Create could not do.
func (b *Bridge) Hasten(ctx context.Context, tx *store.Tx, taskID string) error {
	return tx.HastenOutbox(ctx, makeLane(taskID), b.o.Clock.Now())
}

// Create makes the counterpart of a task at Webex, as Node does, and joins the
// two.
func (b *Bridge) Create(ctx context.Context, call NodeCall) error {
	if op, _ := b.find(core.PlatformWebex, engine.RemoteCreate, call.Version); op == nil {
		return core.Errorf(core.NotConfigured, "webex/nodes.yaml names no operation that creates tasks")
	}
	task := *call.Task
	_, err := b.node(ctx, call, func(ctx context.Context, output any) error {
		return b.o.DB.Write(ctx, b.did(&task, engine.RemoteWork{Do: engine.RemoteCreate}, output))
	})
	return err
}

func (b *Bridge) node(ctx context.Context, call NodeCall, then func(context.Context, any) error) (map[string]any, error) {
	node, ok := b.o.Integrations().Node(call.Node, call.Version)
	method, found := node.Method(call.Method)
	if !ok || !found || method.Operation == "" {
		return nil, nil
	}
	op, ok := b.o.Operations().Operation(node.Integration, method.Operation)
	if !ok {
		return nil, core.Errorf(core.NotConfigured, "there is no operation %s/%s", node.Integration, method.Operation)
	}
	input, contact := call.Input, ""
	if call.Task != nil {
		input, contact = b.input(call.Task, call.Input), call.Task.ID
	}
	j := job{node.Title + " / " + method.Title, core.PlatformWebex, operation.Request{
		Tenant: call.Tenant, Operation: op, Node: node.ID, Authorization: call.Authorization,
		Input: input, ContactID: contact, Timeout: callTime,
	}}
	var output any
	if op.Writes {
		text, err := b.nodeKey(ctx, &call, node.ID)
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", j.title, err)
		}
		j.request.Key = text
		if output, err = b.once(ctx, "node/"+text, nodeLife, callTime, j, then); err != nil {
			return nil, err
		}
	} else {
		result, err := b.run(ctx, j)
		if err != nil {
			return nil, err
		}
		output = result.Output
	}
	fields, _ := output.(map[string]any)
	return fields, nil
}

// nodeKey is the same for calls that are carried out once.
func (b *Bridge) nodeKey(ctx context.Context, call *NodeCall, entry string) (string, error) {
	contact := ""
	if call.Task != nil {
		contact = call.Task.ID
	}
	text, err := json.Marshal([]any{call.Tenant, entry, call.Method, call.Authorization, contact, call.Input})
	if err != nil || call.Task == nil {
		return string(text), err
	}
	hash := sha256.Sum256(text)
	turn := 0
	err = b.o.DB.Write(ctx, b.change(call.Tenant, contact, func(_ context.Context, _ *store.Tx, c *engine.Change) error {
		turn = c.Turn(hash[:])
		return nil
	}))
	return fmt.Sprint(turn, "/", string(text)), err
}
