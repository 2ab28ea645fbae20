package bridge

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/integration"
	"tandem/core/mapping"
	"tandem/core/operation"
	"tandem/core/store"
)

// Engine changes tasks.
type Engine interface {
	Find(ctx context.Context, ref engine.Ref) (core.Task, error)
	ChangeIn(ctx context.Context, tx *store.Tx, ref engine.Ref, allow engine.Allow, change engine.Changing) (core.Task, error)
}

// Runner runs operations.
type Runner interface {
	Run(ctx context.Context, r operation.Request) (*operation.Result, error)
}

// Answers lets work that must not be done twice be done once.
type Answers interface {
	Do(ctx context.Context, key [32]byte, life, limit time.Duration, flow execution.Flow) (answer execution.Answer, repeated bool, err error)
}

// Recorder counts what ran, and keeps it for people.
type Recorder interface {
	Count(platform, outcome string, d time.Duration)
	Wanted(tenant string, failed bool) bool
	Record(run execution.Run)
}

// Options is what a Bridge is lent. All of it may be called from several
// goroutines at once.
type Options struct {
	DB           *store.DB
	Engine       Engine
	Runner       Runner
	Answers      Answers
	Recorder     Recorder
	Directory    func() *directory.Directory
	Integrations func() *integration.Catalogue
	Operations   func() *operation.Catalogue
	Clock        core.Clock
	Failed       func(msg string, err error) // told of faults of the hub
}

// Bridge joins tasks to other platforms. Its methods may be called from several
// goroutines.
type Bridge struct{ o Options }

// New returns a bridge.
func New(o Options) *Bridge { return &Bridge{o} }

// Happened takes in what a platform of the tenant says of one of its tasks. When
// it returns nil that is on disk, and the hub's task, if there is one, has taken
// the standing that all events so far amount to. An event about a task that the
// hub does not know (yet) is kept for when it does.
//
// Of the variables of several events each one's last value counts, as of the
// standing. Those for which a task has no room are left out, unless they are all
// that the event says.
//
// Errors: what the event's Allow returns, NotFound for a task that is not known
// to one who may not speak of all, and nothing is kept then; Invalid with code
// TASK_TOO_LARGE; Unavailable, and others of the store.
func (b *Bridge) Happened(ctx context.Context, tenant string, ev Event) (Receipt, error) {
	var receipt Receipt
	row, err := ev.row(tenant, b.o.Clock.Now())
	if err != nil {
		return receipt, err
	}
	ev.RemoteID = row.RemoteID
	err = b.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		receipt = Receipt{}
		if err := tx.LockName(ctx, tenant, ev.Platform, ev.RemoteID); err != nil {
			return err
		}
		inserted, err := tx.InsertRemoteEvent(ctx, row)
		if err != nil {
			return err
		}
		receipt.Duplicate = !inserted
		id, err := tx.TaskOfAlias(ctx, tenant, ev.Platform, ev.RemoteID)
		if err != nil && core.KindOf(err) == core.NotFound {
			receipt.Known, err = b.claim(ctx, tx, tenant, ev)
			if err == nil && !receipt.Known && ev.Allow != nil {
				err = core.Errorf(core.NotFound, "there is no task with this id")
			}
			return err
		}
		if receipt.Known = err == nil; !receipt.Known || receipt.Duplicate {
			return err
		}
		_, err = b.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: tenant, ID: id}, ev.Allow, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
			return b.hear(ctx, tx, c, ev)
		})
		return err
	})
	return receipt, err
}

// claim joins a task to a counterpart that was made for it, but whose id nobody
// has written down yet: the answer is under way, or the hub died before it came.
func (b *Bridge) claim(ctx context.Context, tx *store.Tx, tenant string, ev Event) (known bool, err error) {
	if ev.Kind == Failed || !taskID.MatchString(ev.Origin) {
		return false, nil
	}
	_, err = b.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: tenant, ID: ev.Origin}, ev.Allow, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
		remote := c.Task().Remote
		if remote.Platform != ev.Platform || remote.ID != "" {
			return nil
		}
		known = true
		if ev.Kind != Ended {
			if err := endsThere(c); err != nil {
				return err
			}
		}
		return b.adopt(ctx, tx, c, ev.Platform, ev.RemoteID)
	})
	if core.KindOf(err) == core.NotFound {
		return false, nil
	}
	return known, err
}

var taskID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// FollowIn gives the task that is called remoteID on a platform the standing that
// the events of it amount to so far, in the caller's transaction, which has made
// the task: they may have come before the hub knew whose they are. It tells whether
// there were any. Errors are those of Happened.
func (b *Bridge) FollowIn(ctx context.Context, tx *store.Tx, tenant, platform, remoteID string) (heard bool, err error) {
	remoteID = strings.ToLower(remoteID)
	events, err := tx.RemoteEvents(ctx, tenant, platform, remoteID)
	if err != nil || len(events) == 0 {
		return false, err
	}
	_, err = b.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: tenant, Platform: platform, ID: remoteID}, nil, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
		return b.follow(ctx, tx, c, platform, remoteID)
	})
	return true, err
}

// endsThere has the counterpart ended of a task that has ended before it had one.
func endsThere(c *engine.Change) error {
	if t := c.Task(); t.State == core.StateTerminated && t.Remote.State != core.RemoteEnded {
		return c.Later(engine.KindRemote, t.ID, 0, engine.RemoteWork{Do: engine.RemoteEnd})
	}
	return nil
}

// follow gives a task the standing of its counterpart, and the variables.
func (b *Bridge) follow(ctx context.Context, tx *store.Tx, c *engine.Change, platform, remoteID string) error {
	events, err := tx.RemoteEvents(ctx, c.Task().Tenant, platform, remoteID)
	if err != nil {
		return err
	}
	values, err := variables(events, nil)
	if err != nil {
		return err
	}
	if err := set(c, values, false); err != nil {
		return err
	}
	return b.stand(ctx, tx, c, platform, remoteID, standing(events))
}

// hear lets a task take what one more event changes. What the events before it
// say the task has taken already, and people may have done more since.
func (b *Bridge) hear(ctx context.Context, tx *store.Tx, c *engine.Change, ev Event) error {
	events, err := tx.RemoteEvents(ctx, c.Task().Tenant, ev.Platform, ev.RemoteID)
	if err != nil {
		return err
	}
	values, err := variables(events, ev.Key)
	if err != nil {
		return err
	}
	if err := set(c, values, ev.Kind == Modified); err != nil {
		return err
	}
	s := standing(events)
	if !bytes.Equal(s.Key, ev.Key) {
		return nil
	}
	if s.Kind == Connected && ev.Allow != nil && !b.works(c.Task(), s.Agent) {
		return core.Errorf(core.NotFound, "%s is not a member of %s", mapping.Quote(s.Agent), c.Task().Service.UPN)
	}
	return b.stand(ctx, tx, c, ev.Platform, ev.RemoteID, s)
}

// set sets variables of the counterpart as parameters of a task that is open, and
// has room for them unless they must be set.
func set(c *engine.Change, values []core.NamedValue, must bool) error {
	if len(values) == 0 || c.Task().State == core.StateTerminated || !must && !c.Fits(values) {
		return nil
	}
	return c.SetParameters(values)
}

// stand gives a task a standing of its counterpart.
func (b *Bridge) stand(ctx context.Context, tx *store.Tx, c *engine.Change, platform, remoteID string, s store.RemoteEvent) error {
	if remote := c.Task().Remote; remote.ID != "" && remote.ID != remoteID || remote.GivenUp == remoteID {
		return nil // of a counterpart that was refused, before there was another
	}
	if open := openTask(s); open != "" && open != remoteID && c.Task().Remote.ID == remoteID {
		return b.adopt(ctx, tx, c, platform, open)
	}
	return b.take(c, s)
}

var alreadyOpen = regexp.MustCompile(`CONVERSATION_ALREADY_OPEN.*?([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})`)

// openTask is the task that Webex has for the conversation already, when that is
// why it did not make another.
func openTask(s store.RemoteEvent) string {
	if m := alreadyOpen.FindStringSubmatch(s.Reason); s.Kind == Failed && m != nil {
		return strings.ToLower(m[1])
	}
	return ""
}

// adopt takes a counterpart that the platform had already: a hub that died
// between the call and writing down its answer has asked for it twice.
func (b *Bridge) adopt(ctx context.Context, tx *store.Tx, c *engine.Change, platform, remoteID string) error {
	t := c.Task()
	holder, err := tx.InsertAlias(ctx, t.Tenant, platform, remoteID, t.ID)
	if err != nil {
		return err
	}
	if holder != t.ID && t.State == core.StateTerminated {
		return nil
	}
	if holder != t.ID {
		return c.Refuse("the target has an open task for this conversation, which is another of the hub's: end that one first")
	}
	if err := b.made(ctx, tx, t.ID); err != nil {
		return err
	}
	c.SetRemote(core.Remote{Platform: platform, ID: remoteID, State: core.RemoteOpen, GivenUp: t.Remote.GivenUp})
	return b.follow(ctx, tx, c, platform, remoteID)
}

// take lets a task take a standing.
func (b *Bridge) take(c *engine.Change, s store.RemoteEvent) error {
	t := c.Task()
	if rank[s.Kind] == 0 || t.Remote.State == core.RemoteFailed { // a counterpart that was given up is ended there
		return nil
	}
	if t.State == core.StateTerminated {
		if s.Kind == Ended && t.Remote.State == core.RemoteOpen {
			remote := t.Remote
			remote.State = core.RemoteEnded
			c.SetRemote(remote)
		}
		return nil
	}
	if s.Kind != Failed && t.Remote.State == core.RemoteRequested {
		remote := t.Remote
		remote.State, remote.Error = core.RemoteOpen, ""
		c.SetRemote(remote)
	}
	switch s.Kind {
	case Failed:
		return c.Refuse(s.Reason)
	case Parked:
		return c.Requeue()
	case Offered:
		if err := c.Requeue(); err != nil {
			return err
		}
		return c.Offer()
	case Connected:
		if !b.works(t, s.Agent) {
			return nil
		}
		return c.Connect(b.user(t.Tenant, s.Agent), true)
	case Ended:
		c.Terminate(true)
	}
	return nil
}

// works tells whether somebody may be given a task: whom another platform gives
// its own is that platform's matter, but of a queue of the hub only members see
// their tasks.
func (b *Bridge) works(t *core.Task, name string) bool {
	if t.Remote.ID != "" {
		return true
	}
	s := b.service(t)
	return s != nil && s.HasMember(b.user(t.Tenant, name).UPN)
}

// user is the person of the directory whom a platform calls by a UPN, an e-mail
// or an id; somebody who is not there keeps the platform's name.
func (b *Bridge) user(tenant, name string) core.UserRef {
	if t, ok := b.o.Directory().Tenant(tenant); ok {
		if u, ok := t.Person(name); ok {
			return u.Ref()
		}
	}
	return core.UserRef{ID: name}
}
