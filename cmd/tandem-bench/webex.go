package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"tandem/authstore"
	"tandem/cmd/internal/sandbox"
	"tandem/core"
	"tandem/core/store"
	"tandem/mappings"
)

const (
	nodePath = "/webex/v1/nodes/"
	foreign  = "field@bench.example" // its tasks are to be made at Webex, which nobody has authorized
	queues   = 64                    // services whose tasks a flow of Webex Connect drives
)

// masterKey seals the secrets of hubs whose database the bench prepares.
const masterKey = "abababababababababababababababababababababababababababababababab"

// flowService is one of the services whose tasks wait in queues.
func flowService(i int) string { return fmt.Sprintf("chat%d@bench.example", i%queues) }

// webexFiles are the mapping files of the bench with those of the nodes as they
// are shipped.
func webexFiles() (map[string]string, error) {
	directory := files["directory/bench.yaml"]
	for i := range queues {
		directory += "  - {upn: " + flowService(i) + ", licence: Contact Center, workflows: {InstantMessaging: \"\"}}\n"
	}
	directory += "  - {upn: " + foreign + ", licence: Contact Center, target: webex, workflows: {ExternalTask: queue}, target_settings: {entryPoint: APP}}\n"
	set := map[string]string{
		"directory/bench.yaml": directory,
		"workflows/queue.yaml": files["workflows/queue.yaml"], "workflows/end.yaml": files["workflows/end.yaml"],
	}
	shipped, err := fs.Glob(mappings.FS, "webex*/*.yaml")
	for _, name := range shipped {
		text, failed := mappings.FS.ReadFile(name)
		set[name], err = string(text), errors.Join(err, failed)
	}
	return set, err
}

// webexRig is a hub with the nodes, and a key for each of its surfaces.
type webexRig struct {
	*rig
	nodes string // key of the nodes
}

// startWebex starts a hub with the nodes, on a database that prepare has had
// first.
func (l *lab) startWebex(ctx context.Context, prepare func(context.Context, *store.Tx, *authstore.Sealer) error) (*webexRig, error) {
	l.made++
	dir := filepath.Join(l.dir, fmt.Sprintf("webex%d", l.made))
	set, err := webexFiles()
	if err == nil {
		err = writeFiles(filepath.Join(dir, "mappings"), set)
	}
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	r := &webexRig{rig: &rig{setup: sandbox.Setup{Binary: l.binary, Env: []string{
		"TANDEM_DATA_DIR=" + data, "TANDEM_MAPPINGS_DIR=" + filepath.Join(dir, "mappings"),
		"TANDEM_MASTER_KEY=" + masterKey, "TANDEM_LOG_LEVEL=info",
	}}}}
	if r.key, err = r.setup.Key(ctx, tenant, "powerautomate", user); err != nil {
		return nil, err
	}
	if r.nodes, err = r.setup.Key(ctx, tenant, core.PlatformWebex, user); err != nil {
		return nil, err
	}
	if err := prepared(ctx, "sqlite:"+filepath.Join(data, "tandem.db"), prepare); err != nil {
		return nil, err
	}
	r.Hub, err = r.setup.Start(ctx, nil)
	return r, err
}

// prepared writes into the database of a hub that does not run.
func prepared(ctx context.Context, url string, prepare func(context.Context, *store.Tx, *authstore.Sealer) error) error {
	key, err := authstore.ParseKey(masterKey)
	if err != nil {
		return err
	}
	sealer, err := authstore.NewSealer(key)
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Options{URL: url, Clock: core.SystemClock{}})
	if err != nil {
		return err
	}
	err = db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return prepare(ctx, tx, sealer) })
	return errors.Join(err, db.Close())
}

// taskUUID is the id of a task as a flow chooses it.
func taskUUID(client, n int) string { return fmt.Sprintf("%08x-0000-4000-8000-%012x", client, n) }

// The bodies of the nodes.
func createBody(id, destination, media, channel string) []byte {
	return []byte(`{"taskId":"` + id + `","conversationId":"conversation-` + id + `","destination":"` + destination + `",` +
		`"mediaType":"` + media + `","mediaChannel":"` + channel + `","customerId":"C-1002","customerName":"Milan Novak",` +
		`"origin":"milan.novak@customer.example","subject":"Delivery","version":"1.2"}`)
}

func queueBody(id, queue string) []byte {
	return []byte(`{"taskId":"` + id + `","conversationId":"conversation-` + id + `","mediaType":"Chat","mediaChannel":"Livechat",` +
		`"queueId":"` + queue + `","contactPriority":5,"version":"1.5"}`)
}

func positionBody(id, queue string) []byte {
	return []byte(`{"queueId":"` + queue + `","taskId":"` + id + `","lookbackMinutes":30,"version":"1.1"}`)
}

// node calls a node once.
func node(c *sandbox.Conn, name string, body []byte, outcome string) error {
	_, answer, err := c.Do("POST", nodePath+name, body)
	if err == nil && !bytes.Contains(answer, []byte(`"outcome":"`+outcome+`"`)) {
		err = fmt.Errorf("%s, want %s", answer, outcome)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// waits gives each queue a history of two contacts a minute, all answered after
// about a minute.
func waits(ctx context.Context, tx *store.Tx, _ *authstore.Sealer) error {
	now := time.Now()
	for i := range queues {
		for n := range 60 {
			err := tx.InsertQueueTime(ctx, store.QueueTime{
				TaskID: taskUUID(i, n), Seq: 1, Tenant: tenant, Queue: flowService(i),
				LeftMs: now.Add(-time.Duration(n) * 30 * time.Second).UnixMilli(), WaitedMs: 60_000 + int64(n),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// webexNode measures nodes next to AddExternalTask at the same hub, in turns.
func (l *lab) webexNode(ctx context.Context) error {
	const clients = 64
	hub, err := l.startWebex(ctx, waits)
	if err != nil {
		return err
	}
	defer hub.close()
	rounds, length := 3, 4*time.Second
	if l.quick {
		length = 1500 * time.Millisecond
	}
	turns := hub.turns(clients)
	rates, ratios, cpu := make([][]float64, len(turns)), make([][]float64, len(turns)), make([][]float64, len(turns))
	for round := range rounds + 1 { // the first one warms up
		limit := length
		if round == 0 {
			limit = time.Second
		}
		var adds float64
		for i, t := range turns {
			before := used(hub.PID())
			b, err := t.run(ctx, limit)
			if err != nil {
				return err
			}
			if i == 0 {
				adds = b.rate()
			}
			if round > 0 {
				rates[i], ratios[i] = append(rates[i], b.rate()), append(ratios[i], b.rate()/adds)
				cpu[i] = append(cpu[i], perTask(used(hub.PID())-before, b))
				fmt.Fprintf(l.out, "  clients: %d, round %d: %s %.0f/s, ratio %.2f\n", clients, round, t.name, b.rate(), b.rate()/adds)
			}
		}
	}
	for i, t := range turns {
		l.row(fmt.Sprintf("%s per second, clients: %d", t.name, clients), "%.0f", median(rates[i]), "")
		if i > 0 {
			l.row("  ratio to AddExternalTask", "%.2f", median(ratios[i]), ">= 0.50")
		}
		l.row("  processor time a call, µs", "%.0f", median(cpu[i]), "")
	}
	return l.unauthorized(ctx, hub)
}

// turn is one of several things that are measured in turns.
type turn struct {
	name string
	run  func(ctx context.Context, limit time.Duration) (burst, error)
}

// turns adds tasks, makes tasks by a node, queues all of those, and asks for
// the position of each.
func (r *webexRig) turns(clients int) []turn {
	added := body(queued)
	made, waiting := make([]int, clients), make([]int, clients) // of each client
	steps := func(each func(c *sandbox.Conn, client int) (bool, error)) func(context.Context, time.Duration) (burst, error) {
		return func(ctx context.Context, limit time.Duration) (burst, error) {
			return drive(ctx, r.addr(), r.nodes, clients, limit, each)
		}
	}
	return []turn{
		{"AddExternalTask", func(ctx context.Context, limit time.Duration) (burst, error) {
			return load(ctx, r.addr(), r.key, clients, math.MaxInt64, limit, added)
		}},
		{"Create Task", steps(func(c *sandbox.Conn, client int) (bool, error) {
			made[client]++
			return true, node(c, "create-task/create", createBody(taskUUID(client, made[client]), flowService(client), "Chat", "Livechat"), "created")
		})},
		{"Queue Task", steps(func(c *sandbox.Conn, client int) (bool, error) {
			if waiting[client] == made[client] {
				return false, nil
			}
			waiting[client]++
			return true, node(c, "queue-task/queue", queueBody(taskUUID(client, waiting[client]), flowService(client)), "Queued")
		})},
		{"PIQ and EWT", steps(func(c *sandbox.Conn, client int) (bool, error) {
			return true, node(c, "piq-ewt/fetch", positionBody(taskUUID(client, waiting[client]), flowService(client)), "Success")
		})},
	}
}

// unauthorized measures how fast a node says that Webex is not authorized.
func (l *lab) unauthorized(ctx context.Context, hub *webexRig) error {
	calls := 1000
	if l.quick {
		calls = 300
	}
	c, err := sandbox.Dial(ctx, hub.addr(), hub.nodes)
	if err != nil {
		return err
	}
	defer c.Close()
	var times []float64
	for i := range calls {
		body := createBody(taskUUID(1<<20, i), foreign, "Work Item", "Work Item")
		began := time.Now()
		if err := node(c, "create-task/create", body, "onauthorizationfail"); err != nil {
			return err
		}
		times = append(times, ms(time.Since(began)))
	}
	l.row("onauthorizationfail, clients: 1, p50, ms", "%.2f", median(times), "")
	l.row("  p99, ms", "%.2f", quantile(times, 0.99), "<= 20")
	l.row("  longest, ms", "%.2f", quantile(times, 1), "")
	return nil
}
