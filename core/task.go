package core

import (
	"slices"
	"time"
)

// State is where a task stands in its life.
//
//	created -> accepted -> queued -> offered -> connected -> terminated
//
// Any state may go to terminated; offered goes back to queued when the agent
// does not take the task.
type State string

// The states of a task.
const (
	StateCreated    State = "created"    // on disk, its workflow has begun
	StateAccepted   State = "accepted"   // the workflow accepted the conversation
	StateQueued     State = "queued"     // waits for an agent
	StateOffered    State = "offered"    // shown to an agent who has not answered yet
	StateConnected  State = "connected"  // an agent works on it
	StateTerminated State = "terminated" // over; nothing changes it any more
)

// Modality is the initial medium of a task, in the vendor's spelling
// (definition "Modality" of the connector, and Email of its newer generation).
type Modality string

// The modalities.
const (
	Audio            Modality = "Audio"
	InstantMessaging Modality = "InstantMessaging"
	ExternalTask     Modality = "ExternalTask"
	Email            Modality = "Email"
)

// Modalities lists all modalities in the order in which surfaces show them.
var Modalities = []Modality{Audio, InstantMessaging, ExternalTask, Email}

// MediaModality is the one table from the media types of the other platforms,
// in lower case, to modalities.
var MediaModality = map[string]Modality{
	"telephony": Audio,
	"chat":      InstantMessaging,
	"social":    InstantMessaging,
	"email":     Email,
	"workitem":  ExternalTask,
	"work item": ExternalTask,
}

// Direction says who began the conversation.
type Direction string

// The directions.
const (
	Inbound       Direction = "Inbound"
	Outbound      Direction = "Outbound"
	DirectionNone Direction = "None"
)

// Directions lists all directions in the order in which surfaces show them.
var Directions = []Direction{Inbound, Outbound, DirectionNone}

// Priority is a distribution priority. Tasks of a higher priority are offered
// first; among equals, the one that waits longest.
type Priority string

// The priorities, from first to last.
const (
	PriorityVeryHigh Priority = "VeryHigh"
	PriorityHigh     Priority = "High"
	PriorityNormal   Priority = "Normal"
	PriorityLow      Priority = "Low"
	PriorityVeryLow  Priority = "VeryLow"
)

// Priorities lists all priorities, the most urgent first.
var Priorities = []Priority{PriorityVeryHigh, PriorityHigh, PriorityNormal, PriorityLow, PriorityVeryLow}

// NamedValue is a named text: a context parameter, a telephone number, a custom
// field. The JSON names are the connector's.
type NamedValue struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// Customer is what is known of the person behind a task. The JSON names are
// those of the connector's definition "Customer".
type Customer struct {
	FirstName        string       `json:"firstName,omitempty"`
	LastName         string       `json:"lastName,omitempty"`
	DisplayName      string       `json:"displayName,omitempty"`
	Company          string       `json:"company,omitempty"`
	JobTitle         string       `json:"jobTitle,omitempty"`
	Department       string       `json:"department,omitempty"`
	StreetAddress    string       `json:"streetAddress,omitempty"`
	PostCode         string       `json:"postCode,omitempty"`
	City             string       `json:"city,omitempty"`
	State            string       `json:"state,omitempty"`
	Country          string       `json:"country,omitempty"`
	PrimaryTelNumber string       `json:"primaryTelNumber,omitempty"`
	TelNumbers       []NamedValue `json:"telNumbers,omitempty"`
	UPN              string       `json:"UPN,omitempty"`
	IMAddress        string       `json:"imAddress,omitempty"`
	Email            string       `json:"email,omitempty"`
	CustomFields     []NamedValue `json:"customFields,omitempty"`
}

// PreferredUser asks for a task to be offered to a user before others.
type PreferredUser struct {
	UPN      string `json:"upn"`
	Priority int    `json:"priority,omitempty"` // 1 first to 99 last; 0: not given, before all others
}

// Platforms on which a task can have a counterpart, and names of its own.
const (
	PlatformWebex = "webex"
	PlatformCXone = "cxone"
)

// RemoteState is where a task's counterpart stands.
type RemoteState string

// The states of a counterpart.
const (
	RemoteRequested RemoteState = "requested" // it is to be made
	RemoteOpen      RemoteState = "open"      // the platform has said that it is there
	RemoteFailed    RemoteState = "failed"    // it could not be made; Remote.Error says why
	RemoteEnded     RemoteState = "ended"     // the platform has said that it is over
)

// Remote is a task's counterpart on the platform that is its service's target.
type Remote struct {
	Platform string      `json:"platform"`
	ID       string      `json:"id,omitempty"` // there; empty: not known yet
	State    RemoteState `json:"state"`
	Error    string      `json:"error,omitempty"` // with RemoteFailed; with RemoteRequested why it is not made yet

	// GivenUp is the ID of the one before, which was refused and ended there: what
	// becomes of it is nobody's business.
	GivenUp string `json:"givenUp,omitempty"`
}

// PopTarget says where an agent's browser opens a page (the Display Settings of
// the Screen Pop node).
type PopTarget string

// The places of a page.
const (
	InsideDesktop      PopTarget = "insideDesktop"
	NewBrowserTab      PopTarget = "newBrowserTab"
	ExistingBrowserTab PopTarget = "existingBrowserTab"
)

// Pop is a page that the agent of a task is shown.
type Pop struct {
	URL    string    `json:"url"`
	Target PopTarget `json:"target"`
	Agent  string    `json:"agent,omitempty"` // UPN or id; empty: whoever works on the task
	At     time.Time `json:"at"`
}

// ServiceRef is what a task carries of its service: it ends on the service as
// it was when the task began, whatever the directory says later.
type ServiceRef struct {
	ID          string `json:"id"`
	UPN         string `json:"upn"`
	Name        string `json:"name,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	Description string `json:"description,omitempty"`
	TelNumber   string `json:"telNumber,omitempty"`
	MailboxUPN  string `json:"mailboxUpn,omitempty"`
	Target      string `json:"target,omitempty"` // a platform; empty: the hub's own queue
}

// UserRef names a person of the directory.
type UserRef struct {
	ID    string `json:"id"`
	UPN   string `json:"upn"`
	Email string `json:"email,omitempty"`
}

// Party is one end of a conversation.
type Party struct {
	ID          string `json:"id,omitempty"`
	MicrosoftID string `json:"microsoftId,omitempty"`
	TelNumber   string `json:"telNumber,omitempty"` // E.164
	UPN         string `json:"upn,omitempty"`
}

// Mail is what an e-mail task began with.
type Mail struct {
	Subject   string `json:"subject,omitempty"`
	RichText  string `json:"richText,omitempty"`
	PlainText string `json:"plainText,omitempty"`
}

// Task is one piece of contact-centre work, whichever platform made it. It
// carries all that the connector's TaskEventData shows. Times are UTC in whole
// milliseconds; the zero time means "not yet".
//
// A Task is a value: the engine alone writes it, everyone else gets a copy.
type Task struct {
	ID        string     `json:"id"`
	Tenant    string     `json:"tenant"`   // name of the tenant in the directory
	TenantID  string     `json:"tenantId"` // its id as other platforms see it
	Service   ServiceRef `json:"service"`
	Modality  Modality   `json:"modality"`
	Direction Direction  `json:"direction"`
	State     State      `json:"state"`
	Priority  Priority   `json:"priority"`

	Created    time.Time `json:"created"`
	Queued     time.Time `json:"queued,omitzero"`
	Terminated time.Time `json:"terminated,omitzero"`

	CustomerIdentifier string          `json:"customerIdentifier,omitempty"` // empty: anonymous
	ReferenceID        string          `json:"referenceId,omitempty"`
	CallChainID        string          `json:"callChainId,omitempty"`
	ACSID              string          `json:"acsId,omitempty"`
	InitialMessage     string          `json:"initialMessage,omitempty"`
	Mail               Mail            `json:"mail,omitzero"`
	Caller             Party           `json:"caller,omitzero"`
	Destination        Party           `json:"destination,omitzero"`
	OutboundAttempt    int             `json:"outboundAttempt,omitempty"`
	LastConnectedUser  UserRef         `json:"lastConnectedUser,omitzero"`
	Customer           Customer        `json:"customer,omitzero"`
	Parameters         []NamedValue    `json:"parameters,omitempty"` // custom context parameters
	PreferredUsers     []PreferredUser `json:"preferredUsers,omitempty"`

	ContactPriority int    `json:"contactPriority,omitempty"` // 1 first to 9; 0: none (Queue Task of Webex Connect)
	Remote          Remote `json:"remote,omitzero"`
	Pops            []Pop  `json:"pops,omitempty"` // oldest first

	Turn int    `json:"turn,omitempty"` // how many different things nodes have asked of the counterpart, one after the other
	Call []byte `json:"call,omitempty"` // hash of the last of them
}

// Parameter returns the value of a context parameter and whether it is set.
func (t *Task) Parameter(name string) (string, bool) {
	for _, p := range t.Parameters {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// SetParameter sets a context parameter. The list is copied first, so that
// copies of the task made earlier keep theirs.
func (t *Task) SetParameter(name, value string) {
	t.Parameters = MergeNamed(t.Parameters, []NamedValue{{name, value}})
}

// MergeNamed returns old with the values of update set by name, new names at
// the end. Neither argument is changed.
func MergeNamed(old, update []NamedValue) []NamedValue {
	merged := slices.Clone(old)
	for _, u := range update {
		if i := slices.IndexFunc(merged, func(v NamedValue) bool { return v.Name == u.Name }); i >= 0 {
			merged[i].Value = u.Value
		} else {
			merged = append(merged, u)
		}
	}
	return merged
}
