package observe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const healthTimeout = 2 * time.Second

// Health is whether the hub is ready to take requests. The zero value has no
// checks and is ready. Its methods may be called from several goroutines.
type Health struct {
	draining atomic.Bool

	mu     sync.Mutex
	checks []*check
	notes  []note
}

// note is something that people should know and that keeps nobody from being
// ready.
type note struct {
	name string
	tell func() string
}

// check is one named question. A run that never ends is joined by later asks
// instead of started again.
type check struct {
	name string
	ask  func(context.Context) error

	mu      sync.Mutex
	running *run
}

type run struct {
	done chan struct{}
	err  error // after done is closed
}

// Add adds a check. It is asked at each /readyz, from one goroutine at a time,
// on a context of 2 s, and an error means not ready; its text is shown, without
// secrets.
func (h *Health) Add(name string, ask func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, &check{name: name, ask: ask})
}

// Note adds a line to /readyz that has no say in whether the hub is ready. Tell
// must answer at once and from any goroutine; what it returns is shown to
// whoever may ask, without secrets.
func (h *Health) Note(name string, tell func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.notes = append(h.notes, note{name, tell})
}

// SetDraining makes the hub not ready, for good: it is about to stop.
func (h *Health) SetDraining() { h.draining.Store(true) }

type report struct {
	Status string   `json:"status"`
	Checks []result `json:"checks"`
}

type result struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}

// ask asks all checks at once and returns within the timeout.
func (h *Health) ask(ctx context.Context) (report, bool) {
	if h.draining.Load() {
		return report{"not ready", []result{{"draining", false, "the hub is stopping"}}}, false
	}
	h.mu.Lock()
	checks := h.checks[:len(h.checks):len(h.checks)]
	notes := h.notes[:len(h.notes):len(h.notes)]
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	runs := make([]*run, len(checks))
	for i, c := range checks {
		runs[i] = c.start(ctx)
	}
	r, ready := report{"ready", make([]result, len(checks))}, true
	for i, c := range checks {
		r.Checks[i] = result{Name: c.name, OK: true}
		if err := runs[i].wait(ctx); err != nil {
			r.Checks[i].OK, r.Checks[i].Message = false, Redact(err.Error())
			r.Status, ready = "not ready", false
		}
	}
	for _, n := range notes {
		r.Checks = append(r.Checks, result{Name: n.name, OK: true, Message: Redact(n.tell())})
	}
	return r, ready
}

// start joins the run that is under way, or begins one. The run has its own
// deadline and not the first asker's context, who may hang up.
func (c *check) start(ctx context.Context) *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return c.running
	}
	r := &run{done: make(chan struct{})}
	c.running = r
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthTimeout)
	go func() {
		defer cancel()
		r.err = c.safely(ctx)
		c.mu.Lock()
		c.running = nil
		c.mu.Unlock()
		close(r.done)
	}()
	return r
}

func (c *check) safely(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return c.ask(ctx)
}

func (r *run) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	select { // both may have come at once
	case <-r.done:
		return r.err
	default:
		return errors.New("no answer in time")
	}
}

// Handler serves what the admin listener offers, by GET and HEAD: /livez, 200
// while the process runs; /readyz, 200 or 503 with the checks; /metrics.
func Handler(h *Health, m *Metrics) http.Handler {
	metrics := m.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		var serve http.HandlerFunc
		switch r.URL.EscapedPath() {
		case "/livez":
			serve = live
		case "/readyz":
			serve = h.ready
		case "/metrics":
			serve = metrics.ServeHTTP
		default:
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		serve(w, r)
	})
}

func live(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the asker has gone: nobody to tell
}

func (h *Health) ready(w http.ResponseWriter, r *http.Request) {
	answer, ready := h.ask(r.Context())
	w.Header().Set("Content-Type", "application/json")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(answer) // as above
}
