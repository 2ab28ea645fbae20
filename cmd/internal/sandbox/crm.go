package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/core"
)

// crm is what a vendor does for those who have signed in. serve answers the
// request for the path at of that vendor; false: there is no such resource, and
// nothing was written. It may be called from several goroutines.
type crm interface {
	serve(w http.ResponseWriter, r *http.Request, at string) bool
}

// newCRM makes the CRM of a vendor with its first records; nil when the vendor
// has none here. prefix is the vendor's address.
func newCRM(id, prefix string, clock core.Clock, webex *Webex) crm {
	switch id {
	case "webex-contact-center":
		return webex
	case "webex-engage":
		return &engage{webex: webex, tasks: map[string]string{}}
	case "cxone":
		return &cxone{}
	case "salesforce":
		return newSalesforce(prefix, clock)
	case "zendesk":
		return newZendesk(prefix, clock)
	case "dynamics365":
		return newDynamics365(prefix, clock)
	case "servicenow":
		return newServiceNow(prefix, clock)
	case "hubspot":
		return newHubSpot(prefix, clock)
	default:
		return nil
	}
}

// Fault is something that goes wrong at a vendor.
type Fault struct {
	// Status is answered instead of doing the work. 0: the work is done and
	// answered, after Delay. Negative: the connection ends without an answer.
	Status int
	Body   string            // of that answer; empty: {}
	Header map[string]string // of that answer
	Delay  time.Duration     // before the answer; the work is done at once
	Times  int               // so many requests meet the fault; 0: one
	Path   string            // only requests whose path there begins so; empty: all
}

// Entry is one request that a vendor's CRM was sent.
type Entry struct {
	Time     time.Time
	Method   string
	Path     string // at the vendor, without the query
	BodyHash string // SHA-256 in hexadecimal; empty: there was no body
	Applied  bool   // it changed something
	Key      string // idempotency key, in the header in which the vendor takes it
}

const (
	mostEntries = 10_000
	mostBody    = 1 << 20
)

// counter stands before a vendor's CRM: it keeps the ledger and makes things go
// wrong.
type counter struct {
	crm   crm
	clock core.Clock

	mu     sync.Mutex
	faults []Fault
	ledger []Entry
}

// Fault lets the next matching requests to a vendor's CRM meet f, after the
// faults that were asked for before. It does nothing for a vendor without a CRM.
func (v *Vendors) Fault(id string, f Fault) {
	if c := v.counter(id); c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		f.Times = max(f.Times, 1)
		c.faults = append(c.faults, f)
	}
}

// Ledger returns the last 10,000 requests that a vendor's CRM was sent, oldest
// first, those that met a fault included.
func (v *Vendors) Ledger(id string) []Entry {
	c := v.counter(id)
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.ledger)
}

func (v *Vendors) counter(id string) *counter {
	if s := v.sites[id]; s != nil {
		return s.counter
	}
	return nil
}

// serve answers a request for the path at; false: there is no such resource.
func (c *counter) serve(w http.ResponseWriter, r *http.Request, at string) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		write(w, http.StatusRequestEntityTooLarge, json.RawMessage(`{"error":"too_large"}`))
		return true
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := c.fault(at)
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	found := true
	if fault.Status == 0 {
		found = c.crm.serve(answer, r, at)
	}
	writes := r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.HasSuffix(at, "/search")
	c.enter(r, at, body, found && fault.Status == 0 && writes && answer.status < 300)
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	switch {
	case fault.Status < 0:
		panic(http.ErrAbortHandler) // the way to end a connection without an answer
	case fault.Status > 0:
		fault.answer(w)
	case found:
		answer.send(w)
	}
	return found
}

// fault takes the first fault that is due for a path.
func (c *counter) fault(at string) Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.faults {
		f := &c.faults[i]
		if !strings.HasPrefix(at, f.Path) {
			continue
		}
		due := *f
		if f.Times--; f.Times == 0 {
			c.faults = slices.Delete(c.faults, i, i+1)
		}
		return due
	}
	return Fault{}
}

func (f *Fault) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	for name, value := range f.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(f.Status)
	body := f.Body
	if body == "" {
		body = "{}"
	}
	_, _ = io.WriteString(w, body) //nolint:gosec // what the test or the demo asked for, as JSON
}

// enter writes a request into the ledger.
func (c *counter) enter(r *http.Request, at string, body []byte, applied bool) {
	e := Entry{Time: c.clock.Now(), Method: r.Method, Path: at, Applied: applied, Key: r.Header.Get("Idempotency-Key")}
	if len(body) > 0 {
		sum := sha256.Sum256(body)
		e.BodyHash = hex.EncodeToString(sum[:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ledger) == mostEntries {
		c.ledger = slices.Delete(c.ledger, 0, mostEntries/10)
	}
	c.ledger = append(c.ledger, e)
}

// recorder keeps an answer until it is due.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header { return a.header }

func (a *recorder) WriteHeader(status int) { a.status = status }

func (a *recorder) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *recorder) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// object reads a request's body, which must be one JSON object.
func object(r *http.Request) (map[string]any, bool) {
	var fields map[string]any
	d := json.NewDecoder(r.Body)
	d.UseNumber()
	err := d.Decode(&fields)
	return fields, err == nil && fields != nil && !d.More()
}
