package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"tandem/adapters/admin"
	"tandem/adapters/console"
	"tandem/adapters/console/identity"
	"tandem/adapters/cxone"
	"tandem/adapters/powerautomate"
	"tandem/adapters/webex"
	"tandem/authstore"
	"tandem/core"
	"tandem/core/bridge"
	"tandem/core/delivery"
	"tandem/core/engine"
	"tandem/core/execution"
	"tandem/core/jobs"
	"tandem/core/observe"
	"tandem/core/operation"
	"tandem/core/outbound"
	"tandem/core/outbox"
	"tandem/core/server"
	"tandem/core/store"
)

type serveCommand struct{}

// Run serves until it is told to stop.
func (serveCommand) Run(ctx context.Context, p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	log, _, err := observe.NewLogger(p.stderr, c.LogLevel)
	if err != nil {
		return err
	}
	for _, text := range c.warnings() {
		log.Warn(text)
	}
	h, err := newHub(ctx, c, log)
	if err != nil {
		return err
	}
	return h.serve(ctx, func() {
		if first, err := h.identity.FirstRun(ctx); err == nil && first {
			log.Info("nobody can sign in to the console yet: tandem setup-token --tenant NAME prints a one-time token for its first administrator")
		}
		log.Info("ready", "listen", h.callers.Addr().String(), "admin", h.admins.Addr().String(), "version", version)
	})
}

// hub is all rooms, wired together.
type hub struct {
	config         *config
	log            *slog.Logger
	clock          core.Clock
	metrics        *observe.Metrics
	health         *observe.Health
	unlock         func()
	db             *store.DB
	sealer         *authstore.Sealer
	tokens         *outbound.Client // for token calls, which take longer
	outbound       *outbound.Client
	authorizations *authstore.Store
	identity       *identity.Identity
	console        *console.Console
	engine         *engine.Engine
	hosts          *outbound.Hosts // that flows may be at
	sign           delivery.Sign
	deliverer      *delivery.Deliverer
	outbox         *outbox.Worker
	bridge         *bridge.Bridge
	webex          *webex.Keeper
	runner         *runner
	recorder       *execution.Recorder
	answers        *execution.FirstAnswers
	jobs           *jobs.Engine
	mapped         *mapped
	public         *server.Server
	private        *server.Server
	callers        net.Listener
	admins         net.Listener
}

// newHub opens everything that a hub needs and is ready to serve; nothing runs
// yet. What it opened is closed by serve, or here when it fails.
func newHub(ctx context.Context, c *config, log *slog.Logger) (_ *hub, err error) {
	h := &hub{config: c, log: log, clock: core.SystemClock{}, metrics: observe.NewMetrics(), health: &observe.Health{}}
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	if err := h.open(ctx); err != nil {
		return nil, err
	}
	if err := h.rooms(ctx); err != nil {
		return nil, err
	}
	if err := h.doors(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// open opens the database and the master key.
func (h *hub) open(ctx context.Context) (err error) {
	if h.db, h.unlock, err = openDatabase(ctx, h.config, true, h.metrics.GroupCommit); err != nil {
		return err
	}
	h.sealer, err = openSealer(ctx, h.config, h.db)
	return err
}

// rooms builds the rooms behind the adapters.
func (h *hub) rooms(ctx context.Context) (err error) {
	if err := h.connections(); err != nil {
		return err
	}
	if err := h.deliveries(powerautomate.Render); err != nil {
		return err
	}
	h.engine = engine.New(engine.Options{DB: h.db, Clock: h.clock, Deliver: h.deliverer.Wake, Outbox: h.wake, Observe: h.happened})
	if err := h.engine.Keep(ctx, webex.Workflows()); err != nil {
		return err
	}
	if h.mapped, err = loadMappings(ctx, mappingFiles(h.config)(), h.engine, h.clock); err != nil {
		return err
	}
	h.recorder = execution.NewRecorder(execution.Options{DB: h.db, Clock: h.clock, Failed: h.failed})
	h.answers = execution.NewFirstAnswers(h.db, h.clock, h.failed)
	h.runner = newRunner(operation.NewRunner(operation.Options{
		Upstream: h.outbound, Connections: h.authorizations, Clock: h.clock,
	}))
	h.jobs, err = jobs.New(ctx, h.db, h.duties(), h.log)
	return err
}

// attempted counts an attempt to deliver.
func (h *hub) attempted(outcome string, lag time.Duration) {
	h.metrics.Delivery(outcome)
	if outcome == "delivered" {
		h.metrics.DeliveryLag(lag)
	}
}

// happened counts an event.
func (h *hub) happened(ev core.Event) {
	h.metrics.TaskEvent(string(ev.Name))
	switch ev.Name {
	case core.Created:
		h.metrics.TaskCreated(string(ev.Task.Modality))
	case core.Terminated:
		h.metrics.TaskTerminated(string(ev.Task.Modality))
	}
}

func (h *hub) failed(msg string, err error) { h.log.Error(msg, "error", err) }

// mayReceive tells whether the owner of a trigger still may see what it asks for.
func (h *hub) mayReceive(t store.Trigger) error {
	tenant, ok := h.mapped.directory().Tenant(t.Tenant)
	if !ok {
		return core.Errorf(core.Forbidden, "tenant %s is no longer in the directory", t.Tenant)
	}
	owner, ok := tenant.User(t.Owner)
	if !ok {
		return core.Errorf(core.Forbidden, "%s, who subscribed, is no longer in the directory", t.Owner)
	}
	for _, upn := range t.Services {
		service, ok := tenant.Service(upn)
		if !ok {
			continue // nothing comes from it any more
		}
		if err := tenant.MayRunTasks(owner, service); err != nil {
			return err
		}
	}
	return nil
}

// doors builds the adapters and the listeners.
func (h *hub) doors(ctx context.Context) (err error) {
	c := h.config
	options := server.Options{
		Logger: h.log, Clock: h.clock, PublicURL: c.PublicURL, TrustedProxies: h.config.proxies,
		TLSCertFile: c.TLSCertFile, TLSKeyFile: c.TLSKeyFile, Observe: h.metrics.HTTPRequest,
	}
	if h.public, err = server.New(options); err != nil {
		return err
	}
	options.TLSCertFile, options.TLSKeyFile = "", ""
	if h.private, err = server.New(options); err != nil {
		return err
	}
	entra, err := h.entra()
	if err != nil {
		return err
	}
	callers := server.NewCallers(h.db, entra)
	powerautomate.New(powerautomate.Options{
		Engine: h.engine, Triggers: h.deliverer, Directory: h.mapped.directory, Workflow: h.mapped.workflow,
		Callers: callers, BaseURL: h.public.BaseURL,
	}).Mount(h.public.Echo())
	cxone.New(cxone.Options{
		Callers: callers, Directory: h.mapped.directory, Configurations: h.mapped.configurations, Runner: h.runner, Engine: h.engine,
		Answers: h.answers, Results: execution.NewResults(h.recorder), Recorder: executions{h.recorder, h.metrics}, Sealer: h.sealer, Clock: h.clock,
		Failed: h.failed,
	}).Mount(h.public.Echo())
	admin.New(admin.Options{
		Callers: callers, Directory: h.mapped.directory, Triggers: h.deliverer, Reader: h.db, Tasks: h.engine,
	}).Mount(h.private.Echo())
	h.health.Add("database", h.db.Ping)
	h.metrics.BuildInfo(version, "")
	if err := errors.Join(h.depths(), h.connectionFigures(), h.metrics.ExecutionsDropped(h.recorder.Dropped)); err != nil {
		return err
	}
	pages := echo.WrapHandler(observe.Handler(h.health, h.metrics))
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		h.private.Echo().Match([]string{http.MethodGet, http.MethodHead}, path, pages)
	}
	var listen net.ListenConfig
	if h.callers, err = listen.Listen(ctx, "tcp", c.Listen); err != nil {
		return fmt.Errorf("listen for callers: %w", err)
	}
	if h.admins, err = listen.Listen(ctx, "tcp", c.AdminListen); err != nil {
		return fmt.Errorf("listen for admins: %w", err)
	}
	h.platforms(callers)
	return h.people()
}

// depths shows how much waits, read at each scrape.
func (h *hub) depths() error {
	backlog := func(pick func(deliveries, deadLetters int) int) func() float64 {
		return scraped(func(ctx context.Context) (int, error) {
			deliveries, deadLetters, err := h.db.Backlog(ctx)
			return pick(deliveries, deadLetters), err
		})
	}
	return errors.Join(
		h.metrics.QueueDepth("deliveries", backlog(func(waiting, _ int) int { return waiting })),
		h.metrics.QueueDepth("dead_letters", backlog(func(_, dead int) int { return dead })),
		h.metrics.QueueDepth("outbox", scraped(h.db.OutboxDepth)),
	)
}

// scraped reads a figure of the database for a scrape; NaN when it cannot.
func scraped(read func(ctx context.Context) (int, error)) func() float64 {
	return func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n, err := read(ctx)
		if err != nil {
			return math.NaN()
		}
		return float64(n)
	}
}

// stopTime bounds the end of the hub. Operations that still run after runTime of
// it are ended, and have writeTime to leave their answers behind.
const (
	stopTime  = 14 * time.Second
	runTime   = 7 * time.Second
	writeTime = 2 * time.Second
)

// serve runs the hub until ctx ends or a part of it fails, and closes it. ready
// is called when it answers.
func (h *hub) serve(ctx context.Context, ready func()) error {
	defer h.close()
	if err := h.jobs.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("job engine: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	// First no new calls, then the rooms behind: calls in flight still need them.
	open, stopCalls := context.WithCancel(context.WithoutCancel(ctx))
	rooms, stopRooms := context.WithCancel(context.WithoutCancel(ctx))
	last, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer stopRooms()
	defer stopCalls()
	outside, stopOutside := context.WithCancel(rooms)
	defer stopOutside()
	left := make(chan struct{})
	group.Go(func() error {
		defer stopRooms()
		err := h.public.Serve(open, h.callers)
		stopOutside()
		<-left
		// Operations whose callers have gone away may still be at work.
		h.answers.Wait(last)
		return err
	})
	var work errgroup.Group
	work.Go(func() error { h.deliverer.Run(rooms); return nil })
	work.Go(func() error {
		h.engine.Run(rooms, func(id string, err error) { h.log.Error("workflow could not be stepped", "task", id, "error", err) })
		return nil
	})
	work.Go(func() error { defer close(left); h.outbox.Run(outside); return nil })
	work.Go(func() error { h.recorder.Run(rooms); return nil })
	work.Go(func() error { h.watchKeys(rooms); return nil })
	work.Go(func() error { h.authorizations.Run(rooms); return nil })
	work.Go(func() error {
		h.mapped.watch(rooms, mappingFiles(h.config), h.engine, h.log,
			func() { h.sweep(rooms) }, h.metrics.MappingFindings)
		return nil
	})
	work.Go(func() error {
		<-rooms.Done()
		last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return h.jobs.Stop(last)
	})
	// Last the admin's door, which tells meanwhile that the hub is not ready.
	admin, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	group.Go(func() error { return h.private.Serve(admin, h.admins) })
	group.Go(func() error {
		defer stopAdmin()
		return work.Wait()
	})
	ready()
	<-ctx.Done()
	h.health.SetDraining()
	stopCalls()
	defer time.AfterFunc(runTime, h.runner.end).Stop()
	defer time.AfterFunc(runTime+writeTime, giveUp).Stop()
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(stopTime):
		err = fmt.Errorf("not everything ended within %s; what was accepted is on disk", stopTime)
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	h.log.Info("stopped")
	return err
}

func (h *hub) sweep(ctx context.Context) {
	if err := h.deliverer.Sweep(ctx); err != nil && ctx.Err() == nil {
		h.failed("check the owners of triggers", err)
	}
}

// close closes what newHub opened.
func (h *hub) close() {
	for _, l := range []net.Listener{h.callers, h.admins} {
		if l != nil {
			_ = l.Close()
		}
	}
	for _, c := range []*outbound.Client{h.tokens, h.outbound} {
		if c != nil {
			c.Close()
		}
	}
	if h.db != nil {
		_ = h.db.Close()
	}
	if h.unlock != nil {
		h.unlock()
	}
}
