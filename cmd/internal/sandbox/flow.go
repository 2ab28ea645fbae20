package sandbox

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed addressbook.csv
var addressBook string

// Event is what a flow gets from the hub, as far as the sandbox looks at it.
type Event struct {
	TaskID             string `json:"taskId"`
	Event              string `json:"event"`
	CustomerIdentifier string `json:"customerIdentifier"`
	ServiceUPN         string `json:"serviceUPN"`
	TaskInformation    struct {
		Customer map[string]any `json:"customer"`
	} `json:"taskInformation"`
}

// Flow is a Power Automate flow on a loopback address. Its methods may be
// called from several goroutines.
type Flow struct {
	Hub string // address of the hub, http://host:port
	Key string // API key of the flow's connection

	// On is called with each event, on the goroutine of its request; it may
	// call the flow's actions. Nil: nothing happens.
	On func(ctx context.Context, ev Event)

	listener net.Listener
	server   *http.Server
	client   *http.Client
	path     string

	mu  sync.Mutex
	off bool
}

// callbackPath has the form of the platform's: workflow, trigger, version, and
// a signature in the query.
const callbackPath = "/workflows/%032x/triggers/When_a_task_changes_state/versions/%020d/run" +
	"?api-version=2016-06-01&sp=%%2Ftriggers%%2FWhen_a_task_changes_state%%2Frun&sv=1.0&sig=sandbox-signature-%d"

// NewFlow starts a flow with the given number on a free loopback port.
func NewFlow(number int, hub, key string, on func(context.Context, Event)) (*Flow, error) {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Flow{
		Hub: hub, Key: key, On: on, listener: l, path: fmt.Sprintf(callbackPath, number, 1, number),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = f.server.Serve(l) }()
	return f, nil
}

// Addr is the flow's host and port, which the hub must be allowed to call.
func (f *Flow) Addr() string { return f.listener.Addr().String() }

// Callback is the address that the flow subscribes with.
func (f *Flow) Callback() string { return "http://" + f.Addr() + f.path }

// TurnOff makes the platform refuse calls of the flow, as it does when somebody
// turns it off.
func (f *Flow) TurnOff(off bool) {
	f.mu.Lock()
	f.off = off
	f.mu.Unlock()
}

// Close ends the flow.
func (f *Flow) Close() {
	_ = f.server.Close()
	f.client.CloseIdleConnections()
}

// ServeHTTP is the callback.
func (f *Flow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	f.mu.Lock()
	off := f.off
	f.mu.Unlock()
	switch {
	case r.Method != http.MethodPost || r.RequestURI != f.path:
		refuse(w, http.StatusNotFound, "WorkflowTriggerVersionNotFound", "The workflow trigger version was not found.")
		return
	case off:
		refuse(w, http.StatusBadRequest, "WorkflowTriggerIsNotEnabled", "The workflow is not enabled.")
		return
	}
	var ev Event
	if err != nil || json.Unmarshal(body, &ev) != nil {
		refuse(w, http.StatusBadRequest, "TriggerInputSchemaMismatch", "The input body does not match the schema.")
		return
	}
	// The platform answers first and runs the flow afterwards.
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	_ = http.NewResponseController(w).Flush()
	if f.On != nil {
		f.On(context.WithoutCancel(r.Context()), ev)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
}

// Subscribe registers the flow's trigger and returns the address under which it
// can be deleted. No events means all.
func (f *Flow) Subscribe(ctx context.Context, service string, events ...string) (string, error) {
	if events == nil {
		events = []string{}
	}
	res, err := f.call(ctx, http.MethodPost, "/v1/triggers/tasks", map[string]any{
		"config": map[string]any{"url": f.Callback(), "services": []string{service}, "taskEvents": events},
	}, nil)
	if err != nil {
		return "", err
	}
	return res.Get("Location"), nil
}

// AddExternalTask adds a task and returns its id.
func (f *Flow) AddExternalTask(ctx context.Context, service, customerIdentifier string) (string, error) {
	var out struct {
		ID string `json:"id"`
	}
	_, err := f.call(ctx, http.MethodPost, "/v1/ExternalTasks",
		map[string]string{"serviceUpn": service, "customerIdentifier": customerIdentifier}, &out)
	return out.ID, err
}

// UpdateTask writes a customer's data into a task.
func (f *Flow) UpdateTask(ctx context.Context, id string, customer map[string]string) error {
	_, err := f.call(ctx, http.MethodPut, "/v1/tasks/"+id, map[string]any{"customer": customer}, nil)
	return err
}

// RemoveExternalTask ends a task.
func (f *Flow) RemoveExternalTask(ctx context.Context, id string) error {
	_, err := f.call(ctx, http.MethodDelete, "/v1/ExternalTasks/"+id, nil, nil)
	return err
}

// Lookup finds a customer in the address book by the customer identifier; nil
// when there is none.
func Lookup(customerIdentifier string) map[string]string {
	rows, err := csv.NewReader(strings.NewReader(addressBook)).ReadAll()
	if err != nil {
		return nil
	}
	for _, row := range rows[1:] {
		if row[0] != customerIdentifier {
			continue
		}
		customer := map[string]string{}
		for i, name := range rows[0][1:] {
			customer[name] = row[i+1]
		}
		return customer
	}
	return nil
}

// call calls an action of the hub; out gets the answer's JSON unless it is nil.
func (f *Flow) call(ctx context.Context, method, path string, in, out any) (http.Header, error) {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.Hub+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+f.Key)
	req.Header.Set("Content-Type", "application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	if out != nil {
		return res.Header, json.Unmarshal(answer, out)
	}
	return res.Header, nil
}
