package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

const wxID = "webex-contact-center"

// listener is a hub that hears of events.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	answer int
	heard  []heard
}

type heard struct {
	header http.Header
	raw    []byte
	event  map[string]any
}

func newListener(t *testing.T) *listener {
	t.Helper()
	l := &listener{answer: http.StatusOK}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		h := heard{header: r.Header, raw: raw}
		if err == nil {
			err = json.Unmarshal(raw, &h.event)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if err == nil {
			l.heard = append(l.heard, h)
		}
		w.WriteHeader(l.answer)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) answers(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answer = status
}

// office is a Webex Contact Center under test with somebody who listens to it.
type office struct {
	*Webex
	town *town
	t    *testing.T
	keys *keyring
	hub  *listener
	sub  string // id of the subscription
}

const wxSecret = "0123456789abcdef0123456789abcdef"

func newOffice(t *testing.T) *office {
	t.Helper()
	w := newTown(t)
	d := &office{town: w, t: t, Webex: w.Webex(), keys: &keyring{town: w}, hub: newListener(t)}
	d.sub = d.subscribe("/v2", map[string]any{"resourceVersion": "task:1.0.0", "secret": wxSecret})
	return d
}

// subscribe subscribes to all events of tasks.
func (d *office) subscribe(version string, more map[string]any) string {
	d.t.Helper()
	body := map[string]any{"name": "Tandem", "destinationUrl": d.hub.URL + "/webex/v1/events/1", "eventTypes": []string{}}
	for _, kind := range wxTypes {
		if strings.HasPrefix(kind, "task") {
			body["eventTypes"] = append(body["eventTypes"].([]string), kind)
		}
	}
	for name, value := range more {
		body[name] = value
	}
	status, out := d.do(http.MethodPost, version+"/subscriptions", body)
	require.Equal(d.t, http.StatusCreated, status, out)
	require.NotContains(d.t, fmt.Sprint(out), wxSecret)
	return dig(out, "data", "id").(string)
}

// do calls the API and compares the answer with the published one.
func (d *office) do(method, path string, body any) (int, map[string]any) {
	d.t.Helper()
	status, _, out := d.town.api(d.keys, wxID, method, path, body)
	at, _, _ := strings.Cut(path, "?")
	published(d.t, method, at, status, out)
	fields, _ := out.(map[string]any)
	return status, fields
}

// create makes a work item.
func (d *office) create(origin string) string {
	d.t.Helper()
	status, out := d.do(http.MethodPost, "/v2/tasks", wxItem(origin))
	require.Equal(d.t, http.StatusCreated, status, out)
	require.Equal(d.t, WebexOrg, dig(out, "meta", "orgId"))
	return dig(out, "data", "id").(string)
}

func wxItem(origin string) map[string]any {
	return map[string]any{
		"channelType": "workItem", "channel": "Field", "origin": map[string]any{"id": origin, "name": "Milan"},
		"destination":     map[string]any{"id": "APP-FIELD-1", "type": "businessAddress"},
		"globalVariables": map[string]any{"hubTaskId": origin},
		"channelParams":   map[string]any{"type": "work-item-form", "message": map[string]any{"workItemData": map[string]any{"subject": "Late"}}},
	}
}

// events returns the types of what was sent since the last call.
func (d *office) events() []string {
	d.t.Helper()
	d.Deliveries()
	d.hub.mu.Lock()
	defer d.hub.mu.Unlock()
	kinds := []string{}
	for _, h := range d.hub.heard {
		kinds = append(kinds, h.event["type"].(string))
	}
	d.hub.heard = nil
	return kinds
}

// wxPublished is Cisco's definition, where it lies beside this repository.
const wxPublished = "../../../../shared/contracts/webex-openapi-subset.json"

var wxDefinition = sync.OnceValues(func() (*openapi3.T, error) { return openapi3.NewLoader().LoadFromFile(wxPublished) })

// published compares an answer of the API with Cisco's definition, as far as
// that has the path.
func published(t *testing.T, method, at string, status int, out any) {
	t.Helper()
	d, err := wxDefinition()
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	item := d.Paths.Find(at)
	if item == nil {
		for template := range d.Paths.Map() {
			if matches(template, at) {
				item = d.Paths.Find(template)
			}
		}
	}
	if item == nil || status == http.StatusNotFound || status == http.StatusTooManyRequests {
		return // Cisco does not say what these look like
	}
	o := item.GetOperation(method)
	require.NotNil(t, o, "%s %s", method, at)
	answer := o.Responses.Status(status)
	require.NotNil(t, answer, "%s %s %d", method, at, status)
	for _, media := range answer.Value.Content {
		if media.Schema != nil {
			require.NoError(t, media.Schema.Value.VisitJSON(out, openapi3.MultiErrors()), "%s %s %v", method, at, out)
		}
	}
}
