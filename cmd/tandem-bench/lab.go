package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"tandem/cmd/internal/sandbox"
)

const (
	tenant  = "bench"
	user    = "admin@bench.example"
	queued  = "queue@bench.example" // its tasks wait in the queue
	ending  = "end@bench.example"   // its tasks end at once
	addPath = "/v1/ExternalTasks"
)

// files are the mapping files of the bench: a tenant that no limit stops.
var files = map[string]string{
	"directory/bench.yaml": `tenant: bench
limits:
  open_external_tasks: 1000000000
users:
  - {upn: admin@bench.example, roles: [Tenant Admin]}
services:
  - upn: queue@bench.example
    licence: Contact Center
    workflows: {ExternalTask: queue}
  - upn: end@bench.example
    licence: Contact Center
    workflows: {ExternalTask: end}
`,
	"workflows/queue.yaml": `name: queue
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - activity: Queue Task
    max_queue_time: 24h
  - activity: Disconnect Conversation
`,
	"workflows/end.yaml": `name: end
modality: ExternalTask
activities:
  - activity: Accept Conversation
  - activity: Disconnect Conversation
`,
}

// body is a task as a flow would add it.
func body(service string) []byte {
	return []byte(`{"serviceUpn":"` + service + `","customerIdentifier":"C-1002","distributionPriority":"Normal",` +
		`"customer":{"firstName":"Milan","lastName":"Novak","company":"Novak Logistics","email":"milan.novak@customer.example"},` +
		`"customContextParameters":[{"name":"Case","value":"2026-000417"},{"name":"Topic","value":"Delivery"}]}`)
}

// lab is where things are measured: a folder on disk, the hub's binary and the
// mapping files.
type lab struct {
	out    io.Writer
	quick  bool
	dir    string
	binary string
	made   int // databases
}

func newLab(ctx context.Context, dir string, quick bool, out io.Writer) (*lab, error) {
	if dir == "" {
		dir = os.TempDir()
		if fs, err := filesystem(dir); err != nil || fs == memory {
			dir = "."
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = os.MkdirTemp(dir, "tandem-bench-"); err != nil {
		return nil, err
	}
	l := &lab{out: out, quick: quick, dir: dir}
	if err := l.prepare(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) prepare(ctx context.Context) error {
	fs, err := filesystem(l.dir)
	if err != nil {
		return err
	}
	if fs == memory {
		return fmt.Errorf("%s is in memory (tmpfs): durability costs nothing there; name another folder with -dir", l.dir)
	}
	if err := writeFiles(filepath.Join(l.dir, "mappings"), files); err != nil {
		return err
	}
	if l.binary, err = sandbox.Build(ctx, l.dir); err != nil {
		return err
	}
	fmt.Fprintf(l.out, "tandem-bench: %d CPUs, %s, databases on %s\n", runtime.NumCPU(), runtime.Version(), fs)
	return nil
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

// memory is the filesystem on which durability costs nothing.
const memory = "tmpfs"

// filesystem names the kind of filesystem of a folder.
func filesystem(dir string) (string, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "", err
	}
	known := map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: memory, 0x794c7630: "overlayfs", 0x2fc12fc1: "zfs"}
	if name, ok := known[int64(s.Type)]; ok { //nolint:unconvert // an int32 on some systems
		return name, nil
	}
	return fmt.Sprintf("filesystem %#x", s.Type), nil
}

// rig is a hub with a sink beside it.
type rig struct {
	*sandbox.Hub
	setup sandbox.Setup
	sink  *sandbox.Sink
	key   string
}

// start starts a hub on a new database: SQLite in the lab's folder, or the one
// at url. on gets the callbacks.
func (l *lab) start(ctx context.Context, url string, on func([]byte)) (*rig, error) {
	l.made++
	data := filepath.Join(l.dir, fmt.Sprintf("data%d", l.made))
	sink, err := sandbox.NewSink(ctx, on)
	if err != nil {
		return nil, err
	}
	env := []string{
		"TANDEM_DATA_DIR=" + data, "TANDEM_MAPPINGS_DIR=" + filepath.Join(l.dir, "mappings"),
		"TANDEM_ALLOW_HOSTS=" + sink.Addr(), "TANDEM_LOG_LEVEL=info",
	}
	if url != "" {
		env = append(env, "TANDEM_DATABASE_URL="+url, "TANDEM_MASTER_KEY="+strings.Repeat("ab", 32))
	}
	r := &rig{setup: sandbox.Setup{Binary: l.binary, Env: env}, sink: sink}
	if r.key, err = r.setup.Key(ctx, tenant, "powerautomate", user); err == nil {
		r.Hub, err = r.setup.Start(ctx, nil)
	}
	if err != nil {
		sink.Close()
		return nil, err
	}
	return r, nil
}

func (r *rig) close() {
	r.Kill()
	if r.sink != nil {
		r.sink.Close()
	}
}

func (r *rig) addr() string { return strings.TrimPrefix(r.URL, "http://") }

// subscribe makes the trigger with a number, on some events of a service.
func (r *rig) subscribe(ctx context.Context, number int, service, events string) error {
	c, err := sandbox.Dial(ctx, r.addr(), r.key)
	if err != nil {
		return err
	}
	defer c.Close()
	config := fmt.Sprintf(`{"config":{"url":%q,"services":[%q],"taskEvents":[%s]}}`, r.sink.Callback(number), service, events)
	status, answer, err := c.Do("POST", "/v1/triggers/tasks", []byte(config))
	if err == nil && status != 201 {
		err = fmt.Errorf("subscribe: %d %s", status, answer)
	}
	return err
}

// drained waits until the sink has got n callbacks.
func (r *rig) drained(ctx context.Context, n int64, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for r.sink.Count() < n {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d callbacks came within %s: %w", r.sink.Count(), n, limit, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
