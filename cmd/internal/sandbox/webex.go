package sandbox

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/core"
)

// WebexOrg is the organization of the sandbox's Webex Contact Center.
const WebexOrg = "97cdbf45-ebe2-4687-8341-44d5c7abf101"

// WebexQueue is the queue into which the sandbox's flow puts every new task.
const WebexQueue = "5f2f9b11-0f4c-4c3e-8f0b-5a0f7c1e94f1"

// Webex is a Webex Contact Center: tasks, queues, subscriptions and the desktop
// of its agents, who do what they are told to and nothing by themselves. What the
// API refuses it refuses as documented; what it accepts it tells of with events,
// which are sent in the background as soon as the answer is known, so one may
// arrive before the answer does. Its methods may be called from several
// goroutines, but not from the receiver of an event before it has answered.
type Webex struct {
	clock  core.Clock
	client *http.Client
	ctx    context.Context // ends with the vendors
	cancel context.CancelFunc
	under  sync.WaitGroup // what is being sent

	mu            sync.Mutex
	idle          *sync.Cond // nothing is being sent
	sending       bool
	closed        bool
	switches      WebexSwitches
	requests      []time.Time // of the last minute
	stamp         time.Time   // of the last event: no two share one
	tasks         []*WebexTask
	pops          []WebexPop
	subscriptions []*wxSubscription
	queue         []wxPost
	deliveries    []WebexDelivery
}

// WebexSwitches make things go wrong at the sandbox's Webex Contact Center. The
// zero value is a good day.
type WebexSwitches struct {
	EventsOff  bool // events are lost
	Held       bool // events wait until this is switched off
	Duplicated bool // each event is sent twice
	Shuffled   bool // of the events that become due at once the last is sent first
	NoFlow     bool // new tasks stay out of the queue until somebody queues them

	FailNext      string  // the next new task fails for this reason
	RatePerMinute int     // requests of a client; 0: 300
	EWT           float64 // estimated wait time in milliseconds; 0: too few samples
}

const wxRate = 300

func newWebex(clock core.Clock) *Webex {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Webex{clock: clock, ctx: ctx, cancel: cancel, client: &http.Client{
		Transport:     &http.Transport{},
		Timeout:       wxPatience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	w.idle = sync.NewCond(&w.mu)
	return w
}

// Webex is the Webex Contact Center of these vendors.
func (v *Vendors) Webex() *Webex { return v.webex }

// Switch sets all switches.
func (w *Webex) Switch(s WebexSwitches) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.switches.Held && !s.Held && s.Shuffled {
		slices.Reverse(w.queue)
	}
	w.switches = s
	w.start()
}

// close ends the sending of events, which is over when it returns.
func (w *Webex) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.cancel()
	w.under.Wait()
	w.client.CloseIdleConnections()
}

// wxAPI tells whether a path belongs to the API of Contact Center, and not to
// that of Webex, which tells whose token it is.
func wxAPI(at string) bool {
	return at != "/v1/people/me" && (strings.HasPrefix(at, "/v1/") || strings.HasPrefix(at, "/v2/") || strings.HasPrefix(at, "/organization/"))
}

// wxUnauthorized refuses a request without a good token.
func wxUnauthorized(w http.ResponseWriter, r *http.Request, at string) {
	if r.Header.Get("Authorization") == "" {
		wxRefuse(w, at, http.StatusBadRequest, "Missing Authorization header.")
		return
	}
	wxRefuse(w, at, http.StatusUnauthorized, "Incorrect Credentials.")
}

// wxRefuse answers with an error, whose key is a number where subscriptions are
// concerned and a text elsewhere. Task control tells nothing but the status.
func wxRefuse(w http.ResponseWriter, at string, status int, text string) {
	tracking, key := "SANDBOX_", any(strconv.Itoa(status))
	switch {
	case wxSubscriptions.MatchString(at):
		tracking, key = "NOTIFS_", status
	case wxControl.MatchString(at) && status != http.StatusTooManyRequests:
		w.WriteHeader(status)
		return
	}
	write(w, status, map[string]any{
		"trackingId": tracking + core.NewID(time.Unix(0, 0)),
		"error":      map[string]any{"key": key, "message": []any{map[string]any{"description": text}}},
	})
}

var (
	wxSubscriptions = regexp.MustCompile(`^/v[12]/(subscriptions|event-types)(/|$)`)
	wxControl       = regexp.MustCompile(`^/v1/tasks/[^/]+`)
)

// serve answers the request for the path at, which may be any of the API.
func (w *Webex) serve(out http.ResponseWriter, r *http.Request, at string) bool {
	if !wxAPI(at) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if wait := w.limit(); wait > 0 {
		out.Header().Set("Retry-After", strconv.Itoa(wait))
		wxRefuse(out, at, http.StatusTooManyRequests, "Too many requests.")
		return true
	}
	parts := strings.Split(strings.Trim(at, "/"), "/")
	found := false
	switch {
	case wxSubscriptions.MatchString(at):
		found = w.serveSubscriptions(out, r, at, parts)
	case parts[0] == "organization":
		found = w.serveConfiguration(out, r, at, parts)
	case strings.HasPrefix(at, wxNodes):
		found = w.serveNodes(out, r, at, parts[3:])
	default:
		found = w.serveTasks(out, r, at, parts)
	}
	return found
}

// limit counts a request, and returns in how many seconds there may be one when
// there may be none now.
func (w *Webex) limit() int {
	now, most := w.clock.Now(), w.switches.RatePerMinute
	if most == 0 {
		most = wxRate
	}
	for len(w.requests) > 0 && !w.requests[0].After(now.Add(-time.Minute)) {
		w.requests = w.requests[1:]
	}
	if len(w.requests) >= most {
		return int(w.requests[0].Add(time.Minute).Sub(now)/time.Second) + 1
	}
	w.requests = append(w.requests, now)
	return 0
}

// id makes an id that no other has.
func (w *Webex) id() string { return core.NewID(w.clock.Now()) }
