package bridge

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"tandem/core"
	"tandem/core/directory"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/integration"
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
// Variables for which a task has no room are left out, unless they are all that
// the event says.
//
// Errors: what the event's Allow returns, NotFound for a task that is not known
// to one who may not speak of all, and nothing is kept then; Invalid with code
// TASK_TOO_LARGE; Unavailable, and others of the store.
func (b *Bridge) Happened(ctx context.Context, tenant string, ev Event) (Receipt, error) {
	receipt, err := b.happened(ctx, tenant, ev)
	if e, ok := errors.AsType[*core.Error](err); ok && e.Code == engine.CodeTooLarge && len(ev.Variables) > 0 && ev.Kind != Modified {
		ev.Variables = nil
		return b.happened(ctx, tenant, ev)
	}
	return receipt, err
}

func (b *Bridge) happened(ctx context.Context, tenant string, ev Event) (Receipt, error) {
	var receipt Receipt
	ev.RemoteID = strings.ToLower(ev.RemoteID)
	err := b.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		inserted, err := tx.InsertRemoteEvent(ctx, store.RemoteEvent{
			Tenant: tenant, Platform: ev.Platform, Key: ev.Key, RemoteID: ev.RemoteID, Kind: ev.Kind,
			AtMs: ev.At.UnixMilli(), Agent: ev.Agent, Reason: ev.Reason, ReceivedMs: b.o.Clock.Now().UnixMilli(),
		})
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
			if len(ev.Variables) > 0 && c.Task().State != core.StateTerminated {
				if err := c.SetParameters(ev.Variables); err != nil {
					return err
				}
			}
			return b.follow(ctx, tx, c, ev.Platform, ev.RemoteID)
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
		if c.Task().State == core.StateTerminated && ev.Kind != Ended {
			if err := c.Later(engine.KindRemote, c.Task().ID, engine.RemoteWork{Do: engine.RemoteEnd}); err != nil {
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

// Follow gives the task that is called remoteID on a platform the standing that
// the events of it amount to so far: they may have come before the hub knew whose
// they are. Errors are NotFound, when no task is called so, and those of Happened.
func (b *Bridge) Follow(ctx context.Context, tenant, platform, remoteID string) error {
	remoteID = strings.ToLower(remoteID)
	return b.o.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		id, err := tx.TaskOfAlias(ctx, tenant, platform, remoteID)
		if err != nil {
			return err
		}
		_, err = b.o.Engine.ChangeIn(ctx, tx, engine.Ref{Tenant: tenant, ID: id}, nil, func(ctx context.Context, tx *store.Tx, c *engine.Change) error {
			return b.follow(ctx, tx, c, platform, remoteID)
		})
		return err
	})
}

// follow gives a task the standing of its counterpart.
func (b *Bridge) follow(ctx context.Context, tx *store.Tx, c *engine.Change, platform, remoteID string) error {
	events, err := tx.RemoteEvents(ctx, c.Task().Tenant, platform, remoteID)
	if err != nil {
		return err
	}
	s := standing(events)
	if id := c.Task().Remote.ID; id != "" && id != remoteID {
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
	c.SetRemote(core.Remote{Platform: platform, ID: remoteID, State: core.RemoteOpen})
	return b.follow(ctx, tx, c, platform, remoteID)
}

// rank says which of two events of one moment comes last.
var rank = map[string]int{Made: 1, Parked: 2, Offered: 3, Connected: 4, Failed: 5, Ended: 6}

// standing is what the events of a task amount to, in whatever order they came:
// an end is an end, else the last one counts.
func standing(events []store.RemoteEvent) store.RemoteEvent {
	var last store.RemoteEvent
	for _, ev := range events {
		if rank[ev.Kind] == 0 {
			continue
		}
		if cmp.Or(
			cmp.Compare(final(ev.Kind), final(last.Kind)), cmp.Compare(ev.AtMs, last.AtMs),
			cmp.Compare(rank[ev.Kind], rank[last.Kind]), slices.Compare(ev.Key, last.Key),
		) > 0 {
			last = ev
		}
	}
	return last
}

// final tells whether nothing comes after an event: 1, else 0.
func final(kind string) int {
	if kind == Ended || kind == Failed {
		return 1
	}
	return 0
}

// take lets a task take a standing.
func (b *Bridge) take(c *engine.Change, s store.RemoteEvent) error {
	t := c.Task()
	if rank[s.Kind] == 0 {
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
		if t.Remote.State == core.RemoteFailed {
			return nil
		}
		return c.Refuse(s.Reason)
	case Parked:
		return c.Requeue()
	case Offered:
		if err := c.Requeue(); err != nil {
			return err
		}
		return c.Offer()
	case Connected:
		return c.Connect(b.user(t.Tenant, s.Agent), true)
	case Ended:
		c.Terminate(true)
	}
	return nil
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
