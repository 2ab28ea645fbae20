package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"tandem/adapters/console/identity"
	"tandem/adapters/cxone"
	"tandem/adapters/powerautomate"
	"tandem/adapters/webex"
	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/core/observe"
	"tandem/core/server"
	"tandem/core/store"
	"tandem/mappings"
)

const (
	demoTenant   = "contoso"
	demoUser     = "admin@contoso.example"
	demoService  = "support@contoso.example"
	demoCustomer = "C-1002"
)

type demoCommand struct {
	Once bool `help:"End after the story instead of staying up."`
}

// Run starts a hub in a temporary folder, lets a sandbox flow and the hub play
// one task's story, and stays up until it is told to stop.
func (d demoCommand) Run(ctx context.Context, p *program) error {
	dir, err := os.MkdirTemp("", "tandem-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	getenv := p.getenv
	p.getenv = func(name string) string {
		switch given := getenv(name); {
		case name == "TANDEM_DATA_DIR":
			return dir
		case name == "TANDEM_MAPPINGS_DIR":
			return "" // the story is that of the samples
		case name == "TANDEM_LOG_LEVEL" && given == "":
			return "warn" // the story is told on standard output
		default:
			return given
		}
	}
	p.given.DataDir, p.given.DatabaseURL, p.given.MappingsDir = nil, nil, nil
	c, err := p.load()
	if err != nil {
		return err
	}
	c.DatabaseURL = "sqlite:" + dir + "/tandem.db"
	flow, err := sandbox.NewFlow(1, "", "", nil)
	if err != nil {
		return err
	}
	defer flow.Close()
	field, err := sandbox.NewFlow(2, "", "", nil)
	if err != nil {
		return err
	}
	defer field.Close()
	vendors, err := sandbox.NewVendors(core.SystemClock{})
	if err != nil {
		return err
	}
	defer vendors.Close()
	c.AllowHosts = append(c.AllowHosts, flow.Addr(), field.Addr(), vendors.Addr())
	c.shipped = vendors.Mappings(mappings.FS)
	log, _, err := observe.NewLogger(p.stderr, c.LogLevel)
	if err != nil {
		return err
	}
	s := &story{out: p.stdout, began: time.Now(), flow: flow}
	h, err := newHub(ctx, c, log)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan struct{})
	group.Go(func() error { return h.serve(ctx, func() { close(ready) }) })
	group.Go(func() error {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
		flow.Hub = "http://" + h.callers.Addr().String()
		if err := s.tellAll(ctx, h, vendors, field); err != nil {
			return fmt.Errorf("the story broke off: %w", err)
		}
		if d.Once {
			stop()
			return nil
		}
		return s.invite(ctx, h, vendors)
	})
	return group.Wait()
}

// tellAll makes the keys and plays the story of each platform.
func (s *story) tellAll(ctx context.Context, h *hub, vendors *sandbox.Vendors, field *sandbox.Flow) (err error) {
	stranger := &sandbox.Studio{Hub: s.flow.Hub}
	s.studio, s.connect = &sandbox.Studio{Hub: s.flow.Hub}, &sandbox.Connect{Hub: s.flow.Hub}
	for _, k := range []struct {
		key                   *string
		tenant, adapter, user string
	}{
		{&s.flow.Key, demoTenant, powerautomate.Platform, demoUser},
		{&s.studio.Key, demoTenant, cxone.Platform, demoUser},
		{&s.connect.Key, demoTenant, webex.Platform, demoUser},
		{&stranger.Key, "fabrikam", cxone.Platform, "admin@fabrikam.example"},
	} {
		if *k.key, err = demoKey(ctx, h.db, k.tenant, k.adapter, k.user); err != nil {
			return err
		}
	}
	if err := s.play(ctx); err != nil {
		return err
	}
	if err := h.connect(ctx, demoConnections); err != nil {
		return err
	}
	if err := s.script(ctx, stranger, vendors); err != nil {
		return err
	}
	field.Hub, field.Key = s.flow.Hub, s.flow.Key
	return s.cross(ctx, h, vendors, field, s.connect)
}

func demoKey(ctx context.Context, db *store.DB, tenant, adapter, user string) (string, error) {
	key, hash := server.NewKey()
	now := core.SystemClock{}.Now()
	row := store.APIKey{Hash: hash[:], ID: core.NewID(now), Tenant: tenant, Adapter: adapter, UPN: user, CreatedMs: now.UnixMilli()}
	return key, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return tx.InsertAPIKey(ctx, row) })
}

// story tells what happens, with the time since the start.
type story struct {
	out     io.Writer
	began   time.Time
	flow    *sandbox.Flow
	studio  *sandbox.Studio
	connect *sandbox.Connect
}

func (s *story) tell(who, format string, args ...any) {
	fmt.Fprintf(s.out, "%7.1f ms  %-7s %s\n", float64(time.Since(s.began).Microseconds())/1000, who, fmt.Sprintf(format, args...))
}

// play is the seed of all integrations: a task is added, a flow is told, looks
// the customer up and writes what it found back into the task.
func (s *story) play(ctx context.Context) error {
	fmt.Fprintln(s.out, "One external task, from a flow through the hub and back:")
	fmt.Fprintln(s.out)
	s.tell("hub", "ready at %s, on SQLite in a temporary folder", s.flow.Hub)
	events := make(chan sandbox.Event, 16)
	updated := make(chan error, 1)
	s.flow.On = func(ctx context.Context, ev sandbox.Event) {
		s.tell("flow", "triggered by %q for task %s", ev.Event, ev.TaskID)
		if ev.Event == string(core.Created) {
			err := s.update(ctx, ev)
			if err != nil {
				s.tell("flow", "left the task as it is: %v", err)
			}
			select {
			case updated <- err:
			default: // the story is over: the task is somebody's own
			}
		}
		select {
		case events <- ev:
		default:
		}
	}
	if _, err := s.flow.Subscribe(ctx, demoService); err != nil {
		return err
	}
	s.tell("flow", "subscribed to %q of %s", "When a task changes state", demoService)
	id, err := s.flow.AddExternalTask(ctx, demoService, demoCustomer)
	if err != nil {
		return err
	}
	s.tell("flow", "added an external task for customer %s: id %s, on disk", demoCustomer, id)
	if err := await(ctx, updated); err != nil {
		return err
	}
	if err := s.until(ctx, events, core.Queued); err != nil {
		return err
	}
	if err := s.flow.RemoveExternalTask(ctx, id); err != nil {
		return err
	}
	s.tell("flow", "removed the task: the work is done")
	if err := s.until(ctx, events, core.Terminated); err != nil {
		return err
	}
	s.tell("hub", "the task has ended; every event arrived in order")
	return nil
}

// update does what the flow does on Created.
func (s *story) update(ctx context.Context, ev sandbox.Event) error {
	customer := sandbox.Lookup(ev.CustomerIdentifier)
	if customer == nil {
		return fmt.Errorf("customer %s is not in the address book", ev.CustomerIdentifier)
	}
	s.tell("flow", "found %s %s of %s in its address book", customer["firstName"], customer["lastName"], customer["company"])
	if err := s.flow.UpdateTask(ctx, ev.TaskID, customer); err != nil {
		return err
	}
	s.tell("flow", "updated the task with the customer's data")
	return nil
}

// storyTime bounds the wait for one thing of the story.
const storyTime = 15 * time.Second

func await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(storyTime):
		return fmt.Errorf("the flow was not triggered within %s", storyTime)
	}
}

// until waits for an event.
func (s *story) until(ctx context.Context, events <-chan sandbox.Event, name core.EventName) error {
	for {
		select {
		case ev := <-events:
			if ev.Event == string(name) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(storyTime):
			return fmt.Errorf("the event %q did not arrive within %s", name, storyTime)
		}
	}
}

// invite says how to go on by hand.
func (s *story) invite(ctx context.Context, h *hub, vendors *sandbox.Vendors) error {
	base, err := h.base()
	if err != nil {
		return err
	}
	token, err := identity.NewSetupToken(ctx, h.db, h.clock, demoTenant)
	if err != nil {
		return err
	}
	configurationID, workflowID, err := s.studio.Find(ctx, "HubSpot", "Search for ANI")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, `
The hub stays up. Make yourself its administrator and connect it to a CRM, in a browser:

  %[1]s/console/setup?token=%[2]s

All vendors are fakes of the sandbox: any e-mail with the password "sandbox" signs in there, and
at http://%[3]s/ a connected account can be taken away again, to see the hub notice.

The flow prints what it is triggered by. Try it in another terminal:

  curl -s %[1]s/v1/ExternalTasks -H 'X-Api-Key: %[4]s' \
    -H 'Content-Type: application/json' \
    -d '{"serviceUpn":"%[5]s","customerIdentifier":"C-1003"}'

A script's call:

  curl -s %[1]s/cxone/v1/workflow-execute -H 'Authorization: Bearer %[7]s' \
    -d '{"configurationId":"%[8]s","workflowId":"%[9]s",
         "workflowPayload":{"workflowInput":{"phoneNumber":"%[10]s"}}}'

A node of a Webex Connect flow:

  curl -s %[1]s/webex/v1/nodes/piq-ewt/fetch -H 'X-Api-Key: %[11]s' \
    -d '{"queueId":"%[5]s","lookbackMinutes":60}'

And the state of the hub:

  curl -s http://%[6]s/readyz

Ctrl-C ends it and removes the folder.
`, base, token, vendors.Addr(), s.flow.Key, demoService, h.admins.Addr(),
		s.studio.Key, configurationID, workflowID, demoNumber, s.connect.Key)
	return err
}
