package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Build builds the hub's binary into dir and returns its path. Like go run, it
// must be called somewhere inside the module.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "tandem")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "tandem/cmd/tandem").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the hub: %w\n%s", err, out)
	}
	return binary, nil
}

// Setup is how a hub is run: its binary and what it gets from its environment,
// as NAME=value. Only PATH, HOME and TMPDIR come from the caller's.
type Setup struct {
	Binary string
	Env    []string
}

// command prepares a run of the binary.
func (s Setup) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.Binary, args...)
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v := os.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env, s.Env...)
	return cmd
}

// Run runs one command of the binary to its end and returns what it printed.
// The error holds what it complained of.
func (s Setup) Run(ctx context.Context, args ...string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd := s.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("tandem %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Key makes an API key, beside a hub that may be running.
func (s Setup) Key(ctx context.Context, tenant, adapter, user string) (string, error) {
	out, err := s.Run(ctx, "keys", "create", "--tenant", tenant, "--adapter", adapter, "--user", user)
	return strings.TrimSpace(out), err
}

// Hub is a hub in a process of its own. Its methods may be called from several
// goroutines.
type Hub struct {
	URL   string        // where callers reach it
	Admin string        // where operators reach it
	Cold  time.Duration // from the start of the process to the first good answer of /readyz

	cmd    *exec.Cmd
	log    *record
	exited chan struct{}
	err    error // of the process, after exited
}

// Start starts a hub on free loopback ports, unless args say where, and returns
// when it is ready. tracer is put before the command and must stay out of
// its process's way, as strace -D does; nil: none. When the hub does not come up the error holds its log.
func (s Setup) Start(ctx context.Context, tracer []string, args ...string) (*Hub, error) {
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, args...)
	cmd := s.command(context.WithoutCancel(ctx), args...)
	if len(tracer) > 0 {
		path, err := exec.LookPath(tracer[0])
		if err != nil {
			return nil, err
		}
		cmd.Path, cmd.Args = path, append(append(append([]string{}, tracer...), s.Binary), args...)
	}
	h := &Hub{cmd: cmd, exited: make(chan struct{}), log: &record{ready: make(chan struct{})}}
	cmd.Stdout, cmd.Stderr = io.Discard, h.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second // a tracer holds the log open a little longer
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { h.err = cmd.Wait(); close(h.exited) }()
	if err := h.await(ctx); err != nil {
		h.Kill()
		return nil, fmt.Errorf("the hub did not start: %w\n%s", err, h.Log())
	}
	h.Cold = time.Since(began)
	return h, nil
}

// await waits until the hub says that it is ready and /readyz agrees.
func (h *Hub) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	select {
	case <-h.log.ready:
	case <-h.exited:
		return errors.New("it ended")
	case <-ctx.Done():
		return ctx.Err()
	}
	h.URL, h.Admin = "http://"+h.log.listen, "http://"+h.log.admin
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Admin+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-h.exited:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// PID is the process id.
func (h *Hub) PID() int { return h.cmd.Process.Pid }

// Kill ends the process with SIGKILL and waits for its end.
func (h *Hub) Kill() {
	_ = h.cmd.Process.Kill()
	<-h.exited
}

// Stop asks the process to end with SIGTERM and returns how it ended. One that
// takes longer than limit is killed, which is an error.
func (h *Hub) Stop(limit time.Duration) error {
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-h.exited:
		return h.err
	case <-time.After(limit):
		h.Kill()
		return fmt.Errorf("the hub did not end within %s", limit)
	}
}

// Log is what the hub has logged so far.
func (h *Hub) Log() string { return h.log.String() }

// record keeps a log and finds in it where the hub listens.
type record struct {
	ready         chan struct{} // closed when it says so
	listen, admin string        // readable then

	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.Write(p)
	if r.listen != "" {
		return len(p), nil
	}
	scan := bufio.NewScanner(bytes.NewReader(r.text.Bytes()))
	for scan.Scan() {
		var line struct{ Msg, Listen, Admin string }
		if json.Unmarshal(scan.Bytes(), &line) == nil && line.Msg == "ready" {
			r.listen, r.admin = line.Listen, line.Admin
			close(r.ready)
			break
		}
	}
	return len(p), nil
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
