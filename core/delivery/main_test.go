package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tandem/authstore"
	"tandem/core"
	"tandem/core/coretest"
	"tandem/core/delivery"
	"tandem/core/outbound"
	"tandem/core/store"
	"tandem/core/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// sealer binds a text to its place.
type sealer struct{}

func (sealer) Seal(place string, plain []byte) []byte { return []byte(place + "\x00" + string(plain)) }

func (sealer) Open(place string, sealed []byte) ([]byte, error) {
	plain, ok := strings.CutPrefix(string(sealed), place+"\x00")
	if !ok {
		return nil, errors.New("sealed for another place")
	}
	return []byte(plain), nil
}

// rig is a database, a flow that is called back, and what delivers to it.
type rig struct {
	t      *testing.T
	url    string // of the database
	db     *store.DB
	clock  *coretest.Clock
	secret string
	server *httptest.Server

	mu     sync.Mutex
	calls  []string // webhook-ids, in the order in which they came
	answer func(w http.ResponseWriter, id string)
	may    error
	render func(core.Event)
	failed []string
}

const callbackSecret = "CALLBACKSECRET"

// both runs a test on an empty database of each dialect.
func both(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	pgtest.Both(t, func(t *testing.T, url string) { test(t, newRig(t, url)) })
}

func newRig(t *testing.T, url string) *rig {
	t.Helper()
	r := &rig{t: t, url: url, clock: coretest.NewClock(noon), secret: authstore.NewSecret()}
	db, err := store.Open(t.Context(), store.Options{URL: url, Clock: r.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Migrate(t.Context()))
	r.db = db
	verifier, err := webhooks.NewWebhook(r.secret)
	require.NoError(t, err)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil || verifier.VerifyIgnoringTimestamp(body, req.Header) != nil || req.URL.Query().Get("sig") != callbackSecret {
			t.Errorf("not a call of the hub: %v %s", err, body)
		}
		id := req.Header.Get("webhook-id")
		r.mu.Lock()
		r.calls = append(r.calls, id)
		answer := r.answer
		r.mu.Unlock()
		if answer != nil {
			answer(w, id)
		}
	}))
	t.Cleanup(r.server.Close)
	return r
}

// deliverer returns one that is not running.
func (r *rig) deliverer() *delivery.Deliverer {
	r.t.Helper()
	host := strings.TrimPrefix(r.server.URL, "http://")
	client, err := outbound.New(outbound.Options{AllowHosts: []string{host}})
	require.NoError(r.t, err)
	r.t.Cleanup(client.Close)
	hosts, err := outbound.NewHosts(nil, []string{host})
	require.NoError(r.t, err)
	signer, err := authstore.NewSigner(r.secret)
	require.NoError(r.t, err)
	return delivery.New(delivery.Options{
		DB: r.db, Clock: r.clock, Sender: client, Hosts: hosts, Sealer: sealer{}, Look: 5 * time.Millisecond,
		Sign:   func(_, id string, at time.Time, body []byte) (string, error) { return signer.Sign(id, at, body), nil },
		Chance: func() float64 { return 0 },
		Render: func(e core.Event) ([]byte, error) {
			if r.render != nil {
				r.render(e)
			}
			return json.Marshal(e)
		},
		May: func(store.Trigger) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.may
		},
		Failed: func(msg string, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.failed = append(r.failed, fmt.Sprint(msg, ": ", err))
		},
	})
}

// start runs a deliverer until stop or the end of the test.
func (r *rig) start() (d *delivery.Deliverer, stop func()) {
	r.t.Helper()
	d = r.deliverer()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { d.Run(ctx) })
	stop = func() {
		cancel()
		group.Wait()
	}
	r.t.Cleanup(stop)
	return d, stop
}

// respond makes the flow answer with a status and a body from now on.
func (r *rig) respond(status int, body string) {
	r.reply(func(w http.ResponseWriter, _ string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (r *rig) reply(answer func(w http.ResponseWriter, id string)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *rig) called() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.calls...)
}

func (r *rig) setMay(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.may = err
}

// subscribe returns the address and the id of a new trigger.
func (r *rig) subscribe(d *delivery.Deliverer, path string) (address, id string) {
	r.t.Helper()
	address, err := d.Subscribe(r.t.Context(), delivery.Subscription{
		Tenant: "contoso", Owner: "owner@contoso.example", URL: r.server.URL + path + "?sig=" + callbackSecret,
		Services: []string{"support@contoso.example"},
	})
	require.NoError(r.t, err)
	r.clock.Advance(time.Millisecond) // ids sort by time
	triggers, err := r.db.Triggers(r.t.Context(), "contoso")
	require.NoError(r.t, err)
	return address, triggers[0].ID
}

// put writes events of a task with their deliveries.
func (r *rig) put(trigger, task string, events int) {
	r.t.Helper()
	require.NoError(r.t, r.db.Write(r.t.Context(), func(ctx context.Context, tx *store.Tx) error {
		var rows []store.Event
		var ds []store.Delivery
		for seq := 1; seq <= events; seq++ {
			data, err := json.Marshal(core.Event{
				Name: core.Queued, At: noon, Task: core.Task{ID: task, Service: core.ServiceRef{UPN: "support@contoso.example"}},
			})
			if err != nil {
				return err
			}
			rows = append(rows, store.Event{Seq: seq, Name: core.Queued, At: noon, Data: data})
			ds = append(ds, store.Delivery{TriggerID: trigger, TaskID: task, Seq: seq, CreatedMs: r.clock.Now().UnixMilli()})
		}
		if err := tx.InsertEvents(ctx, task, rows); err != nil {
			return err
		}
		return tx.InsertDeliveries(ctx, ds)
	}))
}

// settled waits until so many deliveries and dead letters are left.
func (r *rig) settled(deliveries, letters int) {
	r.t.Helper()
	r.until(func() bool {
		d, l, err := r.db.Backlog(r.t.Context())
		return err == nil && d == deliveries && l == letters
	})
}

// due waits until the next delivery of a trigger is due so long after now.
func (r *rig) due(trigger string, after time.Duration) {
	r.t.Helper()
	now := r.clock.Now()
	r.until(func() bool {
		before, err := r.db.DueDeliveries(r.t.Context(), trigger, now.Add(after-time.Millisecond), 1)
		if err != nil || len(before) > 0 {
			return false
		}
		then, err := r.db.DueDeliveries(r.t.Context(), trigger, now.Add(after), 1)
		return err == nil && len(then) == 1
	})
}

func (r *rig) until(done func() bool) {
	r.t.Helper()
	require.Eventually(r.t, done, 20*time.Second, 2*time.Millisecond)
}

func (r *rig) letters() []store.DeadLetter {
	r.t.Helper()
	letters, err := r.db.DeadLetters(r.t.Context(), "contoso", "", 1000)
	require.NoError(r.t, err)
	for _, l := range letters {
		require.NotContains(r.t, l.Error, callbackSecret)
	}
	return letters
}

func (r *rig) trigger(id string) store.Trigger {
	r.t.Helper()
	trigger, err := r.db.Trigger(r.t.Context(), id)
	require.NoError(r.t, err)
	require.NotContains(r.t, trigger.Reason, callbackSecret)
	return trigger
}
