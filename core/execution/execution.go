package execution

import (
	"context"
	"encoding/json"
	"time"

	"tandem/core/operation"
)

// Run is one run of an operation, redacted: it is for people.
type Run struct {
	ID          string // correlation id, a core.NewID
	Tenant      string
	Platform    string // cxone, webex, console
	Title       string // in the platform's words, for example "Salesforce / Search for ANI"
	Integration string // id; empty when it did not come that far
	Operation   string
	Outcome     string // branch or outcome
	Failed      bool
	Code        string // of the error
	Message     string
	Contact     string
	Caller      string // UPN
	Began       time.Time
	Duration    time.Duration
	Steps       []operation.Step
	Input       string // JSON, redacted, cut for people
	Result      string
}

// Filter says which runs are asked for.
type Filter struct {
	Tenant string
	Failed bool   // only those that failed
	Text   string // part of the title or the contact, case does not count; empty: any
	Before string // id of the last one that was seen; empty: from the newest
	Limit  int
}

// Answer is what FirstAnswers keeps: whatever its user can encode.
type Answer = json.RawMessage

// Flow is what FirstAnswers runs. keep false frees the key: nothing was done,
// and the same request may be tried again.
type Flow func(ctx context.Context) (answer Answer, keep bool)
